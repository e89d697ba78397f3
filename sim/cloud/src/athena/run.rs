//! The life of a query in simulated time: queued, running, ended.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};

use super::engine::{self, NewFile};
use super::executions::{Query, State, split_location};
use super::failure::Failure;
use super::{Athena, Phase};
use crate::core::ports::{Catalog, Objects};
use crate::core::timers::Service;
use crate::core::{AwsError, Cx};
use world::time::Time;

// AWS publishes no latency of queries. The figures below are assumptions (unverified).

/// A query waits between these bounds before it runs, evenly distributed, in milliseconds.
const QUEUE_MS: std::ops::RangeInclusive<u64> = 50..=300;
/// Work before and after the engine, in milliseconds.
const PREPROCESSING_MS: u64 = 60;
const PLANNING_MS: u64 = 120;
const PUBLISHING_MS: u64 = 40;
/// The engine's time for a query that reads nothing, in milliseconds.
const ENGINE_BASE_MS: u64 = 300;
/// What the engine reads in a millisecond, in bytes.
const SCAN_BYTES_PER_MS: u64 = 200_000;
/// What the engine writes in a millisecond, in bytes.
const WRITE_BYTES_PER_MS: u64 = 50_000;

/// Asks for the wake-up at which a query begins to run.
pub(super) fn queue(cx: &mut Cx<'_>, index: usize) {
    let wait = cx.rng.random_range(QUEUE_MS);
    wake_in(cx, wait, index, Phase::Begin);
}

fn wake_in(cx: &mut Cx<'_>, ms: u64, index: usize, phase: Phase) {
    let token = (index as u64) << 1 | u64::from(phase == Phase::End);
    cx.timers.at(cx.now + Duration::from_millis(ms), Service::Athena, token);
}

fn ms_between(from: Time, to: Time) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

impl Athena {
    /// A query's next state is due.
    pub fn wake(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog, objects: &mut dyn Objects, token: u64) {
        let index = usize::try_from(token >> 1).unwrap_or(usize::MAX);
        let Some(query) = self.queries.get(index) else { return };
        match (token & 1, query.state) {
            (0, State::Queued) => self.begin(cx, catalog, objects, index),
            (1, State::Running) => self.finish(cx, objects, index),
            // It was stopped meanwhile.
            _ => {}
        }
    }

    /// The query runs: what it answers is computed from what is there now, and shown when its time is over.
    fn begin(&mut self, cx: &mut Cx<'_>, catalog: &mut dyn Catalog, objects: &mut dyn Objects, index: usize) {
        let query = &mut self.queries[index];
        query.state = State::Running;
        query.started = Some(cx.now);
        let (caller, sql, database) = (query.caller.clone(), query.sql.clone(), query.database.clone());
        let cutoff = self.workgroups.get(&query.workgroup).and_then(|w| w.configuration.bytes_scanned_cutoff_per_query);
        let mut acting = cx.acting_as(&caller);
        let done = engine::execute(&mut acting, catalog, objects, &mut self.footers, &sql, &database, cutoff);
        let written = match &done.result {
            Ok(Some(answer)) => {
                let files = answer.files.iter().flatten().map(|file| file.body.len()).sum::<usize>();
                (answer.csv.len() + files) as u64
            }
            _ => 0,
        };
        let query = &mut self.queries[index];
        query.scanned_bytes = match (&done.result, cutoff) {
            // A query is cancelled as soon as it passes the limit.
            (Ok(None), Some(cutoff)) => cutoff,
            (Err(_), _) => 0,
            _ => done.scanned_bytes,
        };
        let engine_ms = ENGINE_BASE_MS + query.scanned_bytes / SCAN_BYTES_PER_MS + written / WRITE_BYTES_PER_MS;
        let limit_ms = cx.limits.get("athena", "dml_timeout") * 60_000;
        let mut run_ms = PREPROCESSING_MS + PLANNING_MS + PUBLISHING_MS + engine_ms;
        query.outcome = Some(done.result);
        if run_ms > limit_ms {
            run_ms = limit_ms;
            query.outcome = Some(Err(Failure::timeout()));
        }
        self.trace(cx, index);
        wake_in(cx, run_ms, index, Phase::End);
    }

