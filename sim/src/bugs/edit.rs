//! Reading and writing what is changed: batches of a stream, bodies of calls, templates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

/// The reading in base64 at `data`, as JSON; nothing when it is none.
pub(super) fn reading(data: &Value) -> Option<Value> {
    let bytes = STANDARD.decode(data.as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// Changes the reading in base64 at `data`, when it is one.
pub(super) fn change_reading(data: &mut Value, change: impl FnOnce(&mut Value)) {
    if let Some(mut reading) = reading(data) {
        change(&mut reading);
        *data = STANDARD.encode(reading.to_string()).into();
    }
}

/// Changes the body of a request, which is JSON.
pub(super) fn change_body(request: &mut Request<Bytes>, change: impl FnOnce(&mut Value)) {
    let mut body: Value = serde_json::from_slice(request.body()).expect("the SDK writes JSON");
    change(&mut body);
    *request.body_mut() = body.to_string().into();
}

/// Changes the body of an answer that succeeded; one that failed stays.
pub(super) fn change_success(answer: &mut Response<Bytes>, change: impl FnOnce(&mut Value)) {
    if answer.status().is_success() {
        let mut body: Value = serde_json::from_slice(answer.body()).expect("AWS answers JSON");
        change(&mut body);
        answer.headers_mut().remove("content-length");
        // DynamoDB answers with a checksum of the body, which the SDK compares.
        answer.headers_mut().remove("x-amz-crc32");
        *answer.body_mut() = body.to_string().into();
    }
}

/// What `PutRecords` answers when all entries of `request` are written.
pub(super) fn all_written(request: &Request<Bytes>) -> Response<Bytes> {
    let body: Value = serde_json::from_slice(request.body()).expect("the SDK writes JSON");
    let entries = body["Records"].as_array().map_or(0, Vec::len);
    let records: Vec<Value> = (0..entries).map(|_| written()).collect();
    success(&json!({ "FailedRecordCount": 0, "Records": records }))
}

/// One entry that is written.
pub(super) fn written() -> Value {
    json!({ "SequenceNumber": "49590338271490256608559692538361571095921575989136588898", "ShardId": "shardId-000000000000" })
}

/// An answer that succeeds.
fn success(body: &Value) -> Response<Bytes> {
    let answer = Response::builder().status(200).header("content-type", "application/x-amz-json-1.1");
    answer.body(body.to_string().into()).expect("constant headers")
}

/// Changes a text of a template.
///
/// # Panics
/// When the template has no such text: then the bug is planted no more.
pub(super) fn replaced(stack: &str, body: &str, from: &str, to: &str) -> String {
    assert!(body.contains(from), "the template of {stack} has no {from:?}: the bug is not planted");
    body.replace(from, to)
}
