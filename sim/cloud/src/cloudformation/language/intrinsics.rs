//! Intrinsic functions, pseudo parameters and dynamic references.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::parameters::Parameter;
use super::template::{Template, unresolved};
use super::{invalid, single};
use crate::core::{AccountInfo, AwsError, Provisioned};
use crate::ssm::Ssm;

/// Stands for a value that only the execution of a change brings, such as the id of a resource that is yet to be created.
/// No template can hold it.
pub const UNKNOWN: &str = "\u{f8ff}known after the change\u{f8ff}";

/// Conditions by name: which hold, and, without a value, those that are being evaluated.
type Known<'s> = BTreeMap<&'s str, Option<bool>>;

/// What references see of the resources that exist.
pub trait Created {
    /// The resource of this logical id.
    fn created(&self, logical_id: &str) -> Option<&Provisioned>;
}

impl Created for BTreeMap<String, Provisioned> {
    fn created(&self, logical_id: &str) -> Option<&Provisioned> {
        self.get(logical_id)
    }
}

/// What a template's expressions can see.
pub struct Scope<'a> {
    /// The account.
    pub account: &'a AccountInfo,
    /// Stack name.
    pub stack_name: &'a str,
    /// Stack id (an ARN).
    pub stack_id: &'a str,
    /// The template, for its mappings and conditions.
    pub template: &'a Template,
    /// Values of its parameters.
    pub parameters: &'a IndexMap<String, Parameter>,
    /// Which conditions hold.
    pub conditions: &'a BTreeMap<String, bool>,
    /// Resources that are there, by logical id.
    pub created: &'a dyn Created,
    /// Parameter Store, for dynamic references.
    pub ssm: &'a Ssm,
    /// Exports of the account, by name.
    pub exports: &'a BTreeMap<String, String>,
    /// The exports that were read.
    pub imports: RefCell<BTreeSet<String>>,
}

