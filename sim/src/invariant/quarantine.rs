//! A reader of the quarantine, on the real SDK: what the platform refused, with its own bytes.

use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::athena::{QueryError, sdk};

/// Reads the quarantine prefix of one bucket.
pub struct QuarantineReader {
    s3: aws_sdk_s3::Client,
    bucket: String,
    prefix: String,
}

/// What is needed of a line: why a record was refused, and its bytes in base64.
#[derive(Deserialize)]
struct Line {
    reason: String,
    data: String,
}

/// What is needed of a refused record, where it has it.
#[derive(Deserialize)]
struct Refused {
    tenant_id: String,
    device_id: String,
    seq: u64,
}

impl QuarantineReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        QuarantineReader { s3: super::client!(aws_sdk_s3, config), bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    /// Hands over (tenant, device, seq, reason) of every refused record that tells whose it is.
    pub async fn rows(&self, mut each: impl FnMut(&str, &str, u64, &str)) -> Result<(), QueryError> {
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.map_err(sdk)?.contents() {
                let key = object.key().unwrap_or_default();
                let got = self.s3.get_object().bucket(&self.bucket).key(key).send().await.map_err(sdk)?;
                let body = got.body.collect().await.map_err(sdk)?.into_bytes();
                for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let refused =
                        refused(line).map_err(|why| QueryError::new(format!("s3://{}/{key}: {why}", self.bucket)))?;
                    if let Some((refused, reason)) = refused {
                        each(&refused.tenant_id, &refused.device_id, refused.seq, &reason);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The record of one line; `None` when its bytes do not tell whose reading it was.
fn refused(line: &[u8]) -> Result<Option<(Refused, String)>, String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let data = STANDARD.decode(line.data).map_err(|e| e.to_string())?;
    Ok(serde_json::from_slice(&data).ok().map(|record| (record, line.reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(data: &[u8]) -> Vec<u8> {
        format!(r#"{{"reason":"ts-out-of-range","detail":"x","data":"{}"}}"#, STANDARD.encode(data)).into_bytes()
    }

    #[test]
    fn a_refused_record_is_known_by_what_its_bytes_tell() {
        let (known, reason) =
            refused(&line(br#"{"seq":4,"ts":-1,"tenant_id":"acme","device_id":"pump-1"}"#)).unwrap().unwrap();
        assert_eq!(reason, "ts-out-of-range");
        assert_eq!((known.tenant_id.as_str(), known.device_id.as_str(), known.seq), ("acme", "pump-1", 4));
        assert!(refused(&line(b"temp=21")).unwrap().is_none());
        assert!(refused(b"not a line").is_err());
    }
}
