//! The detector on synthetic series of all kinds.

use proptest::prelude::*;

use super::*;

const MINUTE_MS: i64 = 60_000;
const DAY: usize = 1_440;

/// A series that moves a little around a level, without randomness.
fn wave(n: usize) -> f64 {
    20.0 + f64::from(u32::try_from(n * 37 % 17).unwrap()) / 17.0
}

/// Noise of a normal distribution, nearly: the same for the same seed and position.
fn noise(seed: u64, n: usize) -> f64 {
    let mut state = (seed << 32) ^ u64::try_from(n).unwrap();
    let uniform = |state: &mut u64| {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    };
    (0..12).map(|_| uniform(&mut state)).sum::<f64>() - 6.0
}

/// A reading a minute, with a season of a day and noise.
fn seasonal(seed: u64, n: usize) -> f64 {
    let day = f64::from(u32::try_from(n % DAY).unwrap()) / 1_440.0;
    50.0 + 10.0 * (std::f64::consts::TAU * day).sin() + noise(seed, n)
}

/// What a detector says of readings that come every minute.
fn assessments(values: impl IntoIterator<Item = f64>) -> Vec<Assessment> {
    let mut detector = Detector::default();
    let at = |n: usize| i64::try_from(n).unwrap() * MINUTE_MS;
    values.into_iter().enumerate().map(|(n, value)| detector.next(at(n), value)).collect()
}

/// What is told of a series, with the position.
fn told(values: impl IntoIterator<Item = f64>) -> Vec<(usize, Kind)> {
    let all = assessments(values).into_iter().enumerate();
    all.filter_map(|(n, assessment)| assessment.kind.map(|kind| (n, kind))).collect()
}

#[test]
fn a_quiet_series_is_not_unusual() {
    assert_eq!(told((0..5000).map(wave)), []);
    assert_eq!(told(std::iter::repeat_n(7.0, 5000)), [], "a setting that never changes is no flatline");
    let switch = told((0..5000).map(|n| f64::from(n / 40 % 2)));
    assert!(switch.iter().all(|(_, kind)| *kind != Kind::Flatline), "a switch changes rarely: {switch:?}");
}

#[test]
fn nearly_nothing_is_told_of_a_steady_season_with_noise() {
    for seed in 0..8 {
        let found = told((0..10_000).map(|n| seasonal(seed, n)));
        assert!(found.len() <= 3, "{seed}: {found:?}");
    }
}

#[test]
fn each_kind_is_told_as_itself_whatever_the_series_is_like() {
    type Value = fn(usize) -> f64;
    type Spoil = fn(f64, usize) -> f64;
    const AT: usize = 6_000;
    let failures: [(Kind, usize, Spoil); 4] = [
        (Kind::Spike, 1, |value, n| value + if n == AT { 40.0 } else { 0.0 }),
        (Kind::LevelShift, 8, |value, n| value + if n >= AT { 30.0 } else { 0.0 }),
        (Kind::Drift, 1_500, |value, n| value + n.saturating_sub(AT) as f64 * 0.1),
        (Kind::Flatline, 32, |value, n| if n >= AT { 51.0 } else { value }),
    ];
    let series: [(&str, Value); 3] =
        [("wave", wave), ("noise", |n| 20.0 + noise(1, n)), ("season", |n| seasonal(2, n))];
    for (kind, within, spoil) in failures {
        for (name, value) in series {
            let found = told((0..AT + 2_000).map(|n| spoil(value(n), n)));
            let told_at = found.iter().find(|(n, told)| *n >= AT && *told == kind).map(|(n, _)| *n);
            assert!(told_at.is_some_and(|n| n < AT + within), "{kind:?} in {name}: {found:?}");
            let false_alarms = found.iter().filter(|(n, _)| *n < AT).count();
            assert!(false_alarms <= 3, "{kind:?} in {name}: {found:?}");
        }
    }
}

#[test]
fn a_gap_is_a_dropout_at_the_first_reading_after_it() {
    let with_gap = |gap_ms: i64, jitter_ms: i64| {
        let mut detector = Detector::default();
        let at = |n: i64| n * MINUTE_MS + n * 7_919 % jitter_ms.max(1) + if n >= 200 { gap_ms } else { 0 };
        let all = (0..400).map(|n| (n, detector.next(at(n), wave(usize::try_from(n).unwrap())).kind));
        all.filter_map(|(n, kind)| kind.map(|kind| (n, kind))).collect::<Vec<_>>()
    };
    assert_eq!(with_gap(20 * MINUTE_MS, 0), [(200, Kind::Dropout)]);
    assert_eq!(with_gap(20 * MINUTE_MS, 30_000), [(200, Kind::Dropout)]);
    assert_eq!(with_gap(MINUTE_MS, 30_000), [], "one reading was lost");
    assert_eq!(with_gap(-500 * MINUTE_MS, 0), [], "time that goes backwards is no gap");
}

#[test]
fn a_spike_is_told_once_until_it_is_over() {
    let with = |at: std::ops::Range<usize>, by: f64| {
        told((0..400).map(move |n| wave(n) + if at.contains(&n) { by } else { 0.0 }))
    };
    assert_eq!(with(200..201, 30.0), [(200, Kind::Spike)]);
    assert_eq!(with(200..201, -30.0), [(200, Kind::Spike)]);
    assert_eq!(with(200..204, 30.0), [(200, Kind::Spike)]);
    assert_eq!(with(10..11, 30.0), [], "nothing is told during the warm-up");
    let twice = (0..400).map(|n| wave(n) + if n == 200 || n == 220 { 30.0 } else { 0.0 });
    assert_eq!(told(twice), [(200, Kind::Spike), (220, Kind::Spike)]);
}

