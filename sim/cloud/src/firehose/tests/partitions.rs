//! Dynamic partitioning.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Properties of a delivery by the keys of a query.
pub(super) fn partitioned(change: impl FnOnce(&mut Value)) -> Value {
    properties(|properties| {
        let destination = destination(properties);
        destination["Prefix"] = json!("t=!{partitionKeyFromQuery:tenant}/!{timestamp:yyyy}/");
        destination["BufferingHints"] = json!({"IntervalInSeconds": 60, "SizeInMBs": 64});
        destination["DynamicPartitioningConfiguration"] =
            json!({"Enabled": true, "RetryOptions": {"DurationInSeconds": 30}});
        destination["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": [
            {"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{tenant: .tenant}"},
                {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
            ]},
            {"Type": "AppendDelimiterToRecord", "Parameters": [
                {"ParameterName": "Delimiter", "ParameterValue": "\\n"},
            ]},
        ]});
        change(properties);
    })
}

fn processors(properties: &mut Value) -> &mut Vec<Value> {
    destination(properties)["ProcessingConfiguration"]["Processors"].as_array_mut().unwrap()
}

/// The bodies below each first part of a key.
fn by_folder(world: &World) -> BTreeMap<String, String> {
    let mut folders = BTreeMap::<String, String>::new();
    for (_, key, body) in &world.bucket.objects {
        let folder = key.split("/20").next().unwrap().to_owned();
        folders.entry(folder).or_default().push_str(std::str::from_utf8(body).unwrap());
    }
    folders
}

