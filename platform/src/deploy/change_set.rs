//! Change sets: what a stack would become, made by CloudFormation and not executed yet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeAction, ChangeSetStatus, ChangeSetType, Replacement as Replaces,
};

use super::aws::Aws;
use super::error::{CallError, DeployError};
use super::plan::Planned;
use super::report::{Change, ChangeSet, News, Replacement, Reporter};
use super::watch::{self, Condition, Patience};
use crate::digest::sha256_hex;

/// Most bytes of a template that is handed over in the call (CloudFormation guide, "Quotas").
pub(super) const INLINE_MAX: usize = 51_200;
/// Most bytes of a template that CloudFormation reads from S3 (the same page: 1 MB; read as 1,000,000, the stricter).
pub(super) const FROM_S3_MAX: usize = 1_000_000;
/// How often the making of a change set is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The bucket of the functions' packages, through which large templates go.
#[derive(Clone, Debug)]
pub(super) struct TemplateBucket {
    /// Name.
    pub name: String,
    /// Account that it must belong to.
    pub owner: String,
}

/// Checks that CloudFormation will take the plan's template.
pub(super) fn check_size(planned: &Planned, bucket: Option<&TemplateBucket>) -> Result<(), DeployError> {
    let size = planned.body.len();
    let refused = |limit, hint| Err(DeployError::TemplateTooLarge { stack: planned.name.clone(), size, limit, hint });
    match bucket {
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
    bucket: Option<&TemplateBucket>,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<Option<ChangeSet>, DeployError> {
    check_size(planned, bucket)?;
    let stack = planned.name.as_str();
    let kind = if exists { ChangeSetType::Update } else { ChangeSetType::Create };
    let made_at = aws.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("deploy-{}", made_at.as_millis());
    let mut call = aws
        .cloudformation
        .create_change_set()
        .stack_name(stack)
        .change_set_name(&name)
        .client_token(token(&[stack, &name]))
        .change_set_type(kind);
    for capability in &planned.capabilities {
        call = call.capabilities(Capability::from(capability.as_str()));
    }
    call = match bucket {
        Some(bucket) if planned.body.len() > INLINE_MAX => call.template_url(through_s3(aws, planned, bucket).await?),
        _ => call.template_body(&planned.body),
    };
    let answer = call.send().await.map_err(|error| refusal(planned, &CallError::of(making(stack), &error)))?;
    let id = answer.id().unwrap_or_default().to_owned();
    let proposed = described(aws, planned, exists, &id, patience, reporter).await;
    if !matches!(proposed, Ok(Some(_))) {
        discard(aws, stack, &id, !exists, reporter).await;
    }
    proposed
}

/// The change set with this id, when it was made and changes something.
async fn described(
    aws: &Aws,
    planned: &Planned,
    exists: bool,
    id: &str,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<Option<ChangeSet>, DeployError> {
    let described = made(aws, planned, id, patience, reporter).await?;
    let (stack, stage, id) = (planned.name.clone(), planned.stage, id.to_owned());
    if described.status() == Some(&ChangeSetStatus::Failed) {
        let reason = described.status_reason().unwrap_or("CloudFormation gives no reason").to_owned();
        let unchanged = reason.contains("didn't contain changes") || reason.contains("No updates are to be performed");
        return if exists && unchanged { Ok(None) } else { Err(DeployError::ChangeSet { stack, stage, reason }) };
    }
    let changes = changes(aws, &stack, &id, described, patience, reporter).await?;
    Ok(Some(ChangeSet { stack, stage, creates: !exists, id, changes }))
}

/// The token of a call: the same for every attempt of it, so that one whose answer was lost is not done twice.
fn token(parts: &[&str]) -> String {
    sha256_hex(parts.join("\n"))
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
async fn through_s3(aws: &Aws, planned: &Planned, bucket: &TemplateBucket) -> Result<String, CallError> {
    let TemplateBucket { name: bucket, owner } = bucket;
    let key = format!("templates/{}.json", planned.sha256());
    let body = aws_sdk_s3::primitives::ByteStream::from(planned.body.clone().into_bytes());
    let call = aws.s3.put_object().bucket(bucket).key(&key).expected_bucket_owner(owner);
    let sent = call.content_type("application/json").body(body).send().await;
    sent.map_err(|error| {
        CallError::of(format!("putting the template of {} to s3://{bucket}/{key}", planned.name), &error)
    })?;
    let suffix = if aws.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(format!("https://{bucket}.s3.{}.{suffix}/{key}", aws.region))
}

/// The change set when CloudFormation has made it, or has failed to.
async fn made(
    aws: &Aws,
    planned: &Planned,
    id: &str,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<DescribeChangeSetOutput, DeployError> {
    let until = aws.now() + patience.most;
    loop {
        let described = describe(aws, &planned.name, id, None, until, reporter).await?;
        match described.status() {
            Some(ChangeSetStatus::CreateComplete | ChangeSetStatus::Failed) => return Ok(described),
            _ if aws.now() < until => aws.sleep(LOOK_EVERY).await,
            status => {
                return Err(DeployError::TimedOut {
                    stack: planned.name.clone(),
                    stage: planned.stage,
                    status: format!("without its change set ({})", status.map_or("no status", ChangeSetStatus::as_str)),
                    after: patience.most,
                });
            }
        }
    }
}

/// A page of a change set. What fails for a passing reason is repeated `until` then.
async fn describe(
    aws: &Aws,
    stack: &str,
    id: &str,
    token: Option<String>,
    until: SystemTime,
    reporter: &mut dyn Reporter,
) -> Result<DescribeChangeSetOutput, CallError> {
    loop {
        let call = aws.cloudformation.describe_change_set().stack_name(stack).change_set_name(id);
        let page = call.set_next_token(token.clone()).send().await;
        let page = page.map_err(|error| CallError::of(format!("describing the change set of stack {stack}"), &error));
        if let Some(page) = watch::unless_it_passes(page, aws.now() < until, reporter)? {
            return Ok(page);
        }
        aws.sleep(LOOK_EVERY).await;
    }
}

/// What a change set does, from all its pages.
async fn changes(
    aws: &Aws,
    stack: &str,
    id: &str,
    first: DescribeChangeSetOutput,
    patience: Patience,
    reporter: &mut dyn Reporter,
) -> Result<Vec<Change>, CallError> {
    let until = aws.now() + patience.most;
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
            Some(token) => page = describe(aws, stack, id, Some(token.to_owned()), until, reporter).await?,
            None => return Ok(found),
        }
    }
}

/// Deletes a change set that is not to be executed, and the empty stack that it was made with. Where that fails it is
/// told and nothing else: why the change set is not wanted matters more, and the next deployment does without it.
pub(super) async fn discard(aws: &Aws, stack: &str, id: &str, with_stack: bool, reporter: &mut dyn Reporter) {
    if let Err(error) = try_discard(aws, stack, id, with_stack).await {
        reporter.report(&News::Tolerated(format!("{}; it stays, and does no harm", error.what())));
    }
}

async fn try_discard(aws: &Aws, stack: &str, id: &str, with_stack: bool) -> Result<(), CallError> {
    let doing = || format!("deleting the change set of stack {stack}");
    let deleted = aws.cloudformation.delete_change_set().stack_name(stack).change_set_name(id).send().await;
    deleted.map_err(|error| CallError::of(doing(), &error))?;
    if !with_stack {
        return Ok(());
    }
    // Nothing but an empty stack: somebody else may have executed a change set of it.
    match aws.stack(stack).await? {
        Some(existing) if watch::condition(&existing.status) == Condition::Empty => {
            let deleted = aws.cloudformation.delete_stack().stack_name(existing.id).send().await;
            deleted.map_err(|error| CallError::of(doing(), &error))?;
        }
        _ => {}
    }
    Ok(())
}

/// Begins to execute a change set.
pub(super) async fn execute(aws: &Aws, change_set: &ChangeSet) -> Result<(), CallError> {
    let call = aws.cloudformation.execute_change_set().stack_name(&change_set.stack).change_set_name(&change_set.id);
    let begun = call.client_request_token(token(&[&change_set.id])).send().await;
    begun.map_err(|error| CallError::of(format!("executing the change set of stack {}", change_set.stack), &error))?;
    Ok(())
}
