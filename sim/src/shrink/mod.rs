//! Shrinking: the smallest scenario that still fails in the same way.
//!
//! - `text`: changes of a scenario's text that keep its comments.
//! - `passes`: what may be smaller about a scenario, as candidates from the boldest to the most timid.
//! - `trials`: runs candidates, several at once, and takes the first in their order that fails in the same way.
//! - `series`: paths of recorded series, which depend on where a file lies.
//!
//! The result follows from scenario, seed, harness and build: which candidate is taken depends on the order of the
//! candidates and never on which thread is faster. Only a caller that calls a halt ([`Options::time_is_up`]) makes the
//! result depend on the machine, and [`Shrunk::complete`] says so.

mod passes;
mod series;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod trials;

use std::fmt;
use std::path::Path;

use record::{Summary, Verdict, shell_word};

use crate::run::{Harness, RunError};
use crate::scenario::{Scenario, ScenarioError, duration};
use crate::swarm;
use trials::Trials;

/// In which way a run failed. Two runs with equal signatures failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// How the run ended.
    pub verdict: Verdict,
    /// The first invariant that was violated.
    pub invariant: Option<String>,
    /// What an unsettled run was waiting for, without its numbers.
    pub waiting: Option<String>,
}

impl Signature {
    /// The way in which a run failed; nothing when it held.
    pub fn of(summary: &Summary) -> Option<Self> {
        let waiting = || summary.unsettled.as_deref().map(without_numbers);
        (summary.verdict != Verdict::Held).then(|| Signature {
            verdict: summary.verdict,
            invariant: summary.violations.first().map(|violation| violation.invariant.clone()),
            waiting: if summary.verdict == Verdict::Unsettled { waiting() } else { None },
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.invariant, &self.waiting) {
            (Some(invariant), _) => write!(f, "{} {invariant}", self.verdict),
            (None, Some(waiting)) => write!(f, "{}: {waiting}", self.verdict),
            (None, None) => write!(f, "{}", self.verdict),
        }
    }
}

fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | ',' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

/// What is told of a shrink now and then.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Runs that were done.
    pub runs: u64,
    /// The smallest scenario so far.
    pub size: Size,
    /// What is tried to be made smaller.
    pub pass: &'static str,
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Devices of all fleets.
    pub devices: u64,
    /// Faults.
    pub faults: usize,
    /// Deployments in mid-traffic.
    pub changes: usize,
    /// How long devices publish.
    pub hardship: std::time::Duration,
}

impl Size {
    /// The size of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let (faults, changes) = (scenario.faults.len(), scenario.changes.len());
        Size { devices: scenario.devices(), faults, changes, hardship: scenario.phase.hardship }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        write!(f, "{}, {}", count(self.devices, "device"), count(self.faults as u64, "fault"))?;
        if self.changes > 0 {
            write!(f, ", {}", count(self.changes as u64, "change"))?;
        }
        write!(f, ", {}", duration::format(self.hardship))
    }
}

/// How to shrink.
pub struct Options<'a> {
    /// Candidates that run at the same time. The result is the same for every number.
    pub jobs: usize,
    /// Other seeds that a bold candidate is tried with when it does not fail with its own.
    pub other_seeds: u64,
    /// Asked before each run: whether to stop with the smallest scenario so far.
    pub time_is_up: &'a (dyn Fn() -> bool + Sync),
    /// Told when something changes.
    pub progress: &'a mut dyn FnMut(&Progress),
}

/// What a scenario was shrunk to.
#[derive(Debug)]
pub struct Shrunk {
    /// The smallest scenario that fails in the same way. Its text is a whole scenario file.
    pub scenario: Scenario,
    /// The seed with which it fails.
    pub seed: u64,
    /// How it fails.
    pub summary: Summary,
    /// Runs that were done.
    pub runs: u64,
    /// Whether nothing smaller was left to try; otherwise time was up before.
    pub complete: bool,
    /// Size before.
    pub before: Size,
    /// Size now.
    pub after: Size,
}

/// Why nothing could be shrunk.
#[derive(Debug)]
pub enum ShrinkError {
    /// The run does not fail in the way that was asked for.
    NoFailure {
        /// What was asked for.
        wanted: Signature,
        /// What the run came to.
        found: Option<Signature>,
    },
    /// The text of the scenario cannot be written.
    Scenario(ScenarioError),
    /// The run could not be carried out.
    Run(RunError),
}

impl fmt::Display for ShrinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShrinkError::NoFailure { wanted, found } => {
                let found = found.as_ref().map_or_else(|| "held".to_owned(), ToString::to_string);
                write!(
                    f,
                    "the run does not fail as it should\n  expected: {wanted}\n  found: {found}\n  \
                     hint: another build may have repaired it; `cargo sim run` shows what it comes to now"
                )
            }
            ShrinkError::Scenario(error) => error.fmt(f),
            ShrinkError::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShrinkError {}

impl From<ScenarioError> for ShrinkError {
    fn from(error: ScenarioError) -> Self {
        ShrinkError::Scenario(error)
    }
}

/// A scenario with a seed, and what the run of both comes to.
#[derive(Clone)]
struct Failing {
    scenario: Scenario,
    seed: u64,
    summary: Summary,
}

/// Shrinks a scenario that fails with this seed in the way of `wants`. Each run is in a world of its own `harness`.
///
/// # Errors
/// When the run does not fail in this way, or cannot be carried out.
pub fn shrink<'a>(
    scenario: &Scenario,
    seed: u64,
    harness: &'a (dyn Fn() -> Harness + Sync),
    wants: &'a Signature,
    options: Options<'a>,
) -> Result<Shrunk, ShrinkError> {
    // What a swarm draws is a scenario of its own from here on.
    let mut concrete = swarm::concrete(scenario, seed)?.into_owned();
    concrete.origin = None;
    let written = text::written(&concrete)?;
    let mut trials = Trials::new(harness, wants, options);
    let mut best = trials.first(written, seed)?;
    let before = Size::of(&best.scenario);
    let mut complete = false;
    while !complete && !trials.stopped() {
        complete = true;
        for pass in passes::ALL {
            trials.enter(pass.name, &best.scenario);
            // Each pass begins anew from what it has reached, until nothing in it is left.
            let mut step = 0;
            while let Some(smaller) = trials.smaller(pass, &best, &mut step) {
                best = smaller;
                complete = false;
                trials.tell(&best.scenario);
            }
        }
    }
    let complete = complete && !trials.stopped();
    let after = Size::of(&best.scenario);
    Ok(Shrunk {
        scenario: best.scenario,
        seed: best.seed,
        summary: best.summary,
        runs: trials.runs(),
        complete,
        before,
        after,
    })
}

impl Shrunk {
    /// The scenario as a file of regressions: with a title, why it is kept, its seed and the command that runs it.
    /// `origin` names what it was shrunk from, such as `swarm seed 7`; `file` is where it will lie.
    ///
    /// # Errors
    /// When a series that the scenario plays cannot be named from there.
    pub fn regression(&self, origin: &str, file: &Path, flags: &str) -> Result<String, ScenarioError> {
        let way = Signature::of(&self.summary).map_or_else(String::new, |signature| signature.to_string());
        let titled = text::titled(
            &self.scenario,
            &format!("{}: {way}", self.after),
            &format!("shrunk from {origin}: {way}"),
            self.seed,
            file,
        )?;
        let command = format!("cargo sim run {} --seed {}{flags}", shell_word(&file.display().to_string()), self.seed);
        Ok(format!("# Run it with: {command}\n{titled}"))
    }
}
