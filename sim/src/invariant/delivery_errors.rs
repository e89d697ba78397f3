//! A reader of what the delivery to the lake could not deliver, on the real SDK: the objects of Firehose's error prefix, a
//! JSON document a line with the record in base64.
//!
//! Source: Firehose guide, "Handle data delivery failures": `errorCode` and `errorMessage`, for a record that cannot be
//! converted `lastErrorCode` and `lastErrorMessage`; `rawData`.

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};
use super::quarantine::Identity;

/// Reads the error prefix of one bucket.
pub struct DeliveryErrorReader {
    prefix: Prefix,
}

/// A record that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Code of the error, and what it says.
    pub reason: String,
    /// Whose reading it is; nothing when its bytes do not tell.
    pub identity: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(alias = "lastErrorCode")]
    error_code: String,
    #[serde(alias = "lastErrorMessage", default)]
    error_message: String,
    raw_data: String,
}

impl DeliveryErrorReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        DeliveryErrorReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Every record that was not delivered.
    pub async fn read(&self) -> Result<Vec<Undelivered>, QueryError> {
        let mut all = Vec::new();
        for Listed { key, .. } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                all.push(undelivered(line).map_err(|why| self.prefix.unreadable(&key, why))?);
            }
        }
        Ok(all)
    }
}

/// The record of one line.
fn undelivered(line: &[u8]) -> Result<Undelivered, String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let data = STANDARD.decode(line.raw_data).map_err(|e| e.to_string())?;
    let reason = format!("{}: {}", line.error_code, line.error_message);
    Ok(Undelivered { reason, identity: serde_json::from_slice(&data).ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_not_delivered_is_known_by_its_bytes() {
        let data = STANDARD.encode(r#"{"tenant_id":"acme","device_id":"pump-1","seq":4,"ts":"soon"}"#);
        let identity = Identity { tenant_id: "acme".to_owned(), device_id: "pump-1".to_owned(), seq: 4 };
        for (code, message) in [("errorCode", "errorMessage"), ("lastErrorCode", "lastErrorMessage")] {
            let line =
                format!(r#"{{"attemptsMade":1,"{code}":"Malformed","{message}":"no number","rawData":"{data}"}}"#);
            let expected = Undelivered { reason: "Malformed: no number".to_owned(), identity: Some(identity.clone()) };
            assert_eq!(undelivered(line.as_bytes()), Ok(expected));
        }
        let nobodys = undelivered(br#"{"errorCode":"x","rawData":"ew=="}"#).expect("it is a line");
        assert_eq!(nobodys.identity, None);
        assert!(undelivered(b"{}").is_err());
    }
}