    fn finish(&mut self, cx: &mut Cx<'_>, objects: &mut dyn Objects, index: usize) {
        let query = &mut self.queries[index];
        let (caller, location) = (query.caller.clone(), query.output_location.clone());
        let Some(outcome) = query.outcome.take() else { return };
        let ended = match outcome {
            Ok(Some(answer)) => {
                query.columns.clone_from(&answer.columns);
                let cx = &mut cx.acting_as(&caller);
                let usable = query.key.as_ref().map_or(Ok(()), |key| cx.use_key("kms:GenerateDataKey", key, "s3"));
                match (usable, &answer.files) {
                    (Err(error), _) => Err(unwritten(&location, &error)),
                    (Ok(()), None) => write(cx, objects, &location, answer.csv).map(|()| answer.rows),
                    (Ok(()), Some(files)) => {
                        query.inserted = Some(answer.rows);
                        insert(cx, objects, &location, &query.id, files).map(|()| 0)
                    }
                }
            }
            Ok(None) => {
                // The text is unverified.
                let reason = "Query cancelled! : Bytes scanned limit was exceeded".to_owned();
                return self.end(cx, index, State::Cancelled, Some(reason));
            }
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(rows) => {
                cx.meter.add("athena", "RowsReturned", rows);
                self.end(cx, index, State::Succeeded, None);
            }
            Err(failure) => {
                let reason = failure.reason.clone();
                self.queries[index].failure = Some(failure);
                self.end(cx, index, State::Failed, Some(reason));
            }
        }
    }

    /// The query has ended.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, index: usize, state: State, reason: Option<String>) {
        let query = &mut self.queries[index];
        if query.started.is_none() {
            query.scanned_bytes = 0;
        }
        query.state = state;
        query.reason = reason;
        query.completed = Some(cx.now);
        query.outcome = None;
        self.active -= 1;
        cx.meter.add("athena", "DataScannedBytes", self.queries[index].scanned_bytes);
        let count = match state {
            State::Succeeded => "QueriesSucceeded",
            State::Failed => "QueriesFailed",
            _ => "QueriesCancelled",
        };
        cx.meter.add("athena", count, 1);
        self.trace(cx, index);
    }
}

/// Writes a result to S3.
fn write(cx: &mut Cx<'_>, objects: &mut dyn Objects, location: &str, csv: Vec<u8>) -> Result<(), Failure> {
    let (bucket, key) = split_location(location);
    let written = objects.put_object(cx, bucket, key, csv.into(), "application/octet-stream");
    written.map(drop).map_err(|error| unwritten(location, &error))
}

fn unwritten(location: &str, error: &AwsError) -> Failure {
    Failure::writing(format!("Failed to write query results to {location}: {} ({})", error.message, error.code))
}

/// Writes the files of an INSERT, and the list of them beside the results. A file that cannot be written leaves those
/// before it behind: Athena says so too (guide, "INSERT INTO": orphaned data). Names of files are unverified.
fn insert(
    cx: &mut Cx<'_>,
    objects: &mut dyn Objects,
    location: &str,
    id: &str,
    files: &[NewFile],
) -> Result<(), Failure> {
    let mut manifest = String::new();
    for (number, file) in files.iter().enumerate() {
        let key = format!("{}{}_{number:05}_{id}", file.folder, cx.now.to_datetime().format("%Y%m%d_%H%M%S"));
        let written = objects.put_object(cx, &file.bucket, &key, file.body.clone(), "application/octet-stream");
        written.map_err(|error| {
            let to = format!("s3://{}/{key}", file.bucket);
            Failure::writing(format!("HIVE_WRITER_OPEN_ERROR: Error creating {to}: {} ({})", error.message, error.code))
        })?;
        manifest.push_str(&format!("s3://{}/{key}\n", file.bucket));
    }
    let manifest_location = format!("{}-manifest.csv", location.trim_end_matches(".csv"));
    write(cx, objects, &manifest_location, manifest.into_bytes())
}

/// `QueryExecutionStatistics` at `now`.
pub(super) fn statistics(query: &Query, now: Time) -> Value {
    let until = query.completed.unwrap_or(now);
    let total = ms_between(query.submitted, until);
    let queued = ms_between(query.submitted, query.started.unwrap_or(until));
    let run = total.saturating_sub(queued);
    let fixed = PREPROCESSING_MS + PLANNING_MS + PUBLISHING_MS;
    let mut out = json!({
        "DataScannedInBytes": if query.state.is_active() { 0 } else { query.scanned_bytes },
        "TotalExecutionTimeInMillis": total,
        "QueryQueueTimeInMillis": queued,
        "EngineExecutionTimeInMillis": run.saturating_sub(fixed),
        "ResultReuseInformation": { "ReusedPreviousResult": false },
    });
    if query.completed.is_some() && query.started.is_some() {
        out["ServicePreProcessingTimeInMillis"] = PREPROCESSING_MS.into();
        out["QueryPlanningTimeInMillis"] = PLANNING_MS.into();
        out["ServiceProcessingTimeInMillis"] = PUBLISHING_MS.into();
    }
    out
}
