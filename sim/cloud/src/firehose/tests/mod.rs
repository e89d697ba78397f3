mod changes;
mod destinations;
mod fakes;
mod formats;
mod lifecycle;
mod losses;
mod partitions;
mod transform;

use std::time::Duration;

use serde_json::{Value, json};

use self::fakes::{FUNCTION, Shard, World, converting, properties, shard_id, table, unzip};
use crate::core::disturb::Plan;
use crate::core::ports::parse_sequence_number;

const SECOND: Duration = Duration::from_secs(1);

fn destination(properties: &mut Value) -> &mut Value {
    &mut properties["ExtendedS3DestinationConfiguration"]
}

fn newline_gzip(properties: &mut Value) {
    destination(properties)["CompressionFormat"] = json!("GZIP");
    destination(properties)["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": [{
        "Type": "AppendDelimiterToRecord",
        "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}],
    }]});
}

#[test]
fn a_buffer_is_delivered_when_its_oldest_record_is_old_enough() {
    let mut world = World::new(1);
    world.create(properties(newline_gzip)).unwrap();
    world.advance(Duration::from_millis(3_500));
    world.stream.put(0, "one", world.now);
    world.advance(SECOND * 30);
    world.stream.put(0, "two", world.now);
    world.advance(SECOND * 29);
    assert!(world.bucket.objects.is_empty());
    world.advance(SECOND * 3);
    let (_, key, body) = &world.bucket.objects[0];
    assert!(key.starts_with("raw/2026/03/01/00/raw-1-2026-03-01-00-00-03-"), "{key}");
    assert!(key.ends_with(".gz"), "{key}");
    assert_eq!(unzip(body), b"one\ntwo\n");
    assert_eq!((world.counter("DeliveryToS3.Records"), world.counter("DeliveryToS3.Success")), (2, 1));
    assert_eq!(world.counter("DataReadFromKinesisStream.Bytes"), 6);
    world.advance(SECOND * 600);
    assert_eq!(world.bucket.objects.len(), 1, "an empty buffer is not delivered");
}

#[test]
fn a_buffer_is_delivered_when_it_is_large_enough_counting_delimiters() {
    let mut world = World::new(1);
    world.create(properties(newline_gzip)).unwrap();
    // 1 MiB is 1,024 records of 1,023 bytes with their delimiters.
    (0..1023).for_each(|_| world.stream.put(0, vec![b'x'; 1023], world.now));
    world.advance(SECOND * 2);
    assert!(world.bucket.objects.is_empty());
    (0..1030).for_each(|_| world.stream.put(0, vec![b'x'; 1023], world.now));
    world.advance(SECOND * 2);
    let sizes: Vec<usize> = world.bucket.objects.iter().map(|(_, _, body)| unzip(body).len()).collect();
    assert_eq!(sizes, [1 << 20, 1 << 20]);
    world.advance(SECOND * 60);
    assert_eq!(unzip(&world.bucket.objects[2].2).len(), 5 << 10);
}

#[test]
fn equal_records_give_equal_bytes() {
    let bodies = [(); 2].map(|()| {
        let mut world = World::new(1);
        world.create(properties(newline_gzip)).unwrap();
        (0..50).for_each(|n| world.stream.put(0, format!("reading {n}"), world.now));
        world.advance(SECOND * 70);
        world.bucket.objects.remove(0)
    });
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0].2[4..8], [0; 4], "the time in the header of the gzip member is zero");
}

#[test]
fn without_buffering_what_is_read_is_delivered() {
    let mut world = World::new(1);
    world.create(properties(|p| destination(p)["BufferingHints"]["IntervalInSeconds"] = json!(0))).unwrap();
    world.stream.put(0, "now", world.now);
    world.advance(SECOND * 2);
    assert_eq!(world.bucket.objects[0].2, "now");
}

#[test]
fn delivery_begins_after_the_newest_record_and_each_shard_is_read_once_a_second() {
    let mut world = World::new(2);
    world.stream.put(0, "before", world.now);
    world.stream.put(1, "before", world.now);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(1, "after", world.now);
    world.advance(SECOND * 120);
    assert_eq!(world.bucket.objects.len(), 1);
    assert_eq!(world.bucket.objects[0].2, "after");
    for shard in [0, 1] {
        let reads: Vec<_> = world.stream.reads.iter().filter(|(_, id)| *id == shard_id(shard)).collect();
        assert_eq!(reads.len(), 120);
        assert!(reads.windows(2).all(|pair| pair[1].0.since(pair[0].0) == SECOND));
    }
    assert_eq!(world.wakes(), 2, "one wake-up a shard, and none for the empty buffer");
}

