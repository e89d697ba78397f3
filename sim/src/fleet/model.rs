//! What a device measures, and when: pure steps from (state, now, random) to a reading. Sending is someone else's work.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand_distr::StandardNormal;
use serde_json::{Map, Value};

use super::payload::Reading;
use super::plan::ModelPlan;
use super::spec::{MetricSpec, Pace, SPIKES_AFTER, SPIKES_APART, Series, SyntheticSpec};
use super::twin::{Coverage, Label, Managed, Twin, rounded};
use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;

/// Name of the one metric of replayed series.
const REPLAYED_METRIC: &str = "value";
/// Synthetic values are published with so many decimals.
const DECIMALS: i32 = 3;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// Replays with recorded intervals start within so much time.
const RECORDED_START_SPREAD: Duration = Duration::from_secs(1);

/// A device's measuring part.
#[derive(Debug)]
pub struct Model {
    next_seq: u64,
    due: Option<Time>,
    source: Source,
    managed: Managed,
    /// The last outlier of each metric, by its sequence number.
    spiked: Vec<u64>,
}

#[derive(Debug)]
enum Source {
    Synthetic { spec: Arc<SyntheticSpec>, start: Time, season_phase: f64 },
    Replay { pace: Pace, series: Arc<Series>, next_row: usize },
    Twin(Box<Twin>),
}

impl Model {
    /// A model at the `start` of a run. The first reading comes at a drawn phase within the interval of readings.
    pub fn new(plan: &ModelPlan, start: Time, rng: &mut Rng) -> Self {
        let (spread, source, empty, usual) = match plan {
            ModelPlan::Synthetic(spec) => {
                let season_phase = rng.random_range(0.0..1.0);
                let source = Source::Synthetic { spec: spec.clone(), start, season_phase };
                (spec.publish_every, source, false, Some(spec.publish_every))
            }
            ModelPlan::Replay { pace, series } => {
                let spread = match pace {
                    Pace::Every(interval) => *interval,
                    Pace::Recorded => RECORDED_START_SPREAD,
                };
                let source = Source::Replay { pace: *pace, series: series.clone(), next_row: 0 };
                (spread, source, series.rows.is_empty(), None)
            }
            ModelPlan::Twin(spec) => {
                let twin = Twin::new(spec, start, Seed::root(rng.random::<u64>()));
                (spec.publish_every, Source::Twin(Box::new(twin)), false, Some(spec.publish_every))
            }
        };
        let phase: f64 = rng.random_range(0.0..1.0);
        let first = start + spread.mul_f64(phase);
        // What is drawn for updates moves nothing else.
        let managed = Managed::new(usual, Seed::root(phase.to_bits()).child("managed"));
        Model { next_seq: 1, due: (!empty).then_some(first), source, managed, spiked: Vec::new() }
    }

    /// When the next reading is due. `None` when a replayed series is at its end.
    pub fn due(&self) -> Option<Time> {
        self.due.max(self.due.and(self.managed.gone_until()))
    }

    /// Applies what the device's shadow desires, as far as the device knows it and can do it: `publish_interval_ms` (not
    /// for replayed series, whose rows have their own times), `firmware`, and `setpoint`. What it cannot do is reported as
    /// it is.
    pub fn desired(&mut self, now: Time, desired: &Map<String, Value>) {
        let before = self.managed.every();
        if self.managed.desired(now, desired) {
            self.due = self.due.map(|due| rescheduled(due, before, self.managed.every(), now, self.next_seq > 1));
        }
        if let Source::Twin(twin) = &mut self.source
            && twin.desired(now, desired)
        {
            self.managed.changed();
        }
    }

    /// The reported section of the device's shadow, as it is now.
    pub fn reported(&self) -> Value {
        let mut reported = Map::new();
        self.managed.report(&mut reported);
        if let Source::Twin(twin) = &self.source {
            twin.report(&mut reported);
        }
        Value::Object(reported)
    }

    /// Where the device has no network, when that is a matter of where it is.
    pub(super) fn coverage(&self) -> Option<Arc<Coverage>> {
        if let Source::Twin(twin) = &self.source { twin.coverage() } else { None }
    }

