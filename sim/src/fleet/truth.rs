//! The truth about a run's readings, as the devices know it: what was published, and what was acknowledged. Beside them
//! stands what devices published that is no reading.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use indexmap::{Equivalent, IndexSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::commands::Commands;
use super::content::Content;
use super::intruder::Intrusions;
use super::twin::Label;
use super::twin::spec::FailureKind;
use crate::world::time::Time;

/// One reading, as its device knows it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// The device's own timestamp, ms since the Unix epoch.
    pub ts_ms: u64,
    /// When the device took the reading and queued it for publication.
    pub published_at: Time,
    /// When the device received the first PUBACK for it.
    pub acknowledged_at: Option<Time>,
    /// What it says.
    pub content: Content,
}

/// A message that is no reading, as its device knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Index of the device.
    pub device: u32,
    /// Hash of its bytes ([`Stray::hash`]).
    pub hash: u64,
    /// Whether the topic rule passes it on.
    pub passes: bool,
    /// When the device received the first PUBACK for it.
    pub acknowledged_at: Option<Time>,
}

impl Stray {
    /// The hash by which a message is known.
    pub fn hash(payload: &[u8]) -> u64 {
        xxh3_64_with_seed(payload, 3)
    }
}

/// 40 bytes a reading.
#[derive(Clone, Copy)]
struct Entry {
    texts: u32,
    values: f64,
    ts_ms: u64,
    published: Time,
    /// `Time::MAX` until the acknowledgement.
    acknowledged: Time,
}

#[derive(Clone, PartialEq, Eq)]
struct Name {
    tenant: Box<str>,
    id: Box<str>,
}

#[derive(PartialEq, Eq, Hash)]
struct NameRef<'a>(&'a str, &'a str);

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NameRef(&self.tenant, &self.id).hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, key: &Name) -> bool {
        *self.1 == *key.id && *self.0 == *key.tenant
    }
}

/// xxh3, chained over the parts of a key. Its seed is fixed, so that lookups cost the same in every run.
#[derive(Default)]
struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = self.0.rotate_left(8) ^ u64::from(byte);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Readings of all devices. Sequence numbers of a device are consecutive from 1.
#[derive(Clone)]
pub struct Truth {
    start: Time,
    names: IndexSet<Name, BuildHasherDefault<FixedHasher>>,
    entries: Vec<Vec<Entry>>,
    published: u64,
    acknowledged: u64,
    rejected: u64,
    given_up: u64,
    strays: Vec<Stray>,
    spikes: Vec<Spike>,
    commands: Commands,
    labels: Vec<Labelled>,
    /// Positions of labels.
    label_of: BTreeMap<(u32, FailureKind, Option<&'static str>, Time), usize>,
    intrusions: Intrusions,
    /// What the device's clock said, in ms, by (device, seq, when it was handed to the network), of readings that say it.
    stamps: BTreeMap<(u32, u64, Time), u64>,
}

/// What is true of a device's readings, as its model knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Device.
    pub device: u32,
    /// How, where and when the device fails.
    pub label: Label,
    /// First and last reading that shows it; nothing when none does, as while a device is silent.
    pub readings: Option<(u64, u64)>,
}

/// An outlier that a detector must find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spike {
    /// Device.
    pub device: u32,
    /// Sequence number of the reading.
    pub seq: u64,
    /// Metric.
    pub metric: Box<str>,
}

impl Truth {
    /// A fleet without devices, whose run starts at `start`.
    pub fn new(start: Time) -> Self {
        Truth {
            start,
            names: IndexSet::default(),
            entries: Vec::new(),
            published: 0,
            acknowledged: 0,
            rejected: 0,
            given_up: 0,
            strays: Vec::new(),
            spikes: Vec::new(),
            commands: Commands::default(),
            labels: Vec::new(),
            label_of: BTreeMap::new(),
            intrusions: Intrusions::default(),
            stamps: BTreeMap::new(),
        }
    }

    /// Commands to devices, and their sessions.
    pub fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The same, to be added to.
    pub fn commands_mut(&mut self) -> &mut Commands {
        &mut self.commands
    }