#[test]
fn plain_outliers_are_told_each_time_and_surprise_less_and_less() {
    let spikes = |n: usize| n >= 40 && n.is_multiple_of(33);
    let all = assessments((0..4_000).map(|n| 20.0 + 0.5 * noise(3, n) + if spikes(n) { 40.0 } else { 0.0 }));
    let outliers: Vec<&Assessment> = (0..4_000).filter(|n| spikes(*n)).map(|n| &all[n]).collect();
    let untold = outliers.iter().filter(|outlier| outlier.kind.is_none()).count();
    assert_eq!(untold, 0, "of {}", outliers.len());
    assert!(outliers[0].score > 0.5, "{:?}", outliers[0]);
    let late = &outliers[outliers.len() / 2..];
    assert!(late.iter().all(|outlier| outlier.score < 0.5), "habit: {late:?}");
}

#[test]
fn a_new_level_is_told_once_and_becomes_the_usual_one() {
    // A step of 4.7 scales: each value alone is no spike.
    let steady = |n: usize| if n.is_multiple_of(8) { 21.0 } else { 20.0 };
    let small = told((0..800).map(|n| if n < 300 { steady(n) } else { 21.4 }));
    assert!(matches!(small[..], [(300..330, Kind::LevelShift)]), "{small:?}");
    let large = (0..800).map(|n| wave(n) + if n >= 300 { 50.0 } else { 0.0 });
    assert_eq!(told(large), [(300, Kind::Spike), (307, Kind::LevelShift)]);
}

#[test]
fn a_series_that_freezes_is_told_once() {
    assert_eq!(told((0..600).map(|n| wave(n.min(300)))), [(330, Kind::Flatline)]);
}

#[test]
fn a_stronger_outlier_scores_higher() {
    let score = |by: f64| {
        let mut detector = Detector::default();
        (0..200).for_each(|n| assert_eq!(detector.next(0, wave(n)).kind, None));
        let assessment = detector.next(0, wave(200) + by);
        assert_eq!(assessment.kind, Some(Kind::Spike));
        assessment.score
    };
    assert!(score(5.0) < score(10.0) && score(10.0) < score(100.0), "{} {}", score(5.0), score(10.0));
    assert!(score(5.0) >= 0.5 && score(1e300) <= 1.0);
}

#[test]
fn unit_and_zero_of_a_series_change_nothing() {
    let of = |factor: f64, zero: f64| {
        told((0..4_000).map(|n| {
            zero + factor * (noise(5, n) + if n % 997 == 500 { 30.0 } else { 0.0 } + if n > 3_000 { 15.0 } else { 0.0 })
        }))
    };
    let plain = of(1.0, 20.0);
    assert!(plain.len() >= 5, "{plain:?}");
    for (factor, zero) in [(-1.0, 20.0), (1_000.0, 20_000.0), (0.25, -5.0)] {
        assert_eq!(of(factor, zero), plain, "{factor} {zero}");
    }
}

/// Finite values of all sizes, often the same ones again, with times that go anywhere.
fn readings() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
        -100.0..100.0f64,
        Just(f64::MAX),
        Just(f64::MIN),
        Just(f64::MIN_POSITIVE),
        Just(0.0),
        Just(5.0),
    ];
    let step = prop_oneof![Just(MINUTE_MS), Just(0), -100_000_000..1_000_000_000_i64, any::<i64>()];
    proptest::collection::vec((value, step, 1..40_usize), 1..40).prop_map(|runs| {
        let mut at_ms = 1_700_000_000_000_i64;
        let runs = runs.into_iter().flat_map(|(value, step, n)| std::iter::repeat_n((value, step), n));
        runs.map(|(value, step)| {
            at_ms = at_ms.wrapping_add(step);
            (at_ms, value)
        })
        .collect()
    })
}

/// Whether all numbers of a state are finite: the numbers of the text that `Debug` writes.
fn is_finite(detector: &Detector) -> bool {
    let text = format!("{detector:?}");
    !text.contains("NaN") && !text.contains("inf")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_comes_scores_lie_between_0_and_1_and_the_state_stays_finite(readings in readings()) {
        let mut detector = Detector::default();
        for (at_ms, value) in readings {
            let assessment = detector.next(at_ms, value);
            prop_assert!((0.0..=1.0).contains(&assessment.score), "{:?}", assessment);
            prop_assert!(assessment.expected.is_finite() && assessment.scale.is_finite() && assessment.scale >= 0.0);
            prop_assert!(is_finite(&detector), "{:?}", detector);
        }
    }

    #[test]
    fn a_detector_that_was_stored_goes_on_as_if_it_never_was(readings in readings(), cut in 0..1000_usize) {
        let mut whole = Detector::default();
        let expected: Vec<_> = readings.iter().map(|(at_ms, value)| whole.next(*at_ms, *value)).collect();
        let (before, after) = readings.split_at(cut % (readings.len() + 1));
        let mut first = Detector::default();
        let mut found: Vec<_> = before.iter().map(|(at_ms, value)| first.next(*at_ms, *value)).collect();
        let mut second = Detector::from_bytes(&first.to_bytes());
        found.extend(after.iter().map(|(at_ms, value)| second.next(*at_ms, *value)));
        prop_assert_eq!(found, expected);
        prop_assert_eq!(second, whole);
    }

    #[test]
    fn any_bytes_are_the_bytes_of_the_detector_that_they_make(bytes in proptest::collection::vec(any::<u8>(), Detector::SIZE)) {
        let bytes: [u8; Detector::SIZE] = bytes.try_into().expect("as many as a detector has");
        prop_assert_eq!(Detector::from_bytes(&bytes).to_bytes(), bytes);
    }
}
