//! One delivery stream: its source, what it does to records, and its lanes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::Ports;
use super::buffer::Entry;
use super::config::{Config, SourceConfig};
use super::convert::Converter;
use super::delivery::{Context, GivenUp};
use super::encryption::Encryption;
use super::errors::{self, ErrorType, Why};
use super::lane::{Lane, LaneKey};
use super::lifecycle::Status;
use super::prefix::Keys;
use super::source::{Source, Turn};
use super::subrecords;
use super::transform::{Pending, Transformed, Transformer};
use crate::core::ports::{Catalog, Streams};
use crate::core::{AwsError, Cx, Service, TokenBucket};
use crate::waiting::{ShardIds, Unread};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::Level;

/// `GetRecords` is called once a second a shard (guide: "Kinesis Data Streams as source").
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often a reader that is to stand still asks whether it still is.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// While more than this waits to be delivered, no more is read from a stream. Not published by AWS.
const HELD_BYTES_MAX: usize = 256 << 20;
/// How long a query takes for a record. Assumed: no clock runs here.
const QUERY_MICROS: u64 = 10;

const SLOT_DUE: u64 = 0;
pub(super) const SLOT_LIFE: u64 = 1;
const SLOT_READERS: u64 = 8;
const SLOT_BITS: u32 = 32;

pub(super) fn token(index: usize, slot: u64) -> u64 {
    ((index as u64) << SLOT_BITS) | slot
}

/// The stream and the slot that a wake-up is for.
pub(super) fn parse_token(token: u64) -> (usize, u64) {
    (usize::try_from(token >> SLOT_BITS).unwrap_or(usize::MAX), token & ((1 << SLOT_BITS) - 1))
}

/// Rates of direct puts.
pub(super) struct PutRates {
    pub requests: TokenBucket,
    pub records: TokenBucket,
    pub bytes: TokenBucket,
}

/// A record with what is known of its source.
struct Incoming {
    entry: Entry,
    /// The shard and the partition key of a record of Kinesis.
    source: Option<(Arc<str>, Arc<str>)>,
}

/// A delivery stream.
pub(super) struct DeliveryStream {
    pub config: Config,
    /// Counts changes of the configuration, from 1.
    pub version: u64,
    pub created: Time,
    /// When the configuration was last changed.
    pub updated: Option<Time>,
    pub status: Status,
    pub encryption: Encryption,
    pub tags: BTreeMap<String, String>,
    pub rates: PutRates,
    /// Records that were put directly so far.
    pub puts: u128,
    pub index: usize,
    source: Option<Source>,
    converter: Option<Converter>,
    transformer: Transformer,
    lanes: BTreeMap<LaneKey, Lane>,
    /// The lane of records without a partition.
    plain: LaneKey,
    /// Partitions that are active.
    partitions: u64,
    /// How long queries took, as far as no whole millisecond of it is counted.
    query_micros: u64,
    /// The wake-up that was asked for.
    armed: Option<Time>,
}

impl DeliveryStream {
    /// Records that wait here, by place.
    pub fn waiting(&self, unread: Unread<'_>, shards: ShardIds<'_>) -> [(String, u64); 3] {
        let name = &self.config.name;
        let source = self.source.as_ref().map_or(0, |source| source.unread(unread, shards));
        let (buffered, outbox) = self.held_records();
        [
            (format!("the stream that delivery {name} reads"), source),
            (format!("buffer of delivery {name}"), buffered),
            (format!("delivery {name}, to be written to S3"), outbox),
        ]
    }

    fn held_records(&self) -> (u64, u64) {
        let buffered: u64 = self.lanes.values().map(Lane::buffered).sum();
        (buffered + self.transformer.records(), self.lanes.values().map(|lane| lane.outbox.records()).sum())
    }

    /// Bytes of memory that what waits takes.
    fn held_bytes(&self) -> usize {
        self.lanes.values().map(Lane::held).sum::<usize>() + self.transformer.held()
    }

