//! The poller of one shard: what it has read, the batch that it is delivering, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::event::event_bytes;
use super::mapping::Mapping;
use crate::core::ports::{ReadBatch, ShardCursor, StartingPosition, StreamRecord, Streams};
use crate::core::{AwsError, Cx};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;

/// How often a shard is read: Lambda's base rate.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Most records of one read (Kinesis facts, "Reads").
const READ_RECORDS_MAX: usize = 10_000;

/// First wait before a batch is delivered again; it doubles with each failure that makes no progress. AWS does not
/// publish it: unverified.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest wait before a batch is delivered again: unverified.
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// No stream keeps records for a shorter time (Kinesis facts, "Capacity"): younger records cannot have expired.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 3_600);

/// Where a poller stands in its shard.
#[derive(Debug)]
enum Position {
    /// Not looked up yet.
    Start(StartingPosition),
    /// Reads on from here.
    At(ShardCursor),
    /// The shard is closed and read to its end.
    End,
}

/// A record that was read and is not processed yet.
#[derive(Debug)]
struct Pending {
    record: StreamRecord,
    /// Position within the shard.
    offset: u64,
    /// Bytes that it takes in an event.
    bytes: usize,
    read_at: Time,
}

/// The batch at the front of what was read.
#[derive(Clone, Copy, Debug)]
struct Batch {
    records: usize,
    bytes: usize,
    /// When it is delivered again; nothing while an invocation has it.
    retry_at: Option<Time>,
    /// The next wait.
    delay: Duration,
    /// Invocations that had it.
    attempts: u64,
}

/// A batch to deliver now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Records, from the front of what was read.
    pub records: usize,
    /// Their bytes in an event.
    pub bytes: usize,
    /// Which attempt it is, from 1.
    pub attempt: u64,
}

/// What one read brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    /// Records.
    pub records: usize,
    /// Records among them that no event can hold.
    pub too_large: usize,
}

/// The poller of one shard.
#[derive(Debug)]
pub(super) struct Poller {
    /// Position of its mapping in the list of all mappings.
    pub mapping: usize,
    pub shard_id: Arc<str>,
    /// Earliest wake-up that was asked for and has not come.
    pub asked: Time,
    position: Position,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    batch: Option<Batch>,
    next_poll: Time,
    finished: bool,
}

impl Poller {
    /// A poller that reads `shard_id` for the first time at `first_poll`.
    pub fn new(mapping: usize, shard_id: Arc<str>, start: StartingPosition, first_poll: Time) -> Self {
        Poller {
            mapping,
            shard_id,
            asked: Time::MAX,
            position: Position::Start(start),
            pending: VecDeque::new(),
            pending_bytes: 0,
            batch: None,
            next_poll: first_poll,
            finished: false,
        }
    }

    /// Records that are read and in no batch, and their bytes in an event.
    fn waiting(&self) -> (usize, usize) {
        let (records, bytes) = self.batch.map_or((0, 0), |batch| (batch.records, batch.bytes));
        (self.pending.len() - records, self.pending_bytes - bytes)
    }

    /// Records of the shard that are not done: what was read, and what `unread` says of the rest.
    pub fn waiting_in_all(&self, unread: impl Fn(Option<u64>) -> u64) -> u64 {
        let rest = match &self.position {
            Position::Start(_) => unread(None),
            Position::At(cursor) => unread(Some(cursor.offset)),
            Position::End => 0,
        };
        self.pending.len() as u64 + rest
    }

    /// Whether less than a whole batch waits. This bounds what is kept in memory: one batch that is delivered, one
    /// that waits, and one read.
    fn has_room(&self, mapping: &Mapping) -> bool {
        let (records, bytes) = self.waiting();
        !matches!(self.position, Position::End) && records < mapping.batch_size && bytes < mapping.payload_max
    }

    /// Whether the shard is to be read now.
    pub fn wants_read(&self, now: Time, mapping: &Mapping) -> bool {
        now >= self.next_poll && self.has_room(mapping)
    }

