//! Scenario files: what a run is made of, as TOML. The keys are data in [`schema`]; errors name file, line and key.

mod change;
mod check;
pub mod duration;
mod error;
mod failure;
mod fault;
mod fleet;
mod operator;
mod overrides;
mod reader;
mod readme;
pub mod schema;
mod series;
pub mod suggest;
mod swarm;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::time::Duration;

use record::{ScenarioSource, Verdict};
use serde::de::DeserializeOwned;
use toml::de::DeTable;

pub use change::{Change, DeploymentOutcome, Patch};
pub use error::{Place, ScenarioError};
pub use fleet::default_metrics;
pub use operator::{CommandSpec, Rollout};
pub use overrides::Overrides;
pub use readme::readme;
pub(crate) use series::{parse_timestamp, read as read_series};
pub use swarm::Swarm;

use crate::fault::FaultSpec;
use crate::fleet::spec::FleetSpec;
use crate::invariant;
use crate::world::time::Time;
use reader::{Document, Table};

/// Verdicts that a scenario can expect.
const VERDICTS: [Verdict; 3] = [Verdict::Held, Verdict::Violated, Verdict::Unsettled];
/// The folder of a repository in which scenarios are kept.
const FOLDER: &str = "scenarios";
/// 2026-03-01T00:00:00Z.
const START: Time = Time::from_unix_secs(1_772_323_200);

/// A scenario: everything that decides a run beside its seed and the build.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Where it came from, and the whole file.
    pub source: ScenarioSource,
    /// The swarm that it was drawn from: what a manifest keeps in place of `source`.
    pub origin: Option<ScenarioSource>,
    /// What happens, in one line.
    pub title: String,
    /// Why the scenario is kept.
    pub why: String,
    /// Seeds that are worth running; never empty.
    pub seeds: Vec<u64>,
    /// Simulated instant at which the run begins.
    pub start: Time,
    /// The devices; empty only in a swarm whose runs draw them.
    pub fleets: Vec<FleetSpec>,
    /// How long the run is. In a swarm whose runs draw it: the longest hardship, and no peace.
    pub phase: Phase,
    /// The table `[platform]`, as it is written.
    pub platform: Option<toml::Table>,
    /// What is deployed while devices publish, in the order of time.
    pub changes: Vec<Change>,
    /// Desired states that an operator sets during hardship.
    pub rollouts: Vec<Rollout>,
    /// Commands that an operator sends during hardship.
    pub commands: Vec<CommandSpec>,
    /// What goes wrong during hardship.
    pub faults: Vec<FaultSpec>,
    /// Bounds within which a run draws what is not in the file ([`crate::swarm::draw`]).
    pub swarm: Option<Swarm>,
    /// What the run must come to.
    pub expect: Expect,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// How long devices publish.
    pub hardship: Duration,
    /// How long the platform may take afterwards until everything owed has arrived.
    pub peace: Duration,
}

/// What a run must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The verdict. Anything but [`Verdict::Held`] makes the scenario a canary.
    pub verdict: Verdict,
    /// Ids of the invariants that are checked, each of [`invariant::ALL`]; never empty.
    pub invariants: Vec<String>,
    /// Ids of the marks that a run which holds must have reached, each of [`mark::ALL`](crate::world::mark::ALL).
    pub marks: Vec<String>,
    /// What a run that holds may need.
    pub budget: Budget,
}

/// What a run that holds may need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// 99 of 100 readings are visible in Athena at most this long after their publish.
    pub latency_p99: Option<Duration>,
}

