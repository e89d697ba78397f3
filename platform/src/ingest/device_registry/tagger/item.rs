//! The items of the device directory, as this function writes them.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::thing::Thing;
use crate::calls::{CallError, Clock};
use crate::function::FunctionError;
use crate::ingest::device_registry::directory::{
    DEVICE_ID, DEVICE_KEY, DEVICE_TYPE, EXPIRES_AT, TENANT_ID, THING_ID, THING_VERSION, device_key,
};

/// How long the item of a device stays after the device left its tenant: longer than its readings are on their way.
const STAYS_FOR: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// What DynamoDB answers when a newer version of the thing has been written before.
const NOT_MET: &str = "ConditionalCheckFailedException";

/// The table of the directory.
#[derive(Debug)]
pub(super) struct Items {
    client: Client,
    table: String,
    clock: Clock,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

impl Items {
    pub fn new(client: Client, table: &str, clock: Clock) -> Self {
        Items { client, table: table.to_owned(), clock }
    }

    /// Writes the device's item, unless it was written from a newer version of the thing. Other attributes stay.
    pub async fn write(&self, tenant: &str, thing: &Thing, deadline: SystemTime) -> Result<(), FunctionError> {
        let mut set = format!(
            "SET {TENANT_ID} = :tenant, {DEVICE_ID} = :device, {THING_ID} = :thing, {THING_VERSION} = :version"
        );
        if thing.device_type.is_some() {
            set.push_str(&format!(", {DEVICE_TYPE} = :type"));
        }
        let call = || {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .key(DEVICE_KEY, text(&device_key(tenant, &thing.name)))
                .update_expression(format!("{set} REMOVE {EXPIRES_AT}"))
                .condition_expression(format!(
                    "attribute_not_exists({THING_VERSION}) OR {THING_ID} <> :thing OR {THING_VERSION} <= :version"
                ))
                .expression_attribute_values(":tenant", text(tenant))
                .expression_attribute_values(":device", text(&thing.name))
                .expression_attribute_values(":thing", text(&thing.id))
                .expression_attribute_values(":version", AttributeValue::N(thing.version.to_string()));
            match &thing.device_type {
                Some(device_type) => update.expression_attribute_values(":type", text(device_type)),
                None => update,
            }
            .send()
        };
        written(self.clock.call_again(deadline, call).await)
    }

    /// Lets the item expire that the device has under a tenant that it left. There may be none.
    pub async fn expire(&self, left: &str, thing: &Thing, deadline: SystemTime) -> Result<(), FunctionError> {
        let expires = (self.clock.now() + STAYS_FOR).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let call = || {
            self.client
                .update_item()
                .table_name(&self.table)
                .key(DEVICE_KEY, text(&device_key(left, &thing.name)))
                .update_expression(format!("SET {EXPIRES_AT} = :expires"))
                .condition_expression(format!(
                    "attribute_exists({DEVICE_KEY}) AND attribute_not_exists({EXPIRES_AT}) AND \
                     (attribute_not_exists({THING_VERSION}) OR {THING_ID} <> :thing OR {THING_VERSION} < :version)"
                ))
                .expression_attribute_values(":expires", AttributeValue::N(expires.as_secs().to_string()))
                .expression_attribute_values(":thing", text(&thing.id))
                .expression_attribute_values(":version", AttributeValue::N(thing.version.to_string()))
                .send()
        };
        written(self.clock.call_again(deadline, call).await)
    }
}

/// A condition that is not met means that there is nothing to do.
fn written<T>(answer: Result<T, CallError>) -> Result<(), FunctionError> {
    match answer {
        Err(error) if !error.is(NOT_MET) => Err(FunctionError::Directory(error.to_string())),
        _ => Ok(()),
    }
}
