//! What the command line comes to, as far as nothing has to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use record::{
    Build, Calls, Detection, DetectionFigures, Digest, EventRow, LatencyMs, Manifest, RunFolder, SCHEMA_VERSION,
    Summary, Verdict, Violation,
};

use super::args::{Cli, Command, Events, Format, RunArgs, repeat_command};
use super::child::{ChildRun, summary_of};
use super::run::{Plan, rendered};
use super::*;
use crate::scenario::{Overrides, Scenario};
use crate::world::runtime::simulate;
use crate::world::seed::Seed;
use crate::world::time::Time;

const SCENARIO: &str = "title = \"Two fleets\"\nwhy = \"w\"\nseeds = [5, 6]\n[[fleet]]\nkind = \"synthetic\"\n\
                        tenant = \"acme\"\ndevices = 4\npublish_every = \"10s\"\n[phase]\nhardship = \"10min\"\npeace = \"3min\"\n";

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.toml");
    fs::write(&file, SCENARIO).unwrap();
    (folder, file)
}

fn run_args(file: &Path, flags: &[&str]) -> RunArgs {
    let words = ["sim", "run", file.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    match Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{flags:?}: {e}")).command {
        Command::Run(args) => args,
        other => panic!("{other:?}"),
    }
}

fn summary() -> Summary {
    let mut summary = Summary::new("two", 5);
    summary.digest = Digest(0xab);
    summary.simulated_s = 780.0;
    summary.devices = 4;
    summary.published = 12_345;
    summary.acknowledged = 12_345;
    summary.delivered = 12_000;
    summary.missing = 345;
    summary.throttles = 2;
    summary.latency_ms = LatencyMs { p50: Some(31_250.0), p99: Some(64_000.0), max: Some(900.0) };
    summary.calls.insert("kinesis:PutRecords".to_owned(), Calls { ok: 1_000, throttled: 2, error: 0 });
    summary.counters.insert("s3:PutBytes".to_owned(), 1_234_567);
    summary.violations =
        vec![Violation { invariant: "order".to_owned(), message: "acme/acme-1 seq 2".to_owned(), reading: None }];
    summary.verdict = Verdict::Violated;
    summary.set_wall_clock(2.0, Some(300 << 20));
    summary
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_run_has_an_effect() {
    let (_folder, file) = folder();
    let plain = run_args(&file, &[]);
    let out: &[&str] = &["--out", "kept"];
    for argument in Cli::command().find_subcommand("run").unwrap().get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        let with = |values: &[&str]| run_args(&file, values);
        let changed = match flag {
            "help" => continue,
            "seed" => Plan::of(&with(&["--seed", "7"])).unwrap().seed == 7 && Plan::of(&plain).unwrap().seed == 5,
            "hardship" => Plan::of(&with(&["--hardship", "1min"])).unwrap().scenario.phase.hardship.as_secs() == 60,
            "peace" => Plan::of(&with(&["--peace", "1min"])).unwrap().scenario.phase.peace.as_secs() == 60,
            "devices" => Plan::of(&with(&["--devices", "9"])).unwrap().scenario.devices() == 9,
            "out" => with(out).out == Some("kept".into()) && with(out).events == Some(Events::Calls),
            "events" => {
                let args = with(&["--out", "kept", "--events", "messages"]);
                Plan::of(&args).unwrap().settings["events"] == "messages" && args.events != with(out).events
            }
            "bug" => Plan::of(&with(&["--bug", "wrong-unit"])).unwrap().settings["bug"] == "wrong-unit",
            "quiet" => with(&["--quiet"]).quiet && !plain.quiet,
            "format" => {
                let scenario = Scenario::load(&file).unwrap();
                let shown = |args: &RunArgs| rendered(&summary(), &scenario, args.format);
                shown(&with(&["--format", "json"])) != shown(&plain)
            }
            other => panic!("`--{other}` has no line in this test: say here what it changes"),
        };
        assert!(changed, "`--{flag}` has no effect");
    }
}

