//! Creating, deleting, describing and listing streams.

use super::*;

#[test]
fn pages_have_a_length_however_many_are_asked_for() {
    let mut account = Account::with_stream(1);
    for number in 0..100 {
        account.provision(json!({"Name": format!("t{number}"), "ShardCount": 1})).unwrap();
    }
    account.provision(json!({"Name": "wide", "ShardCount": 1_001})).unwrap();
    let length = |value: &Value| value.as_array().unwrap().len();
    let streams = account.call("ListStreams", json!({"Limit": 10_000}));
    assert_eq!((length(&streams["StreamNames"]), &streams["HasMoreStreams"]), (100, &json!(true)));
    let rest = account.call("ListStreams", json!({"Limit": 10_000, "NextToken": streams["NextToken"]}));
    assert_eq!((length(&rest["StreamNames"]), &rest["HasMoreStreams"]), (2, &json!(false)));
    let described = account.call("DescribeStream", json!({"StreamName": "wide", "Limit": 10_000}));
    let described = &described["StreamDescription"];
    assert_eq!((length(&described["Shards"]), &described["HasMoreShards"]), (100, &json!(true)));
    let shards = account.call("ListShards", json!({"StreamName": "wide", "MaxResults": 10_000}));
    assert_eq!(length(&shards["Shards"]), 1_000);
    let token = &shards["NextToken"];
    let both = json!({"NextToken": token, "ExclusiveStartShardId": "shardId-000000000000"});
    assert_eq!(account.refused("ListShards", both).0, "InvalidArgumentException");
    let rest = account.call("ListShards", json!({"NextToken": token}));
    assert_eq!((length(&rest["Shards"]), rest.get("NextToken")), (1, None));
}

