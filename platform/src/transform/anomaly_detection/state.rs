//! The detectors of a shard, and what tells a reading that comes again.
//!
//! A device's readings come in the order of their sequence numbers, or again. A reading counts when its sequence number is
//! above the last one of its device; the first reading of a device that is not here counts when its number is above all
//! that were seen. So any number of repetitions of batches ends in the same state as one.
//!
//! The stream may also hold a reading twice, as two records: then the device's own number, `seq`, is not above the last
//! one of its device, and the record changes nothing. Nor does a reading that comes after a later one of its device.
//!
//! **Bounds.** A series costs at most [`SERIES_BYTES_MAX`]; a device has at most [`DEVICE_SERIES_MAX`], a shard at most
//! `series_max`. When a shard is full, devices that were silent for [`IDLE_MS`] are forgotten; if that makes no room, a
//! new series gets no detector, and the function says how many did not.

use std::collections::BTreeMap;

use super::asked::AskedDevices;
use super::detector::Detector;
use super::reading::{ID_BYTES_MAX, METRIC_BYTES_MAX, Reading};

/// Most series of a shard.
pub(super) const SERIES_MAX: usize = 20_000;
/// Most series of a device.
pub(super) const DEVICE_SERIES_MAX: usize = 64;
/// A device that was silent for so long may be forgotten when there is no room.
pub(super) const IDLE_MS: i64 = 24 * 60 * 60 * 1000;
/// Idle devices are looked for once in such a time of arrival.
const SWEEP_EVERY_MS: i64 = 60 * 1000;
/// Most bytes that a series costs in the object, its device included.
const SERIES_BYTES_MAX: usize = 1024;
/// Most bytes of a sequence number of Kinesis that the bound reckons with; they have 56 digits.
const SEQUENCE_BYTES: usize = 64;

const _: () = {
    let device = (4 + 2 * ID_BYTES_MAX + 1) + (4 + SEQUENCE_BYTES) + 8 + 8 + 4;
    let series = 4 + METRIC_BYTES_MAX + Detector::SIZE;
    assert!(device + series <= SERIES_BYTES_MAX);
};

/// First bytes of the object: a name, and the version of what follows.
const MAGIC: &[u8; 5] = b"ANOM\x02";
/// The same where devices that were asked for something follow at the end.
const MAGIC_WITH_ASKED: &[u8; 5] = b"ANOM\x03";

/// The detectors of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shard {
    devices: BTreeMap<Box<str>, Device>,
    /// The highest sequence number of all.
    highest: Box<str>,
    /// The latest arrival, ms since the Unix epoch.
    newest_ms: i64,
    /// The latest arrival when idle devices were last looked for.
    swept_ms: i64,
    /// Series of all devices.
    series: usize,
    /// Devices that are asked to publish more often.
    pub asked: AskedDevices,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Device {
    /// Sequence number of the last reading that was applied.
    applied: Box<str>,
    /// Its own number, which the device gave it.
    seq: u64,
    /// Its arrival, ms since the Unix epoch.
    arrived_ms: i64,
    series: Vec<(Box<str>, Detector)>,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was applied before, or a later one of its device was.
    Before,
    /// It was applied now; so many of its metrics have no detector, because there is no room.
    Now { without_detector: usize },
}

/// Whether a sequence number is above another. They are whole numbers of many digits, without leading zeros.
fn is_above(a: &str, b: &str) -> bool {
    (a.len(), a) > (b.len(), b)
}

