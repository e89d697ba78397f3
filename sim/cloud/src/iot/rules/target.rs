//! Where results go: the calls of other services, each in the role of its action.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::action::{Failure, Form};
use super::{Ports, metric, republish};
use crate::core::ports::Stores;
use crate::core::{AwsError, CallFailed, Cx, Principal};
use crate::iot::message::{Outbox, Properties};
use crate::iot::quotas::Quotas;
use crate::iot::sql;

pub(super) use super::metric::Metric;

/// Content type of the objects that rules write (unverified).
const CONTENT_TYPE: &str = "application/octet-stream";

/// The service on whose behalf functions are invoked.
const SERVICE: &str = "iot.amazonaws.com";

/// What actions use.
pub(super) struct Means<'a, 'p> {
    pub(super) ports: &'a mut Ports<'p>,
    pub(super) quotas: &'a mut Quotas,
    pub(super) outbox: &'a mut Outbox,
}

/// Where one result goes.
#[derive(Clone, Debug)]
pub(super) enum Target<'t> {
    Kinesis { stream: Cow<'t, str>, partition_key: Cow<'t, str> },
    Firehose { stream: Cow<'t, str>, separator: &'static str, batch: bool },
    S3 { bucket: Cow<'t, str>, key: Cow<'t, str> },
    Republish { topic: Cow<'t, str>, qos: u8, properties: Option<Arc<Properties>> },
    Lambda { function: Cow<'t, str> },
    Sns { target: Cow<'t, str>, json: bool },
    DynamoDbV2 { table: Cow<'t, str> },
    Metric(Box<Metric>),
}

impl Target<'_> {
    /// Of what kind of action it is.
    pub(super) fn form(&self) -> Form {
        match self {
            Target::Kinesis { .. } => Form::Kinesis,
            Target::Firehose { .. } => Form::Firehose,
            Target::S3 { .. } => Form::S3,
            Target::Republish { .. } => Form::Republish,
            Target::Lambda { .. } => Form::Lambda,
            Target::Sns { .. } => Form::Sns,
            Target::DynamoDbV2 { .. } => Form::DynamoDbV2,
            Target::Metric(_) => Form::Metric,
        }
    }

    /// Stream, bucket, topic, table, function or metric.
    pub(super) fn resource(&self) -> &str {
        match self {
            Target::Kinesis { stream, .. } | Target::Firehose { stream, .. } => stream,
            Target::S3 { bucket, .. } => bucket,
            Target::Republish { topic, .. } => topic,
            Target::Lambda { function } => function,
            Target::Sns { target, .. } => target,
            Target::DynamoDbV2 { table } => table,
            Target::Metric(metric) => &metric.name,
        }
    }

    /// What messages that must keep their order have in common.
    pub(super) fn order_key(&self) -> &str {
        match self {
            Target::Kinesis { partition_key, .. } => partition_key,
            Target::S3 { key, .. } => key,
            other => other.resource(),
        }
    }

    /// Puts the result there as [`Target::store`] does, with what goes wrong between IoT Core and the other service.
    pub(super) fn put(
        &self,
        cx: &mut Cx<'_>,
        means: &mut Means<'_, '_>,
        rule: &str,
        role: Option<&Principal>,
        data: &mut Bytes,
    ) -> Result<(), CallFailed> {
        let (service, operation) = match self {
            Target::Kinesis { .. } => ("kinesis", "PutRecord"),
            Target::Firehose { .. } => ("firehose", "PutRecord"),
            Target::S3 { .. } => ("s3", "PutObject"),
            Target::Lambda { .. } => ("lambda", "Invoke"),
            Target::Sns { .. } => ("sns", "Publish"),
            Target::DynamoDbV2 { .. } => ("dynamodb", "PutItem"),
            // These two do not leave what is simulated here.
            Target::Republish { .. } | Target::Metric(_) => return Ok(self.store(cx, means, rule, role, data)?),
        };
        cx.called(service, operation, self.resource(), |cx| self.store(cx, means, rule, role, data))
    }

    /// Puts the result there, in the role of the action; a function is invoked on behalf of the rule. Of a batch that was
    /// taken in part, the rest is left in `data`.
    pub(super) fn store(
        &self,
        cx: &mut Cx<'_>,
        means: &mut Means<'_, '_>,
        rule: &str,
        role: Option<&Principal>,
        data: &mut Bytes,
    ) -> Result<(), AwsError> {
        let caller = role.unwrap_or(cx.caller);
        let cx = &mut cx.acting_as(caller);
        let ports = &mut *means.ports;
        match self {
            Target::Kinesis { stream, partition_key } => {
                ports.streams.put_record(cx, stream, partition_key, data.clone()).map(drop)
            }
            Target::Firehose { stream, separator, batch } => deliver(cx, ports, stream, separator, *batch, data),
            Target::S3 { bucket, key } => {
                ports.objects.put_object(cx, bucket, key, data.clone(), CONTENT_TYPE).map(drop)
            }
            Target::Republish { topic, qos, properties } => {
                republish::post(cx, means, topic, *qos, properties.clone(), data.clone())
            }
            Target::Lambda { function } => {
                let rule = super::rule_arn(cx, rule);
                ports.functions.invoke_for_service(cx, function, SERVICE, &rule, data.clone())
            }
            Target::Sns { target, json } => match std::str::from_utf8(data) {
                Ok(message) => ports.notifications.publish(cx, target, message, *json),
                Err(_) => Err(AwsError::new("InvalidParameter", "Invalid parameter: Message Reason: it is no text")),
            },
            Target::DynamoDbV2 { table } => match sql::attributes(data) {
                Some(item) => ports.items.put_item(cx, table, item),
                None => Err(AwsError::new("ValidationException", "the result of the SQL statement is no object")),
            },
            Target::Metric(metric) => metric::put(cx, metric),
        }
    }

    /// The failure of an action with this target.
    pub(super) fn failure(&self, error: &AwsError) -> Failure {
        Failure { action: self.form().name(), resource: self.resource().to_owned(), message: error.to_string() }
    }

    /// The same target without borrows.
    pub(super) fn into_owned(self) -> Target<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Target::Kinesis { stream, partition_key } => {
                Target::Kinesis { stream: owned(stream), partition_key: owned(partition_key) }
            }
            Target::Firehose { stream, separator, batch } => {
                Target::Firehose { stream: owned(stream), separator, batch }
            }
            Target::S3 { bucket, key } => Target::S3 { bucket: owned(bucket), key: owned(key) },
            Target::Republish { topic, qos, properties } => Target::Republish { topic: owned(topic), qos, properties },
            Target::Lambda { function } => Target::Lambda { function: owned(function) },
            Target::Sns { target, json } => Target::Sns { target: owned(target), json },
            Target::DynamoDbV2 { table } => Target::DynamoDbV2 { table: owned(table) },
            Target::Metric(metric) => Target::Metric(metric),
        }
    }
}

