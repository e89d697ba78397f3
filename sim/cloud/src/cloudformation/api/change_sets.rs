//! Change sets: computed, looked at, executed.
//!
//! Unverified: that a change set is ready after two seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::change_sets::{ChangeSet, Execution, NO_CHANGES};
use super::super::engine::{Kind, OnFailure, Operation, set_status};
use super::super::language::{Policy, invalid};
use super::super::plan::{Action, Preview, PropertyChange, Replacement, ResourceChange, Source};
use super::super::stack::{Deployment, StackStatus};
use super::super::types::Change;
use super::stacks::{changes_anything, check_name, check_token, check_updatable, new_stack, start};
use super::wish::{self, Wish};
use super::{Call, deployment, page, render};
use crate::core::AwsError;
use crate::front::query::{Form, Xml};

/// How long AWS takes to compute a change set.
const COMPUTED_AFTER: Duration = Duration::from_secs(2);

/// What a request to create a change set says of the stack.
struct Asked {
    stack: String,
    name: String,
    creates: bool,
}

/// `CreateChangeSet`, of a stack that is there or of one that is yet to be created.
pub(super) fn create_change_set(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let (stack, name) = (form.required("StackName")?, form.required("ChangeSetName")?);
    let creates = match form.text("ChangeSetType").as_deref() {
        None | Some("UPDATE") => false,
        Some("CREATE") => true,
        Some(other) => return Err(AwsError::not_modelled(format!("ChangeSetType {other} of CreateChangeSet"))),
    };
    let asked = Asked { stack, name, creates };
    let found = call.stacks.find(&asked.stack).filter(|index| call.at(*index).exists());
    call.authorize("CreateChangeSet", found, &asked.stack)?;
    check_name(&asked.name)?;
    let wish = Wish::read(call, form, found)?;
    let role = form.text("RoleARN");
    let description = form.text("Description");
    let on_failure = on_stack_failure(form)?;
    form.text("ClientToken");
    form.finish()?;
    check_asked(call, &asked, found)?;
    let role = role.or_else(|| found.and_then(|index| call.at(index).role.clone()));
    let exports = call.stacks.exports_of_others(found.unwrap_or(usize::MAX)).0;
    let (index, principal, target) = match found {
        Some(index) => {
            let id = call.at(index).id.clone();
            let principal = wish::principal(call, role.as_deref(), &id)?;
            (index, principal, deployment(&wish, call.at(index), &exports, call.services, call.cx)?)
        }
        None => {
            let mut stack = new_stack(call, &asked.stack, StackStatus::ReviewInProgress)?;
            let principal = wish::principal(call, role.as_deref(), &stack.id)?;
            let target = deployment(&wish, &stack, &exports, call.services, call.cx)?;
            set_status(&mut stack, call.cx, StackStatus::ReviewInProgress, Some("User Initiated".to_owned()));
            call.stacks.stacks.push(stack);
            (call.stacks.stacks.len() - 1, principal, target)
        }
    };
    let changes = foreseen(call, index, &target, &exports);
    let uuid = call.cx.uuid();
    let id = call.cx.account.arn("cloudformation", &format!("changeSet/{}/{uuid}", asked.name));
    let now = call.cx.now;
    let set = ChangeSet {
        id: id.clone(),
        name: asked.name,
        description,
        created: now,
        ready: now + COMPUTED_AFTER,
        target: Arc::new(target),
        changes,
        execution: Execution::Available,
        on_failure,
        creates,
        principal,
        role,
    };
    let stack = call.at_mut(index);
    stack.change_sets.push(set);
    let mut xml = Xml::new();
    xml.text("Id", id);
    xml.text("StackId", &stack.id);
    Ok(xml)
}

fn on_stack_failure(form: &mut Form) -> Result<Option<OnFailure>, AwsError> {
    Ok(match form.text("OnStackFailure").as_deref() {
        None => None,
        Some("ROLLBACK") => Some(OnFailure::Rollback),
        Some("DELETE") => Some(OnFailure::Delete),
        Some("DO_NOTHING") => Some(OnFailure::DoNothing),
        Some(other) => return Err(invalid(format!("OnStackFailure {other} is none of DO_NOTHING, ROLLBACK, DELETE"))),
    })
}

/// Whether the stack is one that such a change set can be of.
fn check_asked(call: &Call<'_, '_>, asked: &Asked, found: Option<usize>) -> Result<(), AwsError> {
    let Asked { stack: name, name: set, creates } = asked;
    let Some(index) = found else {
        return if *creates { check_name(name) } else { Err(invalid(format!("Stack [{name}] does not exist"))) };
    };
    let stack = call.at(index);
    if !creates {
        check_updatable(stack)?;
    } else if stack.status != StackStatus::ReviewInProgress {
        let why = format!("Stack [{name}] already exists and cannot be created again with the changeSet [{set}].");
        return Err(invalid(why));
    }
    if stack.change_sets.iter().any(|other| other.name == *set) {
        return Err(AwsError::new("AlreadyExistsException", format!("ChangeSet {set} already exists")));
    }
    Ok(())
}

