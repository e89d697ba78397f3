use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

fn event(seq: u64) -> EventRow {
    EventRow {
        seq,
        time_us: 1_772_323_200_000_000 + i64::try_from(seq).expect("small"),
        level: 1,
        source: "kinesis".to_owned(),
        kind: "PutRecords".into(),
        subject: format!("raw-{}", seq % 3),
        detail: format!("{{\"records\":{seq}}}"),
        digest: seq.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

fn metric(i: i64) -> MetricRow {
    MetricRow {
        time_us: 1_772_323_200_000_000 + i,
        service: "fleet".into(),
        name: "published".into(),
        value: i as f64 / 2.0,
        unit: "readings".into(),
    }
}

fn label(i: u64) -> LabelRow {
    let from_us = 1_772_323_200_000_000 + i64::try_from(i).expect("small");
    LabelRow {
        from_us,
        until_us: from_us + 60_000_000,
        tenant: "acme".to_owned(),
        device: format!("pump-{i:05}"),
        metric: i.is_multiple_of(2).then(|| "flow".to_owned()),
        kind: "stuck".to_owned(),
        readings: (!i.is_multiple_of(3)).then_some((i, i + 5)),
    }
}

fn manifest() -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        scenario: ScenarioSource {
            name: "smoke".to_owned(),
            path: "scenarios/smoke.toml".to_owned(),
            text: "title = \"x\"\n".to_owned(),
        },
        seed: 7,
        build: Build { version: "0.1.0".to_owned(), cfg: vec!["madsim".to_owned()], target: "x86_64-linux".to_owned() },
        start: "2026-03-01T00:00:00.000Z".to_owned(),
        settings: BTreeMap::from([("events".to_owned(), "calls".to_owned())]),
    }
}

fn write(dir: &Path, events: u64) {
    let folder = RunFolder::create(dir).expect("free name");
    let recorder = folder.recorder();
    (0..events).for_each(|i| recorder.event(event(i)));
    (0..10).for_each(|i| recorder.metric(metric(i)));
    (0..9_000).for_each(|i| recorder.label(label(i)));
    folder.finish(&manifest(), &Summary::new("smoke", 7)).expect("finishes");
}

#[test]
fn a_folder_reads_back_as_it_was_written() {
    let tmp = tempfile::tempdir().expect("temp");
    let dir = tmp.path().join("runs").join("a");
    write(&dir, 70_000);
    let run = RunReader::open(&dir).expect("opens");
    assert_eq!(run.manifest(), &manifest());
    assert_eq!(run.summary(), &Summary::new("smoke", 7));
    let events: Vec<EventRow> = run.events().expect("events").map(|r| r.expect("row")).collect();
    assert_eq!(events, (0..70_000).map(event).collect::<Vec<_>>());
    let metrics: Vec<MetricRow> = run.metrics().expect("metrics").map(|r| r.expect("row")).collect();
    assert_eq!(metrics, (0..10).map(metric).collect::<Vec<_>>());
    let labels: Vec<LabelRow> = run.labels().expect("labels").map(|r| r.expect("row")).collect();
    assert_eq!(labels, (0..9_000).map(label).collect::<Vec<_>>());
}

#[test]
fn nothing_is_seen_under_the_final_name_before_the_end() {
    let tmp = tempfile::tempdir().expect("temp");
    let dir = tmp.path().join("a");
    let folder = RunFolder::create(&dir).expect("free name");
    folder.recorder().event(event(0));
    let names = names(tmp.path());
    assert!(names.len() == 1 && names[0].starts_with("a.partial-"), "{names:?}");
    let error = RunReader::open(&tmp.path().join(&names[0])).err().expect("refused").to_string();
    assert!(error.contains("belongs to a run that is not finished"), "{error}");
    folder.finish(&manifest(), &Summary::new("smoke", 7)).expect("finishes");
    assert_eq!(self::names(tmp.path()), ["a"]);
}

#[test]
fn a_run_that_does_not_finish_leaves_nothing() {
    let tmp = tempfile::tempdir().expect("temp");
    drop(RunFolder::create(&tmp.path().join("a")).expect("free name"));
    assert_eq!(fs::read_dir(tmp.path()).expect("dir").count(), 0);
}

