//! The schema of an anomaly, as this stage writes it.

use crate::template::glue::Column;

/// Columns of an anomaly: a row of a Parquet object below `anomalies/`.
pub const ANOMALY_COLUMNS: [Column; 14] = [
    Column { name: "tenant_id", r#type: "string", comment: "Tenant" },
    Column { name: "device_id", r#type: "string", comment: "Device" },
    Column { name: "metric", r#type: "string", comment: "What was measured" },
    Column { name: "kind", r#type: "string", comment: "What is unusual: spike, level-shift, drift, flatline, dropout" },
    Column { name: "score", r#type: "double", comment: "How unusual it is" },
    Column { name: "value", r#type: "double", comment: "The value, in canonical units" },
    Column { name: "expected", r#type: "double", comment: "What was expected" },
    Column { name: "scale", r#type: "double", comment: "How far values usually are from it" },
    Column { name: "seq", r#type: "bigint", comment: "The device's own sequence number" },
    Column { name: "ts", r#type: "bigint", comment: "The device's clock, ms since the Unix epoch" },
    Column { name: "received_at", r#type: "bigint", comment: "Arrival at the rule, ms since the Unix epoch" },
    Column { name: "event_at", r#type: "bigint", comment: "ts where the clock was right, else corrected; ms" },
    Column { name: "shard_id", r#type: "string", comment: "Shard of the enriched stream" },
    Column {
        name: "sequence_number",
        r#type: "string",
        comment: "With the shard, the identity of the reading's record",
    },
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::transform::anomaly_detection::{Kind, report::Anomaly};

    #[test]
    fn the_columns_are_the_members_of_an_anomaly() {
        let anomaly = Anomaly {
            tenant_id: String::new(),
            device_id: String::new(),
            metric: String::new(),
            kind: Kind::Spike,
            score: 0.5,
            value: 0.5,
            expected: 0.5,
            scale: 0.5,
            seq: 1,
            ts: 1,
            received_at: 1,
            event_at: 1,
            shard_id: String::new(),
            sequence_number: String::new(),
        };
        let written = serde_json::to_value(anomaly).unwrap();
        let members = written.as_object().unwrap().iter().map(|(name, value)| {
            let kind = match value {
                Value::String(_) => "string",
                Value::Number(number) if number.is_f64() => "double",
                Value::Number(_) => "bigint",
                other => panic!("{other} is not known to this test"),
            };
            (name.as_str(), kind)
        });
        let columns = ANOMALY_COLUMNS.map(|column| (column.name, column.r#type));
        assert_eq!(members.collect::<Vec<_>>(), columns);
    }
}
