//! Deployments in mid-traffic: the platform's own deployment, through CloudFormation, while devices publish.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_types::SdkConfig;
use madsim::runtime::NodeHandle;
use platform::Settings;
use platform::deploy::{self, ApproveAll, DeployError, News, Options, Plan, Reporter};

use super::{RunError, TemplateChange};
use crate::scenario::{DeploymentOutcome, Patch, Scenario};
use crate::world::clock;
use crate::world::time::Time;
use crate::world::trace::{Level, Trace};

/// A deployment that has not begun.
struct Pending {
    at: Time,
    plan: Plan,
    expected: DeploymentOutcome,
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its position in the scenario, from 0.
    pub change: usize,
    /// How it should have ended.
    pub expected: DeploymentOutcome,
    /// How it ended; the error of one that neither deployed nor rolled back.
    pub outcome: Result<DeploymentOutcome, String>,
    /// What CloudFormation or the platform said of a failure.
    pub message: Option<String>,
}

impl Ended {
    /// What is to be said about a deployment that ended otherwise than the scenario says.
    pub fn complaint(&self) -> Option<String> {
        let found = match &self.outcome {
            Ok(outcome) if *outcome == self.expected => return None,
            Ok(outcome) => format!("ended {}", outcome.as_str()),
            Err(error) => format!("stopped: {error}"),
        };
        let why = self.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        Some(format!("change[{}] was to end {} and {found}{why}", self.change, self.expected.as_str()))
    }
}

/// The deployments of a run.
pub(super) struct Deployments {
    total: usize,
    ended: Arc<Mutex<Vec<Ended>>>,
}

impl Deployments {
    /// Begins to deploy the changes of a scenario on `node`, each at its time and after the one before.
    pub fn start(
        scenario: &Scenario,
        after_changes: &[Settings],
        change_template: Option<TemplateChange>,
        (config, node): (SdkConfig, &NodeHandle),
        trace: Trace,
    ) -> Result<Self, RunError> {
        let mut pending = Vec::with_capacity(scenario.changes.len());
        for (i, (change, settings)) in scenario.changes.iter().zip(after_changes).enumerate() {
            let mut plan = Plan::of(settings);
            if let Some(patch) = &change.patch {
                apply(scenario, i, patch, &mut plan)?;
            }
            for planned in &mut plan.stacks {
                if let Some(change_template) = &change_template {
                    planned.body = change_template(&planned.name, planned.body.clone());
                    planned.template = serde_json::from_str(&planned.body).map_err(RunError::failed)?;
                }
            }
            pending.push(Pending { at: scenario.start + change.at, plan, expected: change.outcome });
        }
        let ended = Arc::new(Mutex::new(Vec::new()));
        let deployments = Deployments { total: pending.len(), ended: ended.clone() };
        if !pending.is_empty() {
            node.spawn(async move {
                for (change, pending) in pending.into_iter().enumerate() {
                    clock::sleep_until(pending.at).await;
                    let end = carry_out(&config, change, &pending, &trace).await;
                    lock(&ended).push(end);
                }
            });
        }
        Ok(deployments)
    }

    /// Whether no deployment is pending or under way.
    pub fn finished(&self) -> bool {
        lock(&self.ended).len() == self.total
    }

    /// How many are pending or under way.
    pub fn left(&self) -> usize {
        self.total - lock(&self.ended).len()
    }

    /// Those that ended, in the order of the scenario.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.ended).clone()
    }
}

fn lock(ended: &Mutex<Vec<Ended>>) -> MutexGuard<'_, Vec<Ended>> {
    ended.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

