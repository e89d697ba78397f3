//! What a sweep came to, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;

use record::{Verdict, shell_word, thousands};
use serde::Serialize;

use super::args::Format;
use super::text::table;
use super::{BUG, CANARY_HELD, USAGE, verdict_code};
use crate::sweep::{Count, End, Row, Tally};

/// Most failures of the table for people; all of them are in the results.
const SHOWN_MAX: usize = 50;
/// Longest reason of that table, in characters.
const WHY_MAX: usize = 160;

/// What a sweep came to.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Name of the scenario.
    pub(super) scenario: String,
    /// Its file.
    pub(super) file: String,
    /// Flags that change it.
    pub(super) flags: Vec<String>,
    /// The verdict that it expects.
    pub(super) expected: Verdict,
    /// Seeds that were asked for and not run.
    pub(super) left: u64,
    /// How fast it was; absent when nothing was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speed: Option<Speed>,
    /// What all seeds came to.
    #[serde(flatten)]
    pub(super) tally: Tally,
}

/// How fast a sweep was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Speed {
    jobs: usize,
    seeds: u64,
    wall_s: f64,
    seeds_per_s: f64,
}

impl Speed {
    /// So many seeds in so many seconds, so many at a time.
    pub(super) fn new(jobs: usize, seeds: u64, wall_s: f64) -> Self {
        Speed { jobs, seeds, wall_s, seeds_per_s: if wall_s > 0.0 { seeds as f64 / wall_s } else { 0.0 } }
    }
}

impl Report {
    /// 0 when every seed ended as the scenario expects, otherwise that of the worst.
    pub(super) fn exit_code(&self) -> u8 {
        match self.tally.worst {
            None => 0,
            Some(End::Held) => CANARY_HELD,
            Some(End::Refused) => USAGE,
            Some(End::Unsettled) => verdict_code(Verdict::Unsettled),
            Some(End::Violated) => verdict_code(Verdict::Violated),
            Some(End::NotDeterministic) => verdict_code(Verdict::NotDeterministic),
            Some(End::Broken | End::Panicked) => BUG,
        }
    }

    /// The command that repeats a seed.
    pub(super) fn repeat(&self, row: &Row) -> String {
        repeat(Path::new(&self.file), row.seed, &self.flags)
    }
}

/// The command that repeats a seed of a file with some flags.
pub(super) fn repeat(file: &Path, seed: u64, flags: &[String]) -> String {
    let mut command = format!("cargo sim run {} --seed {seed}", shell_word(&file.display().to_string()));
    flags.iter().for_each(|flag| command.push_str(&format!(" {}", shell_word(flag))));
    command
}

/// The report as it is printed.
pub(super) fn rendered(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text(report),
        Format::Json => serde_json::to_string_pretty(report).expect("a report is JSON") + "\n",
    }
}

fn text(report: &Report) -> String {
    let tally = &report.tally;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<10}{value}").expect("a string takes everything");
    line("scenario", report.scenario.clone());
    let left = if report.left > 0 { format!(", {} not run", thousands(report.left)) } else { String::new() };
    line("seeds", format!("{} ({}){left}", thousands(tally.seeds), tally.ran));
    if let Some(Speed { jobs, seeds, wall_s, seeds_per_s }) = report.speed {
        let ran = thousands(seeds);
        line("speed", format!("{seeds_per_s:.1} seeds/s with {jobs} jobs: {ran} in {wall_s:.1} s"));
    }
    let mean = |total: f64| if tally.seeds == 0 { 0.0 } else { total / tally.seeds as f64 };
    line(
        "a run",
        format!(
            "{:.0} devices, {:.0} readings, {:.0} s simulated in {:.0} ms (means)",
            mean(tally.devices as f64),
            mean(tally.delivered as f64),
            mean(tally.simulated_s),
            mean(tally.work_s * 1_000.0)
        ),
    );
    let ends = End::ALL.iter().filter_map(|end| {
        let seeds = tally.ends.get(end.as_str())?;
        let expected = if End::from(report.expected) == *end { "as expected" } else { "" };
        Some(vec![end.as_str().to_owned(), thousands(*seeds), expected.to_owned()])
    });
    text.push('\n');
    text.push_str(&table(&["verdict", "seeds ", ""], &ends.collect::<Vec<_>>()));
    text.push_str(&failures(report));
    text.push_str(&counts("mark", &tally.marks));
    text.push_str(&counts("fault", &tally.faults));
    text
}

fn failures(report: &Report) -> String {
    let failures = &report.tally.failures;
    let Some(first) = failures.first() else { return String::new() };
    let rows = failures.iter().take(SHOWN_MAX);
    let rows: Vec<Vec<String>> =
        rows.map(|row| vec![row.seed.to_string(), row.end.as_str().to_owned(), reason(row)]).collect();
    let mut text = format!("\n{}", table(&["seed ", "failed", "why"], &rows));
    if failures.len() > SHOWN_MAX {
        let _ = writeln!(text, "and {} more", thousands((failures.len() - SHOWN_MAX) as u64));
    }
    let _ = writeln!(text, "repeat one with its seed:\n{}", report.repeat(first));
    text
}

/// Why a seed failed, in one line.
pub(super) fn reason(row: &Row) -> String {
    let why = row.why.as_deref().unwrap_or("-").split_whitespace().collect::<Vec<_>>().join(" ");
    if why.chars().count() <= WHY_MAX { why } else { why.chars().take(WHY_MAX - 1).chain(['…']).collect() }
}

fn counts(name: &str, counts: &[(&'static str, Count)]) -> String {
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|(id, count)| vec![(*id).to_owned(), thousands(count.seeds), thousands(count.of), thousands(count.total)])
        .collect();
    format!("\n{}", table(&[name, "seeds ", "of ", "times "], &rows))
}
