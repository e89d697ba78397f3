//! One lane of a shard: records in their order, the batches at their front, and what becomes of a batch that fails.
//!
//! A shard has as many lanes as the mapping's ParallelizationFactor says; the records of a partition key are always in the
//! same lane, and a lane has one batch in flight at most.
//!
//! A batch whose function fails is delivered again after a wait, or is split where the mapping says so, until its attempts
//! are used up or its records are too old; then it is given up: it goes to the mapping's failure destination, and only
//! then the lane goes on. Splitting costs no attempt (Lambda guide, "Retain discarded batch records": splitting batches
//! does not consume the retry quota). Unverified: a batch of which a part is done begins to count anew; halves are
//! delivered after the first wait; a batch that says that its very first record failed is halved like one that failed
//! whole.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{EventTemplate, event_bytes};
use super::failure::{Condition, GivenUp, Last};
use super::mapping::Mapping;
use crate::core::ports::StreamRecord;
use world::time::Time;

/// First wait before a batch is delivered again; it doubles with each failure that makes no progress. AWS does not
/// publish it: unverified.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest wait before a batch is delivered again: unverified.
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// A record that was read and is not processed yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub record: StreamRecord,
    /// Position within the shard.
    pub offset: u64,
    /// Bytes that it takes in an event.
    pub bytes: usize,
    pub read_at: Time,
}

/// What a batch waits for.
#[derive(Debug)]
enum Step {
    /// To be delivered, from an instant on.
    Due(Time),
    /// The end of its invocation.
    InFlight,
    /// To be told to the failure destination, from an instant on.
    GivenUp(Time, Box<GivenUp>),
}

/// Some records at the front of a lane, behind those of the batches before it.
#[derive(Debug)]
struct Batch {
    records: usize,
    bytes: usize,
    step: Step,
    /// The next wait.
    delay: Duration,
    /// Whether it was to be invoked before, with or without success.
    tried: bool,
    /// Invocations that had it, without those that ended in a split.
    attempts: u64,
    /// The last of them.
    last: Option<Last>,
}

/// A batch to deliver now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Records, from the front of the lane.
    pub records: usize,
    /// Their bytes in an event.
    pub bytes: usize,
    /// Which attempt it is, from 1.
    pub attempt: u64,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Deliver(Delivery),
    /// Tell the failure destination of the first batch.
    Tell,
}

/// What became of a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It comes again.
    Again,
    /// It was split in two.
    Split,
    /// It is given up.
    GivenUp,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pending: VecDeque<Pending>,
    bytes: usize,
    /// In order; they cover records at the front. New batches form only when there is none.
    batches: VecDeque<Batch>,
}

impl Batch {
    fn new(records: usize, bytes: usize, due: Time) -> Self {
        Batch { records, bytes, step: Step::Due(due), delay: RETRY_FIRST, tried: false, attempts: 0, last: None }
    }

    /// Waits before the next try, longer each time.
    fn wait(&mut self, now: Time) -> Time {
        let until = now + self.delay;
        self.delay = (self.delay * 2).min(RETRY_LONGEST);
        until
    }
}

impl Lane {
    /// Takes a record that was read.
    pub fn push(&mut self, pending: Pending) {
        self.bytes += pending.bytes;
        self.pending.push_back(pending);
    }

    /// Records that are not done.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Records that are read and in no batch, and their bytes in an event.
    pub fn waiting(&self) -> (usize, usize) {
        let in_batches = self.batches.iter().fold((0, 0), |(r, b), batch| (r + batch.records, b + batch.bytes));
        (self.pending.len() - in_batches.0, self.bytes - in_batches.1)
    }

    /// Whether a batch is with the function or on its way to the failure destination.
    pub fn is_busy(&self) -> bool {
        self.batches.iter().any(|batch| !matches!(batch.step, Step::Due(_)))
    }

    /// Gives back the records, none of which is in flight.
    pub fn dissolve(&mut self) -> VecDeque<Pending> {
        self.batches.clear();
        self.bytes = 0;
        std::mem::take(&mut self.pending)
    }

