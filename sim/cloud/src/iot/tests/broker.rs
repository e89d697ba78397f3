use std::time::Duration;

use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, PubRel, Publish, SubAck, Subscribe, SubscribeFilter,
    SubscribeReasonCode, UnsubAck, Unsubscribe,
};

use super::fleet::{Answer, World, encode, publish};

const TOPIC: &str = "tenant/acme/device/d1/data";

fn connack(connection: u64, code: ConnectReturnCode) -> Answer {
    Answer::Packet(connection, Packet::ConnAck(ConnAck::new(code, false)))
}

fn puback(connection: u64, id: u16) -> Answer {
    Answer::Packet(connection, Packet::PubAck(PubAck::new(id)))
}

fn device() -> World {
    let mut world = World::new();
    world.register("d1", "acme", "device");
    world
}

fn connected() -> World {
    let mut world = device();
    assert_eq!(world.connect(1, "d1"), [connack(1, ConnectReturnCode::Success)]);
    world
}

#[test]
fn certificates_that_are_unknown_are_refused_in_the_handshake() {
    let mut world = device();
    let owner = crate::core::Principal::new("owner");
    let mut cx = world.parts.cx(world.now, &owner);
    let refused = world.iot.open(&mut cx, 1, &"0".repeat(64), "10.0.0.9").unwrap_err();
    assert!(refused.reason.contains("not registered"), "{refused}");
    assert_eq!(world.count("Connection.AuthNError"), 1);
    world.bytes(1, &encode(&Packet::Connect(Connect::new("d1"))));
    assert_eq!(world.answers(), [], "there is no such connection");
}

#[test]
fn a_device_connects_publishes_and_is_acknowledged() {
    let mut world = connected();
    assert_eq!(world.publish(1, TOPIC, 7, "{}"), [puback(1, 7)]);
    assert_eq!(world.publish(1, TOPIC, 0, "{}"), []);
    world.send(1, &Packet::PingReq);
    assert_eq!(world.answers(), [Answer::Packet(1, Packet::PingResp)]);
    world.send(1, &Packet::Disconnect);
    assert_eq!(world.answers(), [Answer::Close(1)]);
    assert_eq!((world.count("Connect.Success"), world.count("PublishIn.Success")), (1, 2));
}

#[test]
fn bytes_arrive_in_any_fragmentation() {
    let mut stream = encode(&Packet::Connect(Connect::new("d1")));
    for id in 1..=5 {
        stream.extend(encode(&publish(TOPIC, id, &"x".repeat(usize::from(id) * 50))));
    }
    stream.extend(encode(&Packet::PingReq));
    let mut expected = vec![connack(1, ConnectReturnCode::Success)];
    expected.extend((1..=5).map(|id| puback(1, id)));
    expected.push(Answer::Packet(1, Packet::PingResp));
    for size in [1, 2, 3, 7, 64, stream.len()] {
        let mut world = device();
        world.open(1, "d1");
        for part in stream.chunks(size) {
            world.bytes(1, part);
        }
        assert_eq!(world.answers(), expected, "in parts of {size} bytes");
    }
}

fn will(topic: &str, qos: QoS) -> Option<LastWill> {
    Some(LastWill::new(topic, "b", qos, false))
}

#[test]
fn connects_that_are_refused_say_why() {
    let connect = |id: &str, change: fn(&mut Connect)| {
        let mut packet = Connect::new(id);
        change(&mut packet);
        packet
    };
    for (packet, code, metric) in [
        (connect("d2", |_| ()), ConnectReturnCode::NotAuthorized, "Connect.AuthError"),
        (connect("", |_| ()), ConnectReturnCode::BadClientId, "Connect.ClientError"),
        (connect("$d1", |_| ()), ConnectReturnCode::BadClientId, "Connect.ClientError"),
        (connect(&"d".repeat(129), |_| ()), ConnectReturnCode::BadClientId, "Connect.ClientError"),
        (
            connect("d1", |c| c.last_will = will("a", QoS::AtMostOnce)),
            ConnectReturnCode::NotAuthorized,
            "Connect.AuthError",
        ),
        (
            connect("d1", |c| c.last_will = will("a", QoS::ExactlyOnce)),
            ConnectReturnCode::ServiceUnavailable,
            "Connect.ClientError",
        ),
        (
            connect("d1", |c| c.last_will = will("$aws/x", QoS::AtMostOnce)),
            ConnectReturnCode::ServiceUnavailable,
            "Connect.ClientError",
        ),
    ] {
        let mut world = device();
        world.open(1, "d1");
        let what = format!("{packet:?}");
        world.send(1, &Packet::Connect(packet));
        assert_eq!(world.answers(), [connack(1, code), Answer::Close(1)], "{what}");
        assert_eq!(world.count(metric), 1, "{what}");
    }
}