    /// It is known beforehand that a label will be true of a device.
    pub fn planned(&mut self, device: u32, label: Label) {
        self.label(device, &label);
    }

    /// The `seq`-th reading of a device shows what a label says.
    pub fn labelled(&mut self, device: u32, seq: u64, label: &Label) {
        let readings = &mut self.label(device, label).readings;
        *readings = Some((readings.map_or(seq, |(first, _)| first), seq));
    }

    fn label(&mut self, device: u32, label: &Label) -> &mut Labelled {
        let next = self.labels.len();
        let known = *self.label_of.entry((device, label.kind, label.metric, label.from)).or_insert(next);
        if known == next {
            self.labels.push(Labelled { device, label: *label, readings: None });
        }
        &mut self.labels[known]
    }

    /// What is true of the devices' readings, in the order in which it became known.
    pub fn labels(&self) -> &[Labelled] {
        &self.labels
    }

    /// What intruders tried.
    pub fn intrusions(&self) -> &Intrusions {
        &self.intrusions
    }

    pub(super) fn intrusions_mut(&mut self) -> &mut Intrusions {
        &mut self.intrusions
    }

    /// When the run started.
    pub fn start(&self) -> Time {
        self.start
    }

    /// Adds a device and answers its index, counted from 0.
    ///
    /// # Panics
    /// When the tenant has a device of this name already: `plan` gives every device a name of its own.
    pub fn add_device(&mut self, tenant: &str, id: &str) -> u32 {
        let (index, new) = self.names.insert_full(Name { tenant: tenant.into(), id: id.into() });
        assert!(new, "device {tenant}/{id} exists twice");
        self.entries.push(Vec::new());
        u32::try_from(index).expect("fewer devices than 2^32")
    }

    /// The device took a reading, which says `content`, and will publish it.
    ///
    /// # Panics
    /// When `seq` is not the next one of the device: a bug of the fleet.
    pub fn published(&mut self, device: u32, seq: u64, at: Time, ts_ms: u64, content: Content) {
        let entries = &mut self.entries[device as usize];
        assert_eq!(seq, entries.len() as u64 + 1, "sequence numbers of a device are consecutive from 1");
        if entries.len() == entries.capacity() {
            // Grows by a quarter: doubling would waste up to half of the largest structure of a run.
            entries.reserve_exact((entries.len() / 4).max(16));
        }
        let (texts, values) = content.stored();
        entries.push(Entry { texts, values, ts_ms, published: at, acknowledged: Time::MAX });
        self.published += 1;
    }

    /// The device handed a reading to the network with its clock in the payload.
    pub fn sent(&mut self, device: u32, seq: u64, at: Time, sent_at_ms: u64) {
        self.stamps.insert((device, seq, at), sent_at_ms);
    }

