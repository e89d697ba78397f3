//! What the function remembers of the device directory between invocations: devices, and absences of devices, each bounded
//! by itself, so that a flood of unknown names drives no device out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::directory::Device;

/// How long a device's entry is believed. A change of the directory takes effect within this time.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a device's absence is believed, and so for how long it is not asked for again: very short, because readings of
/// a new device wait for its item, and others behind them.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// How long it is remembered that readings of a device have waited in vain. Then they are waited for once more.
pub(super) const GIVEN_UP_FOR: Duration = Duration::from_secs(60 * 60);

/// What the directory says of a device.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// What it is.
    Known(Arc<Device>),
    /// It has no item.
    Absent(Absence),
}

/// A look that found no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absence {
    /// When the directory was asked.
    pub asked: SystemTime,
    /// Whether a reading of the device has waited for its item in vain.
    pub given_up: bool,
}

/// Two bounded maps.
#[derive(Debug)]
pub(super) struct Cache {
    known: Generations<Known>,
    unknown: Generations<Unknown>,
}

#[derive(Clone, Debug)]
struct Known {
    device: Arc<Device>,
    expires: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Unknown {
    asked: SystemTime,
    given_up: Option<SystemTime>,
}

impl Unknown {
    fn absence(self, now: SystemTime) -> Absence {
        let given_up = self.given_up.is_some_and(|at| now < at + GIVEN_UP_FOR);
        Absence { asked: self.asked, given_up }
    }
}

impl Cache {
    /// A cache of at most so many devices, and so many absences.
    pub fn new(known_max: usize, unknown_max: usize) -> Self {
        Cache { known: Generations::new(known_max), unknown: Generations::new(unknown_max) }
    }

    /// What is remembered of a device whose newest reading arrived at `newest`; nothing when it must be looked up.
    ///
    /// Readings of a device that was waited for in vain are refused without a wait. So that none is refused whose device
    /// has come meanwhile, its absence says nothing of readings that arrived after the look.
    pub fn get(&mut self, key: &str, newest: SystemTime, now: SystemTime) -> Option<Entry> {
        if let Some(known) = self.known.get(key) {
            return (now < known.expires).then(|| Entry::Known(Arc::clone(&known.device)));
        }
        let absence = self.unknown.get(key)?.absence(now);
        let believed = now < absence.asked + UNKNOWN_FOR && (!absence.given_up || newest <= absence.asked);
        believed.then_some(Entry::Absent(absence))
    }

    /// Remembers what the directory said at `now`.
    pub fn insert(&mut self, key: String, found: Option<Arc<Device>>, now: SystemTime) -> Entry {
        match found {
            Some(device) => {
                self.unknown.remove(&key);
                self.known.insert(key, Known { device: Arc::clone(&device), expires: now + KNOWN_FOR });
                Entry::Known(device)
            }
            None => {
                self.known.remove(&key);
                let given_up = self.unknown.get(&key).and_then(|unknown| unknown.given_up);
                let unknown = Unknown { asked: now, given_up };
                self.unknown.insert(key, unknown);
                Entry::Absent(unknown.absence(now))
            }
        }
    }

    /// Remembers that a reading of an absent device has waited in vain.
    pub fn give_up(&mut self, key: &str, now: SystemTime) {
        if let Some(unknown) = self.unknown.get(key) {
            unknown.given_up.get_or_insert(now);
            if unknown.given_up.is_some_and(|at| now >= at + GIVEN_UP_FOR) {
                unknown.given_up = Some(now);
            }
        }
    }
}

/// A bounded map in two generations. What is used moves to the young one; when that is full it becomes the old one, and what
/// was old is forgotten. So the most recently used half always stays, at the cost of one lookup more.
#[derive(Debug)]
struct Generations<V> {
    young: BTreeMap<String, V>,
    old: BTreeMap<String, V>,
    generation_max: usize,
}

impl<V> Generations<V> {
    fn new(entries_max: usize) -> Self {
        Generations { young: BTreeMap::new(), old: BTreeMap::new(), generation_max: (entries_max / 2).max(1) }
    }

    fn get(&mut self, key: &str) -> Option<&mut V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    fn insert(&mut self, key: String, value: V) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Arc<Device> {
        Arc::new(Device::new("pump", Vec::new()))
    }

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn absent(asked: u64, given_up: bool) -> Option<Entry> {
        Some(Entry::Absent(Absence { asked: at(asked), given_up }))
    }

    #[test]
    fn a_known_device_is_believed_for_minutes_and_an_absent_one_for_a_second() {
        let mut cache = Cache::new(10, 10);
        cache.insert("a".to_owned(), Some(device()), at(0));
        cache.insert("b".to_owned(), None, at(0));
        assert_eq!(cache.get("a", at(0), at(299)), Some(Entry::Known(device())));
        assert_eq!(cache.get("a", at(0), at(300)), None);
        assert_eq!(cache.get("b", at(9), at(0)), absent(0, false));
        assert_eq!(cache.get("b", at(0), at(1)), None);
        assert_eq!(cache.get("c", at(0), at(0)), None);
    }

    #[test]
    fn an_absence_that_refuses_without_a_wait_says_nothing_of_later_readings() {
        let mut cache = Cache::new(10, 10);
        cache.insert("a".to_owned(), None, at(240));
        cache.give_up("a", at(240));
        assert_eq!(cache.get("a", at(240), at(240)), absent(240, true));
        assert_eq!(cache.get("a", at(241), at(240)), None, "it arrived after the look");
        cache.insert("a".to_owned(), None, at(300));
        assert_eq!(cache.get("a", at(300), at(300)), absent(300, true), "it is still given up");
        cache.insert("a".to_owned(), None, at(240 + 3_600));
        assert_eq!(cache.get("a", at(240), at(240 + 3_600)), absent(240 + 3_600, false), "it is waited for once more");
        cache.insert("a".to_owned(), Some(device()), at(9_000));
        cache.insert("a".to_owned(), None, at(9_001));
        assert_eq!(cache.get("a", at(9_001), at(9_001)), absent(9_001, false), "it was there, and is forgotten");
    }

    #[test]
    fn it_stays_bounded_keeps_what_is_used_and_unknown_names_drive_no_device_out() {
        let mut cache = Cache::new(10, 6);
        for n in 0..1000 {
            cache.insert(format!("device-{n}"), Some(device()), at(0));
            cache.insert(format!("stranger-{n}"), None, at(0));
            assert!(cache.get("device-0", at(0), at(1)).is_some(), "device-0 is used all the time, after {n}");
            assert_eq!(cache.get("stranger-0", at(0), at(0)), absent(0, false), "after {n}");
            assert!(cache.known.young.len() + cache.known.old.len() <= 10, "{n}");
            assert!(cache.unknown.young.len() + cache.unknown.old.len() <= 6, "{n}");
        }
        assert_eq!(cache.get("device-500", at(0), at(1)), None);
        assert_eq!(cache.get("stranger-500", at(0), at(0)), None);
        assert!(cache.get("device-999", at(0), at(1)).is_some());
        for n in 0..1000 {
            cache.insert(format!("stranger-{n}"), None, at(2));
        }
        assert!(cache.get("device-999", at(0), at(2)).is_some(), "a thousand strangers later");
    }
}
