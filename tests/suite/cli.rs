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
    let planted = short(&["--format", "json", "--bug", "timestamp-in-seconds"]);
    assert_eq!(planted.status.code(), Some(1), "--bug: {}", text(&planted.stderr));
    checked.push("--bug");
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
    assert_all_checked("run", &checked);
}

/// Every flag that the help of a command names has been checked, and nothing else.
pub fn assert_all_checked(command: &str, checked: &[&str]) {
    let help = text(&sim(&[command, "--help"]).stdout);
    let options = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flags = options.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    let mut flags: Vec<&str> = flags.filter(|flag| *flag != "--help").collect();
    flags.sort_unstable();
    let mut checked = checked.to_vec();
    checked.sort_unstable();
    assert_eq!(flags, checked, "each flag of `sim {command}` has a check that it does something");
}

#[test]
fn every_flag_of_verify_and_bench_has_an_effect() {
    let small = ["scenarios/smoke.toml", "--hardship", "30s", "--devices", "4"];
    let run = |command: &str, more: &[&str]| {
        let mut args = vec![command];
        args.extend(small);
        for pair in more.chunks(2) {
            if let Some(at) = args.iter().position(|arg| *arg == pair[0]) {
                args.drain(at..at + 2);
            }
            args.extend(pair);
        }
        let output = sim(&args);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let plain = run("verify", &[]);
    assert!(plain.contains("deterministic: 2 runs of the same value are equal"), "{plain}");
    let flags = [["--seed", "99"], ["--hardship", "60s"], ["--devices", "6"], ["--peace", "5s"]];
    for flag in &flags {
        assert_ne!(run("verify", flag), plain, "{flag:?}");
    }
    assert_all_checked("verify", &flags.map(|[flag, _]| flag));

    let bench = |more: &[&str]| {
        let printed = run("bench", &[&["--format", "json"][..], more].concat());
        serde_json::from_str::<Value>(&printed).unwrap_or_else(|e| panic!("{e}: {printed}"))["sizes"].clone()
    };
    let plain = bench(&[]);
    assert_eq!((plain.as_array().map(Vec::len), &plain[0]["devices"]), (Some(1), &4.into()));
    let two = bench(&["--devices", "4,6"]);
    assert_eq!((two.as_array().map(Vec::len), &two[1]["devices"]), (Some(2), &6.into()), "--devices");
    assert!(bench(&["--hardship", "60s"])[0]["readings"].as_u64() > plain[0]["readings"].as_u64(), "--hardship");
    assert!(run("bench", &["--format", "text"]).contains("us/reading"), "--format");
    assert_all_checked("bench", &["--devices", "--hardship", "--format"]);
}

#[test]
fn every_flag_of_show_report_list_and_schema_has_an_effect() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run").display().to_string();
    assert!(short(&["--out", &run]).status.success());
    let show = |flags: &[&str]| text(&sim(&[&["show", run.as_str()][..], flags].concat()).stdout);
    assert!(show(&[]).contains("verdict"));
    let events = show(&["--events"]);
    assert!(events.lines().count() > 0 && events.lines().all(|line| line.contains(" digest ")), "--events");
    assert!(show(&["--metrics"]).starts_with("time\tservice\tname"), "--metrics");
    assert_all_checked("show", &["--events", "--metrics"]);

    let page = folder.path().join("page.html");
    let output = sim(&["report", &run, "--out", &page.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(page.is_file() && !Path::new(&run).join("report.html").exists(), "--out");
    assert_all_checked("report", &["--out"]);

    let listed = |dir: &str| text(&sim(&["list", dir]).stdout);
    fs::copy(root().join("scenarios/smoke.toml"), folder.path().join("alone.toml")).expect("a copy");
    let other = listed(&folder.path().display().to_string());
    assert!(other.contains("alone.toml") && !other.contains("fleet-10k") && listed("scenarios").contains("fleet-10k"));
    assert_all_checked("list", &[]);
    assert_all_checked("schema", &[]);
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
    let fast = bad("fast.toml", "\"10s\"", "\"5ms\"");
    let large = bad("large.toml", "[phase]", "[[fleet.metric]]\nname = \"p\"\nbaseline = 1e306\n\n[phase]");
    let partial = folder.path().join("run.partial").display().to_string();
    let cases: [(&[&str], &[&str]); 15] = [
        (&["run", "scenarios/absent.toml"], &["scenarios/absent.toml", "hint"]),
        (&["run", &misspelt], &["misspelt.toml:", "publish_evry", "publish_every", "hint"]),
        (&["run", &unit], &["unit.toml:", "10 parsecs", "hint"]),
        (&["run", &setting], &["setting.toml:", "raw_shards", "1 to 10000", "hint"]),
        (&["run", &unknown], &["unknown.toml:", "raw_shard", "hint"]),
        (&["run", "scenarios/smoke.toml", "--seed", "seven"], &["--seed", "seven"]),
        (&["run", &fast], &["fast.toml:", "publish_every", "13ms", "80 readings a second"]),
        (&["run", &large], &["large.toml:", "baseline", "1e12", "hint"]),
        (&["run", "scenarios/smoke.toml", "--seed", "-1"], &["--seed", "a whole number from 0"]),
        (&["run", "scenarios/smoke.toml", "--devices", "-5"], &["--devices", "a whole number from 1"]),
        (&["run", "scenarios/smoke.toml", "--out", "scenarios"], &["scenarios", "hint"]),
        (&["run", "scenarios/smoke.toml", "--out", "/"], &["cannot be the name of a run folder", "runs/smoke"]),
        (&["run", "scenarios/smoke.toml", "--out", &partial], &["run.partial", "not finished", "hint"]),
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
fn a_canary_that_holds_has_failed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let canary = folder.path().join("canary.toml");
    let smoke = fs::read_to_string(root().join("scenarios/smoke.toml")).expect("the scenario");
    fs::write(&canary, smoke.replace("verdict = \"held\"", "verdict = \"unsettled\"")).expect("a temporary file");
    let mut args = SHORT.to_vec();
    let canary = canary.display().to_string();
    args[1] = &canary;
    let output = sim(&args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("held (the scenario expects unsettled)"), "{stdout}");
    assert!(stderr.contains("the scenario expects unsettled, but the run held"), "{stderr}");
    assert!(stderr.lines().last().is_some_and(|line| line.starts_with("cargo sim run ")), "{stderr}");
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
    let device = sim(&["report", &run, "--out", "/dev/null"]);
    assert_eq!(device.status.code(), Some(2), "{}", text(&device.stderr));
    assert!(text(&device.stderr).contains("not a regular file"), "{}", text(&device.stderr));
}

#[test]
fn the_command_that_a_report_names_repeats_its_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run").display().to_string();
    let summary = json(&short(&["--out", &run, "--events", "messages", "--format", "json"]));
    assert!(sim(&["report", &run]).status.success());
    let page = fs::read_to_string(Path::new(&run).join("report.html")).expect("the page");
    let command = page.split_once("Repeat it with <code>").and_then(|(_, rest)| rest.split_once("</code>"));
    let (command, _) = command.expect("a command that repeats the run");
    let words = command.strip_prefix("cargo sim ").expect("a command of this program").split(' ');
    let again = json(&sim(&words.chain(["--format", "json"]).collect::<Vec<_>>()));
    assert_eq!(again["digest"], summary["digest"], "{command}");
}

#[test]
fn a_build_without_the_simulated_runtime_refuses_to_start_and_says_how_to_build_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("sim");
    let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--crate-name", "sim", "sim/src/main.rs", "-o"])
        .arg(&program)
        .current_dir(root())
        .output()
        .expect("rustc starts");
    assert!(rustc.status.success(), "{}", text(&rustc.stderr));
    let output = Command::new(&program).arg("list").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("--cfg madsim") && stderr.contains("cargo sim"), "{stderr}");
    assert!(output.stdout.is_empty());
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
