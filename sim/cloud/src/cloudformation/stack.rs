//! What a stack is: its resources, outputs, events, change sets and what it is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::change_sets::ChangeSet;
use super::engine::Operation;
use super::language::{Created, Parameter, Policy, Template};
use crate::core::{AccountInfo, Provisioned};
use world::time::Time;

macro_rules! statuses {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(
                #[doc = $text]
                $variant,
            )*
        }

        impl $name {
            /// As AWS writes it.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

statuses! {
    /// Status of a stack.
    StackStatus {
        CreateInProgress = "CREATE_IN_PROGRESS",
        CreateFailed = "CREATE_FAILED",
        CreateComplete = "CREATE_COMPLETE",
        RollbackInProgress = "ROLLBACK_IN_PROGRESS",
        RollbackFailed = "ROLLBACK_FAILED",
        RollbackComplete = "ROLLBACK_COMPLETE",
        DeleteInProgress = "DELETE_IN_PROGRESS",
        DeleteFailed = "DELETE_FAILED",
        DeleteComplete = "DELETE_COMPLETE",
        UpdateInProgress = "UPDATE_IN_PROGRESS",
        UpdateCompleteCleanupInProgress = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        UpdateComplete = "UPDATE_COMPLETE",
        UpdateFailed = "UPDATE_FAILED",
        UpdateRollbackInProgress = "UPDATE_ROLLBACK_IN_PROGRESS",
        UpdateRollbackFailed = "UPDATE_ROLLBACK_FAILED",
        UpdateRollbackCompleteCleanupInProgress = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        UpdateRollbackComplete = "UPDATE_ROLLBACK_COMPLETE",
        ReviewInProgress = "REVIEW_IN_PROGRESS",
    }
}

statuses! {
    /// Status of a resource of a stack.
    ResourceStatus {
        CreateInProgress = "CREATE_IN_PROGRESS",
        CreateFailed = "CREATE_FAILED",
        CreateComplete = "CREATE_COMPLETE",
        DeleteInProgress = "DELETE_IN_PROGRESS",
        DeleteFailed = "DELETE_FAILED",
        DeleteComplete = "DELETE_COMPLETE",
        DeleteSkipped = "DELETE_SKIPPED",
        UpdateInProgress = "UPDATE_IN_PROGRESS",
        UpdateFailed = "UPDATE_FAILED",
        UpdateComplete = "UPDATE_COMPLETE",
    }
}

impl StackStatus {
    /// Whether an operation is going on.
    pub fn in_progress(self) -> bool {
        self.name().ends_with("_IN_PROGRESS")
    }
}

/// What a stack is made from, or is to be.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The template as it was given.
    pub body: String,
    /// The template.
    pub template: Template,
    /// Values of its parameters.
    pub parameters: IndexMap<String, Parameter>,
    /// Which conditions hold.
    pub conditions: BTreeMap<String, bool>,
    /// The stack's tags.
    pub tags: Vec<(String, String)>,
    /// What the caller acknowledged.
    pub capabilities: Vec<String>,
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackResource {
    /// Logical id.
    pub logical_id: String,
    /// Tells it from what it replaced and from what replaces it: both may have its logical id, and even its `Ref`.
    pub serial: u64,
    /// Type.
    pub kind: String,
    /// What references see; absent while, or because, it was not created.
    pub provisioned: Option<Provisioned>,
    /// Its properties, evaluated and checked.
    pub properties: Arc<Value>,
    /// See the template.
    pub deletion_policy: Policy,
    /// See the template.
    pub update_replace_policy: Policy,
    /// See the template.
    pub metadata: Option<Value>,
    /// Logical ids of the resources that it needs.
    pub needs: BTreeSet<String>,
    /// Status.
    pub status: ResourceStatus,
    /// Why it has this status.
    pub reason: Option<String>,
    /// Since when it has this status.
    pub changed: Time,
}

impl StackResource {
    /// The value of `Ref`, empty when the resource was not created.
    pub fn physical_id(&self) -> &str {
        self.provisioned.as_ref().map_or("", |provisioned| &provisioned.physical_id)
    }
}

/// Why a resource goes. It decides which of its policies is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another took its place.
    Replaced,
    /// The stack goes, or no longer declares it.
    Removed,
    /// What created it is undone.
    Undone,
}

/// A resource that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// The resource.
    pub resource: StackResource,
    /// Why it goes.
    pub why: Why,
}

