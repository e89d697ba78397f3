//! Exploring: scenarios that proptest draws, and the regressions that were found on the way.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use record::{Summary, Verdict};
use sim::run::{RunOptions, run};
use sim::scenario::Scenario;

use crate::strategy::any_scenario;
use crate::support::{root, summary};

/// Scenarios of one exploration; `PROPTEST_CASES` widens it.
const CASES: u32 = 24;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    // A failure is shrunk and kept in the repository, and run first the next time.
    let kept = FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/explore.regressions"));
    let failure_persistence = Some(Box::new(kept) as Box<_>);
    ProptestConfig { cases, failure_persistence, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_scenario_holds_and_is_repeated_to_the_bit(scenario in any_scenario(), seed in 1_u64..=1_000) {
        let text = &scenario.source.text;
        let outcome = run(&scenario, RunOptions::seeded(seed));
        let first = outcome.map_err(|error| TestCaseError::fail(format!("seed {seed}: {error}\n{text}")))?.summary;
        prop_assert_eq!(first.verdict, Verdict::Held, "seed {}: {:?} {:?}\n{}", seed, first.violations, first.unsettled, text);
        let again = summary(&scenario, seed);
        prop_assert_eq!(first.digest, again.digest, "seed {}\n{}", seed, text);
        prop_assert_eq!(first, again);
    }
}

fn regressions() -> Vec<PathBuf> {
    let folder = root().join("scenarios/regressions");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn every_regression_comes_to_what_it_should_and_is_repeated_to_the_bit_in_one_process() {
    let files = regressions();
    assert!(!files.is_empty(), "regressions are kept in scenarios/regressions");
    for file in files {
        let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
        for seed in &scenario.seeds {
            let runs: Vec<Summary> = (0..4).map(|_| summary(&scenario, *seed)).collect();
            let context = format!("{} --seed {seed}: {:?}", file.display(), runs[0].violations);
            assert_eq!(runs[0].verdict, scenario.expect.verdict, "{context}");
            assert!(runs.iter().all(|run| run.digest == runs[0].digest), "{context}: another digest");
        }
    }
}
