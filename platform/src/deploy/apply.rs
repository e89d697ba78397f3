//! Deploying: stage by stage, change set by change set, each approved before it is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_types::SdkConfig;

use super::artifact;
use super::aws::{Aws, Existing};
use super::change_set::{self, TemplateBucket};
use super::error::{DeployError, hint_for};
use super::plan::{Plan, Planned};
use super::registry_events;
use super::report::{Approver, ChangeSet, Deployed, News, Reporter, Step};
use super::stages::Stage;
use super::watch::{self, Condition, Patience};

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
    let template_bucket = artifacts
        .first()
        .map(|artifact| TemplateBucket { name: artifact.bucket.clone(), owner: identity.account.clone() });
    for planned in &plan.stacks {
        change_set::check_size(planned, template_bucket.as_ref())?;
    }
    if options.check_artifact {
        artifact::check(&aws, &artifacts, &identity.account).await?;
    }
    let mut deployment = Deployment {
        aws,
        options: *options,
        template_bucket,
        existing: BTreeMap::new(),
        done: Vec::new(),
        deployed: Deployed::default(),
        reporter,
        approver,
    };
    for planned in &plan.stacks {
        deployment.look_at(planned).await?;
    }
    for (stage, stacks) in plan.stages() {
        deployment.stage(stage, &stacks).await?;
        if stage == Stage::Ingest && registry_events::needed(plan) {
            deployment.registry_events(stage).await?;
        }
    }
    Ok(deployment.deployed)
}

struct Deployment<'d> {
    aws: Aws,
    options: Options,
    /// Where large templates go.
    template_bucket: Option<TemplateBucket>,
    /// The stacks that exist, by name.
    existing: BTreeMap<String, Existing>,
    /// What was done in the stage that is under way.
    done: Vec<String>,
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
        match watch::condition(&existing.status) {
            Condition::Empty => Ok(()),
            Condition::Remains if !self.options.recreate => Err(blocked(planned, &existing)),
            Condition::Usable | Condition::Remains => {
                self.existing.insert(planned.name.clone(), existing);
                Ok(())
            }
            Condition::Busy | Condition::Stuck => Err(blocked(planned, &existing)),
        }
    }

    /// Brings all stacks of a stage to what they should be. Stacks that read what another is about to change wait for it.
    async fn stage(&mut self, stage: Stage, stacks: &[&Planned]) -> Result<(), DeployError> {
        self.reporter.report(&News::StageBegins(stage));
        self.done.clear();
        self.remove_remains(stage, stacks).await?;
        let mut left: Vec<&Planned> = stacks.to_vec();
        while !left.is_empty() {
            let (proposed, later) = self.propose(&left).await?;
            if !proposed.is_empty() && !self.approver.approve(stage, &proposed) {
                self.discard(&proposed).await;
                return Err(self.not_approved(stage));
            }
            for (position, change_set) in proposed.iter().enumerate() {
                // What was approved and is not executed goes: the next run proposes it again.
                let after = match self.begin(change_set).await {
                    Ok(after) => after,
                    Err(error) => {
                        self.discard(&proposed[position..]).await;
                        return Err(error);
                    }
                };
                if let Err(error) = self.finish(change_set, after).await {
                    self.discard(&proposed[position + 1..]).await;
                    return Err(error);
                }
            }
            left = later;
        }
        self.reporter.report(&News::StageEnds(stage));
        Ok(())
    }

    /// Deletes what failed creations left behind; [`Self::look_at`] has made sure that this was asked for in general, and
    /// here each is named.
    async fn remove_remains(&mut self, stage: Stage, stacks: &[&Planned]) -> Result<(), DeployError> {
        let is_left = |existing: &Existing| watch::condition(&existing.status) == Condition::Remains;
        let remains =
            stacks.iter().filter_map(|planned| self.existing.get(&planned.name).map(|e| (*planned, e.clone())));
        let remains: Vec<(&Planned, Existing)> = remains.filter(|(_, existing)| is_left(existing)).collect();
        let named: Vec<_> = remains.iter().map(|(planned, e)| (planned.name.clone(), e.status.clone())).collect();
        if !named.is_empty() && !self.approver.approve_step(stage, &Step::DeleteRemains(named)) {
            return Err(self.not_approved(stage));
        }
        for (planned, existing) in remains {
            let (stack, status) = (planned.name.clone(), existing.status.clone());
            self.reporter.report(&News::Recreating { stack, status });
            let (place, patience) = ((planned.name.as_str(), stage), self.options.patience());
            watch::delete(&self.aws, place, &existing, patience, self.reporter).await?;
            self.existing.remove(&planned.name);
            self.done.push(format!("{}: deleted", planned.name));
        }
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
            let (bucket, patience) = (self.template_bucket.as_ref(), self.options.patience());
            match change_set::propose(&self.aws, planned, exists, bucket, patience, self.reporter).await {
                Ok(Some(change_set)) => {
                    self.reporter.report(&News::Proposed(change_set.clone()));
                    proposed.push(change_set);
                }
                Ok(None) => {
                    self.reporter.report(&News::Unchanged(planned.name.clone()));
                    self.deployed.unchanged.push(planned.name.clone());
                }
                Err(error) => {
                    self.discard(&proposed).await;
                    return Err(error);
                }
            }
        }
        Ok((proposed, later))
    }

    /// Begins to execute a change set. Answers the last event of its stack from before.
    async fn begin(&mut self, change_set: &ChangeSet) -> Result<Option<String>, DeployError> {
        let after = self.aws.last_event(&change_set.stack).await?;
        change_set::execute(&self.aws, change_set).await?;
        Ok(after)
    }

    /// Waits until a change set is executed.
    async fn finish(&mut self, change_set: &ChangeSet, after: Option<String>) -> Result<(), DeployError> {
        let place = (change_set.stack.as_str(), change_set.stage);
        let patience = self.options.patience();
        let id = change_set.stack.as_str();
        let (existing, failed) = watch::until_done(&self.aws, place, id, after, patience, self.reporter).await?;
        if !matches!(existing.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
            return Err(watch::failure_of(place, existing, failed));
        }
        self.reporter.report(&News::StackDone { stack: change_set.stack.clone(), status: existing.status.clone() });
        self.done.push(format!("{}: {}", change_set.stack, existing.status));
        self.deployed.changed.push((change_set.stack.clone(), existing.status));
        Ok(())
    }

    async fn discard(&mut self, change_sets: &[ChangeSet]) {
        for ChangeSet { stack, id, creates, .. } in change_sets {
            change_set::discard(&self.aws, stack, id, *creates, self.reporter).await;
        }
    }

    fn not_approved(&mut self, stage: Stage) -> DeployError {
        DeployError::NotApproved { stage, done: std::mem::take(&mut self.done) }
    }

    /// Switches the registry events of things on, unless they are.
    async fn registry_events(&mut self, stage: Stage) -> Result<(), DeployError> {
        if registry_events::are_on(&self.aws).await? {
            return Ok(());
        }
        if !self.approver.approve_step(stage, &Step::EnableRegistryEvents) {
            return Err(self.not_approved(stage));
        }
        registry_events::enable(&self.aws).await?;
        self.reporter.report(&News::RegistryEventsEnabled);
        Ok(())
    }
}

fn blocked(planned: &Planned, existing: &Existing) -> DeployError {
    DeployError::Blocked {
        stack: planned.name.clone(),
        stage: planned.stage,
        status: existing.status.clone(),
        hint: hint_for(&existing.status, &planned.name),
    }
}
