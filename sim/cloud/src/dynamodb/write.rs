//! PutItem, UpdateItem and DeleteItem.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::capacity::{ReturnConsumedCapacity, consume_write, write_units};
use super::expression::{Condition, Placeholders, Update};
use super::table::{Item, Table};
use super::value::{self, Attributes, WireAttributes};
use super::{DynamoDb, missing, parse, validation};
use crate::core::{AwsError, Cx};
use world::trace::{Field, Level};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutItem {
    table_name: Option<String>,
    item: Option<WireAttributes>,
    return_values: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateItem {
    table_name: Option<String>,
    key: Option<WireAttributes>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    expression_attribute_values: WireAttributes,
    return_values: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteItem {
    table_name: Option<String>,
    key: Option<WireAttributes>,
    return_values: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

/// Whether the old item is to be answered. (Only a table with a local index has item collections: of their metrics there
/// is nothing to answer.)
fn returns_old(return_values: Option<&str>, collection_metrics: Option<&str>) -> Result<bool, AwsError> {
    if let Some(other) = collection_metrics
        && !["SIZE", "NONE"].contains(&other)
    {
        return Err(validation(format!(
            "1 validation error detected: Value '{other}' at 'returnItemCollectionMetrics' failed to satisfy \
             constraint: Member must satisfy enum value set: [SIZE, NONE]"
        )));
    }
    match return_values {
        None | Some("NONE") => Ok(false),
        Some("ALL_OLD") => Ok(true),
        Some(_) => Err(validation("ReturnValues can only be ALL_OLD or NONE")),
    }
}

/// What UpdateItem answers of the item.
#[derive(Clone, Copy, PartialEq)]
enum ReturnValues {
    Nothing,
    AllOld,
    AllNew,
}

impl ReturnValues {
    fn parse(given: Option<&str>) -> Result<Self, AwsError> {
        match given {
            None | Some("NONE") => Ok(ReturnValues::Nothing),
            Some("ALL_OLD") => Ok(ReturnValues::AllOld),
            Some("ALL_NEW") => Ok(ReturnValues::AllNew),
            Some(other @ ("UPDATED_OLD" | "UPDATED_NEW")) => {
                Err(AwsError::not_modelled(format!("dynamodb UpdateItem ReturnValues {other}")))
            }
            Some(other) => Err(validation(format!(
                "1 validation error detected: Value '{other}' at 'returnValues' failed to satisfy constraint: Member \
                 must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
            ))),
        }
    }
}

impl DynamoDb {
    pub(super) fn update_item(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: UpdateItem = parse("UpdateItem", body)?;
        returns_old(None, request.return_item_collection_metrics.as_deref())?;
        let returned = ReturnValues::parse(request.return_values.as_deref())?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let wire_key = request.key.ok_or_else(|| missing("key"))?;
        let table = self.table(cx, request.table_name.as_deref())?;
        let nesting = table.limits.nesting;
        let key_attributes = value::check(wire_key, nesting)?;
        let key = table.key(&key_attributes)?;
        let values = value::check(request.expression_attribute_values, nesting)?;
        let mut placeholders =
            Placeholders::new(request.expression_attribute_names, values, table.limits.expression_bytes);
        let update = request.update_expression.map(|text| Update::parse(&text, &mut placeholders)).transpose()?;
        let update = update.unwrap_or_default();
        let condition = request.condition_expression.map(|text| Condition::parse(&text, &mut placeholders));
        let condition = condition.transpose()?;
        placeholders.all_used()?;
        if let Some(name) = update.names().find(|name| key_attributes.contains_key(*name)) {
            return Err(validation(format!(
                "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part of the \
                 key"
            )));
        }
        let old = table.items.get(&key).map(|item| attributes_of(&item.json));
        let before = old.clone().unwrap_or_default();
        let old_bytes = table.items.get(&key).map_or(0, |old| old.size_bytes);
        if condition.is_some_and(|condition| !condition.holds(&before)) {
            // A refused write costs what a write of the item as it is costs.
            consume_write(cx, table, write_units(old_bytes))?;
            return Err(AwsError::new("ConditionalCheckFailedException", "The conditional request failed"));
        }
        let mut item = update.applied(&before)?;
        item.extend(key_attributes);
        let size_bytes = value::size_bytes(&item);
        if size_bytes > table.limits.item_bytes {
            return Err(validation("Item size to update has exceeded the maximum allowed size"));
        }
        let units = write_units(size_bytes.max(old_bytes));
        consume_write(cx, table, units)?;
        let json = value::to_json(&item).into_boxed_str();
        record(cx, "update", table, &key, &json);
        let shown = match returned {
            ReturnValues::Nothing => None,
            ReturnValues::AllOld => old.map(|old| Item { json: value::to_json(&old).into(), size_bytes: 0 }),
            ReturnValues::AllNew => Some(Item { json: json.clone(), size_bytes }),
        };
        table.replace(cx, &key, Some(Item { json, size_bytes }));
        table.size_bytes = table.size_bytes + size_bytes - old_bytes;
        Ok(answer(table, shown, capacity, units))
    }

    pub(super) fn put_item(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: PutItem = parse("PutItem", body)?;
        let metrics = request.return_item_collection_metrics.as_deref();
        let all_old = returns_old(request.return_values.as_deref(), metrics)?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let wire_item = request.item.ok_or_else(|| missing("item"))?;
        let table = self.table(cx, request.table_name.as_deref())?;
        let item = value::check(wire_item, table.limits.nesting)?;
        let key = table.key_of_item(&item)?;
        let size_bytes = value::size_bytes(&item);
        if size_bytes > table.limits.item_bytes {
            return Err(validation("Item size has exceeded the maximum allowed size"));
        }
        let old_bytes = table.items.get(&key).map_or(0, |old| old.size_bytes);
        let units = write_units(size_bytes.max(old_bytes));
        consume_write(cx, table, units)?;
        let json = value::to_json(&item).into_boxed_str();
        record(cx, "put", table, &key, &json);
        let old = table.replace(cx, &key, Some(Item { json, size_bytes }));
        table.size_bytes = table.size_bytes + size_bytes - old_bytes;
        Ok(answer(table, old.filter(|_| all_old), capacity, units))
    }

    pub(super) fn delete_item(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: DeleteItem = parse("DeleteItem", body)?;
        let metrics = request.return_item_collection_metrics.as_deref();
        let all_old = returns_old(request.return_values.as_deref(), metrics)?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let wire_key = request.key.ok_or_else(|| missing("key"))?;
        let table = self.table(cx, request.table_name.as_deref())?;
        let key = table.key(&value::check(wire_key, table.limits.nesting)?)?;
        let old_bytes = table.items.get(&key).map_or(0, |old| old.size_bytes);
        let units = write_units(old_bytes);
        consume_write(cx, table, units)?;
        record(cx, "delete", table, &key, "");
        let old = table.replace(cx, &key, None);
        table.size_bytes -= old_bytes;
        Ok(answer(table, old.filter(|_| all_old), capacity, units))
    }
}

/// The attributes of an item that is kept: they were checked when it was written.
fn attributes_of(json: &str) -> Attributes {
    let wire: WireAttributes = serde_json::from_str(json).expect("items are kept as they were rendered");
    value::check(wire, u64::MAX).expect("items are checked before they are kept")
}

fn record(cx: &Cx<'_>, kind: &'static str, table: &Table, key: &[u8], item: &str) {
    let fields = [("key", Field::Bytes(key)), ("item", Field::Bytes(item.as_bytes()))];
    cx.trace.event(Level::Call, cx.now, "dynamodb", kind, &table.name, &fields);
}

fn answer(table: &Table, old: Option<Item>, capacity: ReturnConsumedCapacity, units: u64) -> Vec<u8> {
    let old = old.map(|item| format!("\"Attributes\":{}", item.json));
    let capacity = capacity.render(&table.name, 2 * units).map(|text| format!("\"ConsumedCapacity\":{text}"));
    let members: Vec<String> = old.into_iter().chain(capacity).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}
