//! Parameters of a template: declarations, given values, what they resolve to.
//!
//! Modelled: String, Number, CommaDelimitedList, `List<Number>`, `AWS::SSM::Parameter::Value<String>`, defaults, previous
//! values, every constraint, NoEcho. Refused by name: all other types. Texts of errors but "must be a number." unverified.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::invalid;
use crate::core::{AwsError, Limits};
use crate::ssm::Ssm;

/// A declared parameter.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Declaration {
    /// Type.
    pub r#type: String,
    /// The value when none is given.
    #[serde(default)]
    pub default: Option<Value>,
    /// The only values.
    #[serde(default)]
    pub allowed_values: Option<Vec<Value>>,
    #[serde(default)]
    allowed_pattern: Option<String>,
    #[serde(default)]
    constraint_description: Option<String>,
    #[serde(default)]
    min_length: Option<Value>,
    #[serde(default)]
    max_length: Option<Value>,
    #[serde(default)]
    min_value: Option<Value>,
    #[serde(default)]
    max_value: Option<Value>,
    /// Whether descriptions show asterisks for the value.
    #[serde(default)]
    pub no_echo: bool,
    /// What people read.
    #[serde(default)]
    pub description: Option<String>,
}

/// A value that a caller gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A text.
    Value(String),
    /// What the stack has.
    Previous,
}

/// A parameter of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What was given, or the default.
    pub given: String,
    /// What the name of an SSM parameter led to.
    pub resolved: Option<String>,
    /// What `Ref` gives: a text or a list of texts.
    pub value: Value,
    /// See [`Declaration::no_echo`].
    pub no_echo: bool,
}

/// A scalar of the template as the text that it stands for.
pub fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What the declared parameters are, with what is given and what the stack had before.
pub fn resolve(
    declared: &IndexMap<String, Declaration>,
    given: &IndexMap<String, Given>,
    before: Option<&IndexMap<String, Parameter>>,
    ssm: &Ssm,
    limits: &Limits,
) -> Result<IndexMap<String, Parameter>, AwsError> {
    let unknown: Vec<&str> = given.keys().filter(|name| !declared.contains_key(*name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut missing = Vec::new();
    let mut parameters = IndexMap::new();
    for (name, declaration) in declared {
        let text = match given.get(name) {
            Some(Given::Value(text)) => Some(text.clone()),
            Some(Given::Previous) => before.and_then(|before| before.get(name)).map(|had| had.given.clone()),
            None => declaration.default.as_ref().map(as_text),
        };
        match text {
            Some(text) => drop(parameters.insert(name.clone(), declaration.resolve(name, text, ssm, limits)?)),
            None => missing.push(name.as_str()),
        }
    }
    if missing.is_empty() {
        Ok(parameters)
    } else {
        Err(invalid(format!("Parameters: [{}] must have values", missing.join(", "))))
    }
}

impl Declaration {
    fn resolve(&self, name: &str, given: String, ssm: &Ssm, limits: &Limits) -> Result<Parameter, AwsError> {
        let most = limits.get("cloudformation", "parameter_value");
        if given.len() as u64 > most {
            return Err(invalid(format!("Parameter '{name}' must not be longer than {most} bytes.")));
        }
        let list = |text: &str| text.split(',').map(|item| Value::from(item.trim())).collect::<Vec<_>>();
        let (value, resolved) = match self.r#type.as_str() {
            "String" | "Number" => (Value::from(given.clone()), None),
            "CommaDelimitedList" | "List<Number>" => (Value::Array(list(&given)), None),
            "AWS::SSM::Parameter::Value<String>" => {
                let found = ssm.get(&given).ok_or_else(|| {
                    invalid(format!("Unable to fetch parameters [{given}] from parameter store for this account."))
                })?;
                (Value::from(found), Some(found.to_owned()))
            }
            other => return Err(AwsError::not_modelled(format!("the type {other} of the parameter {name}"))),
        };
        match &value {
            Value::Array(items) => items.iter().try_for_each(|item| self.check(name, &as_text(item)))?,
            text => self.check(name, &as_text(text))?,
        }
        Ok(Parameter { given, resolved, value, no_echo: self.no_echo })
    }

    fn check(&self, name: &str, value: &str) -> Result<(), AwsError> {
        let refuse = |why: String| {
            let why = self
                .constraint_description
                .as_ref()
                .map_or(why, |told| format!("failed to satisfy constraint: {told}"));
            Err(invalid(format!("Parameter '{name}' {why}")))
        };
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        let numeric = matches!(self.r#type.as_str(), "Number" | "List<Number>");
        if numeric && number.is_none() {
            return Err(invalid(format!("Parameter '{name}' must be a number.")));
        }
        let figure = |bound: &Option<Value>| bound.as_ref().and_then(|bound| as_text(bound).parse::<f64>().ok());
        let allowed = self.allowed_values.as_ref();
        if allowed.is_some_and(|allowed| !allowed.iter().any(|one| as_text(one) == value)) {
            return refuse("must be one of AllowedValues".to_owned());
        }
        if let Some(pattern) = self.allowed_pattern.as_ref()
            && !matches_whole(pattern, value)?
        {
            return refuse(format!("must match pattern {pattern}"));
        }
        let length = value.chars().count() as f64;
        if let Some(min) = figure(&self.min_length).filter(|min| length < *min) {
            return refuse(format!("must contain at least {min} characters"));
        }
        if let Some(max) = figure(&self.max_length).filter(|max| length > *max) {
            return refuse(format!("must contain at most {max} characters"));
        }
        if let Some(min) = figure(&self.min_value).filter(|min| number.is_some_and(|number| number < *min)) {
            return refuse(format!("must be a number not less than {min}"));
        }
        if let Some(max) = figure(&self.max_value).filter(|max| number.is_some_and(|number| number > *max)) {
            return refuse(format!("must be a number not greater than {max}"));
        }
        Ok(())
    }
}

/// Whether the whole of `text` matches `pattern`. Arrow's kernel brings the engine; what Java's patterns have beyond it
/// is refused.
fn matches_whole(pattern: &str, text: &str) -> Result<bool, AwsError> {
    let texts = arrow::array::StringArray::from(vec![text]);
    let matches = arrow::compute::regexp_is_match_scalar(&texts, &format!("^(?:{pattern})$"), None);
    let matches = matches.map_err(|error| AwsError::not_modelled(format!("AllowedPattern {pattern}: {error}")))?;
    Ok(matches.value(0))
}
