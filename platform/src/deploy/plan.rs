//! What is deployed: the stacks of one environment as text, from settings or from a synthesized folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::references;
use super::stages::{Stack, Stage, stacks};
use super::synth::{MANIFEST, Manifest};
use crate::digest::sha256_hex;
use crate::settings::Settings;

/// All stages in the order in which they are deployed.
const STAGES: [Stage; 6] =
    [Stage::Foundation, Stage::Ingest, Stage::Transform, Stage::Store, Stage::Insights, Stage::CrossCutting];

/// The stacks of one environment, ready to be deployed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Environment.
    pub env: String,
    /// Region.
    pub region: String,
    /// Account, when it is fixed.
    pub account: Option<String>,
    /// In the order of deployment.
    pub stacks: Vec<Planned>,
}

/// A stack as it is to be.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Name, unique in an account and Region.
    pub name: String,
    /// Stage.
    pub stage: Stage,
    /// The template's text, as it is handed to CloudFormation.
    pub body: String,
    /// The same, parsed.
    pub template: Value,
    /// Capabilities that the deployment must be given.
    pub capabilities: Vec<String>,
    /// Names of the stacks whose parameters this one reads, in the order of deployment.
    pub reads: Vec<String>,
}

/// A synthesized folder that cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file could not be read.
    #[error("cannot read {}: {source}\n  hint: --templates and --against take a folder that `platform synth --out DIR` has written", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what synthesis writes.
    #[error("{}: {problem}\n  hint: write the folder again with `platform synth --out DIR`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Plan {
    /// All stacks of an environment.
    pub fn of(settings: &Settings) -> Self {
        Self::of_stacks(settings, &stacks(settings))
    }

    /// These stacks of an environment.
    pub fn of_stacks(settings: &Settings, stacks: &[Stack]) -> Self {
        let planned = |stack: &Stack| {
            let body = stack.template.to_json();
            Planned {
                name: stack.name.clone(),
                stage: stack.stage,
                template: serde_json::from_str(&body).expect("a template is valid JSON"),
                body,
                capabilities: capabilities(stack),
                reads: Vec::new(),
            }
        };
        Plan {
            env: settings.env.clone(),
            region: settings.region.clone(),
            account: settings.account.clone(),
            stacks: stacks.iter().map(planned).collect(),
        }
        .connected()
    }

    /// The stacks of a folder that [`super::synth::write`] has written.
    pub fn read(folder: &Path) -> Result<Self, PlanError> {
        let manifest_path = folder.join(MANIFEST);
        let content = |path: &Path, problem: String| PlanError::Content { path: path.to_owned(), problem };
        let manifest: Manifest = serde_json::from_str(&text_of(&manifest_path)?)
            .map_err(|error| content(&manifest_path, error.to_string()))?;
        let mut stacks = Vec::with_capacity(manifest.stacks.len());
        for entry in manifest.stacks {
            let stage = STAGES.into_iter().find(|stage| stage.to_string() == entry.stage);
            let stage = stage.ok_or_else(|| content(&manifest_path, format!("there is no stage {:?}", entry.stage)))?;
            let path = folder.join(&entry.template);
            let body = text_of(&path)?;
            if sha256(&body) != entry.sha256 {
                return Err(content(
                    &path,
                    "this is not the template that was synthesized: its SHA-256 differs".to_owned(),
                ));
            }
            let template = serde_json::from_str(&body).map_err(|error| content(&path, error.to_string()))?;
            let (name, capabilities) = (entry.name, entry.capabilities);
            stacks.push(Planned { name, stage, body, template, capabilities, reads: Vec::new() });
        }
        let Manifest { env, region, account, .. } = manifest;
        Ok(Plan { env, region, account, stacks }.connected())
    }

    /// Fills in which stack reads from which.
    fn connected(mut self) -> Self {
        let mut publisher = BTreeMap::new();
        for (position, stack) in self.stacks.iter().enumerate() {
            publisher
                .extend(references::published(&stack.template).into_iter().map(|path| (path.to_owned(), position)));
        }
        let reads = |(position, stack): (usize, &Planned)| {
            let from = references::read(&stack.template).into_iter().filter_map(|path| publisher.get(&path).copied());
            let mut from: Vec<usize> = from.filter(|other| *other != position).collect();
            from.sort_unstable();
            from.dedup();
            from.into_iter().map(|other| self.stacks[other].name.clone()).collect()
        };
        let all: Vec<Vec<String>> = self.stacks.iter().enumerate().map(reads).collect();
        for (stack, reads) in self.stacks.iter_mut().zip(all) {
            stack.reads = reads;
        }
        self
    }

    /// The stages that have stacks, in order, with these.
    pub fn stages(&self) -> Vec<(Stage, Vec<&Planned>)> {
        let of = |stage: Stage| (stage, self.stacks.iter().filter(|stack| stack.stage == stage).collect::<Vec<_>>());
        STAGES.into_iter().map(of).filter(|(_, stacks)| !stacks.is_empty()).collect()
    }
}

/// SHA-256 of a template's text in hexadecimal.
fn sha256(body: &str) -> String {
    sha256_hex(body)
}

impl Planned {
    /// SHA-256 of the template's text in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256(&self.body)
    }

    /// (logical id, type, properties) of each resource.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let resources = self.template["Resources"].as_object().into_iter().flatten();
        resources
            .map(|(id, resource)| (id.as_str(), resource["Type"].as_str().unwrap_or_default(), &resource["Properties"]))
    }
}

/// Capabilities that the deployment of a stack must be given.
pub(super) fn capabilities(stack: &Stack) -> Vec<String> {
    if stack.template.names_iam_resources() { vec!["CAPABILITY_NAMED_IAM".to_owned()] } else { Vec::new() }
}

fn text_of(path: &Path) -> Result<String, PlanError> {
    fs::read_to_string(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::super::synth;
    use super::*;

    #[test]
    fn a_synthesized_folder_gives_the_plan_of_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { account: Some("123456789012".to_owned()), ..Settings::default() };
        synth::write(&settings, folder.path()).unwrap();
        let (read, made) = (Plan::read(folder.path()).unwrap(), Plan::of(&settings));
        assert_eq!(format!("{read:?}"), format!("{made:?}"));
        assert!(made.stacks.iter().any(|stack| !stack.reads.is_empty()), "stacks refer to one another");
    }

    #[test]
    fn a_folder_that_cannot_be_deployed_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |expected: &str| {
            let message = Plan::read(folder.path()).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("hint: "), "{expected}: {message}");
        };
        refused("manifest.json");
        fs::write(folder.path().join(MANIFEST), "{").unwrap();
        refused("EOF while parsing");
        synth::write(&Settings::default(), folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
        fs::write(folder.path().join(MANIFEST), text.replacen("ingest", "digest", 1)).unwrap();
        refused("there is no stage \"digest\"");
        synth::write(&Settings::default(), folder.path()).unwrap();
        let first = Plan::read(folder.path()).unwrap().stacks[0].clone();
        fs::write(folder.path().join(synth::file_name(&first.name)), first.body.replacen("AWS", "aws", 1)).unwrap();
        refused(&format!("{}: this is not the template that was synthesized", synth::file_name(&first.name)));
    }
}