impl Shard {
    /// Applies a reading of the device `key`. Hands each metric to `detect` with its detector, at most once ever.
    pub fn apply(
        &mut self,
        key: &str,
        sequence_number: &str,
        reading: &Reading<'_>,
        series_max: usize,
        mut detect: impl FnMut(&str, f64, &mut Detector),
    ) -> Applied {
        let is_new = is_above(sequence_number, &self.highest);
        let known = match self.devices.get(key) {
            Some(device) if !is_above(sequence_number, &device.applied) || reading.seq <= device.seq => {
                return Applied::Before;
            }
            None if !is_new => return Applied::Before,
            known => known.is_some(),
        };
        if is_new {
            self.highest = sequence_number.into();
        }
        self.newest_ms = self.newest_ms.max(reading.received_at);
        if !known {
            self.make_room(series_max);
            if self.is_full(series_max) {
                return Applied::Now { without_detector: reading.metrics.0.len() };
            }
            self.devices.insert(key.into(), Device::default());
        }
        let device = self.devices.get_mut(key).expect("it was there, or is now");
        device.applied = sequence_number.into();
        device.seq = reading.seq;
        device.arrived_ms = reading.received_at;
        let mut without_detector = 0;
        for (metric, value) in &reading.metrics.0 {
            let found = device.series.iter().position(|(name, _)| **name == **metric);
            let room = self.series < series_max && device.series.len() < DEVICE_SERIES_MAX;
            let index = match found {
                Some(index) => index,
                None if room && metric.len() <= METRIC_BYTES_MAX => {
                    device.series.push((metric.as_ref().into(), Detector::default()));
                    self.series += 1;
                    device.series.len() - 1
                }
                None => {
                    without_detector += 1;
                    continue;
                }
            };
            detect(metric, *value, &mut device.series[index].1);
        }
        Applied::Now { without_detector }
    }

    /// Devices count too: one may have no series, because its metrics' names are too long.
    fn is_full(&self, series_max: usize) -> bool {
        self.series >= series_max || self.devices.len() >= series_max
    }

    /// Forgets idle devices when the shard is full.
    fn make_room(&mut self, series_max: usize) {
        if !self.is_full(series_max) || self.newest_ms < self.swept_ms + SWEEP_EVERY_MS {
            return;
        }
        self.swept_ms = self.newest_ms;
        let idle_before = self.newest_ms - IDLE_MS;
        let series = &mut self.series;
        self.devices.retain(|_, device| {
            let stays = device.arrived_ms >= idle_before;
            if !stays {
                *series -= device.series.len();
            }
            stays
        });
    }

    /// The latest arrival, ms since the Unix epoch.
    pub fn newest_ms(&self) -> i64 {
        self.newest_ms
    }

    /// The state as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 96 * self.devices.len() + 80 * self.series);
        bytes.extend_from_slice(if self.asked.is_empty() { MAGIC } else { MAGIC_WITH_ASKED });
        put_text(&mut bytes, &self.highest);
        bytes.extend_from_slice(&self.newest_ms.to_le_bytes());
        bytes.extend_from_slice(&self.swept_ms.to_le_bytes());
        put_count(&mut bytes, self.devices.len());
        for (key, device) in &self.devices {
            put_text(&mut bytes, key);
            put_text(&mut bytes, &device.applied);
            bytes.extend_from_slice(&device.seq.to_le_bytes());
            bytes.extend_from_slice(&device.arrived_ms.to_le_bytes());
            put_count(&mut bytes, device.series.len());
            for (metric, detector) in &device.series {
                put_text(&mut bytes, metric);
                bytes.extend_from_slice(&detector.to_bytes());
            }
        }
        if !self.asked.is_empty() {
            self.asked.put(&mut bytes);
        }
        bytes
    }

    /// The state that [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let (rest, has_asked) = match (bytes.strip_prefix(MAGIC), bytes.strip_prefix(MAGIC_WITH_ASKED)) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            (None, None) => return Err("it does not begin as a state of this version does"),
        };
        Cursor(rest).shard(has_asked).ok_or("it ends too early, or goes on after its end")
    }
}

