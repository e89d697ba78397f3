//! The errors with which a service refuses a call that a fault strikes: its own codes, in the protocol of the call.
//!
//! Source of codes and protocols: "Common errors" of each service's API reference; `aws/wire-protocols.md` of the facts.

use bytes::Bytes;
use http::Response;

use crate::cloud::core::AwsError;
use crate::cloud::front::{Protocol, render_error};

/// How a service says that it has no capacity for a call.
pub fn throttled(service: &str, operation: &str) -> AwsError {
    match (service, operation) {
        ("kinesis", "PutRecord" | "PutRecords" | "GetRecords" | "GetShardIterator") | ("dynamodb", _) => AwsError::new(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for the resource; the request was throttled.",
        ),
        ("kinesis", _) => AwsError::new("LimitExceededException", "Rate exceeded."),
        ("s3", _) => AwsError::new("SlowDown", "Please reduce your request rate.").status(503),
        ("lambda", _) => AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429),
        ("firehose", _) => AwsError::new("ServiceUnavailableException", "Slow down.").status(503),
        _ => AwsError::new("ThrottlingException", "Rate exceeded"),
    }
}

/// How a service says that it failed.
pub fn failed(service: &str) -> AwsError {
    let (code, status) = match service {
        "kinesis" | "sns" | "ssm" => ("InternalFailure", 500),
        "dynamodb" => ("InternalServerError", 500),
        "s3" => ("InternalError", 500),
        "lambda" => ("ServiceException", 500),
        "firehose" => ("ServiceUnavailableException", 503),
        _ => ("InternalFailure", 500),
    };
    AwsError::new(code, "We encountered an internal error. Please try again.").status(status)
}

/// The error as an answer of HTTP.
pub fn answer(service: &str, request_id: &str, error: &AwsError) -> Response<Bytes> {
    let xml = |body: String| {
        let response = Response::builder().status(error.status).header("content-type", "application/xml");
        response.body(Bytes::from(body)).expect("a valid status and header")
    };
    let (code, message) = (error.code, &error.message);
    match service {
        "s3" => xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message>\
             <RequestId>{request_id}</RequestId></Error>"
        )),
        "sns" | "sts" | "iam" | "cloudformation" => xml(format!(
            "<ErrorResponse><Error><Type>Receiver</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>"
        )),
        "dynamodb" => {
            let namespace = "com.amazonaws.dynamodb.v20120810#";
            render_error(Protocol::Json10, namespace, request_id, error)
        }
        "lambda" | "iot" | "scheduler" => render_error(Protocol::RestJson, "", request_id, error),
        _ => render_error(Protocol::Json11, "", request_id, error),
    }
}
