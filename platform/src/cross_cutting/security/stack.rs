//! What the stack Security owns: keys, their aliases, the permissions boundary.

use crate::naming::Naming;
use crate::template::Published;

/// Name of the stack inside an environment.
pub const STACK: &str = "security";

/// What the stack publishes for all other stacks.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// ARN of the key that encrypts data: streams, buckets, tables, topics.
    pub data_key_arn: Published,
    /// ARN of the key that encrypts logs: log groups, the trail, the audit bucket.
    pub logs_key_arn: Published,
    /// ARN of the managed policy that is the permissions boundary of every role of the platform.
    pub boundary_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            data_key_arn: naming.published(STACK, "data-key-arn"),
            logs_key_arn: naming.published(STACK, "logs-key-arn"),
            boundary_arn: naming.published(STACK, "boundary-arn"),
        }
    }
}