#[test]
fn a_connection_ends_when_the_protocol_is_broken() {
    let mut world = device();
    for bytes in [encode(&Packet::PingReq), encode(&publish(TOPIC, 1, "{}")), vec![0x10, 0], vec![0xff; 8]] {
        world.open(1, "d1");
        world.bytes(1, &bytes);
        assert_eq!(world.answers(), [Answer::Close(1)], "{bytes:?}");
    }
    let retained = Publish { retain: true, ..Publish::new(TOPIC, QoS::AtMostOnce, "{}") };
    for (what, packet) in [
        ("a second CONNECT", Packet::Connect(Connect::new("d1"))),
        ("retain", Packet::Publish(retained)),
        ("another tenant", publish("tenant/other/device/d1/data", 1, "{}")),
        ("another device", publish("tenant/acme/device/d2/data", 1, "{}")),
        ("basic ingest", publish("$aws/rules/readings/x", 1, "{}")),
        ("a wildcard", publish("tenant/acme/device/+/data", 1, "{}")),
        ("a long topic", publish(&"t".repeat(257), 1, "{}")),
        ("many slashes", publish("1/2/3/4/5/6/7/8/9", 1, "{}")),
        ("a large payload", publish(TOPIC, 1, &"x".repeat(131_073))),
        ("a packet of QoS 2", Packet::PubRel(PubRel::new(1))),
    ] {
        let mut world = connected();
        world.send(1, &packet);
        assert_eq!(world.answers(), [Answer::Close(1)], "{what}");
        assert_eq!(world.publish(1, TOPIC, 2, "{}"), [], "{what}: the connection is gone");
    }
    let mut world = connected();
    assert_eq!(world.publish(1, TOPIC, 1, &"x".repeat(131_072)), [puback(1, 1)], "128 KiB are allowed");
}

#[test]
fn a_second_connection_takes_the_client_id_over() {
    let mut world = connected();
    world.now += Duration::from_secs(1);
    let answers = world.connect(2, "d1");
    assert_eq!(answers, [Answer::Close(1), connack(2, ConnectReturnCode::Success)]);
    world.closed(1);
    assert_eq!(world.publish(1, TOPIC, 1, "{}"), []);
    assert_eq!(world.publish(2, TOPIC, 1, "{}"), [puback(2, 1)]);
}

#[test]
fn a_client_connects_once_a_second() {
    let mut world = connected();
    world.closed(1);
    assert_eq!(world.connect(2, "d1"), [connack(2, ConnectReturnCode::ServiceUnavailable), Answer::Close(2)]);
    assert_eq!(world.count("Connect.ClientIDThrottle"), 1);
    world.now += Duration::from_secs(1);
    assert_eq!(world.connect(3, "d1"), [connack(3, ConnectReturnCode::Success)]);
}

#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    for (keep_alive, silence) in [(0, 1_800), (10, 45), (30, 45), (60, 90), (2_000, 1_800)] {
        let mut world = device();
        world.open(1, "d1");
        world.send(1, &Packet::Connect(Connect { keep_alive, ..Connect::new("d1") }));
        world.answers();
        world.pass(Duration::from_secs(silence - 1));
        world.send(1, &Packet::PingReq);
        assert_eq!(world.answers(), [Answer::Packet(1, Packet::PingResp)], "keep-alive {keep_alive}");
        world.pass(Duration::from_secs(silence - 1));
        assert_eq!(world.answers(), [], "keep-alive {keep_alive}");
        world.pass(Duration::from_secs(1));
        assert_eq!(world.answers(), [Answer::Close(1)], "keep-alive {keep_alive}");
        world.pass(Duration::from_secs(10_000));
        assert_eq!(world.parts.timers.next_due(), None, "keep-alive {keep_alive}");
    }
}

