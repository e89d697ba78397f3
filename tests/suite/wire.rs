//! The real AWS SDK as the client of the simulated account: its encoder, signer, retries and parsers judge ours.

use aws_sdk_athena::types::QueryExecutionState;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, PutRecordsRequestEntry, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_types::SdkConfig;
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::Principal;
use sim::cloud::front::Credential;
use sim::seam::{Cloud, sdk_config};
use sim::world::clock;
use sim::world::runtime::simulate;
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

const TEMPLATE: &str = r#"{"Resources": {
    "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "readings", "ShardCount": 2}},
    "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "directory", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "device_key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "device_key", "KeyType": "HASH"}]}},
    "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "lake"}},
    "Results": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "results"}},
    "Database": {"Type": "AWS::Glue::Database", "Properties": {"CatalogId": {"Ref": "AWS::AccountId"},
        "DatabaseInput": {"Name": "iot"}}},
    "WorkGroup": {"Type": "AWS::Athena::WorkGroup", "Properties": {"Name": "analysts", "WorkGroupConfiguration": {
        "EnforceWorkGroupConfiguration": true, "ResultConfiguration": {"OutputLocation": "s3://results/athena/"}}}}
}}"#;

fn credential(id: &str) -> Credential {
    Credential {
        access_key_id: id.to_owned(),
        secret_access_key: format!("secret of {id}"),
        session_token: Some(format!("session of {id}")),
        expires: None,
        principal: Principal::new("arn:aws:iam::123456789012:root"),
    }
}

/// Runs `test` against an account that [`TEMPLATE`] created.
fn with_account<T, F>(test: impl FnOnce(Cloud, SdkConfig) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = Seed::root(11);
    simulate(seed, Time::from_unix_secs(1_772_323_200), move || async move {
        let mut account = Account::new("eu-west-1", seed, Trace::new());
        account.add_credential(credential("ASIATEST"));
        create_stack(&mut account, clock::now(), "test", TEMPLATE).unwrap_or_else(|e| panic!("{e}"));
        let cloud = Cloud::new(account, seed);
        cloud.spawn_pump(&madsim::runtime::Handle::current().create_node().name("aws").build());
        let config = sdk_config(&cloud, &credential("ASIATEST"));
        test(cloud, config).await
    })
}

#[test]
fn kinesis_takes_records_and_gives_them_back_in_order() {
    let got = with_account(|_, config| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let entries = (0..20).map(|n| {
            let entry = PutRecordsRequestEntry::builder().partition_key("device-1");
            entry.data(Blob::new(format!("reading {n}"))).build().expect("data and key are set")
        });
        let answer =
            kinesis.put_records().stream_name("readings").set_records(Some(entries.collect())).send().await.unwrap();
        assert_eq!(answer.failed_record_count(), Some(0));
        let shard = answer.records()[0].shard_id().unwrap().to_owned();
        let iterator = kinesis.get_shard_iterator().stream_name("readings").shard_id(shard);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let batch = kinesis.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
        batch.records().iter().map(|r| String::from_utf8(r.data().as_ref().to_vec()).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(got, (0..20).map(|n| format!("reading {n}")).collect::<Vec<_>>());
}

#[test]
fn kinesis_throttles_a_shard_by_its_records_per_second() {
    let (failed, codes) = with_account(|_, config| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let (mut failed, mut codes) = (0, std::collections::BTreeSet::new());
        for _ in 0..4 {
            let entries = (0..500).map(|n| {
                let entry = PutRecordsRequestEntry::builder().partition_key("one-key").data(Blob::new(format!("{n}")));
                entry.build().expect("data and key are set")
            });
            let put = kinesis.put_records().stream_name("readings").set_records(Some(entries.collect()));
            let answer = put.send().await.unwrap();
            failed += answer.failed_record_count().unwrap_or(0);
            codes.extend(answer.records().iter().filter_map(|r| r.error_code().map(str::to_owned)));
        }
        (failed, codes)
    });
    // 2,000 records in about 60 ms against 1,000 a second: the first 1,000 and what refilled meanwhile are taken.
    assert!((900..1_000).contains(&failed), "{failed} of 2,000 failed");
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["ProvisionedThroughputExceededException"]);
}

#[test]
fn unknown_streams_have_the_code_and_the_text_of_aws() {
    let (code, message) = with_account(|_, config| async move {
        let put = aws_sdk_kinesis::Client::new(&config).put_record().stream_name("nope").partition_key("k");
        let error = put.data(Blob::new("x")).send().await.unwrap_err().into_service_error();
        (error.code().map(str::to_owned), error.message().map(str::to_owned))
    });
    assert_eq!(code.as_deref(), Some("ResourceNotFoundException"));
    assert_eq!(message.as_deref(), Some("Stream nope under account 123456789012 not found."));
}

