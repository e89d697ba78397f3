//! Splits, merges and new numbers of shards, while records flow.

use proptest::prelude::*;

use super::*;

const NONE: (&str, Value) = ("", Value::Null);
const HALF: u128 = 1 << 127;

fn shard(index: u32) -> String {
    format!("shardId-{index:012}")
}

fn split(index: u32, at: u128) -> Value {
    json!({"StreamName": "s", "ShardToSplit": shard(index), "NewStartingHashKey": at.to_string()})
}

fn merge(low: u32, high: u32) -> Value {
    json!({"StreamName": "s", "ShardToMerge": shard(low), "AdjacentShardToMerge": shard(high)})
}

fn count(target: u32) -> Value {
    json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"})
}

/// Indexes of the shards in an answer.
fn indexes(answer: &Value) -> Vec<u32> {
    let index = |shard: &Value| shard["ShardId"].as_str().unwrap()["shardId-".len()..].parse().unwrap();
    answer["Shards"].as_array().unwrap().iter().map(index).collect()
}

impl Account {
    fn list(&mut self, filter: Value) -> Value {
        self.wait(100);
        self.call("ListShards", json!({"StreamName": "s", "ShardFilter": filter}))
    }

    fn status(&mut self) -> (String, u64) {
        let answer = self.call("DescribeStreamSummary", json!({"StreamName": "s"}));
        let summary = &answer["StreamDescriptionSummary"];
        (summary["StreamStatus"].as_str().unwrap().to_owned(), summary["OpenShardCount"].as_u64().unwrap())
    }
}

#[test]
fn a_split_closes_a_shard_and_opens_its_two_halves() {
    let mut account = Account::with_stream(1);
    let (_, first) = account.put("before", "0").unwrap();
    account.call("SplitShard", split(0, HALF));
    assert_eq!(account.status(), ("UPDATING".to_owned(), 1));
    let (still, _) = account.put("meanwhile", "1").unwrap();
    assert_eq!(*still, *shard(0));
    account.wait_awake(30_000);
    assert_eq!(account.status(), ("ACTIVE".to_owned(), 2));
    let (child, second) = account.put("before", "2").unwrap();
    assert_ne!(*child, *shard(0));
    assert!(second > first, "sequence numbers grow from parent to child");

    let listed = account.call("ListShards", json!({"StreamName": "s"}));
    assert_eq!(indexes(&listed), [0, 1, 2]);
    let (parent, low, high) = (&listed["Shards"][0], &listed["Shards"][1], &listed["Shards"][2]);
    assert!(parent["SequenceNumberRange"]["EndingSequenceNumber"].is_string(), "{parent}");
    for child in [low, high] {
        assert_eq!(child["ParentShardId"], shard(0));
        assert_eq!(child.get("AdjacentParentShardId"), None);
        assert_eq!(child["SequenceNumberRange"].get("EndingSequenceNumber"), None);
    }
    assert_eq!(low["HashKeyRange"], json!({"StartingHashKey": "0", "EndingHashKey": (HALF - 1).to_string()}));
    assert_eq!(high["HashKeyRange"]["StartingHashKey"], HALF.to_string());

    let iterator = account.iterator(0, "TRIM_HORIZON", NONE);
    let (records, answer) = account.read(&iterator);
    assert_eq!(records, ["0", "1"], "what was accepted before stays in its shard");
    assert_eq!(answer.get("NextShardIterator"), None, "{answer}");
    assert_eq!(answer["ChildShards"][1]["ParentShards"], json!([shard(0)]));
    assert_eq!(answer["ChildShards"][1]["HashKeyRange"], high["HashKeyRange"]);
    for (kind, member) in [
        ("LATEST", NONE),
        (
            "AFTER_SEQUENCE_NUMBER",
            ("StartingSequenceNumber", parent["SequenceNumberRange"]["EndingSequenceNumber"].clone()),
        ),
    ] {
        account.wait(1_000);
        let iterator = account.iterator(0, kind, member);
        let (records, answer) = account.read(&iterator);
        assert_eq!((records.len(), answer["ChildShards"].as_array().unwrap().len()), (0, 2), "{kind}");
    }
}

