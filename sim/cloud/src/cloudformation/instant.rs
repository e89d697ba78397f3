//! A stack that is there at once: how the account of a run begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::CloudFormation;
use super::api::{Wish, deployment};
use super::engine::{Kind, OnFailure, Operation, Pace};
use super::language::invalid;
use super::stack::{ResourceStatus, Stack, StackStatus, stack_arn};
use crate::account::{Account, Services};
use crate::core::{AwsError, Cx, Provisioned};
use world::time::Time;

/// A stack whose creation succeeded.
#[derive(Clone, Debug)]
pub struct Created {
    /// Name.
    pub name: String,
    /// Resources by logical id.
    pub resources: BTreeMap<String, Provisioned>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
}

/// Creates a stack on behalf of the account's owner, by the same engine as `CreateStack`, in no time. The first failure
/// ends the creation and names the stack, the logical id and the type; what was created until then stays, for those who
/// look into the failure.
pub fn create_stack(account: &mut Account, now: Time, name: &str, body: &str) -> Result<Created, AwsError> {
    account.with_cloudformation(now, |cloudformation, services, cx| create(cloudformation, services, cx, name, body))
}

fn create(
    cloudformation: &mut CloudFormation,
    services: &mut Services,
    cx: &mut Cx<'_>,
    name: &str,
    body: &str,
) -> Result<Created, AwsError> {
    if cloudformation.find(name).is_some() {
        return Err(AwsError::new("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let uuid = cx.uuid();
    let id = stack_arn(cx.account, name, &uuid);
    let mut stack = Stack::new(id, name, StackStatus::CreateInProgress, cx.now);
    let wish = Wish {
        body: body.to_owned(),
        body_bytes_max: cx.limits.get("cloudformation", "template_body"),
        parameters: IndexMap::new(),
        capabilities: vec!["CAPABILITY_NAMED_IAM".to_owned()],
        tags: Vec::new(),
    };
    let target = deployment(&wish, &stack, &BTreeMap::new(), services, cx)?;
    stack.disable_rollback = true;
    cloudformation.stacks.push(stack);
    let index = cloudformation.stacks.len() - 1;
    let mut operation = Operation::new(cx.uuid(), Kind::Create, cx.caller.clone(), Some(Arc::new(target)));
    operation.on_failure = OnFailure::DoNothing;
    cloudformation.start(index, services, cx, Pace::Instant, operation)?;
    let stack = &cloudformation.stacks[index];
    if stack.status == StackStatus::CreateComplete {
        let outputs = stack.outputs.iter().map(|output| (output.key.clone(), output.value.clone()));
        return Ok(Created { name: name.to_owned(), resources: stack.live(), outputs: outputs.collect() });
    }
    let failed = stack.resources.values().find(|resource| resource.status == ResourceStatus::CreateFailed);
    Err(invalid(match failed {
        None => format!("{name} {}", stack.reason.as_deref().unwrap_or_default()),
        Some(failed) => {
            let (id, kind, why) = (&failed.logical_id, &failed.kind, failed.reason.as_deref().unwrap_or_default());
            let named = why.contains(id.as_str()) && why.contains(kind.as_str());
            if named { why.to_owned() } else { format!("{name} {id} ({kind}): {why}") }
        }
    }))
}
