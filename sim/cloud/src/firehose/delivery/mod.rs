//! Deliveries of one lane: what is on its way to S3, in order. A delivery that fails, by a fault of S3 or because S3 or
//! KMS refuses the role, is tried again, and those behind it wait, so that records of a shard never overtake one another.
//! An object keeps its key and its format when the configuration changes before it is written; it goes to the bucket and
//! in the role of the new one.

mod context;
mod objects;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub(super) use self::context::Context;
use super::Ports;
use super::buffer::{Batch, Entry};
use super::config::Config;
use super::errors::{ErrorType, Why};
use crate::core::{AwsError, Cx};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::Level;

/// The pause after a failed attempt, doubled by each further one. Not published by AWS.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. Not published by AWS.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long an upload takes, at least and for each byte: 50 MB a second. Not published by AWS.
const UPLOAD: Duration = Duration::from_millis(50);
const UPLOAD_NANOS_PER_BYTE: u64 = 20;

/// What a lane still has to deliver.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Delivery>,
    /// Attempts at the first delivery that failed in a row, and when the first of them did.
    failures: u32,
    failing_since: Option<Time>,
    state: State,
    /// Attempts at encoding that failed in a row, and before when none is made again.
    refusals: u32,
    encode_at: Option<Time>,
}

/// What becomes of the first object.
#[derive(Clone, Copy, Default)]
enum State {
    /// Nothing yet.
    #[default]
    Idle,
    /// It has arrived at this instant.
    Uploading(Time),
    /// It is tried again at this instant.
    Waiting(Time),
}

struct Delivery {
    /// When its oldest record arrived.
    oldest: Time,
    /// When its first record was buffered.
    since: Time,
    /// Records of its objects, while they may still go to the error output, and their size.
    entries: Vec<Entry>,
    entries_bytes: usize,
    work: Work,
}

enum Work {
    /// Records that are not encoded yet.
    Records(Batch),
    /// Objects to write, in order.
    Objects(VecDeque<Object>),
}

struct Object {
    key: String,
    body: Bytes,
    records: u64,
    /// Bytes of its records as they came.
    source_bytes: u64,
    /// Whether it holds records, not errors.
    data: bool,
    /// What makes its key unlike all others.
    id: String,
    /// Whether its records lie under another key already, of which Firehose has not heard.
    repeated: bool,
    /// Whether it holds the reading under the spotlight.
    lit: bool,
}

impl Object {
    /// An attempt whose answer was lost has written the object. The next one writes its records again, under a key of its
    /// own: deliveries are at least once. (Whether Firehose takes another key then is unverified.)
    fn repeat(&mut self, cx: &mut Cx<'_>) {
        let id = cx.uuid();
        self.key = self.key.replacen(&self.id, &id, 1);
        self.id = id;
        self.repeated = true;
    }
}

/// Records that could not be delivered, and why.
pub(super) type GivenUp = Vec<(Entry, Why)>;

