//! Change sets: what a stack would become, made by CloudFormation and not executed yet.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetType, Replacement as Replaces,
};

use super::artifact::Artifact;
use super::aws::Aws;
use super::error::{CallError, DeployError};
use super::plan::Planned;
use super::report::{Change, ChangeSet, Replacement};
use crate::digest::sha256_hex;

/// Most bytes of a template that is handed over in the call (CloudFormation guide, "Quotas").
pub(super) const INLINE_MAX: usize = 51_200;
/// Most bytes of a template that CloudFormation reads from S3 (the same page: 1 MB; read as 1,000,000, the stricter).
pub(super) const FROM_S3_MAX: usize = 1_000_000;
/// How often the making of a change set is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long CloudFormation may take to make one.
const MADE_WITHIN: Duration = Duration::from_secs(300);

/// Checks that CloudFormation will take the plan's template.
pub(super) fn check_size(planned: &Planned, artifact: Option<&Artifact>) -> Result<(), DeployError> {
    let size = planned.body.len();
    let refused = |limit, hint| Err(DeployError::TemplateTooLarge { stack: planned.name.clone(), size, limit, hint });
    match artifact {
        _ if size > FROM_S3_MAX => refused(FROM_S3_MAX, "split the stack"),
        None if size > INLINE_MAX => refused(
            INLINE_MAX,
            "no template of this plan names a bucket for packages, through which it could go: split the stack",
        ),
        _ => Ok(()),
    }
}

/// Makes a change set of a stack, which `exists` or not. Answers nothing when nothing would change.
pub(super) async fn propose(
    aws: &Aws,
    planned: &Planned,
    exists: bool,
    artifact: Option<&Artifact>,
) -> Result<Option<ChangeSet>, DeployError> {
    check_size(planned, artifact)?;
    let stack = planned.name.as_str();
    let kind = if exists { ChangeSetType::Update } else { ChangeSetType::Create };
    let made_at = aws.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut call = aws
        .cloudformation
        .create_change_set()
        .stack_name(stack)
        .change_set_name(format!("deploy-{}", made_at.as_millis()))
        .change_set_type(kind);
    for capability in &planned.capabilities {
        call = call.capabilities(Capability::from(capability.as_str()));
    }
    call = match artifact {
        Some(artifact) if planned.body.len() > INLINE_MAX => {
            call.template_url(through_s3(aws, planned, artifact).await?)
        }
        _ => call.template_body(&planned.body),
    };
    let answer = call.send().await.map_err(|error| refusal(planned, &CallError::of(making(stack), &error)))?;
    let id = answer.id().unwrap_or_default().to_owned();
    let described = made(aws, planned, &id).await?;
    if described.status() == Some(&ChangeSetStatus::Failed) {
        let reason = described.status_reason().unwrap_or("CloudFormation gives no reason").to_owned();
        discard(aws, stack, &id, !exists).await?;
        let unchanged = reason.contains("didn't contain changes") || reason.contains("No updates are to be performed");
        return if exists && unchanged {
            Ok(None)
        } else {
            Err(DeployError::ChangeSet { stack: stack.to_owned(), stage: planned.stage, reason })
        };
    }
    let changes = changes(aws, stack, &id, described).await?;
    Ok(Some(ChangeSet { stack: stack.to_owned(), stage: planned.stage, creates: !exists, id, changes }))
}

fn making(stack: &str) -> String {
    format!("making a change set of stack {stack}")
}

/// What a template error is that CloudFormation finds at once; any other failure of the call stays what it is.
fn refusal(planned: &Planned, error: &CallError) -> DeployError {
    match error.code.as_deref() {
        Some("ValidationError") => {
            DeployError::ChangeSet { stack: planned.name.clone(), stage: planned.stage, reason: error.detail.clone() }
        }
        _ => DeployError::Call(error.clone()),
    }
}

