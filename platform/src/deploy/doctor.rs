//! Whether an account is ready for a plan.

use std::fmt;

use aws_types::SdkConfig;

use super::artifact;
use super::aws::{Aws, Identity};
use super::error::{DeployError, hint_for};
use super::plan::Plan;
use super::quotas;
use super::watch::{Condition, condition};

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is.
    Ok,
    /// A deployment may work.
    Warn,
    /// A deployment cannot work.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        })
    }
}

impl Finding {
    fn new(level: Level, what: &str, detail: impl Into<String>) -> Self {
        Finding { level, what: what.to_owned(), detail: detail.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Finding { hint: Some(hint.into()), ..self }
    }

    /// A failure, with the hint that its message ends with.
    fn failed(what: &str, error: &DeployError) -> Self {
        let message = error.to_string();
        let (detail, hint) = message.split_once("\n  hint: ").unwrap_or((&message, ""));
        let finding = Finding::new(Level::Fail, what, detail);
        if hint.is_empty() { finding } else { finding.hint(hint) }
    }
}

/// Looks at everything that a deployment needs. Changes nothing.
pub async fn doctor(config: &SdkConfig, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let aws = match Aws::new(config) {
        Ok(aws) => aws,
        Err(error) => return vec![Finding::failed("configuration", &error)],
    };
    match aws.identity_for(plan).await {
        Ok(identity) => {
            findings.push(Finding::new(Level::Ok, "credentials", &identity.arn));
            findings.push(Finding::new(Level::Ok, "region", &aws.region));
            findings.push(match &plan.account {
                Some(account) => Finding::new(Level::Ok, "account", format!("{account}, as the settings say")),
                None => Finding::new(Level::Ok, "account", &identity.account)
                    .hint("set `account` in the settings to keep other accounts safe from a wrong profile"),
            });
            findings.push(package(&aws, plan, &identity).await);
            stacks(&aws, plan, &mut findings).await;
        }
        Err(error) => {
            let what = match error {
                DeployError::WrongAccount { .. } => "account",
                DeployError::WrongRegion { .. } => "region",
                _ => "credentials",
            };
            findings.push(Finding::failed(what, &error));
            return findings;
        }
    }
    for need in quotas::needs(plan) {
        findings.push(quota(config, &need).await);
    }
    findings
}

async fn package(aws: &Aws, plan: &Plan, identity: &Identity) -> Finding {
    let what = "package";
    let artifacts = match artifact::artifacts(plan, &identity.account) {
        Ok(artifacts) if artifacts.is_empty() => return Finding::new(Level::Ok, what, "no function needs one"),
        Ok(artifacts) => artifacts,
        Err(error) => return Finding::failed(what, &error),
    };
    let places = artifacts.iter().map(|artifact| format!("s3://{}/{}", artifact.bucket, artifact.key));
    let places = places.collect::<Vec<_>>().join(", ");
    match artifact::check(aws, &artifacts, &identity.account).await {
        Ok(()) => Finding::new(Level::Ok, what, places),
        Err(error) => Finding::failed(what, &error),
    }
}

/// The stacks that a deployment could not go on from.
async fn stacks(aws: &Aws, plan: &Plan, findings: &mut Vec<Finding>) {
    let mut present = 0;
    for planned in &plan.stacks {
        let existing = match aws.stack(&planned.name).await {
            Ok(Some(existing)) => existing,
            Ok(None) => continue,
            Err(error) => {
                findings.push(Finding::failed("stacks", &error.into()));
                return;
            }
        };
        let status = existing.status.as_str();
        let told = |level| Finding::new(level, "stacks", format!("{} is {status}", planned.name));
        match condition(status) {
            Condition::Empty => continue,
            Condition::Usable => {}
            Condition::Busy => findings.push(told(Level::Warn).hint("deploy waits until it is done")),
            Condition::Remains | Condition::Stuck => {
                findings.push(told(Level::Fail).hint(hint_for(status, &planned.name)));
            }
        }
        present += 1;
    }
    findings.push(Finding::new(Level::Ok, "stacks", format!("{present} of {} are there", plan.stacks.len())));
}

async fn quota(config: &SdkConfig, need: &quotas::Need) -> Finding {
    let applied = quotas::applied(config, need).await;
    let (limit, source) = match applied {
        Some(limit) => (limit, "quota"),
        None => (need.default, "default, Service Quotas did not tell"),
    };
    let detail = format!("{} needed, {limit} allowed ({source})", need.count);
    let finding = |level| Finding::new(level, need.what, &detail);
    match need.count {
        count if count > limit => {
            finding(Level::Fail).hint(format!("ask for more: Service Quotas console, service {}", need.service))
        }
        count if count * 10 > limit * 8 => finding(Level::Warn).hint("more than 80 percent of the account's quota"),
        _ => finding(Level::Ok),
    }
}
