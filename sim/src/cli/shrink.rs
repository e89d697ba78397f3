//! `sim shrink`: the smallest scenario that still fails in the same way.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::args::ShrinkArgs;
use super::origin::Origin;
use super::wall::Stopwatch;
use super::{BUG, Failure, print};
use crate::run::{RunOptions, run_with};
use crate::scenario::duration;
use crate::shrink::{self, Options, Progress, ShrinkError, Shrunk, Signature};

/// Other seeds that a bold candidate is tried with.
const OTHER_SEEDS: u64 = 2;

/// Shrinks a run that failed, and prints or writes the scenario.
pub(super) fn shrink(args: &ShrinkArgs) -> Result<u8, Failure> {
    let origin = Origin::of(&args.run, args.seed)?;
    // The flags are checked before minutes pass.
    if let Some(out) = &args.out {
        check_target(out)?;
    }
    let harness = origin.harness()?;
    let repeat = origin.command("shrink");
    let clock = Stopwatch::start();
    let wants = wanted(&origin, &repeat)?;
    let mut drawn = String::new();
    let mut draw = |progress: &Progress| {
        let line = format!("{} runs; {}; trying fewer: {}", progress.runs, progress.size, progress.pass);
        if !args.quiet && line != drawn {
            eprintln!("{line}");
            drawn = line;
        }
    };
    let jobs = args.jobs.map_or_else(processors, |jobs| jobs as usize);
    let time_is_up = || clock.elapsed() >= args.budget;
    let options = Options { jobs, other_seeds: OTHER_SEEDS, time_is_up: &time_is_up, progress: &mut draw };
    let shrunk = shrink::shrink(&origin.scenario, origin.seed, &|| harness.clone(), &wants, options);
    let shrunk = shrunk.map_err(|error| refused(&error, &repeat))?;
    let file = args.out.clone().unwrap_or_else(|| beside(&origin));
    let flags = origin.settings.get("bug").map_or_else(String::new, |bug| format!(" --bug {bug}"));
    let text = shrunk.regression(&origin.in_words(), &file, &flags)?;
    match &args.out {
        Some(out) => write_new(out, &text)?,
        None => print(&text)?,
    }
    eprintln!("{}", told(&shrunk, &wants, clock.elapsed(), args));
    Ok(0)
}

/// In which way the run failed: as its folder says, or as a first run shows.
fn wanted(origin: &Origin, repeat: &str) -> Result<Signature, Failure> {
    let summary = match &origin.known {
        Some(summary) => summary.clone(),
        None => {
            let outcome = run_with(&origin.scenario, RunOptions::seeded(origin.seed), origin.harness()?);
            outcome.map_err(|error| refused(&ShrinkError::Run(error), repeat))?.summary
        }
    };
    Signature::of(&summary).ok_or_else(|| {
        Failure::usage(format_args!(
            "{} held: there is no failure to shrink\n  expected: a run that is violated or unsettled\n  \
             hint: give the seed of a failing run with --seed",
            origin.in_words()
        ))
    })
}

/// What was done, in a few lines.
fn told(shrunk: &Shrunk, wants: &Signature, wall: std::time::Duration, args: &ShrinkArgs) -> String {
    let mut text = format!(
        "from {} to {} in {} runs and {:.1} s; still {wants}",
        shrunk.before,
        shrunk.after,
        shrunk.runs,
        wall.as_secs_f64()
    );
    if !shrunk.complete {
        let budget = duration::format(args.budget);
        text.push_str(&format!(
            "\nnote: the budget of {budget} was used up before everything was tried; a larger --budget may find less"
        ));
    }
    if let Some(out) = &args.out {
        text.push_str(&format!("\nwritten to {}", out.display()));
    }
    text
}

fn refused(error: &ShrinkError, repeat: &str) -> Failure {
    let (code, repeat) = match error {
        ShrinkError::Run(error) if !error.usage => (BUG, Some(repeat.to_owned())),
        _ => (super::USAGE, None),
    };
    Failure { message: error.to_string(), code, repeat }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Where the scenario would lie: beside the one that it was shrunk from.
fn beside(origin: &Origin) -> PathBuf {
    let source = &origin.scenario.source;
    Path::new(&source.path).with_file_name(format!("{}-shrunk.toml", source.name))
}

fn check_target(out: &Path) -> Result<(), Failure> {
    let problem = match fs::symlink_metadata(out) {
        Ok(_) => "exists",
        Err(_) if out.extension().is_none_or(|extension| extension != "toml") => "is no name of a scenario file",
        Err(_) => return Ok(()),
    };
    Err(Failure::usage(format_args!(
        "{} {problem}\n  expected: a new name that ends with `.toml`\n  hint: regressions are kept in scenarios/regressions/",
        out.display()
    )))
}

/// Writes a file that does not exist yet. Missing folders are made.
fn write_new(out: &Path, text: &str) -> Result<(), Failure> {
    let written = || {
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        fs::File::create_new(out)?.write_all(text.as_bytes())
    };
    written().map_err(|error| {
        Failure::usage(format_args!(
            "{} cannot be written: {error}\n  expected: a new file in a folder that can be written\n  \
             hint: give another file with --out\n{text}",
            out.display()
        ))
    })
}
