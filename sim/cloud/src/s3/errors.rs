//! S3's errors: codes, statuses and texts, and their way into the wire.
//!
//! Source of codes and statuses: "Error codes seen from AWS" and "Conditional requests" of the AWS facts on S3. The
//! texts of NoSuchKey and PreconditionFailed are AWS's; the other texts are unverified.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

use crate::core::AwsError;

pub(super) fn no_such_bucket(bucket: &str) -> AwsError {
    AwsError::new("NoSuchBucket", "The specified bucket does not exist").status(404).with("BucketName", bucket)
}

pub(super) fn no_such_key(key: &str) -> AwsError {
    AwsError::new("NoSuchKey", "The specified key does not exist.").status(404).with("Key", key)
}

pub(super) fn precondition_failed(condition: &'static str) -> AwsError {
    AwsError::new("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        .status(412)
        .with("Condition", condition)
}

pub(super) fn not_modified() -> AwsError {
    AwsError::new("NotModified", "Not Modified").status(304)
}

pub(super) fn invalid_range() -> AwsError {
    AwsError::new("InvalidRange", "The requested range is not satisfiable").status(416)
}

pub(super) fn slow_down() -> AwsError {
    AwsError::new("SlowDown", "Please reduce your request rate.").status(503)
}

pub(super) fn access_denied() -> AwsError {
    AwsError::new("AccessDenied", "Access Denied").status(403)
}

pub(super) fn invalid_argument(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidArgument", message)
}

/// The error as `s3s` renders it: its further members are written in `exchange`.
pub(super) fn into_s3_error(error: &AwsError) -> S3Error {
    let code = S3ErrorCode::from_bytes(error.code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut rendered = S3Error::with_message(code, error.message.clone());
    if let Ok(status) = StatusCode::from_u16(error.status) {
        rendered.set_status_code(status);
    }
    rendered
}

/// AWS's text for the codes that `s3s` answers without one.
pub(super) fn text_of(code: &str) -> &'static str {
    match code {
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method."
        }
        "InvalidBucketName" => "The specified bucket is not valid.",
        "KeyTooLongError" => "Your key is too long",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        _ => "",
    }
}
