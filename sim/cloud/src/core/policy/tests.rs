//! The table of cases, and what holds for every set of policies.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use world::time::Time;

const NOW: Time = Time::from_unix_secs(1_772_323_200);
const ACCOUNT: &str = "123456789012";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    caller: String,
    /// Action and resource.
    ask: (String, String),
    expect: String,
    #[serde(default)]
    identity: Vec<Value>,
    boundary: Option<Vec<Value>>,
    session: Option<Vec<Value>>,
    resource: Option<Vec<Value>>,
    #[serde(default)]
    must_allow: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    session_tags: BTreeMap<String, String>,
    #[serde(default)]
    context: Vec<(String, String)>,
    version: Option<String>,
}

fn caller(kind: &str) -> Caller<'static> {
    match kind {
        "root" => Caller::Root { account: ACCOUNT },
        "user" => Caller::User { account: ACCOUNT, arn: "arn:aws:iam::123456789012:user/ada" },
        "session" => Caller::Role {
            account: ACCOUNT,
            arn: "arn:aws:iam::123456789012:role/worker",
            session: Some("arn:aws:sts::123456789012:assumed-role/worker/one"),
        },
        "service" => Caller::Service("logging.s3.amazonaws.com"),
        other => panic!("no caller {other}"),
    }
}

fn document(statements: &[Value], version: &str, purpose: Purpose) -> Document {
    let value = json!({ "Version": version, "Statement": statements });
    Document::parse(&value, purpose).unwrap_or_else(|why| panic!("{value}: {why}"))
}

fn request<'a>(
    caller: Caller<'a>,
    action: &'a str,
    resource: &'a str,
    none: &'a BTreeMap<String, String>,
) -> Request<'a> {
    Request {
        now: NOW,
        region: "eu-west-1",
        account: ACCOUNT,
        caller,
        user_id: "AROAEXAMPLE:one",
        tags: none,
        session_tags: none,
        issued: None,
        action,
        resource,
        context: &[],
    }
}

fn decide(case: &Case) -> Result<(), Denied> {
    let version = case.version.as_deref().unwrap_or("2012-10-17");
    let read = |statements: &Option<Vec<Value>>, purpose| {
        statements.as_ref().map(|statements| document(statements, version, purpose))
    };
    let own = (!case.identity.is_empty()).then(|| document(&case.identity, version, Purpose::Identity));
    let (boundary, session) = (read(&case.boundary, Purpose::Identity), read(&case.session, Purpose::Identity));
    let resource = read(&case.resource, Purpose::Resource);
    let context: Vec<(&str, &str)> = case.context.iter().map(|(key, value)| (&**key, &**value)).collect();
    let none = BTreeMap::new();
    let request = Request {
        tags: &case.tags,
        session_tags: &case.session_tags,
        context: &context,
        ..request(caller(&case.caller), &case.ask.0, &case.ask.1, &none)
    };
    let (own, session): (Vec<&Document>, Vec<&Document>) = (own.iter().collect(), session.iter().collect());
    let policies = Policies {
        identity: &own,
        boundary: boundary.as_ref(),
        session: &session,
        resource: resource.as_ref(),
        resource_must_allow: case.must_allow,
        ..Policies::default()
    };
    request.evaluate(&policies).decision
}

