//! `sim draw`: the scenario that a run of a swarm draws from its seed.

use super::args::DrawArgs;
use super::{Failure, print};
use crate::scenario::Scenario;
use crate::swarm;

/// Prints what is drawn, as a scenario file.
pub(super) fn draw(args: &DrawArgs) -> Result<u8, Failure> {
    let scenario = Scenario::load(&args.file)?;
    let seed = args.seed.unwrap_or(scenario.seeds[0]);
    print(&swarm::draw(&scenario, seed)?.source.text)?;
    Ok(0)
}
