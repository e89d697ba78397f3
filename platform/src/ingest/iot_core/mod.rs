//! Who may connect and publish: the IoT policy of devices, the topics of their readings, how they register themselves.

pub mod claims;
mod device_policy;
mod provisioning;
mod stack;

pub use provisioning::{claim_policy_name, template_name};
pub use stack::{Outputs, READINGS_TOPIC_FILTER, STACK, stack, thing_type_name};
