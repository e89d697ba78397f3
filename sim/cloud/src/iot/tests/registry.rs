//! Events of things, groups, and rules that invoke functions or change while messages wait.

use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Subscribe};
use serde_json::{Value, json};

use super::fleet::{Answer, HOT_SQL, World, certificate, throttle};
use crate::core::AwsError;
use crate::iot::RestRequest;

const TAGGER: &str = "arn:aws:lambda:eu-west-1:123456789012:function:tagger";

fn lambda_rule(name: &str, sql: &str) -> Value {
    json!({ "RuleName": name, "TopicRulePayload": {
        "AwsIotSqlVersion": "2016-03-23", "Sql": sql,
        "Actions": [{ "Lambda": { "FunctionArn": TAGGER } }],
        "ErrorAction": { "S3": { "RoleArn": "arn:aws:iam::123456789012:role/rule", "BucketName": "errors", "Key": "k" } },
    } })
}

/// An account whose owner wants events of things, with a rule that passes them to the tagger.
fn world() -> World {
    let mut world = World::new();
    let sql = "SELECT * FROM '$aws/events/thing/+/created'";
    world.provision("AWS::IoT::TopicRule", lambda_rule("tagger", sql)).unwrap();
    let enabled = json!({ "eventConfigurations": { "THING": { "Enabled": true } } });
    world.rest("PATCH", "/event-configurations", enabled).unwrap();
    world
}

fn thing(tenant: &str) -> Value {
    json!({ "thingTypeName": "device", "attributePayload": { "attributes": { "tenant": tenant } } })
}

#[test]
fn a_new_thing_invokes_the_function_of_the_rule_on_its_event() {
    let mut world = world();
    let created = world.rest("POST", "/things/d1", thing("acme")).unwrap();
    assert!(world.functions.invoked.is_empty(), "the event comes after the call");
    world.pass(Duration::from_millis(1));
    let (function, service, source, payload) = world.functions.invoked.remove(0);
    assert_eq!((function.as_str(), service.as_str()), (TAGGER, "iot.amazonaws.com"));
    assert_eq!(source, "arn:aws:iot:eu-west-1:123456789012:rule/tagger");
    let mut event: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(event["eventId"].take().as_str().map(str::len), Some(32));
    assert_eq!(event["thingId"].take(), created["thingId"]);
    let timestamp = event["timestamp"].take().as_u64().unwrap();
    assert!((1_772_323_200_000..1_772_323_300_000).contains(&timestamp), "{timestamp}");
    assert_eq!(
        event,
        json!({
            "eventType": "THING_EVENT", "eventId": null, "timestamp": null, "operation": "CREATED",
            "accountId": "123456789012", "thingId": null, "thingName": "d1", "versionNumber": 1,
            "thingTypeName": "device", "attributes": { "tenant": "acme" },
        })
    );
    // The same again is no change.
    world.rest("POST", "/things/d1", thing("acme")).unwrap();
    world.pass(Duration::from_secs(1));
    assert!(world.functions.invoked.is_empty());
}

#[test]
fn events_are_off_until_the_owner_asks_for_them_and_of_things_only() {
    let mut world = World::new();
    world.provision("AWS::IoT::TopicRule", lambda_rule("r", "SELECT * FROM '$aws/events/thing/#'")).unwrap();
    world.register("d1", "acme", "device");
    world.pass(Duration::from_secs(1));
    assert!(world.functions.invoked.is_empty());
    let described = world.rest("GET", "/event-configurations", Value::Null).unwrap();
    assert_eq!(described["eventConfigurations"]["THING"], json!({ "Enabled": false }));
    let jobs = json!({ "eventConfigurations": { "JOB": { "Enabled": true } } });
    assert_eq!(world.rest("PATCH", "/event-configurations", jobs).unwrap_err().code, "NotImplemented");
    let things = json!({ "eventConfigurations": { "THING": { "Enabled": true }, "JOB": { "Enabled": false } } });
    world.rest("PATCH", "/event-configurations", things).unwrap();
    world.register("d2", "acme", "device");
    world
        .rest(
            "PATCH",
            "/things/d2",
            json!({ "attributePayload": { "attributes": { "site": "north" }, "merge": true } }),
        )
        .unwrap();
    world.rest("POST", "/things/lone", json!({})).unwrap();
    world.rest("DELETE", "/things/lone", Value::Null).unwrap();
    world.pass(Duration::from_secs(1));
    let told: Vec<(String, String, u64)> = world
        .functions
        .invoked
        .iter()
        .map(|(.., payload)| {
            let event: Value = serde_json::from_slice(payload).unwrap();
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            (text("thingName"), text("operation"), event["versionNumber"].as_u64().unwrap())
        })
        .collect();
    let expected = [("d2", "CREATED", 1), ("d2", "UPDATED", 2), ("lone", "CREATED", 1), ("lone", "DELETED", 1)];
    assert_eq!(told, expected.map(|(name, operation, version)| (name.to_owned(), operation.to_owned(), version)));
    let attributes = &world.rest("GET", "/things/d2", Value::Null).unwrap()["attributes"];
    assert_eq!(*attributes, json!({ "tenant": "acme", "site": "north" }));
}

