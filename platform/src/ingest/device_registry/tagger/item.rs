//! The items of the device directory, as this function writes them.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::thing::Thing;
use crate::calls::{CallError, Clock};
use crate::function::FunctionError;
use crate::ingest::device_registry::directory::{
    DEVICE_ID, DEVICE_KEY, DEVICE_TYPE, EXPIRES_AT, TENANT_ID, THING_ID, THING_VERSION, device_key,
};

/// So much longer than a stream keeps readings the item of a device stays after the device left its tenant: for the time
/// that readings are on their way otherwise.
const STAYS_BEYOND: Duration = Duration::from_secs(24 * 60 * 60);
/// What DynamoDB answers when a newer version of the thing has been written before.
const NOT_MET: &str = "ConditionalCheckFailedException";

/// The table of the directory.
#[derive(Debug)]
pub(super) struct Items {
    client: Client,
    table: String,
    stays_for: Duration,
    clock: Clock,
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

impl Items {
    /// The table `table`; the streams keep readings for `retention`, and each waits for its item.
    pub fn new(client: Client, table: &str, retention: Duration, clock: Clock) -> Self {
        Items { client, table: table.to_owned(), stays_for: retention + STAYS_BEYOND, clock }
    }

    /// Writes the device's item, unless it was written from a newer version of the thing. Other attributes stay.
    pub async fn write(&self, tenant: &str, thing: &Thing, deadline: SystemTime) -> Result<(), FunctionError> {
        let mut set = format!(
            "SET {TENANT_ID} = :tenant, {DEVICE_ID} = :device, {THING_ID} = :thing, {THING_VERSION} = :version"
        );
        set.push_str(&match thing.device_type {
            Some(_) => format!(", {DEVICE_TYPE} = :type REMOVE {EXPIRES_AT}"),
            None => format!(" REMOVE {EXPIRES_AT}, {DEVICE_TYPE}"),
        });
        let call = || {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .key(DEVICE_KEY, text(&device_key(tenant, &thing.name)))
                .update_expression(&set)
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
        let unless_newer =
            format!("(attribute_not_exists({THING_VERSION}) OR {THING_ID} <> :thing OR {THING_VERSION} < :version)");
        let values = [(":thing", text(&thing.id)), (":version", AttributeValue::N(thing.version.to_string()))];
        self.set_expiry(&device_key(left, &thing.name), &unless_newer, &values, deadline).await
    }

    /// Lets the item expire of a device whose thing with the id `thing_id` is gone. The item of another thing of the same
    /// name stays.
    pub async fn expire_gone(
        &self,
        tenant: &str,
        name: &str,
        thing_id: &str,
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        let of_it = format!("{THING_ID} = :thing");
        self.set_expiry(&device_key(tenant, name), &of_it, &[(":thing", text(thing_id))], deadline).await
    }

    /// Lets an item expire that does not yet, on a condition with its values.
    async fn set_expiry(
        &self,
        key: &str,
        condition: &str,
        values: &[(&str, AttributeValue)],
        deadline: SystemTime,
    ) -> Result<(), FunctionError> {
        let expires = (self.clock.now() + self.stays_for).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let call = || {
            let update = self
                .client
                .update_item()
                .table_name(&self.table)
                .key(DEVICE_KEY, text(key))
                .update_expression(format!("SET {EXPIRES_AT} = :expires"))
                .condition_expression(format!(
                    "attribute_exists({DEVICE_KEY}) AND attribute_not_exists({EXPIRES_AT}) AND {condition}"
                ))
                .expression_attribute_values(":expires", AttributeValue::N(expires.as_secs().to_string()));
            let with = |update: UpdateItemFluentBuilder, (name, value): &(&str, AttributeValue)| {
                update.expression_attribute_values(*name, value.clone())
            };
            values.iter().fold(update, with).send()
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
