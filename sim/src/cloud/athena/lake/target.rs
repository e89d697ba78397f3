//! A table that rows are inserted into.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::failure::Failure;
use super::hive;
use super::projection::Projection;
use super::table::{PARQUET_SERDE, bucket_and_prefix, projection};
use crate::cloud::core::Cx;
use crate::cloud::core::ports::CatalogTable;

/// Schema and places of a table of Parquet files.
#[derive(Debug)]
pub(in super::super) struct Target {
    name: String,
    schema: SchemaRef,
    file_columns: usize,
    location: String,
    projection: Option<Projection>,
}

impl Target {
    /// Reads the definition of a table.
    pub(in super::super) fn open(cx: &Cx<'_>, table: &CatalogTable) -> Result<Self, Failure> {
        let name = format!("{}.{}", table.database, table.name);
        if table.serialization_library != PARQUET_SERDE {
            return Err(Failure::not_modelled(format!("INSERT into {name}, whose files are not Parquet")));
        }
        let columns = table.columns.iter().chain(&table.partition_keys);
        let fields = columns.map(|column| Ok(Field::new(&column.name, hive::parse(&column.hive_type)?, true)));
        let schema = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, Failure>>()?));
        let location = format!("{}/", table.location.trim_end_matches('/'));
        let projection = projection(table, cx, &name)?;
        Ok(Target { name, schema, file_columns: table.columns.len(), location, projection })
    }

    /// Columns of the files, then partition columns.
    pub(in super::super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many columns are in the files.
    pub(in super::super) fn file_columns(&self) -> usize {
        self.file_columns
    }

    /// Bucket and folder of a partition's files. A partition that is not projected could never be read.
    pub(in super::super) fn folder(&self, partition: &[String]) -> Result<(String, String), Failure> {
        let location = match &self.projection {
            None => self.location.clone(),
            Some(projection) => projection.location_of(partition).ok_or_else(|| {
                let values = partition.join(", ");
                Failure::not_modelled(format!(
                    "INSERT into the partition ({values}) of {}, which is not projected",
                    self.name
                ))
            })?,
        };
        let (bucket, folder) = bucket_and_prefix(&location).ok_or_else(|| {
            Failure::query(format!("INVALID_TABLE_PROPERTY: {}: the location {location:?} is not in S3", self.name))
        })?;
        Ok((bucket.to_owned(), folder.to_owned()))
    }
}
