//! One run: from a scenario and a seed to a summary.
//!
//! A run boots the account from the platform's templates, registers and starts the fleet, lets devices publish during
//! hardship and drain during peace, and then asks the oracles. Everything in it follows from (scenario, seed, build);
//! what the caller wants to see of it (recorded rows, progress) never changes the digest.

mod acts;
mod alerts;
mod check;
mod deployment;
mod devices;
mod gold;
mod labels;
mod measure;
mod operator;
mod process;
mod promises;
mod service_acts;
mod settings;
mod unsettled;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use record::{EventRow, Manifest, Recorder, Summary};

pub use process::prepare;

use crate::cloud::account::Account;
use crate::scenario::{Scenario, ScenarioError};
use crate::seam::{FunctionFactory, Tamper, WireTamper};
use crate::swarm;
use crate::world::runtime::simulate;
use crate::world::seed::Seed;
use crate::world::spotlight::Spotlight;
use crate::world::time::Time;
use crate::world::trace::{Event, EventSink, Level};

/// What a run is told beside its scenario. Nothing here but the seed changes the digest.
pub struct RunOptions {
    /// Seed of the run.
    pub seed: u64,
    /// Where kept events and metrics go, and up to which level events are kept.
    pub record: Option<(Recorder, Level)>,
    /// Is told now and then how far the run is.
    pub progress: Option<ProgressSink>,
    /// Flags that changed the scenario, for the manifest.
    pub settings: BTreeMap<String, String>,
    /// Takes events up to a level, in place of `record`'s. Metrics still go there.
    pub watch: Option<(Level, Box<dyn EventSink>)>,
    /// Looks at one reading's way.
    pub spotlight: Option<Spotlight>,
}

/// Takes what is told of a run's progress.
pub type ProgressSink = Box<dyn FnMut(&Status) + Send>;

impl RunOptions {
    /// A run with this seed that records nothing.
    pub fn seeded(seed: u64) -> Self {
        let settings = BTreeMap::new();
        RunOptions { seed, record: None, progress: None, settings, watch: None, spotlight: None }
    }
}

/// What tests change of the world to plant a bug, without a line of simulation in the product.
#[derive(Clone, Default)]
pub struct Harness {
    /// Wraps each handler as it is built.
    pub wrap_function: Option<FunctionFactory>,
    /// Changes a template before it is deployed: (stack, body) to body.
    pub change_template: Option<TemplateChange>,
    /// Changes the calls of functions and what they are answered.
    pub tamper: Option<Arc<dyn Tamper>>,
    /// Changes what passes between devices and the broker.
    pub wire: Option<Arc<dyn WireTamper>>,
    /// What the account's owner does, each so long after the start.
    pub acts: Vec<(Duration, OwnersAct)>,
}

/// What the account's owner does at an instant.
pub type OwnersAct = Arc<dyn Fn(&mut Account, Time) + Send + Sync>;

/// Changes a template before it is deployed: (stack, body) to body.
pub type TemplateChange = Arc<dyn Fn(&str, String) -> String + Send + Sync>;

/// An event as a run folder keeps it.
pub fn event_row(event: Event) -> EventRow {
    EventRow {
        seq: event.seq,
        time_us: i64::try_from(event.time.unix_micros()).unwrap_or(i64::MAX),
        level: event.level,
        source: event.source,
        kind: event.kind.into(),
        subject: event.subject,
        detail: event.detail,
        digest: event.digest,
    }
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// `boot`, `hardship`, `peace`, `grace` or `check`.
    pub phase: &'static str,
    /// Simulated time since the start.
    pub simulated: Duration,
    /// Longest simulated time that the run takes when it settles.
    pub simulated_max: Duration,
    /// Readings published.
    pub published: u64,
    /// Readings acknowledged.
    pub acknowledged: u64,
}

/// What a run came to. Values of the wall clock are the caller's to set ([`Summary::set_wall_clock`]).
#[derive(Debug)]
pub struct Outcome {
    /// The summary.
    pub summary: Summary,
    /// What decided the run.
    pub manifest: Manifest,
}

/// A run that could not be carried out: the scenario does not fit the platform, or an oracle got no answer.
#[derive(Debug)]
pub struct RunError {
    /// What went wrong, with file and key where there is one, and a hint.
    pub message: String,
    /// Whether the scenario (or a flag) is at fault, rather than the simulator.
    pub usage: bool,
}

impl RunError {
    fn failed(message: impl fmt::Display) -> Self {
        RunError { message: message.to_string(), usage: false }
    }
}

impl From<ScenarioError> for RunError {
    fn from(error: ScenarioError) -> Self {
        RunError { message: error.to_string(), usage: true }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RunError {}

/// Runs a scenario to its end. What a swarm leaves open is drawn first, from the run's seed.
pub fn run(scenario: &Scenario, options: RunOptions) -> Result<Outcome, RunError> {
    run_with(scenario, options, Harness::default())
}

/// Runs a scenario to its end in a world that a test has changed.
pub fn run_with(scenario: &Scenario, options: RunOptions, harness: Harness) -> Result<Outcome, RunError> {
    prepare();
    let scenario = &*swarm::concrete(scenario, options.seed)?;
    let after_changes = settings::after_changes(scenario)?;
    let settings = settings::of(scenario)?;
    let scenario = scenario.clone();
    let (seed, start) = (Seed::root(options.seed), scenario.start);
    simulate(seed, start, move || world::run(scenario, (settings, after_changes), options, harness))
}
