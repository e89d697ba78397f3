//! Enrichment: from raw readings to valid ones, with the type of their device and in canonical units.
//!
//! What is refused is kept in quarantine with its reason. A batch is done when each of its readings is in the enriched
//! stream or in quarantine; until then Lambda delivers the rest of it again, from the first reading that is not safe.
//!
//! A device that has just registered itself may publish before the device tagger has written its item. Such readings wait
//! in the stream for four minutes before they are refused.

mod cache;
mod directory;
mod handler;
mod quarantine;
mod reading;
mod rejection;
mod schema;
mod stack;
mod units;
mod waves;
mod writer;

#[cfg(test)]
mod tests;

pub use handler::{Enrichment, HANDLER, VARIABLES};
pub use schema::PROCESSED_COLUMNS;
pub use stack::{STACK, quarantine_bucket, stack};
