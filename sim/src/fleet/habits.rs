//! How a device misbehaves: its clock, its firmware, its flash, and what it sends beside its readings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fates::{Counted, Fate, Fates};
use crate::fault::Kind;
use crate::world::mark;
use crate::world::time::Time;
use crate::world::trace::Trace;

/// Largest skew of a clock unless a fault says how much.
const SKEW: Duration = Duration::from_secs(600);
/// Largest jump of a clock unless a fault says how much.
const JUMP: Duration = Duration::from_secs(7_200);
/// Drift in parts per million unless a fault says how much: a bad crystal in the heat.
const DRIFT_PPM: f64 = 200.0;
/// Unacknowledged messages that a full flash has room for unless a fault says how many.
const ROOM: f64 = 10.0;

/// The faults of one device, and what it remembers of them.
pub(super) struct Habits {
    fates: Option<Arc<Fates>>,
    counted: Counted,
    /// The strokes of jumps of the clock that were counted last, from 1, by fault.
    jumps: BTreeMap<usize, u64>,
    last_ts_ms: u64,
}

impl Habits {
    pub(super) fn new(fates: Option<Arc<Fates>>) -> Self {
        Habits { fates, counted: Counted::default(), jumps: BTreeMap::new(), last_ts_ms: 0 }
    }

    /// What the device's clock says at `now`, in ms since the Unix epoch. Order comes from sequence numbers and arrival
    /// from AWS's clock, so it may be wrong in any way.
    pub(super) fn clock(&mut self, now: Time, trace: &Trace, device: &str) -> u64 {
        if self.fates.is_none() {
            return now.unix_millis();
        }
        let ts_ms = now.unix_micros().saturating_add_signed(self.clock_ahead_us(now)) / 1_000;
        if ts_ms == self.last_ts_ms {
            trace.mark(now, mark::SAME_TIMESTAMP, device);
        } else if ts_ms < self.last_ts_ms {
            trace.mark(now, mark::TIMESTAMP_WENT_BACK, device);
        }
        self.last_ts_ms = ts_ms;
        ts_ms
    }

    /// How much the device's clock is ahead at `now`, in microseconds.
    pub(super) fn clock_ahead_us(&mut self, now: Time) -> i64 {
        let Some(fates) = self.fates.clone() else { return 0 };
        let offset_us = self.skew(&fates, now) + self.drift(&fates, now) + self.jump(&fates, now);
        i64::try_from(offset_us).unwrap_or(0)
    }

    fn skew(&mut self, fates: &Fates, now: Time) -> i128 {
        let each = |fate: &Fate| {
            self.counted.once(fates, now, fate);
            part_of(fate.spec.delay.unwrap_or(SKEW), fates.lot(fate, 0))
        };
        fates.all_holding(now, Kind::ClockSkew).map(each).sum()
    }

    fn drift(&mut self, fates: &Fates, now: Time) -> i128 {
        let each = |fate: &Fate| {
            self.counted.once(fates, now, fate);
            let drifted = now.since(fate.from).mul_f64(fate.spec.amount.unwrap_or(DRIFT_PPM) / 1e6);
            part_of(drifted, fates.lot(fate, 0).signum())
        };
        fates.all_holding(now, Kind::ClockDrift).map(each).sum()
    }

    fn jump(&mut self, fates: &Fates, now: Time) -> i128 {
        let each = |fate: &Fate| {
            let every_us = fate.spec.every.map_or(u128::MAX, |every| every.as_micros().max(1));
            let nth = u64::try_from(now.since(fate.from).as_micros() / every_us).unwrap_or(u64::MAX) + 1;
            if self.jumps.insert(fate.position, nth) != Some(nth) {
                fates.struck(now, fate);
            }
            part_of(fate.spec.delay.unwrap_or(JUMP), fates.lot(fate, nth))
        };
        fates.all_holding(now, Kind::ClockJump).map(each).sum()
    }

    /// Whether the device runs another firmware.
    pub(super) fn is_old(&mut self, now: Time) -> bool {
        let Some(fates) = &self.fates else { return false };
        let old = fates.holding(now, Kind::OldFirmware);
        if let Some(fate) = old {
            self.counted.once(fates, now, fate);
        }
        old.is_some()
    }

    /// How many messages the device can keep, of `usually`.
    pub(super) fn room(&self, now: Time, usually: usize) -> usize {
        self.flash_full(now, usually).map_or(usually, |(room, _, _)| room)
    }

    /// Counts that a full flash made the device give a reading up. Answers whether that is why.
    pub(super) fn gave_up(&self, now: Time, usually: usize) -> bool {
        let full = self.flash_full(now, usually);
        if let Some((_, fates, fate)) = full {
            fates.struck(now, fate);
        }
        full.is_some()
    }

    fn flash_full(&self, now: Time, usually: usize) -> Option<(usize, &Fates, &Fate)> {
        let fates = self.fates.as_deref()?;
        let fate = fates.holding(now, Kind::FlashFull)?;
        let room = fate.spec.amount.unwrap_or(ROOM) as usize;
        (room < usually).then_some((room, fates, fate))
    }

    /// Whether the device publishes this reading once more.
    pub(super) fn sends_twice(&self, now: Time) -> bool {
        self.strikes(now, Kind::DuplicateSend).is_some()
    }

    /// Whether the device publishes a message that is no reading beside this one: a number in 0..1 that chooses which.
    pub(super) fn sends_malformed(&self, now: Time) -> Option<f64> {
        self.strikes(now, Kind::MalformedPayload)
    }

    /// Whether the device publishes a message above the broker's limit beside this reading.
    pub(super) fn sends_oversized(&self, now: Time) -> bool {
        self.strikes(now, Kind::OversizedPayload).is_some()
    }

    fn strikes(&self, now: Time, kind: Kind) -> Option<f64> {
        self.fates.as_ref()?.strike(now, kind).map(|stroke| stroke.roll)
    }
}

/// A part (-1..=1) of a duration, in microseconds.
fn part_of(whole: Duration, part: f64) -> i128 {
    (whole.as_micros() as f64 * part) as i128
}
