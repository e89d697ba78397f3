//! The command line as a person meets it: exit codes, errors with file, line, key and hint, and flags that do something.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::root;

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(args).current_dir(root()).output().expect("sim starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is UTF-8")
}

/// A run that is over in a second.
const SHORT: [&str; 8] = ["run", "scenarios/smoke.toml", "--devices", "4", "--hardship", "30s", "--peace", "3min"];

fn short(more: &[&str]) -> Output {
    let mut args = SHORT.to_vec();
    for pair in more.chunks(2) {
        if let Some(at) = args.iter().position(|arg| *arg == pair[0]) {
            args.drain(at..at + 2);
        }
        args.extend(pair);
    }
    sim(&args)
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stdout)))
}

#[test]
fn the_summary_has_the_promised_keys_in_order() {
    let output = short(&["--format", "json"]);
    let summary = json(&output);
    let keys: Vec<&str> = summary.as_object().expect("an object").keys().map(String::as_str).collect();
    let promised = [
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
    assert_eq!(keys[..promised.len()], promised);
    assert!(["p50", "p99", "max"].iter().all(|key| summary["latency_ms"][key].is_number()));
    assert_eq!(summary["verdict"], "held");
}

#[test]
fn every_flag_of_run_has_an_effect() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = |name: &str| folder.path().join(name).display().to_string();
    let base = json(&short(&["--format", "json", "--out", &out("base")]));
    let events = |name: &str| {
        let run = record::RunReader::open(&folder.path().join(name)).expect("a run folder");
        run.events().expect("events").count()
    };
    let mut checked = Vec::new();
    for (flag, value, key) in
        [("--seed", "99", "digest"), ("--hardship", "60s", "simulated_s"), ("--devices", "6", "devices")]
    {
        let changed = json(&short(&["--format", "json", flag, value]));
        assert_ne!(changed[key], base[key], "{flag}");
        checked.push(flag);
    }
    let hasty = short(&["--format", "json", "--peace", "5s"]);
    assert_eq!(hasty.status.code(), Some(3), "--peace: {}", text(&hasty.stderr));
    for (level, name) in [("run", "few"), ("messages", "all")] {
        json(&short(&["--format", "json", "--events", level, "--out", &out(name)]));
    }
    assert!(events("few") < events("base") && events("base") < events("all"), "--events");
    assert!(text(&short(&["--format", "text"]).stdout).contains("verdict"), "--format");
    let mut quiet = SHORT.to_vec();
    quiet.push("--quiet");
    assert_eq!(text(&sim(&quiet).stderr), "", "--quiet");
    checked.extend(["--peace", "--events", "--out", "--format", "--quiet"]);
    let help = text(&sim(&["run", "--help"]).stdout);
    let flags = help.split_whitespace().filter(|word| word.starts_with("--")).map(|w| w.trim_end_matches([',', '.']));
    for flag in flags.filter(|flag| *flag != "--help") {
        assert!(checked.contains(&flag), "{flag} of `sim run` has no check that it does something");
    }
}

#[test]
fn bad_input_is_one_clear_error_with_exit_code_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let smoke = fs::read_to_string(root().join("scenarios/smoke.toml")).expect("the scenario");
    let bad = |name: &str, from: &str, to: &str| {
        let path = folder.path().join(name);
        let changed = smoke.replace(from, to);
        assert_ne!(changed, smoke, "{from} is in smoke.toml");
        fs::write(&path, changed).expect("a temporary file");
        path.display().to_string()
    };
    let misspelt = bad("misspelt.toml", "publish_every", "publish_evry");
    let unit = bad("unit.toml", "\"10s\"", "\"10 parsecs\"");
    let setting = bad("setting.toml", "[phase]", "[platform]\nraw_shards = 0\n\n[phase]");
    let unknown = bad("unknown.toml", "[phase]", "[platform]\nraw_shard = 2\n\n[phase]");
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).expect("a temporary folder");
    fs::write(broken.join("manifest.json"), "{").expect("a temporary file");
    let broken = broken.display().to_string();
    let cases: [(&[&str], &[&str]); 9] = [
        (&["run", "scenarios/absent.toml"], &["scenarios/absent.toml", "hint"]),
        (&["run", &misspelt], &["misspelt.toml:", "publish_evry", "publish_every", "hint"]),
        (&["run", &unit], &["unit.toml:", "10 parsecs", "hint"]),
        (&["run", &setting], &["setting.toml:", "raw_shards", "1 to 10000", "hint"]),
        (&["run", &unknown], &["unknown.toml:", "raw_shard", "hint"]),
        (&["run", "scenarios/smoke.toml", "--seed", "seven"], &["--seed", "seven"]),
        (&["run", "scenarios/smoke.toml", "--out", "scenarios"], &["scenarios", "hint"]),
        (&["show", &broken], &["broken", "hint"]),
        (&["rum"], &["rum", "run"]),
    ];
    for (args, parts) in cases {
        let output = sim(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: {part:?} is missing in:\n{stderr}");
        }
        assert!(output.stdout.is_empty(), "{args:?}: results go to stdout, and there is none");
    }
}

#[test]
fn a_failing_run_ends_with_the_command_that_repeats_it() {
    let output = short(&["--peace", "5s", "--seed", "4"]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    let last = stderr.lines().last().expect("a last line");
    assert!(last.contains("cargo sim run scenarios/smoke.toml --seed 4"), "{last}");
    assert!(last.contains("--devices 4") && last.contains("--peace 5s") && last.contains("--hardship 30s"), "{last}");
}

#[test]
fn a_run_folder_can_be_shown_and_appears_only_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let output = short(&["--out", &out.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let names: Vec<String> = ["manifest.json", "summary.json", "events.parquet", "metrics.parquet"]
        .into_iter()
        .filter(|name| out.join(name).is_file())
        .map(str::to_owned)
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let shown = sim(&["show", &out.display().to_string()]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(text(&shown.stdout).contains("held"));
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 1, "nothing half-written is left");
}

#[test]
fn a_report_is_one_whole_page_about_its_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run").display().to_string();
    assert!(short(&["--out", &run]).status.success());
    let output = sim(&["report", &run]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(Path::new(&run).join("report.html")).expect("the page");
    for part in ["held", "Readings of devices", "<svg", "kinesis:PutRecords", "cargo sim run scenarios/smoke.toml"] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!page.contains("src=") && !page.contains("<link"), "the page refers to nothing outside itself");
    let elsewhere = sim(&["report", &run, "--out", "no/such/folder/page.html"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", text(&elsewhere.stderr));
    assert!(text(&elsewhere.stderr).contains("hint"));
}

#[test]
fn the_list_names_every_scenario() {
    let output = sim(&["list"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let listed = text(&output.stdout);
    for entry in fs::read_dir(root().join("scenarios")).expect("scenarios/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
            assert!(listed.contains(name), "{name} is not listed");
        }
    }
}

#[test]
fn the_schema_of_scenarios_is_documented_as_it_is() {
    let printed = text(&sim(&["schema"]).stdout);
    let kept = fs::read_to_string(Path::new(&root()).join("scenarios/README.md")).expect("scenarios/README.md");
    assert_eq!(printed, kept, "regenerate with: cargo sim schema > scenarios/README.md");
}
