//! What waits to be delivered: records as the source gave them, shared with it and not copied.

use std::time::Duration;

use bytes::Bytes;

use world::time::Time;

/// A record that waits.
pub(super) struct Entry {
    /// Payload.
    pub data: Bytes,
    /// When the source took it.
    pub arrival: Time,
    /// Its sequence number in the source.
    pub sequence_number: u128,
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

/// The one buffer of a delivery stream; the shards of its source share it.
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

    /// When its first record has waited for `interval`.
    pub fn deadline(&self, interval: Duration) -> Option<Time> {
        self.0.as_ref().map(|batch| batch.since + interval)
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Option<Batch> {
        self.0.take()
    }
}