#[test]
fn a_throttled_read_is_repeated_and_nothing_is_lost() {
    let mut world = World::new(1);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(0, "a", world.now);
    world.stream.throttle = 5;
    world.advance(SECOND * 3);
    world.stream.put(0, "b", world.now);
    world.advance(SECOND * 90);
    assert_eq!(world.bucket.objects.len(), 1);
    assert_eq!(world.bucket.objects[0].2, "ab");
    assert_eq!(world.counter("ThrottledGetRecords"), 5);
}

#[test]
fn children_are_read_from_their_beginning_once_all_parents_are_read() {
    let mut world = World::new(3);
    world.create(properties(|_| {})).unwrap();
    world.stream.put(0, "[0]", world.now);
    world.stream.put(1, "[1]", world.now);
    world.advance(SECOND * 2);
    // Shards 0 and 1 merge into 3; 2 splits into 4 and 5.
    world.stream.put(1, "[1 last]", world.now);
    for (id, parents) in [(3, vec![0, 1]), (4, vec![2]), (5, vec![2])] {
        parents.iter().for_each(|parent| world.stream.shards.get_mut(&shard_id(*parent)).unwrap().closed = true);
        let parents = parents.into_iter().map(shard_id).collect();
        world.stream.shards.insert(shard_id(id), Shard { parents, ..Shard::default() });
        world.stream.put(id, format!("[{id}]"), world.now);
    }
    world.advance(SECOND * 90);
    let body = String::from_utf8(world.bucket.objects[0].2.to_vec()).unwrap();
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not in {body}"));
    assert!(at("[1 last]") < at("[3]") && at("[0]") < at("[3]"), "{body}");
    assert_eq!((at("[4]") > 0, body.len()), (true, "[0][1][1 last][3][4][5]".len()));
    let closed = world.stream.reads.iter().filter(|(_, id)| *id == shard_id(2)).count();
    assert!(closed <= 4, "a shard that was read to its end is left alone: {closed} reads");
    assert_eq!(world.wakes(), 3);
}

#[test]
fn a_failed_delivery_is_repeated_and_later_ones_wait() {
    let mut world = World::new(1);
    world.create(properties(|_| {})).unwrap();
    world.bucket.failures = 9; // 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60 seconds
    for second in 0..400 {
        world.stream.put(0, format!("{second},"), world.now);
        world.advance(SECOND);
    }
    world.advance(SECOND * 70);
    let body: Vec<u8> = world.bucket.objects.iter().flat_map(|(_, _, body)| body.to_vec()).collect();
    let expected: String = (0..400).map(|second| format!("{second},")).collect();
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    let keys: Vec<&String> = world.bucket.objects.iter().map(|(_, key, _)| key).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    let waited = world.bucket.objects[1].0.since(world.bucket.objects[0].0);
    assert!(waited < SECOND, "what waited behind the first follows it at once: {waited:?}");
}

#[test]
fn reading_pauses_while_too_much_waits() {
    let mut world = World::new(1);
    world.create(properties(|_| {})).unwrap();
    world.bucket.failures = u32::MAX;
    let record = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..300 {
        world.stream.put(0, record.clone(), world.now);
        world.advance(SECOND);
    }
    let paused = world.stream.reads.len();
    assert!((256..260).contains(&paused), "{paused}");
    world.bucket.failures = 0;
    world.advance(SECOND * 200);
    assert_eq!(world.bucket.objects.len(), 300);
}

