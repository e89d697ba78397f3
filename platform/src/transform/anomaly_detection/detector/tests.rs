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
        assert!(found.len() <= 5, "{seed}: {found:?}");
    }
}

#[test]
fn each_kind_is_told_as_itself_whatever_the_series_is_like() {
    const AT: usize = 6_000;
    type Value = fn(usize) -> f64;
    /// The value `n` of a series, with its drift a reading, that fails from [`AT`] on.
    type Spoil = fn((Value, f64), usize) -> f64;
    // What may be told, the kind that must be, after how many readings, and how often in 2,000.
    let failures: [(&[Kind], Kind, usize, usize, Spoil); 4] = [
        (&[Kind::Spike], Kind::Spike, 1, 1, |(value, _), n| value(n) + if n == AT { 40.0 } else { 0.0 }),
        (&[Kind::Spike, Kind::LevelShift], Kind::LevelShift, 8, 4, |(value, _), n| {
            value(n) + if n >= AT { 30.0 } else { 0.0 }
        }),
        (&[Kind::Drift, Kind::LevelShift], Kind::Drift, 1_500, 60, |(value, drift), n| {
            value(n) + n.saturating_sub(AT) as f64 * drift
        }),
        // What freezes away from where it would go is a new level, too.
        (&[Kind::Flatline, Kind::LevelShift], Kind::Flatline, 31, 4, |(value, _), n| value(n.min(AT))),
    ];
    let series: [(&str, Value, f64); 3] =
        [("noise", |n| 20.0 + noise(1, n), 0.02), ("season", |n| seasonal(2, n), 0.1), ("wave", wave, 0.006)];
    for (may, kind, within, most, spoil) in failures {
        for (name, value, drift) in series {
            let (before, after): (Vec<_>, Vec<_>) =
                told((0..AT + 2_000).map(|n| spoil((value, drift), n))).into_iter().partition(|(n, _)| *n < AT);
            assert!(before.len() <= 3, "{kind:?} in {name}: {before:?}");
            assert!(after.iter().any(|(n, told)| *told == kind && *n < AT + within), "{kind:?} in {name}: {after:?}");
            assert!(after.iter().all(|(_, told)| may.contains(told)), "{kind:?} in {name}: {after:?}");
            assert!(after.len() <= most, "{kind:?} in {name}: {} times, {after:?}", after.len());
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
    let small = told((0..800).map(|n| if n < 300 { wave(n) } else { 22.2 - (n % 2) as f64 / 10.0 }));
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
    assert!(score(1e3) < score(1e5) && score(1e5) < score(1e8), "{} {}", score(1e3), score(1e8));
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

/// Readings a minute apart with noise of scale 1 around a level, one of which is replaced by another value and another time.
fn with_one_wrong(level: f64, at: usize, value: f64, at_ms: Option<i64>) -> impl Iterator<Item = (i64, f64)> {
    const START_MS: i64 = 1_772_323_200_000;
    (0..400).map(move |n| {
        let gap_ms = if n >= 200 { 60 * MINUTE_MS } else { 0 };
        let time_ms = START_MS + i64::try_from(n).unwrap() * MINUTE_MS + gap_ms;
        match n {
            _ if n == at => (at_ms.unwrap_or(time_ms), value),
            100 => (time_ms, level + 100.0),
            _ => (time_ms, level + noise(7, n)),
        }
    })
}

/// That the outlier at 100 and the gap before 200 are told, whatever was wrong before.
fn assert_sees(level: f64, at: usize, value: f64, at_ms: Option<i64>) {
    let mut detector = Detector::default();
    let kinds: Vec<_> =
        with_one_wrong(level, at, value, at_ms).map(|(at_ms, value)| detector.next(at_ms, value).kind).collect();
    let what = format!("level {level}, reading {at} is {value} at {at_ms:?}");
    assert_eq!((kinds[100], kinds[200]), (Some(Kind::Spike), Some(Kind::Dropout)), "{what}");
    let told: Vec<_> = kinds.iter().enumerate().filter_map(|(n, kind)| kind.map(|kind| (n, kind))).collect();
    // A wrong time may be told, too: at its reading, or at the next one.
    assert!(told.len() <= 3, "{what}: {told:?}");
}

#[test]
fn a_wrong_value_or_time_while_a_detector_learns_does_not_blind_it() {
    for level in [20.0, 0.0, -5_000.0] {
        for at in 0..36 {
            for value in [65_535.0, 4_294_967_295.0, 1e30, -1e300, level + 30.0, 0.0] {
                assert_sees(level, at, value, None);
            }
            for at_ms in
                [0, 946_684_800_000, 1_772_323_200_000 - 3_600_000, 1_772_323_200_000 + 86_400_000, 4_102_444_799_999]
            {
                assert_sees(level, at, level, Some(at_ms));
            }
        }
    }
}

#[test]
fn a_series_that_jumps_now_and_then_is_soon_told_of_no_more() {
    // A load that is switched on for the last so many of so many readings, again and again.
    for (on, of, load) in [(10, 20, 40.0), (10, 30, 40.0), (10, 40, 40.0), (20, 40, 40.0), (12, 24, 300.0)] {
        let value = |n: usize| 20.0 + noise(4, n) + if n % of >= of - on { load } else { 0.0 };
        let found = told((0..4_000).map(value));
        let late = found.iter().filter(|(n, _)| *n >= 1_000).count();
        assert!(late == 0 && found.len() <= 24, "{on} of {of}: {found:?}");
    }
}

#[test]
fn another_range_of_values_is_learnt_within_some_readings() {
    let (small, large, wide) = (|n| 20.0 + noise(8, n), |n| 4e9 + 1e6 * noise(8, n), |n| 4e9 + 1e8 * noise(8, n));
    let (kelvin, wrong) = (|n| 293.15 + 0.1 * noise(8, n), |_| 4_294_967_295.0);
    type Value = fn(usize) -> f64;
    // What comes first, for how long, what comes then, and how large an outlier of that has to be told.
    let jumps: [(Value, usize, Value, f64); 9] = [
        (small, 1_000, large, 1e9),
        (small, 1_000, wide, 1e10),
        (large, 1_000, small, 100.0),
        (wide, 1_000, small, 100.0),
        (|n| 20.0 + 0.1 * noise(8, n), 1_000, kelvin, 10.0),
        (wrong, 10, small, 100.0),
        (wrong, 100, small, 100.0),
        (|n| if n < 500 { 20.0 + noise(8, n) } else { 4_294_967_295.0 }, 510, small, 100.0),
        (|n| if n < 500 { 20.0 + noise(8, n) } else { 1e30 }, 700, small, 100.0),
    ];
    for (case, (before, at, after, by)) in jumps.into_iter().enumerate() {
        let outlier = |n: usize| n >= at + 50 && (n - at).is_multiple_of(50);
        let value = |n| if n < at { before(n) } else { after(n) + if outlier(n) { by } else { 0.0 } };
        let found = told((0..at + 500).map(value));
        let untold: Vec<usize> = (at..at + 500)
            .filter(|n| outlier(*n))
            .filter(|n| !found.iter().any(|(told, kind)| told == n && *kind == Kind::Spike))
            .collect();
        assert!(untold.is_empty(), "case {case}: {untold:?} of {found:?}");
        assert!(found.len() <= 18, "case {case}: {found:?}");
    }
}

#[test]
fn one_huge_value_says_nothing_of_those_after_it() {
    for huge in [1e4, 4_294_967_295.0, 1e30] {
        for value in [wave, |n| seasonal(2, n)] {
            let found = told((0..9_000).map(|n| if n == 6_000 { huge } else { value(n) }));
            let after: Vec<_> = found.iter().filter(|(n, _)| *n >= 6_000).collect();
            assert!(after[0] == &(6_000, Kind::Spike) && after.len() <= 2, "{huge}: {after:?}");
        }
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_while_hides_no_gap_and_makes_no_day() {
    let mut detector = Detector::default();
    // From reading 300 on the clock is a year ahead, from 400 on it is right again; a gap of an hour comes before 500.
    let at_ms = |n: i64| {
        let ahead_ms = if (300..400).contains(&n) { 365 * 86_400_000 } else { 0 };
        n * MINUTE_MS + ahead_ms + if n >= 500 { 60 * MINUTE_MS } else { 0 }
    };
    let kinds = (0..600).map(|n| (n, detector.next(at_ms(n), wave(usize::try_from(n).unwrap())).kind));
    let told: Vec<_> = kinds.filter_map(|(n, kind)| kind.map(|kind| (n, kind))).collect();
    assert_eq!(told, [(300, Kind::Dropout), (500, Kind::Dropout)]);
    // Ten hours are known: nothing is said of the hour of the day.
    let at = |step_ms| season::At { ms: 1_772_323_200_000, step_ms };
    let mut season = season::Season::default();
    let known =
        (1..40).map(|n| season.next(at(if n == 2 { i64::MAX } else { 60 * MINUTE_MS }), 1.0, n, 1.0, &TUNING).0);
    let first = known.enumerate().find(|(_, known)| known.is_some()).map(|(n, _)| n);
    assert_eq!(first, Some(31), "more than 30 hours of values");
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
        let mut bytes: [u8; Detector::SIZE] = bytes.try_into().expect("as many as a detector has");
        bytes[0] = LAYOUT;
        prop_assert_eq!(Detector::from_bytes(&bytes).to_bytes(), bytes);
        bytes[0] = bytes[1].max(LAYOUT + 1);
        prop_assert_eq!(Detector::from_bytes(&bytes), Detector::default());
    }

    #[test]
    fn no_single_wrong_reading_among_the_first_ones_blinds_a_detector(
        level in -1e6..1e6f64,
        at in 0..32_usize,
        value in prop_oneof![any::<f64>().prop_filter("finite", |value| value.is_finite()), -1e4..1e4f64],
        at_ms in proptest::option::of(946_684_800_000..4_102_444_800_000_i64),
    ) {
        // The scale is never below a thousandth of the level, and the outlier is 100.
        assert_sees(level / 100.0, at, value, at_ms);
    }
}
