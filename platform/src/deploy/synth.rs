//! Templates as files, with a manifest that says in which order they are deployed.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::stages::{Stack, Stage, stacks};
use crate::settings::Settings;

/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";

/// What a deployment tool needs to know beside the templates.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    env: &'a str,
    region: &'a str,
    /// In the order of deployment.
    stacks: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    stage: Stage,
    template: String,
    /// Capabilities that the deployment must be given.
    capabilities: Vec<&'static str>,
}

impl<'a> Entry<'a> {
    fn of(stack: &'a Stack) -> Self {
        let named_iam = stack.template.names_iam_resources();
        Entry {
            name: &stack.name,
            stage: stack.stage,
            template: file_name(stack),
            capabilities: if named_iam { vec!["CAPABILITY_NAMED_IAM"] } else { Vec::new() },
        }
    }
}

/// Writes the templates and the manifest of an environment into a folder, which is made when it is absent. Answers the
/// stacks that were written.
pub fn write(settings: &Settings, folder: &Path) -> io::Result<Vec<Stack>> {
    fs::create_dir_all(folder)?;
    let stacks = stacks(settings);
    for stack in &stacks {
        fs::write(folder.join(file_name(stack)), stack.template.to_json())?;
    }
    let manifest =
        Manifest { env: &settings.env, region: &settings.region, stacks: stacks.iter().map(Entry::of).collect() };
    let mut text = serde_json::to_string_pretty(&manifest).expect("texts are valid JSON");
    text.push('\n');
    fs::write(folder.join(MANIFEST), text)?;
    Ok(stacks)
}

fn file_name(stack: &Stack) -> String {
    format!("{}.template.json", stack.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_every_template_and_the_manifest_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/folder");
        let settings = Settings { env: "test".to_owned(), ..Settings::default() };
        write(&settings, &out).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(out.join(MANIFEST)).unwrap()).unwrap();
        let listed = manifest["stacks"].as_array().unwrap();
        assert_eq!(listed.len(), stacks(&settings).len());
        assert_eq!(listed[0]["name"], "iot-platform-test-security");
        assert_eq!(listed[0]["capabilities"], serde_json::json!(["CAPABILITY_NAMED_IAM"]));
        let analytics = listed.iter().find(|entry| entry["name"] == "iot-platform-test-analytics").unwrap();
        assert_eq!(analytics["capabilities"], serde_json::json!([]));
        for (entry, stack) in listed.iter().zip(stacks(&settings)) {
            let text = fs::read_to_string(out.join(entry["template"].as_str().unwrap())).unwrap();
            assert_eq!(text, stack.template.to_json());
        }
    }
}