/// Puts a template beside the functions' package, under the hash of its content. Answers its address.
async fn through_s3(aws: &Aws, planned: &Planned, artifact: &Artifact) -> Result<String, CallError> {
    let name = sha256_hex(&planned.body);
    let (bucket, key) = (&artifact.bucket, format!("templates/{name}.json"));
    let body = aws_sdk_s3::primitives::ByteStream::from(planned.body.clone().into_bytes());
    let sent = aws.s3.put_object().bucket(bucket).key(&key).content_type("application/json").body(body).send().await;
    sent.map_err(|error| {
        CallError::of(format!("putting the template of {} to s3://{bucket}/{key}", planned.name), &error)
    })?;
    let suffix = if aws.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(format!("https://{bucket}.s3.{}.{suffix}/{key}", aws.region))
}

/// The change set when CloudFormation has made it, or has failed to.
async fn made(aws: &Aws, planned: &Planned, id: &str) -> Result<DescribeChangeSetOutput, DeployError> {
    let until = aws.now() + MADE_WITHIN;
    loop {
        let described = describe(aws, &planned.name, id, None).await?;
        match described.status() {
            Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed) => return Ok(described),
            _ if aws.now() < until => aws.sleep(LOOK_EVERY).await,
            status => {
                return Err(DeployError::TimedOut {
                    stack: planned.name.clone(),
                    stage: planned.stage,
                    status: format!("without its change set ({})", status.map_or("no status", ChangeSetStatus::as_str)),
                    after: MADE_WITHIN,
                });
            }
        }
    }
}

async fn describe(
    aws: &Aws,
    stack: &str,
    id: &str,
    token: Option<String>,
) -> Result<DescribeChangeSetOutput, CallError> {
    let call = aws.cloudformation.describe_change_set().stack_name(stack).change_set_name(id).set_next_token(token);
    call.send().await.map_err(|error| CallError::of(format!("describing the change set of stack {stack}"), &error))
}

/// What a change set does, from all its pages.
async fn changes(aws: &Aws, stack: &str, id: &str, first: DescribeChangeSetOutput) -> Result<Vec<Change>, CallError> {
    let mut found = Vec::new();
    let mut page = first;
    loop {
        for change in page.changes().iter().filter_map(|change| change.resource_change()) {
            found.push(Change {
                action: change.action().map(ChangeAction::as_str).unwrap_or_default().to_owned(),
                logical_id: change.logical_resource_id().unwrap_or_default().to_owned(),
                resource_type: change.resource_type().unwrap_or_default().to_owned(),
                replacement: match change.replacement() {
                    Some(Replaces::True) => Replacement::Yes,
                    Some(Replaces::Conditional) => Replacement::Perhaps,
                    _ => Replacement::No,
                },
            });
        }
        match page.next_token() {
            Some(token) => page = describe(aws, stack, id, Some(token.to_owned())).await?,
            None => return Ok(found),
        }
    }
}

/// Deletes a change set that is not to be executed, and the empty stack that it was made with.
pub(super) async fn discard(aws: &Aws, stack: &str, id: &str, with_stack: bool) -> Result<(), CallError> {
    let doing = || format!("deleting the change set of stack {stack}");
    let deleted = aws.cloudformation.delete_change_set().stack_name(stack).change_set_name(id).send().await;
    deleted.map_err(|error| CallError::of(doing(), &error))?;
    if with_stack {
        let deleted = aws.cloudformation.delete_stack().stack_name(stack).send().await;
        deleted.map_err(|error| CallError::of(doing(), &error))?;
    }
    Ok(())
}

/// Begins to execute a change set.
pub(super) async fn execute(aws: &Aws, change_set: &ChangeSet) -> Result<(), CallError> {
    let call = aws.cloudformation.execute_change_set().stack_name(&change_set.stack).change_set_name(&change_set.id);
    let begun = call.send().await;
    begun.map_err(|error| CallError::of(format!("executing the change set of stack {}", change_set.stack), &error))?;
    Ok(())
}