/// The ARN of a consumer of the stream, which is ACTIVE.
async fn consumer(kinesis: &aws_sdk_kinesis::Client) -> String {
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/readings";
    let registered = kinesis.register_stream_consumer().stream_arn(arn).consumer_name("fan").send().await.unwrap();
    let consumer = registered.consumer().unwrap().consumer_arn().to_owned();
    loop {
        let described = kinesis.describe_stream_consumer().consumer_arn(&consumer).send().await.unwrap();
        if *described.consumer_description().unwrap().consumer_status() == ConsumerStatus::Active {
            return consumer;
        }
        clock::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[test]
fn a_subscriber_that_sleeps_is_sent_no_more_than_it_has_room_for_and_reads_all_of_it_when_it_wakes() {
    const RECORDS: usize = 240;
    let (texts, kept_bytes_max, behind_max) = with_account(|cloud, config| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let consumer = consumer(&kinesis).await;
        let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
        let call = kinesis.subscribe_to_shard().consumer_arn(&consumer).shard_id("shardId-000000000000");
        let mut stream = call.starting_position(position).send().await.unwrap().event_stream;
        let sent = || {
            let name = ("kinesis", "SubscribeToShardEvent.Bytes");
            cloud.look(|account| account.meter().counters().get(&name).copied().unwrap_or(0))
        };
        // A mebibyte a second for a minute. MD5 of "a" begins with 0c: the first shard.
        for number in 0..RECORDS {
            let data = format!("{number:05}{}", "x".repeat((256 << 10) - 6));
            let put = kinesis.put_record().stream_name("readings").partition_key("a").data(Blob::new(data));
            put.send().await.unwrap();
            clock::sleep(std::time::Duration::from_millis(250)).await;
        }
        let (mut texts, mut read, mut kept_bytes_max, mut behind_max) = (Vec::new(), 0, sent(), 0);
        while texts.len() < RECORDS {
            let event = stream.recv().await.unwrap().expect("the subscription lasts");
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { panic!("{event:?}") };
            behind_max = event.millis_behind_latest().max(behind_max);
            for record in event.records() {
                let data = record.data().as_ref();
                read += data.len() as u64 + 1;
                texts.push(String::from_utf8(data[..5].to_vec()).unwrap());
            }
            kept_bytes_max = kept_bytes_max.max(sent() - read);
        }
        (texts, kept_bytes_max, behind_max)
    });
    assert_eq!(texts, (0..RECORDS).map(|number| format!("{number:05}")).collect::<Vec<_>>());
    assert!((1 << 20..=4 << 20).contains(&kept_bytes_max), "{kept_bytes_max} bytes were sent and not read");
    assert!(behind_max > 50_000, "{behind_max} ms behind at most");
}

#[test]
fn kinesis_pushes_records_to_a_consumer_over_the_event_stream() {
    let (texts, numbers, lasted, repeated) = with_account(|cloud, config| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let consumer = consumer(&kinesis).await;
        let subscribe = || {
            let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
            let call = kinesis.subscribe_to_shard().consumer_arn(&consumer).shard_id("shardId-000000000000");
            call.starting_position(position).send()
        };
        // MD5 of "a" begins with 0c: the first shard.
        let put = |data: String| kinesis.put_record().stream_name("readings").partition_key("a").data(Blob::new(data));
        put("reading 0".to_owned()).send().await.unwrap();
        let began = clock::now();
        let mut stream = subscribe().await.unwrap().event_stream;
        clock::sleep(std::time::Duration::from_millis(1_500)).await;
        let repeated = subscribe().await.unwrap_err().into_service_error().code().map(str::to_owned);
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        while let Some(event) = stream.recv().await.unwrap() {
            let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { panic!("{event:?}") };
            for record in event.records() {
                texts.push(String::from_utf8(record.data().as_ref().to_vec()).unwrap());
                numbers.push(record.sequence_number().to_owned());
                if texts.len() < 20 {
                    put(format!("reading {}", texts.len())).send().await.unwrap();
                }
            }
        }
        drop(cloud);
        (texts, numbers, clock::now().since(began), repeated)
    });
    assert_eq!(texts, (0..20).map(|n| format!("reading {n}")).collect::<Vec<_>>());
    assert!(numbers.is_sorted() && numbers[0].starts_with("49"), "{numbers:?}");
    assert!((300.0..301.0).contains(&lasted.as_secs_f64()), "{lasted:?}");
    assert_eq!(repeated.as_deref(), Some("ResourceInUseException"));
}

