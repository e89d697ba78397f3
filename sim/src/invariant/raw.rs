//! A reader of the raw prefix of the lake, on the real SDK: each record of the raw stream as Firehose delivered it.

use std::io::Read as _;

use aws_types::SdkConfig;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::athena::QueryError;
use super::prefix::{Listed, Prefix};

/// Reads the raw prefix of one bucket.
pub struct RawReader {
    prefix: Prefix,
}

/// Whose record it is: what the topic rule added.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Whose {
    /// Tenant, by the message's topic.
    pub tenant_id: String,
    /// Device, by the message's topic.
    pub device_id: String,
    /// Sequence number, where it is a reading.
    #[serde(default)]
    pub seq: serde_json::Value,
}

impl RawReader {
    /// A reader of `s3://bucket/prefix`.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        RawReader { prefix: Prefix::new(config, bucket, prefix) }
    }

    /// Hands over whose each record is.
    pub async fn rows(&self, mut each: impl FnMut(&Whose)) -> Result<(), QueryError> {
        for Listed { key, .. } in self.prefix.objects().await? {
            let body = self.prefix.body(&key).await?;
            let mut text = Vec::new();
            let read = MultiGzDecoder::new(&body[..]).read_to_end(&mut text);
            read.map_err(|why| self.prefix.unreadable(&key, why))?;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                each(&serde_json::from_slice(line).map_err(|why| self.prefix.unreadable(&key, why))?);
            }
        }
        Ok(())
    }
}
