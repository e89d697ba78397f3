//! DynamoDB for the other services of the account: the same call as over the wire.

use serde_json::{Value, json};

use super::DynamoDb;
use crate::core::ports::Items;
use crate::core::{AwsError, Cx};

impl Items for DynamoDb {
    fn put_item(&mut self, cx: &mut Cx<'_>, table: &str, item: Value) -> Result<(), AwsError> {
        let body = json!({ "TableName": table, "Item": item });
        self.call(cx, "PutItem", body.to_string().as_bytes()).map(drop)
    }
}
