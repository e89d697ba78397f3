use std::time::Duration;

use super::mqtt::{Got, Hello, Mqtt, v3, v5};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// A session may last up to half an hour longer than asked.
const SLACK: Duration = Duration::from_secs(1_800);

/// A publisher on connection 1, and a client with a persistent session on connection 2 that subscribed with QoS 1.
fn with_session(kept: &Hello) -> Mqtt {
    let mut mqtt = Mqtt::connected(&[v3("p"), kept.clone()]);
    assert_eq!(mqtt.subscribe(2, "t/#", 1), [Got::SubAck(vec![1])]);
    mqtt.pass(2 * SECOND);
    mqtt
}

/// Publishes numbers, ten a second.
fn publish(mqtt: &mut Mqtt, numbers: std::ops::Range<u16>) {
    for number in numbers {
        mqtt.post(1, "t/x", number + 1, &number.to_string());
        mqtt.pass(Duration::from_millis(100));
    }
}

fn numbers(range: std::ops::Range<u16>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_persistent_session_keeps_subscriptions_and_messages_of_qos_1() {
    for kept in [v3("s").kept(), v5("s").kept()] {
        let mut mqtt = with_session(&kept);
        mqtt.goodbye(2);
        mqtt.got(2);
        publish(&mut mqtt, 0..5);
        mqtt.post(1, "t/x", 0, "with QoS 0");
        mqtt.pass(60 * SECOND);
        assert_eq!(mqtt.hello(3, &kept), [Got::ConnAck(true, 0)], "{kept:?}");
        mqtt.pass(SECOND);
        assert_eq!(mqtt.take(3), numbers(0..5));
        mqtt.post(1, "t/y", 9, "live");
        assert_eq!(mqtt.take(3), ["live"]);
        assert_eq!(mqtt.parts.trace.marks()["stored-delivered"], 5);
    }
}

#[test]
fn a_clean_session_keeps_nothing() {
    for clean in [v3("s"), v5("s")] {
        let mut mqtt = with_session(&clean);
        mqtt.closed(2);
        publish(&mut mqtt, 0..3);
        mqtt.pass(SECOND);
        assert_eq!(mqtt.hello(3, &clean), [Got::ConnAck(false, 0)]);
        mqtt.post(1, "t/x", 9, "live");
        mqtt.pass(SECOND);
        assert_eq!(mqtt.take(3), [""; 0]);
    }
}

#[test]
fn stored_messages_come_ten_a_second_and_live_ones_at_once() {
    let kept = v3("s").kept();
    let mut mqtt = with_session(&kept);
    mqtt.closed(2);
    publish(&mut mqtt, 0..35);
    mqtt.pass(SECOND);
    mqtt.hello(3, &kept);
    mqtt.post(1, "t/x", 99, "live");
    let mut counts = Vec::new();
    for _ in 0..4 {
        mqtt.pass(Duration::from_millis(999));
        counts.push(mqtt.take(3).len());
        mqtt.pass(Duration::from_millis(1));
    }
    assert_eq!(counts, [11, 10, 10, 5]);
}

#[test]
fn what_was_not_acknowledged_comes_again_after_the_client_is_back() {
    let kept = v5("s").kept();
    let mut mqtt = with_session(&kept);
    publish(&mut mqtt, 0..3);
    let sent = mqtt.delivered(2);
    assert_eq!(sent.len(), 3);
    mqtt.ack(2, sent[1].id);
    mqtt.closed(2);
    publish(&mut mqtt, 3..5);
    mqtt.hello(3, &kept);
    mqtt.pass(SECOND);
    assert_eq!(mqtt.take(3), ["0", "2", "3", "4"]);
}

#[test]
fn sessions_end_when_aws_says_so_and_never_earlier() {
    let asked = |seconds| v5("s").kept().with(move |p| p.session_expiry_interval = Some(seconds));
    for (kept, lasts) in
        [(v3("s").kept(), HOUR), (asked(600), Duration::from_secs(600)), (asked(u32::MAX), HOUR), (asked(1), SECOND)]
    {
        for (away, present) in [(lasts, true), (lasts + SLACK + SECOND, false)] {
            let mut mqtt = with_session(&kept);
            mqtt.closed(2);
            mqtt.pass(away.max(SECOND));
            assert_eq!(mqtt.hello(3, &kept), [Got::ConnAck(present, 0)], "{kept:?} after {away:?}");
        }
    }
}

#[test]
fn sessions_end_by_request() {
    let expiry_0 = &b"\xe0\x07\0\x05\x11\0\0\0\0"[..];
    let expiry_5 = &b"\xe0\x07\0\x05\x11\0\0\0\x05"[..];
    let clean = |hello: Hello| Hello { clean: true, ..hello };
    for (what, kept, bye, back, present) in [
        ("a goodbye", v5("s").kept(), &b"\xe0\0"[..], v5("s").kept(), true),
        ("a goodbye with expiry 0", v5("s").kept(), expiry_0, v5("s").kept(), false),
        ("a goodbye with expiry 5", v5("s").kept(), expiry_5, v5("s").kept(), true),
        ("clean session", v3("s").kept(), b"\xe0\0", v3("s"), false),
        ("clean start", v5("s").kept(), b"\xe0\0", clean(v5("s").kept()), false),
        ("another protocol level", v3("s").kept(), b"\xe0\0", v5("s").kept(), false),
        ("another protocol level", v5("s").kept(), b"\xe0\0", v3("s").kept(), false),
        (
            "no clean start, and no expiry from now on",
            v5("s").kept(),
            b"\xe0\0",
            Hello { clean: false, ..v5("s") },
            true,
        ),
    ] {
        let mut mqtt = with_session(&kept);
        mqtt.bytes(2, bye);
        assert_eq!(mqtt.got(2), [Got::Closed], "{what}");
        mqtt.pass(SECOND);
        assert_eq!(mqtt.hello(3, &back), [Got::ConnAck(present, 0)], "{what}");
        mqtt.post(1, "t/x", 1, "x");
        assert_eq!(mqtt.take(3).len(), usize::from(present), "{what}: subscriptions");
    }
}

#[test]
fn a_taken_over_session_goes_on() {
    let kept = v3("s").kept();
    let mut mqtt = with_session(&kept);
    assert_eq!(mqtt.hello(3, &kept), [Got::ConnAck(true, 0)]);
    assert_eq!(mqtt.got(2), [Got::Closed]);
    mqtt.closed(2);
    mqtt.post(1, "t/x", 1, "x");
    assert_eq!(mqtt.take(3), ["x"]);
}

#[test]
fn what_is_stored_is_bounded_by_the_rates_of_the_session_and_the_account() {
    let kept = v3("s").kept();
    let mut mqtt = with_session(&kept);
    mqtt.closed(2);
    // A hundred a second for one session, whoever publishes.
    mqtt.register("q", "acme", "all");
    mqtt.hello(5, &v3("q"));
    for id in 1..=90 {
        mqtt.post(1, "t/x", id, "x");
        mqtt.post(5, "t/x", id, "x");
    }
    assert_eq!(mqtt.count("PublishOut.Throttle"), 80);
    mqtt.pass(SECOND);
    // Five hundred a second for the account.
    let names: Vec<String> = (0..6).map(|n| format!("k{n}")).collect();
    for (connection, name) in (10..).zip(&names) {
        mqtt.register(name, "acme", "all");
        mqtt.hello(connection, &v3(name).kept());
        mqtt.subscribe(connection, "u", 1);
        mqtt.closed(connection);
    }
    mqtt.pass(SECOND);
    for id in 1..=100 {
        mqtt.post(1, "u", id, "x");
    }
    assert_eq!(mqtt.count("PublishOut.Throttle"), 80 + 100, "600 for six sessions");
}

#[test]
fn what_a_connected_client_does_not_acknowledge_is_sent_again_until_it_is_too_old() {
    for (hello, lasts_s) in [(v3("s"), 3_600), (v5("s"), 960)] {
        let mut mqtt = with_session(&hello);
        mqtt.post(1, "t/x", 1, "x");
        let first = mqtt.delivered(2);
        let mut again = 0;
        for _ in 0..lasts_s / 60 {
            mqtt.pass(Duration::from_secs(60));
            mqtt.bytes(2, &[0xc0, 0]);
            mqtt.bytes(1, &[0xc0, 0]);
            again += mqtt.delivered(2).len();
        }
        assert_eq!((first.len(), again), (1, lasts_s / 60 - 1), "{hello:?}");
        assert_eq!(mqtt.count("PublishOut.Expired"), 1, "{hello:?}");
        mqtt.pass(Duration::from_secs(600));
        assert_eq!(mqtt.delivered(2), [], "{hello:?}");
    }
}

#[test]
fn stored_messages_of_a_topic_that_may_not_be_received_any_more_are_dropped() {
    let kept = v3("s").kept();
    let mut mqtt = with_session(&kept);
    mqtt.closed(2);
    publish(&mut mqtt, 0..2);
    let document = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "iot:Receive", "Resource": "arn:aws:iot:eu-west-1:123456789012:topic/t/x" },
    ] });
    let properties = serde_json::json!({ "PolicyName": "all", "PolicyDocument": document });
    mqtt.update("AWS::IoT::Policy", "all", properties).unwrap();
    mqtt.hello(3, &kept);
    mqtt.pass(SECOND);
    assert_eq!(mqtt.take(3), [""; 0]);
    assert_eq!(mqtt.count("PublishOut.AuthError"), 2);
}
