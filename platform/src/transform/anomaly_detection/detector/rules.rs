//! What is plainly unusual, and of which kind. Told each time, also when it happens often.
//!
//! Level and scale are running averages with exponential weights; what a value may move them is clipped at a few scales,
//! so that an outlier barely does. They begin as medians of the first values, so that a bad one among those does no harm
//! either. Five things are unusual:
//! - a **spike**: a value many scales from the level. It is told once, until values are near the level again.
//! - a **level shift**: so many values in a row on the same side, each some scales off. The level jumps there.
//! - a **drift**: the level is lastingly far from where it was for long, and farther than it usually wanders; a season
//!   wanders too, and is none.
//! - a **flatline**: the same value again and again in a series whose values otherwise differ.
//! - a **dropout**: a gap several times as long as the longest of late, told at the first reading after it.
//!
//! When the level jumps many times farther than any value was from it before, **another series begins**: another unit, or
//! the right values after wrong ones. What was learnt of the noise does not hold for it.

use super::bytes::Fields;

/// Values before anything is told.
const WARM_UP: u16 = 32;
/// Values of which level and scale begin as medians; and so many in a row on one side of the level are a level shift.
const RUN: usize = 8;
/// Weight of a value in level and scale; of the first ones it is that of a plain average.
const WEIGHT: f64 = 1.0 / 64.0;
/// Mean absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATION_TO_SCALE: f64 = 1.253_314;
/// Median absolute deviation of a normal distribution times this is its standard deviation.
const MEDIAN_TO_SCALE: f64 = 1.482_602;
/// What a value may move level and scale, in scales.
const CLIP: f64 = 3.0;
/// What a value may move them while the first ones come, in scales.
const LEARNS_AT_MOST: f64 = 100.0;
/// A value may be so many times as far from the level as any before it; of what is farther hardly anything is believed.
const REACH: f64 = 300.0;
/// A level that jumps so many times as far as any value was from it is that of another series.
const ANEW_FROM: f64 = 8.0;
/// A jump of so many scales is none of a series that jumps now and then: it comes back from a range that is not its own.
const FOREIGN_FROM: f64 = 1e6;
/// What one value may add to how far values are from the level, times what is known.
const PEAK_GROWS: f64 = 2.0;
/// A spike begins so many scales from the level.
const SPIKE_BEGINS: f64 = 6.0;
/// A spike ends so near the level, in scales.
const SPIKE_ENDS: f64 = 3.0;
/// A value so many scales off counts for a level shift.
const SHIFT_FROM: f64 = 3.0;
/// So many repetitions of a value are a flatline.
const FLAT_AFTER: u16 = 30;
/// Repetitions that count for how often a series repeats itself; later ones may be a flatline.
const FLAT_COUNTS: u16 = 3;
/// A series whose values differ from the ones before less often than this never has a flatline.
const FLAT_CHANGES_MIN: f32 = 0.75;
/// The scale is at least this part of the level: a constant value gives no scale of its own.
const SCALE_MIN: f64 = 1e-3;
/// The scale is at least this.
const SCALE_MIN_ABSOLUTE: f64 = 1e-9;
/// Values before a drift is told.
const DRIFT_WARM_UP: u16 = 256;
/// Weight of a value in the anchor, from which a level drifts.
const ANCHOR_WEIGHT: f64 = 1.0 / 1024.0;
/// A level drifts when it is so many times farther from the anchor than it usually wanders,
const DRIFT_FROM: f64 = 3.5;
/// and so many scales,
const DRIFT_SCALES: f64 = 2.0;
/// for so many values in a row.
const DRIFT_AFTER: u8 = 32;
/// What a value may move the usual wandering, in it.
const WANDER_CLIP: f64 = 2.0;
/// A gap so many times as long as the longest of late is a dropout.
const GAP_FROM: f32 = 4.0;
/// How much of the longest gap is left after each reading.
const GAP_KEPT: f32 = 1.0 - 1.0 / 2048.0;

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

