//! The steps of a twin's physics.

use std::time::Duration;

use rand::RngExt as _;
use rand_distr::StandardNormal;

use super::{Physics, Values};
use crate::world::seed::Rng;
use crate::world::time::Time;

/// Steps of a fixed size from the start of a run.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    start: Time,
    step: Duration,
    done: u64,
}

impl Grid {
    pub(super) fn new(start: Time, step_s: u64) -> Self {
        Grid { start, step: Duration::from_secs(step_s), done: 0 }
    }

    /// When the step under way began.
    pub(super) fn at(&self) -> Time {
        self.start + Duration::from_secs(self.step.as_secs() * self.done)
    }

    /// Takes one step.
    pub(super) fn advance(&mut self, physics: &mut impl Physics, rng: &mut Rng) {
        physics.step(self.at(), rng);
        self.done += 1;
    }

    /// Takes the steps that are over at `now`, and answers what sensors see then.
    pub(super) fn values(&mut self, now: Time, physics: &mut impl Physics, rng: &mut Rng) -> Values {
        while self.at() + self.step <= now {
            self.advance(physics, rng);
        }
        physics.values(self.at(), now.since(self.at()).as_secs_f64())
    }
}

/// A random number that moves a little with each step and returns to zero: an autoregressive process of first order.
#[derive(Clone, Debug)]
pub(super) struct Wander {
    value: f64,
    keeps: f64,
    kick: f64,
}

impl Wander {
    /// A number with the standard deviation `sigma` that forgets where it was within about `memory_s`, in steps of `step_s`.
    pub(super) fn new(sigma: f64, memory_s: f64, step_s: u64, rng: &mut Rng) -> Self {
        let keeps = 1.0 - (step_s as f64 / memory_s).min(1.0);
        let kick = sigma * (1.0 - keeps * keeps).sqrt();
        let first: f64 = rng.sample(StandardNormal);
        Wander { value: sigma * first, keeps, kick }
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }

    pub(super) fn step(&mut self, rng: &mut Rng) {
        let normal: f64 = rng.sample(StandardNormal);
        self.value = self.keeps * self.value + self.kick * normal;
    }
}

/// The part of a day (UTC) that is over at an instant, 0 to 1.
pub(super) fn part_of_day(at: Time) -> f64 {
    (at.unix_millis() % DAY_MS) as f64 / DAY_MS as f64
}

/// Whether an instant is on a Saturday or a Sunday (UTC).
pub(super) fn is_weekend(at: Time) -> bool {
    // 1970-01-01 was a Thursday: the days from it on are Thursday, Friday, Saturday, Sunday and so on.
    matches!(at.unix_millis() / DAY_MS % 7, 2 | 3)
}

const DAY_MS: u64 = 86_400_000;
