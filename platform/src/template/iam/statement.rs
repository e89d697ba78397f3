//! Statements of policy documents.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::template::Expr;

/// Version of the policy language. Variables in resources need this one.
const VERSION: &str = "2012-10-17";

/// A policy document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    pub(super) statement: Vec<Statement>,
}

impl PolicyDocument {
    /// A document of these statements.
    pub fn new(statement: Vec<Statement>) -> Self {
        PolicyDocument { version: VERSION, statement }
    }
}

/// Who a statement of a resource's policy, or of a role's trust policy, speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// AWS services, such as `lambda.amazonaws.com`.
    Service(Vec<Expr>),
    /// Accounts, roles or users, by ARN.
    Aws(Vec<Expr>),
    /// Users of an identity provider, such as `cognito-identity.amazonaws.com`.
    Federated(Expr),
    /// Everybody. In a statement that allows, a condition must say who is meant.
    Anyone,
}

impl Principal {
    /// The account itself: its IAM policies decide who in it may act.
    pub fn this_account() -> Self {
        Principal::Aws(vec![Expr::global_arn("iam", "root")])
    }

    /// One AWS service.
    pub fn service(name: impl Into<Expr>) -> Self {
        Principal::Service(vec![name.into()])
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, names) = match self {
            Principal::Anyone => return serializer.serialize_str("*"),
            Principal::Service(names) => ("Service", OneOrMany(names)),
            Principal::Aws(names) => ("AWS", OneOrMany(names)),
            Principal::Federated(name) => ("Federated", OneOrMany(std::slice::from_ref(name))),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(kind, &names)?;
        map.end()
    }
}

/// A list that is written without brackets when it holds one item.
struct OneOrMany<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for OneOrMany<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

/// A statement: what is allowed or denied, on what, to whom, when.
///
/// It is written with the members that it needs: a trust policy names no resources, the policy of a role no principal.
#[derive(Clone, Debug)]
pub struct Statement {
    sid: Option<&'static str>,
    effect: &'static str,
    principal: Option<Principal>,
    actions: Vec<&'static str>,
    /// Whether the actions are those that are left out.
    all_but: bool,
    resources: Vec<Expr>,
    conditions: Conditions,
}

/// Values by condition key by operator.
type Conditions = BTreeMap<&'static str, BTreeMap<&'static str, Vec<Expr>>>;

