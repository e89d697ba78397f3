//! `events.parquet`: the kept events of the trace, in order.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, AsArray, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt64Type};

use super::error::RecordError;
use super::table::{BATCH_ROWS, Rows, TableWriter};

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

/// Collects events and writes them in batches.
pub(super) struct EventWriter {
    table: TableWriter,
    rows: usize,
    seq: UInt64Builder,
    time_us: TimestampMicrosecondBuilder,
    level: UInt8Builder,
    texts: [StringBuilder; 4],
    digest: UInt64Builder,
}

impl EventWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, RecordError> {
        Ok(EventWriter {
            table: TableWriter::create(path, Arc::clone(&SCHEMA))?,
            rows: 0,
            seq: UInt64Builder::with_capacity(BATCH_ROWS),
            time_us: TimestampMicrosecondBuilder::with_capacity(BATCH_ROWS).with_timezone("UTC"),
            level: UInt8Builder::with_capacity(BATCH_ROWS),
            texts: std::array::from_fn(|_| StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * 24)),
            digest: UInt64Builder::with_capacity(BATCH_ROWS),
        })
    }

    pub(super) fn push(&mut self, row: &EventRow) {
        self.seq.append_value(row.seq);
        self.time_us.append_value(row.time_us);
        self.level.append_value(row.level);
        for (builder, text) in self.texts.iter_mut().zip([&*row.source, &*row.kind, &*row.subject, &*row.detail]) {
            builder.append_value(text);
        }
        self.digest.append_value(row.digest);
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
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(self.seq.finish()), Arc::new(self.time_us.finish()), Arc::new(self.level.finish())];
        columns.extend(self.texts.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
        columns.push(Arc::new(self.digest.finish()));
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("the builders follow the schema");
        self.table.write(batch);
    }

    pub(super) fn close(mut self) -> Result<(), RecordError> {
        self.flush();
        self.table.close()
    }
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
