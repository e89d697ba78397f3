//! The detector of one series: which readings are unusual, given those before. Pure: no clock, no look-ahead, no parameters
//! of a series, and a state of fixed size ([`Detector::SIZE`] bytes).
//!
//! Two judges look at each reading:
//! - **rules** (`rules.rs`) tell what is plainly unusual, of five kinds, each time it happens; and what was expected.
//! - **rarity** (`rarity.rs`) says how unusual it is among all that the series has shown so far, and gets used to what is
//!   repeated. Its score is what the benchmark judges; from one half on it tells a kind by itself, once a day of the
//!   series is known.
//!
//! **How good it is.** On the Numenta Anomaly Benchmark v1.1 (58 series, 365,558 readings; its own rules, without the
//! series' extremes, which the benchmark would allow to know beforehand), standard / few false alarms / few misses:
//!
//! | series | one threshold at its best | threshold one half |
//! | --- | --- | --- |
//! | all 58 | 70.7 / 61.2 / 75.9 | 70.5 / 60.7 / 75.7 |
//! | 39 that its constants were tuned on | 73.8 / 64.4 / 79.0 | 73.5 / 63.8 / 78.8 |
//! | 19 held out, declared beforehand (`SPLIT.md`) | 65.1 / 55.3 / 70.1 | 64.9 / 54.8 / 69.9 |
//!
//! The score of the held-out series was seen a few times before the end (of an early prototype of another make, and of
//! states of this one that were finished); no constant and no feature was chosen by it. It is what to expect of new series.
//! For comparison: AWS's Random Cut Forest has 51.7, Numenta's HTM 70.5, the best published detector 74.9 on all 58.
//!
//! **Constants.** `tuning.rs` tells which there are and how they were found. None is of a series, a name or a kind of data.
//!
//! **What it does not know**: more than one season (a day, by the hour in UTC), months and holidays, and how several
//! metrics of a device go together.

mod bytes;
mod rarity;
mod rules;
mod season;
mod tail;
#[cfg(test)]
mod tests;
mod tuning;

pub use rules::Kind;

use bytes::{Fields, Reader, Writer};
use rarity::Rarity;
use rules::Rules;
use tuning::{TUNING, Tuning};

/// Values beyond this are taken for this, so that no sum overflows.
const VALUE_MAX: f64 = 1e30;
/// What is rare tells no kind of its own for so many readings after a rule has told one.
const QUIET_AFTER_RULES: u8 = 32;

/// What a detector says of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// How unusual it is, from 0 to 1.
    pub score: f64,
    /// What is to be told; nothing for a usual value.
    pub kind: Option<Kind>,
    /// What was expected before the value, in its unit.
    pub expected: f64,
    /// How far values usually are from it, in the same unit; 0 while nothing is known.
    pub scale: f64,
}

/// The detector of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detector {
    /// Values so far.
    count: u32,
    /// The first value, from which all are counted: what is kept in single precision is small beside the noise then.
    origin: f64,
    /// Readings since a rule told a kind, up to [`QUIET_AFTER_RULES`].
    quiet: u8,
    rules: Rules,
    rarity: Rarity,
}

impl Detector {
    /// Bytes of a detector.
    pub const SIZE: usize = 4 + 8 + 1 + Rules::SIZE + Rarity::SIZE;

    /// Takes the next value, which is finite, with its time in ms since the Unix epoch, and tells how unusual it is.
    pub fn next(&mut self, at_ms: i64, value: f64) -> Assessment {
        self.next_tuned(at_ms, value, &TUNING)
    }

    fn next_tuned(&mut self, at_ms: i64, value: f64, tuning: &Tuning) -> Assessment {
        debug_assert!(value.is_finite());
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        if self.count == 0 {
            (self.origin, self.quiet) = (value, QUIET_AFTER_RULES);
        }
        self.count = self.count.saturating_add(1);
        let (n, from) = (self.count, (value - self.origin) as f32);
        let magnitude = (self.origin + f64::from(self.rules.level())).abs();
        let (expected, plain) = self.rules.next(at_ms, from, n, magnitude);
        let rare = self.rarity.next(at_ms, from, n, tuning);
        self.quiet = if plain.is_some() { 0 } else { self.quiet.saturating_add(1).min(QUIET_AFTER_RULES) };
        Assessment {
            score: rare.score,
            kind: plain.or(rare.kind.filter(|_| self.quiet >= QUIET_AFTER_RULES)),
            expected: self.origin + f64::from(expected.level),
            scale: f64::from(expected.scale),
        }
    }

    /// The detector as bytes. Numbers keep every bit.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        self.clone().fields(&mut Writer(&mut bytes));
        bytes
    }

    /// The detector that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut detector = Detector::default();
        detector.fields(&mut Reader(bytes));
        detector
    }

    fn fields(&mut self, fields: &mut impl Fields) {
        fields.u32(&mut self.count);
        fields.f64(&mut self.origin);
        fields.u8(&mut self.quiet);
        self.rules.fields(fields);
        self.rarity.fields(fields);
    }
}
