//! One delivery stream: its source, its buffer, and its deliveries.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;

use super::Ports;
use super::buffer::{Buffer, Entry};
use super::config::{Config, SourceConfig};
use super::convert::Converter;
use super::delivery::Outbox;
use super::source::{Source, Turn};
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

const SLOT_DEADLINE: u64 = 0;
const SLOT_RETRY: u64 = 1;
const SLOT_READERS: u64 = 2;
const SLOT_BITS: u32 = 32;

fn token(index: usize, slot: u64) -> u64 {
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
    pub tags: BTreeMap<String, String>,
    pub rates: PutRates,
    /// Records that were put directly so far.
    pub puts: u128,
    index: usize,
    source: Option<Source>,
    converter: Option<Converter>,
    buffer: Buffer,
    outbox: Outbox,
    /// The wake-up that was asked for, for the buffer's deadline.
    armed: Option<Time>,
}

impl DeliveryStream {
    /// Records that wait here, by place.
    pub fn waiting(&self, unread: Unread<'_>, shards: ShardIds<'_>) -> [(String, u64); 3] {
        let name = &self.config.name;
        let source = self.source.as_ref().map_or(0, |source| source.unread(unread, shards));
        [
            (format!("the stream that delivery {name} reads"), source),
            (format!("buffer of delivery {name}"), self.buffer.records()),
            (format!("delivery {name}, to be written to S3"), self.outbox.records()),
        ]
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
            SourceConfig::DirectPut => None,
            SourceConfig::Kinesis { stream, role, .. } => {
                Some(Source::at_latest(cx, streams, stream.clone(), role.clone())?)
            }
        };
        let rate = |name| cx.limits.bucket("firehose", name, cx.now);
        let rates = PutRates {
            requests: rate("direct_put_requests"),
            records: rate("direct_put_records"),
            bytes: rate("direct_put_bytes"),
        };
        let stream = DeliveryStream {
            config,
            version: 1,
            created: cx.now,
            updated: None,
            tags: BTreeMap::new(),
            rates,
            puts: 0,
            index,
            converter,
            buffer: Buffer::default(),
            outbox: Outbox::default(),
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
            SLOT_DEADLINE => {
                self.armed = self.armed.filter(|armed| *armed > cx.now);
                self.settle(cx, ports);
            }
            SLOT_RETRY => self.drive(cx, ports),
            reader => self.poll(cx, ports, usize::try_from(reader - SLOT_READERS).unwrap_or(usize::MAX)),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, reader: usize) {
        let next = cx.now + POLL_EVERY;
        if self.buffer.bytes() + self.outbox.bytes() > HELD_BYTES_MAX {
            return self.wake_reader_at(cx, next, reader);
        }
        if let Some(until) = self.source.as_ref().and_then(|source| source.standstill(cx)) {
            cx.trace.mark(cx.now, mark::READER_STOOD_STILL, &self.config.name);
            return self.wake_reader_at(cx, until.min(cx.now + ASK_AGAIN), reader);
        }
        let Some(source) = &mut self.source else { return };
        match source.turn(cx, ports.streams, reader) {
            Ok(Turn::Read(batch)) => {
                self.wake_reader_at(cx, next, reader);
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
                    let (data, arrival, sequence_number) = (record.data, record.arrival, record.sequence_number);
                    self.push(cx, ports, Entry { data, arrival, sequence_number });
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

    /// Buffers a record; a full buffer goes on its way. Call [`DeliveryStream::settle`] after the last one.
    pub fn push(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, entry: Entry) {
        let bytes = entry.data.len() + self.config.delimiter.len();
        if self.buffer.push(entry, bytes, cx.now) >= self.config.size_bytes {
            self.flush(cx, ports);
        }
    }

    /// Takes another configuration of the same source. What waits in the buffer is delivered by it, since buffers are
    /// looked at when they are delivered; AWS does not say which configuration is used: unverified.
    pub fn change(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog, config: Config) -> Result<(), AwsError> {
        self.converter = converter(cx, catalog, &config)?;
        self.config = config;
        self.version += 1;
        self.updated = Some(cx.now);
        let fields = [("version", self.version.into())];
        cx.trace.event(Level::Call, cx.now, "firehose", "changed", &self.config.name, &fields);
        // The buffer may be full or old enough by the new hints.
        self.arm(cx, cx.now);
        Ok(())
    }

    /// Records and bytes that were taken and are not delivered.
    pub fn undelivered(&self) -> (u64, u64) {
        let bytes = self.buffer.bytes() + self.outbox.bytes();
        (self.buffer.records() + self.outbox.records(), bytes as u64)
    }

    /// Delivers a buffer whose time has come, and asks to be woken when that of another one comes.
    pub fn settle(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        let Some(deadline) = self.buffer.deadline(self.config.interval) else { return };
        if deadline <= cx.now || self.buffer.bytes() >= self.config.size_bytes {
            self.flush(cx, ports);
        } else if self.armed.is_none_or(|armed| armed > deadline) {
            self.arm(cx, deadline);
        }
    }

    fn arm(&mut self, cx: &mut Cx<'_>, at: Time) {
        self.armed = Some(at);
        cx.timers.at(at, Service::Firehose, token(self.index, SLOT_DEADLINE));
    }

    fn flush(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        if let Some(batch) = self.buffer.take() {
            self.outbox.push(batch);
            self.drive(cx, ports);
        }
    }

    fn drive(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        if let Some(at) = self.outbox.drive(cx, ports, &self.config, self.converter.as_mut(), self.version) {
            cx.timers.at(at, Service::Firehose, token(self.index, SLOT_RETRY));
        }
    }
}

/// What converts records by a configuration, if it does.
fn converter(cx: &mut Cx<'_>, catalog: &mut dyn Catalog, config: &Config) -> Result<Option<Converter>, AwsError> {
    let converter = config.conversion().cloned().map(Converter::new);
    converter.map(|mut converter| converter.check(cx, catalog).map(|()| converter)).transpose()
}
