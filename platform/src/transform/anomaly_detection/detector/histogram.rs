//! How often values like this one were seen: a histogram whose range doubles when a value is outside of it, and whose
//! counts are halved now and then, so that it forgets.

use super::bytes::Fields;
use super::tuning::Tuning;

/// Bins. An even number: two become one when the range doubles.
const BINS: usize = 32;
/// Values that decide the first range.
const RANGE_AFTER: u32 = 50;
/// The first range is at least this part of the value.
const RANGE_LEAST: f64 = 1e-3;
/// And at least this.
const RANGE_LEAST_ABSOLUTE: f64 = 1e-9;
/// The share of values that a bin without any is taken to have.
const SHARE_LEAST: f32 = 1e-4;
/// The range doubles at most so often for one value; enough for any two that are finite in single precision.
const DOUBLINGS_MAX: u16 = 300;

/// The distribution of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram {
    counts: [u16; BINS],
    /// Lower end of the first bin; the least value while the range is not decided.
    low: f32,
    /// Width of a bin; the greatest value while the range is not decided.
    width: f32,
}

impl Histogram {
    /// Bytes of a histogram.
    pub const SIZE: usize = BINS * 2 + 8;

    /// Takes the `n`-th value, counted from 1; `magnitude` is its size in its own unit. Answers how new it is: minus the
    /// logarithm of the share of values like it, and more for one outside of the range.
    pub fn next(&mut self, value: f32, n: u32, magnitude: f64, tuning: &Tuning) -> Option<f32> {
        if n < RANGE_AFTER {
            (self.low, self.width) = if n <= 1 { (value, value) } else { (self.low.min(value), self.width.max(value)) };
            return None;
        }
        if n == RANGE_AFTER {
            let least = (RANGE_LEAST * magnitude + RANGE_LEAST_ABSOLUTE) as f32;
            let range = (self.width - self.low).max(least);
            self.low -= 0.5 * range;
            self.width = 2.0 * range / BINS as f32;
        }
        let mut doublings = 0;
        let mut position = (value - self.low) / self.width;
        while !(0.0..BINS as f32).contains(&position) && doublings < DOUBLINGS_MAX {
            self.double(position < 0.0);
            position = (value - self.low) / self.width;
            doublings += 1;
        }
        let bin = (position.clamp(0.0, BINS as f32 - 1.0)) as usize;
        let count =
            |bin: Option<usize>| bin.and_then(|bin| self.counts.get(bin)).map_or(0.0, |count| f32::from(*count));
        let near = count(Some(bin)) + 0.5 * (count(bin.checked_sub(1)) + count(bin.checked_add(1)));
        let total: u32 = self.counts.iter().map(|count| u32::from(*count)).sum();
        let share = near / (total.max(1) as f32);
        self.counts[bin] = self.counts[bin].saturating_add(1);
        if total as f32 >= 2.0 * tuning.novelty {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
        Some((-(share + SHARE_LEAST).ln()).max(0.0) + f32::from(doublings))
    }

    /// Doubles the range, downwards or upwards.
    fn double(&mut self, downwards: bool) {
        let mut counts = [0_u16; BINS];
        let first = if downwards { BINS / 2 } else { 0 };
        for (bin, count) in self.counts.iter().enumerate() {
            let into = &mut counts[first + bin / 2];
            *into = into.saturating_add(*count);
        }
        if downwards {
            self.low -= self.width * BINS as f32;
        }
        self.width *= 2.0;
        self.counts = counts;
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        self.counts.iter_mut().for_each(|count| fields.u16(count));
        fields.f32(&mut self.low);
        fields.f32(&mut self.width);
    }
}
