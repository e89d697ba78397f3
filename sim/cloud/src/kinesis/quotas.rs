//! The limits of the service, read once from the table of quotas.

use super::log::{SEGMENT_BYTES, TAIL_BYTES};
use crate::core::{Limits, Scale};

/// Limits of Kinesis Data Streams. Sizes in bytes, rates a second.
#[derive(Clone, Debug)]
pub(super) struct Quotas {
    /// Records that a shard takes in a second.
    pub shard_write_records: u64,
    /// Bytes that a shard takes in a second.
    pub shard_write_bytes: u64,
    /// Bytes that a shard gives in a second.
    pub shard_read_bytes: u64,
    /// Calls of GetRecords to a shard in a second.
    pub read_calls: u64,
    /// Calls of GetShardIterator to a shard in a second.
    pub iterator_calls: u64,
    /// Records in an answer of GetRecords.
    pub read_records_max: usize,
    /// Bytes in an answer of GetRecords.
    pub read_bytes_max: usize,
    /// Size of a record, payload and partition key, where the stream says nothing else.
    pub record_bytes_default: usize,
    /// The largest size of a record that a stream may allow.
    pub record_bytes_max: usize,
    /// Records in a call of PutRecords.
    pub put_records_max: usize,
    /// Bytes in a call of PutRecords: payloads and partition keys.
    pub put_bytes_max: usize,
    /// Characters in a partition key.
    pub partition_key_chars_max: usize,
    /// How long an iterator is valid, in seconds.
    pub iterator_lifetime_secs: u64,
    /// How long a token of a listing is valid, in seconds.
    pub list_token_lifetime_secs: u64,
    /// Retention of a new stream, in hours.
    pub retention_default_hours: u64,
    /// Longest retention, in hours.
    pub retention_max_hours: u64,
    /// Shards of all provisioned streams.
    pub shards_per_account: u64,
    /// Streams that are being created at once.
    pub creating_streams: u64,
    /// Calls of ListShards to a stream in a second.
    pub list_shards_calls: u64,
    /// Calls of UpdateShardCount to a stream in 24 hours.
    pub count_updates_per_day: u64,
    /// By how much one UpdateShardCount multiplies or divides the number of shards at most.
    pub count_factor: u64,
    /// The largest target of UpdateShardCount.
    pub count_target_max: u64,
    /// Calls of StartStreamEncryption and StopStreamEncryption to a stream in 24 hours.
    pub encryption_changes_per_day: u64,
    /// Streams with capacity on demand.
    pub on_demand_streams: u64,
    /// Open shards that a stream on demand has at least.
    pub on_demand_shards_min: u64,
    /// Open shards that a stream on demand has at most.
    pub on_demand_shards_max: u64,
    /// Bytes a second above which AWS splits a shard of a stream on demand.
    pub on_demand_split_bytes: u64,
    /// Within how many seconds it does.
    pub on_demand_split_secs: u64,
    /// For how many days capacity for a peak is kept.
    pub on_demand_peak_days: u64,
    /// For how many times the peak.
    pub on_demand_peak_factor: u64,
    /// Changes of a stream's mode in 24 hours.
    pub mode_changes_per_day: u64,
    /// Consumers with enhanced fan-out that a stream has.
    pub consumers: u64,
    /// Consumers that are being created at once.
    pub creating_consumers: u64,
    /// Consumers in an answer of ListStreamConsumers.
    pub list_consumers_max: usize,
    /// Bytes that a shard pushes to a consumer in a second.
    pub push_bytes: u64,
    /// Calls of SubscribeToShard by a consumer to a shard in a second.
    pub subscribe_calls: u64,
    /// How long a subscription lasts, in seconds.
    pub subscription_secs: u64,
    /// How long after a call of SubscribeToShard the next one takes the subscription over, in seconds.
    pub takeover_secs: u64,
    /// Bytes of a shard's records that are kept plain: a matter of memory, and no limit of AWS's.
    pub tail_bytes: usize,
    /// Bytes of older ones that are packed together: likewise.
    pub segment_bytes: usize,
    /// Which part of the rates is in force.
    pub scale: Scale,
}

impl Quotas {
    /// Reads the table.
    pub fn new(limits: &Limits) -> Self {
        let get = |name| limits.get("kinesis", name);
        let size = |name| usize::try_from(get(name)).unwrap_or(usize::MAX);
        Quotas {
            shard_write_records: get("shard_write_records"),
            shard_write_bytes: get("shard_write_bytes"),
            shard_read_bytes: get("shard_read_bytes"),
            read_calls: get("getrecords_calls_per_shard"),
            iterator_calls: get("get_shard_iterator_rate"),
            read_records_max: size("getrecords_max_records"),
            read_bytes_max: size("getrecords_max_bytes"),
            record_bytes_default: size("record_size_default"),
            record_bytes_max: size("record_size_max"),
            put_records_max: size("putrecords_records"),
            put_bytes_max: size("putrecords_bytes"),
            partition_key_chars_max: size("partition_key"),
            iterator_lifetime_secs: get("shard_iterator_lifetime"),
            list_token_lifetime_secs: get("list_token_lifetime"),
            retention_default_hours: get("retention_default"),
            retention_max_hours: get("retention_max"),
            shards_per_account: get("shards_per_account_provisioned"),
            creating_streams: get("creating_streams"),
            list_shards_calls: get("api_ListShards"),
            count_updates_per_day: get("update_shard_count_per_24h"),
            count_factor: get("update_shard_count_factor"),
            count_target_max: get("update_shard_count_target_max"),
            encryption_changes_per_day: get("start_stop_encryption"),
            on_demand_streams: get("ondemand_streams"),
            on_demand_shards_min: get("ondemand_initial_write") / get("shard_write_bytes"),
            on_demand_shards_max: get("ondemand_max_write") / get("shard_write_bytes"),
            on_demand_split_bytes: get("ondemand_split_bytes"),
            on_demand_split_secs: get("ondemand_double_window"),
            on_demand_peak_days: get("ondemand_peak_days"),
            on_demand_peak_factor: get("ondemand_peak_factor"),
            mode_changes_per_day: get("mode_switch"),
            consumers: get("efo_consumers_per_stream"),
            creating_consumers: get("creating_consumers"),
            list_consumers_max: size("list_stream_consumers_max"),
            push_bytes: get("efo_read_bytes_per_consumer_shard"),
            subscribe_calls: get("subscribe_to_shard_rate"),
            subscription_secs: get("subscribe_to_shard_lifetime"),
            takeover_secs: get("subscribe_to_shard_takeover"),
            tail_bytes: TAIL_BYTES,
            segment_bytes: SEGMENT_BYTES,
            scale: limits.scale("kinesis").clone(),
        }
    }
}
