//! What can go wrong in a deployment. Every message names what it is about and ends with a hint.

use std::fmt;
use std::time::Duration;

use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::report::FailedResource;
use super::stages::Stage;

/// A deployment that cannot begin or that stopped.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A call to AWS failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The SDK configuration lacks a part.
    #[error("the SDK configuration has no {0}\n  hint: set it on the configuration that is handed in")]
    MissingPart(&'static str),
    /// The credentials are those of another account.
    #[error(
        "the credentials belong to account {found}, the settings are for {expected}\n  hint: choose another profile with \
         AWS_PROFILE, or correct `account` in the settings"
    )]
    WrongAccount {
        /// Account of the settings.
        expected: String,
        /// Account of the credentials.
        found: String,
    },
    /// The configuration is for another Region.
    #[error("the SDK configuration is for {found}, the settings are for {expected}\n  hint: make both the same")]
    WrongRegion {
        /// Region of the settings.
        expected: String,
        /// Region of the configuration.
        found: String,
    },
    /// The function package is not where the templates expect it.
    #[error(
        "the functions' deployment package s3://{bucket}/{key} {why}\n  hint: `platform package --upload` \
         builds it and puts it there"
    )]
    ArtifactMissing {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// What is the matter with it.
        why: &'static str,
    },
    /// A template names its function package in a way that only CloudFormation can resolve.
    #[error(
        "{stack}: the place of the package of {logical_id} cannot be told from the template\n  hint: name bucket and key \
         by texts and pseudo parameters"
    )]
    ArtifactUnknown {
        /// Name of the stack.
        stack: String,
        /// The function.
        logical_id: String,
    },
    /// A template is too large for the way it would have to be handed over.
    #[error("the template of {stack} has {size} bytes, CloudFormation takes at most {limit}\n  hint: {hint}")]
    TemplateTooLarge {
        /// Name of the stack.
        stack: String,
        /// Size in bytes.
        size: usize,
        /// Most bytes.
        limit: usize,
        /// What to do.
        hint: &'static str,
    },
    /// A stack is in a state that a deployment cannot go on from.
    #[error("stack {stack} (stage {stage}) is {status}\n  hint: {hint}")]
    Blocked {
        /// Name of the stack.
        stack: String,
        /// Its stage.
        stage: Stage,
        /// Its status.
        status: String,
        /// What to do.
        hint: String,
    },
    /// The approval was refused.
    #[error("{}\n  hint: run the command again to go on from here", not_approved(*.stage, .done))]
    NotApproved {
        /// The stage.
        stage: Stage,
        /// What had been done in this stage before, after earlier questions: each a phrase such as `one: CREATE_COMPLETE`.
        done: Vec<String>,
    },
    /// The destruction was not confirmed.
    #[error(
        "the destruction was not confirmed: nothing was changed\n  hint: type the environment's name, or pass --approve"
    )]
    NotConfirmed,
    /// CloudFormation could not make a change set.
    #[error(
        "stack {stack} (stage {stage}): CloudFormation made no change set: {reason}\n  hint: the template or a value that it \
         refers to is wrong; nothing of this stack was changed"
    )]
    ChangeSet {
        /// Name of the stack.
        stack: String,
        /// Its stage.
        stage: Stage,
        /// What CloudFormation says.
        reason: String,
    },
    /// A stack failed, and has been rolled back as far as CloudFormation could.
    #[error("{0}")]
    Stack(Box<StackFailure>),
    /// A stack took too long.
    #[error(
        "stack {stack} (stage {stage}) is still {status} after {} min\n  hint: CloudFormation goes on; see `platform \
         status`, then run the command again, with a larger --timeout-min if need be", after.as_secs() / 60
    )]
    TimedOut {
        /// Name of the stack.
        stack: String,
        /// Its stage.
        stage: Stage,
        /// Its status.
        status: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Buckets hold objects and would be deleted.
    #[error("{}", buckets_not_empty(.0))]
    BucketsNotEmpty(
        /// Stack and bucket.
        Vec<(String, String)>,
    ),
}

/// A stack that failed.
#[derive(Clone, Debug)]
pub struct StackFailure {
    /// Name of the stack.
    pub stack: String,
    /// Its stage.
    pub stage: Stage,
    /// Its status when everything was over.
    pub status: String,
    /// The resource that failed first, where an event tells it.
    pub resource: Option<FailedResource>,
    /// What CloudFormation says of the stack itself.
    pub reason: Option<String>,
}

impl fmt::Display for StackFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StackFailure { stack, stage, status, resource, reason } = self;
        write!(f, "stack {stack} (stage {stage}) failed: {status}")?;
        if let Some(FailedResource { logical_id, resource_type, status, reason }) = resource {
            write!(f, "\n  first to fail: {logical_id} ({resource_type}) {status}: {reason}")?;
        } else if let Some(reason) = reason {
            write!(f, ": {reason}")?;
        }
        write!(f, "\n  hint: {}", hint_for(status, stack))
    }
}

