//! Files of one JSON document a line, as `org.openx.data.jsonserde.JsonSerDe` reads them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, ListArray, MapArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, FieldRef, Fields, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
};
use datafusion::error::Result;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::super::failure::Failure;
use super::super::functions::{parse_date, parse_timestamp};
use super::scan::{BATCH_ROWS, Batches, Scan, assemble};
use super::table::LakeFile;

/// SerDe parameters.
#[derive(Clone, Debug)]
pub(super) struct JsonOptions {
    ignore_malformed: bool,
}

impl JsonOptions {
    /// Reads the parameters; those that would change the result and are not modelled are refused.
    pub(super) fn parse(parameters: &BTreeMap<String, String>) -> std::result::Result<Self, Failure> {
        let mut options = JsonOptions { ignore_malformed: false };
        for (name, value) in parameters {
            match (name.as_str(), value.to_lowercase().as_str()) {
                ("ignore.malformed.json", text) => options.ignore_malformed = text == "true",
                ("serialization.format" | "paths", _) | ("case.insensitive", "true") | ("dots.in.keys", "false") => {}
                _ => return Err(Failure::not_modelled(format!("the SerDe parameter {name}={value}"))),
            }
        }
        Ok(options)
    }
}

/// The rows of a file.
pub(super) fn read(scan: &Scan, file: &LakeFile, bytes: &Bytes, options: &JsonOptions) -> Result<Batches> {
    let path = format!("s3://{}/{}", scan.table.bucket, file.key);
    let text = if file.key.ends_with(".gz") {
        let mut text = Vec::new();
        MultiGzDecoder::new(bytes.as_ref()).read_to_end(&mut text).map_err(|error| {
            Failure::data(format!("HIVE_CURSOR_ERROR: Failed to read file at {path}: {error}")).into_engine()
        })?;
        Bytes::from(text)
    } else {
        bytes.clone()
    };
    let needed = scan.needed();
    let schema = Arc::new(scan.table.schema.project(&needed)?);
    let mut lines = Lines { text, at: 0, schema, path, ignore_malformed: options.ignore_malformed };
    let (table, columns, schema) = (Arc::clone(&scan.table), scan.columns.clone(), scan.schema());
    let partition = file.partition.clone();
    Ok(Box::new(std::iter::from_fn(move || {
        let batch = lines.next_batch().transpose()?;
        let position = |column| needed.iter().position(|known| *known == column);
        Some(batch.and_then(|batch| assemble(&table, &columns, &schema, &batch, &position, &partition)))
    })))
}

struct Lines {
    text: Bytes,
    at: usize,
    schema: Arc<Schema>,
    path: String,
    ignore_malformed: bool,
}

