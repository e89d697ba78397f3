use serde_json::{Value, json};

use super::RestRequest;
use super::operations::find;
use crate::core::AwsError;
use crate::core::Principal;
use crate::core::cx::CxParts;
use crate::iot::{CertificateStatus, Iot};
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

pub(super) struct Account {
    pub(super) iot: Iot,
    pub(super) parts: CxParts,
    pub(super) now: Time,
}

impl Account {
    pub(super) fn new() -> Self {
        let parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        Account { iot: Iot::new(), parts, now: Time::from_unix_secs(1_772_323_200) }
    }

    /// One call, a second after the one before.
    pub(super) fn call(&mut self, method: &str, path_and_query: &str, body: Value) -> Result<Value, AwsError> {
        self.now += std::time::Duration::from_secs(1);
        self.call_at_once(method, path_and_query, None, body)
    }

    pub(super) fn call_at_once(
        &mut self,
        method: &str,
        target: &str,
        principal: Option<&str>,
        body: Value,
    ) -> Result<Value, AwsError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let owner = Principal::new("arn:aws:iam::123456789012:root");
        let request = RestRequest { method, path, query, principal, body: &body };
        let (status, answer) = self.iot.rest(&mut self.parts.cx(self.now, &owner), &request)?;
        assert_eq!(status, 200);
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() })
    }
}

const PEM: &str = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";

