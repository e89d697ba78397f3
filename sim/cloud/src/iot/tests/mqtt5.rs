use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5;
use rumqttc::v5::mqttbytes::v5::{Filter, PublishProperties, RetainForwardRule};

use super::mqtt::{Delivered, Got, Hello, Mqtt, qos5, v3, v5 as hello5};
use crate::core::Effect;

const TOPIC: &str = "tenant/acme/device/d1/data";

fn announced(mqtt: &mut Mqtt) -> v5::ConnAckProperties {
    let Some(Effect::MqttSend { bytes, .. }) = mqtt.parts.effects.first() else { panic!("no CONNACK") };
    let packet = v5::Packet::read(&mut BytesMut::from(&bytes[..]), None).unwrap();
    let v5::Packet::ConnAck(ack) = packet else { panic!("{packet:?}") };
    mqtt.parts.effects.clear();
    ack.properties.unwrap()
}

fn announced_to(hello: &Hello) -> v5::ConnAckProperties {
    let mut mqtt = Mqtt::new(&["a"]);
    mqtt.open(1, "a");
    mqtt.bytes(1, &hello.bytes());
    announced(&mut mqtt)
}

#[test]
fn connack_announces_what_aws_supports() {
    let properties = announced_to(&hello5("a"));
    assert_eq!(properties.max_qos, Some(1));
    assert_eq!(properties.retain_available, Some(1));
    assert_eq!(properties.wildcard_subscription_available, Some(1));
    assert_eq!(properties.subscription_identifiers_available, Some(0));
    assert_eq!(properties.shared_subscription_available, Some(1));
    assert_eq!(properties.topic_alias_max, Some(8));
    assert_eq!(properties.receive_max, Some(100));
    assert_eq!(properties.max_packet_size, Some(149_504));
    assert_eq!(properties.assigned_client_identifier, None);
}

#[test]
fn the_session_expiry_is_capped_and_told() {
    for (asked, told) in [(None, 0), (Some(0), 0), (Some(100), 100), (Some(3_600), 3_600), (Some(u32::MAX), 3_600)] {
        let properties = announced_to(&hello5("a").with(|p| p.session_expiry_interval = asked));
        assert_eq!(properties.session_expiry_interval, Some(told), "{asked:?}");
    }
}

#[test]
fn the_keep_alive_in_force_is_told() {
    for (asked, told) in [(0, 1_200), (1, 30), (29, 30), (30, 30), (60, 60), (1_200, 1_200), (1_201, 1_200)] {
        let properties = announced_to(&Hello { keep_alive: asked, ..hello5("a") });
        assert_eq!(properties.server_keep_alive, Some(told), "{asked}");
    }
}

#[test]
fn a_client_without_an_id_is_given_one() {
    let mut mqtt = Mqtt::new(&["a"]);
    let mut given = Vec::new();
    for connection in [1, 2] {
        mqtt.open(connection, "a");
        mqtt.bytes(connection, &hello5("").bytes());
        given.push(announced(&mut mqtt).assigned_client_identifier.unwrap());
    }
    assert!(given[0] != given[1] && given.iter().all(|id| id.len() == 36), "{given:?}");
    assert_eq!(mqtt.hello_with(3, "a", &v3("")), [Got::ConnAck(false, 2), Got::Closed]);
}

