//! `GetShardIterator` and `GetRecords`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::list_shards::hash_key_range;
use super::log::Room;
use super::monitoring::Metric;
use super::shard::{Read, Shard};
use super::stream::Stream;
use super::token::{Kind, Token};
use super::wire::{
    Checks, ITERATOR_CHARS, Text, invalid, parse, put, put_base64, put_string, put_time, shard_not_found, stream_name,
    text, time,
};
use super::{Kinesis, SERVICE};
use crate::core::ports::{ReadBatch, SequenceNumber, ShardCursor, StartingPosition, StreamRecord};
use crate::core::ports::{parse_sequence_number, render_sequence_number};
use crate::core::{AwsError, Cx};
use world::time::Time;
use world::trace::Level;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetShardIteratorInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    #[serde(borrow)]
    shard_iterator_type: Option<Text<'a>>,
    #[serde(borrow)]
    starting_sequence_number: Option<Text<'a>>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetRecordsInput<'a> {
    #[serde(borrow)]
    shard_iterator: Option<Text<'a>>,
    limit: Option<i64>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
}

pub(super) const ITERATOR_TYPES: [&str; 5] =
    ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];

impl Kinesis {
    /// `GetShardIterator`.
    pub(super) fn get_shard_iterator_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: GetShardIteratorInput<'_> = parse("GetShardIterator", body)?;
        let mut checks = Checks::default();
        let shard_id = checks.required(text(&input.shard_id), "shardId").unwrap_or_default();
        let kind = checks.required(text(&input.shard_iterator_type), "shardIteratorType").unwrap_or_default();
        if input.shard_iterator_type.is_some() {
            let known = ITERATOR_TYPES.join(", ");
            let constraint = format_args!("Member must satisfy enum value set: [{known}]");
            checks.value(ITERATOR_TYPES.contains(&kind), kind, "shardIteratorType", constraint);
        }
        checks.name(text(&input.shard_id), "shardId");
        checks.sequence_number(text(&input.starting_sequence_number), "startingSequenceNumber");
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        self.permit(cx, "kinesis:GetShardIterator", name)?;
        let missing = || shard_not_found(shard_id, name, &cx.account.id);
        let stream = self.streams.get_mut(name).ok_or_else(missing)?;
        let index = stream.shard_index(shard_id).ok_or_else(missing)?;
        if stream.shards[index].take_iterator_call(cx.now).is_err() {
            return Err(stream.rate_exceeded(index, &cx.account.id));
        }
        let number = text(&input.starting_sequence_number);
        let offset = start(cx, stream, index, kind, number, input.timestamp.map(time))?;
        let iterator = iterator(cx.now, stream, index, offset);
        Ok(format!(r#"{{"ShardIterator":"{iterator}"}}"#).into_bytes())
    }

    /// `GetRecords`.
    pub(super) fn get_records_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: GetRecordsInput<'_> = parse("GetRecords", body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let text_of_iterator = checks.required(text(&input.shard_iterator), "shardIterator").unwrap_or_default();
        checks.length(text(&input.shard_iterator), "shardIterator", ITERATOR_CHARS);
        checks.range(input.limit, "limit", 1, quotas.read_records_max as i64);
        checks.stream(None, text(&input.stream_arn));
        checks.finish()?;
        let token = Token::decode(text_of_iterator, Kind::Iterator).ok_or_else(|| invalid("Invalid ShardIterator."))?;
        check_age(cx.now, &token, quotas.iterator_lifetime_secs)?;
        self.permit(cx, "kinesis:GetRecords", &token.stream)?;
        let shard_id = format!("shardId-{:012}", token.shard);
        let missing = || shard_not_found(&shard_id, &token.stream, &cx.account.id);
        let stream = self.streams.get_mut(&*token.stream).filter(|stream| stream.is_usable());
        let stream = stream.ok_or_else(missing)?;
        if stream.created != token.stream_created || text(&input.stream_arn).is_some_and(|arn| arn != stream.arn) {
            return Err(invalid("Invalid ShardIterator."));
        }
        let index = stream.shard_index(&shard_id).ok_or_else(missing)?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(quotas.read_records_max);
        let room = Room { records: limit, bytes: quotas.read_bytes_max };
        let read = read(cx, stream, index, token.offset, room)?;
        Ok(render(cx.now, stream, index, &read))
    }