#[test]
fn a_merge_makes_one_shard_of_two_neighbours() {
    let mut account = Account::with_stream(3);
    account.call("MergeShards", merge(1, 2));
    account.wait_awake(30_000);
    let listed = account.call("ListShards", json!({"StreamName": "s"}));
    assert_eq!(indexes(&listed), [0, 1, 2, 3]);
    let merged = &listed["Shards"][3];
    assert_eq!((&merged["ParentShardId"], &merged["AdjacentParentShardId"]), (&json!(shard(1)), &json!(shard(2))));
    assert_eq!(merged["HashKeyRange"]["StartingHashKey"], listed["Shards"][1]["HashKeyRange"]["StartingHashKey"]);
    assert_eq!(merged["HashKeyRange"]["EndingHashKey"], listed["Shards"][2]["HashKeyRange"]["EndingHashKey"]);
    let info = account.kinesis.list_shards("s").unwrap();
    let states: Vec<(bool, usize)> = info.iter().map(|info| (info.closed, info.parents.len())).collect();
    assert_eq!(states, [(false, 0), (true, 0), (true, 0), (false, 2)]);
    assert_eq!(account.status(), ("ACTIVE".to_owned(), 2));
}

#[test]
fn resharding_is_refused_with_the_codes_and_texts_of_aws() {
    let mut account = Account::with_stream(4);
    account.call("MergeShards", merge(0, 1));
    let busy = "Stream s under account 123456789012 not ACTIVE, instead in state UPDATING";
    for (operation, body) in
        [("MergeShards", merge(2, 3)), ("SplitShard", split(3, u128::MAX - 9)), ("UpdateShardCount", count(4))]
    {
        let expected = ("ResourceInUseException", busy.to_owned());
        assert_eq!(account.refused(operation, body), expected, "{operation}");
    }
    assert_eq!(account.refused("DeleteStream", json!({"StreamName": "s"})).0, "ResourceInUseException");
    account.wait_awake(30_000);
    let absent = json!({"StreamName": "t", "ShardToSplit": shard(0), "NewStartingHashKey": "5"});
    let scaling = json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "MAGIC"});
    let range = account.call("ListShards", json!({"StreamName": "s"}))["Shards"][3]["HashKeyRange"].clone();
    let start = range["StartingHashKey"].as_str().unwrap().parse::<u128>().unwrap();
    for (operation, body, code, text) in [
        ("SplitShard", absent, "ResourceNotFoundException", "Stream t under account 123456789012 not found."),
        (
            "SplitShard",
            split(9, 5),
            "ResourceNotFoundException",
            "Could not find shard shardId-000000000009 in stream s",
        ),
        ("SplitShard", split(0, 5), "InvalidArgumentException", "has already been merged or split"),
        ("SplitShard", split(3, start + 1), "InvalidArgumentException", "is not both greater than one plus"),
        ("SplitShard", split(3, u128::MAX), "InvalidArgumentException", "less than the shard's EndingHashKey 3402823"),
        ("SplitShard", json!({"StreamName": "s"}), "ValidationException", "Value null at 'shardToSplit'"),
        ("MergeShards", merge(0, 1), "InvalidArgumentException", "has already been merged or split"),
        ("MergeShards", merge(3, 2), "InvalidArgumentException", "are not an adjacent pair of shards eligible"),
        ("MergeShards", merge(4, 3), "InvalidArgumentException", "are not an adjacent pair of shards eligible"),
        ("UpdateShardCount", count(7), "LimitExceededException", "cannot scale up over double your current open shard"),
        ("UpdateShardCount", count(1), "LimitExceededException", "cannot scale down below half your current open"),
        ("UpdateShardCount", count(10_001), "LimitExceededException", "cannot be greater than 10000"),
        ("UpdateShardCount", count(0), "ValidationException", "greater than or equal to 1"),
        ("UpdateShardCount", scaling, "ValidationException", "enum value set: [UNIFORM_SCALING]"),
    ] {
        account.wait(1_000);
        let (found, message) = account.refused(operation, body.clone());
        assert!(found == code && message.contains(text), "{operation} {body}: {found} {message}");
    }
    for _ in 0..5 {
        account.refused("SplitShard", split(0, 5));
    }
    let (code, message) = account.refused("SplitShard", split(0, 5));
    assert_eq!((code, &*message), ("LimitExceededException", "Rate exceeded."), "5 calls a second");
}

#[test]
fn the_number_of_shards_changes_ten_times_a_day() {
    let mut account = Account::with_stream(2);
    for (number, target) in [4, 2, 3, 6, 3, 4, 5, 3, 2, 1].into_iter().enumerate() {
        let answer = account.call("UpdateShardCount", count(target));
        assert_eq!(answer["TargetShardCount"], target);
        account.wait_awake(600_000);
        assert_eq!(account.status(), ("ACTIVE".to_owned(), u64::from(target)), "call {number}");
    }
    let (code, message) = account.refused("UpdateShardCount", count(2));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("10 calls per rolling 24-hour period"), "{message}");
    account.wait_awake(24 * 3_600_000 - 6_000_000);
    account.call("UpdateShardCount", count(2));
}

