//! Settings of one environment: plain numbers and names, no components. Every key has a default and is checked.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::template::Retention;

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
    /// Whether buckets, streams and tables outlive their stack. Default: only in the environment `prod`.
    pub retain_data: Option<bool>,
    /// Shards of the raw stream. Default 2.
    pub raw_shards: u32,
    /// Shards of the enriched stream. Default 2.
    pub enriched_shards: u32,
    /// How long both streams keep records: 24 to 8,760. Default 24.
    pub stream_retention_hours: u32,
    /// Delivery of raw readings. Default 300 s, 64 MiB.
    pub raw_delivery: RawDelivery,
    /// Delivery of processed readings. Default 60 s, 128 MiB.
    pub processed_delivery: ProcessedDelivery,
    /// The enrichment function.
    pub enrichment: Enrichment,
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

/// Delivery of raw readings: a buffer is written at whichever limit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDelivery {
    /// Age of the oldest record: 0 to 900. Default 300.
    pub buffer_interval_s: u32,
    /// Size: 1 to 128. Default 64.
    pub buffer_size_mib: u32,
}

/// Delivery of processed readings: a buffer is written at whichever limit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessedDelivery {
    /// Age of the oldest record: 0 to 900. Default 60.
    pub buffer_interval_s: u32,
    /// Size: 64 to 128, because records are converted to Parquet. Default 128.
    pub buffer_size_mib: u32,
}

/// The enrichment function and its event source mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrichment {
    /// Most records of a batch: 1 to 10,000. Default 500.
    pub batch_size: u32,
    /// How long a batch may gather: 0 to 300. Default 1.
    pub batch_window_s: u32,
    /// Memory: 128 to 10,240. Default 512.
    pub memory_mib: u32,
    /// Longest run: 10 to 900. Default 60.
    pub timeout_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            env: "dev".to_owned(),
            region: "eu-west-1".to_owned(),
            account: None,
            retain_data: None,
            raw_shards: 2,
            enriched_shards: 2,
            stream_retention_hours: 24,
            raw_delivery: RawDelivery::default(),
            processed_delivery: ProcessedDelivery::default(),
            enrichment: Enrichment::default(),
            lake_start: "2026/01/01/00".to_owned(),
            athena_scan_limit_bytes: 10 * 1024 * 1024 * 1024,
            artifact_bucket: None,
            artifact_key: None,
        }
    }
}

impl Default for RawDelivery {
    fn default() -> Self {
        RawDelivery { buffer_interval_s: 300, buffer_size_mib: 64 }
    }
}

impl Default for ProcessedDelivery {
    fn default() -> Self {
        ProcessedDelivery { buffer_interval_s: 60, buffer_size_mib: 128 }
    }
}

impl Default for Enrichment {
    fn default() -> Self {
        Enrichment { batch_size: 500, batch_window_s: 1, memory_mib: 512, timeout_s: 60 }
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
        "{origin}: {source}  hint: the keys and their defaults are those of `Settings` in platform/src/settings.rs"
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
}

impl Settings {
    /// Reads a settings file and checks it. `env` replaces the file's own environment.
    pub fn load(path: &Path, env: Option<&str>) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let mut settings = Self::parse(&text, &path.display().to_string())?;
        if let Some(env) = env {
            env.clone_into(&mut settings.env);
        }
        settings.validate()?;
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
        let shards = "a shard takes 1,000 records and 1 MiB a second";
        within("raw_shards", self.raw_shards, 1..=10_000, shards)?;
        within("enriched_shards", self.enriched_shards, 1..=10_000, shards)?;
        within("stream_retention_hours", self.stream_retention_hours, 24..=8_760, "168 is a week")?;
        let buffers = "Firehose writes an object when either limit is reached";
        within("raw_delivery.buffer_interval_s", self.raw_delivery.buffer_interval_s, 0..=900, buffers)?;
        within("raw_delivery.buffer_size_mib", self.raw_delivery.buffer_size_mib, 1..=128, buffers)?;
        within("processed_delivery.buffer_interval_s", self.processed_delivery.buffer_interval_s, 0..=900, buffers)?;
        let parquet = "conversion to Parquet needs buffers of at least 64 MiB; shorten the interval for small objects";
        within("processed_delivery.buffer_size_mib", self.processed_delivery.buffer_size_mib, 64..=128, parquet)?;
        let Enrichment { batch_size, batch_window_s, memory_mib, timeout_s } = self.enrichment;
        within("enrichment.batch_size", batch_size, 1..=10_000, "500 fills one PutRecords call")?;
        within("enrichment.batch_window_s", batch_window_s, 0..=300, "0 invokes as soon as a record is there")?;
        within("enrichment.memory_mib", memory_mib, 128..=10_240, "1,769 MiB give one full processor")?;
        within("enrichment.timeout_s", timeout_s, 10..=900, "retries of a throttled stream need some seconds")?;
        let cheap = "at 5 USD a TB, 10 GiB cost about 5 cents";
        within("athena_scan_limit_bytes", self.athena_scan_limit_bytes, 10_000_000..=u64::MAX, cheap)
    }

