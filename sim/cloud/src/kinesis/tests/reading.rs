//! `GetShardIterator` and `GetRecords`.

use proptest::prelude::*;

use super::*;
use crate::core::ports::render_sequence_number;

const NONE: (&str, Value) = ("", Value::Null);

#[test]
fn each_type_of_iterator_begins_where_it_says() {
    let mut account = Account::with_stream(1);
    let mut numbers = Vec::new();
    for number in 0..4 {
        numbers.push(json!(render_sequence_number(account.put("k", &format!("{number}")).unwrap().1)));
        account.wait(1_000);
    }
    let begin = account.now.unix_secs() as f64;
    let starting = account.call("ListShards", json!({"StreamName": "s"}));
    let starting = starting["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"].clone();
    let cases: [(&str, (&str, Value), &[&str]); 10] = [
        ("TRIM_HORIZON", NONE, &["0", "1", "2", "3"]),
        ("LATEST", NONE, &[]),
        ("AT_SEQUENCE_NUMBER", ("StartingSequenceNumber", numbers[2].clone()), &["2", "3"]),
        ("AFTER_SEQUENCE_NUMBER", ("StartingSequenceNumber", numbers[2].clone()), &["3"]),
        ("AFTER_SEQUENCE_NUMBER", ("StartingSequenceNumber", numbers[3].clone()), &[]),
        ("AT_SEQUENCE_NUMBER", ("StartingSequenceNumber", starting.clone()), &["0", "1", "2", "3"]),
        ("AFTER_SEQUENCE_NUMBER", ("StartingSequenceNumber", starting), &["0", "1", "2", "3"]),
        ("AT_TIMESTAMP", ("Timestamp", json!(begin - 3.0)), &["1", "2", "3"]),
        ("AT_TIMESTAMP", ("Timestamp", json!(begin - 2.999)), &["2", "3"]),
        ("AT_TIMESTAMP", ("Timestamp", json!(0)), &["0", "1", "2", "3"]),
    ];
    for (kind, member, expected) in cases {
        account.wait(1_000);
        let iterator = account.iterator(0, kind, member.clone());
        assert_eq!(account.read(&iterator).0, expected, "{kind} {member:?}");
    }
}

#[test]
fn instants_that_no_clock_shows_are_refused_or_the_nearest_one() {
    let mut account = Account::with_stream(1);
    account.put("k", "0").unwrap();
    account.wait(1_000);
    let body = |timestamp: Value| {
        let shard = "shardId-000000000000";
        json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": timestamp})
    };
    for seconds in [2e13, 1e300] {
        let (code, message) = account.refused("GetShardIterator", body(json!(seconds)));
        assert_eq!(code, "InvalidArgumentException");
        assert!(message.contains("cannot be greater than the currentTimestampInMillis"), "{message}");
        account.wait(1_000);
    }
    for seconds in [-1.0, -1e300] {
        let iterator = account.iterator(0, "AT_TIMESTAMP", ("Timestamp", json!(seconds)));
        assert_eq!(account.read(&iterator).0, ["0"], "{seconds}");
        account.wait(1_000);
    }
    for text in ["1e999", "NaN", "\"NaN\""] {
        let request = body(json!(0)).to_string().replace(":0", &format!(":{text}"));
        assert!(request.contains(text), "{request}");
        let error = account.act(|kinesis, cx| kinesis.call(cx, "GetShardIterator", request.as_bytes())).unwrap_err();
        assert_eq!(error.code, "SerializationException", "{text}");
    }
    assert_eq!(wire::time(f64::NAN), Time::EPOCH);
    assert_eq!(wire::time(1.2346), Time::from_unix_millis(1_235));
}

#[test]
fn a_reader_follows_the_stream_through_its_iterators() {
    let mut account = Account::with_stream(1);
    let mut iterator = account.iterator(0, "LATEST", NONE);
    for number in 0..30 {
        account.put("key \"1\"", &format!("{number}")).unwrap();
        account.wait(250);
        let (records, answer) = account.read(&iterator);
        assert_eq!(records, [format!("{number}")]);
        let record = &answer["Records"][0];
        assert_eq!(record["PartitionKey"], "key \"1\"");
        assert_eq!(answer["MillisBehindLatest"], 0);
        let arrival = record["ApproximateArrivalTimestamp"].as_f64().unwrap();
        assert!((arrival + 0.25 - account.now.epoch_seconds()).abs() < 1e-6, "{arrival}");
        iterator = answer["NextShardIterator"].as_str().unwrap().to_owned();
    }
}

