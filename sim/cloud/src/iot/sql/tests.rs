use bytes::Bytes;
use proptest::prelude::*;

use super::number::Number;
use super::statement::Variables;
use super::{Evaluation, Host, Message, Segments, Selected, Statement, Template};
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

/// Counts its UUIDs, and knows one shadow.
#[derive(Default)]
pub(super) struct TestHost {
    uuids: u32,
}

impl Host for TestHost {
    fn uuid(&mut self) -> String {
        self.uuids += 1;
        format!("uuid-{}", self.uuids)
    }

    fn random(&mut self) -> f64 {
        0.25
    }

    fn account(&self) -> &str {
        "123456789012"
    }

    fn thing_shadow(&mut self, thing: &str, shadow: Option<&str>, role: &str) -> Result<Vec<u8>, String> {
        assert_eq!(role, "arn:aws:iam::123456789012:role/AllowsThingShadowAccess");
        match (thing, shadow) {
            ("MyThing", None) => Ok(br#"{"state":{"reported":{"alarm":"ON"}},"version":3}"#.to_vec()),
            ("MyThing", Some("MyThingShadow")) => Ok(br#"{"state":{"reported":{"alarm":"OFF"}}}"#.to_vec()),
            _ => Err(format!("no shadow of {thing}")),
        }
    }
}

fn run(statement: &Statement, payload: &[u8], fast: bool) -> (Selected, String) {
    let message = message(TOPIC, payload);
    let mut out = Vec::new();
    let selected = statement.run(&mut Evaluation::new(&message), &mut TestHost::default(), &mut out, fast);
    (selected, String::from_utf8_lossy(&out).into_owned())
}

/// Both forms of evaluation, which must agree.
fn select(sql: &str, payload: &[u8]) -> (Selected, String) {
    let statement = Statement::parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let general = run(&statement, payload, false);
    let message = message(TOPIC, payload);
    let mut out = Vec::new();
    let selected = statement.select(&mut Evaluation::new(&message), &mut TestHost::default(), &mut out);
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
        ("*", r#"{"a":1e999}"#, r#"{"a":1E+999}"#),
        ("*", r#"{"a":1e1000}"#, r#"{"a":1e1000}"#),
        ("*", r#"{"a":0.00000000000000000000000000000000012}"#, r#"{"a":0.00000000000000000000000000000000012}"#),
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

/// Statements that are refused: at which byte, and whether AWS has what stands there.
const REFUSED: &[(&str, usize, bool)] = &[
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
    ("SELECT 1 FROM 'x'", 7, true),
    ("SELECT upper() AS x FROM 'x'", 13, false),
    ("SELECT upper(a, b) AS x FROM 'x'", 16, false),
    ("SELECT substring(a) AS x FROM 'x'", 18, false),
    ("SELECT topic(1, 2) AS x FROM 'x'", 16, false),
    ("SELECT sqrt(1 AS x FROM 'x'", 14, false),
    ("SELECT VALUE a, b FROM 'x'", 14, false),
    ("SELECT [1 AS x FROM 'x'", 10, false),
    ("SELECT {a: 1} AS x FROM 'x'", 8, false),
    ("SELECT {'a' 1} AS x FROM 'x'", 12, false),
    ("SELECT (SELECT a) AS x FROM 'x'", 16, false),
    ("SELECT CASE WHEN 1 THEN 2 END AS x FROM 'x'", 12, false),
    ("SELECT CASE a END AS x FROM 'x'", 14, false),
    ("SELECT CASE a WHEN 1 THEN 2 AS x FROM 'x'", 28, false),
    ("SELECT a AS b. FROM 'x'", 20, false),
    ("SELECT 1 + * AS x FROM 'x'", 11, false),
    ("SELECT * FROM \"a\"", 14, false),
    ("SELECT cast(a AS float) AS x FROM 'x'", 17, false),
    ("SELECT cast(a, 1) AS x FROM 'x'", 13, false),
    ("SELECT encode(a, 'base32') AS x FROM 'x'", 18, false),
    ("SELECT encode(a) AS x FROM 'x'", 15, false),
    ("SELECT get_mqtt_property('topic') AS x FROM 'x'", 26, false),
    ("SELECT get_thing_shadow('t', a) AS x FROM 'x'", 29, false),
    ("SELECT get_thing_shadow('t', 'role') AS x FROM 'x'", 29, false),
    ("SELECT parse_time('yyyy-bb', 1) AS x FROM 'x'", 24, false),
    ("SELECT parse_time(\"yyyy 'x\", 1) AS x FROM 'x'", 24, false),
    ("SELECT time_to_epoch(a, 'yyyy-jj') AS x FROM 'x'", 30, false),
    ("SET @a = 1, @a = 2 SELECT * FROM 'x'", 12, false),
    ("SET a = 1 SELECT * FROM 'x'", 4, false),
    ("SET @a 1 SELECT * FROM 'x'", 7, false),
    ("SET @a = @b SELECT * FROM 'x'", 9, false),
    ("SET @a = 1 SET @b = 2 SELECT * FROM 'x'", 11, false),
    ("SELECT @a AS x FROM 'x'", 7, false),
    ("SELECT @ AS x FROM 'x'", 7, false),
    ("SELECT a IN (1) AS x FROM 'x'", 9, false),
    ("SELECT a LIKE 'b' AS x FROM 'x'", 9, false),
    ("SELECT * AS m FROM 'x'", 9, true),
    ("SELECT aws_lambda('f', *) AS x FROM 'x'", 7, true),
    ("SELECT get_dynamodb('t', 'k', k, 'r') AS x FROM 'x'", 7, true),
    ("SELECT get_secret('s', 'SecretString', 'r') AS x FROM 'x'", 7, true),
    ("SELECT get_registry_data('DescribeThing', 't', 'r') AS x FROM 'x'", 7, true),
    ("SELECT machinelearning_predict('m', 'r', *) AS x FROM 'x'", 7, true),
    ("SELECT sourceip() AS x FROM 'x'", 7, true),
    ("SELECT decode(a, 'proto', 'b', 'k', 'n', 'm') AS x FROM 'x'", 18, true),
    ("SELECT decode(*, 'proto', 'b', 'k', 'n', 'm') AS x FROM 'x'", 14, true),
    ("SELECT regexp_matches(a, b) AS x FROM 'x'", 25, true),
    ("SELECT regexp_matches(a, 'b' + c) AS x FROM 'x'", 29, true),
    ("SELECT regexp_matches(a, 'b(?=c)') AS x FROM 'x'", 27, true),
    ("SELECT parse_time(p, 1) AS x FROM 'x'", 18, true),
    ("SELECT time_to_epoch(a, 'QQ') AS x FROM 'x'", 25, true),
    ("SELECT 'a${b}' AS x FROM 'x'", 9, true),
    ("SELECT 'it''s' AS x FROM 'x'", 10, true),
    ("SELECT 'a\\n' AS x FROM 'x'", 9, true),
    ("SELECT * FROM '$aws/things/+/jobs/get'", 14, true),
];

#[test]
fn what_is_no_sql_is_refused_with_its_position() {
    for (sql, position, not_modelled) in REFUSED {
        let error = Statement::parse(sql).expect_err(sql);
        assert_eq!((error.position, error.not_modelled), (*position, *not_modelled), "{sql}: {error}");
    }
    let eleven: Vec<String> = (0..11).map(|n| format!("@v{n} = {n}")).collect();
    let error = Statement::parse(&format!("SET {} SELECT * FROM 'x'", eleven.join(", "))).unwrap_err();
    assert!(error.message.contains("at most 10"), "{error}");
    assert!(Statement::parse(&format!("SET @{} = 1 SELECT * FROM 'x'", "v".repeat(65))).is_err());
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("abs(", ")"),
        ("{'a':", "}"),
        ("NOT ", ""),
        ("- ", ""),
        ("(SELECT VALUE a FROM ", ")"),
        ("CASE 1 WHEN 1 THEN ", " END"),
        ("cast(", " AS Int)"),
    ] {
        let deep = format!("SELECT {}1{} AS x FROM 'x'", open.repeat(100_000), close.repeat(100_000));
        assert!(Statement::parse(&deep).unwrap_err().not_modelled, "{open}");
    }
    let long = format!("SELECT 1{} AS x FROM 'x'", "+1".repeat(10_000));
    assert!(Statement::parse(&long).unwrap_err().not_modelled);
}

#[test]
fn templates_are_filled_in_from_the_message() {
    for (template, expected) in [
        ("", Some("")),
        ("plain", Some("plain")),
        ("${topic(4)}", Some("d1")),
        ("x/${topic(2)}/${topic(4)}/${timestamp()}-${newuuid()}.json", Some("x/acme/d1/1772323200123-uuid-1.json")),
        ("${seq + 1}$", Some("8$")),
        ("${ 'a}b' }", Some("a}b")),
        ("${missing}", None),
        ("a${topic(9)}", None),
        ("${o}", Some(r#"{"k":1}"#)),
        ("${get({'a': {'b': seq}}, 'a').b}}", Some("7}")),
        ("${parse_time(\"yyyy/MM/dd\", timestamp())}/x", Some("2026/03/01/x")),
        ("${encode(*, 'base64')}", Some("eyJzZXEiOjcsIm8iOnsiayI6MS4wfX0=")),
    ] {
        let parsed = Template::parse(template, &Variables::default()).unwrap_or_else(|e| panic!("{template}: {e}"));
        let message = message(TOPIC, br#"{"seq":7,"o":{"k":1.0}}"#);
        let rendered = parsed.render(&mut Evaluation::new(&message), &mut TestHost::default()).unwrap();
        assert_eq!(rendered.as_deref(), expected, "{template}");
    }
    for (template, position) in
        [("${", 2), ("a${topic(4)", 11), ("${topic(4) x}", 11), ("${nosuch()}", 2), ("${@v}", 2)]
    {
        assert_eq!(
            Template::parse(template, &Variables::default()).expect_err(template).position,
            position,
            "{template}"
        );
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
        ("10000000000000000000000000000000000", "10000000000000000000000000000000000"),
        ("1e41", "1E+41"),
        ("-12.5e300", "-1.25E+301"),
        ("1e-40", "0.0000000000000000000000000000000000000001"),
        ("1.5e-41", "1.5E-41"),
        ("9.999e999", "9.999E+999"),
        ("1e-999", "1E-999"),
        ("1e0007", "10000000"),
    ] {
        assert_eq!(Number::parse(text).map(|n| n.to_string()).as_deref(), Some(expected), "{text}");
    }
    for text in
        ["", "-", "1.", ".5", "1e", "1e12345", "12345678901234567890123456789012345", "1e1000", "1e-1000", "x", "1 "]
    {
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

/// Expressions that follow the grammar, of all functions with about the right number of arguments.
fn expression() -> impl Strategy<Value = String> {
    const FUNCTIONS: &str = "abs acos asin atan atan2 bitand bitor bitxor bitnot ceil chr concat cos cosh exp endswith floor get \
        get_or_default get_user_properties indexof isNull isUndefined length ln log lower lpad ltrim md2 md5 mod \
        nanvl numbytes power principal rand remainder replace round rpad rtrim sha1 sha256 sha512 sign sin sinh \
        sql_version sqrt startswith substring tan tanh topic traceid trim trunc upper clientid";
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            "a",
            "a.b",
            "seq",
            "tenant_id",
            "@v",
            "NULL",
            "true",
            "FALSE",
            "''",
            "\"é\"",
            "*"
        ])
        .prop_map(str::to_owned),
        "-?[0-9]{1,36}(\\.[0-9]{1,36})?(E-?[0-9]{1,3})?".prop_map(|n| n),
        "'[a-z0-9 =/:.-]{0,8}'".prop_map(|t| t),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let operator = proptest::sample::select(vec![
            "+", "-", "*", "/", "%", "=", "<>", "<", "<=", ">", ">=", "AND", "OR",
        ]);
        prop_oneof![
            3 => (proptest::sample::select(FUNCTIONS.split_whitespace().collect::<Vec<_>>()), proptest::collection::vec(inner.clone(), 0..4))
                .prop_map(|(name, values)| format!("{name}({})", values.join(", "))),
            3 => (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            1 => inner.clone().prop_map(|a| format!("NOT {a}")),
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            1 => inner.clone().prop_map(|a| format!("{{'k': {a}, 'l': 1}}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("CASE {a} WHEN {b} THEN {a} ELSE {b} END")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(SELECT k, {a} AS x FROM {b} WHERE {a})")),
            1 => inner.clone().prop_map(|a| format!("(SELECT VALUE {a} FROM {a})")),
            1 => (inner.clone(), proptest::sample::select(vec!["Int", "String", "Bool", "Double", "Decimal"]))
                .prop_map(|(a, to)| format!("cast({a} AS {to})")),
            1 => inner.clone().prop_map(|a| format!("encode({a}, 'base64')")),
            1 => inner.clone().prop_map(|a| format!("decode({a}, 'base64')")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("regexp_replace({a}, '(.)|b*', {b})")),
            1 => inner.clone().prop_map(|a| format!("parse_time('YYYY x-w e G C D K k S Z ZZ z a', {a})")),
            1 => inner.prop_map(|a| format!("time_to_epoch({a}, 'yyyy-MM-dd VV')")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_statement_of_the_grammar_makes_evaluation_panic(payload in json(), a in expression(), b in expression()) {
        for sql in [
            format!("SET @v = seq SELECT *, {a} AS x.y, {b} AS x.z FROM 'a' WHERE true"),
            format!("SET @v = a SELECT VALUE {a} FROM 'a'"),
            format!("SELECT {b} AS x FROM 'a' WHERE {a}"),
        ] {
            let Ok(statement) = Statement::parse(&sql) else { continue };
            let general = run(&statement, payload.as_bytes(), false);
            if general.0 == Selected::Yes && !general.1.is_empty() {
                let value = serde_json::from_str::<serde::de::IgnoredAny>(&general.1);
                value.map_err(|e| TestCaseError::fail(format!("{sql} on {payload}: {}: {e}", general.1)))?;
            }
        }
        let template = format!("{{}}${{{a}}}${{{b}}}");
        if let Ok(template) = Template::parse(&template, &Variables::default()) {
            let message = message(TOPIC, payload.as_bytes());
            let _ = template.render(&mut Evaluation::new(&message), &mut TestHost::default());
        }
    }
}

/// Work that grows with the message's size to the power of its depth ends with a failure, not with a standstill.
#[test]
fn a_statement_that_takes_too_long_fails() {
    let payload = format!("{{\"a\":[{}0]}}", "0,".repeat(20_000));
    for expression in [
        "(SELECT VALUE (SELECT VALUE 1 FROM @a) FROM @a)",
        "(SELECT VALUE sha512(t) FROM @a)",
        "(SELECT VALUE @a FROM @a)",
    ] {
        let sql = format!("SET @a = a, @t = '{}' SELECT {expression} AS x FROM '#'", "x".repeat(1000))
            .replace("(t)", "(concat(@a, @t, ''))");
        let statement = Statement::parse(&sql).unwrap();
        assert_eq!(run(&statement, payload.as_bytes(), false).0, Selected::Failed, "{sql}");
    }
    let sql =
        format!("SELECT {}a{} AS x FROM '#'", "replace(".repeat(12), ", 'x', 'xxxxxxxxxxxxxxxxxxxxxxxxx')".repeat(12));
    let statement = Statement::parse(&sql).unwrap();
    assert_eq!(run(&statement, br#"{"a":"xxxx"}"#, false), (Selected::Yes, "{}".to_owned()));
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
        let _ = Template::parse(&format!("${{{tail}}}"), &Variables::default());
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
