//! Files of one JSON document a line, as `org.openx.data.jsonserde.JsonSerDe` reads them (Athena guide, "OpenX JSON
//! SerDe").
//!
//! Honoured: `ignore.malformed.json`, `use.null.for.invalid.data`, `case.insensitive`. Unverified: that a malformed line
//! which is ignored is a row of nulls; that a wrong value within a map, an array or a struct is null itself and leaves the
//! rest; that without regard to case the keys of maps are folded too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, AsArray as _, BooleanArray, Date32Array, Float32Array, Float64Array, ListArray, MapArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray, StructArray, TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, FieldRef, Fields, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
};
use datafusion::error::Result;
use flate2::read::MultiGzDecoder;
use serde::Deserialize as _;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::super::failure::Failure;
use super::super::functions::{parse_date, parse_timestamp};
use super::scan::{BATCH_ROWS, Batches, Scan, assemble};
use super::table::LakeFile;

/// SerDe parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonOptions {
    /// A line that is not a document is a row of nulls, not an error.
    ignore_malformed: bool,
    /// A value that is not of its type is null, not an error.
    null_for_invalid: bool,
    /// Members are found by their names in lower case.
    fold_case: bool,
}

impl JsonOptions {
    /// Reads the parameters; those that would change the result and are not modelled are refused.
    pub(super) fn parse(parameters: &BTreeMap<String, String>) -> std::result::Result<Self, Failure> {
        let mut options = JsonOptions { ignore_malformed: false, null_for_invalid: false, fold_case: true };
        for (name, value) in parameters {
            let flag = value.to_lowercase().parse::<bool>();
            match (name.as_str(), flag) {
                ("ignore.malformed.json", Ok(flag)) => options.ignore_malformed = flag,
                ("use.null.for.invalid.data", Ok(flag)) => options.null_for_invalid = flag,
                ("case.insensitive", Ok(flag)) => options.fold_case = flag,
                ("serialization.format" | "paths", _) | ("dots.in.keys", Ok(false)) => {}
                _ => return Err(Failure::not_modelled(format!("the SerDe parameter {name}={value}"))),
            }
        }
        Ok(options)
    }
}

/// The rows of a file.
pub(super) fn read(scan: &Scan, file: &LakeFile, bytes: &Bytes, options: JsonOptions) -> Result<Batches> {
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
    let predicates = scan.predicates.clone();
    let schema = Arc::new(scan.table.schema.project(&needed)?);
    let mut lines = Lines { text, at: 0, schema, path, options };
    let (table, columns, schema) = (Arc::clone(&scan.table), scan.columns.clone(), scan.schema());
    let partition = file.partition.clone();
    Ok(Box::new(std::iter::from_fn(move || {
        let batch = lines.next_batch().transpose()?;
        let position = |column| needed.iter().position(|known| *known == column);
        Some(batch.and_then(|mut batch| {
            // A condition is asked only where those before it hold: it may fail elsewhere.
            for predicate in &predicates {
                let rows = assemble(&table, &predicate.columns, &predicate.schema, &batch, &position, &partition)?;
                let holds = predicate.expr.evaluate(&rows)?.into_array(rows.num_rows())?;
                batch = filter_record_batch(&batch, holds.as_boolean())?;
            }
            assemble(&table, &columns, &schema, &batch, &position, &partition)
        }))
    })))
}

