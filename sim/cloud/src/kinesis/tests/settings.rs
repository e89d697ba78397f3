//! Retention, encryption, tags, and a stream that its template changes.

use super::*;

const NONE: (&str, Value) = ("", Value::Null);
const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/6d1b0d2c-0f57-4d2e-9f8e-2f6f0c3b7a11";
const HOUR: u64 = 3_600_000;

impl Account {
    fn description(&mut self) -> Value {
        self.wait(100);
        self.call("DescribeStream", json!({"StreamName": "s"}))["StreamDescription"].clone()
    }

    fn retained(&mut self) -> Vec<String> {
        self.wait(1_000);
        let iterator = self.iterator(0, "TRIM_HORIZON", NONE);
        self.read(&iterator).0
    }
}

#[test]
fn a_longer_retention_keeps_what_is_kept_and_brings_nothing_back() {
    let mut account = Account::with_stream(1);
    let hours = |hours: u64| json!({"StreamName": "s", "RetentionPeriodHours": hours});
    account.put("k", "0").unwrap();
    account.wait_awake(20 * HOUR);
    account.put("k", "1").unwrap();
    account.wait_awake(5 * HOUR);
    account.call("IncreaseStreamRetentionPeriod", hours(48));
    assert_eq!(account.retained(), ["1"], "the first one was 25 hours old");
    account.wait_awake(20 * HOUR);
    account.put("k", "2").unwrap();
    assert_eq!(account.retained(), ["1", "2"]);
    account.call("DecreaseStreamRetentionPeriod", hours(24));
    account.call("IncreaseStreamRetentionPeriod", hours(168));
    assert_eq!(account.retained(), ["2"]);
    assert_eq!(account.description()["RetentionPeriodHours"], 168);
    for (operation, asked, text) in [
        (
            "IncreaseStreamRetentionPeriod",
            24,
            "can not be shorter than existing retention period (168 hours). Use Decr",
        ),
        (
            "DecreaseStreamRetentionPeriod",
            169,
            "can not be longer than existing retention period (168 hours). Use Incr",
        ),
        ("IncreaseStreamRetentionPeriod", 8_761, "Maximum allowed retention period is 8760 hours. Requested retention"),
        ("DecreaseStreamRetentionPeriod", 23, "Minimum allowed retention period is 24 hours. Requested retention per"),
    ] {
        let (code, message) = account.refused(operation, hours(asked));
        assert!(code == "InvalidArgumentException" && message.contains(text), "{operation} {asked}: {message}");
    }
}

#[test]
fn records_say_how_they_are_encrypted_and_keep_it() {
    let mut account = Account::with_stream(1);
    let encrypt = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": KEY});
    let put = |data: &str| json!({"StreamName": "s", "PartitionKey": "k", "Data": base64(data)});
    assert_eq!(account.call("PutRecord", put("0")).get("EncryptionType"), None);
    account.call("StartStreamEncryption", encrypt.clone());
    assert_eq!(account.description()["StreamStatus"], "UPDATING");
    assert_eq!(account.description()["EncryptionType"], "NONE");
    assert_eq!(account.refused("StopStreamEncryption", encrypt.clone()).0, "ResourceInUseException");
    account.wait_awake(10_000);
    let description = account.description();
    assert_eq!((&description["EncryptionType"], &description["KeyId"]), (&json!("KMS"), &json!(KEY)));
    assert_eq!(account.call("PutRecord", put("1"))["EncryptionType"], "KMS");
    let many = json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": base64("2")}]});
    assert_eq!(account.call("PutRecords", many)["EncryptionType"], "KMS");
    let other = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "another"});
    assert_eq!(account.refused("StopStreamEncryption", other).0, "InvalidArgumentException");
    account.call("StopStreamEncryption", encrypt);
    account.wait_awake(10_000);
    account.call("PutRecord", put("3"));
    let iterator = account.iterator(0, "TRIM_HORIZON", NONE);
    let (data, answer) = account.read(&iterator);
    let kinds: Vec<bool> =
        answer["Records"].as_array().unwrap().iter().map(|record| record.get("EncryptionType").is_some()).collect();
    assert_eq!((data.len(), kinds), (4, vec![false, true, true, false]));
    let (code, _) = account.refused("StartStreamEncryption", json!({"StreamName": "s", "EncryptionType": "NONE"}));
    assert_eq!(code, "ValidationException");
}

