//! Streams on demand, larger records, metrics of shards.

use super::*;

const HOUR: u64 = 3_600_000;
const MIB: usize = 1 << 20;
const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/d";

impl Account {
    /// An account with the stream `d` on demand.
    fn on_demand() -> Self {
        let mut account = Account::with_stream(1);
        account.provision(json!({"Name": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})).unwrap();
        account
    }

    fn open_of(&self, stream: &str) -> usize {
        self.kinesis.streams[stream].open.len()
    }

    fn mode(&mut self) -> String {
        self.wait(100);
        let answer = self.call("DescribeStreamSummary", json!({"StreamName": "d"}));
        answer["StreamDescriptionSummary"]["StreamModeDetails"]["StreamMode"].as_str().unwrap().to_owned()
    }

    /// Puts `kib` KiB a second under each of `keys` for `seconds` seconds. Answers how many records were refused.
    fn load(&mut self, keys: &[&str], kib: usize, seconds: u64) -> usize {
        let data = Bytes::from("x".repeat((kib << 10) - 1));
        let mut refused = 0;
        for _ in 0..seconds {
            for key in keys {
                refused += usize::from(self.act(|k, cx| k.put_record(cx, "d", key, data.clone())).is_err());
            }
            self.wait_awake(1_000);
        }
        refused
    }
}

/// Keys of the first and the third of four shards.
const KEYS: [&str; 2] = ["a", "b"];
/// A key of each of four shards.
const KEY_OF_EACH: [&str; 4] = ["a", "c", "b", "e"];

fn change(mode: &str) -> Value {
    json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}})
}

