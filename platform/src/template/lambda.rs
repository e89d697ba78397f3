//! AWS Lambda: functions and their event source mappings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// `AWS::Lambda::Function`, running the platform's binary as a custom runtime.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Function {
    /// Name.
    pub function_name: String,
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
    /// Environment variables.
    pub environment: Environment,
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

impl Resource for Function {
    const TYPE: &'static str = "AWS::Lambda::Function";
}

impl Handle<Function> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
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
}

impl Resource for EventSourceMapping {
    const TYPE: &'static str = "AWS::Lambda::EventSourceMapping";
}