    /// What is to be done now: something for a batch whose wait is over, or for a new one that is full or whose window is
    /// over.
    pub fn task(&mut self, now: Time, mapping: &Mapping) -> Option<Task> {
        if self.batches.is_empty() {
            let (records, bytes) = self.new_batch(now, mapping)?;
            let mut batch = Batch::new(records, bytes, now);
            if event_bytes(bytes) > mapping.payload_max {
                batch.step = Step::GivenUp(now, Box::new(GivenUp::new(Condition::PayloadTooLarge, now, 0, None)));
            }
            self.batches.push_back(batch);
        }
        self.give_up_what_is_too_old(now, mapping);
        let batch = self.batches.front()?;
        match batch.step {
            Step::Due(at) if at <= now => {
                let attempt = batch.attempts + 1;
                Some(Task::Deliver(Delivery { records: batch.records, bytes: batch.bytes, attempt }))
            }
            Step::GivenUp(at, _) if at <= now => Some(Task::Tell),
            _ => None,
        }
    }

    fn new_batch(&self, now: Time, mapping: &Mapping) -> Option<(usize, usize)> {
        let oldest = self.pending.front()?;
        let full = self.pending.len() >= mapping.batch_size || event_bytes(self.bytes) > mapping.payload_max;
        if !full && now < oldest.read_at + mapping.window {
            return None;
        }
        let (mut records, mut bytes) = (0, 0);
        for pending in self.pending.iter().take(mapping.batch_size) {
            // A record that is too large for any event stands alone.
            if records > 0 && event_bytes(bytes + pending.bytes) > mapping.payload_max {
                break;
            }
            records += 1;
            bytes += pending.bytes;
            if event_bytes(bytes) > mapping.payload_max {
                break;
            }
        }
        Some((records, bytes))
    }

    /// Records at the front of the first batch that are older than the mapping allows become a batch of their own that is
    /// given up.
    fn give_up_what_is_too_old(&mut self, now: Time, mapping: &Mapping) {
        let Some(most) = mapping.age_max else { return };
        let Some(batch) = self.batches.front() else { return };
        if !matches!(batch.step, Step::Due(_)) {
            return;
        }
        let in_batch = self.pending.iter().take(batch.records);
        let old = in_batch.take_while(|pending| now.since(pending.record.arrival) > most).count();
        if old == 0 {
            return;
        }
        self.split_first(old);
        let batch = self.batches.front_mut().expect("it was split just now");
        let given_up = GivenUp::new(Condition::RecordAgeExceeded, now, batch.attempts, batch.last.clone());
        batch.step = Step::GivenUp(now, Box::new(given_up));
        batch.delay = RETRY_FIRST;
    }

    /// Splits the first batch behind `records` of its records; nothing happens where it has no more.
    fn split_first(&mut self, records: usize) {
        let bytes = self.pending.iter().take(records).map(|pending| pending.bytes).sum();
        let Some(first) = self.batches.front_mut().filter(|batch| records < batch.records) else { return };
        let due = match first.step {
            Step::Due(at) => at,
            _ => unreachable!("a batch is split while it waits"),
        };
        let mut rest = Batch::new(first.records - records, first.bytes - bytes, due);
        rest.tried = first.tried;
        rest.attempts = first.attempts;
        rest.delay = first.delay;
        rest.last.clone_from(&first.last);
        (first.records, first.bytes) = (records, bytes);
        self.batches.insert(1, rest);
    }

    /// The records at the front.
    pub fn records(&self, count: usize) -> impl Iterator<Item = &StreamRecord> {
        self.pending.iter().take(count).map(|pending| &pending.record)
    }

    /// Records of the first batch.
    pub fn batch_records(&self) -> usize {
        self.batches.front().map_or(0, |batch| batch.records)
    }

    /// Bytes of the first batch in an event.
    pub fn batch_bytes(&self) -> usize {
        self.batches.front().map_or(0, |batch| batch.bytes)
    }

    /// Position within the first batch of a sequence number.
    pub fn position_in_batch(&self, sequence_number: u128) -> Option<usize> {
        let batch = self.batch_records();
        let found = self.pending.binary_search_by_key(&sequence_number, |pending| pending.record.sequence_number);
        found.ok().filter(|position| *position < batch)
    }

    /// Arrival of the oldest record of a first batch that failed or was throttled before.
    pub fn oldest_retried(&self) -> Option<Time> {
        let retried = self.batches.front().is_some_and(|batch| batch.tried);
        self.pending.front().filter(|_| retried).map(|pending| pending.record.arrival)
    }

    /// How many records of the first batch lie before a position of the shard.
    pub fn before(&self, offset: u64) -> usize {
        self.pending.iter().take(self.batch_records()).take_while(|pending| pending.offset < offset).count()
    }

