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
    /// Most records of a batch: 1 to 10,000, at most 10 without a window. Default 500.
    pub batch_size: u32,
    /// How long a batch may gather: 0 to 300, at least 1 for batches of more than 10 records. Default 1.
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
        if batch_size > BATCH_WITHOUT_WINDOW_MAX {
            let window = "Lambda takes no batch of more than 10 records without a window; set a window, or a smaller \
                          enrichment.batch_size";
            within("enrichment.batch_window_s", batch_window_s, 1..=300, window)?;
        }
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
            && matches!(region[region.len() - 1].as_bytes(), [b'0'..=b'9'] | [b'0'..=b'9', b'0'..=b'9']);
        check("region", &self.region, region_ok, "the name of a Region", "for example eu-west-1")?;
        if let Some(account) = &self.account {
            let ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            check("account", account, ok, "twelve digits", "leave it out to use the account of the deployment")?;
        }
        let start_ok = hour_is_valid(&self.lake_start);
        check("lake_start", &self.lake_start, start_ok, "an hour as yyyy/MM/dd/HH", "for example 2026/01/01/00")?;
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
}

/// Most records of a batch that needs no window (API reference, `CreateEventSourceMapping`: "When you set `BatchSize` to
/// a value greater than 10, you must set `MaximumBatchingWindowInSeconds` to at least 1"). Lambda's guide does not repeat
/// it for streams, so the stricter of the two is taken.
const BATCH_WITHOUT_WINDOW_MAX: u32 = 10;

fn hour_is_valid(text: &str) -> bool {
    let part = |part: &str, digits: usize| {
        let whole = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        whole.then(|| part.parse::<u32>().ok()).flatten()
    };
    let parts: Vec<&str> = text.split('/').collect();
    let [year, month, day, hour] = parts.as_slice() else { return false };
    match (part(year, 4), part(month, 2), part(day, 2), part(hour, 2)) {
        (Some(year @ 2000..=2999), Some(month @ 1..=12), Some(day), Some(0..=23)) => {
            (1..=days_of(year, month)).contains(&day)
        }
        _ => false,
    }
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether S3 takes a name (S3 guide, "General purpose bucket naming rules").
fn bucket_is_valid(name: &str) -> bool {
    let at_end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && at_end(name.bytes().next())
        && at_end(name.bytes().last())
        && !name.contains("..")
        && !(name.split('.').count() == 4 && name.split('.').all(is_number))
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix))
}

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
            ("lake_start = '2026/02/29/00'", ["`lake_start` is", "yyyy/MM/dd/HH", "hint: "]),
            ("region = 'eu-west-+1'", ["`region` is \"eu-west-+1\"", "the name of a Region", "hint: "]),
            ("artifact_bucket = 'Builds'", ["`artifact_bucket` is \"Builds\"", "3 to 63", "hint: "]),
            ("artifact_key = ''", ["`artifact_key` is \"\"", "1 to 1,024 bytes", "hint: "]),
            ("enrichment.batch_window_s = 0", ["`enrichment.batch_window_s` is 0", "1 to 300", "batch_size"]),
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
    fn a_small_batch_needs_no_window() {
        let text = "[enrichment]\nbatch_size = 10\nbatch_window_s = 0";
        Settings::parse(text, "test").unwrap().validate().unwrap();
    }

    #[test]
    fn days_are_those_of_their_month() {
        for (text, expected) in [
            ("2024/02/29/00", true),
            ("2000/02/29/23", true),
            ("2100/02/29/00", false),
            ("2026/02/28/00", true),
            ("2026/04/31/00", false),
            ("2026/12/31/23", true),
            ("2026/01/00/00", false),
            ("2026/13/01/00", false),
            ("2026/01/01/24", false),
            ("2026/1/01/00", false),
            ("+026/01/01/00", false),
            ("2026/01/01", false),
        ] {
            assert_eq!(hour_is_valid(text), expected, "{text}");
        }
    }

    #[test]
    fn buckets_are_named_by_the_rules_of_s3() {
        let long = ["x".repeat(63), "x".repeat(64)];
        for (name, expected) in [
            ("abc", true),
            ("my.builds-2", true),
            ("1.2.3.4.example", true),
            (&long[0], true),
            (&long[1], false),
            ("ab", false),
            ("a_b", false),
            ("Builds", false),
            ("-builds", false),
            ("builds.", false),
            ("my..builds", false),
            ("192.168.5.4", false),
            ("xn--builds", false),
            ("sthree-builds", false),
            ("amzn-s3-demo-builds", false),
            ("builds-s3alias", false),
            ("builds--ol-s3", false),
            ("builds.mrap", false),
            ("builds--x-s3", false),
            ("builds--table-s3", false),
        ] {
            assert_eq!(bucket_is_valid(name), expected, "{name}");
        }
    }

    #[test]
    fn an_impossible_value_of_a_file_is_named_with_its_line_and_that_of_the_flag_with_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        for (text, env, origin) in [
            ("env = 'dev'\n\nraw_shards = 0\n", None, "mine.toml:3: "),
            ("env = 'dev'\n[enrichment]\n# Records.\nbatch_size = 20000\n", None, "mine.toml:4: "),
            ("enrichment.timeout_s = 1", None, "mine.toml:1: "),
            ("raw_delivery = { buffer_size_mib = 64,\nbuffer_interval_s = 901 }", None, "mine.toml:2: "),
            ("\nenv = 'Bad'", None, "mine.toml:2: "),
            ("\nenv = 'dev'", Some("Bad"), "--env: "),
            ("\nenv = 'Bad'\nraw_shards = 0", Some("good"), "mine.toml:3: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Settings::load(Some(&path), env).expect_err(text).to_string();
            let before = message.split("settings: `").next().unwrap();
            assert!(before.ends_with(origin) && message.contains("hint: "), "{text}: {message}");
        }
        let message = Settings::load(None, Some("Bad")).unwrap_err().to_string();
        assert!(message.starts_with("--env: settings: `env` is \"Bad\""), "{message}");
        assert_eq!(Settings::load(None, Some("good")).unwrap().env, "good");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Settings::load(Some(Path::new("no/such.toml")), None).unwrap_err().to_string();
        assert!(message.contains("no/such.toml") && message.contains("hint: "), "{message}");
    }
}
