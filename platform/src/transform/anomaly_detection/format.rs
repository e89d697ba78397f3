//! A shard's state as bytes: version 4.
//!
//! Names of metrics are written once, keys of devices without what they share with the key before, numbers in as many
//! bytes as they need; what is left is nearly all detectors. Versions 2 and 3 are read too (`old.rs`): of their devices
//! everything is kept but the detectors, which begin anew. So do detectors of another size than this version's.

use std::collections::BTreeMap;

use super::asked::AskedDevices;
use super::codec::{Cursor, put_bytes, put_count, put_number, put_signed};
use super::detector::{Detector, Kind};
use super::old;
use super::outbox::Outbox;
use super::state::{DEVICE_SERIES_MAX, Device, Shard};

/// First bytes of the object: a name, and the version of what follows.
const MAGIC: &[u8; 5] = b"ANOM\x04";

/// Bytes of a device beside its detectors, roughly: what is reserved for it.
const DEVICE_BYTES: usize = 64;

impl Shard {
    /// The state as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let reserved = DEVICE_BYTES * self.devices.len() + (Detector::SIZE + 2) * self.series;
        let mut bytes = Vec::with_capacity(256 + reserved + self.outbox.object.len());
        bytes.extend_from_slice(MAGIC);
        put_count(&mut bytes, Detector::SIZE);
        self.highest.put(&mut bytes);
        put_signed(&mut bytes, self.newest_ms);
        put_signed(&mut bytes, self.swept_ms);
        let names = self.names();
        put_count(&mut bytes, names.len());
        names.keys().for_each(|name| put_bytes(&mut bytes, name.as_bytes()));
        put_count(&mut bytes, self.devices.len());
        let mut before = "";
        for (key, device) in &self.devices {
            let shared = before.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
            put_count(&mut bytes, shared);
            put_bytes(&mut bytes, &key.as_bytes()[shared..]);
            self.put_device(&mut bytes, device, &names);
            before = key;
        }
        self.asked.put(&mut bytes, self.newest_ms);
        self.outbox.put(&mut bytes);
        bytes
    }

    /// The names of all metrics, each with its number.
    fn names(&self) -> BTreeMap<&str, usize> {
        let mut names = BTreeMap::new();
        for (name, _) in self.devices.values().flat_map(|device| &device.series) {
            names.entry(&**name).or_insert(0);
        }
        names.values_mut().enumerate().for_each(|(n, number)| *number = n);
        names
    }

    fn put_device(&self, bytes: &mut Vec<u8>, device: &Device, names: &BTreeMap<&str, usize>) {
        device.applied.put(bytes);
        put_number(bytes, device.seq);
        put_signed(bytes, self.newest_ms.wrapping_sub(device.arrived_ms));
        put_count(bytes, device.alerted.len());
        for (kind, at_ms) in &device.alerted {
            let number = Kind::ALL.iter().position(|known| known == kind).expect("all kinds are known");
            put_count(bytes, number);
            put_signed(bytes, self.newest_ms.wrapping_sub(*at_ms));
        }
        put_count(bytes, device.series.len());
        for (name, detector) in &device.series {
            put_count(bytes, names[&**name]);
            bytes.extend_from_slice(&detector.to_bytes());
        }
    }

    /// The state that [`Self::to_bytes`] gave, or a version before.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let damaged = "it ends too early, or goes on after its end";
        match bytes.strip_prefix(MAGIC) {
            Some(rest) => shard(&mut Cursor(rest)).ok_or(damaged),
            None if old::is_known(bytes) => old::shard(bytes).ok_or(damaged),
            None => Err("it does not begin as a state of this version does"),
        }
    }
}

fn shard(cursor: &mut Cursor<'_>) -> Option<Shard> {
    let detector_bytes = cursor.count()?;
    let (highest, newest_ms, swept_ms) = (cursor.sequence()?, cursor.signed()?, cursor.signed()?);
    let mut shard = Shard { highest, newest_ms, swept_ms, ..Shard::default() };
    let mut names = Vec::new();
    for _ in 0..cursor.count()? {
        names.push(cursor.text()?);
    }
    let mut key = Vec::new();
    for _ in 0..cursor.count()? {
        let shared = cursor.count()?;
        if shared > key.len() {
            return None;
        }
        key.truncate(shared);
        key.extend_from_slice(cursor.bytes()?);
        let device = device(cursor, newest_ms, &names, detector_bytes)?;
        shard.series += device.series.len();
        shard.devices.insert(std::str::from_utf8(&key).ok()?.into(), device);
    }
    shard.asked = AskedDevices::take(cursor, newest_ms)?;
    shard.outbox = Outbox::take(cursor)?;
    cursor.is_empty().then_some(shard)
}

fn device(cursor: &mut Cursor<'_>, newest_ms: i64, names: &[&str], detector_bytes: usize) -> Option<Device> {
    let (applied, seq) = (cursor.sequence()?, cursor.number()?);
    let arrived_ms = newest_ms.wrapping_sub(cursor.signed()?);
    let mut device = Device { applied, seq, arrived_ms, ..Device::default() };
    for _ in 0..cursor.count()? {
        let kind = *Kind::ALL.get(cursor.count()?)?;
        device.alerted.push((kind, newest_ms.wrapping_sub(cursor.signed()?)));
    }
    let series = cursor.count()?;
    device.series.reserve_exact(series.min(DEVICE_SERIES_MAX));
    for _ in 0..series {
        let name = *names.get(cursor.count()?)?;
        let bytes = cursor.slice(detector_bytes)?;
        // Of another size: it is another version's, and begins anew.
        let detector = bytes.try_into().map_or_else(|_| Detector::default(), Detector::from_bytes);
        device.series.push((name.into(), detector));
    }
    Some(device)
}

