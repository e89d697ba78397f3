//! Policy documents, read strictly: what is not understood is refused with its place, never passed over.

use serde_json::{Map, Value};

use super::keys::{known, known_variable};
use super::permissions::Action;
use crate::core::AwsError;
use crate::core::policy::{Condition, Pattern, Reading};

/// A policy document, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) allow: bool,
    /// The actions of the broker that it is about.
    pub(super) actions: Vec<Action>,
    pub(super) resources: Vec<Pattern>,
    /// Whether it is about all resources but these: `NotResource`.
    pub(super) but_resources: bool,
    pub(super) conditions: Vec<Condition>,
}

/// The other actions that policies of AWS IoT know, on retained messages, shadows, jobs and role aliases. They have no
/// effect on MQTT.
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

/// What is wrong, and where.
type Wrong = String;

impl Document {
    /// Reads a document of at most `size_max` characters, not counting white space. What is malformed and what is not
    /// modelled is refused alike, with `MalformedPolicyException` and the place.
    pub fn parse(text: &str, size_max: u64) -> Result<Document, AwsError> {
        read(text, size_max).map_err(|wrong| AwsError::new("MalformedPolicyException", wrong))
    }
}

fn read(text: &str, size_max: u64) -> Result<Document, Wrong> {
    let size = text.chars().filter(|c| !c.is_whitespace()).count() as u64;
    if size > size_max {
        return Err(format!("the policy document has {size} characters, at most {size_max} are allowed"));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("the policy document: {e}"))?;
    let Value::Object(members) = &value else { return Err("the policy document is no JSON object".to_owned()) };
    let mut variables = false;
    for (name, value) in members {
        match (name.as_str(), value.as_str()) {
            // Without a version a document is one of the older language, as in IAM (unverified here).
            ("Version", Some("2012-10-17")) => variables = true,
            ("Version", Some("2008-10-17")) | ("Id", Some(_)) | ("Statement", _) => {}
            ("Version", _) => return Err(format!("Version: there is no policy version {value}")),
            (other, _) => return Err(format!("{other} cannot stand in a policy document, or not as {value}")),
        }
    }
    let statements = match members.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
        Some(single @ Value::Object(_)) => vec![single],
        _ => return Err("a policy needs at least one statement".to_owned()),
    };
    let statements = statements
        .into_iter()
        .enumerate()
        .map(|(index, value)| statement(value, variables).map_err(|wrong| format!("Statement[{index}]{wrong}")));
    Ok(Document { statements: statements.collect::<Result<_, _>>()? })
}

fn statement(value: &Value, variables: bool) -> Result<Statement, Wrong> {
    let Value::Object(members) = value else { return Err(": a statement is a JSON object".to_owned()) };
    for (name, value) in members {
        match name.as_str() {
            "Effect" | "Action" | "NotAction" | "Resource" | "NotResource" | "Condition" => {}
            "Sid" if value.is_string() => {}
            _ => return Err(format!(".{name} cannot stand in a statement, or not as {value}")),
        }
    }
    let allow = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err(".Effect is Allow or Deny".to_owned()),
    };
    let (element, but_actions, patterns) = one_of(members, "Action", "NotAction")?;
    let mut covered = Vec::new();
    for pattern in patterns {
        covered.extend(actions(pattern).map_err(|wrong| format!(".{element}: {wrong}"))?);
    }
    let actions = Action::ALL.into_iter().filter(|action| covered.contains(action) != but_actions).collect();
    let (element, but_resources, patterns) = one_of(members, "Resource", "NotResource")?;
    let resources = patterns.into_iter().map(|text| resource(text, variables));
    let resources = resources.collect::<Result<_, _>>().map_err(|wrong| format!(".{element}: {wrong}"))?;
    let conditions = members.get("Condition").map_or(Ok(Vec::new()), |value| conditions(value, variables));
    let conditions = conditions.map_err(|wrong| format!(".Condition{wrong}"))?;
    Ok(Statement { allow, actions, resources, but_resources, conditions })
}

/// The name of the one of two elements that is there, whether that is the second, and its texts.
fn one_of<'v, 'n>(
    members: &'v Map<String, Value>,
    plain: &'n str,
    negated: &'n str,
) -> Result<(&'n str, bool, Vec<&'v str>), Wrong> {
    let (name, value, is_negated) = match (members.get(plain), members.get(negated)) {
        (Some(value), None) => (plain, value, false),
        (None, Some(value)) => (negated, value, true),
        (Some(_), Some(_)) => return Err(format!(": {plain} and {negated} exclude each other")),
        (None, None) => return Err(format!(": a statement has {plain} or {negated}")),
    };
    let wrong = || format!(".{name} is a text or a list of texts");
    let texts = match value {
        Value::String(text) => vec![text.as_str()],
        Value::Array(list) if !list.is_empty() => {
            list.iter().map(|item| item.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        _ => return Err(wrong()),
    };
    Ok((name, is_negated, texts))
}

/// The actions of the broker that a pattern covers. A pattern that covers no action of a policy at all is refused: such a
/// statement would grant nothing and say nothing.
fn actions(pattern: &str) -> Result<Vec<Action>, Wrong> {
    if pattern != "*" && !pattern.to_ascii_lowercase().starts_with("iot:") {
        return Err(format!("{pattern:?} is no action of AWS IoT that is modelled by this simulator"));
    }
    let covers = |name: &str| action_matches(pattern.as_bytes(), name.as_bytes());
    let actions: Vec<Action> = Action::ALL.into_iter().filter(|action| covers(action.name())).collect();
    if actions.is_empty() && !WITHOUT_EFFECT.into_iter().any(covers) {
        return Err(format!("{pattern:?} covers no action that policies of AWS IoT know (see docs/gaps.md)"));
    }
    Ok(actions)
}

/// Whether a pattern covers the name of an action, without regard to case.
fn action_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => action_matches(rest, name),
        (Some((b'*', rest)), Some((_, tail))) => action_matches(rest, name) || action_matches(pattern, tail),
        (Some((b'?', rest)), Some((_, tail))) => action_matches(rest, tail),
        (Some((p, rest)), Some((n, tail))) => p.eq_ignore_ascii_case(n) && action_matches(rest, tail),
        _ => false,
    }
}

fn resource(text: &str, variables: bool) -> Result<Pattern, Wrong> {
    if text != "*" && !text.starts_with("arn:") {
        return Err(format!("the resource {text:?} is neither an ARN nor *"));
    }
    Pattern::parse(text, Reading { variables, wildcards: true }, known_variable)
}

fn conditions(value: &Value, variables: bool) -> Result<Vec<Condition>, Wrong> {
    let Value::Object(operators) = value else { return Err(" is a JSON object of operators".to_owned()) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else { return Err(format!(".{operator} is a JSON object of keys")) };
        for (key, value) in keys {
            let place = |wrong: String| format!(".{operator}.{key}: {wrong}");
            let values = values(value).ok_or_else(|| place("values are texts, numbers and truth values".to_owned()))?;
            // A value with a variable is judged with the connection, so it cannot ask for what comes with the CONNECT.
            let known_in = |name: &str| if name == key { known(name) } else { known_variable(name) };
            conditions.push(Condition::parse(operator, key, &values, variables, known_in).map_err(place)?);
        }
    }
    Ok(conditions)
}

/// The values of a condition: one or several, or none at all, which matches nothing.
fn values(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        single => one(single).map(|text| vec![text]),
    }
}
