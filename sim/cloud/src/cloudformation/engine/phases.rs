//! Phases of an operation: how each begins, and what its end leads to.

use std::collections::{BTreeSet, VecDeque};

use super::super::language::{creation_order, invalid};
use super::super::stack::{Deployment, Leaving, Output, ResourceStatus, StackStatus, Why};
use super::turn::Turn;
use super::{Before, Change, Done, Kind, OnFailure, Operation, Phase, Running, Task};
use crate::core::AwsError;

impl Turn<'_, '_> {
    /// Begins an operation and goes on as far as it gets.
    pub fn start(&mut self, operation: Operation) -> Result<(), AwsError> {
        let status = match operation.kind {
            Kind::Create => StackStatus::CreateInProgress,
            Kind::Update => StackStatus::UpdateInProgress,
            Kind::Delete => StackStatus::DeleteInProgress,
        };
        let queue = match &operation.target {
            Some(target) => {
                let order = creation_order(&target.template, &target.conditions)?;
                order.into_iter().map(|(id, _)| Task::Apply(id)).collect()
            }
            None => VecDeque::new(),
        };
        let before = Before {
            deployment: self.stack.current.clone(),
            outputs: self.stack.outputs.clone(),
            imports: self.stack.imports.clone(),
        };
        let name = match operation.kind {
            Kind::Create => "CREATE_STACK",
            Kind::Update => "UPDATE_STACK",
            Kind::Delete => "DELETE_STACK",
        };
        self.stack.operations.insert(0, (name, operation.id.clone()));
        self.stack.tokens.extend(operation.token.clone());
        match operation.kind {
            Kind::Create => self.stack.current.clone_from(&operation.target),
            Kind::Update => self.stack.updated = Some(self.cx.now),
            Kind::Delete => self.stack.deleted = Some(self.cx.now),
        }
        self.stack.operation = Some(Operation { queue, before: Some(before), ..operation });
        self.set_status(status, Some("User Initiated".to_owned()));
        if self.phase() == Phase::Delete && !self.begin_deletion() {
            return Ok(());
        }
        self.advance();
        Ok(())
    }

    /// Queues the deletion of everything, unless another stack reads an export.
    fn begin_deletion(&mut self) -> bool {
        if let Some(stuck) = self.stack.stuck.take() {
            self.stack.superseded.extend(stuck.cleanup);
        }
        if let Some((name, stacks)) = self.importers.iter().next() {
            let why = format!("Export {name} cannot be deleted as it is in use by {}", stacks.join(", "));
            self.end(StackStatus::DeleteFailed, Some(why));
            return false;
        }
        let gone = [ResourceStatus::DeleteComplete, ResourceStatus::DeleteSkipped];
        let resources = self.stack.resources.values().filter(|resource| !gone.contains(&resource.status));
        let mut leaving: Vec<Leaving> = resources.map(|one| Leaving::new(one.clone(), Why::Removed)).collect();
        let listed: BTreeSet<u64> = self.stack.resources.values().map(|resource| resource.serial).collect();
        let superseded = self.stack.superseded.iter().filter(|one| !listed.contains(&one.resource.serial));
        leaving.extend(superseded.cloned());
        self.operation().queue = deletions(leaving);
        true
    }

    /// Goes on with a rollback that had failed. What is skipped counts as rolled back.
    pub fn continue_rollback(&mut self, mut operation: Operation, skip: &BTreeSet<String>) {
        operation.queue.retain(|task| match task {
            Task::Restore(resource) => !skip.contains(&resource.logical_id),
            Task::Apply(_) | Task::Delete(_) => true,
        });
        operation.failed.clear();
        self.stack.operations.insert(0, ("CONTINUE_ROLLBACK", operation.id.clone()));
        self.stack.operation = Some(operation);
        self.set_status(StackStatus::UpdateRollbackInProgress, Some("User Initiated".to_owned()));
        for id in skip {
            if let Some(resource) = self.stack.resources.get(id).cloned() {
                self.tell(&resource, ResourceStatus::UpdateComplete, None);
            }
        }
        self.advance();
    }

