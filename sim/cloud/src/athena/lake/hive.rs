//! Hive's types, as the catalog writes them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::super::engine::types::TIMESTAMP;
use super::super::failure::Failure;
use super::super::functions::item;

/// The type that a column of this Hive type has in a query.
pub(super) fn parse(text: &str) -> Result<DataType, Failure> {
    let lower = text.to_lowercase();
    let mut rest = lower.trim();
    let kind = one(&mut rest, text)?;
    if rest.trim().is_empty() { Ok(kind) } else { Err(invalid(text)) }
}

fn invalid(text: &str) -> Failure {
    Failure::not_modelled(format!("columns of type {text}"))
}

fn one(rest: &mut &str, whole: &str) -> Result<DataType, Failure> {
    let end = rest.find(['<', '>', ',', ':']).unwrap_or(rest.len());
    let name = rest[..end].trim();
    *rest = &rest[end..];
    Ok(match name {
        "string" => DataType::Utf8,
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" => TIMESTAMP,
        "array" => {
            expect(rest, '<', whole)?;
            let inner = one(rest, whole)?;
            expect(rest, '>', whole)?;
            DataType::List(item(inner))
        }
        "map" => {
            expect(rest, '<', whole)?;
            let key = one(rest, whole)?;
            expect(rest, ',', whole)?;
            let value = one(rest, whole)?;
            expect(rest, '>', whole)?;
            map(key, value)
        }
        "struct" => {
            expect(rest, '<', whole)?;
            let fields = fields(rest, whole)?;
            DataType::Struct(fields)
        }
        _ => return Err(invalid(whole)),
    })
}

/// The type of maps from `key` to `value`.
pub(super) fn map(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

fn fields(rest: &mut &str, whole: &str) -> Result<Fields, Failure> {
    let mut fields = Vec::new();
    loop {
        let (name, after) = rest.split_once(':').ok_or_else(|| invalid(whole))?;
        *rest = after;
        fields.push(Field::new(name.trim(), one(rest, whole)?, true));
        if expect(rest, ',', whole).is_err() {
            expect(rest, '>', whole)?;
            return Ok(fields.into());
        }
    }
}

fn expect(rest: &mut &str, token: char, whole: &str) -> Result<(), Failure> {
    *rest = rest.trim_start().strip_prefix(token).ok_or_else(|| invalid(whole))?;
    Ok(())
}
