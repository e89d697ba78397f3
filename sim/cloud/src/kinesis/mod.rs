//! Amazon Kinesis Data Streams.
//!
//! Modelled: `CreateStream`, `DeleteStream`, `DescribeStream`, `DescribeStreamSummary`, `ListStreams`, `ListShards` with its
//! filters, `PutRecord`, `PutRecords`, `GetShardIterator` (all five types), `GetRecords`, `SplitShard`, `MergeShards`,
//! `UpdateShardCount`, `UpdateStreamMode`, `UpdateMaxRecordSize`, `StartStreamEncryption`, `StopStreamEncryption`,
//! `IncreaseStreamRetentionPeriod`, `DecreaseStreamRetentionPeriod`, `EnableEnhancedMonitoring`,
//! `DisableEnhancedMonitoring`, `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`,
//! `ListStreamConsumers`, `SubscribeToShard`, `AddTagsToStream`, `ListTagsForStream`, `RemoveTagsFromStream`,
//! `TagResource`, `UntagResource`, `ListTagsForResource`, `DescribeLimits`; `AWS::Kinesis::Stream` with its changes, and
//! `AWS::Kinesis::StreamConsumer`. Records go to the open shards by MD5 of the partition key or by ExplicitHashKey, stay in
//! their shard when it is split or merged, are kept for the retention and then gone; so is a closed shard. Streams have
//! provisioned shards, or capacity on demand (`on_demand.rs`). Consumers poll, or are pushed what arrives (`subscribe.rs`).
//! Enforced: 1,000 records/s and 1 MiB/s written to a shard; 5 calls/s and 2 MiB/s of `GetRecords` from a shard, 10,000
//! records and 10 MiB a call; 5 calls/s of `GetShardIterator` to a shard; 2 MiB/s pushed to a consumer from a shard; the
//! sizes of records, keys and requests; lifetimes of iterators, tokens and subscriptions; shards and streams on demand an
//! account, consumers a stream; calls/s of the control plane; at most double and at least half the shards in a call of
//! `UpdateShardCount`, ten calls in 24 hours; two changes of the mode and 25 of the encryption in 24 hours; use of the
//! stream's KMS key.
//!
//! Each operation needs its permission on the stream or the consumer.
//!
//! Partly modelled: `CREATING` and `DELETING` last 20 s (10 s for consumers), a split or a merge 30 s, a change of the
//! encryption, the mode or the largest record 10 s, as AWS publishes no duration; a template's stream is ACTIVE at once, and
//! gone at once. `UpdateShardCount` splits all shards at the borders of the new ones at the same time and then merges what
//! lies between; which short-lived shards AWS makes is not published. The 2 MiB/s are a bucket of one second: an answer that
//! exceeds it empties it and blocks the shard's readers for bytes / 2 MiB/s. An answer is never empty while there are
//! records to read. `PutRecords` answers 200 even when every record is throttled, and takes records in the order of the
//! request. `GetShardIterator` of consumers inside the account is counted, not limited. An answer of KMS holds for five
//! minutes for each caller. Who starts encryption must be allowed `kms:GenerateDataKey`, which AWS does not document. Metrics
//! are sums over the account: CloudWatch's statistics and dimensions, and latencies, are not kept; a shard's own metrics are.
//!
//! Refused: every other operation of the service, resource policies among them; On-demand Advantage with its warm
//! throughput; `StreamId`, `DryRun`, `StreamCreationTimestamp` in requests.

mod change;
mod consumers;
mod describe;
mod encryption;
mod entries;
mod event_stream;
mod get;
mod lifecycle;
mod list_shards;
mod log;
mod mode;
mod monitoring;
mod on_demand;
mod put;
mod quotas;
mod reshard;
mod routing;
mod segment;
mod settings;
mod shard;
mod stream;
mod subscribe;
mod tags;
mod token;
mod wire;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::quotas::Quotas;
use self::stream::Stream;
use self::work::Ticks;
use crate::core::ports::{ReadBatch, ShardCursor, ShardInfo, StartingPosition, Streams};
use crate::core::{AwsError, Cx, EventStream, Outcome, TokenBucket, Unread};
use world::time::Time;

const SERVICE: &str = "kinesis";