#[test]
fn records_that_may_still_be_given_up_count_as_memory_beside_their_objects() {
    let mut world = World::new(1);
    let create = partitions::partitioned(|p| {
        destination(p)["DynamicPartitioningConfiguration"]["RetryOptions"]["DurationInSeconds"] = json!(7200);
    });
    world.create(create).unwrap();
    world.bucket.failures = u32::MAX;
    let record = bytes::Bytes::from(format!(r#"{{"tenant":"a","fill":"{}"}}"#, "x".repeat((1 << 20) - 32)));
    for _ in 0..200 {
        world.stream.put(0, record.clone(), world.now);
        world.advance(SECOND);
    }
    // Two minutes of 1 MiB a second, twice, and what is in the buffer.
    let paused = world.stream.reads.len();
    assert!((128..150).contains(&paused), "{paused}");
}

#[test]
fn records_convert_by_the_table_and_the_rest_goes_to_the_error_output() {
    let mut world = World::new(1);
    world.create(converting(|_| {})).unwrap();
    for record in [r#"{"device_id":"d1","seq":1}"#, r#"{"device_id":"d1","seq":"x"}"#, "{", r#"{"seq":2}"#] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 70);
    let [(_, errors, lines), (_, data, body)] = &world.bucket.objects[..] else { panic!("two objects") };
    assert!(errors.starts_with("errors/format-conversion-failed/2026/03/01/00/raw-1-2026-03-01-00-00-00-"), "{errors}");
    assert!(data.starts_with("raw/2026/03/01/00/raw-1-") && data.ends_with(".parquet"), "{data}");
    assert_eq!(&body[..4], b"PAR1");
    let lines = std::str::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let codes: Vec<&str> = lines.iter().map(|line| line["lastErrorCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["DataFormatConversion.MalformedData", "DataFormatConversion.ParseError"]);
    assert_eq!(lines[1]["rawData"], "ew==");
    let sequence_number = lines[0]["sequenceNumber"].as_str().and_then(parse_sequence_number);
    assert_eq!((sequence_number, &lines[0]["attemptsMade"]), (Some(2), &json!(1)));
    assert_eq!(lines[0]["arrivalTimestamp"], 1_772_323_200_000_u64);
    assert_eq!(lines[0]["dataCatalogTable"]["tableName"], "processed");
    assert_eq!((world.counter("SucceedConversion.Records"), world.counter("FailedConversion.Records")), (2, 2));
}

#[test]
fn the_newest_version_of_the_table_is_used_at_each_delivery() {
    let mut world = World::new(1);
    world.create(converting(|_| {})).unwrap();
    for columns in [&[("seq", "bigint")][..], &[("seq", "bigint"), ("note", "string")]] {
        world.catalog.0 = table(columns.len() as u32, columns);
        world.stream.put(0, r#"{"seq":1,"note":"n"}"#, world.now);
        world.advance(SECOND * 70);
    }
    let columns = |body: &bytes::Bytes| {
        use parquet::file::reader::{FileReader as _, SerializedFileReader};
        let reader = SerializedFileReader::new(body.clone()).unwrap();
        reader.metadata().file_metadata().schema_descr().num_columns()
    };
    assert_eq!(world.bucket.objects.iter().map(|(_, _, body)| columns(body)).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn records_wait_while_the_table_cannot_be_read() {
    let mut world = World::new(1);
    world.create(converting(|_| {})).unwrap();
    let good = world.catalog.0.clone();
    world.catalog.0 =
        std::sync::Arc::new(crate::core::ports::CatalogTable { name: "other".to_owned(), ..(*good).clone() });
    world.catalog.1.clear();
    for seq in 0..100 {
        world.stream.put(0, format!(r#"{{"seq":{seq}}}"#), world.now);
        world.advance(SECOND);
    }
    assert!(world.bucket.objects.is_empty());
    let pauses: Vec<u64> = world.catalog.1.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16], "records that arrive ask for the table no sooner");
    world.catalog.0 = good;
    world.advance(SECOND * 90);
    assert_eq!((world.bucket.objects.len(), world.counter("SucceedConversion.Records")), (2, 100));
}

fn refusal(properties: Value) -> (String, String) {
    let error = World::new(1).create(properties).unwrap_err();
    (error.code.to_owned(), error.message)
}

#[test]
fn what_aws_refuses_at_creation_is_refused_with_its_code() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 16] = [
        (|p| p["DeliveryStreamName"] = json!("a b"), "ValidationException", "a b"),
        (|p| p["DeliveryStreamType"] = json!("DirectPut"), "InvalidArgumentException", "KinesisStreamSource"),
        (|p| p["DeliveryStreamType"] = json!("MSKAsSource"), "NotImplemented", "MSKAsSource"),
        (|p| destination(p)["BufferingHints"]["SizeInMBs"] = json!(129), "ValidationException", "SizeInMBs is 129"),
        (|p| destination(p)["BufferingHints"]["SizeInMBs"] = json!(0), "ValidationException", "SizeInMBs is 0"),
        (
            |p| destination(p)["BufferingHints"]["IntervalInSeconds"] = json!(901),
            "ValidationException",
            "IntervalInSeconds is 901",
        ),
        (|p| destination(p)["BufferingHints"] = json!({"SizeInMBs": 5}), "InvalidArgumentException", "both"),
        (|p| destination(p)["ErrorOutputPrefix"] = json!(""), "InvalidArgumentException", "ErrorOutputPrefix"),
        (|p| destination(p)["ErrorOutputPrefix"] = json!("e/"), "InvalidArgumentException", "error-output-type"),
        (
            |p| destination(p)["Prefix"] = json!("!{firehose:error-output-type}/"),
            "InvalidArgumentException",
            "error-output-type",
        ),
        (|p| destination(p)["CompressionFormat"] = json!("LZO"), "ValidationException", "LZO"),
        (|p| destination(p)["CustomTimeZone"] = json!("Mars/Base"), "InvalidArgumentException", "Mars/Base"),
        (
            |p| {
                destination(p)["ProcessingConfiguration"] =
                    json!({"Enabled": true, "Processors": [{"Type": "Decompression"}]})
            },
            "NotImplemented",
            "Decompression",
        ),
        (|p| destination(p)["BucketARN"] = json!("lake"), "InvalidArgumentException", "lake"),
        (|p| p["ExtendedS3DestinationConfiguration"] = json!(null), "InvalidArgumentException", "one destination"),
        (
            |p| {
                let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/absent";
                p["KinesisStreamSourceConfiguration"]["KinesisStreamARN"] = json!(arn);
            },
            "ResourceNotFoundException",
            "absent",
        ),
    ];
    for (change, code, named) in cases {
        let (got, message) = refusal(properties(change));
        assert_eq!(got, code, "{message}");
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn what_aws_refuses_with_format_conversion_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str, &str); 6] = [
        (|p| destination(p)["BufferingHints"]["SizeInMBs"] = json!(63), "InvalidArgumentException", "64"),
        (|p| destination(p)["CompressionFormat"] = json!("GZIP"), "InvalidArgumentException", "UNCOMPRESSED"),
        (|p| conversion(p)["SchemaConfiguration"]["TableName"] = json!("absent"), "InvalidArgumentException", "absent"),
        (|p| conversion(p)["SchemaConfiguration"]["VersionId"] = json!("3"), "NotImplemented", "VersionId"),
        (|p| conversion(p)["OutputFormatConfiguration"] = json!(null), "InvalidArgumentException", "output format"),
        (
            |p| conversion(p)["InputFormatConfiguration"]["Deserializer"] = json!({}),
            "InvalidArgumentException",
            "HiveJsonSerDe",
        ),
    ];
    for (change, code, named) in cases {
        let (got, message) = refusal(converting(change));
        assert_eq!(got, code, "{message}");
        assert!(message.contains(named), "{named}: {message}");
    }
    let mut world = World::new(1);
    world.catalog.0 = table(0, &[("price", "uniontype<int,string>")]);
    let error = world.create(converting(|_| {})).unwrap_err();
    assert_eq!(error.code, "NotImplemented");
    assert!(error.message.contains("uniontype") && error.message.contains("iot.processed.price"), "{error}");
}

fn conversion(properties: &mut Value) -> &mut Value {
    &mut destination(properties)["DataFormatConversionConfiguration"]
}

fn direct(name: &str) -> Value {
    properties(|p| {
        p["DeliveryStreamName"] = json!(name);
        p["DeliveryStreamType"] = json!("DirectPut");
        p.as_object_mut().unwrap().remove("KinesisStreamSourceConfiguration");
    })
}

#[test]
fn records_are_put_directly_to_direct_put_streams_only() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    world.create(properties(|_| {})).unwrap();
    let put = |name: &str| json!({"DeliveryStreamName": name, "Record": {"Data": "b25l"}});
    assert!(!world.call("PutRecord", &put("direct")).unwrap()["RecordId"].as_str().unwrap().is_empty());
    let batch = json!({"DeliveryStreamName": "direct", "Records": [{"Data": "dHdv"}, {"Data": "dGhyZWU="}]});
    let answer = world.call("PutRecordBatch", &batch).unwrap();
    assert_eq!((&answer["FailedPutCount"], answer["RequestResponses"].as_array().unwrap().len()), (&json!(0), 2));
    world.advance(SECOND * 61);
    assert_eq!(world.bucket.objects[0].2, "onetwothree");
    let large = json!({"Data": "A".repeat(1_400 << 10)}); // 1,050 KiB
    for (operation, body, code) in [
        ("PutRecord", put("raw"), "InvalidSourceException"),
        (
            "PutRecordBatch",
            json!({"DeliveryStreamName": "raw", "Records": [{"Data": "b25l"}]}),
            "InvalidSourceException",
        ),
        ("PutRecord", json!({"DeliveryStreamName": "direct", "Record": large}), "ValidationException"),
        (
            "PutRecordBatch",
            json!({"DeliveryStreamName": "direct", "Records": [{"Data": "b25l"}, large]}),
            "ValidationException",
        ),
        ("PutRecord", put("absent"), "ResourceNotFoundException"),
        ("PutRecord", json!({"DeliveryStreamName": "direct"}), "ValidationException"),
        ("PutRecord", json!({"DeliveryStreamName": "direct", "Record": {"Data": "*"}}), "SerializationException"),
        ("PutRecordBatch", json!({"DeliveryStreamName": "direct", "Records": []}), "ValidationException"),
        ("DescribeDeliveryStream", json!({"DeliveryStreamName": "absent"}), "ResourceNotFoundException"),
        ("DescribeDeliveryStream", json!({"DeliveryStreamName": 5}), "SerializationException"),
        ("DescribeDeliveryStream", json!({"DeliveryStreamName": "raw", "Colour": 1}), "NotImplemented"),
        ("CreateDeliveryStream", json!({"DeliveryStreamName": "raw"}), "InvalidArgumentException"),
        ("SplitShard", json!({}), "UnknownOperationException"),
    ] {
        assert_eq!(world.call(operation, &body).unwrap_err().code, code, "{operation} {body}");
    }
}

#[test]
fn direct_puts_beyond_the_rate_are_refused_record_by_record() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    // 5 MiB a second: one batch of 4 MiB, then one MiB of the next.
    let record = json!({"Data": "A".repeat(1 << 20)}); // 768 KiB
    let batch = json!({"DeliveryStreamName": "direct", "Records": vec![record.clone(); 5]});
    assert_eq!(world.call("PutRecordBatch", &batch).unwrap()["FailedPutCount"], 0);
    let too_large = json!({"DeliveryStreamName": "direct", "Records": vec![record; 6]});
    let error = world.call("PutRecordBatch", &too_large).unwrap_err();
    assert_eq!((error.code, &*error.message), ("InvalidArgumentException", "Records size exceeds 4 MB limit"));
    let answer = world.call("PutRecordBatch", &batch).unwrap();
    assert_eq!(answer["FailedPutCount"], 4);
    assert_eq!(answer["RequestResponses"][1]["ErrorCode"], "ServiceUnavailableException");
    let put = json!({"DeliveryStreamName": "direct", "Record": {"Data": "A".repeat(1 << 20)}});
    let error = world.call("PutRecord", &put).unwrap_err();
    assert_eq!((error.code, error.status), ("ServiceUnavailableException", 503));
    world.advance(SECOND);
    assert_eq!(world.call("PutRecordBatch", &batch).unwrap()["FailedPutCount"], 0);
}

#[test]
fn direct_puts_are_told_to_slow_down_while_too_much_waits() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    let put = json!({"DeliveryStreamName": "direct", "Record": {"Data": "b25l"}});
    world.call("PutRecord", &put).unwrap();
    let record = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let cx = &mut world.parts.cx(world.now, &world.owner);
    let stream = world.firehose.find(cx, "direct").unwrap();
    (0..256).for_each(|_| stream.take_put(cx, record.clone()));
    let error = world.call("PutRecord", &put).unwrap_err();
    assert_eq!((error.code, world.counter("ThrottledRecords")), ("ServiceUnavailableException", 1));
    world.advance(SECOND * 120);
    world.call("PutRecord", &put).unwrap();
    world.advance(SECOND * 70);
    let body: usize = world.bucket.objects.iter().map(|(.., body)| body.len()).sum();
    assert_eq!(body, (256 << 20) + 6, "what was taken is delivered");
}

#[test]
fn direct_puts_are_lost_after_a_day_of_failures() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    world.bucket.failures = u32::MAX;
    let put = json!({"DeliveryStreamName": "direct", "Record": {"Data": "b25l"}});
    world.call("PutRecord", &put).unwrap();
    world.advance(SECOND * 3600 * 25);
    world.bucket.failures = 0;
    world.advance(SECOND * 3600);
    assert!(world.bucket.objects.is_empty());
    assert_eq!(world.wakes(), 0);
}

#[test]
fn what_follows_a_lost_delivery_is_tried_with_short_pauses_again() {
    let mut world = World::new(1);
    world.create(direct("direct")).unwrap();
    world.bucket.failures = u32::MAX;
    let put = |data: &str| json!({"DeliveryStreamName": "direct", "Record": {"Data": data}});
    world.call("PutRecord", &put("b25l")).unwrap();
    world.advance(SECOND * 3600 * 23);
    world.call("PutRecord", &put("dHdv")).unwrap();
    let is_given_up = |world: &mut World| {
        world.advance(SECOND);
        world.counter("LostRecords") == 1
    };
    assert!((0..7_200).any(|_| is_given_up(&mut world)));
    world.bucket.failures = 0;
    world.advance(SECOND * 3);
    assert_eq!(world.bucket.objects.len(), 1);
    assert_eq!(world.bucket.objects[0].2, "two");
}

#[test]
fn delivery_streams_are_described_and_listed() {
    let mut world = World::new(1);
    world.create(converting(|p| p["DeliveryStreamName"] = json!("b"))).unwrap();
    world.create(direct("a")).unwrap();
    let answer = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "b"})).unwrap();
    let description = &answer["DeliveryStreamDescription"];
    assert_eq!(description["DeliveryStreamStatus"], "ACTIVE");
    assert_eq!(description["CreateTimestamp"], 1_772_323_200.0);
    let extended = &description["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!(extended["DataFormatConversionConfiguration"]["SchemaConfiguration"]["TableName"], "processed");
    assert_eq!(extended["BufferingHints"], json!({"SizeInMBs": 128, "IntervalInSeconds": 60}));
    assert_eq!(description["Source"]["KinesisStreamSourceDescription"]["DeliveryStartTimestamp"], 1_772_323_200.0);
    let names = |world: &mut World, body| world.call("ListDeliveryStreams", &body).unwrap();
    let all = names(&mut world, json!({}));
    assert_eq!(all, json!({"DeliveryStreamNames": ["a", "b"], "HasMoreDeliveryStreams": false}));
    let first = names(&mut world, json!({"Limit": 1}));
    assert_eq!(first, json!({"DeliveryStreamNames": ["a"], "HasMoreDeliveryStreams": true}));
    let rest = names(&mut world, json!({"ExclusiveStartDeliveryStreamName": "a"}));
    assert_eq!(rest["DeliveryStreamNames"], json!(["b"]));
    let direct = names(&mut world, json!({"DeliveryStreamType": "DirectPut"}));
    assert_eq!(direct["DeliveryStreamNames"], json!(["a"]));
    let error = world.create(converting(|p| p["DeliveryStreamName"] = json!("b"))).unwrap_err();
    assert_eq!(error.code, "ResourceInUseException");
}

