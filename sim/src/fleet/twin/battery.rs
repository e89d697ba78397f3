//! What is left of a battery.

use rand::RngExt as _;

use crate::world::seed::Rng;
use crate::world::time::Time;

/// A battery lasts so long without a message, in seconds: five years.
const IDLE_S: f64 = 5.0 * 365.25 * 86_400.0;
/// It lasts for so many messages.
const MESSAGES: f64 = 100_000.0;
/// What is left when a run begins, in percent.
const AT_FIRST: std::ops::RangeInclusive<f64> = 40.0..=100.0;

#[derive(Debug)]
pub(super) struct Battery {
    start: Time,
    at_first: f64,
    messages: f64,
    shown: f64,
}

impl Battery {
    pub(super) fn new(start: Time, rng: &mut Rng) -> Self {
        let at_first = rng.random_range(AT_FIRST);
        Battery { start, at_first, messages: 0.0, shown: at_first }
    }

    /// What is left, in percent.
    pub(super) fn percent(&self, now: Time) -> f64 {
        let used = now.since(self.start).as_secs_f64() / IDLE_S + self.messages / MESSAGES;
        (self.at_first - 100.0 * used).max(0.0)
    }

    /// A message is sent. Answers what is left afterwards, in percent.
    pub(super) fn message(&mut self, now: Time) -> f64 {
        self.messages += 1.0;
        self.shown = self.percent(now);
        self.shown
    }

    /// Whole percents after the last message.
    pub(super) fn whole_percent(&self) -> u64 {
        self.shown as u64
    }
}