#[test]
fn a_reader_is_told_how_far_behind_it_is() {
    let mut account = Account::with_stream(1);
    for number in 0..3 {
        account.put("k", &format!("{number}")).unwrap();
        account.wait(1_000);
    }
    let iterator = account.iterator(0, "TRIM_HORIZON", NONE);
    let first = account.call("GetRecords", json!({"ShardIterator": iterator, "Limit": 2}));
    assert_eq!(first["Records"].as_array().unwrap().len(), 2);
    assert_eq!(first["MillisBehindLatest"], 2_000);
    let rest = account.call("GetRecords", json!({"ShardIterator": first["NextShardIterator"]}));
    assert_eq!(rest["MillisBehindLatest"], 0);
}

#[test]
fn iterators_expire_after_five_minutes() {
    let mut account = Account::with_stream(1);
    let iterator = account.iterator(0, "LATEST", NONE);
    account.wait(300_000);
    account.read(&iterator);
    account.wait(1);
    let (code, message) = account.refused("GetRecords", json!({"ShardIterator": iterator}));
    assert_eq!(code, "ExpiredIteratorException");
    let expected = "Iterator expired. The iterator was created at time Sun Mar 01 00:00:00 UTC 2026 while right now it \
        is Sun Mar 01 00:05:00 UTC 2026 which is further in the future than the tolerated delay of 300000 milliseconds.";
    assert_eq!(message, expected);
}

