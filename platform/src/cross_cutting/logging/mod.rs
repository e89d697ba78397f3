//! Logging: log groups with their retention, the trail, the audit bucket and the bucket of access logs.

mod buckets;
mod groups;
mod stack;
mod trail;

#[cfg(test)]
mod tests;

pub use groups::{
    DELIVERY_LOG_STREAM, IOT_LOG_GROUP, delivery_log_group, function_log_group, log_group_patterns, platform_log_group,
};
pub use stack::{Outputs, STACK, stack};
pub use trail::trail_arn;
