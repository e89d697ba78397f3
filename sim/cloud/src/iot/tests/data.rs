use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, Subscribe};
use serde_json::{Value, json};

use super::fleet::{Answer, HOT_SQL, World};
use crate::core::{AwsError, Deferred, Effect};
use crate::iot::DataRequest;

/// A world with one device that hears of everything.
fn world() -> World {
    let mut world = World::new();
    world.allow_all();
    world.register("d1", "acme", "all");
    world.connect(1, "d1");
    for (id, filter) in (1..).zip(["#", "$aws/things/+/shadow/#"]) {
        world.send(1, &Packet::Subscribe(Subscribe { pkid: id, ..Subscribe::new(filter, QoS::AtMostOnce) }));
    }
    world.answers();
    world
}

fn call(
    world: &mut World,
    method: &str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Result<Value, AwsError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect();
    let body = Bytes::from(body.to_owned());
    let request = DataRequest { method, path, query, headers: &headers, body: &body };
    let (status, body) = world.with_ports(|iot, cx, ports| iot.data(cx, ports, &request))?;
    assert_eq!(status, 200);
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

/// What the device received, as (topic, payload).
fn received(world: &mut World) -> Vec<(String, String)> {
    world.pass(Duration::from_millis(100));
    let answers = world.answers().into_iter().filter_map(|answer| match answer {
        Answer::Packet(_, Packet::Publish(p)) => Some((p.topic, String::from_utf8(p.payload.to_vec()).unwrap())),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_message_over_https_reaches_subscribers_and_rules() {
    let mut world = world();
    world.rule("all", HOT_SQL);
    let answer = call(&mut world, "POST", "/topics/tenant%2Facme%2Fdevice%2Fd1%2Fdata?qos=1", &[], r#"{"seq":1}"#);
    assert_eq!(answer.unwrap()["message"], "OK");
    let topic = "tenant/acme/device/d1/data".to_owned();
    assert_eq!(received(&mut world), [(topic, r#"{"seq":1}"#.to_owned())]);
    assert_eq!((world.streams.records.len(), world.count("PublishIn.Success")), (1, 1));
}

#[test]
fn publishes_that_are_wrong_are_refused() {
    let large = "x".repeat(131_073);
    let properties = |json: Value| STANDARD.encode(json.to_string());
    let user = "x-amz-mqtt5-user-properties";
    let (data, format) = ("x-amz-mqtt5-correlation-data", "x-amz-mqtt5-payload-format-indicator");
    let too_much = properties(json!([{ "a": "x".repeat(8_192) }]));
    let long_data = STANDARD.encode(vec![0; 8_193]);
    type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a str);
    let cases: [Case<'_>; 15] = [
        ("/topics/a%2F%2B", &[], ""),
        ("/topics/a?qos=2", &[], ""),
        ("/topics/a?retain=yes", &[], ""),
        ("/topics/a?colour=red", &[], ""),
        ("/topics/a?messageExpiry=-1", &[], ""),
        ("/topics/a?responseTopic=b%2F%23", &[], ""),
        ("/topics/%24aws%2Fthings%2Ft%2Fjobs%2Fget", &[], ""),
        ("/topics/%24aws%2Fthings%2Ft%2Fshadow%2Fget?retain=true", &[], ""),
        ("/topics/a", &[], &*large),
        ("/topics/a", &[(format, "TEXT")], ""),
        ("/topics/a", &[(data, "!")], ""),
        ("/topics/a", &[(data, &*long_data)], ""),
        ("/topics/a", &[(user, "!")], ""),
        ("/topics/a", &[(user, "W3siYSI6MX1d")], ""),
        ("/topics/a", &[(user, &*too_much)], ""),
    ];
    let mut world = world();
    for (target, headers, body) in cases {
        let error = call(&mut world, "POST", target, headers, body).expect_err(target);
        assert_eq!((error.code, error.status), ("InvalidRequestException", 400), "{target} {headers:?}: {error}");
    }
    assert_eq!(received(&mut world), []);
    let two = properties(json!([{ "a": "1" }, { "b": "2" }]));
    let headers = [(user, &*two), (data, "AQI="), (format, "UTF8_DATA")];
    let target = "/topics/a?messageExpiry=0&contentType=text%2Fplain&responseTopic=b%2Fc";
    call(&mut world, "POST", target, &headers, "é").unwrap();
    assert_eq!(received(&mut world), [("a".to_owned(), "é".to_owned())]);
}

#[test]
fn shadows_over_rest_are_those_over_mqtt_and_tell_of_their_updates() {
    let mut world = world();
    let error = call(&mut world, "GET", "/things/d1/shadow", &[], "").unwrap_err();
    assert_eq!(
        (error.code, error.status, error.message.as_str()),
        ("ResourceNotFoundException", 404, "No shadow exists with name: 'd1'")
    );
    let update = r#"{"state":{"desired":{"a":1}},"clientToken":"c"}"#;
    let answer = call(&mut world, "POST", "/things/d1/shadow", &[], update).unwrap();
    assert_eq!((&answer["version"], &answer["clientToken"]), (&json!(1), &json!("c")));
    let told = received(&mut world);
    let topics: Vec<&str> = told.iter().map(|(topic, _)| topic.as_str()).collect();
    let expected = ["accepted", "delta", "documents"].map(|end| format!("$aws/things/d1/shadow/update/{end}"));
    assert_eq!(topics, expected);
    assert_eq!(serde_json::from_str::<Value>(&told[0].1).unwrap(), answer);
    world.publish(1, "$aws/things/d1/shadow/get", 0, "");
    let got = received(&mut world);
    assert_eq!(got[0].0, "$aws/things/d1/shadow/get/accepted");
    let rest = call(&mut world, "GET", "/things/d1/shadow", &[], "").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&got[0].1).unwrap()["state"], rest["state"]);
    for (body, code, status) in [
        (r#"{"state":{},"version":7}"#, "ConflictException", 409),
        ("{", "InvalidRequestException", 400),
        (
            &format!(r#"{{"state":{{"desired":{{"k":"{}"}}}}}}"#, "x".repeat(9_000)),
            "RequestEntityTooLargeException",
            413,
        ),
    ] {
        let error = call(&mut world, "POST", "/things/d1/shadow", &[], body).expect_err(body);
        assert_eq!((error.code, error.status), (code, status), "{error}");
    }
    assert_eq!(received(&mut world), [], "errors are told to the caller alone");
    assert_eq!(call(&mut world, "DELETE", "/things/d1/shadow", &[], "").unwrap()["version"], 1);
    for (target, code) in [
        ("/things/d1/shadow?name=", "InvalidRequestException"),
        ("/things/d%201/shadow", "InvalidRequestException"),
        ("/things/d1/shadow?colour=red", "InvalidRequestException"),
        ("/things/d1/shadow?name=n", "ResourceNotFoundException"),
    ] {
        assert_eq!(call(&mut world, "GET", target, &[], "").expect_err(target).code, code, "{target}");
    }
    for _ in 0..30 {
        let _ = call(&mut world, "GET", "/things/d1/shadow", &[], "");
    }
    let error = call(&mut world, "GET", "/things/d1/shadow", &[], "").unwrap_err();
    assert_eq!((error.code, error.status), ("ThrottlingException", 429));
}

#[test]
fn named_shadows_are_listed_page_by_page() {
    let mut world = world();
    let base = "/api/things/shadow/ListNamedShadowsForThing/d1";
    let list = |world: &mut World, query: &str| call(world, "GET", &format!("{base}{query}"), &[], "");
    assert_eq!(list(&mut world, "").unwrap()["results"], json!([]));
    for name in ["", "?name=b", "?name=c", "?name=a", "?name=d"] {
        call(&mut world, "POST", &format!("/things/d1/shadow{name}"), &[], r#"{"state":{"reported":{"a":1}}}"#)
            .unwrap();
    }
    call(&mut world, "DELETE", "/things/d1/shadow?name=c", &[], "").unwrap();
    let first = list(&mut world, "?pageSize=2").unwrap();
    assert_eq!((&first["results"], &first["timestamp"]), (&json!(["a", "b"]), &json!(world.now.unix_secs())));
    let token = first["nextToken"].as_str().unwrap();
    let second = list(&mut world, &format!("?pageSize=2&nextToken={token}")).unwrap();
    assert_eq!((&second["results"], &second["nextToken"]), (&json!(["d"]), &Value::Null));
    for query in ["?pageSize=0", "?pageSize=101", "?pageSize=x", "?nextToken=!", "?nextToken="] {
        assert_eq!(list(&mut world, query).expect_err(query).code, "InvalidRequestException", "{query}");
    }
    assert_eq!(world.count("ListThingShadow.Accepted"), 3);
}

#[test]
fn retained_messages_are_got_and_listed_page_by_page() {
    let mut world = world();
    let user = STANDARD.encode(r#"[{"a":"1"},{"b":"2"}]"#);
    for topic in ["b", "a%2F1", "c"] {
        let headers = [("x-amz-mqtt5-user-properties", &*user)];
        call(&mut world, "POST", &format!("/topics/{topic}?retain=true&qos=1"), &headers, "payload").unwrap();
    }
    let modified = world.now.unix_millis();
    let got = call(&mut world, "GET", "/retainedMessage/a%2F1", &[], "").unwrap();
    let expected = json!({ "topic": "a/1", "payload": STANDARD.encode("payload"), "qos": 1,
        "lastModifiedTime": modified, "userProperties": user });
    assert_eq!(got, expected);
    let summary = |topic: &str| json!({ "topic": topic, "payloadSize": 7, "qos": 1, "lastModifiedTime": modified });
    let first = call(&mut world, "GET", "/retainedMessage?maxResults=2", &[], "").unwrap();
    assert_eq!(first["retainedTopics"], json!([summary("a/1"), summary("b")]));
    let token = first["nextToken"].as_str().unwrap();
    let second = call(&mut world, "GET", &format!("/retainedMessage?nextToken={token}"), &[], "").unwrap();
    assert_eq!(second, json!({ "retainedTopics": [summary("c")] }));
    world.pass(Duration::from_secs(1));
    call(&mut world, "POST", "/topics/b?retain=true", &[], "").unwrap();
    for (target, code, status) in [
        ("/retainedMessage/b", "ResourceNotFoundException", 404),
        ("/retainedMessage?maxResults=201", "InvalidRequestException", 400),
    ] {
        let error = call(&mut world, "GET", target, &[], "").expect_err(target);
        assert_eq!((error.code, error.status), (code, status), "{target}");
    }
    for _ in 0..10 {
        let _ = call(&mut world, "GET", "/retainedMessage", &[], "");
    }
    let error = call(&mut world, "GET", "/retainedMessage", &[], "").unwrap_err();
    assert_eq!((error.code, error.status), ("ThrottlingException", 429), "ListRetainedMessages has 10 calls a second");
}

#[test]
fn connections_are_described_and_ended() {
    let mut world = world();
    let since = world.now.unix_millis();
    let got = call(&mut world, "GET", "/connections/d1?includeSocketInformation=true", &[], "").unwrap();
    let found = [&got["clientId"], &got["connected"], &got["connectedSince"], &got["sourceIp"], &got["cleanSession"]];
    assert_eq!(found, [&json!("d1"), &json!(true), &json!(since), &json!("10.0.0.9"), &json!(true)], "{got}");
    world.pass(Duration::from_secs(1));
    let listed = call(&mut world, "GET", "/connections/d1/subscriptions?maxResults=1", &[], "").unwrap();
    assert_eq!(listed["subscriptions"], json!([{ "topicFilter": "#", "qos": 0 }]));
    let next = format!("/connections/d1/subscriptions?nextToken={}", listed["nextToken"].as_str().unwrap());
    let error = call(&mut world, "GET", &next, &[], "").unwrap_err();
    assert_eq!((error.code, error.status), ("ThrottlingException", 429), "one call a second about a client");
    world.pass(Duration::from_secs(1));
    let rest = call(&mut world, "GET", &next, &[], "").unwrap();
    let filter = "$aws/things/+/shadow/#";
    assert_eq!(rest, json!({ "subscriptions": [{ "topicFilter": filter, "qos": 0 }] }));
    world.pass(Duration::from_secs(1));
    call(&mut world, "DELETE", "/connections/d1?preventWillMessage=true", &[], "").unwrap();
    assert!(world.answers().contains(&Answer::Close(1)));
    world.pass(Duration::from_secs(1));
    let got = call(&mut world, "GET", "/connections/d1", &[], "").unwrap();
    assert_eq!((&got["connected"], &got["disconnectReason"]), (&json!(false), &json!("API_INITIATED_DISCONNECT")));
    for (method, target, code, status) in [
        ("GET", "/connections/absent", "ResourceNotFoundException", 404),
        ("DELETE", "/connections/absent", "ResourceNotFoundException", 404),
        ("GET", "/connections/absent/subscriptions", "ResourceNotFoundException", 404),
        ("POST", "/connections/absent/messages?topic=a", "ResourceNotFoundException", 404),
        ("GET", "/connections/%24d1", "InvalidRequestException", 400),
        ("DELETE", "/connections/d1?cleanSession=perhaps", "InvalidRequestException", 400),
        ("POST", "/connections/d1/messages", "InvalidRequestException", 400),
        ("POST", "/connections/d1/messages?topic=a%2F%2B", "InvalidRequestException", 400),
        ("POST", "/connections/d1/messages?topic=a&confirmation=true&timeout=16", "InvalidRequestException", 400),
    ] {
        let error = call(&mut world, method, target, &[], "").expect_err(target);
        assert_eq!((error.code, error.status), (code, status), "{method} {target}: {error}");
    }
}

#[test]
fn direct_messages_reach_a_client_that_did_not_subscribe() {
    let mut world = world();
    let target = "/connections/d1/messages?topic=%24direct%2Fd1";
    let answer = call(&mut world, "POST", target, &[], "now").unwrap();
    assert_eq!((&answer["message"], world.iot.take_deferred()), (&json!("OK"), None));
    assert_eq!(received(&mut world), [("$direct/d1".to_owned(), "now".to_owned())]);
    // A confirmed one is answered when the client has acknowledged it, or after the time that the caller waits.
    for (acknowledges, waited, status) in [(true, Duration::ZERO, 200), (false, Duration::from_secs(5), 504)] {
        call(&mut world, "POST", &format!("{target}&confirmation=true"), &[], "now").unwrap();
        let ticket = world.iot.take_deferred().expect("the answer comes later");
        let sent = world.answers().into_iter().find_map(|answer| match answer {
            Answer::Packet(1, Packet::Publish(p)) => Some(p),
            _ => None,
        });
        let sent = sent.expect("the message is sent");
        assert_eq!(sent.qos, QoS::AtLeastOnce);
        if acknowledges {
            world.send(1, &Packet::PubAck(PubAck::new(sent.pkid)));
        }
        if !waited.is_zero() {
            world.pass(waited - Duration::from_millis(1));
            assert_eq!(answered(&mut world), None, "the caller waits for five seconds");
            world.pass(Duration::from_millis(1));
        }
        assert_eq!(answered(&mut world), Some((ticket, status)), "acknowledged: {acknowledges}");
    }
}

/// The answer to a call that waited.
fn answered(world: &mut World) -> Option<(Deferred, u16)> {
    std::mem::take(&mut world.parts.effects).into_iter().find_map(|effect| match effect {
        Effect::Answer { ticket, status, .. } => Some((ticket, status)),
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_request_is_answered_or_refused(
        method in "GET|POST|DELETE|PUT",
        path in "(/topics|/things|/connections|/retainedMessage|/api/things/shadow/ListNamedShadowsForThing)?(/[a$+#%0-9 ]{0,6}){0,2}(/shadow|/messages|/subscriptions)?",
        query in "((name|qos|retain|topic|nextToken|maxResults|pageSize|confirmation|timeout)=[a-z0-9%!]{0,5}&){0,3}",
        header in "[ -~]{0,12}",
        body in "[\\[\\]{}\":,a-z0-9]{0,30}",
    ) {
        let mut world = world();
        let headers = [("x-amz-mqtt5-user-properties", &*header), ("x-amz-mqtt5-correlation-data", &*header)];
        if let Err(error) = call(&mut world, &method, &format!("{path}?{query}"), &headers, &body) {
            let known = [400, 403, 404, 405, 413, 415, 429, 501];
            prop_assert!(known.contains(&error.status), "{} {}?{}: {}", method, path, query, error);
        }
        world.pass(Duration::from_secs(20));
    }
}
