use serde_json::json;

use super::*;

fn template(change: impl FnOnce(&mut Value)) -> String {
    let mut document = json!({
        "Parameters": {
            "Serial": { "Type": "String" },
            "Site": { "Type": "String", "Default": "oslo" },
            CERTIFICATE_ID: { "Type": "String" },
        },
        "Mappings": { "Urls": { "oslo": { "url": "https://no" }, "rome": { "url": "https://it" } } },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "OverrideSettings": { "AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING" },
                "Properties": {
                    "ThingName": { "Fn::Join": ["-", ["pump", { "Ref": "Serial" }]] },
                    "AttributePayload": { "site": { "Ref": "Site" } },
                    "ThingGroups": { "Fn::Split": ["|", "a|b"] },
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": CERTIFICATE_ID }, "Status": "Active" },
            },
            "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "device" } },
        },
        "DeviceConfiguration": { "url": { "Fn::FindInMap": ["Urls", { "Ref": "Site" }, "url"] } },
    });
    change(&mut document);
    document.to_string()
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = [(CERTIFICATE_ID, "c1"), ("Serial", "7")].iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_template_comes_to_its_resources() {
    let body = Body::parse(&template(|_| ()), 10_240).unwrap();
    let wish = body.fill_in(&given(&[("Site", "rome"), ("Undeclared", "x")])).unwrap();
    let thing = wish.thing.unwrap();
    assert_eq!((thing.name.as_str(), thing.groups.as_slice()), ("pump-7", ["a".to_owned(), "b".to_owned()].as_slice()));
    assert_eq!(thing.attributes, Some([("site".to_owned(), "rome".to_owned())].into()));
    assert_eq!(
        thing.overrides,
        Overrides { attributes: Override::Merge, thing_type: Override::Fail, groups: Override::DoNothing }
    );
    assert_eq!((wish.certificate.as_str(), wish.active), ("c1", true));
    assert_eq!(wish.policies, [PolicyWish::Named("device".to_owned())]);
    assert_eq!(wish.device_configuration["url"], "https://it");
    assert_eq!(body.fill_in(&given(&[])).unwrap().device_configuration["url"], "https://no", "the default");
}

#[test]
fn functions_come_to_texts() {
    for (part, expected) in [
        (json!({ "Ref": "Serial" }), "7"),
        (json!({ "Fn::Join": ["", ["a", { "Ref": "Serial" }, "b"]] }), "a7b"),
        (json!({ "Fn::Select": ["1", ["a", { "Ref": "Site" }]] }), "oslo"),
        (json!({ "Fn::Select": [0, { "Fn::Split": ["-", "x-y"] }] }), "x"),
        (json!({ "Fn::Sub": "${Site}/${!Site}/${AWS::IoT::Certificate::Id}" }), "oslo/${Site}/c1"),
        (json!({ "Fn::Sub": ["${own}-${Serial}", { "own": { "Ref": "Site" } }] }), "oslo-7"),
    ] {
        let text = template(|t| t["Resources"]["thing"]["Properties"]["ThingName"] = part.clone());
        let wish = Body::parse(&text, 10_240).unwrap().fill_in(&given(&[])).unwrap();
        assert_eq!(wish.thing.unwrap().name, expected, "{part}");
    }
}

#[test]
fn what_cannot_be_registered_is_refused_with_its_name() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 11] = [
        (|t| t["Conditions"] = json!({}), "Conditions"),
        (|t| t["Parameters"]["Serial"]["Type"] = "Number".into(), "Serial"),
        (|t| t["Resources"]["thing"]["Type"] = "AWS::S3::Bucket".into(), "AWS::S3::Bucket"),
        (|t| t["Resources"]["thing"]["Properties"]["Colour"] = "red".into(), "Colour"),
        (|t| t["Resources"]["thing"]["Properties"]["ThingName"] = json!({ "Ref": "Nobody" }), "Nobody"),
        (|t| t["Resources"]["thing"]["Properties"]["ThingName"] = json!({ "Fn::If": [] }), "Fn::If"),
        (|t| t["Resources"]["thing"]["OverrideSettings"]["ThingTypeName"] = "MERGE".into(), "MERGE"),
        (|t| t["Resources"]["policy"]["Properties"]["PolicyDocument"] = "{}".into(), "either"),
        (|t| t["Resources"]["other"] = t["Resources"]["certificate"].clone(), "one certificate"),
        (|t| t["Resources"]["certificate"]["Properties"] = json!({ "CertificatePem": "x" }), "CertificatePem"),
        (|t| t["DeviceConfiguration"]["url"] = json!({ "Fn::FindInMap": ["No", "a", "b"] }), "no mapping"),
    ];
    for (change, expected) in cases {
        let error = Body::parse(&template(change), 10_240).unwrap_err();
        assert!(error.message.contains(expected), "{expected}: {error}");
    }
    assert!(Body::parse(&template(|_| ()), 100).unwrap_err().message.contains("at most 100"));
}

#[test]
fn a_parameter_without_a_value_fails_the_registration() {
    let body = Body::parse(&template(|_| ()), 10_240).unwrap();
    let error = body.fill_in(&BTreeMap::from([(CERTIFICATE_ID.to_owned(), "c1".to_owned())])).unwrap_err();
    assert!(error.message.contains("Serial"), "{error}");
}
