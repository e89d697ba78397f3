//! The constants of what is rare: few, and the same for all series.
//!
//! They were found by a random search that maximises the standard score of the training part of the benchmark (`SPLIT.md`),
//! averaged over thresholds from 0.8 to 1.25 times the detector's own and over varied copies of the series (rows left out,
//! noise added), so that no single row decides. Lengths are in readings.

/// Weights and lengths.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Memory of the slow level.
    pub slow: f32,
    /// Memory of the fast level.
    pub fast: f32,
    /// Memory of the present activity.
    pub active: f32,
    /// Memory of the usual activity.
    pub usual: f32,
    /// Memory of an hour of the day.
    pub season: f32,
    /// Memory of the distance from the season.
    pub astray: f32,
    /// What a value may move the levels, in scales.
    pub clip: f32,
    /// The share of readings that are in the tail of a feature.
    pub tail: f32,
    /// Memory of a tail, in readings that were in it; at most 255.
    pub tail_memory: f32,
    /// What a reading may move the length of a tail, in such lengths.
    pub tail_clip: f32,
    /// How strongly large surprises are pressed together.
    pub press: f32,
    /// Weights of the features, in the order of `Feature`.
    pub weights: [f32; 8],
    /// Memory of the values' distribution.
    pub novelty: f32,
    /// After so many values half of what a tail says counts.
    pub early: f32,
    /// A surprise of one over this is told.
    pub gain: f32,
    /// Readings after one that is told in which another must be more surprising.
    pub hold: f32,
    /// So many times more.
    pub more: f32,
}

/// The constants.
pub const TUNING: Tuning = Tuning {
    slow: 13900.0,
    fast: 17.1,
    active: 300.0,
    usual: 404.0,
    season: 200.0,
    astray: 2.46,
    clip: 3.141,
    tail: 0.00631,
    tail_memory: 14.7,
    tail_clip: 18.5,
    press: 0.0356,
    weights: [1.82, 1.92, 1.97, 0.0, 0.846, 0.643, 0.506, 0.421],
    novelty: 19900.0,
    early: 75.8,
    gain: 0.155,
    hold: 19.9,
    more: 7.31,
};
