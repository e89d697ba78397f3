//! Compressions, names and what the Hive deserializer reads.

use std::io::{Cursor, Read as _};

use super::*;

/// The plain bytes of an object with blocks of Snappy, each after so many lengths.
fn blocks(mut body: &[u8], lengths: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    while !body.is_empty() {
        let (heads, rest) = body.split_at(4 * lengths);
        let length = u32::from_be_bytes(heads[heads.len() - 4..].try_into().unwrap()) as usize;
        plain.extend(snap::raw::Decoder::new().decompress_vec(&rest[..length]).unwrap());
        body = &rest[length..];
    }
    plain
}

#[test]
fn every_compression_is_read_back_and_names_its_object() {
    let records: Vec<String> = (0..20_000).map(|n| format!("record {n};")).collect();
    let expected = records.concat();
    for (format, extension) in [("ZIP", ".zip"), ("Snappy", ".snappy"), ("HADOOP_SNAPPY", ".snappy"), ("GZIP", ".gz")] {
        let mut world = World::new(1);
        world.create(properties(|p| destination(p)["CompressionFormat"] = json!(format))).unwrap();
        records.iter().for_each(|record| world.stream.put(0, record.clone(), world.now));
        world.advance(SECOND * 70);
        let mut plain = Vec::new();
        for (_, key, body) in &world.bucket.objects {
            assert!(key.ends_with(extension), "{key}");
            match format {
                "ZIP" => {
                    let mut archive = zip::ZipArchive::new(Cursor::new(body.clone())).unwrap();
                    assert_eq!(archive.len(), 1);
                    archive.by_index(0).unwrap().read_to_end(&mut plain).unwrap();
                }
                "Snappy" => plain.extend(blocks(&body[16..], 1)),
                "HADOOP_SNAPPY" => plain.extend(blocks(body, 2)),
                _ => plain.extend(unzip(body)),
            }
            assert!(body.len() < expected.len() / 2, "{format}: {}", body.len());
        }
        assert_eq!(plain, expected.as_bytes(), "{format}");
    }
}

#[test]
fn names_have_the_extension_and_the_zone_that_were_asked_for() {
    let mut world = World::new(1);
    world
        .create(properties(|p| {
            destination(p)["FileExtension"] = json!(".json.gz");
            destination(p)["CompressionFormat"] = json!("GZIP");
            destination(p)["CustomTimeZone"] = json!("America/New_York");
            destination(p)["Prefix"] = json!("raw/!{timestamp:yyyy-MMM-dd EEE HH}/");
        }))
        .unwrap();
    world.stream.put(0, "one", world.now);
    world.advance(SECOND * 70);
    let key = &world.bucket.objects[0].1;
    // The name of the object itself is in UTC.
    assert!(key.starts_with("raw/2026-Feb-28 Sat 19/raw-1-2026-03-01-00-00-00-") && key.ends_with(".json.gz"), "{key}");
    let bad = properties(|p| destination(p)["FileExtension"] = json!("gz"));
    assert_eq!(refusal(bad).0, "ValidationException");
}

#[test]
fn the_hive_deserializer_reads_its_timestamps_and_coerces_nothing() {
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::{Date32Type, Decimal128Type, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let mut world = World::new(1);
    let columns = [
        ("at", "timestamp"),
        ("day", "date"),
        ("price", "decimal(10,2)"),
        ("raw", "binary"),
        ("code", "char(3)"),
        ("n", "int"),
    ];
    world.catalog.0 = table(0, &columns);
    let hive = json!({"HiveJsonSerDe": {"TimestampFormats": ["yyyy/MM/dd HH:mm", "millis"]}});
    world.create(converting(|p| conversion(p)["InputFormatConfiguration"]["Deserializer"] = hive)).unwrap();
    for record in [
        r#"{"AT":"2026/03/01 10:20","day":"2026-03-01","price":12.345,"raw":"bytes","code":"abcdef","n":1}"#,
        r#"{"at":1772360400000,"price":null}"#,
        r#"{"n":"1"}"#,
        r#"{"at":"yesterday"}"#,
        r#"{"price":123456789.00}"#,
    ] {
        world.stream.put(0, record, world.now);
    }
    world.advance(SECOND * 70);
    assert_eq!(world.counter("FailedConversion.Records"), 3);
    let (.., body) = world.bucket.objects.iter().find(|(_, key, _)| key.ends_with(".parquet")).unwrap();
    let batch =
        ParquetRecordBatchReaderBuilder::try_new(body.clone()).unwrap().build().unwrap().next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let micros = column("at").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(micros.values().to_vec(), [1_772_360_400_000_000, 1_772_360_400_000_000]);
    assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 20_513);
    assert_eq!(column("price").as_primitive::<Decimal128Type>().value(0), 1_235);
    assert!(column("price").is_null(1));
    assert_eq!(column("raw").as_binary::<i32>().value(0), b"bytes");
    assert_eq!(column("code").as_string::<i32>().value(0), "abc");
}