#[test]
fn every_flag_of_verify_and_bench_has_an_effect() {
    let (_folder, file) = folder();
    let plan = |verb: &str, flags: &[&str]| {
        let words = ["sim", verb, file.to_str().unwrap()].into_iter().chain(flags.iter().copied());
        let args = match Cli::try_parse_from(words).unwrap().command {
            Command::Verify(args) => args.run_args(),
            Command::Bench(args) => args.run_args(*args.devices.last().unwrap()),
            other => panic!("{other:?}"),
        };
        assert_eq!((args.quiet, args.format), (true, Format::Json));
        Plan::of(&args).unwrap()
    };
    for verb in ["verify", "bench"] {
        for argument in Cli::command().find_subcommand(verb).unwrap().get_arguments() {
            let flags = match argument.get_long() {
                None | Some("help") => continue,
                Some("seed") => ["--seed", "7"],
                Some("hardship") => ["--hardship", "1min"],
                Some("peace") => ["--peace", "1min"],
                Some("devices") => ["--devices", "9"],
                Some("format") => {
                    let json = Cli::try_parse_from(["sim", verb, "--format", "json"]).unwrap().command;
                    assert!(matches!(json, Command::Bench(args) if args.format == Format::Json));
                    continue;
                }
                Some(other) => panic!("`--{other}` of {verb} has no line in this test: say here what it changes"),
            };
            assert_ne!(plan(verb, &flags), plan(verb, &[]), "{verb}: {flags:?} has no effect");
        }
    }
}

#[test]
fn flags_go_into_the_manifest_and_into_the_command_that_repeats_the_run() {
    let (_folder, file) = folder();
    let plan = Plan::of(&run_args(&file, &["--hardship", "90s", "--devices", "8", "--out", "x"])).unwrap();
    let settings: Vec<(&str, &str)> = plan.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("devices", "8"), ("events", "calls"), ("hardship", "1min30s")]);
    let expected = format!("cargo sim run {} --seed 5 --devices 8 --hardship 1min30s", file.display());
    assert_eq!(plan.repeat, expected);
    // The command is one that is understood, and comes to the same plan.
    let words = plan.repeat.strip_prefix("cargo sim run ").unwrap().split(' ').skip(1).collect::<Vec<_>>();
    let again = Plan::of(&run_args(&file, &words)).unwrap();
    assert_eq!((again.scenario, again.seed, again.repeat), (plan.scenario, plan.seed, plan.repeat));
}

#[test]
fn a_file_name_that_a_shell_would_split_is_quoted() {
    for (file, shown) in
        [("a.toml", "a.toml"), ("my runs/a.toml", "'my runs/a.toml'"), ("it's.toml", r"'it'\''s.toml'")]
    {
        let command = repeat_command("run", Path::new(file), 7, &Overrides::default());
        assert_eq!(command, format!("cargo sim run {shown} --seed 7"));
    }
}

#[test]
fn wrong_usage_is_refused_with_a_reason() {
    for (words, reason) in [
        (&["run"][..], "<FILE>"),
        (&["walk"], "unrecognized subcommand"),
        (&["run", "a.toml", "--sed", "7"], "--seed"),
        (&["run", "a.toml", "--seed", "x"], "a whole number from 0 to 18446744073709551615"),
        (&["run", "a.toml", "--seed", "-1"], "a whole number from 0"),
        (&["verify", "a.toml", "--seed", "-1"], "a whole number from 0"),
        (&["run", "a.toml", "--devices", "-5"], "a whole number from 1 to 500000"),
        (&["bench", "--devices", "-5"], "a whole number from 1 to 500000"),
        (&["run", "a.toml", "--hardship", "10sec"], "did you mean \"10s\"?"),
        (&["run", "a.toml", "--events", "messages"], "--out"),
        (&["run", "a.toml", "--format", "yaml"], "possible values: text, json"),
        (&["show", "x", "--events", "--metrics"], "cannot be used with"),
        (&["bench", "--devices", "many"], "a whole number from 1"),
    ] {
        let error = Cli::try_parse_from(["sim"].iter().chain(words)).expect_err(reason);
        assert_eq!(error.exit_code(), i32::from(USAGE), "{words:?}");
        assert!(error.to_string().contains(reason), "{words:?}: {reason:?} is missing in\n{error}");
    }
}

#[test]
fn a_missing_scenario_and_a_taken_folder_end_before_the_run() {
    let (folder, file) = folder();
    let missing = run::run(&run_args(Path::new("missing.toml"), &[])).unwrap_err();
    assert_eq!(missing.code, USAGE);
    assert!(missing.message.contains("missing.toml: does not exist") && missing.message.contains("`cargo sim list`"));
    let taken = run::run(&run_args(&file, &["--out", folder.path().to_str().unwrap()])).unwrap_err();
    assert_eq!(taken.code, USAGE);
    assert!(taken.message.contains("exists and is not empty") && taken.message.contains("hint: "), "{}", taken.message);
}

