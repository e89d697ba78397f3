//! Store: the lake.
//!
//! **Enters:** the streams of [`crate::transform`]. **Leaves:** objects in S3 and the tables that describe them: `raw`
//! (every reading as it came, gzip NDJSON) and `processed` (valid readings, Parquet), both by hour of arrival;
//! `anomalies` (what the detectors found, Parquet); and `curated`, where each reading of a complete hour comes once
//! ([`data_lake::curation`]).
//!
//! **Guarantees:** a record of a stream is delivered at least once, so tables may hold duplicates; (tenant, device, seq)
//! tells them apart. **Limits:** a reading is visible after the delivery's buffer interval. Deliveries begin at the end of
//! their streams (`LATEST`): what was in a stream before this stage was deployed is never delivered, so devices are
//! registered, and send, only after all stages are deployed.

pub mod data_lake;
