use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, Subscribe};
use serde_json::{Value, json};

use super::fleet::{Answer, HOT_SQL, World};
use crate::core::AwsError;
use crate::iot::{DataRequest, Ports};

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
    let mut cx = world.parts.cx(world.now, &world.owner);
    let (streams, objects, functions) = (&mut world.streams, &mut world.objects, &mut world.functions);
    let (status, body) = world.iot.data(&mut cx, &mut Ports { streams, objects, functions }, &request)?;
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
        ("/topics/a?messageExpiry=604801", &[], ""),
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
