//! `DescribeDeliveryStream`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Firehose;
use super::api::parse;
use super::config::SourceConfig;
use super::stream::DeliveryStream;
use crate::core::{AwsError, Cx};

/// The id of the one destination of a delivery stream.
pub(super) const DESTINATION_ID: &str = "destinationId-000000000001";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    delivery_stream_name: String,
    limit: Option<u64>,
    exclusive_start_destination_id: Option<String>,
}

impl Firehose {
    /// `DescribeDeliveryStream`.
    pub(super) fn describe(&mut self, cx: &Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: Describe = parse("DescribeDeliveryStream", body)?;
        self.control(cx, "DescribeDeliveryStream")?;
        if request.limit.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
            return Err(AwsError::new("ValidationException", "Limit must be 1 to 10,000"));
        }
        let stream = self.find(cx, &request.delivery_stream_name)?;
        // There is one destination: nothing comes after it.
        let start = request.exclusive_start_destination_id.unwrap_or_default();
        let is_before = start.as_str() < DESTINATION_ID;
        let destinations: Vec<Value> = is_before.then(|| destination(stream)).into_iter().collect();
        let config = &stream.config;
        let mut description = json!({
            "DeliveryStreamName": config.name,
            "DeliveryStreamARN": config.arn,
            "DeliveryStreamStatus": stream.status.name(),
            "DeliveryStreamType": config.kind(),
            "DeliveryStreamEncryptionConfiguration": stream.encryption.described(),
            "VersionId": stream.version.to_string(),
            "CreateTimestamp": stream.created.epoch_seconds(),
            "Destinations": destinations,
            "HasMoreDestinations": false,
        });
        if let Some(updated) = stream.updated {
            description["LastUpdateTimestamp"] = json!(updated.epoch_seconds());
        }
        match &config.source {
            SourceConfig::Kinesis { described, .. } => {
                let mut source = json!(described);
                source["DeliveryStartTimestamp"] = json!(stream.created.epoch_seconds());
                description["Source"] = json!({"KinesisStreamSourceDescription": source});
            }
            SourceConfig::DirectPut { described: Some(described) } => {
                description["Source"] = json!({"DirectPutSourceDescription": described});
            }
            SourceConfig::DirectPut { described: None } => {}
        }
        Ok(json!({"DeliveryStreamDescription": description}))
    }
}

/// The destination, as one of S3 and as an extended one.
fn destination(stream: &DeliveryStream) -> Value {
    const EXTENDED_ONLY: [&str; 7] = [
        "ProcessingConfiguration",
        "DataFormatConversionConfiguration",
        "DynamicPartitioningConfiguration",
        "S3BackupMode",
        "S3BackupDescription",
        "FileExtension",
        "CustomTimeZone",
    ];
    let mut extended = json!(stream.config.described);
    if let Some(members) = extended.as_object_mut()
        && let Some(backup) = members.shift_remove("S3BackupConfiguration")
    {
        members.insert("S3BackupDescription".to_owned(), backup);
    }
    let mut plain = extended.clone();
    if let Some(members) = plain.as_object_mut() {
        members.retain(|member, _| !EXTENDED_ONLY.contains(&member.as_str()));
    }
    json!({
        "DestinationId": DESTINATION_ID,
        "S3DestinationDescription": plain,
        "ExtendedS3DestinationDescription": extended,
    })
}
