//! Deliveries of one stream: what is on its way to S3, in order. A delivery that fails, by a fault of S3 or because S3 or
//! KMS refuses the role, is tried again, and those behind it wait, so that records of a shard never overtake one another.
//! An object keeps its key and its format when the configuration changes before it is written; it goes to the bucket and
//! in the role of the new one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::Ports;
use super::buffer::Batch;
use super::config::{Config, Encoding};
use super::convert::{Converter, error_object};
use super::encode;
use super::prefix::{Prefix, object_name};
use crate::core::{AwsError, Cx};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

/// The pause after a failed attempt, doubled by each further one. Not published by AWS.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. Not published by AWS.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const CONTENT_TYPE: &str = "application/octet-stream";
const CONVERSION_FAILED: &str = "format-conversion-failed";
const RANDOM_STRING_CHARACTERS: usize = 11;

/// What a stream still has to deliver.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Delivery>,
    /// Attempts at the first delivery that failed in a row.
    failures: u32,
    retry_at: Option<Time>,
}

struct Delivery {
    /// When its first record was buffered.
    since: Time,
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
    fn new(cx: &mut Cx<'_>, context: &Context<'_>, of: Part<'_>) -> Self {
        let Part { prefix, oldest, body, records, data, lit } = of;
        let config = context.config;
        let extension = if data { config.extension() } else { "" };
        let (mut key, id) = (prefix.evaluate(oldest, CONVERSION_FAILED, &mut || random_string(cx)), cx.uuid());
        key.push_str(&object_name(&config.name, context.version, oldest, &id, extension));
        Object { key, body, records, data, id, repeated: false, lit }
    }

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
struct Part<'a> {
    prefix: &'a Prefix,
    /// Arrival of the oldest record.
    oldest: Time,
    body: Bytes,
    records: u64,
    /// Whether it holds records, not errors.
    data: bool,
    /// Whether it holds the reading under the spotlight.
    lit: bool,
}

impl Outbox {
    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.queue.iter().map(Delivery::bytes).sum()
    }

    /// Records that wait, errors included.
    pub fn records(&self) -> u64 {
        self.queue.iter().map(Delivery::records).sum()
    }

    /// Puts a batch at the end.
    pub fn push(&mut self, batch: Batch) {
        self.queue.push_back(Delivery { since: batch.since, work: Work::Records(batch) });
    }

    /// Delivers what can be delivered now. Answers when to try again, if it must be woken for that.
    pub fn drive(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        config: &Config,
        converter: Option<&mut Converter>,
        version: u64,
    ) -> Option<Time> {
        let mut context = Context { config, converter, version };
        // Memory stays bounded: what waits is encoded, so that the records themselves can be given up.
        for delivery in &mut self.queue {
            if context.encode(cx, ports, delivery).is_err() {
                break;
            }
        }
        if self.retry_at.is_some_and(|at| at > cx.now) {
            return None;
        }
        self.retry_at = None;
        while let Some(delivery) = self.queue.front_mut() {
            match context.deliver(cx, ports, delivery) {
                Ok(()) => {
                    self.failures = 0;
                    self.queue.pop_front();
                }
                Err(error) => {
                    trace_failure(cx, config, &error);
                    if matches!(&delivery.work, Work::Objects(objects) if objects.iter().any(|object| object.lit)) {
                        cx.trace.hop(cx.now, Stage::Buffer, &config.name, || format!("cannot write it: {error}"));
                    }
                    if context.is_lost(cx, delivery) {
                        cx.trace.event(Level::Call, cx.now, "firehose", "lost", &config.name, &[]);
                        self.failures = 0;
                        self.queue.pop_front();
                        continue;
                    }
                    let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
                    self.failures += 1;
                    self.retry_at = Some(cx.now + pause);
                    return self.retry_at;
                }
            }
        }
        None
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
}

struct Context<'a> {
    config: &'a Config,
    converter: Option<&'a mut Converter>,
    version: u64,
}

impl Context<'_> {
    /// Turns records into objects, once. Fails when the table's schema cannot be read.
    fn encode(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, delivery: &mut Delivery) -> Result<(), AwsError> {
        let Work::Records(batch) = &mut delivery.work else { return Ok(()) };
        let (config, oldest, count) = (self.config, batch.oldest, batch.entries.len() as u64);
        let mut objects = VecDeque::with_capacity(1);
        let mut lit = cx.trace.is_lit() && batch.entries.iter().any(|entry| cx.trace.carries(&entry.data));
        let data = match (&config.encoding, &mut self.converter) {
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
                    let prefix = config.error_prefix.as_ref().expect("conversion needs an error prefix at creation");
                    let refused = lit && converted.failures.iter().any(|f| cx.trace.carries(&f.entry.data));
                    lit &= !refused;
                    let part = Part { prefix, oldest, body, records: failed, data: false, lit: refused };
                    objects.push_back(Object::new(cx, self, part));
                }
                converted.body.map(|body| (body, count - failed))
            }
            (Encoding::Gzip, _) => Some((encode::gzip(batch, &config.delimiter), count)),
            _ => Some((encode::plain(batch, &config.delimiter), count)),
        };
        if let Some((body, records)) = data {
            let part = Part { prefix: &config.prefix, oldest, body, records, data: true, lit };
            objects.push_back(Object::new(cx, self, part));
        }
        delivery.work = Work::Objects(objects);
        Ok(())
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, delivery: &mut Delivery) -> Result<(), AwsError> {
        self.encode(cx, ports, delivery)?;
        let config = self.config;
        let Work::Objects(objects) = &mut delivery.work else { return Ok(()) };
        while let Some(object) = objects.front_mut() {
            let role = &mut cx.acting_as(&config.role);
            if let Some(object_key) = &config.object_key {
                role.use_key("kms:GenerateDataKey", object_key, "s3")?;
            }
            let put = role.called("s3", "PutObject", &config.bucket, |cx| {
                ports.objects.put_object(cx, &config.bucket, &object.key, object.body.clone(), CONTENT_TYPE)
            });
            if let Err(failed) = put {
                if failed.took_effect {
                    object.repeat(cx);
                }
                return Err(failed.error);
            }
            if object.repeated {
                cx.trace.mark(cx.now, mark::DELIVERY_REPEATED, &config.name);
            }
            if object.data {
                cx.meter.add("firehose", "DeliveryToS3.Records", object.records);
                cx.meter.add("firehose", "DeliveryToS3.Bytes", object.body.len() as u64);
                cx.meter.add("firehose", "DeliveryToS3.Success", 1);
            }
            let fields = [
                ("stream", config.name.as_str().into()),
                ("records", object.records.into()),
                ("body", Field::Bytes(&object.body)),
            ];
            cx.trace.event(Level::Call, cx.now, "firehose", "deliver", &object.key, &fields);
            if object.lit {
                cx.trace.hop(cx.now, Stage::Object, &object.key, || {
                    let what = if object.data { "is written with it" } else { "is written with it AS AN ERROR" };
                    format!("{what} by {} into {}, {} records", config.name, config.bucket, object.records)
                });
            }
            objects.pop_front();
        }
        Ok(())
    }

    /// Direct puts are kept for a day. What a stream holds can be read again, so it is never given up here.
    fn is_lost(&self, cx: &Cx<'_>, delivery: &Delivery) -> bool {
        let kept = Duration::from_secs(cx.limits.get("firehose", "retention_direct_put"));
        self.config.is_direct_put() && cx.now.since(delivery.since) > kept
    }
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
