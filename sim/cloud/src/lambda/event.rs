//! The event of a batch: `{"Records":[..]}` as Lambda sends it to a function that reads a Kinesis stream. Written
//! byte by byte, because an event holds up to 10,000 records.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::core::ports::{StreamRecord, render_sequence_number};

const HEAD: &[u8] = b"{\"Records\":[";
const END: &[u8] = b"]}";

/// Digits of a rendered sequence number.
const SEQUENCE_DIGITS: usize = 56;

const KEY: &[u8] = b"{\"kinesis\":{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"";
const SEQUENCE: &[u8] = b"\",\"sequenceNumber\":\"";
const DATA: &[u8] = b"\",\"data\":\"";
const ARRIVAL: &[u8] = b"\",\"approximateArrivalTimestamp\":";
const EVENT_ID: &[u8] = b"},\"eventSource\":\"aws:kinesis\",\"eventVersion\":\"1.0\",\"eventID\":\"";

/// Bytes around the records.
const ENVELOPE_BYTES: usize = HEAD.len() + END.len();

/// Bytes of an event whose records' [`EventTemplate::record_bytes`] sum up to `records_bytes`.
pub(super) const fn event_bytes(records_bytes: usize) -> usize {
    // The last record has no comma behind it.
    ENVELOPE_BYTES + records_bytes - if records_bytes > 0 { 1 } else { 0 }
}

/// What is the same in all records of a mapping.
#[derive(Debug)]
pub(super) struct EventTemplate {
    tail: Vec<u8>,
}

impl EventTemplate {
    /// The template of a mapping: the function's role, the Region and the stream's ARN.
    pub fn new(role_arn: &str, region: &str, stream_arn: &str) -> Self {
        let mut tail = b"\",\"eventName\":\"aws:kinesis:record\",\"invokeIdentityArn\":\"".to_vec();
        write_escaped(&mut tail, role_arn);
        tail.extend_from_slice(b"\",\"awsRegion\":\"");
        write_escaped(&mut tail, region);
        tail.extend_from_slice(b"\",\"eventSourceARN\":\"");
        write_escaped(&mut tail, stream_arn);
        tail.extend_from_slice(b"\"}");
        EventTemplate { tail }
    }

    /// Bytes that a record takes in an event, with the comma behind it.
    pub fn record_bytes(&self, shard_id: &str, record: &StreamRecord) -> usize {
        KEY.len()
            + escaped_len(&record.partition_key)
            + SEQUENCE.len()
            + SEQUENCE_DIGITS
            + DATA.len()
            + record.data.len().div_ceil(3) * 4
            + ARRIVAL.len()
            + seconds_len(record.arrival.unix_millis())
            + EVENT_ID.len()
            + shard_id.len()
            + 1
            + SEQUENCE_DIGITS
            + self.tail.len()
            + 1
    }

    /// The event of `records`, all of one shard, whose [`EventTemplate::record_bytes`] sum up to `records_bytes`.
    pub fn render<'r>(
        &self,
        shard_id: &str,
        records_bytes: usize,
        records: impl Iterator<Item = &'r StreamRecord>,
    ) -> Bytes {
        let mut out = Vec::with_capacity(event_bytes(records_bytes));
        out.extend_from_slice(HEAD);
        for (index, record) in records.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_record(&mut out, shard_id, record);
        }
        out.extend_from_slice(END);
        Bytes::from(out)
    }

    fn write_record(&self, out: &mut Vec<u8>, shard_id: &str, record: &StreamRecord) {
        let sequence_number = render_sequence_number(record.sequence_number);
        out.extend_from_slice(KEY);
        write_escaped(out, &record.partition_key);
        out.extend_from_slice(SEQUENCE);
        out.extend_from_slice(sequence_number.as_bytes());
        out.extend_from_slice(DATA);
        let start = out.len();
        out.resize(start + record.data.len().div_ceil(3) * 4, 0);
        STANDARD.encode_slice(&record.data, &mut out[start..]).expect("the room is the length of the base64 text");
        out.extend_from_slice(ARRIVAL);
        write_seconds(out, record.arrival.unix_millis());
        out.extend_from_slice(EVENT_ID);
        out.extend_from_slice(shard_id.as_bytes());
        out.push(b':');
        out.extend_from_slice(sequence_number.as_bytes());
        out.extend_from_slice(&self.tail);
    }
}