/// What the rules know of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    /// Values so far, up to 65,535.
    count: u16,
    level: f64,
    scale: f64,
    last: f64,
    /// The first values; later those in a row on one side of the level.
    run: [f64; RUN],
    /// How many there are of the latter; 0 when the last value was near the level.
    side: u8,
    /// The scale before them.
    scale_before: f64,
    /// The farthest of the first values, which does not count for level and scale.
    farthest: f64,
    /// How far from the level a value has been.
    peak: f64,
    /// How often the last value has repeated itself.
    repeats: u16,
    /// How often a value differs from the one before: from 0 to 1.
    changes: f32,
    /// 1 while a spike is going on.
    in_spike: u8,
    /// Where the level was for long.
    anchor: f64,
    /// How far the level usually is from it.
    wander: f64,
    /// Values in a row with a level that drifts.
    drifting: u8,
    /// The longest time between readings of late, ms.
    longest_ms: f32,
    /// The longest but one, while the first values come.
    second_ms: f32,
}

/// What the rules say of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Told {
    /// What was expected.
    pub level: f64,
    /// How far values usually are from it.
    pub scale: f64,
    /// What is to be told.
    pub kind: Option<Kind>,
    /// Whether another series begins, and what is known of the one before is worth nothing.
    pub anew: bool,
}

impl Rules {
    /// Bytes of it.
    pub const SIZE: usize = 2 + (8 + RUN) * 8 + 3 * 4 + 2 + 3;

    /// Whether there was no value yet.
    pub fn is_new(&self) -> bool {
        self.count == 0
    }

    /// How far a value may be from the level and be believed; 0 while nothing is known.
    fn reach(&self) -> f64 {
        REACH * self.peak
    }

    /// The value as far from the level as is believed. What is farther counts by its logarithm: more is always more.
    pub fn believed(&self, value: f64) -> f64 {
        let (reach, deviation) = (self.reach(), value - self.level);
        if reach > 0.0 && deviation.abs() > reach {
            self.level + (reach * (1.0 + deviation.abs().ln() - reach.ln())).copysign(deviation)
        } else {
            value
        }
    }

    /// Takes the next value, so many ms after the one before: 0 for the first one.
    pub fn next(&mut self, step_ms: f32, value: f64) -> Told {
        self.count = self.count.saturating_add(1);
        let gap = self.next_gap(step_ms);
        if usize::from(self.count) <= RUN {
            return self.begin(value);
        }
        let learns = self.count <= WARM_UP;
        let expected = self.scale.max(least(self.level));
        let (level, deviation) = (self.level, value - self.level);
        let distance = deviation.abs() / expected;
        let flat = self.next_repeat(value);
        let spike = self.next_spike(distance);
        let (run, waiting) = (self.run, usize::from(self.side));
        let run_is_whole = self.next_side(value, distance);
        if learns {
            // A run has ended: it was of outliers.
            run.iter().take(if self.side <= 1 { waiting } else { 0 }).for_each(|value| self.learn(*value));
            if self.side == 0 {
                self.learn(value);
            }
        } else {
            let weight = WEIGHT.max(1.0 / f64::from(self.count));
            let bound = CLIP * expected;
            self.level += weight * deviation.clamp(-bound, bound);
            self.scale += weight * (DEVIATION_TO_SCALE * deviation.abs().min(bound) - self.scale);
        }
        let drift = self.next_drift(expected);
        let anew = run_is_whole && self.shift(level);
        let found = [
            (run_is_whole, Kind::LevelShift),
            (spike, Kind::Spike),
            (gap, Kind::Dropout),
            (flat, Kind::Flatline),
            (drift, Kind::Drift),
        ];
        let kind = found.into_iter().find_map(|(is, kind)| is.then_some(kind));
        Told { level, scale: expected, kind: kind.filter(|_| !learns), anew }
    }

