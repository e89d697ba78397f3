//! The scorer against the benchmark's rules, and against a score that the benchmark has published.

use std::path::Path;

use super::gaussian::WindowedGaussian;
use super::*;

const STANDARD: Weights = Weights { found: 1.0, false_alarm: 0.11, missed: 1.0 };

/// 100 rows: 15 on probation, a window from 40 to 49, another from 70 to 79.
const WINDOWS: [Window; 2] = [Window { first: 40, last: 49 }, Window { first: 70, last: 79 }];

/// What detections at these rows come to.
fn detected_at(rows: &[usize], weights: &Weights) -> Outcome {
    let scores: Vec<f64> = (0..100).map(|row| if rows.contains(&row) { 1.0 } else { 0.0 }).collect();
    outcome(&[Judged { scores: &scores, windows: &WINDOWS }], weights, Some(0.5))
}

fn score(rows: &[usize]) -> f64 {
    detected_at(rows, &STANDARD).score.expect("there is something to find")
}

/// The rules' own formula.
fn sigmoid(x: f64) -> f64 {
    2.0 / (1.0 + (5.0 * x).exp()) - 1.0
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-9, "{what}: {found}, not {expected}");
}

#[test]
fn perfect_detections_are_100_and_none_are_0() {
    assert_near(score(&[40, 70]), 100.0, "the first row of each window");
    assert_near(score(&[]), 0.0, "nothing");
    assert_near(score(&[40]), 50.0, "one of two");
    assert_near(score(&[40, 41, 49, 70, 79]), 100.0, "further ones in a window change nothing");
}

#[test]
fn the_earlier_the_better_and_one_in_a_window_is_always_better_than_none() {
    let worth = |row: usize| score(&[row]) - score(&[]);
    assert!((41..50).all(|row| worth(row) < worth(row - 1) && worth(row) > 25.0));
    // The last row lies a tenth of the window before the window's end.
    assert_near(worth(49), 100.0 * (1.0 + sigmoid(-0.1) / sigmoid(-1.0)) / 4.0, "the last row");
}

#[test]
fn a_false_alarm_costs_in_full_before_all_windows_and_less_shortly_after_one() {
    let cost = |row: usize| score(&[]) - score(&[row]);
    let full = 100.0 * 0.11 / 4.0;
    for row in [15, 39] {
        assert_near(cost(row), full, "before the first window");
    }
    assert_near(cost(50), -full * sigmoid(1.0 / 9.0), "right after a window");
    assert_near(cost(58), -full * sigmoid(1.0), "a window's width after it");
    assert!((51..70).all(|row| cost(row) > cost(row - 1) && cost(row) <= full), "it grows up to the full cost");
    let twice = Weights { false_alarm: 0.22, ..STANDARD };
    assert_near(-detected_at(&[20], &twice).score.unwrap(), 2.0 * full, "where false alarms count double");
    let half = Weights { missed: 2.0, ..STANDARD };
    assert_near(detected_at(&[40], &half).score.unwrap(), 50.0, "against the null of the same profile");
}

#[test]
fn rows_on_probation_do_not_count() {
    assert_eq!(
        [probation(100), probation(99), probation(4_999), probation(5_000), probation(22_695)],
        [15, 14, 749, 750, 750]
    );
    assert_near(score(&(0..15).collect::<Vec<_>>()), 0.0, "alarms on probation");
    assert_eq!(detected_at(&[3, 14, 15], &STANDARD).false_alarms, 1);
}

#[test]
fn each_profile_has_the_threshold_that_is_best_for_it() {
    // A window that is found at 0.9, and one that is found at 0.3 together with eight false alarms.
    let mut scores = [0.1; 100];
    (scores[40], scores[70]) = (0.9, 0.3);
    (20..28).for_each(|row| scores[row] = 0.3);
    let judged = [Judged { scores: &scores, windows: &WINDOWS }];
    let best_of = |false_alarm, missed| best(&judged, &Weights { found: 1.0, false_alarm, missed });
    let threshold = |false_alarm, missed| best_of(false_alarm, missed).threshold;
    assert_eq!(threshold(0.11, 1.0), Some(0.3), "0.88 for false alarms, and 2 for what is found");
    assert_eq!(threshold(0.22, 1.0), Some(0.3));
    assert_eq!(threshold(0.3, 1.0), Some(0.9), "2.4 for false alarms");
    assert_eq!(threshold(0.3, 2.0), Some(0.3), "and 3 for what is found");
    let found = best_of(0.3, 1.0);
    assert_eq!((found.found, found.windows, found.false_alarms), (1, 2, 0));
    let nothing = best(&[Judged { scores: &scores[..30], windows: &[] }], &STANDARD);
    assert_eq!((nothing.threshold, nothing.score, nothing.false_alarms), (None, None, 0), "nothing to find");
}

#[test]
fn the_best_threshold_is_at_least_as_good_as_every_other() {
    let scores: Vec<f64> = (0..100).map(|row| f64::from(row * 37 % 19) / 19.0).collect();
    let judged = [Judged { scores: &scores, windows: &WINDOWS }];
    let found = best(&judged, &STANDARD);
    let scored = |threshold| outcome(&judged, &STANDARD, threshold).score.unwrap();
    for n in 0..=19 {
        assert!(found.score.unwrap() >= scored(Some(f64::from(n) / 19.0)) - 1e-12, "{n}");
    }
    assert!(found.score.unwrap() >= scored(None));
}

#[test]
fn the_split_is_every_third_series() {
    let held_out: Vec<usize> = (0..58).filter(|index| part(*index) == Part::HeldOut).collect();
    assert_eq!((held_out.len(), &held_out[..3]), (19, &[2, 5, 8][..]));
}

#[test]
fn the_windowed_gaussian_reaches_its_published_score() {
    let corpus =
        Corpus::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/nab")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((corpus.series.len(), corpus.readings()), (58, 365_558));
    assert!(corpus.series.is_sorted_by(|a, b| a.path < b.path));
    let scores: Vec<Vec<f64>> = corpus.series.iter().map(scores::<WindowedGaussian>).collect();
    // The scores that were published were written with twelve digits. Here that makes a difference: at the best thresholds
    // the tail of the distribution is below 1e-12.
    let shortened = |score: &f64| (score * 1e12).round() / 1e12;
    let written: Vec<Vec<f64>> = scores.iter().map(|series| series.iter().map(shortened).collect()).collect();
    let published = PUBLISHED.iter().find(|published| published.name == "Windowed Gaussian").unwrap().scores;
    let report = judge(&corpus, &written);
    for (found, published) in report.scores.zip(&published).each() {
        let published = published.expect("it has all scores");
        assert!((*found - published).abs() < 0.1, "{found}, and published is {published}");
    }
    assert_eq!(report.detections.standard.found + report.detections.standard.missed, 116);
    assert_eq!(report.categories["artificialNoAnomaly"].standard, None, "nothing is there to find");
    let exact = judge(&corpus, &scores).scores;
    for (exact, written) in exact.zip(&report.scores).each() {
        assert!(exact > written, "with all digits there are more thresholds to choose from: {exact}, {written}");
    }
}
