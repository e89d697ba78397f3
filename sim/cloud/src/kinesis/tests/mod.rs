//! The service as its callers see it: through the JSON API and through the port.

mod consumers;
mod limits;
mod measure;
mod model;
mod on_demand;
mod reading;
mod resharding;
mod settings;
mod streams;
mod writing;

use serde_json::{Value, json};

use super::*;
use crate::core::cx::CxParts;
use crate::core::{Principal, Provisioned, Resource};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

/// An account with Kinesis only.
struct Account {
    kinesis: Kinesis,
    parts: CxParts,
    caller: Principal,
    now: Time,
}

impl Account {
    /// An account with the stream `s` of `shards` shards.
    fn with_stream(shards: u32) -> Self {
        Account::with_stream_under(None, shards)
    }

    /// The same under other quotas than AWS's.
    fn with_stream_under(quotas: Option<Quotas>, shards: u32) -> Self {
        let mut account = Account {
            kinesis: Kinesis { quotas: quotas.map(Arc::new), ..Kinesis::new() },
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng()),
            caller: Principal::new("arn:aws:iam::123456789012:user/tester"),
            now: Time::from_unix_secs(1_772_323_200),
        };
        account.provision(json!({"Name": "s", "ShardCount": shards})).unwrap();
        account
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Kinesis, &mut Cx<'_>) -> T) -> T {
        act(&mut self.kinesis, &mut self.parts.cx(self.now, &self.caller))
    }

    fn provision(&mut self, properties: Value) -> Result<Provisioned, AwsError> {
        self.act(|kinesis, cx| kinesis.provision(cx, &resource(properties)))
    }

    /// Changes the stream `s`, whose properties were `previous`.
    fn update(&mut self, previous: &Value, properties: Value) -> Result<Provisioned, AwsError> {
        self.act(|kinesis, cx| kinesis.update(cx, &resource(properties), "s", previous))
    }

    /// A call that is answered.
    fn call(&mut self, operation: &str, body: Value) -> Value {
        let answer = self.raw(operation, &body).unwrap_or_else(|error| panic!("{operation} {body}: {error}"));
        if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() }
    }

    fn raw(&mut self, operation: &str, body: &Value) -> Result<Vec<u8>, AwsError> {
        let body = body.to_string();
        self.act(|kinesis, cx| kinesis.call(cx, operation, body.as_bytes()))
    }

    /// A call that is refused: its code and message.
    fn refused(&mut self, operation: &str, body: Value) -> (&'static str, String) {
        let error = self.raw(operation, &body).expect_err("the call is refused");
        (error.code, error.message)
    }

    fn wait(&mut self, millis: u64) {
        self.now += std::time::Duration::from_millis(millis);
    }

    /// Lets time pass until `millis` later, with its wake-ups on the way.
    fn wait_awake(&mut self, millis: u64) {
        let until = self.now + std::time::Duration::from_millis(millis);
        while let Some(due) = self.parts.timers.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let wake = self.parts.timers.pop_due(self.now).unwrap();
            self.act(|kinesis, cx| kinesis.wake(cx, wake.token));
        }
        self.now = until;
    }

    fn put(&mut self, key: &str, data: &str) -> Result<(Arc<str>, u128), AwsError> {
        let data = Bytes::from(data.to_owned());
        self.act(|kinesis, cx| kinesis.put_record(cx, "s", key, data))
    }

    fn iterator(&mut self, shard: usize, kind: &str, member: (&str, Value)) -> String {
        let mut body = json!({"StreamName": "s", "ShardId": format!("shardId-{shard:012}"), "ShardIteratorType": kind});
        if !member.0.is_empty() {
            body[member.0] = member.1;
        }
        self.call("GetShardIterator", body)["ShardIterator"].as_str().unwrap().to_owned()
    }

    /// Reads once: the payloads and the whole answer.
    fn read(&mut self, iterator: &str) -> (Vec<String>, Value) {
        let answer = self.call("GetRecords", json!({"ShardIterator": iterator}));
        let data = |record: &Value| {
            use base64::Engine as _;
            let data = base64::engine::general_purpose::STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
            String::from_utf8(data).unwrap()
        };
        (answer["Records"].as_array().unwrap().iter().map(data).collect(), answer)
    }

    fn counter(&self, name: &'static str) -> u64 {
        self.parts.meter.counters().get(&(SERVICE, name)).copied().unwrap_or_default()
    }
}

fn resource(properties: Value) -> Resource {
    Resource {
        stack: "stack".to_owned(),
        logical_id: "Stream".to_owned(),
        kind: "AWS::Kinesis::Stream".to_owned(),
        properties,
    }
}

/// Anything in base64.
fn base64(data: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(data)
}

#[test]
fn operations_of_aws_are_answered_or_refused_by_name_and_others_are_unknown() {
    let mut account = Account::with_stream(1);
    for operation in NOT_MODELLED {
        let error = account.raw(operation, &json!({})).unwrap_err();
        assert_eq!((error.code, error.status), ("NotImplemented", 501), "{operation}");
        assert!(error.message.contains(operation), "{error}");
    }
    assert_eq!(account.refused("PutRecordz", json!({})).0, "UnknownOperationException");
    let (code, message) = account.refused("GetRecords", json!({"ShardIterator": "x", "DryRun": true}));
    assert_eq!(code, "NotImplemented");
    assert!(message.contains("the member DryRun of kinesis GetRecords"), "{message}");
    assert_eq!(account.refused("ListStreams", json!({"Limit": "3"})).0, "SerializationException");
}
