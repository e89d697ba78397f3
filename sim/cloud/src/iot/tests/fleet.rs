//! A small account with devices, and stand-ins for the other services.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish};
use serde_json::{Value, json};

use crate::core::cx::CxParts;
use crate::core::ports::{
    Catalog, CatalogTable, Deliveries, Invocations, Items, Notifications, ObjectSummary, Objects, ReadBatch,
    ShardCursor, ShardInfo, StartingPosition, Stores, Streams,
};
use crate::core::{AwsError, Cx, Effect, Principal, Resource};
use crate::iot::{DeviceRegistration, Iot, Ports, RestRequest, certificate_id};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

pub(super) const HOT_SQL: &str =
    "SELECT *, topic(2) AS tenant_id, topic(4) AS device_id, timestamp() AS received_at FROM 'tenant/+/device/+/data'";

/// A stream that records what it is given and fails as it is told.
#[derive(Default)]
pub(super) struct FakeStreams {
    pub(super) records: Vec<(String, String, Bytes)>,
    pub(super) callers: Vec<String>,
    /// Answers of the next calls; when empty, calls succeed.
    pub(super) errors: VecDeque<Option<AwsError>>,
    pub(super) calls: u64,
    pub(super) forget: bool,
}

impl Streams for FakeStreams {
    fn put_record(
        &mut self,
        cx: &mut Cx<'_>,
        stream: &str,
        key: &str,
        data: Bytes,
    ) -> Result<(Arc<str>, u128), AwsError> {
        self.calls += 1;
        if let Some(Some(error)) = self.errors.pop_front() {
            return Err(error);
        }
        if !self.forget {
            self.callers.push(cx.caller.arn.clone());
            self.records.push((stream.to_owned(), key.to_owned(), data));
        }
        Ok((Arc::from("shardId-000000000000"), u128::from(self.calls)))
    }

    fn list_shards(&self, _: &str) -> Result<Vec<ShardInfo>, AwsError> {
        unreachable!("rules only put records")
    }

    fn cursor(&self, _: &mut Cx<'_>, _: &str, _: &str, _: StartingPosition) -> Result<ShardCursor, AwsError> {
        unreachable!("rules only put records")
    }

    fn get_records(&mut self, _: &mut Cx<'_>, _: &ShardCursor, _: usize) -> Result<ReadBatch, AwsError> {
        unreachable!("rules only put records")
    }
}

/// A bucket that records what it is given and fails as it is told.
#[derive(Default)]
pub(super) struct FakeObjects {
    pub(super) objects: Vec<(String, String, Bytes)>,
    pub(super) errors: VecDeque<Option<AwsError>>,
}

impl Objects for FakeObjects {
    fn put_object(
        &mut self,
        _: &mut Cx<'_>,
        bucket: &str,
        key: &str,
        body: Bytes,
        _: &str,
    ) -> Result<String, AwsError> {
        if let Some(Some(error)) = self.errors.pop_front() {
            return Err(error);
        }
        self.objects.push((bucket.to_owned(), key.to_owned(), body));
        Ok("etag".to_owned())
    }

