//! The schema of a run folder: what a run of the simulator leaves behind, and how to read it back.
//!
//! | file | holds | format |
//! |---|---|---|
//! | `manifest.json` | what decides the run: scenario text, seed, build, settings | [`Manifest`] |
//! | `summary.json` | verdict, digest, counts, latency | [`Summary`] |
//! | `events.parquet` | the kept events of the trace | rows of [`EventRow`] |
//! | `metrics.parquet` | metrics of the simulated services over simulated time | rows of [`MetricRow`] |
//! | `labels.parquet` | what is true of the devices' readings: how which device fails when | rows of [`LabelRow`] |
//!
//! A folder appears under its name only when it is complete: it is written beside itself, as `<name>.partial-<process>`,
//! and renamed. Runs that write to one name at the same time do not disturb each other; the first to end has the name.
//! A run that is killed leaves its unfinished folder behind: it can be deleted.
//! The only values in it that differ between two runs of the same (scenario, seed, build) are those
//! that [`Summary::without_wall_clock`] removes.

mod detection;
mod error;
mod events;
mod folder;
mod labels;
mod manifest;
mod metrics;
mod summary;
mod table;

pub use detection::{DETECTION_MEANING, Detection, DetectionFigures, NO_FAILURE};
pub use error::RecordError;
pub use events::{EventReader, EventRow};
pub use folder::{
    EVENTS_FILE, LABELS_FILE, MANIFEST_FILE, METRICS_FILE, Recorder, RunFolder, RunReader, SUMMARY_FILE, check_free,
};
pub use labels::{LabelReader, LabelRow};
pub use manifest::{Build, Manifest, SCHEMA_VERSION, ScenarioSource, shell_word};
pub use metrics::{MetricReader, MetricRow};
pub use summary::{Calls, Digest, LATENCY_MEANING, LatencyMs, ReadingId, Summary, Verdict, Violation, thousands};

#[cfg(test)]
mod tests;
