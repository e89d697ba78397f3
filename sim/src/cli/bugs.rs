//! `sim bugs`: plants bugs, one at a time, and says whether the oracles find them, by which invariant and how soon.

use std::time::Duration;

use record::shell_word;
use serde::Serialize;

use super::args::{BugsArgs, Format};
use super::text::table;
use super::wall::Stopwatch;
use super::{BUG, Failure, USAGE, print};
use crate::bugs::{self, BUGS, Bug, Hunt, Hunted};
use crate::run::{RunError, RunOptions, run_with};
use crate::scenario::Scenario;
use crate::shrink::{self, Signature};

/// Exit code when a bug was not found: a check that cannot fail proves nothing.
const NOT_FOUND: u8 = 1;
/// Bases are so far apart that their seeds never meet.
const BASE_STEP: u64 = 1_000_000;

/// Most time that is spent on shrinking the scenario of one bug.
const SHRINK_BUDGET: Duration = Duration::from_secs(120);

/// What became of one bug.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    id: &'static str,
    planted: &'static str,
    found: bool,
    /// What was broken where it was found first: invariants, or `unsettled`.
    by: Vec<String>,
    /// Median of the seeds that were needed.
    seeds: Option<u64>,
    /// Seeds that were needed from each base.
    seeds_by_base: Vec<Option<u64>>,
    /// The first seed that found it.
    seed: Option<u64>,
    /// Seeds that do not hold without the bug either.
    false_alarms: Vec<u64>,
    wall_s: f64,
    shrunk: Option<Shrunk>,
}

/// The smallest scenario that still finds a bug.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Shrunk {
    devices: u64,
    faults: u64,
    minutes: f64,
}

/// Hunts for the bugs and prints a table. The exit code is 0 when all were found.
pub(super) fn bugs(args: &BugsArgs) -> Result<u8, Failure> {
    if args.list {
        return print(&list(args.format)).map(|()| 0);
    }
    let scenario = Scenario::load(&args.scenario)?;
    let wanted: Vec<&'static Bug> = if args.only.is_empty() { BUGS.iter().collect() } else { args.only.clone() };
    let bases = (0..args.bases).map(|n| 1 + n * BASE_STEP).collect();
    let hunt = Hunt::new(&scenario, bases, args.seeds_max);
    let jobs = args.jobs.map_or_else(cores, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let clock = Stopwatch::start();
    let done = |bug: &'static Bug, hunted: Hunted, wall_s: f64| {
        let row = row(bug, &hunted, wall_s, shrunk(&scenario, bug, &hunted, args.no_shrink));
        eprintln!("{:>6.1} s  {}: {}", clock.elapsed().as_secs_f64(), bug.id, verdict(&row));
        row
    };
    let rows = bugs::all(&hunt, &wanted, jobs, Stopwatch::start, |bug, hunted, began: Stopwatch| {
        done(bug, hunted, began.elapsed().as_secs_f64())
    });
    let rows = rows.map_err(failed)?;
    print(&match args.format {
        Format::Text => text(&rows, &scenario.source.name),
        Format::Json => serde_json::to_string_pretty(&rows).expect("rows are JSON") + "\n",
    })?;
    let missed: Vec<&str> = rows.iter().filter(|row| !row.found).map(|row| row.id).collect();
    if missed.is_empty() {
        return Ok(0);
    }
    eprintln!("repeat it with:\n{}", repeat(args, &missed));
    Ok(NOT_FOUND)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The size of the smallest scenario that still finds a bug in the way in which its first seed did; nothing where it was
/// not found, and where nobody looked for it.
fn shrunk(scenario: &Scenario, bug: &'static Bug, hunted: &Hunted, no_shrink: bool) -> Option<Shrunk> {
    let seed = hunted.found.iter().flatten().next().filter(|_| !no_shrink && hunted.is_found())?.seed;
    let found = run_with(scenario, RunOptions::seeded(seed), (bug.plant)()).ok()?;
    let wants = Signature::of(&found.summary)?;
    let clock = Stopwatch::start();
    let time_is_up = || clock.elapsed() >= SHRINK_BUDGET;
    let options = shrink::Options { jobs: 1, other_seeds: 0, time_is_up: &time_is_up, progress: &mut |_| {} };
    let shrunk = shrink::shrink(scenario, seed, &|| (bug.plant)(), &wants, options).ok()?;
    Some(Shrunk {
        devices: shrunk.scenario.devices(),
        faults: shrunk.scenario.faults.len() as u64,
        minutes: shrunk.scenario.phase.hardship.as_secs_f64() / 60.0,
    })
}

fn failed(error: RunError) -> Failure {
    let code = if error.usage { USAGE } else { BUG };
    Failure { message: error.message, code, repeat: None }
}

fn repeat(args: &BugsArgs, missed: &[&str]) -> String {
    let scenario = shell_word(&args.scenario.display().to_string());
    let (only, bases, seeds) = (missed.join(","), args.bases, args.seeds_max);
    format!("cargo sim bugs --only {only} --scenario {scenario} --bases {bases} --seeds-max {seeds}")
}

/// One row.
pub(super) fn row(bug: &Bug, hunted: &Hunted, wall_s: f64, shrunk: Option<Shrunk>) -> Row {
    let first = hunted.found.iter().flatten().next();
    Row {
        id: bug.id,
        planted: bug.planted.as_str(),
        found: hunted.is_found(),
        by: first.map(|found| found.by.clone()).unwrap_or_default(),
        seeds: hunted.median_seeds(),
        seeds_by_base: hunted.found.iter().map(|found| found.as_ref().map(|found| found.seeds)).collect(),
        seed: first.map(|found| found.seed),
        false_alarms: hunted.false_alarms.clone(),
        wall_s,
        shrunk,
    }
}

/// A row in a few words.
fn verdict(row: &Row) -> String {
    if !row.false_alarms.is_empty() {
        let seeds: Vec<String> = row.false_alarms.iter().map(u64::to_string).collect();
        return format!("FALSE ALARM: without the bug too, seed {}", seeds.join(", "));
    }
    if row.found {
        return format!("found by {}", row.by.join(", "));
    }
    let found = row.seeds_by_base.iter().flatten().count();
    format!("NOT FOUND from {} of {} bases", row.seeds_by_base.len() - found, row.seeds_by_base.len())
}

/// The table for people.
pub(super) fn text(rows: &[Row], scenario: &str) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let line = |row: &Row| {
        let by_base: Vec<String> =
            row.seeds_by_base.iter().map(|seeds| seeds.map_or("-".to_owned(), |seeds| seeds.to_string())).collect();
        vec![
            row.id.to_owned(),
            row.planted.to_owned(),
            verdict(row),
            or_dash(row.seeds.map(|seeds| seeds.to_string())),
            by_base.join("/"),
            format!("{:.1}", row.wall_s),
            or_dash(row.shrunk.as_ref().map(|s| s.devices.to_string())),
            or_dash(row.shrunk.as_ref().map(|s| s.faults.to_string())),
            or_dash(row.shrunk.as_ref().map(|s| format!("{:.1}", s.minutes))),
        ]
    };
    let header = ["bug", "planted", "found", "seeds ", "by base", "wall s ", "devices ", "faults ", "minutes "];
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    let found = rows.iter().filter(|row| row.found).count();
    let mut medians: Vec<u64> = rows.iter().filter_map(|row| row.seeds).collect();
    medians.sort_unstable();
    let median = medians.get(medians.len().saturating_sub(1) / 2);
    let median = median.map_or(String::new(), |median| format!(", half of them with at most {median} seeds"));
    format!("{}\n{found} of {} bugs found in {scenario}{median}\n", table(&header, &lines), rows.len())
}

