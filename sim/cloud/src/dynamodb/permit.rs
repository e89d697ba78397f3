//! Who may do what to a table: one decision a request, before anything of it is looked at.

use serde_json::Value;

use super::DynamoDb;
use crate::core::{AwsError, Cx};

impl DynamoDb {
    /// Whether the caller may run an operation on the tables that its request names. `dynamodb:LeadingKeys` holds the
    /// partition keys of all items that are asked for.
    pub(super) fn permit(&self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<(), AwsError> {
        let action = format!("dynamodb:{operation}");
        // What is no JSON is refused by the operation.
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        if operation == "ListTables" {
            return cx.authorize(&action, "*");
        }
        if let Some(tables) = request["RequestItems"].as_object() {
            return tables.iter().try_for_each(|(name, items)| {
                let keys: Vec<&Value> = items["Keys"].as_array().into_iter().flatten().collect();
                self.permit_table(cx, &action, name, &keys)
            });
        }
        let Some(name) = request["TableName"].as_str() else { return Ok(()) };
        let items: Vec<&Value> = [&request["Key"], &request["Item"]].into_iter().filter(|v| v.is_object()).collect();
        self.permit_table(cx, &action, name, &items)
    }

    fn permit_table(&self, cx: &mut Cx<'_>, action: &str, name: &str, items: &[&Value]) -> Result<(), AwsError> {
        let own = cx.account.arn("dynamodb", "table/");
        let name = name.strip_prefix(&own).unwrap_or(name);
        let keys: Vec<&str> = match self.tables.get(name) {
            Some(table) => items.iter().filter_map(|item| scalar(&item[table.partition_key()])).collect(),
            None => Vec::new(),
        };
        let context: Vec<(&str, &str)> = keys.iter().map(|key| ("dynamodb:LeadingKeys", *key)).collect();
        cx.authorize_in(action, &format!("{own}{name}"), &context)?;
        // Reads and writes of an encrypted table decrypt the table's key in the caller's name.
        let items = ["GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan"];
        match self.tables.get(name).and_then(|table| table.key.as_deref()) {
            Some(key) if items.iter().any(|item| action.ends_with(item)) => {
                let key = key.to_owned();
                cx.use_key("kms:Decrypt", &key, "dynamodb")
            }
            _ => Ok(()),
        }
    }
}

/// The text of a key's value: `{"S": text}`, `{"N": text}`, `{"B": text}`.
fn scalar(value: &Value) -> Option<&str> {
    ["S", "N", "B"].iter().find_map(|kind| value[*kind].as_str())
}
