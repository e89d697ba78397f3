//! Who may connect and publish: the IoT policy of devices and the topics of their readings.

mod stack;

pub use stack::{Outputs, READINGS_TOPIC_FILTER, STACK, stack};
