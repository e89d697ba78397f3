//! What others have reached, as the benchmark's scoreboard has it.

use super::PerProfile;

/// A detector of the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Its name there.
    pub name: &'static str,
    /// Its scores; where only the standard profile's was at hand, the others are absent.
    pub scores: PerProfile<Option<f64>>,
}

const fn all(name: &'static str, standard: f64, low_fp: f64, low_fn: f64) -> Published {
    let scores = PerProfile { standard: Some(standard), low_fp: Some(low_fp), low_fn: Some(low_fn) };
    Published { name, scores }
}

const fn standard(name: &'static str, standard: f64) -> Published {
    Published { name, scores: PerProfile { standard: Some(standard), low_fp: None, low_fn: None } }
}

/// The scoreboard (NAB 1.1, its repository's README), the best first.
pub const PUBLISHED: [Published; 9] = [
    all("ARTime", 74.9, 65.1, 80.4),
    all("Numenta HTM", 70.5, 62.6, 75.2),
    all("CAD OSE", 69.9, 67.0, 73.2),
    standard("earthgecko Skyline", 58.2),
    standard("KNN CAD", 58.0),
    standard("Relative Entropy", 54.6),
    all("Random Cut Forest (AWS)", 51.7, 38.4, 59.7),
    all("Twitter ADVec", 47.1, 33.6, 53.5),
    all("Windowed Gaussian", 39.6, 20.9, 47.4),
];
