//! Amazon Athena.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::Athena::WorkGroup`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WorkGroup {
    /// Name.
    pub name: String,
    /// For people.
    pub description: &'static str,
    /// Whether queries run.
    pub state: &'static str,
    /// Whether a deletion takes the history of queries with it.
    pub recursive_delete_option: bool,
    /// Configuration.
    pub work_group_configuration: WorkGroupConfiguration,
}

/// Configuration of a workgroup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WorkGroupConfiguration {
    /// Whether clients cannot override this configuration.
    pub enforce_work_group_configuration: bool,
    /// Whether each query is measured.
    pub publish_cloud_watch_metrics_enabled: bool,
    /// A query that passes this many bytes is cancelled.
    #[serde(rename = "BytesScannedCutoffPerQuery")]
    pub scan_limit_bytes: u64,
    /// Where results go.
    pub result_configuration: ResultConfiguration,
}

/// Where results go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResultConfiguration {
    /// `s3://bucket/prefix/`.
    pub output_location: Expr,
    /// How results are encrypted.
    pub encryption_configuration: ResultEncryption,
}

/// Results encrypted by a customer-managed key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResultEncryption {
    encryption_option: &'static str,
    kms_key: Expr,
}

impl ResultEncryption {
    /// Encrypts with the key with the ARN `key`.
    pub fn by(key: Expr) -> Self {
        ResultEncryption { encryption_option: "SSE_KMS", kms_key: key }
    }
}

impl Resource for WorkGroup {
    const TYPE: &'static str = "AWS::Athena::WorkGroup";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<WorkGroup> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}

/// `AWS::Athena::NamedQuery`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamedQuery {
    /// Name.
    pub name: String,
    /// For people.
    pub description: &'static str,
    /// Database in which unqualified tables are found.
    pub database: Expr,
    /// Workgroup that runs it.
    pub work_group: Expr,
    /// Statement.
    pub query_string: String,
}

impl Resource for NamedQuery {
    const TYPE: &'static str = "AWS::Athena::NamedQuery";
}
