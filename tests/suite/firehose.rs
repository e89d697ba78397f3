//! Firehose with the real SDK as its client: a delivery stream from its creation to its objects, an upload whose answer is
//! lost, and records that pass through a function of Lambda.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, DeliveryStreamStatus, DeliveryStreamType, ExtendedS3DestinationConfiguration,
    Record,
};
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::function::{Function, FunctionError, InvocationContext};
use platform::transform::enrichment;
use serde_json::{Value, json};
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::{AwsError, Disturb, Disturbance, Point};
use sim::seam::{Cloud, FunctionFactory, Functions, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;

use crate::support::{account, role};

const START: Time = Time::from_unix_secs(1_772_323_200);

const TEMPLATE: &str = r#"{"Resources": {
    "Lake": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "lake"}},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "deliver",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "firehose.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
        "Policies": [{"PolicyName": "deliver", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::lake/*"}]}}]}}
}}"#;

/// The first upload takes effect, and its answer is lost.
struct LostAnswer {
    struck: bool,
}

impl Disturb for LostAnswer {
    fn call(&mut self, _: Time, at: Point<'_>) -> Option<Disturbance> {
        if self.struck || (at.service, at.operation) != ("s3", "PutObject") {
            return None;
        }
        self.struck = true;
        Some(Disturbance::AnswerLost(AwsError::new("InternalError", "the answer is lost").status(500)))
    }

    fn entry(&mut self, _: Time, _: Point<'_>) -> Option<AwsError> {
        None
    }

    fn staleness(&mut self, _: Time, _: Point<'_>) -> Option<Duration> {
        None
    }

    fn standstill(&mut self, _: Time, _: Point<'_>) -> Option<Time> {
        None
    }
}

/// The objects of a delivery of three records, by name.
fn delivered(loses: bool) -> Vec<(String, String)> {
    let seed = Seed::root(7);
    simulate(seed, START, move || async move {
        let (mut account, root) = account(seed);
        create_stack(&mut account, clock::now(), "test", TEMPLATE).unwrap_or_else(|e| panic!("{e}"));
        if loses {
            account.set_disturb(Box::new(LostAnswer { struck: false }));
        }
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        let config = sdk_config(&cloud, &root);
        let firehose = aws_sdk_firehose::Client::new(&config);
        let destination = ExtendedS3DestinationConfiguration::builder()
            .role_arn("arn:aws:iam::123456789012:role/deliver")
            .bucket_arn("arn:aws:s3:::lake")
            .prefix("raw/")
            .buffering_hints(BufferingHints::builder().interval_in_seconds(10).size_in_mbs(1).build())
            .compression_format(CompressionFormat::Uncompressed);
        let create = firehose.create_delivery_stream().delivery_stream_name("raw");
        let create = create.delivery_stream_type(DeliveryStreamType::DirectPut);
        create.extended_s3_destination_configuration(destination.build().unwrap()).send().await.unwrap();
        loop {
            let described = firehose.describe_delivery_stream().delivery_stream_name("raw").send().await.unwrap();
            let described = described.delivery_stream_description.unwrap();
            match described.delivery_stream_status {
                DeliveryStreamStatus::Active => break,
                other => assert_eq!(other, DeliveryStreamStatus::Creating),
            }
            clock::sleep(Duration::from_secs(1)).await;
        }
        let records = ["one,", "two,", "three"].map(|text| Record::builder().data(Blob::new(text)).build().unwrap());
        let put = firehose.put_record_batch().delivery_stream_name("raw").set_records(Some(records.to_vec()));
        let answer = put.send().await.unwrap();
        assert_eq!((answer.failed_put_count, answer.request_responses.len()), (0, 3));
        clock::sleep(Duration::from_secs(30)).await;
        objects(&config).await
    })
}

/// The objects of the bucket, by name.
async fn objects(config: &SdkConfig) -> Vec<(String, String)> {
    let s3 = aws_sdk_s3::Client::new(config);
    let mut objects = Vec::new();
    for object in s3.list_objects_v2().bucket("lake").send().await.unwrap().contents() {
        let key = object.key().unwrap().to_owned();
        let body = s3.get_object().bucket("lake").key(&key).send().await.unwrap().body.collect().await.unwrap();
        objects.push((key, String::from_utf8(body.to_vec()).unwrap()));
    }
    objects
}

#[test]
fn a_delivery_stream_made_by_calls_delivers_what_is_put() {
    let objects = delivered(false);
    let [(key, body)] = &objects[..] else { panic!("{objects:?}") };
    assert!(key.starts_with("raw/2026/03/01/00/raw-1-2026-03-01-00-0"), "{key}");
    assert_eq!(body, "one,two,three");
}

#[test]
fn an_upload_whose_answer_is_lost_is_written_again_under_a_new_name() {
    let objects = delivered(true);
    let [(first, one), (second, two)] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!((one.as_str(), one), ("one,two,three", two));
    let named = |key: &str| key.starts_with("raw/2026/03/01/00/raw-1-2026-03-01-00-0");
    assert!(first != second && named(first) && named(second), "{first} {second}");
}

/// A function that makes records upper case. Some it drops, some it fails, and over some it sleeps.
struct Upper;

#[async_trait]
impl Function for Upper {
    async fn invoke(&self, event: &[u8], _: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let event: Value = serde_json::from_slice(event).expect("an event is JSON");
        let mut records = Vec::new();
        for record in event["records"].as_array().expect("an event of Firehose has records") {
            let text = String::from_utf8(STANDARD.decode(record["data"].as_str().unwrap()).unwrap()).unwrap();
            let result = match text.as_str() {
                "drop," => "Dropped",
                "fail," => "ProcessingFailed",
                "slow," => {
                    clock::sleep(Duration::from_secs(10)).await;
                    "Ok"
                }
                _ => "Ok",
            };
            let data = STANDARD.encode(text.to_uppercase());
            records.push(json!({ "recordId": record["recordId"], "result": result, "data": data }));
        }
        Ok(json!({ "records": records }).to_string().into_bytes())
    }
}

/// A bucket, and a delivery stream to it through a function with a time-out of 3 s. `actions` are what the role of the
/// delivery stream allows.
fn template_of_transformation(actions: &[&str]) -> String {
    let variables: Value = enrichment::VARIABLES.iter().map(|name| ((*name).to_owned(), json!("x"))).collect();
    let parameter = |name: &str, value: Value| json!({ "ParameterName": name, "ParameterValue": value });
    json!({ "Resources": {
        "Lake": { "Type": "AWS::S3::Bucket", "Properties": { "BucketName": "lake" } },
        "Role": role("transform-role", "lambda.amazonaws.com", &["logs:*"]),
        "Deliver": role("deliver", "firehose.amazonaws.com", actions),
        "Function": { "Type": "AWS::Lambda::Function", "Properties": {
            "FunctionName": "transform", "Handler": enrichment::HANDLER, "Runtime": "provided.al2023", "Timeout": 3,
            "Role": { "Fn::GetAtt": ["Role", "Arn"] }, "Code": { "S3Bucket": "artifacts", "S3Key": "v1.zip" },
            "Environment": { "Variables": variables },
        } },
        "Stream": { "Type": "AWS::KinesisFirehose::DeliveryStream", "Properties": {
            "DeliveryStreamName": "raw", "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": {
                "RoleARN": { "Fn::GetAtt": ["Deliver", "Arn"] }, "BucketARN": { "Fn::GetAtt": ["Lake", "Arn"] },
                "Prefix": "raw/", "BufferingHints": { "IntervalInSeconds": 0, "SizeInMBs": 1 },
                "ProcessingConfiguration": { "Enabled": true, "Processors": [{ "Type": "Lambda", "Parameters": [
                    parameter("LambdaArn", json!({ "Fn::GetAtt": ["Function", "Arn"] })),
                    parameter("NumberOfRetries", json!("1")),
                ] }] },
            },
        } },
    } })
    .to_string()
}

/// What becomes of batches of records, of which one a minute and a half is put: the bodies of data, and the lines of errors
/// by what they were before (record, code, function, attempts), in the order of their keys.
fn transformed(actions: &'static [&'static str], batches: &'static [&'static [&'static str]]) -> (String, Vec<String>) {
    let seed = Seed::root(7);
    let objects = simulate(seed, START, move || async move {
        let (mut account, root) = account(seed);
        let template = template_of_transformation(actions);
        create_stack(&mut account, clock::now(), "test", &template).unwrap_or_else(|e| panic!("{e}"));
        let cloud = Cloud::new(account, seed);
        let node = |name| madsim::runtime::Handle::current().create_node().name(name).build();
        let wrap: FunctionFactory = Arc::new(|name, _| {
            assert_eq!(name, "transform");
            Box::new(Upper)
        });
        cloud.set_functions(Functions::new(node("lambda"), Some(wrap)));
        cloud.spawn_pump(&node("aws"));
        let config = sdk_config(&cloud, &root);
        let firehose = aws_sdk_firehose::Client::new(&config);
        for batch in batches {
            let records = batch.iter().map(|text| Record::builder().data(Blob::new(*text)).build().unwrap()).collect();
            let put = firehose.put_record_batch().delivery_stream_name("raw").set_records(Some(records));
            assert_eq!(put.send().await.unwrap().failed_put_count, 0);
            clock::sleep(Duration::from_secs(90)).await;
        }
        objects(&config).await
    });
    let (mut data, mut errors) = (String::new(), Vec::new());
    for (key, body) in objects {
        if key.starts_with("raw/2026/03/01/00/raw-1-") {
            data.push_str(&body);
            continue;
        }
        assert!(key.starts_with("raw/processing-failed/2026/03/01/00/raw-1-"), "{key}");
        for line in body.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |member: &str| line[member].as_str().unwrap().to_owned();
            let record = String::from_utf8(STANDARD.decode(text("rawData")).unwrap()).unwrap();
            assert_eq!(text("lambdaArn"), "arn:aws:lambda:eu-west-1:123456789012:function:transform");
            errors.push(format!("{record} {} {}", text("errorCode"), line["attemptsMade"]));
        }
    }
    (data, errors)
}

const MAY_INVOKE: &[&str] = &["s3:PutObject", "lambda:InvokeFunction"];

#[test]
fn records_become_what_a_function_of_lambda_makes_of_them() {
    let batches: &[&[&str]] = &[&["one,", "drop,", "fail,", "two,"], &["three,"]];
    let (data, errors) = transformed(MAY_INVOKE, batches);
    assert_eq!((data.as_str(), errors), ("ONE,TWO,THREE,", vec!["fail, Lambda.ProcessingFailedStatus 1".to_owned()]));
}

#[test]
fn a_batch_over_which_the_function_sleeps_too_long_goes_to_the_error_output_and_the_next_one_does_not() {
    let (data, errors) = transformed(MAY_INVOKE, &[&["slow,", "one,"], &["two,"]]);
    let expected = ["slow, Lambda.FunctionTimedOut 2", "one, Lambda.FunctionTimedOut 2"];
    assert_eq!((data.as_str(), errors), ("TWO,", expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_role_that_may_not_invoke_the_function_sends_every_record_to_the_error_output() {
    let (data, errors) = transformed(&["s3:PutObject"], &[&["one,"]]);
    assert_eq!((data.as_str(), errors), ("", vec!["one, Lambda.InvokeAccessDenied 2".to_owned()]));
}
