//! The ports through which services of the account use one another. Each is implemented by one service and
//! used by others through `&mut dyn`, so that a service can be tested alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cx::Cx;
use super::error::AwsError;
pub use super::sequence::{SequenceNumber, parse_sequence_number, render_sequence_number};
use world::time::Time;

/// A record as a consumer of a stream sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// Payload.
    pub data: Bytes,
    /// Partition key.
    pub partition_key: Arc<str>,
    /// Sequence number; written by [`render_sequence_number`] on the wire.
    pub sequence_number: u128,
    /// ApproximateArrivalTimestamp.
    pub arrival: Time,
}

/// Where a consumer stands in one shard. Names the *next* record to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardCursor {
    /// Stream name.
    pub stream: Arc<str>,
    /// Shard id, such as `shardId-000000000000`.
    pub shard_id: Arc<str>,
    /// Position within the shard, counted in accepted records from 0.
    pub offset: u64,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record still kept.
    TrimHorizon,
    /// Just after the newest record.
    Latest,
    /// The first record at or after an instant.
    AtTimestamp(Time),
}

/// A shard as `ListShards` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Shard id.
    pub id: Arc<str>,
    /// Parents: none, one after a split, two after a merge.
    pub parents: Vec<Arc<str>>,
    /// Whether the shard accepts no more records.
    pub closed: bool,
}

/// One answer of `GetRecords`.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    /// Records in order.
    pub records: Vec<StreamRecord>,
    /// Position of the first of them within the shard; where to read on when there is none. It lies after the cursor when
    /// records that the cursor had before it are no longer kept.
    pub first: u64,
    /// Where to read on; `None` at the end of a closed shard.
    pub next: Option<ShardCursor>,
    /// How far behind the tip the reader is.
    pub millis_behind_latest: u64,
}

