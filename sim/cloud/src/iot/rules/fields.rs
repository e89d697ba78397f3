//! The members of actions, as the service's model names them.

use serde::Deserialize;

/// `FirehoseAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FirehoseAction {
    pub(super) role_arn: String,
    pub(super) delivery_stream_name: String,
    pub(super) separator: Option<String>,
    #[serde(default)]
    pub(super) batch_mode: bool,
}

/// `KinesisAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KinesisAction {
    pub(super) role_arn: String,
    pub(super) stream_name: String,
    pub(super) partition_key: Option<String>,
}

/// `S3Action`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct S3Action {
    pub(super) role_arn: String,
    pub(super) bucket_name: String,
    pub(super) key: String,
    pub(super) canned_acl: Option<String>,
}

/// `LambdaAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LambdaAction {
    pub(super) function_arn: String,
}

/// `SnsAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SnsAction {
    pub(super) target_arn: String,
    pub(super) role_arn: String,
    pub(super) message_format: Option<String>,
}

/// `RepublishAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RepublishAction {
    pub(super) role_arn: String,
    pub(super) topic: String,
    pub(super) qos: Option<u8>,
    pub(super) headers: Option<MqttHeaders>,
}

/// `MqttHeaders`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MqttHeaders {
    pub(super) payload_format_indicator: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) response_topic: Option<String>,
    pub(super) correlation_data: Option<String>,
    pub(super) message_expiry: Option<String>,
    pub(super) user_properties: Option<Vec<UserProperty>>,
}

/// `UserProperty`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserProperty {
    pub(super) key: String,
    pub(super) value: String,
}

/// `DynamoDBv2Action`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DynamoDbV2Action {
    pub(super) role_arn: String,
    pub(super) put_item: PutItemInput,
}

/// `PutItemInput`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutItemInput {
    pub(super) table_name: String,
}

/// `CloudwatchMetricAction`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CloudwatchMetricAction {
    pub(super) role_arn: String,
    pub(super) metric_namespace: String,
    pub(super) metric_name: String,
    pub(super) metric_value: String,
    pub(super) metric_unit: String,
    pub(super) metric_timestamp: Option<String>,
}
