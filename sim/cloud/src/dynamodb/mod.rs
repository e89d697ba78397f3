//! Amazon DynamoDB.
//!
//! Modelled: `AWS::DynamoDB::Table` paid by request, with a partition key and an optional sort key; the operations
//! GetItem, BatchGetItem, PutItem, UpdateItem (with the expressions that `expression.rs` names), DeleteItem,
//! Scan of a whole table, DescribeTable and ListTables; all ten types of attribute values with
//! their validation; numbers of 38 digits in their one form; sizes of items and keys; consumed capacity; the quota of a
//! table's throughput, with unprocessed keys where a batch is throttled in part.
//!
//! Partly modelled: an eventually consistent read costs half, and sees every write that was acknowledged, unless a
//! disturbance makes it older: then it sees what was there so long ago, for all keys of the call. The limits of
//! one partition and the initial capacity of a new table are not enforced. ItemCount and TableSizeBytes are exact at any
//! time, where AWS brings them up to date about every six hours. Most texts of refusals are unverified. `Tags` and
//! PointInTimeRecoverySpecification change nothing that is modelled. A key of SSESpecification is used by every call of its
//! table: AWS keeps table keys for up to five minutes, so that a key that was disabled goes on working for that long.
//!
//! Refused by their names: all other operations (CreateTable and DeleteTable over the wire among them), all other
//! expressions, legacy parameters (Expected, AttributesToGet), provisioned throughput, indexes, streams. Items whose time to live is over
//! are not deleted, which AWS does within a few days.

mod capacity;
mod change;
mod expression;
mod number;
mod permit;
mod port;
mod read;
mod scan;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use table::Table;

/// Stands before the code in `__type` of an error. (AWS puts `com.amazon.coral.validate#` before
/// ValidationException; clients look at what follows the `#`.)
pub const ERROR_NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810#";

/// Operations of the API that are refused.
const NOT_MODELLED: [&str; 12] = [
    "CreateTable",
    "DeleteTable",
    "UpdateTable",
    "Query",
    "BatchWriteItem",
    "TransactWriteItems",
    "TransactGetItems",
    "UpdateTimeToLive",
    "DescribeTimeToLive",
    "UpdateContinuousBackups",
    "DescribeContinuousBackups",
    "DescribeLimits",
];

/// The tables of the account.
#[derive(Debug, Default)]
pub struct DynamoDb {
    tables: BTreeMap<String, Table>,
}

impl DynamoDb {
    /// An account without tables.
    pub fn new() -> Self {
        DynamoDb::default()
    }

    /// Answers one call of the JSON API.
    pub fn call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let allowed = self.permit(cx, operation, body);
        let (operation, result) = match operation {
            "GetItem" => ("GetItem", allowed.and_then(|()| self.get_item(cx, body))),
            "BatchGetItem" => ("BatchGetItem", allowed.and_then(|()| self.batch_get_item(cx, body))),
            "PutItem" => ("PutItem", allowed.and_then(|()| self.put_item(cx, body))),
            "UpdateItem" => ("UpdateItem", allowed.and_then(|()| self.update_item(cx, body))),
            "DeleteItem" => ("DeleteItem", allowed.and_then(|()| self.delete_item(cx, body))),
            "Scan" => ("Scan", allowed.and_then(|()| self.scan(cx, body))),
            "DescribeTable" => ("DescribeTable", allowed.and_then(|()| self.describe_table(cx, body))),
            "ListTables" => ("ListTables", allowed.and_then(|()| self.list_tables(body))),
            other => match NOT_MODELLED.iter().find(|name| **name == other) {
                Some(name) => (*name, Err(AwsError::not_modelled(format!("dynamodb {name}")))),
                None => return Err(AwsError::unknown_operation(other)),
            },
        };
        let outcome = result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok);
        cx.meter.call("dynamodb", operation, outcome);
        if outcome == Outcome::Throttled {
            cx.meter.add("dynamodb", "ThrottledRequests", 1);
        }
        result
    }

    /// Creates `AWS::DynamoDB::Table`. `Ref` is the name; attribute `Arn`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::DynamoDB::Table" {
            return Err(resource.refuse("this resource type is not modelled"));
        }
        let table = Table::create(cx, resource)?;
        if self.tables.contains_key(&table.name) {
            return Err(AwsError::new("ResourceInUseException", format!("Table already exists: {}", table.name)));
        }
        let tables_max = cx.limits.get("dynamodb", "tables");
        if self.tables.len() as u64 >= tables_max {
            let message = format!("Subscriber limit exceeded: There is a limit of {tables_max} tables per subscriber");
            return Err(AwsError::new("LimitExceededException", message));
        }
        cx.meter.call("dynamodb", "CreateTable", Outcome::Ok);
        let provisioned = Provisioned::new(table.name.clone()).attribute("Arn", table.arn.clone());
        self.tables.insert(table.name.clone(), table);
        Ok(provisioned)
    }

    /// The table that a name or an ARN names.
    fn table(&mut self, cx: &Cx<'_>, given: Option<&str>) -> Result<&mut Table, AwsError> {
        let given = given.ok_or_else(|| missing("tableName"))?;
        let own = cx.account.arn("dynamodb", "table/");
        let table = self.tables.get_mut(given.strip_prefix(&own).unwrap_or(given));
        table.ok_or_else(|| AwsError::new("ResourceNotFoundException", "Requested resource not found"))
    }
}

/// Parses a request body. A member that is not modelled is refused by its name.
fn parse<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
            Some(member) => AwsError::not_modelled(format!("dynamodb {operation} {member}")),
            None => AwsError::serialization(text),
        }
    })
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

/// The refusal of a request that lacks a required member.
fn missing(member: &str) -> AwsError {
    validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}