#[test]
fn wrong_iterators_and_numbers_are_refused_in_the_words_of_aws() {
    let mut account = Account::with_stream(2);
    let number = render_sequence_number(account.put("b", "x").unwrap().1);
    let (shard_0, shard_1) = ("shardId-000000000000", "shardId-000000000001");
    let body = |shard: &str, kind: &str, number: &str| {
        let mut body = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
        body["StartingSequenceNumber"] = number.into();
        body
    };
    let cases = [
        (
            body(shard_0, "AT_SEQUENCE_NUMBER", &number),
            "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with \
             shardId-000000000000",
        ),
        (
            body(shard_1, "AT_SEQUENCE_NUMBER", "42"),
            "StartingSequenceNumber 42 used in GetShardIterator on shard shardId-000000000001 in stream s under account \
             123456789012 is invalid.",
        ),
        (
            body(shard_1, "LATEST", &number),
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
             TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified LATEST and also a \
             StartingSequenceNumber.",
        ),
        (
            json!({
                "StreamName": "s", "ShardId": shard_1, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_772_323_201,
            }),
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
             1772323201000, currentTimestampInMillis: 1772323200000",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(account.refused("GetShardIterator", body), ("InvalidArgumentException", expected.to_owned()));
    }
    account.wait(60_000);
    account.provision(json!({"Name": "t", "ShardCount": 2})).unwrap();
    let mut other = body(shard_1, "AT_SEQUENCE_NUMBER", &number);
    other["StreamName"] = json!("t");
    let message = account.refused("GetShardIterator", other).1;
    assert!(message.ends_with("is invalid because it did not come from this stream."), "{message}");
    let absent = account.refused("GetShardIterator", body("shardId-000000000007", "TRIM_HORIZON", &number));
    assert_eq!(absent.0, "ResourceNotFoundException");
    for wrong in ["AAAAAAAAAAE=", "not base64", "x"] {
        let refused = account.refused("GetRecords", json!({"ShardIterator": wrong}));
        assert_eq!(refused, ("InvalidArgumentException", "Invalid ShardIterator.".to_owned()));
    }
}

#[test]
fn records_older_than_the_retention_are_gone() {
    let mut account = Account::with_stream(1);
    account.put("k", "old").unwrap();
    account.wait(3_600_000);
    account.put("k", "young").unwrap();
    account.wait(23 * 3_600_000 + 1);
    let iterator = account.iterator(0, "TRIM_HORIZON", NONE);
    assert_eq!(account.read(&iterator).0, ["young"]);
    account.wait(3_600_000);
    let iterator = account.iterator(0, "TRIM_HORIZON", NONE);
    assert!(account.read(&iterator).0.is_empty());
    account.put("k", "newest").unwrap();
    assert_eq!(account.read(&iterator).0, ["newest"]);
}

#[test]
fn whoever_reads_a_closed_shard_to_its_end_is_told_the_true_positions() {
    let mut account = Account::with_stream(1);
    // Four records fill a segment: what expires below ends in the middle of the third.
    account.kinesis.streams.get_mut("s").unwrap().shards[0].log = log::Log::with_sizes(0, 200);
    let payload = |number: u64| format!("{number:049}");
    let put = |account: &mut Account, numbers: std::ops::Range<u64>| {
        numbers.for_each(|number| drop(account.put("k", &payload(number)).unwrap()));
    };
    put(&mut account, 0..10);
    account.wait(3_600_000);
    put(&mut account, 10..17);
    account.wait(23 * 3_600_000 - 60_000);
    let middle = (1_u128 << 127).to_string();
    let split = json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": middle});
    account.call("SplitShard", split);
    account.wait_awake(60_001);
    let cursor = |account: &mut Account, start| {
        account.act(|kinesis, cx| kinesis.cursor(cx, "s", "shardId-000000000000", start)).unwrap()
    };
    for start in [StartingPosition::TrimHorizon, StartingPosition::AtTimestamp(Time::EPOCH)] {
        assert_eq!(cursor(&mut account, start).offset, 10);
    }
    let behind = ShardCursor { offset: 3, ..cursor(&mut account, StartingPosition::TrimHorizon) };
    let batch = account.act(|kinesis, cx| kinesis.get_records(cx, &behind, 100)).unwrap();
    let read: Vec<&[u8]> = batch.records.iter().map(|record| &*record.data).collect();
    assert_eq!(read, (10..17).map(payload).collect::<Vec<_>>().iter().map(String::as_bytes).collect::<Vec<_>>());
    assert!(batch.next.is_none() && batch.first == 10, "{:?} {}", batch.next, batch.first);
}

#[test]
fn the_same_calls_leave_the_same_trace() {
    let digest = || {
        let mut account = Account::with_stream(3);
        for number in 0..50 {
            account.put(&format!("k{number}"), "x").unwrap();
        }
        let iterator = account.iterator(1, "TRIM_HORIZON", NONE);
        account.read(&iterator);
        (account.parts.trace.digest(), account.parts.trace.len())
    };
    assert_eq!(digest(), digest());
    // The stream's creation, 50 records and one read.
    assert_eq!(digest().1, 52);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever reads, in pages of any size and from whatever shard, gets every accepted record once and in order.
    #[test]
    fn every_accepted_record_is_read_once_and_in_order(
        shards in 1..5u32,
        batches in prop::collection::vec((prop::collection::vec("[a-e]{1,2}", 1..40), 0..1_500u64), 1..40),
        limit in 1..30usize,
    ) {
        let mut account = Account::with_stream(shards);
        let mut accepted: BTreeMap<Arc<str>, Vec<(u128, String)>> = BTreeMap::new();
        let mut number = 0;
        for (keys, wait) in batches {
            for key in keys {
                let data = format!("{key}/{number}");
                if let Ok((shard, sequence)) = account.put(&key, &data) {
                    accepted.entry(shard).or_default().push((sequence, data));
                }
                number += 1;
            }
            account.wait(wait);
        }
        for shard in account.kinesis.list_shards("s").unwrap() {
            let start = StartingPosition::TrimHorizon;
            let mut cursor = account.act(|kinesis, cx| kinesis.cursor(cx, "s", &shard.id, start)).unwrap();
            let mut seen = Vec::new();
            loop {
                account.wait(200);
                let batch = account.act(|kinesis, cx| kinesis.get_records(cx, &cursor, limit)).unwrap();
                let text = |data: &Bytes| String::from_utf8(data.to_vec()).unwrap();
                seen.extend(batch.records.iter().map(|record| (record.sequence_number, text(&record.data))));
                prop_assert!(batch.records.len() <= limit);
                cursor = batch.next.expect("an open shard goes on");
                if batch.records.is_empty() {
                    prop_assert_eq!(batch.millis_behind_latest, 0);
                    break;
                }
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert_eq!(seen, accepted.remove(&shard.id).unwrap_or_default());
        }
        prop_assert!(accepted.is_empty());
    }
}
