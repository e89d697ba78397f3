//! The event of a Kinesis event source mapping (Lambda guide, "Using Lambda with Kinesis"): only what is needed of it.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::function::FunctionError;

/// A batch of records of one shard, in their order.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event<'a> {
    #[serde(borrow)]
    pub records: Vec<Record<'a>>,
}

/// A record.
#[derive(Debug, Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    pub kinesis: Kinesis<'a>,
    /// `{shard id}:{sequence number}`.
    #[serde(rename = "eventID", borrow)]
    pub event_id: Cow<'a, str>,
    /// ARN of the stream, or of its consumer.
    #[serde(rename = "eventSourceARN", borrow, default)]
    pub event_source_arn: Cow<'a, str>,
}

/// What Kinesis says of a record.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kinesis<'a> {
    #[serde(borrow)]
    pub sequence_number: Cow<'a, str>,
    #[serde(borrow, default)]
    pub partition_key: Cow<'a, str>,
    /// In base64.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
}

/// The records' data, one after the other in one buffer.
#[derive(Debug)]
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Payloads {
    /// The data of each record, in the batch's order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.bytes[range.clone()])
    }
}

impl<'a> Event<'a> {
    /// Parses an event.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FunctionError> {
        serde_json::from_slice(bytes).map_err(|error| FunctionError::Event(error.to_string()))
    }

    /// Decodes the records' data.
    pub fn payloads(&self) -> Result<Payloads, FunctionError> {
        let encoded: usize = self.records.iter().map(|record| record.kinesis.data.len()).sum();
        let mut payloads =
            Payloads { bytes: Vec::with_capacity(encoded / 4 * 3 + 3), ranges: Vec::with_capacity(self.records.len()) };
        for record in &self.records {
            let start = payloads.bytes.len();
            STANDARD.decode_vec(record.kinesis.data.as_bytes(), &mut payloads.bytes).map_err(|error| {
                FunctionError::Event(format!(
                    "the data of record {} is not base64: {error}",
                    record.kinesis.sequence_number
                ))
            })?;
            payloads.ranges.push(start..payloads.bytes.len());
        }
        Ok(payloads)
    }

    /// The shard that the batch comes from; empty when the batch is.
    pub fn shard_id(&self) -> &str {
        self.records.first().map_or("", |first| first.event_id.split(':').next().unwrap_or(""))
    }

    /// Name of the stream that the batch comes from.
    pub fn stream(&self) -> Result<&str, FunctionError> {
        let arn = self.records.first().map_or("", |first| &*first.event_source_arn);
        let name =
            arn.split_once(":stream/").and_then(|(_, name)| name.split('/').next()).filter(|name| !name.is_empty());
        name.ok_or_else(|| FunctionError::Event(format!("{arn:?} is not the ARN of a stream")))
    }
}

/// What the event source mapping is answered: from where the batch is to be delivered again, if anywhere.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<'a> {
    batch_item_failures: Vec<ItemFailure<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure<'a> {
    item_identifier: &'a str,
}

impl<'a> Answer<'a> {
    /// The whole batch is done.
    pub fn done() -> Self {
        Answer { batch_item_failures: Vec::new() }
    }

    /// Everything before this sequence number is done; the rest must come again.
    pub fn again_from(sequence_number: &'a str) -> Self {
        Answer { batch_item_failures: vec![ItemFailure { item_identifier: sequence_number }] }
    }

    /// The answer as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are valid JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"Records": [{
        "kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "pump-1", "sequenceNumber": "495",
            "data": "eyJzZXEiOjF9", "approximateArrivalTimestamp": 1545084650.987},
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": "shardId-000000000006:495",
        "eventName": "aws:kinesis:record", "awsRegion": "eu-west-1",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/r", "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/enriched"}]}"#;

    #[test]
    fn the_needed_members_are_taken_from_an_event() {
        let event = Event::parse(EVENT.as_bytes()).unwrap();
        assert_eq!(event.shard_id(), "shardId-000000000006");
        assert_eq!(event.stream().unwrap(), "enriched");
        let consumer = EVENT.replace("stream/enriched", "stream/enriched/consumer/c:1");
        assert_eq!(Event::parse(consumer.as_bytes()).unwrap().stream().unwrap(), "enriched");
        let other = EVENT.replace(":stream/", ":topic/");
        assert!(Event::parse(other.as_bytes()).unwrap().stream().is_err());
        assert_eq!(event.records[0].kinesis.sequence_number, "495");
        assert_eq!(event.records[0].kinesis.partition_key, "pump-1");
        assert!(matches!(event.records[0].kinesis.data, Cow::Borrowed(_)), "nothing is copied");
        let payloads = event.payloads().unwrap();
        assert_eq!(payloads.iter().collect::<Vec<_>>(), [br#"{"seq":1}"#]);
    }

    #[test]
    fn what_no_event_source_mapping_sends_fails_the_invocation() {
        for (text, expected) in [
            ("{}".to_owned(), "Records"),
            ("[".to_owned(), "EOF"),
            (EVENT.replace("eyJzZXEiOjF9", "not base64!"), "record 495 is not base64"),
        ] {
            let result = Event::parse(text.as_bytes()).and_then(|event| event.payloads().map(|_| ()));
            let error = result.expect_err(&text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn answers_have_the_shape_that_lambda_reads() {
        assert_eq!(Answer::done().to_json(), br#"{"batchItemFailures":[]}"#);
        assert_eq!(Answer::again_from("495").to_json(), br#"{"batchItemFailures":[{"itemIdentifier":"495"}]}"#);
    }
}
