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
//! | all 58 | 70.6 / 60.9 / 75.8 | 70.3 / 60.3 / 75.6 |
//! | 39 that its constants were tuned on | 73.4 / 63.6 / 78.8 | 73.0 / 62.9 / 78.5 |
//! | 19 held out, declared before anything was tuned (`SPLIT.md`) | 65.3 / 55.6 / 70.2 | 65.1 / 55.3 / 70.1 |
//!
//! The score of the held-out series is what to expect of new series. It was seen more than once before the first detector was
//! finished, and not counted then; twice since (`SPLIT.md`). No constant and no feature was chosen by it.
//! For comparison: AWS's Random Cut Forest has 51.7, Numenta's HTM 70.5, the best published detector 74.9 on all 58.
//!
//! **Wrong values and clocks.** Level and scale begin as medians, what is farther from the level than a few
//! hundred times the farthest before it counts by its logarithm alone, and a level that jumps farther than the series ever went begins a new series: so no
//! value and no range of values blinds a detector for long. Time is what passes between readings; a clock that is set back
//! counts from there.
//!
//! **Constants.** Those of what is rare that were searched for are in `tuning.rs`, with how they were found; those of the
//! rules, of what is learnt and when, and of least and largest values stand where they are used, and were chosen by hand. None
//! is of a series, a name or a kind of data.
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
use season::At;
use tuning::{TUNING, Tuning};

/// Values beyond this are taken for this, so that no sum overflows.
const VALUE_MAX: f64 = 1e30;
/// First byte of a detector: to be raised whenever its fields or their meaning change. What was written before counts as 0.
const LAYOUT: u8 = 1;
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
    rules: Rules,
    /// Time of the last reading.
    last_ms: i64,
    /// Readings since a rule told a kind, up to [`QUIET_AFTER_RULES`].
    quiet: u8,
    /// Values that rarity has seen.
    count: u32,
    /// The first of them, from which all are counted: what is kept in single precision is small beside the noise then.
    origin: f64,
    rarity: Rarity,
}

impl Detector {
    /// Bytes of a detector.
    pub const SIZE: usize = 1 + Rules::SIZE + 8 + 1 + 4 + 8 + Rarity::SIZE;

    /// Takes the next value, which is finite, with its time in ms since the Unix epoch, and tells how unusual it is.
    pub fn next(&mut self, at_ms: i64, value: f64) -> Assessment {
        self.next_tuned(at_ms, value, &TUNING)
    }

    fn next_tuned(&mut self, at_ms: i64, value: f64, tuning: &Tuning) -> Assessment {
        debug_assert!(value.is_finite());
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        if self.rules.is_new() {
            (self.last_ms, self.quiet) = (at_ms, QUIET_AFTER_RULES);
        }
        // A clock that was set back is no gap, and counts from where it is then.
        let step_ms = at_ms.saturating_sub(self.last_ms).max(0);
        self.last_ms = at_ms;
        let told = self.rules.next(step_ms as f32, value);
        if told.anew {
            (self.count, self.rarity) = (0, Rarity::default());
        }
        let believed = self.rules.believed(value);
        if self.count == 0 {
            self.origin = believed;
        }
        self.count = self.count.saturating_add(1);
        let at = At { ms: at_ms, step_ms };
        let rare = self.rarity.next(at, (believed - self.origin) as f32, self.count, tuning);
        self.quiet = if told.kind.is_some() { 0 } else { self.quiet.saturating_add(1).min(QUIET_AFTER_RULES) };
        Assessment {
            score: rare.score,
            kind: told.kind.or(rare.kind.filter(|_| self.quiet >= QUIET_AFTER_RULES)),
            expected: told.level,
            scale: told.scale,
        }
    }

    /// The detector as bytes. Numbers keep every bit.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [LAYOUT; Self::SIZE];
        self.clone().fields(&mut Writer(&mut bytes[1..]));
        bytes
    }

    /// The detector that [`Self::to_bytes`] gave. One of another layout begins anew.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut detector = Detector::default();
        if bytes[0] == LAYOUT {
            detector.fields(&mut Reader(&bytes[1..]));
        }
        detector
    }

    fn fields(&mut self, fields: &mut impl Fields) {
        self.rules.fields(fields);
        fields.i64(&mut self.last_ms);
        fields.u8(&mut self.quiet);
        fields.u32(&mut self.count);
        fields.f64(&mut self.origin);
        self.rarity.fields(fields);
    }
}