    /// The times at which a reading was handed to the network with the device's clock in its payload: (when, what the clock
    /// said in ms). None for a reading that does not say it.
    pub fn stamps(&self, device: u32, seq: u64) -> impl Iterator<Item = (Time, u64)> + '_ {
        let of = self.stamps.range((device, seq, Time::EPOCH)..=(device, seq, Time::MAX));
        of.map(|((_, _, at), sent_at_ms)| (*at, *sent_at_ms))
    }

    /// A metric of a reading is so plain an outlier that a detector must find it.
    pub fn spiked(&mut self, device: u32, seq: u64, metric: &str) {
        self.spikes.push(Spike { device, seq, metric: metric.into() });
    }

    /// All outliers, in the order of their publication.
    pub fn spikes(&self) -> &[Spike] {
        &self.spikes
    }

    /// The device received a PUBACK for a reading. Later ones for the same reading change nothing.
    pub fn acknowledged(&mut self, device: u32, seq: u64, at: Time) {
        let entry = position(seq).and_then(|index| self.entries[device as usize].get_mut(index));
        let entry = entry.expect("only published readings are acknowledged");
        if entry.acknowledged == Time::MAX {
            entry.acknowledged = at;
            self.acknowledged += 1;
        }
    }

    /// The device gave a reading up, because its queue was full. It stays published and is never owed.
    pub fn rejected(&mut self, device: u32, seq: u64) {
        self.rejected += u64::from(!self.is_acknowledged(device, seq));
    }

    /// The device gave a reading up, because a fault left it no room. It stays published and is never owed.
    pub fn given_up(&mut self, device: u32, seq: u64) {
        self.given_up += u64::from(!self.is_acknowledged(device, seq));
    }

    /// A reading whose copy was acknowledged is given up in vain.
    fn is_acknowledged(&self, device: u32, seq: u64) -> bool {
        self.reading(device, seq).is_some_and(|reading| reading.acknowledged_at.is_some())
    }

    /// The number of the next message that is no reading.
    pub fn next_stray(&self) -> u32 {
        u32::try_from(self.strays.len()).expect("fewer messages than 2^32")
    }

    /// The device will publish a message that is no reading. Answers its number.
    pub fn stray_published(&mut self, device: u32, payload: &[u8], passes: bool) -> u32 {
        let number = self.next_stray();
        self.strays.push(Stray { device, hash: Stray::hash(payload), passes, acknowledged_at: None });
        number
    }

    /// The device received a PUBACK for a message that is no reading.
    ///
    /// # Panics
    /// When there is no such message: a bug of the fleet.
    pub fn stray_acknowledged(&mut self, number: u32, at: Time) {
        self.strays[number as usize].acknowledged_at.get_or_insert(at);
    }

    /// Messages that are no readings, by their numbers.
    pub fn strays(&self) -> &[Stray] {
        &self.strays
    }

    /// Number of devices.
    pub fn device_count(&self) -> usize {
        self.entries.len()
    }

    /// The index of a device.
    pub fn find(&self, tenant: &str, device: &str) -> Option<u32> {
        self.names.get_index_of(&NameRef(tenant, device)).and_then(|index| u32::try_from(index).ok())
    }

    /// Tenant and name of a device.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn device(&self, index: u32) -> (&str, &str) {
        let name = &self.names[index as usize];
        (&name.tenant, &name.id)
    }

    /// A published reading.
    pub fn reading(&self, device: u32, seq: u64) -> Option<Recorded> {
        let entry = self.entries.get(device as usize)?.get(position(seq)?)?;
        Some(Recorded {
            ts_ms: entry.ts_ms,
            published_at: entry.published,
            acknowledged_at: (entry.acknowledged != Time::MAX).then_some(entry.acknowledged),
            content: Content::expected((entry.texts, entry.values)),
        })
    }

    /// (device, seq) of every acknowledged reading, by device and seq.
    pub fn acknowledged_readings(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0u32..).zip(&self.entries).flat_map(|(device, entries)| {
            let owed = (1u64..).zip(entries).filter(|(_, entry)| entry.acknowledged != Time::MAX);
            owed.map(move |(seq, _)| (device, seq))
        })
    }

    /// The largest sequence number of any device; 0 before the first reading.
    pub fn longest(&self) -> u64 {
        self.entries.iter().map(Vec::len).max().unwrap_or(0) as u64
    }

    /// Readings published so far.
    pub fn published_count(&self) -> u64 {
        self.published
    }

    /// Readings acknowledged so far.
    pub fn acknowledged_count(&self) -> u64 {
        self.acknowledged
    }

    /// The first reading, by device, whose PUBACK its device has not received.
    pub fn first_unacknowledged(&self) -> Option<(u32, u64)> {
        (0_u32..).zip(&self.entries).find_map(|(device, entries)| {
            let position = entries.iter().position(|entry| entry.acknowledged == Time::MAX)?;
            Some((device, position as u64 + 1))
        })
    }

    /// Readings that devices gave up, because their queues were full.
    pub fn rejected_count(&self) -> u64 {
        self.rejected
    }

    /// Readings that devices gave up, because a fault left them no room.
    pub fn given_up_count(&self) -> u64 {
        self.given_up
    }
}

