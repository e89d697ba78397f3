//! What a deployment tells, and what it asks.

use std::time::SystemTime;

use super::stages::Stage;

/// Takes the news of a deployment.
pub trait Reporter: Send {
    /// Something happened.
    fn report(&mut self, news: &News);
}

/// Decides whether a deployment may go on.
pub trait Approver: Send {
    /// Whether these change sets may be executed. All of one stage come together, except those of stacks that read what
    /// another stack of the stage is about to change: they can only be made, and are asked for, when it is done.
    fn approve(&mut self, stage: Stage, changes: &[ChangeSet]) -> bool;

    /// Whether something may be done that no change set shows.
    fn approve_step(&mut self, stage: Stage, step: &Step) -> bool;

    /// Whether everything in `destruction` may be deleted.
    fn approve_destruction(&mut self, destruction: &Destruction) -> bool;
}

/// Approves everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApproveAll;

impl Approver for ApproveAll {
    fn approve(&mut self, _: Stage, _: &[ChangeSet]) -> bool {
        true
    }

    fn approve_step(&mut self, _: Stage, _: &Step) -> bool {
        true
    }

    fn approve_destruction(&mut self, _: &Destruction) -> bool {
        true
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&mut self, _: &News) {}
}

/// Something that happened in a deployment.
#[derive(Clone, Debug)]
pub enum News {
    /// A stage begins.
    StageBegins(Stage),
    /// All stacks of a stage are as they should be.
    StageEnds(Stage),
    /// A stack is complete and as its template says.
    Unchanged(String),
    /// A stack is to be changed like this; it will be approved or not.
    Proposed(ChangeSet),
    /// A stack reads what another stack of its stage is about to change: its change set comes after that.
    Later {
        /// Name of the stack.
        stack: String,
        /// The stacks that it waits for.
        after: Vec<String>,
    },
    /// An operation on the stack is under way that this deployment did not begin: it is waited for.
    Waiting {
        /// Name of the stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// The remains of a failed creation are deleted, as was asked for.
    Recreating {
        /// Name of the stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// An event of a stack.
    Event(Event),
    /// An operation on a stack ended well.
    StackDone {
        /// Name of the stack.
        stack: String,
        /// Its status.
        status: String,
    },
    /// AWS IoT Core did not publish events of things, and does from now on: a setting of the account in this Region.
    RegistryEventsEnabled,
    /// Something could not be checked beforehand.
    NotChecked(String),
    /// Something failed that does not end the deployment: a look that is repeated, a change set that stays behind.
    Tolerated(String),
}

/// Something that a deployment does and no change set shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The remains of failed creations are deleted, each a stack and its status; they are created again afterwards.
    DeleteRemains(Vec<(String, String)>),
    /// AWS IoT Core is made to publish events of things: a setting of the account in this Region, for all its users.
    EnableRegistryEvents,
}

/// What a stack would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// Name of the stack.
    pub stack: String,
    /// Its stage.
    pub stage: Stage,
    /// Whether the stack is new.
    pub creates: bool,
    /// Id of the change set.
    pub id: String,
    /// What happens to each resource.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// How many resources are replaced for certain.
    pub fn replacements(&self) -> usize {
        self.changes.iter().filter(|change| change.replacement == Replacement::Yes).count()
    }
}

/// What happens to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, or another word of CloudFormation's.
    pub action: String,
    /// Logical id.
    pub logical_id: String,
    /// Type.
    pub resource_type: String,
    /// Whether it is replaced by a new one.
    pub replacement: Replacement,
}

/// Whether a change replaces a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// It is changed in place, added or removed.
    No,
    /// It depends on values that are known only when the change is made.
    Perhaps,
    /// A new one is made, and the old one deleted or, where its policy says so, left behind.
    Yes,
}

/// An event of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Name of the stack.
    pub stack: String,
    /// When.
    pub at: Option<SystemTime>,
    /// Logical id; the stack's name for the stack itself.
    pub logical_id: String,
    /// Type.
    pub resource_type: String,
    /// Status.
    pub status: String,
    /// Why, where CloudFormation tells it.
    pub reason: Option<String>,
}

/// A resource that could not be made, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedResource {
    /// Logical id.
    pub logical_id: String,
    /// Type.
    pub resource_type: String,
    /// Status.
    pub status: String,
    /// Why.
    pub reason: String,
}

/// What a deployment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Stacks that were created or changed, in order, each with its status.
    pub changed: Vec<(String, String)>,
    /// Stacks that were as they should be.
    pub unchanged: Vec<String>,
}

/// What a destruction would delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destruction {
    /// Environment.
    pub env: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Stacks in the order of their deletion.
    pub stacks: Vec<String>,
    /// Resources that outlive their stack.
    pub retained: Vec<Retained>,
}

/// A resource that outlives its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Name of the stack.
    pub stack: String,
    /// Logical id.
    pub logical_id: String,
    /// Type.
    pub resource_type: String,
    /// What it is called on AWS.
    pub physical_id: String,
}
