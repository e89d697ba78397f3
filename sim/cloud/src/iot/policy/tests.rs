use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Action, Context, Document, Permissions, matches};
use crate::core::AccountInfo;
use crate::iot::registry::Thing;

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
    Permissions::compile([&document], &Context { account: &account(), client, ip: "10.1.2.3", thing })
}

#[test]
fn wildcards_cross_levels() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "a/b", true),
        ("a*c", "abbc", true),
        ("a*c", "abbcd", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("?", "é", true),
        ("*é?", "aéb", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("+/#", "+/#", true),
        ("+", "a", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
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
        (r#"{"Version":"2008-10-17","Statement":[]}"#.to_owned(), "NotImplemented", "2008-10-17"),
        (r#"{"Version":"2020-01-01","Statement":[]}"#.to_owned(), "MalformedPolicyException", "2020-01-01"),
        (with(r#"{"Effect":"Maybe","Action":"*","Resource":"*"}"#), "MalformedPolicyException", "Effect"),
        (
            with(r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#),
            "MalformedPolicyException",
            "s3:GetObject",
        ),
        (with(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#), "MalformedPolicyException", "Action"),
        (with(r#"{"Effect":"Allow","Action":"iot:Publsh","Resource":"*"}"#), "NotImplemented", "iot:Publsh"),
        (with(r#"{"Effect":"Deny","Action":["iot:Publish","iot:Sub"],"Resource":"*"}"#), "NotImplemented", "iot:Sub"),
        (with(r#"{"Effect":"Allow","Action":"iot:Recieve*","Resource":"*"}"#), "NotImplemented", "iot:Recieve*"),
        (with(r#"{"Effect":"Allow","Action":"*","Resource":"topic/a"}"#), "MalformedPolicyException", "topic/a"),
        (with(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${x"}"#), "MalformedPolicyException", "no end"),
        (with(r#"{"Effect":"Allow","NotAction":"*","Resource":"*"}"#), "NotImplemented", "NotAction"),
        (with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}"#), "NotImplemented", "Condition"),
        (
            with(r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}"#),
            "MalformedPolicyException",
            "Principal",
        ),
        (
            with(r#"{"Effect":"Allow","Action":"*","Resource":"arn:${iot:Certificate.Subject.CommonName}"}"#),
            "NotImplemented",
            "iot:Certificate.Subject.CommonName",
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
            let context = Context { account: &account(), client: "c", ip: "10.1.2.3", thing: None };
            Permissions::compile([&document], &context).allows(Action::Publish, "a");
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
    fn wildcards_agree_with_a_plain_recursive_matcher(pattern in "[ab*?]{0,8}", text in "[abé]{0,10}") {
        fn plain(p: &[char], t: &[char]) -> bool {
            match p.split_first() {
                None => t.is_empty(),
                Some(('*', rest)) => (0..=t.len()).any(|skip| plain(rest, &t[skip..])),
                Some(('?', rest)) => !t.is_empty() && plain(rest, &t[1..]),
                Some((c, rest)) => t.first() == Some(c) && plain(rest, &t[1..]),
            }
        }
        let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(matches(&pattern, &text), plain(&p, &t));
    }
}
