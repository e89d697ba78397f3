//! What a request puts: the constraints of a record, and its decoding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::quotas::Quotas;
use super::routing::hash_key;
use super::stream::Stream;
use super::wire::{Checks, Text, invalid, text};
use crate::core::ports::parse_sequence_number;
use crate::core::{AwsError, Cx};

/// A record of a call of PutRecords.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct EntryInput<'a> {
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    pub explicit_hash_key: Option<Text<'a>>,
}

impl EntryInput<'_> {
    /// Its partition key.
    pub fn key(&self) -> &str {
        text(&self.partition_key).unwrap_or_default()
    }
}

pub(super) fn check_length(checks: &mut Checks, quotas: &Quotas, records: usize) {
    let max = quotas.put_records_max;
    checks.unprinted(records > 0, "records", "Member must have length greater than or equal to 1");
    checks.unprinted(records <= max, "records", format_args!("Member must have length less than or equal to {max}"));
}

/// Checks and decodes the records of a call. They share one buffer.
pub(super) fn check_entries(
    checks: &mut Checks,
    quotas: &Quotas,
    entries: &[EntryInput<'_>],
) -> Result<Vec<Bytes>, AwsError> {
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
pub(super) struct EntryPath {
    /// From 1.
    pub number: usize,
}

impl std::fmt::Display for EntryPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "records.{}.member.", self.number)
    }
}

/// Checks the partition key and the size of a record whose members have paths that begin with `path`.
pub(super) fn check_entry(
    checks: &mut Checks,
    quotas: &Quotas,
    path: impl std::fmt::Display,
    key: &str,
    data_bytes: usize,
) {
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
pub(super) fn check_sizes<P: std::fmt::Display>(
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
    checks.decimal(hash_key, path, 38);
}

/// The hash key of a record: the explicit one, or MD5 of the partition key.
pub(super) fn hash_of(key: &str, explicit: Option<&str>) -> Result<u128, AwsError> {
    let Some(explicit) = explicit else { return Ok(hash_key(key)) };
    explicit.parse().map_err(|_| {
        let range = "ExplicitHashKey must be in the range: [0, 2^128-1].";
        invalid(format!("Invalid ExplicitHashKey. {range} Specified value was {explicit}"))
    })
}

/// Every shard keeps the order of arrival, so a valid number changes nothing.
pub(super) fn check_ordering(cx: &Cx<'_>, stream: &Stream, number: Option<&str>) -> Result<(), AwsError> {
    match number {
        Some(number) if parse_sequence_number(number).is_none() => Err(invalid(format!(
            "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {} under account {} is invalid.",
            stream.name, cx.account.id
        ))),
        _ => Ok(()),
    }
}

/// Appends the decoded blob and answers its length.
pub(super) fn decode(blob: &str, into: &mut Vec<u8>) -> Result<usize, AwsError> {
    let start = into.len();
    let decoded = STANDARD.decode_vec(blob, into);
    decoded.map_err(|error| AwsError::serialization(format!("a blob is not base64: {error}")))?;
    Ok(into.len() - start)
}
