//! Values of the rules engine and the conversions between their types.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::json;
use super::number::Number;

/// A value. `Undefined` is what a missing member, a failed conversion or an impossible operation gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'m> {
    /// No value. Left out of the result.
    Undefined,
    /// JSON's null.
    Null,
    /// A Boolean.
    Bool(bool),
    /// A number that the engine computes with: Int or Decimal.
    Number(Number),
    /// A number of the payload beyond 34 digits. It passes through as written; operations on it are undefined.
    WideNumber(&'m str),
    /// A text.
    Text(Cow<'m, str>),
    /// An array.
    Array(Vec<Value<'m>>),
    /// An object: members as written; a lookup of a repeated name finds the last.
    Object(Vec<(Cow<'m, str>, Value<'m>)>),
}

impl<'m> Value<'m> {
    /// The member of an object; `Undefined` when there is none.
    pub fn member<'v>(&'v self, name: &str) -> &'v Value<'m> {
        match self {
            Value::Object(members) => {
                members.iter().rev().find(|(key, _)| key == name).map_or(&Value::Undefined, |(_, value)| value)
            }
            _ => &Value::Undefined,
        }
    }

    /// Conversion to Decimal. `None` when it is not possible.
    pub fn to_number(&self) -> Option<Number> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) if !text.contains('+') => Number::parse(text),
            _ => None,
        }
    }

    /// Conversion to Boolean. `None` when it is not possible.
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// Conversion to String. `None` for Null and Undefined.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Undefined | Value::Null => None,
            Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::WideNumber(text) => Some(Cow::Borrowed(text)),
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => {
                let mut out = Vec::new();
                json::write(self, &mut out);
                Some(Cow::Owned(String::from_utf8(out).expect("the writer copies text and writes ASCII")))
            }
        }
    }

    /// `=`: values of different types are unequal; `None` when either is undefined.
    pub fn equals(&self, other: &Value<'_>) -> Option<bool> {
        match (self, other) {
            (Value::Undefined, _) | (_, Value::Undefined) => None,
            (a, b) => Some(same(a, b)),
        }
    }

    /// `<` and its kin compare as Decimals; `None` when either is none.
    pub fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        Some(self.to_number()?.compare(other.to_number()?))
    }
}

fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::WideNumber(a), Value::WideNumber(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(left), Value::Object(right)) => {
            let covers = |x: &Value<'_>, y: &Value<'_>, names: &[(Cow<'_, str>, Value<'_>)]| {
                names.iter().all(|(name, _)| same(x.member(name), y.member(name)))
            };
            covers(a, b, left) && covers(a, b, right)
        }
        _ => false,
    }
}
