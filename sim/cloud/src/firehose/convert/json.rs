//! JSON records into columns, by the rules of the OpenX deserializer: a number in a string is a number, whatever is not
//! a string becomes text in a string column, a value that is no array is an array of one, an array fills a struct by
//! position. The Hive deserializer does nothing of this, but that scalars become text in a string column (unverified).
//! Numbers that do not fit their column, and keys that come twice, fail the record (unverified).

use std::fmt;
use std::str::FromStr;

use serde::Deserialize as _;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::super::config::Reading;
use super::columns::{Column, Members, Values};
use super::keys::{MapKey, MemberKey, folded_keys, has_duplicates};
use super::scalars;

/// A record that did not convert.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// AWS's code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

const PARSE_ERROR: &str = "DataFormatConversion.ParseError";
const MALFORMED_DATA: &str = "DataFormatConversion.MalformedData";

/// Adds the documents of one record: usually one, but several may stand one after the other. When one fails, none is
/// added.
pub(super) fn append(record: &[u8], members: &mut Members, reading: &Reading) -> Result<(), Malformed> {
    let rows = members.rows;
    let result = documents(record, members, reading);
    if result.is_err() {
        members.truncate(rows);
    }
    result
}

fn documents(record: &[u8], members: &mut Members, reading: &Reading) -> Result<(), Malformed> {
    let text = std::str::from_utf8(record).map_err(|error| Malformed {
        code: PARSE_ERROR,
        message: format!("Encountered malformed JSON. Invalid UTF-8 at byte {}", error.valid_up_to()),
    })?;
    if text.trim_ascii().is_empty() {
        let message = "The record was empty or contained only whitespace.".to_owned();
        return Err(Malformed { code: MALFORMED_DATA, message });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    loop {
        json_object(&mut json, members, reading).map_err(|error| explain(&error))?;
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

fn json_object<'de>(
    json: &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
    members: &mut Members,
    reading: &Reading,
) -> Result<(), serde_json::Error> {
    json.deserialize_map(Object { members, reading })
}

fn explain(error: &serde_json::Error) -> Malformed {
    if error.is_data() {
        return Malformed { code: MALFORMED_DATA, message: format!("Data does not match the schema. {error}") };
    }
    Malformed { code: PARSE_ERROR, message: format!("Encountered malformed JSON. {error}") }
}

/// Fills one row of `members` from an object, or from an array by position.
struct Object<'c> {
    members: &'c mut Members,
    reading: &'c Reading,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Object { members, reading } = self;
        let row = members.rows;
        let mut expected = 0;
        loop {
            let key = MemberKey { names: &members.names, expected, lower_case: reading.lower_case };
            match access.next_key_seed(key)? {
                None => break,
                Some(None) => {
                    access.next_value::<IgnoredAny>()?;
                }
                Some(Some(index)) => {
                    let column = &mut members.columns[index];
                    if column.len() != row {
                        return Err(A::Error::custom(format!("Duplicate key {:?}", members.names[index])));
                    }
                    access.next_value_seed(Value { column, reading })?;
                    expected = index + 1;
                }
            }
        }
        members.end_row();
        Ok(())
    }
}

/// Adds one value to a column.
struct Value<'c> {
    column: &'c mut Column,
    reading: &'c Reading,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match &mut self.column.values {
            // `serde_json` rounds numbers to within one unit in the last place; from the text they come out exactly.
            Values::Float(values) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                values.extend(number(raw, f32::is_finite, self.reading)?);
                self.column.end_number(raw);
            }
            Values::Double(values) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                values.extend(number(raw, f64::is_finite, self.reading)?);
                self.column.end_number(raw);
            }
            Values::Timestamp(_) | Values::Date(_) | Values::Decimal { .. } => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                scalars::append(self.column, raw, self.reading).map_err(D::Error::custom)?;
            }
            Values::Array { .. } => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                return self.array(raw).map_err(D::Error::custom);
            }
            _ => return deserializer.deserialize_any(self),
        }
        Ok(())
    }
}

impl Column {
    fn end_number(&mut self, raw: &str) {
        if raw == "null" { self.append_null() } else { self.append_valid() }
    }
}

/// The number that a JSON value stands for; nothing when it is null.
fn number<T: FromStr + Copy, E: Error>(raw: &str, is_finite: fn(T) -> bool, reading: &Reading) -> Result<Option<T>, E> {
    let text = match raw.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'"') if !reading.is_hive => raw.trim_matches('"').trim(),
        Some(b'-' | b'0'..=b'9') => raw,
        _ => return Err(E::custom(format!("Not a number: {raw}"))),
    };
    let digits_first = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<T>() {
        Ok(value) if digits_first && is_finite(value) => Ok(Some(value)),
        _ => Err(E::custom(format!("For input string: \"{text}\""))),
    }
}