#[derive(Serialize)]
struct Listed {
    id: &'static str,
    planted: &'static str,
    found_by: &'static [&'static str],
    what: &'static str,
}

fn list(format: Format) -> String {
    let listed =
        |bug: &Bug| Listed { id: bug.id, planted: bug.planted.as_str(), found_by: bug.found_by, what: bug.what };
    let listed: Vec<Listed> = BUGS.iter().map(listed).collect();
    match format {
        Format::Json => serde_json::to_string_pretty(&listed).expect("a list is JSON") + "\n",
        Format::Text => {
            let line = |bug: &Listed| {
                vec![bug.id.to_owned(), bug.planted.to_owned(), bug.found_by.join(", "), bug.what.to_owned()]
            };
            table(&["bug", "planted", "found by", "what is wrong"], &listed.iter().map(line).collect::<Vec<_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bugs::Found;

    fn hunted(seeds: &[Option<u64>], false_alarms: &[u64]) -> Hunted {
        let found =
            |seeds: &Option<u64>| seeds.map(|seeds| Found { seed: 100 + seeds, seeds, by: vec!["order".to_owned()] });
        Hunted { found: seeds.iter().map(found).collect(), false_alarms: false_alarms.to_vec() }
    }

    #[test]
    fn a_bug_counts_as_found_only_from_every_base_and_without_a_false_alarm() {
        for (hunted, found, said) in [
            (hunted(&[Some(1), Some(9), Some(4)], &[]), true, "found by order"),
            (hunted(&[Some(1), None, Some(4)], &[]), false, "NOT FOUND from 1 of 3 bases"),
            (hunted(&[None, None], &[]), false, "NOT FOUND from 2 of 2 bases"),
            (hunted(&[Some(1), Some(2)], &[7]), false, "FALSE ALARM: without the bug too, seed 7"),
        ] {
            let row = row(&BUGS[0], &hunted, 1.0, None);
            assert_eq!((row.found, verdict(&row).as_str()), (found, said));
        }
    }

    #[test]
    fn the_table_tells_medians_and_what_was_not_shrunk() {
        let shrunk = Shrunk { devices: 2, faults: 1, minutes: 1.5 };
        let rows = [
            row(&BUGS[0], &hunted(&[Some(1), Some(9), Some(4)], &[]), 2.0, Some(shrunk)),
            row(&BUGS[1], &hunted(&[None, Some(2), None], &[]), 3.0, None),
        ];
        assert_eq!((rows[0].seeds, rows[1].seeds), (Some(4), Some(2)));
        let text = text(&rows, "swarm");
        assert!(text.contains("1/9/4") && text.contains("-/2/-") && text.contains("1.5"), "{text}");
        assert!(text.ends_with("1 of 2 bugs found in swarm, half of them with at most 2 seeds\n"), "{text}");
    }
}