    /// An update is given up: what was only to begin ends as a failure, what the service has begun is waited for.
    pub fn cancel(&mut self) {
        let operation = self.operation();
        operation.queue.clear();
        operation.cancelled = true;
        if let Some(running) = operation.running.take_if(|running| running.answer.is_none()) {
            let creates = matches!(running.change, Change::Create);
            let what = if creates { "creation" } else { "update" };
            self.failed(&running, &format!("Resource {what} cancelled"));
        }
        self.advance();
    }

    /// The operation ends with a status of the stack.
    fn end(&mut self, status: StackStatus, reason: Option<String>) {
        self.set_status(status, reason);
        self.stack.operation = None;
    }

    /// Something failed on the way forward: the journal is undone, or everything stays, as the caller asked.
    pub(super) fn roll_back(&mut self) {
        let operation = self.operation();
        operation.queue.clear();
        operation.running = None;
        let replaced = std::mem::take(&mut operation.cleanup);
        let failed = std::mem::take(&mut operation.failed);
        let (kind, on_failure) = (operation.kind, operation.on_failure);
        let what = if kind == Kind::Create { "create" } else { "update" };
        let mut why = match self.stack.reason.as_deref() {
            _ if !failed.is_empty() => format!("The following resource(s) failed to {what}: [{}]. ", failed.join(", ")),
            Some(reason) if reason != "User Initiated" => format!("{reason}. "),
            _ => "User Initiated".to_owned(),
        };
        if on_failure == OnFailure::DoNothing {
            self.stack.superseded.extend(replaced);
            let operation = self.operation();
            let (target, imports) = (operation.target.clone(), operation.imports.clone());
            self.stack.current = target;
            self.stack.imports.extend(imports);
            let create = kind == Kind::Create;
            self.end(if create { StackStatus::CreateFailed } else { StackStatus::UpdateFailed }, Some(why));
            return;
        }
        match (kind, on_failure) {
            (Kind::Create, OnFailure::Delete) => {
                why.push_str("Delete requested by user.");
                self.stack.deleted = Some(self.cx.now);
                self.operation().phase = Phase::Delete;
                self.set_status(StackStatus::DeleteInProgress, Some(why));
                self.queue_created();
            }
            (Kind::Create, _) => {
                why.push_str("Rollback requested by user.");
                self.operation().phase = Phase::Rollback;
                self.set_status(StackStatus::RollbackInProgress, Some(why));
                self.queue_created();
            }
            _ => {
                self.operation().phase = Phase::Rollback;
                self.set_status(StackStatus::UpdateRollbackInProgress, Some(why));
                self.queue_undoing(&failed);
            }
        }
    }

    /// Queues the deletion of everything that a creation had begun.
    fn queue_created(&mut self) {
        let resources = self.stack.resources.values();
        let leaving = resources.map(|resource| Leaving::new(resource.clone(), Why::Undone)).collect();
        self.operation().queue = deletions(leaving);
    }

    /// Queues what brings back the resources of before, and remembers what is to be deleted then.
    fn queue_undoing(&mut self, failed: &[String]) {
        let journal = std::mem::take(&mut self.operation().journal);
        let restored = |id: &str| journal.iter().any(|done| matches!(done, Done::Updated(now) if now.logical_id == id));
        // What the service was never asked for, or refused to create, is there as it was.
        for id in failed.iter().filter(|id| !restored(id)) {
            let resource = self.stack.resources.get(id).filter(|resource| resource.provisioned.is_some()).cloned();
            if let Some(resource) = resource {
                self.tell(&resource, ResourceStatus::UpdateInProgress, None);
                self.tell(&resource, ResourceStatus::UpdateComplete, None);
            }
        }
        let (mut queue, mut cleanup) = (VecDeque::new(), Vec::new());
        for done in journal.into_iter().rev() {
            match done {
                Done::Created(id) => {
                    let created = self.stack.resources.get(&id).cloned();
                    cleanup.extend(created.map(|created| Leaving::new(created, Why::Undone)));
                }
                Done::Updated(before) => queue.push_back(Task::Restore(before)),
                Done::Replaced(before) => {
                    let new = self.stack.resources.insert(before.logical_id.clone(), (*before).clone());
                    cleanup.extend(new.map(|new| Leaving::new(new, Why::Undone)));
                    self.tell(&before, ResourceStatus::UpdateComplete, None);
                }
            }
        }
        let operation = self.operation();
        operation.queue = queue;
        operation.cleanup = cleanup;
    }

