//! Devices that are asked for a shorter publish interval, as a shard's state keeps them.
//!
//! An entry begins with an anomaly and ends when the interval was withdrawn, so there are few. All times are arrivals of
//! readings, not of any clock here: a batch that comes again decides the same again.
//!
//! **Resharding.** A child shard takes over the entries of its parents whose devices' readings come through it from now
//! on. No two shards ever act for one device, because a parent is read to its end before its children.

use std::collections::BTreeMap;

use super::codec::{Cursor, put_bytes, put_count, put_number, put_signed};
use super::old;

/// Most entries of a shard. A further device takes the place of one that was not asked yet and whose anomaly is older; where
/// there is none, its anomaly is told, and the device is not asked.
pub(super) const ASKED_MAX: usize = 2_000;
/// How long a device is left alone that has nothing to ask for: no shadow, or no usual interval in it.
const NOTHING_RESTS_MS: i64 = 60 * 60 * 1000;
/// Rest after the first failure of a call; it doubles with each further one.
const FIRST_REST_MS: i64 = 2_000;
/// Anomalies that are so close together are equally new.
const EQUALLY_NEW_MS: i64 = 60 * 1000;
/// Longest rest after a failure.
const LONGEST_REST_MS: i64 = 5 * 60 * 1000;

/// How far a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is to be asked for a shorter interval.
    Wanted,
    /// It was asked.
    Asked,
    /// There was nothing to ask for.
    Nothing,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub phase: Phase,
    /// Arrival of its last anomaly.
    anomaly_ms: i64,
    /// Nothing is done before this arrival: since then it is due. Of a new entry it is that of its first anomaly.
    rests_until_ms: i64,
    /// Failures in a row.
    failures: u8,
    /// The interval that it was asked for; 0 before that.
    pub interval_ms: u64,
}

/// What is to be done about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Ask for a shorter interval.
    Ask,
    /// Take back the request for an interval of so many milliseconds; 0 when it is not known to have been asked for one.
    Withdraw { interval_ms: u64 },
}

/// The devices of a shard, by the key of their state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AskedDevices(BTreeMap<Box<str>, Entry>);