/// One record; or, in the mode of batches, one for each element of an array. The separator ends each record.
fn deliver(
    cx: &mut Cx<'_>,
    ports: &mut Ports<'_>,
    stream: &str,
    separator: &str,
    batch: bool,
    data: &mut Bytes,
) -> Result<(), AwsError> {
    let stores = Stores { streams: ports.streams, objects: ports.objects, catalog: ports.catalog };
    let record = |text: &[u8]| Bytes::from([text, separator.as_bytes()].concat());
    let Some(elements) = (if batch { sql::elements(data) } else { None }) else {
        return ports.deliveries.put_record(cx, stores, stream, &record(data));
    };
    if elements.is_empty() {
        return Ok(());
    }
    let records: Vec<Bytes> = elements.iter().map(|text| record(text.as_bytes())).collect();
    let failed = ports.deliveries.put_records(cx, stores, stream, &records)?;
    if failed.is_empty() {
        return Ok(());
    }
    let left: Vec<&str> = failed.iter().filter_map(|place| elements.get(*place)).map(String::as_str).collect();
    let message = format!("{} of {} records were not taken", left.len(), elements.len());
    *data = Bytes::from(format!("[{}]", left.join(",")));
    Err(AwsError::new("ServiceUnavailableException", message).status(503))
}
