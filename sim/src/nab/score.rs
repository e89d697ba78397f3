//! The benchmark's rules: what detections are worth, and which threshold makes the best ones.
//!
//! Early in a window of an anomaly a detection is worth most; only the best one of a window counts. Outside of all windows
//! it costs, less so shortly after a window. A window without a detection costs. The sum is set against that of no
//! detections at all (0) and that of a detection at the first row of every window (100).

/// Rows before scores count, as a share of the series: 15 of 100 (rounded down).
const PROBATION_PERCENT: usize = 15;
/// No series is on probation for longer.
const PROBATION_MAX: usize = 750;
/// How steep the curve of worth is.
const STEEPNESS: f64 = 5.0;
/// So many widths of the window behind it, a detection costs in full.
const FAR: f64 = 3.0;

/// What a profile gives for what is found and takes for what is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// For a window that is found at its first row.
    pub found: f64,
    /// For a detection far from every window.
    pub false_alarm: f64,
    /// For a window that is not found.
    pub missed: f64,
}

/// The rows of an anomaly, by their positions in the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub first: usize,
    /// Last row.
    pub last: usize,
}

/// A series that a detector has scored.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// A score a row, from 0 to 1.
    pub scores: &'a [f64],
    /// What there was to find, in order, without overlaps, and after the probation.
    pub windows: &'a [Window],
}

/// What detections above one threshold come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Rows that score at least this are detections; absent when no row is one.
    pub threshold: Option<f64>,
    /// From 0, for no detection at all, to 100, for nothing but detections at the first row of each window; below 0 when
    /// false alarms cost more than all that is found. Absent where there is nothing to find.
    pub score: Option<f64>,
    /// Windows with a detection.
    pub found: usize,
    /// Windows.
    pub windows: usize,
    /// Rows outside of windows that are detections.
    pub false_alarms: usize,
}

/// How many rows of a series do not count, because a detector is still learning.
pub const fn probation(rows: usize) -> usize {
    let share = rows * PROBATION_PERCENT / 100;
    if share < PROBATION_MAX { share } else { PROBATION_MAX }
}

/// Worth by the place: 1 far before the end of a window, 0 at it, -1 far behind it.
fn worth(place: f64) -> f64 {
    if place > FAR { -1.0 } else { 2.0 / (1.0 + (STEEPNESS * place).exp()) - 1.0 }
}

/// A row that counts.
#[derive(Clone, Copy)]
struct Row {
    score: f64,
    /// What a detection here adds to the sum, or would, were it the best of its window.
    worth: f64,
    /// Number of its window among all; absent outside of windows.
    window: Option<usize>,
}

/// The rows that count, and the number of windows.
fn rows(series: &[Judged<'_>], weights: &Weights) -> (Vec<Row>, usize) {
    let (mut rows, mut numbered) = (Vec::new(), 0);
    for judged in series {
        let mut next = 0;
        for (i, &score) in judged.scores.iter().enumerate() {
            while judged.windows.get(next).is_some_and(|window| window.last < i) {
                next += 1;
            }
            if i < probation(judged.scores.len()) {
                continue;
            }
            let inside = judged.windows.get(next).filter(|window| window.first <= i);
            let (worth, window) = match (inside, next.checked_sub(1).map(|before| judged.windows[before])) {
                (Some(window), _) => {
                    let width = (window.last - window.first + 1) as f64;
                    let place = -((window.last - i + 1) as f64) / width;
                    (weights.found * worth(place) / worth(-1.0), Some(numbered + next))
                }
                (None, Some(Window { first, last })) => {
                    let place = (i - last) as f64 / (last - first) as f64;
                    (weights.false_alarm * worth(place), None)
                }
                (None, None) => (-weights.false_alarm, None),
            };
            rows.push(Row { score, worth, window });
        }
        numbered += judged.windows.len();
    }
    (rows, numbered)
}

/// The sum of all detections so far.
struct Sum<'w> {
    weights: &'w Weights,
    alarms: f64,
    false_alarms: usize,
    /// The best worth so far of each window.
    best: Vec<Option<f64>>,
}

impl<'w> Sum<'w> {
    fn new(weights: &'w Weights, windows: usize) -> Self {
        Sum { weights, alarms: 0.0, false_alarms: 0, best: vec![None; windows] }
    }

    fn detect(&mut self, row: &Row) {
        match row.window {
            None => {
                self.alarms += row.worth;
                self.false_alarms += 1;
            }
            Some(window) => {
                let best = &mut self.best[window];
                *best = Some(best.map_or(row.worth, |best| best.max(row.worth)));
            }
        }
    }

    fn total(&self) -> f64 {
        self.alarms + self.best.iter().map(|best| best.unwrap_or(-self.weights.missed)).sum::<f64>()
    }

    fn outcome(&self, threshold: Option<f64>) -> Outcome {
        let windows = self.best.len();
        let (none, perfect) = (-self.weights.missed * windows as f64, self.weights.found * windows as f64);
        let score = (windows > 0).then(|| 100.0 * (self.total() - none) / (perfect - none));
        let found = self.best.iter().flatten().count();
        Outcome { threshold, score, found, windows, false_alarms: self.false_alarms }
    }
}

/// What detections above a threshold come to.
pub fn outcome(series: &[Judged<'_>], weights: &Weights, threshold: Option<f64>) -> Outcome {
    let (rows, windows) = rows(series, weights);
    let mut sum = Sum::new(weights, windows);
    let detected = |row: &&Row| threshold.is_some_and(|threshold| row.score >= threshold);
    rows.iter().filter(detected).for_each(|row| sum.detect(row));
    sum.outcome(threshold)
}

/// The threshold with the highest sum, and what it comes to; the highest of those that are equally good.
pub fn best(series: &[Judged<'_>], weights: &Weights) -> Outcome {
    let (mut rows, windows) = rows(series, weights);
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut sum = Sum::new(weights, windows);
    // The sum over all windows is taken once: here only what changes.
    let mut total = sum.total();
    let mut best = (total, None);
    for equal in rows.chunk_by(|a, b| a.score == b.score) {
        for row in equal {
            let known = row.window.map(|window| sum.best[window].unwrap_or(-weights.missed));
            sum.detect(row);
            total += match row.window {
                None => row.worth,
                Some(window) => sum.best[window].unwrap_or(0.0) - known.unwrap_or(0.0),
            };
        }
        if total > best.0 {
            best = (total, Some(equal[0].score));
        }
    }
    outcome(series, weights, best.1)
}
