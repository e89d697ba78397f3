use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, Subscribe};
use serde_json::{Value, json};

use super::fleet::{Answer, World};

const SHADOW: &str = "$aws/things/d1/shadow";

/// A device that may do everything and hears of its shadow, and an operator's client.
fn world() -> World {
    let mut world = World::new();
    world.allow_all();
    for (connection, name) in [(1, "d1"), (2, "operator")] {
        world.register(name, "acme", "all");
        world.connect(connection, name);
    }
    for (id, end) in (1..).zip(["update/delta", "get/accepted", "update/rejected"]) {
        let filter = format!("{SHADOW}/{end}");
        world.send(1, &Packet::Subscribe(Subscribe { pkid: id, ..Subscribe::new(filter, QoS::AtLeastOnce) }));
    }
    world.answers();
    world
}

/// What was sent, as (connection, end of the topic, QoS, document).
fn told(answers: Vec<Answer>) -> Vec<(u64, String, QoS, Value)> {
    let publishes = answers.into_iter().filter_map(|answer| match answer {
        Answer::Packet(connection, Packet::Publish(p)) => {
            let end = p.topic.strip_prefix(SHADOW).unwrap_or(&p.topic).to_owned();
            Some((connection, end, p.qos, serde_json::from_slice(&p.payload).unwrap()))
        }
        _ => None,
    });
    publishes.collect()
}

#[test]
fn a_desired_state_reaches_the_device_until_it_reports_it() {
    let mut world = world();
    let answers =
        world.publish(2, &format!("{SHADOW}/update"), 7, r#"{"state":{"desired":{"publish_interval_ms":500}}}"#);
    assert_eq!(answers, [Answer::Packet(2, Packet::PubAck(PubAck::new(7)))], "answers come after the acknowledgement");
    world.pass(Duration::ZERO);
    let delta = told(world.answers());
    assert_eq!(delta.len(), 1, "{delta:?}");
    let (connection, end, qos, document) = &delta[0];
    assert_eq!((*connection, end.as_str(), *qos), (1, "/update/delta", QoS::AtLeastOnce));
    assert_eq!((&document["state"], &document["version"]), (&json!({ "publish_interval_ms": 500 }), &json!(1)));
    world.publish(1, &format!("{SHADOW}/update"), 8, r#"{"state":{"reported":{"publish_interval_ms":500.0}}}"#);
    world.publish(1, &format!("{SHADOW}/get"), 9, "");
    world.publish(1, &format!("{SHADOW}/update"), 10, r#"{"state":{"reported":{}},"version":1}"#);
    world.pass(Duration::ZERO);
    let answers = told(world.answers());
    let ends: Vec<&str> = answers.iter().map(|(_, end, ..)| end.as_str()).collect();
    assert_eq!(ends, ["/get/accepted", "/update/rejected"], "no difference is left");
    assert_eq!(answers[0].3["state"]["delta"], Value::Null);
    assert_eq!(answers[1].3["code"], 409);
}

#[test]
fn rules_hear_of_requests_and_answers() {
    let mut world = world();
    for (name, end) in [("requests", "update"), ("answers", "update/documents"), ("rejections", "update/rejected")] {
        world.rule(name, &format!("SELECT *, topic(3) AS thing, '{end}' AS kind FROM '$aws/things/+/shadow/{end}'"));
    }
    world.publish(2, &format!("{SHADOW}/update"), 1, r#"{"state":{"desired":{"a":1}}}"#);
    world.publish(2, &format!("{SHADOW}/update"), 2, r#"{"state":1}"#);
    world.pass(Duration::ZERO);
    let records: Vec<Value> =
        world.streams.records.iter().map(|(_, _, data)| serde_json::from_slice(data).unwrap()).collect();
    let heard: Vec<(&str, &str)> =
        records.iter().map(|r| (r["thing"].as_str().unwrap(), r["kind"].as_str().unwrap())).collect();
    // The world passes on only when it is told to: both requests come before both answers.
    assert_eq!(heard, [("d1", "update"), ("d1", "update"), ("d1", "update/documents"), ("d1", "update/rejected")]);
    assert_eq!(records[2]["current"]["state"], json!({ "desired": { "a": 1 } }));
}
