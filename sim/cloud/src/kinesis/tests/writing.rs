//! `PutRecord` and `PutRecords`.

use super::*;
use crate::core::ports::parse_sequence_number;

fn entries(count: usize, key: &str, data: &str) -> Vec<Value> {
    (0..count).map(|_| json!({"PartitionKey": key, "Data": base64(data)})).collect()
}

#[test]
fn records_go_where_their_key_or_explicit_hash_key_sends_them() {
    let mut account = Account::with_stream(2);
    let middle = "170141183460469231731687303715884105728";
    let records = json!([
        // MD5 of "a" begins with 0c, of "b" with 92.
        {"PartitionKey": "a", "Data": ""},
        {"PartitionKey": "b", "Data": ""},
        {"PartitionKey": "a", "Data": "", "ExplicitHashKey": middle},
        {"PartitionKey": "b", "Data": "", "ExplicitHashKey": "0"},
        {"PartitionKey": "b", "Data": "", "ExplicitHashKey": u128::MAX.to_string()},
    ]);
    let answer = account.call("PutRecords", json!({"StreamName": "s", "Records": records}));
    let results = answer["Records"].as_array().unwrap();
    let shards: Vec<&str> = results.iter().map(|result| &result["ShardId"].as_str().unwrap()[19..]).collect();
    assert_eq!(shards, ["0", "1", "1", "0", "1"]);
    assert_eq!(answer["FailedRecordCount"], 0);
    let numbers: Vec<&str> = results.iter().map(|result| result["SequenceNumber"].as_str().unwrap()).collect();
    assert!(numbers[1] < numbers[2] && numbers[2] < numbers[4], "{numbers:?}");
    assert_eq!((account.counter("IncomingRecords"), account.counter("IncomingBytes")), (5, 5));
}

#[test]
fn payloads_of_one_call_come_back_each_as_it_was() {
    let mut account = Account::with_stream(1);
    let payloads = ["", "a", "\u{0}\"\\", "längere Nutzlast", "{\"seq\": 1}"];
    let records: Vec<Value> = payloads.iter().map(|data| json!({"PartitionKey": "k", "Data": base64(data)})).collect();
    account.call("PutRecords", json!({"StreamName": "s", "Records": records}));
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    assert_eq!(account.read(&iterator).0, payloads);
    assert_eq!(account.counter("OutgoingRecords"), 5);
    assert_eq!(account.counter("OutgoingBytes"), account.counter("IncomingBytes"));
}

#[test]
fn requests_that_aws_refuses_are_refused_in_its_words() {
    let mut account = Account::with_stream(1);
    let long = "k".repeat(257);
    let cases = [
        (
            json!({"StreamName": "s"}),
            "1 validation error detected: Value null at 'records' failed to satisfy constraint: \
          Member must not be null",
        ),
        (
            json!({"StreamName": "s", "Records": []}),
            "1 validation error detected: Value at 'records' failed to satisfy \
          constraint: Member must have length greater than or equal to 1",
        ),
        (
            json!({"StreamName": "s", "Records": entries(501, "k", "")}),
            "1 validation error detected: Value at 'records' \
          failed to satisfy constraint: Member must have length less than or equal to 500",
        ),
        (
            json!({"StreamName": "s", "Records": [{"PartitionKey": "", "Data": "", "ExplicitHashKey": "01"}]}),
            "2 validation errors detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: \
           Member must have length greater than or equal to 1; Value '01' at 'records.1.member.explicitHashKey' failed \
           to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})",
        ),
        (
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}, {"PartitionKey": "k"}]}),
            "1 validation error detected: Value null at 'records.2.member.data' failed to satisfy constraint: Member must \
           not be null",
        ),
        (
            json!({"StreamName": "s", "Records": entries(1, "k", &"x".repeat(1 << 20))}),
            "1 validation error detected: \
          Value at 'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to \
          1048576",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(account.refused("PutRecords", body), ("ValidationException", expected.to_owned()));
    }
    let (code, message) = account.refused("PutRecord", json!({"StreamName": "s", "PartitionKey": long, "Data": ""}));
    assert_eq!(code, "ValidationException");
    assert!(
        message.ends_with(
            "'partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256"
        )
    );
    let eleven = entries(11, "k", &"x".repeat(1_000_000));
    let too_large = account.refused("PutRecords", json!({"StreamName": "s", "Records": eleven}));
    assert_eq!(too_large, ("InvalidArgumentException", "Records size exceeds 10 MB limit".to_owned()));
    let above = "340282366920938463463374607431768211456";
    let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "ExplicitHashKey": above});
    let expected = format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {above}"
    );
    assert_eq!(account.refused("PutRecord", body), ("InvalidArgumentException", expected));
    let body = json!({"StreamName": "s", "PartitionKey": "k", "Data": "%"});
    assert_eq!(account.refused("PutRecord", body).0, "SerializationException");
    assert_eq!(account.counter("IncomingRecords"), 0);
}