impl Value<'_> {
    fn array(self, raw: &str) -> Result<(), serde_json::Error> {
        let Value { column, reading } = self;
        let Values::Array { element, .. } = &mut column.values else { unreachable!("called for arrays only") };
        let mut json = serde_json::Deserializer::from_str(raw);
        match raw.as_bytes().first() {
            Some(b'n') => {
                column.append_null();
                return Ok(());
            }
            Some(b'[') => json.deserialize_seq(Elements { element, reading })?,
            _ if reading.is_hive => return Err(serde_json::Error::custom("an array is expected")),
            _ => Value { column: element, reading }.deserialize(&mut json)?,
        }
        column.end_offsets();
        Ok(())
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        fn push<T: TryFrom<i128>, E: Error>(values: &mut Vec<T>, value: i128) -> Result<(), E> {
            let value = T::try_from(value).map_err(|_| E::custom(format!("{value} is out of range")))?;
            values.push(value);
            Ok(())
        }
        match &mut self.column.values {
            Values::TinyInt(values) => push(values, value)?,
            Values::SmallInt(values) => push(values, value)?,
            Values::Int(values) => push(values, value)?,
            Values::BigInt(values) => push(values, value)?,
            Values::String(text) => text.push(&value.to_string()),
            Values::Limited { text, most } => text.push_cut(&value.to_string(), *most),
            _ => return Err(E::custom(format!("unexpected number {value}"))),
        }
        self.column.append_valid();
        Ok(())
    }

    fn text<E: Error>(self, json: &Json) -> Result<(), E> {
        let is_scalar = !json.is_object() && !json.is_array();
        match &mut self.column.values {
            _ if self.reading.is_hive && !is_scalar => return Err(E::custom(format!("unexpected {json}"))),
            Values::String(text) => text.push(&json.to_string()),
            Values::Limited { text, most } => text.push_cut(&json.to_string(), *most),
            _ => return Err(E::custom(format!("unexpected {json}"))),
        }
        self.column.append_valid();
        Ok(())
    }
}

/// The elements of an array.
struct Elements<'c> {
    element: &'c mut Column,
    reading: &'c Reading,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let reading = self.reading;
        while access.next_element_seed(Value { column: &mut *self.element, reading })?.is_some() {}
        Ok(())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.column.append_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match &mut self.column.values {
            Values::Boolean(values) => values.append(value),
            Values::String(text) => text.push(if value { "true" } else { "false" }),
            Values::Limited { text, most } => text.push_cut(if value { "true" } else { "false" }, *most),
            _ => return Err(E::custom(format!("unexpected {value}"))),
        }
        self.column.append_valid();
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.text(&Json::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match &mut self.column.values {
            Values::String(text) => text.push(value),
            Values::Limited { text, most } => text.push_cut(value, *most),
            // What a text in a binary column stands for is unverified: its bytes.
            Values::Binary(text) => text.push(value),
            _ if self.reading.is_hive => return Err(E::custom(format!("unexpected text {value:?}"))),
            Values::Boolean(values) if value.eq_ignore_ascii_case("true") => values.append(true),
            Values::Boolean(values) if value.eq_ignore_ascii_case("false") => values.append(false),
            Values::TinyInt(_) | Values::SmallInt(_) | Values::Int(_) | Values::BigInt(_) => {
                let parsed = value.trim().parse().map_err(|_| E::custom(format!("For input string: {value:?}")))?;
                return self.integer(parsed);
            }
            _ => return Err(E::custom(format!("For input string: {value:?}"))),
        }
        self.column.append_valid();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let reading = self.reading;
        let members = match &mut self.column.values {
            Values::Struct(members) if !reading.is_hive => members,
            _ => {
                let json = Json::deserialize(SeqAccessDeserializer::new(access))?;
                return self.text(&folded_keys(json, reading.lower_case));
            }
        };
        for column in &mut members.columns {
            if access.next_element_seed(Value { column, reading })?.is_none() {
                break;
            }
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        members.end_row();
        self.column.append_valid();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let reading = self.reading;
        let lower_case = reading.lower_case;
        match &mut self.column.values {
            Values::Map { offsets, keys, values, .. } => {
                while access.next_key_seed(MapKey { keys, lower_case })?.is_some() {
                    access.next_value_seed(Value { column: &mut *values, reading })?;
                }
                let first = usize::try_from(offsets[offsets.len() - 1]).expect("offsets are counted from 0");
                if has_duplicates(keys, first) {
                    return Err(A::Error::custom("Duplicate key in a map"));
                }
                self.column.end_offsets();
            }
            Values::Struct(members) => {
                Object { members, reading }.visit_map(access)?;
                self.column.append_valid();
            }
            _ => {
                let json = Json::deserialize(MapAccessDeserializer::new(access))?;
                self.text(&folded_keys(json, lower_case))?;
            }
        }
        Ok(())
    }
}