impl Leaving {
    /// `resource` goes for this reason.
    pub fn new(resource: StackResource, why: Why) -> Self {
        Leaving { resource, why }
    }
}

/// An output of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
    /// What people read.
    pub description: Option<String>,
    /// Under which name other stacks may import it.
    pub export: Option<String>,
}

/// Something that happened to a stack or to one of its resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique id.
    pub id: String,
    /// Which operation it belongs to.
    pub operation: String,
    /// Logical id; the stack's name for events of the stack.
    pub logical_id: String,
    /// Physical id; the stack's id for events of the stack.
    pub physical_id: String,
    /// Type.
    pub kind: String,
    /// When it happened.
    pub at: Time,
    /// Status.
    pub status: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// Properties of the resource.
    pub properties: Option<Arc<Value>>,
    /// The token of the request that began it.
    pub token: Option<String>,
}

/// A stack, also one that is deleted.
#[derive(Debug)]
pub struct Stack {
    /// ARN.
    pub id: String,
    /// Name.
    pub name: String,
    /// Status.
    pub status: StackStatus,
    /// Why it has this status.
    pub reason: Option<String>,
    /// When it was created.
    pub created: Time,
    /// When its last update began.
    pub updated: Option<Time>,
    /// When its deletion began.
    pub deleted: Option<Time>,
    /// What it is made from; absent before its first change set is executed.
    pub current: Option<Arc<Deployment>>,
    /// Resources in the order in which they came.
    pub resources: IndexMap<String, StackResource>,
    /// Resources that an operation left before it could delete them: the next cleanup does, or the stack's deletion.
    pub superseded: Vec<Leaving>,
    /// How many resources it has had.
    pub serials: u64,
    /// Outputs.
    pub outputs: Vec<Output>,
    /// Names of the exports that it reads.
    pub imports: BTreeSet<String>,
    /// Oldest first.
    pub events: Vec<Event>,
    /// Change sets that were not executed, and the one that was.
    pub change_sets: Vec<ChangeSet>,
    /// The change set that made it what it is.
    pub executed: Option<String>,
    /// What is being done.
    pub operation: Option<Operation>,
    /// An operation whose rollback failed, and can be continued.
    pub stuck: Option<Operation>,
    /// Role that CloudFormation acts in.
    pub role: Option<String>,
    /// Whether a failure leaves what was done.
    pub disable_rollback: bool,
    /// Whether deletion is refused.
    pub termination_protection: bool,
    /// Tokens of requests so far.
    pub tokens: BTreeSet<String>,
    /// The last operations, newest first: type and id.
    pub operations: Vec<(&'static str, String)>,
}

impl Stack {
    /// A stack without anything in it.
    pub fn new(id: String, name: &str, status: StackStatus, now: Time) -> Self {
        Stack {
            id,
            name: name.to_owned(),
            status,
            reason: None,
            created: now,
            updated: None,
            deleted: None,
            current: None,
            resources: IndexMap::new(),
            superseded: Vec::new(),
            serials: 0,
            outputs: Vec::new(),
            imports: BTreeSet::new(),
            events: Vec::new(),
            change_sets: Vec::new(),
            executed: None,
            operation: None,
            stuck: None,
            role: None,
            disable_rollback: false,
            termination_protection: false,
            tokens: BTreeSet::new(),
            operations: Vec::new(),
        }
    }

    /// Whether it is there: deleted stacks are only remembered.
    pub fn exists(&self) -> bool {
        self.status != StackStatus::DeleteComplete
    }

    /// The serial of a new resource.
    pub fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// What references see, by logical id; a copy.
    pub fn live(&self) -> BTreeMap<String, Provisioned> {
        let live = self.resources.iter().filter(|(_, resource)| resource.status != ResourceStatus::DeleteComplete);
        live.filter_map(|(id, resource)| Some((id.clone(), resource.provisioned.clone()?))).collect()
    }
}

impl Created for Stack {
    fn created(&self, logical_id: &str) -> Option<&Provisioned> {
        let resource = self.resources.get(logical_id)?;
        resource.provisioned.as_ref().filter(|_| resource.status != ResourceStatus::DeleteComplete)
    }
}

/// The ARN of a stack.
pub fn stack_arn(account: &AccountInfo, name: &str, uuid: &str) -> String {
    account.arn("cloudformation", &format!("stack/{name}/{uuid}"))
}
