//! Basic Ingest, and rules as the control plane manages them.

use serde_json::{Value, json};

use super::fleet::{Answer, World};
use rumqttc::mqttbytes::v4::{Packet, PubAck};

fn world() -> World {
    let mut world = World::empty();
    world.allow_all();
    world.rule("readings", "SELECT *, topic() AS topic, topic(2) AS second FROM 'tenant/#'");
    world.rule("everything", "SELECT * FROM '#'");
    world.register("d1", "acme", "all");
    world.connect(1, "d1");
    world
}

#[test]
fn basic_ingest_starts_its_rule_alone_and_topic_is_without_the_prefix() {
    let mut world = world();
    let topic = "$aws/rules/readings/tenant/acme/device/d1/data";
    let answers = world.publish(1, topic, 7, r#"{"n":1}"#);
    assert_eq!(answers, [Answer::Packet(1, Packet::PubAck(PubAck::new(7)))]);
    let [(_, key, data)] = &world.streams.records[..] else { panic!("one record, not {:?}", world.streams.records) };
    let expected = r#"{"n":1,"topic":"tenant/acme/device/d1/data","second":"acme"}"#;
    assert_eq!((key.as_str(), std::str::from_utf8(data).unwrap()), ("d1", expected));
    assert_eq!((world.count("TopicMatch"), world.count("RulesExecuted"), world.count("BasicIngest")), (0, 1, 1));
}

#[test]
fn the_filter_of_the_rule_does_not_matter_and_can_be_absent() {
    let mut world = world();
    world.rule("alone", "SELECT topic(4) AS x");
    world.publish(1, "$aws/rules/alone/a/b/c/d", 1, "{}");
    world.publish(1, "$aws/rules/readings/other/b/c/d", 2, "{}");
    assert_eq!(world.streams.records.len(), 2);
    // Seven slashes behind the name of the rule are as many as a topic can have.
    world.publish(1, "$aws/rules/alone/1/2/3/4/5/6/7/8", 3, "{}");
    assert_eq!(world.streams.records.len(), 3);
    world.publish(1, "a/b/c/d", 4, "{}");
    assert_eq!(world.streams.records.len(), 4, "a rule without FROM hears no other message");
}

#[test]
fn a_rule_that_is_absent_or_disabled_is_not_found_and_the_message_is_acknowledged() {
    let mut world = world();
    world.rest("POST", "/rules/readings/disable", Value::Null).unwrap();
    for (id, rule) in [(1, "absent"), (2, "readings")] {
        let answers = world.publish(1, &format!("$aws/rules/{rule}/a"), id, "{}");
        assert_eq!(answers, [Answer::Packet(1, Packet::PubAck(PubAck::new(id)))]);
    }
    assert_eq!((world.count("RuleNotFound"), world.streams.calls), (2, 0));
}

#[test]
fn evaluations_beyond_the_rate_of_the_account_are_dropped_and_counted() {
    let mut world = world();
    world.streams.forget = true;
    let rate = world.parts.limits.get("iot-core", "rule_evaluations_per_account");
    let posted = crate::iot::message::Posted::by_service("$aws/rules/everything/a/b/c/d", 0, "{}");
    world.with_ports(|iot, cx, ports| {
        for _ in 0..rate + 3 {
            iot.ingest(cx, ports, "everything", "a/b/c/d", &posted);
        }
    });
    assert_eq!((world.count("RulesExecuted"), world.count("RuleExecutionThrottled")), (rate, 3));
}

#[test]
fn rules_are_replaced_disabled_enabled_and_deleted() {
    let mut world = world();
    let actions = json!([{ "kinesis": { "roleArn": "arn:aws:iam::123456789012:role/rule", "streamName": "new", "partitionKey": "k" } }]);
    let payload = json!({ "sql": "SELECT * FROM 'x/#'", "awsIotSqlVersion": "2016-03-23", "actions": actions });
    let heard = |world: &mut World, topic: &str| {
        let before = world.streams.records.len();
        world.publish(1, topic, 0, "{}");
        world.streams.records.len() - before
    };
    world.rest("DELETE", "/rules/everything", Value::Null).unwrap();
    assert_eq!(heard(&mut world, "tenant/a/b/c"), 1);
    world.rest("PATCH", "/rules/readings", payload.clone()).unwrap();
    assert_eq!((heard(&mut world, "tenant/a/b/c"), heard(&mut world, "x/1")), (0, 1));
    assert_eq!(world.streams.records.last().unwrap().0, "new");
    for _ in 0..2 {
        world.rest("POST", "/rules/readings/disable", Value::Null).unwrap();
        assert_eq!(heard(&mut world, "x/1"), 0);
    }
    let described = world.rest("GET", "/rules/readings", Value::Null).unwrap();
    assert_eq!(described["rule"]["ruleDisabled"], true);
    for _ in 0..2 {
        world.rest("POST", "/rules/readings/enable", Value::Null).unwrap();
        assert_eq!(heard(&mut world, "x/1"), 1);
    }
    world.rest("DELETE", "/rules/readings", Value::Null).unwrap();
    world.rest("DELETE", "/rules/readings", Value::Null).unwrap();
    assert_eq!(heard(&mut world, "x/1"), 0);
    for (method, target) in
        [("PATCH", "/rules/readings"), ("POST", "/rules/readings/enable"), ("POST", "/rules/readings/disable")]
    {
        let error = world.rest(method, target, payload.clone()).unwrap_err();
        assert_eq!((error.code, error.status), ("UnauthorizedException", 401), "{method} {target}");
    }
    let bad = json!({ "sql": "SELECT", "awsIotSqlVersion": "2016-03-23", "actions": [] });
    assert_eq!(world.rest("POST", "/rules/bad", bad).unwrap_err().code, "SqlParseException");
}

#[test]
fn rules_are_listed_by_name_in_pages() {
    let mut world = world();
    world.rule("alone", "SELECT *");
    world.rest("POST", "/rules/everything/disable", Value::Null).unwrap();
    let names = |answer: &Value| -> Vec<String> {
        answer["rules"].as_array().unwrap().iter().map(|r| r["ruleName"].as_str().unwrap().to_owned()).collect()
    };
    let all = world.rest("GET", "/rules", Value::Null).unwrap();
    assert_eq!(names(&all), ["alone", "everything", "readings"]);
    assert!(all["rules"][0].get("topicPattern").is_none());
    assert_eq!(all["rules"][2]["topicPattern"], "tenant/#");
    assert_eq!(all["rules"][1]["ruleDisabled"], true);
    let first = world.rest("GET", "/rules?maxResults=2", Value::Null).unwrap();
    let token = first["nextToken"].as_str().unwrap();
    let second = world.rest("GET", &format!("/rules?maxResults=2&nextToken={token}"), Value::Null).unwrap();
    assert_eq!((names(&first), names(&second)), (vec!["alone".into(), "everything".into()], vec!["readings".into()]));
    assert!(second.get("nextToken").is_none());
    let resting = world.rest("GET", "/rules?ruleDisabled=true", Value::Null).unwrap();
    assert_eq!(names(&resting), ["everything"]);
    for bad in ["maxResults=0", "maxResults=10001", "ruleDisabled=maybe", "nextToken=%21"] {
        assert_eq!(
            world.rest("GET", &format!("/rules?{bad}"), Value::Null).unwrap_err().code,
            "InvalidRequestException"
        );
    }
    let error = world.rest("GET", "/rules?topic=a", Value::Null).unwrap_err();
    assert_eq!(error.code, "NotImplemented");
}
