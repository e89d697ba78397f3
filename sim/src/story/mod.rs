//! The story of a run that failed: the way of one reading, what struck it, and where its trail ends.
//!
//! The run is repeated, which it does to the bit, under a spotlight on the reading ([`crate::world::spotlight`]). Where no
//! reading is concerned (a deployment, a denied call), the events around the first thing that went wrong are told.
//!
//! - `touch`: which faults struck the reading, and which were merely there.
//! - `scene`: the events around the first thing that went wrong.

mod scene;
#[cfg(test)]
mod tests;
mod text;
mod touch;

use record::{ReadingId, Summary, Verdict};
use serde::Serialize;

use crate::run::{Harness, RunError, RunOptions, run_with};
use crate::scenario::Scenario;
use crate::swarm;
use crate::world::spotlight::{Hop, Sightings, Spotlight, Stage};
use crate::world::time::Time;
pub use touch::Touch;

/// The story of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// Rolling digest of the run.
    pub digest: record::Digest,
    /// How the run ended.
    pub verdict: Verdict,
    /// The first invariant that was violated.
    pub invariant: Option<String>,
    /// What was seen and what was promised, or what the run waited for.
    pub message: String,
    /// Further invariants that were violated.
    pub others: Vec<String>,
    /// The reading whose story this is.
    pub reading: Option<String>,
    /// Its way.
    pub hops: Vec<Line>,
    /// Faults that struck it, and faults that were there at the time.
    pub faults: Vec<Touch>,
    /// What happened to its device, and what was given up anywhere, while it was on its way; without a reading, the events
    /// around the first thing that went wrong.
    pub around: Vec<Line>,
    /// Where the trail ends.
    pub end: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Simulated seconds since the start of the run.
    pub after_s: f64,
    /// Simulated instant.
    pub time: String,
    /// Where.
    pub place: String,
    /// Which device, stream, function or object.
    pub subject: String,
    /// What.
    pub text: String,
}

impl Line {
    fn new(start: Time, time: Time, place: &str, subject: &str, text: String) -> Self {
        let after_s = time.since(start).as_secs_f64();
        Line { after_s, time: time.rfc3339(), place: place.to_owned(), subject: subject.to_owned(), text }
    }

    fn of(start: Time, hop: &Hop) -> Self {
        Line::new(start, hop.time, hop.stage.as_str(), &hop.subject, hop.text.clone())
    }
}

/// Tells the story of a run: of `reading`, or of the first that its first violation concerns. `known` is what the run came
/// to, where that is known; each run is in a world of its own `harness`.
///
/// # Errors
/// When the run cannot be carried out.
pub fn tell(
    scenario: &Scenario,
    seed: u64,
    harness: &dyn Fn() -> Harness,
    known: Option<Summary>,
    reading: Option<ReadingId>,
) -> Result<Story, RunError> {
    let scenario = &*swarm::concrete(scenario, seed)?;
    let summary = match known {
        Some(summary) => summary,
        None => run_with(scenario, RunOptions::seeded(seed), harness())?.summary,
    };
    let first = summary.violations.first();
    let concerned = first.map_or(summary.unsettled_reading.as_ref(), |violation| violation.reading.as_ref());
    let Some(reading) = reading.or_else(|| concerned.cloned()) else {
        return scene::tell(scenario, seed, harness(), &summary);
    };
    let spotlight = Spotlight::on(&reading.tenant, &reading.device, reading.seq);
    let options = RunOptions { spotlight: Some(spotlight.clone()), ..RunOptions::seeded(seed) };
    let summary = run_with(scenario, options, harness())?.summary;
    let mut seen = spotlight.seen();
    seen.hops.sort_by_key(|hop| (hop.time, hop.seq));
    let mut story = begun(scenario, &summary);
    story.reading = Some(reading.to_string());
    story.hops = seen.hops.iter().map(|hop| Line::of(scenario.start, hop)).collect();
    story.faults = touch::of(scenario, seed, &reading, &seen);
    story.around = around(scenario.start, &seen);
    story.end = trail_end(scenario.start, &seen.hops);
    Ok(story)
}

