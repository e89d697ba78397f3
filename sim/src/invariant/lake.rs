//! A reader of the lake, on the real SDK: lists the processed prefix and decodes its Parquet files.

use arrow::array::{Array as _, AsArray as _, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use aws_types::SdkConfig;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};
use super::{Rest, Row};
use crate::fleet::Content;
use crate::world::time::Time;

/// A file of the processed prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeFile {
    /// When S3 says it was written; whole seconds.
    pub last_modified: Time,
    /// Key.
    pub key: String,
}

/// The columns that are read.
const COLUMNS: [&str; 9] =
    ["tenant_id", "device_id", "seq", "ts", "received_at", "event_at", "clock_skew_ms", "recorded_at", "metrics"];

/// Reads the processed prefix of one bucket.
pub struct LakeReader {
    prefix: Prefix,
}

impl LakeReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        LakeReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// All files, in the order of (writing, key).
    pub async fn files(&self) -> Result<Vec<LakeFile>, QueryError> {
        let objects = self.prefix.objects().await?.into_iter();
        let mut files: Vec<LakeFile> =
            objects.map(|Listed { key, last_modified }| LakeFile { last_modified, key }).collect();
        files.sort_by(|a, b| (a.last_modified, &a.key).cmp(&(b.last_modified, &b.key)));
        Ok(files)
    }

    /// Hands over every row of a file, in the file's order.
    pub async fn rows(&self, file: &LakeFile, mut each: impl FnMut(Row<'_>)) -> Result<(), QueryError> {
        let body = self.prefix.body(&file.key).await?;
        decode(body, &mut each).map_err(|why| self.prefix.unreadable(&file.key, why))
    }
}

fn decode(body: Bytes, each: &mut impl FnMut(Row<'_>)) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(body).map_err(|e| e.to_string())?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    for batch in builder.with_projection(mask).build().map_err(|e| e.to_string())? {
        rows(&batch.map_err(|e| e.to_string())?, each)?;
    }
    Ok(())
}

/// The columns of one batch.
struct Columns<'b> {
    tenant: &'b StringArray,
    device: &'b StringArray,
    seq: &'b Int64Array,
    ts: &'b Int64Array,
    received_at: &'b Int64Array,
    event_at: &'b Int64Array,
    skew: &'b Int64Array,
    recorded_at: &'b StringArray,
    metrics: &'b MapArray,
    names: &'b StringArray,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, String> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("there is no column {name}"));
        let other = |name: &str| format!("the column {name} has another type than its table says");
        let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| other(name));
        let number = |name: &str| column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| other(name));
        let metrics = column("metrics")?.as_map_opt().ok_or_else(|| other("metrics"))?;
        Ok(Columns {
            tenant: text("tenant_id")?,
            device: text("device_id")?,
            seq: number("seq")?,
            ts: number("ts")?,
            received_at: number("received_at")?,
            event_at: number("event_at")?,
            skew: number("clock_skew_ms")?,
            recorded_at: text("recorded_at")?,
            metrics,
            names: metrics.keys().as_string_opt::<i32>().ok_or_else(|| other("metrics"))?,
        })
    }
}

fn rows(batch: &RecordBatch, each: &mut impl FnMut(Row<'_>)) -> Result<(), String> {
    let columns = Columns::of(batch)?;
    let values = columns.metrics.values();
    let values = values.as_primitive_opt::<Float64Type>().ok_or("the values of metrics are not doubles")?;
    // A negative number is no value of these columns: like an absent one, it is nobody's.
    let number = |array: &Int64Array, row: usize| {
        array.is_valid(row).then(|| array.value(row)).and_then(|value| u64::try_from(value).ok())
    };
    let offsets = columns.metrics.offsets();
    for row in 0..batch.num_rows() {
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        // A value that is absent is not the value that was sent.
        let metrics =
            (from..to).map(|n| (columns.names.value(n), if values.is_valid(n) { values.value(n) } else { f64::NAN }));
        let recorded_at = columns.recorded_at.is_valid(row).then(|| columns.recorded_at.value(row));
        let signed = |array: &Int64Array| array.is_valid(row).then(|| array.value(row));
        let rest = Rest {
            received_ms: number(columns.received_at, row),
            event_ms: signed(columns.event_at),
            skew_ms: signed(columns.skew),
            content: Content::canonical(recorded_at, metrics),
        };
        each(Row {
            tenant: if columns.tenant.is_valid(row) { columns.tenant.value(row) } else { "" },
            device: if columns.device.is_valid(row) { columns.device.value(row) } else { "" },
            seq: number(columns.seq, row),
            ts_ms: number(columns.ts, row),
            rest: Some(rest),
        });
    }
    Ok(())
}
