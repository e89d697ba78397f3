//! Transform: from messages to trustworthy readings.
//!
//! **Enters:** readings on the topics of [`crate::ingest`], and the device directory. **Leaves:** the raw stream (every
//! reading as it came, [`streaming::RAW_COLUMNS`]) and the enriched stream (valid readings of known devices in canonical
//! units, [`enrichment::PROCESSED_COLUMNS`]); what is refused goes to quarantine with a reason. What is
//! unusual in the enriched stream leaves as anomalies and alerts ([`anomaly_detection`]).
//!
//! **Guarantees:** a reading that reached the raw stream is written to the enriched stream or to quarantine at least
//! once; the first copies of a device's readings keep their order. **Limits:** 1,000 records and 1 MiB a second a shard.

pub mod anomaly_detection;
mod batch;
pub mod enrichment;
mod number;
pub mod streaming;
