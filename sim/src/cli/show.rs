//! `sim show`: what a run folder holds.

use std::io::{BufWriter, ErrorKind, Write};

use record::{EventRow, Manifest, MetricRow, RunReader, Verdict};

use super::args::ShowArgs;
use super::{Failure, print, text, written};
use crate::scenario::Scenario;
use crate::world::time::Time;

/// Prints manifest and summary, or events, or metrics.
pub(super) fn show(args: &ShowArgs) -> Result<u8, Failure> {
    let run = RunReader::open(&args.run)?;
    if args.events {
        stream(&mut run.events()?.map(|row| row.map(|row| event_line(&row))))?;
    } else if args.metrics {
        let header = ["time", "service", "name", "value", "unit"].join("\t");
        let rows = run.metrics()?.map(|row| row.map(|row| metric_line(&row)));
        stream(&mut std::iter::once(Ok(header)).chain(rows))?;
    } else {
        let manifest = run.manifest();
        let (title, expected) = known(manifest);
        print(&manifest_text(manifest))?;
        print("\n")?;
        print(&text::summary(run.summary(), &title, expected))?;
    }
    Ok(0)
}

/// Title and expected verdict, from the scenario that the manifest holds.
fn known(manifest: &Manifest) -> (String, Option<Verdict>) {
    let path = std::path::Path::new(&manifest.scenario.path);
    Scenario::parse(&manifest.scenario.text, path).map_or((String::new(), None), |s| (s.title, Some(s.expect.verdict)))
}

/// The manifest for people, without the text of the scenario.
pub(super) fn manifest_text(manifest: &Manifest) -> String {
    let settings: Vec<String> = manifest.settings.iter().map(|(name, value)| format!("--{name} {value}")).collect();
    let rows = [
        ("file", manifest.scenario.path.clone()),
        ("start", manifest.start.clone()),
        ("flags", if settings.is_empty() { "-".to_owned() } else { settings.join(" ") }),
        (
            "build",
            format!("{} for {} ({})", manifest.build.version, manifest.build.target, manifest.build.cfg.join(", ")),
        ),
    ];
    rows.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect()
}

/// One event in one line.
pub(super) fn event_line(row: &EventRow) -> String {
    let level = ["run", "call", "message"].get(usize::from(row.level)).copied().unwrap_or("?");
    format!(
        "{} {} {level} {} {} {} {} digest {:016x}",
        row.seq,
        instant(row.time_us),
        row.source,
        row.kind,
        row.subject,
        row.detail,
        row.digest
    )
}

/// One metric in one line, separated by tabs.
fn metric_line(row: &MetricRow) -> String {
    format!("{}\t{}\t{}\t{}\t{}", instant(row.time_us), row.service, row.name, row.value, row.unit)
}

/// An instant with microseconds.
fn instant(time_us: i64) -> String {
    let time = Time::from_unix_micros(u64::try_from(time_us).unwrap_or(0));
    time.to_datetime().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// Writes lines until there are no more, or nobody reads them.
fn stream(lines: &mut dyn Iterator<Item = Result<String, record::RecordError>>) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in lines {
        match writeln!(out, "{}", line?) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => written(result)?,
        }
    }
    written(out.flush())
}
