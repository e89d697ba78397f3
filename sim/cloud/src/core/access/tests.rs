//! Decisions of an account: identities by their ARNs, what is remembered and for how long, and keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::core::cx::CxParts;
use crate::core::policy::Purpose;
use world::seed::Seed;
use world::trace::Trace;

const NOW: Time = Time::from_unix_secs(1_772_323_200);
const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/raw";
const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/k";

fn document(statement: Value, purpose: Purpose) -> Arc<Document> {
    let document = json!({ "Version": "2012-10-17", "Statement": statement });
    Arc::new(Document::parse(&document, purpose).unwrap_or_else(|why| panic!("{document}: {why}")))
}

fn identity(arn: &str, statement: Value) -> Identity {
    Identity {
        arn: arn.to_owned(),
        id: "AROAEXAMPLE".to_owned(),
        policies: vec![document(statement, Purpose::Identity)],
        boundary: None,
        tags: BTreeMap::new(),
    }
}

fn allow(actions: &str, resource: &str) -> Value {
    json!([{ "Effect": "Allow", "Action": actions, "Resource": resource }])
}

/// An account with the role `worker`, the user `ada` and a key that leaves it to the account.
fn parts() -> CxParts {
    let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
    parts.access = Access::enforced();
    let statements = json!([
        { "Effect": "Allow", "Action": "kinesis:PutRecord", "Resource": STREAM },
        { "Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY },
    ]);
    parts.access.put_role("worker", identity("arn:aws:iam::123456789012:role/worker", statements.clone()));
    parts.access.put_user("ada", identity("arn:aws:iam::123456789012:user/ada", statements));
    let text = json!([{ "Effect": "Allow", "Action": "kms:*", "Resource": "*",
                        "Principal": { "AWS": "arn:aws:iam::123456789012:root" } }]);
    let key = Key {
        id: "k".to_owned(),
        arn: KEY.to_owned(),
        description: String::new(),
        created: NOW,
        state: KeyState::Enabled,
        policy: document(text.clone(), Purpose::Resource),
        policy_text: text,
        rotation_days: None,
        tags: BTreeMap::new(),
    };
    parts.access.keys.by_id.insert("k".to_owned(), key);
    parts.access.keys.aliases.insert("alias/data".to_owned(), "k".to_owned());
    parts
}

#[test]
fn the_arn_tells_who_somebody_is() {
    let mut parts = parts();
    for (arn, allowed) in [
        ("arn:aws:iam::123456789012:root", true),
        ("arn:aws:iam::123456789012:user/ada", true),
        ("arn:aws:iam::123456789012:user/bob", false),
        ("arn:aws:iam::123456789012:role/worker", true),
        ("arn:aws:iam::123456789012:role/other", false),
        ("arn:aws:sts::123456789012:assumed-role/worker/one", true),
        ("arn:aws:sts::123456789012:assumed-role/other/one", false),
        ("iot.amazonaws.com", false),
        ("", false),
    ] {
        let caller = Principal::new(arn);
        let result = parts.cx(NOW, &caller).authorize("kinesis:PutRecord", STREAM);
        assert_eq!(result.is_ok(), allowed, "{arn}: {result:?}");
    }
}

#[test]
fn refusals_have_the_code_and_status_of_their_service() {
    let mut parts = parts();
    let caller = Principal::new("arn:aws:sts::123456789012:assumed-role/worker/one");
    for (action, code, status) in [
        ("kinesis:PutRecords", "AccessDeniedException", 400),
        ("dynamodb:GetItem", "AccessDeniedException", 400),
        ("lambda:InvokeFunction", "AccessDeniedException", 403),
        ("iot:CreateThing", "AccessDeniedException", 403),
        ("s3:GetObject", "AccessDenied", 403),
        ("sts:AssumeRole", "AccessDenied", 403),
        ("sns:Publish", "AuthorizationError", 403),
    ] {
        let error = parts.cx(NOW, &caller).authorize(action, STREAM).unwrap_err();
        assert_eq!((error.code, error.status), (code, status), "{action}");
        let text = format!(
            "User: {} is not authorized to perform: {action} on resource: {STREAM} because no identity-based policy \
             allows the {action} action",
            caller.arn
        );
        assert_eq!(error.message, text);
    }
    assert_eq!(parts.meter.counters()[&("iam", "AccessDenied")], 7);
}

#[test]
fn a_change_of_policies_takes_effect_at_once() {
    let mut parts = parts();
    let caller = Principal::new("arn:aws:sts::123456789012:assumed-role/worker/one");
    let ask = |parts: &mut CxParts| parts.cx(NOW, &caller).authorize("kinesis:PutRecord", STREAM).is_ok();
    assert!(ask(&mut parts) && ask(&mut parts));
    let narrow = identity("arn:aws:iam::123456789012:role/worker", allow("kinesis:GetRecords", STREAM));
    parts.access.put_role("worker", narrow);
    assert!(!ask(&mut parts));
    let wide = identity("arn:aws:iam::123456789012:role/worker", allow("kinesis:*", STREAM));
    parts.access.put_role("worker", wide);
    assert!(ask(&mut parts));
    parts.access.remove_role("worker");
    assert!(!ask(&mut parts));
}

#[test]
fn what_depends_on_the_clock_or_on_the_request_is_not_remembered() {
    let mut parts = parts();
    let until = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*",
                         "Condition": { "DateLessThan": { "aws:CurrentTime": "2026-03-01T00:00:10Z" } } }]);
    parts.access.put_user("eve", identity("arn:aws:iam::123456789012:user/eve", until));
    let eve = Principal::new("arn:aws:iam::123456789012:user/eve");
    assert!(parts.cx(NOW, &eve).authorize("kinesis:PutRecord", STREAM).is_ok());
    let later = NOW + Duration::from_secs(10);
    assert!(parts.cx(later, &eve).authorize("kinesis:PutRecord", STREAM).is_err());
    let below = json!([{ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*",
                         "Condition": { "StringLike": { "s3:prefix": "acme/*" } } }]);
    parts.access.put_user("eve", identity("arn:aws:iam::123456789012:user/eve", below));
    for (prefix, allowed) in [("acme/1", true), ("globex/1", false), ("acme/2", true)] {
        let context = [("s3:prefix", prefix)];
        let result = parts.cx(NOW, &eve).authorize_in("s3:ListBucket", "arn:aws:s3:::lake", &context);
        assert_eq!(result.is_ok(), allowed, "{prefix}");
    }
}

