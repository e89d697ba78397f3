//! Anomaly detection: a streaming detector for each device and metric.
//!
//! **At-least-once in, exactly-once in effect.** The detectors of a shard are one object in S3, which is replaced only by
//! whoever read its present version (`If-Match`). It holds for each device the last sequence number that was applied, so
//! a batch that comes again changes nothing. Anomalies are one object a batch, written before the state under a name that
//! the batch decides: a batch that comes again because its state was not written writes the same object again. Alerts
//! go out before the state too, so one may come twice and none is lost; its `object` tells repetitions.
//!
//! **A reading that is in the stream twice** counts once: the detectors know the last `seq` of each device, and pass over
//! readings that are not above it. A device whose numbers begin anew has no detection until they are above it again, or
//! until it was forgotten; devices keep their numbers when they start again.
//!
//! **What is not kept.** The event does not tell the parents of a shard, so after a reshard the detectors of a child
//! begin anew. Between two attempts of one batch that Lambda cuts differently, an anomaly may be in two objects; shard
//! and sequence number tell.
//!
//! **Attention.** A device with an anomaly is asked, by the desired state of its shadow, to publish more often, and no
//! longer once it was quiet: see `attention.rs`. Whom this concerns is part of the shard's state (`asked.rs`), and what
//! parents of a new shard have asked is found again in their states. When a state is deleted, what was asked stays asked
//! until the device has its next anomaly.
//!
//! `detector` decides what is unusual, `state.rs` keeps detectors and tells repetitions, `store.rs` is the object in S3,
//! `handler.rs` puts them together.

mod asked;
mod attention;
mod detector;
mod handler;
mod reading;
mod report;
mod schema;
mod shadows;
mod stack;
mod state;
mod store;

#[cfg(test)]
mod attention_tests;
#[cfg(test)]
mod tests;

pub use detector::{Assessment, Detector, Kind};
pub use handler::{
    ALERT_TOPIC_ARN, ANOMALY_BUCKET, ATTENTION, ATTENTION_INTERVAL_MIN_MS, ATTENTION_QUIET_S, AnomalyDetection,
    HANDLER, STATE_BUCKET, VARIABLES,
};
pub use schema::ANOMALY_COLUMNS;
pub use stack::{Outputs, STACK, anomaly_bucket, stack};

/// Prefix of the objects that hold the detectors' states, in the bucket of states.
pub const STATE_PREFIX: &str = "state";
/// Prefix of the objects that hold anomalies, in the bucket of anomalies: `anomalies/yyyy/MM/dd/HH/`, the hour of arrival
/// of the batch's first reading.
pub const ANOMALY_PREFIX: &str = "anomalies";