#[test]
fn refused_connects_have_reason_codes() {
    let delayed = v5::LastWillProperties {
        delay_interval: Some(5),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: vec![],
    };
    let user = v5::LastWillProperties {
        delay_interval: None,
        user_properties: vec![("k".into(), "v".repeat(8_192))],
        ..delayed.clone()
    };
    let many = Hello { will_properties: Some(user), ..hello5("d1").will(TOPIC, 0, false) };
    let of_will = |hello: Hello| Hello { will_properties: Some(delayed.clone()), ..hello };
    for (what, hello, code) in [
        ("a reserved id", hello5("$a"), 0x85),
        ("a long id", hello5(&"a".repeat(129)), 0x85),
        ("another's id", hello5("d9"), 0x87),
        ("a will for a topic without permission", hello5("d1").will("a/b", 0, false), 0x87),
        ("a will with QoS 2", hello5("d1").will(TOPIC, 2, false), 0x9B),
        ("a will with wildcards", hello5("d1").will("a/#", 0, false), 0x90),
        ("a will on a reserved topic", hello5("d1").will("$aws/rules/r/x", 0, false), 0x90),
        ("a will with many properties", many, 0x97),
        ("a delayed will", of_will(hello5("d1").will(TOPIC, 0, false)), 0x80),
        ("a small Maximum Packet Size", hello5("d1").with(|p| p.max_packet_size = Some(511)), 0x80),
        ("AUTH", hello5("d1").with(|p| p.authentication_method = Some("SCRAM".into())), 0x80),
    ] {
        let mut mqtt = Mqtt::new(&[]);
        assert_eq!(mqtt.hello_with(1, "d1", &hello), [Got::ConnAck(false, code), Got::Closed], "{what}");
    }
    let mut mqtt = Mqtt::connected(&[hello5("d1")]);
    assert_eq!(mqtt.hello(2, &hello5("d1")), [Got::ConnAck(false, 0x97), Got::Closed], "twice in a second");
    assert_eq!(mqtt.hello_with(3, "d1", &hello5("d1").with(|p| p.max_packet_size = Some(512))).len(), 2);
}

#[test]
fn a_protocol_level_that_aws_has_not_is_refused_in_the_form_of_mqtt_3() {
    for connect in [&b"\x10\x0e\0\x04MQTT\x06\x02\0\x3c\0\x02d1"[..], b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02d1"] {
        let mut mqtt = Mqtt::new(&[]);
        mqtt.open(1, "d1");
        mqtt.bytes(1, connect);
        assert_eq!(mqtt.got(1), [Got::ConnAck(false, 1), Got::Closed], "{connect:?}");
    }
}

fn properties(change: impl FnOnce(&mut PublishProperties)) -> Option<PublishProperties> {
    let mut properties = PublishProperties::default();
    change(&mut properties);
    Some(properties)
}

#[test]
fn a_publish_with_qos_1_that_is_refused_is_told_so_and_the_connection_stays() {
    let long = "t".repeat(257);
    let user = |size: usize| properties(|p| p.user_properties = vec![("k".into(), "v".repeat(size - 1))]);
    let data = |size: usize| properties(|p| p.correlation_data = Some(Bytes::from(vec![0; size])));
    let kind = |size: usize| properties(|p| p.content_type = Some("c".repeat(size)));
    for (what, topic, retain, properties, code) in [
        ("fine", TOPIC, false, None, 0),
        ("another tenant", "tenant/other/device/d1/data", false, None, 0x87),
        ("retained without permission", TOPIC, true, None, 0x87),
        ("a long topic", &*long, false, None, 0x90),
        ("many slashes", "1/2/3/4/5/6/7/8/9", false, None, 0x90),
        ("wildcards", "a/+", false, None, 0x90),
        ("no reserved topic", "$aws/nothing", false, None, 0x90),
        ("no topic", "", false, None, 0x90),
        ("8 KiB of user properties", TOPIC, false, user(8_192), 0),
        ("more of them", TOPIC, false, user(8_193), 0x97),
        ("8 KiB of correlation data", TOPIC, false, data(8_192), 0),
        ("more of them", TOPIC, false, data(8_193), 0x97),
        ("256 bytes of content type", TOPIC, false, kind(256), 0),
        ("more of it", TOPIC, false, kind(257), 0x97),
    ] {
        let mut mqtt = Mqtt::connected(&[hello5("d1")]);
        assert_eq!(mqtt.say(1, (topic, "{}"), (7, retain), properties), [Got::PubAck(7, code)], "{what}");
        assert_eq!(mqtt.post(1, TOPIC, 8, "{}"), [Got::PubAck(8, 0)], "{what}");
    }
}

