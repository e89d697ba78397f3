//! What waits to be delivered: records as the source gave them, shared with it and not copied.

use bytes::Bytes;

use world::time::Time;

/// A record that waits.
#[derive(Clone)]
pub(super) struct Entry {
    /// Payload.
    pub data: Bytes,
    /// When the source took it.
    pub arrival: Time,
    /// Its sequence number in the source.
    pub sequence_number: u128,
    /// Which record of an aggregated one it is, from 0.
    pub sub_sequence_number: u32,
    /// Bytes of it as it came.
    pub source_bytes: u32,
}

impl Entry {
    /// A record as it came.
    pub fn new(data: Bytes, arrival: Time, sequence_number: u128) -> Self {
        let source_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Entry { data, arrival, sequence_number, sub_sequence_number: 0, source_bytes }
    }

    /// A record of this one.
    pub fn part(&self, data: Bytes, number: usize) -> Self {
        let part = Entry::new(data, self.arrival, self.sequence_number);
        Entry { sub_sequence_number: u32::try_from(number).unwrap_or(u32::MAX), ..part }
    }
}

/// Records that go into one object.
pub(super) struct Batch {
    pub entries: Vec<Entry>,
    /// Before compression, with delimiters.
    pub bytes: usize,
    /// Arrival of the oldest record.
    pub oldest: Time,
    /// When the first record was buffered.
    pub since: Time,
}

/// A buffer; the shards of the source share it.
#[derive(Default)]
pub(super) struct Buffer(Option<Batch>);

impl Buffer {
    /// Adds a record that takes `bytes` in the object. Answers how large the buffer is now.
    pub fn push(&mut self, entry: Entry, bytes: usize, now: Time) -> usize {
        let oldest = entry.arrival;
        let batch = self.0.get_or_insert_with(|| Batch { entries: Vec::new(), bytes: 0, oldest, since: now });
        batch.oldest = batch.oldest.min(oldest);
        batch.bytes += bytes;
        batch.entries.push(entry);
        batch.bytes
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |batch| batch.bytes)
    }

    /// How many records wait.
    pub fn records(&self) -> u64 {
        self.0.as_ref().map_or(0, |batch| batch.entries.len() as u64)
    }

    /// When its first record came, if there is one.
    pub fn since(&self) -> Option<Time> {
        self.0.as_ref().map(|batch| batch.since)
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Option<Batch> {
        self.0.take()
    }
}
