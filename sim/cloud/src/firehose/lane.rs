//! Lanes of a delivery stream: each buffers for itself and delivers in its own order.

use super::buffer::{Buffer, Entry};
use super::config::{Config, Sink};
use super::delivery::Outbox;
use super::errors::ErrorType;
use super::prefix::Partition;
use world::time::Time;

/// Which lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneKey {
    /// Records of a partition; all records when there are no partitions.
    Data(Partition),
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
        LaneKey::Data(Partition::none())
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
        if self.buffer_due(sink).is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    fn buffer_due(&self, sink: &Sink) -> Option<Time> {
        let since = self.buffer.since()?;
        let is_full = self.buffer.bytes() >= sink.size_bytes;
        Some(if is_full { since } else { since + sink.interval })
    }

    /// When something is to be done, in the past when it is to be done now.
    pub fn due(&self, sink: &Sink) -> Option<Time> {
        [self.buffer_due(sink), self.outbox.due()].into_iter().flatten().min()
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
