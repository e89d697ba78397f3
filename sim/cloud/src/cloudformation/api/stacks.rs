//! Creating, updating and deleting stacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::engine::{Kind, OnFailure, Operation, Pace};
use super::super::language::invalid;
use super::super::plan::Preview;
use super::super::stack::{Deployment, Stack, StackStatus, stack_arn};
use super::wish::{self, Wish};
use super::{Call, deployment};
use crate::core::AwsError;
use crate::front::query::{Form, Xml};

/// `CreateStack`.
pub(super) fn create_stack(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    check_name(&name)?;
    call.authorize("CreateStack", None, &name)?;
    let wish = Wish::read(call, form, None)?;
    let on_failure = on_failure(form)?;
    let role = form.text("RoleARN");
    let protection = form.boolean("EnableTerminationProtection")?.unwrap_or(false);
    let retain_except_on_create = form.boolean("RetainExceptOnCreate")?.unwrap_or(false);
    let token = form.text("ClientRequestToken");
    form.finish()?;
    if call.stacks.find(&name).is_some() {
        return Err(AwsError::new("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let mut stack = new_stack(call, &name, StackStatus::CreateInProgress)?;
    let principal = wish::principal(call, role.as_deref(), &stack.id)?;
    let exports = call.stacks.exports_of_others(usize::MAX).0;
    let target = deployment(&wish, &stack, &exports, call.services, call.cx)?;
    stack.role = role;
    stack.termination_protection = protection;
    stack.disable_rollback = on_failure == OnFailure::DoNothing;
    let id = stack.id.clone();
    call.stacks.stacks.push(stack);
    let index = call.stacks.stacks.len() - 1;
    let mut operation = Operation::new(call.cx.uuid(), Kind::Create, principal, Some(Arc::new(target)));
    operation.on_failure = on_failure;
    operation.retain_except_on_create = retain_except_on_create;
    operation.token = token;
    Ok(answer(&id, Some(start(call, index, operation)?)))
}

/// An empty stack with a new id, unless the account has its most stacks.
pub(super) fn new_stack(call: &mut Call<'_, '_>, name: &str, status: StackStatus) -> Result<Stack, AwsError> {
    let most = call.cx.limits.get("cloudformation", "stacks");
    if call.stacks.stacks.iter().filter(|stack| stack.exists()).count() as u64 >= most {
        let message = format!("Limit for stack has been exceeded: {most}");
        return Err(AwsError::new("LimitExceededException", message));
    }
    let uuid = call.cx.uuid();
    Ok(Stack::new(stack_arn(call.cx.account, name, &uuid), name, status, call.cx.now))
}

/// Begins an operation, and answers its id.
pub(super) fn start(call: &mut Call<'_, '_>, index: usize, operation: Operation) -> Result<String, AwsError> {
    let id = operation.id.clone();
    call.stacks.start(index, call.services, call.cx, Pace::Timed, operation)?;
    Ok(id)
}

fn answer(stack: &str, operation: Option<String>) -> Xml {
    let mut xml = Xml::new();
    xml.text("StackId", stack);
    xml.optional("OperationId", operation);
    xml
}

fn on_failure(form: &mut Form) -> Result<OnFailure, AwsError> {
    let disabled = form.boolean("DisableRollback")?;
    match (form.text("OnFailure").as_deref(), disabled) {
        (Some(_), Some(_)) => Err(invalid("You cannot specify both DisableRollback and OnFailure")),
        (None, Some(true)) | (Some("DO_NOTHING"), None) => Ok(OnFailure::DoNothing),
        (None, _) | (Some("ROLLBACK"), None) => Ok(OnFailure::Rollback),
        (Some("DELETE"), None) => Ok(OnFailure::Delete),
        (Some(other), None) => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'onFailure' failed to satisfy constraint: Member must \
             satisfy enum value set: [ROLLBACK, DELETE, DO_NOTHING]"
        ))),
    }
}

