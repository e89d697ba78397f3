//! Deploying: stage by stage, change set by change set, each approved before it is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_types::SdkConfig;

use super::artifact::{self, Artifact};
use super::aws::{Aws, Existing};
use super::change_set;
use super::error::{DeployError, hint_for};
use super::plan::{Plan, Planned};
use super::registry_events;
use super::report::{Approver, ChangeSet, Deployed, News, Reporter};
use super::stages::Stage;
use super::watch::{self, Patience};

/// How to deploy or destroy.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the remains of failed creations may be deleted and created again.
    pub recreate: bool,
    /// Whether the functions' package must be there before anything is changed.
    pub check_artifact: bool,
    /// How often a stack is looked at.
    pub look_every: Duration,
    /// Longest time of one operation on one stack.
    pub stack_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            recreate: false,
            check_artifact: true,
            look_every: Duration::from_secs(3),
            stack_timeout: Duration::from_secs(60 * 60),
        }
    }
}

impl Options {
    pub(super) fn patience(&self) -> Patience {
        Patience { every: self.look_every, most: self.stack_timeout }
    }
}

/// Deploys a plan: creates what is absent, changes what differs, leaves the rest alone. A deployment that was interrupted
/// or failed goes on where it stopped when it is called again.
///
/// Everything that can be known beforehand is checked before anything is changed: account, Region, the functions' package
/// and the state of every stack.
pub async fn deploy(
    config: &SdkConfig,
    plan: &Plan,
    options: &Options,
    reporter: &mut dyn Reporter,
    approver: &mut dyn Approver,
) -> Result<Deployed, DeployError> {
    let aws = Aws::new(config)?;
    let identity = aws.identity_for(plan).await?;
    let artifacts = artifact::artifacts(plan, &identity.account)?;
    for planned in &plan.stacks {
        change_set::check_size(planned, artifacts.first())?;
    }
    if options.check_artifact {
        artifact::check(&aws, &artifacts).await?;
    }
    let mut deployment = Deployment {
        aws,
        options: *options,
        template_bucket: artifacts.into_iter().next(),
        existing: BTreeMap::new(),
        deployed: Deployed::default(),
        reporter,
        approver,
    };
    for planned in &plan.stacks {
        deployment.look_at(planned).await?;
    }
    for (stage, stacks) in plan.stages() {
        deployment.stage(stage, &stacks).await?;
        if stage == Stage::Ingest && registry_events::needed(plan) && registry_events::enable(&deployment.aws).await? {
            deployment.reporter.report(&News::RegistryEventsEnabled);
        }
    }
    Ok(deployment.deployed)
}

struct Deployment<'d> {
    aws: Aws,
    options: Options,
    /// Where large templates go.
    template_bucket: Option<Artifact>,
    /// The stacks that exist, by name.
    existing: BTreeMap<String, Existing>,
    deployed: Deployed,
    reporter: &'d mut dyn Reporter,
    approver: &'d mut dyn Approver,
}

