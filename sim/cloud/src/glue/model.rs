//! Shapes of the catalog, in the spelling that the JSON API and CloudFormation share. Members that are not here are
//! refused by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::AwsError;
use crate::core::ports::{CatalogTable, Column as PortColumn};

/// Parameters of databases, tables, columns and SerDes.
pub(super) type Parameters = BTreeMap<String, String>;

/// A column or a partition key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Column {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// Serializer and deserializer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SerDeInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serialization_library: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// Where the files of a table are and how they are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StorageDescriptor {
    #[serde(default)]
    pub columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    #[serde(default)]
    pub compressed: bool,
    #[serde(default)]
    pub number_of_buckets: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serde_info: Option<SerDeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    #[serde(default)]
    pub stored_as_sub_directories: bool,
}

/// The definition of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TableInput {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default)]
    pub retention: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageDescriptor>,
    #[serde(default)]
    pub partition_keys: Vec<Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// The definition of a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DatabaseInput {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidInputException", message)
}

/// A name as the catalog keeps it: 1 to 255 bytes, lower case.
pub(super) fn folded(what: &str, name: &str) -> Result<String, AwsError> {
    if name.is_empty() || name.len() > 255 {
        return Err(invalid(format!("the name of a {what} has 1 to 255 characters")));
    }
    if name.chars().any(|c| c.is_control() && c != '\t') {
        return Err(invalid(format!("the name of a {what} has no control characters")));
    }
    Ok(name.to_lowercase())
}

fn at_most(what: &str, text: Option<&String>, max_bytes: usize) -> Result<(), AwsError> {
    match text {
        Some(text) if text.len() > max_bytes => Err(invalid(format!("{what} has at most {max_bytes} characters"))),
        _ => Ok(()),
    }
}

fn check_parameters(parameters: Option<&Parameters>) -> Result<(), AwsError> {
    for (name, value) in parameters.into_iter().flatten() {
        folded("parameter", name)?;
        at_most("the value of a parameter", Some(value), 512_000)?;
    }
    Ok(())
}

impl DatabaseInput {
    /// Checks the sizes and folds the name.
    pub(super) fn checked(mut self) -> Result<Self, AwsError> {
        self.name = folded("database", &self.name)?;
        at_most("the description of a database", self.description.as_ref(), 2_048)?;
        at_most("the location of a database", self.location_uri.as_ref(), 1_024)?;
        check_parameters(self.parameters.as_ref())?;
        Ok(self)
    }
}

impl TableInput {
    /// Checks the sizes and folds the name.
    pub(super) fn checked(mut self) -> Result<Self, AwsError> {
        self.name = folded("table", &self.name)?;
        at_most("the description of a table", self.description.as_ref(), 2_048)?;
        check_parameters(self.parameters.as_ref())?;
        if self.table_type.as_deref() == Some("VIRTUAL_VIEW") {
            return Err(AwsError::not_modelled("glue: views"));
        }
        if let Some(storage) = &self.storage_descriptor {
            at_most("the location of a table", storage.location.as_ref(), 2_056)?;
            at_most("an input format", storage.input_format.as_ref(), 128)?;
            at_most("an output format", storage.output_format.as_ref(), 128)?;
            check_parameters(storage.parameters.as_ref())?;
            check_parameters(storage.serde_info.as_ref().and_then(|serde| serde.parameters.as_ref()))?;
            storage.columns.iter().try_for_each(check_column)?;
        }
        self.partition_keys.iter().try_for_each(check_column)?;
        Ok(self)
    }

    /// The table as the other services read it.
    pub(super) fn to_catalog_table(&self, database: &str, version_id: String) -> CatalogTable {
        let storage = self.storage_descriptor.as_ref();
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let serde = storage.and_then(|storage| storage.serde_info.as_ref());
        CatalogTable {
            database: database.to_owned(),
            name: self.name.clone(),
            version_id,
            columns: storage.map(|storage| port_columns(&storage.columns)).unwrap_or_default(),
            partition_keys: port_columns(&self.partition_keys),
            location: text(storage.and_then(|storage| storage.location.as_ref())),
            input_format: text(storage.and_then(|storage| storage.input_format.as_ref())),
            serialization_library: text(serde.and_then(|serde| serde.serialization_library.as_ref())),
            serde_parameters: serde.and_then(|serde| serde.parameters.clone()).unwrap_or_default(),
            parameters: self.parameters.clone().unwrap_or_default(),
        }
    }
}

fn check_column(column: &Column) -> Result<(), AwsError> {
    folded("column", &column.name)?;
    at_most("the comment of a column", column.comment.as_ref(), 255)?;
    check_parameters(column.parameters.as_ref())?;
    match &column.r#type {
        None => Err(AwsError::not_modelled(format!("glue: the column {} has no type", column.name))),
        Some(hive_type) => at_most("the type of a column", Some(hive_type), 131_072),
    }
}

fn port_columns(columns: &[Column]) -> Vec<PortColumn> {
    let port = |column: &Column| PortColumn {
        name: column.name.to_lowercase(),
        hive_type: column.r#type.clone().unwrap_or_default().to_lowercase(),
    };
    columns.iter().map(port).collect()
}
