use std::collections::BTreeMap;

use record::{
    Build, Calls, Detection, DetectionFigures, Manifest, MetricRow, RunFolder, RunReader, SCHEMA_VERSION,
    ScenarioSource, Summary, Violation,
};

use crate::chart::{grouped, number};
use crate::render;

fn run(folder: &std::path::Path, change: impl Fn(&mut Summary)) -> RunReader {
    let target = folder.join("run");
    let record = RunFolder::create(&target).unwrap();
    for minute in 0..10_i64 {
        for (service, name, value) in [
            ("fleet", "published", minute * 600),
            ("fleet", "acknowledged", minute * 590),
            ("kinesis", "PutRecords.ok", minute * 12),
        ] {
            record.recorder().metric(MetricRow {
                time_us: 1_772_323_200_000_000 + minute * 60_000_000,
                service: service.into(),
                name: name.into(),
                value: value as f64,
                unit: "count".into(),
            });
        }
    }
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        scenario: ScenarioSource {
            name: "smoke".to_owned(),
            path: "scenarios/smoke.toml".to_owned(),
            text: "title = \"<small> & quick\"".to_owned(),
        },
        seed: 7,
        build: Build { version: "0.1.0".to_owned(), cfg: vec!["madsim".to_owned()], target: "x86_64-linux".to_owned() },
        start: "2026-03-01T00:00:00Z".to_owned(),
        settings: BTreeMap::from(
            [("devices", "10"), ("events", "calls")].map(|(flag, value)| (flag.to_owned(), value.to_owned())),
        ),
    };
    let mut summary = Summary::new("smoke", 7);
    summary.published = 1_234_567;
    (summary.spurious, summary.corrupt, summary.out_of_order) = (11, 12, 13);
    summary.faults.insert("the cable is cut".to_owned(), 1_200);
    summary.marks.insert("cas-conflict".to_owned(), 3);
    summary.calls.insert("kinesis:PutRecords".to_owned(), Calls { ok: 108, throttled: 3, error: 0 });
    change(&mut summary);
    record.finish(&manifest, &summary).unwrap();
    RunReader::open(&target).unwrap()
}

#[test]
fn a_report_holds_the_figures_their_meaning_and_the_command_that_repeats_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let page = render(&run(folder.path(), |_| {})).unwrap();
    for part in [
        "smoke, seed 7",
        "verdict held",
        "1,234,567",
        "readings a second",
        "<svg",
        "kinesis:PutRecords",
        "<code>cargo sim run scenarios/smoke.toml --seed 7 --devices 10</code>",
        "<td>Spurious</td><td class=\"n\">11</td>",
        "<td>Corrupt</td><td class=\"n\">12</td>",
        "<td>Out of order</td><td class=\"n\">13</td>",
        "gave up because its queue was full",
        "rounded up to the next second",
        "<td>the cable is cut</td><td class=\"n\">1,200</td>",
        "<td>cas-conflict</td><td class=\"n\">3</td>",
        "&lt;small&gt; &amp; quick",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!page.contains("Broken promises") && !page.contains("<small>"));
}

#[test]
fn what_was_detected_is_a_table_where_something_failed() {
    let folder = tempfile::tempdir().unwrap();
    let suffered = |summary: &mut Summary| {
        let figures =
            DetectionFigures { failures: 1_234, found: 617, recall: Some(0.5), ..DetectionFigures::default() };
        let mut detection = Detection { all: figures, ..Detection::default() };
        detection.failures.insert("bearing-wear".to_owned(), figures);
        let of_wear = [("<odd>".to_owned(), 2_345)].into();
        detection.told_as.insert("bearing-wear".to_owned(), of_wear);
        detection.anomalies.insert("<odd>".to_owned(), DetectionFigures { delay_max_s: Some(61.25), ..figures });
        summary.detection = Some(detection);
    };
    let page = render(&run(folder.path(), suffered)).unwrap();
    for part in [
        "<h2>Anomaly detection</h2>",
        "<td>failure: bearing-wear</td><td class=\"n\">1,234</td><td class=\"n\">617</td><td class=\"n\">0.500</td>",
        "<td>anomaly: &lt;odd&gt;</td>",
        "<td class=\"n\">61.2</td>",
        "<th>Anomalies that lie in</th><th class=\"n\">&lt;odd&gt;</th></tr><tr><td>bearing-wear</td><td class=\"n\">2,345</td>",
        "A failure is found by an anomaly of its device",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(!render(&run(folder.path(), |_| {})).unwrap().contains("Anomaly detection"));
}

#[test]
fn a_broken_promise_is_shown_with_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |summary: &mut Summary| {
        summary.verdict = record::Verdict::Violated;
        let message = "1 acknowledged readings are missing: acme/pump-1 seq 1".to_owned();
        summary.violations.push(Violation { invariant: "conservation".to_owned(), message, reading: None });
    };
    let page = render(&run(folder.path(), broken)).unwrap();
    assert!(page.contains("Broken promises") && page.contains("acme/pump-1 seq 1"));
    assert!(page.contains(">violated<"));
}

#[test]
fn the_same_folder_gives_the_same_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), |_| {});
    assert_eq!(render(&run).unwrap(), render(&run).unwrap());
}

#[test]
fn numbers_are_short_and_grouped() {
    for (value, expected) in [(0.0, "0"), (0.5, "0.5"), (12.0, "12"), (1_500.4, "1,500"), (2_500_000.0, "2.5M")] {
        assert_eq!(number(value), expected);
    }
    for (value, expected) in [(7, "7"), (-1_000, "-1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(value), expected);
    }
}
