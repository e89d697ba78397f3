//! The detector of one series: which values are unusual, given those before. Pure: no clock, no look-ahead, and a state
//! of fixed size.
//!
//! Level and scale are running averages with exponential weights; what a value may move them is clipped at a few scales,
//! so that an outlier barely does. Three things are unusual:
//! - a **spike**: a value many scales from the level. It is told once, until values are near the level again.
//! - a **level shift**: so many values in a row on the same side, each some scales off. The level jumps there.
//! - a **flatline**: the same value again and again in a series whose values otherwise differ.

/// Values before anything is told.
const WARM_UP: u32 = 32;
/// Weight of a value in level and scale.
const WEIGHT: f64 = 1.0 / 64.0;
/// Mean absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATION_TO_SCALE: f64 = 1.253_314;
/// What a value may move level and scale, in scales.
const CLIP: f64 = 3.0;
/// A spike begins so many scales from the level.
const SPIKE_BEGINS: f64 = 6.0;
/// A spike ends so near the level, in scales.
const SPIKE_ENDS: f64 = 3.0;
/// A value so many scales off counts for a level shift.
const SHIFT_FROM: f64 = 3.0;
/// So many of them in a row are a level shift.
const SHIFT_AFTER: i32 = 8;
/// So many repetitions of a value are a flatline.
const FLAT_AFTER: u32 = 30;
/// Repetitions that count for how often a series repeats itself; later ones may be a flatline.
const FLAT_COUNTS: u32 = 3;
/// A series whose values differ from the ones before less often than this never has a flatline.
const FLAT_CHANGES_MIN: f64 = 0.75;
/// The scale is at least this part of the level: a constant value gives no scale of its own.
const SCALE_MIN: f64 = 1e-3;
/// The scale is at least this.
const SCALE_MIN_ABSOLUTE: f64 = 1e-9;
/// Values beyond this are taken for this, so that no sum overflows.
const VALUE_MAX: f64 = 1e300;

/// What is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A value far from what was expected.
    Spike,
    /// A new level.
    LevelShift,
    /// A level that moves slowly and lastingly.
    Drift,
    /// The same value again and again in a series whose values otherwise differ.
    Flatline,
    /// A gap between readings, much longer than usual; told at the first reading after it.
    Dropout,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [Kind::Spike, Kind::LevelShift, Kind::Drift, Kind::Flatline, Kind::Dropout];

    /// The kind, as it is written.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Spike => "spike",
            Kind::LevelShift => "level-shift",
            Kind::Drift => "drift",
            Kind::Flatline => "flatline",
            Kind::Dropout => "dropout",
        }
    }
}

/// What a detector says of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// How unusual it is, from 0 to 1.
    pub score: f64,
    /// What is to be told; nothing for a usual value.
    pub kind: Option<Kind>,
    /// What was expected before the value, in its unit.
    pub expected: f64,
    /// How far values usually are from it, in the same unit; 0 while nothing is known.
    pub scale: f64,
}

/// The detector of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detector {
    /// Values so far, up to [`WARM_UP`].
    count: u32,
    level: f64,
    scale: f64,
    last: f64,
    /// How often the last value has repeated itself.
    repeats: u32,
    /// How often a value differs from the one before: from 0 to 1.
    changes: f64,
    /// Values in a row on one side of the level, and the side by the sign.
    side: i32,
    /// Sum of those values' deviations from the level.
    side_sum: f64,
    /// A spike is going on.
    in_spike: bool,
}

impl Detector {
    /// Bytes of a detector.
    pub const SIZE: usize = 53;

