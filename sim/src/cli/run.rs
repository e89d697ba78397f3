//! `sim run`: one run of a scenario, in this process.

use std::collections::BTreeMap;

use record::{RunFolder, Summary, Verdict};

use super::args::{Events, Format, RunArgs, repeat_command};
use super::progress::Progress;
use super::wall::{Stopwatch, peak_memory_bytes};
use super::{BUG, CANARY_HELD, Failure, USAGE, print, text, verdict_code};
use crate::bugs::{self, Bug};
use crate::run::{self, Harness, RunError, RunOptions};
use crate::scenario::Scenario;
use crate::swarm;

/// What the arguments come to, before anything runs.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// The scenario with the flags applied.
    pub(super) scenario: Scenario,
    /// Seed of the run.
    pub(super) seed: u64,
    /// Flags that changed the scenario or choose what is kept, for the manifest.
    pub(super) settings: BTreeMap<String, String>,
    /// The bug that is planted in it.
    pub(super) bug: Option<&'static Bug>,
    /// The command that repeats the run.
    pub(super) repeat: String,
}

impl Plan {
    /// Reads the scenario and applies the flags.
    pub(super) fn of(args: &RunArgs) -> Result<Self, Failure> {
        let overrides = args.overrides.overrides();
        let scenario = Scenario::load(&args.file)?;
        let seed = args.seed.unwrap_or(scenario.seeds[0]);
        let scenario = swarm::concrete(&scenario, seed)?.with_overrides(&overrides)?;
        let mut settings = overrides.settings();
        if let Some(events) = args.events {
            settings.insert("events".to_owned(), events.as_str().to_owned());
        }
        let mut repeat = repeat_command("run", &args.file, seed, &overrides);
        if let Some(bug) = args.bug {
            settings.insert(bugs::SETTING.to_owned(), bug.id.to_owned());
            repeat.push_str(&format!(" --bug {}", bug.id));
        }
        Ok(Plan { scenario, seed, settings, bug: args.bug, repeat })
    }
}

/// Runs a scenario, prints its summary and writes its folder. The exit code is that of [`exit_code`].
pub(super) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let plan = Plan::of(args)?;
    let folder = args.out.as_deref().map(RunFolder::create).transpose()?;
    if !args.quiet {
        plan.scenario.notes().iter().for_each(|note| eprintln!("note: {note}"));
        if plan.scenario.origin.is_some() {
            eprintln!("note: drawn: {}", swarm::describe(&plan.scenario));
        }
    }
    let _banner = RepeatOnPanic(&plan.repeat);
    let clock = Stopwatch::start();
    let progress = (!args.quiet).then(|| Progress::start(clock));
    let options = RunOptions {
        record: folder.as_ref().map(|f| (f.recorder(), args.events.unwrap_or(Events::Calls).level())),
        progress: progress.as_ref().map(Progress::callback),
        settings: plan.settings.clone(),
        ..RunOptions::seeded(plan.seed)
    };
    let harness = plan.bug.map_or_else(Harness::default, |bug| (bug.plant)());
    let outcome = run::run_with(&plan.scenario, options, harness);
    drop(progress);
    let mut outcome = outcome.map_err(|e| failed(e, &plan.repeat))?;
    outcome.summary.set_wall_clock(clock.elapsed().as_secs_f64(), peak_memory_bytes());
    // The summary is printed first: a disk that is full at the end must not take it along.
    let mut text = rendered(&outcome.summary, &plan.scenario, args.format);
    if let (Some(bug), Format::Text) = (plan.bug, args.format) {
        text.push_str(&format!("planted bug   {}: {}\n", bug.id, bug.what));
    }
    let printed = print(&text);
    let finished = folder.map(|folder| folder.finish(&outcome.manifest, &outcome.summary)).transpose();
    printed?;
    finished?;
    let (verdict, expected) = (outcome.summary.verdict, plan.scenario.expect.verdict);
    let code = exit_code(verdict, expected);
    if verdict != expected && expected != Verdict::Held {
        let kind = if verdict == Verdict::Held { "error" } else { "note" };
        eprintln!("{kind}: the scenario expects {expected}, but the run {}", verb(verdict));
    }
    if code != 0 {
        eprintln!("repeat it with:\n{}", plan.repeat);
    }
    Ok(code)
}

/// The summary as it is printed.
pub(super) fn rendered(summary: &Summary, scenario: &Scenario, format: Format) -> String {
    match format {
        Format::Text => text::summary(summary, &scenario.title, Some(scenario.expect.verdict)),
        Format::Json => serde_json::to_string_pretty(summary).expect("a summary is JSON") + "\n",
    }
}

/// The exit code of a run: that of its verdict, except that a canary which holds has failed.
pub(super) fn exit_code(verdict: Verdict, expected: Verdict) -> u8 {
    match (verdict, expected) {
        (Verdict::Held, Verdict::Violated | Verdict::Unsettled) => CANARY_HELD,
        _ => verdict_code(verdict),
    }
}

fn verb(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated an invariant",
        Verdict::Unsettled => "did not settle",
        Verdict::NotDeterministic => "is not deterministic",
    }
}

fn failed(error: RunError, repeat: &str) -> Failure {
    let code = if error.usage { USAGE } else { BUG };
    Failure { message: error.message, code, repeat: (!error.usage).then(|| repeat.to_owned()) }
}

/// Ends a panic of the simulator with the command that repeats it.
struct RepeatOnPanic<'a>(&'a str);

impl Drop for RepeatOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this is a bug of the simulator; repeat it with:\n{}", self.0);
        }
    }
}