struct Lines {
    text: Bytes,
    at: usize,
    schema: Arc<Schema>,
    path: String,
    options: JsonOptions,
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
            let reader = Columns { null_for_invalid: self.options.null_for_invalid };
            reader
                .column(field.data_type(), &values)
                .map_err(|text| self.bad(&format!("column {}: {text}", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(documents.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }

    fn document(&self, line: &[u8]) -> Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let document = Document { fold_case: self.options.fold_case, depth: 0 }.deserialize(&mut deserializer);
        match document.and_then(|document| deserializer.end().map(|()| document)) {
            Ok(document @ Value::Object(_)) => Ok(document),
            _ if self.options.ignore_malformed => Ok(Value::Null),
            Ok(_) => Err(self.bad("Row is not a valid JSON Object")),
            Err(error) => Err(self.bad(&format!("Row is not a valid JSON Object - JSONException: {error}"))),
        }
    }

    fn bad(&self, text: &str) -> datafusion::error::DataFusionError {
        Failure::data(format!("HIVE_CURSOR_ERROR: {text} in {}", self.path)).into_engine()
    }
}

/// Reads a document whose objects have no key twice, with their keys in lower case when that is asked for.
#[derive(Clone, Copy)]
struct Document {
    fold_case: bool,
    /// Arrays and objects around it.
    depth: u8,
}

/// How deep arrays and objects may nest.
const MOST_DEPTH: u8 = 100;

impl Document {
    /// A value from its text. Numbers with a fraction are read here: the parser's are off by a bit now and then.
    fn value(self, text: &str) -> std::result::Result<Value, serde_json::Error> {
        match text.bytes().next() {
            Some(b'{' | b'[') if self.depth == MOST_DEPTH => Err(de::Error::custom("recursion limit exceeded")),
            Some(b'{' | b'[') => {
                serde_json::Deserializer::from_str(text).deserialize_any(Document { depth: self.depth + 1, ..self })
            }
            Some(b'-' | b'0'..=b'9') => number(text).ok_or_else(|| de::Error::custom("number out of range")),
            _ => serde_json::from_str(text),
        }
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().ok().filter(|_| text != "-0").map(Number::from);
    let whole = whole.or_else(|| text.parse::<u64>().ok().map(Number::from));
    whole.or_else(|| Number::from_f64(text.parse().ok()?)).map(Value::Number)
}

impl<'de> DeserializeSeed<'de> for Document {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        self.value(text).map_err(de::Error::custom)
    }
}

impl<'de> Visitor<'de> for Document {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(mut key) = members.next_key::<String>()? {
            if self.fold_case && key.chars().any(char::is_uppercase) {
                key = key.to_lowercase();
            }
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("Duplicate key {key:?}")));
            }
            object.insert(key, members.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

/// A member by its name; null is absent.
fn member<'v>(document: &'v Value, name: &str) -> Option<&'v Value> {
    document.as_object()?.get(name).filter(|value| !value.is_null())
}

type Column = std::result::Result<ArrayRef, String>;

/// Makes columns of values.
#[derive(Clone, Copy)]
struct Columns {
    null_for_invalid: bool,
}

