//! `AWS::KMS::Key` and `AWS::KMS::Alias`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::access::{Key, KeyState};
use crate::core::policy::{Document, Purpose};
use crate::core::{AwsError, Cx, Provisioned, Resource};

/// Most bytes of a key's policy (KMS facts).
const POLICY_BYTES_MAX: usize = 32_768;
/// Most aliases of a key (KMS facts).
const ALIASES_PER_KEY_MAX: usize = 50;
/// Days between rotations when none are named.
const ROTATION_DAYS: u64 = 365;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct KeyProperties {
    #[serde(default)]
    description: String,
    enabled: Option<bool>,
    #[serde(default)]
    enable_key_rotation: bool,
    rotation_period_in_days: Option<u64>,
    key_policy: Option<Value>,
    key_spec: Option<String>,
    key_usage: Option<String>,
    origin: Option<String>,
    multi_region: Option<bool>,
    pub(super) pending_window_in_days: Option<u64>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default, rename = "BypassPolicyLockoutSafetyCheck")]
    _bypass_policy_lockout_safety_check: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AliasProperties {
    alias_name: String,
    target_key_id: String,
}

/// Reads a key's policy.
pub(super) fn read_policy(policy: &Value) -> Result<Arc<Document>, AwsError> {
    let malformed = |why: String| AwsError::new("MalformedPolicyDocumentException", why);
    if policy.to_string().len() > POLICY_BYTES_MAX {
        return Err(AwsError::new(
            "LimitExceededException",
            format!("a key policy has {POLICY_BYTES_MAX} bytes at most"),
        ));
    }
    Document::parse(policy, Purpose::Resource).map(Arc::new).map_err(malformed)
}

/// The policy of keys that are created without one: the account decides.
fn default_policy(account: &str) -> Value {
    json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
        "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
    }]})
}

impl KeyProperties {
    fn check(&self, resource: &Resource) -> Result<(), AwsError> {
        for (member, value, only) in [
            ("KeySpec", &self.key_spec, "SYMMETRIC_DEFAULT"),
            ("KeyUsage", &self.key_usage, "ENCRYPT_DECRYPT"),
            ("Origin", &self.origin, "AWS_KMS"),
        ] {
            if let Some(other) = value.as_deref().filter(|value| *value != only) {
                return Err(resource.refuse(format!("{member} {other} is not modelled, only {only}")));
            }
        }
        if self.multi_region == Some(true) {
            return Err(resource.refuse("MultiRegion is not modelled"));
        }
        if self.rotation_period_in_days.is_some_and(|days| !(90..=2_560).contains(&days)) {
            return Err(AwsError::new("ValidationException", "RotationPeriodInDays is 90 to 2560"));
        }
        if self.pending_window_in_days.is_some_and(|days| !(7..=30).contains(&days)) {
            return Err(AwsError::new("ValidationException", "PendingWindowInDays is 7 to 30"));
        }
        Ok(())
    }

    /// Writes what the properties say to a key. Policy and state of a key that exists are written when the declaration
    /// changes them only: what was done to them since stays otherwise.
    pub(super) fn write(self, account: &str, key: &mut Key, previous: Option<&KeyProperties>) -> Result<(), AwsError> {
        if previous.is_none_or(|old| old.key_policy != self.key_policy) {
            let text = self.key_policy.unwrap_or_else(|| default_policy(account));
            key.policy = read_policy(&text)?;
            key.policy_text = text;
        }
        let enabled = self.enabled.unwrap_or(true);
        if previous.is_none_or(|old| old.enabled.unwrap_or(true) != enabled) {
            key.state = if enabled { KeyState::Enabled } else { KeyState::Disabled };
        }
        key.description = self.description;
        let days = self.rotation_period_in_days.unwrap_or(ROTATION_DAYS);
        key.rotation_days = self.enable_key_rotation.then_some(days);
        key.tags = self.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok(())
    }
}

pub(super) fn parse_key(resource: &Resource) -> Result<KeyProperties, AwsError> {
    let properties: KeyProperties = resource.parse()?;
    properties.check(resource)?;
    Ok(properties)
}

pub(super) fn create_key(cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
    let properties = parse_key(resource)?;
    let id = cx.uuid();
    let account = cx.account.id.clone();
    let text = default_policy(&account);
    let mut key = Key {
        arn: cx.account.arn("kms", &format!("key/{id}")),
        id: id.clone(),
        description: String::new(),
        created: cx.now,
        state: KeyState::Enabled,
        policy: read_policy(&text)?,
        policy_text: text,
        rotation_days: None,
        tags: BTreeMap::new(),
    };
    properties.write(&account, &mut key, None)?;
    let provisioned = described(&key);
    cx.access.keys.by_id.insert(id, key);
    cx.access.changed();
    Ok(provisioned)
}

pub(super) fn described(key: &Key) -> Provisioned {
    Provisioned::new(key.id.clone()).attribute("Arn", key.arn.clone()).attribute("KeyId", key.id.clone())
}

pub(super) fn create_alias(cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
    let properties: AliasProperties = resource.parse()?;
    let name = properties.alias_name.clone();
    if cx.access.keys.aliases.contains_key(&name) {
        let arn = cx.account.arn("kms", &name);
        return Err(AwsError::new("AlreadyExistsException", format!("An alias with the name {arn} already exists")));
    }
    properties.write(cx)?;
    Ok(Provisioned::new(name))
}

impl AliasProperties {
    /// Points the alias to its key.
    pub(super) fn write(self, cx: &mut Cx<'_>) -> Result<(), AwsError> {
        let name = &self.alias_name;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
        let rest = name.strip_prefix("alias/").filter(|rest| !rest.is_empty() && !rest.starts_with("aws/"));
        if !rest.is_some_and(|rest| rest.bytes().all(allowed)) || name.len() > 256 {
            return Err(AwsError::new("InvalidAliasNameException", format!("Invalid alias name {name}")));
        }
        let id = cx.access.keys.find(&self.target_key_id, cx.now)?.id.clone();
        let of_key = cx.access.keys.aliases.iter().filter(|(alias, key)| **key == id && *alias != name).count();
        if of_key >= ALIASES_PER_KEY_MAX {
            let message = format!("a key has at most {ALIASES_PER_KEY_MAX} aliases");
            return Err(AwsError::new("LimitExceededException", message));
        }
        cx.access.keys.aliases.insert(self.alias_name, id);
        cx.access.changed();
        Ok(())
    }
}
