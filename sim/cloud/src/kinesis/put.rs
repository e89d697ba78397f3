//! `PutRecord` and `PutRecords`.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::entries::{
    EntryInput, EntryPath, check_entries, check_entry, check_hash_key, check_length, check_ordering, check_sizes,
    decode, hash_of,
};
use super::quotas::Quotas;
use super::routing::hash_key;
use super::stream::{Accepted, Stream};
use super::wire::{Checks, Text, invalid, parse, put, put_string, stream_name, text};
use super::{Kinesis, SERVICE};
use crate::core::ports::render_sequence_number;
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
    /// A fault of the service that is no throttle.
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
        checks.sequence_number(text(&input.sequence_number_for_ordering), "sequenceNumberForOrdering");
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
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
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
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
                Some(error) if error.is_throttle() => Err(EntryRefused::Rate(stream.throttle(hash))),
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
                Err(EntryRefused::Fault(_)) => counts.failed += 1,
                Err(EntryRefused::Rate(_)) => counts.throttled += 1,
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
                put!(&mut out, r#"{{"ErrorCode":"{code}","ErrorMessage":"#);
                put_string(&mut out, &text);
                out.push(b'}');
            }
        }
    }
    out.extend_from_slice(b"]}");
    out
}
