//! Amazon Data Firehose.
//!
//! Modelled: `AWS::KinesisFirehose::DeliveryStream` with a Kinesis stream or direct puts as the source and an S3 bucket
//! as the destination. Reading each shard once a second from LATEST, parents before children; buffering by size and
//! by time; object keys with `timestamp`, `random-string` and `error-output-type` expressions; GZIP; the processor
//! `AppendDelimiterToRecord`; JSON to Parquet by the schema of a Glue table (OpenX deserializer) with the error output
//! of what does not convert; use of the KMS key of the destination in the role; retries of deliveries, in order; changes
//! of the destination and of tags while records flow; encryption of direct puts with a key that AWS owns. Operations:
//! `DescribeDeliveryStream`, `ListDeliveryStreams`, `PutRecord`, `PutRecordBatch`, `UpdateDestination`,
//! `DeleteDeliveryStream`, `TagDeliveryStream`, `UntagDeliveryStream`, `ListTagsForDeliveryStream`.
//!
//! Partly modelled: an upload takes no time; an object whose answer was lost is written again under another key, before
//! those behind it (AWS promises "at least once" and no more; the key is unverified); a Kinesis-sourced delivery is
//! retried without end, while AWS gives up when the stream no longer keeps the records. The back-off between attempts
//! and the amount of data that may wait are not published by AWS and are our own. A change is effective at once, and
//! decides how what waits in the buffer is delivered; AWS says "within a few minutes" and not what becomes of the
//! buffer. A deletion is done at once and loses what waits: AWS deletes "a Firehose stream and its data".
//! CloudWatchLoggingOptions are kept and described; nothing is logged. The key of the destination is used, and not told
//! to S3: objects carry the encryption of their bucket.
//!
//! Refused: every other operation, source, destination, processor, compression and serializer; dynamic partitioning,
//! backup, time zones and customer-managed keys for direct puts; the Hive types timestamp, date, decimal, binary, char,
//! varchar and uniontype.

mod api;
mod buffer;
mod change;
mod config;
mod convert;
mod delivery;
mod encode;
mod manage;
mod port;
mod prefix;
mod properties;
mod source;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::config::Config;
use self::properties::Properties;
use self::stream::DeliveryStream;
use crate::core::ports::{Catalog, Objects, Streams};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource, TokenBucket};
use crate::waiting::{ShardIds, Unread};

/// The services that a delivery stream uses.
struct Ports<'a> {
    streams: &'a mut dyn Streams,
    objects: &'a mut dyn Objects,
    catalog: &'a mut dyn Catalog,
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
        let arn = stream.config.arn.clone();
        self.streams.push(Some(stream));
        self.by_name.insert(name.clone(), index);
        cx.meter.call("firehose", "CreateDeliveryStream", Outcome::Ok);
        Ok(Provisioned::new(name).attribute("Arn", arn))
    }

    /// Answers one operation of the JSON API.
    pub fn call(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        objects: &mut dyn Objects,
        catalog: &mut dyn Catalog,
        operation: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        self.answer(cx, &mut Ports { streams, objects, catalog }, operation, body)
    }

    /// Runs the wake-up that a delivery stream asked for.
    pub fn wake(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        objects: &mut dyn Objects,
        catalog: &mut dyn Catalog,
        token: u64,
    ) {
        let (index, slot) = stream::parse_token(token);
        if let Some(Some(stream)) = self.streams.get_mut(index) {
            stream.wake(cx, &mut Ports { streams, objects, catalog }, slot);
        }
    }
}
