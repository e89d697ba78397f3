//! The named queries. Each counts a reading once: (tenant, device, seq) is its identity.

use crate::store::data_lake::PROCESSED_TABLE;
use crate::store::data_lake::curation::CURATED_TABLE;

/// Hours of arrival of the last day. Without it a query would list every hour since the lake began.
const LAST_DAY: &str = "datehour >= date_format(current_timestamp - INTERVAL '1' DAY, '%Y/%m/%d/%H')";

/// Readings by tenant and hour of the device's clock.
pub(super) fn readings_per_hour() -> String {
    format!(
        "SELECT tenant_id, hour_start, count(*) AS readings\n\
         FROM (\n  \
           SELECT DISTINCT tenant_id, device_id, seq, date_trunc('hour', from_unixtime(ts / 1000)) AS hour_start\n  \
           FROM {PROCESSED_TABLE}\n  \
           WHERE {LAST_DAY}\n\
         ) AS reading\n\
         GROUP BY tenant_id, hour_start\n\
         ORDER BY tenant_id, hour_start"
    )
}

/// When each device was last heard of.
pub(super) fn device_last_seen() -> String {
    format!(
        "SELECT tenant_id, device_id, from_unixtime(max(received_at) / 1000) AS last_seen, max(seq) AS last_seq\n\
         FROM {PROCESSED_TABLE}\n\
         WHERE {LAST_DAY}\n\
         GROUP BY tenant_id, device_id\n\
         ORDER BY last_seen, tenant_id, device_id"
    )
}

/// Readings with a flag, by device.
pub(super) fn flagged_readings() -> String {
    format!(
        "SELECT tenant_id, device_id, flag, count(DISTINCT seq) AS readings\n\
         FROM {PROCESSED_TABLE}\n\
         CROSS JOIN UNNEST(flags) AS flagged (flag)\n\
         WHERE {LAST_DAY}\n\
         GROUP BY tenant_id, device_id, flag\n\
         ORDER BY readings DESC, tenant_id, device_id, flag"
    )
}

/// Curated readings, by day of the device's clock.
pub(super) fn readings_per_day() -> String {
    format!(
        "SELECT tenant_id, device_id, date(from_unixtime(ts / 1000)) AS day, count(*) AS readings\n\
         FROM {CURATED_TABLE}\n\
         WHERE datehour >= date_format(current_timestamp - INTERVAL '30' DAY, '%Y-%m-%d-%H')\n\
         GROUP BY tenant_id, device_id, date(from_unixtime(ts / 1000))\n\
         ORDER BY tenant_id, device_id, day"
    )
}
