//! The detectors of a shard, and what tells a reading that comes again.
//!
//! A device's readings come in the order of their sequence numbers, or again. A reading counts when its sequence number is
//! above the last one of its device; the first reading of a device that is not here counts when its number is above all
//! that were seen. So any number of repetitions of batches ends in the same state as one.
//!
//! The stream may also hold a reading twice, as two records: then the device's own number, `seq`, is not above the last
//! one of its device, and the record changes nothing. Nor does a reading that comes after a later one of its device.
//!
//! **Bounds.** A series has at most [`DETECTOR_BYTES_MAX`] of detector; a device has at most [`DEVICE_SERIES_MAX`], a shard
//! at most `series_max`. When a shard is full and a new series comes, devices that were silent for [`IDLE_MS`] are forgotten;
//! if that makes no room, the series gets no detector, and the function counts how many did not.
//!
//! **Resharding.** A child shard takes over the devices of its parents that are its own now, with their detectors and
//! their own numbers. Sequence numbers are not taken over: no record of the child was ever applied by a parent.

use std::collections::BTreeMap;

use super::asked::AskedDevices;
use super::detector::{Detector, Kind};
use super::outbox::Outbox;
use super::reading::{METRIC_BYTES_MAX, Reading};
use super::sequence::Sequence;

/// Most series of a shard: 25,000 devices of two metrics. A state of so many has 16 MB, is encoded in 0.1 s and decoded in as
/// much by a full processor (measured in a release build), which with 512 MiB is a third of a second, and is written once a
/// batch. Four states of so many (24 MB each in memory) and one as bytes fit the least memory that may be set, 256 MiB.
pub(super) const SERIES_MAX: usize = 50_000;
/// Most series of a device.
pub(super) const DEVICE_SERIES_MAX: usize = 64;
/// A device that was silent for so long may be forgotten when there is no room.
pub(super) const IDLE_MS: i64 = 24 * 60 * 60 * 1000;
/// Idle devices are looked for once in such a time of arrival.
const SWEEP_EVERY_MS: i64 = 60 * 1000;
/// Most bytes of a detector.
const DETECTOR_BYTES_MAX: usize = 1024;

const _: () = assert!(Detector::SIZE <= DETECTOR_BYTES_MAX);

/// The detectors of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shard {
    pub(super) devices: BTreeMap<Box<str>, Device>,
    /// The highest sequence number of all.
    pub(super) highest: Sequence,
    /// The latest arrival, ms since the Unix epoch.
    pub(super) newest_ms: i64,
    /// The latest arrival when idle devices were last looked for.
    pub(super) swept_ms: i64,
    /// Series of all devices.
    pub(super) series: usize,
    /// Devices that are asked to publish more often.
    pub asked: AskedDevices,
    /// What the readings that were applied last have to tell.
    pub outbox: Outbox,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    /// Sequence number of the last reading that was applied.
    pub applied: Sequence,
    /// Its own number, which the device gave it.
    pub seq: u64,
    /// Its arrival, ms since the Unix epoch.
    pub arrived_ms: i64,
    /// What was last told of it by an alert, with the arrival of that reading.
    pub alerted: Vec<(Kind, i64)>,
    pub series: Vec<(Box<str>, Detector)>,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was applied before, or a later one of its device was.
    Before,
    /// It was applied now; so many of its metrics have no detector, because there is no room.
    Now { without_detector: usize },
}

