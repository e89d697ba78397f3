//! The JSON interface.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Kms;
use super::change::{PENDING_DAYS, days, pending};
use super::provision::read_policy;
use crate::core::access::{Ask, Key, KeyState, is_denial};
use crate::core::{AwsError, Cx, Outcome};

/// The operations that are modelled.
const OPERATIONS: [&str; 10] = [
    "CancelKeyDeletion",
    "DescribeKey",
    "DisableKey",
    "EnableKey",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListKeys",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
];

/// Operations that AWS has and this service refuses.
const NOT_MODELLED: [&str; 33] = [
    "CreateAlias",
    "CreateCustomKeyStore",
    "CreateGrant",
    "CreateKey",
    "Decrypt",
    "DeleteAlias",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DescribeCustomKeyStores",
    "DisableKeyRotation",
    "EnableKeyRotation",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GenerateRandom",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListGrants",
    "ListKeyPolicies",
    "ListResourceTags",
    "ReEncrypt",
    "ReplicateKey",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OfKey {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScheduleKeyDeletion {
    key_id: String,
    pending_window_in_days: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyPolicy {
    key_id: String,
    policy_name: Option<String>,
    policy: Option<String>,
    #[serde(default, rename = "BypassPolicyLockoutSafetyCheck")]
    _bypass_policy_lockout_safety_check: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    key_id: Option<String>,
    limit: Option<usize>,
    marker: Option<String>,
}

fn parse<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("unknown field") {
            AwsError::not_modelled(format!("kms {operation}: {text}"))
        } else if text.starts_with("missing field") {
            AwsError::new("ValidationException", format!("1 validation error detected: {text}"))
        } else {
            AwsError::serialization(text)
        }
    })
}

impl Kms {
    /// Answers one call of the JSON API.
    pub fn call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let Some(name) = OPERATIONS.iter().find(|name| **name == operation) else {
            return Err(if NOT_MODELLED.contains(&operation) {
                AwsError::not_modelled(format!("kms {operation}"))
            } else {
                AwsError::unknown_operation(operation)
            });
        };
        let result = answer(cx, name, body);
        cx.meter.call("kms", name, result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok));
        result.map(|answer| if answer.is_null() { Vec::new() } else { answer.to_string().into_bytes() })
    }
}

fn answer(cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
    match name {
        "ListAliases" | "ListKeys" => list(cx, name, body),
        "GetKeyPolicy" | "PutKeyPolicy" => key_policy(cx, name, body),
        "ScheduleKeyDeletion" => {
            let request: ScheduleKeyDeletion = parse(name, body)?;
            let window = request.pending_window_in_days.unwrap_or(PENDING_DAYS);
            if !(7..=30).contains(&window) {
                return Err(AwsError::new("ValidationException", "PendingWindowInDays is 7 to 30"));
            }
            permit(cx, name, &request.key_id)?;
            let at = cx.now + days(window);
            let arn = change(cx, &request.key_id, |key| match key.state {
                KeyState::PendingDeletion(_) => Err(pending(key)),
                _ => {
                    key.state = KeyState::PendingDeletion(at);
                    Ok(())
                }
            })?;
            let deletion = at.epoch_seconds();
            Ok(json!({"KeyId": arn, "DeletionDate": deletion, "KeyState": "PendingDeletion",
                      "PendingWindowInDays": window}))
        }
        _ => of_key(cx, name, body),
    }
}

/// Operations that take a key and nothing else.
fn of_key(cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
    let request: OfKey = parse(name, body)?;
    permit(cx, name, &request.key_id)?;
    match name {
        "DescribeKey" => {
            let key = cx.access.keys.find(&request.key_id, cx.now)?;
            Ok(json!({"KeyMetadata": metadata(key, &cx.account.id)}))
        }
        "GetKeyRotationStatus" => {
            let key = cx.access.keys.find(&request.key_id, cx.now)?;
            let mut status = json!({"KeyId": key.arn, "KeyRotationEnabled": key.rotation_days.is_some()});
            if let Some(days) = key.rotation_days {
                status["RotationPeriodInDays"] = days.into();
            }
            Ok(status)
        }
        "CancelKeyDeletion" => {
            let arn = change(cx, &request.key_id, |key| match key.state {
                KeyState::PendingDeletion(_) => {
                    key.state = KeyState::Disabled;
                    Ok(())
                }
                _ => Err(AwsError::new("KMSInvalidStateException", format!("{} is not pending deletion.", key.arn))),
            })?;
            Ok(json!({ "KeyId": arn }))
        }
        _ => {
            let state = if name == "EnableKey" { KeyState::Enabled } else { KeyState::Disabled };
            change(cx, &request.key_id, |key| match key.state {
                KeyState::PendingDeletion(_) => Err(pending(key)),
                _ => {
                    key.state = state;
                    Ok(())
                }
            })?;
            Ok(Value::Null)
        }
    }
}

