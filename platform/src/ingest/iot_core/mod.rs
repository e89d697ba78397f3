//! Who may connect and publish: the IoT policy of devices, the topics of their readings, how they register themselves.

mod device_policy;
mod provisioning;
mod stack;

pub use stack::{Outputs, READINGS_TOPIC_FILTER, STACK, rule_errors_bucket, stack, thing_type_name};