/// What to do about a stack with this status.
pub(super) fn hint_for(status: &str, stack: &str) -> String {
    let hint = match status {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => {
            "its creation failed, so it can only be deleted: correct the cause and run deploy with --recreate, which deletes \
             it and creates it again"
        }
        "UPDATE_ROLLBACK_COMPLETE" => "it is as it was before; correct the cause and run deploy again, it resumes here",
        "UPDATE_ROLLBACK_FAILED" => {
            return format!(
                "correct what keeps it from rolling back, then `aws cloudformation continue-update-rollback --stack-name {stack}`"
            );
        }
        "UPDATE_FAILED" => {
            return format!(
                "roll it back with `aws cloudformation rollback-stack --stack-name {stack}`, then run deploy again"
            );
        }
        "DELETE_FAILED" => {
            "remove what keeps the resource from being deleted, then run destroy again, or deploy with --recreate"
        }
        _ => return format!("see the events of {stack} in the CloudFormation console"),
    };
    hint.to_owned()
}

fn not_approved(stage: Stage, done: &[String]) -> String {
    match done {
        [] => format!("stage {stage} was not approved: nothing of it was changed"),
        done => format!("the rest of stage {stage} was not approved; done before: {}", done.join(", ")),
    }
}

fn buckets_not_empty(buckets: &[(String, String)]) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("S3 deletes no bucket that holds objects, and these do; nothing was changed");
    for (stack, bucket) in buckets {
        write!(out, "\n  {bucket} of stack {stack}: aws s3 rm s3://{bucket} --recursive")
            .expect("a String takes all text");
    }
    out.push_str(
        "\n  hint: empty each with the command beside it; where it is versioned, remove the versions and delete markers as \
         well (S3 console, \"Empty\")",
    );
    out
}

/// A call to AWS that failed.
#[derive(Clone, Debug)]
pub struct CallError {
    /// What was being done, such as `describing stack x`.
    pub doing: String,
    /// What kind of failure it is.
    pub kind: CallErrorKind,
    /// Error code of the service, where it answered with one.
    pub code: Option<String>,
    /// What the service or the SDK says.
    pub detail: String,
}

/// What can be done about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallErrorKind {
    /// There are no credentials.
    NoCredentials,
    /// The credentials have expired.
    Expired,
    /// AWS does not know the credentials.
    InvalidCredentials,
    /// The caller may not do this.
    Denied,
    /// There was no answer.
    NoAnswer,
    /// AWS is throttling the caller, or has a fault of its own.
    Busy,
    /// Anything else.
    Other,
}

impl CallErrorKind {
    /// Whether the same call may succeed a moment later.
    pub(super) fn passes(self) -> bool {
        matches!(self, CallErrorKind::NoAnswer | CallErrorKind::Busy)
    }

    fn hint(self) -> &'static str {
        match self {
            CallErrorKind::NoCredentials => "sign in with `aws sso login` or set AWS_PROFILE",
            CallErrorKind::Expired => {
                "the credentials have expired: sign in again with `aws sso login`, or get new ones"
            }
            CallErrorKind::InvalidCredentials => "check AWS_PROFILE and AWS_ACCESS_KEY_ID; the clock must be right too",
            CallErrorKind::Denied => {
                "the caller's policies do not allow this action; `platform doctor` shows who the caller is"
            }
            CallErrorKind::NoAnswer => "check the network, the Region's name and AWS_ENDPOINT_URL",
            CallErrorKind::Busy => "AWS is throttling or has a fault: run the command again in a moment",
            CallErrorKind::Other => "see the message of the service",
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  hint: {}", self.what(), self.kind.hint())
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// What failed and why, in a line.
    pub(super) fn what(&self) -> String {
        let CallError { doing, code, detail, .. } = self;
        let code = code.as_deref().map(|code| format!("{code}: ")).unwrap_or_default();
        format!("{doing} failed: {code}{detail}")
    }

    /// The failure of a call that was made to do something.
    pub(super) fn of<E>(doing: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, detail) = match error.as_service_error() {
            Some(service) => (service.code().map(str::to_owned), service.message().map(str::to_owned)),
            None => (None, None),
        };
        let detail = detail.unwrap_or_else(|| match status {
            Some(status) => format!("HTTP status {status}"),
            None => DisplayErrorContext(error).to_string(),
        });
        let kind = kind_of(code.as_deref(), status, &detail, matches!(error, SdkError::TimeoutError(_)));
        // The context of an error of the SDK ends with its debug form, which tells a person nothing.
        let detail =
            detail.split(" (").next().filter(|_| code.is_none() && status.is_none()).unwrap_or(&detail).to_owned();
        CallError { doing: doing.into(), kind, code, detail }
    }
}

fn kind_of(code: Option<&str>, status: Option<u16>, detail: &str, timed_out: bool) -> CallErrorKind {
    match code {
        Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired") => {
            return CallErrorKind::Expired;
        }
        Some(
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidAccessKeyId"
            | "AuthFailure"
            | "InvalidSignatureException"
            | "IncompleteSignature",
        ) => return CallErrorKind::InvalidCredentials,
        Some("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "Forbidden") => {
            return CallErrorKind::Denied;
        }
        Some(
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException",
        ) => {
            return CallErrorKind::Busy;
        }
        _ => {}
    }
    match status {
        Some(403) => CallErrorKind::Denied,
        Some(429 | 500..) => CallErrorKind::Busy,
        Some(_) => CallErrorKind::Other,
        None if timed_out => CallErrorKind::NoAnswer,
        None => {
            let detail = detail.to_ascii_lowercase();
            let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
            if says(&["expired"]) {
                CallErrorKind::Expired
            } else if says(&["credential", "identity", "token provider", "sso"]) {
                CallErrorKind::NoCredentials
            } else {
                CallErrorKind::NoAnswer
            }
        }
    }
}
