//! Attribute values: their ten types on the wire, their validation, and their size.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use super::number::Number;
use super::validation;
use crate::core::AwsError;

/// An item or a key: attribute values by name.
pub(super) type Attributes = BTreeMap<String, AttributeValue>;

/// A valid attribute value. Serializes as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum AttributeValue {
    S(String),
    #[serde(serialize_with = "number")]
    N(Number),
    #[serde(serialize_with = "blob")]
    B(Vec<u8>),
    #[serde(rename = "SS")]
    StringSet(BTreeSet<String>),
    #[serde(rename = "NS", serialize_with = "numbers")]
    NumberSet(BTreeSet<Number>),
    #[serde(rename = "BS", serialize_with = "blobs")]
    BinarySet(BTreeSet<Vec<u8>>),
    M(Attributes),
    L(Vec<AttributeValue>),
    #[serde(rename = "NULL")]
    Null(bool),
    #[serde(rename = "BOOL")]
    Bool(bool),
}

fn number<S: Serializer>(number: &Number, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(number.as_str())
}

fn numbers<S: Serializer>(numbers: &BTreeSet<Number>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(numbers.iter().map(Number::as_str))
}

fn blob<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn blobs<S: Serializer>(blobs: &BTreeSet<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(blobs.iter().map(|bytes| STANDARD.encode(bytes)))
}

/// An attribute value as it arrives: any number of types, none of them checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, reason = "the wire's names")]
pub(super) struct WireValue {
    S: Option<String>,
    N: Option<String>,
    B: Option<String>,
    SS: Option<Vec<String>>,
    NS: Option<Vec<String>>,
    BS: Option<Vec<String>>,
    M: Option<BTreeMap<String, WireValue>>,
    L: Option<Vec<WireValue>>,
    NULL: Option<bool>,
    BOOL: Option<bool>,
}

/// Attribute values as they arrive.
pub(super) type WireAttributes = BTreeMap<String, WireValue>;

/// Checks the attributes of an item or a key. `nesting_max` is the deepest nesting that is kept.
pub(super) fn check(attributes: WireAttributes, nesting_max: u64) -> Result<Attributes, AwsError> {
    let mut checked = Attributes::new();
    for (name, value) in attributes {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(validation("One or more parameter values were invalid: Attribute name is empty or too long"));
        }
        checked.insert(name, value.check(nesting_max)?);
    }
    Ok(checked)
}

/// Most bytes of an attribute's name.
const NAME_BYTES_MAX: usize = 65_535;

impl WireValue {
    fn check(self, nesting_left: u64) -> Result<AttributeValue, AwsError> {
        let types = [
            self.S.is_some(),
            self.N.is_some(),
            self.B.is_some(),
            self.SS.is_some(),
            self.NS.is_some(),
            self.BS.is_some(),
            self.M.is_some(),
            self.L.is_some(),
            self.NULL.is_some(),
            self.BOOL.is_some(),
        ];
        match types.iter().filter(|set| **set).count() {
            0 => {
                return Err(validation(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                ));
            }
            1 => {}
            _ => {
                let message = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
                return Err(validation(message));
            }
        }
        if let Some(text) = self.S {
            return Ok(AttributeValue::S(text));
        }
        if let Some(text) = self.N {
            return parse_number(&text).map(AttributeValue::N);
        }
        if let Some(text) = self.B {
            return parse_blob(&text).map(AttributeValue::B);
        }
        if let Some(texts) = self.SS {
            return set("string", texts, Ok).map(AttributeValue::StringSet);
        }
        if let Some(texts) = self.NS {
            return set("number", texts, |text| parse_number(&text)).map(AttributeValue::NumberSet);
        }
        if let Some(texts) = self.BS {
            return set("binary", texts, |text| parse_blob(&text)).map(AttributeValue::BinarySet);
        }
        if let Some(null) = self.NULL {
            let message =
                "One or more parameter values were invalid: Null attribute value types must have the value of true";
            return if null { Ok(AttributeValue::Null(true)) } else { Err(validation(message)) };
        }
        if let Some(value) = self.BOOL {
            return Ok(AttributeValue::Bool(value));
        }
        let Some(nesting_left) = nesting_left.checked_sub(1) else {
            return Err(validation("Nesting Levels have exceeded supported limits"));
        };
        match (self.M, self.L) {
            (Some(map), _) => check(map, nesting_left).map(AttributeValue::M),
            (None, list) => {
                let values = list.unwrap_or_default().into_iter().map(|value| value.check(nesting_left));
                values.collect::<Result<_, _>>().map(AttributeValue::L)
            }
        }
    }
}

fn parse_number(text: &str) -> Result<Number, AwsError> {
    Number::parse(text).map_err(validation)
}

fn parse_blob(text: &str) -> Result<Vec<u8>, AwsError> {
    STANDARD.decode(text).map_err(|_| AwsError::serialization("Base64 encoded length is unexpected or invalid"))
}

/// A set: neither empty nor with an element twice.
fn set<T: Ord>(
    kind: &str,
    texts: Vec<String>,
    parse: impl Fn(String) -> Result<T, AwsError>,
) -> Result<BTreeSet<T>, AwsError> {
    let invalid = "One or more parameter values were invalid:";
    if texts.is_empty() {
        return Err(validation(format!("{invalid} An {kind} set  may not be empty")));
    }
    let (count, all) = (texts.len(), texts.join(", "));
    let set: BTreeSet<T> = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
    if set.len() < count {
        return Err(validation(format!("{invalid} Input collection [{all}] contains duplicates.")));
    }
    Ok(set)
}