#[test]
fn subscribers_get_events_and_plain_wildcards_do_not() {
    let mut world = world();
    world.allow_all();
    world.register("watcher", "acme", "all");
    world.pass(Duration::from_secs(1));
    world.functions.invoked.clear();
    world.connect(1, "watcher");
    for (filter, granted) in [("$aws/events/thing/+/created", true), ("#", true), ("$aws/events/presence", false)] {
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = 9;
        world.send(1, &Packet::Subscribe(subscribe));
        let answers = world.answers();
        let [Answer::Packet(1, Packet::SubAck(ack))] = &answers[..] else { panic!("{answers:?}") };
        let refused = format!("{:?}", ack.return_codes).contains("Failure");
        assert_eq!(refused, !granted, "{filter}");
    }
    world.rest("POST", "/things/d7", thing("acme")).unwrap();
    world.pass(Duration::from_millis(1));
    let answers = world.answers();
    let [Answer::Packet(1, Packet::Publish(event))] = &answers[..] else { panic!("one copy: {answers:?}") };
    assert_eq!(event.topic, "$aws/events/thing/d7/created");
}

#[test]
fn a_function_that_may_not_be_invoked_is_a_failure_and_a_throttled_one_is_tried_again() {
    let mut world = world();
    world.functions.errors.push_back(Some(AwsError::new("AccessDeniedException", "no").status(403)));
    world.functions.errors.push_back(Some(throttle()));
    world.rest("POST", "/things/d1", thing("acme")).unwrap();
    world.pass(Duration::from_millis(1));
    let (_, _, document) = &world.objects.objects[0];
    let document: Value = serde_json::from_slice(document).unwrap();
    assert_eq!(document["failures"][0]["failedAction"], "LambdaAction");
    assert_eq!(document["failures"][0]["failedResource"], TAGGER);
    assert_eq!(document["clientId"], "n/a");
    world.rest("POST", "/things/d2", thing("acme")).unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!((world.functions.invoked.len(), world.objects.objects.len()), (1, 1));
}

