//! Rates of shards.

use proptest::prelude::*;

use super::log::Room;
use super::routing::HashRange;
use super::segment::Stored;
use super::shard::Shard;
use super::*;
use crate::core::Limits;

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
    // The debt is paid, and nothing is left for a burst: two mebibytes block the next second.
    account.wait(999);
    assert_eq!(
        account.refused("GetRecords", json!({"ShardIterator": next})).0,
        "ProvisionedThroughputExceededException"
    );
    account.wait(1);
    account.read(&next);
}

#[test]
fn a_shard_gives_two_mebibytes_a_second_for_as_long_as_it_is_read() {
    for (part, records) in [(1.0, 80), (0.25, 20)] {
        let mut account = Account::with_stream(1);
        let half = "x".repeat((512 << 10) - 1);
        for _ in 0..120 {
            account.put("k", &half).unwrap();
            account.wait(500);
        }
        account.parts.limits.scale(SERVICE).set(part);
        let start = StartingPosition::TrimHorizon;
        let mut cursor = account.act(|k, cx| k.cursor(cx, "s", "shardId-000000000000", start)).unwrap();
        let mut read = |account: &mut Account| {
            // Pages of 1.5 MiB, five times a second.
            let batch = account.act(|kinesis, cx| kinesis.get_records(cx, &cursor, 3));
            account.wait(200);
            batch.map_or(0, |batch| {
                cursor = batch.next.expect("an open shard goes on");
                batch.records.len()
            })
        };
        let given: usize = (0..100).map(|_| read(&mut account)).sum();
        // In 20 seconds: a burst of a second and one page more at most, and polls that come when nothing is owed any more.
        let most = records + records / 20 + 3;
        assert!((records * 9 / 10..=most).contains(&given), "{given} records of half a mebibyte at {part} of the rate");
        let scale = account.parts.limits.scale(SERVICE);
        assert_eq!(scale.refused() > 0, part < 1.0, "the fault is told that it struck");
        scale.set(1.0);
        account.wait(3_000);
        assert!(part == 1.0 || read(&mut account) > 0, "what was owed is paid at the whole rate");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever pages are asked for and whenever.
    #[test]
    fn no_window_gives_more_than_the_rate_and_a_burst_and_a_page(
        polls in prop::collection::vec((1..300usize, 0..2_500u64), 1..80),
    ) {
        let (rate, now) = (1_000, Time::from_unix_secs(1));
        let limits = Limits::for_region("eu-west-1");
        let quotas = Quotas { shard_read_bytes: rate, read_calls: 1_000, ..Quotas::new(&limits) };
        let range = HashRange { start: 0, end: u128::MAX };
        let mut shard = Shard::new(0, range, Vec::new(), &quotas, now);
        for _ in 0..20_000 {
            shard.log.push(Stored { data: Bytes::from_static(&[0; 19]), key: "k".into(), arrival: now });
        }
        let (mut now, mut from, mut given) = (now, 0, Vec::new());
        for (records, wait) in polls {
            now += Duration::from_millis(wait);
            if let Ok(read) = shard.read(now, from, Time::EPOCH, Room { records, bytes: usize::MAX }) {
                from = read.next;
                given.push((now, read.bytes));
            }
        }
        for (first, (begin, _)) in given.iter().enumerate() {
            let mut before = 0;
            for (end, bytes) in &given[first..] {
                let most = rate + u64::try_from(end.since(*begin).as_millis()).unwrap() * rate / 1_000;
                prop_assert!(before <= most, "{before} bytes before {end:?}, {most} at most");
                before += bytes;
            }
        }
    }
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
