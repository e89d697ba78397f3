//! `sim replay`: a run again, or its events at an instant.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use record::{Digest, EventRow, Summary};

use super::args::{Events, Format, Instant, ReplayArgs};
use super::origin::Origin;
use super::progress::Progress;
use super::run::{exit_code, rendered};
use super::show::event_line;
use super::wall::{Stopwatch, peak_memory_bytes};
use super::{BUG, Failure, NOT_DETERMINISTIC, print};
use crate::run::{self, RunError, RunOptions};
use crate::world::time::Time;
use crate::world::trace::{Event, EventSink};

/// Which events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// The last ones up to an instant.
    Until(Time),
    /// Those from a number on.
    From(u64),
}

/// Keeps the events of a section: as many as are printed, however long the run is.
struct Window {
    section: Section,
    count: usize,
    kept: Arc<Mutex<VecDeque<EventRow>>>,
}

impl EventSink for Window {
    fn push(&mut self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match self.section {
            Section::Until(end) if event.time <= end => {
                if kept.len() == self.count {
                    kept.pop_front();
                }
                kept.push_back(run::event_row(event));
            }
            Section::From(first) if event.seq >= first && kept.len() < self.count => {
                kept.push_back(run::event_row(event));
            }
            _ => {}
        }
    }
}

/// Repeats a run. Without a section its summary is printed, otherwise the events of the section.
pub(super) fn replay(args: &ReplayArgs) -> Result<u8, Failure> {
    let origin = Origin::of(&args.run, args.seed)?;
    let section = section(args, &origin)?;
    let repeat = origin.command("replay");
    let clock = Stopwatch::start();
    let progress = Progress::start(clock);
    let kept: Arc<Mutex<VecDeque<EventRow>>> = Arc::default();
    let watch = section.map(|section| {
        let window = Window { section, count: args.count as usize, kept: kept.clone() };
        let sink: Box<dyn EventSink> = Box::new(window);
        (args.events.unwrap_or(Events::Calls).level(), sink)
    });
    let options = RunOptions { watch, progress: Some(progress.callback()), ..RunOptions::seeded(origin.seed) };
    let outcome = run::run_with(&origin.scenario, options, origin.harness()?);
    drop(progress);
    let mut summary = outcome.map_err(|error| failed(error, &repeat))?.summary;
    summary.set_wall_clock(clock.elapsed().as_secs_f64(), peak_memory_bytes());
    match section {
        None => print(&rendered(&summary, &origin.scenario, Format::Text))?,
        Some(section) => {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.is_empty() {
                return Err(nothing_there(section, args, &summary));
            }
            let lines: String = kept.iter().map(|row| event_line(row) + "\n").collect();
            print(&lines)?;
        }
    }
    if let Some(difference) = difference(&origin, summary.digest) {
        eprintln!("{difference}\nrepeat it with:\n{repeat}");
        return Ok(NOT_DETERMINISTIC);
    }
    if section.is_some() {
        return Ok(0);
    }
    let code = exit_code(summary.verdict, origin.scenario.expect.verdict);
    if code != 0 {
        eprintln!("repeat it with:\n{repeat}");
    }
    Ok(code)
}

/// The events that the flags ask for.
fn section(args: &ReplayArgs, origin: &Origin) -> Result<Option<Section>, Failure> {
    let start = origin.scenario.start;
    let section = match (args.until, args.from_event) {
        (Some(Instant::After(after)), _) => Some(Section::Until(start + after)),
        (Some(Instant::At(instant)), _) => Some(Section::Until(instant)),
        (None, Some(first)) => Some(Section::From(first)),
        (None, None) => None,
    };
    match (section, args.events) {
        (Some(Section::Until(end)), _) if end < start => Err(Failure::usage(format_args!(
            "--until is {}, before the run begins\n  expected: an instant from {} on\n  \
             hint: a duration such as `2min` counts from the start",
            end.rfc3339(),
            start.rfc3339()
        ))),
        (None, Some(_)) => Err(Failure::usage(
            "--events says which events are printed, and none are\n  expected: --until or --from-event beside it\n  \
             hint: `cargo sim run FILE --out DIR --events messages` keeps all of them",
        )),
        (section, _) => Ok(section),
    }
}

fn nothing_there(section: Section, args: &ReplayArgs, summary: &Summary) -> Failure {
    let asked = match section {
        Section::Until(end) => format!("--until {}", end.rfc3339()),
        Section::From(first) => format!("--from-event {first}"),
    };
    let level = args.events.unwrap_or(Events::Calls).as_str();
    Failure::usage(format_args!(
        "the run has no event of the level `{level}` for {asked}; it lasted {:.1} s\n  \
         expected: an instant or a number within the run\n  hint: `--events messages` prints events of every level",
        summary.simulated_s
    ))
}

/// How this run differs from that of the folder.
pub(super) fn difference(origin: &Origin, now: Digest) -> Option<String> {
    let known = origin.known.as_ref()?;
    if known.digest == now {
        return None;
    }
    let version = origin.version.as_deref().unwrap_or("?");
    Some(format!(
        "error: this is ANOTHER RUN than the folder's: its digest is {}, and that of the folder is {}\n  \
         the folder was written by version {version}, this is version {}: another build, or a run that is not \
         deterministic\n  hint: `cargo sim verify` tells whether this build is deterministic; read the folder with the \
         build that wrote it",
        now,
        known.digest,
        env!("CARGO_PKG_VERSION")
    ))
}

/// The failure of a run that could not be carried out.
pub(super) fn failed(error: RunError, repeat: &str) -> Failure {
    let code = if error.usage { super::USAGE } else { BUG };
    Failure { message: error.message, code, repeat: (!error.usage).then(|| repeat.to_owned()) }
}