    /// Where a consumer of the account that begins at `start` stands. A shard that has expired has nothing to read.
    pub(super) fn cursor_at(
        &self,
        cx: &Cx<'_>,
        stream: &str,
        shard_id: &str,
        start: StartingPosition,
    ) -> Result<ShardCursor, AwsError> {
        let missing = || shard_not_found(shard_id, stream, &cx.account.id);
        let stream = self.find(stream).ok_or_else(missing)?;
        let shard = &stream.shards[stream.known_index(shard_id).ok_or_else(missing)?];
        // A log forgets by whole segments: its first record may be too old to be read.
        let since = |time: Time| shard.log.first_since(time.max(stream.cutoff(cx.now))).max(shard.log.first());
        let offset = match start {
            StartingPosition::TrimHorizon => since(Time::EPOCH),
            StartingPosition::Latest => shard.log.end(),
            StartingPosition::AtTimestamp(time) => since(time),
        };
        Ok(ShardCursor { stream: stream.name.clone(), shard_id: shard.id.clone(), offset })
    }

    /// The records from a cursor on. Once its shard has expired, the consumer is at its end.
    pub(super) fn read_at(
        &mut self,
        cx: &mut Cx<'_>,
        cursor: &ShardCursor,
        limit: usize,
    ) -> Result<ReadBatch, AwsError> {
        let quotas = self.quotas(cx);
        let missing = || shard_not_found(&cursor.shard_id, &cursor.stream, &cx.account.id);
        let stream = self.streams.get_mut(&cursor.stream).filter(|stream| stream.is_usable());
        let stream = stream.ok_or_else(missing)?;
        let index = stream.known_index(&cursor.shard_id).ok_or_else(missing)?;
        let room = Room { records: limit.min(quotas.read_records_max), bytes: quotas.read_bytes_max };
        let Read { records, next, millis_behind_latest, at_end, .. } = read(cx, stream, index, cursor.offset, room)?;
        let first = next - records.len() as u64;
        let next = (!at_end).then(|| ShardCursor { offset: next, ..cursor.clone() });
        Ok(ReadBatch { records, first, next, millis_behind_latest })
    }
}

/// Reads, counts and traces.
fn read(cx: &mut Cx<'_>, stream: &mut Stream, index: usize, from: u64, room: Room) -> Result<Read, AwsError> {
    let cutoff = stream.cutoff(cx.now);
    let Ok(read) = stream.shards[index].read(cx.now, from, cutoff, room) else {
        cx.meter.add(SERVICE, "ReadProvisionedThroughputExceeded", 1);
        if let Some(metrics) = &mut stream.shards[index].metrics {
            metrics.add(Metric::ReadProvisionedThroughputExceeded, 1);
        }
        let fields = [("shard", index.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "GetRecords throttled", &stream.name, &fields);
        return Err(stream.rate_exceeded(index, &cx.account.id));
    };
    if let (Some(oldest), Some(newest)) = (read.records.first(), read.records.last()) {
        stream.encryption.may_read(cx, &stream.arn, oldest.arrival, newest.arrival)?;
        count_read(cx, stream, index, &read, newest.arrival);
        let fields = [
            ("shard", index.into()),
            ("next", read.next.into()),
            ("records", read.records.len().into()),
            ("bytes", read.bytes.into()),
        ];
        cx.trace.event(Level::Call, cx.now, SERVICE, "GetRecords", &stream.name, &fields);
    }
    Ok(read)
}

/// Counts what was read.
fn count_read(cx: &mut Cx<'_>, stream: &mut Stream, index: usize, read: &Read, newest: Time) {
    let (records, age) = (read.records.len() as u64, cx.now.unix_millis().saturating_sub(newest.unix_millis()));
    cx.meter.add(SERVICE, "OutgoingRecords", records);
    cx.meter.add(SERVICE, "OutgoingBytes", read.bytes);
    cx.meter.add(SERVICE, "GetRecords.Records", records);
    cx.meter.add(SERVICE, "GetRecords.Bytes", read.bytes);
    cx.meter.add(SERVICE, "GetRecords.IteratorAgeMilliseconds", age);
    if stream.on_demand.is_some() {
        cx.meter.add(SERVICE, "ondemand_data_out_bytes", read.bytes);
    }
    if let Some(metrics) = &mut stream.shards[index].metrics {
        metrics.add(Metric::OutgoingRecords, records);
        metrics.add(Metric::OutgoingBytes, read.bytes);
        metrics.add(Metric::IteratorAgeMilliseconds, age);
    }
}

fn iterator(now: Time, stream: &Stream, shard: usize, offset: u64) -> String {
    let (shard, stream_created) = (stream.shards[shard].index, stream.created);
    Token { kind: Kind::Iterator, issued: now, stream: stream.name.to_string(), stream_created, shard, offset }.encode()
}

fn check_age(now: Time, token: &Token, lifetime_secs: u64) -> Result<(), AwsError> {
    let lifetime = std::time::Duration::from_secs(lifetime_secs);
    if now.since(token.issued) <= lifetime {
        return Ok(());
    }
    let date = |time: Time| time.to_datetime().format("%a %b %d %H:%M:%S UTC %Y").to_string();
    let message = format!(
        "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future \
         than the tolerated delay of {} milliseconds.",
        date(token.issued),
        date(now),
        lifetime.as_millis()
    );
    Err(AwsError::new("ExpiredIteratorException", message))
}

/// The offset at which an iterator or a subscription begins.
pub(super) fn start(
    cx: &Cx<'_>,
    stream: &Stream,
    index: usize,
    kind: &str,
    number: Option<&str>,
    timestamp: Option<Time>,
) -> Result<u64, AwsError> {
    let log = &stream.shards[index].log;
    match (kind, number, timestamp) {
        ("TRIM_HORIZON", None, _) => Ok(log.first()),
        ("LATEST", None, _) => Ok(log.end()),
        ("AT_SEQUENCE_NUMBER", Some(number), _) => offset_of(cx, stream, index, number).map(|(offset, _)| offset),
        ("AFTER_SEQUENCE_NUMBER", Some(number), _) => offset_of(cx, stream, index, number).map(|(_, after)| after),
        ("AT_TIMESTAMP", None, Some(timestamp)) if timestamp <= cx.now => Ok(log.first_since(timestamp)),
        ("AT_TIMESTAMP", None, Some(timestamp)) => Err(invalid(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {}, currentTimestampInMillis: {}",
            timestamp.unix_millis(),
            cx.now.unix_millis()
        ))),
        ("AT_TIMESTAMP", None, None) => Err(invalid(
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
             timestamp parameter.",
        )),
        _ => {
            let what = if number.is_some() { "also a" } else { "no" };
            Err(invalid(format!(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
                 TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {what} \
                 StartingSequenceNumber."
            )))
        }
    }
}

