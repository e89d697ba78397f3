//! `events.parquet`: the kept events of the trace, in order.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt8Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt64Type};

use super::error::RecordError;
use super::table::{Rows, TableWriter, instants, texts};

/// One kept event of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Position in the run, from 0, counting events of every level, kept or not.
    pub seq: u64,
    /// Simulated instant, microseconds since the Unix epoch (UTC).
    pub time_us: i64,
    /// 0 run, 1 call, 2 message.
    pub level: u8,
    /// Who speaks: a service, a device, a function.
    pub source: String,
    /// What happened.
    pub kind: Cow<'static, str>,
    /// What it happened to.
    pub subject: String,
    /// The event's fields as a JSON object.
    pub detail: String,
    /// The rolling digest after this event.
    pub digest: u64,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("seq", DataType::UInt64, false),
        Field::new("time_us", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("level", DataType::UInt8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("kind", DataType::Utf8, false),
        Field::new("subject", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, false),
        Field::new("digest", DataType::UInt64, false),
    ]))
});

/// Writes events in batches.
pub(super) fn writer(path: PathBuf) -> Result<TableWriter<EventRow>, RecordError> {
    TableWriter::create(path, Arc::clone(&SCHEMA), columns)
}

fn columns(rows: &[EventRow]) -> Vec<ArrayRef> {
    vec![
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.seq))),
        instants(rows, |row| row.time_us),
        Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.level))),
        texts(rows, |row| &row.source),
        texts(rows, |row| &row.kind),
        texts(rows, |row| &row.subject),
        texts(rows, |row| &row.detail),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.digest))),
    ]
}

/// The events of a run, one after the other; holds one batch in memory.
pub struct EventReader(Rows<EventRow>);

impl EventReader {
    /// Opens a file written by a run.
    ///
    /// # Errors
    /// When the file is missing, truncated or has other columns.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        Self::open_at(path, 0)
    }

    /// Opens a file at a row, counted from 0 among those that are kept: at its end when it has fewer.
    ///
    /// # Errors
    /// As for [`EventReader::open`].
    pub fn open_at(path: &Path, first: usize) -> Result<Self, RecordError> {
        Rows::open_at(path, &SCHEMA, row, first).map(EventReader)
    }

    /// Rows of the whole file.
    pub fn total(&self) -> usize {
        self.0.total
    }
}

impl Iterator for EventReader {
    type Item = Result<EventRow, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn row(batch: &RecordBatch, i: usize) -> EventRow {
    let text = |column: usize| batch.column(column).as_string::<i32>().value(i).to_owned();
    EventRow {
        seq: batch.column(0).as_primitive::<UInt64Type>().value(i),
        time_us: batch.column(1).as_primitive::<TimestampMicrosecondType>().value(i),
        level: batch.column(2).as_primitive::<UInt8Type>().value(i),
        source: text(3),
        kind: Cow::Owned(text(4)),
        subject: text(5),
        detail: text(6),
        digest: batch.column(7).as_primitive::<UInt64Type>().value(i),
    }
}
