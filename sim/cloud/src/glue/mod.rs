//! AWS Glue Data Catalog: what tables there are and where their files lie.
//!
//! Modelled: `CreateDatabase`, `GetDatabase`, `GetDatabases`, `DeleteDatabase`, `CreateTable`, `GetTable`, `GetTables`,
//! `UpdateTable` (a new version each time, guarded by `VersionId`), `DeleteTable`, `GetTableVersion`,
//! `GetTableVersions`; `AWS::Glue::Database` and `AWS::Glue::Table`; names folded to lower case; quotas of databases,
//! tables and versions of a table.
//!
//! Partly modelled: partitions. No partition can be registered, because the platform projects them, so `GetPartitions`
//! and `BatchGetPartition` answer none and `GetPartition` finds none, as for every table without registered partitions;
//! a filter expression is refused. `DeleteDatabase` removes the tables at once. `Description`, `Comment`, `Owner`,
//! `Retention`, `OutputFormat`, `Compressed`, `NumberOfBuckets` and `StoredAsSubDirectories` are kept and given back.
//!
//! Refused, by name: every other operation and member; views; catalogs of other accounts; columns without a type.
//! Parameters of partition projection are kept as they are: Athena judges them, as on AWS.

mod api;
mod change;
mod model;
mod permit;
mod provision;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};

use self::api::{check_catalog, database_json, list_json, page, parse, table_json};
use self::model::{folded, invalid};
use self::store::Store;
use crate::core::ports::{Catalog, CatalogTable};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::trace::Level;

/// Operations of the catalog: the name, and whether it is modelled.
const OPERATIONS: [(&str, bool); 28] = [
    ("BatchCreatePartition", false),
    ("BatchDeletePartition", false),
    ("BatchDeleteTable", false),
    ("BatchDeleteTableVersion", false),
    ("BatchGetPartition", true),
    ("BatchUpdatePartition", false),
    ("CreateDatabase", true),
    ("CreatePartition", false),
    ("CreatePartitionIndex", false),
    ("CreateTable", true),
    ("DeleteDatabase", true),
    ("DeletePartition", false),
    ("DeletePartitionIndex", false),
    ("DeleteTable", true),
    ("DeleteTableVersion", false),
    ("GetDatabase", true),
    ("GetDatabases", true),
    ("GetPartition", true),
    ("GetPartitionIndexes", false),
    ("GetPartitions", true),
    ("GetTable", true),
    ("GetTableVersion", true),
    ("GetTableVersions", true),
    ("GetTables", true),
    ("SearchTables", false),
    ("UpdateDatabase", false),
    ("UpdatePartition", false),
    ("UpdateTable", true),
];

/// The Glue Data Catalog of the account.
#[derive(Debug, Default)]
pub struct Glue {
    store: Store,
}

impl Glue {
    /// An empty catalog.
    pub fn new() -> Self {
        Glue::default()
    }

    /// Answers one call of the JSON API. `operation` is AWS's name, such as `GetTable`.
    pub fn call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let Some((name, modelled)) = OPERATIONS.iter().find(|(name, _)| *name == operation) else {
            return Err(AwsError::unknown_operation(operation));
        };
        let result = match modelled {
            true => permit::permit_request(cx, name, body).and_then(|()| self.run(cx, name, body)),
            false => Err(AwsError::not_modelled(format!("glue {name}"))),
        };
        cx.meter.call("glue", name, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result.map(|answer| answer.to_string().into_bytes())
    }

    fn run(&mut self, cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
        match name {
            "CreateDatabase" | "DeleteDatabase" | "GetDatabase" | "GetDatabases" => self.databases(cx, name, body),
            "CreateTable" | "UpdateTable" | "DeleteTable" => self.change_tables(cx, name, body),
            "GetTable" | "GetTables" | "GetTableVersion" | "GetTableVersions" => self.tables(cx, name, body),
            _ => self.partitions(cx, name, body),
        }
    }

    fn databases(&mut self, cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
        match name {
            "CreateDatabase" => {
                let request: api::CreateDatabase = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let created = self.store.create_database(cx.now, cx.limits, request.database_input)?;
                cx.trace.event(Level::Call, cx.now, "glue", name, &created, &[]);
                Ok(json!({}))
            }
            "GetDatabases" => {
                let request: api::GetDatabases = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let all = self.store.databases().values();
                let (found, next) =
                    page(all, |db| db.input.name.clone(), request.next_token.as_deref(), request.max_results)?;
                let shown: Result<Vec<Value>, AwsError> =
                    found.iter().map(|db| database_json(db, cx.account)).collect();
                Ok(list_json("DatabaseList", shown?, next))
            }
            _ => {
                let request: api::NamedDatabase = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                if name == "GetDatabase" {
                    return Ok(json!({"Database": database_json(self.store.database(&request.name)?, cx.account)?}));
                }
                self.store.delete_database(&request.name)?;
                cx.trace.event(Level::Call, cx.now, "glue", name, &request.name.to_lowercase(), &[]);
                Ok(json!({}))
            }
        }
    }

    fn change_tables(&mut self, cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
        let (database, table, version) = match name {
            "CreateTable" => {
                let request: api::CreateTable = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let (database, by) = (request.database_name, &cx.caller.arn);
                let table = self.store.create_table(cx.now, cx.limits, by, &database, request.table_input)?;
                (database, table, 0)
            }
            "UpdateTable" => {
                let request: api::UpdateTable = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = folded("table", &request.table_input.name)?;
                if request.name.is_some_and(|wanted| wanted.to_lowercase() != table) {
                    return Err(AwsError::not_modelled("glue UpdateTable: renaming a table"));
                }
                let (database, expected) = (request.database_name, request.version_id.as_deref());
                let (input, skip) = (request.table_input, request.skip_archive);
                let version = self.store.update_table(cx.now, cx.limits, &database, input, skip, expected)?;
                (database, table, version)
            }
            _ => {
                let request: api::NamedTable = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                self.store.delete_table(&request.database_name, &request.name)?;
                (request.database_name, request.name, 0)
            }
        };
        let subject = format!("{database}.{table}").to_lowercase();
        cx.trace.event(Level::Call, cx.now, "glue", name, &subject, &[("version", version.into())]);
        Ok(json!({}))
    }

