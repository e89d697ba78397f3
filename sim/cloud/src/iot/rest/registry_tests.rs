//! The registry over REST: versions, statuses, deprecation, pages.

use std::time::Duration;

use serde_json::{Value, json};

use super::tests::Account;
use crate::core::AwsError;

const GROUP: &str = "arn:aws:iot:eu-west-1:123456789012:thinggroup/";

fn policy(topic: &str) -> Value {
    let resource = format!("arn:aws:iot:eu-west-1:123456789012:topic/{topic}");
    let statement = json!({ "Effect": "Allow", "Action": "iot:Publish", "Resource": resource });
    json!({ "policyDocument": json!({ "Version": "2012-10-17", "Statement": statement }).to_string() })
}

#[track_caller]
fn refused(answer: Result<Value, AwsError>, code: &str, status: u16) {
    let error = answer.expect_err(code);
    assert_eq!((error.code, error.status), (code, status), "{error}");
}

/// The certificate of a new pair of keys: its id and its ARN.
fn certificate(account: &mut Account, active: bool) -> (String, String) {
    let made = account.call("POST", &format!("/keys-and-certificate?setAsActive={active}"), Value::Null).unwrap();
    (made["certificateId"].as_str().unwrap().to_owned(), made["certificateArn"].as_str().unwrap().to_owned())
}

