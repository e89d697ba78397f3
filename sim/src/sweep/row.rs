//! What one seed came to, in one line.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use record::{Digest, Summary, Verdict};
use serde::{Deserialize, Serialize};

use crate::run::{self, Outcome, RunOptions};
use crate::scenario::{Overrides, Scenario, ScenarioError};
use crate::swarm;

/// How a run of one seed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// As [`Verdict::Held`].
    Held,
    /// The scenario was refused.
    Refused,
    /// As [`Verdict::Unsettled`].
    Unsettled,
    /// As [`Verdict::Violated`].
    Violated,
    /// The run that recorded the failure had other events than the first: as [`Verdict::NotDeterministic`].
    NotDeterministic,
    /// The run could not be carried out: a bug of the simulator.
    Broken,
    /// The run panicked: a bug of the simulator.
    Panicked,
}

impl End {
    /// All ends, from the best to the worst.
    pub const ALL: [End; 7] =
        [End::Held, End::Refused, End::Unsettled, End::Violated, End::NotDeterministic, End::Broken, End::Panicked];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            End::Held => Verdict::Held.as_str(),
            End::Refused => "refused",
            End::Unsettled => Verdict::Unsettled.as_str(),
            End::Violated => Verdict::Violated.as_str(),
            End::NotDeterministic => Verdict::NotDeterministic.as_str(),
            End::Broken => "broken",
            End::Panicked => "panicked",
        }
    }
}

impl From<Verdict> for End {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Held => End::Held,
            Verdict::Violated => End::Violated,
            Verdict::Unsettled => End::Unsettled,
            Verdict::NotDeterministic => End::NotDeterministic,
        }
    }
}

/// What one seed came to. `wall_s` alone is not decided by (scenario, seed, build).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub end: End,
    /// The first violation, what had not settled, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Digest of the run; absent when it did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Devices.
    pub devices: u64,
    /// Readings that were delivered.
    pub delivered: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// Seconds that the run took on the machine.
    pub wall_s: f64,
    /// How often each kind of fault struck; a kind that the scenario has and that never struck has 0.
    pub faults: BTreeMap<String, u64>,
    /// How often each mark was reached.
    pub marks: BTreeMap<String, u64>,
}

impl Row {
    /// Whether the end is another than the scenario expects.
    pub fn failed(&self, expected: Verdict) -> bool {
        self.end != End::from(expected)
    }

    fn without_a_run(seed: u64, end: End, why: String) -> Self {
        Row {
            seed,
            end,
            why: Some(why),
            digest: None,
            devices: 0,
            delivered: 0,
            simulated_s: 0.0,
            wall_s: 0.0,
            faults: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    fn of(scenario: &Scenario, summary: &Summary) -> Self {
        let mut faults = BTreeMap::new();
        for fault in &scenario.faults {
            let strokes = summary.faults.get(&fault.name).copied().unwrap_or(0);
            *faults.entry(fault.kind.id().to_owned()).or_default() += strokes;
        }
        let violation = summary.violations.first().map(|found| format!("{}: {}", found.invariant, found.message));
        Row {
            seed: summary.seed,
            end: summary.verdict.into(),
            why: violation.or_else(|| summary.unsettled.clone()),
            digest: Some(summary.digest),
            devices: summary.devices,
            delivered: summary.delivered,
            simulated_s: summary.simulated_s,
            wall_s: 0.0,
            faults,
            marks: summary.marks.clone(),
        }
    }
}

/// Runs one seed of a scenario. Whatever happens is a row, and the run's outcome where it came to its end.
pub fn run_seed(scenario: &Scenario, overrides: &Overrides, options: RunOptions) -> (Row, Option<Outcome>) {
    let seed = options.seed;
    let concrete =
        |seed| -> Result<Scenario, ScenarioError> { swarm::concrete(scenario, seed)?.with_overrides(overrides) };
    let concrete = match concrete(seed) {
        Ok(concrete) => concrete,
        Err(error) => return (Row::without_a_run(seed, End::Refused, error.to_string()), None),
    };
    match catch_unwind(AssertUnwindSafe(|| run::run(&concrete, options))) {
        Ok(Ok(outcome)) => (Row::of(&concrete, &outcome.summary), Some(outcome)),
        Ok(Err(error)) => {
            let end = if error.usage { End::Refused } else { End::Broken };
            (Row::without_a_run(seed, end, error.message), None)
        }
        Err(panic) => {
            let texts = [panic.downcast_ref::<String>().map(String::as_str), panic.downcast_ref::<&str>().copied()];
            let why = texts.into_iter().flatten().next().unwrap_or("a panic without a text");
            (Row::without_a_run(seed, End::Panicked, why.to_owned()), None)
        }
    }
}
