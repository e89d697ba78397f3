//! Databases, tables and their versions. Knows nothing of the wire.
//!
//! The texts of the errors are those that moto answers; they are unverified against AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{DatabaseInput, TableInput, folded};
use crate::core::ports::CatalogTable;
use crate::core::{AwsError, Limits};
use world::time::Time;

/// One version of a table.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Counts from 0; written in decimal on the wire.
    pub id: u64,
    pub input: TableInput,
    pub updated: Time,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub database: String,
    pub created: Time,
    pub created_by: String,
    /// Older versions that were archived, oldest first, then the current one.
    versions: Vec<Version>,
    catalog: Arc<CatalogTable>,
}

impl Table {
    /// The current version.
    pub(super) fn current(&self) -> &Version {
        self.versions.last().expect("a table has at least one version")
    }

    /// All versions that are kept, newest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().rev()
    }

    /// The table as the other services read it.
    pub(super) fn catalog(&self) -> &Arc<CatalogTable> {
        &self.catalog
    }
}

/// A database.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub input: DatabaseInput,
    pub created: Time,
    pub tables: BTreeMap<String, Table>,
}

/// The catalog: databases by name.
#[derive(Debug, Default)]
pub(super) struct Store {
    databases: BTreeMap<String, Database>,
}

fn no_database(name: &str) -> AwsError {
    AwsError::new("EntityNotFoundException", format!("Database {name} not found."))
}

fn no_table(name: &str) -> AwsError {
    AwsError::new("EntityNotFoundException", format!("Table {name} not found."))
}

fn too_many(what: &str, max: u64) -> AwsError {
    AwsError::new("ResourceNumberLimitExceededException", format!("the account has its {max} {what} already"))
}

impl Store {
    pub(super) fn create_database(
        &mut self,
        now: Time,
        limits: &Limits,
        input: DatabaseInput,
    ) -> Result<String, AwsError> {
        let input = input.checked()?;
        let name = input.name.clone();
        if self.databases.contains_key(&name) {
            return Err(AwsError::new("AlreadyExistsException", "Database already exists."));
        }
        let max = limits.get("glue", "databases");
        if self.databases.len() as u64 >= max {
            return Err(too_many("databases", max));
        }
        self.databases.insert(name.clone(), Database { input, created: now, tables: BTreeMap::new() });
        Ok(name)
    }

    /// Replaces the definition of a database; its tables stay. Answers the name in the definition.
    pub(super) fn update_database(&mut self, name: &str, input: DatabaseInput) -> Result<String, AwsError> {
        let input = input.checked()?;
        let database = self.database_mut(name)?;
        let new_name = input.name.clone();
        if new_name == database.input.name {
            database.input = input;
        }
        Ok(new_name)
    }

    pub(super) fn databases(&self) -> &BTreeMap<String, Database> {
        &self.databases
    }

    pub(super) fn database(&self, name: &str) -> Result<&Database, AwsError> {
        let name = folded("database", name)?;
        self.databases.get(&name).ok_or_else(|| no_database(&name))
    }

    fn database_mut(&mut self, name: &str) -> Result<&mut Database, AwsError> {
        let name = folded("database", name)?;
        self.databases.get_mut(&name).ok_or_else(|| no_database(&name))
    }

    /// Deletes a database and its tables. AWS removes the tables a little later.
    pub(super) fn delete_database(&mut self, name: &str) -> Result<(), AwsError> {
        let name = folded("database", name)?;
        self.databases.remove(&name).map(|_| ()).ok_or_else(|| no_database(&name))
    }

    pub(super) fn create_table(
        &mut self,
        now: Time,
        limits: &Limits,
        created_by: &str,
        database: &str,
        input: TableInput,
    ) -> Result<String, AwsError> {
        let input = input.checked()?;
        let all_tables: usize = self.databases.values().map(|database| database.tables.len()).sum();
        let database = self.database_mut(database)?;
        if database.tables.contains_key(&input.name) {
            return Err(AwsError::new("AlreadyExistsException", "Table already exists."));
        }
        for (quota, count) in [("tables_per_database", database.tables.len()), ("tables_per_account", all_tables)] {
            let max = limits.get("glue", quota);
            if count as u64 >= max {
                return Err(too_many("tables", max));
            }
        }
        let name = input.name.clone();
        let table = Table {
            database: database.input.name.clone(),
            created: now,
            created_by: created_by.to_owned(),
            catalog: Arc::new(input.to_catalog_table(&database.input.name, "0".to_owned())),
            versions: vec![Version { id: 0, input, updated: now }],
        };
        database.tables.insert(name.clone(), table);
        Ok(name)
    }

    /// Replaces the definition of a table. `expected` guards against another writer.
    pub(super) fn update_table(
        &mut self,
        now: Time,
        limits: &Limits,
        database: &str,
        input: TableInput,
        skip_archive: bool,
        expected: Option<&str>,
    ) -> Result<u64, AwsError> {
        let input = input.checked()?;
        let table = self.database_mut(database)?.tables.get_mut(&input.name).ok_or_else(|| no_table(&input.name))?;
        let current = table.current().id;
        if expected.is_some_and(|expected| expected != current.to_string()) {
            let text = format!("Update table failed due to concurrent modifications: the version is {current}.");
            return Err(AwsError::new("ConcurrentModificationException", text));
        }
        let max = limits.get("glue", "table_versions_per_table");
        if skip_archive {
            table.versions.pop();
        } else if table.versions.len() as u64 >= max {
            return Err(too_many("versions of the table", max));
        }
        let id = current + 1;
        table.catalog = Arc::new(input.to_catalog_table(&table.database, id.to_string()));
        table.versions.push(Version { id, input, updated: now });
        Ok(id)
    }

    pub(super) fn table(&self, database: &str, name: &str) -> Result<&Table, AwsError> {
        let name = folded("table", name)?;
        self.database(database)?.tables.get(&name).ok_or_else(|| no_table(&name))
    }

    pub(super) fn delete_table(&mut self, database: &str, name: &str) -> Result<(), AwsError> {
        let name = folded("table", name)?;
        self.database_mut(database)?.tables.remove(&name).map(|_| ()).ok_or_else(|| no_table(&name))
    }
}
