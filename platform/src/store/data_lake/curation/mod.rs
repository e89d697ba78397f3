//! Curation: each complete hour of processed readings, without duplicates, into the curated table.
//!
//! **Nothing twice, whatever is repeated.** The statement of an hour inserts only readings whose identity is not in the
//! curated table yet, from [`statement::WINDOW_H`] hours before to the hours that are curated at the same time: a
//! reading that Firehose or the enrichment doubled across two hours comes once, rows that arrived late in an hour that
//! was curated before are added, and what a failed statement left behind is not doubled. Two statements of one hour at
//! the same time would not see each other's rows. That cannot happen: the token of a statement is made of the hour, the
//! schedule and the attempt, so an invocation that comes twice finds the statement of the first one, and Athena runs it
//! once. The next attempt has its token only when the one before has failed.
//!
//! **Not promised:** a reading that its device sends again more than [`statement::WINDOW_H`] hours later comes twice.

mod handler;
mod query;
mod schedule;
mod schema;
pub mod statement;

#[cfg(test)]
mod tests;

pub use handler::{Curation, DATABASE, HANDLER, VARIABLES, WORKGROUP};
pub use schedule::{LOOK_BACK_H, SCHEDULED_TIME, SETTLED_AFTER_S};
pub use schema::{CURATED_COLUMNS, CURATED_TABLE};
