//! The schema of an enriched reading, as this stage emits it.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::reading::Metric;
use crate::template::glue::Column;

/// Members of an enriched reading.
pub const PROCESSED_COLUMNS: [Column; 11] = [
    Column { name: "tenant_id", r#type: "string", comment: "Tenant" },
    Column { name: "device_id", r#type: "string", comment: "Device" },
    Column { name: "device_type", r#type: "string", comment: "Type of the device, from the directory" },
    Column { name: "seq", r#type: "bigint", comment: "The device's own sequence number" },
    Column { name: "ts", r#type: "bigint", comment: "The device's clock, ms since the Unix epoch" },
    Column { name: "received_at", r#type: "bigint", comment: "Arrival at the rule, ms since the Unix epoch" },
    Column { name: "event_at", r#type: "bigint", comment: "ts where the clock was right, else corrected; ms" },
    Column { name: "clock_skew_ms", r#type: "bigint", comment: "event_at - ts; null when nothing was corrected" },
    Column { name: "recorded_at", r#type: "string", comment: "The recorded timestamp of a replayed series" },
    Column { name: "metrics", r#type: "map<string,double>", comment: "Values by name, in canonical units" },
    Column { name: "flags", r#type: "array<string>", comment: "late, ahead, skewed, unit-undeclared" },
];

/// The reading was taken more than an hour before it arrived, as far as its corrected time tells: the device kept it, or its
/// clock is behind and it does not say when it sends.
pub(super) const LATE: &str = "late";
/// The device's clock, `ts`, is more than five minutes ahead of the arrival.
pub(super) const AHEAD: &str = "ahead";
/// The device's clock was certainly wrong: `event_at` is not `ts`.
pub(super) const SKEWED: &str = "skewed";
/// Neither the payload nor the directory gives the unit of a metric: its value is as it came.
pub(super) const UNIT_UNDECLARED: &str = "unit-undeclared";

/// Taken so long before the arrival is late.
pub(super) const LATE_AFTER_MS: i64 = 60 * 60 * 1000;
/// A clock in front of the arrival by more than this is ahead.
pub(super) const AHEAD_AFTER_MS: i64 = 5 * 60 * 1000;

/// An enriched reading.
#[derive(Debug, Serialize)]
pub(super) struct Enriched<'a> {
    pub tenant_id: &'a str,
    pub device_id: &'a str,
    pub device_type: &'a str,
    pub seq: u64,
    pub ts: i64,
    pub received_at: i64,
    pub event_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<&'a str>,
    pub metrics: Canonical<'a>,
    pub flags: Flags,
}

/// Values in canonical units, in the order in which the metrics came.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    pub metrics: &'a [Metric<'a>],
    pub values: &'a [f64],
}

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.metrics.len()))?;
        for (metric, value) in self.metrics.iter().zip(self.values) {
            map.serialize_entry(&metric.name, value)?;
        }
        map.end()
    }
}

/// Up to four flags.
#[derive(Debug, Default)]
pub(super) struct Flags {
    raised: [Option<&'static str>; 4],
}

impl Flags {
    /// The flags of these that apply, in this order.
    pub fn of(raised: [(bool, &'static str); 4]) -> Self {
        Flags { raised: raised.map(|(applies, flag)| applies.then_some(flag)) }
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.raised.iter().flatten())
    }
}
