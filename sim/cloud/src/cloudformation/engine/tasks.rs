//! One task: it begins, the service is called, it ends.

use serde_json::Value;

use super::super::language::{Policy, invalid};
use super::super::resources::{self, Act, identifier};
use super::super::stack::{Deployment, Leaving, ResourceStatus, StackResource, Why};
use super::super::{plan, types};
use super::turn::{Pace, Turn};
use super::{Change, Done, Kind, Phase, Running, Task};
use crate::core::{AwsError, Outcome, Provisioned, Resource};

/// What AWS says when the service was called and the resource has its id.
const INITIATED: &str = "Resource creation Initiated";
/// What AWS says when a changed property needs another resource.
const REPLACED: &str = "Requested update requires the creation of a new physical resource; hence creating one.";

/// The code of what a service does not know, and has not begun.
const NOT_MODELLED: &str = "NotImplemented";

impl Turn<'_, '_> {
    /// Begins a task: tells of it, and says when the service is called.
    pub(super) fn begin(&mut self, task: Task) {
        let (mut resource, change) = match task {
            Task::Apply(id) => match self.what_to_apply(&id) {
                Some(found) => found,
                None => return,
            },
            Task::Restore(old) => {
                let now = self.stack.resources.get(&old.logical_id).cloned();
                let now = now.unwrap_or_else(|| (*old).clone());
                (*old, Change::Restore(Box::new(now)))
            }
            Task::Delete(leaving) => {
                let keeps = self.keeps(&leaving);
                let resource = leaving.resource;
                if resource.provisioned.is_none() || keeps {
                    let nothing = resource.provisioned.is_none();
                    let status = if nothing { ResourceStatus::DeleteComplete } else { ResourceStatus::DeleteSkipped };
                    self.gone(&resource, status);
                    return;
                }
                (resource, Change::Delete)
            }
        };
        match &change {
            Change::Create | Change::Replace(_) => resource.serial = self.stack.next_serial(),
            Change::Update(now) | Change::Restore(now) => resource.serial = now.serial,
            Change::Delete => {}
        }
        let (status, reason) = match change {
            Change::Create => (ResourceStatus::CreateInProgress, None),
            Change::Update(_) | Change::Restore(_) => (ResourceStatus::UpdateInProgress, None),
            Change::Replace(_) => (ResourceStatus::UpdateInProgress, Some(REPLACED)),
            Change::Delete => (ResourceStatus::DeleteInProgress, None),
        };
        match &change {
            Change::Create => {
                self.stack.resources.insert(resource.logical_id.clone(), resource.clone());
                self.tell(&resource, status, reason);
            }
            Change::Replace(now) | Change::Update(now) | Change::Restore(now) => {
                self.tell(&now.clone(), status, reason);
            }
            Change::Delete => self.tell(&resource, status, reason),
        }
        let due = self.cx.now + resources::time_of(&resource.kind).0;
        self.operation().running = Some(Running { resource, change, answer: None, due });
    }

