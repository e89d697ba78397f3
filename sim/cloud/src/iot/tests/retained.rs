use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PublishProperties;

use super::mqtt::{Delivered, Got, Mqtt, v3, v5};

const SECOND: Duration = Duration::from_secs(1);

/// A publisher on connection 1 and a subscriber on connection 2.
fn pair() -> Mqtt {
    Mqtt::connected(&[v3("p"), v3("s")])
}

fn retained(mqtt: &mut Mqtt, topic: &str, payload: &str) -> Vec<Got> {
    mqtt.pass(SECOND);
    mqtt.say(1, (topic, payload), (1, true), None)
}

/// Payloads and retain flags of what comes with a new subscription.
fn on_subscribe(mqtt: &mut Mqtt, filter: &str, qos: u8) -> Vec<(String, bool, u8)> {
    mqtt.unsubscribe(2, filter);
    let got = mqtt.subscribe(2, filter, qos);
    assert_eq!(got[0], Got::SubAck(vec![qos]), "{filter}");
    let copies = got[1..].iter().map(|got| match got {
        Got::Publish(Delivered { payload, retain, qos, .. }) => (payload.clone(), *retain, *qos),
        other => panic!("{other:?}"),
    });
    copies.collect()
}

#[test]
fn the_newest_retained_message_comes_with_a_subscription_to_exactly_its_topic() {
    let mut mqtt = pair();
    retained(&mut mqtt, "t/x", "old");
    retained(&mut mqtt, "t/x", "new");
    mqtt.pass(SECOND);
    mqtt.post(1, "t/x", 2, "not retained");
    let copy = |qos| vec![("new".to_owned(), true, qos)];
    for (filter, qos, copies) in [
        ("t/x", 1, copy(1)),
        ("t/x", 0, copy(0)),
        ("t/+", 1, vec![]),
        ("#", 1, vec![]),
        ("t/y", 1, vec![]),
        ("$share/g/t/x", 1, vec![]),
    ] {
        assert_eq!(on_subscribe(&mut mqtt, filter, qos), copies, "{filter} with QoS {qos}");
    }
    assert_eq!(mqtt.count("PublishRetained.Success"), 2);
}

#[test]
fn live_copies_are_not_marked_as_retained_and_an_empty_one_deletes() {
    let mut mqtt = pair();
    mqtt.subscribe(2, "t", 0);
    for payload in ["x", ""] {
        assert_eq!(retained(&mut mqtt, "t", payload), [Got::PubAck(1, 0)]);
        let live = Delivered { topic: "t".into(), payload: payload.into(), ..Delivered::default() };
        assert_eq!(mqtt.delivered(2), [live]);
    }
    assert_eq!(on_subscribe(&mut mqtt, "t", 0), []);
    assert_eq!(mqtt.iot.retained(mqtt.now, "t"), None);
}

#[test]
fn the_rates_of_retained_messages_are_enforced() {
    let mut mqtt = Mqtt::connected(&[v5("p")]);
    assert_eq!(retained(&mut mqtt, "t", "1"), [Got::PubAck(1, 0)]);
    assert_eq!(mqtt.say(1, ("t", "2"), (2, true), None), [Got::PubAck(2, 0x97)], "a second one of a topic in a second");
    assert_eq!(mqtt.say(1, ("u", "1"), (3, true), None), [Got::PubAck(3, 0)], "another topic");
    assert_eq!(retained(&mut mqtt, "t", "3"), [Got::PubAck(1, 0)]);
    assert_eq!(mqtt.count("PublishRetained.Throttle"), 1);
    // Five hundred a second for the account: six clients, a hundred each.
    let names: Vec<String> = (0..6).map(|n| format!("c{n}")).collect();
    for (connection, name) in (10..).zip(&names) {
        mqtt.register(name, "acme", "all");
        mqtt.hello(connection, &v5(name));
    }
    mqtt.pass(SECOND);
    let mut refused = 0;
    for n in 0..600 {
        let answer = mqtt.say(10 + n % 6, (&format!("many/{n}"), "x"), (1, true), None);
        refused += usize::from(answer == [Got::PubAck(1, 0x97)]);
    }
    assert_eq!(refused, 100);
    let topics = mqtt.iot.retained_list(mqtt.now).count();
    assert_eq!(topics, 2 + 500);
}

#[test]
fn retained_messages_of_mqtt_5_expire() {
    let mut mqtt = Mqtt::connected(&[v5("p"), v5("s")]);
    let expiry = PublishProperties { message_expiry_interval: Some(60), ..PublishProperties::default() };
    mqtt.say(1, ("t", "x"), (1, true), Some(expiry));
    mqtt.pass(Duration::from_secs(20));
    let got = mqtt.subscribe(2, "t", 1);
    assert!(matches!(&got[1], Got::Publish(Delivered { expiry_s: Some(40), retain: true, .. })), "{got:?}");
    assert!(mqtt.iot.retained(mqtt.now, "t").is_some());
    mqtt.pass(Duration::from_secs(40));
    assert_eq!(mqtt.iot.retained(mqtt.now, "t"), None);
    assert_eq!(mqtt.iot.retained_list(mqtt.now).count(), 0);
    mqtt.unsubscribe(2, "t");
    assert_eq!(mqtt.subscribe(2, "t", 1), [Got::SubAck(vec![1])]);
}

#[test]
fn retained_messages_need_their_own_permission_and_no_reserved_topic() {
    let mut mqtt = Mqtt::connected(&[v5("d1"), v5("p"), v3("q")]);
    assert_eq!(mqtt.say(1, ("tenant/acme/device/d1/data", "x"), (1, true), None), [Got::PubAck(1, 0x87)]);
    assert_eq!(mqtt.count("PublishRetained.AuthError"), 1);
    let shadow = "$aws/things/d1/shadow/update";
    assert_eq!(mqtt.say(2, (shadow, "{}"), (1, true), None), [Got::PubAck(1, 0x90)]);
    assert_eq!(mqtt.say(3, (shadow, "{}"), (1, true), None), [Got::Closed]);
}
