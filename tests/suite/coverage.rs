//! What is never reached is not tested: a fixed set of seeds of the swarm, and every scenario with faults, must reach each
//! sometimes-mark and make each kind of fault strike at least once.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use sim::run::RunOptions;
use sim::scenario::{Overrides, Scenario};
use sim::sweep::coverage::{Coverage, EXCEPTIONS};
use sim::sweep::{Row, Tally, in_parallel, run_seed};

use crate::support::{root, scenario};

/// Seeds of the swarm that are run before it is asked again whether something is missing.
const STEP: u64 = 50;
/// Most seeds of the swarm.
const SEEDS_MAX: u64 = 600;
/// Largest scenario that is run, in readings.
const READINGS_MAX: u64 = 100_000;

fn rows(scenario: &Scenario, seeds: &[u64]) -> Vec<Row> {
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let run = |seed| run_seed(scenario, &Overrides::default(), RunOptions::seeded(seed)).0;
    in_parallel(seeds, jobs, &AtomicBool::new(false), run, |rows| rows.iter().collect())
}

/// What the rows of a scenario come to; every seed must end as the scenario expects.
fn tally(scenario: &Scenario, rows: &[Row]) -> (String, Tally) {
    let tally = Tally::of(rows, scenario.expect.verdict);
    let name = scenario.source.name.clone();
    if let Some(row) = tally.failures.first() {
        panic!("cargo sim run scenarios/{name}.toml --seed {}: {}: {:?}", row.seed, row.end.as_str(), row.why);
    }
    (name, tally)
}

#[test]
fn every_mark_and_every_kind_of_fault_is_reached() {
    let mut tallies = Vec::new();
    for entry in std::fs::read_dir(root().join("scenarios")).expect("the folder of scenarios") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
            if !scenario.faults.is_empty() && scenario.readings_max() <= READINGS_MAX {
                tallies.push(tally(&scenario, &rows(&scenario, &scenario.seeds)));
            }
        }
    }
    tallies.sort_by(|(a, _), (b, _)| a.cmp(b));
    let swarm = scenario("swarm");
    let mut found: Vec<Row> = Vec::new();
    let coverage = loop {
        let first = found.len() as u64;
        found.extend(rows(&swarm, &(first..first + STEP).collect::<Vec<_>>()));
        let mut all = tallies.clone();
        all.push(tally(&swarm, &found));
        let coverage = Coverage::of(&all);
        if coverage.never(EXCEPTIONS).is_empty() || found.len() as u64 >= SEEDS_MAX {
            break coverage;
        }
    };
    let missing = [coverage.never(EXCEPTIONS), coverage.stale(EXCEPTIONS)].concat();
    let count = found.len();
    assert!(missing.is_empty(), "with {count} seeds of the swarm:\n{}", missing.join("\n"));
    assert!(EXCEPTIONS.iter().all(|(_, reason)| reason.len() > 30), "an exception has a reason");
}
