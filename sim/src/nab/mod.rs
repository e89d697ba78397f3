//! The Numenta Anomaly Benchmark (NAB 1.1): the judge of the platform's detector on labelled series that were recorded
//! elsewhere.
//!
//! A detector reads each series once, in order, and gives each row a score from 0 to 1 with nothing but the rows so far.
//! One threshold for the whole corpus makes detections of scores; it is the best one for each profile of costs.
//!
//! - `corpus`: series, labels and profiles, from a folder.
//! - `score`: the benchmark's rules, pure.
//! - `split`: which series were held out while the detector was made.
//! - `report`: what is told, in numbers.
//! - `published`: what others have reached.

mod corpus;
#[cfg(test)]
mod gaussian;
mod published;
mod report;
mod score;
mod split;
#[cfg(test)]
mod tests;

use platform::transform::anomaly_detection::Detector;
use serde::Serialize;

pub use corpus::{Corpus, Recorded};
pub use published::{PUBLISHED, Published};
pub use report::{Detections, Report, judge};
pub use score::{Judged, Outcome, Weights, Window, best, outcome, probation};
pub use split::{Part, part};

/// A detector as the benchmark sees it.
pub trait Scorer: Default {
    /// How unusual a row is, from 0 to 1, given those before it. `at_ms` is its time, ms since the Unix epoch.
    fn score(&mut self, at_ms: i64, value: f64) -> f64;
}

impl Scorer for Detector {
    fn score(&mut self, at_ms: i64, value: f64) -> f64 {
        self.next(at_ms, value).score
    }
}

/// The scores of a series by a detector that has seen nothing before.
///
/// # Panics
/// When a score does not lie between 0 and 1.
pub fn scores<S: Scorer>(recorded: &Recorded) -> Vec<f64> {
    let mut scorer = S::default();
    let mut scored = Vec::with_capacity(recorded.series.rows.len());
    for row in &recorded.series.rows {
        let score = scorer.score(row.recorded_us.div_euclid(1000), row.value);
        assert!((0.0..=1.0).contains(&score), "{} of {} scores {score}", row.recorded_at, recorded.path);
        scored.push(score);
    }
    scored
}

/// One value for each profile of costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PerProfile<T> {
    /// The benchmark's `standard`.
    pub standard: T,
    /// Its `reward_low_FP_rate`: a false alarm costs twice as much.
    pub low_fp: T,
    /// Its `reward_low_FN_rate`: a missed anomaly costs twice as much.
    pub low_fn: T,
}

impl<T> PerProfile<T> {
    /// What `of` makes of each.
    pub fn map<U>(&self, mut of: impl FnMut(&T) -> U) -> PerProfile<U> {
        PerProfile { standard: of(&self.standard), low_fp: of(&self.low_fp), low_fn: of(&self.low_fn) }
    }

    /// Each with the one of the same profile in `other`.
    pub fn zip<'a, U>(&'a self, other: &'a PerProfile<U>) -> PerProfile<(&'a T, &'a U)> {
        PerProfile {
            standard: (&self.standard, &other.standard),
            low_fp: (&self.low_fp, &other.low_fp),
            low_fn: (&self.low_fn, &other.low_fn),
        }
    }

    /// In the order in which they are printed.
    pub fn each(&self) -> [&T; 3] {
        [&self.standard, &self.low_fp, &self.low_fn]
    }
}
