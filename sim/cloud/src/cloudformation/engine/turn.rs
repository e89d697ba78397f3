//! One turn of a stack's operation: as far as it gets at this instant.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::language::Scope;
use super::super::stack::{Deployment, Stack};
use super::{Operation, Phase};
use crate::account::Services;
use crate::core::{Cx, Service};

/// Whether operations take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each task takes its time; the account's timers drive it.
    Timed,
    /// Everything happens at this instant: an account that a run begins with.
    Instant,
}

/// What a turn works with.
pub struct Turn<'a, 'b> {
    /// The stack.
    pub stack: &'a mut Stack,
    /// The services of the account.
    pub services: &'a mut Services,
    /// The context.
    pub cx: &'a mut Cx<'b>,
    /// Values of the account's exports by name, without those of this stack.
    pub exports: &'a BTreeMap<String, String>,
    /// The names of the stacks that export them.
    pub owners: &'a BTreeMap<String, String>,
    /// Which stacks read which export of this one.
    pub importers: &'a BTreeMap<String, Vec<String>>,
    /// Whether it takes time.
    pub pace: Pace,
    /// Names the stack to the timers.
    pub token: u64,
}

impl Turn<'_, '_> {
    /// Goes on until the operation ends or has to wait.
    pub fn advance(&mut self) {
        while let Some(operation) = &mut self.stack.operation {
            if let Some(running) = operation.running.take() {
                if self.pace == Pace::Timed && self.cx.now < running.due {
                    operation.running = Some(running);
                    return;
                }
                match running.answer {
                    None => self.call(running),
                    Some(_) => self.finish(running),
                }
            } else if let Some(task) = operation.queue.pop_front() {
                self.begin(task);
            } else {
                self.end_of_phase();
            }
            let running = self.stack.operation.as_ref().and_then(|operation| operation.running.as_ref());
            if let Some(running) = running.filter(|_| self.pace == Pace::Timed) {
                self.cx.timers.at(running.due, Service::CloudFormation, self.token);
                if self.cx.now < running.due {
                    return;
                }
            }
        }
    }

    /// The operation. There is one during every turn.
    pub(super) fn operation(&mut self) -> &mut Operation {
        self.stack.operation.as_mut().expect("a turn belongs to an operation")
    }

    pub(super) fn phase(&mut self) -> Phase {
        self.operation().phase
    }

    /// Evaluates with what the deployment and the stack's resources give, and notes the exports that were read.
    pub(super) fn evaluate<T>(&mut self, deployment: &Deployment, with: impl FnOnce(&Scope<'_>) -> T) -> T {
        let scope = Scope {
            account: self.cx.account,
            stack_name: &self.stack.name,
            stack_id: &self.stack.id,
            template: &deployment.template,
            parameters: &deployment.parameters,
            conditions: &deployment.conditions,
            created: &*self.stack,
            ssm: &self.services.ssm,
            exports: self.exports,
            imports: RefCell::new(BTreeSet::new()),
        };
        let value = with(&scope);
        let imports = scope.imports.into_inner();
        self.operation().imports.extend(imports);
        value
    }
}
