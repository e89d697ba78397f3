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
    /// A number of the payload beyond 34 digits or out of range. It passes through as written; operations on it are undefined.
    WideNumber(Cow<'m, str>),
    /// A text.
    Text(Cow<'m, str>),
    /// An array.
    Array(Vec<Value<'m>>),
    /// An object: members as written; a lookup of a repeated name finds the last.
    Object(Vec<(Cow<'m, str>, Value<'m>)>),
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<Number> for Value<'_> {
    fn from(value: Number) -> Self {
        Value::Number(value)
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(Cow::Owned(value))
    }
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

    /// Conversion to Int of an argument, as a position or a count: rounded down, and cut to the range of `i64`.
    pub fn to_index(&self) -> Option<i64> {
        self.to_number().map(Number::index)
    }

    /// A text.
    pub fn text(text: impl Into<Cow<'m, str>>) -> Value<'m> {
        Value::Text(text.into())
    }

    /// The value of what can be undefined.
    pub fn or_undefined(value: Option<impl Into<Value<'m>>>) -> Value<'m> {
        value.map_or(Value::Undefined, Into::into)
    }

    /// How much work a copy of the value is: its parts, and a part for each 64 bytes of text.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Value::Text(text) => 1 + text.len() as u64 / 64,
            Value::Array(items) => 1 + items.iter().map(Value::weight).sum::<u64>(),
            Value::Object(members) => 1 + members.iter().map(|(_, value)| value.weight()).sum::<u64>(),
            _ => 1,
        }
    }

    /// The value without borrows.
    pub fn into_owned(self) -> Value<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Value::Undefined => Value::Undefined,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Number(number) => Value::Number(number),
            Value::WideNumber(text) => Value::WideNumber(owned(text)),
            Value::Text(text) => Value::Text(owned(text)),
            Value::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Value::Object(members) => {
                Value::Object(members.into_iter().map(|(name, value)| (owned(name), value.into_owned())).collect())
            }
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
            Value::Array(_) | Value::Object(_) => Some(Cow::Owned(json::to_text(self))),
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
