//! Small fakes of the services that a delivery stream uses.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::access::{Access, Identity};
use crate::core::cx::CxParts;
use crate::core::disturb::Plan;
use crate::core::policy::{Document, Purpose};
use crate::core::ports::{
    Catalog, CatalogTable, Column, Invocations, NoAnswer, ObjectSummary, Objects, ReadBatch, ShardCursor, ShardInfo,
    StartingPosition, Stores, StreamRecord, Streams,
};
use crate::core::{AwsError, Cx, Disturbance, Principal, Resource};
use crate::firehose::Firehose;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

pub(super) const STREAM: &str = "readings";

/// A shard.
#[derive(Default)]
pub(super) struct Shard {
    pub records: Vec<StreamRecord>,
    pub parents: Vec<Arc<str>>,
    pub closed: bool,
}

/// One stream.
#[derive(Default)]
pub(super) struct FakeStream {
    pub shards: BTreeMap<Arc<str>, Shard>,
    /// Calls of `GetRecords` that are throttled before the next one succeeds.
    pub throttle: u32,
    /// A shard whose `GetShardIterator` is refused.
    pub closed_to: Option<Arc<str>>,
    /// Calls of `GetRecords`: when, and of which shard.
    pub reads: Vec<(Time, Arc<str>)>,
    sequence: u128,
    /// For how long it keeps records.
    pub retention: Option<Duration>,
}

impl FakeStream {
    pub fn with_shards(count: usize) -> Self {
        let mut stream = FakeStream::default();
        for index in 0..count {
            stream.shards.insert(shard_id(index), Shard::default());
        }
        stream
    }

    pub fn put(&mut self, shard: usize, data: impl Into<Bytes>, arrival: Time) {
        self.sequence += 1;
        let record =
            StreamRecord { data: data.into(), partition_key: "k".into(), sequence_number: self.sequence, arrival };
        self.shards.get_mut(&shard_id(shard)).unwrap().records.push(record);
    }
}

pub(super) fn shard_id(index: usize) -> Arc<str> {
    format!("shardId-{index:012}").into()
}

fn expect_stream(stream: &str) -> Result<(), AwsError> {
    match stream {
        STREAM => Ok(()),
        _ => Err(AwsError::new("ResourceNotFoundException", format!("Stream {stream} not found"))),
    }
}

impl Streams for FakeStream {
    fn put_record(&mut self, _: &mut Cx<'_>, _: &str, _: &str, _: Bytes) -> Result<(Arc<str>, u128), AwsError> {
        unreachable!("a delivery stream puts no records")
    }

    fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, AwsError> {
        expect_stream(stream)?;
        let info = |(id, shard): (&Arc<str>, &Shard)| ShardInfo {
            id: id.clone(),
            parents: shard.parents.clone(),
            closed: shard.closed,
        };
        Ok(self.shards.iter().map(info).collect())
    }

    fn retention(&self, _: &str) -> Option<Duration> {
        self.retention
    }

    fn cursor(
        &self,
        cx: &mut Cx<'_>,
        stream: &str,
        shard_id: &str,
        start: StartingPosition,
    ) -> Result<ShardCursor, AwsError> {
        expect_stream(stream)?;
        assert_eq!(cx.caller.arn, ROLE);
        if self.closed_to.as_deref() == Some(shard_id) {
            return Err(AwsError::new("AccessDeniedException", "not authorized to perform: kinesis:GetShardIterator"));
        }
        let offset = match start {
            StartingPosition::Latest => self.shards[shard_id].records.len() as u64,
            StartingPosition::TrimHorizon => 0,
            StartingPosition::AtTimestamp(_) => unreachable!("a delivery stream begins at LATEST"),
        };
        Ok(ShardCursor { stream: stream.into(), shard_id: shard_id.into(), offset })
    }

