//! The upper tail of one feature: from where on its values are rare, and how far rare values usually go.
//!
//! The quantile moves up by a value above it and down by one below, in steps of the tail's length, so that the share of
//! values above it is the one that is wanted. The length is the mean of what values exceed the quantile by. How far a value
//! is in the tail, in lengths, means the same for all features and series: for exponential tails it is minus the logarithm
//! of how rare the value is, up to a constant.

use super::bytes::Fields;
use super::tuning::Tuning;

/// The tail is at least this part of the quantile.
const LENGTH_LEAST: f32 = 1e-9;
/// And at least this.
const LENGTH_LEAST_ABSOLUTE: f32 = 1e-12;
/// The length that is assumed of the first value, as a part of it.
const LENGTH_AT_FIRST: f32 = 0.1;
/// The length may grow from nothing by this part of the value.
const LENGTH_GROWS: f32 = 0.01;
/// The longest step of the quantile, in lengths.
const STEP_MAX: f32 = 0.5;

/// Values before any is said to be in the tail.
const SILENT: u16 = 30;

/// The tail of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tail {
    quantile: f32,
    length: f32,
    /// Values so far, up to 65,535.
    count: u16,
    /// Those that were in the tail, up to 255.
    beyond: u8,
}

impl Tail {
    /// Bytes of a tail.
    pub const SIZE: usize = 11;

    /// Takes the next value of the feature. Answers how far it is in the tail, in lengths; nothing before the tail is known.
    pub fn next(&mut self, value: f32, tuning: &Tuning) -> f32 {
        self.count = self.count.saturating_add(1);
        let n = f32::from(self.count);
        if self.count <= 1 {
            (self.quantile, self.length) = (value, value * LENGTH_AT_FIRST + LENGTH_LEAST_ABSOLUTE);
            self.beyond = 1;
            return 0.0;
        }
        let over = value - self.quantile;
        let length = self.length + LENGTH_LEAST * self.quantile;
        let step = (1.0 / (n * tuning.tail)).max(1.0 / tuning.tail_memory).min(STEP_MAX) * length;
        if over <= 0.0 {
            self.quantile = (self.quantile - step * tuning.tail).max(0.0);
            return 0.0;
        }
        self.beyond = self.beyond.saturating_add(1);
        let weight = (1.0 / f32::from(self.beyond)).max(1.0 / tuning.tail_memory);
        let most = tuning.tail_clip * self.length.max(LENGTH_GROWS * value);
        self.length += weight * (over.min(most) - self.length);
        self.quantile += step * (1.0 - tuning.tail);
        if self.count < SILENT { 0.0 } else { over / (length + LENGTH_LEAST_ABSOLUTE) }
    }

    /// How much of what the tail says counts, from 0 to 1: little while it has seen few values.
    pub fn trust(&self, tuning: &Tuning) -> f32 {
        let n = f32::from(self.count);
        n / (n + tuning.early)
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        fields.f32(&mut self.quantile);
        fields.f32(&mut self.length);
        fields.u16(&mut self.count);
        fields.u8(&mut self.beyond);
    }
}
