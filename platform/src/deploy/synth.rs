//! The files of an environment: templates, dashboards, a manifest that says in which order stacks are deployed, and a
//! diagram. Files are written beside their place and then put there at once, the manifest last, so that a reader never
//! finds half a file or a manifest whose templates are not there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path};

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
    /// Files of dashboards.
    #[serde(default)]
    pub dashboards: Vec<String>,
}

impl Manifest {
    /// The files that the manifest speaks of, except those outside of its folder, which no synthesis writes.
    fn files(self) -> impl Iterator<Item = String> {
        let inside = |name: &String| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        self.stacks.into_iter().map(|entry| entry.template).chain(self.dashboards).filter(inside)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub name: String,
    pub stage: String,
    /// Name of the template's file.
    pub template: String,
    /// SHA-256 of that file in hexadecimal.
    pub sha256: String,
    /// Capabilities that the deployment must be given.
    pub capabilities: Vec<String>,
    /// Stacks that must be there before this one: for readers; it is told from the templates again.
    #[serde(default)]
    pub reads: Vec<String>,
}

/// Writes the files of an environment into a folder, which is made when it is absent. Templates and dashboards
/// that its old manifest lists and that the environment no longer has are removed. Answers the stacks that were written.
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
        sha256: stack.sha256(),
        capabilities: stack.capabilities.clone(),
        reads: stack.reads.clone(),
    };
    let manifest = Manifest {
        env: plan.env.clone(),
        region: plan.region.clone(),
        account: plan.account.clone(),
        stacks: plan.stacks.iter().map(entry).collect(),
        dashboards: files.keys().filter(|name| name.starts_with(DASHBOARDS)).cloned().collect(),
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
    // A folder without a manifest that can be read is not known to be of an earlier synthesis: nothing in it is removed.
    let old = fs::read(folder.join(MANIFEST)).ok().and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
    let (manifest, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| *name == MANIFEST);
    for (name, text) in others.into_iter().chain(manifest) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        replace(&path, text.as_bytes())?;
    }
    let gone = old.into_iter().flat_map(Manifest::files).filter(|name| !files.contains_key(name));
    for name in gone {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
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
    fn what_the_old_manifest_lists_and_the_environment_has_no_longer_goes_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let listed = |out: &Path| fs::read_to_string(out.join(MANIFEST)).unwrap();
        fs::create_dir_all(out.join(DASHBOARDS)).unwrap();
        let others = ["own.template.json", "dashboards/own.json", "notes.txt", "../outside.template.json"];
        for other in others {
            fs::write(out.join(other), "old").unwrap();
        }
        write(&Settings { env: "old".to_owned(), ..Settings::default() }, &out).unwrap();
        let old: Manifest = serde_json::from_str(&listed(&out)).unwrap();
        assert!(!old.dashboards.is_empty(), "dashboards are listed");
        let old: Vec<String> = old.files().collect();
        assert!(old.iter().all(|name| out.join(name).exists()), "{old:?}");
        // A manifest that somebody has changed removes nothing outside of its folder.
        fs::write(
            out.join(MANIFEST),
            listed(&out).replacen("\"dashboards/", "\"../outside.template.json\", \"dashboards/", 1),
        )
        .unwrap();
        write(&Settings { env: "new".to_owned(), ..Settings::default() }, &out).unwrap();
        assert!(!old.iter().any(|name| out.join(name).exists()), "{:?}", listing(&out));
        assert!(others.iter().all(|other| out.join(other).exists()), "{:?}", listing(&out));
        assert!(!listing(&out).iter().any(|name| name.ends_with(".partial")), "{:?}", listing(&out));
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
