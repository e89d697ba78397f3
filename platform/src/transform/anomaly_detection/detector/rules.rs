//! What is plainly unusual, and of which kind. Told each time, also when it happens often.
//!
//! Level and scale are running averages with exponential weights; what a value may move them is clipped at a few scales,
//! so that an outlier barely does. Five things are unusual:
//! - a **spike**: a value many scales from the level. It is told once, until values are near the level again.
//! - a **level shift**: so many values in a row on the same side, each some scales off. The level jumps there.
//! - a **drift**: the level is lastingly far from where it was for long, and farther than it usually wanders; a season
//!   wanders too, and is none.
//! - a **flatline**: the same value again and again in a series whose values otherwise differ.
//! - a **dropout**: a gap several times as long as the longest of late, told at the first reading after it.

use super::bytes::Fields;

/// Values before anything is told.
const WARM_UP: u32 = 32;
/// Weight of a value in level and scale.
const WEIGHT: f32 = 1.0 / 64.0;
/// Mean absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATION_TO_SCALE: f32 = 1.253_314;
/// What a value may move level and scale, in scales.
const CLIP: f32 = 3.0;
/// A spike begins so many scales from the level.
const SPIKE_BEGINS: f32 = 6.0;
/// A spike ends so near the level, in scales.
const SPIKE_ENDS: f32 = 3.0;
/// A value so many scales off counts for a level shift.
const SHIFT_FROM: f32 = 3.0;
/// So many of them in a row are a level shift.
const SHIFT_AFTER: u8 = 8;
/// So many repetitions of a value are a flatline.
const FLAT_AFTER: u16 = 30;
/// Repetitions that count for how often a series repeats itself; later ones may be a flatline.
const FLAT_COUNTS: u16 = 3;
/// A series whose values differ from the ones before less often than this never has a flatline.
const FLAT_CHANGES_MIN: f32 = 0.75;
/// The scale is at least this part of the value: a constant value gives no scale of its own.
const SCALE_MIN: f64 = 1e-3;
/// The scale is at least this.
const SCALE_MIN_ABSOLUTE: f64 = 1e-9;
/// Values before a drift is told.
const DRIFT_WARM_UP: u32 = 256;
/// Weight of a value in the anchor, from which a level drifts.
const ANCHOR_WEIGHT: f32 = 1.0 / 1024.0;
/// A level drifts when it is so many times farther from the anchor than it usually wanders,
const DRIFT_FROM: f32 = 3.5;
/// and so many scales,
const DRIFT_SCALES: f32 = 2.0;
/// for so many values in a row.
const DRIFT_AFTER: u8 = 32;
/// What a value may move the usual wandering, in it.
const WANDER_CLIP: f32 = 2.0;
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
    level: f32,
    scale: f32,
    last: f32,
    /// How often the last value has repeated itself.
    repeats: u16,
    /// How often a value differs from the one before: from 0 to 1.
    changes: f32,
    /// Values in a row on one side of the level.
    side: u8,
    /// Sum of those values' deviations from the level; its sign is the side.
    side_sum: f32,
    /// 1 while a spike is going on.
    in_spike: u8,
    /// Where the level was for long.
    anchor: f32,
    /// How far the level usually is from it.
    wander: f32,
    /// Values in a row with a level that drifts.
    drifting: u8,
    last_ms: i64,
    /// The longest time between readings of late, ms.
    longest_ms: f32,
}

/// What was expected of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    pub level: f32,
    pub scale: f32,
}

impl Rules {
    /// Bytes of it.
    pub const SIZE: usize = 8 * 4 + 2 + 3 + 8;

    /// Takes the `n`-th value, counted from 1; `magnitude` is its size in its own unit, `value` may begin at another zero.
    pub fn next(&mut self, at_ms: i64, value: f32, n: u32, magnitude: f64) -> (Expected, Option<Kind>) {
        let gap = self.next_gap(at_ms, n);
        if n <= WARM_UP {
            let level = if n <= 1 { value } else { self.level };
            let expected = Expected { level, scale: self.scale };
            self.warm_up(value, n);
            return (expected, None);
        }
        let least = (SCALE_MIN * magnitude).max(SCALE_MIN_ABSOLUTE) as f32;
        let expected = Expected { level: self.level, scale: self.scale.max(least) };
        let deviation = value - self.level;
        let distance = deviation.abs() / expected.scale;
        let flat = self.next_repeat(value);
        let shift = self.next_side(deviation, distance);
        let spike = self.next_spike(distance);
        let bound = CLIP * expected.scale;
        self.level += WEIGHT * deviation.clamp(-bound, bound);
        self.scale += WEIGHT * (DEVIATION_TO_SCALE * deviation.abs().min(bound) - self.scale);
        let drift = self.next_drift(expected.scale, n);
        if let Some(jump) = shift {
            self.level = expected.level + jump;
            self.in_spike = 0;
            self.settle();
        }
        let found = [
            (shift.is_some(), Kind::LevelShift),
            (spike, Kind::Spike),
            (gap, Kind::Dropout),
            (flat, Kind::Flatline),
            (drift, Kind::Drift),
        ];
        (expected, found.into_iter().find_map(|(is, kind)| is.then_some(kind)))
    }

