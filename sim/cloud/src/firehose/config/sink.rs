//! Where objects go: a bucket, a role, a prefix, and when a buffer is full.

use std::time::Duration;

use chrono_tz::Tz;

use super::encoding::{self, Conversion, Encoding};
use super::invalid;
use crate::core::{AwsError, Cx, Principal};
use crate::firehose::prefix::Prefix;
use crate::firehose::properties::{BufferingHints, Destination, LoggingOptions, ObjectEncryption, PlainDestination};

/// Default of `IntervalInSeconds`.
const DEFAULT_INTERVAL_S: u64 = 300;
/// Default of `SizeInMBs`, and with format conversion or dynamic partitioning (for the latter unverified).
const DEFAULT_SIZE_MIB: [u64; 2] = [5, 128];
/// Least `SizeInMBs` with format conversion or dynamic partitioning.
const LARGE_MIN_SIZE_MIB: u64 = 64;
/// Least `IntervalInSeconds` of a backup and with dynamic partitioning, where a buffer of no time is not available.
const MIN_INTERVAL_S: u64 = 60;
/// Longest prefix once its expressions are evaluated, in characters.
const EVALUATED_PREFIX_MAX: usize = 512;

/// Where objects go.
pub(in crate::firehose) struct Sink {
    /// The role that writes objects.
    pub role: Principal,
    pub bucket: String,
    /// The key that encrypts objects.
    pub object_key: Option<String>,
    pub prefix: Prefix,
    /// Of a buffer: the age of its oldest record at which it is delivered.
    pub interval: Duration,
    /// Of a buffer: the size of its records before compression at which it is delivered.
    pub size_bytes: usize,
    pub encoding: Encoding,
    /// The end of an object's name.
    pub extension: String,
}

impl Sink {
    /// The format conversion, if there is one.
    pub fn conversion(&self) -> Option<&Conversion> {
        match &self.encoding {
            Encoding::Parquet(conversion) => Some(conversion),
            _ => None,
        }
    }
}

/// The destination, and the prefix of its error output.
pub(super) fn main(cx: &Cx<'_>, described: &mut Destination, is_partitioned: bool) -> Result<(Sink, Prefix), AwsError> {
    let encoding = encoding::encoding(cx, described)?;
    let converts = matches!(encoding, Encoding::Parquet(_));
    let bounds = Bounds { is_large: converts || is_partitioned, converts, min_interval_s: 0 };
    let bounds = if is_partitioned { Bounds { min_interval_s: MIN_INTERVAL_S, ..bounds } } else { bounds };
    let (size_mib, interval_s) = buffering(cx, &mut described.buffering_hints, bounds)?;
    let zone = zone(described.custom_time_zone.as_deref())?;
    let (prefix, error_prefix) = prefixes(cx, described, zone, converts || is_partitioned)?;
    check_logging(described.cloud_watch_logging_options.as_ref())?;
    let extension = match described.file_extension.as_deref().filter(|given| !given.is_empty()) {
        Some(given) => checked_extension(given)?,
        None => encoding.extension().to_owned(),
    };
    let sink = Sink {
        object_key: object_key(described.encryption_configuration.as_ref())?,
        role: Principal::new(described.role_arn.clone()),
        bucket: bucket(&described.bucket_arn)?,
        prefix,
        interval: Duration::from_secs(interval_s),
        size_bytes: usize::try_from(size_mib << 20).expect("a buffer of at most 128 MiB fits in memory"),
        encoding,
        extension,
    };
    Ok((sink, error_prefix))
}

/// Where source records are kept too, if they are.
pub(super) fn backup(cx: &Cx<'_>, described: &mut Destination) -> Result<Option<Sink>, AwsError> {
    match described.s3_backup_mode.as_deref() {
        None | Some("Disabled") => return Ok(None),
        Some("Enabled") => {}
        Some(other) => return Err(AwsError::new("ValidationException", format!("{other} is not an S3BackupMode"))),
    }
    let Some(given) = &mut described.s3_backup_configuration else {
        // The text is unverified.
        return Err(invalid("S3BackupConfiguration must be given when S3BackupMode is Enabled"));
    };
    let bounds = Bounds { is_large: false, converts: false, min_interval_s: MIN_INTERVAL_S };
    let (size_mib, interval_s) = buffering(cx, &mut given.buffering_hints, bounds)?;
    let PlainDestination { role_arn, bucket_arn, .. } = &*given;
    let encoding = encoding::compression(given.compression_format.as_deref())?;
    check_logging(given.cloud_watch_logging_options.as_ref())?;
    let prefix = Prefix::parse(given.prefix.as_deref().unwrap_or(""), Tz::UTC)?;
    if prefix.names_error_type() || prefix.names_keys() != (false, false) {
        return Err(invalid("the Prefix of a backup has neither an error type nor partition keys"));
    }
    Ok(Some(Sink {
        role: Principal::new(role_arn.clone()),
        bucket: bucket(bucket_arn)?,
        object_key: object_key(given.encryption_configuration.as_ref())?,
        prefix,
        interval: Duration::from_secs(interval_s),
        size_bytes: usize::try_from(size_mib << 20).expect("a buffer of at most 128 MiB fits in memory"),
        extension: encoding.extension().to_owned(),
        encoding,
    }))
}

