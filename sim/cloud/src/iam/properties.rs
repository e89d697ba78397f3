//! Properties of IAM's resource types, and what IAM asks of names and sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{limit_exceeded, read_policy};
use crate::core::policy::Document;
use crate::core::{AccountInfo, AwsError, Cx, Resource};

/// Most characters of a role's name (IAM facts, "IAM limits").
pub(super) const ROLE_NAME_CHARS_MAX: usize = 64;
/// Most characters of the name of a policy (`PutRolePolicy` in the API's model).
const POLICY_NAME_CHARS_MAX: usize = 128;
/// Most tags of a user or role (CloudFormation's resource specification).
const TAGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RoleProperties {
    pub role_name: String,
    pub assume_role_policy_document: Value,
    #[serde(default)]
    pub policies: Vec<InlinePolicy>,
    #[serde(default)]
    pub managed_policy_arns: Vec<String>,
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    #[serde(default)]
    pub max_session_duration: Option<u64>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub tags: Vec<Tag>,
    #[serde(default)]
    pub path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UserProperties {
    pub user_name: String,
    #[serde(default)]
    pub policies: Vec<InlinePolicy>,
    #[serde(default)]
    pub managed_policy_arns: Vec<String>,
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ManagedPolicyProperties {
    pub managed_policy_name: Option<String>,
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
    pub policy_document: Value,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub users: Vec<String>,
}

/// `AWS::IAM::Policy`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PolicyProperties {
    pub policy_name: String,
    pub policy_document: Value,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(default)]
    pub users: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct InlinePolicy {
    pub policy_name: String,
    pub policy_document: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: String,
}

impl RoleProperties {
    /// Names, texts and sizes.
    pub fn check(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), AwsError> {
        check_name("roleName", &self.role_name, ROLE_NAME_CHARS_MAX)?;
        if self.path.as_deref().is_some_and(|path| path != "/") {
            return Err(resource.refuse("a Path is not modelled"));
        }
        if self.description.as_ref().is_some_and(|text| text.chars().count() > 1_000) {
            return Err(AwsError::new("ValidationError", "Description has at most 1000 characters"));
        }
        for policy in &self.policies {
            check_name("policyName", &policy.policy_name, POLICY_NAME_CHARS_MAX)?;
        }
        let trust_max = cx.limits.get("iam", "trust_policy");
        if size_chars(&self.assume_role_policy_document) > trust_max {
            return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {trust_max}")));
        }
        let inline_max = cx.limits.get("iam", "inline_role");
        if self.policies.iter().map(|policy| size_chars(&policy.policy_document)).sum::<u64>() > inline_max {
            let name = &self.role_name;
            return Err(limit_exceeded(format!("Maximum policy size of {inline_max} bytes exceeded for role {name}")));
        }
        Ok(())
    }
}

impl ManagedPolicyProperties {
    /// The ARN of the policy.
    pub fn arn(&self, account: &AccountInfo, resource: &Resource) -> Result<String, AwsError> {
        let Some(name) = &self.managed_policy_name else {
            return Err(resource.refuse("a generated ManagedPolicyName is not modelled: give one"));
        };
        check_name("policyName", name, POLICY_NAME_CHARS_MAX)?;
        let path = self.path.as_deref().unwrap_or("/");
        Ok(format!("arn:aws:iam::{}:policy{path}{name}", account.id))
    }

    /// The document, within its limit.
    pub fn read(&self, cx: &Cx<'_>) -> Result<Arc<Document>, AwsError> {
        let most = cx.limits.get("iam", "managed_policy_size");
        if size_chars(&self.policy_document) > most {
            return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {most}")));
        }
        read_policy(&self.policy_document)
    }
}

impl PolicyProperties {
    pub fn check(&self, cx: &Cx<'_>) -> Result<(), AwsError> {
        check_name("policyName", &self.policy_name, POLICY_NAME_CHARS_MAX)?;
        if self.roles.is_empty() && self.users.is_empty() {
            let message = "At least one of Groups, Roles or Users must be non-empty";
            return Err(AwsError::new("ValidationError", message));
        }
        let quota = if self.users.is_empty() { "inline_role" } else { "inline_user" };
        let most = cx.limits.get("iam", quota);
        if size_chars(&self.policy_document) > most {
            let name = &self.policy_name;
            return Err(limit_exceeded(format!("Maximum policy size of {most} bytes exceeded for {name}")));
        }
        Ok(())
    }
}

/// Inline policies by name.
pub(super) fn inline(policies: &[InlinePolicy]) -> Result<BTreeMap<String, Arc<Document>>, AwsError> {
    let mut read = BTreeMap::new();
    for policy in policies {
        let document = read_policy(&policy.policy_document);
        let document = document.map_err(|error| AwsError {
            message: format!("{} (in the policy {})", error.message, policy.policy_name),
            ..error
        })?;
        if read.insert(policy.policy_name.clone(), document).is_some() {
            return Err(AwsError::new("ValidationError", format!("two policies are named {}", policy.policy_name)));
        }
    }
    Ok(read)
}

/// Tags by key. Keys that differ in case only are one key.
pub(super) fn tags(tags: &[Tag]) -> Result<BTreeMap<String, String>, AwsError> {
    let mut read: BTreeMap<String, String> = BTreeMap::new();
    for tag in tags {
        if read.keys().any(|key| key.eq_ignore_ascii_case(&tag.key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(AwsError::new("InvalidInput", message));
        }
        read.insert(tag.key.clone(), tag.value.clone());
    }
    if read.len() > TAGS_MAX {
        return Err(limit_exceeded(format!("a user or role has at most {TAGS_MAX} tags")));
    }
    Ok(read)
}

/// `[\w+=,.@-]+` and a length.
pub(super) fn check_name(member: &str, name: &str, chars_max: usize) -> Result<(), AwsError> {
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

/// Characters of a document as IAM counts them: without white space.
pub(super) fn size_chars(document: &Value) -> u64 {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count() as u64
}
