mod model;

use std::time::Duration;

use serde_json::{Value, json};

use crate::core::Principal;
use crate::core::cx::CxParts;
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::reserved::{Request, request};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const PREFIX: &str = "$aws/things/t/shadow/";

/// An account without devices, whose shadows are asked as the broker asks them.
struct Account {
    iot: Iot,
    parts: CxParts,
    now: Time,
    owner: Principal,
}

impl Account {
    fn new() -> Self {
        Account {
            iot: Iot::new(),
            parts: CxParts::new("eu-west-1", Trace::new(), Seed::root(3).rng()),
            now: Time::from_unix_secs(1_772_323_200),
            owner: Principal::new("arn:aws:iam::123456789012:root"),
        }
    }

    /// What is published after a request to `topic`, as (topic, document).
    fn ask_at(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Value)> {
        let Some(Request::Shadow { thing, name, verb }) = request(topic) else { panic!("{topic} asks no shadow") };
        let posted = Posted::by_service(topic, 1, payload.to_vec());
        let mut cx = self.parts.cx(self.now, &self.owner);
        self.iot.shadow_request(&mut cx, thing, name, verb, &posted);
        std::iter::from_fn(|| self.iot.shadows.outbox.pop())
            .map(|posted| (posted.topic.to_string(), serde_json::from_slice(&posted.payload).unwrap()))
            .collect()
    }

    /// The same for the classic shadow of `t`, with the ends of the topics, a tenth of a second after the one before.
    fn ask(&mut self, verb: &str, payload: &str) -> Vec<(String, Value)> {
        self.now += Duration::from_millis(100);
        let answers = self.ask_at(&format!("{PREFIX}{verb}"), payload.as_bytes());
        answers.into_iter().map(|(topic, value)| (topic.strip_prefix(PREFIX).unwrap().to_owned(), value)).collect()
    }

    /// The one answer to a request that changes nothing.
    fn answer(&mut self, verb: &str, payload: &str) -> (String, Value) {
        let mut answers = self.ask(verb, payload);
        assert_eq!(answers.len(), 1, "{verb} {payload}: {answers:?}");
        answers.remove(0)
    }

    fn got(&mut self) -> Value {
        let (topic, document) = self.answer("get", "");
        assert_eq!(topic, "get/accepted", "{document}");
        document
    }

    fn count(&self, name: &'static str) -> u64 {
        self.parts.meter.counters().get(&("iot", name)).copied().unwrap_or(0)
    }
}

