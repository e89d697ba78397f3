//! `PutRecord` and `PutRecords`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::quotas::Quotas;
use super::routing::hash_key;
use super::stream::{Accepted, Stream};
use super::wire::{Checks, Text, invalid, parse, put, stream_name, text};
use super::{Kinesis, SERVICE};
use crate::core::ports::{parse_sequence_number, render_sequence_number};
use crate::core::{AwsError, Cx};
use world::mark;
use world::trace::Level;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecordInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
    #[serde(borrow)]
    sequence_number_for_ordering: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecordsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    records: Option<Vec<EntryInput<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EntryInput<'a> {
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

/// What was done with the records of one call.
#[derive(Default)]
struct Counts {
    records: u64,
    bytes: u64,
    throttled: u64,
    /// Refused for another reason than a rate.
    failed: u64,
}

/// Why a record of a call was not taken.
enum EntryRefused {
    /// The rate of the shard with this index.
    Rate(usize),
    /// A fault of the service.
    Fault(AwsError),
}

impl Counts {
    fn accept(&mut self, key: &str, data: &[u8]) {
        self.records += 1;
        self.bytes += (key.len() + data.len()) as u64;
    }

    fn meter(&self, cx: &mut Cx<'_>) {
        cx.meter.add(SERVICE, "IncomingRecords", self.records);
        cx.meter.add(SERVICE, "IncomingBytes", self.bytes);
        if self.throttled > 0 {
            cx.meter.add(SERVICE, "WriteProvisionedThroughputExceeded", self.throttled);
        }
    }

    /// The metrics of PutRecords as an operation.
    fn meter_call(&self, cx: &mut Cx<'_>) {
        let total = self.records + self.throttled + self.failed;
        for (name, value) in [
            ("PutRecords.Bytes", self.bytes),
            ("PutRecords.Success", u64::from(self.records > 0)),
            ("PutRecords.TotalRecords", total),
            ("PutRecords.SuccessfulRecords", self.records),
            ("PutRecords.FailedRecords", self.failed),
            ("PutRecords.ThrottledRecords", self.throttled),
        ] {
            cx.meter.add(SERVICE, name, value);
        }
    }
}

impl Kinesis {
    /// Puts one record into the shard that owns its partition key.
    pub(super) fn put_one(
        &mut self,
        cx: &mut Cx<'_>,
        stream: &str,
        key: &str,
        data: Bytes,
    ) -> Result<(Arc<str>, u128), AwsError> {
        let mut checks = Checks::default();
        let quotas = self.quotas(cx);
        check_entry(&mut checks, &quotas, "", key, data.len());
        checks.finish()?;
        self.permit(cx, "kinesis:PutRecord", stream)?;
        let stream = self.writable(cx, stream)?;
        check_sizes(stream, [("", key.len() + data.len())])?;
        stream.encryption.may_write(cx, &stream.arn)?;
        put_into(cx, &quotas, stream, hash_key(key), key, data)
    }

    /// `PutRecord`.
    pub(super) fn put_record_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: PutRecordInput<'_> = parse("PutRecord", body)?;
        let mut decoded = Vec::new();
        let mut checks = Checks::default();
        let data = checks.required(text(&input.data), "data");
        let key = checks.required(text(&input.partition_key), "partitionKey").unwrap_or_default();
        let length = data.map(|data| decode(data, &mut decoded)).transpose()?.unwrap_or(0);
        let quotas = self.quotas(cx);
        if input.partition_key.is_some() {
            check_entry(&mut checks, &quotas, "", key, length);
        }
        check_hash_key(&mut checks, "explicitHashKey", text(&input.explicit_hash_key));
        checks.name(text(&input.stream_name), "streamName");
        checks.finish()?;
        let hash = hash_of(key, text(&input.explicit_hash_key))?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        self.permit(cx, "kinesis:PutRecord", name)?;
        let stream = self.writable(cx, name)?;
        check_sizes(stream, [("", key.len() + length)])?;
        check_ordering(cx, stream, text(&input.sequence_number_for_ordering))?;
        let encrypted = encryption_type(stream.encryption.may_write(cx, &stream.arn)?);
        let (shard, sequence) = put_into(cx, &quotas, stream, hash, key, decoded.into())?;
        let number = render_sequence_number(sequence);
        let mut out = Vec::with_capacity(160);
        put!(&mut out, r#"{{{encrypted}"ShardId":"{shard}","SequenceNumber":"{number}"}}"#);
        Ok(out)
    }