impl Scenario {
    /// Reads a scenario file and the series that it names, and checks both.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = fs::read_to_string(path).map_err(|e| unreadable(path, &e))?;
        Self::parse(&text, path)
    }

    /// Parses the text of a scenario file. `path` names it, and relative paths in it begin at the folder of `path`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ScenarioError> {
        let shown = path.display().to_string();
        let doc = Document { path: &shown, text };
        let parsed = DeTable::parse(text).map_err(|e| syntax_error(&doc, &e))?;
        let root = Table::new(&doc, "", String::new(), parsed.get_ref(), 0..0)?;
        root.known_keys_only()?;
        let source = ScenarioSource {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            path: shown.clone(),
            text: text.to_owned(),
        };
        let swarm = root.get("swarm").map(|entry| swarm::read(&entry.table()?)).transpose()?;
        let phase = phase(&root, swarm.as_ref())?;
        let scenario = Scenario {
            source,
            origin: None,
            title: root.require("title")?.text()?,
            why: root.require("why")?.text()?,
            seeds: root.get("seeds").map_or(Ok(vec![1]), |seeds| seeds.seeds())?,
            start: root.get("start").map_or(Ok(START), |start| start.instant())?,
            phase,
            expect: expect(&root)?,
            platform: platform(&root, text)?,
            changes: changes(&root, text)?,
            rollouts: all(&root, "rollout", operator::read_rollout)?,
            commands: all(&root, "command", |table| operator::read_command(table, phase.hardship))?,
            faults: faults(&root, phase)?,
            fleets: fleets(&root, swarm.is_some())?,
            swarm,
        };
        scenario.check()?;
        Ok(scenario)
    }

    /// Devices of all fleets.
    pub fn devices(&self) -> u64 {
        self.fleets.iter().map(|f| u64::from(f.devices)).sum()
    }

    /// Longest simulated time that a run takes before its verdict.
    pub fn duration(&self) -> Duration {
        self.phase.hardship + self.phase.peace
    }

    /// Readings that the fleets publish at most.
    pub fn readings_max(&self) -> u64 {
        self.fleets.iter().map(|f| fleet::readings_max(f, self.phase.hardship)).sum()
    }

    /// What a reader of the scenario may not expect, such as rows of a series that are not played.
    pub fn notes(&self) -> Vec<String> {
        let played = |f: &FleetSpec| (fleet::readings_max(f, self.phase.hardship), fleet::rows(f));
        let short = self.fleets.iter().map(|f| (f, played(f))).filter(|(_, (played, rows))| played < rows);
        let note = |(f, (played, rows)): (&FleetSpec, (u64, u64))| {
            let hardship = duration::format(self.phase.hardship);
            format!("fleet `{}` plays {played} of {rows} recorded rows: the others do not fit into {hardship}", f.name)
        };
        short.map(note).collect()
    }

    /// An error about a key of this scenario's file, such as `platform.enrichment.batch_size` or `fleet[1].devices`.
    /// When the key is not in the file, the nearest table around it is shown.
    pub fn located_error(
        &self,
        key_path: &str,
        problem: impl Into<String>,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> ScenarioError {
        let doc = Document { path: &self.source.path, text: &self.source.text };
        let mut error = doc.error(0..0, key_path, problem, expected, hint);
        let span = DeTable::parse(&self.source.text).ok().and_then(|t| check::span_of(t.get_ref(), key_path));
        error.place = span.map(|span| Place::of(&self.source.text, span));
        error
    }

    /// The table `[platform]` as a type of the platform; its default when the table is absent.
    ///
    /// # Errors
    /// When the type refuses a key or a value: with its line.
    pub fn platform_as<T: DeserializeOwned + Default>(&self) -> Result<T, ScenarioError> {
        #[derive(serde::Deserialize)]
        struct Only<T> {
            platform: T,
        }
        if self.platform.is_none() {
            return Ok(T::default());
        }
        self.parsed_as::<Only<T>>("platform").map(|only| only.platform)
    }

    /// The settings of the platform after each change: the table `[platform]` with those of the changes up to it over it.
    ///
    /// # Errors
    /// When the type refuses a key or a value: with its line.
    pub fn platform_after_changes<T: DeserializeOwned>(&self) -> Result<Vec<T>, ScenarioError> {
        #[derive(serde::Deserialize)]
        struct Only<T> {
            #[serde(default = "Vec::new", rename = "change")]
            _changes: Vec<OnlyPlatform<T>>,
        }
        #[derive(serde::Deserialize)]
        struct OnlyPlatform<T> {
            #[serde(rename = "platform")]
            _platform: Option<T>,
        }
        // For the place of what is refused; the values come from the tables one over the other.
        self.parsed_as::<Only<T>>("change")?;
        let mut merged = self.platform.clone().unwrap_or_default();
        let after = self.changes.iter().enumerate().map(|(i, change)| {
            merge(&mut merged, change.platform.as_ref());
            let refused = |e: toml::de::Error| self.foreign_error(&format!("change[{i}].platform"), e.message(), None);
            merged.clone().try_into().map_err(refused)
        });
        after.collect()
    }

    fn parsed_as<T: DeserializeOwned>(&self, otherwise: &str) -> Result<T, ScenarioError> {
        toml::from_str::<T>(&self.source.text).map_err(|e| {
            let parsed = DeTable::parse(&self.source.text).ok();
            let path = parsed.zip(e.span()).and_then(|(table, span)| check::path_at(table.get_ref(), span.start));
            self.foreign_error(&path.unwrap_or_else(|| otherwise.to_owned()), e.message(), e.span())
        })
    }

    fn foreign_error(&self, key: &str, message: &str, span: Option<std::ops::Range<usize>>) -> ScenarioError {
        let (problem, expected) =
            message.split_once(", expected ").unwrap_or((message, "a value that the platform accepts"));
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let word = key.rsplit('.').next().unwrap_or(key);
        let hint = suggest::did_you_mean(word, known, "the keys are those of the platform's settings file");
        let mut error = self.located_error(key, format!("is refused by the platform: {problem}"), expected, hint);
        if let Some(span) = span {
            error.place = Some(Place::of(&self.source.text, span));
        }
        error
    }
}

