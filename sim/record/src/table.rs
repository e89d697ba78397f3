//! What both Parquet files share: a writer with bounded memory, and a reader with clear errors.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::error::RecordError;

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 65_536;
/// Rows collected before they are handed to the encoder.
const BATCH_ROWS: usize = 8_192;

/// Batches that may wait for the encoder.
const WAITING_MAX: usize = 4;

/// A Parquet file that is being written. Remembers its first error and then ignores rows.
///
/// A thread of its own makes the columns, encodes and writes: what that draws from the thread it runs on (hash keys,
/// entropy) would otherwise be drawn from the simulated world, and recording would change the run that it records.
pub(super) struct TableWriter<R> {
    rows: Vec<R>,
    batches: SyncSender<Vec<R>>,
    encoder: JoinHandle<Result<(), RecordError>>,
}

impl<R: Send + 'static> TableWriter<R> {
    /// A file with the columns of `schema`, which `columns` makes of rows.
    pub(super) fn create(path: PathBuf, schema: SchemaRef, columns: Columns<R>) -> Result<Self, RecordError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("orrery".to_owned())
            .build();
        let file = File::create_new(&path).map_err(|e| RecordError::write(&path, e))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
        let writer = writer.map_err(|e| RecordError::write(&path, e))?;
        let (batches, waiting) = sync_channel(WAITING_MAX);
        let named = path.clone();
        let work = move || encode(writer, &schema, columns, &waiting, &path);
        let encoder = Builder::new().name("record".to_owned()).spawn(work);
        let encoder = encoder.map_err(|e| RecordError::write(&named, e))?;
        Ok(TableWriter { rows: Vec::with_capacity(BATCH_ROWS), batches, encoder })
    }

    pub(super) fn push(&mut self, row: R) {
        self.rows.push(row);
        if self.rows.len() == BATCH_ROWS {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        // It has stopped only after an error, which `close` returns.
        let _ = self.batches.send(std::mem::replace(&mut self.rows, Vec::with_capacity(BATCH_ROWS)));
    }

    pub(super) fn close(mut self) -> Result<(), RecordError> {
        if !self.rows.is_empty() {
            self.hand_over();
        }
        drop(self.batches);
        self.encoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Makes the columns of rows, in the order of the schema.
pub(super) type Columns<R> = fn(&[R]) -> Vec<ArrayRef>;

/// Writes what comes until the sender is gone.
fn encode<R>(
    mut writer: ArrowWriter<File>,
    schema: &SchemaRef,
    columns: Columns<R>,
    waiting: &Receiver<Vec<R>>,
    path: &Path,
) -> Result<(), RecordError> {
    for rows in waiting {
        let batch = RecordBatch::try_new(Arc::clone(schema), columns(&rows)).expect("the columns follow the schema");
        writer.write(&batch).map_err(|e| RecordError::write(path, e))?;
    }
    writer.close().map_err(|e| RecordError::write(path, e))?;
    Ok(())
}

/// A column of instants, in microseconds since the Unix epoch (UTC).
pub(super) fn instants<R>(rows: &[R], of: fn(&R) -> i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC"))
}

/// A column of texts.
pub(super) fn texts<R>(rows: &[R], of: fn(&R) -> &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
}

/// Opens a Parquet file whose columns must be exactly those of `schema`, from the row `first` on. Answers also how many
/// rows the file has.
fn open(path: &Path, schema: &Schema, first: usize) -> Result<(ParquetRecordBatchReader, usize), RecordError> {
    let expected = format!("a Parquet file with the columns {}", columns(schema));
    let file = File::open(path).map_err(|e| {
        RecordError::new(path, format_args!("cannot be opened: {e}"), &expected, "repeat the run with `--out`")
    })?;
    let damaged = |e: &dyn std::fmt::Display| {
        RecordError::new(
            path,
            format_args!("is truncated or is not Parquet: {e}"),
            &expected,
            "it was changed after the run, or copied in part: copy it again or repeat the run with `--out`",
        )
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let found = Arc::clone(builder.schema());
    let same = found.fields().len() == schema.fields().len()
        && found
            .fields()
            .iter()
            .zip(schema.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
    if !same {
        return Err(RecordError::new(
            path,
            format_args!("has the columns {}", columns(&found)),
            &expected,
            "it was written by another program or another version: read it with the program that wrote it",
        ));
    }
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let reader = builder.with_batch_size(BATCH_ROWS).with_offset(first.min(rows)).build().map_err(|e| damaged(&e))?;
    Ok((reader, rows))
}

/// The rows of a Parquet file, one after the other; holds one batch in memory.
pub(super) struct Rows<R> {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    next: usize,
    row: fn(&RecordBatch, usize) -> R,
    /// Rows of the whole file.
    pub(super) total: usize,
}

impl<R> Rows<R> {
    /// Opens a file with the columns of `schema`; `row` makes a row of a batch.
    pub(super) fn open(path: &Path, schema: &Schema, row: fn(&RecordBatch, usize) -> R) -> Result<Self, RecordError> {
        Self::open_at(path, schema, row, 0)
    }

    /// The same from a row on, counted from 0. What stands before is skipped and not decoded.
    pub(super) fn open_at(
        path: &Path,
        schema: &Schema,
        row: fn(&RecordBatch, usize) -> R,
        first: usize,
    ) -> Result<Self, RecordError> {
        let (batches, total) = open(path, schema, first)?;
        Ok(Rows { path: path.to_owned(), batches, batch: None, next: 0, row, total })
    }
}

impl<R> Iterator for Rows<R> {
    type Item = Result<R, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = &self.batch
                && self.next < batch.num_rows()
            {
                let row = (self.row)(batch, self.next);
                self.next += 1;
                return Some(Ok(row));
            }
            match self.batches.next()? {
                Ok(batch) => (self.batch, self.next) = (Some(batch), 0),
                Err(e) => {
                    self.batch = None;
                    return Some(Err(batch_error(&self.path, e)));
                }
            }
        }
    }
}

/// The error of a batch that could not be decoded.
fn batch_error(path: &Path, error: impl std::fmt::Display) -> RecordError {
    RecordError::new(
        path,
        format_args!("is damaged: {error}"),
        "whole row groups",
        "copy the folder again or repeat the run with `--out`",
    )
}

fn columns(schema: &Schema) -> String {
    let fields: Vec<String> = schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    fields.join(", ")
}
