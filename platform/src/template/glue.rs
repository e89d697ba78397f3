//! AWS Glue Data Catalog.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// `AWS::Glue::Database`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Database {
    catalog_id: Expr,
    database_input: DatabaseInput,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DatabaseInput {
    name: String,
    description: &'static str,
}

impl Database {
    /// A database of the account's catalog.
    pub fn new(name: String, description: &'static str) -> Self {
        Database { catalog_id: Expr::account_id(), database_input: DatabaseInput { name, description } }
    }
}

impl Resource for Database {
    const TYPE: &'static str = "AWS::Glue::Database";
}

impl Handle<Database> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Column {
    /// Name, in lower case.
    pub name: &'static str,
    /// Hive type, such as `map<string,double>`.
    pub r#type: &'static str,
    /// For people.
    pub comment: &'static str,
}

/// `AWS::Glue::Table`: files in S3 that Athena reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    /// Catalog.
    pub catalog_id: Expr,
    /// Database.
    pub database_name: Expr,
    /// Definition.
    pub table_input: TableInput,
}

/// Definition of a table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableInput {
    /// Name, in lower case.
    pub name: &'static str,
    /// For people.
    pub description: &'static str,
    /// `EXTERNAL_TABLE`.
    pub table_type: &'static str,
    /// Classification and partition projection.
    pub parameters: BTreeMap<&'static str, Expr>,
    /// Columns that come from the location of a file.
    pub partition_keys: Vec<Column>,
    /// Where the files are and how they are read.
    pub storage_descriptor: StorageDescriptor,
}

/// Where the files of a table are and how they are read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StorageDescriptor {
    /// Columns in the files.
    pub columns: Vec<Column>,
    /// `s3://bucket/prefix/`.
    pub location: Expr,
    /// Java class.
    pub input_format: &'static str,
    /// Java class.
    pub output_format: &'static str,
    /// Serializer and deserializer.
    pub serde_info: SerdeInfo,
}

/// Serializer and deserializer of a table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SerdeInfo {
    /// Java class.
    pub serialization_library: &'static str,
    /// Parameters of the class.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<&'static str, &'static str>,
}

impl Resource for Table {
    const TYPE: &'static str = "AWS::Glue::Table";
}

impl Handle<Table> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}