    /// Reads the shard once. After a failure, throttling included, it is read again at the base rate.
    pub fn read(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, mapping: &Mapping) -> Result<Read, AwsError> {
        self.next_poll = cx.now + POLL_INTERVAL;
        let (waiting, _) = self.waiting();
        let cursor = match &self.position {
            Position::Start(start) => streams.cursor(cx, &mapping.stream, &self.shard_id, *start)?,
            Position::At(cursor) => cursor.clone(),
            Position::End => return Ok(Read::default()),
        };
        let most = READ_RECORDS_MAX - waiting.min(READ_RECORDS_MAX - 1);
        let batch = cx.called("kinesis", "GetRecords", &mapping.stream, |cx| streams.get_records(cx, &cursor, most));
        // What LATEST meant is settled by the first look-up, even when the read fails.
        self.position = Position::At(cursor.clone());
        let batch = batch?;
        let first_offset = self.first_offset(cx, streams, mapping, &cursor, &batch)?;
        if first_offset > cursor.offset {
            cx.trace.mark(cx.now, mark::RECORDS_EXPIRED, &self.shard_id);
        }
        self.position = batch.next.map_or(Position::End, Position::At);
        let mut read = Read { records: batch.records.len(), too_large: 0 };
        for (offset, record) in (first_offset..).zip(batch.records) {
            if cx.trace.carries(&record.data) {
                cx.trace.hop(cx.now, Stage::Function, &mapping.function, || {
                    format!("its reader takes it from {} of {}", self.shard_id, mapping.stream)
                });
            }
            let bytes = mapping.template.record_bytes(&self.shard_id, &record);
            if event_bytes(bytes) > mapping.payload_max {
                read.too_large += 1;
                continue;
            }
            self.pending_bytes += bytes;
            self.pending.push_back(Pending { record, offset, bytes, read_at: cx.now });
        }
        Ok(read)
    }

    /// Position of the first record of a read. A cursor may lie before the oldest record that is kept.
    fn first_offset(
        &self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        mapping: &Mapping,
        cursor: &ShardCursor,
        batch: &ReadBatch,
    ) -> Result<u64, AwsError> {
        if batch.records.is_empty() {
            return Ok(cursor.offset);
        }
        match &batch.next {
            Some(next) => Ok(next.offset - batch.records.len() as u64),
            None => {
                let oldest = streams.cursor(cx, &mapping.stream, &self.shard_id, StartingPosition::TrimHorizon)?;
                Ok(cursor.offset.max(oldest.offset))
            }
        }
    }

    /// The batch to deliver now, if there is one: a failed one whose wait is over, or a new one that is full or whose
    /// window is over.
    pub fn delivery(&mut self, now: Time, mapping: &Mapping) -> Option<Delivery> {
        if self.batch.is_none() {
            let (records, bytes) = self.new_batch(now, mapping)?;
            self.batch = Some(Batch { records, bytes, retry_at: Some(now), delay: RETRY_FIRST, attempts: 0 });
        }
        let batch = self.batch.as_ref()?;
        let due = batch.retry_at.is_some_and(|at| at <= now);
        due.then(|| Delivery { records: batch.records, bytes: batch.bytes, attempt: batch.attempts + 1 })
    }

    fn new_batch(&self, now: Time, mapping: &Mapping) -> Option<(usize, usize)> {
        let oldest = self.pending.front()?;
        let full = self.pending.len() >= mapping.batch_size || event_bytes(self.pending_bytes) > mapping.payload_max;
        if !full && now < oldest.read_at + mapping.window {
            return None;
        }
        let (mut records, mut bytes) = (0, 0);
        for pending in self.pending.iter().take(mapping.batch_size) {
            if event_bytes(bytes + pending.bytes) > mapping.payload_max {
                break;
            }
            records += 1;
            bytes += pending.bytes;
        }
        Some((records, bytes))
    }

    /// Whether a batch that failed before may hold records that the stream no longer keeps.
    pub fn may_have_expired(&self, now: Time) -> bool {
        let retried = self.batch.is_some_and(|batch| batch.attempts > 0);
        let oldest = self.pending.front();
        retried && oldest.is_some_and(|pending| now.since(pending.record.arrival) >= RETENTION_MIN)
    }

