//! Swarm testing: a run draws its own scenario from its seed, within the bounds of the table `[swarm]` of its file.
//!
//! Fleet, configuration, length and faults are drawn, and whole families and kinds of faults are switched off: a mixture of
//! everything hides what only shows in the absence of something (Groce et al., "Swarm Testing", ISSTA 2012).
//!
//! What is drawn is a scenario like any other, as TOML: it can be printed (`sim draw`), kept, changed and shrunk. It
//! follows from the swarm's text, the seed and this build, so that a run of a swarm is a value of the same three as any
//! other run: the manifest keeps the swarm's own text and the seed.
//!
//! - `ranges`: the numbers of each kind of fault, and the kinds that are left out.
//! - `fleet`, `platform`, `faults`: what is drawn of each.

mod faults;
mod fleet;
mod lots;
mod platform;
pub mod ranges;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use rand::RngExt as _;
use toml_edit::{Array, DocumentMut, Item, Table, value};

pub use ranges::LEFT_OUT;

use crate::fault::{FaultSpec, KINDS};
use crate::scenario::{Scenario, ScenarioError, Swarm, duration};
use crate::world::seed::Seed;

/// What peace has beside the platform's own windows and buffers and the longest time of a fault. A device comes back
/// within its keep-alive, its time-outs and its longest back-off (60 + 30 + 15 + 60 s); Lambda and Firehose try again
/// within 60 s each; the rest is what those have to work off.
const PEACE_MARGIN: Duration = Duration::from_secs(360);

/// The platform's defaults of what peace waits for, in seconds: (table, key, default).
const WAITS: [(&str, &str, u64); 3] = [
    ("enrichment", "batch_window_s", 1),
    ("enrichment", "timeout_s", 60),
    ("processed_delivery", "buffer_interval_s", 60),
];

/// The scenario of a run with this seed: what a swarm draws, and any other scenario as it is.
///
/// # Errors
/// As [`draw`].
pub fn concrete(scenario: &Scenario, seed: u64) -> Result<Cow<'_, Scenario>, ScenarioError> {
    if scenario.swarm.is_some() { draw(scenario, seed).map(Cow::Owned) } else { Ok(Cow::Borrowed(scenario)) }
}

/// Draws the scenario of a run with this seed.
///
/// # Errors
/// When the file's own tables do not go together with what is drawn around them.
pub fn draw(scenario: &Scenario, seed: u64) -> Result<Scenario, ScenarioError> {
    let Some(swarm) = &scenario.swarm else {
        let hint = "`cargo sim run` runs it as it is";
        return Err(scenario.located_error("", "has no table [swarm]", "a scenario that draws", hint));
    };
    let lots = Seed::root(seed).child("swarm");
    let mut doc: DocumentMut = scenario.source.text.parse().map_err(|e: toml_edit::TomlError| {
        scenario.located_error("", format!("is not TOML: {}", e.message()), "TOML", "see the message")
    })?;
    doc.remove("swarm");
    doc.insert("seeds", value(Array::from_iter([i64::try_from(seed).unwrap_or(1)])));
    let hardship = match doc.contains_key("phase") {
        true => scenario.phase.hardship,
        false => draw_hardship(swarm, lots.child("hardship")),
    };
    if !doc.contains_key("fleet") {
        doc.insert("fleet", Item::ArrayOfTables(fleet::draw(swarm, lots.child("fleet"), hardship)));
    }
    draw_platform(swarm, lots.child("platform"), &mut doc);
    if !doc.contains_key("phase") {
        doc.insert("phase", Item::Table(phase(hardship, PEACE_MARGIN)));
    }
    let fleets = parsed(scenario, &doc, seed)?.fleets;
    if !doc.contains_key("command") {
        let commands = fleet::commands(lots.child("commands"), &fleets, hardship);
        if !commands.is_empty() {
            doc.insert("command", Item::ArrayOfTables(commands));
        }
    }
    let mut faults = faults::draw(swarm, lots.child("faults"), &fleets, hardship);
    for fault in &mut faults {
        // A drawn fault is called after its kind, unless the file has a fault of that name.
        let kind = fault["kind"].as_str().unwrap_or_default().to_owned();
        if scenario.faults.iter().any(|own| own.name == kind) {
            fault.insert("name", value(format!("{kind}, drawn")));
        }
    }
    if !faults.is_empty() {
        // An array of inline tables says the same.
        let own = doc.remove("fault").map(Item::into_array_of_tables);
        let mut all = own.and_then(Result::ok).unwrap_or_default();
        all.extend(faults);
        doc.insert("fault", Item::ArrayOfTables(all));
    }
    let mut drawn = parsed(scenario, &doc, seed)?;
    if scenario.phase.peace.is_zero() {
        doc["phase"]["peace"] = value(duration::format(peace(&drawn)));
        drawn = parsed(scenario, &doc, seed)?;
    }
    Ok(drawn)
}