impl Shard {
    /// Applies a reading of the device `key`. Hands each metric to `detect` with its detector, at most once ever.
    pub fn apply(
        &mut self,
        key: &str,
        sequence: Sequence,
        reading: &Reading<'_>,
        series_max: usize,
        mut detect: impl FnMut(&str, f64, &mut Detector),
    ) -> Applied {
        let is_new = sequence > self.highest;
        let known = match self.devices.get(key) {
            Some(device) if sequence <= device.applied || reading.seq <= device.seq => return Applied::Before,
            None if !is_new => return Applied::Before,
            known => known.is_some(),
        };
        self.highest = self.highest.max(sequence);
        self.newest_ms = self.newest_ms.max(reading.received_at);
        if self.is_full(series_max) && self.has_new_series(key, reading) {
            self.make_room(key);
        }
        if !known {
            if self.is_full(series_max) {
                return Applied::Now { without_detector: reading.metrics.0.len() };
            }
            // As many as the device is likely to have: a list that grows by itself has room for four at first.
            let series = Vec::with_capacity(reading.metrics.0.len().min(DEVICE_SERIES_MAX));
            self.devices.insert(key.into(), Device { series, ..Device::default() });
        }
        let device = self.devices.get_mut(key).expect("it was there, or is now");
        device.applied = sequence;
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

    /// Whether a reading has a metric that its device is not known for.
    fn has_new_series(&self, key: &str, reading: &Reading<'_>) -> bool {
        let Some(device) = self.devices.get(key) else { return true };
        let is_known = |metric: &str| device.series.iter().any(|(name, _)| **name == *metric);
        reading.metrics.0.iter().any(|(metric, _)| !is_known(metric))
    }

    /// Forgets idle devices, but for the one that is about to have a reading.
    fn make_room(&mut self, key: &str) {
        if self.newest_ms < self.swept_ms + SWEEP_EVERY_MS {
            return;
        }
        self.swept_ms = self.newest_ms;
        let idle_before = self.newest_ms - IDLE_MS;
        let series = &mut self.series;
        self.devices.retain(|of, device| {
            let stays = device.arrived_ms >= idle_before || **of == *key;
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

    /// Whether an alert of this kind may tell of a device whose reading has just been applied: the last one is `every_ms`
    /// old. If so, it is the last one from now on.
    pub fn may_alert(&mut self, key: &str, kind: Kind, arrived_ms: i64, every_ms: i64) -> bool {
        // A device without room has no detector, and no anomalies.
        let Some(device) = self.devices.get_mut(key) else { return true };
        device.alerted.retain(|(_, at_ms)| arrived_ms < at_ms.saturating_add(every_ms));
        let may = device.alerted.iter().all(|(told, _)| *told != kind);
        if may {
            device.alerted.push((kind, arrived_ms));
        }
        may
    }

    /// Takes over what a parent has of the devices that `is_own` tells by their keys. When there are more series than fit,
    /// the devices that were silent for the longest are left out. Answers how many series those had.
    #[must_use]
    pub fn take_over(&mut self, parent: Shard, series_max: usize, is_own: impl Fn(&str) -> bool) -> usize {
        self.newest_ms = self.newest_ms.max(parent.newest_ms);
        self.asked.take_over(parent.asked, &is_own);
        let own = parent.devices.into_iter().filter(|(key, _)| is_own(key));
        self.devices.extend(own.map(|(key, device)| (key, Device { applied: Sequence::default(), ..device })));
        self.series = self.devices.values().map(|device| device.series.len()).sum();
        if !self.is_over(series_max) {
            return 0;
        }
        let all = self.series;
        let mut silent: Vec<(i64, Box<str>)> =
            self.devices.iter().map(|(key, device)| (device.arrived_ms, key.clone())).collect();
        silent.sort();
        for (_, key) in silent {
            if !self.is_over(series_max) {
                break;
            }
            self.series -= self.devices.remove(&key).map_or(0, |device| device.series.len());
        }
        all - self.series
    }

    fn is_over(&self, series_max: usize) -> bool {
        self.series > series_max || self.devices.len() > series_max
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::super::format::tests::round;
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
        let (mut detected, number) = (0, sequence(1000 + n));
        let metrics = vec![("temp".to_owned(), f64::from(u32::try_from(n % 7).unwrap()))];
        let reading = reading(seq, metrics, 1_772_323_200_000 + hours * 3_600_000);
        let applied = shard.apply(device, number, &reading, series_max, |_, value, detector| {
            detector.next(0, value);
            detected += 1;
        });
        (applied, detected)
    }

    fn sequence(n: u64) -> Sequence {
        Sequence::parse(&n.to_string()).expect("it is a number")
    }

    const NOW: Applied = Applied::Now { without_detector: 0 };

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
    fn a_new_metric_of_a_known_device_has_the_idle_forgotten_and_never_its_own_device() {
        let mut shard = Shard::default();
        assert_eq!(apply(&mut shard, 2, "a", 1, 0), (NOW, 1));
        assert_eq!(apply(&mut shard, 2, "b", 2, 0), (NOW, 1));
        let both = |hours: i64, seq| {
            let metrics = ["temp", "rpm"].map(|name| (name.to_owned(), 1.0)).to_vec();
            reading(seq, metrics, 1_772_323_200_000 + hours * 3_600_000)
        };
        let mut names = Vec::new();
        let full = shard.apply("b", sequence(1003), &both(20, 3), 2, |name, _, _| names.push(name.to_owned()));
        assert_eq!((full, names), (Applied::Now { without_detector: 1 }, vec!["temp".to_owned()]));
        // The device itself was silent for more than a day.
        let mut names = Vec::new();
        let roomy = shard.apply("b", sequence(1004), &both(45, 4), 2, |name, _, _| names.push(name.to_owned()));
        assert_eq!((roomy, names.len(), shard.series), (NOW, 2, 2), "a was silent for a day: {names:?}");
        assert!(!shard.devices.contains_key("a") && shard.devices["b"].series.len() == 2);
    }

    #[test]
    fn a_device_has_a_bounded_number_of_series_with_names_of_bounded_length() {
        let mut shard = Shard::default();
        let names = (0..DEVICE_SERIES_MAX + 3).map(|n| (format!("{n:0>METRIC_BYTES_MAX$}"), 1.0));
        let mut metrics: Vec<(String, f64)> = names.collect();
        metrics.push(("x".repeat(METRIC_BYTES_MAX + 1), 1.0));
        let applied = shard.apply("k", sequence(1), &reading(2, metrics, 6), SERIES_MAX, |_, _, _| {});
        assert_eq!(applied, Applied::Now { without_detector: 4 });
        assert_eq!(shard.series, DEVICE_SERIES_MAX);
    }

    #[test]
    fn an_alert_of_a_device_and_kind_holds_the_next_one_back() {
        let mut shard = Shard::default();
        apply(&mut shard, 9, "a", 1, 0);
        apply(&mut shard, 9, "b", 2, 0);
        let every = 900_000;
        assert!(shard.may_alert("a", Kind::Spike, 1_000, every));
        assert!(!shard.may_alert("a", Kind::Spike, 1_000 + every - 1, every));
        assert!(shard.may_alert("a", Kind::Drift, 2_000, every) && shard.may_alert("b", Kind::Spike, 2_000, every));
        assert_eq!(round(&shard), shard);
        assert!(shard.may_alert("a", Kind::Spike, 1_000 + every, every));
        assert!(shard.may_alert("a", Kind::Spike, 1_000 + every, 0), "a hold of nothing holds nothing");
        let kept: usize = shard.devices.values().map(|device| device.alerted.len()).sum();
        assert!(kept <= 2, "what is over is not kept");
    }

    #[test]
    fn a_child_takes_over_what_is_its_own_and_no_more_than_fits() {
        let (mut parent, mut child) = (Shard::default(), Shard::default());
        for (n, device) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let hours = i64::try_from(n).unwrap();
            apply_as(&mut parent, 9, device, (n as u64, 5), hours);
        }
        assert_eq!(child.take_over(parent.clone(), 9, |key| key != "b"), 0);
        assert_eq!((child.series, child.newest_ms), (3, parent.newest_ms));
        assert_eq!(apply_as(&mut child, 9, "a", (0, 5), 9), (Applied::Before, 0), "the parent has applied it");
        assert_eq!(apply_as(&mut child, 9, "a", (0, 6), 9), (NOW, 1), "numbers of the child begin anew");
        assert_eq!(child.devices["a"].series, {
            let mut alone = parent.clone();
            apply_as(&mut alone, 9, "a", (7, 6), 9);
            alone.devices["a"].series.clone()
        });
        let mut small = Shard::default();
        assert_eq!(small.take_over(parent, 2, |_| true), 2, "what is left out is known");
        assert_eq!(small.devices.keys().map(AsRef::as_ref).collect::<Vec<&str>>(), ["c", "d"]);
        assert_eq!(small.series, 2);
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
                again = round(&again);
            }
            prop_assert_eq!(&again, &once);
            prop_assert_eq!(detected_again, detected);
            prop_assert!(once.series <= series_max);
        }
    }
}