#[test]
fn things_enter_and_leave_groups() {
    let mut world = World::new();
    world.register("d1", "acme", "device");
    let group = |name: &str, parent: Option<&str>| {
        let mut properties = json!({ "ThingGroupName": name, "ThingGroupProperties": {
            "ThingGroupDescription": "d", "AttributePayload": { "Attributes": { "tenant": "acme" } } } });
        if let Some(parent) = parent {
            properties["ParentGroupName"] = parent.into();
        }
        properties
    };
    assert_eq!(world.provision("AWS::IoT::ThingGroup", group("tenants", None)).unwrap(), "tenants");
    world.provision("AWS::IoT::ThingGroup", group("acme", Some("tenants"))).unwrap();
    world.provision("AWS::IoT::ThingGroup", group("beta", Some("tenants"))).unwrap();
    world.provision("AWS::IoT::BillingGroup", json!({ "BillingGroupName": "acme" })).unwrap();
    let described = world.rest("GET", "/thing-groups/acme", Value::Null).unwrap();
    assert_eq!(described["thingGroupMetadata"]["parentGroupName"], "tenants");
    assert_eq!(described["thingGroupMetadata"]["rootToParentThingGroups"][0]["groupName"], "tenants");
    let add = "/thing-groups/addThingToThingGroup";
    world.rest("PUT", add, json!({ "thingGroupName": "acme", "thingName": "d1" })).unwrap();
    let arn = "arn:aws:iot:eu-west-1:123456789012:thing/d1";
    world.rest("PUT", add, json!({ "thingGroupName": "acme", "thingArn": arn })).unwrap();
    for (body, code, text) in [
        (json!({ "thingGroupName": "beta", "thingName": "d1" }), "InvalidRequestException", "same hierarchy"),
        (json!({ "thingGroupName": "gone", "thingName": "d1" }), "ResourceNotFoundException", "group gone"),
        (json!({ "thingGroupName": "acme", "thingName": "d2" }), "ResourceNotFoundException", "thing d2"),
        (json!({ "thingName": "d1" }), "InvalidRequestException", "not named"),
    ] {
        let error = world.rest("PUT", add, body).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(text), "{error}");
    }
    let member = json!({ "billingGroupName": "acme", "thingName": "d1" });
    world.rest("PUT", "/billing-groups/addThingToBillingGroup", member.clone()).unwrap();
    assert_eq!(world.rest("GET", "/things/d1", Value::Null).unwrap()["billingGroupName"], "acme");
    let listed = world.rest("GET", "/things/d1/thing-groups", Value::Null).unwrap();
    assert_eq!(listed["thingGroups"][0]["groupArn"], "arn:aws:iot:eu-west-1:123456789012:thinggroup/acme");
    world.rest("PUT", "/billing-groups/removeThingFromBillingGroup", member).unwrap();
    assert_eq!(world.rest("GET", "/things/d1", Value::Null).unwrap().get("billingGroupName"), None);
    assert!(world.delete("AWS::IoT::ThingGroup", "tenants").unwrap_err().message.contains("child groups"));
    world.delete("AWS::IoT::ThingGroup", "acme").unwrap();
    world.delete("AWS::IoT::BillingGroup", "acme").unwrap();
    let listed = world.rest("GET", "/things/d1/thing-groups", Value::Null).unwrap();
    assert_eq!(listed, json!({ "thingGroups": [] }));
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let mut world = World::new();
    world.register("d1", "acme", "device");
    for (kind, name, code) in [
        ("AWS::IoT::Policy", "device", "DeleteConflictException"),
        ("AWS::IoT::ThingType", "device", "InvalidRequestException"),
    ] {
        assert_eq!(world.delete(kind, name).unwrap_err().code, code, "{kind}");
    }
    let attached = world.rest("DELETE", "/things/d1", Value::Null).unwrap_err();
    assert!(attached.message.contains("attached to one or more principals"), "{attached}");
    for kind in ["AWS::IoT::Policy", "AWS::IoT::ThingType", "AWS::IoT::TopicRule"] {
        world.delete(kind, "gone").unwrap_or_else(|error| panic!("{kind} is gone already: {error}"));
    }
}

#[test]
fn a_changed_policy_counts_for_clients_that_are_connected() {
    let mut world = World::new();
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    let publish = |world: &mut World, id| world.publish(1, "tenant/acme/device/d1/data", id, "{}");
    assert!(matches!(publish(&mut world, 1)[..], [Answer::Packet(1, Packet::PubAck(_))]));
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": ["iot:Publish"], "Resource": ["*"] } ] });
    world.update("AWS::IoT::Policy", "device", json!({ "PolicyName": "device", "PolicyDocument": document })).unwrap();
    assert_eq!(world.rest("GET", "/policies/device", Value::Null).unwrap()["defaultVersionId"], "2");
    assert_eq!(publish(&mut world, 2), [Answer::Close(1)]);
    assert!(world.iot.registry.certificates.contains_key(certificate("d1").as_str()));
}

fn stream_rule(name: &str, sql: &str, stream: &str, disabled: bool) -> Value {
    json!({ "RuleName": name, "TopicRulePayload": {
        "AwsIotSqlVersion": "2016-03-23", "Sql": sql, "RuleDisabled": disabled,
        "Actions": [{ "Kinesis": {
            "RoleArn": "arn:aws:iam::123456789012:role/other", "StreamName": stream, "PartitionKey": "${topic(4)}" } }],
    } })
}

