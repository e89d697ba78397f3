//! Quarantine: what is refused, with its reason, as NDJSON beside the processed readings.

use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use serde::Serialize;

use super::rejection::Rejection;
use crate::calls::Clock;
use crate::digest::sha256_hex;
use crate::transform::batch::Event;

/// Prefix of the objects.
pub(super) const PREFIX: &str = "quarantine";

/// A line: one refused record.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// Code of the reason.
    reason: &'static str,
    /// What exactly was found.
    detail: &'a str,
    /// With the sequence number, the record's identity.
    shard_id: &'a str,
    sequence_number: &'a str,
    /// With it the record can be written to its stream again, also when its bytes name no device.
    partition_key: &'a str,
    /// The record's bytes in base64.
    data: &'a str,
}

/// Writes quarantine objects.
#[derive(Debug)]
pub(super) struct Quarantine {
    client: Client,
    bucket: String,
    clock: Clock,
}

impl Quarantine {
    /// A quarantine in `bucket`.
    pub fn new(client: Client, bucket: &str, clock: Clock) -> Self {
        Quarantine { client, bucket: bucket.to_owned(), clock }
    }

    /// Keeps refused records of a batch, given by their positions in order, in one object. Answers whether they are safe.
    pub async fn keep(&self, event: &Event<'_>, refused: &[(usize, Rejection)], deadline: SystemTime) -> bool {
        let Some((key, body)) = object(event, refused) else {
            return true;
        };
        if !self.clock.has_time(deadline) {
            tracing::warn!(%key, "no time is left to write the quarantine");
            return false;
        }
        let put = self.client.put_object().bucket(&self.bucket).key(&key).content_type("application/x-ndjson");
        match self.clock.in_time(deadline, put.body(body.into()).send()).await {
            Some(Ok(_)) => true,
            None => {
                tracing::warn!(%key, "the quarantine was not written in time");
                false
            }
            Some(Err(error)) => {
                tracing::warn!(%key, error = %DisplayErrorContext(error), "the quarantine could not be written");
                false
            }
        }
    }
}

/// Key and body of the object for these records; nothing for none. Both depend on the records and their reasons alone,
/// so that keeping the same ones again overwrites their object instead of adding one.
fn object(event: &Event<'_>, refused: &[(usize, Rejection)]) -> Option<(String, Vec<u8>)> {
    let ((first, _), (last, _)) = (refused.first()?, refused.last()?);
    let shard_id = event.shard_id();
    let mut body = Vec::with_capacity(refused.len() * 512);
    for (position, rejection) in refused {
        let record = &event.records[*position].kinesis;
        let line = Line {
            reason: rejection.reason.code(),
            detail: &rejection.detail,
            shard_id,
            sequence_number: &record.sequence_number,
            partition_key: &record.partition_key,
            data: &record.data,
        };
        serde_json::to_writer(&mut body, &line).expect("texts are written to memory");
        body.push(b'\n');
    }
    let hash = sha256_hex(&body);
    let hash = &hash[..16];
    let sequence_number = |position: &usize| event.records[*position].kinesis.sequence_number.as_ref();
    let key = format!("{PREFIX}/{shard_id}/{}-{}-{hash}.ndjson", sequence_number(first), sequence_number(last));
    Some((key, body))
}
