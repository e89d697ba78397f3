//! What the data plane's REST interface asks of connections, and publishes over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::mqtt::{Delivered, Got, Mqtt, v3, v5};
use crate::core::{AwsError, Cx};
use crate::iot::broker::DirectMessage;
use crate::iot::message::Posted;
use crate::iot::{Iot, Ports};

const SECOND: Duration = Duration::from_secs(1);

/// One call, a second after the one before.
fn call<T>(mqtt: &mut Mqtt, act: impl FnOnce(&mut Iot, &mut Cx<'_>, &mut Ports<'_>) -> T) -> T {
    mqtt.pass(SECOND);
    at_once(mqtt, act)
}

fn at_once<T>(mqtt: &mut Mqtt, act: impl FnOnce(&mut Iot, &mut Cx<'_>, &mut Ports<'_>) -> T) -> T {
    mqtt.with_ports(act)
}

fn code<T>(result: Result<T, AwsError>) -> (&'static str, u16) {
    result.err().map_or(("", 200), |error| (error.code, error.status))
}

#[test]
fn a_connection_is_described_while_it_lasts_and_for_half_an_hour() {
    let mut mqtt = Mqtt::connected(&[v3("a"), v5("b").kept()]);
    let since = mqtt.now;
    let a = call(&mut mqtt, |iot, cx, _| iot.connection(cx, "a")).unwrap();
    assert_eq!((a.connected, a.clean_session, a.keep_alive_s, a.since), (true, true, 1_200, since));
    let b = call(&mut mqtt, |iot, cx, _| iot.connection(cx, "b")).unwrap();
    assert_eq!((b.clean_session, b.session_expiry_s, b.source_ip.as_deref()), (false, 3_600, Some("10.0.0.9")));
    mqtt.closed(1);
    let left = mqtt.now;
    let a = call(&mut mqtt, |iot, cx, _| iot.connection(cx, "a")).unwrap();
    assert_eq!((a.connected, a.disconnect_reason, a.since), (false, Some("CONNECTION_LOST"), left));
    assert_eq!(code(at_once(&mut mqtt, |iot, cx, _| iot.connection(cx, "a"))), ("ThrottlingException", 429));
    mqtt.pass(Duration::from_secs(1_800));
    for client in ["a", "nobody"] {
        let found = call(&mut mqtt, |iot, cx, _| iot.connection(cx, client));
        assert_eq!(code(found), ("ResourceNotFoundException", 404), "{client}");
    }
}

#[test]
fn a_connection_is_deleted_with_its_session_when_asked_to() {
    for (clean, present) in [(false, true), (true, false)] {
        let mut mqtt = Mqtt::connected(&[v5("a").kept()]);
        call(&mut mqtt, |iot, cx, _| iot.delete_connection(cx, "a", clean, true)).unwrap();
        assert_eq!(mqtt.got(1), [Got::Bye(0x98), Got::Closed]);
        assert_eq!(mqtt.hello(2, &v5("a").kept()), [Got::ConnAck(present, 0)], "{clean}");
    }
    let mut mqtt = Mqtt::connected(&[v3("a").kept()]);
    mqtt.closed(1);
    let gone = call(&mut mqtt, |iot, cx, _| iot.delete_connection(cx, "a", false, false));
    assert_eq!(code(gone), ("ResourceNotFoundException", 404));
    call(&mut mqtt, |iot, cx, _| iot.delete_connection(cx, "a", true, false)).unwrap();
    assert_eq!(mqtt.hello(2, &v3("a").kept()), [Got::ConnAck(false, 0)], "an offline session");
}

#[test]
fn subscriptions_of_a_session_are_listed() {
    let mut mqtt = Mqtt::connected(&[v3("a")]);
    for (filter, qos) in [("b/+", 1), ("a", 0), ("$share/g/c", 1)] {
        mqtt.subscribe(1, filter, qos);
    }
    let listed = call(&mut mqtt, |iot, cx, _| iot.subscriptions_of(cx, "a")).unwrap();
    let listed: Vec<_> = listed.iter().map(|(filter, qos)| (&**filter, *qos)).collect();
    assert_eq!(listed, [("$share/g/c", 1), ("a", 0), ("b/+", 1)]);
}

