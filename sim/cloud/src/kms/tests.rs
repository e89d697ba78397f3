//! Keys from their declaration to the end of their waiting time.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::core::Principal;
use crate::core::access::Access;
use crate::core::cx::CxParts;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const NOW: Time = Time::from_unix_secs(1_772_323_200);

struct Fixture {
    kms: Kms,
    parts: CxParts,
    now: Time,
}

fn resource(kind: &str, properties: Value) -> Resource {
    Resource { stack: "stack".to_owned(), logical_id: "Key".to_owned(), kind: format!("AWS::KMS::{kind}"), properties }
}

impl Fixture {
    fn new() -> Self {
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        parts.access = Access::enforced();
        Fixture { kms: Kms, parts, now: NOW }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Kms, &mut Cx<'_>) -> T) -> T {
        let owner = Principal::new("arn:aws:iam::123456789012:root");
        act(&mut self.kms, &mut self.parts.cx(self.now, &owner))
    }

    fn create(&mut self, kind: &str, properties: Value) -> Result<Provisioned, AwsError> {
        self.with(|kms, cx| kms.provision(cx, &resource(kind, properties)))
    }

    /// The answer, or the code of the error.
    fn ask(&mut self, operation: &str, request: Value) -> Result<Value, &'static str> {
        let answer = self.with(|kms, cx| kms.call(cx, operation, request.to_string().as_bytes()));
        let parse = |body: Vec<u8>| if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        answer.map(parse).map_err(|error| error.code)
    }

    fn decrypt(&mut self, key: &str) -> Result<(), &'static str> {
        self.with(|_, cx| cx.use_key("kms:Decrypt", key, "kinesis")).map_err(|error| error.code)
    }
}

#[test]
fn a_key_is_described_disabled_enabled_and_deleted_after_its_waiting_time() {
    let mut fixture = Fixture::new();
    let key = fixture.create("Key", json!({ "Description": "data", "EnableKeyRotation": true })).unwrap().physical_id;
    fixture.create("Alias", json!({ "AliasName": "alias/data", "TargetKeyId": key })).unwrap();
    let of = |key: &str| json!({ "KeyId": key });
    let described = fixture.ask("DescribeKey", of("alias/data")).unwrap();
    assert_eq!(described["KeyMetadata"]["KeyId"], json!(key));
    assert_eq!(described["KeyMetadata"]["KeyState"], "Enabled");
    let rotation = fixture.ask("GetKeyRotationStatus", of(&key)).unwrap();
    assert_eq!((&rotation["KeyRotationEnabled"], &rotation["RotationPeriodInDays"]), (&json!(true), &json!(365)));
    assert_eq!(fixture.ask("ListKeys", json!({})).unwrap()["Keys"][0]["KeyId"], json!(key));
    let aliases = fixture.ask("ListAliases", json!({ "KeyId": key })).unwrap();
    assert_eq!(aliases["Aliases"][0]["AliasName"], "alias/data");
    assert_eq!(fixture.decrypt(&key), Ok(()));
    fixture.ask("DisableKey", of(&key)).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("DisabledException"));
    fixture.ask("EnableKey", of(&key)).unwrap();
    assert_eq!(fixture.decrypt(&key), Ok(()));
    assert_eq!(
        fixture.ask("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 3 })),
        Err("ValidationException")
    );
    fixture.ask("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("KMSInvalidStateException"));
    assert_eq!(fixture.ask("EnableKey", of(&key)), Err("KMSInvalidStateException"));
    fixture.ask("CancelKeyDeletion", of(&key)).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("DisabledException"));
    fixture.with(|kms, cx| kms.delete(cx, &resource("Key", json!({ "PendingWindowInDays": 7 })), &key)).unwrap();
    fixture.now = NOW + Duration::from_secs(7 * 86_400 - 1);
    assert_eq!(fixture.decrypt(&key), Err("KMSInvalidStateException"));
    fixture.now = NOW + Duration::from_secs(7 * 86_400);
    assert_eq!(fixture.decrypt(&key), Err("NotFoundException"));
    assert_eq!(fixture.ask("DescribeKey", of(&key)), Err("NotFoundException"));
}

