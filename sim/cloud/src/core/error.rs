//! Errors in AWS's shape. A service names the code; the front door renders it in the protocol of the call.

use std::fmt;

/// An error as AWS would answer it.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    /// AWS's error code, such as `ResourceNotFoundException`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Message for people.
    pub message: String,
    /// Further members of the error body, in AWS's spelling.
    pub extra: Vec<(&'static str, serde_json::Value)>,
}

impl AwsError {
    /// An error with HTTP status 400, the default of the JSON protocols.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        AwsError { code, status: 400, message: message.into(), extra: Vec::new() }
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a member to the error body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// An operation that AWS does not have.
    pub fn unknown_operation(operation: &str) -> Self {
        AwsError::new("UnknownOperationException", format!("Unknown operation {operation}"))
    }

    /// An operation, a member or a value that AWS has and this simulator does not model. HTTP 501, so that
    /// no SDK mistakes it for a success or retries it.
    pub fn not_modelled(what: impl fmt::Display) -> Self {
        AwsError::new("NotImplemented", format!("not modelled by this simulator: {what} (see docs/gaps.md)"))
            .status(501)
    }

    /// A request body that does not parse, or has a member of the wrong type.
    pub fn serialization(message: impl Into<String>) -> Self {
        AwsError::new("SerializationException", message)
    }

    /// Whether something could not be done because a key of KMS is disabled.
    pub fn is_of_disabled_key(&self) -> bool {
        matches!(self.code, "DisabledException" | "KMSDisabledException" | "KMS.DisabledException" | "KMSDisabled")
    }

    /// Whether the code is one that AWS SDKs treat as throttling.
    pub fn is_throttle(&self) -> bool {
        matches!(
            self.code,
            "Throttling"
                | "ThrottlingException"
                | "ThrottledException"
                | "RequestThrottledException"
                | "TooManyRequestsException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "BandwidthLimitExceeded"
                | "LimitExceededException"
                | "RequestThrottled"
                | "SlowDown"
        )
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AwsError {}
