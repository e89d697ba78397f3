//! A Parquet file of a scan: its footer, the row groups and column chunks that are read, its batches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use datafusion::arrow::error::ArrowError;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    RowFilter,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use super::scan::{BATCH_ROWS, Batches, Predicate, Scan, assemble};
use super::table::LakeFile;

/// Decoded footers by (bucket, key, ETag), the oldest dropped first.
#[derive(Debug, Default)]
pub(in super::super) struct Footers {
    known: BTreeMap<(String, String, String), (ArrowReaderMetadata, u64)>,
    order: VecDeque<(String, String, String)>,
}

/// Footers that are kept. One takes a few kilobytes for each row group.
const FOOTERS_KEPT: usize = 2_048;

impl Footers {
    /// The footer of an object and its length in bytes.
    fn get(
        &mut self,
        identity: (String, String, String),
        bytes: &Bytes,
    ) -> Result<(ArrowReaderMetadata, u64), ParquetError> {
        if let Some(known) = self.known.get(&identity) {
            return Ok(known.clone());
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(bytes, options)?;
        let length = bytes
            .len()
            .checked_sub(8)
            .and_then(|at| bytes.get(at..at + 4))
            .map_or(0, |field| u64::from(u32::from_le_bytes([field[0], field[1], field[2], field[3]])) + 8);
        if self.order.len() >= FOOTERS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(identity.clone());
        self.known.insert(identity, (metadata.clone(), length));
        Ok((metadata, length))
    }
}

/// A file that a scan reads.
#[derive(Debug)]
pub(super) struct ParquetFile {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    row_groups: Vec<usize>,
    /// Root column of the file for each column of the table that is read: (table, file).
    roots: Arc<Vec<(usize, usize)>>,
    /// Footer and the column chunks that are read, compressed.
    pub(super) scanned_bytes: u64,
}

impl ParquetFile {
    /// Decides what is read. `identity` is bucket, key and ETag.
    pub(super) fn open(
        scan: &Scan,
        bytes: Bytes,
        identity: (String, String, String),
        footers: &mut Footers,
    ) -> Result<Self, ParquetError> {
        let (metadata, footer_bytes) = footers.get(identity, &bytes)?;
        let fields = metadata.schema().fields();
        let root = |column: &usize| {
            let name = scan.table.schema.field(*column).name();
            let found = fields.iter().position(|field| field.name().eq_ignore_ascii_case(name));
            found.map(|root| (*column, root))
        };
        let roots: Vec<(usize, usize)> = scan.needed().iter().filter_map(root).collect();
        let row_groups = row_groups(scan, &metadata);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().map(|(_, root)| *root));
        let chunks =
            row_groups.iter().flat_map(|group| metadata.metadata().row_group(*group).columns().iter().enumerate());
        let read = chunks.filter(|(leaf, _)| mask.leaf_included(*leaf));
        let chunk_bytes: u64 = read.map(|(_, chunk)| u64::try_from(chunk.compressed_size()).unwrap_or(0)).sum();
        Ok(ParquetFile {
            bytes,
            metadata,
            row_groups,
            roots: Arc::new(roots),
            scanned_bytes: footer_bytes + chunk_bytes,
        })
    }

    /// The rows that the scan's predicates let through.
    pub(super) fn read(&self, scan: &Scan, file: &LakeFile) -> Result<Batches> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let projection = Arc::new(Columns::new(&self.roots, &scan.columns));
        let schema = self.metadata.parquet_schema();
        let mask = projection.mask(schema);
        let filters = scan.predicates.iter().map(|predicate| self.filter(scan, predicate, &file.partition));
        let filter = RowFilter::new(filters.collect());
        let builder =
            builder.with_batch_size(BATCH_ROWS).with_row_groups(self.row_groups.clone()).with_projection(mask);
        let builder = if filter.predicates().is_empty() { builder } else { builder.with_row_filter(filter) };
        let reader = builder.build()?;
        let (table, columns, schema) = (Arc::clone(&scan.table), scan.columns.clone(), scan.schema());
        let partition = file.partition.clone();
        Ok(Box::new(reader.map(move |batch| {
            assemble(&table, &columns, &schema, &batch?, &|column| projection.position(column), &partition)
        })))
    }

    fn filter(&self, scan: &Scan, predicate: &Predicate, partition: &[ScalarValue]) -> Box<dyn ArrowPredicate> {
        let columns = Columns::new(&self.roots, &predicate.columns);
        let mask = columns.mask(self.metadata.parquet_schema());
        let (table, predicate, partition) = (Arc::clone(&scan.table), predicate.clone(), partition.to_vec());
        Box::new(ArrowPredicateFn::new(mask, move |batch| {
            let position = |column| columns.position(column);
            let batch = assemble(&table, &predicate.columns, &predicate.schema, &batch, &position, &partition);
            let rows = batch.and_then(|batch| predicate.expr.evaluate(&batch)?.into_array(batch.num_rows()));
            let rows = rows.map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
            Ok(BooleanArray::clone(rows.as_boolean()))
        }))
    }
}

/// Columns of a batch of a file: the file gives them in its own order.
struct Columns(Vec<(usize, usize)>);

impl Columns {
    fn new(roots: &[(usize, usize)], wanted: &[usize]) -> Self {
        let mut columns: Vec<(usize, usize)> =
            roots.iter().copied().filter(|(column, _)| wanted.contains(column)).collect();
        columns.sort_unstable_by_key(|(_, root)| *root);
        Columns(columns)
    }

    fn mask(&self, schema: &datafusion::parquet::schema::types::SchemaDescriptor) -> ProjectionMask {
        ProjectionMask::roots(schema, self.0.iter().map(|(_, root)| *root))
    }

    fn position(&self, column: usize) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == column)
    }
}

/// The row groups whose statistics do not rule out every row.
fn row_groups(scan: &Scan, metadata: &ArrowReaderMetadata) -> Vec<usize> {
    let count = metadata.metadata().num_row_groups();
    let mut kept: Vec<usize> = (0..count).collect();
    for predicate in &scan.predicates {
        // A condition that statistics cannot answer rules out nothing.
        let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&predicate.schema));
        let Some(pruning) = pruning.build(Arc::clone(&predicate.expr)) else { continue };
        let Ok(possible) = pruning.prune(&Statistics { metadata }) else { continue };
        kept.retain(|group| possible.get(*group).copied().unwrap_or(true));
    }
    kept
}

/// The statistics of a file's row groups.
struct Statistics<'m> {
    metadata: &'m ArrowReaderMetadata,
}

impl Statistics<'_> {
    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        StatisticsConverter::try_new(&column.name, self.metadata.schema(), self.metadata.parquet_schema()).ok()
    }
}

impl PruningStatistics for Statistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.converter(column)?.row_group_mins(self.metadata.metadata().row_groups()).ok()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.converter(column)?.row_group_maxes(self.metadata.metadata().row_groups()).ok()
    }

    fn num_containers(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.converter(column)?.row_group_null_counts(self.metadata.metadata().row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let groups = self.metadata.metadata().row_groups().iter();
        let counts = groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
        Some(Arc::new(counts.collect::<datafusion::arrow::array::UInt64Array>()))
    }

    #[expect(clippy::disallowed_types, reason = "the engine's signature; the set is not iterated")]
    fn contained(&self, _: &Column, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
