//! Devices that are asked for a shorter publish interval, as a shard's state keeps them.
//!
//! An entry begins with an anomaly and ends when the interval was withdrawn, so there are few. All times are arrivals of
//! readings, not of any clock here: a batch that comes again decides the same again.
//!
//! **Resharding.** A child shard begins with an empty state. Entries of the states that other shards left are taken over as
//! `inherited`: they rest until a reading of their device comes through this shard, which is when the device is known to be
//! this shard's own. No two shards ever act for one device, because its readings come through one at a time.

use std::collections::BTreeMap;

use super::state::{Cursor, put_count, put_text};

/// Most entries of a shard; an anomaly of a further device is told, and the device is not asked.
pub(super) const ASKED_MAX: usize = 2_000;
/// How long a device is left alone that has nothing to ask for: no shadow, or no usual interval in it.
const NOTHING_RESTS_MS: i64 = 60 * 60 * 1000;
/// Rest after the first failure of a call; it doubles with each further one.
const FIRST_REST_MS: i64 = 2_000;
/// Longest rest after a failure.
const LONGEST_REST_MS: i64 = 5 * 60 * 1000;
/// An inherited entry whose device did not come for so long is forgotten.
const INHERITED_STAYS_MS: i64 = 7 * 24 * 60 * 60 * 1000;

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
    /// Taken over from another shard, and not yet seen in this one.
    inherited: bool,
    /// Arrival of its last anomaly.
    anomaly_ms: i64,
    /// Nothing is done before this arrival.
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
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A reading of a device came through this shard.
    pub fn seen(&mut self, key: &str) {
        if !self.0.is_empty()
            && let Some(entry) = self.0.get_mut(key)
        {
            entry.inherited = false;
        }
    }

    /// A reading of a device was unusual.
    pub fn unusual(&mut self, key: &str, arrived_ms: i64) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.anomaly_ms = entry.anomaly_ms.max(arrived_ms);
            if entry.phase == Phase::Nothing && arrived_ms >= entry.rests_until_ms {
                entry.phase = Phase::Wanted;
            }
        } else if self.0.len() < ASKED_MAX {
            let anomaly_ms = arrived_ms;
            let phase = Phase::Wanted;
            let entry = Entry { phase, inherited: false, anomaly_ms, rests_until_ms: 0, failures: 0, interval_ms: 0 };
            self.0.insert(key.into(), entry);
        }
    }

    /// Forgets entries that nothing will come of.
    pub fn forget(&mut self, now_ms: i64) {
        self.0.retain(|_, entry| match entry.phase {
            _ if entry.inherited => now_ms < entry.anomaly_ms + INHERITED_STAYS_MS,
            Phase::Nothing => now_ms < entry.rests_until_ms,
            Phase::Wanted | Phase::Asked => true,
        });
    }

    /// What is to be done by now, those that wait longest first. A device that could not be asked while it was unusual is
    /// not asked when it is quiet again; but a call that failed may have had its effect, so that is looked for.
    pub fn due(&self, now_ms: i64, quiet_ms: i64) -> Vec<(Box<str>, Work)> {
        let mut due: Vec<_> = self
            .0
            .iter()
            .filter(|(_, entry)| !entry.inherited && now_ms >= entry.rests_until_ms)
            .filter_map(|(key, entry)| {
                let is_quiet = now_ms >= entry.anomaly_ms + quiet_ms;
                let work = match entry.phase {
                    Phase::Wanted if !is_quiet => Work::Ask,
                    Phase::Wanted | Phase::Asked if is_quiet => Work::Withdraw { interval_ms: entry.interval_ms },
                    _ => return None,
                };
                Some((entry.anomaly_ms, key, work))
            })
            .collect();
        due.sort_by_key(|(anomaly_ms, key, _)| (*anomaly_ms, *key));
        due.into_iter().map(|(_, key, work)| (key.clone(), work)).collect()
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

    /// Takes over what another shard left. Of two entries of one device the one with the later anomaly counts.
    pub fn inherit(&mut self, other: &AskedDevices) {
        for (key, entry) in other.0.iter().filter(|(_, entry)| entry.phase != Phase::Nothing) {
            let newer = self.0.get(key).is_none_or(|own| own.inherited && own.anomaly_ms < entry.anomaly_ms);
            if newer && (self.0.len() < ASKED_MAX || self.0.contains_key(key)) {
                self.0.insert(key.clone(), Entry { inherited: true, ..entry.clone() });
            }
        }
    }

    /// Appends the entries.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        put_count(bytes, self.0.len());
        for (key, entry) in &self.0 {
            put_text(bytes, key);
            let phase = match entry.phase {
                Phase::Wanted => 1,
                Phase::Asked => 2,
                Phase::Nothing => 3,
            };
            bytes.extend_from_slice(&[phase, u8::from(entry.inherited), entry.failures]);
            bytes.extend_from_slice(&entry.anomaly_ms.to_le_bytes());
            bytes.extend_from_slice(&entry.rests_until_ms.to_le_bytes());
            bytes.extend_from_slice(&entry.interval_ms.to_le_bytes());
        }
    }

    /// Reads what [`Self::put`] wrote.
    pub fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut devices = AskedDevices::default();
        for _ in 0..cursor.count()? {
            let key = cursor.text()?.into();
            let [phase, inherited, failures] = cursor.array()?;
            let phase = match phase {
                1 => Phase::Wanted,
                2 => Phase::Asked,
                3 => Phase::Nothing,
                _ => return None,
            };
            let (anomaly_ms, rests_until_ms) = (cursor.number()?, cursor.number()?);
            let interval_ms = u64::from_le_bytes(cursor.array()?);
            let inherited = inherited != 0;
            devices.0.insert(key, Entry { phase, inherited, anomaly_ms, rests_until_ms, failures, interval_ms });
        }
        Some(devices)
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
        assert_eq!(due(&devices, 2_000), both, "the one that waits longest first");
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
    fn what_another_shard_asked_rests_until_the_device_is_seen() {
        let (mut parent, mut child) = (AskedDevices::default(), AskedDevices::default());
        parent.unusual("a", 5);
        parent.asked("a", 100);
        parent.unusual("n", 5);
        parent.nothing("n", 5);
        child.inherit(&parent);
        assert_eq!(due(&child, QUIET * 2), [], "it may be the device of another shard");
        child.seen("b");
        child.seen("a");
        assert_eq!(due(&child, QUIET * 2), [("a".to_owned(), withdraw(100))]);
        child.inherit(&parent);
        assert_eq!(due(&child, QUIET * 2), [("a".to_owned(), withdraw(100))], "an own entry is not replaced");
        let mut grandchild = AskedDevices::default();
        grandchild.inherit(&parent);
        grandchild.forget(5 + INHERITED_STAYS_MS);
        assert!(grandchild.is_empty());
    }

    #[test]
    fn there_are_no_more_entries_than_fit() {
        let mut devices = AskedDevices::default();
        (0..ASKED_MAX + 5).for_each(|n| devices.unusual(&n.to_string(), 1));
        assert_eq!(devices.due(1, QUIET).len(), ASKED_MAX);
    }
}