    /// What is known beforehand of how the device fails.
    pub fn planned_labels(&self) -> Vec<Label> {
        if let Source::Twin(twin) = &self.source { twin.planned().collect() } else { Vec::new() }
    }

    /// What is true of the last reading: the failures that it shows.
    pub fn labels(&self) -> &[Label] {
        if let Source::Twin(twin) = &self.source { twin.labels() } else { &[] }
    }

    /// How often [`Model::reported`] has changed: the device reports when this is not what it was at the last report.
    pub fn revision(&self) -> u64 {
        self.managed.revision()
    }

    /// When something changes of itself, as at the end of a download: [`Model::settle`] is to be called then, also when
    /// the device takes no more readings.
    pub fn settles_at(&self) -> Option<Time> {
        self.managed.settles_at()
    }

    /// The firmware that runs.
    pub fn firmware(&self) -> &str {
        self.managed.firmware()
    }

    /// Until when the device is gone, because it restarts with another firmware.
    pub fn gone_until(&self) -> Option<Time> {
        self.managed.gone_until()
    }

    /// Takes the next step of what changes of itself, when it is due. Answers until when the device is gone, when it
    /// restarts now: until then it has no connection and takes no reading.
    pub fn settle(&mut self, now: Time) -> Option<Time> {
        self.managed.settle(now)
    }

    /// Whether the model plays a series, which has an end.
    pub fn is_replay(&self) -> bool {
        matches!(self.source, Source::Replay { .. })
    }

    /// Metrics of the last reading that are outliers so plain that a detector must find them.
    pub fn plain_spikes(&self) -> impl Iterator<Item = &str> {
        let metrics = match &self.source {
            Source::Synthetic { spec, .. } => spec.metrics.as_slice(),
            Source::Replay { .. } | Source::Twin(_) => &[],
        };
        let last = self.next_seq - 1;
        let now = metrics.iter().zip(&self.spiked).filter(move |(_, spiked)| last > 0 && **spiked == last);
        let synthetic = now.filter(|(metric, _)| metric.spikes_are_plain()).map(|(metric, _)| metric.name.as_str());
        let twin = if let Source::Twin(twin) = &self.source { Some(twin.plain_spikes()) } else { None };
        synthetic.chain(twin.into_iter().flatten())
    }

    /// Takes the next reading, when it is due at `now`, with the device's clock at `now`.
    ///
    /// A device that was held up skips the readings that it missed when they come from a formula; rows of a series are
    /// never skipped: those that are overdue follow at once.
    pub fn step(&mut self, now: Time, rng: &mut Rng) -> Option<Reading<'_>> {
        let due = self.due.filter(|due| *due <= now && self.managed.gone_until().is_none())?;
        if let Source::Twin(twin) = &self.source
            && let Some(until) = twin.silent_until(now)
        {
            self.due = (until < Time::MAX).then(|| following(due, self.managed.every(), until.max(now)));
            return None;
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let ts_ms = now.unix_millis();
        match &mut self.source {
            Source::Synthetic { spec, start, season_phase } => {
                self.due = Some(following(due, self.managed.every(), now));
                let since_start = now.since(*start);
                self.spiked.resize(spec.metrics.len(), 0);
                let mut value = |metric: &MetricSpec, spiked: &mut u64| {
                    let noise: f64 = rng.sample(StandardNormal);
                    let usual = value(metric, since_start, *season_phase) + metric.noise * noise;
                    rounded(usual + if spikes(metric, seq, spiked, rng) { metric.spike } else { 0.0 }, DECIMALS)
                };
                let metrics = spec.metrics.iter().zip(&mut self.spiked);
                let metrics = metrics.map(|(metric, spiked)| (metric.name.as_str(), value(metric, spiked))).collect();
                Some(Reading { seq, ts_ms, metrics, recorded_at: None })
            }
            Source::Replay { pace, series, next_row } => {
                let row = &series.rows[*next_row];
                *next_row += 1;
                let next = series.rows.get(*next_row);
                self.due = next.map(|next| match pace {
                    Pace::Every(interval) => due + *interval,
                    Pace::Recorded => due + recorded_gap(row.recorded_us, next.recorded_us),
                });
                let metrics = vec![(REPLAYED_METRIC, row.value)];
                Some(Reading { seq, ts_ms, metrics, recorded_at: Some(&row.recorded_at) })
            }
            Source::Twin(twin) => {
                self.due = Some(following(due, self.managed.every(), now));
                let left = twin.battery_percent();
                let metrics = twin.step(now, seq, rng);
                if twin.battery_percent() != left {
                    self.managed.changed();
                }
                Some(Reading { seq, ts_ms, metrics, recorded_at: None })
            }
        }
    }
}

