//! Settings of the data path: streams, deliveries, how long data is kept, the functions that work on it.

use serde::{Deserialize, Serialize};

use super::SettingsError;
use super::check::{check, email, schedule, within};
use super::recurrence::{Gaps, gaps};
use crate::template::kinesis::Capacity;

/// How the streams are paid and scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamMode {
    /// By the shard: `raw_shards` or `enriched_shards` says how many.
    #[default]
    Provisioned,
    /// By use: AWS scales the shards, and no number of them may be set.
    OnDemand,
}

/// Shards of a provisioned stream when nothing is said.
const SHARDS: u32 = 2;

impl StreamMode {
    /// The capacity of a stream of this mode.
    pub(crate) fn capacity(self, shards: Option<u32>) -> Capacity {
        match self {
            StreamMode::Provisioned => Capacity::Shards(shards.unwrap_or(SHARDS)),
            StreamMode::OnDemand => Capacity::OnDemand,
        }
    }

    /// Checks the number of shards that the setting `key` gives.
    pub(super) fn validate(self, key: &'static str, shards: Option<u32>) -> Result<(), SettingsError> {
        let Some(shards) = shards else { return Ok(()) };
        let hint = "AWS scales a stream on demand: leave the shards out, or set the stream's mode to provisioned";
        check(key, &shards.to_string(), self == StreamMode::Provisioned, "nothing for a stream on demand", hint)?;
        within(key, shards, 1..=10_000, "a shard takes 1,000 records and 1 MiB a second")
    }
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

/// How long data and logs are kept, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// Raw readings: 1 to 3,650. Default 30.
    pub raw_days: u32,
    /// Processed readings, anomalies and what was refused: 1 to 3,650. Default 90.
    pub processed_days: u32,
    /// Curated readings: 1 to 3,650, not less than `processed_days`. Default 365.
    pub curated_days: u32,
    /// Logs of functions and of IoT Core: one of the numbers of CloudWatch Logs. Default 30.
    pub log_days: u32,
    /// The trail and other audit records: 1 to 3,650. Default 365.
    pub audit_days: u32,
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
    /// Concurrency that is set aside for the function, and its limit: 1 to 1,000. Default: none, it shares that of the
    /// account.
    pub reserved_concurrency: Option<u32>,
    /// How often a batch that fails comes again before it is put into the quarantine: 10 to 10,000. Waits grow to a minute,
    /// so that the default outlasts a failure of some minutes; the reading of a device that the directory does not know yet
    /// waits for it by coming again for four. Default 20.
    pub retry_attempts: u32,
}

/// The function that finds anomalies, its event source mapping, and who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalyDetection {
    /// Most records of a batch: 1 to 10,000, at most 10 without a window. Default 4,000: the state of a shard, some 800
    /// bytes a device of two metrics, is written once a batch.
    pub batch_size: u32,
    /// How long a batch may gather: 0 to 300, at least 1 for batches of more than 10 records. An anomaly is told that much
    /// later; a shard makes as many writes of S3 as its day has such times, at most. Default 10.
    pub batch_window_s: u32,
    /// Memory: 256 to 10,240. Default 512.
    pub memory_mib: u32,
    /// Longest run: 20 to 900. Default 60.
    pub timeout_s: u32,
    /// As of [`Enrichment::reserved_concurrency`].
    pub reserved_concurrency: Option<u32>,
    /// How often a batch that fails comes again before it is put into the quarantine: 0 to 10,000. Default 20.
    pub retry_attempts: u32,
    /// Who is told of anomalies by e-mail, once the address was confirmed. Default: nobody, until somebody subscribes.
    pub alert_email: Option<String>,
    /// Of a device and kind of anomaly one alert is sent in so many seconds, the others are in the lake and counted: 0, for
    /// no such limit, to 86,400. Default 900.
    pub alert_every_s: u32,
    /// What devices with anomalies are asked.
    pub attention: Attention,
}

/// Devices with anomalies are asked, by the desired state of their shadows, for a quarter of their usual publish interval,
/// until they were quiet for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attention {
    /// Whether they are asked. What was asked before is withdrawn either way. Default true.
    pub enabled: bool,
    /// Shortest interval that a device is asked for, in ms: 10 to 3,600,000. Default 1,000.
    pub interval_min_ms: u32,
    /// A device is quiet after so long without an anomaly: 10 to 86,400. Default 600.
    pub quiet_s: u32,
}

/// The curation of the lake: hourly statements that write each reading once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Curation {
    /// Whether the schedule is active. Default false.
    pub enabled: bool,
    /// When it runs: an expression of EventBridge Scheduler, in UTC, at most once an hour and at least every third one.
    /// Default `cron(20 * * * ? *)`.
    pub schedule: String,
    /// A statement that scans more bytes is cancelled: at least 10,000,000. Default 50 GiB.
    pub scan_limit_bytes: u64,
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

impl Default for Keep {
    fn default() -> Self {
        Keep { raw_days: 30, processed_days: 90, curated_days: 365, log_days: 30, audit_days: 365 }
    }
}

