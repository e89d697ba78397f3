//! The functions of provisioning templates: `Ref`, `Fn::Join`, `Fn::Select`, `Fn::FindInMap`, `Fn::Split`, `Fn::Sub`.
//!
//! Source: "Provisioning templates" of the IoT Core guide, which refers to CloudFormation for what they do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::core::AwsError;
use crate::iot::registry::invalid;

/// What functions refer to.
pub struct Scope<'s> {
    /// Values of the parameters.
    pub parameters: BTreeMap<&'s str, &'s str>,
    /// The section `Mappings`.
    pub mappings: &'s Value,
}

/// A function with its argument, when a value is one.
fn function(part: &Value) -> Option<(&str, &Value)> {
    let members = part.as_object().filter(|members| members.len() == 1)?;
    let (name, argument) = members.iter().next()?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// Checks that what functions refer to is declared, without values.
pub fn check(part: &Value, known: &BTreeSet<&str>, mappings: &Value) -> Result<(), AwsError> {
    match function(part) {
        Some(("Ref", argument)) => {
            let name = argument.as_str().unwrap_or("");
            if known.contains(name) {
                return Ok(());
            }
            Err(invalid(format!("Ref names {argument}, which is no parameter of the template")))
        }
        Some(("Fn::Join" | "Fn::Select" | "Fn::Split" | "Fn::Sub", argument)) => inner(argument, known, mappings),
        Some(("Fn::FindInMap", argument)) => {
            let map = argument.get(0).and_then(Value::as_str);
            if map.is_some_and(|map| mappings.get(map).is_none()) {
                return Err(invalid(format!("Fn::FindInMap names {argument}, which is no mapping of the template")));
            }
            inner(argument, known, mappings)
        }
        Some((other, _)) => Err(invalid(format!("{other} is no function of provisioning templates"))),
        None => inner(part, known, mappings),
    }
}

fn inner(part: &Value, known: &BTreeSet<&str>, mappings: &Value) -> Result<(), AwsError> {
    match part {
        Value::Array(items) => items.iter().try_for_each(|item| check(item, known, mappings)),
        Value::Object(members) => members.values().try_for_each(|item| check(item, known, mappings)),
        _ => Ok(()),
    }
}

/// A part that must come to a text.
pub fn text(scope: &Scope<'_>, part: &Value) -> Result<String, AwsError> {
    match value(scope, part)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(invalid(format!("{other} is no text"))),
    }
}

/// A part that must come to a list of texts.
pub fn list(scope: &Scope<'_>, part: &Value) -> Result<Vec<String>, AwsError> {
    match value(scope, part)? {
        Value::Array(items) => items.iter().map(|item| text(scope, item)).collect(),
        other => Err(invalid(format!("{other} is no list"))),
    }
}

/// A part with its functions worked out.
pub fn value(scope: &Scope<'_>, part: &Value) -> Result<Value, AwsError> {
    let Some((name, argument)) = function(part) else {
        return Ok(match part {
            Value::Array(items) => items.iter().map(|item| value(scope, item)).collect::<Result<_, _>>()?,
            Value::Object(members) => {
                let filled = members.iter().map(|(name, item)| Ok((name.clone(), value(scope, item)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, AwsError>>()?)
            }
            other => other.clone(),
        });
    };
    let malformed = || invalid(format!("{name} does not take {argument}"));
    match name {
        "Ref" => {
            let known = argument.as_str().and_then(|name| scope.parameters.get(name));
            known.map(|known| Value::from(*known)).ok_or_else(malformed)
        }
        "Fn::Join" => {
            let [delimiter, parts] = pair(argument).ok_or_else(malformed)?;
            Ok(list(scope, parts)?.join(&text(scope, delimiter)?).into())
        }
        "Fn::Split" => {
            let [delimiter, source] = pair(argument).ok_or_else(malformed)?;
            let delimiter = text(scope, delimiter)?;
            if delimiter.is_empty() {
                return Err(malformed());
            }
            Ok(text(scope, source)?.split(&delimiter).map(Value::from).collect())
        }
        "Fn::Select" => {
            let [index, items] = pair(argument).ok_or_else(malformed)?;
            let index: usize = text(scope, index)?.parse().map_err(|_| malformed())?;
            list(scope, items)?.into_iter().nth(index).map(Value::from).ok_or_else(malformed)
        }
        "Fn::FindInMap" => {
            let keys = list(scope, argument)?;
            let [map, first, second] = keys.as_slice() else { return Err(malformed()) };
            scope.mappings.get(map).and_then(|map| map.get(first)?.get(second)).cloned().ok_or_else(malformed)
        }
        "Fn::Sub" => substituted(scope, argument),
        _ => Err(malformed()),
    }
}

fn pair(argument: &Value) -> Option<[&Value; 2]> {
    match argument.as_array()?.as_slice() {
        [first, second] => Some([first, second]),
        _ => None,
    }
}

/// `Fn::Sub`: a text, or a text with variables of its own. `${!name}` stands for `${name}`.
fn substituted(scope: &Scope<'_>, argument: &Value) -> Result<Value, AwsError> {
    let malformed = || invalid(format!("Fn::Sub does not take {argument}"));
    let (pattern, own) = match argument {
        Value::String(pattern) => (pattern.as_str(), None),
        _ => {
            let [pattern, own] = pair(argument).ok_or_else(malformed)?;
            (pattern.as_str().ok_or_else(malformed)?, Some(own.as_object().ok_or_else(malformed)?))
        }
    };
    let (mut filled, mut rest) = (String::new(), pattern);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or_else(malformed)?;
        filled.push_str(before);
        if let Some(literal) = name.strip_prefix('!') {
            filled.push_str(&format!("${{{literal}}}"));
        } else if let Some(part) = own.and_then(|own| own.get(name)) {
            filled.push_str(&text(scope, part)?);
        } else {
            let known = scope.parameters.get(name);
            filled.push_str(known.ok_or_else(|| invalid(format!("Fn::Sub names {name}, which has no value")))?);
        }
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled.into())
}
