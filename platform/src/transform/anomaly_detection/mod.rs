//! Anomaly detection: a streaming detector for each device and metric.

mod handler;
mod stack;

pub use handler::{ALERT_TOPIC_ARN, ANOMALY_BUCKET, HANDLER, STATE_BUCKET, VARIABLES};
pub use stack::{Outputs, STACK, anomaly_bucket, stack};

/// Prefix of the objects that hold the detectors' states, in the bucket of states.
pub const STATE_PREFIX: &str = "state";
/// Prefix of the objects that hold anomalies, in the bucket of anomalies.
pub const ANOMALY_PREFIX: &str = "anomalies";
