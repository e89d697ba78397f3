//! Answers and errors in the protocol of a call. Source: "Wire protocols" of the AWS facts.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::core::AwsError;

/// The protocols that the front door speaks itself. S3's REST-XML is spoken by the S3 service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `application/x-amz-json-1.0`
    Json10,
    /// `application/x-amz-json-1.1`
    Json11,
    /// REST-JSON, where the error code travels in a header.
    RestJson,
}

impl Protocol {
    /// Content type of answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Protocol::Json10 => "application/x-amz-json-1.0",
            Protocol::Json11 => "application/x-amz-json-1.1",
            Protocol::RestJson => "application/json",
        }
    }
}

/// An answer with a body in `protocol`.
pub fn render(protocol: Protocol, status: u16, request_id: &str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(protocol.content_type()));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// An error in `protocol`. `namespace` goes before the code in `__type`, as DynamoDB does.
pub fn render_error(protocol: Protocol, namespace: &str, request_id: &str, error: &AwsError) -> Response<Bytes> {
    let mut body = Map::new();
    if protocol != Protocol::RestJson {
        body.insert("__type".to_owned(), Value::from(format!("{namespace}{}", error.code)));
    }
    body.insert("message".to_owned(), Value::from(error.message.clone()));
    for (name, value) in &error.extra {
        body.insert((*name).to_owned(), value.clone());
    }
    let mut response = render(protocol, error.status, request_id, Value::Object(body).to_string().into_bytes());
    if protocol == Protocol::RestJson
        && let Ok(code) = HeaderValue::from_str(error.code)
    {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}
