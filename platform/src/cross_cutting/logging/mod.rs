//! Logging: log groups with their retention, the trail, the audit bucket and the bucket of access logs.

mod stack;

pub use stack::{Outputs, STACK, function_log_group};
