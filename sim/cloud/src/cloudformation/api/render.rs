//! Stacks, resources, events and parameters as answers show them.

use super::super::language::Parameter;
use super::super::stack::{Event, Stack, StackResource};
use crate::front::query::Xml;

/// What a parameter shows in place of a value that is not echoed.
const HIDDEN: &str = "****";

/// A member of `Parameters`.
pub(super) fn parameter(xml: &mut Xml, name: &str, parameter: &Parameter) {
    xml.text("ParameterKey", name);
    xml.text("ParameterValue", if parameter.no_echo { HIDDEN } else { &parameter.given });
    xml.optional("ResolvedValue", parameter.resolved.as_deref().filter(|_| !parameter.no_echo));
}

/// Members of `Tags`.
pub(super) fn tags(xml: &mut Xml, tags: &[(String, String)]) {
    xml.list("Tags", tags, |xml, (key, value)| {
        xml.text("Key", key);
        xml.text("Value", value);
    });
}

fn not_drifted(xml: &mut Xml, member: &str) {
    xml.element("DriftInformation", |xml| xml.text(member, "NOT_CHECKED"));
}

fn operations(xml: &mut Xml, stack: &Stack) {
    xml.list("LastOperations", stack.operations.iter().take(2), |xml, (kind, id)| {
        xml.text("OperationType", kind);
        xml.text("OperationId", id);
    });
}

/// A member of `Stacks`.
pub(super) fn stack(xml: &mut Xml, stack: &Stack) {
    xml.text("StackId", &stack.id);
    xml.text("StackName", &stack.name);
    xml.optional("ChangeSetId", stack.executed.as_deref());
    let current = stack.current.as_deref();
    xml.optional("Description", current.and_then(|current| current.template.description.as_deref()));
    if let Some(current) = current {
        xml.list("Parameters", &current.parameters, |xml, (name, value)| parameter(xml, name, value));
    }
    xml.time("CreationTime", stack.created);
    stack.deleted.iter().for_each(|at| xml.time("DeletionTime", *at));
    stack.updated.iter().for_each(|at| xml.time("LastUpdatedTime", *at));
    xml.element("RollbackConfiguration", |_| {});
    xml.text("StackStatus", stack.status.name());
    xml.optional("StackStatusReason", stack.reason.as_deref());
    xml.value("DisableRollback", stack.disable_rollback);
    xml.element("NotificationARNs", |_| {});
    xml.texts("Capabilities", current.map(|current| current.capabilities.as_slice()).unwrap_or_default());
    xml.list("Outputs", &stack.outputs, |xml, output| {
        xml.text("OutputKey", &output.key);
        xml.text("OutputValue", &output.value);
        xml.optional("Description", output.description.as_deref());
        xml.optional("ExportName", output.export.as_deref());
    });
    xml.optional("RoleARN", stack.role.as_deref());
    tags(xml, current.map(|current| current.tags.as_slice()).unwrap_or_default());
    xml.value("EnableTerminationProtection", stack.termination_protection);
    not_drifted(xml, "StackDriftStatus");
    operations(xml, stack);
}

/// A member of `StackSummaries`.
pub(super) fn summary(xml: &mut Xml, stack: &Stack) {
    xml.text("StackId", &stack.id);
    xml.text("StackName", &stack.name);
    let description = stack.current.as_deref().and_then(|current| current.template.description.as_deref());
    xml.optional("TemplateDescription", description);
    xml.time("CreationTime", stack.created);
    stack.updated.iter().for_each(|at| xml.time("LastUpdatedTime", *at));
    stack.deleted.iter().for_each(|at| xml.time("DeletionTime", *at));
    xml.text("StackStatus", stack.status.name());
    xml.optional("StackStatusReason", stack.reason.as_deref());
    not_drifted(xml, "StackDriftStatus");
    operations(xml, stack);
}

/// Which of AWS's three shapes of a resource is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `StackResource`
    Resource,
    /// `StackResourceSummary`
    Summary,
    /// `StackResourceDetail`
    Detail,
}

/// A resource of a stack.
pub(super) fn resource(xml: &mut Xml, stack: &Stack, resource: &StackResource, shape: Shape) {
    if shape != Shape::Summary {
        xml.text("StackName", &stack.name);
        xml.text("StackId", &stack.id);
    }
    xml.text("LogicalResourceId", &resource.logical_id);
    xml.optional("PhysicalResourceId", Some(resource.physical_id()).filter(|id| !id.is_empty()));
    xml.text("ResourceType", &resource.kind);
    xml.time(if shape == Shape::Resource { "Timestamp" } else { "LastUpdatedTimestamp" }, resource.changed);
    xml.text("ResourceStatus", resource.status.name());
    xml.optional("ResourceStatusReason", resource.reason.as_deref());
    if shape == Shape::Detail {
        xml.optional("Metadata", resource.metadata.as_ref().map(ToString::to_string));
    }
    not_drifted(xml, "StackResourceDriftStatus");
}

/// A member of `StackEvents`.
pub(super) fn event(xml: &mut Xml, stack: &Stack, event: &Event) {
    xml.text("StackId", &stack.id);
    xml.text("EventId", &event.id);
    xml.text("StackName", &stack.name);
    xml.text("OperationId", &event.operation);
    xml.text("LogicalResourceId", &event.logical_id);
    xml.text("PhysicalResourceId", &event.physical_id);
    xml.text("ResourceType", &event.kind);
    xml.time("Timestamp", event.at);
    xml.text("ResourceStatus", event.status);
    xml.optional("ResourceStatusReason", event.reason.as_deref());
    let properties = event.properties.as_ref().map(|properties| properties.to_string());
    xml.optional("ResourceProperties", properties.as_deref());
    xml.optional("ClientRequestToken", event.token.as_deref());
}