#[test]
fn what_the_model_of_the_service_forbids_is_refused_in_its_words() {
    let mut account = Account::with_stream(1);
    let arn = |arn: &str| json!({"StreamARN": arn});
    let long_arn = format!("arn:aws:kinesis:eu-west-1:123456789012:stream/{}", "x".repeat(2_003));
    let at_number = |number: &str| {
        let shard = "shardId-000000000000";
        let kind = "AT_SEQUENCE_NUMBER";
        json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind, "StartingSequenceNumber": number})
    };
    let ordered =
        |number: &str| json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": number});
    let pushed = json!({"ConsumerARN": "x", "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "-1"}});
    let number = "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,128})";
    let of_arn = "Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+";
    let (short, long) =
        ("Member must have length greater than or equal to 1", "Member must have length less than or equal to");
    let many = format!("1{}", "0".repeat(129));
    for (operation, body, path, value, constraint) in [
        ("GetShardIterator", at_number("x"), "startingSequenceNumber", "x", number),
        ("GetShardIterator", at_number(""), "startingSequenceNumber", "", number),
        ("GetShardIterator", at_number("012"), "startingSequenceNumber", "012", number),
        ("GetShardIterator", at_number(&many), "startingSequenceNumber", &many, number),
        ("PutRecord", ordered("12x"), "sequenceNumberForOrdering", "12x", number),
        ("SubscribeToShard", pushed, "startingPosition.sequenceNumber", "-1", number),
        ("GetRecords", json!({"ShardIterator": ""}), "shardIterator", "", short),
        (
            "GetRecords",
            json!({"ShardIterator": "i".repeat(513)}),
            "shardIterator",
            &"i".repeat(513),
            &format!("{long} 512"),
        ),
        ("ListShards", json!({"NextToken": ""}), "nextToken", "", short),
        ("DescribeStream", arn("foo"), "streamARN", "foo", of_arn),
        (
            "PutRecords",
            json!({"Records": [{"Data": "", "PartitionKey": "k"}], "StreamARN": "a b"}),
            "streamARN",
            "a b",
            of_arn,
        ),
        (
            "DeleteStream",
            arn("arn:aws:kinesis:eu-west-1:12345678901:stream/s"),
            "streamARN",
            "arn:aws:kinesis:eu-west-1:12345678901:stream/s",
            of_arn,
        ),
        (
            "DescribeStreamSummary",
            arn("arn:aws:kinesis:123456789012:stream/s"),
            "streamARN",
            "arn:aws:kinesis:123456789012:stream/s",
            of_arn,
        ),
        ("ListStreamConsumers", arn(&long_arn), "streamARN", &long_arn, &format!("{long} 2048")),
        ("DescribeStreamConsumer", json!({"ConsumerARN": ""}), "consumerARN", "", short),
    ] {
        let expected = format!(
            "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
        );
        assert_eq!(account.refused(operation, body), ("ValidationException", expected), "{operation}");
        account.wait(1_000);
    }
    let strange = account.refused("DescribeStream", arn("arn:aws-x:y:kinesis::210987654321:stream/t:stream/u"));
    assert_eq!(strange.0, "ResourceNotFoundException", "it is an ARN, and not one of ours");
    let filter = json!({"StreamName": "s", "ShardFilter": {"Type": "SOMETIMES"}});
    let (code, message) = account.refused("ListShards", filter);
    assert!(code == "ValidationException" && message.contains("'SOMETIMES' at 'shardFilter.type'"), "{message}");
}

#[test]
fn a_stream_of_a_template_is_active_at_once_and_answers_references() {
    let mut account = Account::with_stream(2);
    let properties = json!({
        "Name": "raw", "ShardCount": 3, "RetentionPeriodHours": 48, "Tags": [{"Key": "env", "Value": "sim"}],
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
    });
    let provisioned = account.provision(properties).unwrap();
    assert_eq!(provisioned.physical_id, "raw");
    assert_eq!(provisioned.attributes["Arn"], "arn:aws:kinesis:eu-west-1:123456789012:stream/raw");
    let described = account.call("DescribeStream", json!({"StreamARN": provisioned.attributes["Arn"]}));
    let description = &described["StreamDescription"];
    assert_eq!(description["StreamStatus"], "ACTIVE");
    assert_eq!(description["RetentionPeriodHours"], 48);
    assert_eq!(description["StreamCreationTimestamp"], 1_772_323_200.0);
    let shards = description["Shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0]["HashKeyRange"]["StartingHashKey"], "0");
    assert_eq!(shards[1]["HashKeyRange"]["StartingHashKey"], "113427455640312821154458202477256070485");
    assert_eq!(shards[2]["HashKeyRange"]["EndingHashKey"], "340282366920938463463374607431768211455");
    assert_eq!(shards[0]["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap().len(), 56);
}

#[test]
fn a_template_is_refused_for_what_aws_or_the_simulator_refuses() {
    let mut account = Account::with_stream(1);
    let cases = [
        (json!({"Name": "a", "ShardCount": 0}), "greater than or equal to 1"),
        (json!({"Name": "a"}), "ShardCount is required"),
        (json!({"Name": "a b", "ShardCount": 1}), "regular expression pattern"),
        (json!({"Name": "a", "ShardCount": 1, "RetentionPeriodHours": 23}), "not 24 to 8760"),
        (json!({"Name": "a", "ShardCount": 1, "RetentionPeriodHours": 8761}), "not 24 to 8760"),
        (
            json!({"Name": "a", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "ShardCount": 2}),
            "with the mode ON_DEM",
        ),
        (json!({"Name": "a", "StreamModeDetails": {"StreamMode": "MAGIC"}}), "StreamMode is MAGIC"),
        (json!({"Name": "a", "ShardCount": 1, "MaxRecordSizeInKiB": 10_241}), "less than or equal to 10240"),
        (json!({"Name": "a", "ShardCount": 1, "StreamEncryption": {}}), "missing field `EncryptionType`"),
        (
            json!({"Name": "a", "ShardCount": 1, "StreamEncryption": {"EncryptionType": "NONE", "KeyId": "k"}}),
            "EncryptionType KMS",
        ),
        (json!({"Name": "a", "ShardCount": 1, "DesiredShardLevelMetrics": ["Latency"]}), "Latency is no shard-level"),
        (json!({"Name": "a", "ShardCount": 20_000}), "would exceed the shard limit"),
        (json!({"Name": "s", "ShardCount": 1}), "already exists"),
    ];
    for (properties, expected) in cases {
        let error = account.provision(properties.clone()).unwrap_err();
        assert!(error.message.contains(expected), "{properties}: {error}");
    }
    let unnamed = account.provision(json!({"ShardCount": 1})).unwrap();
    assert!(unnamed.physical_id.starts_with("stack-Stream-"), "{unnamed:?}");
}

#[test]
fn a_created_stream_becomes_active_and_a_deleted_one_vanishes() {
    let mut account = Account::with_stream(1);
    let put = json!({"StreamName": "new", "PartitionKey": "k", "Data": ""});
    account.call("CreateStream", json!({"StreamName": "new", "ShardCount": 2, "Tags": {"env": "sim"}}));
    let created = account.call("DescribeStream", json!({"StreamName": "new"}));
    assert_eq!(created["StreamDescription"]["StreamStatus"], "CREATING");
    assert_eq!(created["StreamDescription"]["Shards"], json!([]));
    assert_eq!(account.refused("PutRecord", put.clone()).0, "ResourceNotFoundException");
    assert_eq!(account.refused("DeleteStream", json!({"StreamName": "new"})).0, "ResourceInUseException");
    assert_eq!(
        account.refused("CreateStream", json!({"StreamName": "new", "ShardCount": 2})).0,
        "ResourceInUseException"
    );
    account.wait_awake(20_000);
    assert_eq!(account.call("PutRecord", put.clone())["ShardId"].as_str().unwrap().len(), 20);
    let summary = account.call("DescribeStreamSummary", json!({"StreamName": "new"}));
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 2);
    assert_eq!(summary["StreamDescriptionSummary"]["StreamStatus"], "ACTIVE");
    account.call("DeleteStream", json!({"StreamName": "new"}));
    let deleting = account.call("DescribeStreamSummary", json!({"StreamName": "new"}));
    assert_eq!(deleting["StreamDescriptionSummary"]["StreamStatus"], "DELETING");
    assert_eq!(account.refused("PutRecord", put).0, "ResourceNotFoundException");
    account.wait_awake(20_000);
    let (code, message) = account.refused("DescribeStream", json!({"StreamName": "new"}));
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(message, "Stream new under account 123456789012 not found.");
}

#[test]
fn an_iterator_does_not_outlive_its_stream() {
    let mut account = Account::with_stream(1);
    let iterator = account.iterator(0, "TRIM_HORIZON", ("", Value::Null));
    account.call("DeleteStream", json!({"StreamName": "s"}));
    account.wait_awake(20_000);
    let (code, message) = account.refused("GetRecords", json!({"ShardIterator": iterator}));
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(message, "Shard shardId-000000000000 in stream s under account 123456789012 does not exist");
    account.provision(json!({"Name": "s", "ShardCount": 1})).unwrap();
    let again = account.refused("GetRecords", json!({"ShardIterator": iterator}));
    assert_eq!(again, ("InvalidArgumentException", "Invalid ShardIterator.".to_owned()));
}

#[test]
fn streams_and_shards_are_listed_in_pages() {
    let mut account = Account::with_stream(5);
    for name in ["b", "a", "c"] {
        account.provision(json!({"Name": name, "ShardCount": 1})).unwrap();
    }
    let first = account.call("ListStreams", json!({"Limit": 3}));
    assert_eq!(first["StreamNames"], json!(["a", "b", "c"]));
    assert_eq!(first["HasMoreStreams"], true);
    let second = account.call("ListStreams", json!({"NextToken": first["NextToken"]}));
    assert_eq!((&second["StreamNames"], &second["HasMoreStreams"]), (&json!(["s"]), &json!(false)));
    assert_eq!(second["StreamSummaries"][0]["StreamStatus"], "ACTIVE");
    let after = account.call("ListStreams", json!({"ExclusiveStartStreamName": "b"}));
    assert_eq!(after["StreamNames"], json!(["c", "s"]));

    let ids = |answer: &Value| {
        let shards = answer["Shards"].as_array().unwrap().iter();
        shards
            .map(|shard| shard["ShardId"].as_str().unwrap().trim_start_matches("shardId-0").to_owned())
            .collect::<Vec<_>>()
    };
    let page = account.call("ListShards", json!({"StreamName": "s", "MaxResults": 3}));
    assert_eq!(ids(&page), ["00000000000", "00000000001", "00000000002"]);
    let token = page["NextToken"].clone();
    let rest = account.call("ListShards", json!({"NextToken": token}));
    assert_eq!((ids(&rest), rest.get("NextToken")), (vec!["00000000003".to_owned(), "00000000004".to_owned()], None));
    let filter = json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"});
    assert_eq!(ids(&account.call("ListShards", json!({"StreamName": "s", "ShardFilter": filter}))), ["00000000004"]);
    let both = account.refused("ListShards", json!({"StreamName": "s", "NextToken": token}));
    assert_eq!(both.1, "NextToken and StreamName cannot be provided together.");
    account.wait(300_001);
    assert_eq!(account.refused("ListShards", json!({"NextToken": token})).0, "ExpiredNextTokenException");
}

#[test]
fn the_control_plane_has_its_own_rates() {
    let mut account = Account::with_stream(1);
    for _ in 0..10 {
        account.call("DescribeStream", json!({"StreamName": "s"}));
    }
    assert_eq!(account.refused("DescribeStream", json!({"StreamName": "s"})).0, "LimitExceededException");
    account.wait(100);
    account.call("DescribeStream", json!({"StreamName": "s"}));
    let calls = account.parts.meter.calls()[&("kinesis", "DescribeStream")];
    assert_eq!((calls.ok, calls.throttled, calls.error), (11, 1, 0));
}
