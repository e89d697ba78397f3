//! Metrics of the function, in the Embedded Metric Format (CloudWatch user guide, "Embedded metric format specification").

use std::time::SystemTime;

use serde_json::json;

use super::codec::{Cursor, put_count};

/// Metric: anomalies that were found.
pub const ANOMALIES: &str = "Anomalies";
/// Metric: alerts that are to be sent; several may be in one message.
pub const ALERTS: &str = "AnomalyAlerts";
/// Metric: anomalies that no alert tells, because the last one of the device and kind is too recent.
pub const ALERTS_SUPPRESSED: &str = "AnomalyAlertsSuppressed";
/// Metric: alerts that were given up: SNS refuses their message for good, or too many others wait.
pub const ALERTS_DROPPED: &str = "AnomalyAlertsDropped";

/// Metric: series of a batch that no detector judges, because their shard or their device has no room for more, or their
/// name is too long; of a new shard also those of its parents that did not fit. Of each device the most of one reading count.
pub const WITHOUT_DETECTOR: &str = "SeriesWithoutDetector";
/// Metric: records of a batch that are no readings, so that no detector sees them.
pub const UNREADABLE: &str = "UnreadableRecords";

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub anomalies: usize,
    pub alerts: usize,
    pub suppressed: usize,
    pub dropped: usize,
}

impl Counts {
    /// Appends them.
    pub fn put(self, bytes: &mut Vec<u8>) {
        let Counts { anomalies, alerts, suppressed, dropped } = self;
        [anomalies, alerts, suppressed, dropped].into_iter().for_each(|count| put_count(bytes, count));
    }

    /// Reads what [`Self::put`] wrote.
    pub fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let (anomalies, alerts) = (cursor.count()?, cursor.count()?);
        Some(Counts { anomalies, alerts, suppressed: cursor.count()?, dropped: cursor.count()? })
    }

    /// All of them, with their names.
    pub fn named(self) -> [(&'static str, usize); 4] {
        let Counts { anomalies, alerts, suppressed, dropped } = self;
        [(ANOMALIES, anomalies), (ALERTS, alerts), (ALERTS_SUPPRESSED, suppressed), (ALERTS_DROPPED, dropped)]
    }
}

/// The line with these counts. The namespace names the environment; there are no dimensions.
pub(super) fn line(counts: &[(&'static str, usize)], namespace: &str, now: SystemTime) -> String {
    let now_ms = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let metrics: Vec<_> = counts.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
    let directive = json!({"Namespace": namespace, "Dimensions": [[]], "Metrics": metrics});
    let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
    let mut line = json!({"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}});
    for (name, count) in counts {
        line[*name] = (*count).into();
    }
    line.to_string()
}
