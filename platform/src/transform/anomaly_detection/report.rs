//! What is told of a batch: an object with all its anomalies, and messages with those that are alerts.

use std::time::SystemTime;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_sns::types::MessageAttributeValue;
use serde::{Serialize, Serializer};

use super::ANOMALY_PREFIX;
use super::alerts::{Alerts, Message};
use super::detector::{Assessment, Kind};
use super::metrics::Counts;
use super::object;
use super::outbox::Outbox;
use super::reading::Reading;
use crate::calendar;
use crate::calls::{CallError, Clock};

/// An anomaly: a row of an object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Anomaly {
    pub tenant_id: String,
    pub device_id: String,
    pub metric: String,
    #[serde(serialize_with = "code")]
    pub kind: Kind,
    pub score: f64,
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// How far values usually are from it.
    pub scale: f64,
    pub seq: u64,
    pub ts: i64,
    pub received_at: i64,
    /// When it was measured: what the detector judged it by.
    pub event_at: i64,
    pub shard_id: String,
    pub sequence_number: String,
}

fn code<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.code())
}

impl Anomaly {
    /// What a detector found in a reading.
    pub fn new(
        reading: &Reading<'_>,
        metric: &str,
        value: f64,
        (kind, assessment): (Kind, &Assessment),
        record: (&str, &str),
    ) -> Self {
        let Assessment { score, expected, scale, .. } = *assessment;
        Anomaly {
            tenant_id: reading.tenant_id.to_string(),
            device_id: reading.device_id.to_string(),
            metric: metric.to_owned(),
            kind,
            score,
            value,
            expected,
            scale,
            seq: reading.seq,
            ts: reading.ts,
            received_at: reading.received_at,
            event_at: reading.at_ms(),
            shard_id: record.0.to_owned(),
            sequence_number: record.1.to_owned(),
        }
    }
}

/// Writes objects and sends messages.
#[derive(Debug)]
pub(super) struct Reporter {
    s3: aws_sdk_s3::Client,
    sns: aws_sdk_sns::Client,
    bucket: String,
    topic_arn: String,
    clock: Clock,
}

impl Reporter {
    pub fn new(s3: aws_sdk_s3::Client, sns: aws_sdk_sns::Client, bucket: &str, topic_arn: &str, clock: Clock) -> Self {
        Reporter { s3, sns, bucket: bucket.to_owned(), topic_arn: topic_arn.to_owned(), clock }
    }

    /// What a batch has to tell whose first reading that was not applied before is `first`: (shard, sequence number,
    /// arrival).
    pub fn outbox(&self, first: (&str, &str, i64), anomalies: &[Anomaly], alerts: &Alerts) -> Outbox {
        if anomalies.is_empty() {
            return Outbox::default();
        }
        let (shard_id, sequence_number, received_at) = first;
        let hour = calendar::datehour(received_at / 1000);
        let id = format!("{shard_id}-{sequence_number}");
        let key = format!("{ANOMALY_PREFIX}/{hour}/{id}.parquet");
        let place = format!("s3://{}/{key}", self.bucket);
        let messages = alerts.messages(&id, &place, anomalies);
        let (suppressed, dropped) = (alerts.suppressed, 0);
        let counts = Counts { anomalies: anomalies.len(), alerts: alerts.len(), suppressed, dropped };
        Outbox { id, key, object: object::file(anomalies), counts, messages }
    }

    /// Writes the object of an outbox, if it has one.
    pub async fn write(&self, outbox: &Outbox, deadline: SystemTime) -> Result<(), CallError> {
        if outbox.object.is_empty() {
            return Ok(());
        }
        let call = || {
            let body = ByteStream::new(SdkBody::from(outbox.object.as_slice()));
            let put = self.s3.put_object().bucket(&self.bucket).key(&outbox.key);
            put.content_type("application/vnd.apache.parquet").body(body).send()
        };
        self.clock.call_again(deadline, call).await.map(drop)
    }

    /// Sends a message.
    pub async fn send(&self, message: &Message, deadline: SystemTime) -> Result<(), CallError> {
        let attribute = |kind: &str, value: &str| {
            let value = MessageAttributeValue::builder().data_type(kind).string_value(value);
            value.build().expect("the type is set")
        };
        let call = || {
            let publish = self.sns.publish().topic_arn(&self.topic_arn).subject(&message.subject);
            let publish = publish
                .message_attributes("tenant", attribute("String", &message.tenant))
                .message_attributes("device", attribute("String.Array", &message.devices))
                .message_attributes("kind", attribute("String.Array", &message.kinds))
                .message_attributes("severity", attribute("String", &message.severity));
            publish.message(&message.body).send()
        };
        self.clock.call_again(deadline, call).await.map(drop)
    }
}
