//! Transformation by a function (guide: "Transform source data"): records are buffered, the function is invoked with all
//! of them, and answers for each whether it is `Ok`, `Dropped` or `ProcessingFailed`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{self, Verdict};
use super::buffer::Entry;
use super::config::{Config, SourceConfig, Transform};
use super::delivery::GivenUp;
use super::errors::{ErrorType, Why};
use crate::core::ports::{Answered, Invocations, NoAnswer, render_sequence_number};
use crate::core::{AwsError, Cx};
use world::time::Time;
use world::trace::Level;

/// Invocations of a shard that may be outstanding; for direct puts, of the delivery stream (unverified).
const OUTSTANDING: usize = 5;
/// The pause before a batch is tried again. Not published by AWS.
const PAUSE: Duration = Duration::from_secs(1);
/// Most bytes of an event beside its records: their names, an id, a region and two ARNs.
const ENVELOPE_BYTES: usize = 1024;
/// Most bytes of a record in an event beside its data: names and numbers.
const RECORD_BYTES: usize = 192;
/// Most bytes of what is told of a record of Kinesis beside its shard and its partition key.
const METADATA_BYTES: usize = 256;

/// A record that waits for the function, with what the function is told of its source.
pub(super) struct Pending {
    pub entry: Entry,
    /// The shard and the partition key of a record of Kinesis.
    pub source: Option<(Arc<str>, Arc<str>)>,
}

impl Pending {
    /// Most bytes that it takes in an event.
    fn encoded_bytes(&self) -> usize {
        let metadata = self.source.as_ref().map_or(0, |(shard, key)| METADATA_BYTES + escaped(shard) + escaped(key));
        RECORD_BYTES + self.entry.data.len().div_ceil(3) * 4 + metadata
    }
}

/// Most bytes of a text in JSON.
fn escaped(text: &str) -> usize {
    let size = |byte: u8| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(size).sum()
}

/// What waits for a function.
#[derive(Default)]
pub(super) struct Transformer {
    buffer: Vec<Pending>,
    bytes: usize,
    /// Most bytes of the buffer's records in an event.
    encoded: usize,
    since: Option<Time>,
    /// Batches to invoke the function with, in order.
    waiting: VecDeque<Call>,
    /// Batches that the function has, by the ticket of the invocation.
    running: BTreeMap<u64, Call>,
}

struct Call {
    records: Vec<Pending>,
    /// Bytes of the records.
    bytes: usize,
    attempts: u32,
    /// When it was begun, or is to be begun.
    at: Time,
}

/// What a batch became.
#[derive(Default)]
pub(super) struct Transformed {
    /// Records with the partition keys that the function gave them.
    pub records: Vec<(Entry, BTreeMap<String, String>)>,
    /// Records that failed.
    pub failed: GivenUp,
}

impl Transformer {
    /// Adds a record. A buffer that would be too full, or too large for an event of `payload_max` bytes, goes first.
    pub fn push(&mut self, pending: Pending, config: &Transform, payload_max: u64, now: Time) {
        let (bytes, encoded) = (pending.entry.data.len(), pending.encoded_bytes());
        let event = (ENVELOPE_BYTES + self.encoded + encoded) as u64;
        if self.bytes + bytes > config.size_bytes || event > payload_max {
            self.flush(now);
        }
        self.since.get_or_insert(now);
        self.bytes += bytes;
        self.encoded += encoded;
        self.buffer.push(pending);
        if self.bytes >= config.size_bytes {
            self.flush(now);
        }
    }

    fn flush(&mut self, now: Time) {
        if !self.buffer.is_empty() {
            let records = std::mem::take(&mut self.buffer);
            self.waiting.push_back(Call { records, bytes: self.bytes, attempts: 0, at: now });
        }
        (self.bytes, self.encoded, self.since) = (0, 0, None);
    }

    /// Takes out what the function does not have.
    pub fn take(&mut self, now: Time) -> Vec<Entry> {
        self.flush(now);
        std::mem::take(&mut self.waiting).into_iter().flat_map(|call| call.records).map(|it| it.entry).collect()
    }

    /// Records that wait.
    pub fn records(&self) -> u64 {
        let calls = self.waiting.iter().chain(self.running.values());
        (self.buffer.len() + calls.map(|call| call.records.len()).sum::<usize>()) as u64
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        let calls = self.waiting.iter().chain(self.running.values());
        self.bytes + calls.map(|call| call.bytes).sum::<usize>()
    }