impl Scope<'_> {
    /// Evaluates a value. `AWS::NoValue` removes the member that holds it.
    pub fn evaluate(&self, value: &Value) -> Result<Value, AwsError> {
        Ok(self.eval(value)?.unwrap_or(Value::Null))
    }

    /// Evaluates every condition of the template, each once.
    pub fn all_conditions(&self) -> Result<BTreeMap<String, bool>, AwsError> {
        let mut known = Known::new();
        for name in self.template.conditions.keys() {
            self.named_condition(name, &mut known)?;
        }
        Ok(known.into_iter().filter_map(|(name, holds)| Some((name.to_owned(), holds?))).collect())
    }

    fn named_condition<'s>(&'s self, name: &'s str, known: &mut Known<'s>) -> Result<bool, AwsError> {
        let Some(value) = self.template.conditions.get(name) else {
            return Err(invalid(format!(
                "Template error: unresolved condition dependency {name} in the Conditions block"
            )));
        };
        match known.get(name) {
            Some(Some(holds)) => return Ok(*holds),
            Some(None) => return Err(invalid(format!("Template error: circular dependency of the condition {name}"))),
            None => known.insert(name, None),
        };
        let holds = self.condition(value, known)?;
        known.insert(name, Some(holds));
        Ok(holds)
    }

    fn condition<'s>(&'s self, value: &'s Value, known: &mut Known<'s>) -> Result<bool, AwsError> {
        let parts = |argument: &'s Value| argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match value.as_object().and_then(single) {
            Some(("Condition", Value::String(name))) => self.named_condition(name, known),
            Some(("Fn::Equals", argument)) => {
                let [left, right] = parts(argument) else {
                    return Err(invalid(
                        "Template error: every Fn::Equals object requires a list of 2 string parameters.",
                    ));
                };
                Ok(self.condition_text(left)? == self.condition_text(right)?)
            }
            Some(("Fn::Not", argument)) => match parts(argument) {
                [one] => Ok(!self.condition(one, known)?),
                _ => Err(invalid("Template error: every Fn::Not object requires a list of 1 boolean parameter.")),
            },
            Some((name @ ("Fn::And" | "Fn::Or"), argument)) => {
                let parts = parts(argument);
                if !(2..=10).contains(&parts.len()) {
                    return Err(invalid(format!(
                        "Template error: every {name} object requires a list of at least 2 and at most 10 boolean parameters."
                    )));
                }
                let held: Result<Vec<bool>, AwsError> = parts.iter().map(|part| self.condition(part, known)).collect();
                let held = held?;
                Ok(if name == "Fn::And" { held.iter().all(|held| *held) } else { held.contains(&true) })
            }
            _ => Err(invalid(format!("Template format error: {value} is no condition"))),
        }
    }

    /// Conditions see parameters, mappings and pseudo parameters; no resource is there yet.
    fn condition_text(&self, value: &Value) -> Result<Value, AwsError> {
        match value {
            Value::Number(_) | Value::Bool(_) => Ok(Value::from(value.to_string())),
            value => self.evaluate(value),
        }
    }

    fn eval(&self, value: &Value) -> Result<Option<Value>, AwsError> {
        Ok(Some(match value {
            Value::String(text) => Value::String(self.dynamic(text)?),
            Value::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    out.extend(self.eval(item)?);
                }
                Value::Array(out)
            }
            Value::Object(map) => return self.eval_object(map),
            other => other.clone(),
        }))
    }

    fn eval_object(&self, map: &Map<String, Value>) -> Result<Option<Value>, AwsError> {
        let text = |text: Result<String, AwsError>| text.map(|text| Some(Value::String(text)));
        match single(map) {
            Some(("Ref", Value::String(name))) if name == "AWS::NoValue" => return Ok(None),
            Some(("Ref", Value::String(name))) => return self.reference(name).map(Some),
            Some(("Fn::GetAtt", argument)) => return text(self.get_att(argument)),
            Some(("Fn::Sub", argument)) => return text(self.sub(argument)),
            Some(("Fn::Join", argument)) => return text(self.join(argument)),
            Some(("Fn::If", argument)) => return self.choose(argument),
            Some(("Fn::Select", argument)) => return self.select(argument).map(Some),
            Some(("Fn::Split", argument)) => return self.split(argument).map(Some),
            Some(("Fn::FindInMap", argument)) => return self.find_in_map(argument).map(Some),
            Some(("Fn::ImportValue", argument)) => return text(self.import(argument)),
            Some(("Fn::Base64", argument)) => {
                let plain = self.text(argument)?;
                let known = !plain.contains(UNKNOWN);
                let encoded = if known { base64::engine::general_purpose::STANDARD.encode(plain) } else { plain };
                return Ok(Some(Value::String(encoded)));
            }
            Some((name, _)) if name.starts_with("Fn::") || name == "Condition" && map["Condition"].is_string() => {
                return Err(invalid(format!("the intrinsic function {name} is not modelled")));
            }
            _ => {}
        }
        let mut out = Map::new();
        for (name, item) in map {
            if let Some(item) = self.eval(item)? {
                out.insert(name.clone(), item);
            }
        }
        Ok(Some(Value::Object(out)))
    }

    fn reference(&self, name: &str) -> Result<Value, AwsError> {
        Ok(Value::from(match name {
            "AWS::AccountId" => self.account.id.clone(),
            "AWS::Region" => self.account.region.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackName" => self.stack_name.to_owned(),
            "AWS::StackId" => self.stack_id.to_owned(),
            _ => match self.parameters.get(name) {
                Some(parameter) => return Ok(parameter.value.clone()),
                None => self.resource(name)?.physical_id.clone(),
            },
        }))
    }

    fn resource(&self, id: &str) -> Result<&Provisioned, AwsError> {
        self.created.created(id).ok_or_else(|| unresolved(id, "Resources"))
    }

    fn attribute(&self, id: &str, name: &str) -> Result<String, AwsError> {
        let resource = self.resource(id)?;
        if resource.physical_id == UNKNOWN {
            return Ok(UNKNOWN.to_owned());
        }
        resource.attributes.get(name).cloned().ok_or_else(|| {
            invalid(format!("Template error: resource {id} does not support attribute type {name} in Fn::GetAtt"))
        })
    }

    fn get_att(&self, argument: &Value) -> Result<String, AwsError> {
        let parts: Option<(&str, String)> = match argument {
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(id), name] => Some((id, self.text(name)?)),
                _ => None,
            },
            Value::String(dotted) => dotted.split_once('.').map(|(id, name)| (id, name.to_owned())),
            _ => None,
        };
        let (id, name) = parts.ok_or_else(|| {
            invalid(
                "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the \
                 resource attribute",
            )
        })?;
        self.attribute(id, &name)
    }

    fn sub(&self, argument: &Value) -> Result<String, AwsError> {
        let wrong =
            || invalid("Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments");
        let empty = Map::new();
        let (text, locals) = match argument {
            Value::String(text) => (text.as_str(), &empty),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), Value::Object(locals)] => (text.as_str(), locals),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| invalid(format!("Template error: unclosed placeholder in {text}")))?;
            if let Some(literal) = name.strip_prefix('!') {
                out.push_str("${");
                out.push_str(literal);
                out.push('}');
            } else if let Some(local) = locals.get(name) {
                out.push_str(self.text(local)?.as_str());
            } else if let Some((id, attribute)) = name.split_once('.') {
                out.push_str(&self.attribute(id, attribute)?);
            } else {
                out.push_str(&self.as_text(self.reference(name)?)?);
            }
            rest = after;
        }
        out.push_str(rest);
        self.dynamic(&out)
    }

    fn join(&self, argument: &Value) -> Result<String, AwsError> {
        let wrong = || invalid("Template error: every Fn::Join object requires two parameters");
        let Some([Value::String(delimiter), items]) = argument.as_array().map(Vec::as_slice) else {
            return Err(wrong());
        };
        match self.evaluate(items)? {
            Value::Array(items) => {
                let texts: Result<Vec<String>, AwsError> = items.into_iter().map(|item| self.as_text(item)).collect();
                Ok(texts?.join(delimiter))
            }
            Value::String(text) if text == UNKNOWN => Ok(text),
            _ => Err(wrong()),
        }
    }

    fn choose(&self, argument: &Value) -> Result<Option<Value>, AwsError> {
        let Some([Value::String(name), yes, no]) = argument.as_array().map(Vec::as_slice) else {
            return Err(invalid("Template error: Fn::If requires a list argument with three elements"));
        };
        match self.conditions.get(name) {
            Some(true) => self.eval(yes),
            Some(false) => self.eval(no),
            None => Err(invalid(format!("Template error: unresolved condition dependency {name} in Fn::If"))),
        }
    }

    fn select(&self, argument: &Value) -> Result<Value, AwsError> {
        let Some([index, items]) = argument.as_array().map(Vec::as_slice) else {
            return Err(invalid("Template error: Fn::Select requires a list argument with two elements"));
        };
        let index = self.text(index)?;
        match self.evaluate(items)? {
            Value::Array(items) => {
                let found = index.parse::<usize>().ok().and_then(|index| items.get(index).cloned());
                found.ok_or_else(|| {
                    invalid(format!("Template error: Fn::Select cannot select nonexistent value at index {index}"))
                })
            }
            Value::String(text) if text == UNKNOWN => Ok(Value::String(text)),
            _ => Err(invalid("Template error: Fn::Select requires a list argument with two elements")),
        }
    }

    fn split(&self, argument: &Value) -> Result<Value, AwsError> {
        let Some([Value::String(delimiter), text]) = argument.as_array().map(Vec::as_slice) else {
            return Err(invalid(
                "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split",
            ));
        };
        let text = self.text(text)?;
        if text.contains(UNKNOWN) {
            return Ok(Value::from(UNKNOWN));
        }
        Ok(Value::Array(text.split(delimiter.as_str()).map(Value::from).collect()))
    }

    fn find_in_map(&self, argument: &Value) -> Result<Value, AwsError> {
        let Some([map, top, second]) = argument.as_array().map(Vec::as_slice) else {
            return Err(invalid(
                "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value",
            ));
        };
        let (map, top, second) = (self.text(map)?, self.text(top)?, self.text(second)?);
        let found = self.template.mappings.get(&map).and_then(|map| map.get(&top)).and_then(|row| row.get(&second));
        found
            .cloned()
            .ok_or_else(|| invalid(format!("Template error: Unable to get mapping for {map}::{top}::{second}")))
    }

    fn import(&self, argument: &Value) -> Result<String, AwsError> {
        let name = self.text(argument)?;
        let found = self.exports.get(&name).cloned();
        self.imports.borrow_mut().insert(name.clone());
        found.ok_or_else(|| invalid(format!("No export named {name} found.")))
    }

    fn text(&self, value: &Value) -> Result<String, AwsError> {
        self.as_text(self.evaluate(value)?)
    }

    #[expect(clippy::unused_self, reason = "it reads as the other steps of an evaluation do")]
    fn as_text(&self, value: Value) -> Result<String, AwsError> {
        match value {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            other => Err(invalid(format!("Template error: a text is expected, not {other}"))),
        }
    }

    fn dynamic(&self, text: &str) -> Result<String, AwsError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{resolve:") {
            out.push_str(before);
            let (reference, after) = after
                .split_once("}}")
                .ok_or_else(|| invalid(format!("Template error: unclosed dynamic reference in {text}")))?;
            let name = reference
                .strip_prefix("ssm:")
                .ok_or_else(|| invalid(format!("the dynamic reference {{{{resolve:{reference}}}}} is not modelled")))?;
            out.push_str(self.parameter(name)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The value of `name` or `name:version` in Parameter Store.
    fn parameter(&self, reference: &str) -> Result<&str, AwsError> {
        let found = match reference.split_once(':') {
            None => self.ssm.get(reference),
            Some((name, version)) => {
                let version = version.parse::<u64>();
                let version =
                    version.map_err(|_| invalid(format!("[ssm:{reference}] has no number as its version")))?;
                self.ssm.get_version(name, version)
            }
        };
        found.ok_or_else(|| {
            invalid(format!(
                "Parameters: [ssm:{reference}] cannot be found: does a stack of an earlier stage write it?"
            ))
        })
    }
}