impl Outbox {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.queue.iter().map(Delivery::bytes).sum()
    }

    /// Bytes of memory that what waits takes: objects, and the records that may still go to the error output.
    pub fn held(&self) -> usize {
        self.queue.iter().map(|delivery| delivery.bytes() + delivery.entries_bytes).sum()
    }

    /// Records that wait, errors included.
    pub fn records(&self) -> u64 {
        self.queue.iter().map(Delivery::records).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When something is to be done, in the past when it is to be done now.
    pub fn due(&self) -> Option<Time> {
        let first = match self.state {
            State::Idle => self.queue.front().map(|delivery| delivery.since),
            State::Uploading(at) | State::Waiting(at) => Some(at),
        };
        // What is not encoded stands last: it is encoded at once, or after the pause of a failure.
        let last = self.queue.back().filter(|delivery| matches!(delivery.work, Work::Records(_)));
        let encode = last.map(|delivery| self.encode_at.unwrap_or(delivery.since));
        [first, encode].into_iter().flatten().min()
    }

    /// Puts a batch at the end.
    pub fn push(&mut self, batch: Batch) {
        let (oldest, since) = (batch.oldest, batch.since);
        let work = Work::Records(batch);
        self.queue.push_back(Delivery { oldest, since, entries: Vec::new(), entries_bytes: 0, work });
    }

    /// Delivers what can be delivered now. Answers the records that are given up for the error output.
    pub fn drive(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, context: &mut Context<'_>) -> GivenUp {
        let mut given_up = Vec::new();
        let mut refused = self.encode(cx, ports, context).err();
        while let Some(delivery) = self.queue.front_mut() {
            let result = match self.state {
                State::Uploading(at) | State::Waiting(at) if at > cx.now => break,
                State::Uploading(_) => context.put(cx, ports, delivery),
                State::Idle | State::Waiting(_) if matches!(delivery.work, Work::Records(_)) => match refused.take() {
                    Some(error) => Err(error),
                    None => {
                        self.state = State::Waiting(self.encode_at.unwrap_or(cx.now));
                        break;
                    }
                },
                State::Idle | State::Waiting(_) if delivery.is_done() => Ok(()),
                State::Idle | State::Waiting(_) => {
                    self.state = State::Uploading(cx.now + delivery.upload());
                    continue;
                }
            };
            self.state = State::Idle;
            match result {
                Ok(()) => {
                    (self.failures, self.failing_since) = (0, None);
                    if delivery.is_done() {
                        self.queue.pop_front();
                    }
                }
                Err(error) => given_up.extend(self.failed(cx, context, &error)),
            }
        }
        given_up
    }

    /// Encodes what waits, so that memory stays bounded: the records themselves can be given up. After a failure it is not
    /// tried again before its pause is over.
    fn encode(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, context: &mut Context<'_>) -> Result<(), AwsError> {
        if self.encode_at.is_some_and(|at| at > cx.now) {
            return Ok(());
        }
        for delivery in &mut self.queue {
            if let Err(error) = context.encode(cx, ports, delivery) {
                self.refusals += 1;
                self.encode_at = Some(cx.now + pause(self.refusals));
                return Err(error);
            }
        }
        (self.refusals, self.encode_at) = (0, None);
        Ok(())
    }

    /// The first delivery has failed: it is tried again, or given up.
    fn failed(&mut self, cx: &mut Cx<'_>, context: &Context<'_>, error: &AwsError) -> GivenUp {
        let name = &context.config.name;
        let Some(delivery) = self.queue.front() else { return Vec::new() };
        trace_failure(cx, context.config, error);
        context.measure_age(cx, delivery.oldest);
        if matches!(&delivery.work, Work::Objects(objects) if objects.iter().any(|object| object.lit)) {
            cx.trace.hop(cx.now, Stage::Buffer, name, || format!("cannot write it: {error}"));
        }
        self.failures += 1;
        let failing_since = *self.failing_since.get_or_insert(cx.now);
        let is_over = context.retry.is_some_and(|retry| cx.now.since(failing_since) >= retry);
        let is_lost = context.kept.is_some_and(|kept| cx.now.since(delivery.oldest) > kept);
        // Errors are written whatever it takes, but hold up no records for longer than records would.
        let is_errors = delivery.is_errors();
        if !is_lost && (!is_over || is_errors) {
            if is_over && self.queue.len() > 1 {
                self.queue.rotate_left(1);
                (self.failures, self.failing_since) = (0, None);
            }
            self.state = State::Waiting(cx.now + pause(self.failures.max(1)));
            return Vec::new();
        }
        let attempts = self.failures;
        (self.failures, self.failing_since) = (0, None);
        let Some(delivery) = self.queue.pop_front() else { return Vec::new() };
        if is_lost {
            let (records, bytes) = (delivery.records(), delivery.bytes() as u64);
            // AWS has no metric of it.
            cx.meter.add("firehose", "LostRecords", records);
            cx.trace.mark(cx.now, mark::DELIVERY_EXPIRED, name);
            let fields = [("lost_records", records.into()), ("lost_bytes", bytes.into())];
            cx.trace.event(Level::Call, cx.now, "firehose", "lost", name, &fields);
            return Vec::new();
        }
        // Neither the code nor the text is known: unverified.
        let why = Why {
            kind: ErrorType::Delivery,
            code: format!("S3.{}", error.code),
            message: error.message.clone(),
            attempts,
            function: None,
        };
        let Delivery { mut entries, work, oldest, since, .. } = delivery;
        match work {
            Work::Records(batch) => entries = batch.entries,
            Work::Objects(mut objects) => {
                objects.retain(|object| !object.data);
                if !objects.is_empty() {
                    let work = Work::Objects(objects);
                    self.queue.push_back(Delivery { entries: Vec::new(), entries_bytes: 0, work, oldest, since });
                }
            }
        }
        entries.into_iter().map(|entry| (entry, why.clone())).collect()
    }
}

impl Delivery {
    fn bytes(&self) -> usize {
        match &self.work {
            Work::Records(batch) => batch.bytes,
            Work::Objects(objects) => objects.iter().map(|object| object.body.len()).sum(),
        }
    }

    fn records(&self) -> u64 {
        match &self.work {
            Work::Records(batch) => batch.entries.len() as u64,
            Work::Objects(objects) => objects.iter().map(|object| object.records).sum(),
        }
    }

    /// Whether all that it still has to write are errors.
    fn is_errors(&self) -> bool {
        matches!(&self.work, Work::Objects(objects) if objects.iter().all(|object| !object.data))
    }

    fn is_done(&self) -> bool {
        matches!(&self.work, Work::Objects(objects) if objects.is_empty())
    }

    /// How long the upload of its first object takes.
    fn upload(&self) -> Duration {
        let Work::Objects(objects) = &self.work else { return UPLOAD };
        let bytes = objects.front().map_or(0, |object| object.body.len() as u64);
        UPLOAD + Duration::from_micros(bytes * UPLOAD_NANOS_PER_BYTE / 1_000)
    }
}

/// The pause after so many failures in a row, from 1.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE)
}

fn trace_failure(cx: &Cx<'_>, config: &Config, error: &AwsError) {
    if error.is_of_disabled_key() {
        cx.trace.mark(cx.now, mark::WAITED_FOR_KEY, &config.name);
    }
    let fields = [("code", error.code.into()), ("message", error.message.as_str().into())];
    cx.trace.event(Level::Call, cx.now, "firehose", "delivery-failed", &config.name, &fields);
}
