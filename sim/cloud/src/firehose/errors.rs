//! The error output of records that could not be processed: one JSON document a line (the separation is unverified), in
//! the schema of the guide's "Handle failure in data transformation".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::buffer::Entry;
use crate::core::Cx;

/// What stands in an error prefix for `!{firehose:error-output-type}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ErrorType {
    /// A function failed, or said so of a record.
    Processing,
    /// A record has no partition keys. The name comes from reports of users.
    MetadataExtraction,
    /// There are too many partitions (guide: "Buffer data for dynamic partitioning").
    ActivePartitions,
    /// A partition could not be written for too long. AWS does not name it: unverified.
    Delivery,
}

impl ErrorType {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Processing => "processing-failed",
            ErrorType::MetadataExtraction => "metadata-extraction-failed",
            ErrorType::ActivePartitions => "activePartitionExceeded",
            ErrorType::Delivery => "s3-failed",
        }
    }
}

/// Why a record goes to the error output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub kind: ErrorType,
    pub code: String,
    pub message: String,
    pub attempts: u32,
    /// The function, if it was one.
    pub function: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    attempts_made: u32,
    arrival_timestamp: u64,
    error_code: &'a str,
    error_message: &'a str,
    attempt_ending_timestamp: u64,
    raw_data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lambda_arn: Option<&'a str>,
}

/// The record as a line of the error output.
pub(super) fn line(cx: &Cx<'_>, entry: &Entry, why: &Why) -> Entry {
    let line = Line {
        attempts_made: why.attempts,
        arrival_timestamp: entry.arrival.unix_millis(),
        error_code: &why.code,
        error_message: &why.message,
        attempt_ending_timestamp: cx.now.unix_millis(),
        raw_data: STANDARD.encode(&entry.data),
        lambda_arn: why.function.as_deref(),
    };
    let mut data = serde_json::to_vec(&line).expect("writing text to memory does not fail");
    data.push(b'\n');
    Entry { data: data.into(), ..entry.clone() }
}
