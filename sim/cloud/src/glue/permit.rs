//! Who may do what to the catalog. Glue asks for the catalog, the database and the table that a request names.

use serde_json::Value;

use crate::core::{AwsError, Cx};

/// Whether the caller may do something to the catalog, to one of its databases when one is named, and to a table in it when
/// one is named: `*` stands for all tables of a database.
pub(super) fn permit(
    cx: &mut Cx<'_>,
    operation: &str,
    database: Option<&str>,
    table: Option<&str>,
) -> Result<(), AwsError> {
    let action = format!("glue:{operation}");
    let mut resources = vec!["catalog".to_owned()];
    if let Some(database) = database.map(str::to_lowercase) {
        resources.push(format!("database/{database}"));
        resources.extend(table.map(|table| format!("table/{database}/{}", table.to_lowercase())));
    }
    resources.iter().try_for_each(|resource| cx.authorize(&action, &cx.account.arn("glue", resource)))
}

/// The same for a request as it came: its members name database and table.
pub(super) fn permit_request(cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<(), AwsError> {
    // What is no JSON is refused by the operation.
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    let text = |member: &str| request[member].as_str();
    let (database, table) = match operation {
        "GetDatabases" => (None, None),
        "CreateDatabase" | "UpdateDatabase" => (request["DatabaseInput"]["Name"].as_str(), None),
        "GetDatabase" => (text("Name"), None),
        // All tables go with their database.
        "DeleteDatabase" => (text("Name"), Some("*")),
        "GetTables" => (text("DatabaseName"), Some("*")),
        "CreateTable" | "UpdateTable" => (text("DatabaseName"), request["TableInput"]["Name"].as_str()),
        "GetTable" | "DeleteTable" => (text("DatabaseName"), text("Name")),
        _ => (text("DatabaseName"), text("TableName")),
    };
    permit(cx, operation, database, table)
}
