//! What is usual at an hour of the day (UTC): one running average an hour.

use super::bytes::Fields;
use super::tuning::Tuning;

const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;
/// Nothing is said of a season before so much time: a whole day, and some of the next one to compare.
const MATURE_AFTER_MS: i64 = 30 * HOUR_MS;
/// Values of an hour from which on a value may move it by no more than the levels.
const CLIP_FROM: u8 = 5;
/// A value may always move an hour by this.
const BOUND_LEAST: f32 = 1e-12;

/// When a reading was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Ms since the Unix epoch.
    pub ms: i64,
    /// Since the reading before, ms; never negative.
    pub step_ms: i64,
}

/// Averages of the hours.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Season {
    averages: [f32; HOURS],
    /// Values of each hour, up to 255.
    counts: [u8; HOURS],
    /// Running average of the distance from the season.
    astray: f32,
    /// How long values have come, ms: a gap counts for an hour at most, so that no wrong time makes a day.
    known_ms: u32,
}

impl Season {
    /// Bytes of a season.
    pub const SIZE: usize = HOURS * 5 + 4 + 4;

    /// Takes the `n`-th value; it may move its hour by `bound`. Answers how far it is from its hour, and how far values were
    /// lately; nothing before a day is known.
    pub fn next(&mut self, at: At, value: f32, n: u32, bound: f32, tuning: &Tuning) -> (Option<f32>, Option<f32>) {
        if n > 1 {
            let step_ms = at.step_ms.clamp(0, HOUR_MS);
            self.known_ms = self.known_ms.saturating_add(u32::try_from(step_ms).unwrap_or(u32::MAX));
        }
        let hour = usize::try_from(at.ms.div_euclid(HOUR_MS).rem_euclid(24)).unwrap_or(0);
        let (average, count) = (&mut self.averages[hour], &mut self.counts[hour]);
        let from = value - *average;
        let distance = if *count > 0 { from } else { 0.0 };
        self.astray += (distance - self.astray) / tuning.astray;
        *count = count.saturating_add(1);
        let weight = (1.0 / f32::from(*count)).max(1.0 / tuning.season);
        let bound = bound.max(BOUND_LEAST);
        *average +=
            weight * if n > super::rarity::LEARNING && *count > CLIP_FROM { from.clamp(-bound, bound) } else { from };
        let mature = i64::from(self.known_ms) > MATURE_AFTER_MS;
        (mature.then_some(distance.abs()), mature.then_some(self.astray.abs()))
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        self.averages.iter_mut().for_each(|average| fields.f32(average));
        self.counts.iter_mut().for_each(|count| fields.u8(count));
        fields.f32(&mut self.astray);
        fields.u32(&mut self.known_ms);
    }
}
