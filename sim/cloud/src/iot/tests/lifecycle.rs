use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::{World, certificate};
use super::mqtt::{Got, Hello, Mqtt, v3, v5};

const SECOND: Duration = Duration::from_secs(1);
const TOPIC: &str = "tenant/acme/device/d1/data";

/// A watcher on connection 1 that hears all lifecycle events.
fn watched(filter: &str) -> Mqtt {
    let mut mqtt = Mqtt::connected(&[v3("watcher")]);
    mqtt.register("a", "acme", "all");
    mqtt.pass(SECOND);
    assert_eq!(mqtt.subscribe(1, filter, 1), [Got::SubAck(vec![1])]);
    mqtt
}

fn heard(mqtt: &mut Mqtt) -> Vec<(String, Value)> {
    mqtt.pass(Duration::ZERO);
    let events = mqtt.delivered(1);
    for event in events.iter().filter(|event| event.qos > 0) {
        mqtt.ack(1, event.id);
    }
    events.into_iter().map(|event| (event.topic, serde_json::from_str(&event.payload).unwrap())).collect()
}

#[test]
fn presence_events_tell_of_connections() {
    let mut mqtt = watched("$aws/events/presence/#");
    mqtt.hello(2, &v3("a"));
    let at = mqtt.now.unix_millis();
    let events = heard(&mut mqtt);
    let [(topic, event)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(topic, "$aws/events/presence/connected/a");
    let session = event["sessionIdentifier"].clone();
    assert_eq!(session.as_str().unwrap().len(), 36);
    let expected = json!({ "clientId": "a", "timestamp": at, "eventType": "connected", "sessionIdentifier": session,
        "principalIdentifier": certificate("a"), "ipAddress": "10.0.0.9", "versionNumber": 0 });
    assert_eq!(*event, expected);
    mqtt.goodbye(2);
    let events = heard(&mut mqtt);
    let [(topic, event)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(topic, "$aws/events/presence/disconnected/a");
    let expected = json!({ "clientId": "a", "timestamp": at, "eventType": "disconnected", "sessionIdentifier": session,
        "principalIdentifier": certificate("a"), "clientInitiatedDisconnect": true,
        "disconnectReason": "CLIENT_INITIATED_DISCONNECT", "versionNumber": 0 });
    assert_eq!(*event, expected);
    // The number grows with each connection of a client, and begins again after an hour without one.
    for (away, number) in [(5, 1), (3_000, 2), (3_600, 0)] {
        for _ in 0..5 {
            mqtt.bytes(1, &[0xc0, 0]);
            mqtt.pass(Duration::from_secs(away / 5));
        }
        mqtt.hello(2, &v3("a"));
        mqtt.goodbye(2);
        let numbers: Vec<_> = heard(&mut mqtt).into_iter().map(|(_, event)| event["versionNumber"].clone()).collect();
        assert_eq!(numbers, [json!(number), json!(number)], "after {away} s");
    }
}

#[test]
fn refused_authorizations_and_subscriptions_are_told() {
    let mut mqtt = watched("$aws/events/#");
    heard(&mut mqtt);
    mqtt.hello_with(2, "d1", &v3("stranger"));
    mqtt.hello_with(3, "d1", &v3("d1").will("a/b", 0, false));
    mqtt.hello_with(4, "d1", &v3("$no"));
    let events = heard(&mut mqtt);
    let told: Vec<_> = events.iter().map(|(topic, event)| (topic.as_str(), &event["connectFailureReason"])).collect();
    let failed = json!("AUTHORIZATION_FAILED");
    let topics = ["$aws/events/presence/connect_failed/stranger", "$aws/events/presence/connect_failed/d1"];
    assert_eq!(told, topics.map(|topic| (topic, &failed)));
    mqtt.hello(5, &v5("a"));
    mqtt.subscribe(5, "x/+", 1);
    mqtt.subscribe(5, "x/#/y", 1);
    mqtt.unsubscribe(5, "x/+");
    mqtt.unsubscribe(5, "nothing");
    let events = heard(&mut mqtt);
    let told: Vec<_> = events.iter().map(|(topic, event)| (topic.as_str(), &event["topics"])).collect();
    assert_eq!(
        told[1..],
        [
            ("$aws/events/subscriptions/subscribed/a", &json!(["x/+"])),
            ("$aws/events/subscriptions/unsubscribed/a", &json!(["x/+"])),
        ]
    );
}

/// How a connection can end.
type End = fn(&mut Mqtt);

fn delete(mqtt: &mut Mqtt, prevent_will: bool) {
    let (now, owner) = (mqtt.now, mqtt.owner.clone());
    let World { iot, parts, .. } = &mut **mqtt;
    iot.delete_connection(&mut parts.cx(now, &owner), "d1", false, prevent_will).unwrap();
}

fn deactivate(mqtt: &mut Mqtt) {
    let (now, owner, id) = (mqtt.now, mqtt.owner.clone(), certificate("d1"));
    let World { iot, parts, .. } = &mut **mqtt;
    iot.update_certificates(&mut parts.cx(now, &owner), &BTreeSet::from([id.as_str()]), false).unwrap();
    for _ in 0..6 {
        mqtt.bytes(2, &[0xc0, 0]);
        mqtt.pass(Duration::from_secs(20));
    }
}

fn take_over(mqtt: &mut Mqtt) {
    mqtt.pass(SECOND);
    assert_eq!(mqtt.hello(9, &v5("d1")), [Got::ConnAck(false, 0)]);
}

fn be_silent(mqtt: &mut Mqtt) {
    mqtt.pass(Duration::from_secs(45));
}

fn flood(mqtt: &mut Mqtt) {
    // A PUBLISH of 98,305 bytes: length and text of the topic, no properties, the payload.
    let head = [&b"\x30\x81\x80\x06\0\x1a"[..], TOPIC.as_bytes(), b"\0"].concat();
    let packet = [head, b"x".repeat(98_305 - 2 - TOPIC.len() - 1)].concat();
    for _ in 0..100 {
        mqtt.bytes(2, &packet);
    }
}

#[test]
fn reasons_of_disconnects_and_their_wills() {
    let ends: [(&str, bool, bool, End); 11] = [
        ("CLIENT_INITIATED_DISCONNECT", true, false, |mqtt| mqtt.goodbye(2)),
        ("CLIENT_INITIATED_DISCONNECT", true, true, |mqtt| mqtt.bytes(2, b"\xe0\x02\x04\0")),
        ("CLIENT_ERROR", false, true, |mqtt| mqtt.bytes(2, b"\x30\x04\0\x01\xff\0")),
        ("CLIENT_ERROR", false, true, |mqtt| drop(mqtt.post(2, TOPIC, 1, &"x".repeat(131_073)))),
        ("CONNECTION_LOST", false, true, |mqtt| mqtt.closed(2)),
        ("DUPLICATE_CLIENTID", false, true, take_over),
        ("MQTT_KEEP_ALIVE_TIMEOUT", false, true, be_silent),
        ("AUTH_ERROR", false, true, |mqtt| mqtt.bytes(2, b"\x30\x04\0\x01a\0")),
        ("AUTH_ERROR", false, true, deactivate),
        ("THROTTLED", false, true, flood),
        ("API_INITIATED_DISCONNECT", false, true, |mqtt| delete(mqtt, false)),
    ];
    let prevented: (&str, bool, bool, End) = ("API_INITIATED_DISCONNECT", false, false, |mqtt| delete(mqtt, true));
    for (position, (reason, by_client, sends_will, end)) in ends.into_iter().chain([prevented]).enumerate() {
        let what = format!("{reason}, case {position}");
        let mut mqtt = watched("$aws/events/presence/disconnected/+");
        mqtt.subscribe(1, TOPIC, 1);
        mqtt.hello(2, &Hello { keep_alive: 30, ..v5("d1").will(TOPIC, 1, false) });
        heard(&mut mqtt);
        end(&mut mqtt);
        mqtt.pass(Duration::ZERO);
        let got = mqtt.delivered(1);
        let event = got.iter().find(|got| got.topic.starts_with('$')).unwrap_or_else(|| panic!("{what}: no event"));
        let event: Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!(event["disconnectReason"], reason, "{what}");
        assert_eq!(event["clientInitiatedDisconnect"], by_client, "{what}");
        let wills = got.iter().filter(|got| got.payload == "gone").count();
        assert_eq!(wills, usize::from(sends_will), "{what}");
    }
}

#[test]
fn a_will_reaches_rules_and_is_retained_when_asked_to() {
    let mut mqtt = Mqtt::connected(&[v3("s")]);
    mqtt.register("a", "acme", "all");
    mqtt.hello(2, &v3("a").will("t/gone", 1, true));
    mqtt.closed(2);
    mqtt.pass(SECOND);
    assert_eq!(mqtt.parts.trace.marks()["will-published"], 1);
    let got = mqtt.subscribe(1, "t/gone", 1);
    assert!(matches!(&got[1], Got::Publish(will) if will.retain && will.payload == "gone"), "{got:?}");
    // A device may not retain.
    let refused = mqtt.hello(3, &v5("d1").will(TOPIC, 0, true));
    assert_eq!(refused, [Got::ConnAck(false, 0x87), Got::Closed]);
}

#[test]
fn a_new_connection_after_a_clean_one_has_no_will_of_the_old() {
    let mut mqtt = Mqtt::connected(&[v3("s")]);
    mqtt.subscribe(1, TOPIC, 0);
    mqtt.hello(2, &v3("d1").kept().will(TOPIC, 0, false));
    mqtt.goodbye(2);
    mqtt.pass(SECOND);
    mqtt.hello(3, &v3("d1").kept());
    mqtt.closed(3);
    mqtt.pass(SECOND);
    assert_eq!(mqtt.delivered(1), []);
}