mod model {
    //! For any arrivals, every record is in exactly one object, within the bounds, and in order.

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Arrival {
        after_ms: u64,
        shard: usize,
        bytes: usize,
    }

    fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
        let bytes = prop_oneof![8 => 20_usize..300, 1 => 100_000_usize..700_000];
        let after_ms = prop_oneof![6 => 0_u64..500, 2 => 500_u64..5_000, 1 => 5_000_u64..100_000];
        let arrival = (after_ms, 0_usize..3, bytes);
        let arrival = arrival.prop_map(|(after_ms, shard, bytes)| Arrival { after_ms, shard, bytes });
        prop::collection::vec(arrival, 1..80)
    }

    /// A record of `bytes` bytes that says which one it is.
    fn record(number: usize, shard: usize, bytes: usize) -> String {
        let mut text = format!("{number}:{shard}:");
        text.extend(std::iter::repeat_n('x', bytes.saturating_sub(text.len())));
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_record_is_delivered_once_in_order_and_in_time(
            arrivals in arrivals(),
            interval_s in prop_oneof![Just(0_u64), 1_u64..60],
            failures in prop_oneof![Just(0_u32), 1_u32..7],
            throttle in 0_u32..4,
        ) {
            let mut world = World::new(3);
            world.create(properties(|p| {
                newline_gzip(p);
                destination(p)["BufferingHints"]["IntervalInSeconds"] = json!(interval_s);
            })).unwrap();
            (world.bucket.failures, world.stream.throttle) = (failures, throttle);
            let mut put_at = Vec::new();
            for (number, arrival) in arrivals.iter().enumerate() {
                world.advance(Duration::from_millis(arrival.after_ms));
                put_at.push(world.now);
                world.stream.put(arrival.shard, record(number, arrival.shard, arrival.bytes), world.now);
            }
            world.advance(SECOND * 400);

            let mut last = [None; 3];
            let mut seen = vec![0; arrivals.len()];
            for (written, _, body) in &world.bucket.objects {
                let body = String::from_utf8(unzip(body)).unwrap();
                let lines: Vec<&str> = body.lines().collect();
                let without_last = body.len() - lines[lines.len() - 1].len() - 1;
                prop_assert!(without_last < 1 << 20, "the object was full before its last record");
                for line in lines {
                    let mut parts = line.split(':');
                    let mut part = || parts.next().unwrap().parse::<usize>().unwrap();
                    let (number, shard) = (part(), part());
                    prop_assert!(last[shard] < Some(number), "record {number} of shard {shard} was overtaken");
                    last[shard] = Some(number);
                    seen[number] += 1;
                    if failures == 0 && throttle == 0 {
                        // One poll until it is read, then the interval, and the uploads of it and of those before.
                        let waited = written.since(put_at[number]);
                        prop_assert!(waited <= SECOND * (2 + interval_s as u32), "{waited:?}");
                    }
                }
            }
            prop_assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
            prop_assert_eq!(world.counter("DeliveryToS3.Records"), arrivals.len() as u64);
            prop_assert_eq!(world.wakes(), 3);
        }
    }
}