    /// Creates the stream that is number `index` of the account and starts its readers.
    pub fn create(
        cx: &mut Cx<'_>,
        streams: &dyn Streams,
        catalog: &mut dyn Catalog,
        config: Config,
        index: usize,
    ) -> Result<Self, AwsError> {
        let converter = converter(cx, catalog, &config)?;
        let source = match &config.source {
            SourceConfig::DirectPut { .. } => None,
            SourceConfig::Kinesis { stream, role, .. } => {
                Some(Source::at_latest(cx, streams, stream.clone(), role.clone())?)
            }
        };
        if config.is_direct_put() {
            cx.meter.highest("firehose", "RecordsPerSecondLimit", cx.limits.get("firehose", "direct_put_records"));
            cx.meter.highest("firehose", "PutRequestsPerSecondLimit", cx.limits.get("firehose", "direct_put_requests"));
            cx.meter.highest("firehose", "BytesPerSecondLimit", cx.limits.get("firehose", "direct_put_bytes"));
        }
        let rate = |name| cx.limits.bucket("firehose", name, cx.now);
        let rates = PutRates {
            requests: rate("direct_put_requests"),
            records: rate("direct_put_records"),
            bytes: rate("direct_put_bytes"),
        };
        let stream = DeliveryStream {
            encryption: Encryption::new(config.key.clone()),
            config,
            version: 1,
            created: cx.now,
            updated: None,
            status: Status::Active,
            tags: BTreeMap::new(),
            rates,
            puts: 0,
            index,
            converter,
            transformer: Transformer::default(),
            lanes: BTreeMap::new(),
            plain: LaneKey::unpartitioned(),
            partitions: 0,
            query_micros: 0,
            armed: None,
            source,
        };
        let readers = stream.source.as_ref().map_or(0, Source::len);
        (0..readers).for_each(|reader| stream.start_reader(cx, reader));
        Ok(stream)
    }

    /// Readers of different shards call at different fractions of a second.
    fn start_reader(&self, cx: &mut Cx<'_>, reader: usize) {
        let phase = Duration::from_micros(cx.rng.random_range(1..=1_000_000));
        self.wake_reader_at(cx, cx.now + phase, reader);
    }

    fn wake_reader_at(&self, cx: &mut Cx<'_>, at: Time, reader: usize) {
        cx.timers.at(at, Service::Firehose, token(self.index, SLOT_READERS + reader as u64));
    }

