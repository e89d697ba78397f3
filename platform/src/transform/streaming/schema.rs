//! The schema of a raw reading, as the topic rule emits it.

use crate::template::glue::Column;

/// Members of a raw reading. `tenant_id`, `device_id` and `received_at` are added by the rule; the rest is the
/// device's own message, unchecked. Values that version 2 writes as objects are no numbers, so this table does not show them.
pub const RAW_COLUMNS: [Column; 9] = [
    Column { name: "seq", r#type: "bigint", comment: "The device's own sequence number" },
    Column { name: "ts", r#type: "bigint", comment: "The device's clock, ms since the Unix epoch" },
    Column { name: "v", r#type: "bigint", comment: "Version of the payload; null is 1" },
    Column { name: "sent_at", r#type: "bigint", comment: "The device's clock when it sent this, in version 2; ms" },
    Column { name: "metrics", r#type: "map<string,double>", comment: "Values by name; null where a unit is beside it" },
    Column { name: "recorded_at", r#type: "string", comment: "The recorded timestamp of a replayed series" },
    Column { name: "tenant_id", r#type: "string", comment: "Tenant, from the topic" },
    Column { name: "device_id", r#type: "string", comment: "Device, from the topic" },
    Column { name: "received_at", r#type: "bigint", comment: "Arrival at the rule, ms since the Unix epoch" },
];