/// `[a-zA-Z][-a-zA-Z0-9]*`, at most 128 characters.
pub(super) fn check_name(name: &str) -> Result<(), AwsError> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let constraint = if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    } else if name.len() > 128 {
        "Member must have length less than or equal to 128"
    } else {
        return Ok(());
    };
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: {constraint}"
    )))
}

/// A token names one request of a stack.
pub(super) fn check_token(stack: &Stack, token: Option<&String>) -> Result<(), AwsError> {
    match token.filter(|token| stack.tokens.contains(*token)) {
        None => Ok(()),
        Some(token) => {
            let message = format!("Token already exists: {token}");
            Err(AwsError::new("TokenAlreadyExistsException", message))
        }
    }
}

/// Whether a stack may be updated now.
pub(super) fn check_updatable(stack: &Stack) -> Result<(), AwsError> {
    match stack.status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::UpdateRollbackComplete => Ok(()),
        // What was left as it was may be tried again.
        StackStatus::CreateFailed | StackStatus::UpdateFailed if stack.disable_rollback => Ok(()),
        status => {
            let (id, status) = (&stack.id, status.name());
            Err(invalid(format!("Stack:{id} is in {status} state and can not be updated.")))
        }
    }
}

/// Whether making a stack from `target` changes anything. What cannot be foreseen counts as a change.
pub(super) fn changes_anything(call: &Call<'_, '_>, index: usize, target: &Deployment) -> bool {
    let stack = call.at(index);
    let exports = call.stacks.exports_of_others(index).0;
    let preview = Preview { stack, target, account: call.cx.account, ssm: &call.services.ssm, exports: &exports };
    let same_tags = stack.current.as_ref().is_some_and(|current| current.tags == target.tags);
    !same_tags || preview.outputs_change() || preview.changes().map_or(true, |changes| !changes.is_empty())
}

/// `UpdateStack`.
pub(super) fn update_stack(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let found = call.stacks.find(&name).filter(|index| call.at(*index).exists());
    call.authorize("UpdateStack", found, &name)?;
    let index = found.ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    let wish = Wish::read(call, form, Some(index))?;
    let disable_rollback = form.boolean("DisableRollback")?.unwrap_or(false);
    let retain_except_on_create = form.boolean("RetainExceptOnCreate")?.unwrap_or(false);
    let role = form.text("RoleARN").or_else(|| call.at(index).role.clone());
    let token = form.text("ClientRequestToken");
    form.finish()?;
    check_token(call.at(index), token.as_ref())?;
    check_updatable(call.at(index))?;
    let id = call.at(index).id.clone();
    let principal = wish::principal(call, role.as_deref(), &id)?;
    let exports = call.stacks.exports_of_others(index).0;
    let target = deployment(&wish, call.at(index), &exports, call.services, call.cx)?;
    if !changes_anything(call, index, &target) {
        return Err(invalid("No updates are to be performed."));
    }
    let mut operation = Operation::new(call.cx.uuid(), Kind::Update, principal, Some(Arc::new(target)));
    operation.on_failure = if disable_rollback { OnFailure::DoNothing } else { OnFailure::Rollback };
    operation.retain_except_on_create = retain_except_on_create;
    operation.token = token;
    let stack = call.at_mut(index);
    stack.role = role;
    stack.disable_rollback = disable_rollback;
    stack.change_sets.clear();
    Ok(answer(&id, Some(start(call, index, operation)?)))
}

