//! The properties of `AWS::KinesisFirehose::DeliveryStream` that are modelled, in CloudFormation's spelling. The API
//! spells their members alike, so `DescribeDeliveryStream` answers with the same shapes.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Properties {
    pub delivery_stream_name: Option<String>,
    pub delivery_stream_type: Option<String>,
    pub direct_put_source_configuration: Option<DirectPutSource>,
    pub kinesis_stream_source_configuration: Option<KinesisSource>,
    pub extended_s3_destination_configuration: Option<Destination>,
    pub delivery_stream_encryption_configuration_input: Option<StreamEncryption>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DirectPutSource {
    #[serde(rename = "ThroughputHintInMBs")]
    pub throughput_hint: u64,
}

#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StreamEncryption {
    pub key_type: String,
    #[serde(rename = "KeyARN")]
    pub key_arn: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KinesisSource {
    #[serde(rename = "KinesisStreamARN")]
    pub stream_arn: String,
    #[serde(rename = "RoleARN")]
    pub role_arn: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Destination {
    #[serde(rename = "RoleARN")]
    pub role_arn: String,
    #[serde(rename = "BucketARN")]
    pub bucket_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,
    pub buffering_hints: Option<BufferingHints>,
    pub compression_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_configuration: Option<ObjectEncryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logging_options: Option<LoggingOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_configuration: Option<Processing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_format_conversion_configuration: Option<FormatConversion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_partitioning_configuration: Option<DynamicPartitioning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_backup_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_backup_configuration: Option<PlainDestination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,
}

/// `S3DestinationConfiguration`: where source records are backed up.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PlainDestination {
    #[serde(rename = "RoleARN")]
    pub role_arn: String,
    #[serde(rename = "BucketARN")]
    pub bucket_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,
    pub buffering_hints: Option<BufferingHints>,
    pub compression_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_configuration: Option<ObjectEncryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_logging_options: Option<LoggingOptions>,
}

/// What every destination says of its bucket, borrowed from it: defaults are written into it.
pub(super) struct Place<'d> {
    pub role_arn: &'d str,
    pub bucket_arn: &'d str,
    pub prefix: Option<&'d str>,
    pub hints: &'d mut Option<BufferingHints>,
    pub compression: &'d mut Option<String>,
    pub encryption: &'d mut Option<ObjectEncryption>,
    pub logging: &'d mut Option<LoggingOptions>,
}

impl Destination {
    /// See [`Place`]. What only an extended destination has is named, so that no member is forgotten.
    pub fn place(&mut self) -> Place<'_> {
        let Destination {
            role_arn,
            bucket_arn,
            prefix,
            error_output_prefix: _,
            buffering_hints: hints,
            compression_format: compression,
            encryption_configuration: encryption,
            cloud_watch_logging_options: logging,
            processing_configuration: _,
            data_format_conversion_configuration: _,
            dynamic_partitioning_configuration: _,
            s3_backup_mode: _,
            s3_backup_configuration: _,
            file_extension: _,
            custom_time_zone: _,
        } = self;
        Place { role_arn, bucket_arn, prefix: prefix.as_deref(), hints, compression, encryption, logging }
    }
}

impl PlainDestination {
    /// See [`Place`].
    pub fn place(&mut self) -> Place<'_> {
        let PlainDestination {
            role_arn,
            bucket_arn,
            prefix,
            // Nothing that is kept here can fail.
            error_output_prefix: _,
            buffering_hints: hints,
            compression_format: compression,
            encryption_configuration: encryption,
            cloud_watch_logging_options: logging,
        } = self;
        Place { role_arn, bucket_arn, prefix: prefix.as_deref(), hints, compression, encryption, logging }
    }
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DynamicPartitioning {
    #[serde(default)]
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_options: Option<RetryOptions>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct RetryOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_in_seconds: Option<u64>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectEncryption {
    #[serde(rename = "NoEncryptionConfig", skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    #[serde(rename = "KMSEncryptionConfig", skip_serializing_if = "Option::is_none")]
    pub kms: Option<KmsEncryption>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KmsEncryption {
    #[serde(rename = "AWSKMSKeyARN")]
    pub key_arn: String,
}

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct LoggingOptions {
    #[serde(default)]
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_stream_name: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    pub size_mib: Option<u64>,
    pub interval_in_seconds: Option<u64>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Processing {
    #[serde(default)]
    pub enabled: bool,
    #[serde(default)]
    pub processors: Vec<Processor>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Processor {
    pub r#type: String,
    #[serde(default)]
    pub parameters: Vec<ProcessorParameter>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ProcessorParameter {
    pub parameter_name: String,
    pub parameter_value: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct FormatConversion {
    #[serde(default = "yes")]
    pub enabled: bool,
    pub schema_configuration: Option<SchemaConfiguration>,
    pub input_format_configuration: Option<InputFormat>,
    pub output_format_configuration: Option<OutputFormat>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SchemaConfiguration {
    #[serde(rename = "RoleARN")]
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub database_name: String,
    pub table_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct InputFormat {
    pub deserializer: Deserializer,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deserializer {
    #[serde(rename = "OpenXJsonSerDe", skip_serializing_if = "Option::is_none")]
    pub open_x: Option<OpenX>,
    #[serde(rename = "HiveJsonSerDe", skip_serializing_if = "Option::is_none")]
    pub hive: Option<HiveJson>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct HiveJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_formats: Option<Vec<String>>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OpenX {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_insensitive: Option<bool>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OutputFormat {
    pub serializer: Serializer,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serializer {
    #[serde(rename = "ParquetSerDe")]
    pub parquet: ParquetSerDe,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ParquetSerDe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dictionary_compression: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer_version: Option<String>,
}
