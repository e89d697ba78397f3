//! How one twin fails, and the labels that say what is true of its readings.

use rand::RngExt as _;

use super::coverage::Coverage;
use super::spec::{FailureKind, FailureSpec, TwinKind, TwinMetric};
use crate::fleet::spec::{SPIKES_AFTER, SPIKES_APART};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// How likely a reading is a spike unless a failure says it.
const SPIKES: f64 = 0.02;
/// Wear an hour of bearings that wear out unless a failure says it.
const WEAR_PER_HOUR: f64 = 1.0;

/// What is true of a device from one instant to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// How it fails.
    pub kind: FailureKind,
    /// The metric that fails; the whole device when it is absent.
    pub metric: Option<&'static str>,
    /// First instant.
    pub from: Time,
    /// It ends here; `Time::MAX` when it lasts until the end of the run.
    pub until: Time,
}

/// One failure of one device.
#[derive(Debug)]
struct Failure {
    kind: FailureKind,
    metric: Option<&'static str>,
    from: Time,
    until: Time,
    amount: f64,
    probability: f64,
    /// Sequence number of the last spike.
    spiked: u64,
}

impl Failure {
    fn holds(&self, now: Time) -> bool {
        (self.from..self.until).contains(&now)
    }

    fn label(&self) -> Label {
        // Bearings that are worn stay so.
        let until = if self.kind == FailureKind::BearingWear { Time::MAX } else { self.until };
        Label { kind: self.kind, metric: self.metric, from: self.from, until }
    }
}

/// All failures of one device, and what its last reading shows of them.
#[derive(Debug)]
pub(super) struct Failures {
    list: Vec<Failure>,
    /// The last value of each metric that was published before it was stuck.
    last: Vec<Option<f64>>,
    /// Draws spikes and nothing else, so that a failure moves nothing else.
    rng: Rng,
    seq: u64,
    shown: Vec<Label>,
    plain: Vec<&'static str>,
}

impl Failures {
    /// Those of a fleet's failures whose share takes the device in.
    pub(super) fn new(specs: &[FailureSpec], twin: TwinKind, start: Time, mut rng: Rng) -> Self {
        let mut list = Vec::new();
        for spec in specs {
            if rng.random_range(0.0..1.0) >= spec.share.get() {
                continue;
            }
            let from = start + spec.from;
            let usual = if spec.kind == FailureKind::BearingWear { WEAR_PER_HOUR } else { 0.0 };
            list.push(Failure {
                kind: spec.kind,
                metric: spec.metric,
                from,
                until: spec.lasting.map_or(Time::MAX, |lasting| from + lasting),
                amount: spec.amount.unwrap_or(usual),
                probability: spec.probability.map_or(SPIKES, |probability| probability.get()),
                spiked: 0,
            });
        }
        let last = vec![None; twin.metrics().len()];
        Failures { list, last, rng, seq: 0, shown: Vec::new(), plain: Vec::new() }
    }

    fn of(&self, kind: FailureKind) -> impl Iterator<Item = &Failure> {
        self.list.iter().filter(move |failure| failure.kind == kind)
    }

    /// Windows of fast wear: (from, until, wear a second).
    pub(super) fn wear(&self) -> Vec<(Time, Time, f64)> {
        self.of(FailureKind::BearingWear).map(|f| (f.from, f.until, f.amount / 3_600.0)).collect()
    }

    /// Windows without coverage.
    pub(super) fn without_coverage(&self) -> Vec<(Time, Time)> {
        self.of(FailureKind::CoverageLoss).map(|failure| (failure.from, failure.until)).collect()
    }

    /// Until when the device takes no readings.
    pub(super) fn silent_until(&self, now: Time) -> Option<Time> {
        let silent = self.of(FailureKind::Dropout).filter(|failure| failure.metric.is_none() && failure.holds(now));
        silent.map(|failure| failure.until).max()
    }

    /// What is known beforehand. Single spikes are not.
    pub(super) fn planned(&self) -> impl Iterator<Item = Label> + '_ {
        self.list.iter().filter(|failure| failure.kind != FailureKind::Spike).map(Failure::label)
    }

    /// The `seq`-th reading begins.
    pub(super) fn begin(&mut self, now: Time, seq: u64, coverage: Option<&Coverage>) {
        self.seq = seq;
        self.plain.clear();
        self.shown.clear();
        let whole = |failure: &&Failure| matches!(failure.kind, FailureKind::BearingWear | FailureKind::CoverageLoss);
        let labels = self.list.iter().filter(whole).map(Failure::label);
        self.shown.extend(labels.filter(|label| (label.from..label.until).contains(&now)));
        if let Some((from, until)) = coverage.and_then(|coverage| coverage.stretch(now)) {
            self.shown.push(Label { kind: FailureKind::CoverageLoss, metric: None, from, until });
        }
    }

    /// What a sensor shows of a value; nothing when it says nothing.
    pub(super) fn spoil(&mut self, position: usize, metric: &TwinMetric, value: f64, now: Time) -> Option<f64> {
        let Failures { list, last, rng, seq, shown, plain } = self;
        let of_this = |failure: &&Failure| failure.metric == Some(metric.name);
        let holds = |kind| list.iter().filter(of_this).any(|failure| failure.kind == kind && failure.holds(now));
        let (silent, stuck) = (holds(FailureKind::Dropout), holds(FailureKind::Stuck));
        let alone = list.iter().filter(of_this).count() == 1;
        let mut shows = value;
        for failure in list.iter_mut().filter(|failure| failure.metric == Some(metric.name)) {
            // Drawn whether or not it holds, so that a window moves nothing else.
            let spikes = failure.kind == FailureKind::Spike && rng.random_range(0.0..1.0) < failure.probability;
            let hidden = silent && failure.kind != FailureKind::Dropout
                || stuck && !matches!(failure.kind, FailureKind::Dropout | FailureKind::Stuck);
            if hidden || !failure.holds(now) {
                continue;
            }
            let mut label = failure.label();
            match failure.kind {
                FailureKind::Drift => shows += failure.amount * now.since(failure.from).as_secs_f64() / 3_600.0,
                FailureKind::Spike => {
                    let may = *seq > SPIKES_AFTER && (failure.spiked == 0 || *seq >= failure.spiked + SPIKES_APART);
                    if !spikes || !may {
                        continue;
                    }
                    failure.spiked = *seq;
                    shows += failure.amount;
                    (label.from, label.until) = (now, now);
                    if alone && is_plain(metric, failure.amount) {
                        plain.push(metric.name);
                    }
                }
                _ => {}
            }
            shown.push(label);
        }
        if stuck {
            shows = *last[position].get_or_insert(shows);
        }
        if silent {
            return None;
        }
        if !stuck {
            last[position] = Some(shows);
        }
        Some(shows)
    }

    /// The failures that the last reading shows.
    pub(super) fn shown(&self) -> &[Label] {
        &self.shown
    }

    /// Metrics of the last reading that are outliers so plain that a detector must find them.
    pub(super) fn plain_spikes(&self) -> impl Iterator<Item = &str> {
        self.plain.iter().copied()
    }
}

/// Whether a spike is so far from everything that the metric shows that a detector must find it. None is promised of a metric
/// that moves by itself: its detector may be at a loss just then.
fn is_plain(metric: &TwinMetric, amount: f64) -> bool {
    let far = |(around, moves): (f64, f64)| 30.0 * metric.noise + 10.0 * moves + 0.05 * around.abs();
    metric.steady.is_some_and(|steady| amount > far(steady))
}
