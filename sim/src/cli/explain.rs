//! `sim explain`: the story of the first violation of a run.

use super::Failure;
use super::args::ExplainArgs;

/// Tells the story.
pub(super) fn explain(_: &ExplainArgs) -> Result<u8, Failure> {
    Err(Failure::usage("not here yet"))
}
