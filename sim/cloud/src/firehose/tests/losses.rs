//! Answers of S3 that are lost, wherever an object is written: it lies there twice, under two keys, and is counted once.

use std::collections::{BTreeMap, BTreeSet};

use super::partitions::partitioned;
use super::*;

/// How often each body was written below each folder; the keys are all different.
fn written(world: &World) -> BTreeMap<String, Vec<usize>> {
    let keys: BTreeSet<&String> = world.bucket.objects.iter().map(|(_, key, _)| key).collect();
    assert_eq!(keys.len(), world.bucket.objects.len(), "each object has a key of its own: {keys:?}");
    let mut bodies = BTreeMap::<String, BTreeMap<&[u8], usize>>::new();
    for (_, key, body) in &world.bucket.objects {
        let folder = key.split("/20").next().unwrap().to_owned();
        *bodies.entry(folder).or_default().entry(body).or_default() += 1;
    }
    bodies.into_iter().map(|(folder, bodies)| (folder, bodies.into_values().collect())).collect()
}

#[test]
fn an_object_whose_answer_is_lost_is_repeated_whatever_it_holds() {
    let with_backup = properties(|p| {
        destination(p)["S3BackupMode"] = json!("Enabled");
        destination(p)["S3BackupConfiguration"] = json!({
            "RoleARN": super::fakes::ROLE, "BucketARN": "arn:aws:s3:::kept", "Prefix": "backup/",
            "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 1},
        });
    });
    let converting = converting(|_| {});
    let (good, bad) = (r#"{"tenant":"a","seq":1}"#, r#"{"tenant":"a","seq":"x"}"#);
    let conversion_failed = "errors/format-conversion-failed";
    let extraction_failed = "errors/metadata-extraction-failed";
    for (create, records, lost, expected) in [
        (partitioned(|_| {}), vec![good], [true, false, false], vec![("t=a", 2)]),
        (partitioned(|_| {}), vec!["oops"], [true, true, false], vec![(extraction_failed, 3)]),
        // The errors of a conversion go first.
        (converting.clone(), vec![good, bad], [true, false, false], vec![(conversion_failed, 2), ("raw", 1)]),
        (converting, vec![good, bad], [false, true, false], vec![(conversion_failed, 1), ("raw", 2)]),
        // The lane of the records goes before that of the backup.
        (with_backup.clone(), vec![good], [true, false, false], vec![("backup", 1), ("raw", 2)]),
        (with_backup, vec![good], [false, true, false], vec![("backup", 2), ("raw", 1)]),
    ] {
        let mut world = World::new(1);
        world.create(create).unwrap();
        world.lose(&lost);
        records.iter().for_each(|record| world.stream.put(0, *record, world.now));
        world.advance(SECOND * 130);
        let expected: BTreeMap<String, Vec<usize>> =
            expected.into_iter().map(|(folder, times)| (folder.to_owned(), vec![times])).collect();
        assert_eq!(written(&world), expected);
        let backups = u64::from(expected.contains_key("backup")) * records.len() as u64;
        let counted = (world.counter("DeliveryToS3.Records"), world.counter("BackupToS3.Records"));
        assert_eq!(counted, (records.len() as u64, backups), "{expected:?}");
        let objects = world.counter("DeliveryToS3.ObjectCount") + world.counter("BackupToS3.ObjectCount");
        assert_eq!(objects, expected.len() as u64);
    }
}
