//! Rates of shards.

use super::*;

#[test]
fn a_shard_takes_a_thousand_records_a_second_and_the_other_shards_do_not_mind() {
    let mut account = Account::with_stream(2);
    for _ in 0..1_000 {
        account.put("a", "x").unwrap();
    }
    let error = account.put("a", "x").unwrap_err();
    assert_eq!(error.code, "ProvisionedThroughputExceededException");
    assert_eq!(error.message, "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.");
    assert!(error.is_throttle());
    account.put("b", "x").unwrap();
    account.wait(10);
    let accepted = (0..20).filter(|_| account.put("a", "x").is_ok()).count();
    assert_eq!(accepted, 10);
    assert_eq!(account.counter("WriteProvisionedThroughputExceeded"), 11);
    assert_eq!(account.counter("IncomingRecords"), 1_011);
    let calls = account.parts.meter.calls()[&("kinesis", "PutRecord")];
    assert_eq!((calls.ok, calls.throttled), (1_011, 11));
}

#[test]
fn a_shard_takes_a_mebibyte_a_second_counting_keys() {
    let mut account = Account::with_stream(1);
    let half = "x".repeat((512 << 10) - 3);
    account.put("key", &half).unwrap();
    account.put("key", &half).unwrap();
    assert_eq!(account.put("k", "").unwrap_err().code, "ProvisionedThroughputExceededException");
    account.wait(500);
    account.put("key", &half).unwrap();
    assert_eq!(account.counter("IncomingBytes"), 3 << 19);
}

#[test]
fn records_of_one_call_are_refused_one_by_one() {
    let mut account = Account::with_stream(2);
    for _ in 0..998 {
        account.put("a", "x").unwrap();
    }
    let records: Vec<Value> =
        ["a", "a", "a", "b", "a"].iter().map(|key| json!({"PartitionKey": key, "Data": ""})).collect();
    let answer = account.call("PutRecords", json!({"StreamName": "s", "Records": records}));
    assert_eq!(answer["FailedRecordCount"], 2);
    let codes: Vec<Option<&str>> =
        answer["Records"].as_array().unwrap().iter().map(|result| result["ErrorCode"].as_str()).collect();
    let refused = Some("ProvisionedThroughputExceededException");
    assert_eq!(codes, [None, None, refused, None, refused]);
    let message = "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.";
    assert_eq!(answer["Records"][2]["ErrorMessage"], message);
    let calls = account.parts.meter.calls()[&("kinesis", "PutRecords")];
    assert_eq!((calls.ok, calls.throttled), (1, 0));
}

#[test]
fn a_shard_answers_five_reads_a_second_whoever_asks() {
    let mut account = Account::with_stream(1);
    let iterator = account.iterator(0, "LATEST", ("", Value::Null));
    let cursor = account.act(|k, cx| k.cursor(cx, "s", "shardId-000000000000", StartingPosition::Latest)).unwrap();
    for turn in 0..5 {
        if turn % 2 == 0 {
            account.read(&iterator);
        } else {
            account.act(|kinesis, cx| kinesis.get_records(cx, &cursor, 10)).unwrap();
        }
    }
    let (code, message) = account.refused("GetRecords", json!({"ShardIterator": iterator}));
    assert_eq!(code, "ProvisionedThroughputExceededException");
    assert_eq!(message, "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.");
    let error = account.act(|kinesis, cx| kinesis.get_records(cx, &cursor, 10)).unwrap_err();
    assert_eq!(error.code, code);
    account.wait(200);
    account.read(&iterator);
    assert_eq!(account.counter("ReadProvisionedThroughputExceeded"), 2);
}

#[test]
fn ten_mebibytes_in_one_answer_block_the_shard_for_five_seconds() {
    let mut account = Account::with_stream(1);
    let data = "x".repeat((1 << 20) - 1);
    for _ in 0..12 {
        account.put("k", &data).unwrap();
        account.wait(1_000);
    }
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    let (records, answer) = account.read(&iterator);
    assert_eq!(records.len(), 10, "10 MiB");
    let next = answer["NextShardIterator"].as_str().unwrap().to_owned();
    account.wait(4_999);
    assert_eq!(
        account.refused("GetRecords", json!({"ShardIterator": next})).0,
        "ProvisionedThroughputExceededException"
    );
    account.wait(1);
    assert_eq!(account.read(&next).0.len(), 2);
    // Two mebibytes are within the second's burst: the next call is answered.
    account.read(&next);
}

#[test]
fn iterators_are_given_five_times_a_second() {
    let mut account = Account::with_stream(1);
    let body = json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"});
    for _ in 0..5 {
        account.call("GetShardIterator", body.clone());
    }
    assert_eq!(account.refused("GetShardIterator", body).0, "ProvisionedThroughputExceededException");
}
