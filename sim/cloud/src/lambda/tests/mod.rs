//! Lambda with a small stream in memory, functions that answer by a script, and a driver that turns the timers.

mod api;
mod change;
mod delivery;
mod environments;
mod failure;
mod interleavings;
mod mappings;
mod model;
mod queue;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{FunctionError, FunctionErrorKind, Lambda, Ports};
use crate::core::cx::CxParts;
use crate::core::disturb::Plan;
use crate::core::ports::{
    LogGroups, Notifications, ObjectSummary, Objects, ReadBatch, ShardCursor, ShardInfo, StartingPosition,
    StreamRecord, Streams, parse_sequence_number, render_sequence_number,
};
use crate::core::{AwsError, Cx, Deferred, Disturbance, Effect, EventFate, Principal, Provisioned, Resource, Start};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const START: Time = Time::from_unix_secs(1_800_000_000);
const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/raw";

fn at(seconds: f64) -> Time {
    START + Duration::from_secs_f64(seconds)
}

/// One shard of [`FakeStream`].
#[derive(Default)]
struct FakeShard {
    parents: Vec<Arc<str>>,
    closed: bool,
    records: Vec<StreamRecord>,
    /// Position of the oldest record that is still kept.
    trimmed: u64,
}

/// The stream `raw`.
#[derive(Default)]
struct FakeStream {
    shards: BTreeMap<Arc<str>, FakeShard>,
    /// The next reads that are refused.
    refusals: usize,
    /// Who read which shard when, and how many records it got.
    reads: Vec<(String, String, Time, usize)>,
}

impl FakeStream {
    fn put(&mut self, shard: &str, now: Time, data: &[u8]) {
        self.put_keyed(shard, now, "key", data);
    }

    fn put_keyed(&mut self, shard: &str, now: Time, key: &str, data: &[u8]) {
        let shard = self.shards.get_mut(shard).expect("the shard exists");
        let sequence_number = 1_000 + shard.records.len() as u128;
        let record = StreamRecord {
            data: Bytes::copy_from_slice(data),
            partition_key: key.into(),
            sequence_number,
            arrival: now,
        };
        shard.records.push(record);
    }

    fn add_shard(&mut self, id: &str, parents: &[&str]) {
        let parents = parents.iter().map(|parent| Arc::from(*parent)).collect();
        self.shards.insert(id.into(), FakeShard { parents, ..FakeShard::default() });
    }
}

impl Streams for FakeStream {
    fn put_record(&mut self, _: &mut Cx<'_>, _: &str, _: &str, _: Bytes) -> Result<(Arc<str>, u128), AwsError> {
        unreachable!("Lambda writes to no stream")
    }

    fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, AwsError> {
        if stream != "raw" {
            return Err(AwsError::new("ResourceNotFoundException", "no such stream"));
        }
        let info = |(id, shard): (&Arc<str>, &FakeShard)| ShardInfo {
            id: id.clone(),
            parents: shard.parents.clone(),
            closed: shard.closed,
        };
        Ok(self.shards.iter().map(info).collect())
    }

    fn cursor(
        &self,
        _: &mut Cx<'_>,
        stream: &str,
        shard_id: &str,
        start: StartingPosition,
    ) -> Result<ShardCursor, AwsError> {
        let shard = &self.shards[shard_id];
        let offset = match start {
            StartingPosition::TrimHorizon => shard.trimmed,
            StartingPosition::Latest => shard.records.len() as u64,
            StartingPosition::AtTimestamp(time) => shard.records.iter().take_while(|r| r.arrival < time).count() as u64,
        };
        Ok(ShardCursor { stream: stream.into(), shard_id: shard_id.into(), offset })
    }

