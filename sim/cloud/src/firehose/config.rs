//! What a delivery stream is configured to do, checked as AWS checks it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel};

use super::prefix::Prefix;
use super::properties::{
    BufferingHints, Destination, FormatConversion, KinesisSource, LoggingOptions, ObjectEncryption, Processing,
    Properties, StreamEncryption,
};
use crate::core::{AwsError, Cx, Principal};

/// Default of `IntervalInSeconds`.
const DEFAULT_INTERVAL_S: u64 = 300;
/// Default of `SizeInMBs`, without and with format conversion.
const DEFAULT_SIZE_MIB: [u64; 2] = [5, 128];
/// Least `SizeInMBs` with format conversion.
const CONVERSION_MIN_SIZE_MIB: u64 = 64;
/// Longest prefix once its expressions are evaluated, in characters.
const EVALUATED_PREFIX_MAX: usize = 512;

/// Where records come from.
#[derive(Clone)]
pub(super) enum SourceConfig {
    /// `PutRecord` and `PutRecordBatch`.
    DirectPut,
    /// A Kinesis stream, read in a role.
    Kinesis { stream: Arc<str>, role: Principal, described: KinesisSource },
}

/// How records become an object.
pub(super) enum Encoding {
    /// One after the other.
    Plain,
    /// The same, as one gzip member.
    Gzip,
    /// Parquet.
    Parquet(Conversion),
}

/// JSON to Parquet by the schema of a table.
#[derive(Clone)]
pub(super) struct Conversion {
    pub role: Principal,
    pub database: String,
    pub table: String,
    /// Whether keys are lower-cased before they are looked up.
    pub case_insensitive: bool,
    pub compression: Compression,
}

/// A delivery stream's configuration.
pub(super) struct Config {
    pub name: String,
    pub arn: String,
    pub source: SourceConfig,
    /// Whether what was put directly is encrypted while it waits.
    pub encrypted: bool,
    /// The key that encrypts objects.
    pub object_key: Option<String>,
    /// The role that writes objects.
    pub role: Principal,
    pub bucket: String,
    pub prefix: Prefix,
    /// Of the error output; without format conversion nothing is written there.
    pub error_prefix: Option<Prefix>,
    /// Of a buffer: the age of its oldest record at which it is delivered.
    pub interval: Duration,
    /// Of a buffer: the size of its records before compression at which it is delivered.
    pub size_bytes: usize,
    /// Appended to each record.
    pub delimiter: Bytes,
    pub encoding: Encoding,
    /// As it was given, with AWS's defaults.
    pub described: Destination,
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidArgumentException", message)
}

impl Config {
    /// Checks the properties of the resource.
    pub fn new(cx: &Cx<'_>, properties: Properties) -> Result<Self, AwsError> {
        let name = properties
            .delivery_stream_name
            .ok_or_else(|| AwsError::not_modelled("a delivery stream whose name AWS generates"))?;
        check_name(&name)?;
        let kind = properties.delivery_stream_type.as_deref().unwrap_or("DirectPut");
        let source = source(cx, kind, properties.kinesis_stream_source_configuration)?;
        let encrypted = stream_encryption(kind, properties.delivery_stream_encryption_configuration_input.as_ref())?;
        let described = properties
            .extended_s3_destination_configuration
            .ok_or_else(|| invalid("Exactly one destination configuration is supported for a Firehose"))?;
        Config::to(cx, name, source, encrypted, described)
    }

    /// The same delivery stream with another destination.
    pub fn redirected(&self, cx: &Cx<'_>, described: Destination) -> Result<Self, AwsError> {
        Config::to(cx, self.name.clone(), self.source.clone(), self.encrypted, described)
    }

