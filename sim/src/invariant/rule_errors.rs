//! A reader of what the rule of readings could not do anything with, on the real SDK: the messages that its error action
//! stored.

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};
use crate::world::time::Time;

/// Reads the prefix of one bucket below which the error action of a rule stores messages.
pub struct RuleErrorReader {
    prefix: Prefix,
}

/// A message that a rule could not do anything with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Tenant, by the message's topic.
    pub tenant: String,
    /// Device, by the message's topic.
    pub device: String,
    /// Sequence number of the reading, where the message is one.
    pub seq: Option<u64>,
    /// The bytes that the device sent.
    pub payload: Vec<u8>,
    /// Why the action failed.
    pub reason: String,
    /// When the error action stored it; whole seconds.
    pub stored: Time,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    topic: String,
    base64_original_payload: String,
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    failed_action: String,
    error_message: String,
}

/// What is needed of a reading.
#[derive(Deserialize)]
struct Reading {
    seq: u64,
}

impl RuleErrorReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        RuleErrorReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Every stored message.
    pub async fn read(&self) -> Result<Vec<RuleError>, QueryError> {
        let mut errors = Vec::new();
        for Listed { key, last_modified } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            errors.push(parse(&body, last_modified).map_err(|why| self.prefix.unreadable(&key, why))?);
        }
        Ok(errors)
    }
}

fn parse(body: &[u8], stored: Time) -> Result<RuleError, String> {
    let document: Document = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let parts: Vec<&str> = document.topic.split('/').collect();
    let ["tenant", tenant, "device", device, "data"] = parts[..] else {
        return Err(format!("the topic {:?} is not one of readings", document.topic));
    };
    let payload = STANDARD.decode(document.base64_original_payload).map_err(|e| e.to_string())?;
    let seq = serde_json::from_slice(&payload).ok().map(|Reading { seq }| seq);
    let reason =
        document.failures.first().map_or(String::new(), |f| format!("{}: {}", f.failed_action, f.error_message));
    Ok(RuleError { tenant: tenant.to_owned(), device: device.to_owned(), seq, payload, reason, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(topic: &str, payload: &[u8]) -> Vec<u8> {
        format!(
            r#"{{"ruleName":"readings","topic":"{topic}","cloudwatchTraceId":"x","clientId":"pump-1",
                "base64OriginalPayload":"{}","failures":[{{"failedAction":"KinesisAction","failedResource":"raw",
                "errorMessage":"Rate exceeded"}}]}}"#,
            STANDARD.encode(payload)
        )
        .into_bytes()
    }

    #[test]
    fn a_stored_message_is_known_by_its_topic_and_its_payload() {
        let stored = Time::from_unix_secs(7);
        for (payload, seq) in [(br#"{"seq":4}"#.as_slice(), Some(4)), (b"temp=21", None)] {
            let expected = RuleError {
                tenant: "acme".to_owned(),
                device: "pump-1".to_owned(),
                seq,
                payload: payload.to_vec(),
                reason: "KinesisAction: Rate exceeded".to_owned(),
                stored,
            };
            assert_eq!(parse(&document("tenant/acme/device/pump-1/data", payload), stored), Ok(expected));
        }
        assert!(parse(&document("elsewhere", b"{}"), stored).is_err());
        assert!(parse(b"not a document", stored).is_err());
    }
}
