//! Streams whose shards are split and merged while records flow: the real SDK as producer and consumer, and Lambda and
//! Firehose as consumers inside the account.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{EncryptionType, ScalingType, Shard, ShardFilter, ShardFilterType, ShardIteratorType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::Effect;
use sim::cloud::core::ports::{Objects as _, Streams as _};
use sim::seam::{Cloud, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

use crate::support;

const START: Time = Time::from_unix_secs(1_772_323_200);

const STREAM: &str = r#"{"Resources": {
    "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "readings", "ShardCount": 2}}
}}"#;

/// A stream with a function and a delivery stream that read it.
const PIPELINE: &str = r#"{"Resources": {
    "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "readings", "ShardCount": 2}},
    "Lake": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "lake"}},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "reader",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": ["lambda.amazonaws.com", "firehose.amazonaws.com"]}, "Action": "sts:AssumeRole"}]},
        "Policies": [{"PolicyName": "read-and-deliver", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["kinesis:*", "s3:*"], "Resource": "*"}]}}]}},
    "Function": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "reader", "Handler": "reader",
        "Runtime": "provided.al2023", "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"S3Bucket": "artifacts", "S3Key": "bootstrap.zip"}, "MemorySize": 512, "Timeout": 60}},
    "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
        "EventSourceArn": {"Fn::GetAtt": ["Stream", "Arn"]}, "FunctionName": {"Ref": "Function"},
        "StartingPosition": "LATEST", "BatchSize": 100, "MaximumBatchingWindowInSeconds": 2}},
    "Delivery": {"Type": "AWS::KinesisFirehose::DeliveryStream", "Properties": {"DeliveryStreamName": "raw",
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": {"Fn::GetAtt": ["Stream", "Arn"]},
            "RoleARN": {"Fn::GetAtt": ["Role", "Arn"]}},
        "ExtendedS3DestinationConfiguration": {"RoleARN": {"Fn::GetAtt": ["Role", "Arn"]},
            "BucketARN": {"Fn::GetAtt": ["Lake", "Arn"]}, "Prefix": "raw/!{timestamp:yyyy/MM/dd/HH}/",
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/!{timestamp:yyyy}/",
            "BufferingHints": {"IntervalInSeconds": 10, "SizeInMBs": 1}, "CompressionFormat": "UNCOMPRESSED",
            "ProcessingConfiguration": {"Enabled": true, "Processors": [{"Type": "AppendDelimiterToRecord",
                "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]}]}}}}
}}"#;

/// Runs `test` with a client of an account that has the stream `readings`.
fn with_stream<T, F>(test: impl FnOnce(aws_sdk_kinesis::Client) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(12);
    simulate(seed, START, move || async move {
        let (mut account, root) = support::account(seed);
        create_stack(&mut account, clock::now(), "test", STREAM).unwrap_or_else(|e| panic!("{e}"));
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        test(aws_sdk_kinesis::Client::new(&sdk_config(&cloud, &root))).await
    })
}

async fn put(kinesis: &aws_sdk_kinesis::Client, number: usize) {
    let key = format!("device-{}", number % 7);
    let put = kinesis.put_record().stream_name("readings").partition_key(key).data(Blob::new(number.to_string()));
    put.send().await.unwrap();
}

async fn wait_until_active(kinesis: &aws_sdk_kinesis::Client) -> i32 {
    loop {
        let summary = kinesis.describe_stream_summary().stream_name("readings").send().await.unwrap();
        let summary = summary.stream_description_summary().unwrap();
        if summary.stream_status().as_str() == "ACTIVE" {
            return summary.open_shard_count();
        }
        assert_eq!(summary.stream_status().as_str(), "UPDATING");
        clock::sleep(Duration::from_secs(5)).await;
    }
}

async fn shards(kinesis: &aws_sdk_kinesis::Client, filter: ShardFilterType) -> Vec<Shard> {
    let filter = ShardFilter::builder().r#type(filter).build().unwrap();
    let mut shards = Vec::new();
    let mut answer =
        kinesis.list_shards().stream_name("readings").shard_filter(filter).max_results(3).send().await.unwrap();
    loop {
        shards.extend_from_slice(answer.shards());
        let Some(token) = answer.next_token() else { return shards };
        answer = kinesis.list_shards().next_token(token).max_results(3).send().await.unwrap();
    }
}

/// The records of a shard from its beginning, and its children when it is closed.
async fn read(kinesis: &aws_sdk_kinesis::Client, shard: &Shard) -> (Vec<(String, String)>, Vec<String>) {
    let (mut records, mut children) = (Vec::new(), Vec::new());
    let iterator = kinesis.get_shard_iterator().stream_name("readings").shard_id(shard.shard_id());
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let mut iterator = iterator.shard_iterator;
    while let Some(at) = iterator {
        let batch = kinesis.get_records().shard_iterator(at).limit(3).send().await.unwrap();
        let text = |blob: &Blob| String::from_utf8(blob.as_ref().to_vec()).unwrap();
        records.extend(
            batch.records().iter().map(|record| (record.partition_key().unwrap().to_owned(), text(record.data()))),
        );
        children = batch.child_shards().iter().map(|child| child.shard_id().to_owned()).collect();
        iterator = batch.next_shard_iterator().filter(|_| !batch.records().is_empty()).map(str::to_owned);
        clock::sleep(Duration::from_millis(250)).await;
    }
    (records, children)
}

#[test]
fn a_consumer_that_reads_parents_first_reads_every_record_once_and_in_order() {
    let (got, children, shards) = with_stream(|kinesis| async move {
        for number in 0..40 {
            put(&kinesis, number).await;
        }
        let update = kinesis.update_shard_count().stream_name("readings").scaling_type(ScalingType::UniformScaling);
        let answer = update.target_shard_count(3).send().await.unwrap();
        assert_eq!((answer.current_shard_count(), answer.target_shard_count()), (Some(2), Some(3)));
        for number in 40..160 {
            put(&kinesis, number).await;
            clock::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(wait_until_active(&kinesis).await, 3);
        let open = shards(&kinesis, ShardFilterType::AtLatest).await;
        let split = kinesis.split_shard().stream_name("readings").shard_to_split(open[2].shard_id());
        let range = open[2].hash_key_range().unwrap();
        let [low, high] = [range.starting_hash_key(), range.ending_hash_key()].map(|key| key.parse::<u128>().unwrap());
        split.new_starting_hash_key((low + (high - low) / 2).to_string()).send().await.unwrap();
        assert_eq!(wait_until_active(&kinesis).await, 4);
        for number in 160..180 {
            put(&kinesis, number).await;
        }
        let mut open = shards(&kinesis, ShardFilterType::AtLatest).await;
        open.sort_by_key(|shard| shard.hash_key_range().unwrap().starting_hash_key().parse::<u128>().unwrap());
        let merge = kinesis.merge_shards().stream_name("readings").shard_to_merge(open[0].shard_id());
        merge.adjacent_shard_to_merge(open[1].shard_id()).send().await.unwrap();
        assert_eq!(wait_until_active(&kinesis).await, 3);
        for number in 180..200 {
            put(&kinesis, number).await;
        }
        // Shards are listed parents before children.
        let all = shards(&kinesis, ShardFilterType::FromTrimHorizon).await;
        let (mut got, mut found) = (Vec::new(), BTreeMap::new());
        for shard in &all {
            let (records, children) = read(&kinesis, shard).await;
            got.extend(records);
            found.insert(shard.shard_id().to_owned(), children);
        }
        (got, found, all)
    });
    for key in 0..7_usize {
        let numbers: Vec<usize> = got
            .iter()
            .filter(|(of, _)| *of == format!("device-{key}"))
            .map(|(_, data)| data.parse().unwrap())
            .collect();
        assert_eq!(numbers, (0..200).filter(|number| number % 7 == key).collect::<Vec<_>>());
    }
    for shard in &shards {
        let children = &children[shard.shard_id()];
        let is_parent = |child: &&Shard| {
            [child.parent_shard_id(), child.adjacent_parent_shard_id()].contains(&Some(shard.shard_id()))
        };
        let expected: Vec<&str> = shards.iter().filter(is_parent).map(Shard::shard_id).collect();
        assert_eq!(children, &expected, "{}", shard.shard_id());
        let closed = shard.sequence_number_range().unwrap().ending_sequence_number().is_some();
        assert_eq!(closed, !expected.is_empty(), "{}", shard.shard_id());
    }
}

#[test]
fn the_settings_of_a_stream_change_through_the_sdk() {
    let (key, tags, hours, codes) = with_stream(|kinesis| async move {
        let start = kinesis.start_stream_encryption().stream_name("readings").encryption_type(EncryptionType::Kms);
        start.key_id("alias/aws/kinesis").send().await.unwrap();
        let split = kinesis.split_shard().stream_name("readings").shard_to_split("shardId-000000000000");
        let busy = split.new_starting_hash_key("5").send().await.unwrap_err().into_service_error();
        wait_until_active(&kinesis).await;
        kinesis.add_tags_to_stream().stream_name("readings").tags("env", "dev").send().await.unwrap();
        let retention = kinesis.increase_stream_retention_period().stream_name("readings");
        retention.retention_period_hours(48).send().await.unwrap();
        let shorter = kinesis.decrease_stream_retention_period().stream_name("readings").retention_period_hours(72);
        let shorter = shorter.send().await.unwrap_err().into_service_error();
        let update = kinesis.update_shard_count().stream_name("readings").scaling_type(ScalingType::UniformScaling);
        let tenfold = update.target_shard_count(20).send().await.unwrap_err().into_service_error();
        let record = kinesis.put_record().stream_name("readings").partition_key("k").data(Blob::new("x"));
        assert_eq!(record.send().await.unwrap().encryption_type(), Some(&EncryptionType::Kms));
        let tags = kinesis.list_tags_for_stream().stream_name("readings").send().await.unwrap();
        let summary = kinesis.describe_stream_summary().stream_name("readings").send().await.unwrap();
        let summary = summary.stream_description_summary().unwrap();
        let codes = [busy.code(), shorter.code(), tenfold.code()].map(|code| code.unwrap_or("none").to_owned());
        let tags: Vec<_> =
            tags.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().map(str::to_owned))).collect();
        (summary.key_id().map(str::to_owned), tags, summary.retention_period_hours(), codes)
    });
    assert_eq!((key.as_deref(), hours), (Some("alias/aws/kinesis"), 48));
    assert_eq!(tags, [("env".to_owned(), Some("dev".to_owned()))]);
    assert_eq!(codes, ["ResourceInUseException", "InvalidArgumentException", "LimitExceededException"]);
}

/// The account of [`PIPELINE`], whose function notes what it gets.
struct Pipeline {
    account: Account,
    now: Time,
    /// (key, payload) in the order in which the function got them.
    invoked: Vec<(String, String)>,
}

impl Pipeline {
    fn new() -> Self {
        let mut account = Account::new("eu-west-1", Seed::root(13), Trace::new());
        create_stack(&mut account, START, "test", PIPELINE).unwrap_or_else(|e| panic!("{e}"));
        Pipeline { account, now: START, invoked: Vec::new() }
    }

    fn run_until(&mut self, end: Time) {
        while let Some(due) = self.account.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.account.wake_due(self.now);
            self.finish_invocations();
        }
        self.now = end;
    }

    fn finish_invocations(&mut self) {
        for effect in self.account.take_effects() {
            let Effect::Invoke { invocation, payload, .. } = effect else { panic!("only the function is asked for") };
            let event: Value = serde_json::from_slice(&payload).unwrap();
            for record in event["Records"].as_array().unwrap() {
                let text = |member: &str| record["kinesis"][member].as_str().unwrap().to_owned();
                let data = String::from_utf8(STANDARD.decode(text("data")).unwrap()).unwrap();
                self.invoked.push((text("partitionKey"), data));
            }
            self.account.complete(self.now, invocation, Duration::ZERO, Ok(Bytes::from_static(b"{}")));
        }
    }

    fn call(&mut self, operation: &str, body: &str) {
        let result = self.account.as_owner(self.now, |s, cx| s.kinesis.call(cx, operation, body.as_bytes()));
        result.unwrap_or_else(|error| panic!("{operation} {body}: {error}"));
    }

    /// (key, payload) in the order of the lake.
    fn delivered(&mut self) -> Vec<(String, String)> {
        let text = self.account.as_owner(self.now, |s, cx| {
            let objects = s.s3.list_objects(cx, "lake", "raw/").unwrap();
            let bodies = objects.iter().map(|object| s.s3.get_object(cx, "lake", &object.key).unwrap().to_vec());
            String::from_utf8(bodies.collect::<Vec<_>>().concat()).unwrap()
        });
        let line = |line: &str| line.split_once(' ').map(|(key, _)| (key.to_owned(), line.to_owned())).unwrap();
        text.lines().map(line).collect()
    }
}

#[test]
fn functions_and_delivery_streams_see_the_whole_stream_across_every_reshard() {
    let mut pipeline = Pipeline::new();
    // Where LATEST is, a consumer finds out by its first look.
    pipeline.run_until(START + Duration::from_secs(2));
    let count = |target: u32| {
        format!(r#"{{"StreamName": "readings", "TargetShardCount": {target}, "ScalingType": "UNIFORM_SCALING"}}"#)
    };
    let keys: Vec<String> = (0..23).map(|device| format!("device-{device}")).collect();
    for number in 0..4_000_u64 {
        match number {
            500 => pipeline.call("UpdateShardCount", &count(4)),
            1_200 => pipeline.call("UpdateShardCount", &count(3)),
            2_100 => pipeline.call("UpdateShardCount", &count(5)),
            3_000 => pipeline.call("UpdateShardCount", &count(3)),
            _ => {}
        }
        let key = &keys[(number * 7 % 23) as usize];
        let data = Bytes::from(format!("{key} {number}"));
        let put = pipeline.account.as_owner(pipeline.now, |s, cx| s.kinesis.put_record(cx, "readings", key, data));
        put.unwrap();
        let next = pipeline.now + Duration::from_millis(100);
        pipeline.run_until(next);
    }
    let end = pipeline.now + Duration::from_secs(200);
    pipeline.run_until(end);
    let shards = pipeline.account.as_owner(end, |s, _| s.kinesis.list_shards("readings")).unwrap();
    assert_eq!((shards.len() > 20, shards.iter().filter(|shard| !shard.closed).count()), (true, 3), "{shards:?}");
    let delivered = pipeline.delivered();
    for (key, device) in keys.iter().zip(0_u64..) {
        let expected: Vec<String> =
            (0..4_000_u64).filter(|number| number * 7 % 23 == device).map(|number| format!("{key} {number}")).collect();
        for (consumer, records) in [("the function", &pipeline.invoked), ("the lake", &delivered)] {
            let got: Vec<&String> = records.iter().filter(|(of, _)| of == key).map(|(_, data)| data).collect();
            assert_eq!(got, expected.iter().collect::<Vec<_>>(), "{key} in {consumer}");
        }
    }
}