async fn carry_out(config: &SdkConfig, change: usize, pending: &Pending, trace: &Trace) -> Ended {
    let event = |kind: &'static str, detail: &str| {
        trace.event(
            Level::Run,
            clock::now(),
            "deployment",
            kind,
            &format!("change[{change}]"),
            &[("detail", detail.into())],
        );
    };
    event("begin", pending.expected.as_str());
    let mut reporter = Told { trace: trace.clone() };
    let done = deploy::deploy(config, &pending.plan, &Options::default(), &mut reporter, &mut ApproveAll).await;
    let (outcome, message) = match done {
        Ok(_) => (Ok(DeploymentOutcome::Deployed), None),
        Err(DeployError::Stack(failure)) if failure.status.ends_with("ROLLBACK_COMPLETE") => {
            (Ok(DeploymentOutcome::RolledBack), Some(failure.to_string()))
        }
        Err(error) => (Err(error.to_string()), None),
    };
    let said = match &outcome {
        Ok(outcome) => outcome.as_str(),
        Err(error) => error,
    };
    event("end", said);
    Ended { change, expected: pending.expected, outcome, message }
}

/// Puts the news of a deployment into the trace.
struct Told {
    trace: Trace,
}

impl Reporter for Told {
    fn report(&mut self, news: &News) {
        let tell = |kind: &'static str, subject: &str, detail: &str| {
            self.trace.event(Level::Run, clock::now(), "deployment", kind, subject, &[("detail", detail.into())]);
        };
        match news {
            News::StageBegins(stage) => tell("stage", &stage.to_string(), "begins"),
            News::StageEnds(stage) => tell("stage", &stage.to_string(), "ends"),
            News::Proposed(set) => tell("change-set", &set.stack, &format!("{} changes", set.changes.len())),
            News::Event(seen) => tell("event", &format!("{}/{}", seen.stack, seen.logical_id), &seen.status),
            News::StackDone { stack, status } => tell("stack", stack, status),
            News::Waiting { stack, status } | News::Recreating { stack, status } => tell("waiting", stack, status),
            News::RegistryEventsEnabled => tell("registry-events", "account", "enabled"),
            News::Unchanged(_) | News::Later { .. } | News::NotChecked(_) | News::Tolerated(_) => {}
        }
    }
}

/// Puts the patch of the change at `position` into the plan.
fn apply(scenario: &Scenario, position: usize, patch: &Patch, plan: &mut Plan) -> Result<(), RunError> {
    let key = |name: &str| format!("change[{position}].patch.{name}");
    let suffix = format!("-{}", patch.stack);
    let names: Vec<String> = plan.stacks.iter().map(|planned| planned.name.clone()).collect();
    let prefix = format!("iot-platform-{}", plan.env);
    let wanted = format!("{prefix}{suffix}");
    let Some(planned) = plan.stacks.iter_mut().find(|planned| planned.name == wanted) else {
        let known: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&prefix)?.strip_prefix('-')).collect();
        let problem = format!("is {:?}, and there is no such stack", patch.stack);
        let expected = format!("one of {}", known.join(", "));
        return Err(scenario
            .located_error(&key("stack"), problem, expected, "the stack's name inside the environment")
            .into());
    };
    let (around, last) = patch.path.rsplit_once('/').unwrap_or(("", &patch.path));
    let target = planned.template.pointer_mut(around);
    let Some(target) = target.filter(|target| target.is_object() || target.is_array()) else {
        let problem = format!("is {:?}, and the template has nothing at {around:?}", patch.path);
        let hint = "write the template with `cargo platform synth --out DIR` and look";
        return Err(scenario.located_error(&key("path"), problem, "a path into the stack's template", hint).into());
    };
    match target {
        serde_json::Value::Object(members) => {
            drop(members.insert(last.replace("~1", "/").replace("~0", "~"), patch.value.clone()))
        }
        serde_json::Value::Array(items) => match last.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
            Some(item) => *item = patch.value.clone(),
            None => {
                let problem = format!("is {:?}, and the list at {around:?} has {} items", patch.path, items.len());
                return Err(scenario
                    .located_error(&key("path"), problem, "the position of an item", "it counts from 0")
                    .into());
            }
        },
        _ => unreachable!("only tables and lists were let through"),
    }
    planned.body = planned.template.to_string();
    Ok(())
}
