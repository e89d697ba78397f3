//! What functions give for values. Source: "Functions" of the developer guide, which says for each function and each type
//! of argument what comes out; what it leaves open is said here where it is decided.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md2::{Digest, Md2};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::VERSION;
use super::call::{Function, Hash};
use super::eval::{Asking, TEXT_MAX};
use super::json;
use super::number::Number;
use super::value::Value;

/// Evaluated apart, because its first argument may fail.
pub(super) const GET_OR_DEFAULT: Function = Function::GetOrDefault;

/// Most spaces that `lpad` and `rpad` add.
const SPACES_MAX: i64 = 1000;
/// Most places that `trunc` keeps.
const PLACES_MAX: i64 = 34;
/// Largest result of `transform`, in bytes of JSON.
const TRANSFORMED_MAX: usize = 128 << 10;

/// The value of a function.
pub(super) fn apply<'v>(asking: &mut Asking<'_, 'v, '_>, function: Function, values: Vec<Value<'v>>) -> Value<'v> {
    let message = asking.evaluation.message;
    match function {
        Function::AccountId => Value::text(asking.host.account().to_owned()),
        Function::SqlVersion => Value::text(VERSION),
        Function::Principal => message.posted.principal.as_deref().map_or(Value::Undefined, Value::text),
        // "Undefined if the message wasn't sent over MQTT."
        Function::TraceId if message.posted.client.is_none() => Value::Undefined,
        Function::TraceId => Value::text(message.trace_id(asking.host)),
        Function::Rand => Value::or_undefined(Number::from_f64(asking.host.random())),
        Function::Topic => {
            let place = values[0].to_index().and_then(|n| usize::try_from(n.checked_sub(1)?).ok());
            let segment = place.and_then(|place| message.segments.as_slice().get(place));
            segment.map_or(Value::Undefined, |part| Value::text(*part))
        }
        Function::UserProperties => {
            let Some(key) = values[0].to_text() else { return Value::Undefined };
            let properties = message.posted.properties.as_deref().map_or(&[][..], |properties| &properties.user);
            let found = properties.iter().filter(|(name, _)| **name == *key);
            let found: Vec<_> = found.map(|(_, value)| Value::text(&**value)).collect();
            if found.is_empty() { Value::Undefined } else { Value::Array(found) }
        }
        Function::EnrichArray => {
            let enriched = enrich(&values[0], &values[1]);
            if asking.evaluation.step(enriched.weight()) { enriched } else { Value::Undefined }
        }
        Function::Concat => concat(values),
        Function::Get => get(&values[0], &values[1]),
        Function::Nanvl => {
            let mut values = values.into_iter();
            match values.next() {
                None | Some(Value::Undefined | Value::Null) => values.next().unwrap_or(Value::Undefined),
                Some(first) => first,
            }
        }
        Function::IsNull => Value::Bool(values[0] == Value::Null),
        Function::IsUndefined => Value::Bool(values[0] == Value::Undefined),
        Function::Decode => decode(&values[0]),
        Function::GetOrDefault => unreachable!("it is evaluated apart"),
        other => match of_numbers(other, &values) {
            Some(value) => value,
            None => Value::or_undefined(of_texts(other, &values)),
        },
    }
}

