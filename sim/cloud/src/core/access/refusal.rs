//! Refusals in the form of the service that refuses.

use crate::core::AwsError;

/// AWS's error for a missing permission: its code and its status depend on the protocol of the action's service ("Denial
/// message" of the AWS facts on IAM; the code of SNS is that of its model).
pub fn access_denied(action: &str, message: String) -> AwsError {
    let service = action.split(':').next().unwrap_or("");
    match service {
        "s3" | "cloudformation" | "iam" | "sts" | "cloudwatch" => AwsError::new("AccessDenied", message).status(403),
        "sns" => AwsError::new("AuthorizationError", message).status(403),
        "iot" | "iotdata" | "lambda" | "scheduler" | "pipes" => {
            AwsError::new("AccessDeniedException", message).status(403)
        }
        _ => AwsError::new("AccessDeniedException", message),
    }
}

/// Whether an error says that somebody lacks permission, and not that something is missing or in the wrong state.
pub fn is_denial(error: &AwsError) -> bool {
    ["AccessDenied", "AccessDeniedException", "AuthorizationError"].contains(&error.code)
}

/// What is wrong with a key: the part of an error that every service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Denied,
    Missing,
    Disabled,
    State,
}

/// The error of a service (`via`) that could not use a key on behalf of its caller.
pub fn key_refused(via: &str, error: &AwsError) -> AwsError {
    let trouble = match error.code {
        "AccessDeniedException" => Trouble::Denied,
        "NotFoundException" => Trouble::Missing,
        "DisabledException" => Trouble::Disabled,
        _ => Trouble::State,
    };
    let message = error.message.clone();
    match (via, trouble) {
        ("s3", Trouble::Denied) => AwsError::new("AccessDenied", message).status(403),
        ("s3", Trouble::Missing) => AwsError::new("KMS.NotFoundException", message),
        ("s3", Trouble::Disabled) => AwsError::new("KMS.DisabledException", message),
        ("s3", Trouble::State) => AwsError::new("KMS.KMSInvalidStateException", message),
        ("sns", Trouble::Denied) => AwsError::new("KMSAccessDenied", message),
        ("sns", Trouble::Missing) => AwsError::new("KMSNotFound", message),
        ("sns", Trouble::Disabled) => AwsError::new("KMSDisabled", message),
        ("sns", Trouble::State) => AwsError::new("KMSInvalidState", message),
        ("firehose", _) => AwsError::new("InvalidKMSResourceException", message),
        ("kinesis" | "lambda", Trouble::Denied) => AwsError::new("KMSAccessDeniedException", message),
        ("kinesis" | "lambda", Trouble::Missing) => AwsError::new("KMSNotFoundException", message),
        ("kinesis" | "lambda", Trouble::Disabled) => AwsError::new("KMSDisabledException", message),
        ("kinesis" | "lambda", Trouble::State) => AwsError::new("KMSInvalidStateException", message),
        // Other services pass KMS's own error on (unverified).
        _ => error.clone(),
    }
}
