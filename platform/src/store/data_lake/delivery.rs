//! The Firehose deliveries from the streams to the lake, and their roles.

use super::tables::{PROCESSED_TABLE, RAW_TABLE};
use crate::cross_cutting::logging;
use crate::declare::{bounded, decrypt, encrypt_and_decrypt};
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::firehose::{
    BufferingHints, DeliveryStream, Destination, FormatConversion, LoggingOptions, Processing,
};
use crate::template::iam::{Role, Statement, allow};
use crate::template::{Expr, Handle, Published, Template, glue, s3};
use crate::transform::streaming;

/// Objects lie by the hour of their oldest record's arrival.
const HOUR: &str = "!{timestamp:yyyy/MM/dd/HH}/";
/// Where records go that could not be delivered.
const ERRORS: &str = "delivery-errors";

/// What the delivery of raw readings is called inside an environment.
const RAW: &str = "raw";
/// What the delivery of processed readings is called inside an environment.
const PROCESSED: &str = "processed";

/// Name of the delivery of raw readings.
pub fn raw_delivery_name(naming: Naming<'_>) -> String {
    naming.name(RAW)
}

/// Name of the delivery of processed readings.
pub fn processed_delivery_name(naming: Naming<'_>) -> String {
    naming.name(PROCESSED)
}

/// Adds the delivery of the raw stream: gzip, one JSON document a line.
pub(super) fn add_raw(template: &mut Template, settings: &Settings, bucket: &Handle<s3::Bucket>) {
    let naming = Naming::new(settings);
    let stream = streaming::Outputs::new(naming).raw_stream_arn;
    let role = Role::for_service(
        naming.role("deliver-raw"),
        "firehose.amazonaws.com",
        [
            ("read-stream", read_stream(naming, &stream)),
            ("write-objects", write_objects(naming, bucket, RAW_TABLE)),
            ("write-logs", vec![write_logs(naming, RAW)]),
        ],
    );
    let role = template.add("RawDeliveryRole", bounded(naming, role));
    let destination = Destination {
        role_arn: role.arn(),
        bucket_arn: bucket.arn(),
        prefix: format!("{RAW_TABLE}/{HOUR}"),
        error_output_prefix: error_prefix(),
        buffering_hints: BufferingHints {
            interval_s: settings.raw_delivery.buffer_interval_s,
            size_mib: settings.raw_delivery.buffer_size_mib,
        },
        compression_format: "GZIP",
        cloud_watch_logging_options: log(naming, RAW),
        processing_configuration: Some(Processing::newline_after_record()),
        data_format_conversion_configuration: None,
    };
    add_delivery(template, "RawDelivery", raw_delivery_name(naming), &stream, destination);
}

/// Adds the delivery of the enriched stream: Parquet, by the schema of the table.
pub(super) fn add_processed(
    template: &mut Template,
    settings: &Settings,
    bucket: &Handle<s3::Bucket>,
    database: &Handle<glue::Database>,
    table: &Handle<glue::Table>,
) {
    let naming = Naming::new(settings);
    let stream = streaming::Outputs::new(naming).enriched_stream_arn;
    let role = Role::for_service(
        naming.role("deliver-processed"),
        "firehose.amazonaws.com",
        [
            ("read-stream", read_stream(naming, &stream)),
            ("write-objects", write_objects(naming, bucket, PROCESSED_TABLE)),
            ("write-logs", vec![write_logs(naming, PROCESSED)]),
            ("read-table", vec![read_table(database, table)]),
        ],
    );
    let role = template.add("ProcessedDeliveryRole", bounded(naming, role));
    let destination = Destination {
        role_arn: role.arn(),
        bucket_arn: bucket.arn(),
        prefix: format!("{PROCESSED_TABLE}/{HOUR}"),
        error_output_prefix: error_prefix(),
        buffering_hints: BufferingHints {
            interval_s: settings.processed_delivery.buffer_interval_s,
            size_mib: settings.processed_delivery.buffer_size_mib,
        },
        compression_format: "UNCOMPRESSED",
        cloud_watch_logging_options: log(naming, PROCESSED),
        processing_configuration: None,
        data_format_conversion_configuration: Some(FormatConversion::to_parquet(
            role.arn(),
            &settings.region,
            database.name(),
            table.name(),
        )),
    };
    add_delivery(template, "ProcessedDelivery", processed_delivery_name(naming), &stream, destination);
}

fn add_delivery(template: &mut Template, id: &str, name: String, stream: &Published, destination: Destination) {
    // Encryption of its own is for direct puts only: what it holds on the way comes from an encrypted stream.
    template.add(id, DeliveryStream::from_stream(name, stream.read(), destination));
}

fn log(naming: Naming<'_>, delivery: &str) -> LoggingOptions {
    LoggingOptions::to(logging::delivery_log_group(naming, delivery), logging::DELIVERY_LOG_STREAM)
}

/// What Firehose needs to say why it could not deliver (the same page as below, CloudWatch logging).
fn write_logs(naming: Naming<'_>, delivery: &str) -> Statement {
    let group = logging::delivery_log_group(naming, delivery);
    let stream = format!("log-group:{group}:log-stream:{}", logging::DELIVERY_LOG_STREAM);
    allow(["logs:PutLogEvents"], [Expr::arn("logs", stream)])
}

fn error_prefix() -> String {
    format!("{ERRORS}/!{{firehose:error-output-type}}/{HOUR}")
}

/// What Firehose needs to read a stream (guide: "Controlling access", a Kinesis stream as the source).
fn read_stream(naming: Naming<'_>, stream_arn: &Published) -> Vec<Statement> {
    let actions = ["kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:ListShards"];
    vec![allow(actions, [stream_arn.read()]), decrypt(naming, &["kinesis"])]
}

/// What Firehose needs to write objects (the same page, an S3 destination), below the prefixes that it writes.
fn write_objects(naming: Naming<'_>, bucket: &Handle<s3::Bucket>, prefix: &str) -> Vec<Statement> {
    let below = |prefix: &str| bucket.arn().then(format!("/{prefix}/*"));
    vec![
        allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [bucket.arn()]),
        allow(["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], [below(prefix), below(ERRORS)]),
        encrypt_and_decrypt(naming, &["s3"]),
    ]
}

/// What Firehose needs to read a schema (the same page, format conversion). Glue checks the catalog and the database
/// beside the table.
fn read_table(database: &Handle<glue::Database>, table: &Handle<glue::Table>) -> Statement {
    let database_arn = Expr::arn("glue", Expr::from("database/").then(database.name()));
    let table_arn = Expr::arn("glue", Expr::concat(["table/".into(), database.name(), "/".into(), table.name()]));
    allow(
        ["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
        [Expr::arn("glue", "catalog"), database_arn, table_arn],
    )
}
