//! Policy documents, read strictly: what is not understood is refused, never passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::condition::Condition;
use super::keys::known;
use super::pattern::{Pattern, Reading};

/// What a document is for. It decides which elements a statement must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A policy of a user or role, a boundary, or the policy of a session.
    Identity,
    /// A policy of a resource: it names principals.
    Resource,
    /// Who may assume a role: it names principals and no resource.
    Trust,
}

/// A policy document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub(super) statements: Vec<Statement>,
}

/// A list of patterns, or everything but what they match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed<T> {
    pub negated: bool,
    pub items: Vec<T>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub allow: bool,
    pub actions: Listed<Pattern>,
    /// Absent in trust policies.
    pub resources: Option<Listed<Pattern>>,
    /// Present in policies of resources and trust policies.
    pub principals: Option<Listed<PrincipalPattern>>,
    pub conditions: Vec<Condition>,
}

/// Whom a statement of a resource's policy is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PrincipalPattern {
    /// `*`
    Anyone,
    /// An account, by its id or the ARN of its root.
    Account(Box<str>),
    /// A user, a role or a session, by its ARN.
    Arn(Box<str>),
    /// A service, such as `firehose.amazonaws.com`.
    Service(Box<str>),
    /// An identity provider.
    Federated(Box<str>),
}

impl Document {
    /// Reads a document. The error says what is wrong, for people.
    pub fn parse(value: &Value, purpose: Purpose) -> Result<Document, String> {
        let Value::Object(members) = value else { return Err("a policy document is a JSON object".to_owned()) };
        let mut variables = false;
        let mut statements = None;
        for (name, value) in members {
            match (name.as_str(), value) {
                ("Version", Value::String(version)) => match version.as_str() {
                    "2012-10-17" => variables = true,
                    "2008-10-17" => {}
                    other => return Err(format!("the version {other:?} of the policy language does not exist")),
                },
                ("Id", Value::String(_)) => {}
                ("Statement", value) => statements = Some(value),
                (other, _) => return Err(format!("unknown or malformed element {other}")),
            }
        }
        let statements = match statements {
            None => return Err("a policy has a Statement".to_owned()),
            Some(Value::Array(items)) => items.iter().collect(),
            Some(one) => vec![one],
        };
        if statements.is_empty() {
            return Err("a policy has at least one statement".to_owned());
        }
        let reader = Reader { purpose, variables };
        let statements =
            statements.into_iter().map(|statement| reader.statement(statement)).collect::<Result<_, _>>()?;
        Ok(Document { statements })
    }

    /// Reads a document from its text.
    pub fn parse_text(text: &str, purpose: Purpose) -> Result<Document, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("the policy is no JSON: {error}"))?;
        Document::parse(&value, purpose)
    }

    /// One document that says what all of these say; nothing when there are none.
    pub fn together(documents: &[std::sync::Arc<Document>]) -> Option<std::sync::Arc<Document>> {
        match documents {
            [] => None,
            [one] => Some(std::sync::Arc::clone(one)),
            many => {
                let statements = many.iter().flat_map(|document| document.statements.clone()).collect();
                Some(std::sync::Arc::new(Document { statements }))
            }
        }
    }

    /// The services whose actions the document allows by name, in alphabetical order.
    pub fn services(&self) -> BTreeSet<&str> {
        let allowed = self.statements.iter().filter(|statement| statement.allow && !statement.actions.negated);
        allowed.flat_map(|statement| statement.actions.items.iter().filter_map(Pattern::before_colon)).collect()
    }

    /// The same document without what it allows of a service by name; nothing when that leaves no statement.
    pub fn without_service(&self, service: &str) -> Option<Document> {
        let mut statements = self.statements.clone();
        for statement in statements.iter_mut().filter(|statement| statement.allow && !statement.actions.negated) {
            statement.actions.items.retain(|action| action.before_colon() != Some(service));
        }
        statements.retain(|statement| !statement.actions.items.is_empty());
        (!statements.is_empty()).then_some(Document { statements })
    }

    /// The same document without its statement number `index`: for tests of what a grant is needed for.
    #[cfg(test)]
    pub(super) fn without(&self, index: usize) -> Document {
        let mut statements = self.statements.clone();
        statements.remove(index);
        Document { statements }
    }
}

struct Reader {
    purpose: Purpose,
    variables: bool,
}

/// A text or a list of texts.
pub(super) fn texts(element: &str, value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Array(items) if !items.is_empty() => items.iter().collect(),
        Value::Array(_) => return Err(format!("{element} is an empty list")),
        one => vec![one],
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(truth) => Ok(truth.to_string()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(format!("{element} holds texts")),
        })
        .collect()
}

