//! The key of the data is disabled.
//!
//! Contract: whoever needs the key is refused, and what was written before stays as it is (`aws/kms.md` of the facts).

use platform::cross_cutting::security;
use platform::naming::Naming;
use serde_json::{Value, json};

use super::{Act, Stage};
use crate::cloud::core::AwsError;

/// Disables the key of the data.
pub(super) fn disable(stage: &Stage) -> Result<Option<Act>, AwsError> {
    let path = security::Outputs::new(Naming::new(&stage.settings)).data_key_arn;
    let key = stage.cloud.look(|account| account.services.ssm.get(path.path()).map(str::to_owned));
    let key = key.ok_or_else(|| AwsError::new("ParameterNotFound", "no stack published the key of the data"))?;
    if call(stage, "DescribeKey", &key)?["KeyMetadata"]["KeyState"] != "Enabled" {
        return Ok(None);
    }
    call(stage, "DisableKey", &key)?;
    let subject = key.clone();
    let undo = Box::new(move |stage: &Stage| call(stage, "EnableKey", &key).map(drop));
    Ok(Some(Act { service: "kms", subject, undo: Some(undo) }))
}

fn call(stage: &Stage, operation: &str, key: &str) -> Result<Value, AwsError> {
    let body = json!({ "KeyId": key }).to_string();
    let answer = stage.cloud.enter(|account, now| {
        account.as_owner(now, |services, cx| services.kms.call(cx, operation, body.as_bytes()))
    })?;
    Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
}
