//! An electricity meter of a household.
//!
//! Load follows the hour and the day of the week, and wanders; it holds for a minute at a time, so that the counter of energy
//! is its integral exactly. The voltage wanders, and sags with the load.

use super::grid::{Wander, is_weekend, part_of_day};
use super::{Physics, Values, around};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Load by the hour (UTC) in parts of the mean: low at night, a peak in the morning and one in the evening.
const HOURS: [f64; 24] = [
    0.55, 0.48, 0.44, 0.42, 0.43, 0.50, 0.80, 1.15, 1.20, 1.05, 1.00, 1.05, 1.15, 1.05, 0.95, 0.95, 1.05, 1.35, 1.65,
    1.75, 1.60, 1.35, 1.05, 0.75,
];
/// Load of a day of the weekend in parts of a working day's.
const WEEKEND: f64 = 1.12;
/// Least load in parts of the mean: what is never switched off.
const LEAST: f64 = 0.1;
/// Deviation of the load, in parts of it.
const LOAD_SIGMA: f64 = 0.12;
/// Nominal voltage (IEC 60038), its deviation, and what the mean load takes off, in volts.
const VOLTS: (f64, f64, f64) = (230.0, 0.2, 0.15);

#[derive(Debug)]
pub(super) struct Meter {
    mean_kw: f64,
    wander: Wander,
    voltage: Wander,
    load_kw: f64,
    energy_kwh: f64,
}

impl Meter {
    /// A household that takes about `mean_kw` kW over the year.
    pub(super) fn new(mean_kw: f64, start: Time, rng: &mut Rng) -> Self {
        let mut meter = Meter {
            mean_kw: around(rng, mean_kw, 0.4),
            wander: Wander::new(LOAD_SIGMA, 600.0, Self::STEP_S, rng),
            voltage: Wander::new(VOLTS.1, 600.0, Self::STEP_S, rng),
            load_kw: 0.0,
            energy_kwh: around(rng, 20_000.0, 0.9),
        };
        meter.load_kw = meter.load_at(start);
        meter
    }

    fn load_at(&self, at: Time) -> f64 {
        let hours = part_of_day(at) * 24.0;
        let (hour, part) = (hours as usize % 24, hours.fract());
        let shape = HOURS[hour] + (HOURS[(hour + 1) % 24] - HOURS[hour]) * part;
        let day = if is_weekend(at) { WEEKEND } else { 1.0 };
        self.mean_kw * (shape * day * (1.0 + self.wander.value())).max(LEAST)
    }

    fn energy_after(&self, after_s: f64) -> f64 {
        self.energy_kwh + self.load_kw * after_s / 3_600.0
    }
}

impl Physics for Meter {
    const STEP_S: u64 = 60;

    fn step(&mut self, at: Time, rng: &mut Rng) {
        self.energy_kwh = self.energy_after(Self::STEP_S as f64);
        self.wander.step(rng);
        self.voltage.step(rng);
        self.load_kw = self.load_at(at + std::time::Duration::from_secs(Self::STEP_S));
    }

    fn values(&self, _at: Time, after_s: f64) -> Values {
        let volts = VOLTS.0 + self.voltage.value() - VOLTS.2 * self.load_kw / self.mean_kw;
        [self.energy_after(after_s), self.load_kw, volts, 0.0, 0.0]
    }
}