#[test]
fn two_sessions_of_one_role_are_not_taken_for_one_another() {
    let mut parts = parts();
    let statement = allow("s3:GetObject", "arn:aws:s3:::lake/${aws:PrincipalTag/tenant}/*");
    parts.access.put_role("worker", identity("arn:aws:iam::123456789012:role/worker", statement));
    let session = |tenant: &str| {
        let tags = BTreeMap::from([("tenant".to_owned(), tenant.to_owned())]);
        Principal::new("arn:aws:sts::123456789012:assumed-role/worker/one")
            .within(Session::new(tenant, NOW).tagged(tags, BTreeSet::new()))
    };
    for (tenant, allowed) in [("acme", true), ("globex", false), ("acme", true)] {
        let caller = session(tenant);
        let result = parts.cx(NOW, &caller).authorize("s3:GetObject", "arn:aws:s3:::lake/acme/1");
        assert_eq!(result.is_ok(), allowed, "{tenant}");
    }
}

#[test]
fn a_key_is_used_with_permission_while_it_is_enabled() {
    let mut parts = parts();
    let worker = Principal::new("arn:aws:iam::123456789012:role/worker");
    let decrypt = |parts: &mut CxParts, key: &str| {
        parts.cx(NOW, &worker).use_key("kms:Decrypt", key, "kinesis").map_err(|error| error.code)
    };
    for key in ["k", KEY, "alias/data", "arn:aws:kms:eu-west-1:123456789012:alias/data", "alias/aws/kinesis"] {
        assert_eq!(decrypt(&mut parts, key), Ok(()), "{key}");
    }
    assert_eq!(decrypt(&mut parts, "nope"), Err("NotFoundException"));
    let generate = parts.cx(NOW, &worker).use_key("kms:GenerateDataKey", KEY, "kinesis").unwrap_err();
    assert_eq!(generate.code, "AccessDeniedException");
    for (state, expected) in [
        (KeyState::Disabled, Err("DisabledException")),
        (KeyState::PendingDeletion(NOW + Duration::from_secs(1)), Err("KMSInvalidStateException")),
        (KeyState::PendingDeletion(NOW), Err("NotFoundException")),
        (KeyState::Enabled, Ok(())),
    ] {
        parts.access.keys.by_id.get_mut("k").unwrap().state = state;
        parts.access.changed();
        assert_eq!(decrypt(&mut parts, KEY), expected, "{state:?}");
    }
}