/// `DeleteStack`. A stack that is not there is deleted already.
pub(super) fn delete_stack(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let retain: BTreeSet<String> = form.texts("RetainResources")?.unwrap_or_default().into_iter().collect();
    let role = form.text("RoleARN");
    let token = form.text("ClientRequestToken");
    if form.text("DeletionMode").is_some_and(|mode| mode != "STANDARD") {
        return Err(AwsError::not_modelled("DeletionMode FORCE_DELETE_STACK of DeleteStack"));
    }
    form.finish()?;
    let found = call.stacks.find(&name);
    call.authorize("DeleteStack", found, &name)?;
    let Some(index) = found.filter(|index| call.at(*index).exists()) else { return Ok(Xml::new()) };
    let stack = call.at(index);
    check_token(stack, token.as_ref())?;
    let (name, status) = (&stack.name, stack.status);
    if stack.termination_protection {
        return Err(invalid(format!("Stack [{name}] cannot be deleted while TerminationProtection is enabled")));
    }
    match status {
        StackStatus::DeleteInProgress => return Ok(Xml::new()),
        StackStatus::CreateInProgress | StackStatus::ReviewInProgress => {}
        status if status.in_progress() => {
            let (id, status) = (&stack.id, status.name());
            return Err(invalid(format!("Stack [{id}] cannot be deleted while in status {status}")));
        }
        _ => {}
    }
    if !retain.is_empty() && status != StackStatus::DeleteFailed {
        return Err(invalid(
            "Invalid operation on stack. Resources to retain can only be specified when the stack is in the \
             DELETE_FAILED state.",
        ));
    }
    let (role, id) = (role.or_else(|| stack.role.clone()), stack.id.clone());
    let principal = wish::principal(call, role.as_deref(), &id)?;
    let mut operation = Operation::new(call.cx.uuid(), Kind::Delete, principal, None);
    operation.token = token;
    operation.retain = retain;
    call.at_mut(index).change_sets.clear();
    start(call, index, operation)?;
    Ok(Xml::new())
}

/// `UpdateTerminationProtection`.
pub(super) fn update_termination_protection(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let enable = form.boolean("EnableTerminationProtection")?;
    form.finish()?;
    let index = call.stack("UpdateTerminationProtection", &name)?;
    let enable = enable.ok_or_else(|| invalid("EnableTerminationProtection must not be null"))?;
    let stack = call.at_mut(index);
    stack.termination_protection = enable;
    Ok(answer(&stack.id, None))
}

/// `ContinueUpdateRollback`.
pub(super) fn continue_update_rollback(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let skip: BTreeSet<String> = form.texts("ResourcesToSkip")?.unwrap_or_default().into_iter().collect();
    let role = form.text("RoleARN");
    let token = form.text("ClientRequestToken");
    form.finish()?;
    let index = call.stack("ContinueUpdateRollback", &name)?;
    let id = call.at(index).id.clone();
    let principal = role.as_deref().map(|role| wish::principal(call, Some(role), &id)).transpose()?;
    check_token(call.at(index), token.as_ref())?;
    let id = call.cx.uuid();
    let stack = call.at_mut(index);
    let Some(mut operation) = stack.stuck.take() else {
        let (id, status) = (&stack.id, stack.status.name());
        return Err(invalid(format!("Stack:{id} is in {status} state and can not continue update rollback.")));
    };
    operation.id = id;
    operation.token = token;
    if let Some(principal) = principal {
        operation.principal = principal;
    }
    let (services, cx) = (&mut *call.services, &mut *call.cx);
    call.stacks.turn(index, services, cx, Pace::Timed, |turn| turn.continue_rollback(operation, &skip));
    Ok(Xml::new())
}

/// `CancelUpdateStack`.
pub(super) fn cancel_update_stack(call: &mut Call<'_, '_>, form: &mut Form) -> Result<Xml, AwsError> {
    let name = form.required("StackName")?;
    let token = form.text("ClientRequestToken");
    form.finish()?;
    let index = call.stack("CancelUpdateStack", &name)?;
    check_token(call.at(index), token.as_ref())?;
    if call.at(index).status != StackStatus::UpdateInProgress {
        return Err(invalid("CancelUpdateStack cannot be called from current stack status"));
    }
    let (services, cx) = (&mut *call.services, &mut *call.cx);
    call.stacks.turn(index, services, cx, Pace::Timed, |turn| turn.cancel());
    Ok(Xml::new())
}
