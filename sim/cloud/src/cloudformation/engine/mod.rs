//! The engine: an operation on a stack is a queue of tasks, one after the other, each with its events and its time.
//!
//! An operation moves through phases. Creation and update: [`Phase::Forward`], then [`Phase::Cleanup`] of what was replaced
//! or removed. After a failure [`Phase::Rollback`] undoes the journal in reverse order; of an update, [`Phase::Cleanup`]
//! then deletes what it had created. Deletion: [`Phase::Delete`]. AWS works on independent resources at the same time;
//! here they go one after the other, in an order that depends on the template alone.

mod events;
mod phases;
mod tasks;
mod turn;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::stack::{Deployment, Leaving, Output, StackResource};
use crate::core::{Principal, Provisioned};
use world::time::Time;

pub use events::set_status;
pub use turn::{Pace, Turn};

/// What is done with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stack comes into being.
    Create,
    /// It becomes another.
    Update,
    /// It goes.
    Delete,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Resources are created and changed.
    Forward,
    /// What was done is undone.
    Rollback,
    /// What is no longer needed is deleted. The flag says whether a rollback came before.
    Cleanup {
        /// Whether the update was undone.
        after_rollback: bool,
    },
    /// Every resource is deleted.
    Delete,
}

/// What becomes of a creation that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// What was created is deleted, and the stack stays.
    #[default]
    Rollback,
    /// The stack is deleted.
    Delete,
    /// Everything stays as it is.
    DoNothing,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Make a resource what the target says.
    Apply(String),
    /// Make a resource again what it was.
    Restore(Box<StackResource>),
    /// Delete a resource, unless a policy keeps it.
    Delete(Box<Leaving>),
}

/// What has to be done for a task.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create,
    /// With what the resource is now.
    Update(Box<StackResource>),
    /// With what the resource is now.
    Replace(Box<StackResource>),
    Restore(Box<StackResource>),
    Delete,
}

/// The task that is being done.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// What the resource is to be, or what is to be deleted.
    pub resource: StackResource,
    pub change: Change,
    /// The service's answer, once it was called.
    pub answer: Option<Provisioned>,
    pub due: Time,
}

/// What was done, for the case that it has to be undone.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Created(String),
    Updated(Box<StackResource>),
    Replaced(Box<StackResource>),
}

/// What a stack was before an update.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub deployment: Option<Arc<Deployment>>,
    pub outputs: Vec<Output>,
    pub imports: BTreeSet<String>,
}

/// An operation on a stack.
#[derive(Debug)]
pub struct Operation {
    /// Unique id.
    pub id: String,
    /// The token of the request.
    pub token: Option<String>,
    /// What is done.
    pub kind: Kind,
    pub(super) phase: Phase,
    /// On whose behalf.
    pub principal: Principal,
    pub(super) target: Option<Arc<Deployment>>,
    pub(super) queue: VecDeque<Task>,
    pub(super) running: Option<Running>,
    pub(super) journal: Vec<Done>,
    /// Replaced or removed resources, to be deleted at the end.
    pub(super) cleanup: Vec<Leaving>,
    /// Resources that failed in this phase.
    pub(super) failed: Vec<String>,
    pub(super) before: Option<Before>,
    /// Whether the update is given up as soon as the service has done what it has begun.
    pub(super) cancelled: bool,
    /// Names of the exports that were read so far.
    pub imports: BTreeSet<String>,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// Whether resources with the policy Retain go when the operation that created them is undone.
    pub retain_except_on_create: bool,
    /// Resources that a deletion leaves.
    pub retain: BTreeSet<String>,
}

impl Operation {
    /// An operation on behalf of `principal`, with nothing to do yet.
    pub fn new(id: String, kind: Kind, principal: Principal, target: Option<Arc<Deployment>>) -> Self {
        Operation {
            id,
            token: None,
            kind,
            phase: if kind == Kind::Delete { Phase::Delete } else { Phase::Forward },
            principal,
            target,
            queue: VecDeque::new(),
            running: None,
            journal: Vec::new(),
            cleanup: Vec::new(),
            failed: Vec::new(),
            before: None,
            cancelled: false,
            imports: BTreeSet::new(),
            on_failure: OnFailure::default(),
            retain_except_on_create: false,
            retain: BTreeSet::new(),
        }
    }
}
