//! The actions of rules: what a payload says, checked when its rule is created.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{
    CloudwatchMetricAction, DynamoDbV2Action, FirehoseAction, KinesisAction, LambdaAction, RepublishAction, S3Action,
    SnsAction,
};
use super::headers::Headers;
use super::host::Asked;
use super::target::{Metric, Target};
use crate::core::{AwsError, Cx, Principal};
use crate::iot::registry::invalid;
use crate::iot::sql::{Evaluation, Template, Variables};

/// Names of the actions that AWS has and this simulator does not.
const OTHERS: [&str; 16] = [
    "dynamoDB",
    "sqs",
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
    /// Queues of messages that wait for a retry, by what must keep its order: partition key, object key, topic.
    pub(super) waiting: BTreeMap<Arc<str>, u64>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Kinesis { stream: Template, partition_key: Template },
    Firehose { stream: Template, separator: &'static str, batch: bool },
    S3 { bucket: Template, key: Template },
    Republish { topic: Template, qos: u8, headers: Option<Headers> },
    Lambda { function: Box<str> },
    Sns { target: Template, json: bool },
    DynamoDbV2 { table: Template },
    Metric(Box<MetricTemplates>),
}

/// The templates of `cloudwatchMetric`.
#[derive(Debug)]
pub(super) struct MetricTemplates {
    namespace: Template,
    name: Template,
    value: Template,
    unit: Template,
    timestamp: Option<Template>,
}

/// A kind of action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Kinesis,
    Firehose,
    S3,
    Republish,
    Lambda,
    Sns,
    DynamoDbV2,
    Metric,
}

impl Form {
    /// What error messages call the action. The reference names `S3Action`; the others are unverified.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Kinesis => "KinesisAction",
            Form::Firehose => "FirehoseAction",
            Form::S3 => "S3Action",
            Form::Republish => "RepublishAction",
            Form::Lambda => "LambdaAction",
            Form::Sns => "SnsAction",
            Form::DynamoDbV2 => "DynamoDBv2Action",
            Form::Metric => "CloudwatchMetricAction",
        }
    }
}

/// An action that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The kind of the action, as [`Form::name`] says it.
    pub(super) action: &'static str,
    /// Stream, bucket, topic, table or function.
    pub(super) resource: String,
    /// What went wrong.
    pub(super) message: String,
}

impl Failure {
    /// A statement that could not be evaluated. What AWS calls it is unverified.
    pub(super) fn of_statement(message: String) -> Self {
        Failure { action: "SqlStatement", resource: String::new(), message }
    }
}

/// Fills in the templates of an action for a message.
pub(super) struct Renderer<'a, 'v, 'm, 'c> {
    pub(super) evaluation: &'a mut Evaluation<'v, 'm>,
    pub(super) cx: &'a mut Cx<'c>,
}

impl<'v> Renderer<'_, 'v, '_, '_> {
    /// The text of a field's template.
    pub(super) fn render(&mut self, template: &'v Template, field: &str) -> Result<Cow<'v, str>, String> {
        match template.render(self.evaluation, &mut Asked::by_template(self.cx)) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(format!("the template of {field} has no value")),
            Err(failure) => Err(failure.0),
        }
    }
}

fn fields<T: DeserializeOwned>(action: &str, value: &Value) -> Result<T, AwsError> {
    T::deserialize(value).map_err(|error| invalid(format!("the rule action {action}: {error}")))
}

fn role(arn: String) -> Result<Principal, AwsError> {
    if arn.starts_with("arn:") && arn.contains(":role/") && !arn.contains("${") {
        Ok(Principal::new(arn))
    } else {
        Err(invalid(format!("roleArn {arn:?} is no ARN of a role")))
    }
}

