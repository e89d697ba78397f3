//! Where objects go: a bucket, a role, a prefix, and when a buffer is full.

use std::time::Duration;

use chrono_tz::Tz;

use super::encoding::{self, Conversion, Encoding};
use super::invalid;
use crate::core::{AwsError, Cx, Principal};
use crate::firehose::prefix::{EVALUATED_MAX, Prefix, RANDOM_STRING_CHARACTERS};
use crate::firehose::properties::{BufferingHints, Destination, LoggingOptions, ObjectEncryption, Place};

/// Default of `IntervalInSeconds`.
const DEFAULT_INTERVAL_S: u64 = 300;
/// Default of `SizeInMBs`, and with format conversion or dynamic partitioning (for the latter unverified).
const DEFAULT_SIZE_MIB: [u64; 2] = [5, 128];
/// Least `SizeInMBs` with format conversion or dynamic partitioning.
const LARGE_MIN_SIZE_MIB: u64 = 64;
/// Least `IntervalInSeconds` of a backup and with dynamic partitioning, where a buffer of no time is not available.
const MIN_INTERVAL_S: u64 = 60;

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

    /// Where a destination says. Its defaults are written into it.
    fn at(
        cx: &Cx<'_>,
        place: Place<'_>,
        conversion: Option<Conversion>,
        bounds: Bounds,
        zone: Tz,
    ) -> Result<Self, AwsError> {
        let (size_mib, interval_s) = buffering(cx, place.hints, bounds)?;
        let format = place.compression.get_or_insert_with(|| "UNCOMPRESSED".to_owned());
        let encoding = encoding::encoding(format, conversion)?;
        check_logging(place.logging.get_or_insert_default())?;
        Ok(Sink {
            role: Principal::new(place.role_arn),
            bucket: bucket(place.bucket_arn)?,
            object_key: object_key(place.encryption)?,
            prefix: data_prefix(cx, place.prefix.unwrap_or_default(), zone)?,
            interval: Duration::from_secs(interval_s),
            size_bytes: usize::try_from(size_mib << 20).expect("a buffer of at most 128 MiB fits in memory"),
            extension: encoding.extension().to_owned(),
            encoding,
        })
    }
}

/// The destination, and the prefix of its error output.
pub(super) fn main(cx: &Cx<'_>, described: &mut Destination, is_partitioned: bool) -> Result<(Sink, Prefix), AwsError> {
    let conversion = encoding::conversion(cx, described)?;
    let converts = conversion.is_some();
    let min_interval_s = if is_partitioned { MIN_INTERVAL_S } else { 0 };
    let bounds = Bounds { is_large: converts || is_partitioned, converts, min_interval_s };
    let zone = zone(described.custom_time_zone.as_deref())?;
    let mut sink = Sink::at(cx, described.place(), conversion, bounds, zone)?;
    let errors = error_prefix(cx, described, &sink.prefix, zone, bounds.is_large)?;
    if let Some(given) = described.file_extension.as_deref().filter(|given| !given.is_empty()) {
        sink.extension = checked_extension(given)?;
    }
    Ok((sink, errors))
}

/// Where source records are kept too, if they are. What is given is checked, whether it is in force or not.
pub(super) fn backup(cx: &Cx<'_>, described: &mut Destination) -> Result<Option<Sink>, AwsError> {
    let is_on = match &**described.s3_backup_mode.get_or_insert_with(|| "Disabled".to_owned()) {
        "Disabled" => false,
        "Enabled" => true,
        other => return Err(AwsError::new("ValidationException", format!("{other} is not an S3BackupMode"))),
    };
    let Some(given) = &mut described.s3_backup_configuration else {
        // The text is unverified.
        let missing = || invalid("S3BackupConfiguration must be given when S3BackupMode is Enabled");
        return if is_on { Err(missing()) } else { Ok(None) };
    };
    let bounds = Bounds { is_large: false, converts: false, min_interval_s: MIN_INTERVAL_S };
    let sink = Sink::at(cx, given.place(), None, bounds, Tz::UTC)?;
    if sink.prefix.names_keys() != (false, false) {
        return Err(invalid("the Prefix of a backup has no partition keys"));
    }
    Ok(is_on.then_some(sink))
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
fn object_key(given: &mut Option<ObjectEncryption>) -> Result<Option<String>, AwsError> {
    match given {
        None | Some(ObjectEncryption { none: None, kms: None }) => {
            *given = Some(ObjectEncryption { none: Some("NoEncryption".to_owned()), kms: None });
            Ok(None)
        }
        Some(ObjectEncryption { none: Some(none), kms: None }) if none == "NoEncryption" => Ok(None),
        Some(ObjectEncryption { none: None, kms: Some(kms) }) if kms.key_arn.starts_with("arn:") => {
            Ok(Some(kms.key_arn.clone()))
        }
        Some(_) => Err(invalid("EncryptionConfiguration needs either NoEncryption or the ARN of a KMS key")),
    }
}

/// Logging needs a place. Nothing is logged: errors of deliveries are in the trace.
fn check_logging(given: &LoggingOptions) -> Result<(), AwsError> {
    let has_place = given.log_group_name.is_some() && given.log_stream_name.is_some();
    if given.enabled && !has_place {
        // The text is unverified.
        return Err(invalid("LogGroupName and LogStreamName must be given when CloudWatch logging is enabled"));
    }
    Ok(())
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

/// The prefix of records.
fn data_prefix(cx: &Cx<'_>, text: &str, zone: Tz) -> Result<Prefix, AwsError> {
    let prefix = Prefix::of_data(text, zone)?;
    if prefix.names_error_type() {
        return Err(invalid("Prefix must not contain !{firehose:error-output-type}"));
    }
    check_length(cx, &prefix)?;
    Ok(prefix)
}

/// The prefix of errors, beside that of the records.
fn error_prefix(
    cx: &Cx<'_>,
    described: &Destination,
    of_data: &Prefix,
    zone: Tz,
    is_needed: bool,
) -> Result<Prefix, AwsError> {
    let given = described.error_output_prefix.as_deref().filter(|text| !text.is_empty());
    let Some(given) = given else {
        if of_data.has_expressions() {
            return Err(invalid("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"));
        }
        if is_needed {
            return Err(AwsError::not_modelled("format conversion and partitioning without ErrorOutputPrefix"));
        }
        let errors = Prefix::of_errors_by_default(described.prefix.as_deref().unwrap_or_default(), zone)?;
        check_length(cx, &errors)?;
        return Ok(errors);
    };
    let errors = Prefix::parse(given, zone)?;
    if (of_data.has_expressions() || errors.has_expressions()) && !errors.names_error_type() {
        return Err(invalid("ErrorOutputPrefix must contain !{firehose:error-output-type}"));
    }
    if errors.names_keys() != (false, false) {
        return Err(invalid("ErrorOutputPrefix must not contain partition keys"));
    }
    check_length(cx, &errors)?;
    Ok(errors)
}

/// Refuses a prefix that is too long now. Partitions are looked at one by one, when their keys are known.
fn check_length(cx: &Cx<'_>, prefix: &Prefix) -> Result<(), AwsError> {
    let evaluated = prefix.evaluate(cx.now, "metadata-extraction-failed", &mut || "-".repeat(RANDOM_STRING_CHARACTERS));
    if evaluated.chars().count() > EVALUATED_MAX {
        return Err(invalid(format!("an evaluated prefix must not exceed {EVALUATED_MAX} characters")));
    }
    Ok(())
}
