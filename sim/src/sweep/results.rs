//! `results.jsonl`: what decides the runs of a sweep in its first line, then one line a seed, as they come.
//!
//! A line is written whole or not at all, so that a sweep that is killed loses the seeds that are under way and nothing
//! else. A last line without an end is what a kill in the middle of a write leaves; it is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use record::{RecordError, ScenarioSource, Verdict};
use serde::{Deserialize, Serialize};

use super::row::Row;
use crate::scenario::{Overrides, Scenario};

/// Name of the file in a sweep's folder.
pub const RESULTS_FILE: &str = "results.jsonl";
/// Version of the file; readers refuse any other.
const VERSION: u32 = 1;

/// What decides the runs of a sweep beside their seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the file.
    pub sweep: u32,
    /// The scenario, with its whole text.
    pub scenario: ScenarioSource,
    /// The verdict that the scenario expects.
    pub expected: Verdict,
    /// Flags that change the scenario.
    pub settings: BTreeMap<String, String>,
    /// The program: its version, and a hash of its bytes.
    pub build: String,
}

impl Header {
    /// The header of a sweep of a scenario with some flags by this build.
    pub fn new(scenario: &Scenario, overrides: &Overrides, build: String) -> Self {
        let (source, expected) = (scenario.source.clone(), scenario.expect.verdict);
        Header { sweep: VERSION, scenario: source, expected, settings: overrides.settings(), build }
    }

    /// What is different in another header, and what follows; nothing when both stand for the same runs.
    fn difference(&self, other: &Header) -> Option<String> {
        let flags = |settings: &BTreeMap<String, String>| {
            let flags: Vec<String> = settings.iter().map(|(name, value)| format!("--{name} {value}")).collect();
            if flags.is_empty() { "no flags".to_owned() } else { flags.join(" ") }
        };
        if self.scenario.text != other.scenario.text {
            return Some(format!("of another scenario ({}, or an earlier text of it)", other.scenario.path));
        }
        if self.settings != other.settings {
            return Some(format!("of a scenario with {}, not with {}", flags(&other.settings), flags(&self.settings)));
        }
        (self.build != other.build)
            .then(|| format!("of another build ({}), and this one ({}) may come to others", other.build, self.build))
    }
}

/// A file of results that is open, and locked against a second sweep.
#[derive(Debug)]
pub struct Results {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Results {
    /// Opens the results of a folder, or begins them.
    ///
    /// # Errors
    /// When they are those of another scenario or build, when another sweep writes them, or when they cannot be written.
    pub fn open(folder: &Path, header: &Header) -> Result<Self, RecordError> {
        let path = folder.join(RESULTS_FILE);
        fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))?;
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let mut file = file.map_err(|e| unwritable(&path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let hint = "wait for it, or give another folder with `--out`";
                return Err(refused(&path, "is being written by another sweep", "results that nobody writes", hint));
            }
            Err(TryLockError::Error(e)) => return Err(unwritable(&path, &e)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|e| unwritable(&path, &e))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(|e| unwritable(&path, &e))?;
            file.seek(SeekFrom::End(0)).map_err(|e| unwritable(&path, &e))?;
        }
        let mut results = Results { path, file, rows: Vec::new() };
        if whole == 0 {
            results.write(header)?;
            return Ok(results);
        }
        let (found, rows) = parse(&results.path, &text[..whole])?;
        if let Some(difference) = header.difference(&found) {
            let hint = "give a new folder with `--out`, or remove this one";
            return Err(refused(
                &results.path,
                format!("has results {difference}"),
                "results of the same scenario and build",
                hint,
            ));
        }
        results.rows = rows;
        Ok(results)
    }

    /// What was there when the file was opened, and what was added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Adds what a seed came to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, row: Row) -> Result<(), RecordError> {
        self.write(&row)?;
        self.rows.push(row);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), RecordError> {
        let mut bytes = serde_json::to_vec(line).expect("a line is JSON");
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(|e| unwritable(&self.path, &e))
    }
}

/// Reads the results of a folder.
///
/// # Errors
/// When there are none, or when they are damaged.
pub fn read(folder: &Path) -> Result<(Header, Vec<Row>), RecordError> {
    let path = folder.join(RESULTS_FILE);
    let text = fs::read_to_string(&path).map_err(|e| {
        let hint = "name a folder that `sim sweep --out DIR` wrote";
        refused(&path, format!("cannot be read: {e}"), "results of a sweep", hint)
    })?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    parse(&path, &text[..whole])
}

/// Puts the results of several folders into one, ordered by seed.
///
/// # Errors
/// When they are of different scenarios or builds, when two of them have a seed in common, or when `out` has results.
pub fn merge(out: &Path, folders: &[PathBuf]) -> Result<(Header, Vec<Row>), RecordError> {
    let target = out.join(RESULTS_FILE);
    if target.exists() {
        let hint = "results are merged into a new folder, so that nothing is lost";
        return Err(refused(&target, "exists", "a folder without results", hint));
    }
    let mut merged: Option<(PathBuf, Header, Vec<Row>)> = None;
    for folder in folders {
        let (header, rows) = read(folder)?;
        let Some((first, known, all)) = &mut merged else {
            merged = Some((folder.clone(), header, rows));
            continue;
        };
        let (path, place) = (folder.join(RESULTS_FILE), first.display());
        if let Some(difference) = known.difference(&header) {
            let problem = format!("has results {difference}, unlike {place}");
            return Err(refused(&path, problem, "results of one scenario and build", "merge those of one sweep"));
        }
        let seeds: BTreeSet<u64> = all.iter().map(|row| row.seed).collect();
        if let Some(row) = rows.iter().find(|row| seeds.contains(&row.seed)) {
            let problem = format!("has seed {}, and so has a folder before it", row.seed);
            return Err(refused(&path, problem, "each seed in one folder", "give each machine its own `--shard i/n`"));
        }
        all.extend(rows);
    }
    let (_, header, mut rows) = merged.ok_or_else(|| {
        refused(out, "has nothing to be merged from", "at least one folder of results", "sim merge OUT DIR...")
    })?;
    rows.sort_by_key(|row| row.seed);
    let mut results = Results::open(out, &header)?;
    for row in &rows {
        results.push(row.clone())?;
    }
    Ok((header, rows))
}

fn parse(path: &Path, text: &str) -> Result<(Header, Vec<Row>), RecordError> {
    let damaged = |line: usize, error: serde_json::Error| {
        let hint = "it was changed after the sweep, or written by another version: remove the folder and sweep again";
        refused(path, format!("is damaged in line {line}: {error}"), "results of a sweep", hint)
    };
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    let (n, first) = lines.next().unwrap_or((1, ""));
    let header: Header = serde_json::from_str(first).map_err(|e| damaged(n, e))?;
    if header.sweep != VERSION {
        let hint = "sweep again with this version";
        return Err(refused(path, format!("has version {}", header.sweep), "version 1", hint));
    }
    let rows = lines.map(|(n, line)| serde_json::from_str(line).map_err(|e| damaged(n, e)));
    Ok((header, rows.collect::<Result<_, _>>()?))
}

fn unwritable(path: &Path, error: &std::io::Error) -> RecordError {
    let hint = "give a folder that can be written with `--out`";
    refused(path, format!("cannot be written: {error}"), "a file that can be written", hint)
}

fn refused(path: &Path, problem: impl Into<String>, expected: &str, hint: &str) -> RecordError {
    RecordError { path: path.to_owned(), problem: problem.into(), expected: expected.to_owned(), hint: hint.to_owned() }
}
