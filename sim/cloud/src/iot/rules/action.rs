//! The actions of rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Ports;
use super::host::Asked;
use crate::core::{AwsError, CallFailed, Cx, Principal};
use crate::iot::registry::invalid;
use crate::iot::sql::{Evaluation, Template, Variables};

/// Content type of the objects that rules write (unverified).
const CONTENT_TYPE: &str = "application/octet-stream";

/// The service on whose behalf functions are invoked.
const SERVICE: &str = "iot.amazonaws.com";

/// Names of the actions that AWS has and this simulator does not.
const OTHERS: [&str; 21] = [
    "dynamoDB",
    "dynamoDBv2",
    "sns",
    "sqs",
    "republish",
    "firehose",
    "cloudwatchMetric",
    "cloudwatchAlarm",
    "cloudwatchLogs",
    "elasticsearch",
    "salesforce",
    "iotAnalytics",
    "iotEvents",
    "iotSiteWise",
    "stepFunctions",
    "timestream",
    "http",
    "kafka",
    "openSearch",
    "location",
    "influxDB",
];

/// An action, checked when its rule was created.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) kind: Kind,
    /// Whose permissions count; a function's own policy decides instead.
    pub(super) role: Option<Principal>,
    /// Queues of messages that wait for a retry, by partition key or object key.
    pub(super) waiting: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Kinesis { stream: Template, partition_key: Template },
    S3 { bucket: Box<str>, key: Template },
    Lambda { function: Box<str> },
}

/// Where one result goes.
#[derive(Clone, Debug)]
pub(super) enum Target<'t> {
    Kinesis { stream: Cow<'t, str>, partition_key: Cow<'t, str> },
    S3 { bucket: Cow<'t, str>, key: Cow<'t, str> },
    Lambda { function: Cow<'t, str> },
}

/// An action that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `KinesisAction`, `S3Action` or `LambdaAction`.
    pub(super) action: &'static str,
    /// Stream, bucket or function.
    pub(super) resource: String,
    /// What went wrong.
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KinesisAction {
    role_arn: String,
    stream_name: String,
    partition_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct S3Action {
    role_arn: String,
    bucket_name: String,
    key: String,
    canned_acl: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LambdaAction {
    function_arn: String,
}

impl Failure {
    /// A statement that could not be evaluated. What AWS calls it is unverified.
    pub(super) fn of_statement(message: String) -> Self {
        Failure { action: "SqlStatement", resource: String::new(), message }
    }
}

fn fields<T: DeserializeOwned>(action: &str, value: &Value) -> Result<T, AwsError> {
    T::deserialize(value).map_err(|error| invalid(format!("the rule action {action}: {error}")))
}

fn role(arn: String) -> Result<Principal, AwsError> {
    if arn.starts_with("arn:") && arn.contains(":role/") {
        Ok(Principal::new(arn))
    } else {
        Err(invalid(format!("roleArn {arn:?} is no ARN of a role")))
    }
}

impl Action {
    /// Checks an action as a rule's payload gives it.
    pub(super) fn parse(action: &Map<String, Value>, variables: &Variables) -> Result<Action, AwsError> {
        let mut members = action.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(invalid("an action has exactly one member"));
        };
        let (kind, role_arn) = match name.as_str() {
            "lambda" => {
                let LambdaAction { function_arn } = fields(name, value)?;
                if !function_arn.starts_with("arn:aws:lambda:") {
                    return Err(invalid(format!("functionArn {function_arn:?} is no ARN of a function")));
                }
                return Ok(Action {
                    kind: Kind::Lambda { function: function_arn.into() },
                    role: None,
                    waiting: BTreeMap::new(),
                });
            }
            "kinesis" => {
                let action: KinesisAction = fields(name, value)?;
                let Some(partition_key) = action.partition_key else {
                    return Err(AwsError::not_modelled("iot rule action kinesis without partitionKey"));
                };
                let stream = Template::parse(&action.stream_name, variables)?;
                (Kind::Kinesis { stream, partition_key: Template::parse(&partition_key, variables)? }, action.role_arn)
            }
            "s3" => {
                let action: S3Action = fields(name, value)?;
                if let Some(acl) = action.canned_acl.filter(|acl| acl != "private") {
                    return Err(AwsError::not_modelled(format!("iot rule action s3 with cannedAcl {acl}")));
                }
                if action.bucket_name.contains("${") {
                    return Err(AwsError::not_modelled("iot rule action s3 with a template as bucketName"));
                }
                (
                    Kind::S3 { bucket: action.bucket_name.into(), key: Template::parse(&action.key, variables)? },
                    action.role_arn,
                )
            }
            other if OTHERS.contains(&other) => return Err(AwsError::not_modelled(format!("iot rule action {other}"))),
            other => return Err(invalid(format!("there is no rule action {other}"))),
        };
        Ok(Action { kind, role: Some(role(role_arn)?), waiting: BTreeMap::new() })
    }
}

impl Kind {
    /// Where the result for this message goes.
    pub(super) fn target<'t>(
        &'t self,
        evaluation: &mut Evaluation<'t, '_>,
        cx: &mut Cx<'_>,
    ) -> Result<Target<'t>, Failure> {
        let mut render =
            |template: &'t Template, field: &str| match template.render(evaluation, &mut Asked { cx: &mut *cx }) {
                Ok(Some(text)) => Ok(text),
                Ok(None) => Err(self.failure(String::new(), format!("the template of {field} has no value"))),
                Err(failure) => Err(self.failure(String::new(), failure.0)),
            };
        match self {
            Kind::Kinesis { stream, partition_key } => {
                let stream = render(stream, "streamName")?;
                let partition_key = render(partition_key, "partitionKey")?;
                Ok(Target::Kinesis { stream, partition_key })
            }
            Kind::S3 { bucket, key } => {
                let key = render(key, "key")?;
                Ok(Target::S3 { bucket: Cow::Borrowed(bucket), key })
            }
            Kind::Lambda { function } => Ok(Target::Lambda { function: Cow::Borrowed(function) }),
        }
    }

    fn failure(&self, resource: String, message: String) -> Failure {
        let action = match self {
            Kind::Kinesis { .. } => "KinesisAction",
            Kind::S3 { .. } => "S3Action",
            Kind::Lambda { .. } => "LambdaAction",
        };
        Failure { action, resource, message }
    }
}

