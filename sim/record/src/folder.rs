//! Run folders: written beside themselves and renamed when complete; opened with clear errors.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::RecordError;
use super::events::{self, EventReader, EventRow};
use super::labels::{self, LabelReader, LabelRow};
use super::manifest::{Manifest, SCHEMA_VERSION};
use super::metrics::{self, MetricReader, MetricRow};
use super::summary::Summary;
use super::table::TableWriter;

/// File name of the [`Manifest`].
pub const MANIFEST_FILE: &str = "manifest.json";
/// File name of the [`Summary`].
pub const SUMMARY_FILE: &str = "summary.json";
/// File name of the events.
pub const EVENTS_FILE: &str = "events.parquet";
/// File name of the metrics.
pub const METRICS_FILE: &str = "metrics.parquet";
/// File name of the labels.
pub const LABELS_FILE: &str = "labels.parquet";

struct Writers {
    events: TableWriter<EventRow>,
    metrics: TableWriter<MetricRow>,
    labels: TableWriter<LabelRow>,
}

/// A shared handle through which a run pushes its rows. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Option<Writers>>>);

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Option<Writers>> {
        // A panic while a row was pushed leaves whole rows behind; the folder is then never finished.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds one event. The first error is remembered and returned by [`RunFolder::finish`]; rows after `finish` are dropped.
    pub fn event(&self, row: EventRow) {
        if let Some(writers) = &mut *self.lock() {
            writers.events.push(row);
        }
    }

    /// Adds one metric; errors as for [`Recorder::event`].
    pub fn metric(&self, row: MetricRow) {
        if let Some(writers) = &mut *self.lock() {
            writers.metrics.push(row);
        }
    }

    /// Adds one label; errors as for [`Recorder::event`].
    pub fn label(&self, row: LabelRow) {
        if let Some(writers) = &mut *self.lock() {
            writers.labels.push(row);
        }
    }
}

/// A run folder that is being written. Dropped without [`RunFolder::finish`] it leaves nothing behind.
pub struct RunFolder {
    target: PathBuf,
    partial: PathBuf,
    recorder: Recorder,
    finished: bool,
}

impl RunFolder {
    /// Starts a folder that will appear as `target`; until then its files live beside it in a folder of this run alone,
    /// `<target>.partial-<process>`. Missing parent folders are made. Nothing that exists is removed: what a killed run
    /// left behind stays until someone deletes it.
    ///
    /// # Errors
    /// When `target` exists and is not an empty folder, has the name of an unfinished one, or nothing can be written
    /// beside it.
    pub fn create(target: &Path) -> Result<Self, RecordError> {
        check_name(target)?;
        check_free(target)?;
        if let Some(parent) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|e| RecordError::write(parent, e))?;
        }
        let partial = create_partial(target)?;
        let writers = events::writer(partial.join(EVENTS_FILE)).and_then(|events| {
            let metrics = metrics::writer(partial.join(METRICS_FILE))?;
            Ok(Writers { events, metrics, labels: labels::writer(partial.join(LABELS_FILE))? })
        });
        let writers = writers.inspect_err(|_| drop(fs::remove_dir_all(&partial)))?;
        Ok(RunFolder {
            target: target.to_owned(),
            partial,
            recorder: Recorder(Arc::new(Mutex::new(Some(writers)))),
            finished: false,
        })
    }

    /// The handle that the run pushes its rows through.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Where the folder will appear.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Completes all files and gives the folder its name.
    ///
    /// # Errors
    /// The first error of any row pushed before, or of writing now. The folder then does not appear.
    pub fn finish(mut self, manifest: &Manifest, summary: &Summary) -> Result<PathBuf, RecordError> {
        let writers = self.recorder.lock().take().expect("a folder is finished once, and finish consumes it");
        writers.events.close()?;
        writers.metrics.close()?;
        writers.labels.close()?;
        write_json(&self.partial.join(MANIFEST_FILE), manifest)?;
        write_json(&self.partial.join(SUMMARY_FILE), summary)?;
        check_free(&self.target)?;
        if self.target.exists() {
            fs::remove_dir(&self.target).map_err(|e| RecordError::write(&self.target, e))?;
        }
        fs::rename(&self.partial, &self.target).map_err(|e| RecordError::write(&self.target, e))?;
        self.finished = true;
        Ok(self.target.clone())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.finished {
            self.recorder.lock().take();
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Marks the names of folders that are being written.
const PARTIAL: &str = ".partial";

/// Refuses what is no name, such as `/`, and names of unfinished folders, which readers refuse.
fn check_name(target: &Path) -> Result<(), RecordError> {
    let problem = match target.file_name() {
        None => "cannot be the name of a run folder",
        Some(_) if is_partial(target) => "has the name of a folder that is not finished",
        Some(_) => return Ok(()),
    };
    Err(RecordError::new(
        target,
        problem,
        format!("a folder name that does not end with `{PARTIAL}`"),
        "give `--out` a name such as `runs/smoke`",
    ))
}

/// Whether a name is that of a folder that is being written: `x.partial`, `x.partial-123`, `x.partial-123-1`.
fn is_partial(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let suffix = name.rsplit_once(PARTIAL).map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| {
        suffix.is_empty() || (suffix.starts_with('-') && suffix.bytes().all(|b| b == b'-' || b.is_ascii_digit()))
    })
}

/// Makes a folder beside `target` that no other run has: process ids differ, and a number tells the folders of one
/// process, or of an earlier process with its id, apart.
fn create_partial(target: &Path) -> Result<PathBuf, RecordError> {
    let process = std::process::id();
    let mut number = 0_u32;
    loop {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(match number {
            0 => format!("{PARTIAL}-{process}"),
            _ => format!("{PARTIAL}-{process}-{number}"),
        });
        let partial = target.with_file_name(name);
        match fs::create_dir(&partial) {
            Ok(()) => return Ok(partial),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(RecordError::write(&partial, e)),
        }
    }
}

/// Checks that a folder can be written as `target`: that nothing is there, or an empty folder.
///
/// # Errors
/// When something else is there.
pub fn check_free(target: &Path) -> Result<(), RecordError> {
    let taken = |problem: &str| {
        Err(RecordError::new(
            target,
            problem,
            "a name that is not taken, or an empty folder",
            "choose another folder with `--out`, or remove this one first",
        ))
    };
    if !target.exists() {
        return Ok(());
    }
    if !target.is_dir() {
        return taken("exists and is not a folder");
    }
    let mut entries = fs::read_dir(target).map_err(|e| RecordError::write(target, e))?;
    if entries.next().is_some() { taken("exists and is not empty") } else { Ok(()) }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), RecordError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| RecordError::write(path, e))?;
    text.push('\n');
    fs::write(path, text).map_err(|e| RecordError::write(path, e))
}

