//! The lake's tables. Partitions are projected from the hour in an object's key, so no partition is ever registered.

use std::collections::BTreeMap;

use super::curation::{CURATED_COLUMNS, CURATED_TABLE};
use crate::settings::Settings;
use crate::template::glue::{Column, Database, SerdeInfo, StorageDescriptor, Table, TableInput};
use crate::template::{Expr, Handle, s3};
use crate::transform::anomaly_detection::{ANOMALY_COLUMNS, ANOMALY_PREFIX};
use crate::transform::enrichment::PROCESSED_COLUMNS;
use crate::transform::streaming::RAW_COLUMNS;

/// Table of raw readings, and the prefix of its objects.
pub const RAW_TABLE: &str = "raw";
/// Table of processed readings, and the prefix of its objects.
pub const PROCESSED_TABLE: &str = "processed";

/// The partition column of what Firehose and the detectors write: the hour of arrival in UTC.
const DATEHOUR: Column =
    Column { name: "datehour", r#type: "string", comment: "Hour of arrival, yyyy/MM/dd/HH in UTC" };

/// How the hours of a table are written: in the partition column, and in the keys of its objects.
struct Hours {
    column: Column,
    format: &'static str,
    separator: &'static str,
    /// Whether objects lie below the hour alone; else below `datehour=` and the hour, where projection looks for them by
    /// default.
    bare: bool,
}

const DELIVERED: Hours = Hours { column: DATEHOUR, format: "yyyy/MM/dd/HH", separator: "/", bare: true };

/// INSERT writes to `datehour={hour}/` whatever the table's location template says, and encodes a `/` in the hour. So
/// there is neither.
const INSERTED: Hours = Hours {
    column: Column { name: "datehour", r#type: "string", comment: "Hour of arrival, yyyy-MM-dd-HH in UTC" },
    format: "yyyy-MM-dd-HH",
    separator: "-",
    bare: false,
};

/// Java classes that read and write a format.
struct Format {
    classification: &'static str,
    input: &'static str,
    output: &'static str,
    serde: &'static str,
    serde_parameters: &'static [(&'static str, &'static str)],
}

const JSON: Format = Format {
    classification: "json",
    input: "org.apache.hadoop.mapred.TextInputFormat",
    output: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    serde: "org.openx.data.jsonserde.JsonSerDe",
    // The raw table holds whatever devices send. By default one line that is not JSON, one value of another type or two
    // names that differ in case only make every query fail that reads them.
    serde_parameters: &[
        ("case.insensitive", "false"),
        ("ignore.malformed.json", "true"),
        ("use.null.for.invalid.data", "true"),
    ],
};

const PARQUET: Format = Format {
    classification: "parquet",
    input: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    serde_parameters: &[],
};

/// The table of raw readings.
pub(super) fn raw(settings: &Settings, database: &Handle<Database>, bucket: &Handle<s3::Bucket>) -> Table {
    let description =
        "Every reading as it came. May hold duplicates and what was refused later; what is no JSON is a row of nulls";
    table(settings, database, bucket, RAW_TABLE, description, (&RAW_COLUMNS, &DELIVERED), &JSON)
}

/// The table of processed readings.
pub(super) fn processed(settings: &Settings, database: &Handle<Database>, bucket: &Handle<s3::Bucket>) -> Table {
    let description =
        "Valid readings in canonical units. May hold duplicates: (tenant_id, device_id, seq) is the identity";
    table(settings, database, bucket, PROCESSED_TABLE, description, (&PROCESSED_COLUMNS, &DELIVERED), &PARQUET)
}

/// The table of anomalies, by hour of the first reading of their batch.
pub(super) fn anomalies(settings: &Settings, database: &Handle<Database>, bucket: &Handle<s3::Bucket>) -> Table {
    let description = "What the detectors found, each anomaly once";
    table(settings, database, bucket, ANOMALY_PREFIX, description, (&ANOMALY_COLUMNS, &DELIVERED), &PARQUET)
}

/// The table of curated readings.
pub(super) fn curated(settings: &Settings, database: &Handle<Database>, bucket: &Handle<s3::Bucket>) -> Table {
    let description = "Valid readings in canonical units, each (tenant_id, device_id, seq) once";
    table(settings, database, bucket, CURATED_TABLE, description, (&CURATED_COLUMNS, &INSERTED), &PARQUET)
}

fn table(
    settings: &Settings,
    database: &Handle<Database>,
    bucket: &Handle<s3::Bucket>,
    name: &'static str,
    description: &'static str,
    (columns, hours): (&[Column], &Hours),
    format: &Format,
) -> Table {
    let location = Expr::concat(["s3://".into(), bucket.name(), format!("/{name}/").into()]);
    Table {
        catalog_id: Expr::account_id(),
        database_name: database.name(),
        table_input: TableInput {
            name,
            description,
            table_type: "EXTERNAL_TABLE",
            parameters: parameters(settings, hours, format, &location),
            partition_keys: vec![hours.column],
            storage_descriptor: StorageDescriptor {
                columns: columns.to_vec(),
                location,
                input_format: format.input,
                output_format: format.output,
                serde_info: SerdeInfo {
                    serialization_library: format.serde,
                    parameters: format.serde_parameters.iter().copied().collect(),
                },
            },
        },
    }
}

fn parameters(settings: &Settings, hours: &Hours, format: &Format, location: &Expr) -> BTreeMap<&'static str, Expr> {
    let start = settings.lake_start.replace('/', hours.separator);
    let mut parameters = BTreeMap::from([
        ("EXTERNAL", "TRUE".into()),
        ("classification", format.classification.into()),
        ("projection.enabled", "true".into()),
        ("projection.datehour.type", "date".into()),
        ("projection.datehour.format", hours.format.into()),
        ("projection.datehour.range", format!("{start},NOW").into()),
        ("projection.datehour.interval", "1".into()),
        ("projection.datehour.interval.unit", "HOURS".into()),
    ]);
    if hours.bare {
        parameters.insert("storage.location.template", location.clone().then("${datehour}/"));
    }
    parameters
}