/// Names in a folder, in their order.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("dir").map(|entry| entry.expect("entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn leftovers_of_an_interrupted_run_neither_block_the_next_nor_are_touched() {
    let tmp = tempfile::tempdir().expect("temp");
    let left = ["a.partial".to_owned(), format!("a.partial-{}", std::process::id())];
    for name in &left {
        fs::create_dir(tmp.path().join(name)).expect("dir");
        fs::write(tmp.path().join(name).join("notes.txt"), "mine").expect("file");
    }
    write(&tmp.path().join("a"), 1);
    RunReader::open(&tmp.path().join("a")).expect("opens");
    for name in &left {
        assert_eq!(fs::read_to_string(tmp.path().join(name).join("notes.txt")).expect("kept"), "mine");
    }
    assert_eq!(names(tmp.path()).len(), 3);
}

#[test]
fn runs_that_write_to_one_name_do_not_disturb_each_other() {
    let tmp = tempfile::tempdir().expect("temp");
    let dir = tmp.path().join("a");
    let [first, second, third] = [(); 3].map(|()| RunFolder::create(&dir).expect("free name"));
    drop(first);
    second.recorder().event(event(0));
    second.finish(&manifest(), &Summary::new("smoke", 7)).expect("finishes");
    let error = third.finish(&manifest(), &Summary::new("smoke", 8)).expect_err("the name is taken").to_string();
    assert!(error.contains("exists and is not empty"), "{error}");
    let run = RunReader::open(&dir).expect("opens");
    assert_eq!((run.summary().seed, run.events().expect("events").count()), (7, 1));
    assert_eq!(names(tmp.path()), ["a"]);
}

#[test]
fn names_that_a_reader_would_refuse_and_what_is_no_name_are_refused_at_the_start() {
    let tmp = tempfile::tempdir().expect("temp");
    for name in ["a.partial", "a.partial-12", "a.partial-12-1"] {
        let error = RunFolder::create(&tmp.path().join(name)).err().expect("refused").to_string();
        assert!(error.contains("not finished") && error.contains("`runs/smoke`"), "{error}");
    }
    for name in ["/", ".."] {
        let error = RunFolder::create(Path::new(name)).err().expect("refused").to_string();
        assert!(error.contains("cannot be the name of a run folder") && error.contains("`runs/smoke`"), "{error}");
    }
    assert!(names(tmp.path()).is_empty());
    write(&tmp.path().join("a.partial-final"), 1);
}

#[test]
fn a_manifest_gives_the_command_that_repeats_its_run() {
    let mut manifest = manifest();
    assert_eq!(manifest.command(), "cargo sim run scenarios/smoke.toml --seed 7", "what is kept is no part of a run");
    manifest.scenario.path = "my runs/it's.toml".to_owned();
    manifest.settings.insert("peace".to_owned(), "1min".to_owned());
    assert_eq!(manifest.command(), r"cargo sim run 'my runs/it'\''s.toml' --seed 7 --peace 1min");
}

#[test]
fn an_empty_folder_is_taken_and_a_full_one_refused() {
    let tmp = tempfile::tempdir().expect("temp");
    let dir = tmp.path().join("a");
    fs::create_dir(&dir).expect("dir");
    write(&dir, 1);
    let error = RunFolder::create(&dir).err().expect("refused").to_string();
    assert!(error.contains("/a` exists and is not empty") && error.contains("hint: choose another"), "{error}");
    let file = tmp.path().join("f");
    fs::write(&file, "x").expect("file");
    let error = RunFolder::create(&file).err().expect("refused").to_string();
    assert!(error.contains("exists and is not a folder"), "{error}");
}