#[test]
fn a_policy_has_five_versions_and_one_in_force() {
    let mut account = Account::new();
    account.call("POST", "/policies/p", policy("1")).unwrap();
    for number in 2..=5 {
        let target = format!("/policies/p/version?setAsDefault={}", number == 3);
        let made = account.call("POST", &target, policy(&number.to_string())).unwrap();
        assert_eq!(made["policyVersionId"], number.to_string());
    }
    refused(account.call("POST", "/policies/p/version", policy("6")), "VersionsLimitExceededException", 409);
    let in_force = |account: &mut Account| account.call("GET", "/policies/p", Value::Null).unwrap();
    assert_eq!(in_force(&mut account)["defaultVersionId"], "3");
    assert_eq!(in_force(&mut account)["policyDocument"], policy("3")["policyDocument"]);
    refused(account.call("DELETE", "/policies/p/version/3", Value::Null), "DeleteConflictException", 409);
    refused(account.call("DELETE", "/policies/p", Value::Null), "DeleteConflictException", 409);
    refused(account.call("PATCH", "/policies/p/version/9", Value::Null), "ResourceNotFoundException", 404);
    account.call("PATCH", "/policies/p/version/5", Value::Null).unwrap();
    for number in 1..=4 {
        account.call("DELETE", &format!("/policies/p/version/{number}"), Value::Null).unwrap();
    }
    let made = account.call("POST", "/policies/p/version", policy("6")).unwrap();
    assert_eq!((&made["policyVersionId"], &made["isDefaultVersion"]), (&json!("6"), &json!(false)), "no number twice");
    let versions = account.call("GET", "/policies/p/version", Value::Null).unwrap();
    let versions: Vec<(&str, bool)> = versions["policyVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["versionId"].as_str().unwrap(), v["isDefaultVersion"].as_bool().unwrap()))
        .collect();
    assert_eq!(versions, [("6", false), ("5", true)]);
    let version = account.call("GET", "/policies/p/version/6", Value::Null).unwrap();
    assert_eq!(version["policyDocument"], policy("6")["policyDocument"]);
}

#[test]
fn a_certificate_is_deleted_when_it_rests_and_is_attached_to_nothing() {
    let mut account = Account::new();
    let (id, arn) = certificate(&mut account, true);
    let target = format!("/certificates/{id}");
    let described = account.call("GET", &target, Value::Null).unwrap()["certificateDescription"].clone();
    assert_eq!((&described["status"], &described["ownedBy"]), (&json!("ACTIVE"), &json!("123456789012")));
    assert_eq!(described["validity"]["notAfter"], 2_524_607_999.0);
    account.call("POST", "/policies/p", policy("1")).unwrap();
    account.call("PUT", "/target-policies/p", json!({ "target": arn })).unwrap();
    account.call("POST", "/things/d1", json!({})).unwrap();
    account.call_at_once("PUT", "/things/d1/principals", Some(&arn), Value::Null).unwrap();
    refused(account.call("DELETE", &target, Value::Null), "CertificateStateException", 406);
    for (status, code) in [("PENDING_ACTIVATION", "InvalidRequestException"), ("GONE", "InvalidRequestException")] {
        refused(account.call("PUT", &format!("{target}?newStatus={status}"), Value::Null), code, 400);
    }
    account.call("PUT", &format!("{target}?newStatus=REVOKED"), Value::Null).unwrap();
    let described = account.call("GET", &target, Value::Null).unwrap()["certificateDescription"].clone();
    assert_eq!((&described["status"], &described["customerVersion"]), (&json!("REVOKED"), &json!(2)));
    refused(account.call("DELETE", &target, Value::Null), "DeleteConflictException", 409);
    refused(account.call("DELETE", &format!("{target}?forceDelete=true"), Value::Null), "DeleteConflictException", 409);
    refused(account.call("DELETE", "/things/d1", Value::Null), "InvalidRequestException", 400);
    account.call_at_once("DELETE", "/things/d1/principals", Some(&arn), Value::Null).unwrap();
    refused(account.call("DELETE", &target, Value::Null), "DeleteConflictException", 409);
    account.call("DELETE", &format!("{target}?forceDelete=true"), Value::Null).unwrap();
    refused(account.call("GET", &target, Value::Null), "ResourceNotFoundException", 404);
    account.call("DELETE", "/things/d1", Value::Null).unwrap();
    account.call("DELETE", "/policies/p", Value::Null).unwrap();
}

#[test]
fn a_certificate_that_is_attached_exclusively_is_on_that_thing_only() {
    let mut account = Account::new();
    let (_, arn) = certificate(&mut account, true);
    for name in ["d1", "d2"] {
        account.call("POST", &format!("/things/{name}"), json!({})).unwrap();
    }
    let attach = |account: &mut Account, thing: &str, kind: &str| {
        let target = format!("/things/{thing}/principals?thingPrincipalType={kind}");
        account.call_at_once("PUT", &target, Some(&arn), Value::Null)
    };
    attach(&mut account, "d1", "EXCLUSIVE_THING").unwrap();
    refused(attach(&mut account, "d2", "NON_EXCLUSIVE_THING"), "InvalidRequestException", 400);
    attach(&mut account, "d1", "NON_EXCLUSIVE_THING").unwrap();
    attach(&mut account, "d2", "NON_EXCLUSIVE_THING").unwrap();
    refused(attach(&mut account, "d2", "EXCLUSIVE_THING"), "InvalidRequestException", 400);
    refused(attach(&mut account, "d2", "OTHER"), "InvalidRequestException", 400);
    let things = account.call_at_once("GET", "/principals/things", Some(&arn), Value::Null).unwrap();
    assert_eq!(things, json!({ "things": ["d1", "d2"] }));
    let principals = account.call("GET", "/things/d2/principals", Value::Null).unwrap();
    assert_eq!(principals, json!({ "principals": [arn] }));
}

#[test]
fn a_deprecated_type_takes_no_things_and_is_deleted_after_five_minutes() {
    let mut account = Account::new();
    account.call("POST", "/thing-types/pump", json!({})).unwrap();
    account.call("POST", "/things/old", json!({ "thingTypeName": "pump" })).unwrap();
    refused(account.call("DELETE", "/thing-types/pump", Value::Null), "InvalidRequestException", 400);
    account.call("POST", "/thing-types/pump/deprecate", json!({})).unwrap();
    refused(account.call("POST", "/things/new", json!({ "thingTypeName": "pump" })), "InvalidRequestException", 400);
    let attributes = json!({ "attributePayload": { "attributes": { "a": "b" } } });
    account.call("PATCH", "/things/old", attributes).unwrap();
    let described = account.call("GET", "/thing-types/pump", Value::Null).unwrap();
    assert_eq!(described["thingTypeMetadata"]["deprecated"], true);
    refused(account.call("DELETE", "/thing-types/pump", Value::Null), "InvalidRequestException", 400);
    account.now += Duration::from_secs(300);
    let in_use = account.call("DELETE", "/thing-types/pump", Value::Null).unwrap_err();
    assert!(in_use.message.contains("associated"), "{in_use}");
    account.call("POST", "/thing-types/pump/deprecate", json!({ "undoDeprecate": true })).unwrap();
    account.call("POST", "/things/new", json!({ "thingTypeName": "pump" })).unwrap();
    account.call("POST", "/thing-types/pump/deprecate", json!({})).unwrap();
    for name in ["old", "new"] {
        account.call("PATCH", &format!("/things/{name}"), json!({ "removeThingType": true })).unwrap();
    }
    account.now += Duration::from_secs(300);
    account.call("DELETE", "/thing-types/pump", Value::Null).unwrap();
    refused(account.call("GET", "/thing-types/pump", Value::Null), "ResourceNotFoundException", 404);
}

#[test]
fn groups_have_versions_and_a_depth_and_things_change_between_them() {
    let mut account = Account::new();
    account.call("POST", "/thing-groups/g1", json!({})).unwrap();
    for depth in 2..=7 {
        let parent = json!({ "parentGroupName": format!("g{}", depth - 1) });
        account.call("POST", &format!("/thing-groups/g{depth}"), parent).unwrap();
    }
    let eighth = account.call("POST", "/thing-groups/g8", json!({ "parentGroupName": "g7" }));
    refused(eighth, "InvalidRequestException", 400);
    let update = |version: u64, attributes: Value| {
        json!({ "expectedVersion": version, "thingGroupProperties": {
            "thingGroupDescription": "d", "attributePayload": { "merge": true, "attributes": attributes } } })
    };
    let updated = account.call("PATCH", "/thing-groups/g1", update(1, json!({ "a": "1", "b": "2" }))).unwrap();
    assert_eq!(updated, json!({ "version": 2 }));
    refused(account.call("PATCH", "/thing-groups/g1", update(1, json!({}))), "VersionConflictException", 409);
    account.call("PATCH", "/thing-groups/g1", update(2, json!({ "a": "" }))).unwrap();
    let described = account.call("GET", "/thing-groups/g1", Value::Null).unwrap();
    let properties = json!({ "thingGroupDescription": "d", "attributePayload": { "attributes": { "b": "2" } } });
    assert_eq!(described["thingGroupProperties"], properties);
    refused(account.call("DELETE", "/thing-groups/g7?expectedVersion=9", Value::Null), "VersionConflictException", 409);
    account.call("POST", "/billing-groups/b1", json!({})).unwrap();
    account.call("POST", "/things/d1", json!({ "billingGroupName": "b1" })).unwrap();
    refused(account.call("POST", "/things/d1", json!({})), "ResourceAlreadyExistsException", 409);
    let billed = account.call("GET", "/billing-groups/b1/things", Value::Null).unwrap();
    assert_eq!(billed, json!({ "things": ["d1"] }));
    let body = json!({ "billingGroupProperties": { "billingGroupDescription": "x" }, "expectedVersion": 2 });
    refused(account.call("PATCH", "/billing-groups/b1", body), "VersionConflictException", 409);
    let groups = |add: Value, remove: Value| json!({ "thingName": "d1", "thingGroupsToAdd": add, "thingGroupsToRemove": remove });
    let change = "/thing-groups/updateThingGroupsForThing";
    account.call("PUT", change, groups(json!(["g7"]), json!([]))).unwrap();
    refused(account.call("PUT", change, groups(json!(["g3"]), json!([]))), "InvalidRequestException", 400);
    account.call("PUT", change, groups(json!(["g3"]), json!(["g7"]))).unwrap();
    for (target, expected) in [
        ("/thing-groups/g3/things", json!(["d1"])),
        ("/thing-groups/g1/things", json!([])),
        ("/thing-groups/g1/things?recursive=true", json!(["d1"])),
        ("/thing-groups/g4/things?recursive=true", json!([])),
    ] {
        assert_eq!(account.call("GET", target, Value::Null).unwrap()["things"], expected, "{target}");
    }
}

#[test]
fn a_target_has_ten_policies_and_groups_pass_theirs_down() {
    let mut account = Account::new();
    let (_, arn) = certificate(&mut account, true);
    let encoded = |arn: &str| arn.replace(':', "%3A").replace('/', "%2F");
    for n in 0..11 {
        account.call("POST", &format!("/policies/p{n:02}"), policy("t")).unwrap();
    }
    for n in 0..10 {
        account.call("PUT", &format!("/target-policies/p{n:02}"), json!({ "target": arn })).unwrap();
    }
    refused(account.call("PUT", "/target-policies/p10", json!({ "target": arn })), "LimitExceededException", 410);
    account.call("PUT", "/target-policies/p09", json!({ "target": arn })).unwrap();
    account.call("POST", "/thing-groups/top", json!({})).unwrap();
    account.call("POST", "/thing-groups/low", json!({ "parentGroupName": "top" })).unwrap();
    account.call("PUT", "/target-policies/p10", json!({ "target": format!("{GROUP}top") })).unwrap();
    account.call("PUT", "/target-policies/p00", json!({ "target": format!("{GROUP}low") })).unwrap();
    let attached = |account: &mut Account, target: &str, recursive: bool| -> Vec<Value> {
        let path = format!("/attached-policies/{}?recursive={recursive}", encoded(target));
        let listed = account.call("POST", &path, Value::Null).unwrap();
        listed["policies"].as_array().unwrap().iter().map(|policy| policy["policyName"].clone()).collect()
    };
    assert_eq!(attached(&mut account, &format!("{GROUP}low"), false), ["p00"]);
    assert_eq!(attached(&mut account, &format!("{GROUP}low"), true), ["p00", "p10"]);
    let targets = account.call("POST", "/policy-targets/p00", Value::Null).unwrap();
    assert_eq!(targets, json!({ "targets": [arn, format!("{GROUP}low")] }));
    account.call("POST", "/things/d1", json!({})).unwrap();
    let member = json!({ "thingName": "d1", "thingGroupName": "low" });
    account.call("PUT", "/thing-groups/addThingToThingGroup", member).unwrap();
    let effective = account.call("POST", "/effective-policies?thingName=d1", json!({})).unwrap();
    let effective = effective["effectivePolicies"].as_array().unwrap().len();
    assert_eq!(effective, 2);
    account.call("POST", "/target-policies/p10", json!({ "target": format!("{GROUP}top") })).unwrap();
    account.call("DELETE", "/policies/p10", Value::Null).unwrap();
    for (target, code) in [
        ("arn:aws:iot:eu-west-1:999999999999:cert/a", "InvalidRequestException"),
        ("eu-west-1:identity", "NotImplemented"),
        ("arn:aws:iot:eu-west-1:123456789012:thinggroup/gone", "ResourceNotFoundException"),
    ] {
        assert_eq!(account.call("PUT", "/target-policies/p00", json!({ "target": target })).unwrap_err().code, code);
    }
}

/// All pages of a list, two entries each.
fn pages(account: &mut Account, method: &str, target: &str, principal: Option<&str>, list: &str) -> Vec<Value> {
    let by_marker = !account
        .call_at_once(method, &format!("{target}pageSize=2"), principal, Value::Null)
        .is_err_and(|error| error.code == "NotImplemented");
    let (size, token, next) =
        if by_marker { ("pageSize", "marker", "nextMarker") } else { ("maxResults", "nextToken", "nextToken") };
    let (mut entries, mut after) = (Vec::new(), String::new());
    for _ in 0..10 {
        account.now += Duration::from_secs(1);
        let target = format!("{target}{size}=2{after}");
        let page = account.call_at_once(method, &target, principal, Value::Null).unwrap();
        let found = page[list].as_array().unwrap_or_else(|| panic!("{target}: {page}"));
        assert!(found.len() <= 2, "{target}: {page}");
        entries.extend(found.iter().cloned());
        match page[next].as_str() {
            Some(text) => after = format!("&{token}={}", text.replace('+', "%2B").replace('=', "%3D")),
            None => return entries,
        }
    }
    panic!("{target} has no end");
}

#[test]
fn every_list_comes_in_pages() {
    let mut account = Account::new();
    let (_, arn) = certificate(&mut account, true);
    account.call("POST", "/thing-groups/top", json!({})).unwrap();
    for n in 0..5 {
        certificate(&mut account, false);
        for (path, body) in [
            (format!("/policies/n{n}"), policy("t")),
            (format!("/thing-types/n{n}"), json!({})),
            (format!("/thing-groups/n{n}"), json!({ "parentGroupName": "top" })),
            (format!("/billing-groups/n{n}"), json!({})),
            (format!("/things/n{n}"), json!({ "billingGroupName": "n0" })),
        ] {
            account.call("POST", &path, body).unwrap();
        }
        account.call("PUT", &format!("/target-policies/n{n}"), json!({ "target": arn })).unwrap();
        account.call("PUT", "/target-policies/n0", json!({ "target": format!("{GROUP}n{n}") })).unwrap();
        account.call_at_once("PUT", &format!("/things/n{n}/principals"), Some(&arn), Value::Null).unwrap();
        let member = json!({ "thingName": format!("n{n}"), "thingGroupName": "n0" });
        account.call("PUT", "/thing-groups/addThingToThingGroup", member).unwrap();
    }
    let attached = format!("/attached-policies/{}?", arn.replace(':', "%3A").replace('/', "%2F"));
    let names = ["n0", "n1", "n2", "n3", "n4"];
    let newest = ["n4", "n3", "n2", "n1", "n0"];
    for (method, target, list, member, expected) in [
        ("GET", "/things?", "things", "thingName", &names[..]),
        ("GET", "/thing-types?", "thingTypes", "thingTypeName", &names),
        ("GET", "/thing-types?thingTypeName=n3&", "thingTypes", "thingTypeName", &["n3"]),
        ("GET", "/thing-groups?namePrefixFilter=n&", "thingGroups", "groupName", &names),
        ("GET", "/thing-groups?recursive=false&", "thingGroups", "groupName", &["top"]),
        ("GET", "/thing-groups?parentGroup=top&", "thingGroups", "groupName", &names),
        ("GET", "/billing-groups?", "billingGroups", "groupName", &names),
        ("GET", "/policies?", "policies", "policyName", &newest),
        ("GET", "/policies?isAscendingOrder=true&", "policies", "policyName", &names),
        ("POST", &attached, "policies", "policyName", &names),
    ] {
        let found = pages(&mut account, method, target, None, list);
        let found: Vec<&str> = found.iter().map(|entry| entry[member].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{target}");
    }
    for (method, target, list, count) in [
        ("GET", "/thing-groups/n0/things?", "things", 5),
        ("GET", "/billing-groups/n0/things?", "things", 5),
        ("GET", "/principals/things?", "things", 5),
        ("GET", "/things/n1/principals?", "principals", 1),
        ("GET", "/things/n1/thing-groups?", "thingGroups", 1),
        ("GET", "/certificates?", "certificates", 6),
        ("POST", "/policy-targets/n0?", "targets", 6),
    ] {
        let found = pages(&mut account, method, target, Some(&arn), list);
        assert_eq!(found.len(), count, "{target}: {found:?}");
    }
    refused(account.call("GET", "/policies?marker=%21", Value::Null), "InvalidRequestException", 400);
    refused(account.call("GET", "/policies?pageSize=251", Value::Null), "InvalidRequestException", 400);
}
