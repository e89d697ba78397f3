use std::time::Duration;

use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet, Subscribe, SubscribeFilter};
use serde_json::{Value, json};

use super::fleet::{Answer, World, publish};
use crate::core::Principal;
use crate::core::access::Access;
use crate::core::ports::NoAnswer;
use crate::iot::certificate_id;

const CREATE: &str = "$aws/certificates/create/json";
const PROVISION: &str = "$aws/provisioning-templates/acme/provision/json";
const ROLE: &str = "arn:aws:iam::123456789012:role/provisioning";

fn template() -> Value {
    json!({
        "Parameters": {
            "Device": { "Type": "String" },
            "AWS::IoT::Certificate::Id": { "Type": "String" },
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": { "Ref": "Device" },
                    "ThingTypeName": "device",
                    "AttributePayload": { "tenant": "acme" },
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" },
            },
            "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "device" } },
        },
        "DeviceConfiguration": { "device": { "Ref": "Device" } },
    })
}

fn properties(template: &Value, enabled: bool) -> Value {
    json!({
        "TemplateName": "acme",
        "Enabled": enabled,
        "ProvisioningRoleArn": ROLE,
        "TemplateBody": template.to_string(),
        "TemplateType": "FLEET_PROVISIONING",
    })
}

/// An account with a template and a claim, whose policy is that of the guide.
fn with(template: &Value) -> World {
    let mut world = World::new();
    world.provision("AWS::IoT::ProvisioningTemplate", properties(template, true)).unwrap();
    let arn = |rest: &str| format!("arn:aws:iot:eu-west-1:123456789012:{rest}");
    let both = |kind: &str| [CREATE, PROVISION].map(|topic| arn(&format!("{kind}/{topic}*")));
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client/claim-*") },
        { "Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": both("topic") },
        { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": both("topicfilter") },
    ] });
    world.provision("AWS::IoT::Policy", json!({ "PolicyName": "claim", "PolicyDocument": document })).unwrap();
    let claim = certificate_id(b"claim");
    world.iot.register_claim(&mut world.parts.cx(world.now, &world.owner), &claim, "claim").unwrap();
    world
}

fn open(world: &mut World, connection: u64, certificate: &str, client: &str) -> Vec<Answer> {
    let mut cx = world.parts.cx(world.now, &world.owner);
    if world.iot.open(&mut cx, connection, certificate, "10.0.0.9").is_err() {
        return vec![Answer::Close(connection)];
    }
    let mut packet = Connect::new(client);
    packet.keep_alive = 1_200;
    world.send(connection, &Packet::Connect(packet));
    world.answers()
}

/// Connects with the claim and subscribes to the answers.
fn claim(world: &mut World, connection: u64) {
    open(world, connection, &certificate_id(b"claim"), &format!("claim-{connection}"));
    let answers =
        [CREATE, PROVISION].into_iter().flat_map(|topic| ["accepted", "rejected"].map(|e| format!("{topic}/{e}")));
    let filters = answers.map(|path| SubscribeFilter::new(path, QoS::AtLeastOnce));
    let mut subscribe = Subscribe::new_many(filters);
    subscribe.pkid = 1;
    world.send(connection, &Packet::Subscribe(subscribe));
    world.answers();
}

/// Publishes a request and answers what comes back: (connection, last level of the topic, payload).
fn ask(world: &mut World, connection: u64, topic: &str, payload: &Value) -> Vec<(u64, String, Value)> {
    world.send(connection, &publish(topic, 1, &payload.to_string()));
    settle(world)
}

fn one(answers: Vec<(u64, String, Value)>) -> (String, Value) {
    let [(_, end, payload)] = answers.try_into().expect("one answer");
    (end, payload)
}