/// Kinesis as the other services use it. Limits and metering apply as for any caller.
pub trait Streams {
    /// `PutRecord`. Answers (shard id, sequence number).
    fn put_record(
        &mut self,
        cx: &mut Cx<'_>,
        stream: &str,
        partition_key: &str,
        data: Bytes,
    ) -> Result<(Arc<str>, u128), AwsError>;
    /// `ListShards`.
    fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, AwsError>;
    /// `GetShardIterator`.
    fn cursor(
        &self,
        cx: &mut Cx<'_>,
        stream: &str,
        shard_id: &str,
        start: StartingPosition,
    ) -> Result<ShardCursor, AwsError>;
    /// For how long a stream keeps its records; nothing where that is not known.
    fn retention(&self, _stream: &str) -> Option<Duration> {
        None
    }
    /// `GetRecords`: at most `limit` records and 10 MiB.
    fn get_records(&mut self, cx: &mut Cx<'_>, cursor: &ShardCursor, limit: usize) -> Result<ReadBatch, AwsError>;
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Key.
    pub key: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// When it was written.
    pub last_modified: Time,
    /// ETag without quotes.
    pub etag: String,
}

/// S3 as the other services use it. Strongly consistent.
pub trait Objects {
    /// `PutObject`. Answers the ETag without quotes.
    fn put_object(
        &mut self,
        cx: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        content_type: &str,
    ) -> Result<String, AwsError>;
    /// `GetObject` without a range.
    fn get_object(&mut self, cx: &mut Cx<'_>, bucket: &str, key: &str) -> Result<Bytes, AwsError>;
    /// `ListObjectsV2`, all pages, in UTF-8 binary order of the keys.
    fn list_objects(&mut self, cx: &mut Cx<'_>, bucket: &str, prefix: &str) -> Result<Vec<ObjectSummary>, AwsError>;
}

/// A column of a table of the Glue Data Catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, lower case.
    pub name: String,
    /// Hive type, such as `bigint` or `map<string,double>`.
    pub hive_type: String,
}

/// A table of the Glue Data Catalog, as readers of the catalog need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogTable {
    /// Database, lower case.
    pub database: String,
    /// Name, lower case.
    pub name: String,
    /// Version id.
    pub version_id: String,
    /// Columns without partition keys.
    pub columns: Vec<Column>,
    /// Partition keys.
    pub partition_keys: Vec<Column>,
    /// `s3://bucket/prefix/`.
    pub location: String,
    /// Input format class.
    pub input_format: String,
    /// SerDe class.
    pub serialization_library: String,
    /// SerDe parameters.
    pub serde_parameters: BTreeMap<String, String>,
    /// Table parameters, including `projection.*`.
    pub parameters: BTreeMap<String, String>,
}

/// The Glue Data Catalog as the other services use it.
pub trait Catalog {
    /// `GetTable`.
    fn get_table(&mut self, cx: &mut Cx<'_>, database: &str, table: &str) -> Result<Arc<CatalogTable>, AwsError>;
    /// `GetTables`: names of the tables of a database, ordered.
    fn table_names(&mut self, cx: &mut Cx<'_>, database: &str) -> Result<Vec<String>, AwsError>;
    /// `GetDatabases`: names, ordered.
    fn database_names(&mut self, cx: &mut Cx<'_>) -> Vec<String>;
}

/// What a function answered to a service that waited for it, or why it did not.
pub type Answered = Result<Bytes, NoAnswer>;

/// Why a function did not answer. As text: what Lambda says of it.
#[derive(Clone, Debug, PartialEq)]
pub enum NoAnswer {
    /// Lambda did not run it.
    Refused(AwsError),
    /// It ran longer than its time-out.
    TimedOut(String),
    /// It failed.
    Failed(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Refused(error) => f.write_str(&error.message),
            NoAnswer::TimedOut(why) | NoAnswer::Failed(why) => f.write_str(why),
        }
    }
}

/// Lambda as the services that trigger functions use it. Invocations are asynchronous, where nothing else is said: what is
/// answered is whether the event was taken into the function's queue.
pub trait Invocations {
    /// `Invoke` by a service on behalf of one of its resources, such as (`iot.amazonaws.com`, the ARN of a rule). The
    /// function's resource policy decides. `function` is an ARN.
    fn invoke_for_service(
        &mut self,
        cx: &mut Cx<'_>,
        function: &str,
        service: &str,
        source_arn: &str,
        payload: Bytes,
    ) -> Result<(), AwsError>;
    /// The same for a service that waits for what the function answers: it is told by its ticket when the function has
    /// ended. Here it is Lambda's to say so; a stand-in that never answers refuses.
    fn invoke_for_answer(
        &mut self,
        _cx: &mut Cx<'_>,
        function: &str,
        _service: &str,
        _source_arn: &str,
        _payload: Bytes,
    ) -> Result<u64, AwsError> {
        Err(AwsError::not_modelled(format!("waiting for what {function} answers")))
    }
    /// `Invoke` by the caller, whose own policies decide, and who waits for what the function answers: told as above.
    fn invoke_and_wait(&mut self, _cx: &mut Cx<'_>, function: &str, _payload: Bytes) -> Result<u64, AwsError> {
        Err(AwsError::not_modelled(format!("waiting for what {function} answers")))
    }
    /// `Invoke` by the caller, whose own policies decide. `function` is a name or an ARN.
    fn invoke_event(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<(), AwsError>;
}

/// CloudWatch Logs as the services that write logs use it.
pub trait LogGroups {
    /// Whether a log group exists.
    fn has_group(&self, name: &str) -> bool;
}

/// What a delivery stream uses while it takes records.
pub struct Stores<'a> {
    /// Kinesis.
    pub streams: &'a mut dyn Streams,
    /// S3.
    pub objects: &'a mut dyn Objects,
    /// The Glue Data Catalog.
    pub catalog: &'a mut dyn Catalog,
}

/// Firehose as the services that put records directly use it. Limits and metering apply as for any caller.
pub trait Deliveries {
    /// `PutRecord`.
    fn put_record(&mut self, cx: &mut Cx<'_>, stores: Stores<'_>, stream: &str, data: &[u8]) -> Result<(), AwsError>;
    /// `PutRecordBatch`. Answers the places of the records that were not taken.
    fn put_records(
        &mut self,
        cx: &mut Cx<'_>,
        stores: Stores<'_>,
        stream: &str,
        records: &[Bytes],
    ) -> Result<Vec<usize>, AwsError>;
}

/// SNS as the services that publish use it.
pub trait Notifications {
    /// `Publish` to a topic. With `json` the message holds one text for each protocol.
    fn publish(&mut self, cx: &mut Cx<'_>, target: &str, message: &str, json: bool) -> Result<(), AwsError>;
}

/// DynamoDB as the services that store items use it.
pub trait Items {
    /// `PutItem`: attributes as they stand on the wire, such as `{"id": {"S": "x"}}`.
    fn put_item(&mut self, cx: &mut Cx<'_>, table: &str, item: serde_json::Value) -> Result<(), AwsError>;
}
