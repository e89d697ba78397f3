//! The page: one file without references to others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use record::{
    DETECTION_MEANING, DetectionFigures, LATENCY_MEANING, RecordError, RunReader, Summary, Verdict, thousands,
};

use crate::chart;
use crate::series::{Metrics, Series};

/// A report that cannot be made from a run folder.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder's rows cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// How many operations a chart of calls shows.
const OPERATIONS_MAX: usize = 6;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}\
    h1{font-size:1.5em;margin-bottom:0}h2{font-size:1.15em;margin-top:2em}\
    table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.2em 1.2em .2em 0;text-align:left;border-bottom:1px solid #eee}\
    td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
    .verdict{display:inline-block;padding:.1em .7em;border-radius:1em;color:#fff;background:#b42318}\
    .held{background:#067647}.unsettled{background:#b54708}code{background:#f4f4f4;padding:.1em .3em}\
    .note{color:#666}svg{max-width:100%;height:auto}";

/// The report on a run as HTML.
pub fn render(run: &RunReader) -> Result<String, ReportError> {
    let metrics = Metrics::read(run.metrics()?)?;
    let summary = run.summary();
    let mut page = String::with_capacity(64 * 1024);
    let name = escape(&summary.scenario);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}, seed {}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>",
        summary.seed
    );
    head(&mut page, summary);
    violations(&mut page, summary);
    readings(&mut page, summary);
    detection(&mut page, summary);
    charts(&mut page, &metrics);
    counted(&mut page, "Faults", ("Fault", "Strokes"), &summary.faults);
    counted(&mut page, "Interesting states", ("Mark", "Times"), &summary.marks);
    calls(&mut page, summary);
    source(&mut page, run);
    page.push_str("</body></html>\n");
    Ok(page)
}

fn head(page: &mut String, summary: &Summary) {
    let class = match summary.verdict {
        Verdict::Held => "held",
        Verdict::Unsettled => "unsettled",
        Verdict::Violated | Verdict::NotDeterministic => "",
    };
    let _ = write!(
        page,
        "<h1>{} <span class=\"verdict {class}\">{}</span></h1><p class=\"note\">seed {}, digest <code>{}</code>, \
         {} simulated minutes</p>",
        escape(&summary.scenario),
        summary.verdict,
        summary.seed,
        summary.digest,
        chart::number(summary.simulated_s / 60.0)
    );
}

fn readings(page: &mut String, summary: &Summary) {
    let seconds = |ms: Option<f64>| ms.map_or("none".to_owned(), |ms| format!("{:.1} s", ms / 1_000.0));
    let latency = summary.latency_ms;
    let rows = [
        ("Devices", thousands(summary.devices), "devices of the fleet"),
        ("Published", thousands(summary.published), "readings that devices took into their queues"),
        (
            "Acknowledged",
            thousands(summary.acknowledged),
            "readings whose PUBACK a device received: those that are owed",
        ),
        ("Delivered", thousands(summary.delivered), "distinct readings that Athena returns"),
        (
            "Missing",
            thousands(summary.missing),
            "owed readings that are neither delivered nor in quarantine nor set aside",
        ),
        ("Duplicates", thousands(summary.duplicates), "further rows of the same reading"),
        (
            "Quarantined",
            thousands(summary.quarantined),
            "acknowledged readings that the platform refused with a reason",
        ),
        (
            "Set aside",
            thousands(summary.set_aside),
            "acknowledged readings that the rule could not put into the stream while a fault struck it, and stored",
        ),
        ("Rejected", thousands(summary.rejected), "readings that a device gave up because its queue was full"),
        ("Spurious", thousands(summary.spurious), "delivered readings that no device sent"),
        ("Corrupt", thousands(summary.corrupt), "delivered readings whose content differs from what was sent"),
        (
            "Out of order",
            thousands(summary.out_of_order),
            "first deliveries after one of a higher sequence number of their device, within and across files",
        ),
        ("Latency, median", seconds(latency.p50), LATENCY_MEANING),
        ("Latency, p99", seconds(latency.p99), "the same, 99 of 100 readings"),
        ("Latency, maximum", seconds(latency.max), "the same, the latest reading"),
        ("Throttles", thousands(summary.throttles), "calls that a rate or a quota refused, all services"),
    ];
    page.push_str("<h2>Readings</h2><table>");
    for (name, value, meaning) in rows {
        let _ = write!(page, "<tr><td>{name}</td><td class=\"n\">{value}</td><td class=\"note\">{meaning}</td></tr>");
    }
    page.push_str("</table>");
}

fn violations(page: &mut String, summary: &Summary) {
    if let Some(why) = summary.unsettled.as_ref().filter(|_| summary.verdict == Verdict::Unsettled) {
        let _ = write!(page, "<p>Not settled: {}.</p>", escape(why));
    }
    if summary.violations.is_empty() {
        return;
    }
    page.push_str("<h2>Broken promises</h2><table><tr><th>Invariant</th><th>What was seen</th></tr>");
    for violation in &summary.violations {
        let (id, message) = (escape(&violation.invariant), escape(&violation.message));
        let _ = write!(page, "<tr><td><code>{id}</code></td><td>{message}</td></tr>");
    }
    page.push_str("</table>");
}

/// How well anomalies told what devices suffered; nothing when they suffered nothing.
fn detection(page: &mut String, summary: &Summary) {
    let Some(detection) = &summary.detection else { return };
    page.push_str("<h2>Anomaly detection</h2><table><tr><th></th>");
    for name in DetectionFigures::NAMES {
        let _ = write!(page, "<th class=\"n\">{name}</th>");
    }
    page.push_str("</tr>");
    for (name, figures) in detection.rows() {
        let _ = write!(page, "<tr><td>{}</td>", escape(&name));
        for cell in figures.cells() {
            let _ = write!(page, "<td class=\"n\">{cell}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
    let (kinds, rows) = detection.told_as_table();
    if !rows.is_empty() {
        page.push_str("<table><tr><th>Anomalies that lie in</th>");
        for kind in kinds {
            let _ = write!(page, "<th class=\"n\">{}</th>", escape(kind));
        }
        page.push_str("</tr>");
        for (mode, cells) in rows {
            let _ = write!(page, "<tr><td>{}</td>", escape(mode));
            for cell in cells {
                let _ = write!(page, "<td class=\"n\">{cell}</td>");
            }
            page.push_str("</tr>");
        }
        page.push_str("</table>");
    }
    let _ = write!(page, "<p class=\"note\">{}.</p>", escape(&capitalised(DETECTION_MEANING)));
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn charts(page: &mut String, metrics: &Metrics) {
    let rate = |service: &str, name: &str| (name.to_owned(), metrics.get(service, name).per_second());
    let calls = |suffix: &str| -> Vec<(String, Series)> {
        let largest = metrics.largest(suffix, OPERATIONS_MAX).into_iter();
        largest.map(|(name, series)| (name, series.per_second())).collect()
    };
    let fleet = |name: &str| (name.to_owned(), metrics.get("fleet", name));
    for (title, unit, lines) in [
        ("Readings of devices", "readings a second", vec![rate("fleet", "published"), rate("fleet", "acknowledged")]),
        ("Readings that wait in devices", "readings", vec![fleet("queued")]),
        ("Sessions", "sessions a second", vec![rate("fleet", "sessions"), rate("fleet", "losses")]),
        ("Calls to services", "calls a second", calls(".ok")),
        ("Throttled calls", "calls a second", calls(".throttled")),
    ] {
        if let Some(svg) = chart::lines(unit, &lines) {
            let _ = write!(page, "<h2>{title}</h2>{svg}");
        }
    }
}

/// A table of counts by name; nothing when there are none.
fn counted(page: &mut String, title: &str, (name, unit): (&str, &str), counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2><table><tr><th>{name}</th><th class=\"n\">{unit}</th></tr>");
    for (name, count) in counts {
        let _ = write!(page, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", escape(name), thousands(*count));
    }
    page.push_str("</table>");
}

fn calls(page: &mut String, summary: &Summary) {
    page.push_str(
        "<h2>Calls</h2><table><tr><th>Operation</th><th class=\"n\">Done</th><th class=\"n\">Throttled</th>\
         <th class=\"n\">Other errors</th></tr>",
    );
    for (operation, calls) in &summary.calls {
        let (ok, throttled, error) = (thousands(calls.ok), thousands(calls.throttled), thousands(calls.error));
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"n\">{ok}</td><td class=\"n\">{throttled}</td><td class=\"n\">{error}</td></tr>",
            escape(operation)
        );
    }
    page.push_str("</table>");
}

fn source(page: &mut String, run: &RunReader) {
    let manifest = run.manifest();
    let _ = write!(
        page,
        "<h2>Source</h2><p>Everything above follows from the scenario, the seed and the build: simulator {}, {} on {}. \
         Repeat it with <code>{}</code>.</p><details><summary>The scenario</summary><pre>{}</pre></details>",
        escape(&manifest.build.version),
        escape(&manifest.build.cfg.join(", ")),
        escape(&manifest.build.target),
        escape(&manifest.command()),
        escape(&manifest.scenario.text)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
