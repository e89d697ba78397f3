//! Evaluation of expressions for one message.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::expr::{Case, Expr, MqttProperty, Operator, Query, RegexpUse, Select, ThingShadow, Type};
use super::message::{Host, Message};
use super::number::Number;
use super::time::{TimePattern, Zone};
use super::value::Value;
use super::{function, json};

/// Steps that one statement may take for one message: parts of values that are looked at or copied. No rule of use comes
/// near; a query in a query of a large array would go far beyond.
const STEPS_MAX: u64 = 2_000_000;
/// Longest text that a function makes, in bytes: assumed, twice what a message can hold.
pub(super) const TEXT_MAX: usize = 256 << 10;

/// Why a statement ends without a result: its rule fails, and the error action runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// The evaluation of a statement and of its rule's templates for one message.
pub struct Evaluation<'v, 'm> {
    /// The message.
    pub message: &'v Message<'m>,
    /// Values of the variables of `SET`.
    pub(super) variables: Vec<Value<'v>>,
    pub(super) steps: u64,
    pub(super) failure: Option<Failure>,
}

impl<'v, 'm> Evaluation<'v, 'm> {
    /// An evaluation for a message.
    pub fn new(message: &'v Message<'m>) -> Self {
        Evaluation { message, variables: Vec::new(), steps: 0, failure: None }
    }

    /// An evaluation that goes on with the variables of an earlier one.
    pub fn with_variables(message: &'v Message<'m>, variables: Vec<Value<'v>>) -> Self {
        Evaluation { message, variables, steps: 0, failure: None }
    }

    /// Values of the variables, to keep.
    pub fn variables(&self) -> Vec<Value<'static>> {
        self.variables.iter().cloned().map(Value::into_owned).collect()
    }

    /// What went wrong since the last look.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    pub(super) fn fail(&mut self, why: impl Into<String>) -> Value<'v> {
        self.failure.get_or_insert_with(|| Failure(why.into()));
        Value::Undefined
    }

    /// Counts steps; answers whether there are any left.
    pub(super) fn step(&mut self, count: u64) -> bool {
        self.steps = self.steps.saturating_add(count);
        if self.steps > STEPS_MAX {
            self.fail("the statement takes too many steps for this message");
            return false;
        }
        true
    }

    /// A copy of a value.
    fn copy(&mut self, value: &Value<'v>) -> Value<'v> {
        let weight = if matches!(value, Value::Array(_) | Value::Object(_)) { value.weight() } else { 1 };
        if self.step(weight) { value.clone() } else { Value::Undefined }
    }
}

/// Where names are looked up.
#[derive(Clone, Copy)]
pub(super) enum Scope<'r, 'v> {
    /// In the payload.
    Payload,
    /// In an element that a nested query looks at.
    Element(&'r Value<'v>),
}

/// An evaluation together with what it asks.
pub(super) struct Asking<'a, 'v, 'm> {
    pub(super) evaluation: &'a mut Evaluation<'v, 'm>,
    pub(super) host: &'a mut dyn Host,
}

fn member<'r, 'v>(value: &'r Value<'v>, path: &[Box<str>]) -> &'r Value<'v> {
    path.iter().fold(value, |value, name| value.member(name))
}

