//! `labels.parquet`: what is true of the devices' readings, by which detection is judged.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array as _, ArrayRef, AsArray, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type};

use super::error::RecordError;
use super::table::{BATCH_ROWS, Rows, TableWriter};

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

/// Collects labels and writes them in batches.
pub(super) struct LabelWriter {
    table: TableWriter,
    rows: Vec<LabelRow>,
}

impl LabelWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, RecordError> {
        Ok(LabelWriter { table: TableWriter::create(path, Arc::clone(&SCHEMA))?, rows: Vec::new() })
    }

    pub(super) fn push(&mut self, row: &LabelRow) {
        self.rows.push(row.clone());
        if self.rows.len() == BATCH_ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let instants = |of: fn(&LabelRow) -> i64| -> ArrayRef {
            let mut column = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            self.rows.iter().for_each(|row| column.append_value(of(row)));
            Arc::new(column.finish())
        };
        let texts = |of: fn(&LabelRow) -> Option<&str>| -> ArrayRef {
            let mut column = StringBuilder::new();
            self.rows.iter().for_each(|row| column.append_option(of(row)));
            Arc::new(column.finish())
        };
        let numbers = |of: fn(&LabelRow) -> Option<u64>| -> ArrayRef {
            let mut column = UInt64Builder::new();
            self.rows.iter().for_each(|row| column.append_option(of(row)));
            Arc::new(column.finish())
        };
        let columns = vec![
            instants(|row| row.from_us),
            instants(|row| row.until_us),
            texts(|row| Some(&row.tenant)),
            texts(|row| Some(&row.device)),
            texts(|row| row.metric.as_deref()),
            texts(|row| Some(&row.kind)),
            numbers(|row| row.readings.map(|(first, _)| first)),
            numbers(|row| row.readings.map(|(_, last)| last)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("the builders follow the schema");
        self.rows.clear();
        self.table.write(batch);
    }

    pub(super) fn close(mut self) -> Result<(), RecordError> {
        self.flush();
        self.table.close()
    }
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