    fn get_records(&mut self, cx: &mut Cx<'_>, cursor: &ShardCursor, limit: usize) -> Result<ReadBatch, AwsError> {
        assert_eq!(cx.caller.arn, ROLE);
        self.reads.push((cx.now, cursor.shard_id.clone()));
        if self.throttle > 0 {
            self.throttle -= 1;
            return Err(AwsError::new("ProvisionedThroughputExceededException", "Rate exceeded"));
        }
        let shard = &self.shards[&cursor.shard_id];
        let from = usize::try_from(cursor.offset).unwrap();
        let records: Vec<_> = shard.records[from..].iter().take(limit).cloned().collect();
        let offset = cursor.offset + records.len() as u64;
        let ended = shard.closed && offset == shard.records.len() as u64;
        let next = (!ended).then(|| ShardCursor { offset, ..cursor.clone() });
        Ok(ReadBatch { records, first: cursor.offset, next, millis_behind_latest: 0 })
    }
}

/// A bucket that remembers the order of writing.
#[derive(Default)]
pub(super) struct FakeBucket {
    /// (instant, key, body), in the order of writing.
    pub objects: Vec<(Time, String, Bytes)>,
    /// Calls of `PutObject` that fail before the next one succeeds.
    pub failures: u32,
    /// Keys below this prefix are refused.
    pub closed_below: Option<String>,
}

/// What a function answers to an event.
pub(super) type Handler = Box<dyn Fn(&Value) -> Result<Value, NoAnswer>>;

/// A function.
#[derive(Default)]
pub(super) struct FakeFunction {
    /// Without one it never answers.
    pub handler: Option<Handler>,
    /// Refusals of the next invocations.
    pub refusals: u32,
    /// Events that it was invoked with.
    pub events: Vec<Value>,
    /// Invocations that wait for their answer.
    running: Vec<u64>,
}

impl Invocations for FakeFunction {
    fn invoke_for_service(&mut self, _: &mut Cx<'_>, _: &str, _: &str, _: &str, _: Bytes) -> Result<(), AwsError> {
        unreachable!("a delivery stream waits for its function")
    }

    fn invoke_event(&mut self, _: &mut Cx<'_>, _: &str, _: Bytes) -> Result<(), AwsError> {
        unreachable!("a delivery stream waits for its function")
    }

    fn invoke_and_wait(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<u64, AwsError> {
        assert_eq!((&*cx.caller.arn, function), (ROLE, FUNCTION));
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429));
        }
        self.events.push(serde_json::from_slice(&payload).unwrap());
        let ticket = self.events.len() as u64;
        self.running.push(ticket);
        Ok(ticket)
    }
}

/// The ARN of the function.
pub(super) const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:transform";

impl Objects for FakeBucket {
    fn put_object(
        &mut self,
        cx: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        content_type: &str,
    ) -> Result<String, AwsError> {
        assert!(matches!(bucket, "lake" | "kept"), "{bucket}");
        assert_eq!(content_type, "application/octet-stream");
        if self.closed_below.as_ref().is_some_and(|prefix| key.starts_with(prefix)) {
            return Err(AwsError::new("AccessDenied", "Access Denied").status(403));
        }
        if self.failures > 0 {
            self.failures -= 1;
            return Err(AwsError::new("SlowDown", "Please reduce your request rate.").status(503));
        }
        self.objects.push((cx.now, key.to_owned(), body));
        Ok("etag".to_owned())
    }

