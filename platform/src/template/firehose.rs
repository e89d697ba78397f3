//! Amazon Data Firehose: delivery from a Kinesis stream to S3.

use serde::Serialize;

use super::{Expr, Handle, Resource, Tagging};

/// `AWS::KinesisFirehose::DeliveryStream` from a Kinesis stream to S3.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeliveryStream {
    delivery_stream_name: String,
    delivery_stream_type: &'static str,
    kinesis_stream_source_configuration: KinesisSource,
    extended_s3_destination_configuration: Destination,
}

#[derive(Debug, Serialize)]
struct KinesisSource {
    #[serde(rename = "KinesisStreamARN")]
    stream_arn: Expr,
    #[serde(rename = "RoleARN")]
    role_arn: Expr,
}

/// Where objects go, how large they get and how they are written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Destination {
    /// Role that may write.
    #[serde(rename = "RoleARN")]
    pub role_arn: Expr,
    /// Bucket.
    #[serde(rename = "BucketARN")]
    pub bucket_arn: Expr,
    /// Prefix of objects.
    pub prefix: String,
    /// Prefix of what could not be delivered.
    pub error_output_prefix: String,
    /// When a buffer is written.
    pub buffering_hints: BufferingHints,
    /// Compression of the object: `GZIP`, or `UNCOMPRESSED` with format conversion.
    pub compression_format: &'static str,
    /// Where Firehose says why it could not deliver.
    pub cloud_watch_logging_options: LoggingOptions,
    /// What is done with each record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_configuration: Option<Processing>,
    /// JSON to Parquet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_format_conversion_configuration: Option<FormatConversion>,
}

/// Where Firehose says why it could not deliver.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoggingOptions {
    enabled: bool,
    log_group_name: String,
    log_stream_name: &'static str,
}

impl LoggingOptions {
    /// Into this stream of a log group; both are there already.
    pub fn to(log_group_name: String, log_stream_name: &'static str) -> Self {
        LoggingOptions { enabled: true, log_group_name, log_stream_name }
    }
}

/// When a buffer is written: at whichever comes first.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BufferingHints {
    /// Age of its oldest record.
    #[serde(rename = "IntervalInSeconds")]
    pub interval_s: u32,
    /// Size.
    #[serde(rename = "SizeInMBs")]
    pub size_mib: u32,
}

/// What is done with each record before it is buffered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Processing {
    enabled: bool,
    processors: [Processor; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Processor {
    r#type: &'static str,
    parameters: [ProcessorParameter; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessorParameter {
    parameter_name: &'static str,
    parameter_value: &'static str,
}

impl Processing {
    /// A newline after each record. The value is the two characters `\n`: the API refuses parameters of white space.
    pub fn newline_after_record() -> Self {
        let delimiter = ProcessorParameter { parameter_name: "Delimiter", parameter_value: "\\n" };
        Processing {
            enabled: true,
            processors: [Processor { r#type: "AppendDelimiterToRecord", parameters: [delimiter] }],
        }
    }
}

/// JSON to Parquet by the schema of a table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FormatConversion {
    enabled: bool,
    schema_configuration: Schema,
    input_format_configuration: InputFormat,
    output_format_configuration: OutputFormat,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Schema {
    #[serde(rename = "RoleARN")]
    role_arn: Expr,
    catalog_id: Expr,
    region: Expr,
    database_name: Expr,
    table_name: Expr,
    version_id: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InputFormat {
    deserializer: Deserializer,
}

#[derive(Debug, Serialize)]
struct Deserializer {
    #[serde(rename = "OpenXJsonSerDe")]
    open_x: OpenX,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OpenX {
    case_insensitive: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OutputFormat {
    serializer: Serializer,
}

#[derive(Debug, Serialize)]
struct Serializer {
    #[serde(rename = "ParquetSerDe")]
    parquet: Parquet,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parquet {
    compression: &'static str,
}

impl FormatConversion {
    /// To Parquet with Snappy, by the newest version of a table of the account's catalog. Keys keep their case, because
    /// the keys of a map are names of metrics.
    pub fn to_parquet(role_arn: Expr, region: &str, database_name: Expr, table_name: Expr) -> Self {
        FormatConversion {
            enabled: true,
            schema_configuration: Schema {
                role_arn,
                catalog_id: Expr::account_id(),
                region: region.into(),
                database_name,
                table_name,
                version_id: "LATEST",
            },
            input_format_configuration: InputFormat {
                deserializer: Deserializer { open_x: OpenX { case_insensitive: false } },
            },
            output_format_configuration: OutputFormat {
                serializer: Serializer { parquet: Parquet { compression: "SNAPPY" } },
            },
        }
    }
}

impl DeliveryStream {
    /// Delivers the records of `stream_arn`, read in the role of the destination.
    pub fn from_stream(name: String, stream_arn: Expr, destination: Destination) -> Self {
        DeliveryStream {
            delivery_stream_name: name,
            delivery_stream_type: "KinesisStreamAsSource",
            kinesis_stream_source_configuration: KinesisSource { stream_arn, role_arn: destination.role_arn.clone() },
            extended_s3_destination_configuration: destination,
        }
    }
}

impl Resource for DeliveryStream {
    const TYPE: &'static str = "AWS::KinesisFirehose::DeliveryStream";
    const TAGS: Tagging = Tagging::List;
}

impl Handle<DeliveryStream> {
    /// Name.
    pub fn name(&self) -> Expr {
        self.reference()
    }
}