/// Puts the keys of `over` over those of `table`; tables inside are merged.
fn merge(table: &mut toml::Table, over: Option<&toml::Table>) {
    for (key, value) in over.into_iter().flatten() {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => merge(inner, Some(over)),
            _ => drop(table.insert(key.clone(), value.clone())),
        }
    }
}

fn fleets(root: &Table<'_>, drawn: bool) -> Result<Vec<FleetSpec>, ScenarioError> {
    if drawn && root.get("fleet").is_none() {
        return Ok(Vec::new());
    }
    root.require("fleet")?.tables()?.iter().map(fleet::read).collect()
}

fn phase(root: &Table<'_>, swarm: Option<&Swarm>) -> Result<Phase, ScenarioError> {
    if let (Some(swarm), None) = (swarm, root.get("phase")) {
        return Ok(Phase { hardship: swarm.hardship_max, peace: Duration::ZERO });
    }
    let table = root.require("phase")?.table()?;
    Ok(Phase { hardship: table.require("hardship")?.duration()?, peace: table.require("peace")?.duration()? })
}

fn expect(root: &Table<'_>) -> Result<Expect, ScenarioError> {
    let all = || invariant::ALL.iter().map(|i| i.id.to_owned()).collect();
    let mut expect = Expect { verdict: Verdict::Held, invariants: all(), marks: Vec::new(), budget: Budget::default() };
    let Some(entry) = root.get("expect") else { return Ok(expect) };
    let table = entry.table()?;
    if let Some(verdict) = table.get("verdict") {
        expect.verdict = VERDICTS[verdict.choice()?];
    }
    if let Some(invariants) = table.get("invariants") {
        expect.invariants = invariants.choices()?;
    }
    if let Some(marks) = table.get("marks") {
        expect.marks = marks.choices()?;
    }
    if let Some(budget) = table.get("budget") {
        expect.budget.latency_p99 = budget.table()?.get("latency_p99").map(|p99| p99.duration()).transpose()?;
    }
    Ok(expect)
}

