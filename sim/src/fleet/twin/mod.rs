//! Twins: devices with physics behind their readings, and what an operator may desire of any device.
//!
//! - `spec`: twins as a scenario describes them; what each kind measures, and how it may fail.
//! - `pump`, `hvac`, `meter`, `tracker`: the physics.
//! - `grid`: the steps of the physics, which no reading moves.
//! - `failure`: how one device fails, and the labels that say so.
//! - `coverage`: where a tracker has no network.
//! - `battery`: what is left of a battery.
//! - `managed`: publish interval and firmware, as an operator desires them.
//!
//! **Exact in step size.** Physics move in steps of fixed size from the start of the run, each with forces that hold for the
//! whole step; a reading between two steps takes the part of its step in closed form and leaves the state alone. What is
//! random in them comes from a stream of the device's own that only steps draw from. So a device that publishes more often
//! shows more of the same world, and no other one. Only its battery drains faster, and only the noise of its sensors is
//! drawn for each reading.
//!
//! **Assumptions.** All parameters are plausible figures, not measurements of any device.

mod battery;
mod coverage;
mod failure;
mod grid;
mod hvac;
mod managed;
mod meter;
mod pump;
pub mod spec;
#[cfg(test)]
mod tests;
mod tracker;

use std::sync::Arc;

use rand::RngExt as _;
use rand_distr::StandardNormal;
use serde_json::{Map, Value};

pub(super) use coverage::Coverage;
pub use failure::Label;
pub(super) use managed::Managed;

use battery::Battery;
use failure::Failures;
use grid::Grid;
use hvac::Hvac;
use meter::Meter;
use pump::Pump;
use spec::{BATTERY, Power, TwinKind, TwinMetric, TwinSpec};
use tracker::Motion;

use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;

/// Values of a twin's metrics, in the order of its kind's table; those that a kind does not have are zero.
type Values = [f64; 5];
/// 2^53: doubles from here on are whole numbers already.
const WHOLE_FROM: f64 = 9_007_199_254_740_992.0;

/// What goes on behind the sensors.
trait Physics {
    /// Seconds of a step.
    const STEP_S: u64;
    /// Moves the state over the step that begins at `at`.
    fn step(&mut self, at: Time, rng: &mut Rng);
    /// What the sensors see `after_s` seconds into the step that begins at `at`.
    fn values(&self, at: Time, after_s: f64) -> Values;
}

#[derive(Debug)]
enum Plant {
    Pump(Box<Pump>),
    Hvac(Box<Hvac>),
    Meter(Box<Meter>),
    Tracker(Box<Motion>),
}

/// A device with physics: what it is, and what its sensors show.
#[derive(Debug)]
pub(super) struct Twin {
    kind: TwinKind,
    plant: Plant,
    grid: Grid,
    rng: Rng,
    failures: Failures,
    battery: Option<Battery>,
    coverage: Option<Arc<Coverage>>,
}

impl Twin {
    /// A device as it is at the `start` of a run. All that it is follows from its seed.
    pub(super) fn new(spec: &TwinSpec, start: Time, seed: Seed) -> Self {
        let draw = &mut seed.child("parameters").rng();
        let failures = Failures::new(&spec.failures, spec.kind, start, seed.child("failures").rng());
        let mut coverage = None;
        let (plant, step_s) = match spec.kind {
            TwinKind::Pump => {
                (Plant::Pump(Box::new(Pump::new(spec.value, failures.wear(), start, draw))), Pump::STEP_S)
            }
            TwinKind::Hvac => (Plant::Hvac(Box::new(Hvac::new(spec.value, start, draw))), Hvac::STEP_S),
            TwinKind::Meter => (Plant::Meter(Box::new(Meter::new(spec.value, start, draw))), Meter::STEP_S),
            TwinKind::Tracker => {
                let motion = Motion::new(spec.value, draw);
                let scout = (motion.clone(), Grid::new(start, Motion::STEP_S), seed.child("physics").rng());
                coverage = Some(Arc::new(Coverage::new(scout, failures.without_coverage())));
                (Plant::Tracker(Box::new(motion)), Motion::STEP_S)
            }
        };
        Twin {
            kind: spec.kind,
            plant,
            grid: Grid::new(start, step_s),
            rng: seed.child("physics").rng(),
            failures,
            battery: (spec.power == Power::Battery).then(|| Battery::new(start, &mut seed.child("battery").rng())),
            coverage,
        }
    }

