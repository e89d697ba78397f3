//! The faults of a run, and who is struck by them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::RngExt as _;

use super::kinds::{KINDS, Kind};
use super::poison::{self, Poison, Record};
use super::spec::{FaultSpec, Target};
use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;
use crate::world::trace::{Level, Trace};

/// Something that a fault may strike. What does not apply is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opportunity<'a> {
    /// Service that is called, by its signing name.
    pub service: &'a str,
    /// Operation.
    pub operation: &'a str,
    /// Handler of the function that is invoked, or that calls.
    pub function: &'a str,
    /// Fleet of the device.
    pub fleet: &'a str,
    /// Stream: `raw` or `enriched`.
    pub stream: &'a str,
    /// Position of the device (or of whatever a share is taken of), for [`FaultSpec::share`].
    pub index: u64,
    /// What is struck, for the trace: a device's id, a request id.
    pub subject: &'a str,
}

/// One stroke of a fault.
#[derive(Clone, Debug)]
pub struct Stroke {
    /// The fault.
    pub spec: Arc<FaultSpec>,
    /// A number in 0..1 from the fault's own stream, for what else is to be chosen.
    pub roll: f64,
}

impl Stroke {
    /// The fault's delay, or `otherwise`.
    pub fn delay_or(&self, otherwise: Duration) -> Duration {
        self.spec.delay.unwrap_or(otherwise)
    }
}

struct Live {
    spec: Arc<FaultSpec>,
    seed: Seed,
    rng: Rng,
    strokes: u64,
}

struct Inner {
    /// By kind.
    live: Vec<Vec<Live>>,
    start: Time,
    healed: bool,
    poison: Poison,
    trace: Trace,
}

/// Kinds that make calls between services fail.
const MAKE_CALLS_FAIL: [Kind; 9] = [
    Kind::Throttle,
    Kind::ServerError,
    Kind::Timeout,
    Kind::LostRequest,
    Kind::LostResponse,
    Kind::BrownOut,
    Kind::RegionOutage,
    Kind::QuotaLowered,
    Kind::KeyDisabled,
];

/// The faults of a run. Clones are the same faults.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<Inner>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("strokes", &self.strokes()).finish_non_exhaustive()
    }
}

impl Faults {
    /// The faults of a run that begins at `start`.
    pub fn new(specs: &[FaultSpec], seed: Seed, start: Time, trace: Trace) -> Self {
        let mut live: Vec<Vec<Live>> = KINDS.iter().map(|_| Vec::new()).collect();
        for spec in specs {
            let seed = seed.child("fault").child(&spec.name);
            let (spec, rng) = (Arc::new(spec.clone()), seed.child("strokes").rng());
            live[spec.kind as usize].push(Live { spec, seed, rng, strokes: 0 });
        }
        Faults(Arc::new(Mutex::new(Inner { live, start, healed: false, poison: Poison::default(), trace })))
    }

    /// No faults.
    pub fn none() -> Self {
        Faults::new(&[], Seed::root(0), Time::EPOCH, Trace::new())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread runs the simulation, and a panic in it ends the run")
    }

    /// Whether the scenario has any fault: without one, nobody needs to be asked.
    pub fn any(&self) -> bool {
        self.lock().live.iter().any(|live| !live.is_empty())
    }

