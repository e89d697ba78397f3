//! Objects of the quarantine, and the records in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::quarantine::PREFIX;
use super::filter::{DETECTION_FAILED, FUNCTION_FAILED};
use crate::transform::batch::Event;

/// Where Lambda keeps batches that it gave up (Lambda guide, "Retain discarded batch records for a Kinesis Data Streams event
/// source": `aws/lambda/{mapping}/{shard}/{yyyy}/{MM}/{dd}/{time}-{random}`).
pub(super) const LAMBDA_PREFIX: &str = "aws/lambda/";
/// Below it lie events of asynchronous invocations, which are no batches.
const ASYNCHRONOUS: &str = "aws/lambda/async/";

/// A record that the platform set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Line of the object, or position in the batch, from 1.
    pub line: usize,
    /// Code of the reason; [`FUNCTION_FAILED`] or [`DETECTION_FAILED`] for a record of a batch that Lambda gave up.
    pub reason: String,
    /// What exactly was found.
    pub detail: String,
    /// With the sequence number, the record's identity.
    pub shard_id: String,
    /// See above.
    pub sequence_number: String,
    /// Key with which it was in the stream.
    pub partition_key: Option<String>,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Tenant, as its bytes tell.
    pub tenant: Option<String>,
    /// Device, as its bytes tell.
    pub device: Option<String>,
    /// Sequence number of the device, as its bytes tell.
    pub seq: Option<u64>,
}

/// What an object says that cannot be used: in which line, and what.
pub(super) type Unreadable = (Option<usize>, String);

/// What is in an object.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub records: Vec<Kept>,
    pub unreadable: Vec<Unreadable>,
}

/// A line of an object that the enrichment wrote.
#[derive(Deserialize)]
struct Line {
    reason: String,
    #[serde(default)]
    detail: String,
    shard_id: String,
    sequence_number: String,
    #[serde(default)]
    partition_key: Option<String>,
    data: String,
}

/// What Lambda writes of a batch that it gave up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenUp<'a> {
    #[serde(borrow)]
    request_context: Option<RequestContext<'a>>,
    #[serde(borrow, rename = "KinesisBatchInfo")]
    batch: Option<BatchInfo<'a>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RequestContext<'a> {
    #[serde(borrow, default)]
    condition: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo<'a> {
    #[serde(borrow)]
    stream_arn: std::borrow::Cow<'a, str>,
}

/// What a record's bytes tell of whose it is. Each member may be anything.
#[derive(Deserialize)]
struct Whose {
    tenant_id: Option<serde_json::Value>,
    device_id: Option<serde_json::Value>,
    seq: Option<serde_json::Value>,
}

/// Whether an object holds records that were set aside.
pub(super) fn is_kept(key: &str) -> bool {
    key.starts_with(&format!("{PREFIX}/")) || (key.starts_with(LAMBDA_PREFIX) && !key.starts_with(ASYNCHRONOUS))
}

/// Reads an object. The records in batches of other streams than `raw_stream` have been through the enrichment: their reason
/// is [`DETECTION_FAILED`].
pub(super) fn read(key: &str, body: &[u8], raw_stream: &str) -> Content {
    if key.starts_with(LAMBDA_PREFIX) { given_up(body, raw_stream) } else { lines(body) }
}

fn lines(body: &[u8]) -> Content {
    let mut content = Content::default();
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty()) {
        let parsed = serde_json::from_slice::<Line>(line).map_err(|error| format!("the line is no record: {error}"));
        let record = parsed.and_then(|line| {
            let data = STANDARD.decode(&line.data).map_err(|error| format!("`data` is not base64: {error}"))?;
            let Line { reason, detail, shard_id, sequence_number, partition_key, .. } = line;
            Ok(Kept::new(number, (reason, detail), (shard_id, sequence_number), partition_key, data))
        });
        match record {
            Ok(record) => content.records.push(record),
            Err(problem) => content.unreadable.push((Some(number), problem)),
        }
    }
    content
}

