//! The detector of one series: which readings are unusual, given those before.

mod bytes;
mod histogram;
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
        let (n, from, magnitude) = (self.count, (value - self.origin) as f32, value.abs());
        let (expected, plain) = self.rules.next(at_ms, from, n, magnitude);
        let rare = self.rarity.next(at_ms, from, n, magnitude, tuning);
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