    fn get_records(&mut self, cx: &mut Cx<'_>, cursor: &ShardCursor, limit: usize) -> Result<ReadBatch, AwsError> {
        let read = (cx.caller.arn.clone(), cursor.shard_id.to_string(), cx.now);
        if self.refusals > 0 {
            self.refusals -= 1;
            self.reads.push((read.0, read.1, read.2, 0));
            return Err(AwsError::new("ProvisionedThroughputExceededException", "Rate exceeded for shard"));
        }
        let shard = &self.shards[&cursor.shard_id];
        let offset = cursor.offset.max(shard.trimmed);
        let records: Vec<_> = shard.records.iter().skip(offset as usize).take(limit).cloned().collect();
        self.reads.push((read.0, read.1, read.2, records.len()));
        let end = offset + records.len() as u64;
        let at_end = shard.closed && end == shard.records.len() as u64;
        let next = (!at_end).then(|| ShardCursor { offset: end, ..cursor.clone() });
        Ok(ReadBatch { records, first: offset, next, millis_behind_latest: 0 })
    }
}

/// Log groups: that of every function but `unlogged` exists.
struct Groups;

impl LogGroups for Groups {
    fn has_group(&self, name: &str) -> bool {
        name != "/aws/lambda/unlogged"
    }
}

/// Buckets that take every object, after some refusals.
#[derive(Default)]
struct FakeStore {
    /// The next writes that are refused.
    refusals: usize,
    /// Who wrote what where.
    objects: Vec<(String, String, String, Value)>,
}

impl Objects for FakeStore {
    fn put_object(
        &mut self,
        cx: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        _: &str,
    ) -> Result<String, AwsError> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(AwsError::new("SlowDown", "Please reduce your request rate.").status(503));
        }
        let body = serde_json::from_slice(&body).expect("a record is JSON");
        self.objects.push((cx.caller.arn.clone(), bucket.to_owned(), key.to_owned(), body));
        Ok("etag".to_owned())
    }

    fn get_object(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Bytes, AwsError> {
        unreachable!("Lambda reads no objects")
    }

    fn list_objects(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Vec<ObjectSummary>, AwsError> {
        unreachable!("Lambda lists no objects")
    }
}

/// Topics that take every message.
#[derive(Default)]
struct FakeTopics {
    messages: Vec<(String, Value)>,
}

impl Notifications for FakeTopics {
    fn publish(&mut self, _: &mut Cx<'_>, target: &str, message: &str, json: bool) -> Result<(), AwsError> {
        assert!(!json);
        self.messages.push((target.to_owned(), serde_json::from_str(message).expect("a record is JSON")));
        Ok(())
    }
}

fn ports<'p>(stream: &'p mut FakeStream, store: &'p mut FakeStore, topics: &'p mut FakeTopics) -> Ports<'p> {
    Ports { streams: stream, objects: store, topics, logs: &Groups }
}

/// An invocation that a function got.
#[derive(Clone, Debug)]
struct Invocation {
    function: String,
    version: String,
    revision: u64,
    started: Time,
    deadline: Time,
    start: Start,
    request_id: String,
    shard: String,
    /// Sequence numbers.
    records: Vec<u128>,
    event: Value,
}

impl Invocation {
    fn is_cold(&self) -> bool {
        self.start != Start::Warm
    }
}

