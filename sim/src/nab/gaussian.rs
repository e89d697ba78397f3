//! A detector of the scoreboard, to judge the judge: the windowed Gaussian, whose published score this scorer must reach.
//! How unusual a value is, is the tail of a normal distribution with mean and deviation of the last 6,400 rows; the window
//! moves by a hundred rows at a time.

use std::collections::VecDeque;

use super::Scorer;

const WINDOW: usize = 6_400;
const STEP: usize = 100;
/// In place of a deviation of zero.
const DEVIATION_MIN: f64 = 1e-6;

/// The detector.
#[derive(Debug, Default)]
pub(super) struct WindowedGaussian {
    window: VecDeque<f64>,
    waiting: Vec<f64>,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

impl Scorer for WindowedGaussian {
    fn score(&mut self, _: i64, value: f64) -> f64 {
        let deviation = (self.squares / self.window.len().max(1) as f64).sqrt();
        let deviation = if deviation == 0.0 { DEVIATION_MIN } else { deviation };
        let tail = 0.5 * erfc((value - self.mean).abs() / deviation / std::f64::consts::SQRT_2);
        let score = if self.window.is_empty() { 0.0 } else { 1.0 - tail };
        if self.window.len() < WINDOW {
            self.window.push_back(value);
            let off = value - self.mean;
            self.mean += off / self.window.len() as f64;
            self.squares += off * (value - self.mean);
        } else {
            self.waiting.push(value);
            if self.waiting.len() == STEP {
                self.window.drain(..STEP);
                self.window.extend(self.waiting.drain(..));
                self.mean = self.window.iter().sum::<f64>() / WINDOW as f64;
                self.squares = self.window.iter().map(|value| (value - self.mean).powi(2)).sum();
            }
        }
        score
    }
}

/// The complementary error function of what is not negative, to 15 digits: a series for small arguments, a continued fraction for others.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum;
    }
    let fraction = (1..=80).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    (-x * x).exp() / std::f64::consts::PI.sqrt() / fraction
}

#[test]
fn the_complementary_error_function_has_its_known_values() {
    for (x, expected) in [
        (0.0, 1.0),
        (0.5, 0.479_500_122_186_953_5),
        (1.0, 0.157_299_207_050_285_13),
        (2.0, 0.004_677_734_981_047_266),
        (3.0, 2.209_049_699_858_544e-5),
        (5.0, 1.537_459_794_428_035e-12),
    ] {
        let found = erfc(x);
        assert!((found / expected - 1.0).abs() < 1e-10, "erfc({x}) is {found}");
    }
}
