//! Delivery streams that change, and go, while records flow.

use super::*;

const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/6d1b0d2c-0f57-4d2e-9f8e-2f6f0c3b7a11";

fn described(world: &mut World) -> Value {
    let answer = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap();
    answer["DeliveryStreamDescription"].clone()
}

#[test]
fn what_waits_at_a_change_is_delivered_by_the_new_configuration_and_nothing_is_lost() {
    let mut world = World::new(1);
    let before = properties(|_| {});
    let after = properties(|p| {
        newline_gzip(p);
        destination(p)["Prefix"] = json!("new/!{timestamp:yyyy/MM/dd/HH}/");
        destination(p)["BufferingHints"] = json!({"IntervalInSeconds": 20, "SizeInMBs": 1});
    });
    world.create(before.clone()).unwrap();
    world.stream.put(0, "1", world.now);
    world.advance(SECOND * 62);
    world.stream.put(0, "2", world.now);
    world.advance(SECOND * 10);
    world.update(&before, after.clone()).unwrap();
    // The record has waited for 9 s to 10 s of the 20 s that it waits now.
    world.advance(SECOND * 9);
    assert_eq!(world.bucket.objects.len(), 1);
    world.advance(SECOND * 3);
    world.stream.put(0, "3", world.now);
    world.advance(SECOND * 25);
    let [first, second, third] = &world.bucket.objects[..] else { panic!("{:?}", world.bucket.objects) };
    assert!(first.1.starts_with("raw/") && first.1.contains("/raw-1-") && first.2 == "1", "{}", first.1);
    for ((_, key, body), expected) in [(second, "2\n"), (third, "3\n")] {
        assert!(key.starts_with("new/2026/03/01/00/raw-2-") && key.ends_with(".gz"), "{key}");
        assert_eq!(unzip(body), expected.as_bytes());
    }
    let description = described(&mut world);
    assert_eq!(
        (&description["VersionId"], &description["LastUpdateTimestamp"]),
        (&json!("2"), &json!(1_772_323_272.0))
    );

    world.update(&after, after.clone()).unwrap();
    assert_eq!(described(&mut world)["VersionId"], "2", "what does not change makes no version");
    world.advance(SECOND * 60);
    assert_eq!(world.wakes(), 1, "one wake-up for the shard, and none that an older buffer asked for");
}

#[test]
fn a_buffer_that_is_full_by_the_new_hints_goes_at_once() {
    let mut world = World::new(1);
    let before = properties(|p| destination(p)["BufferingHints"] = json!({"IntervalInSeconds": 900, "SizeInMBs": 5}));
    world.create(before.clone()).unwrap();
    (0..3).for_each(|_| world.stream.put(0, vec![b'x'; 700 << 10], world.now));
    world.advance(SECOND * 2);
    assert!(world.bucket.objects.is_empty());
    world.update(&before, properties(|_| {})).unwrap();
    world.advance(SECOND);
    assert_eq!(world.bucket.objects.iter().map(|(.., body)| body.len()).collect::<Vec<_>>(), [2_100 << 10]);
}

#[test]
fn an_object_that_waits_for_its_bucket_keeps_its_key_and_its_format_across_a_change() {
    let mut world = World::new(1);
    let before = properties(|_| {});
    world.create(before.clone()).unwrap();
    world.bucket.failures = 6; // 1 + 2 + 4 + 8 + 16 + 32 seconds
    world.stream.put(0, "1", world.now);
    world.advance(SECOND * 65);
    world.update(&before, properties(newline_gzip)).unwrap();
    world.stream.put(0, "2", world.now);
    world.advance(SECOND * 130);
    let [(_, first, one), (_, second, two)] = &world.bucket.objects[..] else { panic!("two objects") };
    assert!(first.contains("/raw-1-") && one == "1", "{first}");
    assert!(second.contains("/raw-2-") && unzip(two) == b"2\n", "{second}");
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let mut world = World::new(1);
    let before = properties(|_| {});
    world.create(before.clone()).unwrap();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 4] = [
        (|p| destination(p)["CompressionFormat"] = json!("LZO"), "LZO"),
        (|p| p["DeliveryStreamName"] = json!("other"), "another delivery stream"),
        (|p| p["KinesisStreamSourceConfiguration"]["RoleARN"] = json!("r"), "another delivery stream"),
        (|p| p["Tags"] = json!([{"Key": "aws:x", "Value": "v"}]), "aws:x"),
    ];
    for (change, text) in cases {
        let error = world.update(&before, properties(change)).unwrap_err();
        assert!(error.message.contains(text), "{error}");
    }
    let error =
        world.update(&before, converting(|p| conversion(p)["SchemaConfiguration"]["TableName"] = json!("gone")));
    assert_eq!(error.unwrap_err().code, "InvalidArgumentException");
    world.stream.put(0, "1", world.now);
    world.advance(SECOND * 70);
    assert!(world.bucket.objects[0].1.contains("/raw-1-"));
}