#[test]
fn keys_have_256_characters_however_many_bytes() {
    let mut account = Account::with_stream(1);
    assert!(account.put(&"ü".repeat(256), "x").is_ok());
    assert_eq!(account.put(&"ü".repeat(257), "x").unwrap_err().code, "ValidationException");
    assert_eq!(account.put("", "x").unwrap_err().code, "ValidationException");
}

#[test]
fn a_single_record_is_answered_with_its_shard_and_number() {
    let mut account = Account::with_stream(1);
    let mut last = 0;
    for number in 0..5 {
        let body = json!({"StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s", "PartitionKey": "k",
            "Data": base64(format!("{number}"))});
        let answer = account.call("PutRecord", body);
        let sequence = parse_sequence_number(answer["SequenceNumber"].as_str().unwrap()).unwrap();
        assert!(sequence > last);
        last = sequence;
        account.wait(700);
    }
    let ordering =
        |number: &str| json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": number});
    account.call("PutRecord", ordering(&crate::core::ports::render_sequence_number(last)));
    assert_eq!(account.refused("PutRecord", ordering("12")).0, "InvalidArgumentException");
}

#[test]
fn streams_of_other_accounts_and_contradictions_are_refused() {
    let mut account = Account::with_stream(1);
    let put = |name: Value, arn: Value| json!({"StreamName": name, "StreamARN": arn, "PartitionKey": "k", "Data": ""});
    let ours = json!("arn:aws:kinesis:eu-west-1:123456789012:stream/s");
    let cases = [
        (put(Value::Null, Value::Null), "InvalidArgumentException"),
        (put(json!("t"), ours.clone()), "InvalidArgumentException"),
        (put(Value::Null, json!("arn:aws:kinesis:us-east-1:123456789012:stream/s")), "ResourceNotFoundException"),
        (put(json!("nope"), Value::Null), "ResourceNotFoundException"),
    ];
    for (body, code) in cases {
        assert_eq!(account.refused("PutRecord", body.clone()).0, code, "{body}");
    }
    account.call("PutRecord", put(json!("s"), ours));
}

#[test]
fn entries_that_a_fault_strikes_are_refused_while_others_are_accepted() {
    use crate::core::disturb::Plan;

    let mut account = Account::with_stream(1);
    account.caller = Principal::new("arn:aws:sts::123456789012:assumed-role/r/f");
    let entries = [
        None,
        Some(AwsError::new("InternalFailure", "Internal \"Service\" Failure")),
        Some(AwsError::new("ProvisionedThroughputExceededException", "Rate exceeded")),
    ];
    let monitored = json!({"StreamName": "s", "ShardLevelMetrics": ["WriteProvisionedThroughputExceeded"]});
    account.call("EnableEnhancedMonitoring", monitored);
    account.parts.disturb = Some(Box::new(Plan { entries: entries.into(), ..Plan::default() }));
    let records: Vec<Value> = ["a", "b", "c"].iter().map(|key| json!({"Data": "eA==", "PartitionKey": key})).collect();
    let answer = account.call("PutRecords", json!({"StreamName": "s", "Records": records}));
    assert_eq!(answer["FailedRecordCount"], 2);
    let codes: Vec<Option<&str>> =
        answer["Records"].as_array().unwrap().iter().map(|record| record["ErrorCode"].as_str()).collect();
    assert_eq!(codes, [None, Some("InternalFailure"), Some("ProvisionedThroughputExceededException")]);
    let texts = [1, 2].map(|index| answer["Records"][index]["ErrorMessage"].as_str().unwrap());
    let throttled = "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.";
    assert_eq!(texts, ["Internal \"Service\" Failure", throttled]);
    let metric = "WriteProvisionedThroughputExceeded";
    assert_eq!(account.kinesis.shard_metric("s", "shardId-000000000000", metric), Some(1));
    assert_eq!(account.counter("IncomingRecords"), 1);
    assert_eq!(account.parts.trace.marks()["partial-put"], 1);
}
