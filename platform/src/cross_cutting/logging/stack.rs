//! What the stack Logging owns: log groups, the trail, the audit bucket and the bucket of access logs.

use crate::naming::Naming;
use crate::template::Published;

/// Name of the stack inside an environment.
pub const STACK: &str = "logging";

/// Name of the log group of the function that is called `iot-platform-{env}-{function}`.
pub fn function_log_group(naming: Naming<'_>, function: &str) -> String {
    format!("/aws/lambda/{}", naming.name(function))
}

/// What the stack publishes for all later stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the bucket that takes the access logs of all other buckets.
    pub access_logs_bucket_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs { access_logs_bucket_name: naming.published(STACK, "access-logs-bucket-name") }
    }
}
