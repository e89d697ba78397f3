//! `sim nab`: the platform's detector on the Numenta Anomaly Benchmark.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use platform::transform::anomaly_detection::Detector;
use record::thousands;

use super::args::{Format, NabArgs};
use super::text::table;
use super::wall::Stopwatch;
use super::{Failure, print};
use crate::nab::{Corpus, PUBLISHED, PerProfile, Recorded, Report, judge, scores};

/// How the platform's own detector is called beside others.
const OWN: &str = "> this platform";

/// Scores the corpus and prints what the detector comes to.
pub(super) fn nab(args: &NabArgs) -> Result<u8, Failure> {
    // Before anything that takes time.
    args.out.as_deref().map(record::check_free).transpose()?;
    let corpus = Corpus::load(&args.corpus)?;
    let corpus = if args.training_only { corpus.training() } else { corpus };
    let clock = Stopwatch::start();
    let scored: Vec<Vec<f64>> = corpus.series.iter().map(scores::<Detector>).collect();
    let ns = clock.elapsed().as_secs_f64() * 1e9;
    let ns_per_reading = ns / corpus.readings().max(1) as f64;
    let report = Report { ns_per_reading, bytes_per_series: Detector::SIZE, ..judge(&corpus, &scored) };
    if let Some(out) = &args.out {
        for (recorded, scores) in corpus.series.iter().zip(&scored) {
            let path = out.join(&recorded.path);
            write(&path, recorded, scores).map_err(|e| {
                let problem = format!("`{}` cannot be written: {e}", path.display());
                Failure::usage(format!("{problem}\n  hint: choose another folder with `--out`"))
            })?;
        }
    }
    print(&match args.format {
        Format::Text => text(&report),
        Format::Json => serde_json::to_string_pretty(&report).expect("a report is JSON") + "\n",
    })?;
    Ok(0)
}

/// Writes the rows of a series with their scores, so that any scorer can check them.
fn write(path: &Path, recorded: &Recorded, scores: &[f64]) -> std::io::Result<()> {
    let rows = &recorded.series.rows;
    let mut csv = String::with_capacity(rows.len() * 48);
    csv.push_str("timestamp,value,anomaly_score\n");
    for (row, score) in rows.iter().zip(scores) {
        writeln!(csv, "{},{},{score}", row.recorded_at, row.value).expect("a string takes everything");
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, csv)
}

/// The report for people.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!(
        "NAB 1.1: {} series, {} readings, {} anomalies\n\n",
        report.series,
        thousands(report.readings as u64),
        report.detections.standard.found + report.detections.standard.missed
    );
    let mut parts = vec![("training series", report.training.map(|score| Some(*score)))];
    if let Some(held_out) = &report.held_out {
        let mut board: Vec<(&str, PerProfile<Option<f64>>)> = PUBLISHED.iter().map(|p| (p.name, p.scores)).collect();
        let place = board.partition_point(|(_, scores)| scores.standard >= Some(report.scores.standard));
        board.insert(place, (OWN, report.scores.map(|score| Some(*score))));
        text.push_str(&scores_table("detector", board));
        text.push('\n');
        parts.push(("held-out series", held_out.map(|score| Some(*score))));
    }
    parts.extend(report.categories.iter().map(|(name, scores)| (name.as_str(), *scores)));
    text.push_str(&scores_table("part", parts));
    text.push_str(match report.held_out {
        Some(_) => {
            "every third series is held out: its threshold is the best one of the others; that of a folder is the best \
             one of all series\n\n"
        }
        None => {
            "every third series is held out and was left alone; published scores are of all series, and are not shown \
             beside those of a part\n\n"
        }
    });
    let counted = |of: fn(&crate::nab::Detections) -> usize| report.detections.map(|d| thousands(of(d) as u64));
    let rows = [
        ("threshold", report.thresholds.map(|threshold| threshold.map_or("none".to_owned(), |t| format!("{t:.6}")))),
        ("anomalies found", counted(|d| d.found)),
        ("anomalies missed", counted(|d| d.missed)),
        ("rows of false alarms", counted(|d| d.false_alarms)),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, values)| [name.to_owned()].into_iter().chain(values.each().into_iter().cloned()).collect())
        .collect();
    text.push_str(&table(&["all series", "standard ", "low FP ", "low FN "], &rows));
    let (ns, bytes) = (report.ns_per_reading, report.bytes_per_series);
    writeln!(text, "\n{ns:.0} ns a reading, {bytes} bytes a series").expect("a string takes everything");
    text
}

fn scores_table<'n>(name: &str, rows: impl IntoIterator<Item = (&'n str, PerProfile<Option<f64>>)>) -> String {
    let cell = |score: &Option<f64>| score.map_or("-".to_owned(), |score| format!("{score:.1}"));
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, scores)| [name.to_owned()].into_iter().chain(scores.each().map(cell)).collect())
        .collect();
    table(&[name, "standard ", "low FP ", "low FN "], &rows)
}
