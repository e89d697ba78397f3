//! Intrinsic functions, pseudo parameters and dynamic references.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::template::invalid;
use crate::cloud::core::{AccountInfo, AwsError, Provisioned};
use crate::cloud::ssm::Ssm;

/// What a template's expressions can see.
pub struct Scope<'a> {
    /// The account.
    pub account: &'a AccountInfo,
    /// Stack name.
    pub stack_name: &'a str,
    /// Stack id (an ARN).
    pub stack_id: &'a str,
    /// Resources created so far, by logical id.
    pub created: &'a BTreeMap<String, Provisioned>,
    /// Parameter Store, for dynamic references.
    pub ssm: &'a Ssm,
}

/// Collects the logical ids that a value refers to.
pub(super) fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        Value::Object(map) => match single(map) {
            Some(("Ref", Value::String(id))) => insert_unless_pseudo(id, into),
            Some(("Fn::GetAtt", Value::Array(parts))) => {
                if let Some(Value::String(id)) = parts.first() {
                    into.insert(id.clone());
                }
            }
            Some(("Fn::GetAtt", Value::String(dotted))) => {
                into.insert(dotted.split('.').next().unwrap_or(dotted).to_owned());
            }
            Some(("Fn::Sub", Value::String(text))) => sub_names(text, &Map::new(), into),
            Some(("Fn::Sub", Value::Array(parts))) => {
                let empty = Map::new();
                let locals = parts.get(1).and_then(Value::as_object).unwrap_or(&empty);
                locals.values().for_each(|local| references(local, into));
                if let Some(Value::String(text)) = parts.first() {
                    sub_names(text, locals, into);
                }
            }
            _ => map.values().for_each(|item| references(item, into)),
        },
        _ => {}
    }
}

fn insert_unless_pseudo(id: &str, into: &mut BTreeSet<String>) {
    if !id.starts_with("AWS::") {
        into.insert(id.to_owned());
    }
}

fn sub_names(text: &str, locals: &Map<String, Value>, into: &mut BTreeSet<String>) {
    for name in placeholders(text) {
        if !name.starts_with('!') && !locals.contains_key(name) {
            insert_unless_pseudo(name.split('.').next().unwrap_or(name), into);
        }
    }
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    if map.len() != 1 {
        return None;
    }
    map.iter().next().map(|(name, value)| (name.as_str(), value))
}

