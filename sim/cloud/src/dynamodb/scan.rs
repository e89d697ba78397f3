//! Scan: all items of a table, page by page.
//!
//! A page ends after 1 MB of items, or after `Limit` of them (API reference, "Scan"). Items come in the order of their keys;
//! AWS gives none. A scan sees what is there now, also where an eventually consistent one might see what was.

use std::ops::Bound;

use serde::Deserialize;

use super::capacity::{ReturnConsumedCapacity, consume_read, read_half_units};
use super::value::{self, WireAttributes};
use super::{DynamoDb, parse, validation};
use crate::core::{AwsError, Cx};

/// Most bytes of items in a page.
const PAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Scan {
    table_name: Option<String>,
    exclusive_start_key: Option<WireAttributes>,
    limit: Option<i64>,
    #[serde(default)]
    consistent_read: bool,
    return_consumed_capacity: Option<String>,
}

impl DynamoDb {
    pub(super) fn scan(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: Scan = parse("Scan", body)?;
        let capacity = ReturnConsumedCapacity::parse(request.return_consumed_capacity.as_deref())?;
        let limit = match request.limit.map(usize::try_from) {
            None => usize::MAX,
            Some(Ok(limit)) if limit > 0 => limit,
            Some(_) => {
                return Err(validation(
                    "1 validation error detected: Value at 'limit' failed to satisfy constraint: \
                     Member must have value greater than or equal to 1",
                ));
            }
        };
        let table = self.table(cx, request.table_name.as_deref())?;
        let after = match request.exclusive_start_key {
            Some(key) => Some(table.key(&value::check(key, table.limits.nesting)?)?),
            None => None,
        };
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut items, mut size_bytes, mut last) = (Vec::new(), 0, None);
        let mut rest = table.items.range::<Vec<u8>, _>((start, Bound::Unbounded)).peekable();
        while let Some((_, item)) = rest.next() {
            items.push(item.json.clone());
            size_bytes += item.size_bytes;
            if rest.peek().is_some() && (items.len() >= limit || size_bytes >= PAGE_BYTES_MAX) {
                last = Some(table.key_in(&item.json));
                break;
            }
        }
        let half_units = read_half_units(size_bytes, request.consistent_read);
        let count = items.len();
        let mut answer = format!("{{\"Items\":[{}],\"Count\":{count},\"ScannedCount\":{count}", items.join(","));
        if let Some(key) = last {
            answer.push_str(&format!(",\"LastEvaluatedKey\":{key}"));
        }
        consume_read(cx, table, half_units)?;
        if let Some(text) = capacity.render(&table.name, half_units) {
            answer.push_str(&format!(",\"ConsumedCapacity\":{text}"));
        }
        answer.push('}');
        Ok(answer.into_bytes())
    }
}