#[test]
fn two_writes_of_the_same_rows_are_equal_byte_for_byte() {
    let tmp = tempfile::tempdir().expect("temp");
    write(&tmp.path().join("a"), 20_000);
    write(&tmp.path().join("b"), 20_000);
    for name in [MANIFEST_FILE, SUMMARY_FILE, EVENTS_FILE, METRICS_FILE] {
        let [a, b] = ["a", "b"].map(|d| fs::read(tmp.path().join(d).join(name)).expect("file"));
        assert_eq!(a, b, "{name}");
    }
}

#[test]
fn the_json_keys_of_a_summary_keep_their_order() {
    let json = serde_json::to_value(Summary::new("smoke", 7)).expect("serializes");
    let keys: Vec<&str> = json.as_object().expect("object").keys().map(String::as_str).collect();
    let first = [
        "verdict",
        "digest",
        "scenario",
        "seed",
        "simulated_s",
        "wall_s",
        "speedup",
        "devices",
        "published",
        "acknowledged",
        "delivered",
        "duplicates",
        "missing",
        "latency_ms",
    ];
    assert_eq!(&keys[..first.len()], &first);
    assert_eq!(json["digest"], "0000000000000000");
    let latency: Vec<&str> = json["latency_ms"].as_object().expect("object").keys().map(String::as_str).collect();
    assert_eq!(latency, ["p50", "p99", "max"]);
    assert_eq!(serde_json::from_value::<Summary>(json).expect("reads"), Summary::new("smoke", 7));
}

#[test]
fn wall_clock_values_are_set_together_and_removed_together() {
    let mut summary = Summary { simulated_s: 600.0, delivered: 3_000, ..Summary::new("smoke", 7) };
    let decided = summary.clone();
    summary.set_wall_clock(2.0, Some(1_024));
    assert_eq!((summary.speedup, summary.messages_per_s), (300.0, 1_500.0));
    assert_eq!(summary.without_wall_clock(), decided);
}

/// Damages a good folder and returns the message that a reader sees.
fn message_after(damage: impl FnOnce(&Path)) -> String {
    let tmp = tempfile::tempdir().expect("temp");
    let dir = tmp.path().join("run");
    write(&dir, 10);
    damage(&dir);
    let read = RunReader::open(&dir).and_then(|run| {
        run.events()?.collect::<Result<Vec<_>, _>>()?;
        run.metrics()?.collect::<Result<Vec<_>, _>>()?;
        Ok(())
    });
    read.expect_err("damaged").to_string().replace(&tmp.path().display().to_string(), "")
}

#[test]
fn a_damaged_folder_says_which_file_what_was_expected_and_what_to_do() {
    let truncate = |name: &'static str| {
        move |dir: &Path| {
            let bytes = fs::read(dir.join(name)).expect("file");
            fs::write(dir.join(name), &bytes[..bytes.len() / 2]).expect("write");
        }
    };
    let cases = [
        (message_after(|d| fs::remove_dir_all(d).expect("rm")), "`/run` does not exist"),
        (message_after(|d| fs::remove_file(d.join(EVENTS_FILE)).expect("rm")), "`/run` has no file `events.parquet`"),
        (message_after(truncate(MANIFEST_FILE)), "`/run/manifest.json` is truncated or foreign"),
        (message_after(truncate(SUMMARY_FILE)), "`/run/summary.json` is truncated or foreign"),
        (message_after(truncate(EVENTS_FILE)), "`/run/events.parquet` is truncated or is not Parquet"),
        (message_after(truncate(METRICS_FILE)), "`/run/metrics.parquet` is truncated or is not Parquet"),
        (
            message_after(|d| assert!(fs::copy(d.join(METRICS_FILE), d.join(EVENTS_FILE)).is_ok())),
            "`/run/events.parquet` has the columns time_us",
        ),
        (
            message_after(|d| fs::write(d.join(MANIFEST_FILE), "{\"schema_version\": 99}").expect("write")),
            "`/run/manifest.json` has schema version 99",
        ),
        (message_after(|d| fs::write(d.join(MANIFEST_FILE), "{}").expect("write")), "has no `schema_version`"),
    ];
    for (message, wanted) in cases {
        assert!(message.contains(wanted), "{message}");
        assert!(message.contains("\n  expected: ") && message.contains("\n  hint: "), "{message}");
    }
}