impl Target<'_> {
    /// Whether actions of this kind have such targets.
    pub(super) fn is_of(&self, kind: &Kind) -> bool {
        matches!(
            (self, kind),
            (Target::Kinesis { .. }, Kind::Kinesis { .. })
                | (Target::S3 { .. }, Kind::S3 { .. })
                | (Target::Lambda { .. }, Kind::Lambda { .. })
        )
    }

    /// Stream, bucket or function.
    pub(super) fn resource(&self) -> &str {
        match self {
            Target::Kinesis { stream, .. } => stream,
            Target::S3 { bucket, .. } => bucket,
            Target::Lambda { function } => function,
        }
    }

    /// What messages that must keep their order have in common.
    pub(super) fn order_key(&self) -> &str {
        match self {
            Target::Kinesis { partition_key, .. } => partition_key,
            Target::S3 { key, .. } => key,
            Target::Lambda { function } => function,
        }
    }

    /// Puts the result there as [`Target::store`] does, with what goes wrong between IoT Core and the other service.
    pub(super) fn put(
        &self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        rule: &str,
        role: Option<&Principal>,
        data: Bytes,
    ) -> Result<(), CallFailed> {
        let (service, operation, resource) = match self {
            Target::Kinesis { stream, .. } => ("kinesis", "PutRecord", stream),
            Target::S3 { bucket, .. } => ("s3", "PutObject", bucket),
            Target::Lambda { function } => ("lambda", "Invoke", function),
        };
        cx.called(service, operation, resource, |cx| self.store(cx, ports, rule, role, data))
    }

    /// Puts the result there, in the role of the action; a function is invoked on behalf of the rule.
    pub(super) fn store(
        &self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        rule: &str,
        role: Option<&Principal>,
        data: Bytes,
    ) -> Result<(), AwsError> {
        let caller = role.unwrap_or(cx.caller);
        let cx = &mut cx.acting_as(caller);
        match self {
            Target::Kinesis { stream, partition_key } => {
                ports.streams.put_record(cx, stream, partition_key, data).map(drop)
            }
            Target::S3 { bucket, key } => ports.objects.put_object(cx, bucket, key, data, CONTENT_TYPE).map(drop),
            Target::Lambda { function } => {
                let rule = super::rule_arn(cx, rule);
                ports.functions.invoke_for_service(cx, function, SERVICE, &rule, data)
            }
        }
    }

    /// The failure of an action with this target.
    pub(super) fn failure(&self, error: &AwsError) -> Failure {
        let (action, resource) = match self {
            Target::Kinesis { stream, .. } => ("KinesisAction", stream),
            Target::S3 { bucket, .. } => ("S3Action", bucket),
            Target::Lambda { function } => ("LambdaAction", function),
        };
        Failure { action, resource: resource.to_string(), message: error.to_string() }
    }

    /// The same target without borrows.
    pub(super) fn into_owned(self) -> Target<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Target::Kinesis { stream, partition_key } => {
                Target::Kinesis { stream: owned(stream), partition_key: owned(partition_key) }
            }
            Target::S3 { bucket, key } => Target::S3 { bucket: owned(bucket), key: owned(key) },
            Target::Lambda { function } => Target::Lambda { function: owned(function) },
        }
    }
}
