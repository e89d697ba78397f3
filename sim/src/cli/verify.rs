//! `sim verify`: two fresh processes, the same events.

use std::fmt::Write;
use std::path::Path;

use record::{EventReader, EventRow, RecordError, RunReader, Summary};

use super::args::{Events, VerifyArgs, repeat_command};
use super::child::ChildRun;
use super::run::Plan;
use super::show::event_line;
use super::{Failure, NOT_DETERMINISTIC, print};

/// Runs a scenario twice and compares. The first run keeps all its events and the second none: keeping them changes
/// nothing. Runs that differ are followed by a third, which tells by its events where they part.
pub(super) fn verify(args: &VerifyArgs) -> Result<u8, Failure> {
    let plan = Plan::of(&args.run_args())?;
    let overrides = args.overrides.overrides();
    let folder = tempfile::Builder::new().prefix("sim-verify-").tempdir().map_err(|e| {
        Failure::usage(format_args!("no folder for the event logs: {e}\n  hint: set TMPDIR to a writable folder"))
    })?;
    let folders = [folder.path().join("first"), folder.path().join("third")];
    let run = |name: &str, out: Option<&Path>| {
        eprintln!("{name} run of {} with seed {}", args.file.display(), plan.seed);
        let out = out.map(|out| (out, Events::Messages));
        let summary = ChildRun { file: &args.file, seed: plan.seed, overrides, out }.run()?;
        print(&format!("{name:<7} {}  {}\n", summary.digest, summary.verdict))?;
        Ok::<_, Failure>(summary)
    };
    let (first, second) = (run("first", Some(&folders[0]))?, run("second", None)?);
    if first.without_wall_clock() == second.without_wall_clock() {
        print("deterministic: 2 runs of the same value are equal\n")?;
        return Ok(0);
    }
    let third = run("third", Some(&folders[1]))?;
    let difference = compare([&first, &third], [&folders[0], &folders[1]])?;
    print(&difference.unwrap_or_else(|| of_keeping(&first, &second)))?;
    eprintln!("both run folders are kept in {}", folder.keep().display());
    eprintln!("repeat it with:\n{}", repeat_command("verify", &args.file, plan.seed, &overrides));
    Ok(NOT_DETERMINISTIC)
}

/// What is told when runs that keep their events are equal, and one that keeps none is another.
pub(super) fn of_keeping(kept: &Summary, unkept: &Summary) -> String {
    format!(
        "not deterministic: keeping events changes the run; runs that keep them are equal, and one that keeps none differs\n{}",
        keys(&kept.without_wall_clock(), &unkept.without_wall_clock())
    )
}

/// What differs between two runs; nothing when they are equal.
pub(super) fn compare(summaries: [&Summary; 2], folders: [&Path; 2]) -> Result<Option<String>, RecordError> {
    let [a, b] = summaries;
    if a.digest == b.digest {
        let (a, b) = (a.without_wall_clock(), b.without_wall_clock());
        return Ok((a != b)
            .then(|| format!("not deterministic: the events are equal, the summaries differ\n{}", keys(&a, &b))));
    }
    let mut logs = [RunReader::open(folders[0])?.events()?, RunReader::open(folders[1])?.events()?];
    Ok(Some(match first_difference(&mut logs)? {
        None => "not deterministic: the digests differ, and all kept events are equal\n".to_owned(),
        Some(pair) => {
            let mut text = "not deterministic: the first event that differs\n".to_owned();
            for (name, row) in ["first", "second"].iter().zip(pair) {
                let row = row.map_or("the log ends".to_owned(), |row| event_line(&row));
                let _ = writeln!(text, "{name:<7} {row}");
            }
            text
        }
    }))
}

/// Steps through both logs until their events differ. A log that ends early has nothing there.
fn first_difference(logs: &mut [EventReader; 2]) -> Result<Option<[Option<EventRow>; 2]>, RecordError> {
    let [first, second] = logs;
    loop {
        let pair = [first.next().transpose()?, second.next().transpose()?];
        match &pair {
            [None, None] => return Ok(None),
            [Some(a), Some(b)] if a.digest == b.digest && a.seq == b.seq => {}
            _ => return Ok(Some(pair)),
        }
    }
}

fn keys(a: &Summary, b: &Summary) -> String {
    let json = |s: &Summary| serde_json::to_value(s).expect("a summary is JSON");
    let (a, b) = (json(a), json(b));
    let mut text = String::new();
    for (key, value) in a.as_object().expect("a summary is an object") {
        let other = b.get(key).unwrap_or(&serde_json::Value::Null);
        if value != other {
            let _ = writeln!(text, "{key}: {value} and {other}");
        }
    }
    text
}