    /// Takes the next value, which is finite, with its time in ms since the Unix epoch, and tells how unusual it is.
    pub fn next(&mut self, at_ms: i64, value: f64) -> Assessment {
        debug_assert!(value.is_finite());
        let _ = at_ms;
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        if self.count < WARM_UP {
            let (expected, scale) = if self.count == 0 { (value, 0.0) } else { (self.level, self.scale) };
            self.warm_up(value);
            return Assessment { score: 0.0, kind: None, expected, scale };
        }
        let (expected, scale) = (self.level, self.scale.max(self.scale_min()));
        let deviation = value - self.level;
        let distance = deviation.abs() / scale;
        let flat = self.next_repeat(value);
        let shift = self.next_side(deviation, distance);
        let spike = self.next_spike(distance);
        let bound = CLIP * scale;
        self.level += WEIGHT * deviation.clamp(-bound, bound);
        self.scale += WEIGHT * (DEVIATION_TO_SCALE * deviation.abs().min(bound) - self.scale);
        if let Some(jump) = shift {
            self.level = expected + jump;
            self.in_spike = false;
        }
        let (kind, score) = match (shift, spike, flat) {
            (Some(jump), _, _) => (Some(Kind::LevelShift), score(jump.abs() / scale, SHIFT_FROM)),
            (_, true, _) => (Some(Kind::Spike), score(distance, SPIKE_BEGINS)),
            (_, _, true) => {
                let flat = f64::from(self.repeats) * self.changes;
                (Some(Kind::Flatline), score(flat, f64::from(FLAT_AFTER)))
            }
            _ => (None, score(distance, SPIKE_BEGINS)),
        };
        Assessment { score, kind, expected, scale }
    }

    fn scale_min(&self) -> f64 {
        (SCALE_MIN * self.level.abs()).max(SCALE_MIN_ABSOLUTE)
    }

    /// Plain averages, until there are enough values for those with weights.
    fn warm_up(&mut self, value: f64) {
        self.count += 1;
        let weight = 1.0 / f64::from(self.count);
        if self.count == 1 {
            (self.level, self.last, self.changes) = (value, value, 1.0);
            return;
        }
        let deviation = value - self.level;
        self.level += weight * deviation;
        self.scale += weight * (DEVIATION_TO_SCALE * deviation.abs() - self.scale);
        let differs = if value == self.last { 0.0 } else { 1.0 };
        self.changes += weight * (differs - self.changes);
        self.repeats = if value == self.last { self.repeats + 1 } else { 0 };
        self.last = value;
    }

    /// Whether a flatline begins with this value.
    fn next_repeat(&mut self, value: f64) -> bool {
        let repeats = value == self.last;
        self.repeats = if repeats { self.repeats.saturating_add(1) } else { 0 };
        self.last = value;
        if self.repeats <= FLAT_COUNTS {
            let differs = if repeats { 0.0 } else { 1.0 };
            self.changes += WEIGHT * (differs - self.changes);
        }
        self.repeats == FLAT_AFTER && self.changes >= FLAT_CHANGES_MIN
    }

    /// By how much the level has shifted, when this value completes a shift.
    fn next_side(&mut self, deviation: f64, distance: f64) -> Option<f64> {
        let side = if deviation < 0.0 { -1 } else { 1 };
        if distance < SHIFT_FROM {
            (self.side, self.side_sum) = (0, 0.0);
            return None;
        }
        if self.side.signum() != side {
            (self.side, self.side_sum) = (0, 0.0);
        }
        self.side += side;
        self.side_sum += deviation;
        if self.side.abs() < SHIFT_AFTER {
            return None;
        }
        let jump = self.side_sum / f64::from(SHIFT_AFTER);
        (self.side, self.side_sum) = (0, 0.0);
        Some(jump)
    }

    /// Whether a spike begins with this value.
    fn next_spike(&mut self, distance: f64) -> bool {
        let begins = !self.in_spike && distance >= SPIKE_BEGINS;
        self.in_spike = begins || (self.in_spike && distance >= SPIKE_ENDS);
        begins
    }

    /// The detector as bytes. Numbers keep every bit.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&self.count.to_le_bytes());
        put(&self.repeats.to_le_bytes());
        put(&self.side.to_le_bytes());
        for number in [self.level, self.scale, self.last, self.changes, self.side_sum] {
            put(&number.to_le_bytes());
        }
        put(&[u8::from(self.in_spike)]);
        bytes
    }

    /// The detector that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| -> [u8; 4] { std::array::from_fn(|n| bytes[at + n]) };
        let number = |at: usize| f64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
        Detector {
            count: u32::from_le_bytes(word(0)),
            repeats: u32::from_le_bytes(word(4)),
            side: i32::from_le_bytes(word(8)),
            level: number(12),
            scale: number(20),
            last: number(28),
            changes: number(36),
            side_sum: number(44),
            in_spike: bytes[52] != 0,
        }
    }
}

