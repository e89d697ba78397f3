//! Faults that act by themselves at times: what an operator does to the account, and what befalls its resources.
//!
//! Each fault of a kind of [`ACTING`] has a task. At `from` it strikes: [`begin`] acts, and says how that is put right.
//! It is put right after `lasting`, when the window ends, and at the latest before peace begins
//! ([`Acts::put_all_right`]); then the account is as it was before. With `every` it strikes again.
//!
//! To add a kind: a name in [`ACTING`], and an arm of [`begin`] that answers an [`Act`]. Acts go through the account as its
//! owner, by the operations that an owner has. An act that finds its target broken already answers `None`: two faults never
//! break one thing, so that each can put back what it found.

mod functions;
mod keys;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use madsim::runtime::NodeHandle;
use platform::Settings;
use platform::naming::Naming;

use crate::cloud::core::AwsError;
use crate::fault::{FaultSpec, Faults, Kind, Opportunity};
use crate::seam::Cloud;
use crate::world::clock;
use crate::world::time::Time;
use crate::world::trace::{Level, Trace};

/// Kinds that act by themselves on the account.
const ACTING: &[Kind] = &[Kind::BadDeploy, Kind::WrongConfiguration, Kind::KeyDisabled];

/// Function of a fault that names none.
pub(super) const DEFAULT_FUNCTION: &str = "enrichment";

/// How long after a refusal what has to be put right is tried again: a change of a function is in progress for seconds,
/// and no other is taken meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Puts right what a stroke changed. It is called again until it succeeds.
pub(super) type Undo = Box<dyn Fn(&Stage) -> Result<(), AwsError> + Send>;

/// One stroke, carried out.
pub(super) struct Act {
    /// The service whose resource was struck.
    pub service: &'static str,
    /// What was struck: the name of a function, of a key, of a stack.
    pub subject: String,
    /// How it is put right. Absent when nothing is left behind.
    pub undo: Option<Undo>,
}

/// Acts once. Nothing when there is nothing to break.
async fn begin(stage: &Stage, fault: &FaultSpec, nth: u64) -> Result<Option<Act>, AwsError> {
    match fault.kind {
        Kind::BadDeploy => functions::bad_deploy(stage, fault),
        Kind::WrongConfiguration => functions::wrong_configuration(stage, fault, nth),
        Kind::KeyDisabled => keys::disable(stage),
        other => unreachable!("{} is not among the kinds that act", other.id()),
    }
}

/// What acts act on.
pub(super) struct Stage {
    /// The account.
    pub cloud: Cloud,
    /// The platform's settings at the start.
    pub settings: Settings,
    faults: Faults,
    trace: Trace,
    start: Time,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is to be put right, in the order in which it was broken.
    broken: BTreeMap<u64, Broken>,
    strokes: u64,
    /// Acts that have begun and not returned.
    under_way: usize,
}

struct Broken {
    fault: String,
    subject: String,
    undo: Undo,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Name of the function that a fault strikes.
    pub fn function(&self, fault: &FaultSpec) -> String {
        Naming::new(&self.settings).function(fault.target.function.as_deref().unwrap_or(DEFAULT_FUNCTION))
    }

    /// One of `all`, by the lot of a fault's stroke.
    pub fn pick<'a, T>(&self, fault: &FaultSpec, nth: u64, all: &'a [T]) -> Option<&'a T> {
        let at = self.faults.lot(fault, nth) * all.len() as f64;
        all.get(at as usize)
    }

    /// Strikes once. Answers under which number what it broke is kept.
    async fn strike(&self, fault: &FaultSpec, nth: u64) -> Option<u64> {
        self.lock().under_way += 1;
        let begun = begin(self, fault, nth).await;
        self.lock().under_way -= 1;
        let now = clock::now();
        match begun {
            Ok(Some(Act { service, subject, undo })) => {
                let function = fault.target.function.as_deref().unwrap_or("");
                let at = Opportunity { service, function, subject: &subject, ..Opportunity::default() };
                self.faults.struck(now, fault, &at);
                let undo = undo?;
                let mut state = self.lock();
                state.strokes += 1;
                let number = state.strokes;
                state.broken.insert(number, Broken { fault: fault.name.clone(), subject, undo });
                Some(number)
            }
            Ok(None) => None,
            Err(error) => {
                self.tell(now, "not-possible", &fault.name, &error.to_string());
                None
            }
        }
    }

    /// Puts right what is kept under a number. Whoever comes second finds it done.
    async fn put_right(&self, number: u64) {
        loop {
            let Some(broken) = self.lock().broken.remove(&number) else { return };
            match (broken.undo)(self) {
                Ok(()) => return self.tell(clock::now(), "put-right", &broken.fault, &broken.subject),
                Err(error) => {
                    self.tell(clock::now(), "not-yet-put-right", &broken.fault, &error.to_string());
                    self.lock().broken.insert(number, broken);
                }
            }
            clock::sleep(TRY_AGAIN).await;
        }
    }

    fn tell(&self, now: Time, kind: &'static str, fault: &str, detail: &str) {
        self.trace.event(Level::Call, now, "fault", kind, fault, &[("detail", detail.into())]);
    }
}

/// The acts of a run.
pub(super) struct Acts(Arc<Stage>);

impl Acts {
    /// Begins to act on `node` at the times of the faults.
    pub fn start(cloud: &Cloud, settings: &Settings, trace: &Trace, start: Time, node: &NodeHandle) -> Self {
        let stage = Arc::new(Stage {
            cloud: cloud.clone(),
            settings: settings.clone(),
            faults: cloud.faults().clone(),
            trace: trace.clone(),
            start,
            state: Mutex::default(),
        });
        for fault in ACTING.iter().flat_map(|kind| stage.faults.of(*kind)) {
            node.spawn(act_at_times(stage.clone(), fault));
        }
        Acts(stage)
    }

    /// Puts everything right, the last first. Called when hardship is over.
    pub async fn put_all_right(&self) {
        loop {
            let Some(last) = self.0.lock().broken.keys().next_back().copied() else { return };
            self.0.put_right(last).await;
        }
    }

    /// Whether nothing is under way and nothing is left to be put right.
    pub fn finished(&self) -> bool {
        let state = self.0.lock();
        state.under_way == 0 && state.broken.is_empty()
    }
}

/// Strikes at the beginning of the fault's window, and again after each `every`.
async fn act_at_times(stage: Arc<Stage>, fault: Arc<FaultSpec>) {
    let until = stage.start + fault.until;
    let mut at = stage.start + fault.from;
    for nth in 0.. {
        clock::sleep_until(at).await;
        if stage.faults.healed() || clock::now() >= until {
            return;
        }
        if let Some(number) = stage.strike(&fault, nth).await {
            let ends = fault.lasting.map_or(until, |lasting| (clock::now() + lasting).min(until));
            clock::sleep_until(ends).await;
            stage.put_right(number).await;
        }
        let Some(every) = fault.every else { return };
        at = (at + every.max(TRY_AGAIN)).max(clock::now());
    }
}