impl Deployment<'_> {
    /// Finds out how a stack is, and refuses what a deployment cannot go on from.
    async fn look_at(&mut self, planned: &Planned) -> Result<(), DeployError> {
        let place = (planned.name.as_str(), planned.stage);
        let patience = self.options.patience();
        let Some(existing) = watch::until_free(&self.aws, place, patience, self.reporter).await? else { return Ok(()) };
        let usable = match existing.status.as_str() {
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => true,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "REVIEW_IN_PROGRESS" | "DELETE_FAILED" => {
                self.options.recreate
            }
            _ => false,
        };
        if !usable {
            return Err(blocked(planned, &existing));
        }
        self.existing.insert(planned.name.clone(), existing);
        Ok(())
    }

    /// Brings all stacks of a stage to what they should be. Stacks that read what another is about to change wait for it.
    async fn stage(&mut self, stage: Stage, stacks: &[&Planned]) -> Result<(), DeployError> {
        self.reporter.report(&News::StageBegins(stage));
        for planned in stacks {
            self.remove_remains(planned).await?;
        }
        let mut left: Vec<&Planned> = stacks.to_vec();
        while !left.is_empty() {
            let (proposed, later) = self.propose(&left).await?;
            if !proposed.is_empty() && !self.approver.approve(stage, &proposed) {
                for change_set in &proposed {
                    change_set::discard(&self.aws, &change_set.stack, &change_set.id, change_set.creates).await?;
                }
                return Err(DeployError::NotApproved { stage });
            }
            for (position, change_set) in proposed.iter().enumerate() {
                if let Err(error) = self.execute(change_set).await {
                    // What was approved with it is not executed: the next run proposes it again.
                    for other in &proposed[position + 1..] {
                        change_set::discard(&self.aws, &other.stack, &other.id, other.creates).await?;
                    }
                    return Err(error);
                }
            }
            left = later;
        }
        self.reporter.report(&News::StageEnds(stage));
        Ok(())
    }

    /// Deletes what a failed creation left behind; [`Self::look_at`] has made sure that this was asked for.
    async fn remove_remains(&mut self, planned: &Planned) -> Result<(), DeployError> {
        let Some(existing) = self.existing.get(&planned.name) else { return Ok(()) };
        if existing.status.ends_with("COMPLETE") && existing.status != "ROLLBACK_COMPLETE" {
            return Ok(());
        }
        let (stack, status) = (planned.name.clone(), existing.status.clone());
        self.reporter.report(&News::Recreating { stack, status });
        let (place, patience) = ((planned.name.as_str(), planned.stage), self.options.patience());
        watch::delete(&self.aws, place, existing, patience, self.reporter).await?;
        self.existing.remove(&planned.name);
        Ok(())
    }

    /// Change sets of all stacks that can have one now, and the stacks that must wait.
    async fn propose<'p>(&mut self, left: &[&'p Planned]) -> Result<(Vec<ChangeSet>, Vec<&'p Planned>), DeployError> {
        let mut proposed: Vec<ChangeSet> = Vec::new();
        let mut later: Vec<&Planned> = Vec::new();
        for planned in left {
            let changing: BTreeSet<&str> =
                proposed.iter().map(|p| p.stack.as_str()).chain(later.iter().map(|p| p.name.as_str())).collect();
            let after: Vec<String> =
                planned.reads.iter().filter(|read| changing.contains(read.as_str())).cloned().collect();
            if !after.is_empty() {
                self.reporter.report(&News::Later { stack: planned.name.clone(), after });
                later.push(planned);
                continue;
            }
            let exists = self.existing.contains_key(&planned.name);
            match change_set::propose(&self.aws, planned, exists, self.template_bucket.as_ref()).await {
                Ok(Some(change_set)) => {
                    self.reporter.report(&News::Proposed(change_set.clone()));
                    proposed.push(change_set);
                }
                Ok(None) => {
                    self.reporter.report(&News::Unchanged(planned.name.clone()));
                    self.deployed.unchanged.push(planned.name.clone());
                }
                Err(error) => {
                    for other in &proposed {
                        change_set::discard(&self.aws, &other.stack, &other.id, other.creates).await?;
                    }
                    return Err(error);
                }
            }
        }
        Ok((proposed, later))
    }

    async fn execute(&mut self, change_set: &ChangeSet) -> Result<(), DeployError> {
        let place = (change_set.stack.as_str(), change_set.stage);
        let after = self.aws.last_event(&change_set.stack).await?;
        change_set::execute(&self.aws, change_set).await?;
        let patience = self.options.patience();
        let id = change_set.stack.as_str();
        let (existing, failed) = watch::until_done(&self.aws, place, id, after, patience, self.reporter).await?;
        if !matches!(existing.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
            return Err(watch::failure_of(place, existing, failed));
        }
        self.reporter.report(&News::StackDone { stack: change_set.stack.clone(), status: existing.status.clone() });
        self.deployed.changed.push((change_set.stack.clone(), existing.status));
        Ok(())
    }
}

fn blocked(planned: &Planned, existing: &Existing) -> DeployError {
    DeployError::Blocked {
        stack: planned.name.clone(),
        stage: planned.stage,
        status: existing.status.clone(),
        hint: hint_for(&existing.status).replace("NAME", &planned.name),
    }
}
