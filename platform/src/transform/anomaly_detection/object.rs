//! Anomalies as a Parquet file: the same anomalies give the same bytes.

use std::sync::{Arc, LazyLock};

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::report::Anomaly;
use super::schema::ANOMALY_COLUMNS;

/// The schema of a file. Every column has a value in every row.
static SCHEMA: LazyLock<Arc<Type>> = LazyLock::new(|| {
    let column = |name: &str, kind: &str| {
        let (physical, logical) = match kind {
            "string" => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            "double" => (Physical::DOUBLE, None),
            "bigint" => (Physical::INT64, None),
            other => panic!("{other} is not known here"),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
        Arc::new(field.with_logical_type(logical).build().expect("a primitive type has no contradictions"))
    };
    let columns = ANOMALY_COLUMNS.iter().map(|of| column(of.name, of.r#type)).collect();
    Arc::new(Type::group_type_builder("anomaly").with_fields(columns).build().expect("names differ"))
});

/// How files are written. The writer's name carries no version, so that a new one of a library alone changes no bytes.
static PROPERTIES: LazyLock<Arc<WriterProperties>> = LazyLock::new(|| {
    let properties = WriterProperties::builder()
        .set_created_by("iot-platform".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    Arc::new(properties.build())
});

/// The values of one column.
enum Values {
    Texts(Vec<ByteArray>),
    Doubles(Vec<f64>),
    Numbers(Vec<i64>),
}

fn values(column: &str, anomalies: &[Anomaly]) -> Values {
    let texts = |of: fn(&Anomaly) -> &str| Values::Texts(anomalies.iter().map(|anomaly| of(anomaly).into()).collect());
    let doubles = |of: fn(&Anomaly) -> f64| Values::Doubles(anomalies.iter().map(of).collect());
    let numbers = |of: fn(&Anomaly) -> i64| Values::Numbers(anomalies.iter().map(of).collect());
    match column {
        "tenant_id" => texts(|anomaly| &anomaly.tenant_id),
        "device_id" => texts(|anomaly| &anomaly.device_id),
        "metric" => texts(|anomaly| &anomaly.metric),
        "kind" => texts(|anomaly| anomaly.kind.code()),
        "score" => doubles(|anomaly| anomaly.score),
        "value" => doubles(|anomaly| anomaly.value),
        "expected" => doubles(|anomaly| anomaly.expected),
        "scale" => doubles(|anomaly| anomaly.scale),
        // The type of the column has a sign, as all of Hive's have.
        "seq" => numbers(|anomaly| anomaly.seq.cast_signed()),
        "ts" => numbers(|anomaly| anomaly.ts),
        "received_at" => numbers(|anomaly| anomaly.received_at),
        "event_at" => numbers(|anomaly| anomaly.event_at),
        "shard_id" => texts(|anomaly| &anomaly.shard_id),
        "sequence_number" => texts(|anomaly| &anomaly.sequence_number),
        other => panic!("the column {other} is not known here"),
    }
}

/// The file of anomalies.
pub(super) fn file(anomalies: &[Anomaly]) -> Vec<u8> {
    try_file(anomalies).expect("values of the schema's types are written to memory")
}

fn try_file(anomalies: &[Anomaly]) -> Result<Vec<u8>, ParquetError> {
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::clone(&SCHEMA), Arc::clone(&PROPERTIES))?;
    let mut group = writer.next_row_group()?;
    for column in &ANOMALY_COLUMNS {
        let mut writer = group.next_column()?.expect("the schema has these columns");
        match values(column.name, anomalies) {
            Values::Texts(values) => writer.typed::<ByteArrayType>().write_batch(&values, None, None)?,
            Values::Doubles(values) => writer.typed::<DoubleType>().write_batch(&values, None, None)?,
            Values::Numbers(values) => writer.typed::<Int64Type>().write_batch(&values, None, None)?,
        };
        writer.close()?;
    }
    group.close()?;
    writer.into_inner()
}

/// Reads a file back, as lines of JSON: for tests.
#[cfg(test)]
pub(super) fn read(file: Vec<u8>) -> Vec<serde_json::Value> {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).expect("it is a Parquet file");
    let rows = reader.get_row_iter(None).expect("it has rows");
    let value = |field: &Field| match field {
        Field::Str(text) => text.as_str().into(),
        Field::Double(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        other => panic!("{other:?} is not in the schema"),
    };
    rows.map(|row| {
        let row = row.expect("a row can be read");
        row.get_column_iter()
            .map(|(name, field)| (name.clone(), value(field)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::detector::Kind;
    use super::*;

    fn anomaly(n: u64) -> Anomaly {
        Anomaly {
            tenant_id: "acme".to_owned(),
            device_id: format!("pump-{}", n % 3),
            metric: "temp".to_owned(),
            kind: Kind::ALL[usize::try_from(n % 5).unwrap()],
            score: 0.5,
            value: -1.5e300,
            expected: 0.0,
            scale: 1e-9,
            seq: n,
            ts: -1,
            received_at: 1_772_323_200_040,
            event_at: 1_772_323_199_000,
            shard_id: "shardId-000000000003".to_owned(),
            sequence_number: "49590338271490256608559692538361571095921575989136588898".to_owned(),
        }
    }

    #[test]
    fn the_columns_are_the_members_of_an_anomaly() {
        let anomalies: Vec<Anomaly> = (0..7).map(anomaly).collect();
        let rows = read(file(&anomalies));
        assert_eq!(rows.len(), 7);
        for (row, anomaly) in rows.iter().zip(&anomalies) {
            assert_eq!(row, &serde_json::to_value(anomaly).unwrap());
        }
        let names = ANOMALY_COLUMNS.map(|column| column.name);
        assert_eq!(rows[0].as_object().unwrap().keys().collect::<Vec<_>>(), names);
    }

    #[test]
    fn the_same_anomalies_give_the_same_bytes_that_name_no_version() {
        let anomalies: Vec<Anomaly> = (0..100).map(anomaly).collect();
        let bytes = file(&anomalies);
        assert_eq!(bytes, file(&anomalies));
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        assert!(!bytes.windows(9).any(|part| part == b"parquet-r"), "the library's own name has its version");
        assert!(bytes.len() < 40 * anomalies.len() + 3_000, "{} bytes", bytes.len());
    }
}