    fn tables(&self, cx: &Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
        match name {
            "GetTable" => {
                let request: api::NamedTable = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = self.store.table(&request.database_name, &request.name)?;
                Ok(json!({"Table": table_json(table, table.current(), cx.account)?}))
            }
            "GetTables" => {
                let request: api::GetTables = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let all = self.store.database(&request.database_name)?.tables.values();
                let table_name = |table: &&store::Table| table.current().input.name.clone();
                let (found, next) = page(all, table_name, request.next_token.as_deref(), request.max_results)?;
                let shown: Result<Vec<Value>, AwsError> =
                    found.iter().map(|table| table_json(table, table.current(), cx.account)).collect();
                Ok(list_json("TableList", shown?, next))
            }
            "GetTableVersion" => {
                let request: api::GetTableVersion = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = self.store.table(&request.database_name, &request.table_name)?;
                let wanted = request.version_id.unwrap_or_else(|| table.current().id.to_string());
                let version = table.versions().find(|version| version.id.to_string() == wanted).ok_or_else(|| {
                    AwsError::new("EntityNotFoundException", format!("version {wanted} of the table not found."))
                })?;
                Ok(json!({"TableVersion": version_json(table, version, cx)?}))
            }
            _ => {
                let request: api::GetTableVersions = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = self.store.table(&request.database_name, &request.table_name)?;
                // The newest comes first.
                let place = |version: &&store::Version| format!("{:020}", u64::MAX - version.id);
                let (found, next) = page(table.versions(), place, request.next_token.as_deref(), request.max_results)?;
                let shown: Result<Vec<Value>, AwsError> =
                    found.iter().map(|version| version_json(table, version, cx)).collect();
                Ok(list_json("TableVersions", shown?, next))
            }
        }
    }

    /// No partition is ever registered: see the header.
    fn partitions(&self, cx: &Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
        match name {
            "GetPartitions" => {
                let request: api::GetPartitions = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                self.store.table(&request.database_name, &request.table_name)?;
                request.segment.as_ref().map_or(Ok(()), api::Segment::check)?;
                if request.max_results.is_some_and(|max| !(1..=1_000).contains(&max)) {
                    return Err(invalid("MaxResults is between 1 and 1000"));
                }
                if request.next_token.is_some() {
                    return Err(invalid("NextToken is not one that this operation gave"));
                }
                if !request.expression.trim().is_empty() {
                    return Err(AwsError::not_modelled("glue GetPartitions: Expression"));
                }
                Ok(json!({"Partitions": []}))
            }
            "BatchGetPartition" => {
                let request: api::BatchGetPartition = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = self.store.table(&request.database_name, &request.table_name)?;
                if request.partitions_to_get.len() > 1_000 {
                    return Err(invalid("PartitionsToGet has at most 1000 items"));
                }
                let keys = &table.current().input.partition_keys;
                for wanted in &request.partitions_to_get {
                    api::PartitionValueList::check(&wanted.values, keys)?;
                }
                Ok(json!({"Partitions": [], "UnprocessedKeys": []}))
            }
            _ => {
                let request: api::GetPartition = parse(name, body)?;
                check_catalog(request.catalog_id.as_deref(), cx.account)?;
                let table = self.store.table(&request.database_name, &request.table_name)?;
                api::PartitionValueList::check(&request.partition_values, &table.current().input.partition_keys)?;
                Err(AwsError::new("EntityNotFoundException", "Cannot find partition."))
            }
        }
    }

    /// Creates `AWS::Glue::Database` or `AWS::Glue::Table`. `Ref` is the name.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, provisioned) = provision::create(&mut self.store, cx, resource)?;
        cx.meter.call("glue", operation, Outcome::Ok);
        Ok(provisioned)
    }
}

fn version_json(table: &store::Table, version: &store::Version, cx: &Cx<'_>) -> Result<Value, AwsError> {
    Ok(json!({"Table": table_json(table, version, cx.account)?, "VersionId": version.id.to_string()}))
}

impl Catalog for Glue {
    fn get_table(&mut self, cx: &mut Cx<'_>, database: &str, table: &str) -> Result<Arc<CatalogTable>, AwsError> {
        let allowed = permit::permit(cx, "GetTable", Some(database), Some(table));
        let result = allowed.and_then(|()| self.store.table(database, table).map(|table| table.catalog().clone()));
        cx.meter.call("glue", "GetTable", result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result
    }

    fn table_names(&mut self, cx: &mut Cx<'_>, database: &str) -> Result<Vec<String>, AwsError> {
        let allowed = permit::permit(cx, "GetTables", Some(database), Some("*"));
        let names = |database: &store::Database| database.tables.keys().cloned().collect();
        let result = allowed.and_then(|()| self.store.database(database).map(names));
        cx.meter.call("glue", "GetTables", result.as_ref().map_or_else(Outcome::from, |_: &Vec<String>| Outcome::Ok));
        result
    }

    fn database_names(&mut self, cx: &mut Cx<'_>) -> Vec<String> {
        cx.meter.call("glue", "GetDatabases", Outcome::Ok);
        self.store.databases().keys().cloned().collect()
    }
}