    /// Runs one wake-up.
    pub fn wake(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, slot: u64) {
        match slot {
            SLOT_DUE => {
                self.armed = self.armed.filter(|armed| *armed > cx.now);
                self.settle(cx, ports);
            }
            reader => self.poll(cx, ports, usize::try_from(reader - SLOT_READERS).unwrap_or(usize::MAX)),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, reader: usize) {
        let next = cx.now + POLL_EVERY;
        if self.held_bytes() > HELD_BYTES_MAX {
            return self.wake_reader_at(cx, next, reader);
        }
        if let Some(until) = self.source.as_ref().and_then(|source| source.standstill(cx)) {
            cx.trace.mark(cx.now, mark::READER_STOOD_STILL, &self.config.name);
            return self.wake_reader_at(cx, until.min(cx.now + ASK_AGAIN), reader);
        }
        let Some(source) = &mut self.source else { return };
        match source.turn(cx, ports.streams, reader) {
            Ok(Turn::Read(shard, batch)) => {
                self.wake_reader_at(cx, next, reader);
                cx.meter.highest("firehose", "KinesisMillisBehindLatest", batch.millis_behind_latest);
                if batch.records.is_empty() {
                    return;
                }
                let (records, mut bytes) = (batch.records.len() as u64, 0);
                for record in batch.records {
                    bytes += record.data.len() as u64;
                    if cx.trace.carries(&record.data) {
                        cx.trace
                            .hop(cx.now, Stage::Buffer, &self.config.name, || "reads it into its buffer".to_owned());
                    }
                    let entry = Entry::new(record.data, record.arrival, record.sequence_number);
                    self.take_read(cx, entry, &shard, record.partition_key);
                }
                cx.meter.add("firehose", "DataReadFromKinesisStream.Records", records);
                cx.meter.add("firehose", "DataReadFromKinesisStream.Bytes", bytes);
                let fields = [("reader", reader.into()), ("records", records.into()), ("bytes", bytes.into())];
                cx.trace.event(Level::Call, cx.now, "firehose", "read", &self.config.name, &fields);
                self.settle(cx, ports);
            }
            Ok(Turn::Added(first)) => {
                let readers = source.len();
                (first..readers).for_each(|added| self.start_reader(cx, added));
            }
            Ok(Turn::Done) => {}
            Err(error) => {
                if error.is_throttle() {
                    cx.meter.add("firehose", "ThrottledGetRecords", 1);
                }
                let fields = [("reader", reader.into()), ("code", error.code.into())];
                cx.trace.event(Level::Call, cx.now, "firehose", "read-failed", &self.config.name, &fields);
                self.wake_reader_at(cx, next, reader);
            }
        }
    }

    /// Takes a record of Kinesis, or those that the Kinesis Producer Library has put into it.
    fn take_read(&mut self, cx: &mut Cx<'_>, entry: Entry, shard: &Arc<str>, partition_key: Arc<str>) {
        match subrecords::aggregated(&entry.data) {
            None => self.take(cx, Incoming { entry, source: Some((shard.clone(), partition_key)) }),
            Some(parts) => {
                for (number, part) in parts.into_iter().enumerate() {
                    let source = Some((shard.clone(), part.partition_key));
                    self.take(cx, Incoming { entry: entry.part(part.data, number), source });
                }
            }
        }
    }

    /// Takes a record that was put directly. Call [`DeliveryStream::settle`] after the last one.
    pub fn take_put(&mut self, cx: &mut Cx<'_>, data: Bytes) {
        self.puts += 1;
        let entry = Entry::new(data, cx.now, self.puts);
        self.take(cx, Incoming { entry, source: None });
    }

    /// Puts a source record on its way.
    fn take(&mut self, cx: &mut Cx<'_>, incoming: Incoming) {
        if self.config.backup.is_some() {
            self.push(cx, LaneKey::Backup, incoming.entry.clone());
        }
        let Some(how) = &self.config.sub_records else { return self.process(cx, incoming) };
        let parts = subrecords::split(&incoming.entry.data, how);
        if parts.len() == 1 {
            let entry = Entry { data: parts.into_iter().next().unwrap_or_default(), ..incoming.entry };
            return self.process(cx, Incoming { entry, ..incoming });
        }
        for (number, part) in parts.into_iter().enumerate() {
            let entry = incoming.entry.part(part, number);
            self.process(cx, Incoming { entry, source: incoming.source.clone() });
        }
    }

    fn process(&mut self, cx: &mut Cx<'_>, Incoming { entry, source }: Incoming) {
        match &self.config.transform {
            Some(transform) => {
                let payload_max = cx.limits.get("firehose", "lambda_transform_payload");
                self.transformer.push(Pending { entry, source }, transform, payload_max, cx.now);
            }
            None => self.route(cx, entry, BTreeMap::new()),
        }
    }

    /// Puts a record into the lane of its partition.
    fn route(&mut self, cx: &mut Cx<'_>, entry: Entry, lambda: BTreeMap<String, String>) {
        let Some(partitioning) = &self.config.partitioning else {
            let (size, delimiter) = (self.config.main.size_bytes, self.config.delimiter.len());
            if let Some(lane) = self.lanes.get_mut(&self.plain) {
                return lane.push(entry, delimiter, size, cx.now);
            }
            return self.push(cx, self.plain.clone(), entry);
        };
        let query = partitioning.query.as_ref().map(|query| query.keys(&entry.data)).transpose();
        self.query_micros += QUERY_MICROS;
        let missing = || "partitionKeys values must not be null or empty".to_owned();
        let partition = query.and_then(|query| {
            let keys = Keys { query: query.unwrap_or_default(), lambda };
            self.config.main.prefix.partition(entry.arrival, &keys).map_err(|_| missing())
        });
        match partition {
            Ok(partition) => self.push(cx, LaneKey::Data(partition.into()), entry),
            Err(message) => {
                let code = "DynamicPartitioning.MetadataExtractionFailed".to_owned();
                let kind = ErrorType::MetadataExtraction;
                self.fail(cx, &entry, &Why { kind, code, message, attempts: 1, function: None });
            }
        }
    }

    /// Buffers a record in a lane; a full buffer goes on its way.
    fn push(&mut self, cx: &mut Cx<'_>, key: LaneKey, entry: Entry) {
        let is_partition = self.config.partitioning.is_some() && matches!(key, LaneKey::Data(_));
        if is_partition && !self.lanes.contains_key(&key) {
            if self.partitions >= cx.limits.get("firehose", "active_partitions") {
                cx.meter.highest("firehose", "PartitionCountExceeded", 1);
                return self.fail(cx, &entry, &too_many_partitions());
            }
            self.partitions += 1;
            cx.meter.highest("firehose", "PartitionCount", self.partitions);
        }
        let size = key.sink(&self.config).size_bytes;
        let delimiter = if matches!(key, LaneKey::Data(_)) { self.config.delimiter.len() } else { 0 };
        self.lanes.entry(key).or_default().push(entry, delimiter, size, cx.now);
    }

    /// Sends a record to the error output.
    fn fail(&mut self, cx: &mut Cx<'_>, entry: &Entry, why: &Why) {
        let fields = [("code", why.code.as_str().into()), ("message", why.message.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "record-failed", &self.config.name, &fields);
        self.push(cx, LaneKey::Errors(why.kind), errors::line(cx, entry, why));
    }

    fn fail_all(&mut self, cx: &mut Cx<'_>, failed: GivenUp) {
        for (entry, why) in failed {
            self.fail(cx, &entry, &why);
        }
    }

    /// A function has ended, perhaps one that was invoked here.
    pub fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        ticket: u64,
        answer: &Result<Bytes, String>,
    ) -> bool {
        let Some(transformed) = self.transformer.answered(cx, &self.config, ticket, answer.clone()) else {
            return false;
        };
        for (entry, keys) in transformed.records {
            self.route(cx, entry, keys);
        }
        self.fail_all(cx, transformed.failed);
        self.settle(cx, ports);
        true
    }

    /// Takes another configuration of the same source. What waits in the buffer is delivered by it, since buffers are
    /// looked at when they are delivered (so does another emulator say that probed AWS).
    pub fn change(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog, config: Config) -> Result<(), AwsError> {
        self.converter = converter(cx, catalog, &config)?;
        self.config = config;
        self.version += 1;
        self.updated = Some(cx.now);
        let fields = [("version", self.version.into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "changed", &self.config.name, &fields);
        if self.config.transform.is_none() {
            // What no function has yet goes on as it came: unverified.
            for entry in self.transformer.take(cx.now) {
                self.route(cx, entry, BTreeMap::new());
            }
        }
        // The buffer may be full or old enough by the new hints.
        self.arm(cx, cx.now);
        Ok(())
    }

    /// Records and bytes that were taken and are not delivered.
    pub fn undelivered(&self) -> (u64, u64) {
        let (buffered, outbox) = self.held_records();
        let bytes = self.lanes.values().map(Lane::bytes).sum::<usize>() + self.transformer.held();
        (buffered + outbox, bytes as u64)
    }

    /// Does what is due: buffers go on their way, deliveries and invocations are begun or tried again. Asks to be woken for
    /// what comes next.
    pub fn settle(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        if self.status.is_deleting() {
            return;
        }
        if self.query_micros >= 1_000 {
            cx.meter.add("firehose", "JQProcessing.Duration", self.query_micros / 1_000);
            self.query_micros %= 1_000;
        }
        let patience = Duration::from_secs(cx.limits.get("firehose", "lambda_transform_timeout"));
        let shards = self.source.as_ref().map_or(1, Source::len);
        let Transformed { records, mut failed } = self.transformer.settle(cx, &self.config, patience);
        for (entry, keys) in records {
            self.route(cx, entry, keys);
        }
        if let Some(functions) = &mut ports.functions {
            failed.extend(self.transformer.begin(cx, &mut **functions, &self.config, shards));
        }
        self.fail_all(cx, failed);
        let given_up = self.deliver(cx, ports);
        self.fail_all(cx, given_up);
        let config = &self.config;
        let lanes = self.lanes.iter().filter_map(|(key, lane)| lane.due(key.sink(config).interval));
        let function = self.transformer.due(config.transform.as_ref(), shards, patience);
        if let Some(due) = lanes.chain(function).min() {
            let due = due.max(cx.now);
            if self.armed.is_none_or(|armed| armed > due) {
                self.arm(cx, due);
            }
        }
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) -> GivenUp {
        let kept = match &self.config.source {
            SourceConfig::DirectPut { .. } => {
                Some(Duration::from_secs(cx.limits.get("firehose", "retention_direct_put")))
            }
            SourceConfig::Kinesis { stream, .. } => ports.streams.retention(stream),
        };
        let mut given_up = Vec::new();
        for (key, lane) in &mut self.lanes {
            let sink = key.sink(&self.config);
            lane.flush_due(sink, cx.now);
            if lane.outbox.is_empty() {
                continue;
            }
            let partitioning = self.config.partitioning.as_ref().filter(|_| matches!(key, LaneKey::Data(_)));
            let mut context = Context {
                config: &self.config,
                sink,
                converter: self.converter.as_mut().filter(|_| matches!(key, LaneKey::Data(_))),
                version: self.version,
                lane: key,
                kept,
                retry: partitioning.map(|partitioning| partitioning.retry),
            };
            given_up.extend(lane.outbox.drive(cx, ports, &mut context));
        }
        if self.config.partitioning.is_some() {
            self.lanes.retain(|_, lane| !lane.is_empty());
            self.partitions = self.lanes.keys().filter(|key| matches!(key, LaneKey::Data(_))).count() as u64;
        }
        given_up
    }

    fn arm(&mut self, cx: &mut Cx<'_>, at: Time) {
        self.armed = Some(at);
        cx.timers.at(at, Service::Firehose, token(self.index, SLOT_DUE));
    }
}

/// The text comes from reports of users; the code is unverified.
fn too_many_partitions() -> Why {
    Why {
        kind: ErrorType::ActivePartitions,
        code: "DynamicPartitioning.ActivePartitionsLimitExceeded".to_owned(),
        message: "The number of active partitions has exceeded the configured limit".to_owned(),
        attempts: 1,
        function: None,
    }
}

/// What converts records by a configuration, if it does.
fn converter(cx: &mut Cx<'_>, catalog: &mut dyn Catalog, config: &Config) -> Result<Option<Converter>, AwsError> {
    let converter = config.main.conversion().cloned().map(Converter::new);
    converter.map(|mut converter| converter.check(cx, catalog).map(|()| converter)).transpose()
}