impl Default for Enrichment {
    fn default() -> Self {
        Enrichment {
            batch_size: 500,
            batch_window_s: 1,
            memory_mib: 512,
            timeout_s: 60,
            reserved_concurrency: None,
            retry_attempts: RETRY_ATTEMPTS,
        }
    }
}

impl Default for AnomalyDetection {
    fn default() -> Self {
        AnomalyDetection {
            batch_size: 4_000,
            batch_window_s: 10,
            memory_mib: 512,
            timeout_s: 60,
            reserved_concurrency: None,
            retry_attempts: RETRY_ATTEMPTS,
            alert_email: None,
            alert_every_s: 900,
            attention: Attention::default(),
        }
    }
}

impl Default for Attention {
    fn default() -> Self {
        Attention { enabled: true, interval_min_ms: 1_000, quiet_s: 600 }
    }
}

impl Default for Curation {
    fn default() -> Self {
        Curation {
            enabled: false,
            schedule: "cron(20 * * * ? *)".to_owned(),
            scan_limit_bytes: 50 * 1024 * 1024 * 1024,
        }
    }
}

impl RawDelivery {
    pub(super) fn validate(self) -> Result<(), SettingsError> {
        within("raw_delivery.buffer_interval_s", self.buffer_interval_s, 0..=900, BUFFERS)?;
        within("raw_delivery.buffer_size_mib", self.buffer_size_mib, 1..=128, BUFFERS)
    }
}

impl ProcessedDelivery {
    pub(super) fn validate(self) -> Result<(), SettingsError> {
        within("processed_delivery.buffer_interval_s", self.buffer_interval_s, 0..=900, BUFFERS)?;
        let parquet = "conversion to Parquet needs buffers of at least 64 MiB; shorten the interval for small objects";
        within("processed_delivery.buffer_size_mib", self.buffer_size_mib, 64..=128, parquet)
    }
}

const BUFFERS: &str = "Firehose writes an object when either limit is reached";

impl Keep {
    pub(super) fn validate(self) -> Result<(), SettingsError> {
        within("retention.raw_days", self.raw_days, DAYS, "30 is a month of readings as they came")?;
        within("retention.processed_days", self.processed_days, DAYS, "90 is a quarter")?;
        let gold = "what is curated replaces what was processed, so it is kept at least as long";
        within("retention.curated_days", self.curated_days, self.processed_days..=*DAYS.end(), gold)?;
        let log_days = self.log_days.to_string();
        let expected = LOG_DAYS.map(|days| days.to_string()).join(", ");
        if !LOG_DAYS.contains(&self.log_days) {
            let hint = "CloudWatch Logs keeps logs for these numbers of days only";
            return Err(SettingsError::Invalid { key: "retention.log_days", found: log_days, expected, hint });
        }
        within("retention.audit_days", self.audit_days, DAYS, "many rules ask for a year, 365")
    }
}

/// Longest time between two runs of the curation, in hours: it looks no further back.
pub(crate) const CURATION_EVERY_H_MAX: i64 = 3;

/// Shortest intervals that a device may be asked for, in ms.
pub(crate) const ATTENTION_MS: std::ops::RangeInclusive<u32> = 10..=3_600_000;
/// How long a device may have to be quiet, in s.
pub(crate) const ATTENTION_QUIET_S: std::ops::RangeInclusive<u32> = 10..=86_400;

/// How long alerts of a device and kind may be held back, in s.
pub(crate) const ALERT_EVERY_S: std::ops::RangeInclusive<u32> = 0..=86_400;

/// Ten years: more is most likely a mistake.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