#[test]
fn an_update_is_accepted_told_as_a_difference_and_documented() {
    let mut account = Account::new();
    account.ask("update", r#"{"state":{"reported":{"lights":{"color":{"r":255,"g":0,"b":255}},"on":1.0}}}"#);
    let t = account.now.unix_secs();
    account.now += Duration::from_secs(5);
    let update =
        r#"{"state":{"desired":{"lights":{"color":{"r":255,"g":255,"b":255}},"on":1},"x":1},"y":2,"clientToken":"c"}"#;
    let answers = account.ask("update", update);
    let later = account.now.unix_secs();
    assert_eq!(later, t + 5);
    let color = |r: Value, g: Value, b: Value| json!({ "lights": { "color": { "r": r, "g": g, "b": b } } });
    let stamp = |at: u64| json!({ "timestamp": at });
    let with = |mut object: Value, name: &str, value: Value| {
        object[name] = value;
        object
    };
    let desired = with(color(255.into(), 255.into(), 255.into()), "on", 1.into());
    let desired_at = with(color(stamp(later), stamp(later), stamp(later)), "on", stamp(later));
    let reported = with(color(255.into(), 0.into(), 255.into()), "on", json!(1.0));
    let reported_at = with(color(stamp(t), stamp(t), stamp(t)), "on", stamp(t));
    let delta = json!({ "lights": { "color": { "g": 255 } } });
    let full = json!({
        "state": { "desired": desired, "reported": reported },
        "metadata": { "desired": desired_at, "reported": reported_at },
        "version": 2,
    });
    let expected = [
        (
            "update/accepted",
            json!({
                "state": { "desired": desired }, "metadata": { "desired": desired_at },
                "version": 2, "timestamp": later, "clientToken": "c",
            }),
        ),
        (
            "update/delta",
            json!({
                "state": delta, "metadata": { "lights": { "color": { "g": stamp(later) } } },
                "version": 2, "timestamp": later, "clientToken": "c",
            }),
        ),
        (
            "update/documents",
            json!({
                "previous": { "state": { "reported": reported }, "metadata": { "reported": reported_at }, "version": 1 },
                "current": full, "timestamp": later, "clientToken": "c",
            }),
        ),
    ];
    assert_eq!(answers, expected.map(|(topic, value)| (topic.to_owned(), value)));
    let mut got = full;
    got["state"]["delta"] = delta;
    got["timestamp"] = account.now.unix_secs().into();
    assert_eq!(account.got(), got);
    for (metric, count) in
        [("UpdateThingShadow.Accepted", 2), ("GetThingShadow.Accepted", 1), ("DeleteThingShadow.Accepted", 0)]
    {
        assert_eq!(account.count(metric), count, "{metric}");
    }
}

/// Cases that were run against AWS by the authors of another emulator (tests of moto's iotdata, marked as verified).
#[test]
fn states_are_what_aws_was_seen_to_answer() {
    let on = json!({ "online": false });
    let on_and = json!({ "online": false, "enabled": true });
    for (updates, expected) in [
        (
            vec![json!({ "desired": { "online": true } }), json!({ "reported": on })],
            json!({ "desired": { "online": true }, "reported": on, "delta": { "online": true } }),
        ),
        (
            vec![json!({ "desired": { "enabled": true } }), json!({ "reported": on_and })],
            json!({ "desired": { "enabled": true }, "reported": on_and }),
        ),
        (vec![json!({})], json!({})),
        (vec![json!({}), json!({ "reported": { "online": null } })], json!({})),
        (vec![json!({ "desired": {} })], json!({})),
        (
            vec![json!({ "desired": { "enabled": true } }), json!({ "reported": {} })],
            json!({ "desired": { "enabled": true }, "delta": { "enabled": true } }),
        ),
        (
            vec![json!({ "reported": { "list": [["1"], ["2"]] } }), json!({ "desired": { "list": [["1"]] } })],
            json!({ "desired": { "list": [["1"]] }, "reported": { "list": [["1"], ["2"]] }, "delta": { "list": [["1"]] } }),
        ),
        (
            vec![
                json!({ "reported": { "a": { "b": { "c": "d", "e": "f" } } } }),
                json!({ "desired": { "a": { "b": { "c": "d2" } } } }),
            ],
            json!({ "desired": { "a": { "b": { "c": "d2" } } }, "reported": { "a": { "b": { "c": "d", "e": "f" } } },
                "delta": { "a": { "b": { "c": "d2" } } } }),
        ),
        (
            vec![
                json!({ "desired": { "a": 1, "b": { "c": 3 } } }),
                json!({ "desired": { "b": { "c": {} }, "d": {} } }),
            ],
            json!({ "desired": { "a": 1, "b": { "c": {} }, "d": {} }, "delta": { "a": 1, "b": { "c": {} }, "d": {} } }),
        ),
        (
            vec![json!({ "desired": { "a": { "b": 1 }, "k": 1 } }), json!({ "desired": { "a": { "b": null } } })],
            json!({ "desired": { "a": {}, "k": 1 }, "delta": { "a": {}, "k": 1 } }),
        ),
        (
            vec![
                json!({ "desired": { "s": 1, "t": 2 } }),
                json!({ "desired": { "s": null } }),
                json!({ "desired": { "t": null } }),
            ],
            json!({}),
        ),
        (
            vec![json!({ "desired": { "s": 1 }, "reported": { "s": 2 } }), json!({ "desired": null })],
            json!({ "reported": { "s": 2 } }),
        ),
        (vec![json!({ "desired": { "s": 1 }, "reported": { "s": 2 } }), Value::Null], json!({})),
    ] {
        let mut account = Account::new();
        for state in &updates {
            let answers = account.ask("update", &json!({ "state": state }).to_string());
            assert_eq!((&*answers[0].0, &answers[0].1["state"]), ("update/accepted", state), "{updates:?}");
        }
        let got = account.got();
        assert_eq!((&got["state"], &got["version"]), (&expected, &json!(updates.len())), "{updates:?}");
    }
}

#[test]
fn requests_that_are_wrong_are_rejected_with_awss_code_and_text() {
    let nested = |levels: usize| format!("{}{{}}{}", r#"{"k":"#.repeat(levels), "}".repeat(levels));
    let desired = |value: &str| format!(r#"{{"state":{{"desired":{value}}}}}"#);
    let deep = "JSON contains too many levels of nesting; maximum is 8";
    let with_token = |length: usize| format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "é".repeat(length / 2));
    let large = desired(&format!(r#"{{"k":"{}"}}"#, "x".repeat(8_192)));
    for (verb, payload, code, message) in [
        ("update", "", 400, "Invalid JSON"),
        ("update", "[]", 400, "Invalid JSON"),
        ("update", r#"{"state":{"desired":{"a":1,"a":2}}}"#, 400, "Invalid JSON"),
        ("update", "{}", 400, "Missing required node: state"),
        ("update", r#"{"state":1}"#, 400, "State node must be an object"),
        ("update", r#"{"state":{"desired":1}}"#, 400, "Desired node must be an object"),
        ("update", r#"{"state":{"reported":[]}}"#, 400, "Reported node must be an object"),
        ("update", r#"{"state":{},"version":"1"}"#, 400, "Invalid version"),
        ("update", r#"{"state":{},"version":-1}"#, 400, "Invalid version"),
        ("update", r#"{"state":{},"version":1.5}"#, 400, "Invalid version"),
        ("update", r#"{"state":{},"clientToken":1}"#, 400, "Invalid clientToken"),
        ("update", &with_token(66), 400, "Invalid clientToken"),
        ("update", &desired(&nested(9)), 400, deep),
        ("update", &"[".repeat(1_000), 400, deep),
        ("update", r#"{"state":{"desired":{"a":[1,null]}}}"#, 400, "State contains an invalid node"),
        ("update", r#"{"state":{"desired":{"a":[{"b":null}]}}}"#, 400, "State contains an invalid node"),
        ("update", r#"{"state":{},"version":3}"#, 409, "Version conflict"),
        ("update", &large, 413, "The payload exceeds the maximum size allowed"),
        ("get", "{", 400, "Invalid JSON"),
        ("get", r#"{"clientToken":[]}"#, 400, "Invalid clientToken"),
        ("get", "", 404, "No shadow exists with name: 't'"),
        ("delete", "whatever", 404, "No shadow exists with name: 't'"),
    ] {
        let (topic, document) = Account::new().answer(verb, payload);
        let found = (topic, document["code"].as_u64(), document["message"].as_str().unwrap_or(""));
        assert_eq!(found, (format!("{verb}/rejected"), Some(code), message), "{payload}");
        assert_eq!(document["timestamp"].is_u64(), code != 404, "{document}");
    }
    let answers = Account::new().ask_at(&format!("{PREFIX}update"), b"{\"state\":{\"desired\":{\"a\":\"\xff\"}}}");
    let expected = "Unsupported documented encoding; supported encoding is UTF-8";
    assert_eq!((&answers[0].1["code"], &answers[0].1["message"]), (&json!(415), &json!(expected)));
    for payload in
        [with_token(64), desired(&nested(8)), desired(r#"{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":[1]}}}}}}}}"#)]
    {
        assert_eq!(Account::new().ask("update", &payload)[0].0, "update/accepted", "{payload}");
    }
}

#[test]
fn the_token_of_a_request_returns_with_every_answer() {
    let mut account = Account::new();
    for (verb, payload, expected) in [
        (
            "get",
            r#"{"clientToken":"a"}"#,
            json!({ "code": 404, "message": "No shadow exists with name: 't'", "clientToken": "a" }),
        ),
        (
            "update",
            r#"{"state":3,"clientToken":"b"}"#,
            json!({ "code": 400, "message": "State node must be an object",
            "timestamp": account.now.unix_secs(), "clientToken": "b" }),
        ),
    ] {
        assert_eq!(account.answer(verb, payload).1, expected);
    }
    let answers = account.ask("update", r#"{"state":{"desired":{"a":1}},"clientToken":"c"}"#);
    assert!(answers.len() == 3 && answers.iter().all(|(_, document)| document["clientToken"] == "c"), "{answers:?}");
    assert_eq!(account.answer("get", r#"{"clientToken":"d"}"#).1["clientToken"], "d");
    let (topic, document) = account.answer("delete", r#"{"clientToken":"e"}"#);
    let expected = json!({ "version": 1, "timestamp": account.now.unix_secs(), "clientToken": "e" });
    assert_eq!((topic.as_str(), document), ("delete/accepted", expected));
}

#[test]
fn the_size_of_a_document_is_that_of_its_state() {
    let mut account = Account::new();
    // {"desired":{"k":"…"}} has 20 bytes beside the text; metadata would make it larger.
    let text = |length: usize| format!(r#"{{"state":{{"desired":{{ "k" : "{}" }}}}}}"#, "x".repeat(length));
    assert_eq!(account.answer("update", &text(8_192 - 19)).1["code"], 413);
    assert_eq!(account.ask("update", &text(8_192 - 20))[0].0, "update/accepted");
    assert_eq!(account.answer("update", r#"{"state":{"reported":{"a":1}}}"#).1["code"], 413, "both sections count");
    let got = account.got();
    assert_eq!((&got["version"], &got["state"]["reported"]), (&json!(1), &Value::Null), "nothing has changed");
    account.ask("update", r#"{"state":{"desired":{"k":null},"reported":{"a":1}}}"#);
    assert_eq!(account.got()["state"], json!({ "reported": { "a": 1 } }));
}

#[test]
fn numbers_are_answered_as_they_were_written() {
    let mut account = Account::new();
    account.now += Duration::from_secs(1);
    let number = "12345678901234567890.12345678901234567890";
    let state = format!(r#"{{"state":{{"desired":{{"a":{number},"b":21.50,"c":1E+2}}}}}}"#);
    let posted = Posted::by_service(format!("{PREFIX}update"), 1, state);
    let mut cx = account.parts.cx(account.now, &account.owner);
    account.iot.shadow_request(&mut cx, "t", None, super::ShadowVerb::Update, &posted);
    let mut told = 0;
    while let Some(posted) = account.iot.shadows.outbox.pop() {
        let text = String::from_utf8(posted.payload.to_vec()).unwrap();
        assert!(text.contains(&format!(r#"{{"a":{number},"b":21.50,"c":1E+2}}"#)), "{text}");
        told += 1;
    }
    assert_eq!(told, 3);
}

#[test]
fn a_deleted_shadow_goes_on_counting_for_48_hours() {
    for (hours, version) in [(47, 4), (48, 1)] {
        let mut account = Account::new();
        for n in 1..=3 {
            account.ask("update", &format!(r#"{{"state":{{"reported":{{"n":{n}}}}}}}"#));
        }
        assert_eq!(account.answer("delete", "").1["version"], 3);
        assert_eq!(account.answer("delete", "").1["code"], 404);
        assert_eq!(account.answer("get", "").1["code"], 404);
        account.now += Duration::from_secs(hours * 3_600);
        let expected = version - 1;
        let conflict = account.answer("update", r#"{"state":{"reported":{"n":4}},"version":2}"#);
        assert_eq!(conflict.1["code"], 409, "after {hours} h");
        let update = format!(r#"{{"state":{{"reported":{{"n":4}}}},"version":{expected}}}"#);
        let answers = account.ask("update", &update);
        let (accepted, documents) = (&answers[0].1, &answers[1].1);
        assert_eq!(accepted["version"], version, "after {hours} h: {accepted}");
        let empty = json!({ "state": {}, "metadata": {}, "version": expected });
        assert_eq!(documents["previous"], empty, "after {hours} h");
    }
}

#[test]
fn shadows_of_a_thing_are_apart() {
    let mut account = Account::new();
    let named = "$aws/things/t/shadow/name/$config:1";
    account.ask("update", r#"{"state":{"reported":{"a":1}}}"#);
    let answers = account.ask_at(&format!("{named}/update"), br#"{"state":{"desired":{"b":1}}}"#);
    let topics: Vec<&str> = answers.iter().map(|(topic, _)| topic.as_str()).collect();
    let expected = ["update/accepted", "update/delta", "update/documents"].map(|end| format!("{named}/{end}"));
    assert_eq!(topics, expected);
    assert_eq!(account.got()["state"], json!({ "reported": { "a": 1 } }));
    account.answer("delete", "");
    let answers = account.ask_at(&format!("{named}/get"), b"");
    assert_eq!(answers[0].1["state"]["desired"], json!({ "b": 1 }));
    let answers = account.ask_at("$aws/things/t/shadow/name/other/get", b"");
    assert_eq!(answers[0].1["message"], "No shadow exists with name: 'other'");
    for topic in ["$aws/things/a b/shadow/get".to_owned(), format!("$aws/things/t/shadow/name/{}/get", "n".repeat(65))]
    {
        assert_eq!(account.ask_at(&topic, b"")[0].1["code"], 400, "{topic}");
    }
}

#[test]
fn rates_of_a_shadow_and_of_the_account_are_enforced() {
    let mut account = Account::new();
    let codes = |account: &mut Account, topic: &str, times: usize| -> Vec<u64> {
        (0..times).map(|_| account.ask_at(topic, b"")[0].1["code"].as_u64().unwrap()).collect()
    };
    let answers = codes(&mut account, "$aws/things/t/shadow/get", 21);
    assert_eq!((&answers[..20], answers[20]), (&[404; 20][..], 429), "20 requests a second");
    assert_eq!(codes(&mut account, "$aws/things/u/shadow/get", 1), [404], "another shadow has its own rate");
    account.now += Duration::from_millis(50);
    assert_eq!(codes(&mut account, "$aws/things/t/shadow/get", 2), [404, 429]);
    // The account's bucket was full again: 4,000 requests a second.
    account.now += Duration::from_secs(1);
    for thing in 0..4_000 {
        assert_eq!(codes(&mut account, &format!("$aws/things/t{thing}/shadow/get"), 1), [404], "{thing}");
    }
    assert_eq!(codes(&mut account, "$aws/things/t4000/shadow/get", 1), [429]);
}

#[test]
fn an_update_counts_as_four_publishes_of_the_account() {
    let mut account = Account::new();
    let mut cx = account.parts.cx(account.now, &account.owner);
    let publishes = account.iot.quotas(&cx).publishes_in.available(cx.now);
    // The broker takes the first one.
    assert!(account.iot.quotas(&cx).publishes_in.try_take(cx.now, publishes - 5));
    let posted = Posted::by_service(format!("{PREFIX}update"), 1, r#"{"state":{"reported":{"a":1}}}"#);
    account.iot.shadow_request(&mut cx, "t", None, super::ShadowVerb::Update, &posted);
    assert_eq!(account.iot.quotas(&cx).publishes_in.available(cx.now), 2);
    account.iot.shadow_request(&mut cx, "t", None, super::ShadowVerb::Update, &posted);
    let answers: Vec<_> = std::iter::from_fn(|| account.iot.shadows.outbox.pop()).collect();
    let topics: Vec<&str> = answers.iter().map(|posted| posted.topic.strip_prefix(PREFIX).unwrap()).collect();
    assert_eq!(topics, ["update/accepted", "update/documents", "update/rejected"]);
    assert_eq!(account.count("PublishIn.Throttle"), 1);
}

#[test]
fn shadows_that_were_only_asked_for_are_forgotten() {
    let mut account = Account::new();
    account.ask("update", r#"{"state":{"reported":{"a":1}}}"#);
    for n in 0..20_000 {
        account.now += Duration::from_millis(1);
        account.ask_at(&format!("$aws/things/x{n}/shadow/get"), b"");
    }
    let kept: usize = account.iot.shadows.things.values().map(std::collections::BTreeMap::len).sum();
    assert!(kept <= super::EMPTY_MIN + 1, "{kept}");
    assert_eq!(account.got()["version"], 1);
}