#[test]
fn connections_end_with_reason_codes() {
    let v5_subscribe_with_identifier = b"\x82\x09\0\x01\x02\x0b\x05\0\x01a\0";
    for (what, bytes, code) in [
        ("an unknown property", &b"\x30\x05\0\x01a\x01\x7f"[..], 0x81),
        ("a property twice", b"\x30\x08\0\x01a\x04\x01\x01\x01\x01", 0x82),
        ("a property of another packet", b"\x30\x09\0\x01a\x05\x11\0\0\0\x05", 0x82),
        ("properties beyond the packet", b"\x30\x04\0\x01a\x09", 0x81),
        ("a topic that is no UTF-8", b"\x30\x04\0\x01\xff\0", 0x81),
        ("a topic with NUL", b"\x30\x04\0\x01\0\0", 0x81),
        ("QoS 3", b"\x36\x06\0\x01a\0\x01\0", 0x81),
        ("a packet id of 0", b"\x32\x06\0\x01a\0\0\0", 0x82),
        ("DUP with QoS 0", b"\x38\x04\0\x01a\0", 0x81),
        ("reserved flags", b"\xc1\0", 0x81),
        ("PINGREQ with a body", b"\xc0\x01\0", 0x81),
        ("a packet of a broker", b"\x20\x02\0\0", 0x82),
        ("a SUBSCRIBE without filters", b"\x82\x03\0\x01\0", 0x82),
        ("reserved options of a subscription", b"\x82\x07\0\x01\0\0\x01a\x40", 0x81),
        ("a Subscription Identifier", v5_subscribe_with_identifier, 0xA1),
        ("QoS 2", b"\x34\x06\0\x01a\0\x01\0", 0x9B),
        ("an alias of 0", b"\x30\x07\0\x01a\x03\x23\0\0", 0x94),
        ("an alias above 8", b"\x30\x07\0\x01a\x03\x23\0\x09", 0x94),
        ("an alias for nothing", b"\x30\x06\0\0\x03\x23\0\x01", 0x94),
        ("a topic without permission, QoS 0", b"\x30\x04\0\x01a\0", 0x87),
        ("AUTH", b"\xf0\0", 0x82),
        ("PUBREL", b"\x62\x02\0\x01", 0x82),
        ("a length of five bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
        ("a length that is longer than needed", b"\xc0\x80\x00", 0x81),
        ("a packet above 146 KiB", b"\x30\x81\x90\x09", 0x97),
        ("a goodbye that makes the session persistent", b"\xe0\x07\0\x05\x11\0\0\0\x05", 0x82),
    ] {
        let mut mqtt = Mqtt::connected(&[hello5("d1")]);
        mqtt.bytes(1, bytes);
        assert_eq!(mqtt.got(1), [Got::Bye(code), Got::Closed], "{what}");
    }
    let mut mqtt = Mqtt::connected(&[hello5("d1")]);
    mqtt.bytes(1, &hello5("d1").bytes());
    assert_eq!(mqtt.got(1), [Got::Bye(0x82), Got::Closed], "a second CONNECT");
    let mut mqtt = Mqtt::connected(&[hello5("d1")]);
    assert_eq!(mqtt.post(1, TOPIC, 1, &"x".repeat(131_073)), [Got::Bye(0x97), Got::Closed], "above 128 KiB");
    let mut mqtt = Mqtt::connected(&[hello5("d1")]);
    mqtt.now += Duration::from_secs(1);
    assert_eq!(mqtt.hello(2, &hello5("d1")), [Got::ConnAck(false, 0)]);
    assert_eq!(mqtt.got(1), [Got::Bye(0x8E), Got::Closed], "taken over");
    mqtt.pass(Duration::from_secs(1_800));
    assert_eq!(mqtt.got(2), [Got::Bye(0x8D), Got::Closed], "silent");
}

#[test]
fn subscriptions_have_reason_codes() {
    let filter = |path: &str, qos| Filter::new(path, qos5(qos));
    let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("d1"), v3("b")]);
    let filters = [filter("x/+", 0), filter("y", 1), filter("x/#/y", 1), filter("$aws/things/a/jobs/get", 1)];
    assert_eq!(mqtt.subscribe_with(1, &filters), [Got::SubAck(vec![0, 1, 0x8F, 0x8F])]);
    assert_eq!(mqtt.subscribe_with(3, &filters), [Got::SubAck(vec![0, 1, 0x80, 0x80])]);
    assert_eq!(mqtt.subscribe(2, "x", 1), [Got::SubAck(vec![0x87])]);
    let nine: Vec<Filter> = (0..9).map(|n| filter(&format!("nine/{n}"), 0)).collect();
    assert_eq!(mqtt.subscribe_with(1, &nine), [Got::SubAck(vec![0x97; 9])]);
    for connection in [1, 3] {
        assert_eq!(mqtt.subscribe(connection, "z", 2), [], "QoS 2 gets no SUBACK");
    }
    for (filter, code) in [("y", 0), ("nothing", 0), ("x/#/y", 0x8F)] {
        assert_eq!(mqtt.unsubscribe(1, filter), [Got::UnsubAck(vec![code])], "{filter}");
    }
}