/// The offset of the record with a sequence number, and the one after it. Texts as kinesalite recorded them from AWS.
fn offset_of(cx: &Cx<'_>, stream: &Stream, index: usize, text: &str) -> Result<(u64, u64), AwsError> {
    let shard = &stream.shards[index];
    let refused = |why: &str| {
        let (id, name, account) = (&shard.id, &stream.name, &cx.account.id);
        let used = format!("StartingSequenceNumber {text} used in GetShardIterator on shard {id} in stream {name}");
        invalid(format!("{used} under account {account} is invalid{why}."))
    };
    let number = parse_sequence_number(text).map(SequenceNumber::unpack).ok_or_else(|| refused(""))?;
    if number.shard != shard.index {
        let message = "Invalid StartingSequenceNumber. It encodes shardId-";
        let rest = "while it was used in a call to a shard with";
        return Err(invalid(format!("{message}{:012}, {rest} {}", number.shard, shard.id)));
    }
    let offset = shard.offset(number).ok_or_else(|| refused(" because it did not come from this stream"))?;
    Ok((offset, offset + u64::from(number.ordinal > 0)))
}

/// An answer. At the end of a closed shard it names the children in place of a further iterator.
fn render(now: Time, stream: &Stream, shard: usize, read: &Read) -> Vec<u8> {
    let size: usize =
        read.records.iter().map(|record| record.data.len() / 3 * 4 + record.partition_key.len() + 200).sum();
    let mut out = Vec::with_capacity(size + 512);
    put!(&mut out, r#"{{"MillisBehindLatest":{},"#, read.millis_behind_latest);
    if read.at_end {
        put!(&mut out, r#""ChildShards":{},"#, children(stream, shard));
    } else {
        put!(&mut out, r#""NextShardIterator":"{}","#, iterator(now, stream, shard, read.next));
    }
    out.extend_from_slice(br#""Records":["#);
    put_records(&mut out, stream, &read.records);
    out.extend_from_slice(b"]}");
    out
}

/// Appends records, with commas between them.
pub(super) fn put_records(out: &mut Vec<u8>, stream: &Stream, records: &[StreamRecord]) {
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"ApproximateArrivalTimestamp":"#);
        put_time(out, record.arrival);
        if stream.encryption.key_at(record.arrival).is_some() {
            out.extend_from_slice(br#","EncryptionType":"KMS""#);
        }
        out.extend_from_slice(br#","Data":"#);
        put_base64(out, &record.data);
        out.extend_from_slice(br#","PartitionKey":"#);
        put_string(out, &record.partition_key);
        put!(out, r#","SequenceNumber":"{}"}}"#, render_sequence_number(record.sequence_number));
    }
}

pub(super) fn children(stream: &Stream, shard: usize) -> Value {
    let id = &stream.shards[shard].id;
    let children = stream.visible_shards(shard).filter(|(_, child)| child.parents.contains(id));
    let describe = |(_, child): (usize, &Shard)| {
        let parents: Vec<&str> = child.parents.iter().map(|parent| &**parent).collect();
        json!({"ShardId": &*child.id, "ParentShards": parents, "HashKeyRange": hash_key_range(child)})
    };
    children.map(describe).collect()
}