#[test]
fn publishes_beyond_a_hundred_a_second_are_dropped_without_puback() {
    let mut world = connected();
    let mut acknowledged = 0;
    for id in 1..=150 {
        acknowledged += world.publish(1, TOPIC, id, "{}").len();
    }
    assert_eq!(acknowledged, 100);
    assert_eq!((world.count("PublishIn.Success"), world.count("PublishIn.Throttle")), (100, 50));
    world.now += Duration::from_secs(1);
    assert_eq!(world.publish(1, TOPIC, 151, "{}"), [puback(1, 151)]);
}

#[test]
fn bytes_beyond_the_rate_are_delayed_and_not_lost() {
    let mut world = connected();
    let payload = "x".repeat(120 * 1024);
    let start = world.now;
    for id in 1..=8 {
        world.send(1, &publish(TOPIC, id, &payload));
    }
    assert_eq!(world.answers(), (1..=4).map(|id| puback(1, id)).collect::<Vec<_>>(), "512 KiB are a second's bytes");
    let mut late = Vec::new();
    while late.len() < 4 {
        world.pass(Duration::from_millis(10));
        late.extend(world.answers());
    }
    assert_eq!(late, (5..=8).map(|id| puback(1, id)).collect::<Vec<_>>());
    let took = world.now.since(start).as_millis();
    assert!((870..=890).contains(&took), "960 KiB at 512 KiB/s after a burst of 512 KiB: {took} ms");
}

#[test]
fn a_delayed_connection_is_woken_for_many_packets_at_once() {
    let mut world = connected();
    let start = world.now;
    let stream: Vec<u8> = (1..=1_024).flat_map(|id| encode(&publish(TOPIC, id, &"x".repeat(1_000)))).collect();
    for part in stream.chunks(10_000) {
        world.bytes(1, part);
    }
    let mut wakes = 0;
    while let Some(due) = world.parts.timers.next_due().filter(|due| due.since(start) < Duration::from_secs(10)) {
        world.pass(due.since(world.now));
        wakes += 1;
    }
    assert!((18..=25).contains(&wakes), "half a MiB at 20 wake-ups a second and 512 KiB/s: {wakes}");
    let took = world.now.since(start).as_millis();
    assert!((1_000..=1_030).contains(&took), "1033 KiB at 512 KiB/s after a burst of 512 KiB: {took} ms");
    assert_eq!(world.count("PublishIn.Success") + world.count("PublishIn.Throttle"), 1_024, "no packet is lost");
}

#[test]
fn a_connection_with_more_than_sixteen_seconds_of_bytes_waiting_is_closed() {
    let mut world = connected();
    let packet = encode(&publish(TOPIC, 0, &"x".repeat(120 * 1024)));
    // Four fit into the first second, 68 into the 8 MiB that may wait.
    for _ in 0..4 + 68 {
        world.bytes(1, &packet);
    }
    assert_eq!(world.answers(), []);
    world.bytes(1, &packet);
    assert_eq!(world.answers(), [Answer::Close(1)]);
    world.pass(Duration::from_secs(60));
    assert_eq!((world.answers(), world.count("PublishIn.Success")), (vec![], 4));
}

#[test]
fn a_long_backlog_is_worked_off_without_a_keep_alive_timeout() {
    let mut world = connected();
    let packet = encode(&publish(TOPIC, 0, &"x".repeat(120 * 1024)));
    for _ in 0..4 + 68 {
        world.bytes(1, &packet);
    }
    world.pass(Duration::from_secs(50));
    assert_eq!((world.answers(), world.count("PublishIn.Success")), (vec![], 72));
}

#[test]
fn the_end_of_a_connection_that_is_gone_already_changes_nothing() {
    let mut world = connected();
    world.send(1, &Packet::Disconnect);
    assert_eq!(world.answers(), [Answer::Close(1)]);
    let digest = world.parts.trace.digest();
    world.closed(1);
    world.closed(77);
    assert_eq!((world.parts.trace.digest(), world.answers()), (digest, vec![]));
}

