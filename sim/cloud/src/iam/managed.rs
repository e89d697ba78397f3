//! Managed policies: the account's own, and those of AWS that are known here.

use std::sync::Arc;

use serde_json::json;

use super::{Iam, no_such_entity, read_policy};
use crate::core::AwsError;
use crate::core::policy::Document;

/// ARNs of the policies that AWS manages begin with this.
const AWS_MANAGED: &str = "arn:aws:iam::aws:policy/";

/// A customer-managed policy.
#[derive(Clone, Debug)]
pub(super) struct ManagedPolicy {
    pub id: String,
    pub document: Arc<Document>,
}

impl Iam {
    /// The document of a managed policy.
    pub fn managed_document(&self, arn: &str) -> Result<Arc<Document>, AwsError> {
        if let Some(name) = arn.strip_prefix(AWS_MANAGED) {
            return aws_managed(name)
                .ok_or_else(|| AwsError::not_modelled(format!("the policy {arn}, which AWS manages")))?;
        }
        let missing = || no_such_entity(format!("Policy {arn} does not exist or is not attachable."));
        self.managed.get(arn).map(|policy| Arc::clone(&policy.document)).ok_or_else(missing)
    }
}

/// A policy that AWS manages (AWS Managed Policy Reference; the versions are unverified).
fn aws_managed(name: &str) -> Option<Result<Arc<Document>, AwsError>> {
    let logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];
    let streams = [
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kinesis:ListStreams",
        "kinesis:SubscribeToShard",
    ];
    let actions: Vec<&str> = match name {
        "AdministratorAccess" => vec!["*"],
        "service-role/AWSLambdaBasicExecutionRole" => logs.to_vec(),
        "service-role/AWSLambdaKinesisExecutionRole" => streams.into_iter().chain(logs).collect(),
        _ => return None,
    };
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    Some(read_policy(&json!({"Version": "2012-10-17", "Statement": [statement]})))
}
