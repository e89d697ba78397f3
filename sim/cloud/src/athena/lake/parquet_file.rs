//! A Parquet file of a scan: its footer, the row groups and column chunks that are read, its batches.

use std::collections::BTreeMap;
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
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use super::scan::{BATCH_ROWS, Batches, Predicate, Scan, assemble};
use super::table::LakeFile;

/// Bucket, key and ETag.
type Identity = (String, String, String);

/// Decoded footers; what was not used for the longest time is dropped first.
#[derive(Debug, Default)]
pub(in super::super) struct Footers {
    known: BTreeMap<Identity, Footer>,
    /// Identities by their last use.
    order: BTreeMap<u64, Identity>,
    uses: u64,
    row_groups: usize,
}

#[derive(Debug)]
struct Footer {
    metadata: ArrowReaderMetadata,
    length_bytes: u64,
    used: u64,
}

/// Row groups whose footers are kept. One takes a few kilobytes.
const ROW_GROUPS_KEPT: usize = 8_192;

impl Footers {
    /// The footer of an object and its length in bytes.
    fn get(&mut self, identity: Identity, bytes: &Bytes) -> Result<(ArrowReaderMetadata, u64), ParquetError> {
        self.uses += 1;
        if let Some(known) = self.known.get_mut(&identity) {
            self.order.remove(&known.used);
            known.used = self.uses;
            self.order.insert(known.used, identity);
            return Ok((known.metadata.clone(), known.length_bytes));
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(bytes, options)?;
        let length = bytes
            .len()
            .checked_sub(8)
            .and_then(|at| bytes.get(at..at + 4))
            .map_or(0, |field| u64::from(u32::from_le_bytes([field[0], field[1], field[2], field[3]])) + 8);
        self.row_groups += metadata.metadata().num_row_groups();
        self.order.insert(self.uses, identity.clone());
        self.known.insert(identity, Footer { metadata: metadata.clone(), length_bytes: length, used: self.uses });
        while self.row_groups > ROW_GROUPS_KEPT
            && let Some((_, oldest)) = self.order.pop_first()
            && let Some(dropped) = self.known.remove(&oldest)
        {
            self.row_groups -= dropped.metadata.metadata().num_row_groups();
        }
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
    /// Decides what is read. `pruning` is the scan's, `identity` is bucket, key and ETag.
    pub(super) fn open(
        scan: &Scan,
        pruning: &[Arc<PruningPredicate>],
        bytes: Bytes,
        identity: Identity,
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
        let row_groups = row_groups(scan, pruning, &metadata);
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

/// What a scan's conditions ask of statistics. A condition that they cannot answer rules out nothing.
pub(super) fn pruning(scan: &Scan) -> Vec<Arc<PruningPredicate>> {
    let one = |predicate: &Predicate| {
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&predicate.schema));
        builder.build(Arc::clone(&predicate.expr))
    };
    scan.predicates.iter().filter_map(one).collect()
}

/// The row groups whose statistics do not rule out every row.
fn row_groups(scan: &Scan, pruning: &[Arc<PruningPredicate>], metadata: &ArrowReaderMetadata) -> Vec<usize> {
    let count = metadata.metadata().num_row_groups();
    let mut kept: Vec<usize> = (0..count).collect();
    for pruning in pruning {
        let Ok(possible) = pruning.prune(&Statistics { scan, metadata }) else { continue };
        kept.retain(|group| possible.get(*group).copied().unwrap_or(true));
    }
    kept
}

/// The statistics of a file's row groups.
struct Statistics<'m> {
    scan: &'m Scan,
    metadata: &'m ArrowReaderMetadata,
}

impl Statistics<'_> {
    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        // A file may hold a column with the name of a partition column: the partition's value counts.
        if self.scan.table.schema.index_of(&column.name).ok()? >= self.scan.table.file_columns {
            return None;
        }
        let (schema, file) = (self.metadata.schema(), self.metadata.parquet_schema());
        let converter = StatisticsConverter::try_new(&column.name, schema, file).ok()?;
        Some(converter.with_missing_null_counts_as_zero(false))
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