impl Statement {
    fn new<const A: usize, const R: usize>(
        effect: &'static str,
        all_but: bool,
        actions: [&'static str; A],
        resources: [Expr; R],
    ) -> Self {
        const { assert!(A > 0, "a statement names actions") };
        let (actions, resources) = (actions.to_vec(), resources.into());
        Statement { sid: None, effect, principal: None, actions, all_but, resources, conditions: Conditions::new() }
    }

    /// This statement with a name: letters and digits.
    #[must_use]
    pub fn named(mut self, sid: &'static str) -> Self {
        self.sid = Some(sid);
        self
    }

    /// This statement for a principal: in the policy of a resource or in a trust policy.
    #[must_use]
    pub fn to(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// This statement when the condition key has one of the values, by an operator such as `StringEquals`. All conditions
    /// of a statement must hold. A key that is given again with the same operator takes the values beside those it had.
    #[must_use]
    pub fn when_any<V: Into<Expr>>(
        mut self,
        operator: &'static str,
        key: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let all = self.conditions.entry(operator).or_default().entry(key).or_default();
        all.extend(values.into_iter().map(Into::into));
        self
    }

    /// This statement when the condition key has the value, by an operator such as `StringEquals`.
    #[must_use]
    pub fn when(self, operator: &'static str, key: &'static str, value: impl Into<Expr>) -> Self {
        self.when_any(operator, key, [value])
    }

    /// This statement for resources of the stack's own account only. It belongs to the grants on a bucket that is known
    /// by its name alone: whoever else owns a bucket of that name must not be sent data.
    #[must_use]
    pub fn in_this_account_only(self) -> Self {
        self.when("StringEquals", "aws:ResourceAccount", Expr::account_id())
    }

    /// This statement for calls that a service makes to KMS on behalf of the principal, such as `s3`. Without it a
    /// principal could use a key directly.
    #[must_use]
    pub fn via_service(self, service: &'static str) -> Self {
        let host = Expr::concat([format!("{service}.").into(), Expr::region(), ".amazonaws.com".into()]);
        self.when("StringEquals", "kms:ViaService", host)
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(sid) = self.sid {
            map.serialize_entry("Sid", sid)?;
        }
        map.serialize_entry("Effect", self.effect)?;
        if let Some(principal) = &self.principal {
            map.serialize_entry("Principal", principal)?;
        }
        let actions = if self.all_but { "NotAction" } else { "Action" };
        if self.resources.is_empty() {
            map.serialize_entry(actions, &OneOrMany(&self.actions))?;
        } else {
            map.serialize_entry(actions, &self.actions)?;
            map.serialize_entry("Resource", &self.resources)?;
        }
        if !self.conditions.is_empty() {
            let written = |(operator, keys): (&&'static str, &BTreeMap<&'static str, Vec<Expr>>)| {
                let keys: BTreeMap<_, _> = keys
                    .iter()
                    .map(|(key, values)| Ok((*key, serde_json::to_value(OneOrMany(values))?)))
                    .collect::<Result<_, serde_json::Error>>()?;
                Ok((*operator, keys))
            };
            let conditions: BTreeMap<_, _> = self
                .conditions
                .iter()
                .map(written)
                .collect::<Result<_, serde_json::Error>>()
                .map_err(serde::ser::Error::custom)?;
            map.serialize_entry("Condition", &conditions)?;
        }
        map.end()
    }
}

/// Allows `actions` on `resources`. Without resources it is a statement of a trust policy.
pub fn allow<const A: usize, const R: usize>(actions: [&'static str; A], resources: [Expr; R]) -> Statement {
    Statement::new("Allow", false, actions, resources)
}

/// Denies `actions` on `resources`, whatever else allows them.
pub fn deny<const A: usize, const R: usize>(actions: [&'static str; A], resources: [Expr; R]) -> Statement {
    Statement::new("Deny", false, actions, resources)
}

/// Allows every action but `actions` on `resources`: for the bounds of a boundary, never for a grant.
pub fn allow_all_but<const A: usize, const R: usize>(actions: [&'static str; A], resources: [Expr; R]) -> Statement {
    Statement::new("Allow", true, actions, resources)
}

/// Denies every action but `actions` on `resources`.
pub fn deny_all_but<const A: usize, const R: usize>(actions: [&'static str; A], resources: [Expr; R]) -> Statement {
    Statement::new("Deny", true, actions, resources)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn statements_are_written_with_the_members_that_they_need() {
        let cases: [(Statement, Value); 6] = [
            (
                allow(["s3:GetObject"], ["a".into(), "b".into()]),
                json!({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["a", "b"]}),
            ),
            (
                allow(["sts:AssumeRole"], []).to(Principal::service("lambda.amazonaws.com")),
                json!({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}),
            ),
            (
                deny(["s3:*"], ["a".into()]).named("NoTls").to(Principal::Anyone).when(
                    "Bool",
                    "aws:SecureTransport",
                    "false",
                ),
                json!({"Sid": "NoTls", "Effect": "Deny", "Principal": "*", "Action": ["s3:*"], "Resource": ["a"],
                       "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
            ),
            (
                deny_all_but(["iam:PassRole"], ["*".into()]),
                json!({"Effect": "Deny", "NotAction": ["iam:PassRole"], "Resource": ["*"]}),
            ),
            (
                allow(["kms:Decrypt"], ["k".into()]).via_service("s3").in_this_account_only(),
                json!({"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": ["k"], "Condition": {"StringEquals": {
                    "aws:ResourceAccount": {"Ref": "AWS::AccountId"},
                    "kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"},
                }}}),
            ),
            (
                allow(["kms:*"], ["*".into()]).to(Principal::this_account()).when("A", "k", "1").when_any(
                    "A",
                    "k",
                    ["2", "3"],
                ),
                json!({"Effect": "Allow", "Action": ["kms:*"], "Resource": ["*"],
                       "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
                       "Condition": {"A": {"k": ["1", "2", "3"]}}}),
            ),
        ];
        for (statement, expected) in cases {
            assert_eq!(serde_json::to_value(&statement).unwrap(), expected, "{statement:?}");
        }
    }
}
