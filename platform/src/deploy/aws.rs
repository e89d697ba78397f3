//! The account that is deployed to: clients, clock, and the reads that every command needs.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{StackResourceSummary, StackStatus, TemplateStage};
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_types::SdkConfig;
use serde_json::Value;

use super::error::{CallError, DeployError};
use super::plan::Plan;
use super::report::Event;

/// Clients and a clock, all of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Aws {
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub iot: aws_sdk_iot::Client,
    pub s3: aws_sdk_s3::Client,
    pub sts: aws_sdk_sts::Client,
    pub region: String,
    time: SharedTimeSource,
    sleep: SharedAsyncSleep,
}

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Account.
    pub account: String,
    /// ARN of the user or the session.
    pub arn: String,
}

/// A stack as it is.
#[derive(Clone, Debug)]
pub(super) struct Existing {
    /// Id, unique over time.
    pub id: String,
    pub status: String,
    pub reason: Option<String>,
    /// When it was last changed.
    pub changed_at: Option<SystemTime>,
}

impl Aws {
    pub fn new(config: &SdkConfig) -> Result<Self, DeployError> {
        let region = config.region().ok_or(DeployError::MissingPart("Region"))?.to_string();
        Ok(Aws {
            cloudformation: crate::calls::client!(aws_sdk_cloudformation, config),
            iot: crate::calls::client!(aws_sdk_iot, config),
            s3: crate::calls::client!(aws_sdk_s3, config),
            sts: crate::calls::client!(aws_sdk_sts, config),
            region,
            time: config.time_source().ok_or(DeployError::MissingPart("time source"))?,
            sleep: config.sleep_impl().ok_or(DeployError::MissingPart("sleep implementation"))?,
        })
    }

    pub fn now(&self) -> SystemTime {
        self.time.now()
    }

    pub async fn sleep(&self, duration: Duration) {
        self.sleep.sleep(duration).await;
    }

    /// Who the caller is.
    pub async fn identity(&self) -> Result<Identity, CallError> {
        let answer = self.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| CallError::of("finding out who the caller is", &error))?;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// Who the caller is, when the plan is for the caller's account and the configuration's Region.
    pub async fn identity_for(&self, plan: &Plan) -> Result<Identity, DeployError> {
        if plan.region != self.region {
            return Err(DeployError::WrongRegion { expected: plan.region.clone(), found: self.region.clone() });
        }
        let identity = self.identity().await?;
        match &plan.account {
            Some(expected) if *expected != identity.account => {
                Err(DeployError::WrongAccount { expected: expected.clone(), found: identity.account })
            }
            _ => Ok(identity),
        }
    }

    /// The stack with this name or id, unless there is none.
    pub async fn stack(&self, name: &str) -> Result<Option<Existing>, CallError> {
        match self.cloudformation.describe_stacks().stack_name(name).send().await {
            Ok(answer) => Ok(answer.stacks().first().map(|stack| Existing {
                id: stack.stack_id().unwrap_or(name).to_owned(),
                status: stack.stack_status().map(StackStatus::as_str).unwrap_or_default().to_owned(),
                reason: stack.stack_status_reason().map(str::to_owned),
                changed_at: stack
                    .last_updated_time()
                    .or(stack.creation_time())
                    .and_then(|at| SystemTime::try_from(*at).ok()),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(CallError::of(format!("describing stack {name}"), &error)),
        }
    }

    /// Events of a stack after the event `after`, oldest first, each with its id. Without `after`: all of them.
    pub async fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<(String, Event)>, CallError> {
        let mut found = Vec::new();
        let mut token = None;
        'pages: loop {
            let page = self.cloudformation.describe_stack_events().stack_name(stack).set_next_token(token).send().await;
            let page = page.map_err(|error| CallError::of(format!("reading the events of stack {stack}"), &error))?;
            for event in page.stack_events() {
                let id = event.event_id().unwrap_or_default();
                if after == Some(id) {
                    break 'pages;
                }
                let status = event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default();
                let event = Event {
                    stack: event.stack_name().unwrap_or(stack).to_owned(),
                    at: event.timestamp().and_then(|at| SystemTime::try_from(*at).ok()),
                    logical_id: event.logical_resource_id().unwrap_or_default().to_owned(),
                    resource_type: event.resource_type().unwrap_or_default().to_owned(),
                    status,
                    reason: event.resource_status_reason().map(str::to_owned),
                };
                found.push((id.to_owned(), event));
            }
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Id of the last event of a stack.
    pub async fn last_event(&self, stack: &str) -> Result<Option<String>, CallError> {
        let page = self.cloudformation.describe_stack_events().stack_name(stack).send().await;
        let page = page.map_err(|error| CallError::of(format!("reading the events of stack {stack}"), &error))?;
        Ok(page.stack_events().first().and_then(|event| event.event_id()).map(str::to_owned))
    }

    /// The resources of a stack.
    pub async fn resources(&self, stack: &str) -> Result<Vec<StackResourceSummary>, CallError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let page = self.cloudformation.list_stack_resources().stack_name(stack).set_next_token(token).send().await;
            let page =
                page.map_err(|error| CallError::of(format!("listing the resources of stack {stack}"), &error))?;
            found.extend_from_slice(page.stack_resource_summaries());
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    /// The template that a stack was deployed with; null when it is not JSON or there is none, which no template of this
    /// platform is.
    pub async fn template(&self, stack: &str) -> Result<Value, CallError> {
        let call = self.cloudformation.get_template().stack_name(stack).template_stage(TemplateStage::Original);
        let answer = call
            .send()
            .await
            .map_err(|error| CallError::of(format!("reading the template of stack {stack}"), &error))?;
        Ok(answer.template_body().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default())
    }
}

/// Whether a call failed because there is no such stack. CloudFormation has no code of its own for that.
fn is_absent<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let Some(service) = error.as_service_error() else { return false };
    service.code() == Some("ValidationError")
        && service.message().is_some_and(|message| message.contains("does not exist"))
}