#[test]
fn shards_are_listed_by_where_they_stood_when() {
    let mut account = Account::with_stream(1);
    let begin = account.now.unix_secs();
    for target in [2, 4] {
        account.wait_awake(3_600_000);
        account.call("UpdateShardCount", count(target));
        account.wait_awake(30_000);
    }
    let at = |seconds: u64| json!({"Type": "AT_TIMESTAMP", "Timestamp": begin + seconds});
    let from = |seconds: u64| json!({"Type": "FROM_TIMESTAMP", "Timestamp": begin + seconds});
    for (filter, expected) in [
        (json!({"Type": "AT_LATEST"}), vec![3, 4, 5, 6]),
        (json!({"Type": "AT_TRIM_HORIZON"}), vec![0]),
        (json!({"Type": "FROM_TRIM_HORIZON"}), vec![0, 1, 2, 3, 4, 5, 6]),
        (at(10), vec![0]),
        (at(3_700), vec![1, 2]),
        (at(9_000), vec![3, 4, 5, 6]),
        (from(3_700), vec![1, 2, 3, 4, 5, 6]),
        (json!({"Type": "AFTER_SHARD_ID", "ShardId": shard(2)}), vec![3, 4, 5, 6]),
    ] {
        assert_eq!(indexes(&account.list(filter.clone())), expected, "{filter}");
    }
    let body = json!({"StreamName": "s", "MaxResults": 2, "ShardFilter": {"Type": "AT_LATEST"}});
    let page = account.call("ListShards", body);
    let rest = account.call("ListShards", json!({"NextToken": page["NextToken"]}));
    assert_eq!((indexes(&page), indexes(&rest)), (vec![3, 4], vec![5, 6]), "a page keeps the filter of the first");

    // The first shard was closed at 3,630 s and is kept for a day from then.
    account.wait_awake(24 * 3_600_000 - 3_600_000 - 40_000);
    assert_eq!(indexes(&account.list(json!({"Type": "FROM_TRIM_HORIZON"}))), [0, 1, 2, 3, 4, 5, 6]);
    account.wait_awake(60_000);
    assert_eq!(indexes(&account.list(json!({"Type": "FROM_TRIM_HORIZON"}))), [1, 2, 3, 4, 5, 6]);
    assert_eq!(indexes(&account.list(json!({"Type": "AT_TRIM_HORIZON"}))), [1, 2]);
    let gone = json!({"StreamName": "s", "ShardId": shard(0), "ShardIteratorType": "TRIM_HORIZON"});
    assert_eq!(account.refused("GetShardIterator", gone).0, "ResourceNotFoundException");
}

#[test]
fn a_consumer_inside_the_account_that_comes_too_late_finds_the_end_of_an_expired_shard() {
    let mut account = Account::with_stream(1);
    account.put("k", "0").unwrap();
    let start = |account: &mut Account| {
        account.act(|kinesis, cx| kinesis.cursor(cx, "s", &shard(0), StartingPosition::TrimHorizon)).unwrap()
    };
    let cursor = start(&mut account);
    account.call("SplitShard", split(0, HALF));
    account.wait_awake(24 * 3_600_000 + 31_000);
    let parents: Vec<usize> = account.kinesis.list_shards("s").unwrap().iter().map(|info| info.parents.len()).collect();
    assert_eq!(parents, [1, 1], "the children alone are listed, with the parent that is gone");
    let late = start(&mut account);
    for cursor in [cursor, late] {
        let batch = account.act(|kinesis, cx| kinesis.get_records(cx, &cursor, 10)).unwrap();
        assert_eq!((batch.records.len(), batch.next), (0, None));
        account.wait(1_000);
    }
}

/// A consumer that reads every shard from its beginning, and a shard only after all its parents.
#[derive(Default)]
struct Consumer {
    /// Where it stands in a shard; nothing at the end.
    shards: BTreeMap<Arc<str>, Option<ShardCursor>>,
    /// (key, payload, shard) of each record.
    read: Vec<(String, String, Arc<str>)>,
}

