//! Curation: each complete hour of processed readings, without duplicates, into the curated table.

mod handler;
mod schema;

pub use handler::{DATABASE, HANDLER, VARIABLES, WORKGROUP};
pub use schema::{CURATED_COLUMNS, CURATED_TABLE};