    /// Whether the scenario has a fault of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        !self.lock().live[kind as usize].is_empty()
    }

    /// Faults of a kind, for those that act by themselves.
    pub fn of(&self, kind: Kind) -> Vec<Arc<FaultSpec>> {
        self.lock().live[kind as usize].iter().map(|live| live.spec.clone()).collect()
    }

    /// The fault of a kind that strikes this opportunity now. Counts the stroke and leaves an event of it.
    pub fn strike(&self, now: Time, kind: Kind, at: &Opportunity<'_>) -> Option<Stroke> {
        let inner = &mut *self.lock();
        if inner.healed {
            return None;
        }
        let start = inner.start;
        for live in &mut inner.live[kind as usize] {
            if !live.meets(now, start, at) || live.rng.random_range(0.0..1.0) >= live.spec.probability.get() {
                continue;
            }
            let roll = live.rng.random_range(0.0..1.0);
            live.strokes += 1;
            tell(&inner.trace, now, &live.spec, at);
            return Some(Stroke { spec: live.spec.clone(), roll });
        }
        None
    }

    /// The fault of a kind that this is under, with a number for what is to be chosen. Nothing is counted or told.
    pub fn under(&self, now: Time, kind: Kind, at: &Opportunity<'_>) -> Option<Stroke> {
        let inner = &mut *self.lock();
        let (start, healed) = (inner.start, inner.healed);
        let live = inner.live[kind as usize].iter_mut().find(|live| !healed && live.meets(now, start, at))?;
        Some(Stroke { spec: live.spec.clone(), roll: live.rng.random_range(0.0..1.0) })
    }

    /// Whether a fault that has struck may be the reason that such a call of a service failed between two instants.
    pub fn explain(&self, at: &Opportunity<'_>, from: Time, to: Time) -> bool {
        let inner = self.lock();
        let suspects = MAKE_CALLS_FAIL.iter().flat_map(|kind| &inner.live[*kind as usize]);
        suspects.into_iter().any(|live| {
            let spec = &live.spec;
            live.strokes > 0
                && inner.start + spec.from <= to
                && from < inner.start + spec.until
                && spec.target.is_met_by(at)
        })
    }

    /// Whether a record is poison to the function with this handler. What is once is for ever: the fault's window is of when
    /// the record came, and the end of hardship changes nothing.
    pub fn poisons(&self, now: Time, handler: &str, record: &Record<'_>) -> bool {
        let inner = &mut *self.lock();
        let at = Opportunity { function: handler, subject: record.device, ..Opportunity::default() };
        let start = inner.start;
        let struck = inner.live[Kind::PoisonMessage as usize].iter_mut().find(|live| {
            live.meets(record.received, start, &at) && poison::lot(live.seed, record) < live.spec.probability.get()
        });
        let Some(live) = struck else { return false };
        if inner.poison.add(handler, record) {
            live.strokes += 1;
            tell(&inner.trace, now, &live.spec, &at);
        }
        true
    }

    /// What has been poison so far.
    pub fn poison(&self) -> Poison {
        self.lock().poison.clone()
    }

    /// When the run began.
    pub fn start(&self) -> Time {
        self.lock().start
    }

    /// The fault of a kind that this is under all the time. Nothing is drawn, counted or told.
    pub fn holds(&self, now: Time, kind: Kind, at: &Opportunity<'_>) -> Option<Arc<FaultSpec>> {
        let inner = self.lock();
        let live = inner.live[kind as usize].iter().find(|live| !inner.healed && live.meets(now, inner.start, at))?;
        Some(live.spec.clone())
    }

    /// When a fault begins: the first instant of its window.
    pub fn begins_at(&self, spec: &FaultSpec) -> Time {
        self.lock().start + spec.from
    }

    /// When the fault that holds now ends: the instant until which its window lasts.
    pub fn ends_at(&self, spec: &FaultSpec) -> Time {
        self.lock().start + spec.until
    }

    /// Whether a share of this fault takes in the thing at `index`.
    pub fn takes_in(&self, spec: &FaultSpec, index: u64) -> bool {
        let inner = self.lock();
        inner.live[spec.kind as usize].iter().any(|live| live.spec.name == spec.name && live.takes_in(index))
    }

    /// A number in 0..1 that belongs to the thing at `index`: the same whenever it is asked for.
    pub fn lot(&self, spec: &FaultSpec, index: u64) -> f64 {
        let inner = self.lock();
        let live = inner.live[spec.kind as usize].iter().find(|live| live.spec.name == spec.name);
        live.map_or(0.0, |live| live.seed.nth("lot", index).rng().random_range(0.0..1.0))
    }

    /// Counts one stroke of a fault that acts by itself, and leaves an event of it.
    pub fn struck(&self, now: Time, spec: &FaultSpec, at: &Opportunity<'_>) {
        let inner = &mut *self.lock();
        if let Some(live) = inner.live[spec.kind as usize].iter_mut().find(|live| live.spec.name == spec.name) {
            live.strokes += 1;
            tell(&inner.trace, now, spec, at);
        }
    }

    /// Ends all faults: nothing strikes any more.
    pub fn heal(&self) {
        self.lock().healed = true;
    }

    /// Whether hardship is over.
    pub fn healed(&self) -> bool {
        self.lock().healed
    }

    /// How often each fault struck, by its name; faults that never did are there with 0.
    pub fn strokes(&self) -> BTreeMap<String, u64> {
        let inner = self.lock();
        inner.live.iter().flatten().map(|live| (live.spec.name.clone(), live.strokes)).collect()
    }
}

impl Target {
    /// Whether this opportunity is among those that are aimed at.
    fn is_met_by(&self, at: &Opportunity<'_>) -> bool {
        let matches = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        matches(&self.service, at.service)
            && matches(&self.operation, at.operation)
            && matches(&self.function, at.function)
            && matches(&self.fleet, at.fleet)
            && matches(&self.stream, at.stream)
    }
}

impl Live {
    fn takes_in(&self, index: u64) -> bool {
        let share = self.spec.share.get();
        share >= 1.0 || self.seed.nth("share", index).rng().random_range(0.0..1.0) < share
    }