#[test]
fn requests_are_operations_by_method_and_path() {
    for (method, path, expected) in [
        ("POST", "/things/a%3Ab", Some(("CreateThing", vec!["a:b"]))),
        ("GET", "/things", Some(("ListThings", vec![]))),
        ("PUT", "/things/x/principals", Some(("AttachThingPrincipal", vec!["x"]))),
        ("PUT", "/thing-groups/addThingToThingGroup", Some(("AddThingToThingGroup", vec![]))),
        ("POST", "/certificate/register-no-ca", Some(("RegisterCertificateWithoutCA", vec![]))),
        ("DELETE", "/policies/p/version/3", Some(("DeletePolicyVersion", vec!["p", "3"]))),
        ("GET", "/things/", None),
        ("PUT", "/things", None),
        ("GET", "/things/%zz", None),
    ] {
        let expected = expected.map(|(name, p)| (name, p.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(find(method, path), expected, "{method} {path}");
    }
}

#[test]
fn a_device_is_registered_step_by_step() {
    let mut account = Account::new();
    let policy =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:*", "Resource": "*" } });
    account
        .call("POST", "/thing-types/pump", json!({ "thingTypeProperties": { "searchableAttributes": ["tenant"] } }))
        .unwrap();
    let thing = json!({ "thingTypeName": "pump", "attributePayload": { "attributes": { "tenant": "acme" } } });
    let created = account.call("POST", "/things/d1", thing.clone()).unwrap();
    assert_eq!(created["thingArn"], "arn:aws:iot:eu-west-1:123456789012:thing/d1");
    let certificate = account
        .call("POST", "/certificate/register-no-ca", json!({ "certificatePem": PEM, "status": "ACTIVE" }))
        .unwrap();
    assert_eq!(certificate["certificateId"], "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78");
    let arn = certificate["certificateArn"].as_str().unwrap().to_owned();
    account.call("POST", "/policies/device", json!({ "policyDocument": policy.to_string() })).unwrap();
    account.call("PUT", "/target-policies/device", json!({ "target": arn })).unwrap();
    account.call_at_once("PUT", "/things/d1/principals", Some(&arn), Value::Null).unwrap();
    let described = account.call("GET", "/things/d1", Value::Null).unwrap();
    assert_eq!(described["attributes"], json!({ "tenant": "acme" }));
    assert_eq!((&described["thingTypeName"], &described["version"]), (&json!("pump"), &json!(1)));
    assert_eq!(described["thingId"], created["thingId"]);
    assert_eq!(account.call("POST", "/things/d1", thing).unwrap()["thingId"], created["thingId"], "the same again");
    let fetched = account.call("GET", "/policies/device", Value::Null).unwrap();
    assert_eq!(fetched["policyDocument"], policy.to_string());
    let endpoint = account.call("GET", "/endpoint?endpointType=iot%3AData-ATS", Value::Null).unwrap();
    assert!(endpoint["endpointAddress"].as_str().unwrap().ends_with("-ats.iot.eu-west-1.amazonaws.com"), "{endpoint}");
    let id = certificate["certificateId"].as_str().unwrap().to_owned();
    let registered = &account.iot.registry.certificates[&*id];
    assert!(
        registered.status == CertificateStatus::Active
            && registered.things.contains("d1")
            && registered.policies.contains("device")
    );
}

#[test]
fn things_are_listed_page_by_page() {
    let mut account = Account::new();
    for n in 0..7 {
        let tenant = if n % 2 == 0 { "even" } else { "odd" };
        account
            .call(
                "POST",
                &format!("/things/d{n}"),
                json!({ "attributePayload": { "attributes": { "tenant": tenant } } }),
            )
            .unwrap();
    }
    let mut names = Vec::new();
    let mut next = String::new();
    loop {
        let page = account.call("GET", &format!("/things?maxResults=3{next}"), Value::Null).unwrap();
        names.extend(page["things"].as_array().unwrap().iter().map(|t| t["thingName"].as_str().unwrap().to_owned()));
        match page["nextToken"].as_str() {
            Some(token) => next = format!("&nextToken={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    let odd = account.call("GET", "/things?attributeName=tenant&attributeValue=odd", Value::Null).unwrap();
    assert_eq!(odd["things"].as_array().unwrap().len(), 3);
}

#[test]
fn wrong_requests_are_answered_with_awss_codes() {
    let mut account = Account::new();
    account.call("POST", "/things/taken", json!({})).unwrap();
    let many: serde_json::Map<_, _> = (0..4).map(|n| (format!("a{n}"), json!("v"))).collect();
    let rule = |sql: &str, actions: Value| json!({ "sql": sql, "actions": actions, "awsIotSqlVersion": "2016-03-23" });
    let kinesis = json!([{ "kinesis": { "roleArn": "arn:aws:iam::123456789012:role/r", "streamName": "s", "partitionKey": "k" } }]);
    for (method, target, body, code, status) in [
        ("GET", "/things/absent", Value::Null, "ResourceNotFoundException", 404),
        (
            "POST",
            "/things/taken",
            json!({ "attributePayload": { "attributes": { "a": "b" } } }),
            "ResourceAlreadyExistsException",
            409,
        ),
        ("POST", "/things/new", json!({ "thingTypeName": "absent" }), "ResourceNotFoundException", 404),
        ("POST", "/things/new", json!({ "attributePayload": { "attributes": many } }), "InvalidRequestException", 400),
        ("POST", "/things/b%20ad", json!({}), "InvalidRequestException", 400),
        ("POST", "/things/new", json!({ "billingGroupName": "b" }), "ResourceNotFoundException", 404),
        ("POST", "/things/new", json!({ "thingTypeName": 7 }), "SerializationException", 400),
        ("POST", "/policies/p", json!({}), "InvalidRequestException", 400),
        ("POST", "/policies/p", json!({ "policyDocument": "{}" }), "MalformedPolicyException", 400),
        ("PUT", "/target-policies/p", json!({ "target": "arn:x" }), "ResourceNotFoundException", 404),
        (
            "POST",
            "/certificate/register-no-ca",
            json!({ "certificatePem": "x" }),
            "CertificateValidationException",
            400,
        ),
        ("GET", "/rules/absent", Value::Null, "UnauthorizedException", 401),
        ("POST", "/rules/r", rule("SELEC", kinesis.clone()), "SqlParseException", 400),
        ("POST", "/rules/r", rule("SELECT sourceip() AS x FROM 'a'", kinesis.clone()), "NotImplemented", 501),
        (
            "POST",
            "/rules/r",
            rule("SELECT * FROM 'a'", json!([{ "sqs": { "queueUrl": "t", "roleArn": "r" } }])),
            "NotImplemented",
            501,
        ),
        (
            "POST",
            "/rules/r",
            rule("SELECT * FROM 'a'", json!([{ "kinesis": {}, "s3": {} }])),
            "InvalidRequestException",
            400,
        ),
        ("POST", "/rules/r", json!({ "sql": "SELECT * FROM 'a'", "actions": [] }), "NotImplemented", 501),
        ("POST", "/rules/b-ad", rule("SELECT * FROM 'a'", kinesis.clone()), "InvalidRequestException", 400),
        ("GET", "/endpoint", Value::Null, "NotImplemented", 501),
        ("GET", "/endpoint?endpointType=x", Value::Null, "InvalidRequestException", 400),
        ("GET", "/endpoint?endpointType=iot%3AData-ATS&x=1", Value::Null, "NotImplemented", 501),
        ("GET", "/things/taken?version=1", Value::Null, "NotImplemented", 501),
        ("PUT", "/things/taken/principals?x=1", Value::Null, "NotImplemented", 501),
        ("GET", "/things?usePrefixAttributeValue=maybe", Value::Null, "InvalidRequestException", 400),
        ("GET", "/things?attributeValue=v", Value::Null, "InvalidRequestException", 400),
        ("PUT", "/things/taken/principals", Value::Null, "InvalidRequestException", 400),
        ("GET", "/dynamic-thing-groups/x", Value::Null, "UnknownOperationException", 400),
        ("POST", "/dynamic-thing-groups/x", json!({}), "NotImplemented", 501),
        ("POST", "/indices/search", json!({}), "NotImplemented", 501),
        ("GET", "/nothing", Value::Null, "UnknownOperationException", 400),
    ] {
        let error = account.call(method, target, body).expect_err(target);
        assert_eq!((error.code, error.status), (code, status), "{method} {target}: {error}");
    }
    let error = account.call("POST", "/dynamic-thing-groups/x", json!({})).unwrap_err();
    assert!(error.message.contains("CreateDynamicThingGroup"), "{error}");
    account.call("POST", "/rules/r", rule("SELECT * FROM 'a'", kinesis.clone())).unwrap();
    let described = account.call("GET", "/rules/r", Value::Null).unwrap();
    assert_eq!((&described["rule"]["sql"], &described["rule"]["actions"]), (&json!("SELECT * FROM 'a'"), &kinesis));
}

#[test]
fn rates_of_the_control_plane_are_enforced() {
    let mut account = Account::new();
    account.now += std::time::Duration::from_secs(1);
    let answers: Vec<bool> = (0..12)
        .map(|n| account.call_at_once("GET", &format!("/things?maxResults={}", n + 1), None, Value::Null).is_ok())
        .collect();
    assert_eq!(answers.iter().filter(|ok| **ok).count(), 10, "ListThings has 10 calls a second");
    let error = account.call_at_once("GET", "/things", None, Value::Null).unwrap_err();
    assert_eq!((error.code, error.status), ("ThrottlingException", 400));
    assert_eq!(account.parts.meter.calls()[&("iot", "ListThings")].throttled, 3);
}
