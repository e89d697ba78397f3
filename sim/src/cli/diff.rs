//! `sim diff`: what two runs have in common, and what not.

use std::fmt::Write as _;

use record::{EventReader, EventRow, Manifest, RecordError, RunReader};
use serde::Serialize;
use serde_json::Value;

use super::args::{DiffArgs, Format};
use super::show::event_line;
use super::{Failure, NOT_DETERMINISTIC, print};

/// Longer texts are only said to differ.
const LINES_MAX: usize = 2_000;

/// What differs between two runs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Folder of the first run.
    first: String,
    /// Folder of the second run.
    second: String,
    /// Whether nothing differs but wall time and memory.
    equal: bool,
    /// Whether both are runs of the same scenario, seed, flags and build.
    same_value: bool,
    /// What decides the runs and differs: key, first, second.
    manifest: Vec<Figure>,
    /// Lines of the scenario's text: with `-` those of the first run only, with `+` those of the second only.
    scenario: Vec<String>,
    /// Where the events part, when they do.
    events: Option<Parting>,
    /// Figures of the summaries that differ.
    summary: Vec<Figure>,
}

/// One value that differs.
#[derive(Debug, PartialEq, Serialize)]
struct Figure {
    key: String,
    first: Value,
    second: Value,
}

/// Where two logs of events part.
#[derive(Debug, PartialEq, Serialize)]
struct Parting {
    /// Number of the first event that differs, of both runs; absent where a log has ended.
    number: [Option<u64>; 2],
    /// The last events that both have in common.
    before: Vec<String>,
    /// From the first that differs on, in the first run.
    first: Vec<String>,
    /// The same in the second run.
    second: Vec<String>,
}

/// Compares two run folders.
pub(super) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let runs = [RunReader::open(&args.first)?, RunReader::open(&args.second)?];
    let difference = compare(&runs, args.context as usize)?;
    print(&match args.format {
        Format::Text => text(&difference),
        Format::Json => serde_json::to_string_pretty(&difference).expect("a difference is JSON") + "\n",
    })?;
    if difference.same_value && !difference.equal {
        eprintln!("error: two runs of the same scenario, seed and build differ: the simulator is not deterministic");
        return Ok(NOT_DETERMINISTIC);
    }
    Ok(0)
}

/// What differs between two runs.
fn compare(runs: &[RunReader; 2], context: usize) -> Result<Difference, RecordError> {
    let [a, b] = runs;
    let manifest = figures(&decisive(a.manifest()), &decisive(b.manifest()));
    let scenario = lines(&a.manifest().scenario.text, &b.manifest().scenario.text);
    let json = |run: &RunReader| serde_json::to_value(run.summary().without_wall_clock()).expect("a summary is JSON");
    let summary = figures(&json(a), &json(b));
    let events = if a.summary().digest == b.summary().digest { None } else { parting(runs, context)? };
    let same_value = manifest.is_empty() && scenario.is_empty();
    let equal = same_value && summary.is_empty() && events.is_none();
    let name = |run: &RunReader| run.dir().display().to_string();
    Ok(Difference { first: name(a), second: name(b), equal, same_value, manifest, scenario, events, summary })
}

/// What of a manifest decides a run, without the text of the scenario and its place.
fn decisive(manifest: &Manifest) -> Value {
    let mut settings = manifest.settings.clone();
    settings.remove("events");
    serde_json::json!({
        "seed": manifest.seed,
        "start": manifest.start,
        "build": manifest.build,
        "flags": settings,
    })
}

/// Values that differ, by their path.
fn figures(a: &Value, b: &Value) -> Vec<Figure> {
    let mut found = Vec::new();
    collect("", a, b, &mut found);
    found
}

fn collect(path: &str, a: &Value, b: &Value, found: &mut Vec<Figure>) {
    if a == b {
        return;
    }
    let (Value::Object(first), Value::Object(second)) = (a, b) else {
        return found.push(Figure { key: path.to_owned(), first: a.clone(), second: b.clone() });
    };
    let only_second = second.keys().filter(|key| !first.contains_key(*key));
    for key in first.keys().chain(only_second) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect(&path, first.get(key).unwrap_or(&Value::Null), second.get(key).unwrap_or(&Value::Null), found);
    }
}