/// Whether a reading is an outlier. Nothing is drawn for a metric that has none.
fn spikes(metric: &MetricSpec, seq: u64, spiked: &mut u64, rng: &mut Rng) -> bool {
    if metric.spike_probability == 0.0 || rng.random_range(0.0..1.0) >= metric.spike_probability {
        return false;
    }
    let may = seq > SPIKES_AFTER && (*spiked == 0 || seq >= *spiked + SPIKES_APART);
    if may {
        *spiked = seq;
    }
    may
}

/// The first instant after `now` on the grid of `due` and `interval`.
fn following(due: Time, interval: Duration, now: Time) -> Time {
    let next = due + interval;
    if next > now {
        return next;
    }
    let interval_us = interval.as_micros().max(1);
    let missed = now.since(due).as_micros() / interval_us;
    due + Duration::from_micros(u64::try_from((missed + 1) * interval_us).unwrap_or(u64::MAX))
}

/// When the next reading is due that was due at `due`, after the interval has changed: as long after the one before as the
/// new interval says, and not in the past.
fn rescheduled(due: Time, before: Duration, every: Duration, now: Time, began: bool) -> Time {
    if !began || due <= now {
        // The first comes at its phase, unless a whole new interval passes before.
        return due.min(now + every);
    }
    (due - before + every).max(now)
}

fn recorded_gap(before_us: i64, after_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(after_us.saturating_sub(before_us)).unwrap_or(0))
}

/// Baseline + season + drift, without noise. `season_phase` is a fraction of the period.
fn value(metric: &MetricSpec, since_start: Duration, season_phase: f64) -> f64 {
    let seconds = since_start.as_secs_f64();
    let season = if metric.season_amplitude == 0.0 {
        0.0
    } else {
        let turns = seconds / metric.season_period.as_secs_f64() + season_phase;
        metric.season_amplitude * (TAU * turns.fract()).sin()
    };
    metric.baseline + season + metric.drift_per_day * seconds / SECONDS_PER_DAY
}

#[cfg(test)]
mod tests {
    use super::super::spec::SeriesRow;
    use super::*;
    use crate::world::seed::Seed;

    const START: Time = Time::from_unix_secs(1_772_323_200);

    fn metric() -> MetricSpec {
        MetricSpec {
            name: "temp".to_owned(),
            unit: None,
            baseline: 20.0,
            noise: 0.0,
            season_amplitude: 4.0,
            season_period: Duration::from_secs(3_600),
            drift_per_day: 2.4,
            spike_probability: 0.0,
            spike: 0.0,
        }
    }

    fn synthetic(metrics: Vec<MetricSpec>, rng: &mut Rng) -> Model {
        let spec = SyntheticSpec { publish_every: Duration::from_secs(10), metrics };
        Model::new(&ModelPlan::Synthetic(Arc::new(spec)), START, rng)
    }

    fn replay(pace: Pace, rows: &[(i64, f64)], rng: &mut Rng) -> Model {
        let row = |&(secs, value): &(i64, f64)| SeriesRow {
            recorded_at: format!("at {secs}").into(),
            recorded_us: secs * 1_000_000,
            value,
        };
        let series = Arc::new(Series { name: "s".to_owned(), rows: rows.iter().map(row).collect() });
        Model::new(&ModelPlan::Replay { pace, series }, START, rng)
    }

