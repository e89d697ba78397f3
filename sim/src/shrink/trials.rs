//! Runs candidates, several at once.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use record::Summary;

use super::passes::{Boldness, Pass};
use super::{Failing, Options, Progress, ShrinkError, Signature, Size};
use crate::run::{Harness, RunError, RunOptions, run_with};
use crate::scenario::Scenario;

/// One run to do.
struct Trial {
    scenario: Scenario,
    seed: u64,
    /// Position in the order of candidates.
    step: usize,
}

/// The runs of one shrink.
pub(super) struct Trials<'a> {
    harness: &'a (dyn Fn() -> Harness + Sync),
    wants: &'a Signature,
    options: Options<'a>,
    /// Candidates that did not fail in the same way, so that none runs twice.
    refused: BTreeMap<String, Vec<u64>>,
    path: PathBuf,
    runs: u64,
    pass: &'static str,
    stopped: bool,
}

impl<'a> Trials<'a> {
    pub(super) fn new(harness: &'a (dyn Fn() -> Harness + Sync), wants: &'a Signature, options: Options<'a>) -> Self {
        let (refused, path) = (BTreeMap::new(), PathBuf::new());
        Trials { harness, wants, options, refused, path, runs: 0, pass: "the run itself", stopped: false }
    }

    /// Whether time was up before everything was tried.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Runs that were done.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// Begins a pass.
    pub(super) fn enter(&mut self, pass: &'static str, best: &Scenario) {
        self.pass = pass;
        self.tell(best);
    }

    /// Tells how far this is.
    pub(super) fn tell(&mut self, best: &Scenario) {
        (self.options.progress)(&Progress { runs: self.runs, size: Size::of(best), pass: self.pass });
    }

    /// Runs what is to be shrunk.
    pub(super) fn first(&mut self, scenario: Scenario, seed: u64) -> Result<Failing, ShrinkError> {
        self.path = Path::new(&scenario.source.path).to_owned();
        self.tell(&scenario);
        self.runs += 1;
        let outcome = run_with(&scenario, RunOptions::seeded(seed), (self.harness)());
        let summary = outcome.map_err(ShrinkError::Run)?.summary;
        let found = Signature::of(&summary);
        if found.as_ref() != Some(self.wants) {
            return Err(ShrinkError::NoFailure { wanted: self.wants.clone(), found });
        }
        Ok(Failing { scenario, seed, summary })
    }

    /// The first candidate of a pass, from `step` on, that fails in the same way. Afterwards `step` is where a search in
    /// what was found goes on.
    pub(super) fn smaller(&mut self, pass: &Pass, best: &Failing, step: &mut usize) -> Option<Failing> {
        let candidates = (pass.candidates)(&best.scenario, self.wants);
        let mut trials = Vec::new();
        for (at, text) in candidates.into_iter().enumerate().skip(*step) {
            // What is no scenario is no candidate: a fleet whose interval no longer fits, say.
            let Ok(scenario) = Scenario::parse(&text, &self.path) else { continue };
            if scenario == best.scenario {
                continue;
            }
            let others = if pass.boldness == Boldness::Bold { self.options.other_seeds } else { 0 };
            let seeds = std::iter::once(best.seed).chain((1..=others).filter(|seed| *seed != best.seed));
            for seed in seeds {
                if !self.refused.get(&text).is_some_and(|seeds| seeds.contains(&seed)) {
                    trials.push(Trial { scenario: scenario.clone(), seed, step: at });
                }
            }
        }
        let found = self.first_that_fails(trials, best)?;
        *step = if pass.restarts { 0 } else { found.0 };
        Some(found.1)
    }

    /// Runs trials in chunks, at the same time, and takes the first in their order that fails in the same way.
    fn first_that_fails(&mut self, trials: Vec<Trial>, best: &Failing) -> Option<(usize, Failing)> {
        for chunk in trials.chunks(self.options.jobs.max(1)) {
            if self.stopped || (self.options.time_is_up)() {
                self.stopped = true;
                return None;
            }
            let summaries = self.run(chunk);
            self.runs += chunk.len() as u64;
            for (trial, summary) in chunk.iter().zip(summaries) {
                match summary {
                    Some(summary) if Signature::of(&summary).as_ref() == Some(self.wants) => {
                        let failing = Failing { scenario: trial.scenario.clone(), seed: trial.seed, summary };
                        return Some((trial.step, failing));
                    }
                    _ => self.refused.entry(trial.scenario.source.text.clone()).or_default().push(trial.seed),
                }
            }
            self.tell(&best.scenario);
        }
        None
    }

    /// One run each, in threads of their own. What cannot be carried out, or ends in a panic, gives nothing.
    fn run(&self, trials: &[Trial]) -> Vec<Option<Summary>> {
        let harness = self.harness;
        std::thread::scope(|scope| {
            let started: Vec<_> =
                trials.iter().map(|trial| scope.spawn(move || one_run(trial, harness).ok().flatten())).collect();
            started.into_iter().map(|thread| thread.join().unwrap_or(None)).collect()
        })
    }
}

fn one_run(trial: &Trial, harness: &(dyn Fn() -> Harness + Sync)) -> Result<Option<Summary>, RunError> {
    let run = || run_with(&trial.scenario, RunOptions::seeded(trial.seed), harness());
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map(|outcome| Some(outcome.summary)),
        Err(_) => Ok(None),
    }
}