    fn to(
        cx: &Cx<'_>,
        name: String,
        source: SourceConfig,
        encrypted: bool,
        mut described: Destination,
    ) -> Result<Self, AwsError> {
        let encoding = encoding(cx, &mut described)?;
        let converts = matches!(encoding, Encoding::Parquet(_));
        let (size_mib, interval_s) = buffering(cx, described.buffering_hints, converts)?;
        described.buffering_hints =
            Some(BufferingHints { size_mib: Some(size_mib), interval_in_seconds: Some(interval_s) });
        let (prefix, error_prefix) = prefixes(cx, &described, converts)?;
        check_logging(described.cloud_watch_logging_options.as_ref())?;
        Ok(Config {
            encrypted,
            object_key: object_key(described.encryption_configuration.as_ref())?,
            arn: cx.account.arn("firehose", &format!("deliverystream/{name}")),
            name,
            source,
            role: Principal::new(described.role_arn.clone()),
            bucket: bucket(&described.bucket_arn)?,
            prefix,
            error_prefix,
            interval: Duration::from_secs(interval_s),
            size_bytes: usize::try_from(size_mib << 20).expect("a buffer of at most 128 MiB fits in memory"),
            delimiter: delimiter(described.processing_configuration.as_ref())?,
            encoding,
            described,
        })
    }

    /// The format conversion, if there is one.
    pub fn conversion(&self) -> Option<&Conversion> {
        match &self.encoding {
            Encoding::Parquet(conversion) => Some(conversion),
            _ => None,
        }
    }

    /// Whether records come by `PutRecord` and `PutRecordBatch`.
    pub fn is_direct_put(&self) -> bool {
        matches!(self.source, SourceConfig::DirectPut)
    }

    /// `DeliveryStreamType`.
    pub fn kind(&self) -> &'static str {
        match self.source {
            SourceConfig::DirectPut => "DirectPut",
            SourceConfig::Kinesis { .. } => "KinesisStreamAsSource",
        }
    }

    /// The end of an object's name.
    pub fn extension(&self) -> &'static str {
        match self.encoding {
            Encoding::Plain => "",
            Encoding::Gzip => ".gz",
            Encoding::Parquet(_) => ".parquet",
        }
    }
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(AwsError::new(
            "ValidationException",
            format!("the delivery stream name {name:?} must have 1 to 64 characters of [a-zA-Z0-9_.-]"),
        ));
    }
    Ok(())
}

fn source(cx: &Cx<'_>, kind: &str, kinesis: Option<KinesisSource>) -> Result<SourceConfig, AwsError> {
    match (kind, kinesis) {
        ("DirectPut", None) => Ok(SourceConfig::DirectPut),
        ("KinesisStreamAsSource", Some(described)) => {
            let prefix = cx.account.arn("kinesis", "stream/");
            let stream = described.stream_arn.strip_prefix(&prefix).ok_or_else(|| {
                invalid(format!("{} is not a stream of this account and region", described.stream_arn))
            })?;
            let role = Principal::new(described.role_arn.clone());
            Ok(SourceConfig::Kinesis { stream: stream.into(), role, described })
        }
        ("DirectPut" | "KinesisStreamAsSource", _) => {
            Err(invalid("KinesisStreamSourceConfiguration must be given for KinesisStreamAsSource, and only then"))
        }
        ("MSKAsSource" | "DatabaseAsSource", _) => {
            Err(AwsError::not_modelled(format!("the delivery stream type {kind}")))
        }
        _ => Err(AwsError::new("ValidationException", format!("{kind} is not a delivery stream type"))),
    }
}

/// Whether what waits is encrypted. Firehose encrypts direct puts only: what comes from a Kinesis stream is protected by
/// that stream (guide: "Data protection").
fn stream_encryption(kind: &str, given: Option<&StreamEncryption>) -> Result<bool, AwsError> {
    match given {
        None => Ok(false),
        // The text is unverified.
        Some(_) if kind != "DirectPut" => Err(invalid(format!(
            "DeliveryStreamEncryptionConfigurationInput is not supported for a delivery stream of type {kind}"
        ))),
        Some(StreamEncryption { key_type, key_arn: None }) if key_type == "AWS_OWNED_CMK" => Ok(true),
        Some(StreamEncryption { key_type, .. }) if key_type == "CUSTOMER_MANAGED_CMK" => {
            Err(AwsError::not_modelled("encryption of direct puts with a customer-managed key"))
        }
        Some(StreamEncryption { key_type, .. }) => {
            Err(invalid(format!("the KeyType {key_type} is none, or takes no KeyARN")))
        }
    }
}

