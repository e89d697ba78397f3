//! Results for people.

use std::fmt::Write;

use record::{DETECTION_MEANING, DetectionFigures, LATENCY_MEANING, Summary, Verdict, thousands};

use crate::scenario::duration;

/// A table: columns as wide as their widest cell, two spaces apart. Columns whose name ends with a space are set to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |i: usize| rows.iter().filter_map(move |row| row.get(i)).map(|cell| cell.chars().count());
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(i, name)| cells(i).max().unwrap_or(0).max(name.trim_end().chars().count()))
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::new();
        for ((cell, width), name) in cells.zip(&widths).zip(header) {
            let pad = " ".repeat(width - cell.chars().count().min(*width));
            let right = name.ends_with(' ');
            out.push_str(&if right { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") });
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&mut header.iter().map(|name| name.trim_end()));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// What a run came to. `expected` is the verdict that the scenario expects, where it is known.
pub(super) fn summary(s: &Summary, title: &str, expected: Option<Verdict>) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| writeln!(text, "{name:<14}{value}").expect("a string takes everything");
    let verdict = match expected {
        Some(expected) if expected == s.verdict && expected != Verdict::Held => {
            format!("{expected} (as the scenario expects)")
        }
        Some(expected) if expected != s.verdict => format!("{} (the scenario expects {expected})", s.verdict),
        _ => s.verdict.to_string(),
    };
    row("verdict", verdict);
    for violation in &s.violations {
        row("violated", format!("{}: {}", violation.invariant, violation.message.replace('\n', " ")));
    }
    if let Some(why) = s.unsettled.as_ref().filter(|_| s.verdict == Verdict::Unsettled) {
        row("unsettled", why.clone());
    }
    row("digest", s.digest.to_string());
    row("scenario", if title.is_empty() { s.scenario.clone() } else { format!("{}: {title}", s.scenario) });
    row("seed", s.seed.to_string());
    for (name, count) in [
        ("devices", s.devices),
        ("published", s.published),
        ("acknowledged", s.acknowledged),
        ("delivered", s.delivered),
        ("duplicates", s.duplicates),
        ("missing", s.missing),
        ("quarantined", s.quarantined),
        ("set aside", s.set_aside),
        ("rejected", s.rejected),
        ("spurious", s.spurious),
        ("corrupt", s.corrupt),
        ("out of order", s.out_of_order),
    ] {
        row(name, thousands(count));
    }
    let latency = [("p50", s.latency_ms.p50), ("p99", s.latency_ms.p99), ("max", s.latency_ms.max)];
    let latency: Vec<String> =
        latency.iter().map(|(name, ms)| format!("{name} {}", ms.map_or("-".to_owned(), milliseconds))).collect();
    row("latency", format!("{}; {LATENCY_MEANING}", latency.join(", ")));
    row("simulated", seconds(s.simulated_s));
    row("wall", format!("{:.2} s", s.wall_s));
    row("speedup", format!("{:.0} x real time", s.speedup));
    row("delivered/s", thousands(s.messages_per_s as u64));
    row("peak memory", s.peak_memory_bytes.map_or("-".to_owned(), mebibytes));
    row("throttles", thousands(s.throttles));
    let calls: Vec<Vec<String>> = s
        .calls
        .iter()
        .map(|(name, c)| vec![name.clone(), thousands(c.ok), thousands(c.throttled), thousands(c.error)])
        .collect();
    if !calls.is_empty() {
        text.push('\n');
        text.push_str(&table(&["call", "ok ", "throttled ", "error "], &calls));
    }
    let counted = |counts: &std::collections::BTreeMap<String, u64>| -> Vec<Vec<String>> {
        counts.iter().map(|(name, n)| vec![name.clone(), thousands(*n)]).collect()
    };
    text.push_str(&detection(s));
    for (header, rows) in [("fault", counted(&s.faults)), ("mark", counted(&s.marks))] {
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&table(&[header, if header == "fault" { "strokes " } else { "times " }], &rows));
        }
    }
    let counters: Vec<Vec<String>> = s.counters.iter().map(|(name, n)| vec![name.clone(), thousands(*n)]).collect();
    if !counters.is_empty() {
        text.push('\n');
        text.push_str(&table(&["counter", "value "], &counters));
    }
    text
}

/// How well anomalies told what devices suffered.
fn detection(s: &Summary) -> String {
    let Some(detection) = &s.detection else { return String::new() };
    let rows: Vec<Vec<String>> =
        detection.rows().map(|(name, figures)| [vec![name], figures.cells().to_vec()].concat()).collect();
    let right = DetectionFigures::NAMES.map(|name| format!("{name} "));
    let header: Vec<&str> = ["detection"].into_iter().chain(right.iter().map(String::as_str)).collect();
    let mut text = format!("\n{}", table(&header, &rows));
    let (kinds, rows) = detection.told_as_table();
    if !rows.is_empty() {
        let kinds: Vec<String> = kinds.into_iter().map(|kind| format!("{kind} ")).collect();
        let header: Vec<&str> = ["anomalies that lie in"].into_iter().chain(kinds.iter().map(String::as_str)).collect();
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(mode, cells)| [vec![mode.to_owned()], cells].concat()).collect();
        text.push('\n');
        text.push_str(&table(&header, &rows));
    }
    text + DETECTION_MEANING + "\n"
}

fn milliseconds(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1_000.0) }
}

fn seconds(s: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(s).unwrap_or_default();
    duration::format(std::time::Duration::from_millis(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX)))
}

/// Bytes as MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}
