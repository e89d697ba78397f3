//! Amazon Data Firehose.
//!
//! Modelled: delivery streams with a Kinesis stream or direct puts as the source and an S3 bucket as the destination, made
//! by templates and by calls, with every operation of the API. Reading each shard once a second from LATEST, parents before
//! children; records that the Kinesis Producer Library has aggregated; buffering by size and by time; prefixes with all
//! expressions, in a time zone; GZIP, ZIP and both Snappy; the processors `AppendDelimiterToRecord`, `RecordDeAggregation`,
//! `Lambda` and `MetadataExtraction`, with dynamic partitioning; backup of source records; JSON to Parquet by the schema of
//! a Glue table (OpenX and Hive deserializers); the error output of what does not convert, is not transformed, or has no
//! partition; use of the KMS key of the destination in the role; retries of deliveries, in order, as long as the source
//! keeps its records; changes of the destination and of tags while records flow; encryption of direct puts.
//!
//! Partly modelled: an upload takes 50 ms and 20 ns a byte, an assumption; an object whose answer was lost is written again
//! under another key, before those behind it (AWS promises "at least once" and no more; the key is unverified). The
//! back-off between attempts and the amount of data that may wait are not published by AWS and are our own. A change is
//! effective at once, and decides how what waits in the buffer is delivered; AWS says "within a few minutes". A deletion
//! stops the stream at once and loses what waits: AWS deletes "a Firehose stream and its data". CloudWatchLoggingOptions
//! are kept and described; nothing is logged. The key of the destination is used, and not told to S3: objects carry the
//! encryption of their bucket. Queries are those of `jaq` (see `jq`).
//!
//! Refused: every other source, destination and processor; ORC; letters of week-based years in timestamps; the Hive type
//! uniontype; a schema of another account, Region or fixed version.

mod answer;
mod api;
mod buffer;
mod change;
mod config;
mod convert;
mod delivery;
mod describe;
mod encode;
mod encryption;
mod errors;
mod jq;
mod lane;
mod lanes;
mod lifecycle;
mod manage;
mod pattern;
mod port;
mod prefix;
mod properties;
mod puts;
mod source;
mod stream;
mod subrecords;
#[cfg(test)]
mod tests;
mod transform;

use std::collections::BTreeMap;

use self::config::Config;
use self::properties::Properties;
use self::stream::DeliveryStream;
use crate::core::ports::{Answered, Catalog, Invocations, Objects, Stores, Streams};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource, TokenBucket};
use crate::waiting::{ShardIds, Unread};

/// The services that a delivery stream uses.
struct Ports<'a> {
    streams: &'a mut dyn Streams,
    objects: &'a mut dyn Objects,
    catalog: &'a mut dyn Catalog,
    /// Nothing while another service puts records: functions are invoked in the wake-up that follows.
    functions: Option<&'a mut dyn Invocations>,
}

/// The delivery streams of the account.
#[derive(Default)]
pub struct Firehose {
    /// By number; nothing where one was deleted.
    streams: Vec<Option<DeliveryStream>>,
    by_name: BTreeMap<String, usize>,
    /// Rates of the control operations, by operation.
    control: BTreeMap<&'static str, TokenBucket>,
}

impl Firehose {
    /// Records that wait to be delivered, by place.
    pub(crate) fn waiting(&self, unread: Unread<'_>, shards: ShardIds<'_>) -> Vec<(String, u64)> {
        self.streams.iter().flatten().flat_map(|stream| stream.waiting(unread, shards)).collect()
    }

    /// No delivery streams.
    pub fn new() -> Self {
        Firehose::default()
    }

    /// Creates `AWS::KinesisFirehose::DeliveryStream`. `Ref` is the name; attribute `Arn`. The source stream and the
    /// table of a format conversion must exist. Delivery begins with the records that arrive from now on.
    pub fn provision(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        catalog: &mut dyn Catalog,
        resource: &Resource,
    ) -> Result<Provisioned, AwsError> {
        change::expect_delivery_stream(resource)?;
        let properties: Properties = resource.parse()?;
        let tags = manage::tags(&properties.tags)?;
        let config = Config::new(cx, properties)?;
        encryption::permit_key(cx, &config.key)?;
        let (name, arn) = (config.name.clone(), config.arn.clone());
        self.add(cx, streams, catalog, config, tags)?;
        cx.meter.call("firehose", "CreateDeliveryStream", Outcome::Ok);
        Ok(Provisioned::new(name).attribute("Arn", arn))
    }

    /// Adds a delivery stream. Answers its number.
    fn add(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &dyn Streams,
        catalog: &mut dyn Catalog,
        config: Config,
        tags: BTreeMap<String, String>,
    ) -> Result<usize, AwsError> {
        let name = config.name.clone();
        if self.by_name.contains_key(&name) {
            let message = format!("Firehose {name} under accountId {} already exists", cx.account.id);
            return Err(AwsError::new("ResourceInUseException", message));
        }
        if self.by_name.len() as u64 >= cx.limits.get("firehose", "streams_per_region") {
            return Err(AwsError::new("LimitExceededException", "You have already consumed your firehose quota"));
        }
        let index = self.streams.len();
        let mut stream = DeliveryStream::create(cx, streams, catalog, config, index)?;
        stream.tags = tags;
        self.streams.push(Some(stream));
        self.by_name.insert(name, index);
        Ok(index)
    }

    /// Answers one operation of the JSON API.
    pub fn call<'a>(
        &mut self,
        cx: &mut Cx<'_>,
        stores: Stores<'a>,
        functions: &'a mut dyn Invocations,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        self.answer(cx, &mut Ports::new(stores, functions), operation, body)
    }

    /// Runs the wake-up that a delivery stream asked for.
    pub fn wake<'a>(&mut self, cx: &mut Cx<'_>, stores: Stores<'a>, functions: &'a mut dyn Invocations, token: u64) {
        let (index, slot) = stream::parse_token(token);
        if slot == stream::SLOT_LIFE {
            return self.advance(cx, index);
        }
        if let Some(Some(stream)) = self.streams.get_mut(index)
            && !stream.status.is_deleting()
        {
            stream.wake(cx, &mut Ports::new(stores, functions), slot);
        }
    }

    /// A function that some service waits for has ended.
    pub fn function_answered<'a>(
        &mut self,
        cx: &mut Cx<'_>,
        stores: Stores<'a>,
        functions: &'a mut dyn Invocations,
        ticket: u64,
        answer: &Answered,
    ) {
        let ports = &mut Ports::new(stores, functions);
        let streams = self.streams.iter_mut().flatten().filter(|stream| !stream.status.is_deleting());
        for stream in streams {
            if stream.answered(cx, ports, ticket, answer) {
                return;
            }
        }
    }
}

impl<'a> Ports<'a> {
    fn new(stores: Stores<'a>, functions: &'a mut dyn Invocations) -> Self {
        let Stores { streams, objects, catalog } = stores;
        Ports { streams, objects, catalog, functions: Some(functions) }
    }
}