fn zone(name: Option<&str>) -> Result<Tz, AwsError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Tz::UTC) };
    // The text is unverified.
    name.parse().map_err(|_| invalid(format!("CustomTimeZone {name:?} is not a time zone")))
}

/// `\.[0-9a-z!\-_.*'()]+`, at most 128 characters.
fn checked_extension(given: &str) -> Result<String, AwsError> {
    let allowed = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "!-_.*'()".contains(c);
    let fits = given.strip_prefix('.').is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed));
    if fits && given.len() <= 128 {
        return Ok(given.to_owned());
    }
    Err(AwsError::new("ValidationException", format!("FileExtension {given:?} must be .[0-9a-z!-_.*'()]+")))
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

/// What a buffer must at least be.
#[derive(Clone, Copy)]
struct Bounds {
    /// Whether buffers must be large.
    is_large: bool,
    /// Whether that is because of a conversion.
    converts: bool,
    min_interval_s: u64,
}

/// Size in MiB and interval in seconds; they are written into the hints.
fn buffering(cx: &Cx<'_>, hints: &mut Option<BufferingHints>, bounds: Bounds) -> Result<(u64, u64), AwsError> {
    let (size_mib, interval_s) = match hints.map(|hints| (hints.size_mib, hints.interval_in_seconds)) {
        None | Some((None, None)) => (DEFAULT_SIZE_MIB[usize::from(bounds.is_large)], DEFAULT_INTERVAL_S),
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
    if bounds.is_large && size_mib < LARGE_MIN_SIZE_MIB {
        let why = if bounds.converts { "data format conversion" } else { "dynamic partitioning" };
        return Err(invalid(format!(
            "BufferingHints.SizeInMBs must be at least {LARGE_MIN_SIZE_MIB} when {why} is enabled"
        )));
    }
    if interval_s < bounds.min_interval_s {
        let least = bounds.min_interval_s;
        return Err(invalid(format!("BufferingHints.IntervalInSeconds must be at least {least} here")));
    }
    *hints = Some(BufferingHints { size_mib: Some(size_mib), interval_in_seconds: Some(interval_s) });
    Ok((size_mib, interval_s))
}

fn prefixes(cx: &Cx<'_>, described: &Destination, zone: Tz, needs_errors: bool) -> Result<(Prefix, Prefix), AwsError> {
    let prefix = Prefix::parse(described.prefix.as_deref().unwrap_or(""), zone)?;
    if prefix.names_error_type() {
        return Err(invalid("Prefix must not contain !{firehose:error-output-type}"));
    }
    let error_prefix = described.error_output_prefix.as_deref().filter(|text| !text.is_empty());
    let parsed = error_prefix.map(|text| Prefix::parse(text, zone)).transpose()?;
    match &parsed {
        None if prefix.has_expressions() => {
            return Err(invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"));
        }
        Some(errors) if (prefix.has_expressions() || errors.has_expressions()) && !errors.names_error_type() => {
            return Err(invalid("ErrorOutputPrefix must contain !{firehose:error-output-type}"));
        }
        Some(errors) if errors.names_keys() != (false, false) => {
            return Err(invalid("ErrorOutputPrefix must not contain partition keys"));
        }
        None if needs_errors => {
            return Err(AwsError::not_modelled("format conversion and partitioning without ErrorOutputPrefix"));
        }
        _ => {}
    }
    // Without a prefix of their own, errors of a transformation are in a folder of their type (guide: "Handle failure in
    // data transformation").
    let errors = parsed.map_or_else(|| Prefix::parse("!{firehose:error-output-type}/", zone), Ok)?;
    for prefix in [&prefix, &errors] {
        let evaluated = prefix.evaluate(cx.now, "metadata-extraction-failed", &mut || "-".repeat(11));
        if evaluated.chars().count() > EVALUATED_PREFIX_MAX {
            return Err(invalid(format!("an evaluated prefix must not exceed {EVALUATED_PREFIX_MAX} characters")));
        }
    }
    Ok((prefix, errors))
}