impl Consumer {
    /// Reads each shard that may be read once. Answers whether there was anything to do.
    fn turn(&mut self, account: &mut Account, limit: usize) -> bool {
        account.wait(250);
        let mut active = false;
        for info in account.kinesis.list_shards("s").unwrap() {
            let finished = |parent: &Arc<str>| matches!(self.shards.get(parent), Some(None));
            if !self.shards.contains_key(&info.id) && info.parents.iter().all(finished) {
                let start = StartingPosition::TrimHorizon;
                let cursor = account.act(|kinesis, cx| kinesis.cursor(cx, "s", &info.id, start)).unwrap();
                self.shards.insert(info.id.clone(), Some(cursor));
                active = true;
            }
            let Some(Some(cursor)) = self.shards.get_mut(&info.id) else { continue };
            let batch = account.act(|kinesis, cx| kinesis.get_records(cx, cursor, limit)).unwrap();
            active |= !batch.records.is_empty() || batch.next.is_none();
            for record in batch.records {
                let data = String::from_utf8(record.data.to_vec()).unwrap();
                self.read.push((record.partition_key.to_string(), data, info.id.clone()));
            }
            self.shards.insert(info.id, batch.next);
        }
        active
    }
}

#[derive(Clone, Debug)]
enum Act {
    Put { key: usize },
    Split { place: usize, part: u8 },
    Merge { place: usize },
    Count { target: u32 },
    Wait { millis: u64 },
    Read { limit: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..9usize).prop_map(|key| Act::Put { key }),
        1 => (0..8usize, 1..255u8).prop_map(|(place, part)| Act::Split { place, part }),
        1 => (0..8usize).prop_map(|place| Act::Merge { place }),
        1 => (1..9u32).prop_map(|target| Act::Count { target }),
        3 => (1..40_000u64).prop_map(|millis| Act::Wait { millis }),
        4 => (1..6usize).prop_map(|limit| Act::Read { limit }),
    ]
}

impl Account {
    /// The open shards in the order of their keys.
    fn open(&self) -> Vec<(u32, routing::HashRange)> {
        let stream = &self.kinesis.streams["s"];
        stream.open.iter().map(|(_, index)| (*index, stream.shards[*index as usize].range)).collect()
    }

    /// Does one act; what AWS refuses is refused.
    fn reshard(&mut self, act: &Act) {
        let open = self.open();
        self.wait(200);
        let busy = self.kinesis.streams["s"].status != stream::Status::Active;
        let (operation, body) = match act {
            Act::Split { place, part } => {
                let (index, range) = open[place % open.len()];
                // UpdateShardCount may leave shards that are too narrow to be split at a part of their range.
                if range.end - range.start < 512 {
                    return;
                }
                ("SplitShard", split(index, range.start + (range.end - range.start) / 256 * u128::from(*part)))
            }
            Act::Merge { place } if open.len() > 1 => {
                let place = place % (open.len() - 1);
                ("MergeShards", merge(open[place].0, open[place + 1].0))
            }
            Act::Count { target } => ("UpdateShardCount", count(*target)),
            _ => return,
        };
        match self.raw(operation, &body) {
            Ok(_) => assert!(!busy, "{operation} {body}"),
            Err(error) if error.code == "ResourceInUseException" => assert!(busy, "{operation} {body}: {error}"),
            Err(error) => assert_eq!(error.code, "LimitExceededException", "{operation} {body}: {error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_accepted_record_is_read_once_and_in_order_of_its_key(
        shards in 1..5u32,
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let mut account = Account::with_stream(shards);
        let (mut consumer, mut accepted) = (Consumer::default(), Vec::new());
        for (number, act) in acts.iter().enumerate() {
            match act {
                Act::Put { key } => {
                    let key = format!("device-{key}");
                    let (shard, _) = account.put(&key, &number.to_string()).unwrap();
                    accepted.push((key, number.to_string(), shard));
                }
                Act::Wait { millis } => account.wait_awake(*millis),
                Act::Read { limit } => drop(consumer.turn(&mut account, *limit)),
                reshard => account.reshard(reshard),
            }
        }
        account.wait_awake(1_000_000);
        while consumer.turn(&mut account, 100) {}
        let of_key = |records: &[(String, String, Arc<str>)], key: &str| -> Vec<(String, Arc<str>)> {
            records.iter().filter(|record| record.0 == key).map(|record| (record.1.clone(), record.2.clone())).collect()
        };
        for key in 0..9 {
            let key = format!("device-{key}");
            prop_assert_eq!(of_key(&consumer.read, &key), of_key(&accepted, &key), "{}", key);
        }
        // The open shards own every key exactly once.
        let open = account.open();
        prop_assert_eq!((open[0].1.start, open[open.len() - 1].1.end), (0, u128::MAX));
        prop_assert!(open.windows(2).all(|pair| pair[0].1.end + 1 == pair[1].1.start));
        prop_assert!(account.kinesis.streams["s"].status == stream::Status::Active);
    }
}