#[test]
fn what_was_detected_is_printed_where_something_failed() {
    let mut told = summary();
    assert!(!text::summary(&told, "", None).contains("recall"));
    let figures = DetectionFigures { failures: 4, found: 3, recall: Some(0.75), ..DetectionFigures::default() };
    let mut detection = Detection { all: figures, ..Detection::default() };
    detection.failures.insert("stuck".to_owned(), figures);
    let of = |kinds: &[(&str, u64)]| kinds.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect();
    detection.told_as.insert("stuck".to_owned(), of(&[("flatline", 2)]));
    detection.told_as.insert(record::NO_FAILURE.to_owned(), of(&[("spike", 1_234)]));
    told.detection = Some(detection);
    let shown = text::summary(&told, "", None);
    let line = shown.lines().find(|line| line.starts_with("failure: stuck")).unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["failure:", "stuck", "4", "3", "0.750", "0", "-", "-", "-"]
    );
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
        line[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("anomalies that lie in"), ["flatline", "spike"]);
    assert_eq!(
        (row("stuck"), row("none")),
        (vec!["2".to_owned(), "0".to_owned()], vec!["0".to_owned(), "1,234".to_owned()])
    );
}

#[test]
fn exit_codes_are_a_table() {
    let codes = [Verdict::Held, Verdict::Violated, Verdict::Unsettled, Verdict::NotDeterministic].map(verdict_code);
    assert_eq!((codes, USAGE, BUG), ([0, 1, 3, 4], 2, 101));
    for (verdict, expected, code) in [
        (Verdict::Held, Verdict::Held, 0),
        (Verdict::Held, Verdict::Unsettled, 1),
        (Verdict::Held, Verdict::Violated, 1),
        (Verdict::Unsettled, Verdict::Unsettled, 3),
        (Verdict::Unsettled, Verdict::Violated, 3),
        (Verdict::Violated, Verdict::Violated, 1),
        (Verdict::Violated, Verdict::Held, 1),
    ] {
        assert_eq!(run::exit_code(verdict, expected), code, "{verdict}, expected {expected}");
    }
}

#[test]
fn the_summary_names_everything_with_its_unit() {
    let (_folder, file) = folder();
    let scenario = Scenario::load(&file).unwrap();
    let shown = rendered(&summary(), &scenario, Format::Text);
    for line in [
        "verdict       violated (the scenario expects held)",
        "digest        00000000000000ab",
        "scenario      two: Two fleets",
        "published     12,345",
        "missing       345",
        "latency       p50 31.2 s, p99 64.0 s, max 900 ms; from publish to the moment the reading's file is in S3 (LastModified, rounded up to the next second): from then on a query returns it",
        "simulated     13min",
        "wall          2.00 s",
        "speedup       390 x real time",
        "delivered/s   6,000",
        "peak memory   300 MiB",
        "kinesis:PutRecords  1,000          2      0",
        "s3:PutBytes  1,234,567",
        "violated      order: acme/acme-1 seq 2",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line:?} is missing in\n{shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&rendered(&summary(), &scenario, Format::Json)).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).take(14).collect();
    let issue = "verdict digest scenario seed simulated_s wall_s speedup devices published acknowledged delivered duplicates missing latency_ms";
    assert_eq!(keys, issue.split(' ').collect::<Vec<_>>());
}

#[test]
fn the_expected_verdict_of_a_canary_is_named() {
    let mut summary = summary();
    summary.verdict = Verdict::Unsettled;
    for (expected, line) in [
        (Some(Verdict::Unsettled), "unsettled (as the scenario expects)"),
        (Some(Verdict::Held), "unsettled (the scenario expects held)"),
        (None, "unsettled"),
    ] {
        let shown = text::summary(&summary, "", expected);
        assert_eq!(shown.lines().next().unwrap().strip_prefix("verdict       "), Some(line));
    }
}