    #[test]
    fn the_formula_adds_baseline_season_and_drift() {
        let quarter = |n: u64| Duration::from_secs(900 * n);
        let cases = [
            (quarter(0), 0.0, 20.0),
            (quarter(1), 0.0, 20.0 + 4.0 + 0.025),
            (quarter(2), 0.0, 20.0 + 0.05),
            (quarter(3), 0.0, 20.0 - 4.0 + 0.075),
            (quarter(0), 0.25, 24.0),
            (quarter(96), 0.75, 20.0 - 4.0 + 2.4),
        ];
        for (since, phase, expected) in cases {
            let got = value(&metric(), since, phase);
            assert!((got - expected).abs() < 1e-9, "{since:?}, phase {phase}: {got} is not {expected}");
        }
    }

    #[test]
    fn noise_has_the_deviation_that_was_asked_for() {
        let mut rng = Seed::root(3).rng();
        let noisy = MetricSpec { season_amplitude: 0.0, drift_per_day: 0.0, noise: 2.0, ..metric() };
        let mut model = synthetic(vec![noisy], &mut rng);
        let mut values = Vec::new();
        while values.len() < 4_000 {
            let due = model.due().expect("a formula has no end");
            values.push(model.step(due, &mut rng).expect("due").metrics[0].1);
        }
        let mean = values.iter().sum::<f64>() / 4_000.0;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4_000.0).sqrt();
        assert!((mean - 20.0).abs() < 0.15 && (deviation - 2.0).abs() < 0.1, "mean {mean}, deviation {deviation}");
    }

    #[test]
    fn outliers_are_told_stand_apart_and_leave_the_other_values_as_they_were() {
        let usual = MetricSpec { season_amplitude: 0.0, drift_per_day: 0.0, noise: 0.5, ..metric() };
        let take = |metric: MetricSpec| {
            let mut rng = Seed::root(9).rng();
            let mut model = synthetic(vec![metric], &mut rng);
            let mut told = Vec::new();
            for seq in 1..=2_000 {
                let due = model.due().expect("a formula has no end");
                let value = model.step(due, &mut rng).expect("due").metrics[0].1;
                let spike = model.plain_spikes().any(|name| name == "temp");
                assert_eq!(spike, value > 40.0, "seq {seq}: {value}");
                told.extend(spike.then_some(seq));
            }
            told
        };
        assert!(take(usual.clone()).is_empty());
        let spikes = take(MetricSpec { spike_probability: 0.05, spike: 30.0, ..usual });
        assert!(spikes.len() > 50 && spikes[0] > SPIKES_AFTER, "{spikes:?}");
        assert!(spikes.windows(2).all(|pair| pair[1] - pair[0] >= SPIKES_APART), "{spikes:?}");
    }

    #[test]
    fn values_have_three_decimals() {
        for (value, expected) in [(21.500_4, "21.5"), (-0.000_1, "0"), (1e6 + 0.123_6, "1000000.124")] {
            assert_eq!(rounded(value, DECIMALS).to_string(), expected);
        }
        assert_eq!((rounded(1e306, DECIMALS), rounded(-f64::MAX, DECIMALS)), (1e306, -f64::MAX));
    }

    #[test]
    fn readings_come_at_their_phase_and_keep_their_interval() {
        let mut rng = Seed::root(5).rng();
        let mut model = synthetic(vec![metric()], &mut rng);
        let first = model.due().expect("a formula has no end");
        assert!(first.since(START) < Duration::from_secs(10));
        assert!(model.step(first - Duration::from_micros(1), &mut rng).is_none());
        for seq in 1..=3 {
            let at = first + Duration::from_secs(10 * (seq - 1));
            assert_eq!(model.due(), Some(at));
            // The task wakes a little late: no drift follows from it.
            let reading = model.step(at + Duration::from_millis(3), &mut rng).expect("due");
            assert_eq!((reading.seq, reading.ts_ms), (seq, (at + Duration::from_millis(3)).unix_millis()));
        }
    }

    #[test]
    fn a_desired_interval_holds_from_the_last_reading_on_and_is_reported() {
        let seconds = Duration::from_secs;
        for (desired_ms, after, then) in [(1_000, 0, 1), (15_000, 11, 15), (4_000, 0, 4), (5_000, 1, 5)] {
            let mut rng = Seed::root(5).rng();
            let mut model = synthetic(vec![metric()], &mut rng);
            let first = model.due().expect("a formula has no end");
            model.step(first, &mut rng).expect("due");
            let now = first + seconds(4);
            let desired = serde_json::json!({ "publish_interval_ms": desired_ms });
            model.desired(now, desired.as_object().expect("an object"));
            assert_eq!(model.due(), Some(now + seconds(after)), "{desired_ms}");
            let due = model.due().expect("a formula has no end");
            model.step(due, &mut rng).expect("due");
            assert_eq!(model.due(), Some(due + seconds(then)), "{desired_ms}");
            assert_eq!(model.reported()["publish_interval_ms"], desired_ms);
            assert_eq!(model.revision(), 1);
        }
    }

    #[test]
    fn a_device_that_restarts_with_another_firmware_takes_no_reading_meanwhile() {
        let mut rng = Seed::root(5).rng();
        let mut model = synthetic(vec![metric()], &mut rng);
        model.desired(START, serde_json::json!({ "firmware": "2.0.0" }).as_object().expect("an object"));
        let downloaded = model.settles_at().expect("a download");
        let back = model.settle(downloaded).expect("a restart");
        assert!(model.step(back, &mut rng).is_none() && model.due() >= Some(back));
        assert_eq!((model.settle(back), model.settles_at()), (None, None));
        assert!(model.step(back, &mut rng).is_some());
        assert_eq!(model.reported()["firmware"], "2.0.0");
    }

    #[test]
    fn a_formula_skips_what_it_missed_and_a_series_does_not() {
        let mut rng = Seed::root(5).rng();
        let mut model = synthetic(vec![metric()], &mut rng);
        let first = model.due().expect("a formula has no end");
        assert_eq!(model.step(first + Duration::from_secs(35), &mut rng).expect("due").seq, 1);
        assert_eq!(model.due(), Some(first + Duration::from_secs(40)));

        let mut model = replay(Pace::Every(Duration::from_secs(1)), &[(0, 1.0), (0, 2.0), (0, 3.0)], &mut rng);
        let late = START + Duration::from_secs(60);
        let mut played = Vec::new();
        while let Some(reading) = model.step(late, &mut rng) {
            played.push((reading.seq, reading.metrics[0].1));
        }
        assert_eq!(played, [(1, 1.0), (2, 2.0), (3, 3.0)]);
        assert_eq!(model.due(), None);
    }

    /// Plays a series; answers (offset from the first row in seconds, recorded_at, value) of each row.
    fn played(pace: Pace, rows: &[(i64, f64)]) -> Vec<(u64, String, f64)> {
        let mut rng = Seed::root(1).rng();
        let mut model = replay(pace, rows, &mut rng);
        let first = model.due();
        let mut out = Vec::new();
        while let Some(due) = model.due() {
            let reading = model.step(due, &mut rng).expect("due");
            assert_eq!(reading.metrics[0].0, "value");
            let offset = due.since(first.expect("a row")).as_secs();
            out.push((offset, reading.recorded_at.expect("a recorded timestamp").to_owned(), reading.metrics[0].1));
        }
        out
    }

    #[test]
    fn series_are_played_at_the_pace_that_was_asked_for() {
        let rows = [(100, 1.5), (400, -2.0), (400, 3.0), (350, 4.0), (1_000, 5.0)];
        let offsets = |pace| played(pace, &rows).into_iter().map(|(offset, _, _)| offset).collect::<Vec<_>>();
        assert_eq!(offsets(Pace::Every(Duration::from_secs(2))), [0, 2, 4, 6, 8]);
        assert_eq!(offsets(Pace::Recorded), [0, 300, 300, 300, 950]);
        let contents: Vec<_> = played(Pace::Recorded, &rows).into_iter().map(|(_, at, value)| (at, value)).collect();
        let expected: Vec<_> = rows.iter().map(|(secs, value)| (format!("at {secs}"), *value)).collect();
        assert_eq!(contents, expected);
        assert!(played(Pace::Recorded, &[]).is_empty());
    }
}