#[test]
fn client_ids_without_a_connection_are_forgotten() {
    let mut world = connected();
    for guest in 0..10_000 {
        let connection = 10 + guest;
        world.open(connection, "d1");
        world.send(connection, &Packet::Connect(Connect::new(format!("guest-{guest}"))));
        world.now += Duration::from_millis(1);
    }
    assert_eq!(world.count("Connect.AuthError"), 10_000);
    assert!(world.iot.broker.clients_len() <= 4_096, "{}", world.iot.broker.clients_len());
    world.answers();
    world.open(2, "d1");
    world.send(2, &Packet::Connect(Connect::new("guest-9999")));
    assert_eq!(world.count("Connect.ClientIDThrottle"), 1, "its rate is not forgotten");
    world.answers();
    world.open(3, "d1");
    world.send(3, &Packet::Connect(Connect::new("d1")));
    let answers = world.answers();
    assert_eq!(
        answers,
        [Answer::Close(1), connack(3, ConnectReturnCode::Success)],
        "who is connected is not forgotten"
    );
}

fn subscriber(world: &mut World, connection: u64, name: &str, filter: &str, qos: QoS) {
    world.register(name, "acme", "all");
    world.connect(connection, name);
    world.send(connection, &Packet::Subscribe(Subscribe { pkid: 9, ..Subscribe::new(filter, qos) }));
    let code = SubscribeReasonCode::Success(qos);
    assert_eq!(world.answers(), [Answer::Packet(connection, Packet::SubAck(SubAck::new(9, vec![code])))]);
}

fn delivered(answers: Vec<Answer>, to: u64) -> Vec<(String, QoS, u16)> {
    answers
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Packet(connection, Packet::Publish(p)) if connection == to => Some((p.topic, p.qos, p.pkid)),
            _ => None,
        })
        .collect()
}

#[test]
fn subscribers_get_what_they_subscribed_to() {
    let mut world = connected();
    world.allow_all();
    subscriber(&mut world, 2, "s2", "tenant/+/device/#", QoS::AtLeastOnce);
    subscriber(&mut world, 3, "s3", TOPIC, QoS::AtMostOnce);
    subscriber(&mut world, 4, "s4", "tenant/other/#", QoS::AtLeastOnce);
    let answers = world.publish(1, TOPIC, 1, "{}");
    assert_eq!(delivered(answers.clone(), 2), [(TOPIC.to_owned(), QoS::AtLeastOnce, 1)]);
    assert_eq!(delivered(answers.clone(), 3), [(TOPIC.to_owned(), QoS::AtMostOnce, 0)]);
    assert_eq!(delivered(answers.clone(), 4), []);
    assert_eq!(answers.last(), Some(&puback(1, 1)));
    world.send(2, &Packet::Unsubscribe(Unsubscribe { pkid: 3, topics: vec!["tenant/+/device/#".to_owned()] }));
    assert_eq!(world.answers(), [Answer::Packet(2, Packet::UnsubAck(UnsubAck::new(3)))]);
    world.closed(3);
    assert_eq!(world.publish(1, TOPIC, 2, "{}"), [puback(1, 2)]);
    assert_eq!(world.count("PublishOut.Success"), 2);
}

#[test]
fn subscriptions_without_permission_or_beyond_the_limits_are_refused() {
    let subscribe = |filters: Vec<String>| {
        let filters = filters.into_iter().map(|path| SubscribeFilter::new(path, QoS::AtLeastOnce));
        Packet::Subscribe(Subscribe { pkid: 5, ..Subscribe::new_many(filters) })
    };
    let failed = |answers: Vec<Answer>| match &answers[..] {
        [Answer::Packet(_, Packet::SubAck(ack))] => {
            ack.return_codes.iter().filter(|code| **code == SubscribeReasonCode::Failure).count()
        }
        other => panic!("{other:?}"),
    };
    let mut world = connected();
    world.send(1, &subscribe(vec![TOPIC.to_owned()]));
    assert_eq!(failed(world.answers()), 1, "the device policy allows no subscription");
    world.allow_all();
    world.register("s", "acme", "all");
    world.connect(2, "s");
    for (filters, expected) in [
        (vec!["$aws/things/s/jobs/notify".to_owned(), "$share/g+/a".to_owned(), "a/#/b".to_owned(), "a".to_owned()], 3),
        ((0..9).map(|n| format!("nine/{n}")).collect(), 9),
        ((0..8).map(|n| format!("x/{n}")).collect(), 0),
    ] {
        world.send(2, &subscribe(filters.clone()));
        assert_eq!(failed(world.answers()), expected, "{filters:?}");
    }
    for batch in 0..6 {
        world.send(2, &subscribe((0..8).map(|n| format!("y/{batch}/{n}")).collect()));
    }
    let refused: usize = world.answers().into_iter().map(|answer| failed(vec![answer])).sum();
    assert_eq!(refused, 9 + 48 - 50, "50 subscriptions a connection");
}

