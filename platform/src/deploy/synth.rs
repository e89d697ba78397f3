//! The files of an environment: templates, dashboards, a manifest that says in which order stacks are deployed, and a
//! diagram. Files are written beside their place and then put there at once, the manifest last, so that a reader never
//! finds half a file or a manifest whose templates are not there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diagram;
use super::plan::Plan;
use super::stages::{Stack, stacks};
use crate::settings::Settings;

/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// Name of the diagram's file.
pub const DIAGRAM: &str = "diagram.mmd";
/// Name of the folder of dashboards.
pub const DASHBOARDS: &str = "dashboards";

/// What a deployment tool needs to know beside the templates.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub env: String,
    pub region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// In the order of deployment.
    pub stacks: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub name: String,
    pub stage: String,
    /// Name of the template's file.
    pub template: String,
    /// Capabilities that the deployment must be given.
    pub capabilities: Vec<String>,
    /// Stacks that must be there before this one: for readers; it is told from the templates again.
    #[serde(default)]
    pub reads: Vec<String>,
}

/// Writes the files of an environment into a folder, which is made when it is absent. Templates of stacks and dashboards
/// that the environment no longer has are removed. Answers the stacks that were written.
pub fn write(settings: &Settings, folder: &Path) -> io::Result<Vec<Stack>> {
    let stacks = stacks(settings);
    write_files(&files(&Plan::of_stacks(settings, &stacks)), folder)?;
    Ok(stacks)
}

/// The files of a plan, by their path inside the folder.
fn files(plan: &Plan) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for stack in &plan.stacks {
        files.insert(file_name(&stack.name), stack.body.clone());
        for (id, kind, properties) in stack.resources() {
            if kind == "AWS::CloudWatch::Dashboard" {
                let name =
                    properties["DashboardName"].as_str().map_or_else(|| format!("{}-{id}", stack.name), str::to_owned);
                files.insert(format!("{DASHBOARDS}/{name}.json"), dashboard(&properties["DashboardBody"]));
            }
        }
    }
    let entry = |stack: &super::plan::Planned| Entry {
        name: stack.name.clone(),
        stage: stack.stage.to_string(),
        template: file_name(&stack.name),
        capabilities: stack.capabilities.clone(),
        reads: stack.reads.clone(),
    };
    let manifest = Manifest {
        env: plan.env.clone(),
        region: plan.region.clone(),
        account: plan.account.clone(),
        stacks: plan.stacks.iter().map(entry).collect(),
    };
    files.insert(MANIFEST.to_owned(), pretty(&manifest));
    files.insert(DIAGRAM.to_owned(), diagram::mermaid(plan));
    files
}

/// A dashboard's body. Where it holds references, `${Name}` stands for what CloudFormation fills in.
fn dashboard(body: &Value) -> String {
    let text = match body {
        Value::String(text) => text,
        Value::Object(function) => match function.get("Fn::Sub") {
            Some(Value::String(text)) => text,
            _ => return pretty(body),
        },
        _ => return pretty(body),
    };
    serde_json::from_str::<Value>(text).map_or_else(|_| text.clone(), |parsed| pretty(&parsed))
}

fn pretty<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("texts are valid JSON");
    text.push('\n');
    text
}

fn write_files(files: &BTreeMap<String, String>, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (manifest, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| *name == MANIFEST);
    for (name, text) in others.into_iter().chain(manifest) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        replace(&path, text.as_bytes())?;
    }
    remove_old(files, folder, "", ".template.json")?;
    remove_old(files, &folder.join(DASHBOARDS), &format!("{DASHBOARDS}/"), ".json")
}

/// Puts a whole file in its place: it has either its old content or all of the new one, whatever happens meanwhile.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // What could not be written may not exist either; the error that counts is the first.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Removes files of an earlier synthesis.
fn remove_old(files: &BTreeMap<String, String>, folder: &Path, prefix: &str, suffix: &str) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(suffix) && name != MANIFEST && !files.contains_key(&format!("{prefix}{name}")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Name of the file of a stack's template.
pub(super) fn file_name(stack: &str) -> String {
    format!("{stack}.template.json")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::stages::Stage;
    use super::*;

    fn listing(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_holds_every_template_and_the_manifest_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/folder");
        let settings = Settings { env: "test".to_owned(), ..Settings::default() };
        let written = write(&settings, &out).unwrap();
        let manifest: Value = serde_json::from_slice(&fs::read(out.join(MANIFEST)).unwrap()).unwrap();
        let listed = manifest["stacks"].as_array().unwrap();
        assert_eq!(listed.len(), written.len());
        for (entry, stack) in listed.iter().zip(&written) {
            assert_eq!(entry["name"], stack.name);
            assert_eq!(entry["stage"], stack.stage.to_string());
            assert_eq!(entry["capabilities"] == json!(["CAPABILITY_NAMED_IAM"]), stack.template.names_iam_resources());
            let text = fs::read_to_string(out.join(entry["template"].as_str().unwrap())).unwrap();
            assert_eq!(text, stack.template.to_json());
        }
        assert!(fs::read_to_string(out.join(DIAGRAM)).unwrap().starts_with("flowchart"));
    }

    #[test]
    fn files_that_are_no_longer_of_the_environment_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(DASHBOARDS)).unwrap();
        for old in ["gone.template.json", "dashboards/gone.json", "notes.txt", "dashboards/notes.txt"] {
            fs::write(folder.path().join(old), "old").unwrap();
        }
        write(&Settings::default(), folder.path()).unwrap();
        let names = listing(folder.path());
        assert!(
            !names.contains(&"gone.template.json".to_owned()) && names.contains(&"notes.txt".to_owned()),
            "{names:?}"
        );
        assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
        assert!(folder.path().join("dashboards/notes.txt").exists());
        assert!(!folder.path().join("dashboards/gone.json").exists());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_keeps_its_content_and_the_manifest_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        // A folder in the place of the partial file makes writing fail.
        let partial = folder.path().join(format!("file.{}.partial", std::process::id()));
        fs::create_dir(&partial).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        fs::remove_dir(&partial).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");

        // A folder in the place of the diagram, which is a file of its own: the manifest is not written.
        let out = tempfile::tempdir().unwrap();
        fs::create_dir_all(out.path().join(DIAGRAM).join("in-the-way")).unwrap();
        assert!(write(&Settings::default(), out.path()).is_err());
        assert!(!out.path().join(MANIFEST).exists(), "a manifest speaks of files that are all there");
    }

    #[test]
    fn dashboards_are_files_of_their_own_with_names_for_what_is_filled_in() {
        let template = json!({"Resources": {
            "Plain": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {
                "DashboardName": "fleet", "DashboardBody": "{\"widgets\":[]}"}},
            "Filled": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {
                "DashboardBody": {"Fn::Sub": "{\"widgets\":[\"${AWS::Region}\"]}"}}},
        }});
        let planned = super::super::plan::Planned {
            name: "s".to_owned(),
            stage: Stage::Insights,
            body: template.to_string(),
            template,
            capabilities: Vec::new(),
            reads: Vec::new(),
        };
        let plan = Plan { env: "e".to_owned(), region: "r".to_owned(), account: None, stacks: vec![planned] };
        let files = files(&plan);
        let read = |name: &str| serde_json::from_str::<Value>(&files[name]).unwrap();
        assert_eq!(read("dashboards/fleet.json"), json!({"widgets": []}));
        assert_eq!(read("dashboards/s-Filled.json"), json!({"widgets": ["${AWS::Region}"]}));
    }
}
