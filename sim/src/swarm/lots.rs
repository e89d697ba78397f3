//! Draws of single values, rounded so that they read well and are the same when they are read back.

use rand::RngExt as _;

use crate::world::seed::Rng;

/// One of some values, each as likely as the others.
pub(super) fn one_of<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    values[rng.random_range(0..values.len())]
}

/// Whether something of this probability happens.
pub(super) fn chance(rng: &mut Rng, probability: f64) -> bool {
    rng.random_range(0.0..1.0) < probability
}

/// A number to three digits.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().expect("a number that was written can be read")
}

/// A number between two positive bounds, as likely in each of their orders of magnitude.
pub(super) fn spread(rng: &mut Rng, (low, high): (f64, f64)) -> f64 {
    let (least, most) = (low.ln(), high.ln());
    rounded(if least < most { rng.random_range(least..most).exp() } else { low }).clamp(low, high)
}

/// As [`spread`], for whole numbers.
pub(super) fn spread_whole(rng: &mut Rng, (low, high): (u64, u64)) -> u64 {
    (spread(rng, (low as f64, high as f64)) as u64).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::seed::Seed;

    #[test]
    fn values_stay_within_their_bounds_and_reach_each_order_of_magnitude() {
        let rng = &mut Seed::root(1).rng();
        let drawn: Vec<u64> = (0..300).map(|_| spread_whole(rng, (1, 100_000))).collect();
        assert!(drawn.iter().all(|n| (1..=100_000).contains(n)));
        for (low, high) in [(1, 10), (10, 100), (100, 1_000), (1_000, 10_000), (10_000, 100_001)] {
            let count = drawn.iter().filter(|n| (low..high).contains(*n)).count();
            assert!((30..100).contains(&count), "{count} between {low} and {high}");
        }
        assert_eq!(spread(rng, (0.5, 0.5)), 0.5);
        assert_eq!([rounded(0.123_456), rounded(98_765.0)], [0.123, 98_800.0]);
    }
}