/// How a function ends an invocation.
#[derive(Clone, Debug)]
enum End {
    Ok,
    /// Throws when this record is in the batch, whichever invocation it is.
    ThrowsAt(u128),
    /// Reports the record at this position of the batch, counted around its end.
    FailsAt(usize),
    Answers(&'static str),
    Throws,
    Crashes,
    TimesOut,
}

/// Ticket, headers and body of the answer to a synchronous invocation.
type Answer = (Deferred, Vec<(&'static str, String)>, Bytes);

/// The world around Lambda.
struct Bench {
    parts: CxParts,
    owner: Principal,
    lambda: Lambda,
    stream: FakeStream,
    store: FakeStore,
    topics: FakeTopics,
    now: Time,
    /// How long each invocation takes.
    run: Duration,
    /// How much of that is the initialisation of a new environment.
    init: Duration,
    /// How the next invocations end.
    ends: VecDeque<End>,
    /// How all others end.
    afterwards: End,
    invocations: Vec<Invocation>,
    running: Vec<(Time, u64, Result<Bytes, FunctionError>)>,
    answers: Vec<Answer>,
}

impl Bench {
    /// With the function `enrich`, and a stream of `shards` shards: shard-0, shard-1, ...
    fn new(shards: usize) -> Self {
        let parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let mut bench = Bench {
            parts,
            owner: Principal::new("owner"),
            lambda: Lambda::new(),
            stream: FakeStream::default(),
            store: FakeStore::default(),
            topics: FakeTopics::default(),
            now: START,
            run: Duration::from_millis(100),
            init: Duration::ZERO,
            ends: VecDeque::new(),
            afterwards: End::Ok,
            invocations: Vec::new(),
            running: Vec::new(),
            answers: Vec::new(),
        };
        for shard in 0..shards {
            bench.stream.add_shard(&format!("shard-{shard}"), &[]);
        }
        bench.provision("AWS::Lambda::Function", function("enrich")).unwrap();
        bench
    }

    /// With a mapping of the stream to the function, too.
    fn mapped(shards: usize, settings: Value) -> Self {
        let mut bench = Bench::new(shards);
        bench.map(settings).unwrap();
        bench
    }

    fn map(&mut self, settings: Value) -> Result<Provisioned, AwsError> {
        self.provision("AWS::Lambda::EventSourceMapping", mapping(settings))
    }

    fn provision(&mut self, kind: &str, properties: Value) -> Result<Provisioned, AwsError> {
        let resource = resource(kind, properties);
        self.lambda.provision(&mut self.parts.cx(self.now, &self.owner), &mut self.stream, &resource)
    }

    fn update(&mut self, kind: &str, id: &str, properties: Value) -> Result<Provisioned, AwsError> {
        let resource = resource(kind, properties);
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.lambda.update(&mut cx, &mut self.stream, &resource, id, &json!({}))
    }

    fn delete(&mut self, kind: &str, id: &str) {
        let resource = resource(kind, json!({}));
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.lambda.delete(&mut cx, &mut self.stream, &resource, id).unwrap();
    }

    fn put(&mut self, shard: &str, count: usize) {
        for _ in 0..count {
            self.stream.put(shard, self.now, b"reading");
        }
    }

    /// Turns timers and ends invocations until `end`.
    fn run_until(&mut self, end: Time) {
        let owner = Principal::new("owner");
        loop {
            self.start_invocations();
            let timer = self.parts.timers.next_due();
            let ending = self.running.iter().map(|(time, invocation, _)| (*time, *invocation)).min();
            match (timer, ending) {
                (timer, Some((time, invocation))) if timer.is_none_or(|t| time <= t) && time <= end => {
                    self.now = time;
                    let position = self.running.iter().position(|(_, id, _)| *id == invocation).unwrap();
                    let (_, _, result) = self.running.remove(position);
                    let mut ports = ports(&mut self.stream, &mut self.store, &mut self.topics);
                    let cx = &mut self.parts.cx(time, &owner);
                    self.lambda.complete(cx, &mut ports, invocation, self.init, result);
                }
                (Some(time), _) if time <= end => {
                    self.now = self.now.max(time);
                    let wake = self.parts.timers.pop_due(self.now).unwrap();
                    let mut ports = ports(&mut self.stream, &mut self.store, &mut self.topics);
                    self.lambda.wake(&mut self.parts.cx(self.now, &owner), &mut ports, wake.token);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn start_invocations(&mut self) {
        for effect in std::mem::take(&mut self.parts.effects) {
            let (invocation, function, payload, request_id, timeout, start) = match effect {
                Effect::Invoke { invocation, function, payload, request_id, timeout, start } => {
                    (invocation, function, payload, request_id, timeout, start)
                }
                Effect::Answer { ticket, headers, body, .. } => {
                    self.answers.push((ticket, headers, body));
                    continue;
                }
                other => panic!("Lambda asks for invocations and answers only: {other:?}"),
            };
            let event: Value = serde_json::from_slice(&payload).expect("an event is JSON");
            let records = event["Records"].as_array().map_or(&[][..], Vec::as_slice);
            let shard = records.first().and_then(|record| record["eventID"].as_str()?.split_once(':'));
            let number = |r: &Value| parse_sequence_number(r["kinesis"]["sequenceNumber"].as_str().unwrap()).unwrap();
            let started = Invocation {
                function: function.function.clone(),
                version: function.version.clone(),
                revision: function.number,
                started: self.now,
                deadline: self.now + self.init + timeout,
                start,
                request_id,
                shard: shard.map_or(String::new(), |(shard, _)| shard.to_owned()),
                records: records.iter().map(number).collect(),
                event,
            };
            let end = self.ends.pop_front().unwrap_or_else(|| self.afterwards.clone());
            let (ends, result) = conclude(&end, &started, self.now + self.run);
            self.invocations.push(started);
            self.running.push((ends, invocation, result));
        }
    }

    fn counter(&self, name: &'static str) -> u64 {
        self.parts.meter.counters().get(&("lambda", name)).copied().unwrap_or(0)
    }

    /// (seconds since the start, records) of each invocation so far.
    fn batches(&self) -> Vec<(f64, usize)> {
        let seconds = |time: Time| time.since(START).as_secs_f64();
        self.invocations.iter().map(|i| (seconds(i.started), i.records.len())).collect()
    }
}

fn conclude(end: &End, invocation: &Invocation, ends: Time) -> (Time, Result<Bytes, FunctionError>) {
    let failed = |kind, error_type: &str| {
        Err(FunctionError { kind, error_type: error_type.to_owned(), message: "the script says so".to_owned() })
    };
    match end {
        End::Ok => (ends, Ok(Bytes::from_static(b"{\"batchItemFailures\":[]}"))),
        End::FailsAt(position) => {
            let number = invocation.records[position % invocation.records.len()];
            let answer = json!({ "batchItemFailures": [{ "itemIdentifier": render_sequence_number(number) }] });
            (ends, Ok(Bytes::from(answer.to_string())))
        }
        End::Answers(text) => (ends, Ok(Bytes::from_static(text.as_bytes()))),
        End::ThrowsAt(poison) if !invocation.records.contains(poison) => conclude(&End::Ok, invocation, ends),
        End::Crashes => (ends, failed(FunctionErrorKind::Broke, "Runtime.ExitError")),
        End::Throws | End::ThrowsAt(_) => (ends, failed(FunctionErrorKind::Unhandled, "Error")),
        End::TimesOut => (invocation.deadline, failed(FunctionErrorKind::TimedOut, "Sandbox.Timedout")),
    }
}

fn resource(kind: &str, properties: Value) -> Resource {
    Resource { stack: "stack".to_owned(), logical_id: "Logical".to_owned(), kind: kind.to_owned(), properties }
}

fn function(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "Handler": "enrichment",
        "Runtime": "provided.al2023",
        "Role": "arn:aws:iam::123456789012:role/enrichment-role",
        "Code": { "S3Bucket": "artifacts", "S3Key": "bootstrap.zip" },
        "MemorySize": 512,
        "Timeout": 60,
        "Environment": { "Variables": { "TABLE": "directory" } },
    })
}

/// Properties of a mapping of the stream to the function `enrich`, from its beginning; `settings` change them.
fn mapping(settings: Value) -> Value {
    let mut properties = json!({
        "EventSourceArn": STREAM_ARN, "FunctionName": "enrich", "StartingPosition": "TRIM_HORIZON",
    });
    for (name, value) in settings.as_object().unwrap() {
        properties[name] = value.clone();
    }
    properties
}