impl Action {
    /// Checks an action as a rule's payload gives it. Its templates can use the variables of the rule's statement.
    pub(super) fn parse(action: &Map<String, Value>, variables: &Variables) -> Result<Action, AwsError> {
        let mut members = action.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(invalid("an action has exactly one member"));
        };
        let text = |text: &str| template(text, variables);
        let (kind, role_arn) = match name.as_str() {
            "lambda" => {
                let LambdaAction { function_arn } = fields(name, value)?;
                if !function_arn.starts_with("arn:aws:lambda:") {
                    return Err(invalid(format!("functionArn {function_arn:?} is no ARN of a function")));
                }
                if function_arn.contains("${") {
                    return Err(AwsError::not_modelled("iot rule action lambda with a template as functionArn"));
                }
                (Kind::Lambda { function: function_arn.into() }, None)
            }
            "kinesis" => {
                let action: KinesisAction = fields(name, value)?;
                let Some(partition_key) = action.partition_key else {
                    return Err(AwsError::not_modelled("iot rule action kinesis without partitionKey"));
                };
                let stream = text(&action.stream_name)?;
                (Kind::Kinesis { stream, partition_key: text(&partition_key)? }, Some(action.role_arn))
            }
            "firehose" => {
                let action: FirehoseAction = fields(name, value)?;
                let (stream, separator) =
                    (text(&action.delivery_stream_name)?, separator(action.separator.as_deref())?);
                (Kind::Firehose { stream, separator, batch: action.batch_mode }, Some(action.role_arn))
            }
            "s3" => {
                let action: S3Action = fields(name, value)?;
                if let Some(acl) = action.canned_acl.filter(|acl| acl != "private") {
                    return Err(AwsError::not_modelled(format!("iot rule action s3 with cannedAcl {acl}")));
                }
                (Kind::S3 { bucket: text(&action.bucket_name)?, key: text(&action.key)? }, Some(action.role_arn))
            }
            "republish" => {
                let action: RepublishAction = fields(name, value)?;
                let role_arn = action.role_arn.clone();
                (republish(action, variables)?, Some(role_arn))
            }
            "sns" => {
                let action: SnsAction = fields(name, value)?;
                let json = match action.message_format.as_deref() {
                    None | Some("RAW") => false,
                    Some("JSON") => true,
                    Some(other) => return Err(invalid(format!("messageFormat {other:?} is neither RAW nor JSON"))),
                };
                (Kind::Sns { target: text(&action.target_arn)?, json }, Some(action.role_arn))
            }
            "dynamoDBv2" => {
                let action: DynamoDbV2Action = fields(name, value)?;
                (Kind::DynamoDbV2 { table: text(&action.put_item.table_name)? }, Some(action.role_arn))
            }
            "cloudwatchMetric" => {
                let action: CloudwatchMetricAction = fields(name, value)?;
                (Kind::Metric(Box::new(MetricTemplates::parse(&action, variables)?)), Some(action.role_arn))
            }
            other if OTHERS.contains(&other) => return Err(AwsError::not_modelled(format!("iot rule action {other}"))),
            other => return Err(invalid(format!("there is no rule action {other}"))),
        };
        let role = role_arn.map(role).transpose()?;
        Ok(Action { kind, role, waiting: BTreeMap::new() })
    }
}

impl MetricTemplates {
    fn parse(action: &CloudwatchMetricAction, variables: &Variables) -> Result<Self, AwsError> {
        let text = |text: &str| template(text, variables);
        Ok(MetricTemplates {
            namespace: text(&action.metric_namespace)?,
            name: text(&action.metric_name)?,
            value: text(&action.metric_value)?,
            unit: text(&action.metric_unit)?,
            timestamp: action.metric_timestamp.as_deref().map(text).transpose()?,
        })
    }
}

/// Checks the template of a field.
pub(super) fn template(text: &str, variables: &Variables) -> Result<Template, AwsError> {
    let template = Template::parse(text, variables)?;
    if template.is_external() {
        return Err(AwsError::not_modelled("get_thing_shadow() in a substitution template"));
    }
    Ok(template)
}

