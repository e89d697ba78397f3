//! A reader of the lake, on the real SDK: lists the processed prefix and decodes its Parquet files.

use std::ops::Range;

use arrow::array::{Array as _, AsArray as _, Float64Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;
use aws_types::SdkConfig;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::athena::QueryError;
use super::named::Named;
use super::prefix::{Listed, Prefix};
use super::{Flags, Rest, Row};
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
const COLUMNS: [&str; 10] = [
    "tenant_id",
    "device_id",
    "seq",
    "ts",
    "received_at",
    "event_at",
    "clock_skew_ms",
    "recorded_at",
    "metrics",
    "flags",
];

/// The metrics of a row.
#[derive(Clone, Debug)]
pub struct Metrics<'b> {
    names: &'b StringArray,
    values: &'b Float64Array,
    range: Range<usize>,
}

impl<'b> Metrics<'b> {
    /// Those in a range of two arrays.
    pub fn new(names: &'b StringArray, values: &'b Float64Array, range: Range<usize>) -> Self {
        Metrics { names, values, range }
    }

    /// The value of a metric, in its canonical unit.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.range.clone().find(|n| self.names.value(*n) == name).map(|n| value(self.values, n))
    }
}

/// A value that is absent is not the value that was sent.
fn value(values: &Float64Array, n: usize) -> f64 {
    if values.is_valid(n) { values.value(n) } else { f64::NAN }
}

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

    /// Hands over every row of a file with its metrics, in the file's order.
    pub async fn rows(&self, file: &LakeFile, mut each: impl FnMut(Row<'_>, Metrics<'_>)) -> Result<(), QueryError> {
        let body = self.prefix.body(&file.key).await?;
        decode(body, &mut each).map_err(|why| self.prefix.unreadable(&file.key, why))
    }
}

fn decode(body: Bytes, each: &mut impl FnMut(Row<'_>, Metrics<'_>)) -> Result<(), String> {
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
    flags: &'b ListArray,
    words: &'b StringArray,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch) -> Result<Self, String> {
        let named = Named(batch);
        Ok(Columns {
            tenant: named.text("tenant_id")?,
            device: named.text("device_id")?,
            seq: named.number("seq")?,
            ts: named.number("ts")?,
            received_at: named.number("received_at")?,
            event_at: named.number("event_at")?,
            skew: named.number("clock_skew_ms")?,
            recorded_at: named.text("recorded_at")?,
            metrics: named.get("metrics", |column| column.as_map_opt())?,
            names: named.get("metrics", |column| column.as_map_opt()?.keys().as_string_opt::<i32>())?,
            flags: named.get("flags", |column| column.as_list_opt::<i32>())?,
            words: named.get("flags", |column| column.as_list_opt::<i32>()?.values().as_string_opt::<i32>())?,
        })
    }
}

impl Columns<'_> {
    /// The flags of a row. A row without the column's value has none.
    fn flags(&self, row: usize) -> Flags {
        if self.flags.is_null(row) {
            return Flags::default();
        }
        let offsets = self.flags.offsets();
        Flags::of((offsets[row] as usize..offsets[row + 1] as usize).map(|n| self.words.value(n)))
    }
}

fn rows(batch: &RecordBatch, each: &mut impl FnMut(Row<'_>, Metrics<'_>)) -> Result<(), String> {
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
        let metrics = (from..to).map(|n| (columns.names.value(n), value(values, n)));
        let recorded_at = columns.recorded_at.is_valid(row).then(|| columns.recorded_at.value(row));
        let signed = |array: &Int64Array| array.is_valid(row).then(|| array.value(row));
        let rest = Rest {
            received_ms: number(columns.received_at, row),
            event_ms: signed(columns.event_at),
            skew_ms: signed(columns.skew),
            flags: columns.flags(row),
            content: Content::canonical(recorded_at, metrics),
        };
        let of_row = Row {
            tenant: if columns.tenant.is_valid(row) { columns.tenant.value(row) } else { "" },
            device: if columns.device.is_valid(row) { columns.device.value(row) } else { "" },
            seq: number(columns.seq, row),
            ts_ms: number(columns.ts, row),
            rest: Some(rest),
        };
        each(of_row, Metrics::new(columns.names, values, from..to));
    }
    Ok(())
}