impl Scope<'_> {
    /// Evaluates a value. `AWS::NoValue` removes the member that holds it.
    pub fn evaluate(&self, value: &Value) -> Result<Value, AwsError> {
        Ok(self.eval(value)?.unwrap_or(Value::Null))
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
        match single(map) {
            Some(("Ref", Value::String(name))) if name == "AWS::NoValue" => return Ok(None),
            Some(("Ref", Value::String(name))) => return self.reference(name).map(|v| Some(Value::String(v))),
            Some(("Fn::GetAtt", argument)) => return self.get_att(argument).map(|v| Some(Value::String(v))),
            Some(("Fn::Sub", argument)) => return self.sub(argument).map(|v| Some(Value::String(v))),
            Some(("Fn::Join", argument)) => return self.join(argument).map(|v| Some(Value::String(v))),
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

    fn reference(&self, name: &str) -> Result<String, AwsError> {
        Ok(match name {
            "AWS::AccountId" => self.account.id.clone(),
            "AWS::Region" => self.account.region.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackName" => self.stack_name.to_owned(),
            "AWS::StackId" => self.stack_id.to_owned(),
            _ => self.resource(name)?.physical_id.clone(),
        })
    }

    fn resource(&self, id: &str) -> Result<&Provisioned, AwsError> {
        self.created.get(id).ok_or_else(|| {
            invalid(format!(
                "Template format error: Unresolved resource dependencies [{id}] in the Resources block of the template"
            ))
        })
    }

    fn attribute(&self, id: &str, name: &str) -> Result<String, AwsError> {
        self.resource(id)?.attributes.get(name).cloned().ok_or_else(|| {
            invalid(format!("Template error: resource {id} does not support attribute type {name} in Fn::GetAtt"))
        })
    }

    fn get_att(&self, argument: &Value) -> Result<String, AwsError> {
        let parts: Option<(&str, &str)> = match argument {
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(id), Value::String(name)] => Some((id, name)),
                _ => None,
            },
            Value::String(dotted) => dotted.split_once('.'),
            _ => None,
        };
        let (id, name) = parts.ok_or_else(|| {
            invalid("Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
        })?;
        self.attribute(id, name)
    }

    fn sub(&self, argument: &Value) -> Result<String, AwsError> {
        let empty = Map::new();
        let (text, locals) = match argument {
            Value::String(text) => (text.as_str(), &empty),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), Value::Object(locals)] => (text.as_str(), locals),
                _ => {
                    return Err(invalid(
                        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments",
                    ));
                }
            },
            _ => {
                return Err(invalid(
                    "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments",
                ));
            }
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
                out.push_str(&self.reference(name)?);
            }
            rest = after;
        }
        out.push_str(rest);
        self.dynamic(&out)
    }

    fn join(&self, argument: &Value) -> Result<String, AwsError> {
        let Value::Array(parts) = argument else {
            return Err(invalid("Template error: every Fn::Join object requires two parameters"));
        };
        let [Value::String(delimiter), Value::Array(items)] = parts.as_slice() else {
            return Err(invalid("Template error: every Fn::Join object requires two parameters"));
        };
        let texts: Result<Vec<String>, AwsError> = items.iter().map(|item| self.text(item)).collect();
        Ok(texts?.join(delimiter))
    }

    fn text(&self, value: &Value) -> Result<String, AwsError> {
        match self.evaluate(value)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
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
            if name.contains(':') {
                return Err(invalid(format!(
                    "versions in dynamic references are not modelled: {{{{resolve:{reference}}}}}"
                )));
            }
            let value = self.ssm.get(name).ok_or_else(|| {
                invalid(format!("Parameters: [ssm:{name}] cannot be found: does a stack of an earlier stage write it?"))
            })?;
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(value: Value) -> Result<Value, String> {
        let account = AccountInfo { id: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
        let created =
            BTreeMap::from([("Bucket".to_owned(), Provisioned::new("raw").attribute("Arn", "arn:aws:s3:::raw"))]);
        let ssm = Ssm::default();
        let scope = Scope { account: &account, stack_name: "s", stack_id: "id", created: &created, ssm: &ssm };
        scope.evaluate(&value).map_err(|e| e.message)
    }

    #[test]
    fn expressions_evaluate_as_cloudformation_does() {
        for (expression, expected) in [
            (json!({"Ref": "Bucket"}), json!("raw")),
            (json!({"Fn::GetAtt": ["Bucket", "Arn"]}), json!("arn:aws:s3:::raw")),
            (json!({"Fn::GetAtt": "Bucket.Arn"}), json!("arn:aws:s3:::raw")),
            (json!({"Fn::Sub": "${Bucket.Arn}/*"}), json!("arn:aws:s3:::raw/*")),
            (json!({"Fn::Sub": "${!topic(4)} ${AWS::Region}"}), json!("${topic(4)} eu-west-1")),
            (json!({"Fn::Sub": ["${A}-${Bucket}", {"A": {"Ref": "AWS::AccountId"}}]}), json!("123456789012-raw")),
            (json!({"Fn::Join": ["/", ["a", {"Ref": "Bucket"}]]}), json!("a/raw")),
            (json!({"A": {"Ref": "AWS::NoValue"}, "B": [1, {"Ref": "AWS::NoValue"}]}), json!({"B": [1]})),
        ] {
            assert_eq!(evaluate(expression.clone()).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_not_modelled_or_missing_is_named() {
        for (expression, expected) in [
            (json!({"Fn::Select": [0, ["a"]]}), "Fn::Select"),
            (json!({"Fn::GetAtt": ["Bucket", "Nope"]}), "does not support attribute type Nope"),
            (json!("{{resolve:ssm:/iot-platform/x}}"), "/iot-platform/x"),
            (json!("{{resolve:secretsmanager:x}}"), "secretsmanager"),
            (json!("{{resolve:ssm:/iot-platform/x:3}}"), "versions in dynamic references are not modelled"),
        ] {
            let error = evaluate(expression).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
