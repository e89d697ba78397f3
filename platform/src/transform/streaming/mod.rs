//! The streams, and the rule that moves readings from MQTT to the raw stream.

mod schema;
mod stack;

pub use schema::RAW_COLUMNS;
pub use stack::{Outputs, STACK, enriched_stream_name, raw_stream_name, readings_rule_name, stack};
