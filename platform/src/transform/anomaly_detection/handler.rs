//! What the function does with a batch.

/// Name of the function in its stack's property `Handler`.
pub const HANDLER: &str = "anomaly_detection";

/// Environment variable with the bucket of the detectors' states.
pub const STATE_BUCKET: &str = "STATE_BUCKET";
/// Environment variable with the bucket of anomalies.
pub const ANOMALY_BUCKET: &str = "ANOMALY_BUCKET";
/// Environment variable with the ARN of the topic that is told of anomalies.
pub const ALERT_TOPIC_ARN: &str = "ALERT_TOPIC_ARN";

/// The environment variables that must be set.
pub const VARIABLES: [&str; 3] = [STATE_BUCKET, ANOMALY_BUCKET, ALERT_TOPIC_ARN];
