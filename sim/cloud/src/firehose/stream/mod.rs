//! One delivery stream: its source, what it does to records, and its lanes.

mod route;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;

use super::Ports;
use super::buffer::Entry;
use super::config::{Config, SourceConfig};
use super::convert::Converter;
use super::delivery::{Context, GivenUp};
use super::encryption::Encryption;
use super::lane::LaneKey;
use super::lanes::Lanes;
use super::lifecycle::Status;
use super::source::{Source, Turn};
use super::transform::{Transformed, Transformer};
use crate::core::ports::{Answered, Catalog, Streams};
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
/// While more than this waits to be delivered, no more is read from a stream, and direct puts are told to slow down. Not
/// published by AWS.
const HELD_BYTES_MAX: usize = 256 << 20;

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
    lanes: Lanes,
    /// The lane of records without a partition.
    plain: LaneKey,
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
        let (buffered, outbox) = self.lanes.records();
        (buffered + self.transformer.records(), outbox)
    }

    /// Whether so much waits that no more is taken.
    pub fn is_full(&self) -> bool {
        self.lanes.held() + self.transformer.held() > HELD_BYTES_MAX
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
            lanes: Lanes::default(),
            plain: LaneKey::unpartitioned(),
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
        if self.is_full() {
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

    /// A function has ended, perhaps one that was invoked here.
    pub fn answered(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, ticket: u64, answer: &Answered) -> bool {
        let Some(transformed) = self.transformer.answered(cx, &self.config, ticket, answer) else {
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
        // A buffer may be full or old enough by the new hints.
        self.lanes.reconfigured(&self.config);
        self.arm(cx, cx.now);
        Ok(())
    }

    /// Records and bytes that were taken and are not delivered.
    pub fn undelivered(&self) -> (u64, u64) {
        let (buffered, outbox) = self.held_records();
        let bytes = self.lanes.bytes() + self.transformer.held();
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
        #[cfg(test)]
        self.lanes.check(&self.config);
        let function = self.transformer.due(self.config.transform.as_ref(), shards, patience);
        if let Some(due) = [self.lanes.due(), function].into_iter().flatten().min() {
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
        let DeliveryStream { config, converter, version, lanes, .. } = self;
        lanes.deliver(config, cx.now, |key, sink, lane| {
            let is_data = matches!(key, LaneKey::Data(_));
            let mut context = Context {
                config,
                sink,
                converter: converter.as_mut().filter(|_| is_data),
                version: *version,
                lane: key,
                kept,
                retry: config.partitioning.as_ref().filter(|_| is_data).map(|partitioning| partitioning.retry),
            };
            lane.outbox.drive(cx, ports, &mut context)
        })
    }

    fn arm(&mut self, cx: &mut Cx<'_>, at: Time) {
        self.armed = Some(at);
        cx.timers.at(at, Service::Firehose, token(self.index, SLOT_DUE));
    }
}

/// What converts records by a configuration, if it does.
fn converter(cx: &mut Cx<'_>, catalog: &mut dyn Catalog, config: &Config) -> Result<Option<Converter>, AwsError> {
    let converter = config.main.conversion().cloned().map(Converter::new);
    converter.map(|mut converter| converter.check(cx, catalog).map(|()| converter)).transpose()
}