    /// When something is to be done, with so many shards.
    pub fn due(&self, config: Option<&Transform>, shards: usize, patience: Duration) -> Option<Time> {
        let buffer = self.since.zip(config).map(|(since, config)| since + config.interval);
        let may_begin = self.running.len() < OUTSTANDING * shards.max(1);
        let next = self.waiting.iter().map(|call| call.at).min().filter(|_| may_begin);
        let late = self.running.values().map(|call| call.at + patience).min();
        [buffer, next, late].into_iter().flatten().min()
    }

    /// Lets a buffer go that is old enough, and gives up on functions that did not answer in time.
    pub fn settle(&mut self, cx: &mut Cx<'_>, config: &Config, patience: Duration) -> Transformed {
        let mut settled = Transformed::default();
        let late = self.running.iter().filter(|(_, call)| call.at + patience <= cx.now);
        let late: Vec<u64> = late.map(|(ticket, _)| *ticket).collect();
        let calls: Vec<Call> = late.iter().filter_map(|ticket| self.running.remove(ticket)).collect();
        let Some(transform) = &config.transform else {
            settled.records = calls.into_iter().flat_map(untransformed).collect();
            return settled;
        };
        if self.since.is_some_and(|since| since + transform.interval <= cx.now) {
            self.flush(cx.now);
        }
        let timed_out = ("Lambda.FunctionRequestTimedOut", "The Lambda function did not answer in time.");
        settled.failed = calls.into_iter().flat_map(|call| self.again(cx, transform, call, timed_out)).collect();
        settled
    }

    /// Invokes the function with what waits. Answers the records that are given up.
    pub fn begin(
        &mut self,
        cx: &mut Cx<'_>,
        functions: &mut dyn Invocations,
        config: &Config,
        shards: usize,
    ) -> GivenUp {
        let Some(transform) = &config.transform else { return Vec::new() };
        let mut failed = Vec::new();
        while self.running.len() < OUTSTANDING * shards.max(1) {
            let Some(place) = self.waiting.iter().position(|call| call.at <= cx.now) else { break };
            let Some(call) = self.waiting.remove(place) else { break };
            let payload = event(cx, config, &call.records);
            match invoke(cx, functions, transform, payload) {
                Ok(ticket) => {
                    self.running.insert(ticket, Call { at: cx.now, ..call });
                }
                Err(error) => {
                    let fields = [("code", error.code.into()), ("message", error.message.as_str().into())];
                    cx.trace.event(Level::Call, cx.now, "firehose", "not-invoked", &config.name, &fields);
                    failed.extend(self.again(cx, transform, call, answer::refused(&error)));
                }
            }
        }
        failed
    }

    /// A batch has failed as a whole: it is tried again, or its records are given up.
    fn again(&mut self, cx: &mut Cx<'_>, transform: &Transform, call: Call, why: (&str, &str)) -> GivenUp {
        let attempts = call.attempts + 1;
        if attempts <= transform.retries {
            self.waiting.push_front(Call { attempts, at: cx.now + PAUSE, ..call });
            return Vec::new();
        }
        let why = self.why(transform, why, attempts);
        call.records.into_iter().map(|it| (it.entry, why.clone())).collect()
    }

    fn why(&self, transform: &Transform, (code, message): (&str, &str), attempts: u32) -> Why {
        Why {
            kind: ErrorType::Processing,
            code: code.to_owned(),
            message: message.to_owned(),
            attempts,
            function: Some(transform.function.clone()),
        }
    }