    /// An invocation has the first batch.
    pub fn started(&mut self) {
        let batch = self.batches.front_mut().expect("a batch was to be delivered");
        batch.step = Step::InFlight;
        batch.tried = true;
        batch.attempts += 1;
    }

    /// The first `records` of the first batch are done.
    pub fn advance(&mut self, records: usize) {
        let bytes = self.pending.drain(..records).map(|done| done.bytes).sum::<usize>();
        self.bytes -= bytes;
        if let Some(batch) = self.batches.front_mut() {
            batch.records -= records;
            batch.bytes -= bytes;
            if batch.records == 0 {
                self.batches.pop_front();
            }
        }
    }

    /// All of the first batch is done.
    pub fn finish_batch(&mut self) {
        self.advance(self.batch_records());
    }

    /// The first batch could not be delivered to the function, which costs no attempt: it comes again until its records expire
    /// or are too old (Lambda guide, "Retain discarded batch records").
    pub fn not_delivered(&mut self, now: Time) {
        let batch = self.batches.front_mut().expect("a batch was to be delivered");
        batch.tried = true;
        batch.step = Step::Due(batch.wait(now));
    }

    /// The invocation that had the first batch failed, except for the first `done` records.
    pub fn failed(&mut self, now: Time, mapping: &Mapping, done: usize, last: Last) -> Fate {
        self.advance(done);
        let batch = self.batches.front_mut().expect("not all of it is done");
        batch.last = Some(last);
        if done > 0 {
            batch.delay = RETRY_FIRST;
            batch.attempts = 1;
        }
        if mapping.bisects && (done > 0 || batch.records > 1) {
            // The invocation that ended in a split costs no attempt.
            batch.attempts -= 1;
            batch.delay = RETRY_FIRST;
            batch.step = Step::Due(batch.wait(now));
            if done == 0 {
                self.split_first(self.batch_records() / 2);
            }
            return Fate::Split;
        }
        if mapping.retries_max.is_some_and(|most| batch.attempts > most) {
            let given_up = GivenUp::new(Condition::RetryAttemptsExhausted, now, batch.attempts, batch.last.clone());
            batch.step = Step::GivenUp(now, Box::new(given_up));
            batch.delay = RETRY_FIRST;
            return Fate::GivenUp;
        }
        batch.step = Step::Due(batch.wait(now));
        Fate::Again
    }

    /// The first batch, when it is given up.
    pub fn given_up(&mut self) -> Option<&mut GivenUp> {
        match &mut self.batches.front_mut()?.step {
            Step::GivenUp(_, given_up) => Some(given_up),
            _ => None,
        }
    }

    /// The failure destination could not be told of the first batch.
    pub fn not_told(&mut self, now: Time) {
        let batch = self.batches.front_mut().expect("a batch was given up");
        let until = batch.wait(now);
        if let Step::GivenUp(at, _) = &mut batch.step {
            *at = until;
        }
    }

    /// Works out again how much of an event each record takes.
    pub fn measure(&mut self, template: &EventTemplate, shard_id: &str) {
        for pending in &mut self.pending {
            pending.bytes = template.record_bytes(shard_id, &pending.record);
        }
        self.bytes = self.pending.iter().map(|pending| pending.bytes).sum();
        let mut rest = self.pending.iter();
        for batch in &mut self.batches {
            batch.bytes = rest.by_ref().take(batch.records).map(|pending| pending.bytes).sum();
        }
    }

    /// Forgets what was read; an invocation that has a batch still ends.
    pub fn forget(&mut self) {
        let in_flight = self.batches.front().is_some_and(|batch| matches!(batch.step, Step::InFlight));
        self.batches.truncate(usize::from(in_flight));
        self.pending.truncate(self.batch_records());
        self.bytes = self.batch_bytes();
    }

    /// When the failure destination is to be told next.
    pub fn telling(&self) -> Option<Time> {
        match &self.batches.front()?.step {
            Step::GivenUp(at, _) => Some(*at),
            Step::Due(_) | Step::InFlight => None,
        }
    }

    /// When something is to be done next without an answer from outside.
    pub fn next_due(&self, mapping: &Mapping) -> Option<Time> {
        match self.batches.front() {
            Some(batch) => match &batch.step {
                Step::Due(at) | Step::GivenUp(at, _) => Some(*at),
                Step::InFlight => None,
            },
            None => self.pending.front().map(|oldest| oldest.read_at + mapping.window),
        }
    }
}