/// Lines that only one of two texts has, in their order, by the longest common subsequence.
fn lines(a: &str, b: &str) -> Vec<String> {
    if a == b {
        return Vec::new();
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    if a.len().max(b.len()) > LINES_MAX {
        return vec![format!("the texts differ; they have {} and {} lines", a.len(), b.len())];
    }
    let mut common = vec![vec![0_u16; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let apart = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { apart };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            found.push(format!("- {}", a[i]));
            i += 1;
        } else {
            found.push(format!("+ {}", b[j]));
            j += 1;
        }
    }
    if found.is_empty() {
        found.push("the texts differ in the ends of their lines".to_owned());
    }
    found
}

/// Where the kept events part. Each event has the rolling digest of all before it: once two logs differ they differ for
/// good, and the first difference is found by halving. Logs of different levels are walked through instead.
fn parting(runs: &[RunReader; 2], context: usize) -> Result<Option<Parting>, RecordError> {
    let [a, b] = runs;
    let level = |run: &RunReader| run.manifest().settings.get("events").cloned();
    let at = if level(a) == level(b) { halved(runs)? } else { walked([a.events()?, b.events()?])? };
    let Some(at) = at else { return Ok(None) };
    let common = at[0].saturating_sub(context);
    let rows = |run: &RunReader, from: usize, count: usize| -> Result<Vec<EventRow>, RecordError> {
        run.events_at(from)?.take(count).collect()
    };
    let before = rows(a, common, at[0] - common)?;
    let [first, second] = [rows(a, at[0], context + 1)?, rows(b, at[1], context + 1)?];
    let number = [&first, &second].map(|rows| rows.first().map(|row| row.seq));
    let told = |rows: &[EventRow]| rows.iter().map(event_line).collect();
    Ok(Some(Parting { number, before: told(&before), first: told(&first), second: told(&second) }))
}

/// The position of the first row that differs, in logs of the same level.
fn halved([a, b]: &[RunReader; 2]) -> Result<Option<[usize; 2]>, RecordError> {
    let shared = a.events()?.total().min(b.events()?.total());
    let row = |run: &RunReader, at: usize| -> Result<Option<(u64, u64)>, RecordError> {
        Ok(run.events_at(at)?.next().transpose()?.map(|row| (row.seq, row.digest)))
    };
    let (mut low, mut high) = (0, shared);
    while low < high {
        let middle = low + (high - low) / 2;
        if row(a, middle)? == row(b, middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let ended = low == a.events()?.total() && low == b.events()?.total();
    Ok((!ended).then_some([low, low]))
}

/// The positions of the first event that both logs keep and that differs.
fn walked(logs: [EventReader; 2]) -> Result<Option<[usize; 2]>, RecordError> {
    let [mut a, mut b] = logs.map(|log| log.enumerate());
    let next = |log: &mut std::iter::Enumerate<EventReader>| -> Result<_, RecordError> {
        log.next().map(|(at, row)| Ok((at, row?))).transpose()
    };
    let (mut first, mut second) = (next(&mut a)?, next(&mut b)?);
    while let (Some((i, x)), Some((j, y))) = (&first, &second) {
        match x.seq.cmp(&y.seq) {
            std::cmp::Ordering::Less => first = next(&mut a)?,
            std::cmp::Ordering::Greater => second = next(&mut b)?,
            std::cmp::Ordering::Equal if x.digest == y.digest => (first, second) = (next(&mut a)?, next(&mut b)?),
            std::cmp::Ordering::Equal => return Ok(Some([*i, *j])),
        }
    }
    Ok(None)
}

/// The comparison for people.
fn text(difference: &Difference) -> String {
    let Difference { first, second, equal, manifest, scenario, events, summary, .. } = difference;
    let mut text = format!("first   {first}\nsecond  {second}\n");
    if *equal {
        text.push_str("\nequal: the same value, the same events, the same figures (wall time and memory apart)\n");
        return text;
    }
    let mut section = |title: &str, lines: &mut dyn Iterator<Item = String>| {
        let mut lines = lines.peekable();
        if lines.peek().is_some() {
            let _ = writeln!(text, "\n{title}");
            lines.for_each(|line| writeln!(text, "  {line}").expect("a string takes everything"));
        }
    };
    let figure = |figure: &Figure| format!("{}: {} and {}", figure.key, figure.first, figure.second);
    section("what decides the runs", &mut manifest.iter().map(figure));
    section("the scenario", &mut scenario.iter().cloned());
    match events {
        None if summary.iter().any(|figure| figure.key == "digest") => {
            let why =
                "all events that both keep are equal; those that differ are of a finer level: `--events messages`";
            section("the events", &mut std::iter::once(why.to_owned()));
        }
        None => section("the events", &mut std::iter::once("are equal".to_owned())),
        Some(parting) => {
            section("the last events in common", &mut parting.before.iter().cloned());
            for (name, lines) in [("first", &parting.first), ("second", &parting.second)] {
                let ended = lines.is_empty().then(|| "the log ends".to_owned());
                section(&format!("from where they part, in the {name} run"), &mut lines.iter().cloned().chain(ended));
            }
        }
    }
    section("figures", &mut summary.iter().map(figure));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_text_only_are_told_in_their_order() {
        assert!(lines("a\nb\n", "a\nb\n").is_empty());
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), ["- b", "+ x", "+ d"]);
        assert_eq!(lines("a\n", "a"), ["the texts differ in the ends of their lines"]);
        assert_eq!(lines(&"a\n".repeat(LINES_MAX + 1), "b").len(), 1);
    }

    #[test]
    fn figures_are_named_by_their_path() {
        let a = serde_json::json!({ "x": 1, "calls": { "k": { "ok": 1, "error": 0 } } });
        let b = serde_json::json!({ "x": 1, "calls": { "k": { "ok": 2, "error": 0 }, "s": 1 } });
        let found = figures(&a, &b);
        let told: Vec<String> = found.iter().map(|f| format!("{} {} {}", f.key, f.first, f.second)).collect();
        assert_eq!(told, ["calls.k.ok 1 2", "calls.s null 1"]);
        assert!(figures(&a, &a).is_empty());
    }
}
