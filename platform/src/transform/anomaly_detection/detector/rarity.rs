//! How rare a reading is, among all that its series has shown so far.
//!
//! Seven features look at a reading, each a distance that is 0 when all is usual: from the slow level, from the value
//! before, of the fast level from the slow one, from the hour of the day, of late values from their hours, more activity
//! than usual, and less of it. Each has its own tail (`tail.rs`), which says how far the feature is beyond what is rare for
//! this series; so no feature needs a unit, and a series with a heavy tail needs more to surprise. The surprises are pressed
//! together by a logarithm and added: several that agree count for more than a large one alone. A reading that has surprised
//! holds back the next ones for a while, unless they are much more surprising, and makes the tails longer: repetitions
//! surprise less.

use super::bytes::Fields;
use super::rules::Kind;
use super::season::{At, Season};
use super::tail::Tail;
use super::tuning::Tuning;

/// Readings before values may move levels by no more than some scales.
pub(super) const LEARNING: u32 = 20;
/// Readings before a surprise alone tells a kind.
const KINDS_FROM: u32 = 512;
/// Mean absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATION_TO_SCALE: f32 = 1.253_3;
/// A change counts for the activity up to so many times the usual one, or the scale.
const CHANGE_CLIP: f32 = 10.0;
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
const FEATURES: usize = 7;
/// The distance from the slow level.
const OFF_LEVEL: usize = 0;
/// That of the fast level from it.
const FAST_OFF_LEVEL: usize = 2;
/// The distance from the hour of the day, which is known from the second day on.
const OFF_HOUR: usize = 3;
/// That of late values.
const ASTRAY: usize = 4;
/// Less activity than usual, as how many times it would have to grow to be usual, less one.
const CALM: usize = 6;
/// From here on it is a flatline.
const CALM_FROM: f32 = 1.0;
/// What the features mean when they dominate.
const MEANS: [Kind; FEATURES] =
    [Kind::Spike, Kind::Spike, Kind::LevelShift, Kind::Spike, Kind::LevelShift, Kind::Spike, Kind::Flatline];

/// What a reading is that surprises by the feature at a place; nothing when it has no name.
fn means(dominates: usize, features: &[Option<f32>; FEATURES]) -> Option<Kind> {
    let at = |place: usize| features[place].unwrap_or(0.0);
    match dominates {
        // Those before are off, too: more than this one alone makes of it.
        OFF_LEVEL if at(FAST_OFF_LEVEL) > at(OFF_LEVEL) / 3.0 => Some(Kind::LevelShift),
        OFF_HOUR if at(ASTRAY) > at(OFF_HOUR) / 2.0 => Some(Kind::LevelShift),
        CALM if at(CALM) < CALM_FROM => None,
        _ => Some(MEANS[dominates]),
    }
}

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
}

/// How rare a reading is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rare {
    /// From 0 to 1, one half from where it is told.
    pub score: f64,
    /// What it is, when it is told.
    pub kind: Option<Kind>,
}

/// What is left of a surprise.
struct Held {
    score: f64,
    told: bool,
}

impl Rarity {
    /// Bytes of it.
    pub const SIZE: usize = 7 * 4 + 2 + FEATURES * Tail::SIZE + Season::SIZE;

    /// Takes the `n`-th reading, counted from 1; `value` may begin at any zero.
    pub fn next(&mut self, at: At, value: f32, n: u32, tuning: &Tuning) -> Rare {
        let features = self.features(at, value, n, tuning);
        let (mut sum, mut most, mut dominates) = (0.0_f32, 0.0_f32, OFF_LEVEL);
        for (place, ((tail, feature), weight)) in self.tails.iter_mut().zip(features).zip(tuning.weights).enumerate() {
            let far = feature.map_or(0.0, |feature| tail.next(feature.min(FEATURE_MAX), tuning).min(FAR_MAX));
            if far > 0.0 {
                let surprise = weight * tail.trust(tuning) * (tuning.press * far).ln_1p() / tuning.press;
                sum += surprise;
                (most, dominates) = if surprise > most { (surprise, place) } else { (most, dominates) };
            }
        }
        let rare = self.hold_back(tuning.gain * sum, tuning);
        // What a day is like has to be known, too.
        let told = rare.told && n >= KINDS_FROM && features[OFF_HOUR].is_some();
        Rare { score: rare.score, kind: if told { means(dominates, &features) } else { None } }
    }

    /// What becomes of a surprise after those before it.
    fn hold_back(&mut self, surprise: f32, tuning: &Tuning) -> Held {
        self.since = self.since.saturating_add(1);
        let held = self.surprise > 0.0 && f32::from(self.since) < tuning.hold && surprise < tuning.more * self.surprise;
        let (surprise, told) = if held {
            ((HELD_SHARE * surprise).min(HELD_BACK), false)
        } else if surprise >= 1.0 {
            (self.since, self.surprise) = (0, surprise);
            (surprise, true)
        } else {
            (surprise, false)
        };
        Held { score: f64::from(surprise / (1.0 + surprise)), told }
    }

    fn features(&mut self, at: At, value: f32, n: u32, tuning: &Tuning) -> [Option<f32>; FEATURES] {
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
        let (off_hour, astray) = self.season.next(at, value, n, bound, tuning);
        // One large change is no activity.
        let most = CHANGE_CLIP * self.usual.max(self.scale);
        let counts = if n > LEARNING && most > 0.0 { change.min(most) } else { change };
        self.active += weight(tuning.active) * (counts - self.active);
        self.usual += weight(tuning.usual) * (counts - self.usual);
        let least = ACTIVITY_LEAST * self.scale + ACTIVITY_LEAST_ABSOLUTE;
        let busy = (self.active + least) / (self.usual + least);
        // Before that, both averages are nearly the same, whatever comes.
        let known = n as f32 > ACTIVITY_AFTER * tuning.active;
        [
            Some(deviation.abs()),
            Some(change),
            Some((self.fast - self.slow).abs()),
            off_hour,
            astray,
            known.then_some((busy - 1.0).max(0.0)),
            known.then_some((1.0 / busy - 1.0).max(0.0)),
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
    }
}
