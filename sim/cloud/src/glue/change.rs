//! Changes and deletions of databases and tables.

use serde_json::Value;

use super::Glue;
use super::model::folded;
use super::provision::{self, DatabaseProperties, TableProperties};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Glue {
    /// Changes a table's or a database's definition. The name inside the definition cannot change.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        let operation = match resource.kind.as_str() {
            "AWS::Glue::Database" => {
                let properties: DatabaseProperties = resource.parse()?;
                let input = properties.database_input;
                expect_name(resource, physical_id, "database", &input.name)?;
                self.store.update_database(physical_id, input)?;
                "UpdateDatabase"
            }
            "AWS::Glue::Table" => {
                let TableProperties { database_name, table_input, .. } = resource.parse()?;
                expect_name(resource, physical_id, "table", &table_input.name)?;
                // CloudFormation archives the version before (unverified).
                self.store.update_table(cx.now, cx.limits, &database_name, table_input, false, None)?;
                "UpdateTable"
            }
            _ => return Err(provision::unknown(resource)),
        };
        cx.meter.call("glue", operation, Outcome::Ok);
        Ok(Provisioned::new(physical_id))
    }

    /// Deletes a table, or a database with its tables.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let (operation, deleted) = match resource.kind.as_str() {
            "AWS::Glue::Database" => ("DeleteDatabase", self.store.delete_database(physical_id)),
            "AWS::Glue::Table" => {
                let TableProperties { database_name, .. } = resource.parse()?;
                ("DeleteTable", self.store.delete_table(&database_name, physical_id))
            }
            _ => return Err(provision::unknown(resource)),
        };
        match deleted {
            Err(error) if error.code != "EntityNotFoundException" => return Err(error),
            _ => cx.meter.call("glue", operation, Outcome::Ok),
        }
        Ok(())
    }
}

/// Refuses another name before anything is written: it may be the name of another table.
fn expect_name(resource: &Resource, physical_id: &str, what: &str, name: &str) -> Result<(), AwsError> {
    let name = folded(what, name)?;
    if name == physical_id {
        return Ok(());
    }
    Err(resource.refuse(format!("the name {physical_id} cannot change to {name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::Principal;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::time::Time;
    use world::trace::Trace;

    fn resource(kind: &str, properties: Value) -> Resource {
        Resource { stack: "stack".to_owned(), logical_id: "It".to_owned(), kind: kind.to_owned(), properties }
    }

    fn act<T>(act: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        act(&mut parts.cx(Time::EPOCH, &caller))
    }

    fn table(columns: &[&str]) -> Resource {
        let columns: Vec<Value> = columns.iter().map(|name| json!({"Name": name, "Type": "bigint"})).collect();
        resource(
            "AWS::Glue::Table",
            json!({
                "CatalogId": "123456789012", "DatabaseName": "lake",
                "TableInput": {"Name": "raw", "StorageDescriptor": {"Columns": columns, "Location": "s3://b/raw/"}},
            }),
        )
    }

    #[test]
    fn a_table_that_would_be_renamed_leaves_the_other_table_of_that_name_alone() {
        let mut glue = Glue::new();
        let input = json!({"CatalogId": "123456789012", "DatabaseInput": {"Name": "lake"}});
        let named = |name: &str, columns: &[&str]| {
            let mut table = table(columns);
            table.properties["TableInput"]["Name"] = name.into();
            table
        };
        act(|cx| {
            glue.provision(cx, &resource("AWS::Glue::Database", input)).unwrap();
            glue.provision(cx, &named("raw", &["a"])).unwrap();
            glue.provision(cx, &named("other", &["a"])).unwrap();
            let error = glue.update(cx, &named("Other", &["a", "b"]), "raw", &Value::Null).unwrap_err();
            assert!(error.message.contains("the name raw cannot change to other"), "{error}");
            let versions = ["raw", "other"].map(|name| glue.store.table("lake", name).unwrap().current().id);
            assert_eq!(versions, [0, 0]);
            glue.update(cx, &named("RAW", &["a", "b"]), "raw", &Value::Null).unwrap();
            assert_eq!(glue.store.table("lake", "raw").unwrap().current().id, 1);
        });
    }

    #[test]
    fn a_changed_table_is_a_new_version_and_a_deleted_one_is_gone() {
        let database = resource(
            "AWS::Glue::Database",
            json!({"CatalogId": "123456789012", "DatabaseInput": {"Name": "lake", "Description": "d"}}),
        );
        let mut glue = Glue::new();
        act(|cx| {
            glue.provision(cx, &database).unwrap();
            glue.provision(cx, &table(&["a"])).unwrap();
            glue.update(cx, &table(&["a", "b"]), "raw", &Value::Null).unwrap();
            let found = glue.store.table("lake", "raw").unwrap();
            assert_eq!((found.current().id, found.catalog().columns.len()), (1, 2));
            glue.update(cx, &database, "lake", &Value::Null).unwrap();
            assert!(glue.store.table("lake", "raw").is_ok(), "the tables of a changed database stay");
            for _ in 0..2 {
                glue.delete(cx, &table(&["a"]), "raw").unwrap();
            }
            assert!(glue.store.table("lake", "raw").is_err());
            glue.delete(cx, &database, "lake").unwrap();
            assert!(glue.store.database("lake").is_err());
        });
    }
}