#[test]
fn a_rule_changes_while_messages_wait_and_nothing_is_lost_or_overtaken() {
    let mut world = World::new();
    world.rule("readings", HOT_SQL);
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    let publish = |world: &mut World, seq: u16| {
        world.publish(1, "tenant/acme/device/d1/data", seq, &format!("{{\"seq\":{seq}}}"));
    };
    world.streams.errors.extend([Some(throttle()), Some(throttle())]);
    publish(&mut world, 1);
    publish(&mut world, 2);
    let kind = "AWS::IoT::TopicRule";
    world.update(kind, "readings", stream_rule("readings", HOT_SQL, "new", false)).unwrap();
    publish(&mut world, 3);
    world.pass(Duration::from_secs(5));
    let put: Vec<(String, u64)> = world
        .streams
        .records
        .iter()
        .map(|(stream, _, data)| {
            (stream.clone(), serde_json::from_slice::<Value>(data).unwrap()["seq"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(put, [("raw".to_owned(), 1), ("raw".to_owned(), 2), ("new".to_owned(), 3)]);
    assert_eq!(world.streams.callers[0], "arn:aws:iam::123456789012:role/other", "retries are made in the new role");
    world.update(kind, "readings", stream_rule("readings", HOT_SQL, "new", true)).unwrap();
    publish(&mut world, 4);
    world.update(kind, "readings", stream_rule("readings", HOT_SQL, "new", false)).unwrap();
    publish(&mut world, 5);
    world.streams.errors.push_back(Some(throttle()));
    publish(&mut world, 6);
    world.delete(kind, "readings").unwrap();
    publish(&mut world, 7);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.streams.records.len(), 5, "disabled for 4, deleted before 7; what waited still goes");
    world.rule("readings", HOT_SQL);
    publish(&mut world, 8);
    assert_eq!(world.streams.records.len(), 6);
}

#[test]
fn events_tell_of_types_groups_members_and_hierarchies() {
    let mut world = World::empty();
    let kinds =
        ["THING_TYPE", "THING_TYPE_ASSOCIATION", "THING_GROUP", "THING_GROUP_MEMBERSHIP", "THING_GROUP_HIERARCHY"];
    let enabled: serde_json::Map<String, Value> =
        kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "Enabled": true }))).collect();
    world.rest("PATCH", "/event-configurations", json!({ "eventConfigurations": enabled })).unwrap();
    for (method, target, body) in [
        ("POST", "/thing-types/pump", json!({ "thingTypeProperties": { "thingTypeDescription": "p" } })),
        ("POST", "/thing-groups/top", json!({})),
        ("POST", "/thing-groups/low", json!({ "parentGroupName": "top" })),
        ("POST", "/things/d1", json!({ "thingTypeName": "pump" })),
        ("PUT", "/thing-groups/addThingToThingGroup", json!({ "thingName": "d1", "thingGroupName": "low" })),
        ("PUT", "/thing-groups/addThingToThingGroup", json!({ "thingName": "d1", "thingGroupName": "low" })),
        ("PUT", "/thing-groups/removeThingFromThingGroup", json!({ "thingName": "d1", "thingGroupName": "low" })),
        ("PATCH", "/things/d1", json!({ "removeThingType": true })),
        ("PATCH", "/thing-groups/low", json!({ "thingGroupProperties": { "thingGroupDescription": "l" } })),
        ("DELETE", "/thing-groups/low", Value::Null),
        ("POST", "/thing-types/pump/deprecate", json!({})),
    ] {
        world.now += Duration::from_secs(1);
        let (path, body) = (target, body.to_string());
        let request = RestRequest { method, path, query: "", principal: None, body: body.as_bytes() };
        world.iot.rest(&mut world.parts.cx(world.now, &world.owner), &request).unwrap();
    }
    let mut told = Vec::new();
    while let Some(posted) = world.iot.registry.outbox.pop() {
        let event: Value = serde_json::from_slice(&posted.payload).unwrap();
        told.push((posted.topic.to_string(), event));
    }
    let topics: Vec<&str> = told.iter().map(|(topic, _)| topic.strip_prefix("$aws/events/").unwrap()).collect();
    assert_eq!(
        topics,
        [
            "thingType/pump/created",
            "thingGroup/top/created",
            "thingGroup/low/created",
            "thingGroupHierarchy/thingGroup/top/childThingGroup/low/added",
            "thingTypeAssociation/thing/d1/thingType/pump/added",
            "thingGroupMembership/thingGroup/low/thing/d1/added",
            "thingGroupMembership/thingGroup/low/thing/d1/removed",
            "thingTypeAssociation/thing/d1/thingType/pump/removed",
            "thingGroup/low/updated",
            "thingGroupHierarchy/thingGroup/top/childThingGroup/low/removed",
            "thingGroup/low/deleted",
            "thingType/pump/updated",
        ]
    );
    let event = |index: usize| &told[index].1;
    assert_eq!((&event(0)["operation"], &event(0)["isDeprecated"]), (&json!("CREATED"), &json!(false)));
    assert!(event(11)["deprecationDate"].is_u64(), "{}", event(11));
    assert_eq!(event(2)["rootToParentThingGroups"][0]["groupArn"], "arn:aws:iot:eu-west-1:123456789012:thinggroup/top");
    assert_eq!((&event(2)["parentGroupName"], &event(8)["versionNumber"]), (&json!("top"), &json!(2)));
    assert_eq!(event(5)["membershipId"], event(6)["membershipId"]);
    assert_eq!((&event(4)["operation"], &event(4)["thingTypeName"]), (&json!("ADDED"), &json!("pump")));
    assert_eq!((&event(3)["childGroupName"], &event(3)["thingGroupName"]), (&json!("low"), &json!("top")));
    let policies = json!({ "eventConfigurations": { "POLICY": { "Enabled": true } } });
    let refused = world.rest("PATCH", "/event-configurations", policies).unwrap_err();
    assert!(refused.message.contains("POLICY"), "{refused}");
}

