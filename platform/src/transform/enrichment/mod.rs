//! Enrichment: from raw readings to valid ones, with the type of their device and in canonical units.
//!
//! What is refused is kept in quarantine with its reason. A batch is done when each of its readings is in the enriched
//! stream or in quarantine; until then Lambda delivers the rest of it again, from the first reading that is not safe.
//!
//! A device that has just registered itself may publish before the device tagger has written its item. Such readings wait
//! in the stream for four minutes before they are refused, and their whole shard waits with them. To write the readings
//! behind them meanwhile was weighed and left: Lambda delivers the batch again from the first reading that waits, about ten
//! times in four minutes, and reads no further, so it would write the rest of one batch ten times and still keep what is
//! behind it waiting. What is avoided is that a device which nobody registers holds its shard for ever: once a reading of it
//! has waited in vain, its others are refused at once, for as long as the directory, asked after their arrival, has no item.
//!
//! A reading comes out with two times of the device: `ts` as the device said it, and `event_at`, corrected where its clock
//! is certainly wrong (`skew.rs`).

mod cache;
mod diagnosis;
mod directory;
mod handler;
mod quarantine;
mod reading;
mod rejection;
pub mod replay;
mod schema;
mod skew;
mod stack;
mod units;
mod waves;
mod writer;

#[cfg(test)]
mod tests;

pub use handler::{Enrichment, HANDLER, VARIABLES};
pub use schema::PROCESSED_COLUMNS;
pub use stack::{STACK, quarantine_bucket, stack};