fn given_up(body: &[u8], raw_stream: &str) -> Content {
    let all = |problem: String| Content { records: Vec::new(), unreadable: vec![(None, problem)] };
    let found: GivenUp<'_> = match serde_json::from_slice(body) {
        Ok(found) => found,
        Err(error) => return all(format!("this is no record of an invocation: {error}")),
    };
    let Some(batch) = found.batch else { return all("it names no batch of Kinesis".to_owned()) };
    let Some(payload) = found.payload else {
        return all("it has no `payload`, so the records are not in it".to_owned());
    };
    // AWS writes the event as a text.
    let text =
        if payload.get().starts_with('"') { serde_json::from_str(payload.get()) } else { Ok(payload.get().to_owned()) };
    let text: String = match text {
        Ok(text) => text,
        Err(error) => return all(format!("`payload` is no text: {error}")),
    };
    let event = match Event::parse(text.as_bytes()) {
        Ok(event) => event,
        Err(error) => return all(format!("`payload` is no event: {error}")),
    };
    let condition = found.request_context.map_or_else(String::new, |context| context.condition.into_owned());
    let stream = batch.stream_arn.rsplit('/').next().unwrap_or_default();
    let (reason, detail) = if stream == raw_stream {
        (FUNCTION_FAILED, condition)
    } else {
        (
            DETECTION_FAILED,
            format!("{condition}, of the stream {stream}: the reading is in the lake, its detection is missing"),
        )
    };
    let mut content = Content::default();
    for (number, record) in (1..).zip(&event.records) {
        let shard_id = record.event_id.split(':').next().unwrap_or_default().to_owned();
        let kinesis = &record.kinesis;
        match STANDARD.decode(kinesis.data.as_bytes()) {
            Ok(data) => {
                let why = (reason.to_owned(), detail.clone());
                let key = Some(kinesis.partition_key.clone().into_owned());
                let identity = (shard_id, kinesis.sequence_number.clone().into_owned());
                content.records.push(Kept::new(number, why, identity, key, data));
            }
            Err(error) => content.unreadable.push((Some(number), format!("the record's data is not base64: {error}"))),
        }
    }
    content
}

impl Kept {
    fn new(
        line: usize,
        (reason, detail): (String, String),
        (shard_id, sequence_number): (String, String),
        partition_key: Option<String>,
        data: Vec<u8>,
    ) -> Self {
        let whose = serde_json::from_slice(&data).unwrap_or(Whose { tenant_id: None, device_id: None, seq: None });
        let text = |value: Option<serde_json::Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        Kept {
            line,
            reason,
            detail,
            shard_id,
            sequence_number,
            partition_key,
            data,
            tenant: text(whose.tenant_id),
            device: text(whose.device_id),
            seq: whose.seq.and_then(|seq| seq.as_u64()),
        }
    }

    /// The key with which it goes into the stream again: that with which it came, else its device, which the rule takes for
    /// a key. Nothing when neither is known.
    pub fn key(&self) -> Option<&str> {
        let [arrived, device] =
            [&self.partition_key, &self.device].map(|key| key.as_deref().filter(|key| !key.is_empty()));
        arrived.or(device)
    }

