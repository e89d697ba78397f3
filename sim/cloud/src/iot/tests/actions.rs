//! Every action: what it puts where, in whose role; how it is retried; what its error action learns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::fleet::{FakeSinks, World, throttle};
use crate::core::AwsError;
use crate::iot::message::{Posted, Properties};
use crate::iot::reserved::ShadowVerb;

const ROLE: &str = "arn:aws:iam::123456789012:role/rule";

/// A rule `r` on every topic with these actions, and an error action that writes to the bucket `errors`.
fn world(sql: &str, actions: Value) -> World {
    let mut world = World::new();
    let error_action = json!({ "S3": { "RoleArn": ROLE, "BucketName": "errors", "Key": "${newuuid()}" } });
    let payload =
        json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": sql, "Actions": actions, "ErrorAction": error_action });
    world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "r", "TopicRulePayload": payload })).unwrap();
    world
}

/// A message that a device published.
fn publish(world: &mut World, topic: &str, payload: &str) {
    let mut posted = Posted::by_service(topic, 1, Bytes::copy_from_slice(payload.as_bytes()));
    posted.client = Some("d1".into());
    world.with_ports(|iot, cx, ports| iot.route(cx, ports, &posted));
}

/// The failures that the error actions were told.
fn failures(world: &World) -> Vec<(String, String, String)> {
    let documents = world.objects.objects.iter().filter(|(bucket, ..)| bucket == "errors");
    let documents = documents.map(|(_, _, document)| serde_json::from_slice::<Value>(document).unwrap());
    let text = |failure: &Value, name: &str| failure[name].as_str().unwrap().to_owned();
    let failures = documents.flat_map(|document| document["failures"].as_array().unwrap().clone());
    failures.map(|f| (text(&f, "failedAction"), text(&f, "failedResource"), text(&f, "errorMessage"))).collect()
}

type Sink = fn(&mut World) -> &mut FakeSinks;

/// Actions that put into one of the fake sinks: its name for errors, the action, what is put for `{"a":1,"b":"x"}` on
/// `t/1`: operation, resource, payload.
fn sinks() -> [(&'static str, Value, Sink, [&'static str; 3]); 6] {
    let object = r#"{"a":1,"b":"x"}"#;
    let deliveries: Sink = |world| &mut world.deliveries;
    let notifications: Sink = |world| &mut world.notifications;
    [
        (
            "FirehoseAction",
            json!({ "Firehose": { "RoleArn": ROLE, "DeliveryStreamName": "to-${topic(1)}" } }),
            deliveries,
            ["PutRecord", "to-t", object],
        ),
        (
            "FirehoseAction",
            json!({ "Firehose": { "RoleArn": ROLE, "DeliveryStreamName": "s", "Separator": "\r\n", "BatchMode": true } }),
            deliveries,
            ["PutRecord", "s", "{\"a\":1,\"b\":\"x\"}\r\n"],
        ),
        (
            "SnsAction",
            json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "arn:aws:sns:eu-west-1:123456789012:${b}" } }),
            notifications,
            ["Publish", "arn:aws:sns:eu-west-1:123456789012:x", object],
        ),
        (
            "SnsAction",
            json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "arn:t", "MessageFormat": "RAW" } }),
            notifications,
            ["Publish", "arn:t", object],
        ),
        (
            "SnsAction",
            json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "arn:t", "MessageFormat": "JSON" } }),
            notifications,
            ["Publish JSON", "arn:t", object],
        ),
        (
            "DynamoDBv2Action",
            json!({ "DynamoDBv2": { "RoleArn": ROLE, "PutItem": { "TableName": "table-${a}" } } }),
            |world| &mut world.items,
            ["PutItem", "table-1", r#"{"a":{"N":"1"},"b":{"S":"x"}}"#],
        ),
    ]
}