    /// What has to be done so that a resource is what the target says; nothing when it is.
    fn what_to_apply(&mut self, id: &str) -> Option<(StackResource, Change)> {
        let target = self.operation().target.clone()?;
        let now = self.stack.resources.get(id).cloned().filter(|resource| resource.provisioned.is_some());
        let wanted = match self.wanted(&target, id) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.refuse(&target, id, now, &error.message);
                return None;
            }
        };
        let Some(now) = now.filter(|now| now.status != ResourceStatus::DeleteComplete) else {
            return Some((wanted, Change::Create));
        };
        match plan::difference(&now, &wanted) {
            Ok(plan::Difference::None) => {
                let kept = StackResource {
                    serial: now.serial,
                    provisioned: now.provisioned.clone(),
                    status: now.status,
                    changed: now.changed,
                    ..wanted
                };
                self.stack.resources.insert(id.to_owned(), kept);
                None
            }
            Ok(plan::Difference::InPlace) => Some((wanted, Change::Update(Box::new(now)))),
            Ok(plan::Difference::Replace) => Some((wanted, Change::Replace(Box::new(now)))),
            Err(error) => {
                self.refuse(&target, id, Some(now), &error.message);
                None
            }
        }
    }

    /// A resource as the target declares it, with its properties evaluated and checked.
    fn wanted(&mut self, target: &Deployment, id: &str) -> Result<StackResource, AwsError> {
        let declared = target.template.resources.get(id);
        let declared = declared.ok_or_else(|| invalid(format!("{id} is not in the template")))?;
        let evaluated = self.evaluate(target, |scope| scope.evaluate(&declared.properties))?;
        let properties = types::check(&declared.r#type, &evaluated).map_err(invalid)?;
        Ok(plan::resource(target, id, declared, properties, self.cx.now))
    }

    /// A resource that cannot even be asked for.
    fn refuse(&mut self, target: &Deployment, id: &str, now: Option<StackResource>, why: &str) {
        let Some(declared) = target.template.resources.get(id) else { return };
        let (resource, change) = match now {
            Some(now) => (now.clone(), Change::Update(Box::new(now))),
            None => {
                let mut resource = plan::resource(target, id, declared, Value::Null, self.cx.now);
                resource.serial = self.stack.next_serial();
                self.stack.resources.insert(id.to_owned(), resource.clone());
                (resource, Change::Create)
            }
        };
        let status = match change {
            Change::Create => ResourceStatus::CreateInProgress,
            _ => ResourceStatus::UpdateInProgress,
        };
        self.tell(&resource, status, None);
        self.failed(&Running { resource, change, answer: None, due: self.cx.now }, why);
    }

    /// Whether a policy keeps a resource that would be deleted.
    fn keeps(&mut self, leaving: &Leaving) -> bool {
        let Leaving { resource, why } = leaving;
        let operation = self.operation();
        if operation.retain.contains(&resource.logical_id) {
            return true;
        }
        let undone = *why == Why::Undone;
        let policy = if *why == Why::Replaced { resource.update_replace_policy } else { resource.deletion_policy };
        match policy {
            Policy::Delete => false,
            Policy::Retain => !(undone && operation.retain_except_on_create),
            Policy::RetainExceptOnCreate => !undone,
        }
    }

    /// A resource is deleted, or let go.
    fn gone(&mut self, resource: &StackResource, status: ResourceStatus) {
        self.tell(resource, status, None);
        self.stack.superseded.retain(|leaving| leaving.resource.serial != resource.serial);
    }

    /// Calls the service.
    pub(super) fn call(&mut self, mut running: Running) {
        let Running { resource, change, .. } = &running;
        let asked = Resource {
            stack: self.stack.name.clone(),
            logical_id: resource.logical_id.clone(),
            kind: resource.kind.clone(),
            properties: (*resource.properties).clone(),
        };
        let act = match change {
            Change::Create | Change::Replace(_) => Act::Create,
            Change::Update(now) | Change::Restore(now) => {
                Act::Update { physical_id: now.physical_id(), previous: &now.properties }
            }
            Change::Delete => Act::Delete { physical_id: identifier(resource) },
        };
        let operation = match act {
            Act::Create => "CreateResource",
            Act::Update { .. } => "UpdateResource",
            Act::Delete { .. } => "DeleteResource",
        };
        let principal = self.stack.operation.as_ref().map(|operation| operation.principal.clone());
        let principal = principal.unwrap_or_else(|| self.cx.caller.clone());
        let answer = resources::act(self.services, &mut self.cx.acting_as(&principal), &asked, &act);
        self.cx.meter.call("cloudformation", operation, answer.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        match answer {
            Ok(answer) => {
                self.answered(&running, &answer);
                let works = self.cx.now + resources::time_of(&running.resource.kind).1;
                running.due = answer.ready_at.map_or(works, |ready| ready.max(works));
                running.answer = Some(answer);
                self.operation().running = Some(running);
            }
            Err(error) => {
                // A service may have done a part of what it then refused, unless it does not know the change at all.
                if let Change::Update(now) = &running.change
                    && error.code != NOT_MODELLED
                {
                    let before = now.clone();
                    self.operation().journal.push(Done::Updated(before));
                }
                let why = reason(&running.resource, &error, self.pace);
                self.failed(&running, &why);
            }
        }
    }

    /// The service has begun: what it made has an id, and what was there before is remembered.
    fn answered(&mut self, running: &Running, answer: &Provisioned) {
        let mut resource = StackResource { provisioned: Some(answer.clone()), ..running.resource.clone() };
        let id = resource.logical_id.clone();
        let (done, status) = match &running.change {
            Change::Create => (Done::Created(id.clone()), ResourceStatus::CreateInProgress),
            Change::Replace(now) => (Done::Replaced(now.clone()), ResourceStatus::UpdateInProgress),
            Change::Update(now) => {
                resource.status = ResourceStatus::UpdateInProgress;
                self.stack.resources.insert(id, resource);
                self.operation().journal.push(Done::Updated(now.clone()));
                return;
            }
            Change::Restore(_) => {
                resource.status = ResourceStatus::UpdateInProgress;
                self.stack.resources.insert(id, resource);
                return;
            }
            Change::Delete => return,
        };
        self.operation().journal.push(done);
        if let Change::Replace(now) = &running.change {
            self.operation().cleanup.push(Leaving::new((**now).clone(), Why::Replaced));
        }
        self.stack.resources.insert(id, resource.clone());
        self.tell(&resource, status, Some(INITIATED));
    }

    /// The service is done.
    pub(super) fn finish(&mut self, running: Running) {
        let id = running.resource.logical_id.clone();
        let status = match running.change {
            Change::Create => ResourceStatus::CreateComplete,
            Change::Update(_) | Change::Replace(_) | Change::Restore(_) => ResourceStatus::UpdateComplete,
            Change::Delete => {
                self.gone(&running.resource, ResourceStatus::DeleteComplete);
                return;
            }
        };
        if let Some(resource) = self.stack.resources.get(&id).cloned() {
            self.tell(&resource, status, None);
        }
    }

    /// A task failed: tells of it, and decides how the operation goes on.
    pub(super) fn failed(&mut self, running: &Running, why: &str) {
        let resource = match &running.change {
            Change::Update(now) | Change::Replace(now) | Change::Restore(now) => now,
            Change::Create | Change::Delete => &running.resource,
        };
        let status = match running.change {
            Change::Create => ResourceStatus::CreateFailed,
            Change::Update(_) | Change::Replace(_) | Change::Restore(_) => ResourceStatus::UpdateFailed,
            Change::Delete => ResourceStatus::DeleteFailed,
        };
        self.tell(&resource.clone(), status, Some(why));
        let id = running.resource.logical_id.clone();
        let operation = self.operation();
        operation.failed.push(id);
        match operation.phase {
            Phase::Forward => self.roll_back(),
            Phase::Rollback if operation.kind == Kind::Update => self.rollback_failed(running),
            // Deletions go on with what does not need the resource that stays.
            Phase::Rollback | Phase::Delete => self.drop_what_failed_needs(),
            Phase::Cleanup { .. } => {}
        }
    }
}

/// A service's error as a reason: the message, and in the account of a run's beginning nothing that is lost.
fn reason(resource: &StackResource, error: &AwsError, pace: Pace) -> String {
    match pace {
        Pace::Instant => error.message.clone(),
        Pace::Timed => {
            let service = resource.kind.split("::").nth(1).unwrap_or("AWS");
            format!("{} (Service: {service}, Status Code: {}, Error Code: {})", error.message, error.status, error.code)
        }
    }
}