fn separator(given: Option<&str>) -> Result<&'static str, AwsError> {
    let known = ["", "\n", "\t", "\r\n", ","];
    let found = known.into_iter().find(|known| *known == given.unwrap_or_default());
    found.filter(|_| given != Some("")).ok_or_else(|| invalid("separator is a comma, a tab, \\n or \\r\\n"))
}

fn republish(action: RepublishAction, variables: &Variables) -> Result<Kind, AwsError> {
    let qos = action.qos.unwrap_or(0);
    if qos > 1 {
        return Err(invalid("qos is 0 or 1"));
    }
    let is_reserved = action.topic.starts_with('$') && !action.topic.starts_with("$$");
    if is_reserved && !action.topic.starts_with("${") {
        return Err(invalid("a reserved topic to republish to begins with $$"));
    }
    let headers = action.headers.map(|headers| Headers::parse(headers, variables)).transpose()?;
    Ok(Kind::Republish { topic: template(&action.topic, variables)?, qos, headers })
}

impl Kind {
    /// Where the result for this message goes.
    pub(super) fn target<'t>(
        &'t self,
        evaluation: &mut Evaluation<'t, '_>,
        cx: &mut Cx<'_>,
    ) -> Result<Target<'t>, Failure> {
        self.rendered(&mut Renderer { evaluation, cx }).map_err(|message| Failure {
            action: self.form().name(),
            resource: String::new(),
            message,
        })
    }

    fn rendered<'t>(&'t self, renderer: &mut Renderer<'_, 't, '_, '_>) -> Result<Target<'t>, String> {
        Ok(match self {
            Kind::Kinesis { stream, partition_key } => Target::Kinesis {
                stream: renderer.render(stream, "streamName")?,
                partition_key: renderer.render(partition_key, "partitionKey")?,
            },
            Kind::Firehose { stream, separator, batch } => {
                Target::Firehose { stream: renderer.render(stream, "deliveryStreamName")?, separator, batch: *batch }
            }
            Kind::S3 { bucket, key } => {
                Target::S3 { bucket: renderer.render(bucket, "bucketName")?, key: renderer.render(key, "key")? }
            }
            Kind::Republish { topic, qos, headers } => {
                let topic = renderer.render(topic, "topic")?;
                let topic = match topic.strip_prefix("$$") {
                    Some(reserved) => Cow::Owned(format!("${reserved}")),
                    None => topic,
                };
                let properties = headers.as_ref().map(|headers| headers.render(renderer)).transpose()?;
                Target::Republish { topic, qos: *qos, properties }
            }
            Kind::Lambda { function } => Target::Lambda { function: Cow::Borrowed(function) },
            Kind::Sns { target, json } => Target::Sns { target: renderer.render(target, "targetArn")?, json: *json },
            Kind::DynamoDbV2 { table } => Target::DynamoDbV2 { table: renderer.render(table, "tableName")? },
            Kind::Metric(templates) => {
                let mut text = |template, field| renderer.render(template, field).map(Cow::into_owned);
                Target::Metric(Box::new(Metric {
                    namespace: text(&templates.namespace, "metricNamespace")?,
                    name: text(&templates.name, "metricName")?,
                    value: text(&templates.value, "metricValue")?,
                    unit: text(&templates.unit, "metricUnit")?,
                    timestamp: templates.timestamp.as_ref().map(|time| text(time, "metricTimestamp")).transpose()?,
                }))
            }
        })
    }

    /// What kind of action it is.
    pub(super) fn form(&self) -> Form {
        match self {
            Kind::Kinesis { .. } => Form::Kinesis,
            Kind::Firehose { .. } => Form::Firehose,
            Kind::S3 { .. } => Form::S3,
            Kind::Republish { .. } => Form::Republish,
            Kind::Lambda { .. } => Form::Lambda,
            Kind::Sns { .. } => Form::Sns,
            Kind::DynamoDbV2 { .. } => Form::DynamoDbV2,
            Kind::Metric(_) => Form::Metric,
        }
    }
}