    fn get_object(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Bytes, AwsError> {
        unreachable!("a delivery stream reads no objects")
    }

    fn list_objects(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Vec<ObjectSummary>, AwsError> {
        unreachable!("a delivery stream lists no objects")
    }
}

/// A catalog with one table, `iot.processed`, and the instants when it was asked for one.
pub(super) struct FakeCatalog(pub Arc<CatalogTable>, pub Vec<Time>);

pub(super) fn table(version: u32, columns: &[(&str, &str)]) -> Arc<CatalogTable> {
    let column = |(name, hive): &(&str, &str)| Column { name: (*name).to_owned(), hive_type: (*hive).to_owned() };
    Arc::new(CatalogTable {
        database: "iot".to_owned(),
        name: "processed".to_owned(),
        version_id: version.to_string(),
        columns: columns.iter().map(column).collect(),
        partition_keys: vec![column(&("datehour", "string"))],
        location: "s3://lake/processed/".to_owned(),
        input_format: String::new(),
        serialization_library: String::new(),
        serde_parameters: BTreeMap::new(),
        parameters: BTreeMap::new(),
    })
}

impl Catalog for FakeCatalog {
    fn get_table(&mut self, cx: &mut Cx<'_>, database: &str, table: &str) -> Result<Arc<CatalogTable>, AwsError> {
        assert_eq!(cx.caller.arn, ROLE);
        self.1.push(cx.now);
        if (database, table) == (&self.0.database, &self.0.name) {
            return Ok(self.0.clone());
        }
        Err(AwsError::new("EntityNotFoundException", format!("Table {table} not found.")))
    }

    fn table_names(&mut self, _: &mut Cx<'_>, _: &str) -> Result<Vec<String>, AwsError> {
        unreachable!("a delivery stream lists no tables")
    }

    fn database_names(&mut self, _: &mut Cx<'_>) -> Vec<String> {
        unreachable!("a delivery stream lists no databases")
    }
}

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/deliver";

/// Properties of a delivery from [`STREAM`] to the bucket `lake`, changed by `change`.
pub(super) fn properties(change: impl FnOnce(&mut Value)) -> Value {
    let mut properties = json!({
        "DeliveryStreamName": "raw",
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{STREAM}"),
            "RoleARN": ROLE,
        },
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": ROLE,
            "BucketARN": "arn:aws:s3:::lake",
            "Prefix": "raw/!{timestamp:yyyy/MM/dd/HH}/",
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/",
            "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 1},
            "CompressionFormat": "UNCOMPRESSED",
        },
    });
    change(&mut properties);
    properties
}

/// Properties of a delivery with format conversion.
pub(super) fn converting(change: impl FnOnce(&mut Value)) -> Value {
    properties(|properties| {
        let destination = &mut properties["ExtendedS3DestinationConfiguration"];
        destination["BufferingHints"] = json!({"IntervalInSeconds": 60, "SizeInMBs": 128});
        destination["DataFormatConversionConfiguration"] = json!({
            "Enabled": true,
            "SchemaConfiguration": {
                "RoleARN": ROLE,
                "CatalogId": "123456789012",
                "Region": "eu-west-1",
                "DatabaseName": "iot",
                "TableName": "processed",
                "VersionId": "LATEST",
            },
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {"CaseInsensitive": false}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"Compression": "SNAPPY"}}},
        });
        change(properties);
    })
}

fn resource(properties: Value) -> Resource {
    Resource {
        stack: "lake".to_owned(),
        logical_id: "Delivery".to_owned(),
        kind: "AWS::KinesisFirehose::DeliveryStream".to_owned(),
        properties,
    }
}

/// Firehose with everything around it.
pub(super) struct World {
    pub parts: CxParts,
    pub now: Time,
    pub firehose: Firehose,
    pub stream: FakeStream,
    pub bucket: FakeBucket,
    pub catalog: FakeCatalog,
    pub function: FakeFunction,
    pub owner: Principal,
}