#[test]
fn each_case_of_the_table_is_decided_as_aws_decides_it() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() >= 60);
    let mut wrong = Vec::new();
    for case in &cases {
        let found = match decide(case) {
            Ok(()) => "allow".to_owned(),
            Err(denied) => denied.message("p", &case.ask.0, &case.ask.1),
        };
        if !found.contains(&case.expect) {
            wrong.push(format!("{}: expected {}, found {found}", case.name, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refusals_have_the_text_of_aws() {
    let principal = "arn:aws:sts::123456789012:assumed-role/worker/one";
    let stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/raw";
    for (denied, resource, expected) in [
        (
            Denied::Implicitly(Kind::Identity),
            stream,
            format!(
                "User: {principal} is not authorized to perform: kinesis:PutRecord on resource: {stream} because no \
                 identity-based policy allows the kinesis:PutRecord action"
            ),
        ),
        (
            Denied::Explicitly(Kind::Identity),
            stream,
            format!(
                "User: {principal} is not authorized to perform: kinesis:PutRecord on resource: {stream} with an \
                 explicit deny in an identity-based policy"
            ),
        ),
        (
            Denied::Explicitly(Kind::Boundary),
            "*",
            format!(
                "User: {principal} is not authorized to perform: kinesis:PutRecord with an explicit deny in a \
                 permissions boundary"
            ),
        ),
    ] {
        assert_eq!(denied.message(principal, "kinesis:PutRecord", resource), expected);
    }
}

#[test]
fn what_is_not_understood_is_refused_when_it_is_read() {
    let identity = |statement: Value| json!({ "Version": "2012-10-17", "Statement": [statement] });
    let allow = |more: Value| {
        let mut statement = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
        statement.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        identity(statement)
    };
    let when = |operator: &str, key: &str, value: Value| allow(json!({ "Condition": { operator: { key: value } } }));
    for (document, purpose, expected) in [
        (json!([]), Purpose::Identity, "a JSON object"),
        (json!({ "Version": "2012-10-17" }), Purpose::Identity, "has a Statement"),
        (json!({ "Version": "2012-10-17", "Statement": [] }), Purpose::Identity, "at least one"),
        (json!({ "Version": "2020-01-01", "Statement": [] }), Purpose::Identity, "2020-01-01"),
        (json!({ "Statements": [] }), Purpose::Identity, "Statements"),
        (identity(json!({ "Action": "s3:*", "Resource": "*" })), Purpose::Identity, "Effect"),
        (identity(json!({ "Effect": "allow", "Action": "s3:*", "Resource": "*" })), Purpose::Identity, "neither"),
        (identity(json!({ "Effect": "Allow", "Resource": "*" })), Purpose::Identity, "has an Action"),
        (identity(json!({ "Effect": "Allow", "Action": "s3:*" })), Purpose::Identity, "has a Resource"),
        (allow(json!({ "NotAction": "s3:*" })), Purpose::Identity, "beside its opposite"),
        (allow(json!({ "Action": "GetObject" })), Purpose::Identity, "vendor prefix"),
        (allow(json!({ "Action": [] })), Purpose::Identity, "empty list"),
        (allow(json!({ "Resource": "lake" })), Purpose::Identity, "ARN format"),
        (allow(json!({ "Principal": "*" })), Purpose::Identity, "names no Principal"),
        (allow(json!({ "Sidd": "x" })), Purpose::Identity, "Sidd"),
        (allow(json!({})), Purpose::Resource, "has a Principal"),
        (allow(json!({ "Principal": "lambda" })), Purpose::Resource, "\"*\" or an object"),
        (allow(json!({ "Principal": { "AWS": "arn:aws:iam::123456789012:role/*" } })), Purpose::Resource, "invalid"),
        (allow(json!({ "Principal": { "CanonicalUser": "x" } })), Purpose::Resource, "not modelled"),
        (allow(json!({ "NotPrincipal": { "AWS": "123456789012" } })), Purpose::Resource, "Deny only"),
        (allow(json!({ "Principal": { "Service": "iot.amazonaws.com" } })), Purpose::Trust, "sts"),
        (when("StringEqual", "s3:prefix", json!("x")), Purpose::Identity, "StringEqual does not exist"),
        (when("ForSomeValues:StringEquals", "s3:prefix", json!("x")), Purpose::Identity, "does not exist"),
        (when("NullIfExists", "s3:prefix", json!("true")), Purpose::Identity, "does not exist"),
        (when("Bool", "aws:SecureTransport", json!("yes")), Purpose::Identity, "neither true nor false"),
        (when("NumericEquals", "s3:max-keys", json!("few")), Purpose::Identity, "no value"),
        (when("DateLessThan", "aws:CurrentTime", json!("soon")), Purpose::Identity, "no value"),
        (when("IpAddress", "s3:address", json!("10.0.0.0/33")), Purpose::Identity, "no range"),
        (when("StringEquals", "prefix", json!("x")), Purpose::Identity, "no condition key"),
        (when("IpAddress", "aws:SourceIp", json!("10.0.0.0/8")), Purpose::Identity, "aws:SourceIp is not modelled"),
        (when("Bool", "aws:ViaAWSService", json!("true")), Purpose::Identity, "not modelled"),
        (when("StringEquals", "aws:CalledVia", json!("x")), Purpose::Resource, "not modelled"),
        (when("StringEquals", "aws:ResourceTag/a", json!("x")), Purpose::Identity, "not modelled"),
        (allow(json!({ "Resource": "arn:aws:s3:::lake/${aws:SourceIp}" })), Purpose::Identity, "not modelled"),
        (allow(json!({ "Resource": "arn:aws:s3:::lake/${aws:username" })), Purpose::Identity, "not closed"),
    ] {
        let why = Document::parse(&document, purpose).expect_err(expected);
        assert!(why.contains(expected), "{document}: expected {expected}, found {why}");
    }
}

/// A small world in which statements meet often.
fn statement() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let actions = prop::sample::subsequence(vec!["s3:GetObject", "s3:Put*", "s3:*", "kinesis:PutRecord", "*"], 1..3);
    let resources = prop::sample::subsequence(
        vec!["*", "arn:aws:s3:::lake/*", "arn:aws:s3:::lake/${aws:PrincipalTag/tenant}/*", "arn:aws:s3:::logs/*"],
        1..3,
    );
    let condition = prop::option::of(prop_oneof![
        Just(json!({ "StringEquals": { "aws:PrincipalTag/tenant": "acme" } })),
        Just(json!({ "StringNotEquals": { "s3:prefix": "acme" } })),
        Just(json!({ "Null": { "aws:PrincipalTag/tenant": "true" } })),
    ]);
    (effect, any::<[bool; 2]>(), actions, resources, condition).prop_map(|(effect, not, actions, resources, when)| {
        let (action, resource) =
            (if not[0] { "NotAction" } else { "Action" }, if not[1] { "NotResource" } else { "Resource" });
        let mut statement = json!({ "Effect": effect, action: actions, resource: resources });
        if let Some(when) = when {
            statement["Condition"] = when;
        }
        statement
    })
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(), 1..5)
}

const ASKED: [(&str, &str); 5] = [
    ("s3:GetObject", "arn:aws:s3:::lake/acme/1"),
    ("s3:PutObject", "arn:aws:s3:::lake/globex/1"),
    ("s3:GetObject", "arn:aws:s3:::logs/1"),
    ("kinesis:PutRecord", "arn:aws:kinesis:eu-west-1:123456789012:stream/raw"),
    ("s3:ListAllMyBuckets", "*"),
];

/// Which of the questions are allowed.
fn allowed(identity: &[&Document], boundary: Option<&Document>, session: &[&Document], tenant: bool) -> Vec<bool> {
    let (none, mut tags) = (BTreeMap::new(), BTreeMap::new());
    if tenant {
        tags.insert("tenant".to_owned(), "acme".to_owned());
    }
    let policies = Policies { identity, boundary, session, ..Policies::default() };
    let ask = |(action, resource): &(&str, &str)| {
        let request = Request { session_tags: &tags, ..request(caller("session"), action, resource, &none) };
        request.evaluate(&policies).decision.is_ok()
    };
    ASKED.iter().map(ask).collect()
}

fn read(statements: &[Value]) -> Document {
    document(statements, "2012-10-17", Purpose::Identity)
}

/// Whether everything that is allowed in `narrow` is allowed in `wide`.
fn within(narrow: &[bool], wide: &[bool]) -> bool {
    narrow.iter().zip(wide).all(|(narrow, wide)| !narrow || *wide)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_explicit_denial_always_wins(own in statements(), place in 0..3usize, tenant: bool) {
        let denial = read(&[json!({ "Effect": "Deny", "Action": "*", "Resource": "*" })]);
        let (own, wide) = (read(&own), read(&[json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })]));
        let identity = [&own, &wide, &denial];
        let with_denial = match place {
            0 => allowed(&identity, None, &[], tenant),
            1 => allowed(&identity[..2], Some(&denial), &[], tenant),
            _ => allowed(&identity[..2], None, &[&denial], tenant),
        };
        prop_assert_eq!(with_denial, vec![false; ASKED.len()]);
    }

    #[test]
    fn taking_an_allowance_away_never_widens(own in statements(), index: prop::sample::Index, tenant: bool) {
        let whole = read(&own);
        let index = index.index(own.len());
        if own[index]["Effect"] == "Allow" {
            let less = whole.without(index);
            let (narrow, wide) = (allowed(&[&less], None, &[], tenant), allowed(&[&whole], None, &[], tenant));
            prop_assert!(within(&narrow, &wide), "{narrow:?} {wide:?}");
        }
    }

    #[test]
    fn boundaries_and_session_policies_only_narrow(own in statements(), bound in statements(), tenant: bool) {
        let (own, bound) = (read(&own), read(&bound));
        let wide = allowed(&[&own], None, &[], tenant);
        for narrow in [allowed(&[&own], Some(&bound), &[], tenant), allowed(&[&own], None, &[&bound], tenant)] {
            prop_assert!(within(&narrow, &wide), "{narrow:?} {wide:?}");
        }
    }

    #[test]
    fn the_order_of_statements_does_not_matter(own in statements(), tenant: bool) {
        let mut turned = own.clone();
        turned.reverse();
        let (own, turned) = (read(&own), read(&turned));
        prop_assert_eq!(allowed(&[&own], None, &[], tenant), allowed(&[&turned], None, &[], tenant));
    }
}