/// Seconds since the epoch with a fraction: 1545084650.987, 1545084650.9, 1545084650.0.
fn write_seconds(out: &mut Vec<u8>, millis: u64) {
    write!(out, "{}.", millis / 1_000).expect("a vector takes every byte");
    let fraction = u32::try_from(millis % 1_000).expect("below 1,000");
    let mut divisor = 100;
    for _ in 0..fraction_digits(millis) {
        out.push(b'0' + u8::try_from(fraction / divisor % 10).expect("one digit"));
        divisor /= 10;
    }
}

fn fraction_digits(millis: u64) -> usize {
    match millis {
        n if n % 10 != 0 => 3,
        n if n % 100 != 0 => 2,
        _ => 1,
    }
}

fn seconds_len(millis: u64) -> usize {
    let digits = (millis / 1_000).checked_ilog10().unwrap_or(0) + 1;
    digits as usize + 1 + fraction_digits(millis)
}

/// Bytes of one character below 0x80 inside a JSON text.
const fn escaped_byte_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0..=0x1f => 6,
        _ => 1,
    }
}

fn escaped_len(text: &str) -> usize {
    text.bytes().map(escaped_byte_len).sum()
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    if escaped_len(text) == text.len() {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..=0x1f => write!(out, "\\u{byte:04x}").expect("a vector takes every byte"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::ports::parse_sequence_number;
    use world::time::Time;

    fn record(key: &str, data: &[u8], sequence_number: u128, millis: u64) -> StreamRecord {
        StreamRecord {
            data: Bytes::copy_from_slice(data),
            partition_key: key.into(),
            sequence_number,
            arrival: Time::from_unix_millis(millis),
        }
    }

    #[test]
    fn an_event_has_the_members_of_the_guide_in_their_order() {
        let template = EventTemplate::new("arn:aws:iam::123456789012:role/r", "eu-west-1", "arn:aws:kinesis:x");
        // Numbers as AWS writes them; the first was recorded (see `core::sequence`).
        let numbers = [
            "49669554613075263284170738169223374761157254194237800450",
            "49669554613075263284170738169224583686976868823412506626",
        ];
        let [one, two] = numbers.map(|text| parse_sequence_number(text).unwrap());
        let records = [record("1", b"Hello", one, 1_545_084_650_987), record("2", b"", two, 1_545_084_711_000)];
        let bytes = records.iter().map(|r| template.record_bytes("shardId-000000000006", r)).sum();
        let event = template.render("shardId-000000000006", bytes, records.iter());
        let expected = |key: &str, n: usize, data: &str, arrival: &str| {
            format!(
                "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"{key}\",\"sequenceNumber\":\"{0}\",\
                 \"data\":\"{data}\",\"approximateArrivalTimestamp\":{arrival}}},\"eventSource\":\"aws:kinesis\",\
                 \"eventVersion\":\"1.0\",\"eventID\":\"shardId-000000000006:{0}\",\"eventName\":\"aws:kinesis:record\",\
                 \"invokeIdentityArn\":\"arn:aws:iam::123456789012:role/r\",\"awsRegion\":\"eu-west-1\",\
                 \"eventSourceARN\":\"arn:aws:kinesis:x\"}}",
                numbers[n]
            )
        };
        let first = expected("1", 0, "SGVsbG8=", "1545084650.987");
        let second = expected("2", 1, "", "1545084711.0");
        assert_eq!(std::str::from_utf8(&event).unwrap(), format!("{{\"Records\":[{first},{second}]}}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn an_event_parses_to_its_records_and_its_size_is_foretold(
            records in prop::collection::vec(
                (".{1,20}", prop::collection::vec(any::<u8>(), 0..50), any::<u128>(), 0..2_000_000_000_000_u64),
                1..5,
            )
        ) {
            let template = EventTemplate::new("role", "region", "arn");
            let records: Vec<StreamRecord> =
                records.iter().map(|(key, data, n, millis)| record(key, data, *n, *millis)).collect();
            let bytes: usize = records.iter().map(|r| template.record_bytes("shard", r)).sum();
            let event = template.render("shard", bytes, records.iter());
            prop_assert_eq!(event.len(), event_bytes(bytes));
            let parsed: serde_json::Value = serde_json::from_slice(&event).unwrap();
            for (record, parsed) in records.iter().zip(parsed["Records"].as_array().unwrap()) {
                let kinesis = &parsed["kinesis"];
                prop_assert_eq!(kinesis["partitionKey"].as_str(), Some(&*record.partition_key));
                let data = STANDARD.decode(kinesis["data"].as_str().unwrap()).unwrap();
                prop_assert_eq!(&data, &record.data);
                let arrival = kinesis["approximateArrivalTimestamp"].as_f64().unwrap();
                prop_assert_eq!((arrival * 1_000.0).round() as u64, record.arrival.unix_millis());
            }
        }
    }
}
