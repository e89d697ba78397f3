//! Amazon CloudWatch Logs.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::Logs::LogGroup`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogGroup {
    /// Name.
    pub log_group_name: String,
    /// How long events are kept.
    pub retention_in_days: u32,
    /// ARN of the key that encrypts the events.
    pub kms_key_id: Expr,
}

impl Resource for LogGroup {
    const TYPE: &'static str = "AWS::Logs::LogGroup";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<LogGroup> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }

    /// ARN of the group with all its streams. It ends with `:*`.
    pub fn arn(&self) -> Expr {
        self.attribute("Arn")
    }
}

/// `AWS::Logs::LogStream`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogStream {
    /// Group.
    pub log_group_name: Expr,
    /// Name.
    pub log_stream_name: &'static str,
}

impl Resource for LogStream {
    const TYPE: &'static str = "AWS::Logs::LogStream";
}
