//! The key of the data is disabled.
//!
//! Contract: what needs the key is refused at once, and what is kept in streams and queues waits (`aws/kms.md` of the facts).
//! Kinesis goes on for five minutes with a data key that it has. The key is therefore disabled right after Kinesis has
//! asked for those who write to the raw stream, and for less than that time: a rule whose put is refused for a disabled key
//! (400 `KMSDisabledException`, which is not intermittent) gives the acknowledged message up, on AWS too, and no platform
//! survives that.

use std::time::Duration;

use platform::cross_cutting::security;
use platform::naming::Naming;
use serde_json::{Value, json};

use super::{Act, Stage};
use crate::cloud::core::AwsError;
use crate::fault::FaultSpec;
use crate::world::clock;

/// Longest time for which the key is disabled: less than Kinesis keeps a data key.
pub(super) const LONGEST: Duration = Duration::from_secs(240);

/// How much longer Kinesis must keep its data keys.
const MARGIN: Duration = Duration::from_secs(5);

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Disables the key of the data, at the first instant at which those who write to the raw stream can go on. Nothing when
/// there is none before the fault ends.
pub(super) async fn disable(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let raw = Naming::new(&stage.settings).name("raw");
    loop {
        let (now, ends) = (clock::now(), stage.ends(fault));
        let kept = stage.cloud.look(|account| account.services.kinesis.writers_keys_kept_until(now, &raw));
        if kept.is_some_and(|kept| kept >= ends + MARGIN) {
            break;
        }
        if stage.is_over(fault) {
            return Ok(None);
        }
        clock::sleep(LOOK_EVERY).await;
    }
    let path = security::Outputs::new(Naming::new(&stage.settings)).data_key_arn;
    let key = stage.cloud.look(|account| account.services.ssm.get(path.path()).map(str::to_owned));
    let key = key.ok_or_else(|| AwsError::new("ParameterNotFound", "no stack published the key of the data"))?;
    if call(stage, "DescribeKey", &key)?["KeyMetadata"]["KeyState"] != "Enabled" {
        return Ok(None);
    }
    call(stage, "DisableKey", &key)?;
    let subject = key.clone();
    let undo = Box::new(move |stage: &Stage| call(stage, "EnableKey", &key).map(drop));
    Ok(Some(Act::until("kms", subject, undo)))
}

fn call(stage: &Stage, operation: &str, key: &str) -> Result<Value, AwsError> {
    let body = json!({ "KeyId": key }).to_string();
    let answer = stage.cloud.enter(|account, now| {
        account.as_owner(now, |services, cx| services.kms.call(cx, operation, body.as_bytes()))
    })?;
    Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
}