    /// A resource could not be made what it was: the stack waits for its owner.
    pub(super) fn rollback_failed(&mut self, running: &Running) {
        let failed = self.operation().failed.join(", ");
        self.operation().queue.push_front(Task::Restore(Box::new(running.resource.clone())));
        let why = format!("The following resource(s) failed to update: [{failed}]. ");
        self.set_status(StackStatus::UpdateRollbackFailed, Some(why));
        self.stack.stuck = self.stack.operation.take();
    }

    /// What a resource that stays needs is not deleted.
    pub(super) fn drop_what_failed_needs(&mut self) {
        let mut stays: BTreeSet<String> = self.operation().failed.iter().cloned().collect();
        loop {
            let needed = stays.iter().filter_map(|id| self.stack.resources.get(id)).flat_map(|r| r.needs.clone());
            let more: BTreeSet<String> = needed.filter(|id| !stays.contains(id)).collect();
            if more.is_empty() {
                break;
            }
            stays.extend(more);
        }
        self.operation().queue.retain(|task| match task {
            Task::Delete(leaving) => !stays.contains(&leaving.resource.logical_id),
            Task::Apply(_) | Task::Restore(_) => true,
        });
    }

    /// Nothing is left to do in a phase.
    pub(super) fn end_of_phase(&mut self) {
        let operation = self.operation();
        let (phase, kind) = (operation.phase, operation.kind);
        let failed = operation.failed.join(", ");
        let not_deleted =
            (!failed.is_empty()).then(|| format!("The following resource(s) failed to delete: [{failed}]. "));
        match phase {
            Phase::Forward if operation.cancelled => self.roll_back(),
            Phase::Forward => self.end_of_forward(kind),
            Phase::Rollback if kind == Kind::Create => {
                let status =
                    if not_deleted.is_some() { StackStatus::RollbackFailed } else { StackStatus::RollbackComplete };
                self.stack.outputs.clear();
                self.end(status, not_deleted);
            }
            Phase::Rollback => {
                let before = self.operation().before.take();
                if let Some(before) = before {
                    self.stack.current = before.deployment;
                    self.stack.outputs = before.outputs;
                    self.stack.imports = before.imports;
                }
                self.clean_up(true, StackStatus::UpdateRollbackCompleteCleanupInProgress);
            }
            Phase::Cleanup { after_rollback } => {
                let gone =
                    [ResourceStatus::DeleteComplete, ResourceStatus::DeleteSkipped, ResourceStatus::DeleteFailed];
                self.stack.resources.retain(|_, r| r.provisioned.is_some() && !gone.contains(&r.status));
                let status =
                    if after_rollback { StackStatus::UpdateRollbackComplete } else { StackStatus::UpdateComplete };
                let why = "Update successful. One or more resources could not be deleted.";
                self.end(status, not_deleted.filter(|_| !after_rollback).map(|_| why.to_owned()));
            }
            Phase::Delete if not_deleted.is_some() => self.end(StackStatus::DeleteFailed, not_deleted),
            Phase::Delete => {
                self.stack.outputs.clear();
                self.stack.imports.clear();
                self.end(StackStatus::DeleteComplete, None);
            }
        }
    }

