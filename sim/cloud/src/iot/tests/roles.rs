//! Actions against the real services of an account: each needs its permission in the role of its action.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet};
use serde_json::{Value, json};

use super::fleet::{certificate, encode, publish};
use crate::account::Account;
use crate::cloudformation::create_stack;
use crate::core::ports::Objects as _;
use crate::iot::DeviceRegistration;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

const NOW: Time = Time::from_unix_secs(1_772_323_200);

/// The actions of the test, with the permission that each needs.
fn actions(role: &str) -> [(&'static str, &'static str, Value); 7] {
    let role = json!({ "Fn::GetAtt": [role, "Arn"] });
    let topic = json!({ "Ref": "Topic" });
    let metric =
        json!({ "RoleArn": role, "MetricNamespace": "n", "MetricName": "m", "MetricValue": "1", "MetricUnit": "None" });
    [
        (
            "KinesisAction",
            "kinesis:PutRecord",
            json!({ "Kinesis": { "RoleArn": role, "StreamName": "raw", "PartitionKey": "k" } }),
        ),
        (
            "FirehoseAction",
            "firehose:PutRecord",
            json!({ "Firehose": { "RoleArn": role, "DeliveryStreamName": "direct" } }),
        ),
        ("S3Action", "s3:PutObject", json!({ "S3": { "RoleArn": role, "BucketName": "copies", "Key": "k" } })),
        ("RepublishAction", "iot:Publish", json!({ "Republish": { "RoleArn": role, "Topic": "copy" } })),
        ("SnsAction", "sns:Publish", json!({ "Sns": { "RoleArn": role, "TargetArn": topic } })),
        (
            "DynamoDBv2Action",
            "dynamodb:PutItem",
            json!({ "DynamoDBv2": { "RoleArn": role, "PutItem": { "TableName": "items" } } }),
        ),
        ("CloudwatchMetricAction", "cloudwatch:PutMetricData", json!({ "CloudwatchMetric": metric })),
    ]
}

