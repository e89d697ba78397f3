//! What is written into a destination by default, what is told of it, and what its role must be allowed.

use super::*;

/// A backup of which nothing is said but its place.
fn with_backup(mode: &str) -> Value {
    properties(|p| {
        destination(p)["S3BackupMode"] = json!(mode);
        destination(p)["S3BackupConfiguration"] =
            json!({"RoleARN": super::fakes::ROLE, "BucketARN": "arn:aws:s3:::kept"});
    })
}

#[test]
fn every_destination_is_described_with_all_that_the_api_requires() {
    for mode in ["Enabled", "Disabled"] {
        let mut world = World::new(1);
        world.create(with_backup(mode)).unwrap();
        let answer = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap();
        let described = &answer["DeliveryStreamDescription"]["Destinations"][0];
        let extended = &described["ExtendedS3DestinationDescription"];
        assert_eq!(extended["S3BackupMode"], mode);
        let plain = &described["S3DestinationDescription"];
        let backup = &extended["S3BackupDescription"];
        for (place, hints) in [(plain, [1, 60]), (extended, [1, 60]), (backup, [5, 300])] {
            assert_eq!(place["BufferingHints"], json!({"SizeInMBs": hints[0], "IntervalInSeconds": hints[1]}));
            assert_eq!(place["CompressionFormat"], "UNCOMPRESSED");
            assert_eq!(place["EncryptionConfiguration"], json!({"NoEncryptionConfig": "NoEncryption"}));
            assert_eq!(place["CloudWatchLoggingOptions"], json!({"Enabled": false}));
        }
        assert_eq!(plain.as_object().unwrap().len(), 8, "{plain}");
    }
}

#[test]
fn a_description_can_be_given_back_as_an_update_that_changes_nothing() {
    let mut world = World::new(1);
    world.create(with_backup("Enabled")).unwrap();
    let describe = json!({"DeliveryStreamName": "raw"});
    let answer = world.call("DescribeDeliveryStream", &describe).unwrap();
    let described = &answer["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"];
    let mut update = described.clone();
    let backup = update.as_object_mut().unwrap().remove("S3BackupDescription").unwrap();
    update["S3BackupUpdate"] = backup;
    let update = json!({
        "DeliveryStreamName": "raw", "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001", "ExtendedS3DestinationUpdate": update,
    });
    world.call("UpdateDestination", &update).unwrap();
    assert_eq!(world.call("DescribeDeliveryStream", &describe).unwrap(), answer);
}

#[test]
fn what_the_role_may_not_do_at_creation_is_told_with_the_errors_of_firehose() {
    let stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/readings";
    let role = |action: &str| {
        format!("Role {} is not authorized to perform: {action} on resource {stream}.", super::fakes::ROLE)
    };
    let glue = "Access was denied when calling Glue. Please ensure that the role specified in the data format conversion \
                configuration has the necessary permissions.";
    for (allowed, expected) in [
        (&["kinesis:*"][..], glue.to_owned()),
        (&["glue:*"], role("kinesis:DescribeStream")),
        (&["glue:*", "kinesis:DescribeStream"], role("kinesis:ListShards")),
        (&["glue:*", "kinesis:DescribeStream", "kinesis:ListShards"], role("kinesis:GetShardIterator")),
    ] {
        let mut world = World::new(1);
        world.allow_only(allowed);
        world.stream.closed_to = Some(shard_id(0));
        let error = world.create(converting(|_| {})).unwrap_err();
        assert_eq!((error.code, error.message), ("InvalidArgumentException", expected), "{allowed:?}");
    }
}

#[test]
fn errors_are_below_the_prefix_of_the_records_where_they_have_none_of_their_own() {
    for (prefix, errors, expected) in [
        (None, None, "processing-failed/2026/03/01/00/raw-1-"),
        (Some("raw/"), None, "raw/processing-failed/2026/03/01/00/raw-1-"),
        (Some("raw/"), Some("bad/!{firehose:error-output-type}/"), "bad/processing-failed/raw-1-"),
        (
            Some("!{firehose:random-string}/"),
            Some("!{firehose:error-output-type}/!{timestamp:yyyy}/"),
            "processing-failed/2026/raw-1-",
        ),
    ] {
        let mut world = World::new(1);
        world
            .create(properties(|p| {
                destination(p)["Prefix"] = json!(prefix);
                destination(p)["ErrorOutputPrefix"] = json!(errors);
                destination(p)["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": [
                    {"Type": "Lambda", "Parameters": [
                        {"ParameterName": "LambdaArn", "ParameterValue": FUNCTION},
                        {"ParameterName": "NumberOfRetries", "ParameterValue": "0"},
                    ]},
                ]});
            }))
            .unwrap();
        world.function.refusals = 1;
        world.stream.put(0, "one", world.now);
        world.advance(SECOND * 130);
        let keys: Vec<&String> = world.bucket.objects.iter().map(|(_, key, _)| key).collect();
        assert!(keys.len() == 1 && keys[0].starts_with(expected), "{expected}: {keys:?}");
    }
}

#[test]
fn freshness_grows_while_nothing_can_be_written() {
    for (of_backup, metric) in [(false, "DeliveryToS3.DataFreshness"), (true, "BackupToS3.DataFreshness")] {
        let mut world = World::new(1);
        world.create(with_backup("Enabled")).unwrap();
        world.bucket.closed_below = Some(if of_backup { "2026/" } else { "raw/" }.to_owned());
        world.stream.put(0, "one", world.now);
        let mut ages = Vec::new();
        for _ in 0..3 {
            world.advance(SECOND * 1_000);
            ages.push(world.counter(metric));
        }
        for (minutes, age) in [1_000, 2_000, 3_000].iter().zip(&ages) {
            assert!((minutes - 61..=*minutes).contains(age), "{metric}: {ages:?}");
        }
    }
}
