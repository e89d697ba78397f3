use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::plain::{self, Keys};
use super::{Action, ConnectAttributes, Context, Document, Permissions};
use crate::core::AccountInfo;
use crate::iot::registry::Thing;
use crate::iot::registry::x509::X509;
use world::time::Time;

const SIZE_MAX: u64 = 2048;

fn account() -> AccountInfo {
    AccountInfo { id: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
}

fn thing(name: &str, tenant: &str) -> Thing {
    Thing::new(Arc::from(name), None, BTreeMap::from([("tenant".to_owned(), tenant.to_owned())]), String::new())
}

fn permissions(statements: &str, client: &str, thing: Option<&Thing>) -> Permissions {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
        .replace("A:", "arn:aws:iot:eu-west-1:123456789012:");
    let document = Document::parse(&text, SIZE_MAX).unwrap_or_else(|e| panic!("{e}"));
    Permissions::compile([&document], &context(&account(), client, thing, None))
}

fn context<'c>(
    account: &'c AccountInfo,
    client: &'c str,
    thing: Option<&'c Thing>,
    x509: Option<&'c X509>,
) -> Context<'c> {
    Context { account, client, ip: "10.1.2.3", domain: "a1-ats.iot", thing, certificate: "c0ffee", x509 }
}

fn x509() -> X509 {
    X509 {
        serial: "10525622389124227206".into(),
        issuer: vec![("Organization", "Issuer + Co".into())],
        subject: vec![
            ("CommonName", "bulb".into()),
            ("Organization", "IoT Devices".into()),
            ("Organization", "a=b".into()),
            ("Country", "U*".into()),
        ],
        issuer_alternatives: Vec::new(),
        subject_alternatives: vec![("DNSName", "bulb.example.com".into())],
        not_before: Time::EPOCH,
        not_after: Time::MAX,
    }
}