#[test]
fn tags_are_added_listed_and_removed() {
    let mut account = Account::with_stream(1);
    let add = |tags: Value| json!({"StreamName": "s", "Tags": tags});
    account.call("AddTagsToStream", add(json!({"b": "2", "a": "1", "c": ""})));
    account.call("AddTagsToStream", add(json!({"b": "two"})));
    let first = account.call("ListTagsForStream", json!({"StreamName": "s", "Limit": 2}));
    assert_eq!(first["Tags"], json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two"}]));
    assert_eq!(first["HasMoreTags"], true);
    account.call("RemoveTagsFromStream", json!({"StreamName": "s", "TagKeys": ["a", "absent"]}));
    let rest = account.call("ListTagsForStream", json!({"StreamName": "s", "ExclusiveStartTagKey": "b"}));
    assert_eq!(rest, json!({"Tags": [{"Key": "c", "Value": ""}], "HasMoreTags": false}));
    let many: serde_json::Map<String, Value> = (0..49).map(|n| (format!("tag-{n}"), json!("v"))).collect();
    for (tags, code, text) in [
        (json!(many), "InvalidArgumentException", "cannot have more than 50 tags"),
        (json!({"a*": "1"}), "InvalidArgumentException", "Some tags contain invalid characters"),
        (json!({"": "1"}), "ValidationException", "greater than or equal to 1"),
    ] {
        account.wait(1_000);
        let (found, message) = account.refused("AddTagsToStream", add(tags));
        assert!(found == code && message.contains(text), "{found} {message}");
    }
}

#[test]
fn a_template_changes_its_stream_in_place() {
    let mut account = Account::with_stream(2);
    let before = json!({"Name": "s", "ShardCount": 2});
    account.call("AddTagsToStream", json!({"StreamName": "s", "Tags": {"by-hand": "kept"}}));
    let after = json!({
        "Name": "s", "ShardCount": 3, "RetentionPeriodHours": 48, "Tags": [{"Key": "env", "Value": "prod"}],
        "StreamEncryption": {"EncryptionType": "KMS", "KeyId": KEY}, "StreamModeDetails": {"StreamMode": "PROVISIONED"},
    });
    let changed = account.update(&before, after.clone()).unwrap();
    assert_eq!(changed.physical_id, "s");
    // One wave of splits, one of merges, and then the encryption.
    assert_eq!(changed.ready_at, Some(account.now + std::time::Duration::from_secs(70)));
    account.wait_awake(65_000);
    assert_eq!(account.description()["StreamStatus"], "UPDATING");
    account.put("k", "0").unwrap();
    account.wait_awake(5_000);
    let description = account.description();
    let found = (&description["StreamStatus"], &description["RetentionPeriodHours"], &description["KeyId"]);
    assert_eq!(found, (&json!("ACTIVE"), &json!(48), &json!(KEY)));
    assert_eq!(
        account.call("DescribeStreamSummary", json!({"StreamName": "s"}))["StreamDescriptionSummary"]["OpenShardCount"],
        3
    );
    let tags = account.call("ListTagsForStream", json!({"StreamName": "s"}));
    assert_eq!(tags["Tags"], json!([{"Key": "by-hand", "Value": "kept"}, {"Key": "env", "Value": "prod"}]));

    // A rollback while the stream still changes waits for its turn.
    let forth = account.update(&after, json!({"Name": "s", "ShardCount": 6})).unwrap().ready_at.unwrap();
    let back = account.update(&json!({"Name": "s", "ShardCount": 6}), after.clone()).unwrap();
    assert!(back.ready_at.unwrap() > forth);
    account.wait_awake(600_000);
    let description = account.description();
    let found = (&description["StreamStatus"], &description["EncryptionType"], &description["RetentionPeriodHours"]);
    assert_eq!(found, (&json!("ACTIVE"), &json!("KMS"), &json!(48)));
    assert_eq!(account.kinesis.list_shards("s").unwrap().iter().filter(|shard| !shard.closed).count(), 3);
    let unchanged = account.update(&after, after.clone()).unwrap();
    assert_eq!(unchanged.ready_at, None);
}

#[test]
fn a_refused_change_of_the_encryption_begins_no_resharding() {
    let mut account = Account::with_stream(2);
    let plain = |shards: u64| json!({"Name": "s", "ShardCount": shards});
    let mut encrypted = plain(2);
    encrypted["StreamEncryption"] = json!({"EncryptionType": "KMS", "KeyId": KEY});
    let max = account.act(|_, cx| cx.limits.get("kinesis", "start_stop_encryption"));
    for change in 0..max {
        let (old, new) = if change % 2 == 0 { (plain(2), encrypted.clone()) } else { (encrypted.clone(), plain(2)) };
        account.update(&old, new).unwrap();
        account.wait_awake(10_000);
    }
    let (old, mut new) = if max.is_multiple_of(2) { (plain(2), encrypted) } else { (encrypted, plain(2)) };
    new["ShardCount"] = 4.into();
    assert_eq!(account.update(&old, new).unwrap_err().code, "LimitExceededException");
    assert_eq!(account.description()["StreamStatus"], "ACTIVE");
}

#[test]
fn a_change_that_is_refused_leaves_the_stream_as_it_was() {
    let mut account = Account::with_stream(2);
    let before = json!({"Name": "s", "ShardCount": 2});
    for (after, text) in [
        (json!({"Name": "s", "StreamModeDetails": {"StreamMode": "MAGIC"}}), "StreamMode is MAGIC"),
        (json!({"Name": "s", "ShardCount": 4, "MaxRecordSizeInKiB": 1_000}), "greater than or equal to 1024"),
        (json!({"Name": "s", "ShardCount": 4, "DesiredShardLevelMetrics": ["x"]}), "x is no shard-level metric"),
        (json!({"Name": "s", "ShardCount": 5, "RetentionPeriodHours": 48}), "cannot scale up over double"),
        (json!({"Name": "s", "ShardCount": 4, "RetentionPeriodHours": 23}), "not 24 to 8760"),
        (json!({"Name": "s", "ShardCount": 0}), "greater than or equal to 1"),
        (json!({"Name": "s"}), "ShardCount is required"),
        (json!({"Name": "s", "ShardCount": 4, "Tags": [{"Key": "*", "Value": "v"}]}), "invalid characters"),
    ] {
        let error = account.update(&before, after.clone()).unwrap_err();
        assert!(error.message.contains(text), "{after}: {error}");
        let description = account.description();
        assert_eq!(
            (&description["StreamStatus"], &description["RetentionPeriodHours"]),
            (&json!("ACTIVE"), &json!(24))
        );
    }
    let stream = resource(before);
    account.act(|kinesis, cx| kinesis.delete(cx, &stream, "s")).unwrap();
    account.act(|kinesis, cx| kinesis.delete(cx, &stream, "s")).expect("what is gone is deleted");
    assert_eq!(account.refused("DescribeStream", json!({"StreamName": "s"})).0, "ResourceNotFoundException");
    let gone =
        account.update(&json!({"Name": "s", "ShardCount": 1}), json!({"Name": "s", "ShardCount": 2})).unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
}
