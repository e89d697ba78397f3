//! Anomaly detection: a streaming detector for each device and metric.

mod handler;

pub use handler::{ALERT_TOPIC_ARN, ANOMALY_BUCKET, HANDLER, STATE_BUCKET, VARIABLES};

/// Prefix of the objects that hold the detectors' states, in the bucket of states.
pub const STATE_PREFIX: &str = "state";
/// Prefix of the objects that hold anomalies, in the bucket of anomalies.
pub const ANOMALY_PREFIX: &str = "anomalies";
