//! Looking for a seed that finds a bug.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use record::{Summary, Verdict};

use super::{Bug, SETTING};
use crate::run::{Harness, RunError, RunOptions, run_with};
use crate::scenario::Scenario;

/// What a run came to, as far as a hunt needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Everything held.
    Held,
    /// These invariants were violated, or `unsettled`.
    Broken(Vec<String>),
}

impl Seen {
    fn of(summary: &Summary) -> Self {
        let mut broken: Vec<String> = Vec::new();
        for violation in &summary.violations {
            if !broken.contains(&violation.invariant) {
                broken.push(violation.invariant.clone());
            }
        }
        match summary.verdict {
            Verdict::Held => Seen::Held,
            Verdict::Violated | Verdict::NotDeterministic => Seen::Broken(broken),
            Verdict::Unsettled => Seen::Broken(vec![Verdict::Unsettled.to_string()]),
        }
    }
}

/// A run that found a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Seed of the run.
    pub seed: u64,
    /// Seeds that were run up to this one.
    pub seeds: u64,
    /// What was broken.
    pub by: Vec<String>,
}

/// What became of the hunt for one bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunted {
    /// For each base, the first seed that found it.
    pub found: Vec<Option<Found>>,
    /// Seeds that do not hold without the bug either.
    pub false_alarms: Vec<u64>,
}

impl Hunted {
    /// Whether it was found from every base, and nothing was blamed on it that is not its own.
    pub fn is_found(&self) -> bool {
        self.false_alarms.is_empty() && self.found.iter().all(Option::is_some)
    }

    /// Median of the seeds that were needed; the lower one of two.
    pub fn median_seeds(&self) -> Option<u64> {
        let mut seeds: Vec<u64> = self.found.iter().flatten().map(|found| found.seeds).collect();
        seeds.sort_unstable();
        let middle = seeds.len().checked_sub(1)? / 2;
        seeds.get(middle).copied()
    }
}

/// Where to look.
pub struct Hunt<'s> {
    scenario: &'s Scenario,
    bases: Vec<u64>,
    seeds_max: u64,
    /// What seeds come to without any bug.
    clean: Mutex<BTreeMap<u64, Seen>>,
}

impl<'s> Hunt<'s> {
    /// A hunt with at most `seeds_max` seeds from each of `bases`.
    pub fn new(scenario: &'s Scenario, bases: Vec<u64>, seeds_max: u64) -> Self {
        Hunt { scenario, bases, seeds_max, clean: Mutex::default() }
    }

    /// Runs seeds from each base until one finds the bug, and the same seed without it.
    ///
    /// # Errors
    /// A run could not be carried out.
    pub fn hunt(&self, bug: &Bug) -> Result<Hunted, RunError> {
        let mut hunted = Hunted { found: Vec::new(), false_alarms: Vec::new() };
        for base in self.bases.clone() {
            let mut found = None;
            for n in 0..self.seeds_max {
                let seed = base.wrapping_add(n);
                let seen = self.run(seed, Some(bug))?;
                let Seen::Broken(by) = seen else {
                    continue;
                };
                if self.holds_without(seed)? {
                    found = Some(Found { seed, seeds: n + 1, by });
                    break;
                }
                hunted.false_alarms.push(seed);
            }
            hunted.found.push(found);
        }
        Ok(hunted)
    }

    fn holds_without(&self, seed: u64) -> Result<bool, RunError> {
        let known = self.clean.lock().unwrap_or_else(PoisonError::into_inner).get(&seed).cloned();
        let seen = match known {
            Some(seen) => seen,
            None => self.run(seed, None)?,
        };
        let holds = seen == Seen::Held;
        self.clean.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, seen);
        Ok(holds)
    }

    fn run(&self, seed: u64, bug: Option<&Bug>) -> Result<Seen, RunError> {
        let mut options = RunOptions::seeded(seed);
        options.settings.extend(bug.map(|bug| (SETTING.to_owned(), bug.id.to_owned())));
        let harness = bug.map_or_else(Harness::default, |bug| (bug.plant)());
        Ok(Seen::of(&run_with(self.scenario, options, harness)?.summary))
    }
}

/// Hunts for several bugs, `jobs` at a time, and tells of each as it is done. What is found does not depend on `jobs`.
///
/// # Errors
/// The first run, in the order of the bugs, that could not be carried out.
pub fn all<B, T: Send>(
    hunt: &Hunt<'_>,
    bugs: &[&'static Bug],
    jobs: usize,
    begin: impl Fn() -> B + Sync,
    done: impl Fn(&'static Bug, Hunted, B) -> T + Sync,
) -> Result<Vec<T>, RunError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, Result<T, RunError>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, bugs.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, bug)) = take(&next, bugs) {
                    let began = begin();
                    let result = hunt.hunt(bug).map(|hunted| done(bug, hunted, began));
                    results.lock().unwrap_or_else(PoisonError::into_inner).insert(index, result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn take(next: &AtomicUsize, bugs: &[&'static Bug]) -> Option<(usize, &'static Bug)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    bugs.get(index).map(|bug| (index, *bug))
}
