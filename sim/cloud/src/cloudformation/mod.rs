//! AWS CloudFormation: makes the account what templates say, and undoes what fails.
//!
//! Modelled: creation, update, deletion, rollback of creation and of update, with statuses and events; replacement;
//! `DeletionPolicy` and `UpdateReplacePolicy` (Delete, Retain, RetainExceptOnCreate); parameters, mappings, conditions,
//! outputs, exports and imports; the intrinsic functions Ref, GetAtt, Sub, Join, If, Select, Split, FindInMap, ImportValue,
//! Base64, Equals, Not, And, Or; `{{resolve:ssm:name}}` with and without a version; change sets of creations and updates;
//! capabilities, termination protection, roles, request tokens; properties checked against AWS's table (`types.rs`).
//! Partly: tags of a stack are kept and not handed on to resources; independent resources are worked on one after the
//! other; times are assumptions (`resources.rs`); a template in S3 is read, without its bucket's policy.
//! Refused, by name: YAML, macros, rules, hooks, creation and update policies, nested stacks and custom resources, imports of
//! resources, drift, stack sets, stack policies, rollback triggers, notifications, timeouts.
//!
//! `language/` is the template, `engine/` the operations, `api/` the wire, `plan.rs` the preview of a change, `resources.rs` the
//! table of services.

mod api;
mod change_sets;
mod engine;
mod exports;
mod instant;
mod language;
mod plan;
mod resources;
mod stack;
#[cfg(test)]
mod tests;
mod types;

pub use instant::{Created, create_stack};

use self::engine::{Operation, Pace, Turn};
use self::stack::Stack;
use crate::account::Services;
use crate::core::{AwsError, Cx};
use crate::front::query::{Form, Xml};

/// The stacks of the account.
#[derive(Debug, Default)]
pub struct CloudFormation {
    stacks: Vec<Stack>,
}

impl CloudFormation {
    /// Answers a request.
    pub fn call(&mut self, services: &mut Services, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        api::call(self, services, cx, form)
    }

    /// Goes on with the operation of the stack that `token` names.
    pub fn wake(&mut self, services: &mut Services, cx: &mut Cx<'_>, token: u64) {
        let index = usize::try_from(token).unwrap_or(usize::MAX);
        if index < self.stacks.len() {
            self.turn(index, services, cx, Pace::Timed, |turn| turn.advance());
        }
    }

    /// Begins an operation of a stack.
    fn start(
        &mut self,
        index: usize,
        services: &mut Services,
        cx: &mut Cx<'_>,
        pace: Pace,
        operation: Operation,
    ) -> Result<(), AwsError> {
        self.turn(index, services, cx, pace, |turn| turn.start(operation))
    }

    fn turn<T>(
        &mut self,
        index: usize,
        services: &mut Services,
        cx: &mut Cx<'_>,
        pace: Pace,
        with: impl FnOnce(&mut Turn<'_, '_>) -> T,
    ) -> T {
        let (exports, owners) = self.exports_of_others(index);
        let importers = self.importers(index);
        let stack = &mut self.stacks[index];
        let token = index as u64;
        with(&mut Turn { stack, services, cx, exports: &exports, owners: &owners, importers: &importers, pace, token })
    }

    /// The stack with this name that is there, or with this id.
    fn find(&self, name_or_id: &str) -> Option<usize> {
        let by_id = self.stacks.iter().position(|stack| stack.id == name_or_id);
        by_id.or_else(|| self.stacks.iter().position(|stack| stack.name == name_or_id && stack.exists()))
    }
}