    /// Metrics with their units, as the device directory declares them.
    pub(super) fn units(kind: TwinKind, power: Power) -> Vec<(String, String)> {
        let battery = (power == Power::Battery).then_some(&BATTERY);
        let metrics = kind.metrics().iter().chain(battery);
        metrics.map(|metric| (metric.name.to_owned(), metric.unit.to_owned())).collect()
    }

    /// Where the device has no network, when that is a matter of where it is.
    pub(super) fn coverage(&self) -> Option<Arc<Coverage>> {
        self.coverage.clone()
    }

    /// Until when the device says nothing, because it has failed.
    pub(super) fn silent_until(&self, now: Time) -> Option<Time> {
        if self.battery.as_ref().is_some_and(|battery| battery.percent(now) <= 0.0) {
            return Some(Time::MAX);
        }
        self.failures.silent_until(now)
    }

    /// What the sensors would see at `now` without noise and failures. Instants never go back.
    fn sees(&mut self, now: Time) -> Values {
        let Twin { grid, plant, rng, .. } = self;
        match plant {
            Plant::Pump(pump) => grid.values(now, &mut **pump, rng),
            Plant::Hvac(hvac) => grid.values(now, &mut **hvac, rng),
            Plant::Meter(meter) => grid.values(now, &mut **meter, rng),
            Plant::Tracker(motion) => grid.values(now, &mut **motion, rng),
        }
    }

    /// Takes a reading: the `seq`-th of the device.
    pub(super) fn step(&mut self, now: Time, seq: u64, rng: &mut Rng) -> Vec<(&'static str, f64)> {
        let sees = self.sees(now);
        self.failures.begin(now, seq, self.coverage.as_deref());
        let mut metrics = Vec::with_capacity(sees.len() + 1);
        for (n, (metric, seen)) in self.kind.metrics().iter().zip(sees).enumerate() {
            // Drawn whether or not it is shown, so that a failure moves nothing else.
            let noise: f64 = if metric.noise > 0.0 { rng.sample(StandardNormal) } else { 0.0 };
            let shows = shown(metric, seen + metric.noise * noise);
            let spoilt = self.failures.spoil(n, metric, shows, now);
            metrics.extend(spoilt.map(|value| (metric.name, shown(metric, value))));
        }
        if let Some(battery) = &mut self.battery {
            metrics.push((BATTERY.name, rounded(battery.message(now), BATTERY.decimals)));
        }
        metrics
    }

    /// Applies what is desired of this kind of device alone. Answers whether something has changed.
    pub(super) fn desired(&mut self, now: Time, desired: &Map<String, Value>) -> bool {
        self.sees(now);
        let Plant::Hvac(hvac) = &mut self.plant else { return false };
        desired.get("setpoint").and_then(Value::as_f64).is_some_and(|setpoint| hvac.set(setpoint))
    }

    /// Writes what this kind of device reports beside what all do.
    pub(super) fn report(&self, reported: &mut Map<String, Value>) {
        if let Plant::Hvac(hvac) = &self.plant {
            reported.insert("setpoint".to_owned(), Value::from(hvac.setpoint()));
        }
        if let Some(percent) = self.battery_percent() {
            reported.insert("battery_percent".to_owned(), Value::from(percent));
        }
    }

    /// Whole percents that were left of the battery at the last reading.
    pub(super) fn battery_percent(&self) -> Option<u64> {
        self.battery.as_ref().map(Battery::whole_percent)
    }

    /// What is known beforehand of how the device fails.
    pub(super) fn planned(&self) -> impl Iterator<Item = Label> + '_ {
        self.failures.planned()
    }

    /// The failures that the last reading shows.
    pub(super) fn labels(&self) -> &[Label] {
        self.failures.shown()
    }

    /// Metrics of the last reading that are outliers so plain that a detector must find them.
    pub(super) fn plain_spikes(&self) -> impl Iterator<Item = &str> {
        self.failures.plain_spikes()
    }
}

/// A value as a sensor shows it.
fn shown(metric: &TwinMetric, value: f64) -> f64 {
    rounded(value.max(metric.least), metric.decimals)
}

/// To so many decimals, without a negative zero. Numbers that are too large to have decimals stay as they are.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let shift = 10f64.powi(decimals);
    if value.abs() * shift >= WHOLE_FROM {
        return value;
    }
    (value * shift).round() / shift + 0.0
}

/// A number of a device around its fleet's: evenly within a share of it.
fn around(rng: &mut Rng, value: f64, share: f64) -> f64 {
    value * (1.0 + share * rng.random_range(-1.0..1.0))
}
