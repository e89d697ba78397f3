//! The constants of what is rare that were searched for: few, and the same for all series. Others, chosen by hand, stand in
//! `rarity.rs`, `season.rs` and `tail.rs`.
//!
//! They were found by a random search (a few thousand steps) that maximises the standard score of the training part of the
//! benchmark (`SPLIT.md`), averaged over thresholds from 0.8 to 1.25 times the detector's own, over a copy of the series with
//! rows left out and noise added, and with synthetic series in which nothing is unusual; so no single reading decides.
//! Which features there are was decided by cross-validation inside of the training part: the score of the parts that were
//! left out fell by 4 to 5 without the season, without pressing, and without trusting young tails less. Lengths are in
//! readings.

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
    /// Weights of the features, in the order in which `rarity.rs` makes them.
    pub weights: [f32; 7],
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
    slow: 20000.0,
    fast: 15.7,
    active: 92.3,
    usual: 654.0,
    season: 200.0,
    astray: 2.44,
    clip: 3.55,
    tail: 0.00534,
    tail_memory: 15.0,
    tail_clip: 13.2,
    press: 0.01,
    weights: [1.26, 1.7, 1.92, 0.888, 1.51, 1.31, 1.01],
    early: 56.2,
    gain: 0.148,
    hold: 29.5,
    more: 8.0,
};
