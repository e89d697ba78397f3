//! Statuses and the events that tell of them.

use super::super::stack::{Event, ResourceStatus, Stack, StackResource, StackStatus};
use super::turn::Turn;
use crate::core::Cx;
use crate::front::query::iso_8601;
use world::time::Time;
use world::trace::Level;

impl Turn<'_, '_> {
    /// Gives the stack a status.
    pub(in super::super) fn set_status(&mut self, status: StackStatus, reason: Option<String>) {
        set_status(self.stack, self.cx, status, reason);
    }

    /// Tells of a status of a resource, and keeps it when the resource is the one that the stack now has under its id.
    pub(super) fn tell(&mut self, resource: &StackResource, status: ResourceStatus, reason: Option<&str>) {
        let at = self.cx.now;
        self.push(resource, status, reason, at);
        let known = self.stack.resources.get_mut(&resource.logical_id);
        if let Some(known) = known.filter(|known| known.serial == resource.serial) {
            known.status = status;
            known.reason = reason.map(str::to_owned);
            known.changed = at;
        }
        let fields = [
            ("type", resource.kind.as_str().into()),
            ("stack", self.stack.name.as_str().into()),
            ("logical_id", resource.logical_id.as_str().into()),
        ];
        self.cx.trace.event(Level::Run, at, "cloudformation", status.name(), resource.physical_id(), &fields);
    }

    fn push(&mut self, resource: &StackResource, status: ResourceStatus, reason: Option<&str>, at: Time) {
        let status = status.name();
        let operation = self.stack.operation.as_ref();
        let event = Event {
            id: unique_id(self.stack, &resource.logical_id, status, at),
            operation: operation.map(|operation| operation.id.clone()).unwrap_or_default(),
            logical_id: resource.logical_id.clone(),
            physical_id: resource.physical_id().to_owned(),
            kind: resource.kind.clone(),
            at,
            status,
            reason: reason.map(str::to_owned),
            properties: Some(resource.properties.clone()),
            token: operation.and_then(|operation| operation.token.clone()),
        };
        self.stack.events.push(event);
    }
}

/// `{LogicalId}-{STATUS}-{timestamp}`. Two events of one instant are told apart by a thousandth of a second.
fn unique_id(stack: &Stack, logical_id: &str, status: &str, at: Time) -> String {
    let mut millis = at.unix_millis();
    loop {
        let id = format!("{logical_id}-{status}-{}", iso_8601(Time::from_unix_millis(millis)));
        if !stack.events.iter().rev().any(|event| event.id == id) {
            return id;
        }
        millis += 1;
    }
}

/// Gives a stack a status, and tells of it.
pub fn set_status(stack: &mut Stack, cx: &mut Cx<'_>, status: StackStatus, reason: Option<String>) {
    stack.status = status;
    stack.reason.clone_from(&reason);
    let event = Event {
        id: cx.uuid(),
        operation: stack.operation.as_ref().map(|operation| operation.id.clone()).unwrap_or_default(),
        logical_id: stack.name.clone(),
        physical_id: stack.id.clone(),
        kind: "AWS::CloudFormation::Stack".to_owned(),
        at: cx.now,
        status: status.name(),
        reason,
        properties: None,
        token: stack.operation.as_ref().and_then(|operation| operation.token.clone()),
    };
    stack.events.push(event);
    let fields = [("stack", stack.name.as_str().into())];
    cx.trace.event(Level::Run, cx.now, "cloudformation", status.name(), &stack.id, &fields);
}