#[test]
fn deliveries_wait_behind_a_full_window_until_they_are_acknowledged() {
    let mut world = connected();
    world.allow_all();
    subscriber(&mut world, 2, "s2", TOPIC, QoS::AtLeastOnce);
    let mut sent = Vec::new();
    for id in 1..=120 {
        // A rate below 100 a second, so that only the window holds deliveries back.
        world.now += Duration::from_millis(20);
        sent.extend(delivered(world.publish(1, TOPIC, id, "{}"), 2));
    }
    assert_eq!(sent.len(), 100);
    for id in 1..=20 {
        world.send(2, &Packet::PubAck(PubAck::new(id)));
        sent.extend(delivered(world.answers(), 2));
    }
    let ids: Vec<u16> = sent.into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids, (1..=120).collect::<Vec<_>>());
}

#[test]
fn deliveries_that_wait_for_longer_than_an_hour_are_dropped_and_counted() {
    let mut world = connected();
    world.allow_all();
    subscriber(&mut world, 2, "s2", TOPIC, QoS::AtLeastOnce);
    for id in 1..=105 {
        world.now += Duration::from_millis(20);
        world.publish(1, TOPIC, id, "{}");
    }
    world.now += Duration::from_secs(3_601);
    assert_eq!(world.count("PublishOut.Expired"), 0);
    world.publish(1, TOPIC, 106, "{}");
    assert_eq!(world.count("PublishOut.Expired"), 5);
    world.send(2, &Packet::PubAck(PubAck::new(1)));
    assert_eq!(delivered(world.answers(), 2), [(TOPIC.to_owned(), QoS::AtLeastOnce, 101)], "only what is younger");
    world.send(2, &Packet::PubAck(PubAck::new(2)));
    assert_eq!(world.answers(), []);
}

