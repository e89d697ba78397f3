//! Settings of one environment: plain numbers and names, no components. Every key has a default and is checked.

mod check;
mod data_path;
mod governance;
mod operations;
mod recurrence;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::template::Retention;
use check::{REGIONS, bucket_is_valid, check, within};
use data_path::validate_lake_start;

pub(crate) use data_path::{ALERT_EVERY_S, ATTENTION_MS, ATTENTION_QUIET_S, CURATION_EVERY_H_MAX};
pub use data_path::{
    AnomalyDetection, Attention, Curation, Enrichment, Keep, ProcessedDelivery, RawDelivery, StreamMode,
};
#[cfg(test)]
pub(crate) use data_path::{DETECTION_TIMEOUT_S_MIN, ENRICHMENT_RETRIES_MIN};
pub use governance::Security;
pub use operations::{Alarms, Cost, Identity, Iot, IotDomain, Pipeline};

/// Settings of one environment. A settings file is TOML with these keys; a missing key has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Environment: 1 to 12 of `a-z0-9-`, beginning with a letter. It is part of every name. Default `dev`.
    pub env: String,
    /// Region that the stacks are deployed to. Default `eu-west-1`.
    pub region: String,
    /// Account that the stacks are deployed to, twelve digits. When it is absent, templates name the account of the
    /// deployment.
    pub account: Option<String>,
    /// Whether buckets, streams and tables outlive their stack, and are protected against deletion. Default: only in the
    /// environment `prod`.
    pub retain_data: Option<bool>,
    /// How the raw stream is paid and scaled: `provisioned` or `on-demand`. Default `provisioned`.
    pub raw_stream_mode: StreamMode,
    /// How the enriched stream is paid and scaled. Default `provisioned`.
    pub enriched_stream_mode: StreamMode,
    /// Shards of the raw stream, which only a provisioned one has. Default 2.
    pub raw_shards: Option<u32>,
    /// Shards of the enriched stream, which only a provisioned one has. Default 2. A shard has room for the detectors of 50,000
    /// series, such as 25,000 devices of two metrics, however seldom they publish: give it shards for all devices times their
    /// metrics, and some more, because devices are not spread evenly. What has no room is counted, and raises an alarm.
    pub enriched_shards: Option<u32>,
    /// How long both streams keep records: 24 to 8,760. Default 24. The curation looks for duplicates as far back, and the
    /// items of devices that left stay a day longer.
    pub stream_retention_hours: u32,
    /// Delivery of raw readings. Default 300 s, 64 MiB.
    pub raw_delivery: RawDelivery,
    /// Delivery of processed readings. Default 60 s, 128 MiB.
    pub processed_delivery: ProcessedDelivery,
    /// How long data and logs are kept.
    pub retention: Keep,
    /// The enrichment function.
    pub enrichment: Enrichment,
    /// The function that finds anomalies.
    pub anomaly_detection: AnomalyDetection,
    /// The curation of the lake.
    pub curation: Curation,
    /// IoT Core as a whole.
    pub iot: Iot,
    /// Alarms of the platform itself.
    pub alarms: Alarms,
    /// What the platform may cost.
    pub cost: Cost,
    /// People who look at their tenant's readings.
    pub identity: Identity,
    /// Security and audit.
    pub security: Security,
    /// The pipeline that deploys the platform. Default: none.
    pub pipeline: Option<Pipeline>,
    /// First hour of the lake's tables, `yyyy/MM/dd/HH` in UTC. Rows of earlier hours are not found. Default
    /// `2026/01/01/00`.
    pub lake_start: String,
    /// A query that scans more bytes is cancelled: at least 10,000,000. Default 10 GiB.
    pub athena_scan_limit_bytes: u64,
    /// Bucket with the functions' deployment package. Default `iot-platform-{env}-artifacts-{account}-{region}`.
    pub artifact_bucket: Option<String>,
    /// Key of the functions' deployment package. Default `platform/{version}/bootstrap.zip`.
    pub artifact_key: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            env: "dev".to_owned(),
            region: "eu-west-1".to_owned(),
            account: None,
            retain_data: None,
            raw_stream_mode: StreamMode::default(),
            enriched_stream_mode: StreamMode::default(),
            raw_shards: None,
            enriched_shards: None,
            stream_retention_hours: 24,
            raw_delivery: RawDelivery::default(),
            processed_delivery: ProcessedDelivery::default(),
            retention: Keep::default(),
            enrichment: Enrichment::default(),
            anomaly_detection: AnomalyDetection::default(),
            curation: Curation::default(),
            iot: Iot::default(),
            alarms: Alarms::default(),
            cost: Cost::default(),
            identity: Identity::default(),
            security: Security::default(),
            pipeline: None,
            lake_start: "2026/01/01/00".to_owned(),
            athena_scan_limit_bytes: 10 * 1024 * 1024 * 1024,
            artifact_bucket: None,
            artifact_key: None,
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("cannot read the settings file {}: {source}\n  hint: leave out --settings to use the defaults", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value of another type.
    #[error(
        "{origin}: {source}  hint: the keys and their defaults are those of `Settings` in platform/src/settings/mod.rs"
    )]
    Syntax {
        /// The file.
        origin: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value cannot work on AWS.
    #[error("settings: `{key}` is {found}, expected {expected}\n  hint: {hint}")]
    Invalid {
        /// The key, with its table: `enrichment.batch_size`.
        key: &'static str,
        /// The value.
        found: String,
        /// What would be accepted.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// A value that was given in a file or on the command line cannot work on AWS.
    #[error("{origin}: {error}")]
    Given {
        /// The file with its line where that is known, or the flag.
        origin: String,
        /// What is wrong: [`SettingsError::Invalid`].
        error: Box<SettingsError>,
    },
}

impl Settings {
    /// Reads a settings file and checks it; without one, all settings have their defaults. `env` is the flag `--env`,
    /// which replaces the file's own environment.
    pub fn load(path: Option<&Path>, env: Option<&str>) -> Result<Self, SettingsError> {
        let (text, file) = match path {
            None => (String::new(), String::new()),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
                (text, path.display().to_string())
            }
        };
        let mut settings = Self::parse(&text, &file)?;
        if let Some(env) = env {
            env.clone_into(&mut settings.env);
        }
        let located = |error: SettingsError| {
            let SettingsError::Invalid { key, .. } = &error else { return error };
            let origin = match line_of(&text, key) {
                _ if *key == "env" && env.is_some() => "--env".to_owned(),
                Some(line) => format!("{file}:{line}"),
                None => file.clone(),
            };
            SettingsError::Given { origin, error: Box::new(error) }
        };
        settings.validate().map_err(located)?;
        Ok(settings)
    }

    /// Parses settings without checking their values. `origin` names the text in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SettingsError> {
        toml::from_str(text)
            .map_err(|source| SettingsError::Syntax { origin: origin.to_owned(), source: Box::new(source) })
    }

    /// Checks every value against the limits of AWS. The first that breaks one is named.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.validate_names()?;
        self.raw_stream_mode.validate("raw_shards", self.raw_shards)?;
        self.enriched_stream_mode.validate("enriched_shards", self.enriched_shards)?;
        within("stream_retention_hours", self.stream_retention_hours, STREAM_RETENTION_HOURS, "168 is a week")?;
        self.raw_delivery.validate()?;
        self.processed_delivery.validate()?;
        self.retention.validate()?;
        self.enrichment.validate()?;
        self.anomaly_detection.validate()?;
        self.curation.validate()?;
        let cheap = "at 5 USD a TB, 10 GiB cost about 5 cents";
        let scan = self.athena_scan_limit_bytes;
        within("athena_scan_limit_bytes", scan, SCAN_LIMIT_BYTES_MIN..=u64::MAX, cheap)?;
        self.iot.validate()?;
        self.alarms.validate()?;
        self.validate_together()?;
        self.cost.validate()?;
        self.identity.validate()?;
        self.pipeline.as_ref().map_or(Ok(()), Pipeline::validate)
    }

    /// Checks what one setting asks of another.
    fn validate_together(&self) -> Result<(), SettingsError> {
        let interval_s = self.raw_delivery.buffer_interval_s.max(self.processed_delivery.buffer_interval_s);
        let hint = "a delivery is as old as its buffer interval each time: the alarm would be raised for ever";
        within("alarms.delivery_age_s", self.alarms.delivery_age_s, interval_s..=86_400, hint)?;
        let Some(domain) = &self.iot.domain else { return Ok(()) };
        let arn = &domain.certificate_arn;
        let ok = arn.split(':').nth(3) == Some(self.region.as_str());
        let expected = format!("a certificate of {}, the Region of these settings", self.region);
        let hint = "IoT Core takes certificates of its own Region only: request or import the certificate there";
        check("iot.domain.certificate_arn", arn, ok, &expected, hint)
    }

    fn validate_names(&self) -> Result<(), SettingsError> {
        let env = self.env.as_bytes();
        let env_ok = (1..=12).contains(&env.len())
            && env[0].is_ascii_lowercase()
            && env.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && !self.env.ends_with('-');
        let env_expected = "1 to 12 of a-z, 0-9 and -, beginning with a letter and not ending with -";
        check("env", &self.env, env_ok, env_expected, "bucket names hold it beside the account and the Region")?;
        let region_ok = REGIONS.contains(&self.region.as_str());
        check("region", &self.region, region_ok, "the name of a Region", "for example eu-west-1")?;
        if let Some(account) = &self.account {
            let ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            check("account", account, ok, "twelve digits", "leave it out to use the account of the deployment")?;
        }
        validate_lake_start(&self.lake_start)?;
        let default = "leave it out to use the default";
        if let Some(bucket) = &self.artifact_bucket {
            let expected = "a bucket's name: 3 to 63 of a-z, 0-9, - and single dots, beginning and ending with a letter \
                            or digit, no IP address, no prefix or suffix that S3 reserves";
            check("artifact_bucket", bucket, bucket_is_valid(bucket), expected, default)?;
        }
        if let Some(key) = &self.artifact_key {
            let ok = (1..=1024).contains(&key.len());
            check("artifact_key", key, ok, "an object's key: 1 to 1,024 bytes", default)?;
        }
        Ok(())
    }

    /// What becomes of data when a stack is deleted.
    pub fn retention(&self) -> Retention {
        if self.retain_data.unwrap_or(self.env == "prod") { Retention::Retain } else { Retention::Delete }
    }

    /// Whether this environment owns the logging of IoT Core, of which an account has one in a Region.
    pub fn iot_logging(&self) -> bool {
        self.iot.logging.unwrap_or(self.env == "prod")
    }

    /// Whether this environment's trail records the events of all Regions.
    pub fn trail_in_all_regions(&self) -> bool {
        self.security.trail_in_all_regions.unwrap_or(self.env == "prod")
    }
}

/// How long a stream may keep records (API reference, `IncreaseStreamRetentionPeriod`).
pub(crate) const STREAM_RETENTION_HOURS: RangeInclusive<u32> = 24..=8_760;

/// Least bytes that a workgroup of Athena may be limited to (API reference, `WorkGroupConfiguration`).
const SCAN_LIMIT_BYTES_MIN: u64 = 10_000_000;

/// The line, from 1, that gives a key such as `enrichment.batch_size` its value; nothing when the text does not.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut parts = key.split('.');
    let mut value = document.get_ref().get(parts.next()?)?;
    for part in parts {
        value = value.get_ref().as_table()?.get(part)?;
    }
    Some(text.get(..value.span().start)?.matches('\n').count() + 1)
}