#[test]
fn an_object_whose_answer_was_lost_is_written_again_under_another_key_before_later_ones() {
    let mut world = World::new(1);
    world.create(properties(newline_gzip)).unwrap();
    world.advance(SECOND * 2);
    world.stream.put(0, "one", world.now);
    world.lose(&[true, false, true]);
    world.advance(SECOND * 90);
    world.stream.put(0, "two", world.now);
    world.advance(SECOND * 90);
    let bodies: Vec<Vec<u8>> = world.bucket.objects.iter().map(|(_, _, body)| unzip(body)).collect();
    assert_eq!(bodies, [b"one\n", b"one\n", b"two\n", b"two\n"], "each once unheard, and once more");
    let keys: std::collections::BTreeSet<&String> = world.bucket.objects.iter().map(|(_, key, _)| key).collect();
    assert_eq!(keys.len(), 4, "each has a key of its own: {keys:?}");
    assert_eq!(world.parts.trace.marks()["delivery-repeated"], 2);
    assert_eq!(world.counter("DeliveryToS3.Records"), 2);
}

#[test]
fn readers_stand_still_when_they_are_told_to_and_miss_nothing() {
    let mut world = World::new(1);
    world.create(properties(newline_gzip)).unwrap();
    world.advance(SECOND * 2);
    let until = world.now + SECOND * 100;
    world.parts.disturb = Some(Box::new(Plan { still_until: Some(until), ..Plan::default() }));
    world.stream.put(0, "one", world.now);
    world.advance(SECOND * 99);
    assert_eq!(world.counter("DataReadFromKinesisStream.Records"), 0);
    world.advance(SECOND * 4);
    assert_eq!(world.counter("DataReadFromKinesisStream.Records"), 1);
    let marks = world.parts.trace.marks();
    assert!(marks["reader-stood-still"] >= 2 && marks["reader-behind"] == 1, "{marks:?}");
}
