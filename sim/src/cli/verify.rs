//! `sim verify`: two fresh processes, the same events.

use std::fmt::Write;
use std::path::Path;

use record::{EventReader, EventRow, RecordError, RunReader, Summary};

use super::args::{Events, VerifyArgs, repeat_command};
use super::child::ChildRun;
use super::run::Plan;
use super::show::event_line;
use super::{Failure, NOT_DETERMINISTIC, print};

/// Runs a scenario twice and compares.
pub(super) fn verify(args: &VerifyArgs) -> Result<u8, Failure> {
    let plan = Plan::of(&args.run_args())?;
    let overrides = args.overrides.overrides();
    let folder = tempfile::Builder::new().prefix("sim-verify-").tempdir().map_err(|e| {
        Failure::usage(format_args!("no folder for the event logs: {e}\n  hint: set TMPDIR to a writable folder"))
    })?;
    let folders = [folder.path().join("first"), folder.path().join("second")];
    let mut summaries = Vec::new();
    for (out, name) in folders.iter().zip(["first", "second"]) {
        eprintln!("{name} run of {} with seed {}", args.file.display(), plan.seed);
        let child = ChildRun { file: &args.file, seed: plan.seed, overrides, out: Some((out, Events::Messages)) };
        let summary = child.run()?;
        print(&format!("{name:<7} {}  {}\n", summary.digest, summary.verdict))?;
        summaries.push(summary);
    }
    let difference = compare([&summaries[0], &summaries[1]], [&folders[0], &folders[1]])?;
    let Some(difference) = difference else {
        print(&format!("deterministic: {} runs of the same value are equal\n", summaries.len()))?;
        return Ok(0);
    };
    print(&difference)?;
    eprintln!("both run folders are kept in {}", folder.keep().display());
    eprintln!("repeat it with:\n{}", repeat_command("verify", &args.file, plan.seed, &overrides));
    Ok(NOT_DETERMINISTIC)
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
