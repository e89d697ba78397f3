//! Firehose with the real SDK as its client: a delivery stream from its creation to its objects, and an upload whose
//! answer is lost.

use std::time::Duration;

use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, DeliveryStreamStatus, DeliveryStreamType, ExtendedS3DestinationConfiguration,
    Record,
};
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::{AwsError, Disturb, Disturbance, Point};
use sim::seam::{Cloud, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;

use crate::support::account;

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

/// The objects of a delivery of three records, by name, and how many requests were answered with which status.
fn delivered(loses: bool) -> Vec<(String, String)> {
    let seed = Seed::root(7);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
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
        let s3 = aws_sdk_s3::Client::new(&config);
        let mut objects = Vec::new();
        for object in s3.list_objects_v2().bucket("lake").send().await.unwrap().contents() {
            let key = object.key().unwrap().to_owned();
            let body = s3.get_object().bucket("lake").key(&key).send().await.unwrap().body.collect().await.unwrap();
            objects.push((key, String::from_utf8(body.to_vec()).unwrap()));
        }
        objects
    })
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
