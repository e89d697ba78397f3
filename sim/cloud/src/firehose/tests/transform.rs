//! Transformation by a function, and the backup of source records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::core::AwsError;
use crate::core::ports::NoAnswer;

fn text(data: &Value) -> String {
    String::from_utf8(STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap()
}

/// Properties of a delivery through the function, without repetitions.
fn transformed(change: impl FnOnce(&mut Value)) -> Value {
    properties(|properties| {
        destination(properties)["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": [
            {"Type": "Lambda", "Parameters": [
                {"ParameterName": "LambdaArn", "ParameterValue": FUNCTION},
                {"ParameterName": "NumberOfRetries", "ParameterValue": "2"},
                {"ParameterName": "BufferIntervalInSeconds", "ParameterValue": "60"},
            ]},
        ]});
        change(properties);
    })
}

fn parameters(properties: &mut Value) -> &mut Vec<Value> {
    destination(properties)["ProcessingConfiguration"]["Processors"][0]["Parameters"].as_array_mut().unwrap()
}

/// Records become upper case; those of `drop` are dropped, those of `fail` fail.
fn upper(event: &Value) -> Result<Value, NoAnswer> {
    let records = event["records"].as_array().unwrap().iter().map(|record| {
        let data = text(&record["data"]);
        let result = match data.as_str() {
            "drop" => "Dropped",
            "fail" => "ProcessingFailed",
            _ => "Ok",
        };
        json!({"recordId": record["recordId"], "result": result, "data": STANDARD.encode(data.to_uppercase())})
    });
    Ok(json!({"records": records.collect::<Vec<_>>()}))
}

fn lines(world: &World) -> Vec<Value> {
    let of_errors = world.bucket.objects.iter().filter(|(_, key, _)| key.starts_with("errors/processing-failed/"));
    let lines = of_errors.flat_map(|(.., body)| std::str::from_utf8(body).unwrap().lines());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn records_become_what_the_function_answers() {
    let mut world = World::new(1);
    world.function.handler = Some(Box::new(upper));
    world.create(transformed(|_| {})).unwrap();
    for record in ["one", "drop", "fail", "two"] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 130);
    let event = &world.function.events[0];
    assert_eq!(event["deliveryStreamArn"], "arn:aws:firehose:eu-west-1:123456789012:deliverystream/raw");
    assert_eq!(event["sourceKinesisStreamArn"], "arn:aws:kinesis:eu-west-1:123456789012:stream/readings");
    let first = &event["records"][0];
    assert_eq!(
        (text(&first["data"]).as_str(), &first["approximateArrivalTimestamp"]),
        ("one", &json!(1_772_323_200_000_u64))
    );
    assert_eq!(first["kinesisRecordMetadata"]["shardId"], "shardId-000000000000");
    assert_eq!((world.function.events.len(), &event["region"]), (1, &json!("eu-west-1")));
    let data: Vec<&[u8]> =
        world.bucket.objects.iter().filter(|(_, key, _)| key.starts_with("raw/")).map(|o| &o.2[..]).collect();
    assert_eq!(data, [b"ONETWO"]);
    let [line] = &lines(&world)[..] else { panic!("{:?}", lines(&world)) };
    assert_eq!(
        (text(&line["rawData"]).as_str(), &line["errorCode"]),
        ("fail", &json!("Lambda.ProcessingFailedStatus"))
    );
    assert_eq!((&line["lambdaArn"], &line["attemptsMade"]), (&json!(FUNCTION), &json!(1)));
    let counters = ["SucceedProcessing.Records", "SucceedProcessing.Bytes", "ExecuteProcessing.Success"];
    assert_eq!(counters.map(|name| world.counter(name)), [3, 10, 1], "what is dropped is processed");
    assert_eq!(world.counter("DeliveryToS3.Records"), 3, "what failed is delivered too");
}

#[test]
fn a_function_that_fails_is_tried_again_with_the_same_records_and_then_given_up() {
    type Why = fn() -> NoAnswer;
    let cases: [(Why, &str); 4] = [
        (|| NoAnswer::Failed("Unhandled: boom".to_owned()), "Lambda.FunctionError"),
        (|| NoAnswer::TimedOut("Task timed out after 3.00 seconds".to_owned()), "Lambda.FunctionTimedOut"),
        (
            || NoAnswer::Refused(AwsError::new("TooManyRequestsException", "Rate Exceeded.").status(429)),
            "Lambda.InvokeLimitExceeded",
        ),
        (
            || NoAnswer::Refused(AwsError::new("ResourceNotFoundException", "Function not found").status(404)),
            "Lambda.ResourceNotFound",
        ),
    ];
    for (why, code) in cases {
        let mut world = World::new(1);
        world.function.handler = Some(Box::new(move |_| Err(why())));
        world.create(transformed(|_| {})).unwrap();
        world.stream.put(0, "one", world.now);
        world.advance(SECOND * 140);
        let events = &world.function.events;
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|event| event["records"] == events[0]["records"]));
        assert_ne!(events[0]["invocationId"], events[1]["invocationId"]);
        let [line] = &lines(&world)[..] else { panic!("{:?}", lines(&world)) };
        assert_eq!((&line["errorCode"], &line["attemptsMade"]), (&json!(code), &json!(3)));
    }
}

