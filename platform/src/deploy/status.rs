//! How the stacks of a plan are, and what differs between them and the plan.

use std::time::SystemTime;

use aws_types::SdkConfig;
use serde::Serialize;

use super::aws::Aws;
use super::diff::{self, StackDiff};
use super::error::DeployError;
use super::plan::Plan;
use super::stages::Stage;
use super::watch::{Condition, condition};

/// How a stack is.
#[derive(Clone, Debug)]
pub struct StackStatus {
    /// Stage.
    pub stage: Stage,
    /// Name of the stack.
    pub stack: String,
    /// Status; nothing when there is no such stack.
    pub status: Option<String>,
    /// When it was last created or changed.
    pub changed_at: Option<SystemTime>,
    /// Whether it was deployed with the template of the plan.
    pub template: Match,
}

/// Whether a deployed template is the plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// It is.
    Same,
    /// It differs.
    Differs,
    /// There is none.
    Absent,
}

/// How the stacks of a plan are, in its order.
pub async fn status(config: &SdkConfig, plan: &Plan) -> Result<Vec<StackStatus>, DeployError> {
    let aws = Aws::new(config)?;
    aws.identity_for(plan).await?;
    let mut found = Vec::with_capacity(plan.stacks.len());
    for planned in &plan.stacks {
        let existing = aws.stack(&planned.name).await?;
        let deployed = existing.as_ref().filter(|existing| condition(&existing.status) != Condition::Empty);
        let template = match deployed {
            None => Match::Absent,
            Some(_) if aws.template(&planned.name).await? == planned.template => Match::Same,
            Some(_) => Match::Differs,
        };
        found.push(StackStatus {
            stage: planned.stage,
            stack: planned.name.clone(),
            changed_at: existing.as_ref().and_then(|existing| existing.changed_at),
            status: existing.map(|existing| existing.status),
            template,
        });
    }
    Ok(found)
}

/// What differs between the deployed templates and those of a plan: what a deployment would change.
pub async fn diff_deployed(config: &SdkConfig, plan: &Plan) -> Result<Vec<StackDiff>, DeployError> {
    let aws = Aws::new(config)?;
    aws.identity_for(plan).await?;
    let mut found = Vec::new();
    for planned in &plan.stacks {
        let existing = aws.stack(&planned.name).await?;
        let deployed = match existing.filter(|existing| condition(&existing.status) != Condition::Empty) {
            Some(_) => Some(aws.template(&planned.name).await?),
            None => None,
        };
        found.extend(diff::compare(&planned.name, deployed.as_ref(), Some(&planned.template)));
    }
    Ok(found)
}

/// What differs between two plans, by the names of their stacks.
pub fn diff_plans(before: &Plan, after: &Plan) -> Vec<StackDiff> {
    let template = |plan: &Plan, name: &str| {
        plan.stacks.iter().find(|stack| stack.name == name).map(|stack| stack.template.clone())
    };
    let mut names: Vec<&str> = before.stacks.iter().map(|stack| stack.name.as_str()).collect();
    for stack in &after.stacks {
        if !names.contains(&stack.name.as_str()) {
            names.push(&stack.name);
        }
    }
    names
        .into_iter()
        .filter_map(|name| diff::compare(name, template(before, name).as_ref(), template(after, name).as_ref()))
        .collect()
}