impl Lines {
    fn next_line(&mut self) -> Option<Bytes> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = self.text.slice(self.at..self.at + length);
            self.at += length + 1;
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
        None
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut documents = Vec::new();
        while documents.len() < BATCH_ROWS
            && let Some(line) = self.next_line()
        {
            documents.push(self.document(&line)?);
        }
        if documents.is_empty() {
            return Ok(None);
        }
        let columns = self.schema.fields().iter().map(|field| {
            let values: Vec<Option<&Value>> = documents.iter().map(|document| member(document, field.name())).collect();
            column(field.data_type(), &values).map_err(|text| self.bad(&format!("column {}: {text}", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(documents.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }

    fn document(&self, line: &[u8]) -> Result<Value> {
        match serde_json::from_slice(line) {
            Ok(document @ Value::Object(_)) => Ok(document),
            _ if self.ignore_malformed => Ok(Value::Null),
            Ok(_) => Err(self.bad("Row is not a valid JSON Object")),
            Err(error) => Err(self.bad(&format!("Row is not a valid JSON Object - JSONException: {error}"))),
        }
    }

    fn bad(&self, text: &str) -> datafusion::error::DataFusionError {
        Failure::data(format!("HIVE_CURSOR_ERROR: {text} in {}", self.path)).into_engine()
    }
}

/// A member by its name, in any case; null is absent.
fn member<'v>(document: &'v Value, name: &str) -> Option<&'v Value> {
    let object = document.as_object()?;
    let found = object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

type Column = std::result::Result<ArrayRef, String>;

/// A column of values of one type.
fn column(kind: &DataType, values: &[Option<&Value>]) -> Column {
    Ok(match kind {
        DataType::Utf8 => Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>()),
        DataType::Boolean => Arc::new(each(values, kind, boolean)?.into_iter().collect::<BooleanArray>()),
        DataType::Int8 => whole::<Int8Type>(values, kind)?,
        DataType::Int16 => whole::<Int16Type>(values, kind)?,
        DataType::Int32 => whole::<Int32Type>(values, kind)?,
        DataType::Int64 => whole::<Int64Type>(values, kind)?,
        DataType::Float32 => {
            let real = |value: &Value| double(value).map(|value| value as f32);
            Arc::new(each(values, kind, real)?.into_iter().collect::<Float32Array>())
        }
        DataType::Float64 => Arc::new(each(values, kind, double)?.into_iter().collect::<Float64Array>()),
        DataType::Date32 => {
            let date = |value: &Value| value.as_str().and_then(parse_date);
            Arc::new(each(values, kind, date)?.into_iter().collect::<Date32Array>())
        }
        DataType::Timestamp(..) => {
            let instant = |value: &Value| value.as_str().and_then(parse_timestamp);
            Arc::new(each(values, kind, instant)?.into_iter().collect::<TimestampMillisecondArray>())
        }
        DataType::List(item) => list(item, values)?,
        DataType::Map(entries, ordered) => map(entries, *ordered, values)?,
        DataType::Struct(fields) => row(fields, values)?,
        other => return Err(format!("values of type {other}")),
    })
}

fn each<T>(
    values: &[Option<&Value>],
    kind: &DataType,
    convert: impl Fn(&Value) -> Option<T>,
) -> std::result::Result<Vec<Option<T>>, String> {
    let one = |value: &Option<&Value>| match value {
        None => Ok(None),
        Some(value) => match convert(value) {
            None => Err(format!("{value} is not of type {}", super::super::engine::types::trino_name(kind))),
            converted => Ok(converted),
        },
    };
    values.iter().map(one).collect()
}

/// What is not a text is given as JSON writes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => text.to_lowercase().parse().ok(),
        _ => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn whole<T: ArrowPrimitiveType>(values: &[Option<&Value>], kind: &DataType) -> Column
where
    T::Native: TryFrom<i64>,
{
    let convert = |value: &Value| {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        T::Native::try_from(number?).ok()
    };
    Ok(Arc::new(each(values, kind, convert)?.into_iter().collect::<PrimitiveArray<T>>()))
}

fn list(item: &FieldRef, values: &[Option<&Value>]) -> Column {
    let (mut items, mut lengths) = (Vec::new(), Vec::with_capacity(values.len()));
    for value in values {
        let before = items.len();
        match value {
            None => {}
            Some(Value::Array(array)) => {
                items.extend(array.iter().map(|item| Some(item).filter(|item| !item.is_null())))
            }
            Some(other) => return Err(format!("{other} is not an array")),
        }
        lengths.push(items.len() - before);
    }
    let inner = column(item.data_type(), &items)?;
    Ok(Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), inner, nulls(values))))
}

fn map(entries: &FieldRef, ordered: bool, values: &[Option<&Value>]) -> Column {
    let DataType::Struct(fields) = entries.data_type() else { return Err("maps without entries".to_owned()) };
    let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(values.len()));
    for value in values {
        let before = items.len();
        match value {
            None => {}
            Some(Value::Object(object)) => {
                for (key, item) in object {
                    keys.push(Value::String(key.clone()));
                    items.push(Some(item).filter(|item| !item.is_null()));
                }
            }
            Some(other) => return Err(format!("{other} is not an object")),
        }
        lengths.push(items.len() - before);
    }
    let keys: Vec<Option<&Value>> = keys.iter().map(Some).collect();
    let columns = vec![column(fields[0].data_type(), &keys)?, column(fields[1].data_type(), &items)?];
    let pairs = StructArray::new(fields.clone(), columns, None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, nulls(values), ordered)))
}

fn row(fields: &Fields, values: &[Option<&Value>]) -> Column {
    if let Some(other) = values.iter().flatten().find(|value| !value.is_object()) {
        return Err(format!("{other} is not an object"));
    }
    let columns = fields.iter().map(|field| {
        let members: Vec<Option<&Value>> =
            values.iter().map(|value| value.and_then(|value| member(value, field.name()))).collect();
        column(field.data_type(), &members)
    });
    let columns = columns.collect::<std::result::Result<Vec<_>, String>>()?;
    Ok(Arc::new(StructArray::new(fields.clone(), columns, nulls(values))))
}

fn nulls(values: &[Option<&Value>]) -> Option<NullBuffer> {
    Some(NullBuffer::from_iter(values.iter().map(Option::is_some)))
}
