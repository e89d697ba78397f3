//! `metrics.parquet`: values of services over simulated time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use super::error::RecordError;
use super::table::{Rows, TableWriter, instants, texts};

/// One value of one metric at one simulated instant.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRow {
    /// Simulated instant, microseconds since the Unix epoch (UTC).
    pub time_us: i64,
    /// The service or part that the value belongs to: `kinesis`, `fleet`.
    pub service: Cow<'static, str>,
    /// What was measured.
    pub name: Cow<'static, str>,
    /// The value, in `unit`.
    pub value: f64,
    /// The value's unit: `readings`, `ms`, `bytes`, `calls`.
    pub unit: Cow<'static, str>,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("time_us", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("service", DataType::Utf8, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::Float64, false),
        Field::new("unit", DataType::Utf8, false),
    ]))
});

/// Writes metrics in batches.
pub(super) fn writer(path: PathBuf) -> Result<TableWriter<MetricRow>, RecordError> {
    TableWriter::create(path, Arc::clone(&SCHEMA), columns)
}

fn columns(rows: &[MetricRow]) -> Vec<ArrayRef> {
    vec![
        instants(rows, |row| row.time_us),
        texts(rows, |row| &row.service),
        texts(rows, |row| &row.name),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.value))),
        texts(rows, |row| &row.unit),
    ]
}

/// The metrics of a run, one row after the other; holds one batch in memory.
pub struct MetricReader(Rows<MetricRow>);

impl MetricReader {
    /// Opens a file written by a run.
    ///
    /// # Errors
    /// When the file is missing, truncated or has other columns.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Rows::open(path, &SCHEMA, row).map(MetricReader)
    }
}

impl Iterator for MetricReader {
    type Item = Result<MetricRow, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn row(batch: &RecordBatch, i: usize) -> MetricRow {
    let text = |column: usize| Cow::Owned(batch.column(column).as_string::<i32>().value(i).to_owned());
    MetricRow {
        time_us: batch.column(0).as_primitive::<TimestampMicrosecondType>().value(i),
        service: text(1),
        name: text(2),
        value: batch.column(3).as_primitive::<Float64Type>().value(i),
        unit: text(4),
    }
}