impl AskedDevices {
    /// Whether there is none.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A reading of a device was unusual.
    pub fn unusual(&mut self, key: &str, arrived_ms: i64) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.anomaly_ms = entry.anomaly_ms.max(arrived_ms);
            if entry.phase == Phase::Nothing && arrived_ms >= entry.rests_until_ms {
                entry.phase = Phase::Wanted;
            }
        } else if self.0.len() < ASKED_MAX || self.give_way(arrived_ms) {
            let anomaly_ms = arrived_ms;
            let phase = Phase::Wanted;
            let rests_until_ms = arrived_ms;
            let entry = Entry { phase, anomaly_ms, rests_until_ms, failures: 0, interval_ms: 0 };
            self.0.insert(key.into(), entry);
        }
    }

    /// Where there is no room, the device that was to be asked and whose last anomaly is the oldest gives way to one whose
    /// anomaly arrived at `arrived_ms`. Answers whether there was one that is older. Devices for which a call was made stay:
    /// there may be something to withdraw.
    fn give_way(&mut self, arrived_ms: i64) -> bool {
        let may = |entry: &Entry| {
            let is_older = entry.anomaly_ms.saturating_add(EQUALLY_NEW_MS) <= arrived_ms;
            entry.phase == Phase::Wanted && entry.failures == 0 && is_older
        };
        let oldest = self.0.iter().filter(|(_, entry)| may(entry)).min_by_key(|(_, entry)| entry.anomaly_ms);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else { return false };
        self.0.remove(&key).is_some()
    }

    /// Forgets entries that nothing will come of.
    pub fn forget(&mut self, now_ms: i64) {
        self.0.retain(|_, entry| match entry.phase {
            Phase::Nothing => now_ms < entry.rests_until_ms,
            Phase::Wanted | Phase::Asked => true,
        });
    }

    /// What is to be done by now, the most urgent first. A device that could not be asked while it was unusual is not asked
    /// when it is quiet again; but a call that failed may have had its effect, so that is looked for.
    ///
    /// A batch has room for a few, so that more may be due than are ever done. Devices to ask and requests to withdraw take
    /// turns: neither waits for the other. Devices with the newest anomalies are asked first, since those that were unusual
    /// long ago are about to be quiet; within [`EQUALLY_NEW_MS`] the one that has been due for longest. Of what is withdrawn,
    /// requests that are known to have been made come first, those of the device that was quiet for longest before.
    pub fn due(&self, now_ms: i64, quiet_ms: i64) -> Vec<(Box<str>, Work)> {
        let (mut ask, mut withdraw) = (Vec::new(), Vec::new());
        for (key, entry) in self.0.iter().filter(|(_, entry)| now_ms >= entry.rests_until_ms) {
            let is_quiet = now_ms >= entry.anomaly_ms + quiet_ms;
            match entry.phase {
                Phase::Wanted if !is_quiet => {
                    let age = now_ms.saturating_sub(entry.anomaly_ms) / EQUALLY_NEW_MS;
                    ask.push(((age, entry.rests_until_ms, &**key), Work::Ask));
                }
                Phase::Wanted | Phase::Asked if is_quiet => {
                    let interval_ms = entry.interval_ms;
                    let is_unsure = i64::from(interval_ms == 0);
                    withdraw.push(((is_unsure, entry.anomaly_ms, &**key), Work::Withdraw { interval_ms }));
                }
                _ => {}
            }
        }
        ask.sort_by_key(|(urgency, _)| *urgency);
        withdraw.sort_by_key(|(urgency, _)| *urgency);
        let mut due: Vec<_> = ask.into_iter().enumerate().map(|(n, of)| (2 * n, of)).collect();
        due.extend(withdraw.into_iter().enumerate().map(|(n, of)| (2 * n + 1, of)));
        due.sort_by_key(|(place, _)| *place);
        due.into_iter().map(|(_, ((_, _, key), work))| (key.into(), work)).collect()
    }

    /// A device was asked for an interval.
    pub fn asked(&mut self, key: &str, interval_ms: u64) {
        self.change(key, |entry| {
            *entry = Entry { phase: Phase::Asked, interval_ms, failures: 0, rests_until_ms: 0, ..entry.clone() };
        });
    }

    /// A device has nothing that it could be asked for.
    pub fn nothing(&mut self, key: &str, now_ms: i64) {
        self.change(key, |entry| {
            let rests_until_ms = now_ms + NOTHING_RESTS_MS;
            *entry = Entry { phase: Phase::Nothing, rests_until_ms, failures: 0, ..entry.clone() };
        });
    }

    /// What a device was asked for is withdrawn.
    pub fn withdrawn(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// A call failed; it is made again later.
    pub fn failed(&mut self, key: &str, now_ms: i64) {
        self.change(key, |entry| {
            let rest = FIRST_REST_MS << entry.failures.min(16);
            entry.rests_until_ms = now_ms + rest.min(LONGEST_REST_MS);
            entry.failures = entry.failures.saturating_add(1);
        });
    }

    fn change(&mut self, key: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.0.get_mut(key) {
            change(entry);
        }
    }

    /// Takes over what a parent has left of the devices that `is_own` tells.
    pub fn take_over(&mut self, parent: AskedDevices, is_own: impl Fn(&str) -> bool) {
        self.0.extend(parent.0.into_iter().filter(|(key, _)| is_own(key)));
    }

    /// Appends the entries. Times are written as what they differ from `newest_ms`, which is the shard's.
    pub fn put(&self, bytes: &mut Vec<u8>, newest_ms: i64) {
        put_count(bytes, self.0.len());
        for (key, entry) in &self.0 {
            put_bytes(bytes, key.as_bytes());
            let phase = match entry.phase {
                Phase::Wanted => 1,
                Phase::Asked => 2,
                Phase::Nothing => 3,
            };
            bytes.extend_from_slice(&[phase, entry.failures]);
            put_signed(bytes, newest_ms.wrapping_sub(entry.anomaly_ms));
            put_signed(bytes, entry.rests_until_ms);
            put_number(bytes, entry.interval_ms);
        }
    }

    /// Reads what [`Self::put`] wrote.
    pub fn take(cursor: &mut Cursor<'_>, newest_ms: i64) -> Option<Self> {
        let mut devices = AskedDevices::default();
        for _ in 0..cursor.count()? {
            let key = cursor.text()?.into();
            let (phase, failures) = (phase(cursor.byte()?)?, cursor.byte()?);
            let anomaly_ms = newest_ms.wrapping_sub(cursor.signed()?);
            let (rests_until_ms, interval_ms) = (cursor.signed()?, cursor.number()?);
            devices.0.insert(key, Entry { phase, anomaly_ms, rests_until_ms, failures, interval_ms });
        }
        Some(devices)
    }

    /// Reads what version 3 of a state has of it. What it took over from shards that may have been its parents is left
    /// out: nobody knows any more whose they are.
    pub fn take_old(cursor: &mut old::Cursor<'_>) -> Option<Self> {
        let mut devices = AskedDevices::default();
        for _ in 0..cursor.count()? {
            let key = cursor.text()?.into();
            let [code, inherited, failures] = cursor.array()?;
            let phase = phase(code)?;
            let (anomaly_ms, rests_until_ms) = (cursor.number()?, cursor.number()?);
            let interval_ms = cursor.number()?.cast_unsigned();
            if inherited == 0 {
                devices.0.insert(key, Entry { phase, anomaly_ms, rests_until_ms, failures, interval_ms });
            }
        }
        Some(devices)
    }
}

