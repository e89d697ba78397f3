//! What a function that transforms records answers. Codes and texts are those of the guide ("Monitor using CloudWatch
//! Logs", errors of Lambda) and of objects that users have shown.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::core::AwsError;
use crate::core::ports::NoAnswer;

/// A code and a text.
pub(super) type Failure = (&'static str, &'static str);

const FUNCTION_ERROR: Failure =
    ("Lambda.FunctionError", "The Lambda function was successfully invoked but it returned an error result.");
const TIMED_OUT: Failure = (
    "Lambda.FunctionTimedOut",
    "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function.",
);
const MALFORMED: Failure = (
    "Lambda.JsonProcessingException",
    "There was an error parsing returned records from the Lambda function. Ensure that the returned records follow the \
     status model required by Amazon Data Firehose.",
);
const MISSING: Failure = (
    "Lambda.MissingRecordId",
    "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids.",
);
const DUPLICATED: Failure = (
    "Lambda.DuplicatedRecordId",
    "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a unique record Id \
     for each record.",
);
const SAID_FAILED: Failure = ("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record");
const NO_DATA: Failure = (
    "Lambda.InvalidReturnFormat",
    "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and processing result is \
     Ok. The value field cannot be null when the SourceType is MSKAsSource and processing result is Ok.",
);
const NOT_FOUND: Failure = (
    "Lambda.ResourceNotFound",
    "The specified Lambda function does not exist. Use a different function that does exist.",
);
const DENIED: Failure = (
    "Lambda.InvokeAccessDenied",
    "Access was denied. Ensure that the access policy allows access to the Lambda function.",
);
const LIMIT: Failure = (
    "Lambda.InvokeLimitExceeded",
    "The Lambda concurrent execution limit is exceeded. Increase the concurrent execution limit.",
);

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is this now, with these partition keys.
    Ok(Bytes, BTreeMap<String, String>),
    /// It is left out.
    Dropped,
    /// It has failed.
    Failed(&'static str, &'static str),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    record_id: Option<String>,
    result: Option<String>,
    data: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    partition_keys: BTreeMap<String, Value>,
}

/// Why a function could not be invoked.
pub(super) fn refused(error: &AwsError) -> Failure {
    match error.code {
        "AccessDeniedException" => DENIED,
        "ResourceNotFoundException" => NOT_FOUND,
        _ if error.is_throttle() => LIMIT,
        _ => FUNCTION_ERROR,
    }
}

/// Why a function did not answer.
pub(super) fn failed(why: &NoAnswer) -> Failure {
    match why {
        NoAnswer::Refused(error) => refused(error),
        NoAnswer::TimedOut(_) => TIMED_OUT,
        NoAnswer::Failed(_) => FUNCTION_ERROR,
    }
}

/// The verdict of each record of a batch, by its id.
///
/// A record id that is not of the batch is left out of account. An answer that is not of the form, or has a result that is
/// none, fails the batch; so does data that is not base64, as another emulator says that probed AWS.
pub(super) fn verdicts(answer: &[u8], ids: &[String]) -> Vec<Verdict> {
    let all = |(code, message): Failure| ids.iter().map(|_| Verdict::Failed(code, message)).collect();
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return all(MALFORMED) };
    let mut by_id = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for record in answer.records {
        let Some(id) = record.record_id.clone() else { continue };
        if by_id.insert(id.clone(), record).is_some() {
            twice.insert(id);
        }
    }
    let mut verdicts = Vec::with_capacity(ids.len());
    for id in ids {
        let failed = |(code, message): Failure| Verdict::Failed(code, message);
        let verdict = match by_id.remove(id) {
            _ if twice.contains(id) => failed(DUPLICATED),
            None => failed(MISSING),
            Some(record) => match (record.result.as_deref(), record.data) {
                (Some("Dropped"), _) => Verdict::Dropped,
                (Some("ProcessingFailed"), _) => failed(SAID_FAILED),
                (Some("Ok"), None) => failed(NO_DATA),
                (Some("Ok"), Some(data)) => match STANDARD.decode(&data) {
                    Ok(data) => Verdict::Ok(data.into(), keys(record.metadata)),
                    Err(_) => return all(FUNCTION_ERROR),
                },
                _ => return all(MALFORMED),
            },
        };
        verdicts.push(verdict);
    }
    verdicts
}

fn keys(metadata: Option<Metadata>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let keys = metadata.into_iter().flat_map(|metadata| metadata.partition_keys);
    keys.map(|(key, value)| (key, text(value))).filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answer: &str) -> Vec<String> {
        let ids = ["a".to_owned(), "b".to_owned()];
        let written = |verdict: Verdict| match verdict {
            Verdict::Ok(data, keys) => format!("{}{keys:?}", String::from_utf8_lossy(&data)),
            Verdict::Dropped => "dropped".to_owned(),
            Verdict::Failed(code, _) => code.trim_start_matches("Lambda.").to_owned(),
        };
        verdicts(answer.as_bytes(), &ids).into_iter().map(written).collect()
    }

    #[test]
    fn each_record_has_the_verdict_that_the_function_gave_it() {
        let record = |id: &str, rest: &str| format!(r#"{{"recordId":"{id}",{rest}}}"#);
        let ok = r#""result":"Ok","data":"b25l""#;
        for (records, expected) in [
            (vec![record("a", ok), record("b", ok)], ["one{}", "one{}"]),
            (vec![record("b", r#""result":"Dropped""#), record("a", ok)], ["one{}", "dropped"]),
            (
                vec![record("a", r#""result":"ProcessingFailed","data":"eA==""#)],
                ["ProcessingFailedStatus", "MissingRecordId"],
            ),
            (vec![record("a", ok), record("a", ok), record("b", ok)], ["DuplicatedRecordId", "one{}"]),
            (vec![record("a", r#""result":"Ok""#), record("c", ok)], ["InvalidReturnFormat", "MissingRecordId"]),
            (vec![record("a", ok), record("b", r#""result":"Fine""#)], ["JsonProcessingException"; 2]),
            (vec![record("a", ok), record("b", r#""result":"Ok","data":"*""#)], ["FunctionError"; 2]),
            (
                vec![
                    record("a", &format!(r#"{ok},"metadata":{{"partitionKeys":{{"k":"v","n":7}}}}"#)),
                    record("b", &format!(r#"{ok},"metadata":{{}}"#)),
                ],
                [r#"one{"k": "v", "n": "7"}"#, "one{}"],
            ),
        ] {
            let answer = format!(r#"{{"records":[{}]}}"#, records.join(","));
            assert_eq!(judged(&answer), expected, "{answer}");
        }
        for (answer, code) in [
            ("{}", "MissingRecordId"),
            ("null", "JsonProcessingException"),
            ("{\"records\":7}", "JsonProcessingException"),
        ] {
            assert_eq!(judged(answer), [code; 2], "{answer}");
        }
    }
}
