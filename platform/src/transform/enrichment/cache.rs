//! What the function remembers of the device directory between invocations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::directory::Device;

/// How long a device's entry is believed.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// How long a device's absence is believed: very short, because readings of a new device wait for its item, and others
/// behind them.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// What is remembered of a device: its entry, or that it has none.
pub(super) type Known = Option<Arc<Device>>;

#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    expires: SystemTime,
}

/// A bounded cache in two generations. What is used moves to the young one; when that is full it becomes the old one,
/// and what was old is forgotten. So the most recently used half always stays, at the cost of one lookup more.
#[derive(Debug)]
pub(super) struct Cache {
    young: BTreeMap<String, Entry>,
    old: BTreeMap<String, Entry>,
    generation_max: usize,
}

impl Cache {
    /// A cache of at most `entries_max` devices.
    pub fn new(entries_max: usize) -> Self {
        Cache { young: BTreeMap::new(), old: BTreeMap::new(), generation_max: (entries_max / 2).max(1) }
    }

    /// What is remembered of a device; nothing when it must be looked up.
    pub fn get(&mut self, key: &str, now: SystemTime) -> Option<Known> {
        if let Some(entry) = self.young.get(key) {
            return (now < entry.expires).then(|| entry.known.clone());
        }
        let (key, entry) = self.old.remove_entry(key)?;
        if now >= entry.expires {
            return None;
        }
        let known = entry.known.clone();
        self.store(key, entry);
        Some(known)
    }

    /// Remembers what the directory said at `now`.
    pub fn insert(&mut self, key: String, known: Known, now: SystemTime) {
        let expires = now + if known.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
        self.store(key, Entry { known, expires });
    }

    fn store(&mut self, key: String, entry: Entry) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Known {
        Some(Arc::new(Device::new("pump", Vec::new())))
    }

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn a_known_device_is_believed_for_minutes_and_an_absent_one_for_seconds() {
        let mut cache = Cache::new(10);
        cache.insert("a".to_owned(), device(), at(0));
        cache.insert("b".to_owned(), None, at(0));
        assert_eq!(cache.get("a", at(299)), Some(device()));
        assert_eq!(cache.get("a", at(300)), None);
        assert_eq!(cache.get("b", at(0)), Some(None));
        assert_eq!(cache.get("b", at(1)), None);
        assert_eq!(cache.get("c", at(0)), None);
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(10);
        for n in 0..1000 {
            cache.insert(format!("device-{n}"), device(), at(0));
            assert!(cache.get("device-0", at(1)).is_some(), "device-0 is used all the time, after {n}");
            assert!(cache.young.len() + cache.old.len() <= 10, "{n}");
        }
        assert_eq!(cache.get("device-500", at(1)), None);
    }
}