fn phase(code: u8) -> Option<Phase> {
    match code {
        1 => Some(Phase::Wanted),
        2 => Some(Phase::Asked),
        3 => Some(Phase::Nothing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: i64 = 600_000;

    fn withdraw(interval_ms: u64) -> Work {
        Work::Withdraw { interval_ms }
    }

    fn due(devices: &AskedDevices, now_ms: i64) -> Vec<(String, Work)> {
        devices.due(now_ms, QUIET).into_iter().map(|(key, work)| (key.into(), work)).collect()
    }

    #[test]
    fn a_device_is_asked_once_and_withdrawn_when_it_was_quiet() {
        let mut devices = AskedDevices::default();
        devices.unusual("t#b", 1_000);
        devices.unusual("t#a", 2_000);
        let both = [("t#b".to_owned(), Work::Ask), ("t#a".to_owned(), Work::Ask)];
        assert_eq!(due(&devices, 2_000), both, "of equally new anomalies the one that is due for longest first");
        devices.asked("t#b", 250);
        devices.withdrawn("t#a");
        assert_eq!(due(&devices, 3_000), []);
        devices.unusual("t#b", 400_000);
        assert_eq!(due(&devices, 400_000 + QUIET - 1), [], "the last anomaly counts");
        assert_eq!(due(&devices, 400_000 + QUIET), [("t#b".to_owned(), withdraw(250))]);
        devices.forget(i64::MAX / 2);
        assert!(!devices.is_empty(), "what was asked for is withdrawn, however late");
        devices.withdrawn("t#b");
        assert!(devices.is_empty());
    }

    #[test]
    fn the_newest_is_asked_first_and_what_is_withdrawn_takes_turns_with_it() {
        let mut devices = AskedDevices::default();
        let now = QUIET + 300_000;
        for (key, at_ms) in
            [("sure-1", 0), ("sure-2", 5), ("unsure", 2), ("old", QUIET), ("new", now - 1), ("z-new", now - 2)]
        {
            devices.unusual(key, at_ms);
        }
        devices.asked("sure-1", 250);
        devices.asked("sure-2", 250);
        devices.unusual("old-and-new", 1_000);
        devices.unusual("old-and-new", now);
        let names: Vec<String> = due(&devices, now).into_iter().map(|(key, _)| key).collect();
        assert_eq!(names, ["old-and-new", "sure-1", "z-new", "sure-2", "new", "unsure", "old"]);
    }

    /// Batches of 10 s, each with room for 8 devices.
    #[test]
    fn where_more_are_unusual_than_there_is_room_for_some_are_asked_and_who_stays_unusual_is() {
        let mut devices = AskedDevices::default();
        let (mut asked, mut withdrawn, mut persistent) = (Vec::new(), 0, None);
        for batch in 0..720_i64 {
            let now = batch * 10_000;
            (0..20).for_each(|n| devices.unusual(&format!("new-{batch:04}-{n:02}"), now + n));
            if batch >= 400 {
                devices.unusual("zzz", now);
            }
            for (key, work) in due(&devices, now + 20).into_iter().take(8) {
                match work {
                    Work::Ask => {
                        devices.asked(&key, 250);
                        asked.push(now);
                        persistent = persistent.or((key == "zzz").then_some(batch));
                    }
                    Work::Withdraw { .. } => {
                        devices.withdrawn(&key);
                        withdrawn += 1;
                    }
                }
            }
        }
        assert!(persistent.is_some_and(|batch| (400..410).contains(&batch)), "{persistent:?}");
        let second_hour = asked.iter().filter(|at_ms| **at_ms >= 3_600_000).count();
        assert!(second_hour >= 4 * 360 && withdrawn >= 4 * 300, "{second_hour} asked, {withdrawn} withdrawn");
    }

    #[test]
    fn failures_rest_longer_and_longer_and_what_they_may_have_done_is_withdrawn() {
        let mut devices = AskedDevices::default();
        devices.unusual("a", 0);
        let mut rests = Vec::new();
        let mut now = 0;
        for _ in 0..12 {
            devices.failed("a", now);
            let before = now;
            while due(&devices, now).is_empty() {
                now += 1_000;
            }
            rests.push((now - before) / 1_000);
        }
        assert_eq!(rests, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        devices.forget(now + LONGEST_REST_MS);
        let expected = [("a".to_owned(), withdraw(0))];
        assert_eq!(due(&devices, now + LONGEST_REST_MS), expected, "one of the calls may have had its effect");
    }

    #[test]
    fn a_device_without_anything_to_ask_is_left_alone_for_an_hour() {
        let mut devices = AskedDevices::default();
        devices.unusual("a", 0);
        devices.nothing("a", 0);
        devices.unusual("a", NOTHING_RESTS_MS - 1);
        assert_eq!(due(&devices, NOTHING_RESTS_MS - 1), []);
        devices.unusual("a", NOTHING_RESTS_MS);
        assert_eq!(due(&devices, NOTHING_RESTS_MS), [("a".to_owned(), Work::Ask)]);
        devices.nothing("a", 0);
        devices.forget(NOTHING_RESTS_MS);
        assert!(devices.is_empty());
    }

    #[test]
    fn a_child_takes_over_what_was_asked_of_its_devices() {
        let (mut parent, mut child) = (AskedDevices::default(), AskedDevices::default());
        for key in ["a", "b"] {
            parent.unusual(key, 5);
            parent.asked(key, 100);
        }
        child.take_over(parent, |key| key == "a");
        assert_eq!(due(&child, QUIET * 2), [("a".to_owned(), withdraw(100))]);
    }

    #[test]
    fn there_are_no_more_entries_than_fit() {
        let mut devices = AskedDevices::default();
        (0..ASKED_MAX + 5).for_each(|n| devices.unusual(&n.to_string(), 1));
        assert_eq!(devices.due(1, QUIET).len(), ASKED_MAX);
    }
}