impl<'v> Asking<'_, 'v, '_> {
    /// Evaluates an expression. After a failure nothing is asked any more.
    pub(super) fn evaluate(&mut self, expr: &'v Expr, scope: Scope<'_, 'v>) -> Value<'v> {
        if self.evaluation.failure.is_some() || !self.evaluation.step(1) {
            return Value::Undefined;
        }
        let message = self.evaluation.message;
        match expr {
            Expr::Undefined => Value::Undefined,
            Expr::Null => Value::Null,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expr::Path(path) => self.look_up(path, scope),
            Expr::Whole => self.look_up(&[], scope),
            Expr::Variable(place) => self.variable(*place, &[]),
            Expr::Topic => Value::Text(Cow::Borrowed(message.topic)),
            Expr::TopicSegment(n) => {
                message.segments.as_slice().get(n - 1).map_or(Value::Undefined, |part| Value::Text(Cow::Borrowed(part)))
            }
            Expr::Timestamp => Value::Number(Number::from(message.now.unix_millis())),
            Expr::ClientId => Value::Text(Cow::Borrowed(message.client)),
            Expr::NewUuid => Value::Text(Cow::Owned(self.host.uuid())),
            Expr::Negate(inner) => Value::or_undefined(self.evaluate(inner, scope).to_number().map(Number::negate)),
            Expr::Not(inner) => Value::or_undefined(self.evaluate(inner, scope).to_bool().map(|value| !value)),
            Expr::Binary(operator, left, right) => self.operation(*operator, left, right, scope),
            other => self.composed(other, scope),
        }
    }

    fn composed(&mut self, expr: &'v Expr, scope: Scope<'_, 'v>) -> Value<'v> {
        match expr {
            Expr::Member(inner, path) => match &**inner {
                Expr::Variable(place) => self.variable(*place, path),
                inner => {
                    let value = self.evaluate(inner, scope);
                    self.evaluation.copy(member(&value, path))
                }
            },
            Expr::Array(items) => Value::Array(self.defined(items.iter(), scope)),
            Expr::Object(members) => {
                let mut object = Vec::with_capacity(members.len());
                for (name, value) in members {
                    let value = self.evaluate(value, scope);
                    if value != Value::Undefined {
                        object.push((Cow::Borrowed(&**name), value));
                    }
                }
                Value::Object(object)
            }
            Expr::Case(case) => self.case(case, scope),
            Expr::Query(query) => self.query(query, scope),
            Expr::Cast(inner, to) => cast(self.evaluate(inner, scope), *to),
            Expr::EncodePayload => Value::text(STANDARD.encode(self.evaluation.message.payload)),
            Expr::Regexp(form, regexp, values) => {
                let values = self.all(values, scope);
                let text = |place: usize| values.get(place).and_then(Value::to_text);
                let Some(subject) = text(0) else { return Value::Undefined };
                match form {
                    RegexpUse::Matches => Value::Bool(regexp.matches(&subject)),
                    RegexpUse::Substring => Value::or_undefined(regexp.first(&subject).map(str::to_owned)),
                    RegexpUse::Replace => {
                        Value::or_undefined(text(1).and_then(|with| regexp.replace(&subject, &with, TEXT_MAX)))
                    }
                }
            }
            Expr::ParseTime(pattern, values) => parse_time(pattern, &self.all(values, scope)),
            Expr::TimeToEpoch(pattern, value) => {
                let millis = self.evaluate(value, scope).to_text().and_then(|text| pattern.read(&text));
                Value::or_undefined(millis.and_then(|millis| Number::int(millis.into())))
            }
            Expr::MqttProperty(property) => self.mqtt_property(*property),
            Expr::ThingShadow(call) => self.thing_shadow(call, scope),
            Expr::Call(function::GET_OR_DEFAULT, values) => self.get_or_default(values, scope),
            Expr::Call(function, values) => {
                let values = self.all(values, scope);
                function::apply(self, *function, values)
            }
            _ => unreachable!("every other expression is evaluated without its parts"),
        }
    }

    fn all(&mut self, values: &'v [Expr], scope: Scope<'_, 'v>) -> Vec<Value<'v>> {
        let values: Vec<Value<'v>> = values.iter().map(|value| self.evaluate(value, scope)).collect();
        self.evaluation.step(values.iter().map(Value::weight).sum());
        values
    }

    fn defined(&mut self, values: impl Iterator<Item = &'v Expr>, scope: Scope<'_, 'v>) -> Vec<Value<'v>> {
        values.map(|value| self.evaluate(value, scope)).filter(|value| *value != Value::Undefined).collect()
    }

    fn look_up(&mut self, path: &[Box<str>], scope: Scope<'_, 'v>) -> Value<'v> {
        match scope {
            Scope::Payload => {
                let message = self.evaluation.message;
                let found = member(message.json().unwrap_or(&Value::Undefined), path);
                self.evaluation.copy(found)
            }
            Scope::Element(element) => self.evaluation.copy(member(element, path)),
        }
    }

    fn variable(&mut self, place: usize, path: &[Box<str>]) -> Value<'v> {
        let Some(value) = self.evaluation.variables.get(place) else { return Value::Undefined };
        let found = member(value, path);
        let weight = if matches!(found, Value::Array(_) | Value::Object(_)) { found.weight() } else { 1 };
        let found = found.clone();
        if self.evaluation.step(weight) { found } else { Value::Undefined }
    }

    /// A chain such as `a + b + c` is one loop: no text makes evaluation recurse deeper than parentheses do.
    fn operation(&mut self, operator: Operator, left: &'v Expr, right: &'v Expr, scope: Scope<'_, 'v>) -> Value<'v> {
        let mut rights = Vec::new();
        let mut first = left;
        while let Expr::Binary(operator, left, right) = first {
            rights.push((*operator, &**right));
            first = left;
        }
        let mut value = self.evaluate(first, scope);
        while let Some((operator, right)) = rights.pop() {
            let right = self.evaluate(right, scope);
            value = self.binary(operator, &value, &right);
        }
        let right = self.evaluate(right, scope);
        self.binary(operator, &value, &right)
    }

    fn binary(&mut self, operator: Operator, left: &Value<'v>, right: &Value<'v>) -> Value<'v> {
        if self.evaluation.step(left.weight() + right.weight()) {
            binary(operator, left, right)
        } else {
            Value::Undefined
        }
    }