fn position(seq: u64) -> Option<usize> {
    usize::try_from(seq.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(value: f64) -> Content {
        Content::canonical(None, [("temp", value)])
    }

    fn truth() -> Truth {
        let mut truth = Truth::new(Time::from_unix_secs(100));
        for (tenant, id) in [("acme", "pump-1"), ("acme", "pump-2"), ("globex", "pump-1"), ("ac", "mepump-1")] {
            truth.add_device(tenant, id);
        }
        truth
    }

    #[test]
    fn devices_are_found_by_tenant_and_name() {
        let truth = truth();
        for index in 0..4 {
            let (tenant, id) = truth.device(index);
            assert_eq!(truth.find(tenant, id), Some(index));
        }
        assert_eq!(truth.find("globex", "pump-2"), None);
        assert_eq!(truth.device_count(), 4);
    }

    #[test]
    #[should_panic(expected = "device acme/pump-1 exists twice")]
    fn a_name_is_taken_once() {
        truth().add_device("acme", "pump-1");
    }

    #[test]
    fn readings_are_owed_from_their_first_acknowledgement() {
        let mut truth = truth();
        let at = Time::from_unix_secs;
        for seq in 1..=3 {
            truth.published(2, seq, at(100 + seq), 7_000 + seq, says(seq as f64));
        }
        truth.published(0, 1, at(101), 1, says(1.0));
        truth.acknowledged(2, 3, at(110));
        truth.acknowledged(2, 3, at(120));
        truth.acknowledged(0, 1, at(111));
        truth.rejected(2, 2);
        assert_eq!(truth.acknowledged_readings().collect::<Vec<_>>(), [(0, 1), (2, 3)]);
        assert_eq!((truth.published_count(), truth.acknowledged_count(), truth.rejected_count()), (4, 2, 1));
        let reading = truth.reading(2, 3).expect("published");
        assert_eq!((reading.ts_ms, reading.published_at), (7_003, at(103)));
        assert_eq!(reading.acknowledged_at, Some(at(110)));
        assert!(reading.content.agrees_with(&says(3.0)) && !reading.content.agrees_with(&says(4.0)));
        assert_eq!(truth.reading(2, 2).expect("published").acknowledged_at, None);
        for absent in [0, 4, u64::MAX] {
            assert!(truth.reading(2, absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn what_is_no_reading_is_known_by_its_bytes_and_counts_as_none() {
        let mut truth = truth();
        for (number, payload) in [b"a", b"b"].into_iter().enumerate() {
            assert_eq!(truth.stray_published(2, payload, number == 0) as usize, number);
        }
        let at = Time::from_unix_secs(110);
        truth.stray_acknowledged(1, at);
        truth.stray_acknowledged(1, Time::from_unix_secs(120));
        let b = Stray { device: 2, hash: Stray::hash(b"b"), passes: false, acknowledged_at: Some(at) };
        assert_eq!(truth.strays()[1], b);
        assert_eq!((truth.strays()[0].acknowledged_at, truth.strays()[0].passes), (None, true));
        assert_eq!((truth.published_count(), truth.acknowledged_count()), (0, 0));
    }

    #[test]
    fn labels_know_the_readings_that_show_them() {
        let mut truth = truth();
        let at = Time::from_unix_secs;
        let stuck = Label { kind: FailureKind::Stuck, metric: Some("flow"), from: at(200), until: at(300) };
        let other = Label { metric: Some("pressure"), ..stuck };
        truth.planned(1, stuck);
        truth.planned(0, stuck);
        for seq in [7, 8, 12] {
            truth.labelled(1, seq, &stuck);
        }
        truth.labelled(1, 8, &other);
        let labels: Vec<_> = truth.labels().iter().map(|l| (l.device, l.label, l.readings)).collect();
        assert_eq!(labels, [(1, stuck, Some((7, 12))), (0, stuck, None), (1, other, Some((8, 8)))]);
    }

    #[test]
    fn a_reading_takes_40_bytes_and_at_most_a_quarter_is_spare() {
        let mut truth = truth();
        for seq in 1..=360 {
            truth.published(0, seq, Time::EPOCH, 0, says(0.0));
        }
        assert_eq!(size_of::<Entry>(), 40);
        assert!(truth.entries[0].capacity() <= 360 * 5 / 4, "{}", truth.entries[0].capacity());
    }
}