impl AttributeValue {
    /// The type's name on the wire.
    pub fn type_name(&self) -> &'static str {
        match self {
            AttributeValue::S(_) => "S",
            AttributeValue::N(_) => "N",
            AttributeValue::B(_) => "B",
            AttributeValue::StringSet(_) => "SS",
            AttributeValue::NumberSet(_) => "NS",
            AttributeValue::BinarySet(_) => "BS",
            AttributeValue::M(_) => "M",
            AttributeValue::L(_) => "L",
            AttributeValue::Null(_) => "NULL",
            AttributeValue::Bool(_) => "BOOL",
        }
    }

    /// Bytes that count for an item's size (developer guide, "DynamoDB item sizes and formats"): a list and a map take 3
    /// bytes, and 1 for each element.
    pub fn size_bytes(&self) -> usize {
        match self {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.size_bytes(),
            AttributeValue::B(bytes) => bytes.len(),
            AttributeValue::StringSet(texts) => texts.iter().map(String::len).sum(),
            AttributeValue::NumberSet(numbers) => numbers.iter().map(Number::size_bytes).sum(),
            AttributeValue::BinarySet(blobs) => blobs.iter().map(Vec::len).sum(),
            AttributeValue::M(map) => 3 + map.len() + size_bytes(map),
            AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value.size_bytes()).sum::<usize>(),
            AttributeValue::Null(_) | AttributeValue::Bool(_) => 1,
        }
    }
}

/// Bytes of names and values.
pub(super) fn size_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.size_bytes()).sum()
}

/// Attributes as JSON.
pub(super) fn to_json(attributes: &Attributes) -> String {
    serde_json::to_string(attributes).expect("attribute values are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<Attributes, AwsError> {
        check(serde_json::from_str(json).unwrap(), 32)
    }

    #[test]
    fn every_type_comes_back_as_it_was_sent() {
        for json in [
            r#"{"a":{"S":""}}"#,
            r#"{"a":{"S":"é\"\n"}}"#,
            r#"{"a":{"N":"1.5"}}"#,
            r#"{"a":{"B":"AAEC"}}"#,
            r#"{"a":{"SS":["x","y"]}}"#,
            r#"{"a":{"NS":["1","2"]}}"#,
            r#"{"a":{"BS":["AA==","AQ=="]}}"#,
            r#"{"a":{"M":{}},"b":{"L":[]}}"#,
            r#"{"a":{"M":{"k":{"L":[{"S":"x"},{"NULL":true}]}}}}"#,
            r#"{"a":{"BOOL":false},"b":{"BOOL":true}}"#,
        ] {
            assert_eq!(to_json(&checked(json).unwrap()), json);
        }
    }

    #[test]
    fn invalid_values_are_refused() {
        let deep =
            |levels: usize| format!(r#"{{"a":{}{{"S":"x"}}{}}}"#, r#"{"L":["#.repeat(levels), "]}".repeat(levels));
        let too_deep = deep(33);
        for (json, code, text) in [
            (r#"{"a":{}}"#, "ValidationException", "is empty"),
            (r#"{"a":{"S":"x","N":"1"}}"#, "ValidationException", "more than one datatypes"),
            (r#"{"a":{"N":"x"}}"#, "ValidationException", "numeric value: x"),
            (r#"{"a":{"B":"not base64!"}}"#, "SerializationException", "Base64"),
            (r#"{"a":{"SS":[]}}"#, "ValidationException", "may not be empty"),
            (r#"{"a":{"SS":["x","x"]}}"#, "ValidationException", "[x, x] contains duplicates"),
            (r#"{"a":{"NS":["1","1.0"]}}"#, "ValidationException", "contains duplicates"),
            (r#"{"a":{"NULL":false}}"#, "ValidationException", "value of true"),
            (r#"{"":{"S":"x"}}"#, "ValidationException", "Attribute name"),
            (r#"{"a":{"M":{"b":{}}}}"#, "ValidationException", "is empty"),
            (&too_deep, "ValidationException", "Nesting Levels"),
        ] {
            let error = checked(json).expect_err(json);
            assert_eq!(error.code, code, "{json}");
            assert!(error.message.contains(text), "{json}: {error}");
        }
        assert!(checked(&deep(32)).is_ok());
    }

    #[test]
    fn sizes_follow_the_guide() {
        for (json, expected) in [
            (r#"{"ab":{"S":"é"}}"#, 4),
            (r#"{"a":{"N":"123"}}"#, 4),
            (r#"{"a":{"B":"AAEC"}}"#, 4),
            (r#"{"a":{"BOOL":true},"b":{"NULL":true}}"#, 4),
            (r#"{"a":{"SS":["x","yz"]}}"#, 4),
            (r#"{"a":{"L":[]}}"#, 4),
            (r#"{"a":{"L":[{"S":"x"},{"S":"y"}]}}"#, 8),
            (r#"{"a":{"M":{"k":{"S":"xy"}}}}"#, 8),
        ] {
            assert_eq!(size_bytes(&checked(json).unwrap()), expected, "{json}");
        }
    }
}