/// A run folder that was written before.
pub struct RunReader {
    dir: PathBuf,
    manifest: Manifest,
    summary: Summary,
}

impl RunReader {
    /// Opens a folder; reads the manifest and the summary, and checks that the other files are there.
    ///
    /// # Errors
    /// When the folder or a file in it is missing, truncated or foreign.
    pub fn open(dir: &Path) -> Result<Self, RecordError> {
        let hint = "give the folder that `sim run FILE --out DIR` wrote";
        if !dir.is_dir() {
            let problem = if dir.exists() { "is a file" } else { "does not exist" };
            return Err(RecordError::new(dir, problem, format!("a run folder with `{MANIFEST_FILE}`"), hint));
        }
        if is_partial(dir) {
            return Err(RecordError::new(
                dir,
                "belongs to a run that is not finished",
                "a finished run folder",
                "wait until the run ends; if it was interrupted, delete the folder and repeat it",
            ));
        }
        for name in [MANIFEST_FILE, SUMMARY_FILE, EVENTS_FILE, METRICS_FILE] {
            if !dir.join(name).is_file() {
                let expected = format!(
                    "a run folder with `{MANIFEST_FILE}`, `{SUMMARY_FILE}`, `{EVENTS_FILE}` and `{METRICS_FILE}`"
                );
                return Err(RecordError::new(dir, format_args!("has no file `{name}`"), expected, hint));
            }
        }
        let manifest = read_manifest(&dir.join(MANIFEST_FILE))?;
        let summary = read_json(&dir.join(SUMMARY_FILE), "the summary of a run")?;
        Ok(RunReader { dir: dir.to_owned(), manifest, summary })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What decided the run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the run came to.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The kept events, in order.
    ///
    /// # Errors
    /// When the file is truncated or foreign.
    pub fn events(&self) -> Result<EventReader, RecordError> {
        EventReader::open(&self.dir.join(EVENTS_FILE))
    }

    /// The kept events from a row on, counted from 0 among those that are kept.
    ///
    /// # Errors
    /// When the file is truncated or foreign.
    pub fn events_at(&self, first: usize) -> Result<EventReader, RecordError> {
        EventReader::open_at(&self.dir.join(EVENTS_FILE), first)
    }

    /// The metrics, in order.
    ///
    /// # Errors
    /// When the file is truncated or foreign.
    pub fn metrics(&self) -> Result<MetricReader, RecordError> {
        MetricReader::open(&self.dir.join(METRICS_FILE))
    }

    /// The labels, in the order in which they became known.
    ///
    /// # Errors
    /// When the file is truncated or foreign, or missing: a folder of a version that wrote none.
    pub fn labels(&self) -> Result<LabelReader, RecordError> {
        LabelReader::open(&self.dir.join(LABELS_FILE))
    }
}

fn read_manifest(path: &Path) -> Result<Manifest, RecordError> {
    let value: serde_json::Value = read_json(path, "the manifest of a run")?;
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    match version {
        Some(v) if v == u64::from(SCHEMA_VERSION) => read_json(path, "the manifest of a run"),
        Some(v) => Err(RecordError::new(
            path,
            format_args!("has schema version {v}"),
            format!("schema version {SCHEMA_VERSION}"),
            "read it with the version of the simulator that wrote it, or repeat the run",
        )),
        None => Err(RecordError::new(
            path,
            "has no `schema_version`",
            "the manifest of a run",
            "give the folder that `sim run FILE --out DIR` wrote",
        )),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, RecordError> {
    let text = fs::read_to_string(path).map_err(|e| {
        RecordError::new(path, format_args!("cannot be read: {e}"), expected, "check the file's permissions")
    })?;
    serde_json::from_str(&text).map_err(|e| {
        RecordError::new(
            path,
            format_args!("is truncated or foreign: {e}"),
            expected,
            "it was changed after the run, or copied in part: copy it again or repeat the run with `--out`",
        )
    })
}