fn key_policy(cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
    let request: KeyPolicy = parse(name, body)?;
    if request.policy_name.as_deref().is_some_and(|name| name != "default") {
        return Err(AwsError::new("NotFoundException", "No such policy exists"));
    }
    permit(cx, name, &request.key_id)?;
    if name == "GetKeyPolicy" {
        let key = cx.access.keys.find(&request.key_id, cx.now)?;
        return Ok(json!({"Policy": key.policy_text.to_string(), "PolicyName": "default"}));
    }
    let text = request.policy.ok_or_else(|| AwsError::new("ValidationException", "PutKeyPolicy needs a Policy"))?;
    let text: Value = serde_json::from_str(&text)
        .map_err(|error| AwsError::new("MalformedPolicyDocumentException", error.to_string()))?;
    let policy = read_policy(&text)?;
    change(cx, &request.key_id, |key| {
        (key.policy, key.policy_text) = (policy, text);
        Ok(())
    })?;
    Ok(Value::Null)
}

/// Whether the caller may do this to the key, which must exist.
fn permit(cx: &mut Cx<'_>, operation: &str, key: &str) -> Result<(), AwsError> {
    let action = format!("kms:{operation}");
    let ask = Ask {
        now: cx.now,
        account: cx.account,
        caller: cx.caller,
        action: &action,
        resource: key,
        context: &[("kms:CallerAccount", &cx.account.id)],
    };
    let result = cx.access.authorize_key(&ask, key);
    if let Err(error) = &result
        && is_denial(error)
    {
        cx.denied(&action, key, error);
    }
    result
}

/// Changes a key and answers its ARN.
fn change(cx: &mut Cx<'_>, key: &str, act: impl FnOnce(&mut Key) -> Result<(), AwsError>) -> Result<String, AwsError> {
    let key = cx.access.keys.find_mut(key, cx.now)?;
    act(key)?;
    let arn = key.arn.clone();
    cx.access.changed();
    Ok(arn)
}

fn metadata(key: &Key, account: &str) -> Value {
    let state = match key.state {
        KeyState::Enabled => "Enabled",
        KeyState::Disabled => "Disabled",
        KeyState::PendingDeletion(_) => "PendingDeletion",
    };
    let mut metadata = json!({
        "AWSAccountId": account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created.epoch_seconds(),
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": state,
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let KeyState::PendingDeletion(at) = key.state {
        metadata["DeletionDate"] = at.epoch_seconds().into();
    }
    metadata
}

/// Pages in the order of ids or names; a marker is the last one of the page before.
fn list(cx: &mut Cx<'_>, name: &'static str, body: &[u8]) -> Result<Value, AwsError> {
    let request: List = parse(name, body)?;
    cx.authorize(&format!("kms:{name}"), "*")?;
    let keys = &cx.access.keys;
    let of_key = request.key_id.as_deref().map(|key| keys.find(key, cx.now).map(|key| key.id.clone())).transpose()?;
    let (member, all): (&str, Vec<(String, Value)>) = if name == "ListKeys" {
        let there = keys.by_id.values().filter(|key| keys.find(&key.id, cx.now).is_ok());
        let shown = there.map(|key| (key.id.clone(), json!({"KeyId": key.id, "KeyArn": key.arn})));
        ("Keys", shown.collect())
    } else {
        let wanted = keys.aliases.iter().filter(|(_, id)| of_key.as_ref().is_none_or(|key| key == *id));
        let shown = wanted.map(|(alias, id)| {
            let arn = cx.account.arn("kms", alias);
            (alias.clone(), json!({"AliasName": alias, "AliasArn": arn, "TargetKeyId": id}))
        });
        ("Aliases", shown.collect())
    };
    let limit = request.limit.unwrap_or(100);
    let marker = request.marker.unwrap_or_default();
    let mut rest = all.into_iter().filter(|(name, _)| *name > marker).peekable();
    let page: Vec<(String, Value)> = rest.by_ref().take(limit).collect();
    let more = rest.peek().is_some();
    let mut answer = json!({"Truncated": more});
    if let Some((last, _)) = page.last().filter(|_| more) {
        answer["NextMarker"] = last.as_str().into();
    }
    answer[member] = page.into_iter().map(|(_, shown)| shown).collect();
    Ok(answer)
}
