//! A room with a heat pump.
//!
//! **Heat** is a network of two capacities and two resistances: the air exchanges heat with the walls and with the outdoors,
//! and takes what people, sun and heat pump give. Its equations are linear; a fixed step of the classical Runge-Kutta method
//! of fourth order solves them to about one part in 10^11, because the step is far shorter than the air's time constant.
//!
//! **Control.** A thermostat with hysteresis, once a step; the compressor rests three minutes before it starts again.
//! **Power** is what the heat pump moves over its coefficient of performance, which falls with the distance between in and
//! out, and that of the fan.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

use super::grid::{Wander, part_of_day};
use super::{Physics, Values, around, rounded};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Setpoints that the device takes, in degrees Celsius.
pub(super) const SETPOINTS: RangeInclusive<f64> = 10.0..=30.0;
/// The compressor starts so far from the setpoint, and stops so far behind it, in kelvin.
const STARTS_K: f64 = 0.5;
const STOPS_K: f64 = 0.2;
/// Seconds that the compressor rests before it starts again.
const RESTS_S: f64 = 180.0;
/// Power of the control and of the fan, in kW.
const STANDBY_KW: f64 = 0.03;
const FAN_KW: f64 = 0.12;
/// Outdoors: mean and amplitude over the day, in degrees Celsius and kelvin; coldest at 4 in the morning.
const OUTDOORS: (f64, f64) = (27.0, 6.0);
const COLDEST: f64 = 4.0 / 24.0;

/// The constants of a room.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Capacity of the air and what is in it, in kJ/K.
    pub(super) air_kj: f64,
    /// Capacity of the walls, in kJ/K.
    pub(super) walls_kj: f64,
    /// Resistance between air and walls, in K/kW.
    pub(super) to_walls: f64,
    /// Resistance between air and outdoors, in K/kW.
    pub(super) to_outdoors: f64,
}

/// Temperatures of air and walls, in degrees Celsius.
type Heat = [f64; 2];

impl Room {
    /// How fast both temperatures change, in K/s, when the air takes `gains` kW beside what it exchanges.
    fn flow(&self, [air, walls]: Heat, outdoors: f64, gains: f64) -> Heat {
        let to_walls = (air - walls) / self.to_walls;
        let to_outdoors = (air - outdoors) / self.to_outdoors;
        [(gains - to_walls - to_outdoors) / self.air_kj, to_walls / self.walls_kj]
    }

    /// Both temperatures after `seconds`.
    pub(super) fn after(&self, heat: Heat, outdoors: f64, gains: f64, seconds: f64) -> Heat {
        let moved = |by: Heat, part: f64| [heat[0] + part * seconds * by[0], heat[1] + part * seconds * by[1]];
        let a = self.flow(heat, outdoors, gains);
        let b = self.flow(moved(a, 0.5), outdoors, gains);
        let c = self.flow(moved(b, 0.5), outdoors, gains);
        let d = self.flow(moved(c, 1.0), outdoors, gains);
        let mean = |n: usize| (a[n] + 2.0 * b[n] + 2.0 * c[n] + d[n]) / 6.0;
        moved([mean(0), mean(1)], 1.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Cooling,
    Heating,
}

#[derive(Debug)]
pub(super) struct Hvac {
    pub(super) room: Room,
    capacity_kw: f64,
    gains_kw: f64,
    weather: Wander,
    setpoint: f64,
    pub(super) outdoors: f64,
    pub(super) heat: Heat,
    mode: Mode,
    rested_s: f64,
}

impl Hvac {
    /// A room that is to have about `setpoint` degrees Celsius.
    pub(super) fn new(setpoint: f64, start: Time, rng: &mut Rng) -> Self {
        let setpoint = (setpoint + around(rng, 0.5, 1.0) - 0.5).clamp(*SETPOINTS.start(), *SETPOINTS.end());
        let setpoint = rounded(setpoint, 1);
        let air = setpoint + around(rng, 0.6, 1.0);
        let mut hvac = Hvac {
            room: Room {
                air_kj: around(rng, 2_000.0, 0.2),
                walls_kj: around(rng, 20_000.0, 0.2),
                to_walls: around(rng, 0.4, 0.2),
                to_outdoors: around(rng, 3.0, 0.2),
            },
            capacity_kw: around(rng, 11.0, 0.1),
            gains_kw: around(rng, 2.5, 0.3),
            weather: Wander::new(0.8, 3_600.0, Self::STEP_S, rng),
            setpoint,
            outdoors: 0.0,
            heat: [air, air],
            mode: Mode::Off,
            rested_s: RESTS_S,
        };
        hvac.outdoors = hvac.outdoors_at(start);
        hvac.control();
        hvac
    }

    /// The setpoint in force, in degrees Celsius.
    pub(super) fn setpoint(&self) -> f64 {
        self.setpoint
    }

    /// Takes another setpoint when it is possible. Answers whether something has changed. The thermostat acts on it with its
    /// next step.
    pub(super) fn set(&mut self, setpoint: f64) -> bool {
        let setpoint = if SETPOINTS.contains(&setpoint) { setpoint } else { self.setpoint };
        std::mem::replace(&mut self.setpoint, setpoint) != setpoint
    }

    fn outdoors_at(&self, at: Time) -> f64 {
        let day = (TAU * (part_of_day(at) - COLDEST)).cos();
        OUTDOORS.0 - OUTDOORS.1 * day + self.weather.value()
    }

    /// What the heat pump gives to the air, in kW.
    fn pumped_kw(&self) -> f64 {
        match self.mode {
            Mode::Off => 0.0,
            Mode::Cooling => -self.capacity_kw,
            Mode::Heating => self.capacity_kw,
        }
    }

    /// What the air takes beside what it exchanges, in kW.
    pub(super) fn given_kw(&self) -> f64 {
        self.gains_kw + self.pumped_kw()
    }

    fn power_kw(&self, air: f64) -> f64 {
        let performance = (6.0 - 0.1 * (self.outdoors - air).abs()).clamp(2.0, 6.0);
        let running = if self.mode == Mode::Off { 0.0 } else { FAN_KW };
        STANDBY_KW + running + self.pumped_kw().abs() / performance
    }

    fn control(&mut self) {
        let above = self.heat[0] - self.setpoint;
        let next = match self.mode {
            Mode::Cooling if above <= -STOPS_K => Mode::Off,
            Mode::Heating if above >= STOPS_K => Mode::Off,
            Mode::Off if self.rested_s < RESTS_S => Mode::Off,
            Mode::Off if above > STARTS_K => Mode::Cooling,
            Mode::Off if above < -STARTS_K => Mode::Heating,
            same => same,
        };
        if next == Mode::Off && self.mode != Mode::Off {
            self.rested_s = 0.0;
        }
        self.mode = next;
    }
}

impl Physics for Hvac {
    const STEP_S: u64 = 10;

    fn step(&mut self, at: Time, rng: &mut Rng) {
        let step_s = Self::STEP_S as f64;
        self.heat = self.room.after(self.heat, self.outdoors, self.given_kw(), step_s);
        self.rested_s += step_s;
        self.weather.step(rng);
        self.outdoors = self.outdoors_at(at + std::time::Duration::from_secs(Self::STEP_S));
        self.control();
    }

    fn values(&self, _at: Time, after_s: f64) -> Values {
        let [air, _] = self.room.after(self.heat, self.outdoors, self.given_kw(), after_s);
        let runs = f64::from(u8::from(self.mode != Mode::Off));
        [air, self.outdoors, self.setpoint, runs, self.power_kw(air)]
    }
}
