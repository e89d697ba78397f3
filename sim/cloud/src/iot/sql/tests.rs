use bytes::Bytes;
use proptest::prelude::*;

use super::eval::{Message, Segments};
use super::number::Number;
use super::statement::{Selected, Statement};
use super::template::Template;
use crate::iot::message::Posted;
use world::time::Time;

const TOPIC: &str = "tenant/acme/device/d1/data";
const HOT: &str =
    "SELECT *, topic(2) AS tenant_id, topic(4) AS device_id, timestamp() AS received_at FROM 'tenant/+/device/+/data'";

fn message(topic: &str, payload: &[u8]) -> Message<'static> {
    let mut posted = Posted::by_service(topic, 1, Bytes::copy_from_slice(payload));
    posted.client = Some("c1".into());
    let posted: &Posted = Box::leak(Box::new(posted));
    let now = Time::from_unix_millis(1_772_323_200_123);
    Message::new(posted, &posted.topic, Segments::of(&posted.topic).unwrap(), now)
}

fn run(statement: &Statement, payload: &[u8], fast: bool) -> (Selected, String) {
    let mut count = 0;
    let mut uuid = || {
        count += 1;
        format!("uuid-{count}")
    };
    let mut out = Vec::new();
    let selected = statement.run(&message(TOPIC, payload), &mut uuid, &mut out, fast);
    (selected, String::from_utf8_lossy(&out).into_owned())
}

/// Both forms of evaluation, which must agree.
fn select(sql: &str, payload: &[u8]) -> (Selected, String) {
    let statement = Statement::parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let general = run(&statement, payload, false);
    let mut out = Vec::new();
    let mut count = 0;
    let mut uuid = || {
        count += 1;
        format!("uuid-{count}")
    };
    let selected = statement.select(&message(TOPIC, payload), &mut uuid, &mut out);
    assert_eq!((selected, String::from_utf8_lossy(&out).into_owned()), general, "{sql} on {payload:?}");
    general
}

fn check(sql: &str, payload: &str, expected: &str) {
    assert_eq!(select(sql, payload.as_bytes()), (Selected::Yes, expected.to_owned()), "{sql} on {payload}");
}

