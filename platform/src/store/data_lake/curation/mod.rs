//! Curation: each complete hour of processed readings, without duplicates, into the curated table.
//!
//! **Nothing twice, whatever is repeated.** The statement of an hour inserts only readings whose identity is not in the
//! curated table yet, from as many hours before as a stream keeps readings to the hours that are curated at the same time: a
//! reading that Firehose or the enrichment doubled across two hours comes once, rows that arrived late in an hour that
//! was curated before are added, and what a failed statement left behind is not doubled. Two statements of one hour at
//! the same time would not see each other's rows. So there is one invocation at a time, the function's reserved
//! concurrency, and it runs one statement after the other: it stops at the first that may still be going on. The token of
//! a statement is made of the hour, the schedule and the attempt, so an invocation that comes twice finds the statement of
//! the first one, and Athena runs it once. The next attempt has its token only when the one before has failed.
//!
//! **Not promised:** a reading that its device sends again more than the streams' retention later comes twice. **Older
//! hours are not curated:** an invocation looks at the last [`LOOK_BACK_H`] complete hours. What lies before the curation
//! was switched on, or before a pause of more than that, is in the table of processed readings only.

mod handler;
mod query;
mod schedule;
mod schema;
mod stack;
pub mod statement;

#[cfg(test)]
mod tests;

pub use handler::{Curation, DATABASE, HANDLER, STREAM_RETENTION_HOURS, VARIABLES, WORKGROUP};
pub use schedule::{LOOK_BACK_H, SETTLED_AFTER_S};
pub use schema::{CURATED_COLUMNS, CURATED_TABLE};
pub(super) use stack::{RESULTS, RESULTS_DAYS, add};
