//! Change sets: a change that was computed and waits for its execution.

use std::sync::Arc;

use super::engine::OnFailure;
use super::plan::ResourceChange;
use super::stack::{Deployment, StackStatus};
use crate::core::Principal;
use world::time::Time;

/// What AWS says of a change set that would change nothing.
pub const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

/// What became of a change set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It may be executed.
    Available,
    /// It was executed: the stack tells how far that is.
    Executed,
}

/// A change set.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// ARN.
    pub id: String,
    /// Name, unique in its stack.
    pub name: String,
    /// What people read.
    pub description: Option<String>,
    /// When it was asked for.
    pub created: Time,
    /// When it is computed.
    pub ready: Time,
    /// What the stack is to be made from.
    pub target: Arc<Deployment>,
    /// What would change, or why it cannot be executed.
    pub changes: Result<Vec<ResourceChange>, String>,
    /// What became of it.
    pub execution: Execution,
    /// What a failed creation does.
    pub on_failure: Option<OnFailure>,
    /// Whether an execution creates the stack.
    pub creates: bool,
    /// On whose behalf the change is made.
    pub principal: Principal,
    /// The role, if one was given.
    pub role: Option<String>,
}

impl ChangeSet {
    /// Its `Status` at an instant.
    pub fn status(&self, now: Time) -> &'static str {
        match &self.changes {
            _ if now < self.ready => "CREATE_IN_PROGRESS",
            Ok(_) => "CREATE_COMPLETE",
            Err(_) => "FAILED",
        }
    }

    /// Its `ExecutionStatus` at an instant, where the stack's status says how far an execution is.
    pub fn execution_status(&self, now: Time, stack: StackStatus) -> &'static str {
        match (self.execution, stack) {
            _ if self.status(now) != "CREATE_COMPLETE" => "UNAVAILABLE",
            (Execution::Available, _) => "AVAILABLE",
            (Execution::Executed, stack) if stack.in_progress() => "EXECUTE_IN_PROGRESS",
            (Execution::Executed, StackStatus::CreateComplete | StackStatus::UpdateComplete) => "EXECUTE_COMPLETE",
            (Execution::Executed, _) => "EXECUTE_FAILED",
        }
    }

    /// Its `StatusReason` at an instant.
    pub fn reason(&self, now: Time) -> Option<&str> {
        self.changes.as_ref().err().map(String::as_str).filter(|_| now >= self.ready)
    }
}