/// From 0 to 1, one half at `half`.
fn score(distance: f64, half: f64) -> f64 {
    1.0 - half / (distance + half)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A series that moves a little around a level, without randomness.
    fn wave(n: u32) -> f64 {
        20.0 + f64::from(n * 37 % 17) / 17.0
    }

    /// What is told of a series, with the position.
    fn findings(values: impl IntoIterator<Item = f64>) -> Vec<(usize, Kind)> {
        let mut detector = Detector::default();
        let found = values.into_iter().enumerate();
        found.filter_map(|(n, value)| detector.next(0, value).kind.map(|kind| (n, kind))).collect()
    }

    #[test]
    fn a_quiet_series_is_not_unusual() {
        assert_eq!(findings((0..5000).map(wave)), []);
        assert_eq!(findings(std::iter::repeat_n(7.0, 5000)), [], "a setting that never changes is no flatline");
        let switch = findings((0..5000).map(|n| f64::from(n / 40 % 2)));
        assert!(switch.iter().all(|(_, kind)| *kind != Kind::Flatline), "a switch changes rarely: {switch:?}");
    }

    #[test]
    fn a_spike_is_told_once_until_it_is_over() {
        let with = |at: std::ops::Range<u32>, by: f64| {
            findings((0..400).map(move |n| wave(n) + if at.contains(&n) { by } else { 0.0 }))
        };
        assert_eq!(with(200..201, 30.0), [(200, Kind::Spike)]);
        assert_eq!(with(200..201, -30.0), [(200, Kind::Spike)]);
        assert_eq!(with(200..204, 30.0), [(200, Kind::Spike)]);
        assert_eq!(with(10..11, 30.0), [], "nothing is told during the warm-up");
        let twice = (0..400).map(|n| wave(n) + if n == 200 || n == 220 { 30.0 } else { 0.0 });
        assert_eq!(findings(twice), [(200, Kind::Spike), (220, Kind::Spike)]);
    }

    #[test]
    fn a_new_level_is_told_once_and_becomes_the_usual_one() {
        // A step of 4.7 scales: each value alone is no spike.
        let steady = |n: u32| if n.is_multiple_of(8) { 21.0 } else { 20.0 };
        let small = findings((0..800).map(|n| if n < 300 { steady(n) } else { 21.4 }));
        assert!(matches!(small[..], [(307..330, Kind::LevelShift)]), "{small:?}");
        let large = (0..800).map(|n| wave(n) + if n >= 300 { 50.0 } else { 0.0 });
        assert_eq!(findings(large), [(300, Kind::Spike), (307, Kind::LevelShift)]);
    }

    #[test]
    fn a_series_that_freezes_is_told_once() {
        let frozen = (0..600).map(|n| wave(n.min(300)));
        assert_eq!(findings(frozen), [(330, Kind::Flatline)]);
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

    /// Finite values of all sizes, often the same ones again.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![
            any::<f64>().prop_filter("finite", |value| value.is_finite()),
            -100.0..100.0f64,
            Just(f64::MAX),
            Just(f64::MIN),
            Just(0.0),
            Just(5.0),
        ];
        proptest::collection::vec((value, 1..40_usize), 1..40)
            .prop_map(|runs| runs.into_iter().flat_map(|(value, n)| std::iter::repeat_n(value, n)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn whatever_comes_scores_lie_between_0_and_1_and_the_state_stays_finite(values in values()) {
            let mut detector = Detector::default();
            for value in values {
                let assessment = detector.next(0, value);
                prop_assert!((0.0..=1.0).contains(&assessment.score), "{:?}", assessment);
                prop_assert!(assessment.expected.is_finite() && assessment.scale.is_finite() && assessment.scale >= 0.0);
                let state = [detector.level, detector.scale, detector.last, detector.changes, detector.side_sum];
                prop_assert!(state.iter().all(|number| number.is_finite()), "{:?}", detector);
                prop_assert!(detector.scale >= 0.0 && (0.0..=1.0).contains(&detector.changes));
            }
        }

        #[test]
        fn a_detector_that_was_stored_goes_on_as_if_it_never_was(values in values(), cut in 0..1000_usize) {
            let mut whole = Detector::default();
            let expected: Vec<_> = values.iter().map(|value| whole.next(0, *value)).collect();
            let (before, after) = values.split_at(cut % (values.len() + 1));
            let mut first = Detector::default();
            let mut found: Vec<_> = before.iter().map(|value| first.next(0, *value)).collect();
            let mut second = Detector::from_bytes(&first.to_bytes());
            found.extend(after.iter().map(|value| second.next(0, *value)));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(second, whole);
        }
    }
}
