//! Amazon Kinesis Data Streams.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::Kinesis::Stream`, encrypted by a customer-managed key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stream {
    name: String,
    stream_mode_details: StreamModeDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_count: Option<u32>,
    retention_period_hours: u32,
    stream_encryption: StreamEncryption,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamModeDetails {
    stream_mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamEncryption {
    encryption_type: &'static str,
    key_id: Expr,
}

/// Who scales a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// It has this many shards until somebody changes them.
    Shards(u32),
    /// AWS.
    OnDemand,
}

impl Stream {
    /// A stream whose records are readable for `retention_period_hours` and encrypted by the key with the ARN `key`.
    pub fn encrypted(name: String, capacity: Capacity, retention_period_hours: u32, key: Expr) -> Self {
        let (stream_mode, shard_count) = match capacity {
            Capacity::Shards(count) => ("PROVISIONED", Some(count)),
            Capacity::OnDemand => ("ON_DEMAND", None),
        };
        Stream {
            name,
            stream_mode_details: StreamModeDetails { stream_mode },
            shard_count,
            retention_period_hours,
            stream_encryption: StreamEncryption { encryption_type: "KMS", key_id: key },
        }
    }
}

impl Resource for Stream {
    const TYPE: &'static str = "AWS::Kinesis::Stream";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<Stream> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}
