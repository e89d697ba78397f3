//! Creation, deletion and encryption by calls, and what is kept for how long.

use super::*;

fn status(world: &mut World) -> (String, Value) {
    let answer = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "direct"})).unwrap();
    let description = &answer["DeliveryStreamDescription"];
    let status = description["DeliveryStreamStatus"].as_str().unwrap().to_owned();
    (status, description["DeliveryStreamEncryptionConfiguration"].clone())
}

fn name() -> Value {
    json!({"DeliveryStreamName": "direct"})
}

fn put() -> Value {
    json!({"DeliveryStreamName": "direct", "Record": {"Data": "b25l"}})
}

#[test]
fn a_delivery_stream_is_created_and_deleted_by_calls_through_its_states() {
    let mut world = World::new(1);
    let answer = world.call("CreateDeliveryStream", &direct("direct")).unwrap();
    assert_eq!(answer["DeliveryStreamARN"], "arn:aws:firehose:eu-west-1:123456789012:deliverystream/direct");
    assert_eq!(status(&mut world).0, "CREATING");
    let code = |world: &mut World, operation: &str, body: &Value| world.call(operation, body).unwrap_err().code;
    assert_eq!(code(&mut world, "PutRecord", &put()), "ResourceNotFoundException");
    assert_eq!(code(&mut world, "DeleteDeliveryStream", &name()), "ResourceInUseException");
    assert_eq!(code(&mut world, "CreateDeliveryStream", &direct("direct")), "ResourceInUseException");
    world.advance(SECOND * 10);
    assert_eq!(status(&mut world).0, "ACTIVE");
    world.call("PutRecord", &put()).unwrap();
    world.advance(SECOND * 61);
    assert_eq!(world.bucket.objects[0].2, "one");
    world.call("PutRecord", &put()).unwrap();
    world.call("DeleteDeliveryStream", &name()).unwrap();
    assert_eq!(status(&mut world).0, "DELETING");
    assert_eq!(code(&mut world, "PutRecord", &put()), "ResourceNotFoundException");
    assert_eq!(code(&mut world, "StartDeliveryStreamEncryption", &name()), "ResourceInUseException");
    world.advance(SECOND * 100);
    assert_eq!(code(&mut world, "DescribeDeliveryStream", &name()), "ResourceNotFoundException");
    assert_eq!((world.bucket.objects.len(), world.wakes()), (1, 0), "what waited is lost");
}

#[test]
fn encryption_is_started_and_stopped_25_times_a_day() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    world.call("StartDeliveryStreamEncryption", &name()).unwrap();
    assert_eq!(status(&mut world).1, json!({"Status": "ENABLING", "KeyType": "AWS_OWNED_CMK"}));
    assert_eq!(world.call("PutRecord", &put()).unwrap()["Encrypted"], false);
    assert_eq!(world.call("StopDeliveryStreamEncryption", &name()).unwrap_err().code, "ResourceInUseException");
    world.advance(SECOND * 10);
    assert_eq!(status(&mut world).1["Status"], "ENABLED");
    assert_eq!(world.call("PutRecord", &put()).unwrap()["Encrypted"], true);
    for change in 1..25 {
        let operation = if change % 2 == 1 { "StopDeliveryStreamEncryption" } else { "StartDeliveryStreamEncryption" };
        world.call(operation, &name()).unwrap();
        world.advance(SECOND * 10);
    }
    assert_eq!(status(&mut world).1, json!({"Status": "ENABLED", "KeyType": "AWS_OWNED_CMK"}));
    let error = world.call("StopDeliveryStreamEncryption", &name()).unwrap_err();
    assert_eq!(error.code, "LimitExceededException");
    world.advance(SECOND * 24 * 3600);
    world.call("StopDeliveryStreamEncryption", &name()).unwrap();
    world.advance(SECOND * 10);
    assert_eq!(status(&mut world).1, json!({"Status": "DISABLED"}));
    world.create(properties(|_| {})).unwrap();
    let kinesis = world.call("StartDeliveryStreamEncryption", &json!({"DeliveryStreamName": "raw"})).unwrap_err();
    assert_eq!(kinesis.code, "InvalidArgumentException");
}

#[test]
fn what_a_stream_keeps_no_longer_is_lost_and_told() {
    let mut world = World::new(1);
    world.stream.retention = Some(SECOND * 3600);
    world.create(properties(|_| {})).unwrap();
    world.bucket.failures = u32::MAX;
    world.stream.put(0, "old", world.now);
    world.advance(SECOND * 3000);
    world.stream.put(0, "new", world.now);
    world.advance(SECOND * 1200);
    assert_eq!((world.counter("LostRecords"), world.parts.trace.marks()["delivery-expired"]), (1, 1));
    world.bucket.failures = 0;
    world.advance(SECOND * 120);
    assert_eq!(world.bucket.objects.iter().map(|(.., body)| &body[..]).collect::<Vec<_>>(), [b"new"]);
}

#[test]
fn aggregated_records_are_delivered_one_by_one() {
    let mut world = World::new(1);
    world.create(properties(newline_gzip)).unwrap();
    world.stream.put(0, crate::firehose::subrecords::tests::aggregate(&[b"one", b"two"]), world.now);
    world.stream.put(0, "three", world.now);
    world.advance(SECOND * 70);
    assert_eq!(unzip(&world.bucket.objects[0].2), b"one\ntwo\nthree\n");
    assert_eq!(world.counter("DataReadFromKinesisStream.Records"), 2);
    assert_eq!(world.counter("DeliveryToS3.Records"), 3);
}