    /// One of the first values, of which level and scale are made.
    fn begin(&mut self, value: f64) -> Told {
        let count = usize::from(self.count);
        let (level, scale) = (if count <= 1 { value } else { self.level }, self.scale);
        if count <= 1 {
            (self.last, self.changes) = (value, 1.0);
        } else {
            self.next_repeat(value);
        }
        self.run[count - 1] = value;
        (self.level, self.scale) = middle(&self.run[..count]);
        self.farthest = self.level;
        (self.anchor, self.peak) = (self.level, CLIP * self.scale.max(SCALE_MIN * self.level.abs()));
        let is_wrong = |value: &f64| self.reach() > 0.0 && (value - self.level).abs() > self.reach();
        let anew = count == RUN && self.run.iter().any(is_wrong);
        Told { level, scale, kind: None, anew }
    }

    /// Plain averages of all values but the farthest one, until there are enough for those with weights.
    fn learn(&mut self, value: f64) {
        let from = |value: f64| (value - self.level).abs();
        let is_far = from(value) > from(self.farthest);
        let near = if is_far { std::mem::replace(&mut self.farthest, value) } else { value };
        let weight = 1.0 / f64::from(self.count);
        let most = LEARNS_AT_MOST * self.scale.max(SCALE_MIN * self.level.abs());
        let deviation = near - self.level;
        let deviation = if most > 0.0 { deviation.clamp(-most, most) } else { deviation };
        self.level += weight * deviation;
        self.scale += weight * (DEVIATION_TO_SCALE * deviation.abs() - self.scale);
    }

    /// Whether a flatline begins with this value.
    fn next_repeat(&mut self, value: f64) -> bool {
        let repeats = value == self.last;
        self.repeats = if repeats { self.repeats.saturating_add(1) } else { 0 };
        self.last = value;
        if self.repeats <= FLAT_COUNTS || self.count <= WARM_UP {
            let differs = if repeats { 0.0 } else { 1.0 };
            self.changes += (WEIGHT as f32).max(1.0 / f32::from(self.count)) * (differs - self.changes);
        }
        self.repeats == FLAT_AFTER && self.changes >= FLAT_CHANGES_MIN
    }

    /// Whether this value completes a run of them on one side of the level.
    fn next_side(&mut self, value: f64, distance: f64) -> bool {
        let above = |value: f64| value > self.level;
        let near = distance < SHIFT_FROM;
        if near || (self.side > 0 && above(self.run[0]) != above(value)) {
            // A run that has ended was of outliers. They belong to the series.
            let far = |value: &f64| (value - self.level).abs();
            let run = self.run.iter().take(usize::from(self.side)).map(far);
            let farthest = run.fold(if near { far(&value) } else { 0.0 }, f64::max);
            let most = if self.peak > 0.0 { PEAK_GROWS * self.peak } else { farthest };
            (self.side, self.peak) = (0, self.peak.max(farthest.min(most)));
        }
        if near {
            return false;
        }
        if self.side == 0 {
            self.scale_before = self.scale;
        }
        self.run[usize::from(self.side) % RUN] = value;
        self.side += 1;
        let whole = usize::from(self.side) >= RUN;
        self.side = if whole { 0 } else { self.side };
        whole
    }

    /// The level jumps from where it was before this value to where the run is. Answers whether another series begins.
    fn shift(&mut self, from: f64) -> bool {
        let (level, scale) = middle(&self.run);
        let jump = (level - from).abs();
        let anew = jump > ANEW_FROM * self.peak;
        // What the run has added to the scale stays there in a series that jumps now and then. It is not of the noise where a
        // jump belongs to no such series; in another series noise goes with the level.
        let larger = from.abs().max(level.abs()).max(SCALE_MIN_ABSOLUTE);
        let is_foreign = self.scale_before > 0.0 && jump > FOREIGN_FROM * self.scale_before;
        let before = match (anew, is_foreign) {
            (true, _) => self.scale_before * level.abs() / larger,
            (false, true) => self.scale_before,
            (false, false) => self.scale,
        };
        // The run itself shows noise, too.
        self.scale = before.max(scale);
        self.peak = self.peak.max(jump);
        (self.level, self.farthest, self.in_spike) = (level, level, 0);
        self.settle();
        anew
    }

