//! AWS IAM: the roles that services and functions act in.
//!
//! Modelled: `AWS::IAM::Role` with inline policies and a trust policy, kept as documents; names and the sizes of documents
//! within IAM's limits; the check that a service may assume the role that a resource names. Not modelled: evaluation of
//! identity policies (every signed call of a known principal is allowed); the Query API. Both are listed in
//! `docs/gaps.md`. Texts of errors are unverified.

mod change;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource};

/// Most characters of a role's name (IAM facts, "IAM limits").
const ROLE_NAME_CHARS_MAX: usize = 64;
/// Most characters of the name of an inline policy (`PutRolePolicy` in the API's model).
const POLICY_NAME_CHARS_MAX: usize = 128;

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
        check_name("roleName", &properties.role_name, ROLE_NAME_CHARS_MAX)?;
        for policy in &properties.policies {
            check_name("policyName", &policy.policy_name, POLICY_NAME_CHARS_MAX)?;
        }
        check_sizes(cx, resource, &properties)?;
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

/// `[\w+=,.@-]+` and a length.
fn check_name(member: &str, name: &str, chars_max: usize) -> Result<(), AwsError> {
    let constraint = if name.is_empty() {
        "Member must have length greater than or equal to 1".to_owned()
    } else if name.chars().count() > chars_max {
        format!("Member must have length less than or equal to {chars_max}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)) {
        "Member must satisfy regular expression pattern: [\\w+=,.@-]+".to_owned()
    } else {
        return Ok(());
    };
    let message =
        format!("1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: {constraint}");
    Err(AwsError::new("ValidationError", message))
}

fn check_sizes(cx: &Cx<'_>, resource: &Resource, properties: &RoleProperties) -> Result<(), AwsError> {
    let exceeded = |message: String| Err(AwsError::new("LimitExceeded", message).status(409));
    let trust_max = cx.limits.get("iam", "trust_policy");
    if size_chars(&resource.properties["AssumeRolePolicyDocument"]) > trust_max {
        return exceeded(format!("Cannot exceed quota for ACLSizePerRole: {trust_max}"));
    }
    let inline_max = cx.limits.get("iam", "inline_role");
    if properties.policies.iter().map(|policy| size_chars(&policy.policy_document)).sum::<u64>() > inline_max {
        let name = &properties.role_name;
        return exceeded(format!("Maximum policy size of {inline_max} bytes exceeded for role {name}"));
    }
    Ok(())
}

/// Characters of a document as IAM counts them: without white space.
fn size_chars(document: &Value) -> u64 {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cloud::core::Principal;
    use crate::cloud::core::cx::CxParts;
    use crate::world::seed::Seed;
    use crate::world::time::Time;
    use crate::world::trace::Trace;

    fn role(name: &str, services: usize, policies: &[(&str, usize)]) -> Value {
        let policies: Vec<Value> = policies
            .iter()
            .map(|(name, chars)| json!({"PolicyName": name, "PolicyDocument": {"Sid": "x".repeat(*chars)}}))
            .collect();
        let services = vec!["lambda.amazonaws.com"; services];
        json!({
            "RoleName": name,
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}],
            },
            "Policies": policies,
        })
    }

    fn create(properties: Value) -> Result<Provisioned, AwsError> {
        let caller = Principal::new("arn:aws:iam::123456789012:root");
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let resource = Resource {
            stack: "stack".to_owned(),
            logical_id: "Role".to_owned(),
            kind: "AWS::IAM::Role".to_owned(),
            properties,
        };
        Iam::default().provision(&mut parts.cx(Time::EPOCH, &caller), &resource)
    }

    #[test]
    fn a_role_within_the_limits_is_created() {
        let longest = "r".repeat(64);
        for properties in
            [role("a_b+c=d,e.f@g-h", 1, &[("p", 100)]), role(&longest, 60, &[("one", 5_000), ("two", 5_000)])]
        {
            let name = properties["RoleName"].as_str().unwrap().to_owned();
            let created = create(properties).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(created.attributes["Arn"], format!("arn:aws:iam::123456789012:role/{name}"));
        }
    }

    #[test]
    fn a_role_beyond_the_limits_is_refused() {
        for (properties, code, expected) in [
            (role("", 1, &[]), "ValidationError", "greater than or equal to 1"),
            (role(&"r".repeat(65), 1, &[]), "ValidationError", "'roleName' failed to satisfy constraint: Member must"),
            (role("a/b", 1, &[]), "ValidationError", "[\\w+=,.@-]+"),
            (role("r", 1, &[("a b", 1)]), "ValidationError", "'policyName'"),
            (role("r", 100, &[]), "LimitExceeded", "ACLSizePerRole: 2048"),
            (
                role("r", 1, &[("one", 5_200), ("two", 5_200)]),
                "LimitExceeded",
                "size of 10240 bytes exceeded for role r",
            ),
        ] {
            let error = create(properties).expect_err(expected);
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(expected), "{error}");
        }
    }

    #[test]
    fn white_space_does_not_count() {
        assert_eq!(size_chars(&json!({"Sid": " a b "})), "{\"Sid\":\"ab\"}".len() as u64);
    }
}