/// Functions of numbers. `None` for another function.
fn of_numbers(function: Function, values: &[Value<'_>]) -> Option<Value<'static>> {
    let numbers = values.iter().map(Value::to_number).collect::<Option<Vec<Number>>>();
    let one = |apply: fn(Number) -> Number| {
        Some(Value::or_undefined(numbers.as_deref().and_then(|numbers| numbers.first()).map(|n| apply(*n))))
    };
    let two = |apply: fn(Number, Number) -> Option<Number>| {
        Some(match numbers.as_deref() {
            Some([a, b]) => Value::or_undefined(apply(*a, *b)),
            _ => Value::Undefined,
        })
    };
    // With double precision; what is imaginary or infinite is undefined.
    let double = |apply: fn(f64) -> f64| {
        let value = numbers.as_deref().and_then(|numbers| numbers.first());
        Some(Value::or_undefined(value.and_then(|n| Number::from_f64(apply(n.to_f64())))))
    };
    match function {
        Function::Abs => one(|n| if n.sign() < 0 { n.negate() } else { n }),
        Function::Ceil => one(Number::ceil),
        Function::Floor => one(Number::floor),
        Function::Round => one(Number::round),
        Function::Sign => one(|n| Number::int(n.sign()).unwrap_or(Number::ZERO)),
        Function::Acos => double(f64::acos),
        Function::Asin => double(f64::asin),
        Function::Atan => double(f64::atan),
        Function::Cos => double(f64::cos),
        Function::Cosh => double(f64::cosh),
        Function::Exp => double(f64::exp),
        Function::Ln => double(f64::ln),
        Function::Log => double(f64::log10),
        Function::Sin => double(f64::sin),
        Function::Sinh => double(f64::sinh),
        Function::Sqrt => double(f64::sqrt),
        Function::Tan => double(f64::tan),
        Function::Tanh => double(f64::tanh),
        Function::Atan2 => two(|a, b| Number::from_f64(a.to_f64().atan2(b.to_f64()))),
        Function::Power => two(|a, b| Number::from_f64(a.to_f64().powf(b.to_f64()))),
        Function::Remainder => two(Number::remainder),
        Function::Trunc => two(|number, places| {
            let places = places.index().clamp(0, PLACES_MAX);
            Some(number.truncate(u32::try_from(places).ok()?))
        }),
        Function::BitAnd => two(|a, b| bits(a, b, |a, b| a & b)),
        Function::BitOr => two(|a, b| bits(a, b, |a, b| a | b)),
        Function::BitXor => two(|a, b| bits(a, b, |a, b| a ^ b)),
        Function::BitNot => {
            let value = numbers.as_deref().and_then(|numbers| numbers.first());
            Some(Value::or_undefined(value.and_then(|n| bit_not(*n))))
        }
        Function::Chr => {
            let code = numbers.as_deref().and_then(|numbers| numbers.first()).map(|n| n.index());
            let ascii = code.and_then(|code| u8::try_from(code).ok()).filter(u8::is_ascii);
            Some(Value::or_undefined(ascii.map(|code| char::from(code).to_string())))
        }
        _ => None,
    }
}

fn bits(a: Number, b: Number, apply: fn(i128, i128) -> i128) -> Option<Number> {
    Number::int(apply(a.floor().to_i128()?, b.floor().to_i128()?))
}

/// The reference's one example is `bitnot(13) = 2`: the bits that the number has are turned, and no more. What comes of
/// a number below nought it does not say: here, what two's complement gives.
fn bit_not(number: Number) -> Option<Number> {
    let value = number.floor().to_i128()?;
    let mask = if value < 0 { -1 } else { (1_i128 << (128 - value.leading_zeros())) - 1 };
    Number::int(value ^ mask)
}

/// Functions of texts, to which other arguments are converted.
fn of_texts(function: Function, values: &[Value<'_>]) -> Option<Value<'static>> {
    let text = |place: usize| values.get(place).and_then(Value::to_text);
    let count = |count: usize| Number::int(i128::try_from(count).ok()?).map(Value::Number);
    let first = text(0)?;
    let made: String = match function {
        Function::Upper => first.to_uppercase(),
        Function::Lower => first.to_lowercase(),
        // "Tabs and spaces."
        Function::TrimLeft => first.trim_start_matches([' ', '\t']).to_owned(),
        Function::TrimRight => first.trim_end_matches([' ', '\t']).to_owned(),
        Function::Trim => first.trim().to_owned(),
        Function::Length => return count(first.chars().count()),
        Function::NumBytes => return count(first.len()),
        Function::StartsWith => return Some(Value::Bool(first.starts_with(&*text(1)?))),
        Function::EndsWith => return Some(Value::Bool(first.ends_with(&*text(1)?))),
        Function::IndexOf => {
            // That a text which is not there is at -1 is unverified.
            let at = first.find(&*text(1)?).map(|at| first[..at].chars().count());
            return at.map_or(Number::int(-1).map(Value::Number), count);
        }
        Function::PadLeft => format!("{}{first}", spaces(&values[1])?),
        Function::PadRight => format!("{first}{}", spaces(&values[1])?),
        Function::Replace => replace(&first, &text(1)?, &text(2)?)?,
        Function::Substring => substring(&first, values)?,
        Function::Encode => STANDARD.encode(&*first),
        Function::Hash(hash) => hashed(hash, first.as_bytes()),
        other => unreachable!("{other:?} is no function of texts"),
    };
    (made.len() <= TEXT_MAX).then_some(Value::Text(Cow::Owned(made)))
}

fn spaces(count: &Value<'_>) -> Option<String> {
    let count = count.to_index()?.clamp(0, SPACES_MAX);
    Some(" ".repeat(usize::try_from(count).ok()?))
}

fn replace(text: &str, what: &str, with: &str) -> Option<String> {
    let matches = text.matches(what).count();
    let grows = matches.checked_mul(with.len())?;
    (text.len().checked_add(grows)? <= TEXT_MAX).then(|| text.replace(what, with))
}

fn substring(text: &str, values: &[Value<'_>]) -> Option<String> {
    let length = i64::try_from(text.chars().count()).ok()?;
    let index = |value: &Value<'_>| Some(value.to_index()?.clamp(0, length));
    let from = index(&values[1])?;
    let to = values.get(2).map_or(Some(length), index)?;
    let count = usize::try_from((to - from).max(0)).ok()?;
    Some(text.chars().skip(usize::try_from(from).ok()?).take(count).collect())
}

fn hashed(hash: Hash, bytes: &[u8]) -> String {
    match hash {
        Hash::Md2 => hex::encode(Md2::digest(bytes)),
        Hash::Md5 => hex::encode(Md5::digest(bytes)),
        Hash::Sha1 => hex::encode(Sha1::digest(bytes)),
        Hash::Sha224 => hex::encode(Sha224::digest(bytes)),
        Hash::Sha256 => hex::encode(Sha256::digest(bytes)),
        Hash::Sha384 => hex::encode(Sha384::digest(bytes)),
        Hash::Sha512 => hex::encode(Sha512::digest(bytes)),
    }
}

/// One argument is given back as it is (one example shows a text instead). Several that are neither arrays nor texts have
/// no result that the reference states.
fn concat<'v>(mut values: Vec<Value<'v>>) -> Value<'v> {
    if values.len() < 2 {
        return values.pop().unwrap_or(Value::Undefined);
    }
    if values.iter().any(|value| matches!(value, Value::Array(_))) {
        let mut items = Vec::new();
        for value in values {
            match value {
                Value::Array(inner) => items.extend(inner),
                Value::Undefined => {}
                other => items.push(other),
            }
        }
        return Value::Array(items);
    }
    if !values.iter().any(|value| matches!(value, Value::Text(_))) {
        return Value::Undefined;
    }
    let mut text = String::new();
    for value in &values {
        let Some(part) = value.to_text() else { return Value::Undefined };
        text.push_str(&part);
        if text.len() > TEXT_MAX {
            return Value::Undefined;
        }
    }
    Value::text(text)
}

/// Counted from 0. (One example of the reference counts the characters of a text from 1: `get("abc", 1) = "a"`.)
fn get<'v>(collection: &Value<'v>, key: &Value<'v>) -> Value<'v> {
    let index = || key.to_index().and_then(|index| usize::try_from(index).ok());
    match collection {
        Value::Array(items) => index().and_then(|index| items.get(index)).cloned().unwrap_or(Value::Undefined),
        Value::Text(text) => {
            Value::or_undefined(index().and_then(|index| text.chars().nth(index)).map(|c| c.to_string()))
        }
        Value::Object(_) => match key {
            Value::Text(name) => collection.member(name).clone(),
            _ => Value::Undefined,
        },
        _ => Value::Undefined,
    }
}

/// The JSON document that the text stands for (an object or an array), or else the text; null when it is no base64 or no
/// text. An argument that is no text is undefined.
fn decode(value: &Value<'_>) -> Value<'static> {
    let Value::Text(text) = value else { return Value::Undefined };
    let decoded = STANDARD.decode(text.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        None => Value::Null,
        Some(text) => match json::parse(text.as_bytes()) {
            Some(document @ (Value::Object(_) | Value::Array(_))) => document.into_owned(),
            _ => Value::text(text),
        },
    }
}

/// Adds an object's members to each element. Of a name that both have, the object's member counts (unverified).
fn enrich<'v>(object: &Value<'v>, array: &Value<'v>) -> Value<'v> {
    let (Value::Object(added), Value::Array(elements)) = (object, array) else { return Value::Undefined };
    let mut enriched = Vec::with_capacity(elements.len());
    let mut size = 0;
    let added_size = json::to_text(object).len();
    for element in elements {
        let Value::Object(members) = element else { return Value::Undefined };
        let kept = members.iter().filter(|(name, _)| !added.iter().any(|(other, _)| other == name));
        let all: Vec<_> = kept.chain(added).cloned().collect();
        size += added_size;
        if size > 2 * TRANSFORMED_MAX {
            return Value::Undefined;
        }
        enriched.push(Value::Object(all));
    }
    let enriched = Value::Array(enriched);
    if json::to_text(&enriched).len() <= TRANSFORMED_MAX { enriched } else { Value::Undefined }
}
