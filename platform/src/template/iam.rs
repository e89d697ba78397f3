//! AWS IAM: roles with inline policies.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// Version of the policy language. Variables in resources need this one.
const VERSION: &str = "2012-10-17";

/// A policy document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
}

impl PolicyDocument {
    /// A document of these statements.
    pub fn new(statement: Vec<Statement>) -> Self {
        PolicyDocument { version: VERSION, statement }
    }
}

/// A statement that allows actions on resources. There is no other kind: what is not allowed is denied.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<Expr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

/// Values by condition key by operator.
type Condition = BTreeMap<&'static str, BTreeMap<&'static str, Expr>>;

impl Statement {
    /// This statement for resources of the stack's own account only. It belongs to the grants on a bucket that is known
    /// by its name alone: whoever else owns a bucket of that name must not be sent data.
    #[must_use]
    pub fn in_this_account_only(mut self) -> Self {
        let own = BTreeMap::from([("aws:ResourceAccount", Expr::account_id())]);
        self.condition = Some(BTreeMap::from([("StringEquals", own)]));
        self
    }
}

/// Allows `actions` on `resources`.
pub fn allow<const A: usize, const R: usize>(actions: [&'static str; A], resources: [Expr; R]) -> Statement {
    const { assert!(A > 0 && R > 0, "a statement names actions and resources") };
    Statement { effect: "Allow", action: actions.to_vec(), resource: resources.into(), condition: None }
}

/// `AWS::IAM::Role`, assumed by one AWS service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Role {
    role_name: String,
    assume_role_policy_document: TrustPolicy,
    policies: Vec<InlinePolicy>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TrustPolicy {
    version: &'static str,
    statement: [TrustStatement; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TrustStatement {
    effect: &'static str,
    principal: ServicePrincipal,
    action: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServicePrincipal {
    service: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InlinePolicy {
    policy_name: &'static str,
    policy_document: PolicyDocument,
}

impl Role {
    /// A role that `service` (such as `lambda.amazonaws.com`) assumes, with the policies (name, statements).
    pub fn for_service<const P: usize>(
        role_name: String,
        service: &'static str,
        policies: [(&'static str, Vec<Statement>); P],
    ) -> Self {
        let principal = ServicePrincipal { service };
        let policy =
            |(policy_name, statements)| InlinePolicy { policy_name, policy_document: PolicyDocument::new(statements) };
        Role {
            role_name,
            assume_role_policy_document: TrustPolicy {
                version: VERSION,
                statement: [TrustStatement { effect: "Allow", principal, action: "sts:AssumeRole" }],
            },
            policies: policies.into_iter().map(policy).collect(),
        }
    }
}

impl Resource for Role {
    const TYPE: &'static str = "AWS::IAM::Role";
}

impl Handle<Role> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}