#[test]
fn a_data_key_serves_for_some_minutes() {
    let mut parts = parts();
    let worker = Principal::new("arn:aws:iam::123456789012:role/worker");
    let mut calls = |after_secs: u64, keeps_data_key: bool| {
        let used = KeyUse { action: "kms:Decrypt", key: KEY, via: "s3", context: &[], keeps_data_key };
        parts.cx(NOW + Duration::from_secs(after_secs), &worker).use_key_for(&used).unwrap();
        parts.meter.calls()[&("kms", "Decrypt")].ok
    };
    assert_eq!([calls(0, true), calls(1, true), calls(299, true)], [1, 1, 1]);
    assert_eq!([calls(300, true), calls(301, true)], [2, 2]);
    assert_eq!([calls(302, false), calls(303, false)], [3, 4]);
}

#[test]
fn a_decision_that_is_remembered_is_evaluated_once() {
    let mut parts = parts();
    let worker = Principal::new("arn:aws:iam::123456789012:role/worker");
    let ask = |parts: &mut CxParts, action: &str, resource: &str| {
        let before = parts.access.evaluations.get();
        for _ in 0..1_000 {
            parts.cx(NOW, &worker).authorize(action, resource).unwrap();
        }
        parts.access.evaluations.get() - before
    };
    assert_eq!(ask(&mut parts, "kinesis:PutRecord", STREAM), 1);
    assert_eq!(ask(&mut parts, "kinesis:PutRecord", STREAM), 0);
    parts.access.changed();
    assert_eq!(ask(&mut parts, "kinesis:PutRecord", STREAM), 1);
    // Objects are too many to be remembered, and take no place from what can be.
    let wide = identity("arn:aws:iam::123456789012:role/worker", allow("*", "*"));
    parts.access.put_role("worker", wide);
    assert_eq!(ask(&mut parts, "s3:GetObject", "arn:aws:s3:::lake/a/1"), 1_000);
    assert_eq!(ask(&mut parts, "s3:ListBucket", "arn:aws:s3:::lake"), 1);
}

#[test]
fn data_keys_of_many_callers_are_kept_apart() {
    let mut parts = parts();
    for n in 0..10_000 {
        let arn = format!("arn:aws:sts::123456789012:assumed-role/worker/{}", n % 5_000);
        let caller = Principal::new(arn);
        parts.cx(NOW, &caller).use_key("kms:Decrypt", KEY, "s3").unwrap();
    }
    assert_eq!(parts.meter.calls()[&("kms", "Decrypt")].ok, 5_000);
}

#[test]
fn only_denials_count_as_denied() {
    let mut parts = parts();
    let worker = Principal::new("arn:aws:iam::123456789012:role/worker");
    let denied = |parts: &mut CxParts, action: &str, key: &str| {
        parts.cx(NOW, &worker).use_key(action, key, "kinesis").unwrap_err();
        parts.meter.counters().get(&("iam", "AccessDenied")).copied().unwrap_or(0)
    };
    assert_eq!(denied(&mut parts, "kms:Decrypt", "nope"), 0);
    assert_eq!(denied(&mut parts, "kms:GenerateDataKey", KEY), 1);
    parts.access.keys.by_id.get_mut("k").unwrap().state = KeyState::Disabled;
    assert_eq!(denied(&mut parts, "kms:Decrypt", KEY), 1);
}