/// What runs an operation.
type Run = fn(&mut Kinesis, &mut Cx<'_>, &[u8]) -> Result<Vec<u8>, AwsError>;

/// The operations of the data plane; shards limit their rates.
const DATA_PLANE: &[(&str, Run)] = &[
    ("PutRecord", Kinesis::put_record_call),
    ("PutRecords", Kinesis::put_records_call),
    ("GetRecords", Kinesis::get_records_call),
    ("GetShardIterator", Kinesis::get_shard_iterator_call),
    ("ListShards", Kinesis::list_shards_call),
];

/// The operations of the control plane, with the quota that limits their calls a second in the account.
const CONTROL_PLANE: &[(&str, &str, Run)] = &[
    ("AddTagsToStream", "api_AddTagsToStream", Kinesis::add_tags_call),
    ("CreateStream", "api_CreateStream", Kinesis::create_stream_call),
    ("DecreaseStreamRetentionPeriod", "api_DecreaseStreamRetentionPeriod", Kinesis::decrease_retention_call),
    ("DeleteStream", "api_DeleteStream", Kinesis::delete_stream_call),
    ("DeregisterStreamConsumer", "api_DeregisterStreamConsumer", Kinesis::deregister_consumer_call),
    ("DescribeLimits", "api_DescribeLimits", Kinesis::describe_limits_call),
    ("DescribeStream", "api_DescribeStream", Kinesis::describe_stream_call),
    ("DescribeStreamConsumer", "api_DescribeStreamConsumer", Kinesis::describe_consumer_call),
    ("DescribeStreamSummary", "api_DescribeStreamSummary", Kinesis::describe_stream_summary_call),
    ("DisableEnhancedMonitoring", "api_DisableEnhancedMonitoring", Kinesis::disable_monitoring_call),
    ("EnableEnhancedMonitoring", "api_EnableEnhancedMonitoring", Kinesis::enable_monitoring_call),
    ("IncreaseStreamRetentionPeriod", "api_IncreaseStreamRetentionPeriod", Kinesis::increase_retention_call),
    ("ListStreamConsumers", "api_ListStreamConsumers", Kinesis::list_consumers_call),
    ("ListStreams", "api_ListStreams", Kinesis::list_streams_call),
    ("ListTagsForStream", "api_ListTagsForStream", Kinesis::list_tags_call),
    ("MergeShards", "api_MergeShards", Kinesis::merge_shards_call),
    ("RegisterStreamConsumer", "api_RegisterStreamConsumer", Kinesis::register_consumer_call),
    ("RemoveTagsFromStream", "api_RemoveTagsFromStream", Kinesis::remove_tags_call),
    ("SplitShard", "api_SplitShard", Kinesis::split_shard_call),
    ("UpdateShardCount", "api_UpdateShardCount", Kinesis::update_shard_count_call),
];

/// The operations that AWS gives no rate in the account: a number of calls a day or of each consumer limits some of them.
const WITHOUT_RATE: &[(&str, Run)] = &[
    ("ListTagsForResource", Kinesis::list_tags_for_resource_call),
    ("StartStreamEncryption", Kinesis::start_stream_encryption_call),
    ("StopStreamEncryption", Kinesis::stop_stream_encryption_call),
    ("SubscribeToShard", Kinesis::subscribe_call),
    ("TagResource", Kinesis::tag_resource_call),
    ("UntagResource", Kinesis::untag_resource_call),
    ("UpdateMaxRecordSize", Kinesis::update_max_record_size_call),
    ("UpdateStreamMode", Kinesis::update_stream_mode_call),
];

/// Operations that AWS has and that are refused.
const NOT_MODELLED: &[&str] = &[
    "CreateChannel",
    "CreateQueue",
    "DeleteResourcePolicy",
    "DescribeAccountSettings",
    "GetResourcePolicy",
    "PutResourcePolicy",
    "UpdateAccountSettings",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

/// The streams of the account.
#[derive(Default)]
pub struct Kinesis {
    streams: BTreeMap<Arc<str>, Stream>,
    next_serial: u64,
    ticks: Ticks,
    control_plane: BTreeMap<&'static str, TokenBucket>,
    quotas: Option<Arc<Quotas>>,
    next_event_stream: u64,
    /// The stream of events that the last call has opened.
    opened: Option<(EventStream, Unread)>,
}

impl Kinesis {
    /// Records of a shard from an offset on; all that are kept without one. None when there is no such shard.
    pub(crate) fn unread(&self, stream: &str, shard_id: &str, from: Option<u64>) -> u64 {
        let shard = self.streams.get(stream).and_then(|stream| Some(&stream.shards[stream.known_index(shard_id)?]));
        shard.map_or(0, |shard| shard.log.end().saturating_sub(from.unwrap_or_else(|| shard.log.first())))
    }

    /// Ids of the shards that a stream has.
    pub(crate) fn shard_ids(&self, stream: &str) -> Vec<Arc<str>> {
        let stream = self.streams.get(stream);
        stream.map_or_else(Vec::new, |stream| stream.visible_shards(0).map(|(_, shard)| shard.id.clone()).collect())
    }

    /// An account without streams.
    pub fn new() -> Self {
        Kinesis::default()
    }

    /// One call of the JSON API. `body` is the request as JSON; so is the answer, which is empty for operations that
    /// answer nothing.
    pub fn call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let mut unrated = DATA_PLANE.iter().chain(WITHOUT_RATE);
        let (name, result) = if let Some((name, run)) = unrated.find(|(name, _)| *name == operation) {
            (*name, run(self, cx, body))
        } else if let Some((name, quota, run)) = CONTROL_PLANE.iter().find(|(name, ..)| *name == operation) {
            let admitted = self.admit(cx, name, quota);
            (*name, admitted.and_then(|()| run(self, cx, body)))
        } else if let Some(name) = NOT_MODELLED.iter().find(|name| **name == operation) {
            (*name, Err(AwsError::not_modelled(format!("kinesis {name}"))))
        } else {
            return Err(AwsError::unknown_operation(operation));
        };
        cx.meter.call(SERVICE, name, outcome(&result));
        if name == "GetRecords" && result.is_ok() {
            cx.meter.add(SERVICE, "GetRecords.Success", 1);
        }
        result
    }

    /// Bytes that the records of a stream take in memory, as far as the stream knows: for measurements.
    #[cfg(test)]
    fn held_bytes(&self, stream: &str) -> usize {
        self.find(stream).map_or(0, |stream| stream.shards.iter().map(|shard| shard.log.held_bytes()).sum())
    }

    fn quotas(&mut self, cx: &Cx<'_>) -> Arc<Quotas> {
        self.quotas.get_or_insert_with(|| Arc::new(Quotas::new(cx.limits))).clone()
    }

    fn admit(&mut self, cx: &Cx<'_>, operation: &'static str, quota: &str) -> Result<(), AwsError> {
        let new = || cx.limits.bucket(SERVICE, quota, cx.now);
        let bucket = self.control_plane.entry(operation).or_insert_with(new);
        if bucket.try_take(cx.now, 1) { Ok(()) } else { Err(describe::rate_exceeded(None, &cx.account.id)) }
    }

    /// Until when Kinesis goes on with the data keys that it has for those who write to a stream; nothing while nobody
    /// does, or when there is no such stream.
    pub fn writers_keys_kept_until(&self, now: Time, stream: &str) -> Option<Time> {
        self.find(stream)?.encryption.writers_kept_until(now)
    }

    /// A stream by name or ARN.
    fn find(&self, stream: &str) -> Option<&Stream> {
        self.streams.get(bare_name(stream))
    }

    /// Whether the caller may do something to a stream, be it there or not.
    fn permit(&self, cx: &mut Cx<'_>, action: &str, name: &str) -> Result<(), AwsError> {
        match self.streams.get(name) {
            Some(stream) => cx.authorize(action, &stream.arn),
            None => cx.authorize(action, &cx.account.arn(SERVICE, &format!("stream/{name}"))),
        }
    }

    /// A stream by name, in whatever state.
    fn existing(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut Stream, AwsError> {
        self.streams.get_mut(name).ok_or_else(|| wire::not_found(name, &cx.account.id))
    }

    /// A stream that takes records: others are as good as absent.
    fn writable(&mut self, cx: &Cx<'_>, name: &str) -> Result<&mut Stream, AwsError> {
        let stream = self.streams.get_mut(name).filter(|stream| stream.is_usable());
        stream.ok_or_else(|| wire::not_found(name, &cx.account.id))
    }
}

impl Streams for Kinesis {
    fn put_record(
        &mut self,
        cx: &mut Cx<'_>,
        stream: &str,
        partition_key: &str,
        data: Bytes,
    ) -> Result<(Arc<str>, u128), AwsError> {
        let result = self.put_one(cx, bare_name(stream), partition_key, data);
        cx.meter.call(SERVICE, "PutRecord", outcome(&result));
        result
    }

    fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, AwsError> {
        let missing = || AwsError::new("ResourceNotFoundException", format!("Stream {stream} not found."));
        let found = self.find(stream).ok_or_else(missing)?;
        let info = |(_, shard): (usize, &shard::Shard)| ShardInfo {
            id: shard.id.clone(),
            parents: shard.parents.clone(),
            closed: shard.closed.is_some(),
        };
        Ok(found.visible_shards(0).map(info).collect())
    }

    fn retention(&self, stream: &str) -> Option<Duration> {
        self.find(stream).map(|stream| Duration::from_secs(stream.retention_hours * 3_600))
    }

    fn cursor(
        &self,
        cx: &mut Cx<'_>,
        stream: &str,
        shard_id: &str,
        start: StartingPosition,
    ) -> Result<ShardCursor, AwsError> {
        let allowed = self.permit(cx, "kinesis:GetShardIterator", bare_name(stream));
        let result = allowed.and_then(|()| self.cursor_at(cx, stream, shard_id, start));
        cx.meter.call(SERVICE, "GetShardIterator", outcome(&result));
        result
    }

    fn get_records(&mut self, cx: &mut Cx<'_>, cursor: &ShardCursor, limit: usize) -> Result<ReadBatch, AwsError> {
        let allowed = self.permit(cx, "kinesis:GetRecords", &cursor.stream);
        let result = allowed.and_then(|()| self.read_at(cx, cursor, limit));
        cx.meter.call(SERVICE, "GetRecords", outcome(&result));
        result
    }
}

fn outcome<T>(result: &Result<T, AwsError>) -> Outcome {
    result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok)
}

/// The name in an ARN of a stream, or the text itself.
fn bare_name(stream: &str) -> &str {
    match stream.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":stream/").map_or(stream, |(_, name)| name),
        None => stream,
    }
}

#[cfg(test)]
mod tests;