#[test]
fn a_fresh_process_gets_the_same_run() {
    let (folder, file) = folder();
    let overrides = Overrides { hardship: Some(Duration::from_secs(60)), peace: None, devices: Some(8) };
    let out = folder.path().join("first");
    let child = ChildRun { file: &file, seed: 9, overrides, out: Some((&out, Events::Messages)) };
    let words = std::iter::once("sim".into()).chain(child.arguments());
    let Command::Run(args) = Cli::try_parse_from(words).unwrap().command else { panic!("a run") };
    assert_eq!((args.seed, args.events, args.out.as_deref()), (Some(9), Some(Events::Messages), Some(out.as_path())));
    assert_eq!((args.format, args.quiet, args.overrides.overrides()), (Format::Json, true, overrides));
}

#[test]
fn a_process_that_ran_gives_its_summary_and_any_other_its_error() {
    let json = serde_json::to_vec(&summary()).unwrap();
    for code in [0, 1, 3] {
        assert_eq!(summary_of(&json, "", Some(code)).unwrap(), summary());
    }
    for (stdout, stderr, code, expected, part) in [
        (&json[..], "error: no such file\n", Some(2), 2, "no such file"),
        (b"", "thread panicked", Some(101), 101, "panicked"),
        (b"", "", None, 101, "ended by a signal"),
        (b"{", "", Some(0), 101, "printed no summary"),
    ] {
        let failure = summary_of(stdout, stderr, code).unwrap_err();
        assert_eq!(failure.code, expected, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

fn manifest() -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        scenario: record::ScenarioSource { name: "two".into(), path: "two.toml".into(), text: SCENARIO.into() },
        seed: 5,
        build: Build { version: "0.1.0".into(), cfg: vec!["madsim".into()], target: "x86_64-linux".into() },
        start: "2026-03-01T00:00:00.000Z".into(),
        settings: [("peace".to_owned(), "1min".to_owned())].into(),
    }
}

fn event_row(seq: u64, digest: u64) -> EventRow {
    EventRow {
        seq,
        time_us: 1_772_323_200_000_000 + seq as i64,
        level: 1,
        source: "kinesis".into(),
        kind: "PutRecords".into(),
        subject: format!("stream-{digest}"),
        detail: "{}".into(),
        digest,
    }
}

fn written_run(folder: &Path, digests: &[u64]) -> (PathBuf, Summary) {
    let run = RunFolder::create(folder).unwrap();
    for (seq, digest) in digests.iter().enumerate() {
        run.recorder().event(event_row(seq as u64, *digest));
    }
    let mut summary = summary();
    summary.digest = Digest(*digests.last().unwrap());
    (run.finish(&manifest(), &summary).unwrap(), summary)
}

#[test]
fn recording_draws_no_hash_keys_from_the_world() {
    let folder = tempfile::tempdir().unwrap();
    let after = |events: u64| {
        let run = RunFolder::create(&folder.path().join(events.to_string())).unwrap();
        let recorder = run.recorder();
        simulate(Seed::root(1), Time::from_unix_secs(1_772_323_200), move || async move {
            (0..events).for_each(|seq| recorder.event(event_row(seq, seq)));
            #[expect(clippy::disallowed_types, reason = "what the standard library draws is what is looked at")]
            std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "any")
        })
    };
    assert_eq!(after(20_000), after(0));
}

#[test]
fn two_runs_are_compared_event_by_event() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, digests: &[u64]| written_run(&folder.path().join(name), digests);
    let (base, summary) = run("base", &[1, 2, 3]);
    let compared =
        |(other, changed): &(PathBuf, Summary)| verify::compare([&summary, changed], [&base, other]).unwrap();
    assert_eq!(compared(&run("same", &[1, 2, 3])), None);
    let other = compared(&run("other", &[1, 7, 8])).unwrap();
    assert!(other.contains("first event that differs"), "{other}");
    assert!(other.contains("first   1 2026-03-01T00:00:00.000001Z call kinesis PutRecords stream-2"), "{other}");
    assert!(other.contains("second  1 2026-03-01T00:00:00.000001Z call kinesis PutRecords stream-7"), "{other}");
    let longer = compared(&run("longer", &[1, 2, 3, 4])).unwrap();
    assert!(longer.contains("first   the log ends\nsecond  3 "), "{longer}");
    let (path, mut changed) = run("summary", &[1, 2, 3]);
    changed.set_wall_clock(99.0, None);
    assert_eq!(compared(&(path.clone(), changed.clone())), None, "wall time may differ");
    changed.delivered += 1;
    assert!(compared(&(path, changed.clone())).unwrap().contains("delivered: 12000 and 12001"));
    let text = verify::of_keeping(&summary, &changed);
    assert!(text.contains("keeping events changes the run") && text.contains("delivered: 12000 and 12001"), "{text}");
}

