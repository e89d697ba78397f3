//! AWS IAM: the roles that services and functions act in.
//!
//! Modelled: `AWS::IAM::Role` with inline policies and a trust policy, kept as documents; the check that a service may
//! assume the role that a resource names. Not modelled: evaluation of identity policies (every signed call of a known
//! principal is allowed); the Query API. Both are listed in `docs/gaps.md`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Name, unique in the account.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// Services that may assume the role, such as `lambda.amazonaws.com`.
    pub trusted_services: Vec<String>,
    /// Inline policies by name.
    pub policies: BTreeMap<String, Value>,
}

/// The roles of the account.
#[derive(Debug, Default)]
pub struct Iam {
    roles: BTreeMap<String, Role>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RoleProperties {
    role_name: String,
    assume_role_policy_document: TrustPolicy,
    #[serde(default)]
    policies: Vec<InlinePolicy>,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct InlinePolicy {
    policy_name: String,
    policy_document: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TrustPolicy {
    #[serde(rename = "Version")]
    _version: String,
    statement: Vec<TrustStatement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TrustStatement {
    effect: String,
    principal: TrustPrincipal,
    action: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TrustPrincipal {
    service: OneOrMany,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Iam {
    /// Creates `AWS::IAM::Role`. `Ref` is the name; attributes `Arn` and `RoleId`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::IAM::Role" {
            return Err(resource.refuse("this resource type is not modelled"));
        }
        let properties: RoleProperties = resource.parse()?;
        let mut trusted_services = Vec::new();
        for statement in properties.assume_role_policy_document.statement {
            if statement.effect != "Allow" || statement.action != "sts:AssumeRole" {
                return Err(resource.refuse("only Allow sts:AssumeRole is modelled in a trust policy"));
            }
            match statement.principal.service {
                OneOrMany::One(service) => trusted_services.push(service),
                OneOrMany::Many(services) => trusted_services.extend(services),
            }
        }
        let name = properties.role_name;
        if self.roles.contains_key(&name) {
            return Err(
                AwsError::new("EntityAlreadyExists", format!("Role with name {name} already exists.")).status(409)
            );
        }
        let arn = format!("arn:aws:iam::{}:role/{name}", cx.account.id);
        let policies = properties.policies.into_iter().map(|p| (p.policy_name, p.policy_document)).collect();
        self.roles.insert(name.clone(), Role { name: name.clone(), arn: arn.clone(), trusted_services, policies });
        cx.meter.call("iam", "CreateRole", Outcome::Ok);
        let role_id = format!("AROA{}", &cx.uuid().replace('-', "").to_uppercase()[..17]);
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("RoleId", role_id))
    }

    /// The role with this ARN.
    pub fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.arn == arn)
    }

    /// Checks that `service` (such as `lambda.amazonaws.com`) may assume the role.
    pub fn check_assumable(&self, arn: &str, service: &str) -> Result<(), AwsError> {
        match self.role(arn) {
            None => Err(AwsError::new("ValidationError", format!("the role {arn} does not exist"))),
            Some(role) if !role.trusted_services.iter().any(|s| s == service) => {
                Err(AwsError::new("ValidationError", format!("the role {arn} cannot be assumed by {service}")))
            }
            Some(_) => Ok(()),
        }
    }
}