    fn end_of_forward(&mut self, kind: Kind) {
        let Some(target) = self.operation().target.clone() else { return };
        let outputs = match self.outputs(&target) {
            Ok(outputs) => outputs,
            Err(error) => {
                self.stack.reason = Some(error.message);
                self.roll_back();
                return;
            }
        };
        self.stack.outputs = outputs;
        self.stack.imports = std::mem::take(&mut self.operation().imports);
        self.stack.current = Some(target.clone());
        if kind == Kind::Create {
            self.end(StackStatus::CreateComplete, None);
            return;
        }
        let removed = self.stack.resources.values().filter(|resource| {
            let declared = target.template.resources.get(&resource.logical_id);
            let condition = declared.map(|declared| declared.condition.as_ref());
            condition.is_none_or(|name| name.is_some_and(|name| target.conditions.get(name) != Some(&true)))
        });
        let removed: Vec<Leaving> = removed.map(|resource| Leaving::new(resource.clone(), Why::Removed)).collect();
        self.operation().cleanup.extend(removed);
        self.clean_up(false, StackStatus::UpdateCompleteCleanupInProgress);
    }

    fn clean_up(&mut self, after_rollback: bool, status: StackStatus) {
        let operation = self.operation();
        operation.phase = Phase::Cleanup { after_rollback };
        operation.failed.clear();
        let mut cleanup = std::mem::take(&mut operation.cleanup);
        cleanup.append(&mut self.stack.superseded);
        self.operation().queue = deletions(cleanup);
        self.set_status(status, None);
    }

    /// The outputs of a deployment. An export that other stacks read keeps its value.
    fn outputs(&mut self, target: &Deployment) -> Result<Vec<Output>, AwsError> {
        let mut outputs = Vec::new();
        for (key, declared) in &target.template.outputs {
            if declared.condition.as_ref().is_some_and(|name| target.conditions.get(name) != Some(&true)) {
                continue;
            }
            let value = self.output_text(target, key, &declared.value)?;
            let export = declared.export.as_ref().map(|export| self.output_text(target, key, &export.name));
            let export = export.transpose()?;
            if let Some(name) = export.as_ref()
                && let Some(owner) = self.owners.get(name)
            {
                return Err(invalid(format!("Export with name {name} is already exported by stack {owner}")));
            }
            outputs.push(Output { key: key.clone(), value, description: declared.description.clone(), export });
        }
        for (name, stacks) in self.importers {
            let old = self.stack.outputs.iter().find(|output| output.export.as_ref() == Some(name));
            let new = outputs.iter().find(|output| output.export.as_ref() == Some(name));
            let stacks = stacks.join(", ");
            match (old, new) {
                (Some(_), None) => {
                    return Err(invalid(format!("Export {name} cannot be deleted as it is in use by {stacks}")));
                }
                (Some(old), Some(new)) if old.value != new.value => {
                    return Err(invalid(format!("Export {name} cannot be updated as it is in use by {stacks}")));
                }
                _ => {}
            }
        }
        Ok(outputs)
    }

    fn output_text(&mut self, target: &Deployment, key: &str, value: &serde_json::Value) -> Result<String, AwsError> {
        let evaluated = self.evaluate(target, |scope| scope.evaluate(value));
        match evaluated.map_err(|error| invalid(format!("output {key}: {}", error.message)))? {
            serde_json::Value::String(text) => Ok(text),
            other => Err(invalid(format!(
                "output {key}: Template format error: The Value field of every Outputs member must evaluate to a \
                 String, not {other}"
            ))),
        }
    }
}

/// Deletions in the reverse of the order in which the resources need one another.
fn deletions(leaving: Vec<Leaving>) -> VecDeque<Task> {
    let mut order: Vec<Leaving> = Vec::with_capacity(leaving.len());
    let mut open = leaving;
    while !open.is_empty() {
        let waiting: BTreeSet<String> = open.iter().map(|one| one.resource.logical_id.clone()).collect();
        let needs_waiting = |one: &Leaving| {
            one.resource.needs.iter().any(|need| *need != one.resource.logical_id && waiting.contains(need))
        };
        let (later, mut next): (Vec<_>, Vec<_>) = open.into_iter().partition(needs_waiting);
        if next.is_empty() {
            // Resources of two versions of a template may need one another: then they go as they came.
            order.extend(later);
            break;
        }
        order.append(&mut next);
        open = later;
    }
    order.into_iter().rev().map(|one| Task::Delete(Box::new(one))).collect()
}
