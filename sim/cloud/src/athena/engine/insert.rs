//! INSERT INTO: the rows of a query become new Parquet files of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use datafusion::sql::sqlparser::ast::{
    Insert, ObjectName, ObjectNamePart, Query, Spanned as _, Statement, TableObject,
};

use super::super::failure::Failure;
use super::super::lake::Target;
use super::rewrite::{TableUse, name_of};

/// Where a query's rows go.
#[derive(Clone, Debug)]
pub(super) struct Insertion {
    /// The table.
    pub(super) table: TableUse,
    /// Its columns in the order of the query's; all in the table's order when absent.
    pub(super) columns: Option<Vec<String>>,
}

/// A file that a query writes when it ends.
#[derive(Clone, Debug)]
pub(in super::super) struct NewFile {
    /// Bucket.
    pub(in super::super) bucket: String,
    /// Prefix of the key, up to the file's own name.
    pub(in super::super) folder: String,
    /// Content.
    pub(in super::super) body: Bytes,
}

/// Takes an INSERT apart into its query and where the rows go. Everything but a table, a list of columns and a query is
/// refused.
pub(super) fn take_apart(statement: Statement, database: &str) -> Result<(Box<Query>, Option<Insertion>), Failure> {
    let insert = match statement {
        Statement::Query(query) => return Ok((query, None)),
        Statement::Insert(insert) => insert,
        other => {
            let word = other.to_string().split_whitespace().next().unwrap_or_default().to_uppercase();
            return Err(Failure::not_modelled(format!("statements other than SELECT and INSERT INTO: {word}")));
        }
    };
    let shown = insert.to_string();
    let Insert { table: TableObject::TableName(name), columns, source: Some(query), into: true, .. } = insert else {
        return Err(Failure::not_modelled(format!("the statement {shown}")));
    };
    let plain = format!(
        "INSERT INTO {name} {}{query}",
        if columns.is_empty() { String::new() } else { format!("({}) ", list(&columns)) }
    );
    if shown != plain {
        return Err(Failure::not_modelled(format!("options of INSERT: {}", shown.lines().next().unwrap_or_default())));
    }
    let at = name.span().start;
    let table = name_of(&name, database, (at.line, at.column))?;
    let columns = if columns.is_empty() { None } else { Some(columns.iter().map(column).collect::<Result<_, _>>()?) };
    Ok((query, Some(Insertion { table, columns })))
}

fn list(columns: &[ObjectName]) -> String {
    columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn column(name: &ObjectName) -> Result<String, Failure> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => Ok(ident.value.to_lowercase()),
        _ => Err(Failure::not_modelled(format!("the column {name} of an INSERT"))),
    }
}

/// Files with the rows of `batches`, one for each partition that they lie in, and the number of rows.
pub(super) fn files(
    insertion: &Insertion,
    target: &Target,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<(Vec<NewFile>, u64), Failure> {
    let rows = concat_batches(schema, batches).map_err(DataFusionError::from)?;
    let columns = arranged(insertion, target, &rows)?;
    let (data, partition) = columns.split_at(target.file_columns());
    let mut partitions: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let values = partition.iter().map(|column| partition_text(column, row)).collect::<Result<Vec<_>, _>>()?;
        partitions.entry(values).or_default().push(u32::try_from(row).expect("a result has fewer rows"));
    }
    let fields: Vec<Arc<Field>> = target.schema().fields()[..target.file_columns()].to_vec();
    let file_schema = Arc::new(Schema::new(fields));
    let mut files = Vec::with_capacity(partitions.len());
    for (values, indices) in partitions {
        let indices = UInt32Array::from(indices);
        let taken = data.iter().map(|column| take(column, &indices, None)).collect::<Result<Vec<_>, _>>();
        let taken = taken.map_err(DataFusionError::from)?;
        let batch = RecordBatch::try_new(file_schema.clone(), taken).map_err(DataFusionError::from)?;
        let (bucket, folder) = target.folder(&values)?;
        files.push(NewFile { bucket, folder, body: parquet(&batch) });
    }
    Ok((files, rows.num_rows() as u64))
}

/// The query's columns in the order of the table, with its types.
fn arranged(insertion: &Insertion, target: &Target, rows: &RecordBatch) -> Result<Vec<ArrayRef>, Failure> {
    let fields = target.schema().fields();
    let all: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let given = insertion.columns.as_ref().unwrap_or(&all);
    let (line, column) = insertion.table.position;
    if let Some(unknown) = given.iter().find(|name| !all.contains(name)) {
        let table = format!("{}.{}", insertion.table.database, insertion.table.table);
        return Err(Failure::query(format!(
            "COLUMN_NOT_FOUND: line {line}:{column}: Insert column name does not exist in target table: {unknown} ({table})"
        )));
    }
    let found: Vec<&DataType> = rows.columns().iter().map(|column| column.data_type()).collect();
    let wanted: Vec<&DataType> =
        given.iter().filter_map(|name| fields.find(name)).map(|(_, field)| field.data_type()).collect();
    if found != wanted {
        let types = |types: &[&DataType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(Failure::query(format!(
            "TYPE_MISMATCH: line {line}:{column}: Insert query has mismatched column types: Table: [{}], Query: [{}]",
            types(&wanted),
            types(&found)
        )));
    }
    let column = |field: &Arc<Field>| match given.iter().position(|name| name == field.name()) {
        Some(position) => Ok(rows.column(position).clone()),
        // Athena fills columns that are not named with nulls; that could hide a partition.
        None => Err(Failure::not_modelled(format!("INSERT without the column {}", field.name()))),
    };
    fields.iter().map(column).collect()
}

fn partition_text(column: &ArrayRef, row: usize) -> Result<String, Failure> {
    if column.is_null(row) {
        return Err(Failure::not_modelled("INSERT of a row without a value for its partition"));
    }
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().value(row).to_owned()),
        other => Err(Failure::not_modelled(format!("INSERT into a partition column of type {other}"))),
    }
}

/// A file as Athena writes it: Parquet, compressed with gzip unless a property of the table says otherwise; Snappy here.
fn parquet(batch: &RecordBatch) -> Bytes {
    const WRITES: &str = "columns match the schema, and writing to memory does not fail";
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect(WRITES);
    writer.write(batch).expect(WRITES);
    writer.into_inner().expect(WRITES).into()
}
