//! `[[change]]`: what is deployed while devices publish.

use std::time::Duration;

use serde_json::Value;

use super::error::ScenarioError;
use super::reader::Table;

/// One deployment in mid-traffic: of all stacks, as the settings say from then on, with one value of one template changed
/// when there is a patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When the deployment begins, after the start of the run.
    pub at: Duration,
    /// Settings of the platform that hold from here on, over those before.
    pub platform: Option<toml::Table>,
    /// What is changed in the templates of this deployment alone.
    pub patch: Option<Patch>,
    /// How the deployment must end.
    pub outcome: DeploymentOutcome,
}

/// One changed value of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Stack inside the environment, such as `enrichment`.
    pub stack: String,
    /// JSON pointer into the template, such as `/Resources/Function/Properties/Timeout`.
    pub path: String,
    /// The value.
    pub value: Value,
}

/// How a deployment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentOutcome {
    /// Every stack is as its template says.
    Deployed,
    /// A stack failed and is as it was before.
    RolledBack,
}

impl DeploymentOutcome {
    /// All outcomes.
    pub const ALL: [DeploymentOutcome; 2] = [DeploymentOutcome::Deployed, DeploymentOutcome::RolledBack];

    /// The outcome as scenario files write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeploymentOutcome::Deployed => "deployed",
            DeploymentOutcome::RolledBack => "rolled-back",
        }
    }
}

/// Reads one `[[change]]`; `written` is the same table as a value of TOML.
pub(super) fn read(table: &Table<'_>, written: Option<&toml::Value>) -> Result<Change, ScenarioError> {
    let platform = match table.get("platform") {
        None => None,
        Some(entry) => {
            entry.foreign()?;
            written.and_then(|change| change.get("platform")?.as_table()).cloned()
        }
    };
    let outcome = match table.get("outcome") {
        None => DeploymentOutcome::Deployed,
        Some(outcome) => DeploymentOutcome::ALL[outcome.choice()?],
    };
    let patch = table.get("patch").map(|patch| read_patch(&patch.table()?)).transpose()?;
    Ok(Change { at: table.require("at")?.duration()?, platform, patch, outcome })
}

fn read_patch(table: &Table<'_>) -> Result<Patch, ScenarioError> {
    let path = table.require("path")?;
    let pointer = path.text()?;
    if !pointer.starts_with('/') {
        return Err(path.error(format!("is {pointer:?}"), "a JSON pointer begins with /Resources/"));
    }
    Ok(Patch { stack: table.require("stack")?.word()?, path: pointer, value: table.require("value")?.any()? })
}