#[test]
fn a_publish_with_qos_2_of_mqtt_3_gets_no_answer() {
    let mut mqtt = Mqtt::connected(&[v3("d1")]);
    mqtt.bytes(1, b"\x34\x05\0\x01a\0\x01");
    assert_eq!(mqtt.got(1), []);
    assert_eq!(mqtt.post(1, TOPIC, 1, "{}"), [Got::PubAck(1, 0)]);
    assert_eq!(mqtt.count("PublishIn.ClientError"), 1);
}

#[test]
fn topic_aliases_stand_for_topics() {
    let mut mqtt = Mqtt::connected(&[hello5("a"), v3("s")]);
    mqtt.subscribe(2, "t/#", 0);
    for round in 0..2 {
        for alias in 1..=8 {
            let topic = if round == 0 { format!("t/{alias}") } else { String::new() };
            let named = properties(|p| p.topic_alias = Some(alias));
            assert_eq!(mqtt.say(1, (&topic, "x"), (1, false), named), [Got::PubAck(1, 0)]);
            assert_eq!(mqtt.delivered(2)[0].topic, format!("t/{alias}"));
        }
    }
    // Another topic beside an alias gives it another meaning.
    for topic in ["t/new", ""] {
        mqtt.say(1, (topic, "x"), (1, false), properties(|p| p.topic_alias = Some(3)));
        assert_eq!(mqtt.delivered(2)[0].topic, "t/new");
    }
}

#[test]
fn the_message_expiry_is_bounded_and_what_is_left_is_told() {
    let expiry = |seconds| properties(|p| p.message_expiry_interval = Some(seconds));
    for (asked, told) in [(0, 1), (1, 1), (604_800, 604_800), (604_801, 604_800)] {
        let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s"), v3("o")]);
        for connection in [2, 3] {
            mqtt.subscribe(connection, "t", 1);
        }
        mqtt.say(1, ("t", "x"), (1, false), expiry(asked));
        assert_eq!(mqtt.delivered(2)[0].expiry_s, Some(told), "{asked}");
        assert_eq!(mqtt.delivered(3).len(), 1, "{asked}");
    }
    for (wait_ms, told) in [(0, Some(10)), (1, Some(9)), (9_001, Some(0)), (9_999, Some(0)), (10_000, None)] {
        let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s").with(|p| p.receive_maximum = Some(1))]);
        mqtt.subscribe(2, "t", 1);
        mqtt.post(1, "t", 1, "first");
        mqtt.say(1, ("t", "second"), (2, false), expiry(10));
        let first = mqtt.delivered(2);
        mqtt.now += Duration::from_millis(wait_ms);
        mqtt.ack(2, first[0].id);
        let second = mqtt.delivered(2).pop();
        assert_eq!(second.map(|message| message.expiry_s.unwrap()), told, "after {wait_ms} ms");
        assert_eq!(mqtt.count("PublishOut.Expired"), u64::from(told.is_none()), "after {wait_ms} ms");
    }
}

