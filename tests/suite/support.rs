//! What the suites share.

use std::path::{Path, PathBuf};

use record::Summary;
use sim::run::{Harness, RunOptions, run_with};
use sim::scenario::{Overrides, Scenario};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository").to_owned()
}

/// A scenario of the folder `scenarios/`.
pub fn scenario(name: &str) -> Scenario {
    let path = root().join("scenarios").join(format!("{name}.toml"));
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario of the folder `scenarios/`, rescaled.
pub fn rescaled(name: &str, overrides: &Overrides) -> Scenario {
    scenario(name).with_overrides(overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario with a seed in a world that `harness` changes.
pub fn summary_with(scenario: &Scenario, seed: u64, harness: Harness) -> Summary {
    let outcome = run_with(scenario, RunOptions::seeded(seed), harness);
    outcome.unwrap_or_else(|error| panic!("{} with seed {seed}: {error}", scenario.source.name)).summary
}

/// Runs a scenario with a seed.
pub fn summary(scenario: &Scenario, seed: u64) -> Summary {
    summary_with(scenario, seed, Harness::default())
}