/// What a summary alone tells.
fn begun(scenario: &Scenario, summary: &Summary) -> Story {
    let first = summary.violations.first();
    let unsettled = || summary.unsettled.clone().unwrap_or_else(|| "everything owed has arrived".to_owned());
    Story {
        scenario: scenario.source.name.clone(),
        seed: summary.seed,
        digest: summary.digest,
        verdict: summary.verdict,
        invariant: first.map(|violation| violation.invariant.clone()),
        message: first.map_or_else(unsettled, |violation| violation.message.clone()),
        others: summary.violations.iter().skip(1).map(|v| format!("{}: {}", v.invariant, v.message)).collect(),
        reading: None,
        hops: Vec::new(),
        faults: Vec::new(),
        around: Vec::new(),
        end: String::new(),
    }
}

/// Most lines of what happened around a reading.
const AROUND_MAX: usize = 40;

/// What happened around a reading, from the moment it was taken until its trail ends, and losses until the end of the run.
fn around(start: Time, seen: &Sightings) -> Vec<Line> {
    let Some(first) = seen.hops.first().map(|hop| hop.time) else { return Vec::new() };
    let last = seen.hops.iter().filter(|hop| hop.stage != Stage::Table).map(|hop| hop.time).max().unwrap_or(first);
    let during =
        seen.around.iter().filter(|event| event.time >= first && (event.time <= last || event.source != "iot"));
    let line = |event: &crate::world::spotlight::Seen| {
        let fields: Vec<String> = event.fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
        Line::new(start, event.time, &event.source, &event.subject, format!("{} {}", event.kind, fields.join(", ")))
    };
    during.take(AROUND_MAX).map(line).collect()
}

/// Whether a hop belongs to the copy of what arrived, and not to the way to the table.
fn is_copy(hop: &Hop) -> bool {
    let is_raw = |text: &str| text.split(['-', '/', ' ']).any(|word| word == "raw");
    match hop.stage {
        Stage::Buffer => is_raw(&hop.subject),
        Stage::Object => hop.text.split(" by ").nth(1).is_some_and(|by| is_raw(by.split(' ').next().unwrap_or(by))),
        _ => false,
    }
}

/// Where the trail of a reading ends, and what was the last thing known.
fn trail_end(start: Time, hops: &[Hop]) -> String {
    let way: Vec<&Hop> = hops.iter().filter(|hop| !is_copy(hop)).collect();
    if let Some(seen) = way.iter().find(|hop| hop.stage == Stage::Table) {
        let times = way.iter().filter(|hop| hop.stage == Stage::Table && hop.text.starts_with("Athena")).count();
        return match (seen.subject.as_str(), times) {
            ("quarantine", 0) => format!("the platform refused it: the quarantine {}", seen.text),
            ("failure destination", 0) => format!("a function gave it up: the failure destination {}", seen.text),
            (_, 0) => format!("{} {}, and Athena does not answer with it", seen.subject, seen.text),
            _ if way.iter().any(|hop| hop.stage == Stage::Table && hop.subject == "curated") => {
                "it is in the table and in the curated one, and Athena answers with it".to_owned()
            }
            _ => "it is in the table, and Athena answers with it".to_owned(),
        };
    }
    // The PUBACK comes back while the reading is already on its way.
    let beyond = way.iter().rev().find(|hop| hop.stage != Stage::Device);
    let Some(last) = beyond.or(way.last()) else {
        return "nothing is known of it: no device took it, and nothing carried it".to_owned();
    };
    let streams: std::collections::BTreeSet<&str> =
        way.iter().filter(|hop| hop.stage == Stage::Stream).map(|hop| hop.subject.as_str()).collect();
    let next = match last.stage {
        Stage::Device if last.text.starts_with("gives") => "nothing: what was never acknowledged is owed to nobody",
        Stage::Device => "the broker to take it",
        Stage::Broker => "a topic rule to match it",
        Stage::Rule if last.text.starts_with("FAILS") => "nothing: the rule gave it up",
        Stage::Rule => "a stream to keep it",
        Stage::Stream | Stage::Function | Stage::Call if streams.len() < 2 => {
            "a function to write it to the next stream"
        }
        Stage::Stream | Stage::Function | Stage::Call => "Firehose to read it",
        Stage::Buffer => "an object in S3 to hold it",
        Stage::Object | Stage::Table => "a reader to see it",
    };
    let after_s = last.time.since(start).as_secs_f64();
    format!(
        "the last that is known, {after_s:.6} s after the start: {} {}; then waited for {next}",
        last.subject, last.text
    )
}
