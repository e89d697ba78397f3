//! What a delivery stream is configured to do, checked as AWS checks it.

mod encoding;
mod processing;
mod sink;

use std::sync::Arc;

use bytes::Bytes;

pub(super) use self::encoding::{Conversion, Encoding, Reading};
pub(super) use self::processing::{Partitioning, SubRecords, Transform};
pub(super) use self::sink::Sink;
use super::prefix::Prefix;
use super::properties::{Destination, DirectPutSource, KinesisSource, Properties, StreamEncryption};
use crate::core::{AwsError, Cx, Principal};

/// Where records come from.
#[derive(Clone)]
pub(super) enum SourceConfig {
    /// `PutRecord` and `PutRecordBatch`.
    DirectPut { described: Option<DirectPutSource> },
    /// A Kinesis stream, read in a role.
    Kinesis { stream: Arc<str>, role: Principal, described: KinesisSource },
}

/// Whether what was put directly is encrypted while it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamKey {
    /// It is not.
    None,
    /// With a key that AWS owns.
    Owned,
    /// With this key.
    Managed(String),
}

/// A delivery stream's configuration.
pub(super) struct Config {
    pub name: String,
    pub arn: String,
    pub source: SourceConfig,
    /// The key of direct puts that the configuration asks for.
    pub key: StreamKey,
    /// Where records go.
    pub main: Sink,
    /// Of the error output, in the bucket of [`Config::main`]; without one, errors go below the default prefix.
    pub error_prefix: Prefix,
    /// Where source records are kept too.
    pub backup: Option<Sink>,
    /// Records of a source record.
    pub sub_records: Option<SubRecords>,
    /// The function that transforms records.
    pub transform: Option<Transform>,
    /// The keys of partitions.
    pub partitioning: Option<Partitioning>,
    /// Appended to each record.
    pub delimiter: Bytes,
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
        let direct = properties.direct_put_source_configuration;
        let source = source(cx, kind, properties.kinesis_stream_source_configuration, direct)?;
        let given = properties.delivery_stream_encryption_configuration_input;
        let key = given.map_or(Ok(StreamKey::None), |given| stream_key(kind, &given))?;
        let described = properties
            .extended_s3_destination_configuration
            .ok_or_else(|| invalid("Exactly one destination configuration is supported for a Firehose"))?;
        Config::to(cx, name, source, key, described)
    }

    /// The same delivery stream with another destination. What AWS lets nobody change is refused.
    pub fn redirected(&self, cx: &Cx<'_>, described: Destination) -> Result<Self, AwsError> {
        let new = Config::to(cx, self.name.clone(), self.source.clone(), self.key.clone(), described)?;
        new.expect_successor_of(self)?;
        Ok(new)
    }

    /// Refuses what cannot follow another configuration. The texts are unverified.
    pub fn expect_successor_of(&self, old: &Config) -> Result<(), AwsError> {
        match (&old.partitioning, &self.partitioning) {
            (None, Some(_)) => {
                return Err(invalid(
                    "Dynamic partitioning cannot be enabled for an existing Firehose that was created without it",
                ));
            }
            (Some(_), None) => return Err(invalid("Dynamic partitioning cannot be disabled once it is enabled")),
            _ => {}
        }
        if old.backup.is_some() && self.backup.is_none() {
            return Err(invalid("S3BackupMode cannot be disabled once it is enabled"));
        }
        Ok(())
    }

    fn to(
        cx: &Cx<'_>,
        name: String,
        source: SourceConfig,
        key: StreamKey,
        mut described: Destination,
    ) -> Result<Self, AwsError> {
        let partitioning = processing::partitioning(cx, &described)?;
        let (main, error_prefix) = sink::main(cx, &mut described, partitioning.is_some())?;
        processing::check_keys(&main.prefix, &described, partitioning.as_ref())?;
        let config = Config {
            key,
            arn: cx.account.arn("firehose", &format!("deliverystream/{name}")),
            name,
            source,
            main,
            error_prefix,
            backup: sink::backup(cx, &mut described)?,
            sub_records: processing::sub_records(&described)?,
            transform: processing::transform(cx, &described)?,
            partitioning,
            delimiter: processing::delimiter(&described)?,
            described,
        };
        Ok(config)
    }

    /// Whether records come by `PutRecord` and `PutRecordBatch`.
    pub fn is_direct_put(&self) -> bool {
        matches!(self.source, SourceConfig::DirectPut { .. })
    }

    /// `DeliveryStreamType`.
    pub fn kind(&self) -> &'static str {
        if self.is_direct_put() { "DirectPut" } else { "KinesisStreamAsSource" }
    }

    /// The roles that the delivery stream acts in.
    pub fn roles(&self) -> impl Iterator<Item = &Principal> {
        let source = match &self.source {
            SourceConfig::Kinesis { role, .. } => Some(role),
            SourceConfig::DirectPut { .. } => None,
        };
        let schema = self.main.conversion().map(|conversion| &conversion.role);
        let others = [self.backup.as_ref().map(|sink| &sink.role), self.transform.as_ref().map(|it| &it.role), schema];
        [source, Some(&self.main.role)].into_iter().chain(others).flatten()
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

fn source(
    cx: &Cx<'_>,
    kind: &str,
    kinesis: Option<KinesisSource>,
    direct: Option<DirectPutSource>,
) -> Result<SourceConfig, AwsError> {
    match (kind, kinesis) {
        ("DirectPut", None) => {
            if let Some(DirectPutSource { throughput_hint }) = direct
                && !(1..=100).contains(&throughput_hint)
            {
                return Err(AwsError::new("ValidationException", "ThroughputHintInMBs must be 1 to 100"));
            }
            Ok(SourceConfig::DirectPut { described: direct })
        }
        ("KinesisStreamAsSource", Some(described)) if direct.is_none() => {
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
pub(super) fn stream_key(kind: &str, given: &StreamEncryption) -> Result<StreamKey, AwsError> {
    if kind != "DirectPut" {
        // The text is unverified.
        return Err(invalid(format!(
            "DeliveryStreamEncryptionConfigurationInput is not supported for a delivery stream of type {kind}"
        )));
    }
    match (given.key_type.as_str(), &given.key_arn) {
        ("AWS_OWNED_CMK", None) => Ok(StreamKey::Owned),
        ("CUSTOMER_MANAGED_CMK", Some(key)) if key.starts_with("arn:aws:kms:") => Ok(StreamKey::Managed(key.clone())),
        (kind, _) => Err(invalid(format!("the KeyType {kind} is none, or does not go with this KeyARN"))),
    }
}