    /// `PutRecords`: each record is accepted or refused by itself, in the order of the request.
    pub(super) fn put_records_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: PutRecordsInput<'_> = parse("PutRecords", body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let entries = checks.required(input.records.as_deref(), "records").unwrap_or_default();
        if input.records.is_some() {
            check_length(&mut checks, &quotas, entries.len());
        }
        let data = check_entries(&mut checks, &quotas, entries)?;
        checks.name(text(&input.stream_name), "streamName");
        checks.finish()?;
        let hashes = entries.iter().map(|entry| hash_of(entry.key(), text(&entry.explicit_hash_key)));
        let hashes = hashes.collect::<Result<Vec<u128>, AwsError>>()?;
        let keys: usize = entries.iter().map(|entry| entry.key().len()).sum();
        let bytes = keys + data.iter().map(Bytes::len).sum::<usize>();
        if bytes > quotas.put_bytes_max {
            // Recorded with 5 MB when that was the limit.
            return Err(invalid(format!("Records size exceeds {} MB limit", quotas.put_bytes_max >> 20)));
        }
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        self.permit(cx, "kinesis:PutRecords", name)?;
        let stream = self.writable(cx, name)?;
        let path = |number: usize| EntryPath { number: number + 1 };
        let sizes = entries.iter().zip(&data).enumerate();
        check_sizes(stream, sizes.map(|(number, (entry, data))| (path(number), entry.key().len() + data.len())))?;
        let encrypted = stream.encryption.may_write(cx, &stream.arn)?;
        let mut counts = Counts::default();
        let mut results = Vec::with_capacity(entries.len());
        for ((entry, data), hash) in entries.iter().zip(data).zip(hashes) {
            let result = match cx.entry_disturbed(SERVICE, "PutRecords", name) {
                Some(error) => Err(EntryRefused::Fault(error)),
                None => {
                    let put = stream.put(cx, hash, entry.key(), data.clone());
                    put.map_err(|(shard, _)| EntryRefused::Rate(shard))
                }
            };
            match &result {
                Ok(Accepted { shard, .. }) => {
                    counts.accept(entry.key(), &data);
                    stream.tell(cx, &quotas, *shard, (entry.key().len() + data.len()) as u64);
                }
                Err(EntryRefused::Fault(error)) if !error.is_throttle() => counts.failed += 1,
                Err(_) => counts.throttled += 1,
            }
            results.push(result);
        }
        counts.meter(cx);
        counts.meter_call(cx);
        let failed = counts.throttled + counts.failed;
        if failed > 0 && counts.records > 0 {
            cx.trace.mark(cx.now, mark::PARTIAL_PUT, &stream.name);
        }
        let fields = [("records", counts.records.into()), ("failed", failed.into()), ("bytes", counts.bytes.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "PutRecords", &stream.name, &fields);
        Ok(render_results(stream, &cx.account.id, &results, failed, encrypted))
    }
}

impl EntryInput<'_> {
    fn key(&self) -> &str {
        text(&self.partition_key).unwrap_or_default()
    }
}

/// Puts a record and counts it.
fn put_into(
    cx: &mut Cx<'_>,
    quotas: &Quotas,
    stream: &mut Stream,
    hash: u128,
    key: &str,
    data: Bytes,
) -> Result<(Arc<str>, u128), AwsError> {
    let mut counts = Counts::default();
    let result = stream.put(cx, hash, key, data.clone());
    match result {
        Ok(Accepted { shard, .. }) => {
            counts.accept(key, &data);
            cx.meter.add(SERVICE, "PutRecord.Bytes", counts.bytes);
            cx.meter.add(SERVICE, "PutRecord.Success", 1);
            stream.tell(cx, quotas, shard, counts.bytes);
        }
        Err((shard, _)) => {
            counts.throttled = 1;
            let fields = [("shard", shard.into()), ("key", key.into())];
            cx.trace.event(Level::Call, cx.now, SERVICE, "PutRecord throttled", &stream.name, &fields);
        }
    }
    counts.meter(cx);
    match result {
        Ok(Accepted { shard, sequence }) => Ok((stream.shards[shard].id.clone(), sequence)),
        Err((shard, _)) => Err(stream.rate_exceeded(shard, &cx.account.id)),
    }
}

fn check_length(checks: &mut Checks, quotas: &Quotas, records: usize) {
    let max = quotas.put_records_max;
    checks.unprinted(records > 0, "records", "Member must have length greater than or equal to 1");
    checks.unprinted(records <= max, "records", format_args!("Member must have length less than or equal to {max}"));
}

/// Checks and decodes the records of a call. They share one buffer.
fn check_entries(checks: &mut Checks, quotas: &Quotas, entries: &[EntryInput<'_>]) -> Result<Vec<Bytes>, AwsError> {
    let encoded: usize = entries.iter().filter_map(|entry| text(&entry.data)).map(str::len).sum();
    let mut decoded = Vec::with_capacity(encoded / 4 * 3);
    let mut ends = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let length = text(&entry.data).map(|data| decode(data, &mut decoded)).transpose()?;
        ends.push(decoded.len());
        let path = EntryPath { number: number + 1 };
        match (length, text(&entry.partition_key)) {
            (Some(length), Some(key)) => check_entry(checks, quotas, path, key, length),
            (length, key) => {
                checks.required(length, format_args!("{path}data"));
                checks.required(key, format_args!("{path}partitionKey"));
            }
        }
        if let hash_key @ Some(_) = text(&entry.explicit_hash_key) {
            check_hash_key(checks, &format!("{path}explicitHashKey"), hash_key);
        }
    }
    let decoded = Bytes::from(decoded);
    let mut start = 0;
    let cut = |end| {
        let record = decoded.slice(start..end);
        start = end;
        record
    };
    Ok(ends.into_iter().map(cut).collect())
}

