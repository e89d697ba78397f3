//! `metrics.parquet`: values of services over simulated time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};

use super::error::RecordError;
use super::table::{BATCH_ROWS, Rows, TableWriter};

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

/// Collects metrics and writes them in batches.
pub(super) struct MetricWriter {
    table: TableWriter,
    rows: usize,
    time_us: TimestampMicrosecondBuilder,
    service: StringBuilder,
    name: StringBuilder,
    value: Float64Builder,
    unit: StringBuilder,
}

impl MetricWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, RecordError> {
        Ok(MetricWriter {
            table: TableWriter::create(path, Arc::clone(&SCHEMA))?,
            rows: 0,
            time_us: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            service: StringBuilder::new(),
            name: StringBuilder::new(),
            value: Float64Builder::new(),
            unit: StringBuilder::new(),
        })
    }

    pub(super) fn push(&mut self, row: &MetricRow) {
        self.time_us.append_value(row.time_us);
        self.service.append_value(&row.service);
        self.name.append_value(&row.name);
        self.value.append_value(row.value);
        self.unit.append_value(&row.unit);
        self.rows += 1;
        if self.rows == BATCH_ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.rows == 0 {
            return;
        }
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time_us.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.unit.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("the builders follow the schema");
        self.table.write(batch);
    }

    pub(super) fn close(mut self) -> Result<(), RecordError> {
        self.flush();
        self.table.close()
    }
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
