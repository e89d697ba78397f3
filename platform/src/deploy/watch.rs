//! Waiting for stacks, event by event.

use std::time::Duration;

use super::aws::{Aws, Existing};
use super::error::{CallError, DeployError, StackFailure};
use super::report::{Event, FailedResource, News, Reporter};
use super::stages::Stage;

/// How a deployment waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often a stack is looked at.
    pub every: Duration,
    /// Longest time of one operation on one stack.
    pub most: Duration,
}

/// What a deployment can do with a stack, as its status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It can be changed.
    Usable,
    /// It has change sets that nobody executed, and nothing else: it can be created as if it were absent.
    Empty,
    /// CloudFormation is at work on it.
    Busy,
    /// A creation or deletion that failed left it behind: it can only be deleted.
    Remains,
    /// Only a person can help.
    Stuck,
}

/// What a deployment can do with a stack of this status.
pub(super) fn condition(status: &str) -> Condition {
    match status {
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => Condition::Usable,
        "REVIEW_IN_PROGRESS" => Condition::Empty,
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => Condition::Remains,
        status if status.ends_with("_IN_PROGRESS") => Condition::Busy,
        _ => Condition::Stuck,
    }
}

/// What a look at something answers; nothing when it failed for a reason that passes and may be repeated.
pub(super) fn unless_it_passes<T>(
    looked: Result<T, CallError>,
    may_repeat: bool,
    reporter: &mut dyn Reporter,
) -> Result<Option<T>, CallError> {
    match looked {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if may_repeat && error.kind.passes() => {
            reporter.report(&News::Tolerated(format!("{}; trying again", error.what())));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A stack, and its events after one.
async fn look(aws: &Aws, id: &str, after: Option<&str>) -> Result<Option<(Existing, Vec<(String, Event)>)>, CallError> {
    // The stack before its events: what is described has its event in what is read after it.
    let Some(existing) = aws.stack(id).await? else { return Ok(None) };
    Ok(Some((existing, aws.events(id, after).await?)))
}

/// Waits until an operation has ended that was begun on a stack, and reports each of its events once. `after` is the
/// last event from before. Answers the stack's status, and the resource that failed first.
///
/// The operation has ended when the stack says so *and* the event of its end is there: right after the beginning, a stack
/// may still be described as it was before.
pub(super) async fn until_done(
    aws: &Aws,
    (stack, stage): (&str, Stage),
    id: &str,
    after: Option<String>,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<(Existing, Option<FailedResource>), DeployError> {
    let begun = aws.now();
    let mut seen = after;
    let mut failed = None;
    let mut ended_with = None;
    loop {
        let waited = aws.now().duration_since(begun).unwrap_or_default();
        let looked = look(aws, id, seen.as_deref()).await;
        let Some(looked) = unless_it_passes(looked, waited < patience.most, reporter)? else {
            aws.sleep(patience.every).await;
            continue;
        };
        let Some((existing, events)) = looked else { return Ok((gone(id), failed)) };
        for (event_id, event) in events {
            if is_of_stack(&event, stack) && !event.status.ends_with("_IN_PROGRESS") {
                ended_with = Some(event.status.clone());
            }
            if failed.is_none() {
                failed = failure(&event, stack);
            }
            reporter.report(&News::Event(event));
            seen = Some(event_id);
        }
        let over = !existing.status.ends_with("_IN_PROGRESS") && ended_with.as_ref() == Some(&existing.status);
        if over {
            return Ok((existing, failed));
        }
        if waited >= patience.most {
            let (stack, status) = (stack.to_owned(), existing.status);
            return Err(DeployError::TimedOut { stack, stage, status, after: patience.most });
        }
        aws.sleep(patience.every).await;
    }
}

/// Waits for an operation that somebody else began. Answers how the stack is then, unless it is gone.
pub(super) async fn until_free(
    aws: &Aws,
    (stack, stage): (&str, Stage),
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<Option<Existing>, DeployError> {
    let begun = aws.now();
    let mut told = false;
    loop {
        let waited = aws.now().duration_since(begun).unwrap_or_default();
        let Some(looked) = unless_it_passes(aws.stack(stack).await, waited < patience.most, reporter)? else {
            aws.sleep(patience.every).await;
            continue;
        };
        let existing = match looked {
            Some(existing) if existing.status != "DELETE_COMPLETE" => existing,
            _ => return Ok(None),
        };
        if condition(&existing.status) != Condition::Busy {
            return Ok(Some(existing));
        }
        if !told {
            reporter.report(&News::Waiting { stack: stack.to_owned(), status: existing.status.clone() });
            told = true;
        }
        if waited >= patience.most {
            let (stack, status) = (stack.to_owned(), existing.status);
            return Err(DeployError::TimedOut { stack, stage, status, after: patience.most });
        }
        aws.sleep(patience.every).await;
    }
}

/// Deletes a stack and waits until it is gone.
pub(super) async fn delete(
    aws: &Aws,
    (stack, stage): (&str, Stage),
    existing: &Existing,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<(), DeployError> {
    let id = existing.id.as_str();
    let after = aws.last_event(id).await?;
    // By id: another stack that has the name by now is not meant.
    let begun = aws.cloudformation.delete_stack().stack_name(id).send().await;
    begun.map_err(|error| CallError::of(format!("deleting stack {stack}"), &error))?;
    let (existing, failed) = until_done(aws, (stack, stage), id, after, patience, reporter).await?;
    if existing.status == "DELETE_COMPLETE" {
        return Ok(());
    }
    Err(failure_of((stack, stage), existing, failed))
}

/// The error of a stack whose operation ended badly.
pub(super) fn failure_of(
    (stack, stage): (&str, Stage),
    existing: Existing,
    resource: Option<FailedResource>,
) -> DeployError {
    let Existing { status, reason, .. } = existing;
    DeployError::Stack(Box::new(StackFailure { stack: stack.to_owned(), stage, status, resource, reason }))
}

/// A stack that CloudFormation no longer tells anything about.
fn gone(id: &str) -> Existing {
    Existing { id: id.to_owned(), status: "DELETE_COMPLETE".to_owned(), reason: None, changed_at: None }
}

fn is_of_stack(event: &Event, stack: &str) -> bool {
    event.resource_type == "AWS::CloudFormation::Stack" && event.logical_id == stack
}

/// What an event tells of a failed resource. One that was only cancelled because another had failed is not meant.
fn failure(event: &Event, stack: &str) -> Option<FailedResource> {
    let reason = event.reason.clone().unwrap_or_else(|| "no reason is given".to_owned());
    let cancelled =
        reason.starts_with("Resource creation cancelled") || reason.starts_with("Resource update cancelled");
    let failed = event.status.ends_with("_FAILED") && !cancelled && !is_of_stack(event, stack);
    failed.then(|| FailedResource {
        logical_id: event.logical_id.clone(),
        resource_type: event.resource_type.clone(),
        status: event.status.clone(),
        reason,
    })
}