pub(super) fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&u32::try_from(count).expect("counts are bounded").to_le_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_count(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Bytes that are read from the front.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn shard(mut self, has_asked: bool) -> Option<Shard> {
        let (highest, newest_ms, swept_ms) = (self.text()?.into(), self.number()?, self.number()?);
        let mut shard = Shard { highest, newest_ms, swept_ms, ..Shard::default() };
        for _ in 0..self.count()? {
            let key = self.text()?.into();
            let (applied, seq) = (self.text()?.into(), u64::from_le_bytes(self.array()?));
            let mut device = Device { applied, seq, arrived_ms: self.number()?, series: Vec::new() };
            for _ in 0..self.count()? {
                device.series.push((self.text()?.into(), Detector::from_bytes(&self.array()?)));
            }
            shard.series += device.series.len();
            shard.devices.insert(key, device);
        }
        if has_asked {
            shard.asked = AskedDevices::take(&mut self)?;
        }
        self.0.is_empty().then_some(shard)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::super::reading::Metrics;
    use super::*;

    fn reading(seq: u64, metrics: Vec<(String, f64)>, received_at: i64) -> Reading<'static> {
        let metrics = Metrics(metrics.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect());
        Reading { tenant_id: "acme".into(), device_id: "d".into(), seq, ts: 1, event_at: None, received_at, metrics }
    }

    /// Applies the reading `n` of a device; answers how many values went to a detector.
    fn apply(shard: &mut Shard, series_max: usize, device: &str, n: u64, hours: i64) -> (Applied, usize) {
        apply_as(shard, series_max, device, (n, n), hours)
    }

    /// As [`apply`], with the number of the record in the stream and that of the device.
    fn apply_as(
        shard: &mut Shard,
        series_max: usize,
        device: &str,
        (n, seq): (u64, u64),
        hours: i64,
    ) -> (Applied, usize) {
        let (mut detected, number) = (0, (1000 + n).to_string());
        let metrics = vec![("temp".to_owned(), f64::from(u32::try_from(n % 7).unwrap()))];
        let reading = reading(seq, metrics, 1_772_323_200_000 + hours * 3_600_000);
        let applied = shard.apply(device, &number, &reading, series_max, |_, value, detector| {
            detector.next(0, value);
            detected += 1;
        });
        (applied, detected)
    }

    const NOW: Applied = Applied::Now { without_detector: 0 };

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        assert!(is_above("100", "99") && is_above("2", "") && !is_above("99", "100") && !is_above("7", "7"));
    }

    #[test]
    fn a_reading_that_is_in_the_stream_twice_is_applied_once() {
        let mut shard = Shard::default();
        assert_eq!(apply_as(&mut shard, 9, "a", (1, 0), 0), (NOW, 1), "the first number of a device may be 0");
        assert_eq!(apply_as(&mut shard, 9, "a", (2, 7), 0), (NOW, 1));
        let before = shard.clone();
        for (n, seq) in [(3, 7), (4, 6), (5, 0)] {
            assert_eq!(apply_as(&mut shard, 9, "a", (n, seq), 1), (Applied::Before, 0), "{seq}");
        }
        assert_eq!(shard, before);
        assert_eq!(apply_as(&mut shard, 9, "b", (6, 7), 1), (NOW, 1), "another device has numbers of its own");
        assert_eq!(apply_as(&mut shard, 9, "a", (7, 8), 1), (NOW, 1));
    }

    #[test]
    fn a_full_shard_forgets_the_idle_and_admits_no_more() {
        let mut shard = Shard::default();
        assert_eq!(apply(&mut shard, 2, "a", 1, 0), (NOW, 1));
        assert_eq!(apply(&mut shard, 2, "b", 2, 20), (NOW, 1));
        assert_eq!(apply(&mut shard, 2, "c", 3, 21), (Applied::Now { without_detector: 1 }, 0));
        assert_eq!(apply(&mut shard, 2, "a", 1, 0), (Applied::Before, 0));
        assert_eq!(apply(&mut shard, 2, "c", 4, 25), (NOW, 1), "a was silent for a day");
        assert_eq!(apply(&mut shard, 2, "a", 1, 0), (Applied::Before, 0), "what was forgotten is not applied again");
        assert_eq!(apply(&mut shard, 2, "b", 5, 25), (NOW, 1));
        assert_eq!(shard.series, 2);
    }

    #[test]
    fn the_largest_series_stays_within_its_bound() {
        let mut shard = Shard::default();
        let empty = shard.to_bytes().len();
        let key = "k".repeat(2 * ID_BYTES_MAX + 1);
        let names = (0..DEVICE_SERIES_MAX + 3).map(|n| (format!("{n:0>METRIC_BYTES_MAX$}"), 1.0));
        let mut metrics: Vec<(String, f64)> = names.collect();
        metrics.push(("x".repeat(METRIC_BYTES_MAX + 1), 1.0));
        let one = reading(1, metrics[..1].to_vec(), 5);
        shard.apply(&key, &"9".repeat(56), &one, SERIES_MAX, |_, _, _| {});
        assert!(shard.to_bytes().len() - empty <= SERIES_BYTES_MAX, "{}", shard.to_bytes().len() - empty);
        let all = reading(2, metrics, 6);
        let applied = shard.apply(&key, &"9".repeat(57), &all, SERIES_MAX, |_, _, _| {});
        assert_eq!(applied, Applied::Now { without_detector: 4 });
        assert_eq!(shard.series, DEVICE_SERIES_MAX);
    }

    #[test]
    fn a_damaged_state_is_refused() {
        let mut shard = Shard::default();
        apply(&mut shard, 9, "a", 1, 0);
        for asked in [None, Some("t#a"), Some("t#b")] {
            if let Some(key) = asked {
                shard.asked.unusual(key, 7);
                shard.asked.asked(key, 250);
            }
            let bytes = shard.to_bytes();
            assert_eq!(bytes.starts_with(MAGIC), asked.is_none(), "versions before read it while nobody is asked");
            assert_eq!(Shard::from_bytes(&bytes).as_ref(), Ok(&shard));
            for length in 0..bytes.len() {
                assert!(Shard::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
            }
            assert!(Shard::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
        }
        let bytes = shard.to_bytes();
        assert!(Shard::from_bytes(&[b"ANOM\x01", &bytes[5..]].concat()).is_err(), "another version");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn repetitions_of_batches_end_in_the_state_of_one(
            devices in proptest::collection::vec((0..5_usize, 0..3_i64), 1..60),
            sizes in proptest::collection::vec(1..8_usize, 60),
            back in proptest::collection::vec(0..4_usize, 40),
            series_max in 1..6_usize,
        ) {
            let mut hours = 0;
            let readings: Vec<(usize, u64, i64)> = devices.iter().enumerate().map(|(n, (device, later))| {
                hours += later * 9;
                (*device, n as u64, hours)
            }).collect();
            let names = ["a", "b", "c", "d", "e"];
            let play = |shard: &mut Shard, batch: &[(usize, u64, i64)]| {
                batch.iter().map(|(device, n, hours)| apply(shard, series_max, names[*device], *n, *hours).1).sum::<usize>()
            };
            let mut batches = Vec::new();
            let mut rest = &readings[..];
            for size in sizes {
                let (batch, later) = rest.split_at(size.min(rest.len()));
                batches.push(batch);
                rest = later;
            }
            let mut once = Shard::default();
            let detected: usize = batches.iter().map(|batch| play(&mut once, batch)).sum();
            let (mut again, mut detected_again) = (Shard::default(), 0);
            for (n, back) in (0..batches.len()).zip(back.into_iter().chain(std::iter::repeat(0))) {
                // Batch n comes after some of those before it have come once more.
                for batch in &batches[n.saturating_sub(back)..=n] {
                    detected_again += play(&mut again, batch);
                }
                again = Shard::from_bytes(&again.to_bytes()).expect("it was written so");
            }
            prop_assert_eq!(&again, &once);
            prop_assert_eq!(detected_again, detected);
            prop_assert!(once.series <= series_max);
        }
    }
}
