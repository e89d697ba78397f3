//! Anomaly detection: a streaming detector for each device and metric.
//!
//! **At-least-once in, exactly-once in effect.** The detectors of a shard are one object in S3, which is replaced only by
//! whoever read its present version (`If-Match`). It holds for each device the last sequence number that was applied, so
//! a batch that comes again changes nothing.
//!
//! What a batch has to tell is part of the state that it leaves (`outbox.rs`): the object of its anomalies, byte by byte,
//! and messages with its alerts. The object is written after the state was stored, and before the batch is answered as
//! done; whoever finds a state writes the object of its outbox before replacing it. So the lake has each anomaly once,
//! however batches are cut, repeated, bisected or overtaken: an object is decided by one state, and its repetitions have
//! the same name and the same bytes.
//!
//! **Alerts at least once, unless dropped.** Messages are sent after the object, for some seconds, and hold no batch up for
//! longer: it is done when its state and its object are stored. What could not be sent by then, because SNS fails,
//! throttles or denies, or time was short, goes on into the outbox of the next state, up to a bound; a batch that comes
//! again sends it, too. How far an outbox was told is noted (`store.rs`). Beyond the bound the oldest are dropped, and so is
//! a message that SNS refuses for good as wrong; both are counted ([`ALERTS_DROPPED`]). A message may come twice, with the
//! same `id`. Metrics of anomalies and alerts are counted at least once.
//!
//! **A reading that is in the stream twice** counts once: the detectors know the last `seq` of each device, and pass over
//! readings that are not above it. A device whose numbers begin anew has no detection until they are above it again, or
//! until it was forgotten; devices keep their numbers when they start again.
//!
//! **Reshards.** A shard without a state begins with those of its parents, as far as their devices are its own now
//! (`parents.rs`). States of closed shards expire by the bucket's lifecycle.
//!
//! **What no detector judges** is counted and never silent: values for which there is no room ([`WITHOUT_DETECTOR`]), and
//! records that are no readings ([`UNREADABLE`]).
//!
//! **What is not kept.** A batch that Lambda gives up for good after its state was stored has told nothing until the next
//! batch of its shard or of a child comes, and messages that could not be sent wait for that batch. When a state is
//! replaced by an empty object, which is how an operator has a shard begin anew, what was asked of devices stays asked until
//! they have their next anomaly. Without an object a shard is a new one, and takes over what its parents left.
//!
//! **Attention.** A device with an anomaly is asked, by the desired state of its shadow, to publish more often, and no
//! longer once it was quiet: see `attention.rs`. Whom this concerns is part of the shard's state (`asked.rs`).
//!
//! `detector` decides what is unusual, `state.rs` keeps detectors and tells repetitions, `format.rs` is how that is
//! written, `store.rs` the object in S3, `object.rs` anomalies as Parquet, `alerts.rs` who is told; `handler.rs` puts them
//! together.

mod alerts;
mod asked;
mod attention;
mod codec;
mod detector;
mod format;
mod handler;
mod metrics;
mod object;
mod old;
mod outbox;
mod parents;
mod reading;
mod report;
mod schema;
mod sequence;
mod shadows;
mod stack;
mod state;
mod store;

#[cfg(test)]
mod alert_tests;
#[cfg(test)]
mod attention_tests;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod once_tests;
#[cfg(test)]
mod tests;

pub use detector::{Assessment, Detector, Kind};
pub use handler::{
    ALERT_EVERY_S, ALERT_TOPIC_ARN, ANOMALY_BUCKET, ATTENTION, ATTENTION_INTERVAL_MIN_MS, ATTENTION_QUIET_S,
    AnomalyDetection, HANDLER, METRIC_NAMESPACE, STATE_BUCKET, VARIABLES,
};
pub use metrics::{ALERTS, ALERTS_DROPPED, ALERTS_SUPPRESSED, ANOMALIES, UNREADABLE, WITHOUT_DETECTOR};
pub use schema::ANOMALY_COLUMNS;
pub use stack::{Outputs, STACK, anomaly_bucket, stack};

/// Prefix of the objects that hold the detectors' states, in the bucket of states.
pub const STATE_PREFIX: &str = "state";
/// Prefix of the objects that hold anomalies, in the bucket of anomalies: `anomalies/yyyy/MM/dd/HH/`, the hour of arrival
/// of the batch's first reading.
pub const ANOMALY_PREFIX: &str = "anomalies";