    fn case(&mut self, case: &'v Case, scope: Scope<'_, 'v>) -> Value<'v> {
        let value = self.evaluate(&case.value, scope);
        if value == Value::Undefined {
            return Value::Undefined;
        }
        for (test, result) in &case.branches {
            if value.equals(&self.evaluate(test, scope)) == Some(true) {
                return self.evaluate(result, scope);
            }
        }
        case.otherwise.as_ref().map_or(Value::Undefined, |otherwise| self.evaluate(otherwise, scope))
    }

    /// Of an array, the results for its elements; of an object, its result.
    fn query(&mut self, query: &'v Query, scope: Scope<'_, 'v>) -> Value<'v> {
        match self.evaluate(&query.source, scope) {
            Value::Array(elements) => {
                let results = elements.iter().map(|element| self.element(query, element));
                Value::Array(results.filter(|result| *result != Value::Undefined).collect())
            }
            object @ Value::Object(_) => self.element(query, &object),
            _ => Value::Undefined,
        }
    }

    fn element(&mut self, query: &'v Query, element: &Value<'v>) -> Value<'v> {
        let scope = Scope::Element(element);
        if let Some(condition) = &query.condition
            && self.evaluate(condition, scope) != Value::Bool(true)
        {
            return Value::Undefined;
        }
        self.selected(&query.select, element)
    }

    fn selected(&mut self, select: &'v Select, element: &Value<'v>) -> Value<'v> {
        let scope = Scope::Element(element);
        if select.value {
            return match select.items.first() {
                Some((_, value)) => self.evaluate(value, scope),
                None => self.evaluation.copy(element),
            };
        }
        if select.star && select.items.is_empty() {
            return self.evaluation.copy(element);
        }
        let mut computed = Vec::new();
        for (alias, value) in &select.items {
            let value = self.evaluate(value, scope);
            insert(&mut computed, alias, value);
        }
        if select.star {
            let Value::Object(members) = self.evaluation.copy(element) else { return Value::Undefined };
            let kept = members.into_iter().filter(|(name, _)| !computed.iter().any(|(other, _)| other == name));
            let mut all: Vec<_> = kept.collect();
            all.append(&mut computed);
            return Value::Object(all);
        }
        Value::Object(computed)
    }

    fn get_or_default(&mut self, values: &'v [Expr], scope: Scope<'_, 'v>) -> Value<'v> {
        let value = self.evaluate(&values[0], scope);
        let failed = self.evaluation.take_failure().is_some();
        if !failed && !matches!(value, Value::Null | Value::Undefined) {
            return value;
        }
        values.get(1).map_or(Value::Undefined, |default| self.evaluate(default, scope))
    }

    fn mqtt_property(&mut self, property: MqttProperty) -> Value<'v> {
        let properties = self.evaluation.message.posted.properties.as_deref();
        let text = |text: Option<&'v str>| text.map_or(Value::Undefined, Value::text);
        match property {
            MqttProperty::FormatIndicator => {
                let is_utf8 = properties.is_some_and(|properties| properties.is_utf8);
                Value::text(if is_utf8 { "UTF8_DATA" } else { "UNSPECIFIED_BYTES" })
            }
            MqttProperty::ContentType => text(properties.and_then(|found| found.content_type.as_deref())),
            MqttProperty::ResponseTopic => text(properties.and_then(|found| found.response_topic.as_deref())),
            MqttProperty::CorrelationData => {
                let data = properties.and_then(|found| found.correlation_data.as_ref());
                Value::or_undefined(data.map(|data| STANDARD.encode(data)))
            }
        }
    }

