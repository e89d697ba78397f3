//! A table that rows are inserted into.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::failure::Failure;
use super::hive;
use super::table::{PARQUET_SERDE, bucket_and_prefix, projection};
use crate::core::Cx;
use crate::core::ports::CatalogTable;

/// Schema and places of a table of Parquet files.
#[derive(Debug)]
pub(in super::super) struct Target {
    name: String,
    schema: SchemaRef,
    file_columns: usize,
    location: String,
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
        // Partitions in the catalog are not modelled.
        projection(table, cx, &name)?;
        Ok(Target { name, schema, file_columns: table.columns.len(), location })
    }

    /// Columns of the files, then partition columns.
    pub(in super::super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many columns are in the files.
    pub(in super::super) fn file_columns(&self) -> usize {
        self.file_columns
    }

    /// Bucket and folder of a partition's files: `column=value/` for each partition column below the table's location. A
    /// location template of partition projection is not asked (trinodb/trino pull request 25657: Athena has no special
    /// handling of projection when it writes), so that a table with a template may never read what is inserted into it.
    pub(in super::super) fn folder(&self, partition: &[String]) -> Result<(String, String), Failure> {
        let keys = self.schema.fields()[self.file_columns..].iter().zip(partition);
        let folders: String = keys.map(|(key, value)| format!("{}={}/", key.name(), escaped(value))).collect();
        let location = format!("{}{folders}", self.location);
        let (bucket, folder) = bucket_and_prefix(&location).ok_or_else(|| {
            Failure::query(format!("INVALID_TABLE_PROPERTY: {}: the location {location:?} is not in S3", self.name))
        })?;
        Ok((bucket.to_owned(), folder.to_owned()))
    }
}

/// A value as Hive writes it into a path: what has a meaning there is percent-encoded.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}