fn direct(payload: &str, confirmation: Option<u64>) -> DirectMessage {
    let message = Posted::by_service("direct/x", 0, Bytes::copy_from_slice(payload.as_bytes()));
    DirectMessage { message, confirmation: confirmation.map(Duration::from_secs) }
}

#[test]
fn a_direct_message_needs_no_subscription_and_its_confirmation_waits_for_the_puback() {
    let mut mqtt = Mqtt::connected(&[v3("a"), v5("d1")]);
    let sent = call(&mut mqtt, |iot, cx, _| iot.send_direct_message(cx, "a", &direct("x", None))).unwrap();
    assert_eq!(sent, None);
    let copy = Delivered { topic: "direct/x".into(), payload: "x".into(), ..Delivered::default() };
    assert_eq!(mqtt.delivered(1), [copy]);
    for (acknowledges, status) in [(true, 200), (false, 504)] {
        let sent = call(&mut mqtt, |iot, cx, _| iot.send_direct_message(cx, "a", &direct("y", Some(5)))).unwrap();
        assert!(sent.is_some());
        let delivered = mqtt.delivered(1);
        assert_eq!(mqtt.got(0), []);
        mqtt.pass(4 * SECOND);
        if acknowledges {
            mqtt.ack(1, delivered[0].id);
        } else {
            assert_eq!(mqtt.got(0), [], "not too early");
            mqtt.pass(SECOND);
        }
        assert_eq!(mqtt.got(0), [Got::Answer(status)]);
    }
    call(&mut mqtt, |iot, cx, _| iot.send_direct_message(cx, "a", &direct("z", Some(5)))).unwrap();
    mqtt.closed(1);
    assert_eq!(mqtt.got(0), [Got::Answer(504)], "the client is gone");
    for (client, payload, expected) in [
        ("a", "x".to_owned(), ("ResourceNotFoundException", 404)),
        ("nobody", "x".to_owned(), ("ResourceNotFoundException", 404)),
        ("d1", "x".to_owned(), ("ForbiddenException", 403)),
        ("d1", "x".repeat(131_073), ("RequestEntityTooLargeException", 413)),
    ] {
        let sent = call(&mut mqtt, |iot, cx, _| iot.send_direct_message(cx, client, &direct(&payload, None)));
        assert_eq!(code(sent), expected, "{client}");
    }
}

#[test]
fn publishes_over_https_reach_subscribers_within_the_limits() {
    let mut mqtt = Mqtt::connected(&[v3("s")]);
    mqtt.subscribe(1, "t", 1);
    let principal: Arc<str> = "AROA:operator".into();
    let post = |mqtt: &mut Mqtt, topic: &str, payload: &str, retain| {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let message = Posted { retain, ..Posted::by_service(topic, 1, payload) };
        let principal = principal.clone();
        call(mqtt, |iot, cx, ports| iot.publish_http(cx, ports, principal, message))
    };
    post(&mut mqtt, "t", "x", true).unwrap();
    assert_eq!(mqtt.take(1), ["x"]);
    assert!(mqtt.iot.retained(mqtt.now, "t").is_some());
    for (topic, payload, retain) in [
        ("", "x".to_owned(), false),
        ("a/+", "x".to_owned(), false),
        ("1/2/3/4/5/6/7/8/9", "x".to_owned(), false),
        ("t", "x".repeat(131_073), false),
        ("$aws/nothing", "x".to_owned(), false),
        ("$aws/things/d1/shadow/update", "{}".to_owned(), true),
    ] {
        assert_eq!(code(post(&mut mqtt, topic, &payload, retain)), ("InvalidRequestException", 400), "{topic}");
    }
    for (retain, expected) in [(true, ("", 200)), (false, ("", 200))] {
        assert_eq!(code(post(&mut mqtt, "t", "x", retain)), expected);
    }
    let again = Posted { retain: true, ..Posted::by_service("t", 1, "y") };
    let first = again.clone();
    call(&mut mqtt, |iot, cx, ports| iot.publish_http(cx, ports, principal.clone(), first)).unwrap();
    let throttled = at_once(&mut mqtt, |iot, cx, ports| iot.publish_http(cx, ports, principal.clone(), again));
    assert_eq!(code(throttled), ("ThrottlingException", 429));
}
