//! The lake: buckets, deliveries from the streams, tables.

pub mod curation;
mod delivery;
mod stack;
mod tables;

pub use delivery::{processed_delivery_name, raw_delivery_name};
pub use stack::{Outputs, STACK, stack};
pub use tables::{PROCESSED_TABLE, RAW_TABLE};