/// What making a stack from `target` would change, or why that cannot be done.
fn foreseen(
    call: &Call<'_, '_>,
    index: usize,
    target: &Deployment,
    exports: &BTreeMap<String, String>,
) -> Result<Vec<ResourceChange>, String> {
    let stack = call.at(index);
    let preview = Preview { stack, target, account: call.cx.account, ssm: &call.services.ssm, exports };
    let changes = preview.changes().map_err(|error| error.message)?;
    if changes.is_empty() && !changes_anything(call, index, target) {
        return Err(NO_CHANGES.to_owned());
    }
    Ok(changes)
}

/// The stack and the position in it of the change set with this ARN, or with this name in this stack.
pub(super) fn find(
    call: &mut Call<'_, '_>,
    operation: &str,
    name: &str,
    stack: Option<&str>,
) -> Result<(usize, usize), AwsError> {
    let absent = || AwsError::new("ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")).status(404);
    let index = match stack {
        Some(stack) => Some(call.stack(operation, stack)?),
        None if name.starts_with("arn:") => {
            let owns = |index: &usize| call.at(*index).change_sets.iter().any(|set| set.id == name);
            let found = (0..call.stacks.stacks.len()).find(owns);
            call.authorize(operation, found, name)?;
            found
        }
        None => return Err(invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")),
    };
    let index = index.ok_or_else(absent)?;
    let at = call.at(index).change_sets.iter().position(|set| set.id == name || set.name == name);
    Ok((index, at.ok_or_else(absent)?))
}

/// `DescribeChangeSet`.
pub(super) fn describe_change_set(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("ChangeSetName")?;
    let stack = form.text("StackName");
    let token = form.text("NextToken");
    if form.boolean("IncludePropertyValues")? == Some(true) {
        return Err(AwsError::not_modelled("IncludePropertyValues of DescribeChangeSet"));
    }
    form.finish()?;
    let (index, at) = find(call, "DescribeChangeSet", &name, stack.as_deref())?;
    let (stack, now) = (call.at(index), call.cx.now);
    let set = &stack.change_sets[at];
    let shown = set.changes.as_ref().map(|changes| changes.iter().collect()).unwrap_or_default();
    let shown = if set.status(now) == "CREATE_COMPLETE" { shown } else { Vec::new() };
    let (changes, next) = page(shown, token)?;
    let mut xml = Xml::new();
    heading(&mut xml, call, index, set);
    xml.list("Parameters", &set.target.parameters, |xml, (name, value)| render::parameter(xml, name, value));
    xml.element("NotificationARNs", |_| {});
    xml.element("RollbackConfiguration", |_| {});
    xml.texts("Capabilities", &set.target.capabilities);
    render::tags(&mut xml, &set.target.tags);
    xml.list("Changes", changes, change);
    xml.optional("NextToken", next);
    xml.value("IncludeNestedStacks", false);
    xml.optional(
        "OnStackFailure",
        set.on_failure.map(|on_failure| match on_failure {
            OnFailure::Rollback => "ROLLBACK",
            OnFailure::Delete => "DELETE",
            OnFailure::DoNothing => "DO_NOTHING",
        }),
    );
    Ok(xml)
}

fn heading(xml: &mut Xml, call: &Call<'_, '_>, index: usize, set: &ChangeSet) {
    let (stack, now) = (call.at(index), call.cx.now);
    xml.text("StackId", &stack.id);
    xml.text("StackName", &stack.name);
    xml.text("ChangeSetId", &set.id);
    xml.text("ChangeSetName", &set.name);
    xml.text("ExecutionStatus", set.execution_status(now, stack.status));
    xml.text("Status", set.status(now));
    xml.optional("StatusReason", set.reason(now));
    xml.time("CreationTime", set.created);
    xml.optional("Description", set.description.as_deref());
}