    fn get_object(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Bytes, AwsError> {
        unreachable!("rules only put objects")
    }

    fn list_objects(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Vec<ObjectSummary>, AwsError> {
        unreachable!("rules only put objects")
    }
}

/// Functions that note for whom they were invoked, and refuse as they are told.
#[derive(Default)]
pub(super) struct FakeFunctions {
    /// (function, service, ARN of its resource, payload)
    pub(super) invoked: Vec<(String, String, String, Bytes)>,
    pub(super) errors: VecDeque<Option<AwsError>>,
}

impl Invocations for FakeFunctions {
    fn invoke_for_service(
        &mut self,
        _: &mut Cx<'_>,
        function: &str,
        service: &str,
        source_arn: &str,
        payload: Bytes,
    ) -> Result<(), AwsError> {
        if let Some(Some(error)) = self.errors.pop_front() {
            return Err(error);
        }
        self.invoked.push((function.to_owned(), service.to_owned(), source_arn.to_owned(), payload));
        Ok(())
    }

    fn invoke_for_answer(
        &mut self,
        cx: &mut Cx<'_>,
        function: &str,
        service: &str,
        source_arn: &str,
        payload: Bytes,
    ) -> Result<u64, AwsError> {
        self.invoke_for_service(cx, function, service, source_arn, payload)?;
        Ok(self.invoked.len() as u64)
    }

    fn invoke_event(&mut self, _: &mut Cx<'_>, _: &str, _: Bytes) -> Result<(), AwsError> {
        unreachable!("rules invoke as a service")
    }
}

/// Delivery streams, topics and tables that note what they are given, and refuse as they are told.
#[derive(Default)]
pub(super) struct FakeSinks {
    /// (operation, resource, payload, who called)
    pub(super) taken: Vec<(&'static str, String, String, String)>,
    pub(super) errors: VecDeque<Option<AwsError>>,
    /// Places of the records that the next batches do not take.
    pub(super) not_taken: VecDeque<Vec<usize>>,
}

impl FakeSinks {
    fn take(&mut self, cx: &Cx<'_>, operation: &'static str, resource: &str, payload: &str) -> Result<(), AwsError> {
        if let Some(Some(error)) = self.errors.pop_front() {
            return Err(error);
        }
        self.taken.push((operation, resource.to_owned(), payload.to_owned(), cx.caller.arn.clone()));
        Ok(())
    }
}

impl Deliveries for FakeSinks {
    fn put_record(&mut self, cx: &mut Cx<'_>, _: Stores<'_>, stream: &str, data: &[u8]) -> Result<(), AwsError> {
        self.take(cx, "PutRecord", stream, &String::from_utf8_lossy(data))
    }

    fn put_records(
        &mut self,
        cx: &mut Cx<'_>,
        _: Stores<'_>,
        stream: &str,
        records: &[Bytes],
    ) -> Result<Vec<usize>, AwsError> {
        let texts: Vec<_> = records.iter().map(|data| String::from_utf8_lossy(data)).collect();
        self.take(cx, "PutRecordBatch", stream, &texts.join("|"))?;
        Ok(self.not_taken.pop_front().unwrap_or_default())
    }
}

impl Notifications for FakeSinks {
    fn publish(&mut self, cx: &mut Cx<'_>, target: &str, message: &str, json: bool) -> Result<(), AwsError> {
        self.take(cx, if json { "Publish JSON" } else { "Publish" }, target, message)
    }
}

impl Items for FakeSinks {
    fn put_item(&mut self, cx: &mut Cx<'_>, table: &str, item: Value) -> Result<(), AwsError> {
        self.take(cx, "PutItem", table, &item.to_string())
    }
}

/// A catalog that nobody asks.
#[derive(Default)]
pub(super) struct NoCatalog;

impl Catalog for NoCatalog {
    fn get_table(&mut self, _: &mut Cx<'_>, _: &str, _: &str) -> Result<Arc<CatalogTable>, AwsError> {
        unreachable!("a fake delivery stream converts nothing")
    }

    fn table_names(&mut self, _: &mut Cx<'_>, _: &str) -> Result<Vec<String>, AwsError> {
        unreachable!("a fake delivery stream converts nothing")
    }

    fn database_names(&mut self, _: &mut Cx<'_>) -> Vec<String> {
        unreachable!("a fake delivery stream converts nothing")
    }
}

pub(super) fn throttle() -> AwsError {
    AwsError::new("ProvisionedThroughputExceededException", "Rate exceeded for shard")
}

pub(super) fn certificate(device: &str) -> String {
    certificate_id(device.as_bytes())
}

pub(super) struct World {
    pub(super) iot: Iot,
    pub(super) streams: FakeStreams,
    pub(super) objects: FakeObjects,
    pub(super) functions: FakeFunctions,
    pub(super) deliveries: FakeSinks,
    pub(super) catalog: NoCatalog,
    pub(super) notifications: FakeSinks,
    pub(super) items: FakeSinks,
    pub(super) parts: CxParts,
    pub(super) now: Time,
    pub(super) owner: Principal,
}

impl World {
    /// An account with the platform's device policy and thing type, and without devices.
    pub(super) fn new() -> Self {
        let mut world = World::empty();
        let arn = |rest: &str| format!("arn:aws:iot:eu-west-1:123456789012:{rest}");
        let own = arn(
            "topic/tenant/${iot:Connection.Thing.Attributes[tenant]}/device/${iot:Connection.Thing.ThingName}/data",
        );
        let document = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["iot:Connect"], "Resource": [arn("client/${iot:Connection.Thing.ThingName}")] },
            { "Effect": "Allow", "Action": ["iot:Publish"], "Resource": [own] },
        ] });
        world.provision("AWS::IoT::Policy", json!({ "PolicyName": "device", "PolicyDocument": document })).unwrap();
        world
            .provision(
                "AWS::IoT::ThingType",
                json!({ "ThingTypeName": "device", "ThingTypeProperties": {
                "ThingTypeDescription": "d", "SearchableAttributes": ["tenant"] } }),
            )
            .unwrap();
        world
    }

    pub(super) fn empty() -> Self {
        World {
            iot: Iot::new(),
            streams: FakeStreams::default(),
            objects: FakeObjects::default(),
            functions: FakeFunctions::default(),
            deliveries: FakeSinks::default(),
            catalog: NoCatalog,
            notifications: FakeSinks::default(),
            items: FakeSinks::default(),
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(7).rng()),
            now: Time::from_unix_secs(1_772_323_200),
            owner: Principal::new("arn:aws:iam::123456789012:root"),
        }
    }

    pub(super) fn provision(&mut self, kind: &str, properties: Value) -> Result<String, AwsError> {
        let resource = World::resource(kind, properties);
        self.iot.provision(&mut self.parts.cx(self.now, &self.owner), &resource).map(|p| p.physical_id)
    }

    pub(super) fn resource(kind: &str, properties: Value) -> Resource {
        Resource { stack: "test".to_owned(), logical_id: "R".to_owned(), kind: kind.to_owned(), properties }
    }

    pub(super) fn update(&mut self, kind: &str, name: &str, properties: Value) -> Result<String, AwsError> {
        let resource = World::resource(kind, properties);
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.iot.update(&mut cx, &resource, name, &json!({})).map(|p| p.physical_id)
    }

    pub(super) fn delete(&mut self, kind: &str, name: &str) -> Result<(), AwsError> {
        let resource = World::resource(kind, json!({}));
        self.iot.delete(&mut self.parts.cx(self.now, &self.owner), &resource, name)
    }

    /// One call of the control plane, a second after the one before.
    pub(super) fn rest(&mut self, method: &str, target: &str, body: Value) -> Result<Value, AwsError> {
        self.pass(Duration::from_secs(1));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = body.to_string();
        let request = RestRequest { method, path, query, principal: None, body: body.as_bytes() };
        let (_, answer) = self.iot.rest(&mut self.parts.cx(self.now, &self.owner), &request)?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() })
    }

    /// A policy for everything, to attach to clients beside devices.
    pub(super) fn allow_all(&mut self) {
        let document =
            json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:*", "Resource": "*" } });
        self.provision("AWS::IoT::Policy", json!({ "PolicyName": "all", "PolicyDocument": document })).unwrap();
    }

    pub(super) fn rule(&mut self, name: &str, sql: &str) {
        let role = "arn:aws:iam::123456789012:role/rule";
        self.provision("AWS::IoT::TopicRule", json!({ "RuleName": name, "TopicRulePayload": {
            "Description": "d", "AwsIotSqlVersion": "2016-03-23", "Sql": sql, "RuleDisabled": false,
            "Actions": [{ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": "${topic(4)}" } }],
            "ErrorAction": { "S3": { "RoleArn": role, "BucketName": "errors", "Key": "e/${topic(2)}/${topic(4)}/${newuuid()}.json" } },
        } }))
        .unwrap();
    }

    pub(super) fn register(&mut self, device: &str, tenant: &str, policy: &str) {
        let device = DeviceRegistration {
            thing_name: device.to_owned(),
            thing_type: self.iot.registry.thing_types.contains_key("device").then(|| "device".to_owned()),
            attributes: [("tenant".to_owned(), tenant.to_owned())].into(),
            certificate_id: certificate(device),
            policy_name: policy.to_owned(),
        };
        self.iot.register_device(&mut self.parts.cx(self.now, &self.owner), &device).unwrap();
    }

    pub(super) fn open(&mut self, connection: u64, device: &str) {
        self.iot.open(&mut self.parts.cx(self.now, &self.owner), connection, &certificate(device), "10.0.0.9").unwrap();
    }

    /// Lets IoT Core act, with its neighbours.
    pub(super) fn with_ports<T>(&mut self, act: impl FnOnce(&mut Iot, &mut Cx<'_>, &mut Ports<'_>) -> T) -> T {
        let mut cx = self.parts.cx(self.now, &self.owner);
        let mut ports = Ports {
            streams: &mut self.streams,
            objects: &mut self.objects,
            functions: &mut self.functions,
            deliveries: &mut self.deliveries,
            catalog: &mut self.catalog,
            notifications: &mut self.notifications,
            items: &mut self.items,
        };
        act(&mut self.iot, &mut cx, &mut ports)
    }

    pub(super) fn bytes(&mut self, connection: u64, bytes: &[u8]) {
        self.with_ports(|iot, cx, ports| iot.receive(cx, ports, connection, bytes));
    }

    pub(super) fn send(&mut self, connection: u64, packet: &Packet) {
        let bytes = encode(packet);
        self.bytes(connection, &bytes);
    }

    pub(super) fn closed(&mut self, connection: u64) {
        self.iot.closed(&mut self.parts.cx(self.now, &self.owner), connection);
    }

    /// Opens a connection and connects with the device's name; answers what came back.
    pub(super) fn connect(&mut self, connection: u64, device: &str) -> Vec<Answer> {
        self.open(connection, device);
        self.send(connection, &Packet::Connect(Connect::new(device)));
        self.answers()
    }

    pub(super) fn publish(&mut self, connection: u64, topic: &str, id: u16, payload: &str) -> Vec<Answer> {
        self.send(connection, &publish(topic, id, payload));
        self.answers()
    }

    /// Lets time pass, with every wake-up at its instant.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.parts.timers.next_due().filter(|due| *due <= end) {
            self.now = due;
            while let Some(wake) = self.parts.timers.pop_due(due) {
                self.with_ports(|iot, cx, ports| iot.wake(cx, ports, wake.token));
            }
        }
        self.now = end;
    }

    /// What the broker sent since the last look.
    pub(super) fn answers(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for effect in std::mem::take(&mut self.parts.effects) {
            match effect {
                Effect::MqttSend { connection, bytes } => {
                    let mut bytes = BytesMut::from(&bytes[..]);
                    while !bytes.is_empty() {
                        answers.push(Answer::Packet(connection, Packet::read(&mut bytes, 200_000).unwrap()));
                    }
                }
                Effect::MqttClose { connection } => answers.push(Answer::Close(connection)),
                Effect::Invoke { .. } | Effect::Answer { .. } => unreachable!("IoT Core runs no function itself"),
                Effect::StreamEvent { .. } | Effect::StreamEnd { .. } => unreachable!("IoT Core has no such answers"),
            }
        }
        answers
    }

    pub(super) fn count(&self, name: &'static str) -> u64 {
        self.parts.meter.counters().get(&("iot", name)).copied().unwrap_or(0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Packet(u64, Packet),
    Close(u64),
}

pub(super) fn encode(packet: &Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, 1 << 20).unwrap();
    bytes.to_vec()
}

/// A PUBLISH, with QoS 1 unless `id` is 0.
pub(super) fn publish(topic: &str, id: u16, payload: &str) -> Packet {
    let qos = if id == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let mut packet = Publish::new(topic, qos, payload);
    packet.pkid = id;
    Packet::Publish(packet)
}