    /// Plain averages, until there are enough values for those with weights.
    fn warm_up(&mut self, value: f32, n: u32) {
        let weight = 1.0 / (n as f32);
        if n <= 1 {
            (self.level, self.last, self.changes, self.anchor) = (value, value, 1.0, value);
            return;
        }
        let deviation = value - self.level;
        self.level += weight * deviation;
        self.scale += weight * (DEVIATION_TO_SCALE * deviation.abs() - self.scale);
        self.anchor = self.level;
        let differs = if value == self.last { 0.0 } else { 1.0 };
        self.changes += weight * (differs - self.changes);
        self.repeats = if value == self.last { self.repeats + 1 } else { 0 };
        self.last = value;
    }

    /// Whether a flatline begins with this value.
    fn next_repeat(&mut self, value: f32) -> bool {
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
    fn next_side(&mut self, deviation: f32, distance: f32) -> Option<f32> {
        if distance < SHIFT_FROM {
            (self.side, self.side_sum) = (0, 0.0);
            return None;
        }
        if self.side_sum * deviation.signum() < 0.0 {
            (self.side, self.side_sum) = (0, 0.0);
        }
        self.side += 1;
        self.side_sum += deviation;
        if self.side < SHIFT_AFTER {
            return None;
        }
        let jump = self.side_sum / f32::from(SHIFT_AFTER);
        (self.side, self.side_sum) = (0, 0.0);
        Some(jump)
    }

    /// Whether a spike begins with this value.
    fn next_spike(&mut self, distance: f32) -> bool {
        let was = self.in_spike != 0;
        let begins = !was && distance >= SPIKE_BEGINS;
        self.in_spike = u8::from(begins || (was && distance >= SPIKE_ENDS));
        begins
    }

    /// Whether the level is found to drift with this value.
    fn next_drift(&mut self, scale: f32, n: u32) -> bool {
        let weight = ANCHOR_WEIGHT.max(1.0 / (n as f32));
        let far = (self.level - self.anchor).abs();
        let moves = n > DRIFT_WARM_UP && self.repeats < FLAT_AFTER;
        let drifts = moves && far > DRIFT_FROM * self.wander && far > DRIFT_SCALES * scale;
        let most = if n > DRIFT_WARM_UP { WANDER_CLIP * self.wander.max(WEIGHT * scale) } else { far };
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

    /// Whether this reading comes after a gap. Time that goes backwards is none.
    fn next_gap(&mut self, at_ms: i64, n: u32) -> bool {
        let gap_ms = if n <= 1 { 0.0 } else { at_ms.saturating_sub(self.last_ms).max(0) as f32 };
        self.last_ms = if n <= 1 { at_ms } else { self.last_ms.max(at_ms) };
        let usual_ms = self.longest_ms;
        let told = n > WARM_UP && usual_ms > 0.0 && gap_ms > GAP_FROM * usual_ms;
        // A gap that was told lengthens what is usual, but not to its own length: the next one is told too.
        let counts_ms = if told { GAP_FROM.sqrt() * usual_ms } else { gap_ms };
        self.longest_ms = (usual_ms * GAP_KEPT).max(counts_ms);
        told
    }

    pub fn fields(&mut self, fields: &mut impl Fields) {
        for number in [
            &mut self.level,
            &mut self.scale,
            &mut self.last,
            &mut self.changes,
            &mut self.side_sum,
            &mut self.anchor,
            &mut self.wander,
            &mut self.longest_ms,
        ] {
            fields.f32(number);
        }
        fields.u16(&mut self.repeats);
        for number in [&mut self.side, &mut self.in_spike, &mut self.drifting] {
            fields.u8(number);
        }
        fields.i64(&mut self.last_ms);
    }
}