fn change(xml: &mut Xml, change: &ResourceChange) {
    xml.text("Type", "Resource");
    xml.element("ResourceChange", |xml| {
        let replaces = change.replacement != Replacement::No;
        let policy = change.policy.map(|policy| match (policy, replaces) {
            (Policy::Delete, false) => "Delete",
            (Policy::Delete, true) => "ReplaceAndDelete",
            (_, false) => "Retain",
            (_, true) => "ReplaceAndRetain",
        });
        xml.optional("PolicyAction", policy);
        xml.text(
            "Action",
            match change.action {
                Action::Add => "Add",
                Action::Modify => "Modify",
                Action::Remove => "Remove",
            },
        );
        xml.text("LogicalResourceId", &change.logical_id);
        xml.optional("PhysicalResourceId", change.physical_id.as_deref());
        xml.text("ResourceType", &change.kind);
        if change.action == Action::Modify {
            xml.text(
                "Replacement",
                match change.replacement {
                    Replacement::No => "False",
                    Replacement::Yes => "True",
                    Replacement::Maybe => "Conditional",
                },
            );
        }
        let mut scope: Vec<&str> = Vec::new();
        scope.extend(change.properties.iter().any(|one| one.property != "Tags").then_some("Properties"));
        scope.extend(change.metadata.then_some("Metadata"));
        scope.extend(change.properties.iter().any(|one| one.property == "Tags").then_some("Tags"));
        xml.texts("Scope", scope);
        xml.list("Details", &change.properties, detail);
    });
}

fn detail(xml: &mut Xml, change: &PropertyChange) {
    xml.element("Target", |xml| {
        let tags = change.property == "Tags";
        xml.text("Attribute", if tags { "Tags" } else { "Properties" });
        xml.optional("Name", Some(change.property.as_str()).filter(|_| !tags));
        xml.text("RequiresRecreation", if change.needs == Change::Replace { "Always" } else { "Never" });
    });
    xml.text("Evaluation", if change.known { "Static" } else { "Dynamic" });
    let (source, cause) = match &change.source {
        Source::Direct => ("DirectModification", None),
        Source::Parameter(name) => ("ParameterReference", Some(name)),
        Source::Resource(id) => ("ResourceReference", Some(id)),
        Source::Attribute(attribute) => ("ResourceAttribute", Some(attribute)),
    };
    xml.text("ChangeSource", source);
    xml.optional("CausingEntity", cause);
}

/// `ListChangeSets`.
pub(super) fn list_change_sets(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let token = form.text("NextToken");
    form.finish()?;
    let index = call.stack("ListChangeSets", &name)?;
    let (sets, next) = page(call.at(index).change_sets.iter().collect(), token)?;
    let mut xml = Xml::new();
    xml.list("Summaries", sets, |xml, set| heading(xml, call, index, set));
    xml.optional("NextToken", next);
    Ok(xml)
}

/// `DeleteChangeSet`. One that is not there is deleted already.
pub(super) fn delete_change_set(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("ChangeSetName")?;
    let stack = form.text("StackName");
    form.finish()?;
    match find(call, "DeleteChangeSet", &name, stack.as_deref()) {
        Ok((index, at)) => {
            call.at_mut(index).change_sets.remove(at);
        }
        Err(error) if error.code == "ChangeSetNotFound" => {}
        Err(error) => return Err(error),
    }
    Ok(Xml::new())
}

/// `ExecuteChangeSet`. The other change sets of the stack are deleted.
pub(super) fn execute_change_set(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("ChangeSetName")?;
    let stack = form.text("StackName");
    let disable_rollback = form.boolean("DisableRollback")?.unwrap_or(false);
    let retain_except_on_create = form.boolean("RetainExceptOnCreate")?.unwrap_or(false);
    let token = form.text("ClientRequestToken");
    form.finish()?;
    let (index, at) = find(call, "ExecuteChangeSet", &name, stack.as_deref())?;
    let (stack, now) = (call.at(index), call.cx.now);
    check_token(stack, token.as_ref())?;
    let set = stack.change_sets[at].clone();
    if set.execution_status(now, stack.status) != "AVAILABLE" {
        let (id, status) = (&set.id, set.status(now));
        let message = format!("ChangeSet [{id}] cannot be executed in its current status of [{status}]");
        return Err(AwsError::new("InvalidChangeSetStatus", message));
    }
    if !set.creates {
        check_updatable(stack)?;
    }
    let kind = if set.creates { Kind::Create } else { Kind::Update };
    let mut operation = Operation::new(call.cx.uuid(), kind, set.principal.clone(), Some(set.target.clone()));
    operation.on_failure = match set.on_failure {
        _ if disable_rollback => OnFailure::DoNothing,
        Some(on_failure) => on_failure,
        None => OnFailure::Rollback,
    };
    operation.retain_except_on_create = retain_except_on_create;
    operation.token = token;
    let stack = call.at_mut(index);
    stack.disable_rollback = operation.on_failure == OnFailure::DoNothing;
    stack.role.clone_from(&set.role);
    stack.executed = Some(set.id.clone());
    stack.change_sets = vec![ChangeSet { execution: Execution::Executed, ..set }];
    start(call, index, operation)?;
    Ok(Xml::new())
}
