//! AWS CloudTrail.

use serde::Serialize;

use super::{Expr, Resource, Tagging};

/// `AWS::CloudTrail::Trail` of the management events, which every trail takes that names no other events.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Trail {
    /// Name.
    pub trail_name: String,
    /// Whether it records.
    pub is_logging: bool,
    /// Whether it records the events of all Regions.
    pub is_multi_region_trail: bool,
    /// Whether it records the events of services without Regions, such as IAM.
    pub include_global_service_events: bool,
    /// Whether digests are written, by which a changed or missing file is found out.
    pub enable_log_file_validation: bool,
    /// Bucket.
    pub s3_bucket_name: Expr,
    /// ARN of the key that encrypts the files.
    #[serde(rename = "KMSKeyId")]
    pub kms_key: Expr,
    /// ARN of the log group that takes the events too, with `:*`.
    pub cloud_watch_logs_log_group_arn: Expr,
    /// Role that writes to the log group.
    pub cloud_watch_logs_role_arn: Expr,
}

impl Resource for Trail {
    const TYPE: &'static str = "AWS::CloudTrail::Trail";
    const TAGS: Tagging = Tagging::List;
}
