//! The lake: buckets, deliveries from the streams, tables.

pub mod curation;
mod delivery;
mod stack;
mod tables;

pub use stack::{Outputs, STACK, stack};
pub use tables::{PROCESSED_TABLE, RAW_TABLE};