    /// Whether a spike begins with this value.
    fn next_spike(&mut self, distance: f64) -> bool {
        let was = self.in_spike != 0;
        let begins = !was && distance >= SPIKE_BEGINS;
        self.in_spike = u8::from(begins || (was && distance >= SPIKE_ENDS));
        begins
    }

    /// Whether the level is found to drift with this value.
    fn next_drift(&mut self, scale: f64) -> bool {
        if self.count <= WARM_UP {
            self.anchor = self.level;
        }
        let learns = self.count <= DRIFT_WARM_UP;
        let weight = ANCHOR_WEIGHT.max(1.0 / f64::from(self.count));
        let far = (self.level - self.anchor).abs();
        let moves = !learns && self.repeats < FLAT_AFTER;
        let drifts = moves && far > DRIFT_FROM * self.wander && far > DRIFT_SCALES * scale;
        let most = if learns { far } else { WANDER_CLIP * self.wander.max(WEIGHT * scale) };
        self.wander += weight * (far.min(most) - self.wander);
        self.anchor += weight * (self.level - self.anchor);
        self.drifting = if drifts { self.drifting + 1 } else { 0 };
        let told = self.drifting >= DRIFT_AFTER;
        if told {
            self.settle();
        }
        told
    }

    /// The level is where it belongs from now on.
    fn settle(&mut self) {
        (self.anchor, self.drifting) = (self.level, 0);
    }

    /// Whether this reading comes after a gap.
    fn next_gap(&mut self, gap_ms: f32) -> bool {
        if self.count <= WARM_UP {
            self.second_ms = self.second_ms.max(gap_ms.min(self.longest_ms));
            self.longest_ms = self.longest_ms.max(gap_ms);
            if self.count == WARM_UP {
                // One reading with a wrong time makes one gap that is none.
                self.longest_ms = self.longest_ms.min(GAP_FROM * self.second_ms);
            }
            return false;
        }
        let usual_ms = self.longest_ms;
        let told = usual_ms > 0.0 && gap_ms > GAP_FROM * usual_ms;
        // A gap that was told lengthens what is usual, but not to its own length: the next one is told too.
        let counts_ms = if told { GAP_FROM.sqrt() * usual_ms } else { gap_ms };
        self.longest_ms = (usual_ms * GAP_KEPT).max(counts_ms);
        told
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        fields.u16(&mut self.count);
        for number in [
            &mut self.level,
            &mut self.scale,
            &mut self.last,
            &mut self.scale_before,
            &mut self.farthest,
            &mut self.peak,
            &mut self.anchor,
            &mut self.wander,
        ] {
            fields.f64(number);
        }
        self.run.iter_mut().for_each(|value| fields.f64(value));
        for number in [&mut self.changes, &mut self.longest_ms, &mut self.second_ms] {
            fields.f32(number);
        }
        fields.u16(&mut self.repeats);
        for number in [&mut self.side, &mut self.in_spike, &mut self.drifting] {
            fields.u8(number);
        }
    }
}

/// The scale of a series at this level is no less.
fn least(level: f64) -> f64 {
    (SCALE_MIN * level.abs()).max(SCALE_MIN_ABSOLUTE)
}

/// The median of some values, at most [`RUN`], and how far they are from it, as a scale.
fn middle(values: &[f64]) -> (f64, f64) {
    let mut sorted = [f64::INFINITY; RUN];
    let sorted = &mut sorted[..values.len()];
    sorted.copy_from_slice(values);
    let level = median(sorted);
    sorted.iter_mut().for_each(|value| *value = (*value - level).abs());
    (level, MEDIAN_TO_SCALE * median(sorted))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[half - 1], values[half]) } else { values[half] }
}
