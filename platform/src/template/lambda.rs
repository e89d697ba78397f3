//! AWS Lambda: functions, who may invoke them, and their event source mappings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::Lambda::Function`, running the platform's binary as a custom runtime.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Function {
    /// Name.
    pub function_name: String,
    /// For people.
    pub description: &'static str,
    /// Which of the binary's functions runs.
    pub handler: &'static str,
    /// Runtime.
    pub runtime: &'static str,
    /// Execution role.
    pub role: Expr,
    /// Deployment package.
    pub code: Code,
    /// Memory.
    #[serde(rename = "MemorySize")]
    pub memory_mib: u32,
    /// Longest run.
    #[serde(rename = "Timeout")]
    pub timeout_s: u32,
    /// Concurrency that is set aside, and the limit. Without it the function shares that of the account.
    #[serde(rename = "ReservedConcurrentExecutions", skip_serializing_if = "Option::is_none")]
    pub reserved_concurrency: Option<u32>,
    /// Environment variables.
    pub environment: Environment,
    /// ARN of the key that encrypts the environment variables.
    #[serde(rename = "KmsKeyArn")]
    pub environment_key: Expr,
    /// Where its log goes.
    pub logging_config: LoggingConfig,
}

/// Where the deployment package lies.
#[derive(Debug, Serialize)]
pub struct Code {
    /// Bucket.
    #[serde(rename = "S3Bucket")]
    pub bucket: Expr,
    /// Key.
    #[serde(rename = "S3Key")]
    pub key: String,
}

/// Environment variables.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Environment {
    /// By name.
    pub variables: BTreeMap<&'static str, Expr>,
}

/// Where a function's log goes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoggingConfig {
    /// Log group.
    pub log_group: String,
}

impl Resource for Function {
    const TYPE: &'static str = "AWS::Lambda::Function";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Function> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}

/// `AWS::Lambda::Permission`: lets a service invoke a function on behalf of one resource of the account.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Permission {
    action: &'static str,
    function_name: Expr,
    principal: &'static str,
    source_account: Expr,
    source_arn: Expr,
}

impl Permission {
    /// Lets `service`, such as `iot.amazonaws.com`, invoke `function` on behalf of the resource with the ARN `source`.
    pub fn to_invoke(function: &Handle<Function>, service: &'static str, source: Expr) -> Self {
        Permission {
            action: "lambda:InvokeFunction",
            function_name: function.name(),
            principal: service,
            source_account: Expr::account_id(),
            source_arn: source,
        }
    }
}

impl Resource for Permission {
    const TYPE: &'static str = "AWS::Lambda::Permission";
}

/// `AWS::Lambda::EventSourceMapping` of a Kinesis stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSourceMapping {
    /// Stream.
    pub event_source_arn: Expr,
    /// Function.
    pub function_name: Expr,
    /// Where reading starts: `TRIM_HORIZON` or `LATEST`.
    pub starting_position: &'static str,
    /// Most records of a batch.
    pub batch_size: u32,
    /// How long a batch may gather.
    #[serde(rename = "MaximumBatchingWindowInSeconds")]
    pub batching_window_s: u32,
    /// `ReportBatchItemFailures` when the function says from where to repeat.
    pub function_response_types: Vec<&'static str>,
    /// Whether a batch that fails is split in two, so that one bad record does not take the others with it.
    #[serde(rename = "BisectBatchOnFunctionError")]
    pub bisect_on_error: bool,
    /// How often a batch that fails is delivered again before it is given up.
    #[serde(rename = "MaximumRetryAttempts")]
    pub retry_attempts: u32,
    /// Where batches go that are given up.
    pub destination_config: DestinationConfig,
}

/// Where batches go that are given up.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DestinationConfig {
    on_failure: OnFailure,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OnFailure {
    destination: Expr,
}

impl DestinationConfig {
    /// The destination of batches that are given up, by ARN: a bucket gets them whole.
    pub fn on_failure(destination: Expr) -> Self {
        DestinationConfig { on_failure: OnFailure { destination } }
    }
}

impl Resource for EventSourceMapping {
    const TYPE: &'static str = "AWS::Lambda::EventSourceMapping";
    const TAGS: Tagging = Tagging::List;
}