fn platform(root: &Table<'_>, text: &str) -> Result<Option<toml::Table>, ScenarioError> {
    let Some(entry) = root.get("platform") else { return Ok(None) };
    entry.foreign()?;
    let whole: toml::Table = text.parse().map_err(|e: toml::de::Error| entry.error("is not TOML", e.message()))?;
    Ok(whole.get("platform").and_then(|platform| platform.as_table()).cloned())
}

fn changes(root: &Table<'_>, text: &str) -> Result<Vec<Change>, ScenarioError> {
    let Some(entry) = root.get("change") else { return Ok(Vec::new()) };
    let whole: toml::Table = text.parse().map_err(|e: toml::de::Error| entry.error("is not TOML", e.message()))?;
    let written = |i: usize| whole.get("change").and_then(|changes| changes.as_array()?.get(i));
    entry.tables()?.iter().enumerate().map(|(i, table)| change::read(table, written(i))).collect()
}

/// The tables of one name, each as `read` reads it.
fn all<T>(
    root: &Table<'_>,
    name: &str,
    read: impl Fn(&Table<'_>) -> Result<T, ScenarioError>,
) -> Result<Vec<T>, ScenarioError> {
    let Some(entry) = root.get(name) else { return Ok(Vec::new()) };
    entry.tables()?.iter().map(read).collect()
}

fn faults(root: &Table<'_>, phase: Phase) -> Result<Vec<FaultSpec>, ScenarioError> {
    let Some(entry) = root.get("fault") else { return Ok(Vec::new()) };
    entry.tables()?.iter().map(|table| fault::read(table, phase.hardship)).collect()
}

fn syntax_error(doc: &Document<'_>, error: &toml::de::Error) -> ScenarioError {
    let span = error.span().unwrap_or(0..0);
    let place = Place::of(doc.text, span.clone());
    let key = place.text.split_once('=').map_or("", |(key, _)| key.trim());
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let message = error.message().replace('\n', ", ");
    let (problem, expected) = message.split_once(", expected ").unwrap_or((&message, "TOML: key = value"));
    let hint = "texts and durations need quotes; tables are headed [phase] or [[fleet]]";
    doc.error(span, if is_key { key } else { "" }, format!("is not TOML: {problem}"), expected, hint)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ScenarioError {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = path.file_stem().unwrap_or_default().to_string_lossy();
    let near = [folder, Path::new(FOLDER)].into_iter().find_map(|folder| {
        let names = scenarios_of(folder);
        let near = suggest::nearest(&wanted, names.iter().map(String::as_str))?;
        Some(folder.join(format!("{near}.toml")))
    });
    let list = "`cargo sim list` shows the scenarios";
    let not_text = error.kind() == std::io::ErrorKind::InvalidData;
    ScenarioError {
        file: Some(path.display().to_string()),
        place: None,
        key: String::new(),
        problem: match error.kind() {
            std::io::ErrorKind::NotFound => "does not exist".to_owned(),
            std::io::ErrorKind::InvalidData => "is not text in UTF-8".to_owned(),
            _ => format!("cannot be read: {error}"),
        },
        expected: "a scenario file (TOML, in UTF-8)".to_owned(),
        hint: match near {
            _ if not_text => "save it as UTF-8, which TOML asks for".to_owned(),
            Some(near) => format!("did you mean `{}`? {list}", near.display()),
            None => list.to_owned(),
        },
    }
}

/// Names, without the extension, of the TOML files of a folder that have a fleet or draw one. Other TOML files are no scenarios.
fn scenarios_of(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "toml"));
    files.retain(|file| {
        fs::read_to_string(file).is_ok_and(|text| ["[[fleet]]", "[swarm]"].iter().any(|table| text.contains(table)))
    });
    let mut names: Vec<String> =
        files.iter().map(|file| file.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}
