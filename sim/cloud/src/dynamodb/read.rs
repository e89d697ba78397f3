//! GetItem and BatchGetItem.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use world::mark;

use super::capacity::{ReturnConsumedCapacity, consume_read, read_half_units};
use super::table::Table;
use super::value::{self, Attributes, WireAttributes};
use super::{DynamoDb, missing, parse, validation};
use crate::core::{AwsError, Cx};

/// Most bytes of items in an answer of BatchGetItem (DynamoDB facts, "Limits").
const BATCH_BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem {
    table_name: Option<String>,
    key: Option<WireAttributes>,
    #[serde(default)]
    consistent_read: bool,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetItem {
    request_items: Option<BTreeMap<String, KeysAndAttributes>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeysAndAttributes {
    keys: Option<Vec<WireAttributes>>,
    consistent_read: Option<bool>,
}

/// What is wanted of one table: its name, and each key with its bytes.
struct Wanted {
    /// As the request names the table.
    given: String,
    keys: Vec<(Attributes, Vec<u8>)>,
    consistent_read: Option<bool>,
}

/// What a batch found in one table.
#[derive(Default)]
struct Found {
    /// Items as JSON, with commas between them.
    items: String,
    /// Keys that were not looked up, as JSON.
    unprocessed: Vec<String>,
    half_units: u64,
}

impl DynamoDb {
    pub(super) fn get_item(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: GetItem = parse("GetItem", body)?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let wire_key = request.key.ok_or_else(|| missing("key"))?;
        let table = self.table(cx, request.table_name.as_deref())?;
        let key = table.key(&value::check(wire_key, table.limits.nesting)?)?;
        let staleness = staleness(cx, "GetItem", table, request.consistent_read);
        let (item, is_stale) = table.seen(cx.now, &key, staleness);
        let half_units = read_half_units(item.map_or(0, |item| item.size_bytes), request.consistent_read);
        let item = item.map(|item| format!("\"Item\":{}", item.json));
        consume_read(cx, table, half_units)?;
        if is_stale {
            cx.trace.mark(cx.now, mark::STALE_READ, &table.name);
        }
        let capacity = capacity.render(&table.name, half_units).map(|text| format!("\"ConsumedCapacity\":{text}"));
        let members: Vec<String> = item.into_iter().chain(capacity).collect();
        Ok(format!("{{{}}}", members.join(",")).into_bytes())
    }

    pub(super) fn batch_get_item(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: BatchGetItem = parse("BatchGetItem", body)?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let wanted = self.wanted(cx, request.request_items.ok_or_else(|| missing("requestItems"))?)?;
        let (mut responses, mut unprocessed, mut consumed) = (Vec::new(), Vec::new(), Vec::new());
        let mut room_bytes = BATCH_BYTES_MAX;
        let mut throttled = None;
        let mut processed = 0;
        for wanted in &wanted {
            let table = self.table(cx, Some(&wanted.given))?;
            let mut found = Found::default();
            let consistent = wanted.consistent_read.unwrap_or(false);
            let how = How { consistent, staleness: staleness(cx, "BatchGetItem", table, consistent) };
            for (key, encoded) in &wanted.keys {
                if let Some(error) = cx.entry_disturbed("dynamodb", "BatchGetItem", &table.name) {
                    found.unprocessed.push(value::to_json(key));
                    throttled = Some(error).filter(AwsError::is_throttle).or(throttled);
                    continue;
                }
                match fetch(cx, table, encoded, how, &mut room_bytes, &mut found) {
                    Ok(true) => processed += 1,
                    Ok(false) => found.unprocessed.push(value::to_json(key)),
                    Err(error) => {
                        found.unprocessed.push(value::to_json(key));
                        throttled = Some(error);
                    }
                }
            }
            let name = serde_json::to_string(&wanted.given).expect("a text is JSON");
            consumed.extend(capacity.render(&table.name, found.half_units));
            if !found.unprocessed.is_empty() {
                let keys = found.unprocessed.join(",");
                let consistent = wanted.consistent_read.map(|c| format!(",\"ConsistentRead\":{c}"));
                unprocessed.push(format!("{name}:{{\"Keys\":[{keys}]{}}}", consistent.unwrap_or_default()));
            }
            responses.push(format!("{name}:[{}]", found.items));
        }
        if processed == 0
            && let Some(error) = throttled
        {
            return Err(error);
        }
        let mut answer =
            format!("{{\"Responses\":{{{}}},\"UnprocessedKeys\":{{{}}}", responses.join(","), unprocessed.join(","));
        if capacity != ReturnConsumedCapacity::None {
            answer.push_str(&format!(",\"ConsumedCapacity\":[{}]", consumed.join(",")));
        }
        answer.push('}');
        Ok(answer.into_bytes())
    }

    /// Checks all of a batch before any of it is read.
    fn wanted(&mut self, cx: &Cx<'_>, items: BTreeMap<String, KeysAndAttributes>) -> Result<Vec<Wanted>, AwsError> {
        let too_short = |member: &str| {
            validation(format!(
                "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
                 Member must have length greater than or equal to 1"
            ))
        };
        if items.is_empty() {
            return Err(too_short("requestItems"));
        }
        let mut wanted = Vec::with_capacity(items.len());
        let mut tables = BTreeSet::new();
        let mut count = 0;
        for (given, request) in items {
            let wire_keys = request.keys.ok_or_else(|| missing("requestItems.member.keys"))?;
            if wire_keys.is_empty() {
                return Err(too_short("requestItems.member.keys"));
            }
            count += wire_keys.len() as u64;
            let table = self.table(cx, Some(&given))?;
            if !tables.insert(table.name.clone()) {
                // The text is unverified.
                let name = &table.name;
                return Err(validation(format!("Provided list of tables names the table {name} more than once")));
            }
            let mut distinct = BTreeSet::new();
            let mut keys = Vec::with_capacity(wire_keys.len());
            for wire_key in wire_keys {
                let key = value::check(wire_key, table.limits.nesting)?;
                let encoded = table.key(&key)?;
                if !distinct.insert(encoded.clone()) {
                    return Err(validation("Provided list of item keys contains duplicates"));
                }
                keys.push((key, encoded));
            }
            wanted.push(Wanted { given, keys, consistent_read: request.consistent_read });
        }
        if count > cx.limits.get("dynamodb", "batch_get_items") {
            return Err(validation("Too many items requested for the BatchGetItem call"));
        }
        Ok(wanted)
    }
}

/// How keys are looked up.
#[derive(Clone, Copy)]
struct How {
    consistent: bool,
    /// How long ago is what is seen.
    staleness: Option<Duration>,
}

/// How old the answer to a read may be; nothing for a consistent one.
fn staleness(cx: &mut Cx<'_>, operation: &str, table: &Table, consistent: bool) -> Option<Duration> {
    if consistent { None } else { cx.staleness("dynamodb", operation, &table.name) }
}

/// Looks up one key of a batch. Answers whether there was room for its item.
fn fetch(
    cx: &mut Cx<'_>,
    table: &mut Table,
    key: &[u8],
    how: How,
    room_bytes: &mut usize,
    found: &mut Found,
) -> Result<bool, AwsError> {
    let (item, is_stale) = table.seen(cx.now, key, how.staleness);
    let size_bytes = item.map_or(0, |item| item.size_bytes);
    if size_bytes > *room_bytes {
        // The answer is full: nothing that follows is looked up.
        *room_bytes = 0;
        return Ok(false);
    }
    if *room_bytes == 0 {
        return Ok(false);
    }
    let half_units = read_half_units(size_bytes, how.consistent);
    let json = item.map(|item| item.json.clone());
    consume_read(cx, table, half_units)?;
    *room_bytes -= size_bytes;
    found.half_units += half_units;
    if is_stale {
        cx.trace.mark(cx.now, mark::STALE_READ, &table.name);
    }
    if let Some(json) = json {
        if !found.items.is_empty() {
            found.items.push(',');
        }
        found.items.push_str(&json);
    }
    Ok(true)
}
