//! Amazon Kinesis Data Streams.

use serde::Serialize;

use super::{Expr, Handle, Resource};

/// `AWS::Kinesis::Stream`, with provisioned shards.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stream {
    /// Name.
    pub name: String,
    /// Shards.
    pub shard_count: u32,
    /// How long records stay readable.
    pub retention_period_hours: u32,
}

impl Resource for Stream {
    const TYPE: &'static str = "AWS::Kinesis::Stream";
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
