//! AWS IAM: roles with inline policies, managed policies, and the policy documents that resources carry.

mod statement;

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

pub use statement::{PolicyDocument, Principal, Statement, allow, allow_all_but, deny, deny_all_but};

/// `AWS::IAM::Role`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Role {
    role_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    assume_role_policy_document: PolicyDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<Expr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<InlinePolicy>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InlinePolicy {
    policy_name: &'static str,
    policy_document: PolicyDocument,
}

impl Role {
    /// A role that `service` (such as `lambda.amazonaws.com`) assumes, with the policies (name, statements).
    pub fn for_service(
        role_name: String,
        service: &'static str,
        policies: impl IntoIterator<Item = (&'static str, Vec<Statement>)>,
    ) -> Self {
        let trust = allow(["sts:AssumeRole"], []).to(Principal::Service(vec![service.into()]));
        Role::trusting(role_name, [trust], policies)
    }

    /// A role that is assumed as the statements of `trust` say, with the policies (name, statements).
    pub fn trusting<const T: usize>(
        role_name: String,
        trust: [Statement; T],
        policies: impl IntoIterator<Item = (&'static str, Vec<Statement>)>,
    ) -> Self {
        let policy =
            |(policy_name, statements)| InlinePolicy { policy_name, policy_document: PolicyDocument::new(statements) };
        Role {
            role_name,
            description: None,
            assume_role_policy_document: PolicyDocument::new(trust.into()),
            permissions_boundary: None,
            policies: policies.into_iter().map(policy).collect(),
        }
    }

    /// This role with a sentence for people.
    #[must_use]
    pub fn described(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// This role, never able to do more than the managed policy with the ARN `boundary` allows.
    #[must_use]
    pub fn bounded_by(mut self, boundary: Expr) -> Self {
        self.permissions_boundary = Some(boundary);
        self
    }

    /// This role, assumed by the service only when it acts for this account. Without it, whoever can make the service act
    /// on a role's ARN could use the role from another account (IAM guide, "The confused deputy problem"). For services
    /// that send `aws:SourceAccount` when they assume a role.
    #[must_use]
    pub fn for_this_account_only(mut self) -> Self {
        let statements = std::mem::take(&mut self.assume_role_policy_document.statement);
        self.assume_role_policy_document.statement = statements
            .into_iter()
            .map(|statement| statement.when("StringEquals", "aws:SourceAccount", Expr::account_id()))
            .collect();
        self
    }

    /// This role, assumed by the service only on behalf of the resources whose ARN is like `source`. For services that send
    /// `aws:SourceArn` when they assume a role.
    #[must_use]
    pub fn for_source(mut self, source: Expr) -> Self {
        let statements = std::mem::take(&mut self.assume_role_policy_document.statement);
        self.assume_role_policy_document.statement = statements
            .into_iter()
            .map(|statement| statement.when("ArnLike", "aws:SourceArn", source.clone()))
            .collect();
        self
    }
}

impl Resource for Role {
    const TYPE: &'static str = "AWS::IAM::Role";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Role> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }

    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::IAM::ManagedPolicy`. CloudFormation takes no tags for it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedPolicy {
    /// Name.
    pub managed_policy_name: String,
    /// For people.
    pub description: &'static str,
    /// What it allows and denies.
    pub policy_document: PolicyDocument,
    /// Names of the roles that it is attached to; none for a boundary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Expr>,
}

impl Resource for ManagedPolicy {
    const TYPE: &'static str = "AWS::IAM::ManagedPolicy";
}

impl Handle<ManagedPolicy> {
    /// ARN.
    pub fn arn(&self) -> Expr {
        self.reference()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_says_who_assumes_it_for_whom_and_within_which_bounds() {
        let role = Role::for_service("r".to_owned(), "scheduler.amazonaws.com", [("p", vec![])])
            .described("Starts the function.")
            .bounded_by("boundary".into())
            .for_this_account_only()
            .for_source("source".into());
        let expected = json!({
            "RoleName": "r",
            "Description": "Starts the function.",
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "scheduler.amazonaws.com" },
                "Action": "sts:AssumeRole",
                "Condition": {
                    "ArnLike": { "aws:SourceArn": "source" },
                    "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } },
                },
            }] },
            "PermissionsBoundary": "boundary",
            "Policies": [{ "PolicyName": "p", "PolicyDocument": { "Version": "2012-10-17", "Statement": [] } }],
        });
        assert_eq!(serde_json::to_value(role).unwrap(), expected);
    }
}
