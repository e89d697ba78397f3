//! A centrifugal pump with a motor.
//!
//! Demand follows the day and wanders. Flow follows demand, and pressure falls with its square, as on a pump's curve. The
//! motor is one heat store: it warms towards a temperature that grows with the square of the load, by Newton's law. Bearings
//! wear with the load, never back: at 1 they are at their end. Wear makes the pump shake, heat up and lose flow and pressure.

use std::f64::consts::TAU;

use super::grid::{Wander, part_of_day};
use super::{Physics, Values, around};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Wear a second at full load: a bearing lasts 20,000 hours.
const WEAR_PER_S: f64 = 1.0 / (20_000.0 * 3_600.0);
/// Wear of a new pump, at most.
const WORN_AT_FIRST: f64 = 0.2;
/// Time constant of the motor's heat, in seconds.
const MOTOR_S: f64 = 900.0;
/// How far the motor is above its surroundings at full load, in kelvin.
const RISE_K: f64 = 45.0;
/// Vibration (root mean square of the velocity) of a new pump, and what full wear adds, in mm/s. ISO 10816-1 calls more than
/// 7.1 mm/s dangerous for machines of 15 to 75 kW.
const VIBRATION: (f64, f64) = (1.4, 7.0);
/// Pressure without flow, in bar.
const PRESSURE_BAR: f64 = 4.0;
/// Demand: mean, amplitude over the day, deviation, in parts of the rated flow.
const DEMAND: (f64, f64, f64) = (0.8, 0.1, 0.01);

/// The windows of fast wear: (from, until, wear a second).
pub(super) type Wear = Vec<(Time, Time, f64)>;

#[derive(Debug)]
pub(super) struct Pump {
    flow: f64,
    vibration: f64,
    surroundings: f64,
    day: f64,
    fast_wear: Wear,
    demand: f64,
    wander: Wander,
    wear: f64,
    motor: f64,
    /// What is left of a difference of temperature after a step.
    keeps: f64,
}

impl Pump {
    /// A pump rated for about `flow` l/min.
    pub(super) fn new(flow: f64, fast_wear: Wear, start: Time, rng: &mut Rng) -> Self {
        let surroundings = around(rng, 22.0, 0.2);
        let mut pump = Pump {
            flow: around(rng, flow, 0.1),
            vibration: around(rng, VIBRATION.0, 0.2),
            surroundings,
            day: around(rng, 0.5, 1.0),
            fast_wear,
            demand: 0.0,
            wander: Wander::new(DEMAND.2, 600.0, Self::STEP_S, rng),
            wear: around(rng, WORN_AT_FIRST / 2.0, 1.0),
            motor: surroundings,
            keeps: (-(Self::STEP_S as f64) / MOTOR_S).exp(),
        };
        pump.demand = pump.demand_at(start);
        pump.motor = pump.warms_to();
        pump
    }

    fn demand_at(&self, at: Time) -> f64 {
        let day = (TAU * (part_of_day(at) + self.day).fract()).sin();
        (DEMAND.0 + DEMAND.1 * day + self.wander.value()).clamp(0.5, 1.0)
    }

    /// The wear `after_s` seconds into the step that begins at `at`.
    fn wear_after(&self, at: Time, after_s: f64) -> f64 {
        let end = at + std::time::Duration::from_secs_f64(after_s);
        let fast = self.fast_wear.iter().map(|(from, until, per_s)| {
            let overlap = end.min(*until).since(at.max(*from).min(end.min(*until)));
            per_s * overlap.as_secs_f64()
        });
        (self.wear + WEAR_PER_S * self.demand * after_s + fast.sum::<f64>()).min(1.0)
    }

    /// The temperature that the motor has after a long time at this load.
    fn warms_to(&self) -> f64 {
        self.surroundings + RISE_K * self.demand * self.demand * (1.0 + 0.5 * self.wear)
    }
}

impl Physics for Pump {
    const STEP_S: u64 = 10;

    fn step(&mut self, at: Time, rng: &mut Rng) {
        let warms_to = self.warms_to();
        self.motor = warms_to + (self.motor - warms_to) * self.keeps;
        self.wear = self.wear_after(at, Self::STEP_S as f64);
        self.wander.step(rng);
        self.demand = self.demand_at(at + std::time::Duration::from_secs(Self::STEP_S));
    }

    fn values(&self, at: Time, after_s: f64) -> Values {
        let wear = self.wear_after(at, after_s);
        let warms_to = self.warms_to();
        let motor = warms_to + (self.motor - warms_to) * (-after_s / MOTOR_S).exp();
        let demand = self.demand;
        let vibration = self.vibration * (1.0 + 0.2 * demand) + VIBRATION.1 * wear;
        let flow = self.flow * demand * (1.0 - 0.15 * wear);
        let pressure = PRESSURE_BAR * (1.0 - 0.35 * demand * demand) * (1.0 - 0.2 * wear);
        [vibration, motor, flow, pressure, wear]
    }
}