#[test]
fn policies_of_groups_and_changes_of_things_count_for_clients_that_are_connected() {
    let mut world = World::empty();
    let nothing = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "iot:Connect", "Resource": "*" } });
    let own = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:Publish",
        "Resource": "arn:aws:iot:*:*:topic/${iot:Connection.Thing.Attributes[tenant]}" } });
    for (name, document) in [("connect", nothing), ("own", own)] {
        world.provision("AWS::IoT::Policy", json!({ "PolicyName": name, "PolicyDocument": document })).unwrap();
    }
    world.rest("POST", "/thing-groups/top", json!({})).unwrap();
    world.rest("POST", "/thing-groups/low", json!({ "parentGroupName": "top" })).unwrap();
    world.register("d1", "acme", "connect");
    let group = json!({ "thingName": "d1", "thingGroupName": "low" });
    let target = json!({ "target": "arn:aws:iot:eu-west-1:123456789012:thinggroup/top" });
    let attributes = |tenant: &str| json!({ "attributePayload": { "attributes": { "tenant": tenant } } });
    let mut connection = 0;
    // Each change, and the topic that the device may publish to after it.
    for (method, path, body, topic) in [
        ("PUT", "/thing-groups/addThingToThingGroup", group.clone(), None),
        ("PUT", "/target-policies/own", target.clone(), Some("acme")),
        ("PATCH", "/things/d1", attributes("beta"), Some("beta")),
        ("PUT", "/thing-groups/removeThingFromThingGroup", group.clone(), None),
        ("PUT", "/thing-groups/addThingToThingGroup", group, Some("beta")),
        ("POST", "/target-policies/own", target, None),
    ] {
        for tried in ["acme", "beta"] {
            connection += 1;
            world.pass(Duration::from_secs(1));
            world.connect(connection, "d1");
            if tried == "acme" {
                let body = body.to_string();
                let request = RestRequest { method, path, query: "", principal: None, body: body.as_bytes() };
                world.iot.rest(&mut world.parts.cx(world.now, &world.owner), &request).unwrap();
            }
            let answers = world.publish(connection, tried, 1, "{}");
            let allowed = matches!(answers[..], [Answer::Packet(_, Packet::PubAck(_))]);
            assert_eq!(allowed, topic == Some(tried), "{method} {path} {body}: {tried}");
        }
    }
}
