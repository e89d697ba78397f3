//! `sim marks`: which marks and kinds of faults scenarios reach.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread;

use record::thousands;

use super::args::{Format, MarksArgs};
use super::sweep::Sweep;
use super::tallied::{Report, reason};
use super::text::table;
use super::{Failure, list, print};
use crate::scenario::{Overrides, Scenario};
use crate::sweep::coverage::{Coverage, EXCEPTIONS, Reach};
use crate::sweep::{Row, Tally, in_parallel};

/// Most readings of a scenario that is not named itself.
const READINGS_MAX: u64 = 100_000;
/// Seeds of a swarm for each seed of another scenario.
const SWARM_SEEDS: usize = 100;
/// Exit code when something is never reached: that of a violated promise.
const NEVER_REACHED: u8 = 1;

/// Runs the scenarios, smaller ones first, and prints two tables.
pub(super) fn marks(args: &MarksArgs) -> Result<u8, Failure> {
    let mut tallies = Vec::new();
    let mut worst = 0;
    for (file, scenario) in scenarios(args)? {
        let seeds = seeds(&scenario, args.seeds);
        if !args.quiet {
            eprintln!("{}: {} seeds", file.display(), seeds.len());
        }
        let sweep = Sweep { scenario: &scenario, overrides: &Overrides::default(), out: None };
        let jobs = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let take = |rows: std::sync::mpsc::Receiver<_>| rows.iter().collect::<Result<Vec<Row>, _>>();
        let rows = in_parallel(&seeds, jobs, &AtomicBool::new(false), |seed| sweep.run(seed), take)?;
        let report = Report {
            scenario: scenario.source.name.clone(),
            file: file.display().to_string(),
            flags: Vec::new(),
            expected: scenario.expect.verdict,
            left: 0,
            speed: None,
            tally: Tally::of(&rows, scenario.expect.verdict),
        };
        for failure in &report.tally.failures {
            let said = format!("{} with seed {} {}", report.scenario, failure.seed, failure.end.as_str());
            eprintln!("error: {said}: {}\nrepeat it with:\n{}", reason(failure), report.repeat(failure));
        }
        worst = worst.max(report.exit_code());
        tallies.push((report.scenario, report.tally));
    }
    let coverage = Coverage::of(&tallies);
    print(&match args.format {
        Format::Text => text(&coverage),
        Format::Json => serde_json::to_string_pretty(&coverage).expect("a table is JSON") + "\n",
    })?;
    let missing = [coverage.never(EXCEPTIONS), coverage.stale(EXCEPTIONS)].concat();
    missing.iter().for_each(|what| eprintln!("error: {what}"));
    Ok(if worst == 0 && !missing.is_empty() { NEVER_REACHED } else { worst })
}

/// The scenarios that are named, and those of the folders that are, by their size.
fn scenarios(args: &MarksArgs) -> Result<Vec<(PathBuf, Scenario)>, Failure> {
    let mut found = Vec::new();
    for path in &args.paths {
        if !path.is_dir() {
            found.push((path.clone(), Scenario::load(path)?));
            continue;
        }
        for file in list::files(path)? {
            let scenario = Scenario::load(&file)?;
            if scenario.readings_max() <= READINGS_MAX {
                found.push((file, scenario));
            } else if !args.quiet {
                eprintln!(
                    "note: {} has {} readings: name it to run it",
                    file.display(),
                    thousands(scenario.readings_max())
                );
            }
        }
    }
    found.sort_by_key(|(_, scenario)| scenario.readings_max());
    Ok(found)
}

/// A scenario's own seeds, and those after its last.
fn seeds(scenario: &Scenario, count: NonZeroUsize) -> Vec<u64> {
    if scenario.swarm.is_some() {
        return (0..(count.get() * SWARM_SEEDS) as u64).collect();
    }
    let last = scenario.seeds.iter().max().copied().unwrap_or_default();
    let more = (1..).map_while(|n| last.checked_add(n));
    scenario.seeds.iter().copied().chain(more).take(count.get()).collect()
}

fn text(coverage: &Coverage) -> String {
    let header = |what: &'static str| -> Vec<String> {
        let names = coverage.scenarios.iter().map(|name| format!("{name} "));
        [what.to_owned()].into_iter().chain(names).chain(["all ".to_owned()]).collect()
    };
    let rows = |reaches: &[Reach]| -> Vec<Vec<String>> {
        let cell = |times: u64| if times == 0 { "-".to_owned() } else { thousands(times) };
        let row = |reach: &Reach| {
            let all = reach.times.iter().sum();
            let times = reach.times.iter().copied().chain([all]).map(cell);
            [reach.id.to_owned()].into_iter().chain(times).collect()
        };
        reaches.iter().map(row).collect()
    };
    let shown = |what: &'static str, reaches: &[Reach]| {
        let header = header(what);
        table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows(reaches))
    };
    let exceptions: String =
        EXCEPTIONS.iter().map(|(id, reason)| format!("`{id}` need not be reached: {reason}\n")).collect();
    format!("{}\n{}{exceptions}", shown("mark", &coverage.marks), shown("fault", &coverage.faults))
}
