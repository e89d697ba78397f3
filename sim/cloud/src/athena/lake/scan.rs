//! One scan of a table within a query: planned first, then given its files' bytes, then read lazily.

use std::sync::{Arc, Mutex, OnceLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::super::failure::Failure;
use super::adapt::adapt;
use super::json;
use super::parquet_file::{self, Footers, ParquetFile};
use super::table::{Definition, Format, LakeFile};
use crate::core::Cx;
use crate::core::ports::Objects;

/// Rows of a batch.
pub(super) const BATCH_ROWS: usize = 8192;

/// Batches of a file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A filter, over the columns that it names.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    /// Columns of the table.
    pub(super) columns: Vec<usize>,
    /// Their schema, which the expression is bound to.
    pub(super) schema: SchemaRef,
    /// The condition.
    pub(super) expr: Arc<dyn PhysicalExpr>,
}

/// The bytes of a file.
#[derive(Debug)]
enum Content {
    Parquet(ParquetFile),
    Json(bytes::Bytes),
}

/// A scan of a table.
#[derive(Debug)]
pub(super) struct Scan {
    /// The table.
    pub(super) table: Arc<Definition>,
    files: Vec<LakeFile>,
    /// Columns of the table that the scan gives.
    pub(super) columns: Vec<usize>,
    /// Conditions that all rows have to meet; the engine checks them again.
    pub(super) predicates: Vec<Predicate>,
    schema: SchemaRef,
    contents: OnceLock<Vec<Content>>,
}

impl Scan {
    pub(super) fn new(
        table: Arc<Definition>,
        files: Vec<LakeFile>,
        columns: Vec<usize>,
        predicates: Vec<Predicate>,
    ) -> Result<Self> {
        let schema = Arc::new(table.schema.project(&columns)?);
        Ok(Scan { table, files, columns, predicates, schema, contents: OnceLock::new() })
    }

    /// Schema of the batches.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Columns of the files that have to be read, ascending.
    pub(super) fn needed(&self) -> Vec<usize> {
        let filtered = self.predicates.iter().flat_map(|predicate| predicate.columns.iter());
        let mut needed: Vec<usize> =
            self.columns.iter().chain(filtered).copied().filter(|column| *column < self.table.file_columns).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Fetches the files. Answers the bytes that Athena counts as scanned.
    fn load(
        &self,
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        footers: &mut Footers,
    ) -> std::result::Result<u64, Failure> {
        let mut scanned_bytes = 0;
        let pruning = parquet_file::pruning(self);
        let mut contents = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let path = || format!("s3://{}/{}", self.table.bucket, file.key);
            let bytes = objects.get_object(cx, &self.table.bucket, &file.key).map_err(|error| {
                Failure::data(format!("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split {}: {error}", path()))
            })?;
            contents.push(match &self.table.format {
                Format::Parquet => {
                    let identity = (self.table.bucket.clone(), file.key.clone(), file.etag.clone());
                    let opened = ParquetFile::open(self, &pruning, bytes, identity, footers);
                    let opened = opened.map_err(|error| {
                        Failure::data(format!("HIVE_BAD_DATA: Error reading Parquet file {}: {error}", path()))
                    })?;
                    scanned_bytes += opened.scanned_bytes;
                    Content::Parquet(opened)
                }
                Format::Json(_) => {
                    scanned_bytes += file.size_bytes;
                    Content::Json(bytes)
                }
            });
        }
        self.contents.set(contents).map_err(|_| Failure::not_modelled("a scan that is loaded twice"))?;
        Ok(scanned_bytes)
    }

    fn open(&self, index: usize) -> Result<Batches> {
        let contents = self.contents.get().map_or(&[][..], Vec::as_slice);
        let file = &self.files[index];
        match (&contents[index], &self.table.format) {
            (Content::Parquet(content), _) => content.read(self, file),
            (Content::Json(bytes), Format::Json(options)) => json::read(self, file, bytes, *options),
            (Content::Json(_), Format::Parquet) => unreachable!("contents are loaded by the table's format"),
        }
    }
}

/// A batch of columns of the table, from a batch of a file. `position` tells where a column of the table is in `batch`.
pub(super) fn assemble(
    table: &Definition,
    columns: &[usize],
    schema: &SchemaRef,
    batch: &RecordBatch,
    position: &dyn Fn(usize) -> Option<usize>,
    partition: &[ScalarValue],
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let one = |column: &usize| -> Result<ArrayRef> {
        let kind = table.schema.field(*column).data_type();
        if *column >= table.file_columns {
            return partition[column - table.file_columns].to_array_of_size(rows);
        }
        match position(*column) {
            None => Ok(new_null_array(kind, rows)),
            Some(at) => adapt(batch.column(at), kind).map_err(|error| {
                let name = table.schema.field(*column).name();
                Failure::data(format!("HIVE_BAD_DATA: Field {name} of table {}: {error}", table.name)).into_engine()
            }),
        }
    };
    let arrays = columns.iter().map(one).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

/// The scans of one query, in the order in which they were planned.
#[derive(Debug, Default)]
pub(in super::super) struct Scans(Mutex<Vec<Arc<Scan>>>);

impl Scans {
    pub(super) fn add(&self, scan: Scan) -> Arc<Scan> {
        let scan = Arc::new(scan);
        self.0.lock().expect("queries are planned by one thread").push(Arc::clone(&scan));
        scan
    }

    /// Fetches what the planned scans read. Answers the bytes that Athena counts as scanned.
    pub(in super::super) fn load(
        &self,
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        footers: &mut Footers,
    ) -> std::result::Result<u64, Failure> {
        let scans = self.0.lock().expect("queries are planned by one thread").clone();
        scans.iter().map(|scan| scan.load(cx, objects, footers)).sum()
    }
}

/// The batches of a scan, one file after the other.
#[derive(Debug)]
pub(super) struct Stream {
    scan: Arc<Scan>,
    schema: SchemaRef,
}

impl Stream {
    pub(super) fn new(scan: Arc<Scan>) -> Self {
        let schema = scan.schema();
        Stream { scan, schema }
    }
}

impl PartitionStream for Stream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scan = Arc::clone(&self.scan);
        let files = 0..scan.files.len();
        let batches = files.flat_map(move |index| match scan.open(index) {
            Ok(batches) => batches,
            Err(error) => Box::new(std::iter::once(Err(error))),
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(batches)))
    }
}
