//! What is told of a batch: an object with all its anomalies, and an alert with the worst of them.

use std::time::SystemTime;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use serde::Serialize;

use super::ANOMALY_PREFIX;
use super::detector::{Assessment, Kind};
use super::reading::Reading;
use crate::calendar;
use crate::calls::{CallError, Clock};

/// Most anomalies that an alert names. Each has three texts of at most 256 bytes, which escapes may make six times as
/// long: together they fit a message of 256 KB.
const ALERT_ANOMALIES_MAX: usize = 20;

/// An anomaly: a line of an object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Anomaly {
    pub tenant_id: String,
    pub device_id: String,
    pub metric: String,
    pub kind: &'static str,
    pub score: f64,
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// How far values usually are from it.
    pub scale: f64,
    pub seq: u64,
    pub ts: i64,
    pub received_at: i64,
    pub shard_id: String,
    pub sequence_number: String,
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
            kind: kind.code(),
            score,
            value,
            expected,
            scale,
            seq: reading.seq,
            ts: reading.ts,
            received_at: reading.received_at,
            shard_id: record.0.to_owned(),
            sequence_number: record.1.to_owned(),
        }
    }
}

/// The message of an alert.
#[derive(Debug, Serialize)]
struct Alert<'a> {
    /// Where all of them are. An alert that comes twice names the same object.
    object: String,
    anomalies: usize,
    spikes: usize,
    level_shifts: usize,
    flatlines: usize,
    /// Those with the highest scores, the highest first.
    worst: Vec<&'a Anomaly>,
}

/// Key of the object of a batch: by the first reading that was applied, so that a batch that comes again overwrites its own.
pub(super) fn object_key(shard_id: &str, sequence_number: &str, received_at: i64) -> String {
    let hour = calendar::datehour(received_at / 1000);
    format!("{ANOMALY_PREFIX}/{hour}/{shard_id}-{sequence_number}.ndjson")
}

/// Writes objects and alerts.
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

    /// Writes the object of a batch.
    pub async fn write(&self, key: &str, anomalies: &[Anomaly], deadline: SystemTime) -> Result<(), CallError> {
        let mut body = Vec::with_capacity(anomalies.len() * 384);
        for anomaly in anomalies {
            serde_json::to_writer(&mut body, anomaly).expect("texts and finite numbers are written to memory");
            body.push(b'\n');
        }
        let body = SdkBody::from(body);
        let call = || {
            let body = ByteStream::new(body.try_clone().expect("it is whole in memory"));
            let put = self.s3.put_object().bucket(&self.bucket).key(key);
            put.content_type("application/x-ndjson").body(body).send()
        };
        self.clock.call_again(deadline, call).await.map(drop)
    }

    /// Sends the alert of a batch.
    pub async fn alert(&self, key: &str, anomalies: &[Anomaly], deadline: SystemTime) -> Result<(), CallError> {
        let message = self.message(key, anomalies);
        let subject = format!("{} anomalies", anomalies.len());
        let call = || {
            let publish = self.sns.publish().topic_arn(&self.topic_arn).subject(&subject);
            publish.message(&message).send()
        };
        self.clock.call_again(deadline, call).await.map(drop)
    }

    fn message(&self, key: &str, anomalies: &[Anomaly]) -> String {
        let of = |kind: Kind| anomalies.iter().filter(|anomaly| anomaly.kind == kind.code()).count();
        let mut worst: Vec<&Anomaly> = anomalies.iter().collect();
        worst.sort_by(|a, b| b.score.total_cmp(&a.score));
        worst.truncate(ALERT_ANOMALIES_MAX);
        let alert = Alert {
            object: format!("s3://{}/{key}", self.bucket),
            anomalies: anomalies.len(),
            spikes: of(Kind::Spike),
            level_shifts: of(Kind::LevelShift),
            flatlines: of(Kind::Flatline),
            worst,
        };
        serde_json::to_string(&alert).expect("texts and finite numbers are valid JSON")
    }
}
