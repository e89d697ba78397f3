//! A table: its schema, and its files with their partitions.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::StreamingTableExec;

use super::super::failure::Failure;
use super::hive;
use super::json::JsonOptions;
use super::projection::Projection;
use super::scan::{Predicate, Scan, Scans, Stream};
use crate::core::ports::{CatalogTable, Objects};
use crate::core::{AwsError, Cx};

/// How the files of a table are read.
#[derive(Clone, Debug)]
pub(super) enum Format {
    /// Apache Parquet, columns by name.
    Parquet,
    /// One JSON document a line, gzip or not.
    Json(JsonOptions),
}

/// A file of a table.
#[derive(Clone, Debug)]
pub(super) struct LakeFile {
    /// Key.
    pub(super) key: String,
    /// ETag.
    pub(super) etag: String,
    /// Size in bytes.
    pub(super) size_bytes: u64,
    /// Values of the partition columns.
    pub(super) partition: Vec<ScalarValue>,
}

/// What all scans of a table share.
#[derive(Debug)]
pub(super) struct Definition {
    /// `database.table`.
    pub(super) name: String,
    /// Bucket of the files.
    pub(super) bucket: String,
    /// Format of the files.
    pub(super) format: Format,
    /// Columns of the files, then partition columns.
    pub(super) schema: SchemaRef,
    /// How many of them are in the files.
    pub(super) file_columns: usize,
}

/// A table that a query may read.
#[derive(Debug)]
pub(in super::super) struct LakeTable {
    definition: Arc<Definition>,
    files: Vec<LakeFile>,
    scans: Arc<Scans>,
}

pub(super) const PARQUET_SERDE: &str = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
const JSON_SERDE: &str = "org.openx.data.jsonserde.JsonSerDe";

impl LakeTable {
    /// Reads a table's definition and lists its files. `cx.now` is what `NOW` stands for in a projection.
    pub(in super::super) fn open(
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        table: &CatalogTable,
        scans: Arc<Scans>,
    ) -> std::result::Result<Self, Failure> {
        let name = format!("{}.{}", table.database, table.name);
        let format = match table.serialization_library.as_str() {
            PARQUET_SERDE => Format::Parquet,
            JSON_SERDE => Format::Json(JsonOptions::parse(&table.serde_parameters)?),
            other => return Err(Failure::not_modelled(format!("the SerDe {other:?} of table {name}"))),
        };
        let columns = table.columns.iter().chain(&table.partition_keys);
        let fields = columns.map(|column| Ok(Field::new(&column.name, hive::parse(&column.hive_type)?, true)));
        let schema = Arc::new(Schema::new(fields.collect::<std::result::Result<Vec<_>, Failure>>()?));
        let projection = projection(table, cx, &name)?;
        // Objects under a longer name that begins with the table's folder are not the table's.
        let folder = format!("{}/", table.location.trim_end_matches('/'));
        let root = projection.as_ref().map_or(folder.as_str(), Projection::root);
        let (bucket, prefix) = bucket_and_prefix(root).ok_or_else(|| {
            Failure::query(format!("INVALID_TABLE_PROPERTY: {name}: the location {root:?} is not in S3"))
        })?;
        let kinds: Vec<&DataType> =
            schema.fields()[table.columns.len()..].iter().map(|field| field.data_type()).collect();
        let listed = objects.list_objects(cx, bucket, prefix).map_err(|error| unreadable(&name, bucket, &error))?;
        let mut files = Vec::new();
        for object in listed {
            let rest = &object.key[prefix.len()..];
            let hidden = rest.split('/').any(|part| part.starts_with(['_', '.']));
            if hidden || object.size_bytes == 0 || rest.ends_with('/') {
                continue;
            }
            let Some(values) = projection.as_ref().map_or(Some(Vec::new()), |p| p.values_of(rest)) else { continue };
            let partition = values.iter().zip(&kinds).map(|(text, kind)| partition_value(&name, text, kind));
            let partition = partition.collect::<std::result::Result<Vec<_>, Failure>>()?;
            files.push(LakeFile { key: object.key, etag: object.etag, size_bytes: object.size_bytes, partition });
        }
        let bucket = bucket.to_owned();
        let definition = Definition { name, bucket, format, schema, file_columns: table.columns.len() };
        Ok(LakeTable { definition: Arc::new(definition), files, scans })
    }

