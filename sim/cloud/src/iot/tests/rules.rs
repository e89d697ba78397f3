use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::{Answer, HOT_SQL, World, throttle};
use crate::core::disturb::Plan;
use crate::core::{AwsError, Disturbance};
use world::trace::{Event, EventSink, Level, Trace};

/// Keeps events for a test.
struct Kept(Arc<Mutex<Vec<Event>>>);

impl EventSink for Kept {
    fn push(&mut self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

fn world() -> World {
    let mut world = World::new();
    world.rule("readings", HOT_SQL);
    for device in ["d1", "d2"] {
        world.register(device, "acme", "device");
    }
    world.connect(1, "d1");
    world.connect(2, "d2");
    world
}

fn publish(world: &mut World, device: u64, seq: u16) -> bool {
    let topic = format!("tenant/acme/device/d{device}/data");
    let answers = world.publish(device, &topic, seq, &format!(r#"{{"seq":{seq},"metrics":{{"t":21.50}}}}"#));
    matches!(answers[..], [Answer::Packet(..)])
}

fn sequence(world: &World, device: &str) -> Vec<u64> {
    let of_device = world.streams.records.iter().filter(|(_, key, _)| key == device);
    of_device.map(|(_, _, data)| serde_json::from_slice::<Value>(data).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_reading_reaches_the_stream_in_the_role_of_the_rule() {
    let mut world = world();
    assert!(publish(&mut world, 1, 5));
    let (stream, key, data) = &world.streams.records[0];
    assert_eq!((stream.as_str(), key.as_str()), ("raw", "d1"));
    let expected = r#"{"seq":5,"metrics":{"t":21.5},"tenant_id":"acme","device_id":"d1","received_at":1772323200000}"#;
    assert_eq!(std::str::from_utf8(data).unwrap(), expected);
    assert_eq!(world.streams.callers, ["arn:aws:iam::123456789012:role/rule"]);
    let counts = ["TopicMatch", "RulesExecuted", "Success", "Failure", "ParseError"].map(|name| world.count(name));
    assert_eq!(counts, [1, 1, 1, 0, 0]);
}

#[test]
fn a_throttled_put_is_retried_and_nothing_of_the_device_overtakes_it() {
    let mut world = world();
    world.streams.errors.extend([Some(throttle()), Some(throttle()), Some(throttle())]);
    for seq in 1..=4 {
        assert!(publish(&mut world, 1, seq), "the broker has accepted the message");
    }
    assert!(publish(&mut world, 2, 1));
    assert!(sequence(&world, "d1").is_empty());
    assert_eq!(world.streams.calls, 2, "later messages of d1 wait, d2 was throttled on its own");
    world.pass(Duration::from_millis(101));
    assert!(sequence(&world, "d1").len() + sequence(&world, "d2").len() > 0);
    world.pass(Duration::from_secs(1));
    assert!(publish(&mut world, 1, 5));
    assert_eq!(sequence(&world, "d1"), [1, 2, 3, 4, 5]);
    assert_eq!(sequence(&world, "d2"), [1]);
    assert_eq!((world.count("Success"), world.count("Failure")), (6, 0));
    assert!(world.objects.objects.is_empty());
}

#[test]
fn random_throttles_keep_the_order_of_every_device() {
    let mut world = world();
    for round in 1..=200_u16 {
        let fails = round % 3 != 0 && round < 150;
        world.streams.errors.push_back(fails.then(throttle));
        publish(&mut world, 1, round);
        publish(&mut world, 2, round);
        world.pass(Duration::from_millis(37));
    }
    world.streams.errors.clear();
    world.pass(Duration::from_secs(60));
    let all: Vec<u64> = (1..=200).collect();
    assert_eq!(sequence(&world, "d1"), all);
    assert_eq!(sequence(&world, "d2"), all);
}

#[test]
fn what_fails_for_good_goes_to_the_error_action() {
    let mut world = world();
    world.streams.errors.push_back(Some(AwsError::new("ResourceNotFoundException", "Stream raw not found")));
    assert!(publish(&mut world, 1, 9));
    assert!(publish(&mut world, 1, 10), "the next message is not held up");
    assert_eq!(sequence(&world, "d1"), [10]);
    let (bucket, key, document) = &world.objects.objects[0];
    assert_eq!(bucket, "errors");
    assert!(key.starts_with("e/acme/d1/") && key.ends_with(".json"), "{key}");
    let mut document: Value = serde_json::from_slice(document).unwrap();
    assert_eq!(document["cloudwatchTraceId"].take().as_str().map(str::len), Some(36));
    assert_eq!(
        document,
        json!({
            "ruleName": "readings",
            "topic": "tenant/acme/device/d1/data",
            "cloudwatchTraceId": null,
            "clientId": "d1",
            "base64OriginalPayload": "eyJzZXEiOjksIm1ldHJpY3MiOnsidCI6MjEuNTB9fQ==",
            "failures": [{
                "failedAction": "KinesisAction",
                "failedResource": "raw",
                "errorMessage": "ResourceNotFoundException: Stream raw not found",
            }],
        })
    );
    assert_eq!((world.count("Failure"), world.count("ErrorActionSuccess")), (1, 1));
}

#[test]
fn retries_end_and_the_messages_behind_go_on() {
    let mut world = world();
    let broken = AwsError::new("InternalFailure", "try again").status(500);
    // The first message fails at once and with all of its 12 retries; the second passes.
    world.streams.errors.extend(vec![Some(broken); 13]);
    publish(&mut world, 1, 1);
    publish(&mut world, 1, 2);
    world.pass(Duration::from_secs(120));
    assert_eq!(sequence(&world, "d1"), [2]);
    assert_eq!((world.count("Failure"), world.count("Success"), world.objects.objects.len()), (1, 1, 1));
    // The device was silent for longer than its keep-alive allows.
    world.answers();
    world.connect(1, "d1");
    world.objects.errors.push_back(Some(AwsError::new("NoSuchBucket", "gone").status(404)));
    world.streams.errors.push_back(Some(AwsError::new("ResourceNotFoundException", "gone")));
    publish(&mut world, 1, 3);
    assert_eq!(world.count("ErrorActionFailure"), 1);
    assert!(publish(&mut world, 1, 4));
    assert_eq!(sequence(&world, "d1"), [2, 4]);
}

#[test]
fn a_message_that_even_the_error_action_loses_is_counted_and_told() {
    let mut world = world();
    let events = Arc::new(Mutex::new(Vec::new()));
    world.parts.trace = Trace::keeping(Level::Call, Box::new(Kept(events.clone())));
    world.streams.errors.extend(vec![Some(throttle()); 13]);
    world.objects.errors.push_back(Some(AwsError::new("NoSuchBucket", "gone").status(404)));
    assert!(publish(&mut world, 1, 1), "the broker has accepted the message");
    world.pass(Duration::from_secs(120));
    let counts = ["Success", "Failure", "ErrorActionSuccess", "ErrorActionFailure"].map(|name| world.count(name));
    assert_eq!(counts, [0, 1, 0, 1]);
    let events = events.lock().unwrap();
    let lost: Vec<&Event> = events.iter().filter(|event| event.kind == "rule-failure").collect();
    assert_eq!(lost.len(), 1);
    let detail: Value = serde_json::from_str(&lost[0].detail).unwrap();
    assert_eq!((&detail["topic"], &detail["client"]), (&json!("tenant/acme/device/d1/data"), &json!("d1")));
    assert_eq!(detail["error_action"], "ErrorActionFailure");
    assert_eq!(detail["error_action_reason"], "NoSuchBucket: gone");
    assert_eq!(detail["reason"], "ProvisionedThroughputExceededException: Rate exceeded for shard");
}

#[test]
fn the_error_action_of_a_retried_message_has_the_instant_of_its_receipt() {
    let mut world = World::new();
    let role = "arn:aws:iam::123456789012:role/rule";
    let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT * FROM '#'",
        "Actions": [{ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": "k" } }],
        "ErrorAction": { "S3": { "RoleArn": role, "BucketName": "errors", "Key": "e/${timestamp()}.json" } } });
    world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "late", "TopicRulePayload": payload })).unwrap();
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    world.streams.errors.extend(vec![Some(throttle()); 13]);
    publish(&mut world, 1, 1);
    world.pass(Duration::from_secs(120));
    let keys: Vec<&str> = world.objects.objects.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(keys, ["e/1772323200000.json"]);
}

#[test]
fn a_message_that_waits_for_an_action_that_became_another_kind_has_failed() {
    let mut world = World::new();
    let role = "arn:aws:iam::123456789012:role/rule";
    let kinesis = json!({ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": "k" } });
    let lambda = json!({ "Lambda": { "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f" } });
    let rule = |action: &Value| {
        let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT * FROM '#'", "Actions": [action] });
        json!({ "RuleName": "turns", "TopicRulePayload": payload })
    };
    world.provision("AWS::IoT::TopicRule", rule(&kinesis)).unwrap();
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    world.streams.errors.push_back(Some(throttle()));
    publish(&mut world, 1, 1);
    world.update("AWS::IoT::TopicRule", "turns", rule(&lambda)).unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!((world.streams.calls, world.streams.records.len(), world.count("Failure")), (1, 0, 1));
    assert!(world.functions.invoked.is_empty());
    publish(&mut world, 1, 2);
    assert_eq!(world.functions.invoked.len(), 1);
}

#[test]
fn rules_run_in_the_order_of_their_creation_and_only_when_they_are_enabled() {
    let mut world = World::new();
    let role = "arn:aws:iam::123456789012:role/rule";
    for (name, filter, disabled) in [
        ("z", "tenant/#", false),
        ("y", "#", true),
        ("a", "tenant/+/device/d1/data", false),
        ("b", "tenant/+/device/d2/data", false),
        ("m", "+/acme/#", false),
    ] {
        let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": format!("SELECT * FROM '{filter}'"),
            "RuleDisabled": disabled,
            "Actions": [{ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": name } }] });
        world.provision("AWS::IoT::TopicRule", json!({ "RuleName": name, "TopicRulePayload": payload })).unwrap();
    }
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    assert!(publish(&mut world, 1, 1));
    let keys: Vec<&str> = world.streams.records.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(keys, ["z", "a", "m"]);
    assert_eq!(world.count("TopicMatch"), 3);
}

#[test]
fn several_failed_actions_make_one_error_message() {
    let mut world = World::new();
    let role = "arn:aws:iam::123456789012:role/rule";
    let kinesis = |key: &str| json!({ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": key } });
    let s3 = json!({ "S3": { "RoleArn": role, "BucketName": "copies", "Key": "${topic(4)}/${seq}.json" } });
    let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT * FROM '#'", "ErrorAction": s3.clone(),
        "Actions": [kinesis("${topic(4)}"), kinesis("${absent}"), s3] });
    world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "many", "TopicRulePayload": payload })).unwrap();
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    // The first action is throttled and then fails; the second has no key; the third succeeds.
    world.streams.errors.extend([Some(throttle()), Some(AwsError::new("AccessDeniedException", "no"))]);
    publish(&mut world, 1, 1);
    assert_eq!(world.objects.objects.len(), 1, "the error message waits for the retry");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.objects.objects.len(), 2);
    let document: Value = serde_json::from_slice(&world.objects.objects[1].2).unwrap();
    let messages: Vec<_> =
        document["failures"].as_array().unwrap().iter().map(|f| f["errorMessage"].as_str().unwrap()).collect();
    assert_eq!(messages, ["the template of partitionKey has no value", "AccessDeniedException: no"]);
}

#[test]
fn payloads_that_are_no_json_are_counted_and_start_no_action() {
    let mut world = world();
    let answers = world.publish(1, "tenant/acme/device/d1/data", 1, "not json");
    assert_eq!(answers.len(), 1, "the broker has accepted the message");
    assert_eq!((world.count("ParseError"), world.count("Success"), world.streams.calls), (1, 0, 0));
}

#[test]
fn a_rule_that_rests_or_does_not_match_starts_nothing() {
    let mut world = World::new();
    world.rule("elsewhere", "SELECT * FROM 'tenant/other/#'");
    world.rule("never", "SELECT * FROM '#' WHERE seq > 100");
    world.register("d1", "acme", "device");
    world.connect(1, "d1");
    assert!(publish(&mut world, 1, 1));
    assert_eq!((world.streams.calls, world.count("TopicMatch"), world.count("RulesExecuted")), (0, 1, 1));
}

#[test]
fn resources_are_created_from_templates_and_refused_by_name() {
    let mut world = World::new();
    let role = "arn:aws:iam::123456789012:role/rule";
    let rule = |change: &dyn Fn(&mut Value)| {
        let mut payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT * FROM 'a'",
            "Actions": [{ "Kinesis": { "RoleArn": role, "StreamName": "s", "PartitionKey": "k" } }] });
        change(&mut payload);
        json!({ "RuleName": "r", "TopicRulePayload": payload, "Tags": [] })
    };
    for (kind, properties, named) in [
        ("AWS::IoT::Certificate", json!({}), "not modelled"),
        ("AWS::IoT::Policy", json!({ "PolicyName": "p", "PolicyDocument": {}, "Color": 1 }), "Color"),
        (
            "AWS::IoT::Policy",
            json!({ "PolicyName": "device", "PolicyDocument": { "Version": "2012-10-17",
            "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } } }),
            "already exists",
        ),
        (
            "AWS::IoT::ThingType",
            json!({ "ThingTypeName": "t", "ThingTypeProperties": { "Mqtt5Configuration": {} } }),
            "Mqtt5Configuration",
        ),
        ("AWS::IoT::TopicRule", rule(&|p| p["Actions"] = json!([{ "Sqs": { "QueueUrl": "t" } }])), "sqs"),
        ("AWS::IoT::TopicRule", rule(&|p| p["Actions"] = json!([{ "Lambda": { "FunctionArn": "f" } }])), "functionArn"),
        ("AWS::IoT::TopicRule", rule(&|p| p["Sql"] = json!("SELECT a FROM 'x' WHERE")), "at byte 23"),
        ("AWS::IoT::TopicRule", rule(&|p| p["AwsIotSqlVersion"] = json!("2015-10-08")), "2015-10-08"),
        ("AWS::IoT::TopicRule", rule(&|p| p["Actions"][0]["Kinesis"]["RoleArn"] = json!("me")), "roleArn"),
        ("AWS::IoT::TopicRule", rule(&|p| p["Actions"][0]["Kinesis"]["Colour"] = json!("red")), "colour"),
        (
            "AWS::IoT::TopicRule",
            rule(&|p| p["Actions"] = Value::Array(vec![p["Actions"][0].clone(); 11])),
            "at most 10",
        ),
    ] {
        let error = world.provision(kind, properties).expect_err(named);
        assert!(error.message.contains(named), "{named}: {error}");
    }
    assert_eq!(world.provision("AWS::IoT::TopicRule", rule(&|_| ())).unwrap(), "r");
    assert_eq!(world.parts.meter.calls()[&("iot", "CreateTopicRule")].ok, 1);
}

#[test]
fn a_record_whose_answer_was_lost_is_put_again_and_later_ones_stay_behind_it() {
    let mut world = world();
    let failed = || AwsError::new("InternalFailureException", "x").status(500);
    let calls = [Some(Disturbance::AnswerLost(failed())), Some(Disturbance::Refused(failed()))];
    world.parts.disturb = Some(Box::new(Plan { calls: calls.into(), ..Plan::default() }));
    for seq in 1..=3 {
        assert!(publish(&mut world, 1, seq));
    }
    world.pass(Duration::from_secs(5));
    assert_eq!(sequence(&world, "d1"), [1, 1, 2, 3], "first deliveries ascend, and the first came twice");
    let marks = world.parts.trace.marks();
    assert_eq!((marks["repeated-after-lost-response"], marks["rule-retried"]), (1, 2));
}

#[test]
fn nothing_disturbs_an_error_action() {
    let mut world = world();
    let refused = |code| Some(Disturbance::Refused(AwsError::new(code, "x")));
    // The first refusal ends the action; the second would meet the error action, if that asked.
    let calls = [refused("ResourceNotFoundException"), refused("InternalError")];
    world.parts.disturb = Some(Box::new(Plan { calls: calls.into(), ..Plan::default() }));
    assert!(publish(&mut world, 1, 1));
    assert_eq!((world.streams.records.len(), world.objects.objects.len()), (0, 1));
    assert_eq!(world.parts.trace.marks()["rule-gave-up"], 1);
}