/// Asks for a certificate: its id and its token.
fn certificate(world: &mut World) -> (String, String) {
    let (end, payload) = one(ask(world, 1, CREATE, &json!({})));
    assert_eq!(end, "accepted", "{payload}");
    assert!(payload["certificatePem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(payload["privateKey"].as_str().unwrap().contains("RSA PRIVATE KEY"));
    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
    (text("certificateId"), text("certificateOwnershipToken"))
}

fn register(world: &mut World, token: &str, device: &str) -> (String, Value) {
    let request = json!({ "certificateOwnershipToken": token, "parameters": { "Device": device } });
    one(ask(world, 1, PROVISION, &request))
}

#[test]
fn a_device_with_a_claim_gets_a_certificate_and_is_registered() {
    let mut world = with(&template());
    claim(&mut world, 1);
    let (id, token) = certificate(&mut world);
    assert_eq!(open(&mut world, 2, &id, "d1"), [Answer::Close(2)], "the certificate waits for its activation");
    let (end, payload) = register(&mut world, &token, "d1");
    assert_eq!(
        (end.as_str(), &payload),
        ("accepted", &json!({ "deviceConfiguration": { "device": "d1" }, "thingName": "d1" }))
    );
    let accepted = Answer::Packet(3, Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
    assert_eq!(open(&mut world, 3, &id, "d1"), [accepted]);
    assert_eq!(world.publish(3, "tenant/acme/device/d1/data", 5, "{}").len(), 1, "it may publish its readings");
    assert_eq!((world.count("ProvisionThing.Success"), world.count("RegisterThingFailed")), (1, 0));
}

#[test]
fn a_token_is_good_for_one_registration_within_an_hour() {
    let mut world = with(&template());
    claim(&mut world, 1);
    let (_, used) = certificate(&mut world);
    register(&mut world, &used, "d1");
    let (unused, late) = certificate(&mut world);
    world.pass(Duration::from_secs(3_599));
    assert!(world.iot.is_active(&unused).is_some());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.iot.is_active(&unused), None, "a certificate that nobody used is deleted");
    claim(&mut world, 1);
    for token in [used.as_str(), &late, "", "made up"] {
        let (end, payload) = register(&mut world, token, "d2");
        assert_eq!((end.as_str(), payload["statusCode"].as_u64()), ("rejected", Some(400)), "{payload}");
        assert_eq!(payload["errorCode"], "InvalidCertificateOwnershipToken");
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.count("ProvisionThing.ClientError"), 4);
}

#[test]
fn answers_go_to_the_connection_that_asked_and_to_nobody_who_did_not_subscribe() {
    let mut world = with(&template());
    for connection in [1, 2] {
        claim(&mut world, connection);
    }
    let answers = ask(&mut world, 2, CREATE, &json!({}));
    assert_eq!(answers.iter().map(|(connection, ..)| *connection).collect::<Vec<_>>(), [2]);
    open(&mut world, 3, &certificate_id(b"claim"), "claim-3");
    assert_eq!(ask(&mut world, 3, CREATE, &json!({})), []);
}

#[test]
fn the_account_makes_ten_certificates_and_ten_registrations_a_second() {
    let mut world = with(&template());
    claim(&mut world, 1);
    let tokens: Vec<String> = (0..10).map(|_| certificate(&mut world).1).collect();
    let throttled = |(end, payload): (String, Value)| {
        assert_eq!((end.as_str(), payload["statusCode"].as_u64()), ("rejected", Some(429)), "{payload}");
    };
    throttled(one(ask(&mut world, 1, CREATE, &json!({}))));
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(register(&mut world, token, &format!("d{n}")).0, "accepted");
    }
    throttled(register(&mut world, "any", "d10"));
    world.pass(Duration::from_millis(100));
    let (_, token) = certificate(&mut world);
    assert_eq!(register(&mut world, &token, "d10").0, "accepted");
    assert_eq!((world.count("CreateKeysAndCertificateFailed"), world.count("RegisterThingFailed")), (1, 1));
}

#[test]
fn what_is_refused_is_not_registered() {
    let foreign = |t: &mut Value| t["Resources"]["thing"]["Properties"]["AttributePayload"]["tenant"] = "globex".into();
    type Change = fn(&mut Value);
    let cases: [(Change, &str, u64, &str); 4] = [
        (foreign, "taken", 409, "ResourceConflicts"),
        (|t| t["Resources"]["policy"]["Properties"]["PolicyName"] = "absent".into(), "d2", 404, "ResourceNotFound"),
        (|t| t["Resources"]["thing"]["Properties"]["ThingTypeName"] = "absent".into(), "d2", 404, "ResourceNotFound"),
        (|_| (), "not a name", 400, "InvalidRequest"),
    ];
    for (change, device, status, code) in cases {
        let mut body = template();
        change(&mut body);
        let mut world = with(&body);
        world.register("taken", "acme", "device");
        claim(&mut world, 1);
        let (id, token) = certificate(&mut world);
        let (end, payload) = register(&mut world, &token, device);
        assert_eq!((end.as_str(), payload["statusCode"].as_u64()), ("rejected", Some(status)), "{payload}");
        assert_eq!(payload["errorCode"], code, "{payload}");
        assert_eq!(world.iot.is_active(&id), Some(false), "{code}");
        assert_eq!(world.iot.registry.things.len(), 1, "{code}");
    }
}

#[test]
fn overrides_decide_about_a_thing_that_is_there() {
    for (wanted, tenant) in
        [("MERGE", Some("acme")), ("REPLACE", Some("acme")), ("DO_NOTHING", Some("globex")), ("FAIL", None)]
    {
        let mut body = template();
        body["Resources"]["thing"]["OverrideSettings"] = json!({ "AttributePayload": wanted });
        let mut world = with(&body);
        world.register("d1", "globex", "device");
        claim(&mut world, 1);
        let (_, token) = certificate(&mut world);
        let (end, payload) = register(&mut world, &token, "d1");
        assert_eq!(end == "accepted", tenant.is_some(), "{wanted}: {payload}");
        let thing = world.iot.registry.thing("d1").unwrap();
        assert_eq!(thing.attributes["tenant"], tenant.unwrap_or("globex"), "{wanted}");
    }
}

#[test]
fn each_call_is_asked_of_the_templates_role() {
    let mut world = with(&template());
    claim(&mut world, 1);
    let (id, token) = certificate(&mut world);
    // An account with permissions in which the role has none.
    world.parts.access = Access::enforced();
    let (end, payload) = register(&mut world, &token, "d1");
    assert_eq!((end.as_str(), payload["errorCode"].as_str()), ("rejected", Some("AccessDenied")), "{payload}");
    let text = payload["errorMessage"].as_str().unwrap();
    assert!(text.contains("assumed-role/provisioning") && text.contains("iot:DescribeCertificate"), "{text}");
    assert_eq!((world.iot.is_active(&id), world.iot.registry.things.len()), (Some(false), 0));
}

#[test]
fn templates_are_changed_disabled_and_deleted() {
    let mut world = with(&template());
    claim(&mut world, 1);
    let (_, token) = certificate(&mut world);
    world.update("AWS::IoT::ProvisioningTemplate", "acme", properties(&template(), false)).unwrap();
    assert!(register(&mut world, &token, "d1").1["errorMessage"].as_str().unwrap().contains("not enabled"));
    world.delete("AWS::IoT::ProvisioningTemplate", "acme").unwrap();
    assert_eq!(register(&mut world, &token, "d1").1["statusCode"], 404);
    let described = world.rest("GET", "/provisioning-templates/acme", json!({})).unwrap_err();
    assert_eq!(described.code, "ResourceNotFoundException");
}

/// A template with a hook, and a registration that waits for it.
fn hooked() -> (World, String) {
    let mut world = with(&template());
    let mut changed = properties(&template(), true);
    changed["PreProvisioningHook"] = json!({ "PayloadVersion": "2020-04-01", "TargetArn": "arn:hook" });
    world.update("AWS::IoT::ProvisioningTemplate", "acme", changed).unwrap();
    claim(&mut world, 1);
    let (_, token) = certificate(&mut world);
    let request = json!({ "certificateOwnershipToken": token, "parameters": { "Device": "d1" } });
    assert_eq!(ask(&mut world, 1, PROVISION, &request), [], "the hook is asked first");
    let (function, service, source, event) = world.functions.invoked.pop().unwrap();
    assert_eq!((function.as_str(), service.as_str()), ("arn:hook", "iot.amazonaws.com"));
    assert!(source.ends_with(":provisioningtemplate/acme"), "{source}");
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(
        (&event["claimCertificateId"], &event["clientId"]),
        (&certificate_id(b"claim").into(), &"claim-1".into())
    );
    assert_eq!(event["parameters"], json!({ "Device": "d1" }));
    (world, token)
}

#[test]
fn a_hook_allows_changes_and_denies_a_registration() {
    let answer = |allow: bool| {
        Bytes::from(json!({ "allowProvisioning": allow, "parameterOverrides": { "Device": "d9" } }).to_string())
    };
    for (answered, expected) in [
        (Ok(answer(true)), Ok("d9")),
        (Ok(answer(false)), Err("does not allow")),
        (Ok(Bytes::from_static(b"null")), Err("failed")),
        (Err(NoAnswer::Failed("Unhandled".to_owned())), Err("Unhandled")),
    ] {
        let (mut world, _) = hooked();
        let owner = Principal::new("arn:aws:iam::123456789012:root");
        world.iot.function_answered(&mut world.parts.cx(world.now, &owner), 1, answered);
        let (end, payload) = one(settle(&mut world));
        match expected {
            Ok(thing) => assert_eq!((end.as_str(), &payload["thingName"]), ("accepted", &thing.into())),
            Err(text) => {
                assert_eq!((end.as_str(), &payload["errorCode"]), ("rejected", &"AccessDenied".into()));
                assert!(payload["errorMessage"].as_str().unwrap().contains(text), "{payload}");
            }
        }
    }
}

#[test]
fn a_hook_has_five_seconds() {
    let (mut world, token) = hooked();
    world.pass(Duration::from_millis(4_999));
    assert_eq!(settle(&mut world), []);
    world.pass(Duration::from_millis(1));
    let (end, payload) = one(settle(&mut world));
    assert_eq!((end.as_str(), &payload["statusCode"]), ("rejected", &403.into()));
    let owner = Principal::new("arn:aws:iam::123456789012:root");
    let late = Bytes::from_static(br#"{"allowProvisioning":true}"#);
    world.iot.function_answered(&mut world.parts.cx(world.now, &owner), 1, Ok(late));
    assert_eq!(settle(&mut world), [], "nobody waits any more");
    assert!(world.iot.registry.things.is_empty(), "{token}");
}

/// What is published at this instant.
fn settle(world: &mut World) -> Vec<(u64, String, Value)> {
    world.pass(Duration::ZERO);
    let answers = world.answers().into_iter().filter_map(|answer| match answer {
        Answer::Packet(connection, Packet::Publish(publish)) => {
            let end = publish.topic.rsplit('/').next().unwrap().to_owned();
            Some((connection, end, serde_json::from_slice(&publish.payload).unwrap()))
        }
        _ => None,
    });
    answers.collect()
}

#[test]
fn templates_certificates_and_registrations_over_the_control_plane() {
    let mut world = World::new();
    let body = json!({ "templateName": "acme", "templateBody": template().to_string(), "provisioningRoleArn": ROLE });
    assert_eq!(world.rest("POST", "/provisioning-templates", body.clone()).unwrap()["defaultVersionId"], 1);
    assert_eq!(world.rest("POST", "/provisioning-templates", body).unwrap_err().code, "ResourceAlreadyExistsException");
    world.rest("PATCH", "/provisioning-templates/acme", json!({ "enabled": true, "description": "d" })).unwrap();
    let described = world.rest("GET", "/provisioning-templates/acme", json!({})).unwrap();
    assert_eq!((&described["enabled"], &described["description"]), (&true.into(), &"d".into()));
    assert_eq!(described["templateBody"], template().to_string());
    let listed = world.rest("GET", "/provisioning-templates?maxResults=1", json!({})).unwrap();
    assert_eq!((&listed["templates"][0]["templateName"], &listed["nextToken"]), (&"acme".into(), &Value::Null));
    let made = world.rest("POST", "/keys-and-certificate?setAsActive=true", json!({})).unwrap();
    let id = made["certificateId"].as_str().unwrap();
    assert_eq!(world.iot.is_active(id), Some(true));
    let request = json!({ "templateBody": template().to_string(), "parameters": { "Device": "d1", "AWS::IoT::Certificate::Id": id } });
    let registered = world.rest("POST", "/things", request).unwrap();
    assert!(registered["resourceArns"]["thing"].as_str().unwrap().ends_with(":thing/d1"), "{registered}");
    assert!(world.iot.registry.certificates[id].things.contains("d1"));
    for (method, path, body) in [
        ("POST", "/provisioning-templates/acme/provisioning-claim", json!({})),
        ("POST", "/provisioning-templates/acme/versions", json!({})),
        ("POST", "/cacertificate", json!({ "caCertificate": "x" })),
    ] {
        let error = world.rest(method, path, body).unwrap_err();
        assert_eq!((error.code, error.status), ("NotImplemented", 501), "{path}");
    }
    world.rest("DELETE", "/provisioning-templates/acme", json!({})).unwrap();
}
