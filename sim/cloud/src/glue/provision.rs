//! `AWS::Glue::Database` and `AWS::Glue::Table`.

use serde::Deserialize;

use super::api::check_catalog;
use super::model::{DatabaseInput, TableInput};
use super::store::Store;
use crate::core::{AwsError, Cx, Provisioned, Resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DatabaseProperties {
    catalog_id: String,
    pub database_input: DatabaseInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TableProperties {
    catalog_id: String,
    pub database_name: String,
    pub table_input: TableInput,
}

/// Creates what `resource` declares, and says by which operation.
pub(super) fn create(
    store: &mut Store,
    cx: &Cx<'_>,
    resource: &Resource,
) -> Result<(&'static str, Provisioned), AwsError> {
    match resource.kind.as_str() {
        "AWS::Glue::Database" => {
            let properties: DatabaseProperties = resource.parse()?;
            check_catalog(Some(&properties.catalog_id), cx.account)?;
            let name = store.create_database(cx.now, cx.limits, properties.database_input)?;
            Ok(("CreateDatabase", Provisioned::new(name)))
        }
        "AWS::Glue::Table" => {
            let TableProperties { catalog_id, database_name, table_input } = resource.parse()?;
            check_catalog(Some(&catalog_id), cx.account)?;
            let name = store.create_table(cx.now, cx.limits, &cx.caller.arn, &database_name, table_input)?;
            Ok(("CreateTable", Provisioned::new(name)))
        }
        _ => Err(unknown(resource)),
    }
}

pub(super) fn unknown(resource: &Resource) -> AwsError {
    resource.refuse("this resource type is not modelled")
}