#[test]
fn a_run_folder_is_shown_and_a_broken_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written_run(&folder.path().join("run"), &[1, 2]);
    let show = |words: &[&str]| match Cli::try_parse_from(["sim", "show"].iter().chain(words)).unwrap().command {
        Command::Show(args) => super::show::show(&args),
        other => panic!("{other:?}"),
    };
    for flags in [&[][..], &["--events"], &["--metrics"]] {
        let words: Vec<&str> = [path.to_str().unwrap()].into_iter().chain(flags.iter().copied()).collect();
        assert_eq!(show(&words), Ok(0));
    }
    let shown = super::show::manifest_text(&manifest());
    assert!(
        shown.contains("flags         --peace 1min") && shown.contains("build         0.1.0 for x86_64-linux (madsim)"),
        "{shown}"
    );
    let failure = show(&["no/such/run"]).unwrap_err();
    assert!(failure.code == USAGE && failure.message.contains("does not exist") && failure.message.contains("hint: "));
    fs::write(path.join("summary.json"), "{").unwrap();
    let failure = show(&[path.to_str().unwrap()]).unwrap_err();
    assert!(failure.code == USAGE && failure.message.contains("truncated or foreign"), "{}", failure.message);
}

#[test]
fn scenarios_are_listed_with_their_size() {
    let (folder, file) = folder();
    let row = super::list::row(&file, &Scenario::load(&file).unwrap());
    assert_eq!(row[1..], ["4", "10min", "3min", "5,6", "held", "Two fleets"].map(str::to_owned));
    let list = |dir: &Path| super::list::list(&super::args::ListArgs { dir: dir.to_owned() });
    assert_eq!(list(folder.path()), Ok(0));
    fs::write(folder.path().join("bad.toml"), "titel = 1").unwrap();
    assert_eq!(list(folder.path()), Ok(USAGE));
    let empty = tempfile::tempdir().unwrap();
    assert!(list(empty.path()).unwrap_err().message.contains("holds no scenario"));
    assert!(list(Path::new("no/such")).unwrap_err().message.contains("cannot be listed"));
}

#[test]
fn cost_is_compared_between_sizes() {
    let run = |devices: u64, readings: u64, wall_s: f64, memory: u64| {
        let mut s = Summary::new("fleet-10k", 1);
        (s.devices, s.delivered) = (devices, readings);
        s.set_wall_clock(wall_s, Some(memory));
        s
    };
    let sizes = |runs: &[Summary]| {
        runs.iter().fold(Vec::new(), |mut sizes, s| {
            let size = bench::size(s, sizes.last());
            sizes.push(size);
            sizes
        })
    };
    let linear =
        bench::report("fleet-10k", 1, sizes(&[run(1_000, 100_000, 2.0, 10 << 20), run(3_000, 300_000, 5.0, 30 << 20)]));
    let shown = bench::text(&linear);
    assert!(shown.contains("no more than linearly"), "{shown}");
    let json = serde_json::to_value(&linear).unwrap();
    assert_eq!(json["sizes"][1]["bytes_per_device"], f64::from(20 << 20) / 2_000.0);
    assert_eq!((&json["sizes"][0]["us_per_reading"], &json["more_than_linear"]), (&20.0.into(), &false.into()));
    let steep = bench::report("x", 1, sizes(&[run(1_000, 100_000, 1.0, 1), run(3_000, 300_000, 9.0, 1)]));
    assert!(bench::text(&steep).contains("MORE than linearly"));
    let one = bench::report("x", 1, sizes(&[run(1_000, 100_000, 1.0, 1)]));
    assert!(bench::text(&one).contains("two or more sizes"));
}

#[test]
fn numbers_are_set_apart_and_columns_line_up() {
    for (n, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(record::thousands(n), shown);
    }
    let table =
        text::table(&["name", "count "], &[vec!["a".into(), "1".into()], vec!["longer".into(), "1,000".into()]]);
    assert_eq!(table, "name    count\na           1\nlonger  1,000\n");
}