impl World {
    pub fn new(shards: usize) -> Self {
        World {
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng()),
            now: Time::from_unix_secs(1_772_323_200), // 2026-03-01T00:00:00Z
            firehose: Firehose::new(),
            stream: FakeStream::with_shards(shards),
            bucket: FakeBucket::default(),
            catalog: FakeCatalog(table(0, &[("device_id", "string"), ("seq", "bigint")]), Vec::new()),
            function: FakeFunction::default(),
            owner: Principal::new("arn:aws:iam::123456789012:root"),
        }
    }

    /// Enforces permissions: the role of the delivery may do nothing but these.
    pub fn allow_only(&mut self, actions: &[&str]) {
        let statement = json!([{ "Effect": "Allow", "Action": actions, "Resource": "*" }]);
        let document = json!({ "Version": "2012-10-17", "Statement": statement });
        self.parts.access = Access::enforced();
        let policies = vec![Arc::new(Document::parse(&document, Purpose::Identity).unwrap())];
        let (id, boundary, tags) = ("AROADELIVER".to_owned(), None, BTreeMap::new());
        self.parts.access.put_role("deliver", Identity { arn: ROLE.to_owned(), id, policies, boundary, tags });
    }

    /// The next calls of `PutObject`: of those that are true the answer is lost.
    pub fn lose(&mut self, calls: &[bool]) {
        let lost = || Disturbance::AnswerLost(AwsError::new("InternalError", "x").status(500));
        let calls = calls.iter().map(|is_lost| is_lost.then(lost)).collect();
        self.parts.disturb = Some(Box::new(Plan { operation: "PutObject", calls, ..Plan::default() }));
    }

    pub fn create(&mut self, properties: Value) -> Result<(), AwsError> {
        let resource = resource(properties);
        let cx = &mut self.parts.cx(self.now, &self.owner);
        let made = self.firehose.provision(cx, &mut self.stream, &mut self.catalog, &resource)?;
        let arn = format!("arn:aws:firehose:eu-west-1:123456789012:deliverystream/{}", made.physical_id);
        assert_eq!(made.attributes["Arn"], arn);
        Ok(())
    }

    /// Changes the delivery stream `raw`, whose properties were `previous`.
    pub fn update(&mut self, previous: &Value, properties: Value) -> Result<(), AwsError> {
        let cx = &mut self.parts.cx(self.now, &self.owner);
        let (stream, catalog, resource) = (&mut self.stream, &mut self.catalog, resource(properties));
        let changed = self.firehose.update(cx, stream, catalog, &resource, "raw", previous)?;
        assert_eq!((&*changed.physical_id, changed.ready_at), ("raw", None));
        Ok(())
    }

    /// Deletes the delivery stream `raw`.
    pub fn delete(&mut self, properties: Value) {
        let cx = &mut self.parts.cx(self.now, &self.owner);
        let (stream, catalog) = (&mut self.stream, &mut self.catalog);
        self.firehose.delete(cx, stream, catalog, &resource(properties), "raw").unwrap();
    }

    /// Lets time pass, with every wake-up on its way.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(due) = self.parts.timers.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let wake = self.parts.timers.pop_due(self.now).unwrap();
            let cx = &mut self.parts.cx(self.now, &self.owner);
            let stores = Stores { streams: &mut self.stream, objects: &mut self.bucket, catalog: &mut self.catalog };
            self.firehose.wake(cx, stores, &mut self.function, wake.token);
            self.answer();
        }
        self.now = until;
    }

    /// Lets the function answer what it can.
    fn answer(&mut self) {
        let Some(handler) = self.function.handler.take() else { return };
        for ticket in std::mem::take(&mut self.function.running) {
            let event = &self.function.events[usize::try_from(ticket).unwrap() - 1];
            let answer = handler(event).map(|answer| Bytes::from(answer.to_string()));
            let cx = &mut self.parts.cx(self.now, &self.owner);
            let stores = Stores { streams: &mut self.stream, objects: &mut self.bucket, catalog: &mut self.catalog };
            self.firehose.function_answered(cx, stores, &mut self.function, ticket, &answer);
        }
        self.function.handler = Some(handler);
    }

    pub fn call(&mut self, operation: &str, body: &Value) -> Result<Value, AwsError> {
        let body = body.to_string();
        let cx = &mut self.parts.cx(self.now, &self.owner);
        let stores = Stores { streams: &mut self.stream, objects: &mut self.bucket, catalog: &mut self.catalog };
        let answer = self.firehose.call(cx, stores, &mut self.function, operation, body.as_bytes())?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// How many wake-ups wait.
    pub fn wakes(&mut self) -> usize {
        std::iter::from_fn(|| self.parts.timers.pop_due(Time::MAX)).count()
    }

    pub fn counter(&self, name: &'static str) -> u64 {
        self.parts.meter.counters().get(&("firehose", name)).copied().unwrap_or(0)
    }
}

pub(super) fn unzip(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}
