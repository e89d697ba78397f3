//! Who may connect and publish: the IoT policy of devices, the topics of their readings, how they register themselves.

mod provisioning;
mod stack;

pub use provisioning::{claim_client_id, claim_parameters, claim_policy_name, claim_template_name};
pub use stack::{Outputs, READINGS_TOPIC_FILTER, STACK, rule_errors_bucket, stack, thing_type_name};
