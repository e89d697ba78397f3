//! The JSON API: what each operation takes and answers. Members that are not here are refused by name.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::{Column, DatabaseInput, TableInput, invalid};
use super::store::{Database, Table, Version};
use crate::core::{AccountInfo, AwsError};

/// Results of one page, and the most that a caller may ask for.
const PAGE_MAX: i64 = 100;

/// Reads a request. Unknown members are members of AWS that are not modelled, or typing errors: both are named.
pub(super) fn parse<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("unknown field") {
            AwsError::not_modelled(format!("glue {operation}: {text}"))
        } else if text.starts_with("missing field") {
            invalid(format!("1 validation error detected: {text}"))
        } else {
            AwsError::serialization(text)
        }
    })
}

/// Requests that can name a catalog: only the account's own exists.
pub(super) fn check_catalog(catalog_id: Option<&str>, account: &AccountInfo) -> Result<(), AwsError> {
    match catalog_id {
        Some(id) if id != account.id => {
            Err(AwsError::not_modelled(format!("glue: the catalog {id} of another account")))
        }
        _ => Ok(()),
    }
}

macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(super) struct $name {
            pub catalog_id: Option<String>,
            $($(#[$attribute])* pub $field: $type,)*
        }
    };
}

request!(
    /// `CreateDatabase`.
    CreateDatabase { database_input: DatabaseInput }
);
request!(
    /// `GetDatabase` and `DeleteDatabase`.
    NamedDatabase { name: String }
);
request!(
    /// `GetDatabases`.
    GetDatabases { next_token: Option<String>, max_results: Option<i64> }
);
request!(
    /// `CreateTable`.
    CreateTable { database_name: String, table_input: TableInput }
);
request!(
    /// `UpdateTable`.
    UpdateTable {
        database_name: String,
        name: Option<String>,
        table_input: TableInput,
        #[serde(default)]
        skip_archive: bool,
        version_id: Option<String>,
    }
);
request!(
    /// `GetTable` and `DeleteTable`.
    NamedTable { database_name: String, name: String }
);
request!(
    /// `GetTables`.
    GetTables { database_name: String, next_token: Option<String>, max_results: Option<i64> }
);
request!(
    /// `GetTableVersion`.
    GetTableVersion { database_name: String, table_name: String, version_id: Option<String> }
);
request!(
    /// `GetTableVersions`.
    GetTableVersions { database_name: String, table_name: String, next_token: Option<String>, max_results: Option<i64> }
);
request!(
    /// `GetPartition`.
    GetPartition { database_name: String, table_name: String, partition_values: Vec<String> }
);
request!(
    /// `GetPartitions`.
    GetPartitions {
        database_name: String,
        table_name: String,
        #[serde(default)]
        expression: String,
        next_token: Option<String>,
        segment: Option<Segment>,
        max_results: Option<i64>,
        #[serde(default, rename = "ExcludeColumnSchema")]
        _exclude_column_schema: bool,
    }
);
request!(
    /// `BatchGetPartition`.
    BatchGetPartition { database_name: String, table_name: String, partitions_to_get: Vec<PartitionValueList> }
);

/// A part of a parallel scan.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Segment {
    segment_number: i64,
    total_segments: i64,
}

impl Segment {
    pub(super) fn check(&self) -> Result<(), AwsError> {
        if (1..=10).contains(&self.total_segments) && (0..self.total_segments).contains(&self.segment_number) {
            return Ok(());
        }
        Err(invalid("TotalSegments is between 1 and 10, and SegmentNumber between 0 and TotalSegments - 1"))
    }
}

/// The values of the partition keys of one partition.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PartitionValueList {
    pub values: Vec<String>,
}

impl PartitionValueList {
    /// A partition has one value for each key.
    pub(super) fn check(values: &[String], keys: &[Column]) -> Result<(), AwsError> {
        if values.len() == keys.len() {
            return Ok(());
        }
        Err(invalid("The number of partition keys do not match the number of partition values"))
    }
}

/// One page of `all`, beginning after the token; and the next token. The items are in the order of their `place`, and a
/// token tells the place of the last item, so that a listing goes on even when that item is gone.
pub(super) fn page<T>(
    all: impl Iterator<Item = T>,
    place: impl Fn(&T) -> String,
    token: Option<&str>,
    max_results: Option<i64>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let max = max_results.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&max) {
        return Err(invalid(format!("MaxResults is between 1 and {PAGE_MAX}")));
    }
    let max = usize::try_from(max).expect("between 1 and 100");
    let mut all = all.peekable();
    if let Some(token) = token {
        let last = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let last = last.ok_or_else(|| invalid("NextToken is not one that this operation gave"))?;
        while all.next_if(|item| place(item) <= last).is_some() {}
    }
    let page: Vec<T> = all.by_ref().take(max).collect();
    let next = match (all.peek(), page.last()) {
        (Some(_), Some(last)) => Some(hex::encode(place(last))),
        _ => None,
    };
    Ok((page, next))
}

/// A database as the API shows it.
pub(super) fn database_json(database: &Database, account: &AccountInfo) -> Result<Value, AwsError> {
    let mut shown = to_value(&database.input)?;
    shown["CreateTime"] = json!(database.created.epoch_seconds());
    shown["CatalogId"] = json!(account.id);
    shown["CreateTableDefaultPermissions"] =
        json!([{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]);
    Ok(shown)
}

/// A version of a table as the API shows it.
pub(super) fn table_json(table: &Table, version: &Version, account: &AccountInfo) -> Result<Value, AwsError> {
    let mut shown = to_value(&version.input)?;
    shown["DatabaseName"] = json!(table.database);
    shown["CreateTime"] = json!(table.created.epoch_seconds());
    shown["UpdateTime"] = json!(version.updated.epoch_seconds());
    shown["CreatedBy"] = json!(table.created_by);
    shown["IsRegisteredWithLakeFormation"] = json!(false);
    shown["CatalogId"] = json!(account.id);
    shown["VersionId"] = json!(version.id.to_string());
    Ok(shown)
}

fn to_value<T: Serialize>(shape: &T) -> Result<Value, AwsError> {
    serde_json::to_value(shape)
        .map_err(|error| AwsError::new("InternalServiceException", error.to_string()).status(500))
}

/// An answer with a list and, when there is more, a token.
pub(super) fn list_json(member: &str, list: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = json!({ member: list });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    answer
}