#[cfg(test)]
pub(super) mod tests {
    use std::borrow::Cow;

    use super::super::alerts::Message;
    use super::super::metrics::Counts;
    use super::super::reading::{ID_BYTES_MAX, METRIC_BYTES_MAX, Metrics, Reading};
    use super::super::sequence::Sequence;
    use super::super::state::SERIES_MAX;
    use super::*;

    /// A state that was written and read again.
    pub fn round(shard: &Shard) -> Shard {
        Shard::from_bytes(&shard.to_bytes()).expect("it was written so")
    }

    /// A sequence number as Kinesis gives it.
    fn sequence(n: usize) -> Sequence {
        Sequence::parse(&format!("4959033827149025660855969253836157109592157598913{n:07}")).expect("it is a number")
    }

    fn apply(shard: &mut Shard, key: &str, n: usize, metrics: &[&str]) {
        let metrics = metrics.iter().map(|name| (Cow::Owned((*name).to_owned()), n as f64)).collect();
        let received_at = 1_772_323_200_000 + i64::try_from(n).unwrap();
        let (tenant_id, device_id) = ("acme".into(), "d".into());
        let metrics = Metrics(metrics);
        let reading = Reading { tenant_id, device_id, seq: n as u64, ts: 1, event_at: None, received_at, metrics };
        shard.apply(key, sequence(n), &reading, SERIES_MAX, |_, value, detector| {
            detector.next(0, value);
        });
    }

    /// A state with everything that a state may have.
    fn full() -> Shard {
        let mut shard = Shard::default();
        for n in 1..90 {
            apply(&mut shard, "acme#pump-1", 2 * n, &["temp", "rpm"]);
            apply(&mut shard, "acme#pump-12", 2 * n + 1, &["temp"]);
        }
        apply(&mut shard, "globex#ä", 1000, &[]);
        assert!(shard.may_alert("acme#pump-1", Kind::Dropout, shard.newest_ms, 900_000));
        shard.asked.unusual("acme#pump-1", 7);
        shard.asked.asked("acme#pump-1", 250);
        let text = |text: &str| text.to_owned();
        let (subject, body, tenant) = (text("s"), text("{}"), text("acme"));
        let (devices, kinds, severity) = (text("[]"), text("[]"), text("low"));
        let message = Message { subject, body, tenant, devices, kinds, severity, alerts: 3 };
        let counts = Counts { anomalies: 7, alerts: 5, suppressed: 300, dropped: 1 };
        shard.outbox = Outbox { id: text("i"), key: text("k"), object: vec![1, 2], counts, messages: vec![message] };
        shard
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_a_damaged_one_is_refused() {
        let only_messages = Outbox { messages: full().outbox.messages, ..Outbox::default() };
        let outboxes = [Outbox::default(), only_messages].map(|outbox| Shard { outbox, ..full() });
        for shard in outboxes.into_iter().chain([full(), Shard::default()]) {
            let bytes = shard.to_bytes();
            assert_eq!(Shard::from_bytes(&bytes).as_ref(), Ok(&shard));
            for length in 0..bytes.len() {
                assert!(Shard::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
            }
            assert!(Shard::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
            assert!(Shard::from_bytes(&[b"ANOM\x05", &bytes[5..]].concat()).is_err(), "another version");
        }
    }

    #[test]
    fn detectors_of_another_size_begin_anew_and_everything_else_is_kept() {
        let shard = full();
        let mut bytes = MAGIC.to_vec();
        let other = Detector::SIZE + 1;
        put_count(&mut bytes, other);
        let mut written = shard.to_bytes();
        // Each detector gets one byte more.
        for detector in shard.devices.values().flat_map(|device| &device.series).map(|(_, detector)| detector) {
            let found = detector.to_bytes();
            let at = written.windows(found.len()).position(|part| part == found).expect("it is there");
            written.splice(at..at + found.len(), vec![0xee; other]);
        }
        let mut size = Vec::new();
        put_count(&mut size, Detector::SIZE);
        bytes.extend_from_slice(&written[MAGIC.len() + size.len()..]);
        let read = Shard::from_bytes(&bytes).expect("it is whole");
        let mut expected = shard;
        let series = expected.devices.values_mut().flat_map(|device| &mut device.series);
        series.for_each(|(_, detector)| *detector = Detector::default());
        assert_eq!(read, expected);
    }

    #[test]
    fn a_series_costs_its_detector_and_little_more() {
        let mut shard = Shard::default();
        let devices = 2_500;
        for n in 0..devices {
            apply(&mut shard, &format!("tenant-{:02}#fleet-{n:05}", n % 20), n, &["temperature", "pressure"]);
        }
        let bytes = shard.to_bytes().len();
        let beside = (bytes - 2 * devices * Detector::SIZE) / devices;
        assert!(beside <= 44, "{beside} bytes a device beside its detectors");
        // The largest that there can be.
        let names: Vec<String> = (0..DEVICE_SERIES_MAX).map(|n| format!("{n:0>METRIC_BYTES_MAX$}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut shard = Shard::default();
        let empty = shard.to_bytes().len();
        apply(&mut shard, &"k".repeat(2 * ID_BYTES_MAX + 1), 1, &names);
        let most = DEVICE_SERIES_MAX * (Detector::SIZE + METRIC_BYTES_MAX + 4) + 2 * ID_BYTES_MAX + 128;
        assert!(shard.to_bytes().len() - empty <= most);
    }
}