    /// Gives up the records of the batch that the stream no longer keeps, and says how many.
    pub fn expire(&mut self, cx: &mut Cx<'_>, streams: &dyn Streams, mapping: &Mapping) -> Result<usize, AwsError> {
        let oldest = streams.cursor(cx, &mapping.stream, &self.shard_id, StartingPosition::TrimHorizon)?.offset;
        let batch = self.batch_records();
        let expired = self.pending.iter().take(batch).take_while(|pending| pending.offset < oldest).count();
        self.advance(expired);
        Ok(expired)
    }

    /// The records at the front of what was read.
    pub fn records(&self, count: usize) -> impl Iterator<Item = &StreamRecord> {
        self.pending.iter().take(count).map(|pending| &pending.record)
    }

    /// Records of the batch.
    pub fn batch_records(&self) -> usize {
        self.batch.map_or(0, |batch| batch.records)
    }

    /// Position within the batch of a sequence number.
    pub fn position_in_batch(&self, sequence_number: u128) -> Option<usize> {
        let batch = self.batch?.records;
        let found = self.pending.binary_search_by_key(&sequence_number, |pending| pending.record.sequence_number);
        found.ok().filter(|position| *position < batch)
    }

    /// An invocation has the batch.
    pub fn started(&mut self) {
        let batch = self.batch.as_mut().expect("a batch was to be delivered");
        batch.retry_at = None;
        batch.attempts += 1;
    }

    /// The first `records` of the batch are done.
    pub fn advance(&mut self, records: usize) {
        let mut bytes = 0;
        for done in self.pending.drain(..records) {
            bytes += done.bytes;
        }
        self.pending_bytes -= bytes;
        if let Some(batch) = &mut self.batch {
            batch.records -= records;
            batch.bytes -= bytes;
            if records > 0 {
                batch.delay = RETRY_FIRST;
            }
            if batch.records == 0 {
                self.batch = None;
            }
        }
    }

    /// All of the batch is done.
    pub fn finish_batch(&mut self) {
        self.advance(self.batch_records());
    }

    /// The batch is to be delivered again, after a wait.
    pub fn retry(&mut self, now: Time) {
        let batch = self.batch.as_mut().expect("a batch was to be delivered");
        batch.retry_at = Some(now + batch.delay);
        batch.delay = (batch.delay * 2).min(RETRY_LONGEST);
    }

    /// Works out again how much of an event each record takes: the mapping has another template.
    pub fn measure(&mut self, mapping: &Mapping) {
        let shard_id = self.shard_id.clone();
        for pending in &mut self.pending {
            pending.bytes = mapping.template.record_bytes(&shard_id, &pending.record);
        }
        self.pending_bytes = self.pending.iter().map(|pending| pending.bytes).sum();
        let of_batch = self.pending.iter().take(self.batch_records()).map(|pending| pending.bytes).sum();
        if let Some(batch) = &mut self.batch {
            batch.bytes = of_batch;
        }
    }

    /// Forgets what was read; an invocation that has the batch still ends.
    pub fn forget(&mut self) {
        self.pending.truncate(self.batch_records());
        self.pending_bytes = self.pending.iter().map(|pending| pending.bytes).sum();
        self.position = Position::End;
        self.finished = true;
    }

    /// Whether the shard has just been processed to its end. True until [`Poller::set_finished`].
    pub fn is_at_end(&self) -> bool {
        !self.finished && matches!(self.position, Position::End) && self.pending.is_empty()
    }

    /// Nothing more comes from this shard.
    pub fn set_finished(&mut self) {
        self.finished = true;
    }

    /// Looks at the shard again at the base rate, for what could not be done now.
    pub fn postpone(&mut self, now: Time) {
        self.next_poll = now + POLL_INTERVAL;
    }

    /// When something is to be done next without an answer from outside.
    pub fn next_due(&self, mapping: &Mapping) -> Option<Time> {
        let batch = match &self.batch {
            Some(batch) => batch.retry_at,
            None => self.pending.front().map(|oldest| oldest.read_at + mapping.window),
        };
        let poll = (self.has_room(mapping) || self.is_at_end()).then_some(self.next_poll);
        batch.into_iter().chain(poll).min()
    }
}