#[test]
fn an_invocation_that_is_refused_is_tried_again_three_times_where_no_number_is_given() {
    for (refusals, given, attempts) in [(9, Some("1"), 2), (9, None, 4), (3, None, 0)] {
        let mut world = World::new(1);
        world.function.handler = Some(Box::new(upper));
        world.function.refusals = refusals;
        let create = transformed(|p| {
            parameters(p).retain(|parameter| parameter["ParameterName"] != "NumberOfRetries");
            let number = |value| json!({"ParameterName": "NumberOfRetries", "ParameterValue": value});
            parameters(p).extend(given.map(number));
        });
        world.create(create).unwrap();
        world.stream.put(0, "one", world.now);
        world.advance(SECOND * 140);
        let told = lines(&world).iter().map(|line| line["attemptsMade"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(told, attempts, "{given:?}");
        assert_eq!(world.bucket.objects[0].2 == "ONE", attempts == 0);
    }
}

#[test]
fn a_function_that_never_answers_is_given_up_after_five_minutes_each_time() {
    let mut world = World::new(1);
    world.create(transformed(|_| {})).unwrap();
    world.stream.put(0, "one", world.now);
    world.advance(SECOND * (60 + 3 * 300 + 100));
    let [line] = &lines(&world)[..] else { panic!("{:?}", lines(&world)) };
    assert_eq!((&line["errorCode"], world.function.events.len()), (&json!("Lambda.FunctionRequestTimedOut"), 3));
}

#[test]
fn a_function_is_invoked_with_no_more_than_its_buffer() {
    let mut world = World::new(1);
    world.function.handler = Some(Box::new(upper));
    world
        .create(transformed(|p| {
            parameters(p).push(json!({"ParameterName": "BufferSizeInMBs", "ParameterValue": "0.2"}));
        }))
        .unwrap();
    (0..10).for_each(|_| world.stream.put(0, vec![b'x'; 100 << 10], world.now));
    world.advance(SECOND * 2);
    // Two records of 100 KiB fit in 0.2 MiB.
    let sizes: Vec<usize> =
        world.function.events.iter().map(|event| event["records"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [2; 4], "the last two wait: the buffer is not full");
    world.advance(SECOND * 61);
    assert_eq!(world.function.events.len(), 5);
}

#[test]
fn a_batch_of_small_records_is_no_larger_than_an_invocation_may_be() {
    let mut world = World::new(1);
    world.function.handler = Some(Box::new(upper));
    world
        .create(transformed(|p| {
            parameters(p).push(json!({"ParameterName": "BufferSizeInMBs", "ParameterValue": "3"}));
        }))
        .unwrap();
    // Not a tenth of the buffer, but each takes some hundred bytes in the event.
    (0..20_000).for_each(|n| world.stream.put(0, format!("r{n:05};"), world.now));
    world.advance(SECOND * 140);
    let most = usize::try_from(world.parts.limits.get("firehose", "lambda_transform_payload")).unwrap();
    let sizes: Vec<usize> = world.function.events.iter().map(|event| event.to_string().len()).collect();
    assert!(sizes.len() == 2 && sizes[0] <= most && sizes[0] > most * 3 / 4, "{sizes:?}");
    let body: Vec<u8> = world.bucket.objects.iter().flat_map(|(.., body)| body.to_vec()).collect();
    let expected: String = (0..20_000).map(|n| format!("R{n:05};")).collect();
    assert!(body == expected.as_bytes(), "{} bytes in {} objects", body.len(), world.bucket.objects.len());
}

#[test]
fn what_waits_for_a_function_that_is_taken_out_is_delivered_as_it_came() {
    let mut world = World::new(1);
    let before = transformed(|p| {
        parameters(p).push(json!({"ParameterName": "BufferSizeInMBs", "ParameterValue": "0.2"}));
    });
    world.create(before.clone()).unwrap();
    // Two a batch: five batches run and are never answered, one waits, and the last two records are in the buffer.
    (b'a'..b'a' + 14).for_each(|letter| world.stream.put(0, vec![letter; 100 << 10], world.now));
    world.advance(SECOND * 2);
    assert_eq!(world.function.events.len(), 5);
    world.update(&before, properties(|_| {})).unwrap();
    let letters = |world: &World| {
        let body: Vec<u8> = world.bucket.objects.iter().flat_map(|(.., body)| body.to_vec()).collect();
        body.chunks(100 << 10).map(|record| char::from(record[0])).collect::<String>()
    };
    world.advance(SECOND * 70);
    assert_eq!(letters(&world), "klmn");
    world.advance(SECOND * 300);
    assert_eq!(letters(&world), "klmnabcdefghij");
    assert_eq!((world.function.events.len(), lines(&world).len(), world.wakes()), (5, 0, 1));
}

#[test]
fn keys_of_the_function_name_partitions() {
    let mut world = World::new(1);
    world.function.handler = Some(Box::new(|event| {
        let records = event["records"].as_array().unwrap().iter().map(|record| {
            let data = text(&record["data"]);
            let keys = if data == "none" { json!({}) } else { json!({"first": data[..1]}) };
            json!({"recordId": record["recordId"], "result": "Ok", "data": record["data"], "metadata": {"partitionKeys": keys}})
        });
        Ok(json!({"records": records.collect::<Vec<_>>()}))
    }));
    world
        .create(transformed(|p| {
            destination(p)["Prefix"] = json!("f=!{partitionKeyFromLambda:first}/!{timestamp:yyyy}/");
            destination(p)["BufferingHints"] = json!({"IntervalInSeconds": 60, "SizeInMBs": 64});
            destination(p)["DynamicPartitioningConfiguration"] = json!({"Enabled": true});
        }))
        .unwrap();
    for record in ["ax", "bx", "none", "ay"] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 140);
    let bodies: Vec<(&str, &[u8])> =
        world.bucket.objects.iter().map(|(_, key, body)| (key.split('/').next().unwrap(), &body[..])).collect();
    assert!(bodies.contains(&("f=a", b"axay")) && bodies.contains(&("f=b", b"bx")), "{bodies:?}");
    assert!(world.bucket.objects.iter().any(|(_, key, _)| key.starts_with("errors/metadata-extraction-failed/")));
}

#[test]
fn source_records_are_kept_whatever_becomes_of_them() {
    let mut world = World::new(1);
    world.function.handler = Some(Box::new(upper));
    let backup = json!({
        "RoleARN": super::fakes::ROLE, "BucketARN": "arn:aws:s3:::kept", "Prefix": "backup/",
        "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 1}, "CompressionFormat": "GZIP",
    });
    let before = transformed(|p| {
        destination(p)["S3BackupMode"] = json!("Enabled");
        destination(p)["S3BackupConfiguration"] = backup.clone();
    });
    world.create(before.clone()).unwrap();
    for record in ["one", "drop", "fail"] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 70);
    let [(_, key, body)] = &world.bucket.objects[..] else { panic!("{:?}", world.bucket.objects) };
    assert!(key.starts_with("backup/2026/03/01/00/raw-1-") && key.ends_with(".gz"), "{key}");
    assert_eq!(unzip(body), b"onedropfail");
    assert_eq!((world.counter("BackupToS3.Records"), world.counter("BackupToS3.Bytes")), (3, 11));
    let described = world.call("DescribeDeliveryStream", &json!({"DeliveryStreamName": "raw"})).unwrap();
    let extended = &described["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!(extended["S3BackupDescription"]["CompressionFormat"], "GZIP");
    let error = world.update(&before, transformed(|_| {})).unwrap_err();
    assert!(error.message.contains("S3BackupMode cannot be disabled"), "{error}");
    let update = json!({
        "DeliveryStreamName": "raw", "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "ExtendedS3DestinationUpdate": {"S3BackupUpdate": {"Prefix": "elsewhere/"}},
    });
    world.call("UpdateDestination", &update).unwrap();
    world.stream.put(0, "two", world.now);
    world.advance(SECOND * 70);
    assert!(world.bucket.objects.iter().any(|(_, key, _)| key.starts_with("elsewhere/2026/")));
}

#[test]
fn what_a_function_cannot_be_is_refused() {
    for (name, value) in [
        ("LambdaArn", "transform"),
        ("NumberOfRetries", "many"),
        ("BufferSizeInMBs", "4"),
        ("BufferIntervalInSeconds", "59"),
        ("Delimiter", "x"),
    ] {
        let (code, message) = refusal(transformed(|p| {
            parameters(p).push(json!({"ParameterName": name, "ParameterValue": value}));
        }));
        assert!(code == "InvalidArgumentException" && message.contains(name), "{code} {message}");
    }
}