    /// Whether it may go into the raw stream: not when it has been through the enrichment, because its bytes are what came
    /// out of it.
    pub fn is_replayable(&self) -> bool {
        self.reason != DETECTION_FAILED
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const READING: &str = r#"{"seq":7,"ts":1,"tenant_id":"acme","device_id":"pump-1"}"#;

    fn line(data: &str, partition_key: Option<&str>) -> String {
        let mut line = json!({
            "reason": "ts-out-of-range", "detail": "ts is 1", "shard_id": "shardId-000000000003",
            "sequence_number": "1001", "data": STANDARD.encode(data),
        });
        if let Some(key) = partition_key {
            line["partition_key"] = key.into();
        }
        line.to_string()
    }

    #[test]
    fn lines_are_records_and_what_is_no_line_is_named() {
        let lines = [line(READING, None), "{}".to_owned(), String::new(), line("junk", Some("k")), line("junk", None)];
        let body = [lines.as_slice(), &[line(READING, Some("")), line("junk", Some(""))]].concat().join("\n");
        let Content { records, unreadable } = read("quarantine/x.ndjson", body.as_bytes(), "raw");
        let keys: Vec<_> = records.iter().map(|kept| (kept.line, kept.key())).collect();
        assert_eq!(keys, [(1, Some("pump-1")), (4, Some("k")), (5, None), (6, Some("pump-1")), (7, None)]);
        let first = &records[0];
        assert_eq!(
            (first.tenant.as_deref(), first.device.as_deref(), first.seq),
            (Some("acme"), Some("pump-1"), Some(7))
        );
        assert_eq!((first.data.as_slice(), first.reason.as_str()), (READING.as_bytes(), "ts-out-of-range"));
        assert!(matches!(&unreadable[..], [(Some(2), why)] if why.contains("`reason`")), "{unreadable:?}");
        let damaged = line(READING, None).replace("\"data\":\"", "\"data\":\"!");
        let Content { records, unreadable } = read("quarantine/x.ndjson", damaged.as_bytes(), "raw");
        assert!(records.is_empty() && unreadable[0].1.contains("base64"), "{unreadable:?}");
    }

    #[test]
    fn a_batch_that_lambda_gave_up_is_read_from_its_event() {
        let record = json!({
            "kinesis": {"partitionKey": "pump-1", "sequenceNumber": "495", "data": STANDARD.encode(READING)},
            "eventID": "shardId-000000000006:495",
        });
        let event = json!({ "Records": [record] });
        let given_up = |stream: &str, payload: serde_json::Value| {
            json!({
                "requestContext": {"requestId": "r", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 2},
                "version": "1.0", "timestamp": "2026-03-01T00:00:00.000Z",
                "KinesisBatchInfo": {"shardId": "shardId-000000000006", "streamArn": format!("arn:aws:kinesis:x:1:stream/{stream}")},
                "payload": payload,
            })
            .to_string()
        };
        let key = "aws/lambda/u/shardId-000000000006/2026/03/01/t";
        for payload in [json!(event.to_string()), event.clone()] {
            let Content { records, unreadable } = read(key, given_up("raw", payload).as_bytes(), "raw");
            assert!(unreadable.is_empty(), "{unreadable:?}");
            let kept = &records[0];
            assert!(kept.is_replayable());
            assert_eq!((kept.reason.as_str(), kept.detail.as_str()), (FUNCTION_FAILED, "RetryAttemptsExhausted"));
            assert_eq!((kept.shard_id.as_str(), kept.sequence_number.as_str()), ("shardId-000000000006", "495"));
            assert_eq!((kept.key(), kept.data.as_slice()), (Some("pump-1"), READING.as_bytes()));
        }
        let Content { records, .. } = read(key, given_up("enriched", event).as_bytes(), "raw");
        let kept = &records[0];
        assert!(!kept.is_replayable() && kept.detail.contains("of the stream enriched"), "{kept:?}");
        assert_eq!((kept.reason.as_str(), kept.device.as_deref()), (DETECTION_FAILED, Some("pump-1")));
        for (body, expected) in [
            (given_up("raw", json!(null)), "no `payload`"),
            (given_up("raw", json!("[")), "no event"),
            ("{}".to_owned(), "no batch of Kinesis"),
            ("x".to_owned(), "no record of an invocation"),
        ] {
            let Content { records, unreadable } = read(key, body.as_bytes(), "raw");
            assert!(records.is_empty() && unreadable[0].1.contains(expected), "{unreadable:?}");
        }
    }

    #[test]
    fn only_what_was_set_aside_is_looked_at() {
        for (key, expected) in [
            ("quarantine/shardId-1/1-2-x.ndjson", true),
            ("aws/lambda/u/shardId-1/2026/03/01/t", true),
            ("aws/lambda/async/f/2026/03/01/t", false),
            ("replayed/quarantine/shardId-1/1-2-x.ndjson", false),
            ("processed/2026/03/01/00/x.parquet", false),
        ] {
            assert_eq!(is_kept(key), expected, "{key}");
        }
    }
}