#[test]
fn select_lists() {
    for (list, payload, expected) in [
        ("*", r#"{"a":1}"#, r#"{"a":1}"#),
        ("*", r#" { "a" : [ 1 , 2 ] , "b" : { } } "#, r#"{"a":[1,2],"b":{}}"#),
        ("*", "[1, 2]", "[1, 2]"),
        ("*", "not json", "not json"),
        ("*", "", ""),
        ("*", "{}", "{}"),
        ("*, 1 AS x", "", r#"{"x":1}"#),
        ("*, 1 AS x", "{}", r#"{"x":1}"#),
        ("*, 1 AS x", r#"{"a":"b"}"#, r#"{"a":"b","x":1}"#),
        ("*, 1 AS a", r#"{"a":"b","c":2}"#, r#"{"c":2,"a":1}"#),
        ("*, 1 AS a", r#"{"a":"b"}"#, r#"{"a":1}"#),
        ("*, topic(9) AS a", r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        ("1 AS x, *", r#"{"a":2}"#, r#"{"a":2,"x":1}"#),
        ("1 AS x, 2 AS x", "{}", r#"{"x":2}"#),
        ("a", r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        ("a.b", r#"{"a":{"b":"c"}}"#, r#"{"b":"c"}"#),
        ("a.b.c AS d, e", r#"{"a":{"b":{"c":null}},"e":true}"#, r#"{"d":null,"e":true}"#),
        ("a.b", r#"{"a":1}"#, "{}"),
        ("missing, a", r#"{"a":1}"#, r#"{"a":1}"#),
        ("value", r#"{"value":1}"#, r#"{"value":1}"#),
        ("value AS v", r#"{"value":1}"#, r#"{"v":1}"#),
        ("value * 2 AS v", r#"{"value":1}"#, r#"{"v":2}"#),
        ("a", r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ("*", r#"{"a":10.0,"b":1.50,"c":-0.0,"d":1e2,"e":0.250}"#, r#"{"a":10,"b":1.5,"c":0,"d":100,"e":0.25}"#),
        ("*", r#"{"a":"\u0041\n\"é"}"#, r#"{"a":"A\n\"é"}"#),
        ("*", r#"{"a":12345678901234567890123456789012345}"#, r#"{"a":12345678901234567890123456789012345}"#),
        ("*", r#"{"a":1e999}"#, r#"{"a":1e999}"#),
        ("*", r#"{"a":123456789012345678901234567890.1}"#, r#"{"a":123456789012345678901234567890.1}"#),
    ] {
        check(&format!("SELECT {list} FROM 'tenant/#'"), payload, expected);
    }
}

#[test]
fn functions() {
    for (expression, expected) in [
        ("topic()", r#""tenant/acme/device/d1/data""#),
        ("topic(1)", r#""tenant""#),
        ("topic(5)", r#""data""#),
        ("timestamp()", "1772323200123"),
        ("clientid()", r#""c1""#),
        ("newuuid()", r#""uuid-1""#),
        ("topic(2) + '/' + topic(4)", r#""acme/d1""#),
    ] {
        check(&format!("SELECT {expression} AS x FROM '#'"), "{}", &format!(r#"{{"x":{expected}}}"#));
    }
    check("SELECT topic(6) AS x FROM '#'", "{}", "{}");
}

/// Values of expressions; an empty text stands for Undefined.
#[test]
fn expressions() {
    let payload = r#"{"i":7,"d":2.5,"s":"txt","n":"12.5","t":true,"z":null,"o":{"k":1},"a":[1,2],"b":"TRUE"}"#;
    for (expression, expected) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7 / 2.5", "2.8"),
        ("1 / 3.0", "0"),
        ("1.5 / 3", "0.5"),
        ("1.1 / 3", "0.3666666666666666666666666666666667"),
        ("2 / 1.5", "1.333333333333333333333333333333333"),
        ("7 / 0", ""),
        ("7 % 4", "3"),
        ("-7 % 4", "-3"),
        ("7.5 % 2", "1.5"),
        ("7 % 0", ""),
        ("0.1 + 0.2", "0.3"),
        ("1.5 + 1.5", "3"),
        ("i * d", "17.5"),
        ("i - 10", "-3"),
        ("-i", "-7"),
        ("- - i", "7"),
        ("i + s", r#""7txt""#),
        ("s + d", r#""txt2.5""#),
        ("s + t", r#""txttrue""#),
        ("s + a", r#""txt[1,2]""#),
        ("s + z", ""),
        ("s + missing", ""),
        ("i + t", ""),
        ("n * 2", "25"),
        ("s * 2", ""),
        ("o + 1", ""),
        ("i > 6", "true"),
        ("i > 7", "false"),
        ("i >= 7", "true"),
        ("d < 2.6", "true"),
        ("d <= 2.5", "true"),
        ("n > 12", "true"),
        ("s > 1", ""),
        ("z > 1", ""),
        ("i = 7", "true"),
        ("i = 7.0", "true"),
        ("i = '7'", "false"),
        ("i <> '7'", "true"),
        ("s = 'txt'", "true"),
        ("s <> \"txt\"", "false"),
        ("z = NULL", "true"),
        ("missing = NULL", ""),
        ("missing <> 1", ""),
        ("o = o", "true"),
        ("a = o", "false"),
        ("t AND i = 7", "true"),
        ("t AND FALSE", "false"),
        ("t OR missing", ""),
        ("b AND t", "true"),
        ("i AND t", ""),
        ("NOT t", "false"),
        ("NOT i = 7", "false"),
        ("NOT missing", ""),
        ("false OR true AND false", "false"),
        ("true or false and false", "true"),
        ("1 < 2 = true", "true"),
        ("9999999999999999999999999999999999 + 1", ""),
        ("1e3", "1000"),
    ] {
        let expected = if expected.is_empty() { "{}".to_owned() } else { format!(r#"{{"x":{expected}}}"#) };
        check(&format!("SELECT {expression} AS x FROM '#'"), payload, &expected);
    }
}

#[test]
fn conditions_act_on_true_only() {
    for (condition, expected) in [
        ("temperature > 20", Selected::Yes),
        ("temperature > 30", Selected::No),
        ("humidity > 1", Selected::No),
        ("NOT humidity > 1", Selected::No),
        ("temperature", Selected::No),
        ("'true'", Selected::No),
        ("topic(2) = 'acme'", Selected::Yes),
        ("topic(2) = 'other'", Selected::No),
        ("status = 'on' AND temperature >= 25", Selected::Yes),
    ] {
        let sql = format!("SELECT * FROM '#' WHERE {condition}");
        assert_eq!(select(&sql, br#"{"temperature":25,"status":"on"}"#).0, expected, "{condition}");
    }
}

#[test]
fn payloads_that_are_no_objects() {
    for (sql, payload, selected, result) in [
        ("SELECT *, 1 AS x FROM '#'", "[1]", Selected::ParseError, ""),
        ("SELECT *, 1 AS x FROM '#'", "7", Selected::ParseError, ""),
        ("SELECT *, 1 AS x FROM '#'", "{\"a\":}", Selected::ParseError, ""),
        ("SELECT *, 1 AS x FROM '#'", "{\"a\":1} x", Selected::ParseError, ""),
        ("SELECT *, 1 AS x FROM '#'", "{\"a\":01}", Selected::ParseError, ""),
        ("SELECT *, 1 AS x FROM '#'", "{\"a\":\"\\ud800\"}", Selected::ParseError, ""),
        ("SELECT a FROM '#'", "text", Selected::YesWithParseError, "{}"),
        ("SELECT a FROM '#'", "[1]", Selected::Yes, "{}"),
        ("SELECT topic(2) AS t FROM '#'", "text", Selected::Yes, r#"{"t":"acme"}"#),
        ("SELECT * FROM '#' WHERE a = 1", "text", Selected::No, ""),
    ] {
        assert_eq!(select(sql, payload.as_bytes()), (selected, result.to_owned()), "{sql} on {payload}");
    }
    assert_eq!(select("SELECT *, 1 AS x FROM '#'", b"{\"a\":\"\xff\"}").0, Selected::ParseError);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(select("SELECT *, 1 AS x FROM '#'", deep.as_bytes()).0, Selected::ParseError);
}

#[test]
fn what_is_no_sql_is_refused_with_its_position() {
    for (sql, position, not_modelled) in [
        ("", 0, false),
        ("SELECT", 6, false),
        ("SELECT FROM 'a'", 7, false),
        ("SELECT * FROM", 13, false),
        ("SELECT * FROM a", 14, false),
        ("SELECT * FROM 'a", 14, false),
        ("SELECT * FROM 'a/#/b'", 14, false),
        ("SELECT * FROM ''", 14, false),
        ("SELECT * FROM 'a' 'b'", 18, false),
        ("SELECT * FROM 'a';", 17, false),
        ("SELECT * FROM 'a' WHERE", 23, false),
        ("SELECT *, * FROM 'a'", 10, false),
        ("SELECT a, FROM 'x'", 10, false),
        ("SELECT a AS FROM 'x'", 12, false),
        ("SELECT a.1 FROM 'x'", 9, false),
        ("SELECT 1a AS x FROM 'x'", 7, false),
        ("SELECT (1 AS x FROM 'x'", 10, false),
        ("SELECT 1 + AS x FROM 'x'", 11, false),
        ("SELECT a ? b AS x FROM 'x'", 9, false),
        ("SELECT a[0] AS x FROM 'x'", 8, false),
        ("SELECT topic(0) AS x FROM 'x'", 13, false),
        ("SELECT topic(1.5) AS x FROM 'x'", 13, false),
        ("SELECT timestamp(1) AS x FROM 'x'", 17, false),
        ("SELECT nosuch(1) AS x FROM 'x'", 7, false),
        ("SELECT * FROM 'a' WHERE a != 1", 26, false),
        ("DELETE FROM 'a'", 0, false),
        ("SELECT *", 8, true),
        ("SELECT 1 FROM 'x'", 7, true),
        ("SELECT topic(a) AS x FROM 'x'", 13, true),
        ("SELECT VALUE a FROM 'x'", 7, true),
        ("SELECT VALUE * FROM 'x'", 7, true),
        ("SELECT upper(a) AS x FROM 'x'", 7, true),
        ("SELECT get(a, 0) AS x FROM 'x'", 7, true),
        ("SELECT [1] AS x FROM 'x'", 7, true),
        ("SELECT {'a': 1} AS x FROM 'x'", 7, true),
        ("SELECT (SELECT a FROM b) AS x FROM 'x'", 8, true),
        ("SELECT CASE a WHEN 1 THEN 2 END AS x FROM 'x'", 7, true),
        ("SELECT a AS b.c FROM 'x'", 13, true),
        ("SELECT 'it''s' AS x FROM 'x'", 10, true),
        ("SELECT 'a\\n' AS x FROM 'x'", 9, true),
        ("SET @a = 1 SELECT * FROM 'x'", 0, true),
        ("SELECT @a AS x FROM 'x'", 7, true),
        ("SELECT * FROM '$aws/things/+/jobs/get'", 14, true),
    ] {
        let error = Statement::parse(sql).expect_err(sql);
        assert_eq!((error.position, error.not_modelled), (position, not_modelled), "{sql}: {error}");
    }
    let deep = format!("SELECT {}1{} AS x FROM 'x'", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Statement::parse(&deep).unwrap_err().not_modelled);
    let long = format!("SELECT 1{} AS x FROM 'x'", "+1".repeat(10_000));
    assert!(Statement::parse(&long).unwrap_err().not_modelled);
}

#[test]
fn templates_are_filled_in_from_the_message() {
    for (template, expected) in [
        ("", Some("")),
        ("plain", Some("plain")),
        ("${topic(4)}", Some("d1")),
        ("x/${topic(2)}/${topic(4)}/${timestamp()}-${newuuid()}.json", Some("x/acme/d1/1772323200123-u.json")),
        ("${seq + 1}$", Some("8$")),
        ("${ 'a}b' }", Some("a}b")),
        ("${missing}", None),
        ("a${topic(9)}", None),
        ("${o}", Some(r#"{"k":1}"#)),
    ] {
        let parsed = Template::parse(template).unwrap_or_else(|e| panic!("{template}: {e}"));
        let message = message(TOPIC, br#"{"seq":7,"o":{"k":1.0}}"#);
        let rendered = parsed.render(&message, &mut || "u".to_owned());
        assert_eq!(rendered.as_deref(), expected, "{template}");
    }
    for (template, position) in [("${", 2), ("a${topic(4)", 11), ("${topic(4) x}", 11), ("${nosuch()}", 2)] {
        assert_eq!(Template::parse(template).expect_err(template).position, position, "{template}");
    }
}

#[test]
fn numbers_are_exact() {
    for (text, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("10.0", "10"),
        ("1e3", "1000"),
        ("1.25e1", "12.5"),
        ("1e-3", "0.001"),
        ("-12.340", "-12.34"),
        ("0.05", "0.05"),
        ("9999999999999999999999999999999999", "9999999999999999999999999999999999"),
    ] {
        assert_eq!(Number::parse(text).map(|n| n.to_string()).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "-", "1.", ".5", "1e", "1e12345", "10000000000000000000000000000000000", "1e-41", "x", "1 "] {
        assert_eq!(Number::parse(text), None, "{text}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let space = || proptest::sample::select(vec!["", "", "", " ", "\n\t"]);
    let number = "-?(0|[1-9][0-9]{0,12})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?";
    let text = "\"([a-zé ]|\\\\n|\\\\u00e9|\\\\\"){0,6}\"";
    let leaf = prop_oneof![
        4 => number.prop_map(|n| n),
        2 => "-?(0|[1-9][0-9]{0,2})\\.0{1,3}".prop_map(|n| n),
        3 => text.prop_map(|t| t),
        1 => proptest::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(3, 24, 5, move |inner| {
        let member = ("\"[a-c]{1,2}\"", space(), inner.clone())
            .prop_map(|(name, space, value)| format!("{name}{space}:{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(" , "))),
        ]
    });
    let member = ("\"(a|b|seq|tenant_id|device_id|x\\\\u0041)\"", value);
    (proptest::collection::vec(member, 0..6), space()).prop_map(|(members, space)| {
        let members: Vec<_> =
            members.into_iter().map(|(name, value)| format!("{name}{space}:{space}{value}")).collect();
        format!("{space}{{{}}}{space}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_forms_of_evaluation_agree(payload in json(), sql in proptest::sample::select(vec![
        HOT,
        "SELECT * FROM '#'",
        "SELECT *, newuuid() AS a, topic(9) AS b FROM '#' WHERE topic(2) = 'acme'",
        "SELECT *, 1 AS a, 2 AS seq, 3 AS a FROM '#'",
    ])) {
        let statement = Statement::parse(sql).unwrap();
        let fast = run(&statement, payload.as_bytes(), true);
        prop_assert_eq!(&fast, &run(&statement, payload.as_bytes(), false));
        if fast.0 == Selected::Yes {
            serde_json::from_str::<serde_json::Value>(&fast.1).map_err(|e| TestCaseError::fail(format!("{}: {e}", fast.1)))?;
        }
    }

    #[test]
    fn both_forms_agree_on_damaged_payloads(payload in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = payload.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let statement = Statement::parse(HOT).unwrap();
        prop_assert_eq!(run(&statement, &bytes, true), run(&statement, &bytes, false));
    }

    #[test]
    fn what_is_accepted_as_json_is_json(payload in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = payload.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let accepted = super::json::parse(&bytes).is_some();
        // Where it ignores values serde_json checks neither their UTF-8 nor the range of numbers.
        let text = std::str::from_utf8(&bytes);
        prop_assert_eq!(accepted, text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", tail in "[ -~é]{0,40}") {
        let _ = Statement::parse(&text);
        let _ = Statement::parse(&format!("SELECT {tail} FROM 'a'"));
        let _ = Statement::parse(&format!("SELECT * FROM 'a' WHERE {tail}"));
        let _ = Template::parse(&format!("${{{tail}}}"));
    }

    #[test]
    fn arithmetic_agrees_with_whole_numbers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
        let number = |n: i64| Number::parse(&n.to_string()).unwrap();
        let text = |n: Option<Number>| n.map(|n| n.to_string());
        prop_assert_eq!(text(number(a).add(number(b))), Some((a + b).to_string()));
        prop_assert_eq!(text(number(a).subtract(number(b))), Some((a - b).to_string()));
        prop_assert_eq!(text(number(a).multiply(number(b))), Some((a * b).to_string()));
        prop_assert_eq!(text(number(a).divide(number(b))), a.checked_div(b).map(|n| n.to_string()));
        prop_assert_eq!(text(number(a).remainder(number(b))), a.checked_rem(b).map(|n| n.to_string()));
        prop_assert_eq!(number(a).compare(number(b)), a.cmp(&b));
    }

    #[test]
    fn decimals_agree_with_doubles_within_their_precision(a in -1000.0_f64..1000.0, b in -1000.0_f64..1000.0) {
        let number = |n: f64| Number::parse(&format!("{n:.6}")).unwrap();
        let close = |n: Option<Number>, expected: f64| {
            let value: f64 = n.unwrap().to_string().parse().unwrap();
            (value - expected).abs() <= 1e-9 * expected.abs().max(1.0)
        };
        let (x, y): (f64, f64) = (format!("{a:.6}").parse().unwrap(), format!("{b:.6}").parse().unwrap());
        prop_assert!(close(number(a).add(number(b)), x + y));
        prop_assert!(close(number(a).multiply(number(b)), x * y));
        if y != 0.0 && !(number(a).is_int() && number(b).is_int()) {
            prop_assert!(close(number(a).divide(number(b)), x / y));
        }
        prop_assert_eq!(number(a).compare(number(b)), x.partial_cmp(&y).unwrap());
    }
}