#[test]
fn each_action_puts_the_result_in_its_role() {
    for (_, action, sink, [operation, resource, payload]) in sinks() {
        let mut world = world("SELECT * FROM 't/#'", json!([action]));
        publish(&mut world, "t/1", r#"{"a": 1, "b": "x"}"#);
        let expected = (operation, resource.to_owned(), payload.to_owned(), ROLE.to_owned());
        assert_eq!(sink(&mut world).taken, [expected]);
        assert_eq!((world.count("Success"), world.count("Failure")), (1, 0));
    }
}

#[test]
fn what_is_throttled_is_retried_in_order() {
    for (_, action, sink, [.., payload]) in sinks() {
        let mut world = world("SELECT * FROM 't/#'", json!([action]));
        sink(&mut world).errors = VecDeque::from([Some(throttle()), None, None]);
        publish(&mut world, "t/1", r#"{"a": 1, "b": "x"}"#);
        publish(&mut world, "t/1", r#"{"a": 1, "b": "x", "c": 2}"#);
        assert!(sink(&mut world).taken.is_empty(), "the second waits behind the first");
        world.pass(Duration::from_secs(1));
        let taken: Vec<String> = sink(&mut world).taken.iter().map(|(_, _, payload, _)| payload.clone()).collect();
        assert_eq!((taken.len(), taken[0].as_str()), (2, payload));
        assert!(taken[1].contains("\"c\""), "{taken:?}");
        assert_eq!(world.count("Success"), 2);
    }
}

#[test]
fn what_fails_for_good_is_told_to_the_error_action_by_the_name_of_its_action() {
    for (name, action, sink, [_, resource, _]) in sinks() {
        let mut world = world("SELECT * FROM 't/#'", json!([action]));
        sink(&mut world).errors.push_back(Some(AwsError::new("AccessDeniedException", "not authorized")));
        publish(&mut world, "t/1", r#"{"a": 1, "b": "x"}"#);
        let told = (name.to_owned(), resource.to_owned(), "AccessDeniedException: not authorized".to_owned());
        assert_eq!(failures(&world), [told]);
        assert_eq!((world.count("Failure"), world.count("ErrorActionSuccess")), (1, 1));
    }
}

#[test]
fn a_batch_is_one_record_for_each_element_and_only_what_was_not_taken_is_tried_again() {
    let firehose = json!({ "RoleArn": ROLE, "DeliveryStreamName": "s", "Separator": "\n", "BatchMode": true });
    let mut world = world("SELECT VALUE rows FROM 't'", json!([{ "Firehose": firehose }]));
    world.deliveries.not_taken = VecDeque::from([vec![0, 2]]);
    publish(&mut world, "t", r#"{"rows": [{"n": 1}, {"n": 2}, "three"]}"#);
    world.pass(Duration::from_secs(1));
    let taken: Vec<&str> = world.deliveries.taken.iter().map(|(_, _, payload, _)| payload.as_str()).collect();
    assert_eq!(taken, ["{\"n\":1}\n|{\"n\":2}\n|\"three\"\n", "{\"n\":1}\n|\"three\"\n"]);
    publish(&mut world, "t", r#"{"rows": []}"#);
    assert_eq!((world.deliveries.taken.len(), world.count("Success")), (2, 2));
}

#[test]
fn results_that_an_action_cannot_take_fail_it() {
    for (action, sql, resource, why) in [
        (
            json!({ "DynamoDBv2": { "RoleArn": ROLE, "PutItem": { "TableName": "t" } } }),
            "SELECT VALUE a FROM 't'",
            "t",
            "no object",
        ),
        (json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "arn:t" } }), "SELECT * FROM 't'", "arn:t", "no text"),
        (
            json!({ "Republish": { "RoleArn": ROLE, "Topic": "a/${topic()}/+" } }),
            "SELECT * FROM 't'",
            "a/t/+",
            "wildcards",
        ),
        (
            json!({ "Republish": { "RoleArn": ROLE, "Topic": "$$aws/things/d1/jobs/get" } }),
            "SELECT * FROM 't'",
            "$aws/things/d1/jobs/get",
            "no service",
        ),
        (
            json!({ "Republish": { "RoleArn": ROLE, "Topic": "x", "Headers": { "CorrelationData": "%" } } }),
            "SELECT * FROM 't'",
            "",
            "not base64",
        ),
        (
            json!({ "Republish": { "RoleArn": ROLE, "Topic": "x", "Headers": { "MessageExpiry": "soon" } } }),
            "SELECT * FROM 't'",
            "",
            "seconds",
        ),
    ] {
        let mut world = world(sql, json!([action]));
        let mut posted = Posted::by_service("t", 1, Bytes::from_static(b"\xff"));
        posted.client = Some("d1".into());
        world.with_ports(|iot, cx, ports| iot.route(cx, ports, &posted));
        let told = failures(&world);
        assert_eq!((told.len(), told[0].1.as_str()), (1, resource), "{told:?}");
        assert!(told[0].2.contains(why), "{told:?}");
    }
}

fn metric(change: &dyn Fn(&mut Value)) -> Value {
    let mut metric = json!({ "RoleArn": ROLE, "MetricNamespace": "plant/${topic(1)}", "MetricName": "t",
        "MetricValue": "${a}", "MetricUnit": "Count", "MetricTimestamp": "1772323100" });
    change(&mut metric);
    json!([{ "CloudwatchMetric": metric }])
}

#[test]
fn a_metric_is_checked_as_cloudwatch_checks_it_and_told() {
    let mut told = world("SELECT * FROM 't'", metric(&|_| ()));
    publish(&mut told, "t", r#"{"a": -1.5}"#);
    assert_eq!((told.count("Success"), told.parts.meter.calls()[&("cloudwatch", "PutMetricData")].ok), (1, 1));
    for (change, why) in [
        (("MetricNamespace", "AWS/IoT"), "namespace"),
        (("MetricValue", "${b}"), "value"),
        (("MetricValue", "NaN"), "value"),
        (("MetricUnit", "Furlongs"), "unit"),
        (("MetricTimestamp", "1"), "two weeks"),
        (("MetricTimestamp", "18446744073709551615"), "ahead"),
        (("MetricTimestamp", "now"), "timestamp"),
    ] {
        let mut world = world("SELECT * FROM 't'", metric(&|m| m[change.0] = json!(change.1)));
        publish(&mut world, "t", r#"{"a": 1, "b": "much"}"#);
        let told = failures(&world);
        assert_eq!((told.len(), told[0].0.as_str(), told[0].1.as_str()), (1, "CloudwatchMetricAction", "t"));
        assert!(told[0].2.contains(why), "{told:?}");
    }
}

#[test]
fn a_republished_result_reaches_other_rules_with_its_headers() {
    let headers = json!({ "PayloadFormatIndicator": "UTF8_DATA", "ContentType": "application/${b}",
        "ResponseTopic": "r/${topic()}", "CorrelationData": "Y2lk", "MessageExpiry": "60",
        "UserProperties": [{ "Key": "k-${b}", "Value": "v" }] });
    let republish = json!({ "RoleArn": ROLE, "Topic": "again/${topic()}", "Qos": 1, "Headers": headers });
    let mut world = world("SELECT a, b FROM 't'", json!([{ "Republish": republish }]));
    let sql = "SELECT *, topic() AS t, clientid() AS c, get_mqtt_property('content_type') AS ct, \
               get_mqtt_property('response_topic') AS rt, get_mqtt_property('correlation_data') AS cd, \
               get_mqtt_property('format_indicator') AS f, get_user_properties('k-x') AS u FROM 'again/#'";
    let copy = json!([{ "S3": { "RoleArn": ROLE, "BucketName": "copies", "Key": "k" } }]);
    let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": sql, "Actions": copy });
    world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "copy", "TopicRulePayload": payload })).unwrap();
    publish(&mut world, "t", r#"{"a": 1, "b": "x", "left": "out"}"#);
    assert!(world.objects.objects.is_empty(), "it is published after the step");
    world.pass(Duration::ZERO);
    let expected = json!({ "a": 1, "b": "x", "t": "again/t", "c": "n/a", "ct": "application/x", "rt": "r/t",
        "cd": "Y2lk", "f": "UTF8_DATA", "u": ["v"] });
    assert_eq!(serde_json::from_slice::<Value>(&world.objects.objects[0].2).unwrap(), expected);
}

/// Nothing but rates ends a rule that starts itself, and the rates do.
#[test]
fn a_loop_of_rules_is_bounded_by_the_rates_of_the_account() {
    let republish = json!([{ "Republish": { "RoleArn": ROLE, "Topic": "t" } }]);
    let mut world = world("SELECT n + 1 AS n FROM 't'", republish);
    publish(&mut world, "t", r#"{"n": 0}"#);
    world.pass(Duration::ZERO);
    let rate = world.parts.limits.get("iot-core", "inbound_publishes_per_account");
    let evaluations = world.parts.limits.get("iot-core", "rule_evaluations_per_account");
    assert!(world.count("Success") <= rate.min(evaluations), "{}", world.count("Success"));
    assert!(world.count("Success") >= rate.min(evaluations) / 2, "{}", world.count("Success"));
}

#[test]
fn what_is_republished_to_basic_ingest_starts_its_rule() {
    let republish = json!([{ "Republish": { "RoleArn": ROLE, "Topic": "$$aws/rules/readings/a/b/c/d" } }]);
    let mut world = world("SELECT * FROM 't'", republish);
    world.rule("readings", "SELECT *, topic() AS topic FROM 'elsewhere'");
    publish(&mut world, "t", r#"{"n": 0}"#);
    world.pass(Duration::ZERO);
    let (_, key, data) = &world.streams.records[0];
    assert_eq!((key.as_str(), &data[..]), ("d", &br#"{"n":0,"topic":"a/b/c/d"}"#[..]));
}

#[test]
fn variables_of_the_statement_have_one_value_in_every_template() {
    let mut world = World::new();
    let key = |name: &str| json!({ "S3": { "RoleArn": ROLE, "BucketName": name, "Key": "${@id}/${@twice}" } });
    let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "ErrorAction": key("errors"),
        "Sql": "SET @id = newuuid(), @twice = n * 2 SELECT @id AS id FROM 't' WHERE @twice > 2",
        "Actions": [key("${@twice}"), { "Kinesis": { "RoleArn": ROLE, "StreamName": "s", "PartitionKey": "${@id}" } }] });
    world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "r", "TopicRulePayload": payload })).unwrap();
    publish(&mut world, "t", r#"{"n": 1}"#);
    world.streams.errors = VecDeque::from([Some(throttle()), Some(AwsError::new("AccessDeniedException", "no"))]);
    publish(&mut world, "t", r#"{"n": 3}"#);
    world.pass(Duration::from_secs(1));
    let [(first, first_key, body), (errors, error_key, _)] = &world.objects.objects[..] else { panic!("two objects") };
    let id = serde_json::from_slice::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!((first.as_str(), first_key.as_str()), ("6", format!("{id}/6").as_str()));
    assert_eq!((errors.as_str(), error_key), ("errors", first_key), "the error action of a retried message too");
}

#[test]
fn the_error_message_has_the_trace_id_that_the_statement_saw() {
    let mut world = world(
        "SELECT traceid() AS id FROM 't'",
        json!([{ "S3": { "RoleArn": ROLE, "BucketName": "copies", "Key": "k" } },
               { "Kinesis": { "RoleArn": ROLE, "StreamName": "s", "PartitionKey": "k" } }]),
    );
    world.streams.errors.push_back(Some(AwsError::new("AccessDeniedException", "no")));
    publish(&mut world, "t", "{}");
    let documents: Vec<Value> =
        world.objects.objects.iter().map(|(_, _, body)| serde_json::from_slice(body).unwrap()).collect();
    assert_eq!(documents[0]["id"], documents[1]["cloudwatchTraceId"]);
}

#[test]
fn mqtt_properties_reach_the_statement() {
    let mut world = world(
        "SELECT get_mqtt_property('content_type') AS c FROM 't'",
        json!([{ "S3": { "RoleArn": ROLE, "BucketName": "copies", "Key": "k" } }]),
    );
    let properties = Properties { content_type: Some("text/csv".into()), ..Properties::default() };
    let posted = Posted { properties: Some(Arc::new(properties)), ..Posted::by_service("t", 0, "1,2") };
    world.with_ports(|iot, cx, ports| iot.route(cx, ports, &posted));
    assert_eq!(&world.objects.objects[0].2[..], br#"{"c":"text/csv"}"#);
}

#[test]
fn actions_are_refused_by_name_and_member_when_their_rule_is_created() {
    let mut world = World::new();
    for (action, named) in [
        (json!({ "Kinesis": { "RoleArn": ROLE, "StreamName": "s" } }), "partitionKey"),
        (json!({ "Firehose": { "RoleArn": ROLE, "DeliveryStreamName": "s", "Separator": ";" } }), "separator"),
        (
            json!({ "S3": { "RoleArn": ROLE, "BucketName": "b", "Key": "k", "CannedAcl": "public-read" } }),
            "public-read",
        ),
        (json!({ "Republish": { "RoleArn": ROLE, "Topic": "t", "Qos": 2 } }), "qos"),
        (json!({ "Republish": { "RoleArn": ROLE, "Topic": "$aws/things/t/shadow/update" } }), "$$"),
        (
            json!({ "Republish": { "RoleArn": ROLE, "Topic": "t", "Headers": { "UserProperties": [] } } }),
            "userProperties",
        ),
        (json!({ "Republish": { "RoleArn": ROLE, "Topic": "${nosuch()}" } }), "at byte 2"),
        (json!({ "Lambda": { "FunctionArn": "arn:aws:lambda:eu-west-1:1:function:${a}" } }), "functionArn"),
        (json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "t", "MessageFormat": "XML" } }), "messageFormat"),
        (json!({ "Sns": { "RoleArn": "arn:aws:iam::1:role/${a}", "TargetArn": "t" } }), "roleArn"),
        (json!({ "DynamoDBv2": { "RoleArn": ROLE, "PutItem": {} } }), "tableName"),
        (json!({ "CloudwatchMetric": { "RoleArn": ROLE } }), "metricNamespace"),
        (json!({ "DynamoDB": {} }), "dynamoDB"),
        (json!({ "Http": {} }), "http"),
        (json!({ "Teleport": {} }), "teleport"),
        (json!({ "Sns": { "RoleArn": ROLE, "TargetArn": "${@unset}" } }), "@unset"),
        (
            json!({ "Sns": { "RoleArn": ROLE, "TargetArn": format!("${{get_thing_shadow('t', '{ROLE}').version}}") } }),
            "get_thing_shadow",
        ),
    ] {
        let payload = json!({ "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT * FROM 'a'", "Actions": [action] });
        let refused = world.provision("AWS::IoT::TopicRule", json!({ "RuleName": "r", "TopicRulePayload": payload }));
        let error = refused.expect_err(named);
        assert!(error.message.contains(named), "{named}: {error}");
    }
}

fn copies(sql: &str) -> World {
    world(sql, json!([{ "S3": { "RoleArn": ROLE, "BucketName": "copies", "Key": "k" } }]))
}

fn update_shadow(world: &mut World, thing: &str, state: &str) {
    let update = format!(r#"{{"state":{{"reported":{state}}}}}"#);
    world.with_ports(|iot, cx, _| iot.rest_shadow(cx, thing, None, ShadowVerb::Update, update.as_bytes())).unwrap();
}

#[test]
fn a_statement_asks_for_the_shadow_of_a_thing() {
    let sql = |thing: &str, role: &str| {
        format!("SELECT get_thing_shadow({thing}, '{role}').state.reported.alarm AS a FROM 't'")
    };
    let mut world = copies(&sql("clientid()", ROLE));
    update_shadow(&mut world, "d1", r#"{"alarm":"ON"}"#);
    publish(&mut world, "t", "{}");
    assert_eq!(&world.objects.objects[0].2[..], br#"{"a":"ON"}"#);
    assert_eq!(world.count("GetThingShadow.Accepted"), 1);
    let mut absent = copies(&sql("'other'", ROLE));
    publish(&mut absent, "t", "{}");
    let told = failures(&absent);
    assert!(told.len() == 1 && told[0].2.contains("No shadow exists with name: 'other'"), "{told:?}");
    let mut lenient =
        copies(&format!("SELECT get_or_default(get_thing_shadow('other', '{ROLE}'), 'none') AS a FROM 't'"));
    publish(&mut lenient, "t", "{}");
    assert_eq!(&lenient.objects.objects[0].2[..], br#"{"a":"none"}"#);
}

#[test]
fn a_result_is_republished_to_a_shadow() {
    let republish = json!([{ "Republish": { "RoleArn": ROLE, "Topic": "$$aws/things/${clientid()}/shadow/update" } }]);
    let mut world = world("SELECT n AS state.reported.n FROM 't'", republish);
    publish(&mut world, "t", r#"{"n": 7}"#);
    world.pass(Duration::ZERO);
    let document = world.with_ports(|iot, cx, _| iot.rest_shadow(cx, "d1", None, ShadowVerb::Get, b"")).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["state"]["reported"], json!({ "n": 7 }));
}