#[test]
fn a_stream_on_demand_begins_with_four_shards_that_nobody_else_scales() {
    let mut account = Account::on_demand();
    account.call("CreateStream", json!({"StreamName": "e", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}));
    account.wait_awake(20_000);
    assert_eq!((account.open_of("d"), account.open_of("e"), account.mode()), (4, 4, "ON_DEMAND".to_owned()));
    let id = "shardId-000000000000";
    let text = "Request is invalid. Stream d under account 123456789012 is in On-Demand mode.";
    for (operation, body) in [
        ("SplitShard", json!({"StreamName": "d", "ShardToSplit": id, "NewStartingHashKey": "9"})),
        ("MergeShards", json!({"StreamName": "d", "ShardToMerge": id, "AdjacentShardToMerge": "shardId-000000000001"})),
        ("UpdateShardCount", json!({"StreamName": "d", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"})),
    ] {
        assert_eq!(account.refused(operation, body), ("ValidationException", text.to_owned()));
    }
    let both = json!({"StreamName": "x", "ShardCount": 1, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    assert_eq!(account.refused("CreateStream", both).0, "InvalidArgumentException");
    let limits = account.call("DescribeLimits", json!({}));
    let expected =
        json!({"ShardLimit": 20_000, "OpenShardCount": 1, "OnDemandStreamCount": 2, "OnDemandStreamCountLimit": 50});
    assert_eq!(limits, expected);
    assert_eq!(account.refused("DescribeLimits", json!({})).0, "LimitExceededException", "once a second");
}

#[test]
fn an_account_has_fifty_streams_on_demand() {
    let mut account = Account::on_demand();
    for number in 1..50 {
        let properties = json!({"Name": format!("d{number}"), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
        account.provision(properties).unwrap();
    }
    let one_more = json!({"Name": "more", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    assert_eq!(account.provision(one_more).unwrap_err().code, "LimitExceededException");
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";
    let stream = json!({"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    assert_eq!(account.refused("UpdateStreamMode", stream).0, "LimitExceededException");
}

#[test]
fn a_hot_shard_is_split_within_fifteen_minutes_and_a_cool_one_is_not() {
    let mut account = Account::on_demand();
    // 400 KiB/s to one shard, 600 KiB/s to another.
    for _ in 0..120 {
        let cool = Bytes::from("x".repeat(400 << 10));
        account.act(|k, cx| k.put_record(cx, "d", "a", cool)).unwrap();
        account.load(&["b"], 600, 1);
    }
    assert_eq!(account.open_of("d"), 4);
    account.wait_awake(15 * 60_000 - 120_000);
    assert_eq!(account.open_of("d"), 5, "the shard above 500 KB/s is two");
    let closed: Vec<u32> = account.kinesis.streams["d"]
        .shards
        .iter()
        .filter(|shard| shard.closed.is_some())
        .map(|shard| shard.index)
        .collect();
    assert_eq!(closed, [2], "MD5 of b begins with 92");
}

#[test]
fn what_more_than_doubles_is_throttled_until_the_shards_are_split() {
    let mut account = Account::on_demand();
    assert_eq!(account.load(&KEYS, 1_024, 60), 0);
    let data = Bytes::from("x".repeat(MIB - 1));
    let burst = |account: &mut Account| {
        (0..2).filter(|_| account.act(|k, cx| k.put_record(cx, "d", "a", data.clone())).is_err()).count()
    };
    assert_eq!(burst(&mut account), 1, "a shard takes 1 MiB/s, on demand too");
    account.wait_awake(16 * 60_000);
    assert_eq!(account.open_of("d"), 6);
    assert_eq!(burst(&mut account), 1, "a single key does not profit");
}

#[test]
fn capacity_for_a_peak_is_kept_for_thirty_days() {
    let mut account = Account::on_demand();
    // 3.5 MiB/s: twice that needs eight shards, and each of the four was hot.
    account.load(&KEY_OF_EACH, 900, 130);
    account.wait_awake(20 * 60_000);
    assert_eq!(account.open_of("d"), 8);
    account.wait_awake(29 * 24 * HOUR);
    assert_eq!(account.open_of("d"), 8);
    account.wait_awake(3 * 24 * HOUR);
    assert_eq!(account.open_of("d"), 4);
    assert!(account.counter("ondemand_stream_hour") >= 32 * 24);
}

/// A key of the upper half of the third of four shards; "b" is one of the lower half.
const UPPER_HALF: &str = "g";

#[test]
fn halves_are_merged_again_only_when_both_together_are_cool() {
    let mut account = Account::on_demand();
    account.load(&["b"], 600, 65);
    account.wait_awake(3_530_000 - 65_000);
    assert_eq!(account.open_of("d"), 5, "the hot shard was split");
    // 300 KiB/s at each shard: none is hot, and any two would be. The stream's peak asks for no more than four.
    account.load(&["a", "c", "b", UPPER_HALF, "e"], 300, 69);
    account.wait_awake(120_000);
    assert_eq!(account.open_of("d"), 5, "the first hour's look merges none");
    account.wait_awake(HOUR - 60_000);
    assert_eq!(account.open_of("d"), 4, "the second hour's does");
}

#[test]
fn a_shard_that_waits_for_its_split_is_not_merged() {
    let mut account = Account::on_demand();
    account.load(&["b"], 600, 65);
    account.wait_awake(3_400_000 - 65_000);
    let is_open = |account: &Account| account.kinesis.streams["d"].shards[4].closed.is_none();
    account.load(&["b"], 600, 65);
    // A cool window follows, in which the hour ends.
    account.wait_awake(60_000);
    account.load(&["b"], 1, 1);
    account.wait_awake(3_700_000 - 3_526_000);
    // One KiB in a minute.
    assert_eq!((account.kinesis.streams["d"].shards[4].rate, is_open(&account)), (17, true));
    account.wait_awake(610_000);
    let shards = &account.kinesis.streams["d"].shards;
    let children = shards.iter().filter(|shard| shard.parents == [shards[4].id.clone()]).count();
    assert_eq!((is_open(&account), children), (false, 2), "it was split");
}

#[test]
fn a_split_waits_until_nothing_else_is_being_done() {
    let mut account = Account::on_demand();
    account.load(&["b"], 600, 65);
    account.wait_awake(865_000 - 65_000);
    account.call("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2_048}));
    account.wait_awake(39_000);
    assert_eq!(account.open_of("d"), 4, "it has begun when the size was changed, at 875 s");
    account.wait_awake(2_000);
    assert_eq!(account.open_of("d"), 5);
}

#[test]
fn a_split_that_is_due_during_a_change_to_provisioned_shards_is_none() {
    let mut account = Account::on_demand();
    account.load(&["b"], 600, 65);
    account.wait_awake(865_000 - 65_000);
    let before = json!({"Name": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    let after = resource(json!({"Name": "d", "ShardCount": 8}));
    account.act(|kinesis, cx| kinesis.update(cx, &after, "d", &before)).unwrap();
    account.wait_awake(300_000);
    let stream = &account.kinesis.streams["d"];
    let open: Vec<_> = stream.open.iter().map(|(_, index)| stream.shards[*index as usize].range).collect();
    assert_eq!(open, routing::even_ranges(8));
    assert_eq!(stream.shards.len(), 4 + 8, "each of the four was split once");
}

#[test]
fn a_template_whose_number_of_shards_is_refused_leaves_the_mode() {
    let mut account = Account::on_demand();
    let before = json!({"Name": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    let mut update = |properties: Value| {
        account.act(|kinesis, cx| kinesis.update(cx, &resource(properties), "d", &before)).map_err(|error| error.code)
    };
    // More refusals than a day has changes of the mode.
    for count in [1, 9, 1] {
        assert_eq!(update(json!({"Name": "d", "ShardCount": count})).unwrap_err(), "LimitExceededException");
    }
    update(json!({"Name": "d", "ShardCount": 2})).unwrap();
    let stream = &account.kinesis.streams["d"];
    assert_eq!((stream.mode_changes.len(), stream.count_updates.len()), (1, 1));
    account.wait_awake(120_000);
    assert_eq!((account.mode(), account.open_of("d")), ("PROVISIONED".to_owned(), 2));
}

#[test]
fn each_record_is_billed_by_the_kibibyte() {
    let mut account = Account::on_demand();
    for (data, billed) in [("", 1_024), ("x", 1_024), (&*"x".repeat(1_024), 2_048)] {
        let before = account.counter("ondemand_data_in_bytes");
        let data = Bytes::from(data.to_owned());
        account.act(|k, cx| k.put_record(cx, "d", "k", data)).unwrap();
        assert_eq!(account.counter("ondemand_data_in_bytes") - before, billed);
    }
    account.put("k", "x").unwrap();
    assert_eq!(account.counter("ondemand_data_in_bytes"), 4_096, "streams with provisioned shards are not");
}

#[test]
fn the_mode_changes_twice_a_day_and_the_shards_stay() {
    let mut account = Account::on_demand();
    account.call("UpdateStreamMode", change("PROVISIONED"));
    assert_eq!(account.refused("UpdateStreamMode", change("ON_DEMAND")).0, "ResourceInUseException");
    account.wait_awake(10_000);
    assert_eq!((account.mode(), account.open_of("d")), ("PROVISIONED".to_owned(), 4));
    let count = json!({"StreamName": "d", "TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"});
    account.call("UpdateShardCount", count);
    account.wait_awake(60_000);
    account.call("UpdateStreamMode", change("ON_DEMAND"));
    account.wait_awake(HOUR * 23);
    assert_eq!((account.mode(), account.open_of("d")), ("ON_DEMAND".to_owned(), 8));
    assert_eq!(account.refused("UpdateStreamMode", change("PROVISIONED")).0, "LimitExceededException");
    account.wait_awake(HOUR);
    account.call("UpdateStreamMode", change("PROVISIONED"));
    assert_eq!(account.refused("UpdateStreamMode", change("MAGIC")).0, "ValidationException");
}

#[test]
fn a_template_changes_mode_size_and_metrics_in_place() {
    let mut account = Account::with_stream(2);
    let before = json!({"Name": "s", "ShardCount": 2});
    let after = json!({"Name": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "MaxRecordSizeInKiB": 2_048,
        "DesiredShardLevelMetrics": ["IncomingRecords"]});
    assert!(account.update(&before, after.clone()).unwrap().ready_at.is_some());
    account.wait_awake(30_000);
    let summary = account.call("DescribeStreamSummary", json!({"StreamName": "s"}))["StreamDescriptionSummary"].clone();
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    assert_eq!(summary["MaxRecordSizeInKiB"], 2_048);
    assert_eq!(summary["EnhancedMonitoring"], json!([{"ShardLevelMetrics": ["IncomingRecords"]}]));
    account.update(&after, json!({"Name": "s", "ShardCount": 3})).unwrap();
    account.wait_awake(600_000);
    let summary = account.call("DescribeStreamSummary", json!({"StreamName": "s"}))["StreamDescriptionSummary"].clone();
    assert_eq!((&summary["OpenShardCount"], &summary["MaxRecordSizeInKiB"]), (&json!(3), &json!(1_024)));
}

#[test]
fn larger_records_draw_on_a_tank_that_refills_at_the_rate_of_the_shard() {
    let mut account = Account::with_stream(1);
    let large = "x".repeat(9 * MIB - 1);
    let error = account.put("k", &large).unwrap_err();
    assert_eq!(error.code, "ValidationException");
    assert!(error.message.ends_with("less than or equal to 1048576"), "{error}");
    let size =
        |kib: u64| json!({"StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s", "MaxRecordSizeInKiB": kib});
    assert_eq!(account.refused("UpdateMaxRecordSize", size(10_241)).0, "ValidationException");
    account.call("UpdateMaxRecordSize", size(10_240));
    account.wait_awake(10_000);
    account.put("k", &large).unwrap();
    assert_eq!(account.put("k", "small").unwrap_err().code, "ProvisionedThroughputExceededException");
    account.wait(1_000);
    account.put("k", "small").unwrap();
    assert_eq!(account.put("k", &large).unwrap_err().code, "ProvisionedThroughputExceededException");
    // 1 MiB was left, 1 came with the second, and the small one cost little: 8 are there after 7 seconds more.
    account.wait(8_000);
    account.put("k", &large).unwrap();
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    let (records, answer) = account.read(&iterator);
    assert_eq!(records.iter().map(String::len).collect::<Vec<_>>(), [large.len(), 5]);
    let next = answer["NextShardIterator"].as_str().unwrap().to_owned();
    account.wait(5_000);
    assert_eq!(account.read(&next).0.len(), 1);
}

#[test]
fn shards_count_what_their_stream_asks_for() {
    let mut account = Account::with_stream(1);
    let names = |names: Value| json!({"StreamName": "s", "ShardLevelMetrics": names});
    account.put("k", "before").unwrap();
    let answer = account.call("EnableEnhancedMonitoring", names(json!(["IncomingRecords", "OutgoingBytes"])));
    assert_eq!(answer["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(answer["DesiredShardLevelMetrics"], json!(["IncomingRecords", "OutgoingBytes"]));
    account.put("k", "12345").unwrap();
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    account.read(&iterator);
    let count = |account: &Account, name: &str| account.kinesis.shard_metric("s", "shardId-000000000000", name);
    assert_eq!((count(&account, "IncomingRecords"), count(&account, "OutgoingBytes")), (Some(1), Some(13)));
    assert_eq!(count(&account, "IncomingBytes"), None);
    account.call("EnableEnhancedMonitoring", names(json!(["ALL"])));
    for _ in 0..5 {
        drop(account.raw("GetRecords", &json!({"ShardIterator": iterator})));
    }
    assert_eq!(count(&account, "ReadProvisionedThroughputExceeded"), Some(1));
    let answer = account.call("DisableEnhancedMonitoring", names(json!(["ALL"])));
    assert_eq!(answer["CurrentShardLevelMetrics"].as_array().unwrap().len(), 7);
    assert_eq!(answer["DesiredShardLevelMetrics"], json!([]));
    assert_eq!(count(&account, "IncomingRecords"), None);
    assert_eq!(account.refused("EnableEnhancedMonitoring", names(json!(["Latency"]))).0, "ValidationException");
}

#[test]
fn metrics_have_the_names_of_cloudwatch() {
    let mut account = Account::with_stream(1);
    account.put("k", "12345").unwrap();
    let records = json!([{"PartitionKey": "k", "Data": base64("123")}]);
    account.call("PutRecords", json!({"StreamName": "s", "Records": records}));
    account.wait(500);
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    account.read(&iterator);
    for (name, value) in [
        ("IncomingRecords", 2),
        ("IncomingBytes", 10),
        ("PutRecord.Bytes", 6),
        ("PutRecord.Success", 1),
        ("PutRecords.Bytes", 4),
        ("PutRecords.Success", 1),
        ("PutRecords.TotalRecords", 1),
        ("PutRecords.SuccessfulRecords", 1),
        ("PutRecords.FailedRecords", 0),
        ("PutRecords.ThrottledRecords", 0),
        ("GetRecords.Bytes", 10),
        ("GetRecords.Records", 2),
        ("GetRecords.Success", 1),
        ("GetRecords.IteratorAgeMilliseconds", 500),
    ] {
        assert_eq!(account.counter(name), value, "{name}");
    }
}