#[test]
fn the_receive_maximum_bounds_what_is_not_acknowledged() {
    for (asked, window) in [(Some(2), 2), (Some(1), 1), (None, 5)] {
        let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s").with(|p| p.receive_maximum = asked)]);
        mqtt.subscribe(2, "t", 1);
        for id in 1..=5 {
            mqtt.post(1, "t", id, "x");
        }
        let sent = mqtt.delivered(2);
        assert_eq!(sent.len(), window, "{asked:?}");
        mqtt.ack(2, sent[0].id);
        assert_eq!(mqtt.delivered(2).len(), usize::from(window < 5), "{asked:?}");
    }
}

#[test]
fn what_is_larger_than_the_client_takes_is_not_sent() {
    let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s").with(|p| p.max_packet_size = Some(512))]);
    mqtt.subscribe(2, "t", 1);
    // Header 3, topic 3, packet id 2, properties 1.
    for (size, sent) in [(503, 1), (504, 0)] {
        mqtt.post(1, "t", 1, &"x".repeat(size));
        assert_eq!(mqtt.take(2).len(), sent, "{size}");
    }
    assert_eq!(mqtt.count("PublishOut.ClientError"), 1);
}

#[test]
fn properties_travel_to_clients_of_mqtt_5() {
    let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s")]);
    mqtt.subscribe(2, "t", 0);
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        content_type: Some("text/plain".into()),
        response_topic: Some("answer/here".into()),
        correlation_data: Some(Bytes::from_static(b"\0\x01")),
        user_properties: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
        ..PublishProperties::default()
    };
    mqtt.say(1, ("t", "x"), (1, false), Some(sent.clone()));
    let Some(Effect::MqttSend { bytes, .. }) = mqtt.parts.effects.pop() else { panic!("nothing is sent") };
    let v5::Packet::Publish(got) = v5::Packet::read(&mut BytesMut::from(&bytes[..]), None).unwrap() else { panic!() };
    assert_eq!(got.properties, Some(sent));
}

#[test]
fn no_local_and_retain_as_published_are_honoured() {
    let mut mqtt = Mqtt::connected(&[hello5("a"), hello5("s")]);
    let local = Filter { nolocal: true, ..Filter::new("t", qos5(0)) };
    mqtt.subscribe_with(1, &[local]);
    let published = Filter { preserve_retain: true, ..Filter::new("t", qos5(0)) };
    mqtt.subscribe_with(2, &[published]);
    mqtt.say(1, ("t", "x"), (0, true), None);
    assert_eq!(mqtt.delivered(1), [], "its own message");
    let copy = Delivered { topic: "t".into(), payload: "x".into(), retain: true, ..Delivered::default() };
    assert_eq!(mqtt.delivered(2), [copy]);
    // Retain Handling: 1 sends for a new subscription alone, 2 never.
    for (rule, filter, copies) in [
        (RetainForwardRule::OnEverySubscribe, "t", 1),
        (RetainForwardRule::OnNewSubscribe, "t", 0),
        (RetainForwardRule::Never, "t", 0),
    ] {
        let again = Filter { retain_forward_rule: rule.clone(), ..Filter::new(filter, qos5(0)) };
        assert_eq!(mqtt.subscribe_with(2, &[again]).len() - 1, copies, "{rule:?}");
    }
}