    fn meets(&self, now: Time, start: Time, at: &Opportunity<'_>) -> bool {
        let spec = &self.spec;
        (start + spec.from..start + spec.until).contains(&now) && spec.target.is_met_by(at) && self.takes_in(at.index)
    }
}

fn tell(trace: &Trace, now: Time, spec: &FaultSpec, at: &Opportunity<'_>) {
    let fields = [
        ("fault", spec.name.as_str().into()),
        ("service", at.service.into()),
        ("operation", at.operation.into()),
        ("function", at.function.into()),
    ];
    trace.event(Level::Call, now, "fault", spec.kind.id(), at.subject, &fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Probability;

    const START: Time = Time::from_unix_secs(1_000);

    fn spec(name: &str, probability: f64) -> FaultSpec {
        let target = Target { service: Some("kinesis".to_owned()), ..Target::default() };
        FaultSpec {
            name: name.to_owned(),
            target,
            from: Duration::from_secs(10),
            probability: Probability::new(probability).expect("a probability"),
            ..FaultSpec::new(Kind::Throttle, Duration::from_secs(20))
        }
    }

    fn struck(specs: &[FaultSpec], name: &str) -> Vec<bool> {
        let faults = Faults::new(specs, Seed::root(1), START, Trace::new());
        let at = Opportunity { service: "kinesis", ..Opportunity::default() };
        let stroke = |n: u64| faults.strike(START + Duration::from_millis(10_000 + n * 10), Kind::Throttle, &at);
        (0..500).map(|n| stroke(n).is_some_and(|stroke| stroke.spec.name == name)).collect()
    }

    #[test]
    fn a_fault_strikes_its_target_in_its_window_and_nothing_else() {
        let faults = Faults::new(&[spec("a", 1.0)], Seed::root(1), START, Trace::new());
        let (kinesis, s3) = (
            Opportunity { service: "kinesis", ..Opportunity::default() },
            Opportunity { service: "s3", ..Opportunity::default() },
        );
        for (second, at, expected) in
            [(9, &kinesis, 0), (10, &kinesis, 1), (19, &s3, 1), (19, &kinesis, 2), (20, &kinesis, 2)]
        {
            faults.strike(START + Duration::from_secs(second), Kind::Throttle, at);
            assert_eq!(faults.strokes()["a"], expected, "at {second} s");
        }
        faults.heal();
        assert!(faults.strike(START + Duration::from_secs(15), Kind::Throttle, &kinesis).is_none());
    }

    #[test]
    fn a_fault_strikes_as_often_as_its_probability_says_whatever_else_there_is() {
        let alone = struck(&[spec("b", 0.3)], "b");
        let hits = alone.iter().filter(|hit| **hit).count();
        assert!((120..180).contains(&hits), "{hits} of 500");
        let beside = struck(&[spec("b", 0.3), spec("a", 0.5)], "b");
        assert_eq!(alone, beside);
    }

    #[test]
    fn a_failed_call_is_explained_by_what_struck_such_calls_at_that_time_and_by_nothing_else() {
        let faults = Faults::new(&[spec("a", 1.0)], Seed::root(1), START, Trace::new());
        let (kinesis, s3) = (
            Opportunity { service: "kinesis", operation: "PutRecord", ..Opportunity::default() },
            Opportunity { service: "s3", operation: "PutObject", ..Opportunity::default() },
        );
        let at = |second| START + Duration::from_secs(second);
        assert!(!faults.explain(&kinesis, at(0), at(60)), "it has not struck");
        faults.strike(at(12), Kind::Throttle, &kinesis);
        for (at_what, from, to, expected) in
            [(&kinesis, 0, 60, true), (&kinesis, 0, 9, false), (&kinesis, 20, 60, false), (&s3, 0, 60, false)]
        {
            assert_eq!(faults.explain(at_what, at(from), at(to)), expected, "{from} s to {to} s");
        }
    }

    #[test]
    fn a_share_takes_in_the_same_devices_every_time() {
        let half = FaultSpec {
            share: Probability::new(0.5).expect("a share"),
            ..FaultSpec::new(Kind::Partition, Duration::MAX)
        };
        let faults = Faults::new(std::slice::from_ref(&half), Seed::root(7), START, Trace::new());
        let taken: Vec<u64> = (0..1_000).filter(|index| faults.takes_in(&half, *index)).collect();
        assert!((430..570).contains(&taken.len()), "{}", taken.len());
        assert!(taken.iter().all(|index| faults.takes_in(&half, *index)));
        let at = |index| Opportunity { index, ..Opportunity::default() };
        assert!(faults.holds(START, Kind::Partition, &at(taken[0])).is_some());
    }
}
