//! The errors with which a service refuses a call that a fault strikes: its own codes, in the protocol of the call.
//!
//! Source of codes, statuses and protocols: the services' models (the errors of each operation), and "Common errors" of
//! each service's API reference for what the model does not list. Unverified: the texts.

use bytes::Bytes;
use http::Response;

use crate::cloud::account::protocol_of;
use crate::cloud::core::AwsError;
use crate::cloud::front::{query, render_error};

/// How a service says that it has no capacity for a call.
pub fn throttled(service: &str, operation: &str) -> AwsError {
    match (service, operation) {
        ("kinesis", "PutRecord" | "PutRecords" | "GetRecords" | "GetShardIterator") | ("dynamodb", _) => AwsError::new(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for the resource; the request was throttled.",
        ),
        ("kinesis" | "ce", _) => AwsError::new("LimitExceededException", "Rate exceeded."),
        ("s3", _) => AwsError::new("SlowDown", "Please reduce your request rate.").status(503),
        ("lambda", _) => AwsError::new("TooManyRequestsException", "Rate Exceeded.")
            .status(429)
            .with("Type", "User")
            .with("Reason", "CallerRateLimitExceeded"),
        ("firehose", _) => AwsError::new("ServiceUnavailableException", "Slow down.").status(500),
        ("sns" | "sts" | "iam" | "cloudformation", _) => AwsError::new("Throttling", "Rate exceeded"),
        ("iotdata" | "scheduler", _) => AwsError::new("ThrottlingException", "Rate exceeded").status(429),
        _ => AwsError::new("ThrottlingException", "Rate exceeded"),
    }
}

/// How a service says that it failed.
pub fn failed(service: &str) -> AwsError {
    let code = match service {
        "kinesis" | "iot" | "iotdata" => "InternalFailureException",
        "dynamodb" | "ssm" => "InternalServerError",
        "s3" | "sns" => "InternalError",
        "lambda" => "ServiceException",
        "firehose" => "ServiceUnavailableException",
        "athena" | "scheduler" => "InternalServerException",
        "glue" => "InternalServiceException",
        "kms" => "KMSInternalException",
        "iam" => "ServiceFailure",
        // "Common errors" of all services.
        _ => "InternalFailure",
    };
    let error = AwsError::new(code, "We encountered an internal error. Please try again.").status(500);
    if service == "lambda" { error.with("Type", "Service") } else { error }
}

/// How one entry of a batch fails. `roll` chooses between a throttle and a failure. Kinesis says itself which shard a
/// throttle is of.
pub fn entry_failed(service: &str, roll: f64) -> AwsError {
    match service {
        "firehose" => AwsError::new("ServiceUnavailableException", "Slow down."),
        "dynamodb" => throttled(service, "BatchGetItem"),
        // As the reference of the API writes it.
        _ if roll < 0.5 => AwsError::new("InternalFailure", "Internal Service Failure"),
        _ => throttled(service, "PutRecords"),
    }
}

/// The error as an answer of HTTP to a request with this method.
pub fn answer(service: &str, method: &str, request_id: &str, error: &AwsError) -> Response<Bytes> {
    if let Some(dialect) = query::dialect(service) {
        return dialect.respond_error(request_id, error);
    }
    if service != "s3" {
        let (protocol, namespace) = protocol_of(service);
        return render_error(protocol, namespace, request_id, error);
    }
    let body = match method {
        // An answer to HEAD has no body.
        "HEAD" => String::new(),
        _ => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
             <RequestId>{request_id}</RequestId></Error>",
            error.code, error.message
        ),
    };
    let response = Response::builder().status(error.status).header("content-type", "application/xml");
    let response = response.header("x-amz-request-id", request_id);
    response.body(Bytes::from(body)).expect("a valid status and header")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, the code's header, and the body.
    fn said(service: &str, error: &AwsError) -> (u16, String, String) {
        let response = answer(service, "POST", "id-1", error);
        let header = response.headers().get("x-amzn-errortype").map_or("", |code| code.to_str().unwrap());
        (response.status().as_u16(), header.to_owned(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[test]
    fn each_service_refuses_in_its_own_words_and_protocol() {
        for (service, operation, status, code, marker) in [
            ("kinesis", "PutRecords", 400, "ProvisionedThroughputExceededException", "\"__type\":\"Provisioned"),
            ("kinesis", "DescribeStream", 400, "LimitExceededException", "\"__type\""),
            (
                "dynamodb",
                "GetItem",
                400,
                "ProvisionedThroughputExceededException",
                "\"com.amazonaws.dynamodb.v20120810#",
            ),
            ("s3", "PutObject", 503, "SlowDown", "<Code>"),
            ("sns", "Publish", 400, "Throttling", "<Type>Sender</Type>"),
            ("iot", "DescribeThing", 400, "ThrottlingException", "message"),
            ("lambda", "Invoke", 429, "TooManyRequestsException", "CallerRateLimitExceeded"),
            ("athena", "StartQueryExecution", 400, "ThrottlingException", "\"__type\""),
        ] {
            let (found, header, body) = said(service, &throttled(service, operation));
            assert_eq!(found, status, "{service}");
            assert!(body.contains(marker), "{service}: {body}");
            assert!(header == code || body.contains(code), "{service}: {header} {body}");
        }
        for service in ["kinesis", "dynamodb", "s3", "sns", "sts", "lambda", "iot", "glue", "athena", "firehose", "ce"]
        {
            let (status, header, body) = said(service, &failed(service));
            let code = failed(service).code;
            assert!(status == 500 && (header == code || body.contains(code)), "{service}: {status} {body}");
        }
        assert!(said("sns", &failed("sns")).2.contains("<Type>Receiver</Type>"));
        assert!(answer("s3", "HEAD", "id-1", &failed("s3")).body().is_empty());
    }

    #[test]
    fn what_is_called_a_throttle_is_one_for_the_sdks_and_for_the_services_that_retry() {
        for service in ["kinesis", "dynamodb", "s3", "sns", "iot", "lambda", "athena", "glue", "kms", "ce"] {
            assert!(throttled(service, "Any").is_throttle(), "{service}");
            assert!(!failed(service).is_throttle(), "{service}");
        }
        assert!(!entry_failed("kinesis", 0.1).is_throttle() && entry_failed("kinesis", 0.9).is_throttle());
    }
}