impl Reader {
    fn statement(&self, value: &Value) -> Result<Statement, String> {
        let Value::Object(members) = value else { return Err("a statement is a JSON object".to_owned()) };
        let (mut allow, mut actions, mut resources, mut principals, mut conditions) =
            (None, None, None, None, Vec::new());
        for (name, value) in members {
            let twice = match name.as_str() {
                "Sid" if value.is_string() => false,
                "Effect" => allow.replace(effect(value)?).is_some(),
                "Action" | "NotAction" => actions.replace(self.actions(name, value)?).is_some(),
                "Resource" | "NotResource" => resources.replace(self.resources(name, value)?).is_some(),
                "Principal" | "NotPrincipal" => principals.replace(self.principals(name, value)?).is_some(),
                "Condition" => {
                    conditions = self.conditions(value)?;
                    false
                }
                other => return Err(format!("unknown or malformed element {other} in a statement")),
            };
            if twice {
                return Err(format!("a statement has {name} beside its opposite"));
            }
        }
        let allow = allow.ok_or("a statement has an Effect")?;
        match (self.purpose, resources.is_some(), principals.is_some()) {
            (Purpose::Identity, _, true) => return Err("a policy of an identity names no Principal".to_owned()),
            (Purpose::Identity | Purpose::Resource, false, _) => return Err("a statement has a Resource".to_owned()),
            (Purpose::Resource | Purpose::Trust, _, false) => return Err("a statement has a Principal".to_owned()),
            (Purpose::Trust, true, _) => return Err("a trust policy names no Resource".to_owned()),
            _ => {}
        }
        if allow && principals.as_ref().is_some_and(|listed: &Listed<_>| listed.negated) {
            return Err("NotPrincipal stands with Deny only".to_owned());
        }
        let actions = actions.ok_or("a statement has an Action")?;
        Ok(Statement { allow, actions, resources, principals, conditions })
    }

    fn actions(&self, element: &str, value: &Value) -> Result<Listed<Pattern>, String> {
        let reading = Reading { variables: false, wildcards: true };
        let items = texts(element, value)?.into_iter().map(|text| {
            let service = text.split_once(':').map(|(service, action)| (service, action.is_empty()));
            let named = service.is_some_and(|(service, empty)| {
                !service.is_empty() && !empty && service.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            });
            if text != "*" && !named {
                return Err(format!("the action {text:?} has no vendor prefix, such as s3:"));
            }
            if self.purpose == Purpose::Trust && !text.to_ascii_lowercase().starts_with("sts:") {
                return Err(format!("a trust policy is about actions of sts, not {text}"));
            }
            Pattern::parse(&text, reading, known)
        });
        Ok(Listed { negated: element == "NotAction", items: items.collect::<Result<_, _>>()? })
    }

    fn resources(&self, element: &str, value: &Value) -> Result<Listed<Pattern>, String> {
        let reading = Reading { variables: self.variables, wildcards: true };
        let items = texts(element, value)?.into_iter().map(|text| {
            if text != "*" && !(text.starts_with("arn:") && text.splitn(6, ':').count() == 6) {
                return Err(format!("the resource {text:?} must be in ARN format or \"*\""));
            }
            Pattern::parse(&text, reading, known)
        });
        Ok(Listed { negated: element == "NotResource", items: items.collect::<Result<_, _>>()? })
    }

    fn principals(&self, element: &str, value: &Value) -> Result<Listed<PrincipalPattern>, String> {
        let mut items = Vec::new();
        match value {
            Value::String(any) if any == "*" => items.push(PrincipalPattern::Anyone),
            Value::Object(kinds) if !kinds.is_empty() => {
                for (kind, value) in kinds {
                    for text in texts(kind, value)? {
                        items.push(principal(kind, text)?);
                    }
                }
            }
            _ => return Err(format!("{element} is \"*\" or an object")),
        }
        Ok(Listed { negated: element == "NotPrincipal", items })
    }

    fn conditions(&self, value: &Value) -> Result<Vec<Condition>, String> {
        let object = |value: &Value| -> Result<Map<String, Value>, String> {
            value.as_object().cloned().ok_or_else(|| "a Condition holds operators, which hold keys".to_owned())
        };
        let mut conditions = Vec::new();
        for (operator, keys) in object(value)? {
            for (key, values) in object(&keys)? {
                conditions.push(Condition::parse(&operator, &key, &texts(&key, &values)?, self.variables, known)?);
            }
        }
        Ok(conditions)
    }
}

fn effect(value: &Value) -> Result<bool, String> {
    match value.as_str() {
        Some("Allow") => Ok(true),
        Some("Deny") => Ok(false),
        _ => Err(format!("the effect {value} is neither Allow nor Deny")),
    }
}

fn principal(kind: &str, text: String) -> Result<PrincipalPattern, String> {
    let account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "AWS" if text == "*" => Ok(PrincipalPattern::Anyone),
        "AWS" if account(&text) => Ok(PrincipalPattern::Account(text.into())),
        "AWS" => {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            match parts[..] {
                ["arn", _, "iam", "", id, "root"] if account(id) => Ok(PrincipalPattern::Account(id.into())),
                ["arn", _, "iam", "", id, name] | ["arn", _, "sts", "", id, name]
                    if account(id) && !text.contains('*') && name.contains('/') =>
                {
                    Ok(PrincipalPattern::Arn(text.into()))
                }
                _ => Err(format!("invalid principal in policy: {text}")),
            }
        }
        "Service" if text.contains('.') && !text.contains('*') => Ok(PrincipalPattern::Service(text.into())),
        "Federated" if !text.is_empty() => Ok(PrincipalPattern::Federated(text.into())),
        "CanonicalUser" => Err("principals by canonical user id are not modelled by this simulator".to_owned()),
        _ => Err(format!("invalid principal in policy: {kind}: {text}")),
    }
}
