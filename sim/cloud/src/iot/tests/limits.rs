//! Rates of the account and of its connections, each with what AWS does beyond it and the metric that counts it.

use std::time::Duration;

use super::fleet::World;
use super::mqtt::{Got, Mqtt, v3, v5};

const SECOND: Duration = Duration::from_secs(1);

/// Clients on the connections 1 to `count`.
fn crowd(count: u64) -> Mqtt {
    let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
    let mut mqtt = Mqtt::connected(&names.iter().map(|name| v5(name)).collect::<Vec<_>>());
    mqtt.pass(SECOND);
    mqtt
}

/// The accounts of a small Region have the smaller quotas.
fn in_a_small_region(mut mqtt: Mqtt) -> Mqtt {
    mqtt.parts.limits = crate::core::Limits::for_region("ca-central-1");
    mqtt.iot.forget_quotas();
    mqtt
}

#[test]
fn the_account_publishes_twenty_thousand_times_a_second_or_two_thousand() {
    for (mqtt, accepted) in [(crowd(30), 3_000), (in_a_small_region(crowd(30)), 2_000)] {
        let mut mqtt = mqtt;
        for n in 0..3_000 {
            mqtt.post(1 + n % 30, "t", 0, "x");
        }
        assert_eq!(mqtt.count("PublishIn.Success"), accepted);
        assert_eq!(mqtt.count("PublishIn.Throttle"), 3_000 - accepted);
    }
}

#[test]
fn an_update_of_a_shadow_can_take_more_than_one() {
    let mut mqtt = in_a_small_region(crowd(1));
    let (now, owner) = (mqtt.now, mqtt.owner.clone());
    let World { iot, parts, .. } = &mut *mqtt;
    let cx = parts.cx(now, &owner);
    assert!(iot.take_inbound(&cx, 1_997));
    assert!(!iot.take_inbound(&cx, 4));
    assert!(iot.take_inbound(&cx, 3));
}

#[test]
fn what_cannot_be_delivered_is_not_accepted() {
    // 21 publishes to 100 subscribers are 2,100 deliveries.
    let mut mqtt = in_a_small_region(crowd(101));
    for connection in 1..=100 {
        mqtt.subscribe(connection, "t", 0);
    }
    mqtt.pass(SECOND);
    for id in 1..=21 {
        let code = if id <= 20 { 0 } else { 0x97 };
        assert_eq!(mqtt.post(101, "t", id, "x"), [Got::PubAck(id, code)], "{id}");
    }
    assert_eq!((mqtt.count("PublishOut.Success"), mqtt.count("PublishIn.Throttle")), (2_000, 1));
    mqtt.pass(SECOND);
    assert_eq!(mqtt.post(101, "t", 1, "x"), [Got::PubAck(1, 0)]);
}

#[test]
fn messages_in_and_out_of_a_connection_share_a_hundred_a_second() {
    let mut mqtt = crowd(2);
    mqtt.subscribe(2, "t", 0);
    for id in 1..=60 {
        assert_eq!(mqtt.post(2, "u", id, "x"), [Got::PubAck(id, 0)]);
    }
    for id in 1..=60 {
        mqtt.post(1, "t", id, "x");
    }
    assert_eq!(mqtt.delivered(2).len(), 40);
    assert_eq!(mqtt.count("PublishOut.Throttle"), 20);
}

#[test]
fn the_account_connects_a_hundred_times_a_second_in_a_small_region() {
    let names: Vec<String> = (0..120).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut mqtt = in_a_small_region(Mqtt::new(&names));
    let mut codes = [0, 0];
    for (connection, name) in (1..).zip(&names) {
        let hello = if connection % 2 == 0 { v3(name) } else { v5(name) };
        let expected = if hello.v5 { 0x97 } else { 3 };
        match mqtt.hello(connection, &hello).as_slice() {
            [Got::ConnAck(false, 0)] => codes[0] += 1,
            [Got::ConnAck(false, code), Got::Closed] if *code == expected => codes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(codes, [100, 20]);
    assert_eq!(mqtt.count("Connect.Throttle"), 20);
}

#[test]
fn new_filters_of_an_account_are_limited_a_second() {
    let mut mqtt = in_a_small_region(crowd(10));
    let mut codes = [0, 0];
    for n in 0..250_u64 {
        let answer = mqtt.subscribe(1 + n % 10, &format!("f/{n}"), 0);
        codes[usize::from(answer == [Got::SubAck(vec![0x97])])] += 1;
    }
    assert_eq!(codes, [200, 50]);
    assert_eq!(mqtt.count("Subscribe.Throttle"), 50);
}
