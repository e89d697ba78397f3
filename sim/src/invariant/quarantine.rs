//! A reader of the quarantine, on the real SDK: what the platform refused, with its own bytes.

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};

/// Reads the quarantine prefix of one bucket.
pub struct QuarantineReader {
    prefix: Prefix,
}

/// What is needed of a line: why a record was refused, and its bytes in base64.
#[derive(Deserialize)]
struct Line {
    reason: String,
    data: String,
}

/// A record that the platform refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Code of the reason.
    pub reason: String,
    /// The record's bytes: what the topic rule passed on.
    pub data: Vec<u8>,
}

/// What tells whose reading a record is, where it has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// Tenant.
    pub tenant_id: String,
    /// Device.
    pub device_id: String,
    /// Sequence number.
    pub seq: u64,
}

/// What the topic rule adds behind a message's own members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    tenant_id: String,
    device_id: String,
    #[serde(rename = "received_at")]
    _received_at: u64,
}

impl QuarantineReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        QuarantineReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Hands over every refused record.
    pub async fn rows(&self, mut each: impl FnMut(&Refused)) -> Result<(), QueryError> {
        for Listed { key, .. } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                each(&refused(line).map_err(|why| self.prefix.unreadable(&key, why))?);
            }
        }
        Ok(())
    }
}

/// The record of one line.
fn refused(line: &[u8]) -> Result<Refused, String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let data = STANDARD.decode(line.data).map_err(|e| e.to_string())?;
    Ok(Refused { reason: line.reason, data })
}

impl Refused {
    /// Whose reading it is; `None` when its bytes do not tell.
    pub fn identity(&self) -> Option<Identity> {
        serde_json::from_slice(&self.data).ok()
    }

    /// The message of a device (tenant, device, payload) of which the topic rule made this record: the statement
    /// `SELECT *, topic(2) AS tenant_id, topic(4) AS device_id, timestamp() AS received_at` adds its members behind those
    /// of the payload. `None` when the record is nothing that the rule writes.
    pub fn message(&self) -> Option<(String, String, Vec<u8>)> {
        let marker = b"\"tenant_id\":";
        let at = self.data.windows(marker.len()).rposition(|window| window == marker)?;
        let (own, added) = self.data.split_at(at);
        let added: Added = serde_json::from_slice(&[b"{", added].concat()).ok()?;
        let own = own.strip_suffix(b",").or_else(|| own.strip_suffix(b"{").map(|_| own))?;
        Some((added.tenant_id, added.device_id, [own, b"}"].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(data: &[u8]) -> Vec<u8> {
        format!(r#"{{"reason":"ts-out-of-range","detail":"x","data":"{}"}}"#, STANDARD.encode(data)).into_bytes()
    }

    #[test]
    fn a_refused_record_is_known_by_what_its_bytes_tell() {
        let found = refused(&line(br#"{"seq":4,"ts":-1,"tenant_id":"acme","device_id":"pump-1"}"#)).unwrap();
        assert_eq!(found.reason, "ts-out-of-range");
        let identity = found.identity().unwrap();
        assert_eq!((identity.tenant_id.as_str(), identity.device_id.as_str(), identity.seq), ("acme", "pump-1", 4));
        assert!(refused(&line(b"temp=21")).unwrap().identity().is_none());
        assert!(refused(b"not a line").is_err());
    }

    #[test]
    fn the_rule_adds_its_members_behind_the_payload_and_they_are_taken_off_again() {
        let tail = r#""tenant_id":"acme","device_id":"pump-1","received_at":5}"#;
        for (data, expected) in [
            (format!(r#"{{"ts":1,"tenant_id":"mine",{tail}"#), Some(r#"{"ts":1,"tenant_id":"mine"}"#)),
            (format!("{{{tail}"), Some("{}")),
            (format!("{{\"ts\":1 {tail}"), None),
            (format!("{{\"ts\":1,{}", tail.replace("}", r#","seq":1}"#)), None),
            (r#"{"ts":1}"#.to_owned(), None),
            (r#"{"ts":1,"tenant_id":"acme"}"#.to_owned(), None),
        ] {
            let found = Refused { reason: "x".to_owned(), data: data.clone().into_bytes() }.message();
            let expected =
                expected.map(|payload| ("acme".to_owned(), "pump-1".to_owned(), payload.as_bytes().to_vec()));
            assert_eq!(found, expected, "{data}");
        }
    }
}
