//! The processors of a delivery stream.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::invalid;
use crate::core::{AwsError, Cx, Principal};
use crate::firehose::jq::Query;
use crate::firehose::prefix::Prefix;
use crate::firehose::properties::{Destination, Processor};

/// Default of `RetryOptions.DurationInSeconds` of dynamic partitioning.
const DEFAULT_RETRY_S: u64 = 300;
/// Default of `NumberOfRetries` of a function.
const DEFAULT_RETRIES: u32 = 3;
/// Most retries. AWS checks no range; more are taken as so many, so that a batch ends some day.
const RETRIES_MAX: u32 = 300;
/// Default, least and most `BufferIntervalInSeconds` of a function.
const INTERVAL_S: (u64, u64, u64) = (60, 60, 900);
/// Default, least and most `BufferSizeInMBs` of a function.
const SIZE_MIB: (f64, f64, f64) = (1.0, 0.2, 3.0);

/// How records of one source record are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::firehose) enum SubRecords {
    /// JSON objects, one after the other.
    Json,
    /// Whatever stands between delimiters.
    Delimited(Bytes),
}

/// The keys by which records are kept apart.
pub(in crate::firehose) struct Partitioning {
    /// The query that finds keys in a record.
    pub query: Option<Query>,
    /// For how long a delivery of a partition is tried again.
    pub retry: Duration,
}

/// A function that transforms records.
#[derive(Clone)]
pub(in crate::firehose) struct Transform {
    pub function: String,
    pub role: Principal,
    /// Attempts beside the first.
    pub retries: u32,
    pub size_bytes: usize,
    pub interval: Duration,
}

