//! `labels.parquet`: what is true of the devices' readings, by which detection is judged.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array as _, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type};

use super::error::RecordError;
use super::table::{Rows, TableWriter, instants, texts};

/// One failure of one device, from one instant to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// First simulated instant, microseconds since the Unix epoch (UTC).
    pub from_us: i64,
    /// It ends here, in the same unit; a failure of one reading ends when it begins.
    pub until_us: i64,
    /// Tenant of the device.
    pub tenant: String,
    /// Device.
    pub device: String,
    /// The metric that fails; absent when the whole device does.
    pub metric: Option<String>,
    /// How it fails: `stuck`, `drift`, `spike`, `dropout`, `bearing-wear`, `coverage-loss`.
    pub kind: String,
    /// Sequence numbers of the first and the last reading that shows it; absent when none does.
    pub readings: Option<(u64, u64)>,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("from_us", instant(), false),
        Field::new("until_us", instant(), false),
        Field::new("tenant", DataType::Utf8, false),
        Field::new("device", DataType::Utf8, false),
        Field::new("metric", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, false),
        Field::new("first_seq", DataType::UInt64, true),
        Field::new("last_seq", DataType::UInt64, true),
    ]))
});

/// Writes labels in batches.
pub(super) fn writer(path: PathBuf) -> Result<TableWriter<LabelRow>, RecordError> {
    TableWriter::create(path, Arc::clone(&SCHEMA), columns)
}

fn columns(rows: &[LabelRow]) -> Vec<ArrayRef> {
    vec![
        instants(rows, |row| row.from_us),
        instants(rows, |row| row.until_us),
        texts(rows, |row| &row.tenant),
        texts(rows, |row| &row.device),
        Arc::new(rows.iter().map(|row| row.metric.as_deref()).collect::<StringArray>()),
        texts(rows, |row| &row.kind),
        Arc::new(rows.iter().map(|row| row.readings.map(|(first, _)| first)).collect::<UInt64Array>()),
        Arc::new(rows.iter().map(|row| row.readings.map(|(_, last)| last)).collect::<UInt64Array>()),
    ]
}

/// The labels of a run, one row after the other; holds one batch in memory.
pub struct LabelReader(Rows<LabelRow>);

impl LabelReader {
    /// Opens a file written by a run.
    ///
    /// # Errors
    /// When the file is missing, truncated or has other columns.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Rows::open(path, &SCHEMA, row).map(LabelReader)
    }
}

impl Iterator for LabelReader {
    type Item = Result<LabelRow, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn row(batch: &RecordBatch, i: usize) -> LabelRow {
    let instant = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().value(i);
    let text = |column: usize| batch.column(column).as_string::<i32>().value(i).to_owned();
    let number = |column: usize| batch.column(column).as_primitive::<UInt64Type>().value(i);
    LabelRow {
        from_us: instant(0),
        until_us: instant(1),
        tenant: text(2),
        device: text(3),
        metric: batch.column(4).is_valid(i).then(|| text(4)),
        kind: text(5),
        readings: batch.column(6).is_valid(i).then(|| (number(6), number(7))),
    }
}