#[test]
fn two_runs_of_the_same_bytes_have_the_same_digest() {
    let digest = || {
        let mut world = connected();
        world.rule("readings", super::fleet::HOT_SQL);
        world.streams.errors.push_back(Some(super::fleet::throttle()));
        for id in 1..=5 {
            world.publish(1, TOPIC, id, r#"{"seq":1}"#);
        }
        world.pass(Duration::from_secs(5));
        world.parts.trace.digest()
    };
    assert_eq!(digest(), digest());
}

/// A client's packets at a protocol level, each valid.
fn valid_packets(is_v5: bool) -> Vec<Vec<u8>> {
    use bytes::BytesMut;
    use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};
    if !is_v5 {
        let subscribe = Subscribe { pkid: 1, ..Subscribe::new("tenant/+/device/#", QoS::AtLeastOnce) };
        let unsubscribe = Unsubscribe { pkid: 2, topics: vec!["a".to_owned()] };
        let packets = [
            Packet::Connect(Connect { last_will: will(TOPIC, QoS::AtLeastOnce), ..Connect::new("d1") }),
            publish(TOPIC, 0, "{}"),
            publish(TOPIC, 7, r#"{"seq":1}"#),
            Packet::Subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe),
            Packet::PubAck(PubAck::new(1)),
            Packet::PubRel(PubRel::new(1)),
            Packet::PingReq,
            Packet::Disconnect,
        ];
        return packets.iter().map(encode).collect();
    }
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(9),
        topic_alias: Some(2),
        response_topic: Some("a/b".to_owned()),
        correlation_data: Some("c".into()),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        content_type: Some("text".to_owned()),
        ..v5::PublishProperties::default()
    };
    let mut hello = v5::ConnectProperties::new();
    hello.session_expiry_interval = Some(60);
    hello.receive_maximum = Some(3);
    let connect = v5::Connect { keep_alive: 30, client_id: "d1".into(), clean_start: false, properties: Some(hello) };
    let will = v5::LastWill::new(TOPIC, "gone", QoS5::AtLeastOnce, false, None);
    let publish = v5::Publish { pkid: 3, ..v5::Publish::new(TOPIC, QoS5::AtLeastOnce, "{}", Some(properties)) };
    let filter = v5::Filter::new("$share/g/a/#", QoS5::AtLeastOnce);
    let packets = [
        v5::Packet::Connect(connect, Some(will), None),
        v5::Packet::Publish(publish),
        v5::Packet::Subscribe(v5::Subscribe { pkid: 4, ..v5::Subscribe::new(filter, None) }),
        v5::Packet::Unsubscribe(v5::Unsubscribe { pkid: 5, ..v5::Unsubscribe::new("a", None) }),
        v5::Packet::PubAck(v5::PubAck::new(1, None)),
        v5::Packet::PingReq(v5::PingReq),
    ];
    let mut encoded: Vec<Vec<u8>> = Vec::new();
    for packet in packets {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        encoded.push(bytes.to_vec());
    }
    encoded.push(b"\xe0\x07\x04\x05\x11\0\0\0\x05".to_vec());
    encoded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_the_broker_panic(
        packets in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        raw in proptest::collection::vec(any::<u8>(), 0..60),
        cut in 1..20_usize,
        first in 0..3_usize,
    ) {
        let mut world = device();
        world.open(1, "d1");
        if first > 0 {
            world.bytes(1, &valid_packets(first == 2)[0]);
        }
        let mut bytes = Vec::new();
        for (kind, body) in packets {
            bytes.push(kind);
            bytes.push(u8::try_from(body.len()).unwrap());
            bytes.extend(body);
        }
        bytes.extend(raw);
        for part in bytes.chunks(cut) {
            world.bytes(1, part);
        }
        world.pass(Duration::from_secs(4_000));
        world.closed(1);
        world.pass(Duration::from_secs(8_000));
    }

    #[test]
    fn mutated_packets_in_any_fragmentation_make_the_broker_neither_panic_nor_speak_after_the_end(
        is_v5 in any::<bool>(),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..12),
        mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..4),
        cuts in proptest::collection::vec(1..50_usize, 1..8),
        seconds in 0..3_000_u64,
    ) {
        let mut world = device();
        world.allow_all();
        world.register("s", "acme", "all");
        world.connect(2, "s");
        world.send(2, &Packet::Subscribe(Subscribe { pkid: 1, ..Subscribe::new("#", QoS::AtLeastOnce) }));
        let valid = valid_packets(is_v5);
        let mut bytes = valid[0].clone();
        bytes.extend(order.iter().flat_map(|index| index.get(&valid)).copied());
        for (at, byte, kind) in mutations {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes[at] ^= 1 << (byte & 7),
            }
        }
        world.open(1, "d1");
        let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (part, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            world.bytes(1, part);
            rest = later;
        }
        world.pass(Duration::from_secs(seconds));
        world.closed(1);
        world.pass(Duration::from_secs(8_000));
        let mut ended = false;
        for effect in &world.parts.effects {
            match effect {
                crate::core::Effect::MqttSend { connection: 1, bytes } => {
                    prop_assert!(!ended, "{:?} after the end", bytes);
                }
                crate::core::Effect::MqttClose { connection: 1 } => ended = true,
                _ => {}
            }
        }
    }

    #[test]
    fn damaged_packets_make_the_broker_neither_panic_nor_acknowledge_too_much(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), id in 1..100_u16,
    ) {
        let mut world = connected();
        let mut bytes = encode(&publish(TOPIC, id, r#"{"seq":1}"#));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        world.bytes(1, &bytes);
        prop_assert!(world.answers().len() <= 2);
    }
}
