//! The limits of the service, read once from the table of quotas.

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
    /// Size of a record: payload and partition key.
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
            record_bytes_max: size("record_size_default"),
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
            scale: limits.scale("kinesis").clone(),
        }
    }
}