/// The processors of a type that are in force.
fn processors<'d>(described: &'d Destination, kind: &'d str) -> impl Iterator<Item = &'d Processor> {
    let processing = described.processing_configuration.as_ref().filter(|processing| processing.enabled);
    processing.into_iter().flat_map(|processing| &processing.processors).filter(move |it| it.r#type == kind)
}

/// The values of a processor's parameters, in the order of `names`; another name is refused.
fn parameters<'p, const N: usize>(
    processor: &'p Processor,
    names: [&str; N],
) -> Result<[Option<&'p str>; N], AwsError> {
    let mut values = [None; N];
    for parameter in &processor.parameters {
        let Some(place) = names.iter().position(|name| *name == parameter.parameter_name) else {
            return Err(invalid(format!("{} has no parameter {}", processor.r#type, parameter.parameter_name)));
        };
        if parameter.parameter_value.trim().is_empty() {
            return Err(AwsError::new("ValidationException", "a processor's ParameterValue must not be white space"));
        }
        values[place] = Some(parameter.parameter_value.as_str());
    }
    Ok(values)
}

/// The one processor of a type, if there is one.
fn single<'d>(described: &'d Destination, kind: &'d str) -> Result<Option<&'d Processor>, AwsError> {
    let mut found = processors(described, kind);
    let first = found.next();
    // The text is unverified.
    if found.next().is_some() { Err(invalid(format!("more than one processor of type {kind}"))) } else { Ok(first) }
}

/// How records are kept apart, if they are.
pub(super) fn partitioning(cx: &Cx<'_>, described: &Destination) -> Result<Option<Partitioning>, AwsError> {
    const KNOWN: [&str; 4] = ["AppendDelimiterToRecord", "Lambda", "MetadataExtraction", "RecordDeAggregation"];
    let processing = described.processing_configuration.as_ref().filter(|processing| processing.enabled);
    for processor in processing.into_iter().flat_map(|processing| &processing.processors) {
        match processor.r#type.as_str() {
            kind if KNOWN.contains(&kind) => {}
            kind @ ("Decompression" | "CloudWatchLogProcessing") => {
                return Err(AwsError::not_modelled(format!("the processor {kind}")));
            }
            kind => return Err(AwsError::new("ValidationException", format!("{kind} is not a type of processors"))),
        }
    }
    let query = single(described, "MetadataExtraction")?.map(query).transpose()?;
    let given = described.dynamic_partitioning_configuration.as_ref().filter(|given| given.enabled);
    let Some(given) = given else {
        if query.is_some() || processors(described, "RecordDeAggregation").next().is_some() {
            // The text is unverified.
            return Err(invalid(
                "MetadataExtraction and RecordDeAggregation are supported only when dynamic partitioning is enabled",
            ));
        }
        return Ok(None);
    };
    let retry_s = given.retry_options.and_then(|options| options.duration_in_seconds).unwrap_or(DEFAULT_RETRY_S);
    let most = cx.limits.get("firehose", "dynamic_partition_retry");
    if retry_s > most {
        return Err(AwsError::new("ValidationException", format!("DurationInSeconds must be 0 to {most}")));
    }
    Ok(Some(Partitioning { query, retry: Duration::from_secs(retry_s) }))
}

fn query(processor: &Processor) -> Result<Query, AwsError> {
    let [query, engine] = parameters(processor, ["MetadataExtractionQuery", "JsonParsingEngine"])?;
    match (query, engine) {
        (Some(query), Some("JQ-1.6")) => Query::compile(query),
        (None, _) => Err(invalid("MetadataExtraction needs a MetadataExtractionQuery")),
        (_, engine) => Err(invalid(format!("the JsonParsingEngine must be JQ-1.6, not {}", engine.unwrap_or("none")))),
    }
}

/// Whether the keys of the prefix can be there. The texts are unverified.
pub(super) fn check_keys(
    prefix: &Prefix,
    described: &Destination,
    partitioning: Option<&Partitioning>,
) -> Result<(), AwsError> {
    let Some(partitioning) = partitioning else {
        return match prefix.names_keys() {
            (false, false) => Ok(()),
            _ => Err(invalid("Prefix contains partition keys, and dynamic partitioning is not enabled")),
        };
    };
    let (by_query, by_function) = prefix.names_keys();
    if by_query && partitioning.query.is_none() {
        return Err(invalid("partitionKeyFromQuery in Prefix needs a processor of type MetadataExtraction"));
    }
    if by_function && processors(described, "Lambda").next().is_none() {
        return Err(invalid("partitionKeyFromLambda in Prefix needs a processor of type Lambda"));
    }
    if !by_query && !by_function {
        return Err(invalid("Prefix must contain a partition key when dynamic partitioning is enabled"));
    }
    Ok(())
}

/// How the records of one source record are told apart, if they are.
pub(super) fn sub_records(described: &Destination) -> Result<Option<SubRecords>, AwsError> {
    let Some(processor) = single(described, "RecordDeAggregation")? else { return Ok(None) };
    match parameters(processor, ["SubRecordType", "Delimiter"])? {
        [Some("JSON"), None] => Ok(Some(SubRecords::Json)),
        [Some("DELIMITED"), Some(delimiter)] => match STANDARD.decode(delimiter) {
            Ok(delimiter) if !delimiter.is_empty() => Ok(Some(SubRecords::Delimited(delimiter.into()))),
            _ => Err(invalid(format!("the Delimiter {delimiter:?} must be a text in base64"))),
        },
        _ => Err(invalid("RecordDeAggregation needs the SubRecordType JSON, or DELIMITED with a Delimiter")),
    }
}

/// The function that transforms records, if there is one.
pub(super) fn transform(cx: &Cx<'_>, described: &Destination) -> Result<Option<Transform>, AwsError> {
    let Some(processor) = single(described, "Lambda")? else { return Ok(None) };
    let names = ["LambdaArn", "RoleArn", "NumberOfRetries", "BufferSizeInMBs", "BufferIntervalInSeconds"];
    let [function, role, retries, size, interval] = parameters(processor, names)?;
    let prefix = cx.account.arn("lambda", "function:");
    let function = function.filter(|function| function.starts_with(&prefix));
    let function = function.ok_or_else(|| invalid("Lambda needs the LambdaArn of a function of this account"))?;
    let range = |name: &str, least: &str, most: &str| invalid(format!("{name} must be {least} to {most}"));
    let size_mib = size.map_or(Some(SIZE_MIB.0), |size| size.parse().ok());
    let size_mib = size_mib
        .filter(|size| (SIZE_MIB.1..=SIZE_MIB.2).contains(size))
        .ok_or_else(|| range("BufferSizeInMBs", "0.2", "3"))?;
    let interval_s = interval.map_or(Some(INTERVAL_S.0), |interval| interval.parse().ok());
    let interval_s = interval_s
        .filter(|interval| (INTERVAL_S.1..=INTERVAL_S.2).contains(interval))
        .ok_or_else(|| range("BufferIntervalInSeconds", "60", "900"))?;
    let retries: u32 =
        retries.map_or(Ok(DEFAULT_RETRIES), str::parse).map_err(|_| invalid("NumberOfRetries must be a number"))?;
    Ok(Some(Transform {
        function: function.to_owned(),
        role: Principal::new(role.unwrap_or(&described.role_arn)),
        retries: retries.min(RETRIES_MAX),
        size_bytes: (size_mib * f64::from(1 << 20)) as usize,
        interval: Duration::from_secs(interval_s),
    }))
}

/// What is appended to each record.
pub(super) fn delimiter(described: &Destination) -> Result<Bytes, AwsError> {
    let mut delimiter = Bytes::new();
    for processor in processors(described, "AppendDelimiterToRecord") {
        if let [Some(given)] = parameters(processor, ["Delimiter"])? {
            delimiter = unescape(given)?.into();
        }
        if delimiter.is_empty() {
            delimiter = Bytes::from_static(b"\n");
        }
    }
    Ok(delimiter)
}

/// The API refuses values of white space, so a newline is written as the two characters `\n`.
fn unescape(value: &str) -> Result<String, AwsError> {
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