/// What was drawn, in one line.
pub fn describe(scenario: &Scenario) -> String {
    let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut kinds: Vec<&str> = scenario.faults.iter().map(|fault| fault.kind.id()).collect();
    kinds.sort_unstable_by_key(|id| KINDS.iter().position(|contract| contract.id == *id));
    format!(
        "{} in {} for {}, {}",
        count(scenario.devices(), "device"),
        count(scenario.fleets.len() as u64, "fleet"),
        duration::format(scenario.phase.hardship),
        if kinds.is_empty() { "nothing goes wrong".to_owned() } else { kinds.join(", ") },
    )
}

fn draw_hardship(swarm: &Swarm, seed: Seed) -> Duration {
    let (least, most) = (swarm.hardship_min.as_secs(), swarm.hardship_max.as_secs());
    // Multiples of ten seconds read better, and are within the bounds.
    let drawn = seed.rng().random_range(least..=most);
    Duration::from_secs((drawn - drawn % 10).clamp(least, most))
}

fn draw_platform(swarm: &Swarm, seed: Seed, doc: &mut DocumentMut) {
    let mut table = match doc.remove("platform").map(Item::into_table) {
        Some(Ok(table)) => table,
        _ => Table::new(),
    };
    platform::draw(swarm, seed, &mut table);
    if !table.is_empty() {
        doc.insert("platform", Item::Table(table));
    }
}

fn phase(hardship: Duration, peace: Duration) -> Table {
    let mut table = Table::new();
    table.insert("hardship", value(duration::format(hardship)));
    table.insert("peace", value(duration::format(peace)));
    table
}

/// Long enough for everything owed to arrive after the worst that may go wrong.
fn peace(scenario: &Scenario) -> Duration {
    let setting = |(table, key, otherwise): (&str, &str, u64)| {
        let given = scenario.platform.as_ref().and_then(|platform| platform.get(table)?.get(key)?.as_integer());
        given.and_then(|given| u64::try_from(given).ok()).unwrap_or(otherwise)
    };
    let waits = Duration::from_secs(WAITS.into_iter().map(setting).sum());
    let after_effect = |fault: &FaultSpec| {
        // What a clock or a read is off by keeps nobody waiting.
        let waits = !matches!(fault.kind.id(), "clock-skew" | "clock-jump" | "stale-read");
        fault.delay.filter(|_| waits).unwrap_or_default().max(fault.lasting.unwrap_or_default())
    };
    let longest = scenario.faults.iter().map(after_effect).max().unwrap_or_default();
    let seconds = (waits + longest + PEACE_MARGIN).as_secs();
    Duration::from_secs(seconds.next_multiple_of(10))
}

/// The drawn text as a scenario, whose manifests name the swarm.
fn parsed(swarm: &Scenario, doc: &DocumentMut, seed: u64) -> Result<Scenario, ScenarioError> {
    let mut drawn = Scenario::parse(&doc.to_string(), Path::new(&swarm.source.path)).map_err(|mut error| {
        error.file = Some(format!("{} drawn with seed {seed}", swarm.source.path));
        error
    })?;
    drawn.source.path = format!("{} drawn with seed {seed}", swarm.source.path);
    drawn.origin = Some(swarm.source.clone());
    Ok(drawn)
}