#[test]
fn a_deleted_delivery_stream_loses_what_waits_and_its_name_is_free() {
    let mut world = World::new(2);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(0, "lost", world.now);
    world.advance(SECOND * 10);
    world.delete(properties(|_| {}));
    world.delete(properties(|_| {}));
    let gone = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
    world.advance(SECOND * 200);
    assert!(world.bucket.objects.is_empty());
    assert_eq!(world.wakes(), 0);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(1, "kept", world.now);
    world.advance(SECOND * 70);
    assert_eq!(world.bucket.objects.iter().map(|(.., body)| body.as_ref()).collect::<Vec<_>>(), [b"kept"]);
    world.call("DeleteDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap();
    world.call("DeleteDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap();
    assert_eq!(described(&mut world)["DeliveryStreamStatus"], "DELETING");
    world.advance(SECOND * 10);
    let again = world.call("DeleteDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap_err();
    assert_eq!(again.code, "ResourceNotFoundException");
}

#[test]
fn update_destination_merges_what_is_given_into_the_version_that_is_meant() {
    let mut world = World::new(1);
    world.create(properties(|_| {})).unwrap();
    let update = |version: &str, destination: &str, update: Value| {
        json!({
            "DeliveryStreamName": "raw", "CurrentDeliveryStreamVersionId": version, "DestinationId": destination,
            "ExtendedS3DestinationUpdate": update,
        })
    };
    let id = "destinationId-000000000001";
    let gzip = json!({"CompressionFormat": "GZIP"});
    for (body, code) in [
        (update("2", id, gzip.clone()), "ConcurrentModificationException"),
        (update("1", "destinationId-2", gzip.clone()), "InvalidArgumentException"),
        (update("1", id, json!({"BufferingHints": {"SizeInMBs": 500}})), "InvalidArgumentException"),
        (update("1", id, json!({"S3BackupUpdate": {}})), "NotImplemented"),
    ] {
        world.advance(SECOND);
        assert_eq!(world.call("UpdateDestination", &body).unwrap_err().code, code, "{body}");
    }
    world.call("UpdateDestination", &update("1", id, gzip)).unwrap();
    let description = described(&mut world);
    let extended = &description["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!((&description["VersionId"], &extended["CompressionFormat"]), (&json!("2"), &json!("GZIP")));
    assert_eq!(extended["Prefix"], "raw/!{timestamp:yyyy/MM/dd/HH}/", "what is not given stays");
}

#[test]
fn encryption_and_logging_are_described_and_checked() {
    let mut world = World::new(1);
    let encrypted = properties(|p| {
        destination(p)["EncryptionConfiguration"] = json!({"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}});
        destination(p)["CloudWatchLoggingOptions"] =
            json!({"Enabled": true, "LogGroupName": "/aws/kinesisfirehose/raw", "LogStreamName": "S3Delivery"});
    });
    world.create(encrypted).unwrap();
    let description = described(&mut world);
    let extended = &description["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!(extended["EncryptionConfiguration"]["KMSEncryptionConfig"]["AWSKMSKeyARN"], KEY);
    assert_eq!(extended["CloudWatchLoggingOptions"]["LogStreamName"], "S3Delivery");
    world.stream.put(0, "1", world.now);
    world.advance(SECOND * 70);
    assert_eq!(world.bucket.objects.len(), 1);

    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 4] = [
        (
            |p| p["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": "AWS_OWNED_CMK"}),
            "InvalidArgumentException",
            "KinesisStreamAsSource",
        ),
        (
            |p| destination(p)["EncryptionConfiguration"] = json!({"NoEncryptionConfig": "No"}),
            "InvalidArgumentException",
            "NoEncryption",
        ),
        (
            |p| destination(p)["CloudWatchLoggingOptions"] = json!({"Enabled": true, "LogGroupName": "g"}),
            "InvalidArgumentException",
            "LogStreamName",
        ),
        (|p| destination(p)["S3BackupMode"] = json!("Enabled"), "InvalidArgumentException", "S3BackupConfiguration"),
    ];
    for (change, code, text) in cases {
        let (found, message) = refusal(properties(change));
        assert!(found == code && message.contains(text), "{found}: {message}");
    }
    let with_key = |kind: &str| {
        let mut properties = direct("direct");
        properties["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": kind});
        properties
    };
    assert_eq!(refusal(with_key("CUSTOMER_MANAGED_CMK")).0, "InvalidArgumentException");
    world.create(with_key("AWS_OWNED_CMK")).unwrap();
    let put = json!({"DeliveryStreamName": "direct", "Record": {"Data": "b25l"}});
    assert_eq!(world.call("PutRecord", &put).unwrap()["Encrypted"], true);
}

#[test]
fn tags_of_templates_and_calls_are_listed_together() {
    let mut world = World::new(1);
    let before = properties(|p| p["Tags"] = json!([{"Key": "env", "Value": "dev"}, {"Key": "old"}]));
    world.create(before.clone()).unwrap();
    let name = json!({"DeliveryStreamName": "raw"});
    let tag = json!({"DeliveryStreamName": "raw", "Tags": [{"Key": "by-hand", "Value": "1"}, {"Key": "x"}]});
    world.call("TagDeliveryStream", &tag).unwrap();
    world.call("UntagDeliveryStream", &json!({"DeliveryStreamName": "raw", "TagKeys": ["x", "absent"]})).unwrap();
    world.update(&before, properties(|p| p["Tags"] = json!([{"Key": "env", "Value": "prod"}]))).unwrap();
    let listed = world.call("ListTagsForDeliveryStream", &name).unwrap();
    let expected = json!([{"Key": "by-hand", "Value": "1"}, {"Key": "env", "Value": "prod"}]);
    assert_eq!(listed, json!({"Tags": expected, "HasMoreTags": false}));
    assert_eq!(described(&mut world)["VersionId"], "1");
    let codes: Vec<&str> = (0..6)
        .filter_map(|_| world.call("UntagDeliveryStream", &json!({"DeliveryStreamName": "raw", "TagKeys": []})).err())
        .map(|error| error.code)
        .collect();
    assert_eq!(codes, ["ThrottlingException"; 2], "5 calls a second, one of which is spent");
}

#[test]
fn children_that_cannot_be_read_yet_are_all_read_later() {
    let mut world = World::new(1);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(0, "[0]", world.now);
    world.advance(SECOND * 2);
    world.stream.shards.get_mut(&shard_id(0)).unwrap().closed = true;
    for id in [1, 2] {
        world.stream.shards.insert(shard_id(id), Shard { parents: vec![shard_id(0)], ..Shard::default() });
        world.stream.put(id, format!("[{id}]"), world.now);
    }
    world.stream.closed_to = Some(shard_id(2));
    world.advance(SECOND * 10);
    world.stream.closed_to = None;
    world.advance(SECOND * 70);
    let body: Vec<u8> = world.bucket.objects.iter().flat_map(|(.., body)| body.to_vec()).collect();
    let body = String::from_utf8(body).unwrap();
    assert!(body.starts_with("[0]") && body.len() == 9 && body.contains("[1]") && body.contains("[2]"), "{body}");
}