/// Where a record stands in a request, rendered only for a message.
#[derive(Clone, Copy)]
struct EntryPath {
    number: usize,
}

impl std::fmt::Display for EntryPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "records.{}.member.", self.number)
    }
}

/// Checks the partition key and the size of a record whose members have paths that begin with `path`.
fn check_entry(checks: &mut Checks, quotas: &Quotas, path: impl std::fmt::Display, key: &str, data_bytes: usize) {
    let chars_max = quotas.partition_key_chars_max;
    let short = key.len() <= chars_max || key.chars().count() <= chars_max;
    if key.is_empty() || !short {
        let path = format!("{path}partitionKey");
        checks.value(!key.is_empty(), key, &path, "Member must have length greater than or equal to 1");
        checks.value(short, key, &path, format_args!("Member must have length less than or equal to {chars_max}"));
    }
    let max = quotas.record_bytes_max;
    // For a record that is too large by its key alone, AWS's text is unverified.
    let fits = data_bytes + key.len() <= max;
    checks.unprinted(
        fits,
        format_args!("{path}data"),
        format_args!("Member must have length less than or equal to {max}"),
    );
}

/// Whether a stream allows records of these sizes, each at its path. AWS's text for a stream that allows other sizes than
/// the default is unverified.
fn check_sizes<P: std::fmt::Display>(
    stream: &Stream,
    sizes: impl IntoIterator<Item = (P, usize)>,
) -> Result<(), AwsError> {
    let max = stream.record_bytes_max;
    let mut checks = Checks::default();
    for (path, size) in sizes {
        if size > max {
            let constraint = format_args!("Member must have length less than or equal to {max}");
            checks.unprinted(false, format_args!("{path}data"), constraint);
        }
    }
    checks.finish()
}

/// Notes a hash key that is no decimal number.
pub(super) fn check_hash_key(checks: &mut Checks, path: &str, hash_key: Option<&str>) {
    let Some(text) = hash_key else { return };
    let digits = !text.is_empty() && text.len() <= 39 && text.bytes().all(|byte| byte.is_ascii_digit());
    let matches = digits && (text == "0" || !text.starts_with('0'));
    checks.value(matches, text, path, r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})");
}

/// The hash key of a record: the explicit one, or MD5 of the partition key.
fn hash_of(key: &str, explicit: Option<&str>) -> Result<u128, AwsError> {
    let Some(explicit) = explicit else { return Ok(hash_key(key)) };
    explicit.parse().map_err(|_| {
        let range = "ExplicitHashKey must be in the range: [0, 2^128-1].";
        invalid(format!("Invalid ExplicitHashKey. {range} Specified value was {explicit}"))
    })
}

/// Every shard keeps the order of arrival, so a valid number changes nothing.
fn check_ordering(cx: &Cx<'_>, stream: &Stream, number: Option<&str>) -> Result<(), AwsError> {
    match number {
        Some(number) if parse_sequence_number(number).is_none() => Err(invalid(format!(
            "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {} under account {} is invalid.",
            stream.name, cx.account.id
        ))),
        _ => Ok(()),
    }
}

/// Appends the decoded blob and answers its length.
fn decode(blob: &str, into: &mut Vec<u8>) -> Result<usize, AwsError> {
    let start = into.len();
    let decoded = STANDARD.decode_vec(blob, into);
    decoded.map_err(|error| AwsError::serialization(format!("a blob is not base64: {error}")))?;
    Ok(into.len() - start)
}

/// The member of an answer that tells how records are encrypted; nothing while they are not.
fn encryption_type(encrypted: bool) -> &'static str {
    if encrypted { r#""EncryptionType":"KMS","# } else { "" }
}

fn render_results(
    stream: &Stream,
    account: &str,
    results: &[Result<Accepted, EntryRefused>],
    failed: u64,
    encrypted: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + results.len() * 130);
    put!(&mut out, r#"{{{}"FailedRecordCount":{failed},"Records":["#, encryption_type(encrypted));
    for (index, result) in results.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match result {
            Ok(Accepted { shard, sequence }) => {
                let (shard, number) = (&stream.shards[*shard].id, render_sequence_number(*sequence));
                put!(&mut out, r#"{{"SequenceNumber":"{number}","ShardId":"{shard}"}}"#);
            }
            Err(refused) => {
                let (code, text) = match refused {
                    EntryRefused::Rate(shard) => {
                        ("ProvisionedThroughputExceededException", stream.rate_exceeded_text(*shard, account))
                    }
                    EntryRefused::Fault(error) => (error.code, error.message.clone()),
                };
                put!(&mut out, r#"{{"ErrorCode":"{code}","ErrorMessage":"{text}"}}"#);
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}
