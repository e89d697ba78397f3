//! Batches that are given up: the record of the failure that a destination gets, and the name of its object in S3.
//!
//! Source: Lambda guide, "Retain discarded batch records for a Kinesis Data Streams event source". Objects in S3 hold the
//! whole event as a text in `payload`; topics get the record without it. That a record which no event can hold is told as
//! `MaximumPayloadSizeExceeded` is unverified.

use std::fmt::Write as _;

use serde::Serialize;

use crate::core::ports::{StreamRecord, render_sequence_number};
use world::time::Time;

/// Why a batch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
    #[serde(rename = "MaximumPayloadSizeExceeded")]
    PayloadTooLarge,
}

impl Condition {
    /// The condition as AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Condition::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Condition::RecordAgeExceeded => "RecordAgeExceeded",
            Condition::PayloadTooLarge => "MaximumPayloadSizeExceeded",
        }
    }
}

/// The last invocation that had a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub request_id: String,
    pub version: String,
    /// `Unhandled`, or nothing where the function said itself which records failed.
    pub function_error: Option<&'static str>,
}

/// A batch that is given up.
#[derive(Clone, Debug)]
pub(super) struct GivenUp {
    pub condition: Condition,
    pub since: Time,
    attempts: u64,
    last: Option<Last>,
    /// Request id when nothing was invoked, and the random part of the object's name; made once, so that a record which
    /// is told twice has one name.
    pub ids: Option<(String, String)>,
}

impl GivenUp {
    pub fn new(condition: Condition, since: Time, attempts: u64, last: Option<Last>) -> Self {
        GivenUp { condition, since, attempts, last, ids: None }
    }
}

/// What a failure record tells of.
pub(super) struct Subject<'s> {
    pub function_arn: &'s str,
    pub stream_arn: &'s str,
    pub shard_id: &'s str,
    pub first: &'s StreamRecord,
    pub last: &'s StreamRecord,
    pub records: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'r> {
    request_context: RequestContext<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'r>>,
    version: &'static str,
    timestamp: String,
    #[serde(rename = "KinesisBatchInfo")]
    batch: BatchInfo<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'r str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'r> {
    request_id: &'r str,
    function_arn: &'r str,
    condition: Condition,
    approximate_invoke_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'r> {
    status_code: u16,
    executed_version: &'r str,
    function_error: Option<&'r str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo<'r> {
    shard_id: &'r str,
    start_sequence_number: String,
    end_sequence_number: String,
    approximate_arrival_of_first_record: String,
    approximate_arrival_of_last_record: String,
    batch_size: usize,
    stream_arn: &'r str,
}

impl GivenUp {
    /// The record of the failure, as JSON. `payload` is the event, for destinations that get it.
    pub fn record(&self, subject: &Subject<'_>, payload: Option<&str>) -> String {
        let own_id = self.ids.as_ref().map_or("", |(request_id, _)| request_id.as_str());
        let response = self.last.as_ref().filter(|_| self.condition == Condition::RetryAttemptsExhausted);
        let record = Record {
            request_context: RequestContext {
                request_id: self.last.as_ref().map_or(own_id, |last| last.request_id.as_str()),
                function_arn: subject.function_arn,
                condition: self.condition,
                approximate_invoke_count: self.attempts,
            },
            response_context: response.map(|last| ResponseContext {
                status_code: 200,
                executed_version: &last.version,
                function_error: last.function_error,
            }),
            version: "1.0",
            timestamp: millis(self.since),
            batch: BatchInfo {
                shard_id: subject.shard_id,
                start_sequence_number: render_sequence_number(subject.first.sequence_number),
                end_sequence_number: render_sequence_number(subject.last.sequence_number),
                approximate_arrival_of_first_record: millis(subject.first.arrival),
                approximate_arrival_of_last_record: millis(subject.last.arrival),
                batch_size: subject.records,
                stream_arn: subject.stream_arn,
            },
            payload,
        };
        serde_json::to_string(&record).expect("a record of texts and numbers is JSON")
    }

    /// Name of the object in S3: `aws/lambda/{mapping}/{shard}/{date}/{instant}-{random}`.
    pub fn object_key(&self, mapping: &str, shard_id: &str) -> String {
        let random = self.ids.as_ref().map_or("", |(_, random)| random.as_str());
        let mut key = format!("aws/lambda/{mapping}/{shard_id}/");
        write!(key, "{}-{random}", self.since.to_datetime().format("%Y/%m/%d/%Y-%m-%dT%H.%M.%S"))
            .expect("a text takes every character");
        key
    }
}

fn millis(time: Time) -> String {
    time.to_datetime().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