#[test]
fn dynamodb_gets_what_was_put_and_leaves_out_what_is_absent() {
    let names = with_account(|_, config| async move {
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        for name in ["a", "b"] {
            let put =
                dynamodb.put_item().table_name("directory").item("device_key", AttributeValue::S(name.to_owned()));
            put.item("site", AttributeValue::N("7".to_owned())).send().await.unwrap();
        }
        let keys = ["a", "b", "absent"].map(|n| [("device_key".to_owned(), AttributeValue::S(n.to_owned()))].into());
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).build().expect("keys are set");
        let got = dynamodb.batch_get_item().request_items("directory", wanted).send().await.unwrap();
        let items = got.responses().unwrap()["directory"].clone();
        let mut names: Vec<String> = items.iter().map(|i| i["device_key"].as_s().unwrap().clone()).collect();
        names.sort();
        names
    });
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn s3_compares_and_swaps_by_etag() {
    let codes = with_account(|_, config| async move {
        let s3 = aws_sdk_s3::Client::new(&config);
        let put = |body: &'static str| {
            s3.put_object().bucket("lake").key("state/shard-0").body(body.as_bytes().to_vec().into())
        };
        let first = put("one").if_none_match("*").send().await.unwrap().e_tag().unwrap().to_owned();
        let again = put("one").if_none_match("*").send().await.unwrap_err().into_service_error();
        put("two").if_match(&first).send().await.unwrap();
        let stale = put("three").if_match(&first).send().await.unwrap_err().into_service_error();
        let body =
            s3.get_object().bucket("lake").key("state/shard-0").send().await.unwrap().body.collect().await.unwrap();
        assert_eq!(body.into_bytes().as_ref(), b"two");
        [again, stale].map(|e| e.code().map(str::to_owned))
    });
    assert_eq!(codes, [Some("PreconditionFailed".to_owned()), Some("PreconditionFailed".to_owned())]);
}

#[test]
fn athena_answers_a_query_in_simulated_time() {
    let (state, value, waited_ms) = with_account(|_, config| async move {
        let athena = aws_sdk_athena::Client::new(&config);
        let before = clock::now();
        let start = athena.start_query_execution().work_group("analysts").query_string("SELECT 1 + 2 AS three");
        let id = start.send().await.unwrap().query_execution_id.unwrap();
        let state = loop {
            let got = athena.get_query_execution().query_execution_id(&id).send().await.unwrap();
            let state = got.query_execution().unwrap().status().unwrap().state().unwrap().clone();
            match state {
                QueryExecutionState::Queued | QueryExecutionState::Running => {
                    clock::sleep(std::time::Duration::from_millis(100)).await;
                }
                ended => break ended,
            }
        };
        let rows = athena.get_query_results().query_execution_id(&id).send().await.unwrap();
        let rows = rows.result_set().unwrap().rows();
        let value = rows[1].data()[0].var_char_value().unwrap().to_owned();
        (state, value, clock::now().since(before).as_millis())
    });
    assert_eq!((state, value.as_str()), (QueryExecutionState::Succeeded, "3"));
    assert!(waited_ms > 100, "{waited_ms} ms");
}

#[test]
fn glue_and_firehose_answer_through_their_own_protocols() {
    let (database, code) = with_account(|_, config| async move {
        let glue = aws_sdk_glue::Client::new(&config);
        let database = glue.get_database().name("IoT").send().await.unwrap().database.unwrap().name;
        let firehose = aws_sdk_firehose::Client::new(&config);
        let absent = firehose.describe_delivery_stream().delivery_stream_name("nope").send().await.unwrap_err();
        (database, absent.into_service_error().code().map(str::to_owned))
    });
    assert_eq!((database.as_str(), code.as_deref()), ("iot", Some("ResourceNotFoundException")));
}

#[test]
fn what_is_not_modelled_is_refused_and_not_retried() {
    let (code, calls) = with_account(|cloud, config| async move {
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let before = clock::now();
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/readings";
        let error = kinesis.put_resource_policy().resource_arn(arn).policy("{}").send().await.unwrap_err();
        let _ = cloud;
        (error.into_service_error().code().map(str::to_owned), clock::now().since(before).as_millis())
    });
    assert_eq!(code.as_deref(), Some("NotImplemented"));
    assert!(calls < 100, "one call takes some 12 ms, retries take seconds: {calls} ms");
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_refused() {
    let codes = with_account(|cloud, _| async move {
        let mut codes = Vec::new();
        for (id, secret) in [("ASIATEST", "wrong"), ("ASIAUNKNOWN", "secret of ASIAUNKNOWN")] {
            let forged = Credential { secret_access_key: secret.to_owned(), ..credential(id) };
            let config = sdk_config(&cloud, &forged);
            let kinesis = aws_sdk_kinesis::Client::new(&config).list_streams().send().await.unwrap_err();
            codes.push(kinesis.into_service_error().code().unwrap_or("none").to_owned());
            let s3 = aws_sdk_s3::Client::new(&config).list_buckets().send().await.unwrap_err();
            codes.push(s3.into_service_error().code().unwrap_or("none").to_owned());
        }
        codes
    });
    let expected =
        ["InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidAccessKeyId"];
    assert_eq!(codes, expected);
}
