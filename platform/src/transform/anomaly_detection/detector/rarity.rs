//! How rare a reading is, among all that its series has shown so far.
//!
//! Eight features look at a reading, each a distance that is 0 when all is usual: from the slow level, from the value
//! before, of the fast level from the slow one, from the hour of the day, of late values from their hours, more activity
//! than usual, less of it, and how new the value is. Each has its own tail (`tail.rs`), which says how far the feature is
//! beyond what is rare for this series; so no feature needs a unit, and a series with a heavy tail needs more to
//! surprise. The surprises are pressed together by a logarithm and added: several that agree count for more than a large
//! one alone. A reading that has surprised holds back the next ones for a while, unless they are much more surprising,
//! and makes the tails longer: repetitions surprise less.

use super::bytes::Fields;
use super::histogram::Histogram;
use super::rules::Kind;
use super::season::Season;
use super::tail::Tail;
use super::tuning::Tuning;

/// Readings before any is rare, and before values may move levels by no more than some scales.
pub(super) const LEARNING: u32 = 20;
/// Readings before a surprise alone tells a kind.
const KINDS_FROM: u32 = 512;
/// Mean absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATION_TO_SCALE: f32 = 1.253_3;
/// Activity below this part of the scale is none.
const ACTIVITY_LEAST: f32 = 1e-3;
/// Nor is activity below this.
const ACTIVITY_LEAST_ABSOLUTE: f32 = 1e-9;
/// What is held back has at most this surprise, where 1 is told.
const HELD_BACK: f32 = 0.45;
/// Half of a surprise counts where a held back one is not cut.
const HELD_SHARE: f32 = 0.5;
/// Present activity is compared with the usual one after so many memories of the present one.
const ACTIVITY_AFTER: f32 = 2.0;
/// Surprises are cut off here.
const FAR_MAX: f32 = 1e9;

/// And so are features.
const FEATURE_MAX: f32 = 1e30;

/// Features, by their place.
const FEATURES: usize = 8;
/// The distance from the hour of the day, which is known from the second day on.
const OFF_HOUR: usize = 3;
/// What the features mean when they dominate.
const MEANS: [Kind; FEATURES] = [
    Kind::Spike,
    Kind::Spike,
    Kind::LevelShift,
    Kind::Spike,
    Kind::LevelShift,
    Kind::Spike,
    Kind::Flatline,
    Kind::Spike,
];

/// What is known of a series' readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rarity {
    slow: f32,
    scale: f32,
    fast: f32,
    last: f32,
    active: f32,
    usual: f32,
    /// Readings since the last one that surprised, up to 65,535.
    since: u16,
    /// Its surprise; 0 when there was none.
    surprise: f32,
    tails: [Tail; FEATURES],
    season: Season,
    histogram: Histogram,
}

/// How rare a reading is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rare {
    /// From 0 to 1, one half from where it is told.
    pub score: f64,
    /// What it is, when it is told.
    pub kind: Option<Kind>,
}

impl Rarity {
    /// Bytes of it.
    pub const SIZE: usize = 7 * 4 + 2 + FEATURES * Tail::SIZE + Season::SIZE + Histogram::SIZE;

    /// Takes the `n`-th reading, counted from 1; `magnitude` is the value's size in its own unit, `value` may begin at another
    /// zero.
    pub fn next(&mut self, at_ms: i64, value: f32, n: u32, magnitude: f64, tuning: &Tuning) -> Rare {
        let features = self.features(at_ms, value, n, magnitude, tuning);
        let (mut sum, mut most, mut means) = (0.0_f32, 0.0_f32, Kind::Spike);
        for (((tail, feature), weight), kind) in self.tails.iter_mut().zip(features).zip(tuning.weights).zip(MEANS) {
            let far = feature.map_or(0.0, |feature| tail.next(feature.min(FEATURE_MAX), tuning).min(FAR_MAX));
            if far > 0.0 {
                let surprise = weight * tail.trust(tuning) * (tuning.press * far).ln_1p() / tuning.press;
                sum += surprise;
                (most, means) = if surprise > most { (surprise, kind) } else { (most, means) };
            }
        }
        let rare = self.hold_back(tuning.gain * sum, means, tuning);
        // What a day is like has to be known, too.
        let knows = n >= KINDS_FROM && features[OFF_HOUR].is_some();
        Rare { kind: rare.kind.filter(|_| knows), ..rare }
    }

    /// What becomes of a surprise after those before it.
    fn hold_back(&mut self, surprise: f32, means: Kind, tuning: &Tuning) -> Rare {
        self.since = self.since.saturating_add(1);
        let held = self.surprise > 0.0 && f32::from(self.since) < tuning.hold && surprise < tuning.more * self.surprise;
        let (surprise, kind) = if held {
            ((HELD_SHARE * surprise).min(HELD_BACK), None)
        } else if surprise >= 1.0 {
            (self.since, self.surprise) = (0, surprise);
            (surprise, Some(means))
        } else {
            (surprise, None)
        };
        Rare { score: f64::from(surprise / (1.0 + surprise)), kind }
    }

    fn features(&mut self, at_ms: i64, value: f32, n: u32, magnitude: f64, tuning: &Tuning) -> [Option<f32>; FEATURES] {
        if n <= 1 {
            (self.slow, self.fast, self.last) = (value, value, value);
        }
        let first = 1.0 / (n as f32);
        let weight = |memory: f32| first.max(1.0 / memory);
        let deviation = value - self.slow;
        let change = (value - self.last).abs();
        self.last = value;
        let bound = tuning.clip * self.scale;
        let clipped = if n > LEARNING { deviation.clamp(-bound, bound) } else { deviation };
        self.slow += weight(tuning.slow) * clipped;
        self.scale += weight(tuning.slow) * (clipped.abs() * DEVIATION_TO_SCALE - self.scale);
        self.fast += weight(tuning.fast) * (value - self.fast);
        let (off_hour, astray) = self.season.next(at_ms, value, n, bound, tuning);
        self.active += weight(tuning.active) * (change - self.active);
        self.usual += weight(tuning.usual) * (change - self.usual);
        let least = ACTIVITY_LEAST * self.scale + ACTIVITY_LEAST_ABSOLUTE;
        let busy = (self.active + least) / (self.usual + least);
        // Before that, both averages are nearly the same, whatever comes.
        let known = n as f32 > ACTIVITY_AFTER * tuning.active;
        let newness = self.histogram.next(value, n, magnitude, tuning);
        [
            Some(deviation.abs()),
            Some(change),
            Some((self.fast - self.slow).abs()),
            off_hour,
            astray,
            known.then_some((busy - 1.0).max(0.0)),
            known.then_some((1.0 / busy - 1.0).max(0.0)),
            newness,
        ]
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        for number in [
            &mut self.slow,
            &mut self.scale,
            &mut self.fast,
            &mut self.last,
            &mut self.active,
            &mut self.usual,
            &mut self.surprise,
        ] {
            fields.f32(number);
        }
        fields.u16(&mut self.since);
        self.tails.iter_mut().for_each(|tail| tail.fields(fields));
        self.season.fields(fields);
        self.histogram.fields(fields);
    }
}