    fn validate_names(&self) -> Result<(), SettingsError> {
        let env = self.env.as_bytes();
        let env_ok = (1..=12).contains(&env.len())
            && env[0].is_ascii_lowercase()
            && env.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && !self.env.ends_with('-');
        let env_expected = "1 to 12 of a-z, 0-9 and -, beginning with a letter and not ending with -";
        check("env", &self.env, env_ok, env_expected, "bucket names hold it beside the account and the Region")?;
        let region = self.region.split('-').collect::<Vec<_>>();
        let region_ok = (3..=4).contains(&region.len())
            && self.region.len() <= 14
            && region[..region.len() - 1].iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase()))
            && region[region.len() - 1].parse::<u8>().is_ok();
        check("region", &self.region, region_ok, "the name of a Region", "for example eu-west-1")?;
        if let Some(account) = &self.account {
            let ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            check("account", account, ok, "twelve digits", "leave it out to use the account of the deployment")?;
        }
        let start_ok = hour_is_valid(&self.lake_start);
        check("lake_start", &self.lake_start, start_ok, "an hour as yyyy/MM/dd/HH", "for example 2026/01/01/00")?;
        for (key, value) in [("artifact_bucket", &self.artifact_bucket), ("artifact_key", &self.artifact_key)] {
            if let Some(value) = value {
                check(key, value, !value.is_empty(), "a name", "leave it out to use the default")?;
            }
        }
        Ok(())
    }

    /// What becomes of data when a stack is deleted.
    pub fn retention(&self) -> Retention {
        if self.retain_data.unwrap_or(self.env == "prod") { Retention::Retain } else { Retention::Delete }
    }
}

fn hour_is_valid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let ranges: [(usize, RangeInclusive<u32>); 4] = [(4, 2000..=2999), (2, 1..=12), (2, 1..=31), (2, 0..=23)];
    parts.len() == ranges.len()
        && parts.iter().zip(ranges).all(|(part, (digits, range))| {
            part.len() == digits
                && part.bytes().all(|b| b.is_ascii_digit())
                && part.parse().is_ok_and(|n| range.contains(&n))
        })
}

fn check(key: &'static str, found: &str, ok: bool, expected: &str, hint: &'static str) -> Result<(), SettingsError> {
    if ok {
        return Ok(());
    }
    Err(SettingsError::Invalid { key, found: format!("{found:?}"), expected: expected.to_owned(), hint })
}

fn within<T: PartialOrd + fmt::Display>(
    key: &'static str,
    found: T,
    range: RangeInclusive<T>,
    hint: &'static str,
) -> Result<(), SettingsError> {
    if range.contains(&found) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(SettingsError::Invalid { key, found: found.to_string(), expected, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(toml: &str) -> String {
        let settings = Settings::parse(toml, "test.toml");
        settings.and_then(|s| s.validate().map(|()| s)).expect_err(toml).to_string()
    }

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let defaults = Settings::default();
        defaults.validate().unwrap();
        let text = toml::to_string(&defaults).unwrap();
        assert_eq!(Settings::parse(&text, "defaults").unwrap(), defaults);
        assert_eq!(Settings::parse("", "empty").unwrap(), defaults);
    }

    #[test]
    fn data_is_retained_in_production_and_where_it_is_asked_for() {
        for (toml, expected) in [
            ("env = 'prod'", Retention::Retain),
            ("env = 'dev'", Retention::Delete),
            ("env = 'dev'\nretain_data = true", Retention::Retain),
            ("env = 'prod'\nretain_data = false", Retention::Delete),
        ] {
            assert_eq!(Settings::parse(toml, "test").unwrap().retention(), expected, "{toml}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = error("env = 'dev'\nraw_shard = 3\n");
        assert!(
            message.contains("raw_shard") && message.contains("line 2") && message.contains("raw_shards"),
            "{message}"
        );
    }

    #[test]
    fn an_impossible_value_names_its_key_what_was_expected_and_a_hint() {
        for (toml, parts) in [
            ("raw_shards = 0", ["`raw_shards` is 0", "1 to 10000", "hint: a shard takes"]),
            ("env = 'Dev'", ["`env` is \"Dev\"", "beginning with a letter", "hint: "]),
            ("env = 'a-very-long-name'", ["`env` is", "1 to 12", "hint: "]),
            ("region = 'europe'", ["`region` is \"europe\"", "the name of a Region", "eu-west-1"]),
            ("account = '123'", ["`account` is \"123\"", "twelve digits", "hint: "]),
            ("lake_start = '2026-01-01'", ["`lake_start` is", "yyyy/MM/dd/HH", "hint: "]),
            ("[enrichment]\nbatch_size = 20000", ["`enrichment.batch_size` is 20000", "1 to 10000", "hint: "]),
            (
                "[processed_delivery]\nbuffer_size_mib = 5",
                ["`processed_delivery.buffer_size_mib` is 5", "64 to 128", "Parquet"],
            ),
            ("athena_scan_limit_bytes = 1", ["`athena_scan_limit_bytes` is 1", "10000000 to", "hint: "]),
        ] {
            let message = error(toml);
            for part in parts {
                assert!(message.contains(part), "{toml}: {part:?} is missing in {message}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Settings::load(Path::new("no/such.toml"), None).unwrap_err().to_string();
        assert!(message.contains("no/such.toml") && message.contains("hint: "), "{message}");
    }
}
