//! Deliveries of one lane: what is on its way to S3, in order. A delivery that fails, by a fault of S3 or because S3 or
//! KMS refuses the role, is tried again, and those behind it wait, so that records of a shard never overtake one another.
//! An object keeps its key and its format when the configuration changes before it is written; it goes to the bucket and
//! in the role of the new one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::Ports;
use super::buffer::{Batch, Entry};
use super::config::{Config, Encoding, Sink};
use super::convert::{Converter, error_object};
use super::encode;
use super::errors::{ErrorType, Why};
use super::lane::LaneKey;
use super::prefix::{fill, object_name};
use crate::core::{AwsError, Cx};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

/// The pause after a failed attempt, doubled by each further one. Not published by AWS.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. Not published by AWS.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long an upload takes, at least and for each byte: 50 MB a second. Not published by AWS.
const UPLOAD: Duration = Duration::from_millis(50);
const UPLOAD_NANOS_PER_BYTE: u64 = 20;

const CONTENT_TYPE: &str = "application/octet-stream";
const CONVERSION_FAILED: &str = "format-conversion-failed";
const RANDOM_STRING_CHARACTERS: usize = 11;

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

/// What goes into one object.
struct Part {
    prefix: String,
    /// Arrival of the oldest record.
    oldest: Time,
    body: Bytes,
    records: u64,
    source_bytes: u64,
    /// Whether it holds records, not errors.
    data: bool,
    /// Whether it holds the reading under the spotlight.
    lit: bool,
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
        match self.state {
            State::Idle => self.queue.front().map(|delivery| delivery.since),
            State::Uploading(at) | State::Waiting(at) => Some(at),
        }
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

/// What a lane delivers by.
pub(super) struct Context<'a> {
    pub config: &'a Config,
    pub sink: &'a Sink,
    pub converter: Option<&'a mut Converter>,
    pub version: u64,
    pub lane: &'a LaneKey,
    /// For how long after its arrival a record is kept.
    pub kept: Option<Duration>,
    /// For how long a delivery is tried before its records go to the error output.
    pub retry: Option<Duration>,
}