/// The key that encrypts objects, beside what the bucket does by default.
fn object_key(given: Option<&ObjectEncryption>) -> Result<Option<String>, AwsError> {
    match given {
        None | Some(ObjectEncryption { none: None, kms: None }) => Ok(None),
        Some(ObjectEncryption { none: Some(none), kms: None }) if none == "NoEncryption" => Ok(None),
        Some(ObjectEncryption { none: None, kms: Some(kms) }) if kms.key_arn.starts_with("arn:") => {
            Ok(Some(kms.key_arn.clone()))
        }
        Some(_) => Err(invalid("EncryptionConfiguration needs either NoEncryption or the ARN of a KMS key")),
    }
}

/// Logging needs a place. Nothing is logged: errors of deliveries are in the trace.
fn check_logging(given: Option<&LoggingOptions>) -> Result<(), AwsError> {
    match given {
        Some(LoggingOptions { enabled: true, log_group_name, log_stream_name })
            if log_group_name.is_none() || log_stream_name.is_none() =>
        {
            // The text is unverified.
            Err(invalid("LogGroupName and LogStreamName must be given when CloudWatch logging is enabled"))
        }
        _ => Ok(()),
    }
}

fn bucket(arn: &str) -> Result<String, AwsError> {
    let bucket = arn.strip_prefix("arn:aws:s3:::").filter(|name| !name.is_empty() && !name.contains('/'));
    bucket.map(str::to_owned).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))
}

fn encoding(cx: &Cx<'_>, described: &mut Destination) -> Result<Encoding, AwsError> {
    let format = described.compression_format.get_or_insert_with(|| "UNCOMPRESSED".to_owned()).clone();
    let conversion = described.data_format_conversion_configuration.as_ref().filter(|conversion| conversion.enabled);
    match (format.as_str(), conversion) {
        ("UNCOMPRESSED", Some(conversion)) => Ok(Encoding::Parquet(self::conversion(cx, conversion)?)),
        (_, Some(_)) => Err(invalid(
            "CompressionFormat must be UNCOMPRESSED when data format conversion is enabled: the serializer compresses",
        )),
        ("UNCOMPRESSED", None) => Ok(Encoding::Plain),
        ("GZIP", None) => Ok(Encoding::Gzip),
        ("ZIP" | "Snappy" | "HADOOP_SNAPPY", None) => {
            Err(AwsError::not_modelled(format!("the compression format {format}")))
        }
        _ => Err(AwsError::new("ValidationException", format!("{format} is not a compression format"))),
    }
}

fn conversion(cx: &Cx<'_>, given: &FormatConversion) -> Result<Conversion, AwsError> {
    let (Some(schema), Some(input), Some(output)) =
        (&given.schema_configuration, &given.input_format_configuration, &given.output_format_configuration)
    else {
        return Err(invalid("data format conversion needs a schema, an input format and an output format"));
    };
    if schema.catalog_id.as_ref().is_some_and(|id| *id != cx.account.id) {
        return Err(AwsError::not_modelled("a schema in the catalog of another account"));
    }
    if schema.region.as_ref().is_some_and(|region| *region != cx.account.region) {
        return Err(AwsError::not_modelled("a schema in another region"));
    }
    if schema.version_id.as_ref().is_some_and(|version| version != "LATEST") {
        return Err(AwsError::not_modelled("a schema of a fixed VersionId"));
    }
    let compression = match output.serializer.parquet.compression.as_deref().unwrap_or("SNAPPY") {
        "SNAPPY" => Compression::SNAPPY,
        "GZIP" => Compression::GZIP(GzipLevel::default()),
        "UNCOMPRESSED" => Compression::UNCOMPRESSED,
        other => return Err(AwsError::new("ValidationException", format!("{other} is not a Parquet compression"))),
    };
    Ok(Conversion {
        role: Principal::new(schema.role_arn.clone()),
        database: schema.database_name.clone(),
        table: schema.table_name.clone(),
        case_insensitive: input.deserializer.open_x.case_insensitive.unwrap_or(true),
        compression,
    })
}

