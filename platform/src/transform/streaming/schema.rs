//! The schema of a raw reading, as the topic rule emits it.

use crate::template::glue::Column;

/// Members of a raw reading. `tenant_id`, `device_id` and `received_at` are added by the rule; the rest is the
/// device's own message, unchecked.
pub const RAW_COLUMNS: [Column; 7] = [
    Column { name: "seq", r#type: "bigint", comment: "The device's own sequence number" },
    Column { name: "ts", r#type: "bigint", comment: "The device's clock, ms since the Unix epoch" },
    Column { name: "metrics", r#type: "map<string,double>", comment: "Values by name, in the device's units" },
    Column { name: "recorded_at", r#type: "string", comment: "The recorded timestamp of a replayed series" },
    Column { name: "tenant_id", r#type: "string", comment: "Tenant, from the topic" },
    Column { name: "device_id", r#type: "string", comment: "Device, from the topic" },
    Column { name: "received_at", r#type: "bigint", comment: "Arrival at the rule, ms since the Unix epoch" },
];
