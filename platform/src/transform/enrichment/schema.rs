//! The schema of an enriched reading, as this stage emits it.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::template::glue::Column;

/// Members of an enriched reading.
pub const PROCESSED_COLUMNS: [Column; 9] = [
    Column { name: "tenant_id", r#type: "string", comment: "Tenant" },
    Column { name: "device_id", r#type: "string", comment: "Device" },
    Column { name: "device_type", r#type: "string", comment: "Type of the device, from the directory" },
    Column { name: "seq", r#type: "bigint", comment: "The device's own sequence number" },
    Column { name: "ts", r#type: "bigint", comment: "The device's clock, ms since the Unix epoch" },
    Column { name: "received_at", r#type: "bigint", comment: "Arrival at the rule, ms since the Unix epoch" },
    Column { name: "recorded_at", r#type: "string", comment: "The recorded timestamp of a replayed series" },
    Column { name: "metrics", r#type: "map<string,double>", comment: "Values by name, in canonical units" },
    Column { name: "flags", r#type: "array<string>", comment: "late, ahead, unit-undeclared" },
];

/// The device's clock is more than an hour behind the arrival.
pub(super) const LATE: &str = "late";
/// The device's clock is more than five minutes ahead of the arrival.
pub(super) const AHEAD: &str = "ahead";
/// The directory does not give the unit of a metric: its value is as it came.
pub(super) const UNIT_UNDECLARED: &str = "unit-undeclared";

/// Behind the arrival by more than this is late.
pub(super) const LATE_AFTER_MS: i64 = 60 * 60 * 1000;
/// In front of the arrival by more than this is ahead.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<&'a str>,
    pub metrics: Metrics<'a>,
    pub flags: &'a [&'static str],
}

/// Values by name, in the order in which they came.
#[derive(Debug)]
pub(super) struct Metrics<'a>(pub &'a [(&'a str, f64)]);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