/// Size in MiB and interval in seconds.
fn buffering(cx: &Cx<'_>, hints: Option<BufferingHints>, converts: bool) -> Result<(u64, u64), AwsError> {
    let (size_mib, interval_s) = match hints.map(|hints| (hints.size_mib, hints.interval_in_seconds)) {
        None | Some((None, None)) => (DEFAULT_SIZE_MIB[usize::from(converts)], DEFAULT_INTERVAL_S),
        Some((Some(size_mib), Some(interval_s))) => (size_mib, interval_s),
        Some(_) => return Err(invalid("BufferingHints needs both SizeInMBs and IntervalInSeconds, or neither")),
    };
    let out_of_range = |what: &str, value: u64, least: u64, most: u64| {
        AwsError::new("ValidationException", format!("BufferingHints.{what} is {value}: it must be {least} to {most}"))
    };
    let most_mib = cx.limits.get("firehose", "buffer_size");
    if !(1..=most_mib).contains(&size_mib) {
        return Err(out_of_range("SizeInMBs", size_mib, 1, most_mib));
    }
    let most_s = cx.limits.get("firehose", "buffer_interval");
    if interval_s > most_s {
        return Err(out_of_range("IntervalInSeconds", interval_s, 0, most_s));
    }
    if converts && size_mib < CONVERSION_MIN_SIZE_MIB {
        return Err(invalid(format!(
            "BufferingHints.SizeInMBs must be at least {CONVERSION_MIN_SIZE_MIB} when data format conversion is enabled"
        )));
    }
    Ok((size_mib, interval_s))
}

fn prefixes(cx: &Cx<'_>, described: &Destination, converts: bool) -> Result<(Prefix, Option<Prefix>), AwsError> {
    let prefix = Prefix::parse(described.prefix.as_deref().unwrap_or(""))?;
    if prefix.names_error_type() {
        return Err(invalid("Prefix must not contain !{firehose:error-output-type}"));
    }
    let error_prefix = described.error_output_prefix.as_deref().filter(|text| !text.is_empty());
    let error_prefix = error_prefix.map(Prefix::parse).transpose()?;
    match &error_prefix {
        None if prefix.has_expressions() => {
            return Err(invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"));
        }
        Some(errors) if (prefix.has_expressions() || errors.has_expressions()) && !errors.names_error_type() => {
            return Err(invalid("ErrorOutputPrefix must contain !{firehose:error-output-type}"));
        }
        None if converts => {
            return Err(AwsError::not_modelled("data format conversion without ErrorOutputPrefix"));
        }
        _ => {}
    }
    for prefix in std::iter::once(&prefix).chain(&error_prefix) {
        let evaluated = prefix.evaluate(cx.now, "format-conversion-failed", &mut || "-".repeat(11));
        if evaluated.chars().count() > EVALUATED_PREFIX_MAX {
            return Err(invalid(format!("an evaluated prefix must not exceed {EVALUATED_PREFIX_MAX} characters")));
        }
    }
    Ok((prefix, error_prefix))
}

fn delimiter(processing: Option<&Processing>) -> Result<Bytes, AwsError> {
    let Some(processing) = processing.filter(|processing| processing.enabled) else { return Ok(Bytes::new()) };
    let mut delimiter = Bytes::new();
    for processor in &processing.processors {
        if processor.r#type != "AppendDelimiterToRecord" {
            return Err(AwsError::not_modelled(format!("the processor {}", processor.r#type)));
        }
        for parameter in &processor.parameters {
            if parameter.parameter_name != "Delimiter" {
                return Err(invalid(format!("AppendDelimiterToRecord has no parameter {}", parameter.parameter_name)));
            }
            delimiter = unescape(&parameter.parameter_value)?.into();
        }
        if delimiter.is_empty() {
            delimiter = Bytes::from_static(b"\n");
        }
    }
    Ok(delimiter)
}

/// The API refuses values of white space, so a newline is written as the two characters `\n`.
fn unescape(value: &str) -> Result<String, AwsError> {
    if value.trim().is_empty() {
        return Err(AwsError::new("ValidationException", "a processor's ParameterValue must not be white space"));
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('t')) => text.push('\t'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some('\\')) => text.push('\\'),
            ('\\', other) => {
                return Err(AwsError::not_modelled(format!("the escape \\{} in a delimiter", other.unwrap_or(' '))));
            }
            _ => text.push(c),
        }
    }
    Ok(text)
}