/// An account with a rule whose role has all permissions but one.
fn account(without: &str) -> Account {
    let mut account = Account::new("eu-west-1", Seed::root(1), Trace::new());
    let role = |name: &str, actions: &[&str]| {
        let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Service": ["iot.amazonaws.com", "firehose.amazonaws.com"] }, "Action": "sts:AssumeRole" }] });
        let document = json!({ "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
        json!({ "Type": "AWS::IAM::Role", "Properties": { "RoleName": name, "AssumeRolePolicyDocument": trust,
            "Policies": [{ "PolicyName": "p", "PolicyDocument": document }] } })
    };
    let granted: Vec<&str> = actions("Rule").iter().map(|(_, action, _)| *action).filter(|a| *a != without).collect();
    let rule_actions: Vec<Value> = actions("Rule").into_iter().map(|(_, _, action)| action).collect();
    let everything =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:*", "Resource": "*" } });
    let bucket = |name: &str| json!({ "Type": "AWS::S3::Bucket", "Properties": { "BucketName": name } });
    let errors =
        json!({ "S3": { "RoleArn": { "Fn::GetAtt": ["Errors", "Arn"] }, "BucketName": "errors", "Key": "e" } });
    let template = json!({ "Resources": {
        "Rule": role("rule", &granted),
        "Errors": role("errors", &["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"]),
        "Copies": bucket("copies"),
        "ErrorBucket": bucket("errors"),
        "Stream": { "Type": "AWS::Kinesis::Stream", "Properties": { "Name": "raw", "ShardCount": 1 } },
        "Topic": { "Type": "AWS::SNS::Topic", "Properties": { "TopicName": "topic" } },
        "Table": { "Type": "AWS::DynamoDB::Table", "Properties": { "TableName": "items", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }] } },
        "Direct": { "Type": "AWS::KinesisFirehose::DeliveryStream", "Properties": {
            "DeliveryStreamName": "direct", "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": {
                "BucketARN": { "Fn::GetAtt": ["Copies", "Arn"] }, "RoleARN": { "Fn::GetAtt": ["Errors", "Arn"] },
                "BufferingHints": { "IntervalInSeconds": 60, "SizeInMBs": 1 } } } },
        "Policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "all", "PolicyDocument": everything } },
        "TopicRule": { "Type": "AWS::IoT::TopicRule", "Properties": { "RuleName": "r", "TopicRulePayload": {
            "AwsIotSqlVersion": "2016-03-23", "Sql": "SELECT id, topic() AS topic FROM 't'",
            "Actions": rule_actions, "ErrorAction": errors } } },
    } });
    create_stack(&mut account, NOW, "s", &template.to_string()).unwrap();
    let device = DeviceRegistration {
        thing_name: "d1".to_owned(),
        thing_type: None,
        attributes: [].into(),
        certificate_id: certificate("d1"),
        policy_name: "all".to_owned(),
    };
    account.as_owner(NOW, |services, cx| services.iot.register_device(cx, &device)).unwrap();
    account.mqtt_open(NOW, 1, &certificate("d1"), "10.0.0.9").unwrap();
    account.mqtt_receive(NOW, 1, &encode(&Packet::Connect(Connect::new("d1"))));
    account.mqtt_receive(NOW, 1, &encode(&publish("t", 1, r#"{"id": "i", "left": "out"}"#)));
    account.wake_due(NOW);
    account
}

fn object(account: &mut Account, bucket: &str, key: &str) -> Option<Vec<u8>> {
    account.as_owner(NOW, |services, cx| services.s3.get_object(cx, bucket, key)).ok().map(|body| body.to_vec())
}

#[test]
fn with_all_permissions_every_service_has_the_result() {
    let mut account = account("");
    assert_eq!(object(&mut account, "errors", "e").map(|body| String::from_utf8(body).unwrap()), None);
    let copy = object(&mut account, "copies", "k").unwrap();
    assert_eq!(copy, br#"{"id":"i","topic":"t"}"#);
    let calls = account.meter().calls();
    for (service, operation) in [
        ("kinesis", "PutRecord"),
        ("firehose", "PutRecord"),
        ("s3", "PutObject"),
        ("sns", "Publish"),
        ("dynamodb", "PutItem"),
        ("cloudwatch", "PutMetricData"),
    ] {
        assert_eq!(calls[&(service, operation)].ok, 1, "{service} {operation}");
    }
    assert_eq!(account.meter().counters()[&("iot", "Success")], 7);
    assert_eq!(
        account.as_owner(NOW, |services, _| services
            .sns
            .topic("arn:aws:sns:eu-west-1:123456789012:topic")
            .map(|topic| topic.published())),
        Some(1)
    );
}

#[test]
fn without_its_permission_an_action_fails_and_the_others_do_not() {
    for (name, permission, _) in actions("Rule") {
        let mut account = account(permission);
        let document: Value = serde_json::from_slice(&object(&mut account, "errors", "e").expect(permission)).unwrap();
        let failures = document["failures"].as_array().unwrap();
        assert_eq!((failures.len(), failures[0]["failedAction"].as_str()), (1, Some(name)), "{permission}: {document}");
        let message = failures[0]["errorMessage"].as_str().unwrap();
        assert!(
            message.contains("not authorized to perform") && message.contains(permission),
            "{permission}: {message}"
        );
        assert_eq!(account.meter().counters()[&("iot", "Success")], 6, "{permission}");
    }
}

/// The device is told nothing of all that.
#[test]
fn the_message_is_acknowledged_whatever_becomes_of_its_actions() {
    let mut account = account("kinesis:PutRecord");
    let mut acknowledged = false;
    for effect in account.take_effects() {
        if let crate::core::Effect::MqttSend { bytes, .. } = effect {
            let mut bytes = BytesMut::from(&bytes[..]);
            while !bytes.is_empty() {
                acknowledged |= matches!(Packet::read(&mut bytes, 200_000).unwrap(), Packet::PubAck(_));
            }
        }
    }
    assert!(acknowledged);
}
