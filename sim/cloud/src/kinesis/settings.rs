//! `IncreaseStreamRetentionPeriod`, `DecreaseStreamRetentionPeriod`, `StartStreamEncryption`, `StopStreamEncryption`.

use std::sync::Arc;

use serde::Deserialize;

use super::encryption::ask;
use super::reshard::DAY;
use super::wire::{Checks, Text, authorized, expect_active, invalid, parse, stream_name, text};
use super::work::Work;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx};
use world::time::Time;
use world::trace::Level;

/// Characters of a key's id at most (the model of the service).
const KEY_ID_CHARS: usize = 2_048;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RetentionInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    retention_period_hours: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EncryptionInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    encryption_type: Option<Text<'a>>,
    #[serde(borrow)]
    key_id: Option<Text<'a>>,
}

impl Kinesis {
    /// `IncreaseStreamRetentionPeriod`.
    pub(super) fn increase_retention_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.retention_call(cx, "IncreaseStreamRetentionPeriod", body)
    }

    /// `DecreaseStreamRetentionPeriod`.
    pub(super) fn decrease_retention_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.retention_call(cx, "DecreaseStreamRetentionPeriod", body)
    }

    /// Texts as kinesalite recorded them from AWS.
    fn retention_call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: RetentionInput<'_> = parse(operation, body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let hours = checks.required(input.retention_period_hours, "retentionPeriodHours").unwrap_or_default();
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, &format!("kinesis:{operation}"), name)?;
        let stream = self.existing(cx, name)?;
        expect_active(cx, stream)?;
        let (min, max) = (quotas.retention_default_hours, quotas.retention_max_hours);
        let requested = format!("Requested retention period ({hours} hours)");
        let wanted = match u64::try_from(hours) {
            Ok(wanted) if wanted > max => {
                let message = format!("Maximum allowed retention period is {max} hours. {requested} is too long.");
                return Err(invalid(message));
            }
            Ok(wanted) if wanted >= min => wanted,
            _ => {
                let message = format!("Minimum allowed retention period is {min} hours. {requested} is too short.");
                return Err(invalid(message));
            }
        };
        let current = stream.retention_hours;
        let wrong = match operation {
            "IncreaseStreamRetentionPeriod" if wanted < current => Some(("shorter", "Decrease")),
            "DecreaseStreamRetentionPeriod" if wanted > current => Some(("longer", "Increase")),
            _ => None,
        };
        if let Some((than, other)) = wrong {
            return Err(invalid(format!(
                "{requested} for stream {name} can not be {than} than existing retention period ({current} hours). Use \
                 {other}RetentionPeriod API."
            )));
        }
        self.retain(cx, name, wanted);
        Ok(Vec::new())
    }

    /// Changes the retention of a stream that exists, at once.
    pub(super) fn retain(&mut self, cx: &mut Cx<'_>, name: &str, hours: u64) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.retain(cx.now, hours);
        let fields = [("retention_hours", hours.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "stream retention changed", name, &fields);
        self.arm_expiry(cx, name);
    }

    /// `StartStreamEncryption`.
    pub(super) fn start_stream_encryption_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.encryption_call(cx, "StartStreamEncryption", body)
    }

    /// `StopStreamEncryption`.
    pub(super) fn stop_stream_encryption_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        self.encryption_call(cx, "StopStreamEncryption", body)
    }

    fn encryption_call(&mut self, cx: &mut Cx<'_>, operation: &str, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: EncryptionInput<'_> = parse(operation, body)?;
        let mut checks = Checks::default();
        if let Some(kind) = checks.required(text(&input.encryption_type), "encryptionType") {
            let constraint = "Member must satisfy enum value set: [KMS, NONE]";
            checks.value(matches!(kind, "KMS" | "NONE"), kind, "encryptionType", constraint);
        }
        let key = checks.required(text(&input.key_id), "keyId").unwrap_or_default();
        checks.length(text(&input.key_id), "keyId", KEY_ID_CHARS);
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, &format!("kinesis:{operation}"), name)?;
        let stream = self.existing(cx, name)?;
        expect_active(cx, stream)?;
        if text(&input.encryption_type) == Some("NONE") {
            // The text is unverified.
            return Err(invalid("EncryptionType NONE is no encryption to start or to stop."));
        }
        let on = operation == "StartStreamEncryption";
        if !on && stream.encryption.key().is_none_or(|current| **current != *key) {
            // The text is unverified.
            return Err(invalid(format!("Stream {name} is not encrypted with the key {key}.")));
        }
        self.change_encryption(cx, name, on.then(|| key.into()))?;
        Ok(Vec::new())
    }

    /// Begins to encrypt with `key`, or no longer, after what was begun before. Answers when that is done.
    pub(super) fn change_encryption(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        key: Option<Arc<str>>,
    ) -> Result<Time, AwsError> {
        self.check_encryption_change(cx, name, key.as_deref())?;
        self.existing(cx, name)?.encryption_changes.push_back(cx.now);
        Ok(self.begin(cx, name, [Work::Encrypt(key)]))
    }

    /// Whether the encryption of a stream can change to `key` now.
    pub(super) fn check_encryption_change(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        key: Option<&str>,
    ) -> Result<(), AwsError> {
        let max = self.quotas(cx).encryption_changes_per_day;
        let stream = self.existing(cx, name)?;
        while stream.encryption_changes.front().is_some_and(|at| *at + DAY <= cx.now) {
            stream.encryption_changes.pop_front();
        }
        if stream.encryption_changes.len() as u64 >= max {
            // The text is unverified.
            let message = format!("The encryption of stream {name} can be changed {max} times in 24 hours.");
            return Err(AwsError::new("LimitExceededException", message));
        }
        key.map_or(Ok(()), |key| ask(cx, "kms:GenerateDataKey", key, &stream.arn))
    }
}
