//! The statements that functions ask Athena, as files: a judge of SQL that shares no code with the platform reads them.

use crate::store::data_lake::curation::statement;

#[test]
fn the_statements_of_functions_are_as_reviewed() {
    // The hour from 2026-03-01 00:00 UTC.
    insta::assert_snapshot!("statement-curation", statement::curate(1_772_323_200, 24));
}