/// The lines of the error output of a type.
fn errors(world: &World, kind: &str) -> Vec<Value> {
    let body = by_folder(world).remove(&format!("errors/{kind}")).unwrap_or_default();
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_record_is_below_its_own_key_and_one_without_a_key_in_the_error_output() {
    let mut world = World::new(1);
    world.create(partitioned(|_| {})).unwrap();
    for record in [r#"{"tenant":"a","n":1}"#, r#"{"tenant":7}"#, "oops", r#"{"tenant":"a","n":2}"#, r#"{"n":3}"#] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 70);
    let folders = by_folder(&world);
    assert_eq!(folders["t=a"], "{\"tenant\":\"a\",\"n\":1}\n{\"tenant\":\"a\",\"n\":2}\n");
    assert_eq!(folders["t=7"], "{\"tenant\":7}\n");
    let lines = errors(&world, "metadata-extraction-failed");
    let told: Vec<_> = lines.iter().map(|line| (&line["errorMessage"], &line["rawData"])).collect();
    let empty = json!("partitionKeys values must not be null or empty");
    assert_eq!(told, [(&json!("Non JSON record provided"), &json!("b29wcw==")), (&empty, &json!("eyJuIjozfQ=="))]);
    assert_eq!(lines[0]["errorCode"], "DynamicPartitioning.MetadataExtractionFailed");
    assert_eq!((&lines[0]["attemptsMade"], lines[0].get("lambdaArn")), (&json!(1), None));
    assert_eq!((world.counter("PartitionCount"), world.counter("DeliveryToS3.Records")), (2, 5));
}

#[test]
fn a_key_that_makes_a_prefix_too_long_is_told_and_one_with_any_character_is_a_key() {
    let mut world = World::new(1);
    world.create(partitioned(|p| destination(p)["Prefix"] = json!("t=!{partitionKeyFromQuery:tenant}/"))).unwrap();
    for tenant in [&"x".repeat(600), "a\\u0000b"] {
        world.stream.put(0, format!(r#"{{"tenant":"{tenant}"}}"#), world.now);
    }
    world.advance(SECOND * 70);
    let lines = errors(&world, "metadata-extraction-failed");
    assert_eq!((lines.len(), &lines[0]["errorMessage"]), (1, &json!("the evaluated prefix exceeds 512 characters")));
    assert_eq!((world.counter("PartitionCount"), world.bucket.objects.len()), (1, 2));
    let named = |key: &String| key.starts_with("t=a\0b/raw-1-2026-03-01-00-00-00-");
    assert!(world.bucket.objects.iter().any(|(_, key, _)| named(key)), "nothing is put in, and no date appended");
}

#[test]
fn beyond_the_active_partitions_records_go_to_the_error_output_until_some_are_delivered() {
    let mut world = World::new(1);
    world.create(partitioned(|_| {})).unwrap();
    let most = usize::try_from(world.parts.limits.get("firehose", "active_partitions")).unwrap();
    (0..most + 3).for_each(|tenant| world.stream.put(0, format!(r#"{{"tenant":{tenant}}}"#), world.now));
    world.advance(SECOND * 10);
    // One that is active takes more.
    world.stream.put(0, r#"{"tenant":0}"#, world.now);
    world.advance(SECOND * 60);
    let lines = errors(&world, "activePartitionExceeded");
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["errorMessage"], "The number of active partitions has exceeded the configured limit");
    assert_eq!((by_folder(&world).len(), world.counter("PartitionCountExceeded")), (most + 1, 1));
    assert_eq!(by_folder(&world)["t=0"].lines().count(), 2);
    world.stream.put(0, format!(r#"{{"tenant":{most}}}"#), world.now);
    world.advance(SECOND * 70);
    assert!(by_folder(&world).contains_key(&format!("t={most}")), "partitions that are delivered are active no more");
}

#[test]
fn a_partition_that_cannot_be_written_is_given_up_after_its_retries_and_holds_up_no_other() {
    let mut world = World::new(1);
    world.create(partitioned(|_| {})).unwrap();
    world.bucket.closed_below = Some("t=a/".to_owned());
    for record in [r#"{"tenant":"a"}"#, r#"{"tenant":"b"}"#] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 65);
    assert_eq!(by_folder(&world).keys().collect::<Vec<_>>(), ["t=b"]);
    world.advance(SECOND * 100);
    let lines = errors(&world, "s3-failed");
    assert_eq!((lines.len(), &lines[0]["errorCode"]), (1, &json!("S3.AccessDenied")));
    assert_eq!(lines[0]["rawData"], "eyJ0ZW5hbnQiOiJhIn0=");
}

#[test]
fn a_record_that_did_not_convert_is_told_once_whatever_is_given_up() {
    // Either the data or the errors of the conversion cannot be written.
    for closed in ["t=a/", "errors/format-conversion-failed/"] {
        let mut world = World::new(1);
        let converting = converting(|_| {});
        world
            .create(partitioned(|p| {
                let conversion = "DataFormatConversionConfiguration";
                destination(p)[conversion] = converting["ExtendedS3DestinationConfiguration"][conversion].clone();
                processors(p).truncate(1);
            }))
            .unwrap();
        world.bucket.closed_below = Some(closed.to_owned());
        for record in [r#"{"tenant":"a","seq":1}"#, r#"{"tenant":"a","seq":"x"}"#] {
            world.stream.put(0, record, world.now);
        }
        world.advance(SECOND * 200);
        let data = |lines: Vec<Value>| lines.iter().map(|line| line["rawData"].clone()).collect::<Vec<_>>();
        assert_eq!(data(errors(&world, "s3-failed")), ["eyJ0ZW5hbnQiOiJhIiwic2VxIjoxfQ=="], "{closed}");
        world.bucket.closed_below = None;
        world.advance(SECOND * 200);
        assert_eq!(data(errors(&world, "format-conversion-failed")), ["eyJ0ZW5hbnQiOiJhIiwic2VxIjoieCJ9"], "{closed}");
        assert_eq!((errors(&world, "s3-failed").len(), world.bucket.objects.len()), (1, 2), "{closed}");
    }
}

#[test]
fn records_within_records_are_told_apart_before_they_are_partitioned() {
    let mut world = World::new(1);
    let deaggregation = json!({"Type": "RecordDeAggregation", "Parameters": [
        {"ParameterName": "SubRecordType", "ParameterValue": "JSON"},
    ]});
    world.create(partitioned(|p| processors(p).push(deaggregation))).unwrap();
    world.stream.put(0, "{\"tenant\":\"a\"}{\"tenant\":\"b\"}\n{\"tenant\":\"a\"}", world.now);
    // And from a record that the producer library has aggregated.
    let inner = [&br#"{"tenant":"c"}"#[..], br#"{"tenant":"a"}"#];
    world.stream.put(0, crate::firehose::subrecords::tests::aggregate(&inner), world.now);
    world.advance(SECOND * 70);
    let counts: BTreeMap<String, usize> =
        by_folder(&world).into_iter().map(|(folder, body)| (folder, body.lines().count())).collect();
    assert_eq!(counts, [("t=a", 3), ("t=b", 1), ("t=c", 1)].map(|(key, n)| (key.to_owned(), n)).into());
}

#[test]
fn what_aws_refuses_of_partitions_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 10] = [
        (|p| destination(p)["BufferingHints"]["SizeInMBs"] = json!(63), "at least 64"),
        (|p| destination(p)["BufferingHints"]["IntervalInSeconds"] = json!(59), "at least 60"),
        (|p| destination(p)["Prefix"] = json!("x/"), "partition key"),
        (|p| destination(p)["Prefix"] = json!("!{partitionKeyFromLambda:k}/"), "processor of type Lambda"),
        (|p| drop(processors(p).remove(0)), "MetadataExtraction"),
        (|p| processors(p)[0]["Parameters"][1]["ParameterValue"] = json!("JQ-1.7"), "JQ-1.6"),
        (|p| processors(p)[0]["Parameters"][0]["ParameterValue"] = json!("{tenant"), "not JQ"),
        (|p| destination(p)["DynamicPartitioningConfiguration"]["Enabled"] = json!(false), "dynamic partitioning"),
        (
            |p| {
                destination(p)["ErrorOutputPrefix"] = json!("!{partitionKeyFromQuery:k}/!{firehose:error-output-type}/")
            },
            "partition keys",
        ),
        (|p| processors(p)[0]["Parameters"][0]["ParameterName"] = json!("Delimiter"), "no parameter Delimiter"),
    ];
    for (change, text) in cases {
        let (code, message) = refusal(partitioned(change));
        assert!(code == "InvalidArgumentException" && message.contains(text), "{text}: {code} {message}");
    }
    let too_long = partitioned(|p| {
        destination(p)["DynamicPartitioningConfiguration"]["RetryOptions"]["DurationInSeconds"] = json!(7201);
    });
    assert_eq!(refusal(too_long).0, "ValidationException");
    for (before, after) in [(properties(|_| {}), partitioned(|_| {})), (partitioned(|_| {}), properties(|_| {}))] {
        let mut world = World::new(1);
        world.create(before.clone()).unwrap();
        let error = world.update(&before, after).unwrap_err();
        assert!(error.message.contains("Dynamic partitioning cannot be"), "{error}");
    }
}

mod model {
    //! Whatever arrives and fails, every record is in some object, and in exactly one when nothing fails.

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A record of this tenant, or one without a tenant.
        Put(Option<u8>),
        /// So many milliseconds.
        Wait(u64),
        /// So many writes fail.
        Fail(u32),
        /// An answer of S3 is lost.
        Lose,
        /// One tenant cannot be written any more, or again.
        Close(bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            10 => (0_u8..5).prop_map(|tenant| Step::Put(Some(tenant))),
            1 => Just(Step::Put(None)),
            5 => (0_u64..40_000).prop_map(Step::Wait),
            1 => (1_u32..5).prop_map(Step::Fail),
            1 => Just(Step::Lose),
            1 => any::<bool>().prop_map(Step::Close),
        ];
        prop::collection::vec(step, 1..60)
    }

    fn run(steps: &[Step]) -> (World, Vec<(String, Option<u8>)>) {
        let mut world = World::new(1);
        world
            .create(partitioned(|p| {
                destination(p)["S3BackupMode"] = json!("Enabled");
                destination(p)["S3BackupConfiguration"] = json!({
                    "RoleARN": super::super::fakes::ROLE, "BucketARN": "arn:aws:s3:::kept", "Prefix": "backup/",
                    "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 1},
                });
            }))
            .unwrap();
        let mut records = Vec::new();
        for step in steps {
            match *step {
                Step::Put(tenant) => {
                    let number = records.len();
                    let record = match tenant {
                        Some(tenant) => format!(r#"{{"tenant":"{tenant}","n":{number}}}"#),
                        None => format!(r#"{{"n":{number}}}"#),
                    };
                    world.stream.put(0, record.clone(), world.now);
                    records.push((record, tenant));
                }
                Step::Wait(ms) => world.advance(Duration::from_millis(ms)),
                Step::Fail(count) => world.bucket.failures = count,
                Step::Lose => world.lose(&[true]),
                Step::Close(closed) => world.bucket.closed_below = closed.then(|| "t=1/".to_owned()),
            }
        }
        world.bucket.closed_below = None;
        world.advance(SECOND * 900);
        (world, records)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_record_is_in_an_object_below_its_key_and_in_one_when_nothing_fails(steps in steps()) {
            let (world, records) = run(&steps);
            let mut data = BTreeMap::<&str, BTreeSet<&str>>::new();
            let mut seen = BTreeMap::<String, usize>::new();
            let mut kept = BTreeMap::<String, usize>::new();
            for (_, key, body) in &world.bucket.objects {
                let body = std::str::from_utf8(body).unwrap();
                if key.starts_with("backup/") {
                    for record in body.split_inclusive('}') {
                        *kept.entry(record.to_owned()).or_default() += 1;
                    }
                    continue;
                }
                for line in body.lines() {
                    let record = match key.strip_prefix("errors/") {
                        None => {
                            data.entry(key.split('/').next().unwrap()).or_default().insert(line);
                            line.to_owned()
                        }
                        Some(_) => {
                            let line: Value = serde_json::from_str(line).unwrap();
                            String::from_utf8(STANDARD.decode(line["rawData"].as_str().unwrap()).unwrap()).unwrap()
                        }
                    };
                    *seen.entry(record).or_default() += 1;
                }
            }
            let fails = steps.iter().any(|step| !matches!(step, Step::Put(_) | Step::Wait(_)));
            for (record, tenant) in &records {
                let (times, backups) = (seen.get(record).copied(), kept.get(record).copied());
                prop_assert!(times.is_some() && backups.is_some(), "{record} is lost: {seen:?} {kept:?}");
                if !fails {
                    prop_assert_eq!((times, backups), (Some(1), Some(1)), "{}", record);
                }
                let holders: Vec<&str> =
                    data.iter().filter(|(_, lines)| lines.contains(record.as_str())).map(|(folder, _)| *folder).collect();
                let own = tenant.map(|tenant| format!("t={tenant}"));
                prop_assert!(holders.iter().all(|holder| Some(*holder) == own.as_deref()), "{record}: {holders:?}");
            }
            prop_assert_eq!(seen.len(), records.len());
            prop_assert_eq!(world.counter("LostRecords"), 0);
        }
    }
}