#[test]
fn an_update_leaves_the_state_alone_that_it_does_not_change() {
    let mut fixture = Fixture::new();
    let key = fixture.create("Key", json!({})).unwrap().physical_id;
    let update = |fixture: &mut Fixture, old: Value, new: Value| {
        fixture.with(|kms, cx| kms.update(cx, &resource("Key", new), &key, &old)).map(drop).map_err(|error| error.code)
    };
    fixture.ask("DisableKey", json!({ "KeyId": key })).unwrap();
    update(&mut fixture, json!({}), json!({ "Description": "x" })).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("DisabledException"));
    update(&mut fixture, json!({ "Enabled": false }), json!({ "Enabled": true })).unwrap();
    assert_eq!(fixture.decrypt(&key), Ok(()));
    fixture.ask("ScheduleKeyDeletion", json!({ "KeyId": key })).unwrap();
    let refused = update(&mut fixture, json!({}), json!({ "Description": "y" }));
    assert_eq!(refused, Err("KMSInvalidStateException"));
    assert_eq!(fixture.decrypt(&key), Err("KMSInvalidStateException"));
}

#[test]
fn a_key_obeys_its_policy_even_against_the_root() {
    let mut fixture = Fixture::new();
    let key = fixture.create("Key", json!({})).unwrap().physical_id;
    let stranger = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": { "Service": "logs.eu-west-1.amazonaws.com" } }] });
    let put = json!({ "KeyId": key, "PolicyName": "default", "Policy": stranger.to_string() });
    fixture.ask("PutKeyPolicy", put.clone()).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("AccessDeniedException"));
    assert_eq!(fixture.ask("PutKeyPolicy", put), Err("AccessDeniedException"));
    let logs = Principal::new("logs.eu-west-1.amazonaws.com");
    fixture.parts.cx(NOW, &logs).use_key("kms:GenerateDataKey", &key, "logs").unwrap();
    // A change of the stack puts it right.
    let described = resource("Key", json!({ "Description": "again" }));
    fixture.with(|kms, cx| kms.update(cx, &described, &key, &json!({}))).unwrap();
    assert_eq!(fixture.decrypt(&key), Err("AccessDeniedException"), "the declaration of the policy did not change");
    let own = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": { "AWS": "arn:aws:iam::123456789012:root" } }] });
    let repaired = resource("Key", json!({ "KeyPolicy": own }));
    fixture.with(|kms, cx| kms.update(cx, &repaired, &key, &json!({}))).unwrap();
    assert_eq!(fixture.decrypt(&key), Ok(()));
    let policy = fixture.ask("GetKeyPolicy", json!({ "KeyId": key })).unwrap();
    assert!(policy["Policy"].as_str().unwrap().contains(":root"), "{policy}");
}

#[test]
fn what_is_not_modelled_or_not_allowed_is_refused_by_name() {
    let mut fixture = Fixture::new();
    for (kind, properties, expected) in [
        ("Key", json!({ "KeySpec": "RSA_2048" }), "RSA_2048"),
        ("Key", json!({ "MultiRegion": true }), "MultiRegion"),
        ("Key", json!({ "RotationPeriodInDays": 30 }), "90 to 2560"),
        ("Key", json!({ "KeyPolicy": { "Version": "2012-10-17", "Statement": [{}] } }), "Effect"),
        ("Key", json!({ "Policy": {} }), "Policy"),
        ("Alias", json!({ "AliasName": "alias/aws/x", "TargetKeyId": "k" }), "alias/aws/x"),
        ("Alias", json!({ "AliasName": "alias/x", "TargetKeyId": "k" }), "Invalid keyId 'k'"),
        ("ReplicaKey", json!({}), "AWS::KMS::ReplicaKey"),
    ] {
        let error = fixture.create(kind, properties).expect_err(expected);
        assert!(error.message.contains(expected), "{error}");
    }
    assert_eq!(fixture.ask("Encrypt", json!({})), Err("NotImplemented"));
    assert_eq!(fixture.ask("Encipher", json!({})), Err("UnknownOperationException"));
    assert_eq!(fixture.ask("DescribeKey", json!({ "KeyId": "k", "GrantTokens": [] })), Err("NotImplemented"));
}