#[test]
fn what_is_not_allowed_is_denied_and_deny_wins() {
    let allow = r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"A:topic/a/*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"iot:*","Resource":["A:topic/a/secret*"]}"#;
    for (statements, topic, expected) in [
        (allow.to_owned(), "a/b", true),
        (allow.to_owned(), "b", false),
        (format!("{allow},{deny}"), "a/b", true),
        (format!("{allow},{deny}"), "a/secret/1", false),
        (format!("{deny},{allow}"), "a/secret/1", false),
        (r#"{"Effect":"Allow","Action":"iot:Receive","Resource":"*"}"#.to_owned(), "a/b", false),
        (r#"{"Effect":"Allow","Action":["iot:Connect","iot:Pub*"],"Resource":"*"}"#.to_owned(), "a/b", true),
        (r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:*:*:topic/a/?"}"#.to_owned(), "a/b", true),
        (r#"{"Effect":"Allow","Action":"*","Resource":"A:topicfilter/a/b"}"#.to_owned(), "a/b", false),
        (
            r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:eu-west-2:123456789012:topic/a/b"}"#.to_owned(),
            "a/b",
            false,
        ),
    ] {
        let permissions = permissions(&statements, "c", None);
        assert_eq!(permissions.allows(Action::Publish, topic), expected, "{statements} on {topic}");
    }
}

#[test]
fn each_action_has_its_own_resources() {
    let permissions = permissions(
        r#"{"Effect":"Allow","Action":"*","Resource":["A:client/${iot:ClientId}","A:topicfilter/x/+","A:topic/x/1"]}"#,
        "c",
        None,
    );
    assert!(permissions.allows(Action::Connect, "c"));
    assert!(!permissions.allows(Action::Connect, "d"));
    assert!(permissions.allows(Action::Subscribe, "x/+"));
    assert!(!permissions.allows(Action::Subscribe, "x/1"), "wildcards of MQTT are plain characters in policies");
    assert!(permissions.allows(Action::Receive, "x/1"));
    assert!(!permissions.allows(Action::Receive, "x/2"));
}

#[test]
fn variables_come_from_the_connection_and_its_thing() {
    let attached = thing("d1", "acme");
    for (resource, thing, topic, expected) in [
        ("${iot:ClientId}/${aws:SourceIp}", None, "d1/10.1.2.3", true),
        ("${iot:Connection.Thing.IsAttached}", None, "false", true),
        ("${iot:Connection.Thing.IsAttached}", Some(&attached), "true", true),
        ("${iot:Connection.Thing.Attributes[tenant]}/x", Some(&attached), "acme/x", true),
        ("${iot:Connection.Thing.Attributes[site]}/x", Some(&attached), "/x", false),
        ("${iot:Connection.Thing.ThingName}", None, "", false),
        ("${iot:Connection.Thing.ThingTypeName}", Some(&attached), "", false),
    ] {
        let statement = format!(r#"{{"Effect":"Allow","Action":"iot:Publish","Resource":"A:topic/{resource}"}}"#);
        assert_eq!(permissions(&statement, "d1", thing).allows(Action::Publish, topic), expected, "{resource}");
    }
}

#[test]
fn values_with_wildcards_are_not_filled_in() {
    for tenant in ["*", "?", "a+b", "#", "$x"] {
        let evil = thing("d1", tenant);
        let statement = r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"A:topic/${iot:Connection.Thing.Attributes[tenant]}/x"}"#;
        let permissions = permissions(statement, "d1", Some(&evil));
        assert!(!permissions.allows(Action::Publish, &format!("{tenant}/x")));
        assert!(!permissions.allows(Action::Publish, "acme/x"));
    }
}

#[test]
fn client_ids_are_filled_in_as_plain_characters() {
    let statement =
        r#"{"Effect":"Allow","Action":"iot:Subscribe","Resource":"A:topicfilter/my/${iot:ClientId}/topic"}"#;
    for client in ["+", "*", "d$1"] {
        let permissions = permissions(statement, client, None);
        assert!(permissions.allows(Action::Subscribe, &format!("my/{client}/topic")), "{client}");
        assert!(!permissions.allows(Action::Subscribe, "my/other/topic"), "{client}");
    }
}

#[test]
fn a_policy_of_the_older_version_has_no_variables() {
    let text = r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",
        "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId}"}}"#;
    let document = Document::parse(text, SIZE_MAX).unwrap();
    let permissions = Permissions::compile([&document], &context(&account(), "d1", None, None));
    assert!(!permissions.allows(Action::Publish, "d1"));
    assert!(permissions.allows(Action::Publish, "${iot:ClientId}"));
}

/// The examples of the developer guide, "Connect policy examples": what a CONNECT is allowed with.
#[test]
fn conditions_on_the_attributes_of_a_connect_are_judged_as_the_guide_says() {
    let connect = |condition: &str| {
        format!(r#"{{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{{{condition}}}}}"#)
    };
    let attributes =
        |operator: &str, list: &str| connect(&format!(r#""{operator}":{{"iot:ConnectAttributes":[{list}]}}"#));
    let denied = |operator: &str, list: &str| {
        let statement = attributes(operator, list).replace("Allow", "Deny");
        format!(r#"{{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}},{statement}"#)
    };
    let topic = connect(r#""ArnEquals":{"iot:LastWillTopic":"A:topic/my/will"}"#);
    // Allowed without attributes, with a persistent session, with a will, with both.
    for (statements, expected) in [
        (r#"{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}"#.to_owned(), [true, true, true, true]),
        (attributes("ForAllValues:StringEquals", r#""PersistentConnect""#), [true, true, false, false]),
        (attributes("ForAllValues:StringNotEquals", r#""PersistentConnect""#), [true, false, true, false]),
        (denied("ForAnyValue:StringEquals", r#""PersistentConnect""#), [true, false, true, false]),
        (attributes("ForAllValues:StringEquals", r#""PersistentConnect","LastWill""#), [true, true, true, true]),
        (attributes("ForAllValues:StringEquals", r#""LastWill""#), [true, false, true, false]),
        (attributes("ForAllValues:StringEquals", ""), [true, false, false, false]),
        (attributes("ForAnyValue:StringEquals", r#""PersistentConnect""#), [false, true, false, true]),
        (topic, [false, false, true, true]),
    ] {
        let permissions = permissions(&statements, "c", None);
        let asked = [(false, None), (true, None), (false, Some("my/will")), (true, Some("my/will"))];
        let answers =
            asked.map(|(persistent, will)| permissions.allows_connect("c", ConnectAttributes { persistent, will }));
        assert_eq!(answers, expected, "{statements}");
    }
}

#[test]
fn certificates_have_variables() {
    let x509 = x509();
    for (resource, topic, expected) in [
        ("${iot:CertificateId}", "c0ffee", true),
        ("${iot:Certificate.SerialNumber}", "10525622389124227206", true),
        ("${iot:Certificate.Subject.CommonName}", "bulb", true),
        ("${iot:Certificate.Subject.Organization}", "IoT Devices", true),
        ("${iot:Certificate.Subject.Organization.1}", "a\\\\=b", true),
        ("${iot:Certificate.Subject.Organization.2}", "", false),
        ("${iot:Certificate.Subject.Country}", "U*", false),
        ("${iot:Certificate.Issuer.Organization}", "Issuer \\\\+ Co", false),
        ("${iot:Certificate.Subject.AlternativeName.DNSName}", "bulb.example.com", true),
        ("${iot:DomainName}", "a1-ats.iot", true),
    ] {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iot:Publish",
            "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/{resource}"}}}}"#
        );
        let document = Document::parse(&text, SIZE_MAX).unwrap();
        let permissions = Permissions::compile([&document], &context(&account(), "d1", None, Some(&x509)));
        let topic = topic.replace("\\\\", "\\");
        assert_eq!(permissions.allows(Action::Publish, &topic), expected, "{resource}");
    }
}

#[test]
fn actions_beside_those_of_the_broker_are_known_and_grant_nothing_here() {
    for action in ["iot:UpdateThingShadow", "iot:get*", "iot:*JobExecution", "iot:AssumeRoleWithCertificate"] {
        let statement = format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#);
        let permissions = permissions(&statement, "c", None);
        for broker_action in Action::ALL {
            assert!(!permissions.allows(broker_action, "c"), "{action} grants {}", broker_action.name());
        }
    }
}

#[test]
fn documents_are_checked_when_they_are_created() {
    let with = |statement: &str| format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    for (text, code, named) in [
        ("".to_owned(), "MalformedPolicyException", "document"),
        ("[]".to_owned(), "MalformedPolicyException", "object"),
        (with("[]"), "MalformedPolicyException", "statement"),
        (with("7"), "MalformedPolicyException", "statement"),
        (r#"{"Version":"2008-10-17","Statement":[]}"#.to_owned(), "MalformedPolicyException", "statement"),
        (r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(), "MalformedPolicyException", "2020-01-01"),
        (with(r#"{"Effect":"Maybe","Action":"*","Resource":"*"}"#), "MalformedPolicyException", "Effect"),
        (
            with(r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#),
            "MalformedPolicyException",
            "s3:GetObject",
        ),
        (with(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#), "MalformedPolicyException", "Action"),
        (with(r#"{"Effect":"Allow","Action":"iot:Publsh","Resource":"*"}"#), "MalformedPolicyException", "iot:Publsh"),
        (
            with(r#"{"Effect":"Deny","Action":["iot:Publish","iot:Sub"],"Resource":"*"}"#),
            "MalformedPolicyException",
            "iot:Sub",
        ),
        (
            with(r#"{"Effect":"Allow","Action":"iot:Recieve*","Resource":"*"}"#),
            "MalformedPolicyException",
            "iot:Recieve*",
        ),
        (with(r#"{"Effect":"Allow","Action":"*","Resource":"topic/a"}"#), "MalformedPolicyException", "topic/a"),
        (with(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${x"}"#), "MalformedPolicyException", "not closed"),
        (
            with(r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#),
            "MalformedPolicyException",
            "NotAction exclude",
        ),
        (
            with(
                r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:CurrentTime":"x"}}}"#,
            ),
            "MalformedPolicyException",
            "Statement[0].Condition.StringEquals.aws:CurrentTime",
        ),
        (
            with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"iot:ClientId":"x"}}}"#),
            "MalformedPolicyException",
            "StringIs",
        ),
        (
            with(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${iot:ConnectAttributes}"}"#),
            "MalformedPolicyException",
            "no variable",
        ),
        (
            with(r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#),
            "MalformedPolicyException",
            "Principal",
        ),
        (
            with(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${iot:Certificate.Subject.Height}"}"#),
            "MalformedPolicyException",
            "iot:Certificate.Subject.Height",
        ),
        (
            with(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"arn:{}"}}"#, "x".repeat(2048))),
            "MalformedPolicyException",
            "2048",
        ),
    ] {
        let error = Document::parse(&text, SIZE_MAX).expect_err(&text);
        assert_eq!(error.code, code, "{text}: {error}");
        assert!(error.message.contains(named), "{text}: {error}");
    }
}

const DEVICE_POLICY: &str = r#"{"Effect":"Allow","Action":["iot:Connect"],"Resource":["A:client/${iot:Connection.Thing.ThingName}"]},
    {"Effect":"Allow","Action":["iot:Publish"],"Resource":["A:topic/tenant/${iot:Connection.Thing.Attributes[tenant]}/device/${iot:Connection.Thing.ThingName}/data"]}"#;

/// JSON of the words that policies are made of, in any arrangement.
fn policy_like() -> impl Strategy<Value = serde_json::Value> {
    let words = [
        "Allow",
        "Deny",
        "*",
        "iot:Publish",
        "iot:*",
        "arn:aws:iot:*:*:topic/*",
        "arn:${iot:ClientId}",
        "arn:${",
        "${}",
        "arn:${iot:Connection.Thing.Attributes[}",
        "2012-10-17",
        "",
    ];
    let names = ["Version", "Statement", "Effect", "Action", "Resource", "Sid", "Condition", "Other"];
    let leaf = prop_oneof![
        8 => proptest::sample::select(words.to_vec()).prop_map(serde_json::Value::from),
        1 => any::<i32>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    let any = leaf.prop_recursive(4, 40, 5, move |inner| {
        let member = (proptest::sample::select(names.to_vec()).prop_map(str::to_owned), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(serde_json::Value::from),
            proptest::collection::vec(member, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    });
    prop_oneof![
        1 => any.clone(),
        3 => any.prop_map(|statement| serde_json::json!({ "Version": "2012-10-17", "Statement": statement })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Document::parse(&text, SIZE_MAX);
        let quoted = serde_json::Value::String(text).to_string();
        let _ = Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":{quoted}}}}}"#), SIZE_MAX);
    }

    #[test]
    fn no_json_makes_the_parser_panic(document in policy_like()) {
        if let Ok(document) = Document::parse(&document.to_string(), SIZE_MAX) {
            Permissions::compile([&document], &context(&account(), "c", None, None)).allows(Action::Publish, "a");
        }
    }

    #[test]
    fn a_device_publishes_under_its_own_tenant_and_name_only(
        name in "[a-zA-Z0-9:_-]{1,20}",
        tenant in "[a-zA-Z0-9_.,@/:#=\\[\\]-]{0,12}",
        topic in "(tenant/)?[a-z*?/]{0,8}/device/[a-z0-9*?/]{0,8}/data",
        other_name in "[a-zA-Z0-9:_-]{1,20}",
        other_tenant in "[a-z]{1,12}",
    ) {
        let thing = thing(&name, &tenant);
        let permissions = permissions(DEVICE_POLICY, &name, Some(&thing));
        let own = format!("tenant/{tenant}/device/{name}/data");
        prop_assert_eq!(permissions.allows(Action::Publish, &own), !tenant.contains('#'));
        for foreign in [
            topic,
            format!("tenant/{other_tenant}/device/{name}/data"),
            format!("tenant/{tenant}/device/{other_name}/data"),
            format!("{own}/x"),
        ] {
            prop_assert!(foreign == own || !permissions.allows(Action::Publish, &foreign), "{} may publish to {}", own, foreign);
        }
        prop_assert!(!permissions.allows(Action::Subscribe, &own));
        prop_assert!(!permissions.allows(Action::Receive, &own));
        prop_assert_eq!(permissions.allows(Action::Connect, &other_name), other_name == name);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&String::from_utf8_lossy(&bytes), SIZE_MAX);
    }

    #[test]
    fn what_is_compiled_agrees_with_a_plain_evaluator(
        documents in proptest::collection::vec(document(), 1..3),
        tenant in proptest::sample::select(vec!["acme", "beta", "a/b", "#", "a=b", ""]),
        client in proptest::sample::select(vec!["d1", "d2", "+", "*", "a/b"]),
        is_attached: bool,
        has_x509: bool,
        name in proptest::sample::select(vec![
            "d1", "acme", "acme/d1", "acme/d2", "beta/d1", "a/b/d1", "#", "+", "*", "bulb", "bulb/x", "${iot:ClientId}", "",
        ]),
        persistent: bool,
        will in proptest::option::of(proptest::sample::select(vec!["acme/will", "d1"])),
    ) {
        let account = account();
        let (thing, x509) = (thing("d1", tenant), x509());
        let (thing, x509) = (is_attached.then_some(&thing), has_x509.then_some(&x509));
        let compiled: Vec<Document> =
            documents.iter().map(|document| Document::parse(&document.to_string(), SIZE_MAX).unwrap()).collect();
        let permissions = Permissions::compile(&compiled, &context(&account, client, thing, x509));
        let keys = plain_keys(client, thing, has_x509);
        for (action, kind) in [
            (Action::Publish, "topic"),
            (Action::Subscribe, "topicfilter"),
            (Action::Receive, "topic"),
            (Action::RetainPublish, "topic"),
        ] {
            let arn = account.arn("iot", &format!("{kind}/{name}"));
            let expected = plain::allows(&documents, &keys, action.name(), &arn);
            prop_assert_eq!(permissions.allows(action, name), expected, "{} {}", action.name(), arn);
        }
        let mut keys = keys;
        let attributes: Vec<String> = [(persistent, "PersistentConnect"), (will.is_some(), "LastWill")]
            .into_iter()
            .filter(|(is_given, _)| *is_given)
            .map(|(_, name)| name.to_owned())
            .collect();
        if !attributes.is_empty() {
            keys.insert("iot:connectattributes".to_owned(), attributes);
        }
        if let Some(will) = will {
            keys.insert("iot:lastwilltopic".to_owned(), vec![account.arn("iot", &format!("topic/{will}"))]);
        }
        let arn = account.arn("iot", &format!("client/{name}"));
        let expected = plain::allows(&documents, &keys, "iot:Connect", &arn);
        let attributes = ConnectAttributes { persistent, will };
        prop_assert_eq!(permissions.allows_connect(name, attributes), expected, "{}", arn);
    }
}

/// The keys of a connection, written out.
fn plain_keys(client: &str, thing: Option<&Thing>, has_x509: bool) -> Keys {
    let mut keys = Keys::new();
    let mut put = |name: &str, values: &[&str]| {
        keys.insert(name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    };
    put("iot:clientid", &[client]);
    put("aws:sourceip", &["10.1.2.3"]);
    put("iot:connection.thing.isattached", &[if thing.is_some() { "true" } else { "false" }]);
    if let Some(thing) = thing {
        put("iot:connection.thing.thingname", &["d1"]);
        put("iot:connection.thing.attributes[tenant]", &[&thing.attributes["tenant"]]);
    }
    if has_x509 {
        put("iot:certificate.serialnumber", &["10525622389124227206"]);
        put("iot:certificate.subject.commonname", &["bulb"]);
        put("iot:certificate.subject.organization.1", &["a\\=b"]);
        put("iot:certificate.subject.organization.list", &["IoT Devices", "a\\=b"]);
        put("iot:certificate.subject.country", &["U*"]);
    }
    keys
}

const ACTIONS: &[&str] = &[
    "iot:Connect",
    "iot:Publish",
    "iot:Subscribe",
    "iot:Receive",
    "iot:RetainPublish",
    "iot:*",
    "*",
    "iot:*ublish",
    "iot:GetThingShadow",
    "IOT:PUBLISH",
];
const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:iot:*",
    "arn:aws:iot:*:*:topic/acme/*",
    "A:client/${iot:ClientId}",
    "A:topic/${iot:ClientId}",
    "A:client/${iot:Connection.Thing.ThingName}",
    "A:topic/${iot:Connection.Thing.Attributes[tenant]}/d1",
    "A:topicfilter/${iot:Connection.Thing.Attributes[tenant]}/*",
    "A:t*/acme/d?",
    "A:topic/${*}",
    "A:topic/#",
    "A:topicfilter/+",
    "A:topic/${iot:Certificate.Subject.CommonName}*",
    "A:topic/${iot:Certificate.Subject.Country}",
    "A:*/bulb",
    "A:client/d1",
    "A:topic/${iot:Certificate.Subject.Organization.7}",
];
const CONDITIONS: &[&str] = &[
    r#"{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}"#,
    r#"{"StringEquals":{"iot:Connection.Thing.Attributes[tenant]":["acme","beta"]}}"#,
    r#"{"StringNotEquals":{"iot:Connection.Thing.Attributes[tenant]":"acme"}}"#,
    r#"{"StringLikeIfExists":{"iot:Connection.Thing.ThingName":"d?"}}"#,
    r#"{"StringEqualsIgnoreCase":{"iot:ClientId":"D1"}}"#,
    r#"{"StringEquals":{"iot:ClientId":"${iot:Connection.Thing.ThingName}"}}"#,
    r#"{"StringNotEquals":{"iot:ClientId":["x","${iot:Connection.Thing.ThingName}"]}}"#,
    r#"{"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}}"#,
    r#"{"NotIpAddress":{"aws:SourceIp":["10.2.0.0/16","10.1.2.3"]}}"#,
    r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":["PersistentConnect"]}}"#,
    r#"{"ForAllValues:StringEquals":{"iot:ConnectAttributes":[]}}"#,
    r#"{"ForAllValues:StringNotEquals":{"iot:ConnectAttributes":"PersistentConnect"}}"#,
    r#"{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":["PersistentConnect","LastWill"]}}"#,
    r#"{"ArnEquals":{"iot:LastWillTopic":"A:topic/${iot:Connection.Thing.Attributes[tenant]}/will"}}"#,
    r#"{"ForAllValues:StringEquals":{"iot:Certificate.Subject.Organization.List":["IoT Devices","a\\=b"]}}"#,
    r#"{"ForAnyValue:StringLike":{"iot:Certificate.Subject.Organization.List":"IoT*"}}"#,
    r#"{"Null":{"iot:Certificate.SerialNumber":"false"}}"#,
    r#"{"Null":{"iot:Connection.Thing.ThingName":true},"NumericLessThan":{"iot:Certificate.SerialNumber":7}}"#,
    r#"{"StringEquals":{"iot:Certificate.Subject.Organization.1":"a\\=b"}}"#,
];

/// Policies of pieces that meet each other often.
fn document() -> impl Strategy<Value = serde_json::Value> {
    fn some(words: &'static [&'static str]) -> impl Strategy<Value = serde_json::Value> + use<> {
        proptest::collection::vec(proptest::sample::select(words.to_vec()), 1..4).prop_map(serde_json::Value::from)
    }
    let statement = (
        proptest::bool::weighted(0.75),
        proptest::bool::weighted(0.8),
        some(ACTIONS),
        proptest::bool::weighted(0.85),
        some(RESOURCES),
        proptest::option::weighted(0.4, proptest::sample::select(CONDITIONS.to_vec())),
    );
    let statement = statement.prop_map(|(allow, action, actions, resource, resources, condition)| {
        let mut statement = serde_json::json!({ "Effect": if allow { "Allow" } else { "Deny" } });
        statement[if action { "Action" } else { "NotAction" }] = actions;
        statement[if resource { "Resource" } else { "NotResource" }] = resources;
        if let Some(condition) = condition {
            statement["Condition"] = serde_json::from_str(condition).unwrap();
        }
        statement
    });
    let version = prop_oneof![4 => Just("2012-10-17"), 1 => Just("2008-10-17")];
    (version, proptest::collection::vec(statement, 1..5)).prop_map(|(version, statements)| {
        let text = serde_json::json!({ "Version": version, "Statement": statements }).to_string();
        serde_json::from_str(&text.replace("A:", "arn:aws:iot:eu-west-1:123456789012:")).unwrap()
    })
}