    fn is_partition(&self, column: &str) -> bool {
        self.definition.schema.index_of(column).is_ok_and(|index| index >= self.definition.file_columns)
    }

    fn only_partitions(&self, filter: &Expr) -> bool {
        self.definition.schema.fields().len() > self.definition.file_columns
            && !filter.column_refs().is_empty()
            && filter.column_refs().iter().all(|column| self.is_partition(&column.name))
    }

    /// A filter over the columns that it names.
    fn predicate(&self, state: &dyn Session, filter: &Expr) -> Result<Predicate> {
        let names = filter.column_refs();
        let columns: Vec<usize> = (0..self.definition.schema.fields().len())
            .filter(|index| names.iter().any(|column| column.name == *self.definition.schema.field(*index).name()))
            .collect();
        let schema = Arc::new(self.definition.schema.project(&columns)?);
        let expr = state.create_physical_expr(filter.clone(), &DFSchema::try_from(Arc::clone(&schema))?)?;
        Ok(Predicate { columns, schema, expr })
    }

    /// The files in whose partitions a filter on partition columns holds.
    fn prune(&self, files: &mut Vec<LakeFile>, predicate: &Predicate) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let column = |index: &usize| {
            let values = files.iter().map(|file| file.partition[index - self.definition.file_columns].clone());
            ScalarValue::iter_to_array(values)
        };
        let columns = predicate.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&predicate.schema), columns)?;
        let kept = predicate.expr.evaluate(&batch)?.into_array(files.len())?;
        let kept = kept.as_boolean();
        let mut row = 0..files.len();
        files.retain(|_| {
            row.next().is_some_and(|row| datafusion::arrow::array::Array::is_valid(kept, row) && kept.value(row))
        });
        Ok(())
    }
}

pub(super) fn projection(
    table: &CatalogTable,
    cx: &Cx<'_>,
    name: &str,
) -> std::result::Result<Option<Projection>, Failure> {
    if table.partition_keys.is_empty() {
        return Ok(None);
    }
    match table.parameters.get("projection.enabled") {
        Some(enabled) if enabled.eq_ignore_ascii_case("true") => Projection::new(table, cx.now).map(Some),
        _ => Err(Failure::not_modelled(format!("partitions of {name} in the catalog (only projected ones are)"))),
    }
}

pub(super) fn bucket_and_prefix(location: &str) -> Option<(&str, &str)> {
    location.strip_prefix("s3://")?.split_once('/')
}

fn unreadable(name: &str, bucket: &str, error: &AwsError) -> Failure {
    let reason = format!("PERMISSION_DENIED: {name}: listing s3://{bucket} failed: {} ({})", error.message, error.code);
    Failure { error_type: 1306, ..Failure::query(reason) }
}

fn partition_value(name: &str, text: &str, kind: &DataType) -> std::result::Result<ScalarValue, Failure> {
    ScalarValue::try_from_string(text.to_owned(), kind).map_err(|_: DataFusionError| {
        Failure::data(format!("HIVE_INVALID_PARTITION_VALUE: Invalid partition value '{text}' of table {name}"))
    })
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.definition.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let one = |filter: &&Expr| {
            if self.only_partitions(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(one).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut files = self.files.clone();
        let mut predicates = Vec::new();
        for filter in filters {
            let predicate = self.predicate(state, filter)?;
            if self.only_partitions(filter) {
                self.prune(&mut files, &predicate)?;
            } else {
                predicates.push(predicate);
            }
        }
        let all: Vec<usize> = (0..self.definition.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or(all);
        let scan = Scan::new(Arc::clone(&self.definition), files, columns, predicates)?;
        let scan = self.scans.add(scan);
        let schema = scan.schema();
        let stream: Arc<dyn datafusion::physical_plan::streaming::PartitionStream> = Arc::new(Stream::new(scan));
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![stream], None, Vec::new(), false, None)?))
    }
}
