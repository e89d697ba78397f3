//! Lanes of a delivery stream: each buffers for itself and delivers in its own order.

use std::sync::Arc;
use std::time::Duration;

use super::buffer::{Buffer, Entry};
use super::config::{Config, Sink};
use super::delivery::Outbox;
use super::errors::ErrorType;
use world::time::Time;

/// Which lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneKey {
    /// Records of a partition, by its prefix; of all records when there are no partitions.
    Data(Arc<str>),
    /// Source records.
    Backup,
    /// Records that could not be processed.
    Errors(ErrorType),
}

/// A lane.
#[derive(Default)]
pub(super) struct Lane {
    buffer: Buffer,
    pub outbox: Outbox,
}

impl LaneKey {
    /// The lane of records that have no partition.
    pub fn unpartitioned() -> Self {
        LaneKey::Data("".into())
    }

    /// Where its objects go; nowhere when there is no backup any more.
    pub fn sink<'c>(&self, config: &'c Config) -> &'c Sink {
        match self {
            LaneKey::Backup => config.backup.as_ref().unwrap_or(&config.main),
            LaneKey::Data(_) | LaneKey::Errors(_) => &config.main,
        }
    }
}

impl Lane {
    /// Buffers a record; a full buffer goes on its way.
    pub fn push(&mut self, entry: Entry, delimiter: usize, size: usize, now: Time) {
        let bytes = entry.data.len() + delimiter;
        if self.buffer.push(entry, bytes, now) >= size {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(batch) = self.buffer.take() {
            self.outbox.push(batch);
        }
    }

    /// Lets a buffer go that is old enough or, after a change, full.
    pub fn flush_due(&mut self, sink: &Sink, now: Time) {
        let is_old = self.buffer.deadline(sink.interval).is_some_and(|deadline| deadline <= now);
        if is_old || (self.buffer.bytes() >= sink.size_bytes && self.buffer.records() > 0) {
            self.flush();
        }
    }

    /// When something is to be done.
    pub fn due(&self, interval: Duration) -> Option<Time> {
        [self.buffer.deadline(interval), self.outbox.due()].into_iter().flatten().min()
    }

    /// Records that wait in the buffer.
    pub fn buffered(&self) -> u64 {
        self.buffer.records()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.buffer.bytes() + self.outbox.bytes()
    }

    /// Bytes of memory that what waits takes.
    pub fn held(&self) -> usize {
        self.buffer.bytes() + self.outbox.held()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.records() == 0 && self.outbox.is_empty()
    }
}
