//! Results of statements in the forms that some actions need.

use serde_json::{Map, Value as Json, json};

use super::json::{parse, to_text};
use super::value::Value;

/// The members of an object as attributes of DynamoDB, as they stand on the wire; `None` when the result is no object.
pub fn attributes(result: &[u8]) -> Option<Json> {
    match parse(result)? {
        Value::Object(members) => Some(Json::Object(wire_members(&members))),
        _ => None,
    }
}

fn wire_members(members: &[(std::borrow::Cow<'_, str>, Value<'_>)]) -> Map<String, Json> {
    members.iter().map(|(name, value)| (name.to_string(), wire(value))).collect()
}

fn wire(value: &Value<'_>) -> Json {
    match value {
        Value::Undefined | Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::WideNumber(text) => json!({ "N": text }),
        Value::Text(text) => json!({ "S": text }),
        Value::Array(items) => json!({ "L": items.iter().map(wire).collect::<Vec<_>>() }),
        Value::Object(members) => json!({ "M": wire_members(members) }),
    }
}

/// The elements of an array, each as JSON; `None` when the result is no array.
pub fn elements(result: &[u8]) -> Option<Vec<String>> {
    match parse(result)? {
        Value::Array(items) => Some(items.iter().map(to_text).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_attributes_and_records() {
        let result =
            br#"{"s":"x","n":10.50,"w":12345678901234567890123456789012345,"b":true,"z":null,"l":[1],"m":{"a":"b"}}"#;
        let expected = json!({ "s": { "S": "x" }, "n": { "N": "10.5" }, "w": { "N": "12345678901234567890123456789012345" },
            "b": { "BOOL": true }, "z": { "NULL": true }, "l": { "L": [{ "N": "1" }] }, "m": { "M": { "a": { "S": "b" } } } });
        assert_eq!(attributes(result), Some(expected));
        assert_eq!(attributes(b"[1]"), None);
        assert_eq!(elements(br#"[{"a": 1}, "b", 2.0]"#), Some(vec![r#"{"a":1}"#.into(), r#""b""#.into(), "2".into()]));
        assert_eq!(elements(b"{}"), None);
    }
}
