//! Batches that fail: split, given up, told to the failure destination.

use super::*;

const BUCKET: &str = "arn:aws:s3:::quarantine";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:failures";

fn told(destination: &str) -> Value {
    json!({ "OnFailure": { "Destination": destination } })
}

impl Bench {
    /// (first record, records) of each invocation so far.
    fn spans(&self) -> Vec<(u128, usize)> {
        self.invocations.iter().map(|i| (i.records[0] - 1_000, i.records.len())).collect()
    }
}

#[test]
fn a_poisonous_record_is_isolated_by_halves_and_told_with_its_event() {
    let mut bench = Bench::mapped(
        1,
        json!({
            "BatchSize": 8, "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 2,
            "DestinationConfig": told(BUCKET),
        }),
    );
    bench.afterwards = End::ThrowsAt(1_005);
    bench.put("shard-0", 9);
    bench.run_until(at(60.0));
    // Splits cost no attempt: the record alone has all three.
    let expected = [(0, 8), (0, 4), (4, 4), (4, 2), (4, 1), (5, 1), (5, 1), (5, 1), (6, 2), (8, 1)];
    assert_eq!(bench.spans(), expected);
    let [(caller, bucket, key, record)] = bench.store.objects.as_slice() else { panic!("{:?}", bench.store.objects) };
    assert_eq!(caller, "arn:aws:sts::123456789012:assumed-role/enrichment-role/enrich");
    assert_eq!(bucket, "quarantine");
    let mapping = &bench.lambda.mappings[0].uuid;
    let start = format!("aws/lambda/{mapping}/shard-0/2027/01/15/2027-01-15T08.00.");
    assert!(key.starts_with(&start) && key.len() == start.len() + 2 + 37, "{key}");
    let number = render_sequence_number(1_005);
    let payload: Value = serde_json::from_str(record["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["Records"].as_array().unwrap().len(), 1);
    assert_eq!(payload, bench.invocations[5].event);
    let mut record = record.clone();
    for volatile in ["payload", "timestamp"] {
        record.as_object_mut().unwrap().remove(volatile);
    }
    assert!(record["requestContext"].as_object_mut().unwrap().remove("requestId").is_some());
    assert_eq!(
        record,
        json!({
            "requestContext": {
                "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:enrich",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 3,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0",
            "KinesisBatchInfo": {
                "shardId": "shard-0",
                "startSequenceNumber": number,
                "endSequenceNumber": number,
                "approximateArrivalOfFirstRecord": "2027-01-15T08:00:00.000Z",
                "approximateArrivalOfLastRecord": "2027-01-15T08:00:00.000Z",
                "batchSize": 1,
                "streamArn": STREAM_ARN,
            },
        })
    );
    assert_eq!(bench.counter("OnFailureDestinationDeliveredEventCount"), 1);
    assert_eq!(bench.counter("DroppedEventCount"), 0);
}

#[test]
fn without_splits_the_whole_batch_is_given_up_after_its_attempts() {
    for (retries, invocations) in [(0, 1), (1, 2), (3, 4)] {
        let mut bench = Bench::mapped(1, json!({ "MaximumRetryAttempts": retries, "DestinationConfig": told(TOPIC) }));
        bench.ends = std::iter::repeat_n(End::Throws, invocations).collect();
        bench.put("shard-0", 3);
        bench.run_until(at(60.0));
        bench.put("shard-0", 1);
        bench.run_until(at(70.0));
        assert_eq!(bench.invocations.len(), invocations + 1, "{retries}");
        assert_eq!(bench.invocations.last().unwrap().records, [1_003]);
        let [(topic, record)] = bench.topics.messages.as_slice() else { panic!("{:?}", bench.topics.messages) };
        assert_eq!(topic, TOPIC);
        assert_eq!(record["requestContext"]["approximateInvokeCount"], json!(invocations));
        assert_eq!(record["KinesisBatchInfo"]["batchSize"], json!(3));
        assert_eq!(record.get("payload"), None, "a topic gets no data");
    }
}

#[test]
fn a_partial_answer_splits_at_the_number_and_says_null_in_the_record() {
    let settings = json!({
        "FunctionResponseTypes": ["ReportBatchItemFailures"], "BisectBatchOnFunctionError": true,
        "MaximumRetryAttempts": 1, "DestinationConfig": told(BUCKET),
    });
    let mut bench = Bench::mapped(1, settings);
    bench.put("shard-0", 6);
    // At record 4, then the first of two, then alone until its attempts are used up.
    bench.ends = [End::FailsAt(4), End::FailsAt(0), End::FailsAt(0), End::FailsAt(0)].into();
    bench.run_until(at(60.0));
    assert_eq!(bench.spans(), [(0, 6), (4, 2), (4, 1), (4, 1), (5, 1)]);
    assert_eq!(bench.store.objects[0].3["responseContext"]["functionError"], Value::Null);
    assert_eq!(bench.store.objects[0].3["requestContext"]["approximateInvokeCount"], json!(2));
}

#[test]
fn records_that_are_too_old_are_given_up_without_a_response_and_the_rest_of_the_batch_goes_on() {
    let mut bench = Bench::mapped(
        1,
        json!({ "MaximumRecordAgeInSeconds": 60, "MaximumBatchingWindowInSeconds": 30, "DestinationConfig": told(BUCKET) }),
    );
    bench.put("shard-0", 2);
    bench.run_until(at(20.0));
    bench.put("shard-0", 3);
    bench.ends = std::iter::repeat_n(End::Throws, 5).collect();
    bench.run_until(at(75.0));
    assert_eq!(bench.spans().last(), Some(&(2, 3)));
    bench.run_until(at(200.0));
    let records: Vec<_> = bench.store.objects.iter().map(|(.., record)| record).collect();
    assert_eq!(records.len(), 1, "three records succeed before they are too old");
    assert_eq!(records[0]["requestContext"]["condition"], json!("RecordAgeExceeded"));
    assert_eq!(records[0].get("responseContext"), None);
    assert_eq!(records[0]["KinesisBatchInfo"]["batchSize"], json!(2));
}

#[test]
fn a_record_that_no_event_can_hold_is_told_whole() {
    let mut bench = Bench::mapped(1, json!({ "DestinationConfig": told(BUCKET) }));
    bench.put("shard-0", 1);
    bench.stream.put("shard-0", bench.now, &vec![7_u8; 5_000_000]);
    bench.put("shard-0", 1);
    bench.run_until(at(5.0));
    assert_eq!(bench.spans(), [(0, 1), (2, 1)]);
    let record = &bench.store.objects[0].3;
    assert_eq!(record["requestContext"]["approximateInvokeCount"], json!(0));
    assert!(record["payload"].as_str().unwrap().len() > 6_291_456);
}

#[test]
fn a_destination_that_refuses_is_told_again_and_its_lane_waits() {
    let mut bench = Bench::mapped(1, json!({ "MaximumRetryAttempts": 0, "DestinationConfig": told(BUCKET) }));
    bench.store.refusals = 3;
    bench.ends = [End::Throws].into();
    bench.put("shard-0", 2);
    bench.run_until(at(1.5));
    bench.put("shard-0", 1);
    bench.run_until(at(60.0));
    assert_eq!((bench.store.objects.len(), bench.counter("DestinationDeliveryFailures")), (1, 3));
    // Told at 1.1 s, 2.1 s, 4.1 s and 8.1 s.
    assert_eq!(bench.batches(), [(1.0, 2), (8.1, 1)]);
}

#[test]
fn throttles_cost_no_attempt() {
    let mut properties = function("slow");
    properties["ReservedConcurrentExecutions"] = json!(1);
    let mut bench = Bench::new(2);
    bench.provision("AWS::Lambda::Function", properties).unwrap();
    bench.run = Duration::from_secs(50);
    bench.map(json!({ "FunctionName": "slow", "MaximumRetryAttempts": 0, "DestinationConfig": told(BUCKET) })).unwrap();
    bench.put("shard-0", 1);
    bench.put("shard-1", 1);
    bench.run_until(at(300.0));
    assert!(bench.counter("Throttles") >= 5);
    assert_eq!((bench.invocations.len(), bench.store.objects.len()), (2, 0));
}
