//! Policy documents.

use serde_json::{Map, Value};

use super::permissions::{Action, matches};
use crate::core::AwsError;

/// A policy document, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) allow: bool,
    pub(super) actions: Vec<Action>,
    pub(super) resources: Vec<Resource>,
}

/// A resource: text and variables in turn.
pub(super) type Resource = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Variable(Variable),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    ClientId,
    SourceIp,
    ThingName,
    ThingTypeName,
    IsAttached,
    Attribute(Box<str>),
}

fn malformed(message: impl Into<String>) -> AwsError {
    AwsError::new("MalformedPolicyException", message)
}

impl Document {
    /// Parses a document of at most `size_max` characters, not counting white space.
    pub fn parse(text: &str, size_max: u64) -> Result<Document, AwsError> {
        let size = text.chars().filter(|c| !c.is_whitespace()).count() as u64;
        if size > size_max {
            return Err(malformed(format!(
                "the policy document has {size} characters, at most {size_max} are allowed"
            )));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| malformed(format!("the policy document: {e}")))?;
        let Value::Object(members) = &value else { return Err(malformed("the policy document is no JSON object")) };
        for name in members.keys() {
            if !matches!(name.as_str(), "Version" | "Statement") {
                return Err(unexpected(name, "a policy document"));
            }
        }
        match members.get("Version").and_then(Value::as_str) {
            Some("2012-10-17") => {}
            Some("2008-10-17") | None => return Err(AwsError::not_modelled("iot policy version 2008-10-17")),
            Some(other) => return Err(malformed(format!("there is no policy version {other:?}"))),
        }
        let statements = match members.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().map(statement).collect::<Result<_, _>>()?,
            Some(single @ Value::Object(_)) => vec![statement(single)?],
            _ => return Err(malformed("a policy needs at least one statement")),
        };
        Ok(Document { statements })
    }
}

fn unexpected(name: &str, place: &str) -> AwsError {
    match name {
        "Id" | "Condition" | "NotAction" | "NotResource" => {
            AwsError::not_modelled(format!("iot policy element {name}"))
        }
        _ => malformed(format!("{name} cannot stand in {place}")),
    }
}

fn statement(value: &Value) -> Result<Statement, AwsError> {
    let Value::Object(members) = value else { return Err(malformed("a statement is a JSON object")) };
    for (name, value) in members {
        match name.as_str() {
            "Effect" | "Action" | "Resource" => {}
            "Sid" if value.is_string() => {}
            _ => return Err(unexpected(name, "a statement")),
        }
    }
    let allow = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(malformed("Effect is Allow or Deny")),
    };
    let mut actions = Vec::new();
    for pattern in texts(members, "Action")? {
        for action in action(pattern)? {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    let resources = texts(members, "Resource")?.into_iter().map(resource).collect::<Result<_, _>>()?;
    Ok(Statement { allow, actions, resources })
}

fn texts<'v>(members: &'v Map<String, Value>, name: &str) -> Result<Vec<&'v str>, AwsError> {
    let wrong = || malformed(format!("{name} is a text or a list of texts"));
    match members.get(name) {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(list)) if !list.is_empty() => {
            list.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

/// The other actions that policies of AWS IoT know, on retained messages, shadows, jobs and role aliases. They have no
/// effect here: what they allow is refused anyway.
const WITHOUT_EFFECT: [&str; 11] = [
    "iot:GetRetainedMessage",
    "iot:ListRetainedMessages",
    "iot:GetThingShadow",
    "iot:UpdateThingShadow",
    "iot:DeleteThingShadow",
    "iot:ListNamedShadowsForThing",
    "iot:DescribeJobExecution",
    "iot:GetPendingJobExecutions",
    "iot:StartNextPendingJobExecution",
    "iot:UpdateJobExecution",
    "iot:AssumeRoleWithCertificate",
];

/// The actions of the broker that a pattern covers. A pattern that covers no action at all is refused: such a statement
/// would grant nothing and say nothing. How AWS answers it is not stated, hence as not modelled.
fn action(pattern: &str) -> Result<Vec<Action>, AwsError> {
    if pattern != "*" && !pattern.to_ascii_lowercase().starts_with("iot:") {
        return Err(malformed(format!("{pattern:?} is no action of AWS IoT")));
    }
    let lower = pattern.to_ascii_lowercase();
    let covers = |name: &str| matches(&lower, &name.to_ascii_lowercase());
    let actions: Vec<Action> = Action::ALL.into_iter().filter(|action| covers(action.name())).collect();
    if actions.is_empty() && !WITHOUT_EFFECT.into_iter().any(covers) {
        return Err(AwsError::not_modelled(format!("iot policy action {pattern}")));
    }
    Ok(actions)
}

fn resource(text: &str) -> Result<Resource, AwsError> {
    if text != "*" && !text.starts_with("arn:") {
        return Err(malformed(format!("the resource {text:?} is neither an ARN nor *")));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let length = rest[start..].find('}').ok_or_else(|| malformed(format!("a variable in {text:?} has no end")))?;
        if start > 0 {
            parts.push(Part::Text(rest[..start].into()));
        }
        parts.push(Part::Variable(variable(&rest[start + 2..start + length])?));
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

fn variable(name: &str) -> Result<Variable, AwsError> {
    match name {
        "iot:ClientId" => return Ok(Variable::ClientId),
        "aws:SourceIp" => return Ok(Variable::SourceIp),
        _ => {}
    }
    let of_thing = name.strip_prefix("iot:Connection.Thing.").map(|rest| match rest {
        "ThingName" => Some(Variable::ThingName),
        "ThingTypeName" => Some(Variable::ThingTypeName),
        "IsAttached" => Some(Variable::IsAttached),
        _ => {
            let attribute = rest.strip_prefix("Attributes[")?.strip_suffix(']')?;
            Some(Variable::Attribute(attribute.into()))
        }
    });
    of_thing.flatten().ok_or_else(|| AwsError::not_modelled(format!("iot policy variable ${{{name}}}")))
}
