//! PutItem and DeleteItem.

use serde::Deserialize;

use super::capacity::{ReturnConsumedCapacity, consume_write, write_units};
use super::table::{Item, Table};
use super::value::{self, WireAttributes};
use super::{DynamoDb, missing, parse, validation};
use crate::cloud::core::{AwsError, Cx};
use crate::world::trace::{Field, Level};

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

impl DynamoDb {
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
        let old = table.items.insert(key, Item { json, size_bytes });
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
        let old = table.items.remove(&key);
        table.size_bytes -= old_bytes;
        Ok(answer(table, old.filter(|_| all_old), capacity, units))
    }
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