    fn thing_shadow(&mut self, call: &'v ThingShadow, scope: Scope<'_, 'v>) -> Value<'v> {
        let thing = self.evaluate(&call.thing, scope);
        let shadow = call.shadow.as_ref().map(|shadow| self.evaluate(shadow, scope));
        if self.evaluation.failure.is_some() {
            return Value::Undefined;
        }
        let (Value::Text(thing), None | Some(Value::Text(_))) = (&thing, &shadow) else {
            return self.evaluation.fail("get_thing_shadow() needs texts as the names of the thing and the shadow");
        };
        let shadow = shadow.as_ref().and_then(Value::to_text);
        match self.host.thing_shadow(thing, shadow.as_deref(), &call.role) {
            Ok(document) => match json::parse(&document) {
                Some(document) => document.into_owned(),
                None => self.evaluation.fail("the document of the shadow is not JSON"),
            },
            Err(why) => self.evaluation.fail(why),
        }
    }
}

/// Adds a result under its name; a later one of the same name takes its place. A name with dots is a path of objects.
pub(super) fn insert<'v>(members: &mut Vec<(Cow<'v, str>, Value<'v>)>, alias: &'v [Box<str>], value: Value<'v>) {
    let Some((name, rest)) = alias.split_first() else { return };
    if value == Value::Undefined {
        return;
    }
    if rest.is_empty() {
        members.retain(|(other, _)| *other != **name);
        members.push((Cow::Borrowed(name), value));
        return;
    }
    let place = members.iter().position(|(other, value)| *other == **name && matches!(value, Value::Object(_)));
    let place = place.unwrap_or_else(|| {
        members.retain(|(other, _)| *other != **name);
        members.push((Cow::Borrowed(name), Value::Object(Vec::new())));
        members.len() - 1
    });
    if let Value::Object(inner) = &mut members[place].1 {
        insert(inner, rest, value);
    }
}

fn parse_time(pattern: &TimePattern, values: &[Value<'_>]) -> Value<'static> {
    let zone = match values.get(1) {
        None => Some(Zone::UTC),
        Some(zone) => zone.to_text().and_then(|name| Zone::joda(&name)),
    };
    let millis = values.first().and_then(Value::to_index);
    Value::or_undefined(millis.zip(zone).and_then(|(millis, zone)| pattern.write(millis, zone)))
}

fn cast(value: Value<'_>, to: Type) -> Value<'_> {
    let number = |value: &Value<'_>| match value {
        Value::Bool(value) => Some(Number::from(u64::from(*value))),
        other => other.to_number(),
    };
    match to {
        Type::String => match value {
            Value::Text(text) => Value::Text(text),
            other => Value::or_undefined(other.to_text().map(Cow::into_owned)),
        },
        Type::Int => Value::or_undefined(number(&value).map(Number::floor)),
        Type::Decimal => Value::or_undefined(number(&value)),
        Type::Double => Value::or_undefined(number(&value).and_then(|number| Number::from_f64(number.to_f64()))),
        Type::Boolean => match value {
            Value::Number(number) => Value::Bool(!number.is_zero()),
            other => Value::or_undefined(other.to_bool()),
        },
    }
}

fn binary(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Value<'static> {
    let boolean = |value: Option<bool>| Value::or_undefined(value);
    let ordered = |holds: fn(Ordering) -> bool| boolean(left.order(right).map(holds));
    let arithmetic = |apply: fn(Number, Number) -> Option<Number>| {
        let numbers = left.to_number().zip(right.to_number());
        Value::or_undefined(numbers.and_then(|(a, b)| apply(a, b)))
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
            let texts = left.to_text().zip(right.to_text());
            let texts = texts.filter(|(left, right)| left.len() + right.len() <= TEXT_MAX);
            Value::or_undefined(texts.map(|(left, right)| format!("{left}{right}")))
        }
        Operator::Add => arithmetic(Number::add),
        Operator::Subtract => arithmetic(Number::subtract),
        Operator::Multiply => arithmetic(Number::multiply),
        // A text is converted to a Decimal, whatever number it holds: the result is a Decimal.
        Operator::Divide if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            arithmetic(Number::divide_decimals)
        }
        Operator::Divide => arithmetic(Number::divide),
        Operator::Remainder => arithmetic(Number::remainder),
    }
}