/// What CloudWatch Logs takes as the retention of a log group (API reference, `PutRetentionPolicy`), up to ten years.
pub(super) const LOG_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Most records of a batch that needs no window (API reference, `CreateEventSourceMapping`: "When you set `BatchSize` to
/// a value greater than 10, you must set `MaximumBatchingWindowInSeconds` to at least 1"). The defaults that Lambda's guide
/// gives for streams, 100 records and no window, contradict it; so the stricter of the two is taken.
const BATCH_WITHOUT_WINDOW_MAX: u32 = 10;

/// How often a batch that fails comes again, where the settings do not say.
const RETRY_ATTEMPTS: u32 = 20;

/// Fewest attempts of the enrichment. Lambda waits 1 s, then twice as long each time up to a minute (unverified), which is five
/// minutes in all: longer than a reading waits for its device.
pub(crate) const ENRICHMENT_RETRIES_MIN: u32 = 10;

/// Shortest time-out of the detection: less would leave no time in which devices with anomalies are asked, since what is
/// kept free to store the state comes first.
pub(crate) const DETECTION_TIMEOUT_S_MIN: u32 = 20;

/// A function that reads a stream: its numbers, and their keys.
struct StreamReader {
    batch_size: (&'static str, u32),
    batch_window_s: (&'static str, u32),
    memory_mib: (&'static str, u32),
    timeout_s: (&'static str, u32),
    /// Shortest time-out, and why none is shorter.
    timeout_s_min: (u32, &'static str),
    reserved_concurrency: (&'static str, Option<u32>),
}

impl StreamReader {
    fn validate(&self) -> Result<(), SettingsError> {
        let (key, batch_size) = self.batch_size;
        within(key, batch_size, 1..=10_000, "500 fills one PutRecords call")?;
        let (key, window) = self.batch_window_s;
        within(key, window, 0..=300, "0 invokes as soon as a record is there")?;
        if batch_size > BATCH_WITHOUT_WINDOW_MAX {
            let hint = "the API reference says that a batch of more than 10 records needs a window; set a window, or a \
                        smaller batch_size";
            within(key, window, 1..=300, hint)?;
        }
        within(self.memory_mib.0, self.memory_mib.1, 128..=10_240, "1,769 MiB give one full processor")?;
        let (shortest, hint) = self.timeout_s_min;
        within(self.timeout_s.0, self.timeout_s.1, shortest..=900, hint)?;
        let Some(reserved) = self.reserved_concurrency.1 else { return Ok(()) };
        let hint = "one for each shard that is read is enough; leave it out to share the account's";
        within(self.reserved_concurrency.0, reserved, 1..=1_000, hint)
    }
}

impl Enrichment {
    pub(super) fn validate(self) -> Result<(), SettingsError> {
        let reader = StreamReader {
            batch_size: ("enrichment.batch_size", self.batch_size),
            batch_window_s: ("enrichment.batch_window_s", self.batch_window_s),
            memory_mib: ("enrichment.memory_mib", self.memory_mib),
            timeout_s: ("enrichment.timeout_s", self.timeout_s),
            timeout_s_min: (10, "retries of a throttled stream need some seconds"),
            reserved_concurrency: ("enrichment.reserved_concurrency", self.reserved_concurrency),
        };
        reader.validate()?;
        let hint = "a reading of a device that is not registered yet waits four minutes by coming again, and with fewer attempts \
                    its batch would be given up; 10 are five minutes, 20 a quarter of an hour";
        within("enrichment.retry_attempts", self.retry_attempts, ENRICHMENT_RETRIES_MIN..=10_000, hint)
    }
}

impl AnomalyDetection {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let reader = StreamReader {
            batch_size: ("anomaly_detection.batch_size", self.batch_size),
            batch_window_s: ("anomaly_detection.batch_window_s", self.batch_window_s),
            memory_mib: ("anomaly_detection.memory_mib", self.memory_mib),
            timeout_s: ("anomaly_detection.timeout_s", self.timeout_s),
            timeout_s_min: (
                DETECTION_TIMEOUT_S_MIN,
                "8 s are kept to store the detectors; before them devices are asked",
            ),
            reserved_concurrency: ("anomaly_detection.reserved_concurrency", self.reserved_concurrency),
        };
        reader.validate()?;
        let hint = "waits between attempts grow to a minute; 20 outlast a quarter of an hour";
        within("anomaly_detection.retry_attempts", self.retry_attempts, 0..=10_000, hint)?;
        let hint = "up to four shards' states of 50,000 detectors each are kept in memory";
        within("anomaly_detection.memory_mib", self.memory_mib, 256..=10_240, hint)?;
        let hint = "a device that cannot publish as often does what it can; 1000 is a reading a second";
        let interval = self.attention.interval_min_ms;
        within("anomaly_detection.attention.interval_min_ms", interval, ATTENTION_MS, hint)?;
        let hint = "600 is ten minutes without an anomaly";
        within("anomaly_detection.attention.quiet_s", self.attention.quiet_s, ATTENTION_QUIET_S, hint)?;
        let hint = "900 is an alert of a device and kind in 15 minutes; 0 sends all";
        within("anomaly_detection.alert_every_s", self.alert_every_s, ALERT_EVERY_S, hint)?;
        email("anomaly_detection.alert_email", self.alert_email.as_deref())
    }
}

impl Curation {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        schedule("curation.schedule", &self.schedule)?;
        if let Some(Gaps { shortest_min, longest_min }) = gaps(&self.schedule) {
            let ok = shortest_min >= 60 && longest_min <= CURATION_EVERY_H_MAX * 60;
            let expected =
                format!("a schedule that comes due at most once an hour, and every {CURATION_EVERY_H_MAX} h");
            let hint =
                "each run curates the last hours: a rarer one leaves hours out, a more frequent one finds nothing new";
            check("curation.schedule", &self.schedule, ok, &expected, hint)?;
        }
        let hint = "an hour of readings is scanned by each statement; at 5 USD a TB, 50 GiB cost about 25 cents";
        within("curation.scan_limit_bytes", self.scan_limit_bytes, super::SCAN_LIMIT_BYTES_MIN..=u64::MAX, hint)
    }
}

/// Checks the first hour of the lake.
pub(super) fn validate_lake_start(lake_start: &str) -> Result<(), SettingsError> {
    let ok = super::check::hour_is_valid(lake_start);
    check("lake_start", lake_start, ok, "an hour as yyyy/MM/dd/HH", "for example 2026/01/01/00")
}
