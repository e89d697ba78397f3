//! Looking for a reading in JSON, without building maps.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Shorter texts are no records in base64.
const ENCODED_MIN: usize = 16;

/// Names of the member that holds a record in base64.
const ENCODED: [&str; 2] = ["data", "Data"];

/// What an object says of a reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Object<'v> {
    /// `device_id` or `device`.
    pub device: Option<&'v str>,
    /// `seq`.
    pub seq: Option<u64>,
}

/// A value of JSON, as far as it matters.
enum Value {
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
    Text(String),
    Number(u64),
    Other,
}

/// Whether any object in these bytes is wanted: in JSON values one behind the other, and in those that they hold in base64.
/// What is no JSON holds none.
pub(super) fn any(bytes: &[u8], wanted: &mut dyn FnMut(Object<'_>) -> bool) -> bool {
    let values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    values.map_while(Result::ok).any(|value| value.any(wanted))
}

impl Value {
    fn any(&self, wanted: &mut dyn FnMut(Object<'_>) -> bool) -> bool {
        match self {
            Value::Object(members) => {
                let mut object = Object::default();
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("device_id" | "device", Value::Text(text)) => object.device = Some(text),
                        ("seq", Value::Number(number)) => object.seq = Some(*number),
                        _ => {}
                    }
                }
                wanted(object) || members.iter().any(|(name, value)| value.any_in_member(name, wanted))
            }
            Value::Array(values) => values.iter().any(|value| value.any(wanted)),
            _ => false,
        }
    }

    fn any_in_member(&self, name: &str, wanted: &mut dyn FnMut(Object<'_>) -> bool) -> bool {
        match self {
            Value::Text(text) if ENCODED.contains(&name) && text.len() >= ENCODED_MIN => {
                STANDARD.decode(text).is_ok_and(|decoded| any(&decoded, wanted))
            }
            other => other.any(wanted),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Value::Array(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Value::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A text in base64.
    pub fn base64(text: &str) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn what_is_no_json_ends_the_search_and_what_stood_before_counts() {
        let count = |text: &str| {
            let mut seen = 0;
            any(text.as_bytes(), &mut |object| {
                seen += usize::from(object.seq.is_some());
                false
            });
            seen
        };
        assert_eq!(count(r#"{"seq":1} {"seq":2,"a":[{"seq":3,"b":null,"c":-1,"d":1.5,"e":true}]} x {"seq":4}"#), 3);
        assert_eq!(count("PAR1"), 0);
    }
}