    /// The function has ended. Nothing when it is none of these invocations.
    pub fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        config: &Config,
        ticket: u64,
        answer: &Answered,
    ) -> Option<Transformed> {
        let call = self.running.remove(&ticket)?;
        let mut transformed = Transformed::default();
        // The function was taken out of the configuration while it ran: unverified.
        let Some(transform) = &config.transform else {
            transformed.records = untransformed(call).collect();
            return Some(transformed);
        };
        let took = u64::try_from(cx.now.since(call.at).as_millis()).unwrap_or(u64::MAX);
        cx.meter.highest("firehose", "ExecuteProcessing.Duration", took);
        let most = cx.limits.get("firehose", "lambda_transform_payload");
        let answer = match answer {
            Ok(body) if body.len() as u64 > most => {
                Err(&NoAnswer::Failed(format!("the response has {} bytes", body.len())))
            }
            other => other.as_ref(),
        };
        let body = match answer {
            Ok(body) => body,
            Err(why) => {
                let text = why.to_string();
                let fields = [("why", text.as_str().into())];
                cx.trace.event(Level::Call, cx.now, "firehose", "function-failed", &config.name, &fields);
                transformed.failed = self.again(cx, transform, call, answer::failed(why));
                return Some(transformed);
            }
        };
        cx.meter.add("firehose", "ExecuteProcessing.Success", 1);
        let attempts = call.attempts + 1;
        let ids: Vec<String> = ids(&call.records).collect();
        let verdicts = answer::verdicts(body, &ids);
        let (mut ok, mut bytes, mut dropped) = (0_u64, 0, 0_u64);
        for (Pending { entry, .. }, verdict) in call.records.into_iter().zip(verdicts) {
            let source_bytes = u64::from(entry.source_bytes);
            match verdict {
                Verdict::Ok(data, keys) => {
                    (ok, bytes) = (ok + 1, bytes + source_bytes);
                    transformed.records.push((Entry { data, ..entry }, keys));
                }
                Verdict::Dropped => (dropped, bytes) = (dropped + 1, bytes + source_bytes),
                Verdict::Failed(code, message) => {
                    transformed.failed.push((entry, self.why(transform, (code, message), attempts)));
                }
            }
        }
        // A record that the function drops is processed successfully (guide: "Data transformation and status model").
        cx.meter.add("firehose", "SucceedProcessing.Records", ok + dropped);
        cx.meter.add("firehose", "SucceedProcessing.Bytes", bytes);
        let failed = transformed.failed.len() as u64;
        let fields = [("ok", ok.into()), ("dropped", dropped.into()), ("failed", failed.into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "transformed", &config.name, &fields);
        Some(transformed)
    }
}

/// The records of a batch as they came.
fn untransformed(call: Call) -> impl Iterator<Item = (Entry, BTreeMap<String, String>)> {
    call.records.into_iter().map(|it| (it.entry, BTreeMap::new()))
}

fn invoke(
    cx: &mut Cx<'_>,
    functions: &mut dyn Invocations,
    transform: &Transform,
    payload: Bytes,
) -> Result<u64, AwsError> {
    let most = cx.limits.get("firehose", "lambda_transform_payload");
    if payload.len() as u64 > most {
        let message = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(AwsError::new("RequestTooLargeException", message).status(413));
    }
    let name = transform.function.rsplit(':').next().unwrap_or_default().to_owned();
    let role = &mut cx.acting_as(&transform.role);
    let ticket =
        role.called("lambda", "Invoke", &name, |cx| functions.invoke_and_wait(cx, &transform.function, payload))?;
    Ok(ticket)
}

/// Record ids: the same at each attempt.
fn ids(records: &[Pending]) -> impl Iterator<Item = String> {
    let id = |(place, it): (usize, &Pending)| format!("{}{place:06}", render_sequence_number(it.entry.sequence_number));
    records.iter().enumerate().map(id)
}

/// The event of an invocation.
fn event(cx: &mut Cx<'_>, config: &Config, records: &[Pending]) -> Bytes {
    let record = |(Pending { entry, source }, id): (&Pending, String)| {
        let arrival = entry.arrival.unix_millis();
        let mut record = json!({
            "recordId": id,
            "approximateArrivalTimestamp": arrival,
            "data": STANDARD.encode(&entry.data),
        });
        if let Some((shard, partition_key)) = source {
            record["kinesisRecordMetadata"] = json!({
                "sequenceNumber": render_sequence_number(entry.sequence_number),
                "subsequenceNumber": entry.sub_sequence_number,
                "partitionKey": &**partition_key,
                "shardId": &**shard,
                "approximateArrivalTimestamp": arrival,
            });
        }
        record
    };
    let records: Vec<Value> = records.iter().zip(ids(records)).map(record).collect();
    let mut event = json!({
        "invocationId": cx.uuid(),
        "deliveryStreamArn": config.arn,
        "region": cx.account.region,
        "records": records,
    });
    if let SourceConfig::Kinesis { described, .. } = &config.source {
        event["sourceKinesisStreamArn"] = json!(described.stream_arn);
    }
    event.to_string().into()
}