impl Context<'_> {
    fn object(&self, cx: &mut Cx<'_>, of: Part) -> Object {
        let Part { prefix: mut key, oldest, body, records, source_bytes, data, lit } = of;
        let id = cx.uuid();
        let extension = if data { &self.sink.extension } else { "" };
        key.push_str(&object_name(&self.config.name, self.version, oldest, &id, extension));
        Object { key, body, records, source_bytes, data, id, repeated: false, lit }
    }

    /// The prefix of an object of this lane.
    fn prefix(&self, cx: &mut Cx<'_>, oldest: Time) -> String {
        let random = &mut || random_string(cx);
        match self.lane {
            LaneKey::Errors(kind) => self.config.error_prefix.evaluate(oldest, kind.name(), random),
            LaneKey::Data(partition) if !partition.is_empty() => fill(partition, random),
            LaneKey::Data(_) | LaneKey::Backup => self.sink.prefix.evaluate(oldest, "", random),
        }
    }

    /// Turns records into objects, once. Fails when the table's schema cannot be read.
    fn encode(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, delivery: &mut Delivery) -> Result<(), AwsError> {
        let Work::Records(batch) = &mut delivery.work else { return Ok(()) };
        let (oldest, count) = (batch.oldest, batch.entries.len() as u64);
        let bytes: u64 = batch.entries.iter().map(|entry| u64::from(entry.source_bytes)).sum();
        let mut objects = VecDeque::with_capacity(1);
        let mut lit = cx.trace.is_lit() && batch.entries.iter().any(|entry| cx.trace.carries(&entry.data));
        let is_data = matches!(self.lane, LaneKey::Data(_));
        let (encoding, delimiter) = match self.lane {
            LaneKey::Data(_) => (&self.sink.encoding, &self.config.delimiter[..]),
            LaneKey::Backup => (&self.sink.encoding, &[][..]),
            LaneKey::Errors(_) => (&Encoding::Plain, &[][..]),
        };
        let entries;
        let data = match (encoding, &mut self.converter) {
            (Encoding::Parquet(_), Some(converter)) => {
                converter.refresh(cx, ports.catalog)?;
                let converted = converter.convert(std::mem::take(&mut batch.entries));
                let failed = converted.failures.len() as u64;
                cx.meter.add("firehose", "SucceedConversion.Records", count - failed);
                cx.meter.add("firehose", "SucceedConversion.Bytes", converted.read_bytes);
                if failed > 0 {
                    cx.meter.add("firehose", "FailedConversion.Records", failed);
                    cx.meter.add("firehose", "FailedConversion.Bytes", converted.failed_bytes);
                    let body = error_object(&converted.failures, converter.conversion(), cx);
                    let prefix =
                        self.config.error_prefix.evaluate(oldest, CONVERSION_FAILED, &mut || random_string(cx));
                    let refused = lit && converted.failures.iter().any(|f| cx.trace.carries(&f.entry.data));
                    lit &= !refused;
                    let source_bytes = converted.failed_bytes;
                    let part = Part { prefix, oldest, body, records: failed, source_bytes, data: false, lit: refused };
                    objects.push_back(self.object(cx, part));
                }
                entries = converted.entries;
                converted.body.map(|body| (body, count - failed, bytes.saturating_sub(converted.failed_bytes)))
            }
            (encoding, _) => {
                let body = encode::body(encoding, batch, delimiter);
                entries = std::mem::take(&mut batch.entries);
                Some((body, count, bytes))
            }
        };
        if self.retry.is_some() {
            delivery.entries_bytes = entries.iter().map(|entry| entry.data.len()).sum();
            delivery.entries = entries;
        }
        if let Some((body, records, source_bytes)) = data {
            let prefix = self.prefix(cx, oldest);
            let data = is_data || matches!(self.lane, LaneKey::Backup);
            objects.push_back(self.object(cx, Part { prefix, oldest, body, records, source_bytes, data, lit }));
        }
        delivery.work = Work::Objects(objects);
        Ok(())
    }

    /// Writes the first object.
    fn put(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, delivery: &mut Delivery) -> Result<(), AwsError> {
        let sink = self.sink;
        let Work::Objects(objects) = &mut delivery.work else { return Ok(()) };
        let Some(object) = objects.front_mut() else { return Ok(()) };
        let role = &mut cx.acting_as(&sink.role);
        if let Some(object_key) = &sink.object_key {
            role.use_key("kms:GenerateDataKey", object_key, "s3")?;
        }
        let put = role.called("s3", "PutObject", &sink.bucket, |cx| {
            ports.objects.put_object(cx, &sink.bucket, &object.key, object.body.clone(), CONTENT_TYPE)
        });
        if let Err(failed) = put {
            if failed.took_effect {
                object.repeat(cx);
            }
            return Err(failed.error);
        }
        if object.repeated {
            cx.trace.mark(cx.now, mark::DELIVERY_REPEATED, &self.config.name);
        }
        let freshness = cx.now.since(delivery.oldest).as_secs();
        let waited = cx.now.since(delivery.since).as_secs();
        self.measure(cx, object, freshness, waited);
        let fields = [
            ("stream", self.config.name.as_str().into()),
            ("records", object.records.into()),
            ("body", Field::Bytes(&object.body)),
        ];
        cx.trace.event(Level::Call, cx.now, "firehose", "deliver", &object.key, &fields);
        if object.lit {
            cx.trace.hop(cx.now, Stage::Object, &object.key, || {
                let what = if object.data { "is written with it" } else { "is written with it AS AN ERROR" };
                format!("{what} by {} into {}, {} records", self.config.name, sink.bucket, object.records)
            });
        }
        objects.pop_front();
        Ok(())
    }

    /// Counts an object. Records and bytes are those of the source, whatever the object became; errors count as delivered
    /// (both as another emulator found that says it probed AWS).
    fn measure(&self, cx: &mut Cx<'_>, object: &Object, freshness: u64, waited: u64) {
        let names = match self.lane {
            LaneKey::Backup => [
                "BackupToS3.Records",
                "BackupToS3.Bytes",
                "BackupToS3.Success",
                "BackupToS3.ObjectCount",
                "BackupToS3.DataFreshness",
            ],
            _ => [
                "DeliveryToS3.Records",
                "DeliveryToS3.Bytes",
                "DeliveryToS3.Success",
                "DeliveryToS3.ObjectCount",
                "DeliveryToS3.DataFreshness",
            ],
        };
        cx.meter.add("firehose", names[0], object.records);
        cx.meter.add("firehose", names[1], object.source_bytes);
        cx.meter.add("firehose", names[2], 1);
        cx.meter.add("firehose", names[3], 1);
        cx.meter.highest("firehose", names[4], freshness);
        if matches!(self.lane, LaneKey::Data(partition) if !partition.is_empty()) {
            cx.meter.highest("firehose", "PerPartitionThroughput", object.source_bytes / waited.max(1));
        }
    }
}

/// The pause after so many failures in a row, from 1.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE)
}

fn random_string(cx: &mut Cx<'_>) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..RANDOM_STRING_CHARACTERS).map(|_| char::from(ALPHABET[cx.ids.random_range(0..ALPHABET.len())])).collect()
}

fn trace_failure(cx: &Cx<'_>, config: &Config, error: &AwsError) {
    if error.is_of_disabled_key() {
        cx.trace.mark(cx.now, mark::WAITED_FOR_KEY, &config.name);
    }
    let fields = [("code", error.code.into()), ("message", error.message.as_str().into())];
    cx.trace.event(Level::Call, cx.now, "firehose", "delivery-failed", &config.name, &fields);
}
