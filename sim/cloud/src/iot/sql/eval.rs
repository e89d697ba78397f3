//! Evaluation of expressions for one message.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use super::json;
use super::number::Number;
use super::parse::{Expr, Operator};
use super::value::Value;
use crate::iot::message::Posted;
use world::time::Time;

/// A topic cut at its slashes. A valid topic has at most eight segments.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'m> {
    parts: [&'m str; 8],
    count: usize,
}

impl<'m> Segments<'m> {
    /// Cuts a topic; `None` when it has more than seven slashes.
    pub fn of(topic: &'m str) -> Option<Self> {
        let mut segments = Segments { parts: [""; 8], count: 0 };
        for part in topic.split('/') {
            *segments.parts.get_mut(segments.count)? = part;
            segments.count += 1;
        }
        Some(segments)
    }

    /// The segments.
    pub fn as_slice(&self) -> &[&'m str] {
        &self.parts[..self.count]
    }
}

/// A message as rules see it.
pub struct Message<'m> {
    /// The message of the broker.
    pub posted: &'m Posted,
    /// Topic as the rule sees it: without the prefix of Basic Ingest.
    pub topic: &'m str,
    /// The topic's segments.
    pub segments: Segments<'m>,
    /// Client id of the publisher: `n/a` when it did not come over MQTT.
    pub client: &'m str,
    /// When the rules engine handles it.
    pub now: Time,
    /// Payload.
    pub payload: &'m [u8],
    parsed: OnceCell<Option<Value<'m>>>,
}

impl<'m> Message<'m> {
    /// A message on `topic`, which has these segments.
    pub fn new(posted: &'m Posted, topic: &'m str, segments: Segments<'m>, now: Time) -> Self {
        let client = posted.client.as_deref().unwrap_or("n/a");
        Message { posted, topic, segments, client, now, payload: &posted.payload, parsed: OnceCell::new() }
    }

    /// The payload as JSON, read once, when first asked for; `None` when it is not JSON.
    pub(super) fn json(&self) -> Option<&Value<'m>> {
        self.parsed.get_or_init(|| json::parse(self.payload)).as_ref()
    }
}

/// Evaluates an expression. `uuid` makes the values of `newuuid()`.
pub(super) fn evaluate<'v, 'm>(
    expr: &'v Expr,
    message: &'v Message<'m>,
    uuid: &mut dyn FnMut() -> String,
) -> Value<'v> {
    match expr {
        Expr::Null => Value::Null,
        Expr::Bool(value) => Value::Bool(*value),
        Expr::Number(number) => Value::Number(*number),
        Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
        Expr::Path(path) => {
            let root = message.json().unwrap_or(&Value::Undefined);
            path.iter().fold(root, |value, name| value.member(name)).clone()
        }
        Expr::Topic => Value::Text(Cow::Borrowed(message.topic)),
        Expr::TopicSegment(n) => {
            message.segments.as_slice().get(n - 1).map_or(Value::Undefined, |part| Value::Text(Cow::Borrowed(part)))
        }
        Expr::Timestamp => Value::Number(Number::from(message.now.unix_millis())),
        Expr::ClientId => Value::Text(Cow::Borrowed(message.client)),
        Expr::NewUuid => Value::Text(Cow::Owned(uuid())),
        Expr::Negate(inner) => {
            let number = evaluate(inner, message, uuid).to_number();
            number.map_or(Value::Undefined, |number| Value::Number(number.negate()))
        }
        Expr::Not(inner) => {
            evaluate(inner, message, uuid).to_bool().map_or(Value::Undefined, |value| Value::Bool(!value))
        }
        Expr::Binary(operator, left, right) => {
            let left = evaluate(left, message, uuid);
            let right = evaluate(right, message, uuid);
            binary(*operator, &left, &right)
        }
    }
}

fn binary(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    let boolean = |value: Option<bool>| value.map_or(Value::Undefined, Value::Bool);
    let ordered = |holds: fn(Ordering) -> bool| boolean(left.order(right).map(holds));
    let arithmetic = |apply: fn(Number, Number) -> Option<Number>| {
        let numbers = left.to_number().zip(right.to_number());
        numbers.and_then(|(a, b)| apply(a, b)).map_or(Value::Undefined, Value::Number)
    };
    let logical = |apply: fn(bool, bool) -> bool| {
        boolean(left.to_bool().zip(right.to_bool()).map(|(left, right)| apply(left, right)))
    };
    match operator {
        Operator::Or => logical(|a, b| a || b),
        Operator::And => logical(|a, b| a && b),
        Operator::Equal => boolean(left.equals(right)),
        Operator::NotEqual => boolean(left.equals(right).map(|equal| !equal)),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::Add if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            match left.to_text().zip(right.to_text()) {
                Some((left, right)) => Value::Text(Cow::Owned(format!("{left}{right}"))),
                None => Value::Undefined,
            }
        }
        Operator::Add => arithmetic(Number::add),
        Operator::Subtract => arithmetic(Number::subtract),
        Operator::Multiply => arithmetic(Number::multiply),
        Operator::Divide => arithmetic(Number::divide),
        Operator::Remainder => arithmetic(Number::remainder),
    }
}