impl Columns {
    /// A column of values of one type.
    fn column(self, kind: &DataType, values: &[Option<&Value>]) -> Column {
        Ok(match kind {
            DataType::Utf8 => Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>()),
            DataType::Boolean => Arc::new(self.each(values, kind, boolean)?.into_iter().collect::<BooleanArray>()),
            DataType::Int8 => self.whole::<Int8Type>(values, kind)?,
            DataType::Int16 => self.whole::<Int16Type>(values, kind)?,
            DataType::Int32 => self.whole::<Int32Type>(values, kind)?,
            DataType::Int64 => self.whole::<Int64Type>(values, kind)?,
            DataType::Float32 => {
                let real = |value: &Value| double(value).map(|value| value as f32);
                Arc::new(self.each(values, kind, real)?.into_iter().collect::<Float32Array>())
            }
            DataType::Float64 => Arc::new(self.each(values, kind, double)?.into_iter().collect::<Float64Array>()),
            DataType::Date32 => {
                let date = |value: &Value| value.as_str().and_then(parse_date);
                Arc::new(self.each(values, kind, date)?.into_iter().collect::<Date32Array>())
            }
            DataType::Timestamp(..) => {
                let instant = |value: &Value| value.as_str().and_then(parse_timestamp);
                Arc::new(self.each(values, kind, instant)?.into_iter().collect::<TimestampMillisecondArray>())
            }
            DataType::List(item) => self.list(item, values)?,
            DataType::Map(entries, ordered) => self.map(entries, *ordered, values)?,
            DataType::Struct(fields) => self.row(fields, values)?,
            other => return Err(format!("values of type {other}")),
        })
    }

    fn each<T>(
        self,
        values: &[Option<&Value>],
        kind: &DataType,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> std::result::Result<Vec<Option<T>>, String> {
        let one = |value: &Option<&Value>| match value {
            None => Ok(None),
            Some(value) => match convert(value) {
                None if self.null_for_invalid => Ok(None),
                None => Err(format!("{value} is not of type {}", super::super::engine::types::trino_name(kind))),
                converted => Ok(converted),
            },
        };
        values.iter().map(one).collect()
    }

    /// The values whose shape is right.
    fn shaped<'v>(
        self,
        values: &[Option<&'v Value>],
        right: impl Fn(&Value) -> bool,
        shape: &str,
    ) -> std::result::Result<Vec<Option<&'v Value>>, String> {
        let one = |value: &Option<&'v Value>| match value {
            Some(value) if right(value) => Ok(Some(*value)),
            Some(value) if !self.null_for_invalid => Err(format!("{value} is not an {shape}")),
            _ => Ok(None),
        };
        values.iter().map(one).collect()
    }

    fn whole<T: ArrowPrimitiveType>(self, values: &[Option<&Value>], kind: &DataType) -> Column
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
        Ok(Arc::new(self.each(values, kind, convert)?.into_iter().collect::<PrimitiveArray<T>>()))
    }

    fn list(self, item: &FieldRef, values: &[Option<&Value>]) -> Column {
        let values = &self.shaped(values, Value::is_array, "array")?;
        let (mut items, mut lengths) = (Vec::new(), Vec::with_capacity(values.len()));
        for value in values {
            let before = items.len();
            let array = value.and_then(Value::as_array).into_iter().flatten();
            items.extend(array.map(|item| Some(item).filter(|item| !item.is_null())));
            lengths.push(items.len() - before);
        }
        let inner = self.column(item.data_type(), &items)?;
        Ok(Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), inner, nulls(values))))
    }

    fn map(self, entries: &FieldRef, ordered: bool, values: &[Option<&Value>]) -> Column {
        let DataType::Struct(fields) = entries.data_type() else { return Err("maps without entries".to_owned()) };
        let values = &self.shaped(values, Value::is_object, "object")?;
        let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(values.len()));
        for value in values {
            let before = items.len();
            for (key, item) in value.and_then(Value::as_object).into_iter().flatten() {
                keys.push(Value::String(key.clone()));
                items.push(Some(item).filter(|item| !item.is_null()));
            }
            lengths.push(items.len() - before);
        }
        let keys: Vec<Option<&Value>> = keys.iter().map(Some).collect();
        // A key is never null, so one of another type stays an error.
        let keys = Columns { null_for_invalid: false }.column(fields[0].data_type(), &keys)?;
        let columns = vec![keys, self.column(fields[1].data_type(), &items)?];
        let pairs = StructArray::new(fields.clone(), columns, None);
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, nulls(values), ordered)))
    }

    fn row(self, fields: &Fields, values: &[Option<&Value>]) -> Column {
        let values = &self.shaped(values, Value::is_object, "object")?;
        let columns = fields.iter().map(|field| {
            let members: Vec<Option<&Value>> =
                values.iter().map(|value| value.and_then(|value| member(value, field.name()))).collect();
            self.column(field.data_type(), &members)
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, String>>()?;
        Ok(Arc::new(StructArray::new(fields.clone(), columns, nulls(values))))
    }
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

fn nulls(values: &[Option<&Value>]) -> Option<NullBuffer> {
    Some(NullBuffer::from_iter(values.iter().map(Option::is_some)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;
    use datafusion::arrow::util::display::array_value_to_string;

    use super::*;

    const HONOURED: [&str; 3] = ["ignore.malformed.json", "use.null.for.invalid.data", "case.insensitive"];

    fn options(flags: [&str; 3]) -> JsonOptions {
        let parameters = HONOURED.iter().zip(flags).filter(|(_, flag)| !flag.is_empty());
        let parameters = parameters.map(|(name, flag)| ((*name).to_owned(), flag.to_owned())).collect();
        JsonOptions::parse(&parameters).expect("these parameters are honoured")
    }

    /// The rows of a file with the columns n, metrics, tags and r; or the error.
    fn rows(text: &str, options: JsonOptions) -> std::result::Result<Vec<String>, String> {
        let types =
            [("n", "bigint"), ("metrics", "map<string,double>"), ("tags", "array<int>"), ("r", "struct<k:int>")];
        let fields = types.map(|(name, hive)| Field::new(name, super::super::hive::parse(hive).expect(hive), true));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let mut lines =
            Lines { text: Bytes::from(text.to_owned()), at: 0, schema, path: "s3://lake/a.json".to_owned(), options };
        let mut rows = Vec::new();
        while let Some(batch) = lines.next_batch().map_err(|error| error.to_string())? {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|column| array_value_to_string(column, row).expect("a text"));
                rows.push(cells.collect::<Vec<_>>().join(" | "));
            }
        }
        Ok(rows)
    }

    #[test]
    fn malformed_lines_are_errors_or_rows_of_nulls() {
        for line in ["{\"n\": tru", "garbage", "[1]", "5", "{\"n\": 1} x", "{\"n\": 1, \"n\": 2}"] {
            let text = format!("{{\"n\": 1}}\n{line}\n{{\"n\": 3}}\n");
            for strict in ["", "false"] {
                let error = rows(&text, options([strict, "true", ""])).expect_err(line);
                assert!(error.contains("HIVE_CURSOR_ERROR: Row is not a valid JSON Object"), "{line}: {error}");
            }
            let expected = ["1 |  |  | ", " |  |  | ", "3 |  |  | "];
            assert_eq!(rows(&text, options(["TRUE", "", ""])).expect(line), expected, "{line}");
        }
    }

    #[test]
    fn values_of_another_type_are_errors_or_nulls_where_they_stand() {
        for (line, expected) in [
            (r#"{"n": "many", "metrics": {"t": 1.5}}"#, " | {t: 1.5} |  | "),
            (r#"{"n": {}, "tags": [1]}"#, " |  | [1] | "),
            (r#"{"n": 99999999999999999999}"#, " |  |  | "),
            (r#"{"n": 1, "metrics": {"t": "hot", "h": 2}}"#, "1 | {t: , h: 2.0} |  | "),
            (r#"{"n": 1, "metrics": [5]}"#, "1 |  |  | "),
            (r#"{"n": 1, "metrics": 5}"#, "1 |  |  | "),
            (r#"{"n": 1, "tags": {"a": 1}}"#, "1 |  |  | "),
            (r#"{"n": 1, "tags": [1, "x", 3]}"#, "1 |  | [1, , 3] | "),
            (r#"{"n": 1, "r": "text"}"#, "1 |  |  | "),
            (r#"{"n": 1, "r": {"k": true}}"#, "1 |  |  | {k: }"),
        ] {
            for strict in ["", "FALSE"] {
                let error = rows(line, options(["true", strict, ""])).expect_err(line);
                assert!(error.contains("HIVE_CURSOR_ERROR: column "), "{line}: {error}");
            }
            assert_eq!(rows(line, options(["", "true", ""])).expect(line), [expected], "{line}");
        }
    }

    #[test]
    fn numbers_are_the_nearest_to_their_texts() {
        for text in ["0.1", "-0.0", "5e-324", "1.7976931348623157e308", "9007199254740993", "2.2250738585072011e-308"] {
            let document = Document { fold_case: true, depth: 0 }.value(&format!("[{text}]")).expect(text);
            assert_eq!(document[0].as_f64(), text.parse().ok(), "{text}");
        }
        let mut state = 7u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let exact = f64::from_bits(state);
            if exact.is_finite() {
                let text = format!("{exact:e}");
                assert_eq!(number(&text).and_then(|value| value.as_f64()), Some(exact), "{text}");
            }
        }
        let deep = format!("{{\"n\": 1, \"x\": {}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        for line in [r#"{"n": 1e999}"#, r#"{"n": 01}"#, r#"{"n": -}"#, &deep] {
            assert_eq!(rows(line, options(["true", "", ""])).expect(line), [" |  |  | "], "{line}");
        }
    }

    #[test]
    fn names_are_folded_unless_their_case_counts() {
        let text = r#"{"N": 1, "metrics": {"Temp": 2}, "R": {"K": 3}}"#;
        for fold in ["", "true"] {
            assert_eq!(rows(text, options(["", "", fold])).unwrap(), ["1 | {temp: 2.0} |  | {k: 3}"]);
        }
        assert_eq!(rows(text, options(["", "", "FALSE"])).unwrap(), [" | {Temp: 2.0} |  | "]);
        for text in [r#"{"n": 1, "N": 2}"#, r#"{"n": 1, "metrics": {"t": 1, "T": 2}}"#] {
            let error = rows(text, options(["", "", ""])).expect_err(text);
            assert!(error.contains("Duplicate key"), "{error}");
        }
        let apart = rows(r#"{"n": 1, "N": 2, "metrics": {"t": 1, "T": 2}}"#, options(["", "", "false"])).unwrap();
        assert_eq!(apart, ["1 | {t: 1.0, T: 2.0} |  | "]);
    }

    #[test]
    fn other_parameters_and_other_values_are_refused() {
        for (name, value) in
            [("dots.in.keys", "true"), ("mapping.a", "b"), ("ignore.malformed.json", "yes"), ("case.insensitive", "")]
        {
            let parameters = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(JsonOptions::parse(&parameters).is_err(), "{name}={value}");
        }
        let parameters = [("dots.in.keys", "FALSE"), ("serialization.format", "1"), ("paths", "n,metrics")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(JsonOptions::parse(&parameters).is_ok());
    }
}
