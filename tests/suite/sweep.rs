//! Sweeps on the command line: the same rows whatever the jobs, results that are resumed, merged and refused, failures
//! with their run folders, and exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::support::root;

/// A swarm of small, short runs.
const SWARM: &str = "title = \"t\"\nwhy = \"w\"\n[swarm]\ndevices_max = 3\nreadings_max = 60\nhardship_min = \"30s\"\nhardship_max = \"1min\"\n";
/// A run that a canary expects to be unsettled, and that is: peace is too short.
const HASTY: &str = "title = \"t\"\nwhy = \"w\"\n[[fleet]]\nkind = \"synthetic\"\ntenant = \"acme\"\ndevices = 2\n\
                     publish_every = \"5s\"\n[phase]\nhardship = \"70s\"\npeace = \"2s\"\n";

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).expect("a file"));
        Bench { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sim(&self, words: &str) -> Output {
        let words = words.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(words)
            .current_dir(self.folder.path())
            .output()
            .expect("sim starts")
    }

    /// The report of a command that ends with this code.
    fn report(&self, words: &str, code: i32) -> Value {
        let output = self.sim(&format!("{words} --format json"));
        assert_eq!(output.status.code(), Some(code), "{words}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{words}: {e}: {}", text(&output.stdout)))
    }

    /// The rows of a folder by seed, without what depends on the machine.
    fn rows(&self, folder: &str) -> Vec<Value> {
        let written = fs::read_to_string(self.path(folder).join("results.jsonl")).expect("results");
        let mut rows: Vec<Value> =
            written.lines().skip(1).map(|line| serde_json::from_str(line).expect("a row")).collect();
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().expect("an object").remove("wall_s")));
        rows.sort_by_key(|row| row["seed"].as_u64());
        rows
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is UTF-8")
}

fn seeds(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["seed"].as_u64().expect("a seed")).collect()
}

#[test]
fn a_seed_comes_to_the_same_whatever_runs_beside_it_and_whoever_runs_it() {
    let bench = Bench::new(&[("s.toml", SWARM)]);
    let whole = bench.report("sweep s.toml --seeds 0..9 --jobs 3 --out whole", 0);
    assert_eq!((&whole["seeds"], &whole["ends"]["held"], &whole["left"]), (&9.into(), &9.into(), &0.into()));
    assert_eq!(whole["speed"]["jobs"], 3);
    for index in 0..2 {
        bench.report(&format!("sweep s.toml --seeds 0..9 --jobs 1 --shard {index}/2 --out part-{index} --quiet"), 0);
    }
    assert_eq!(seeds(&bench.rows("part-1")), [1, 3, 5, 7]);
    let merged = bench.report("merge all part-0 part-1", 0);
    assert_eq!(bench.rows("all"), bench.rows("whole"));
    for same in ["ends", "marks", "faults", "ran", "devices", "delivered"] {
        assert_eq!(merged[same], whole[same], "{same}");
    }
    let run: Value =
        serde_json::from_slice(&bench.sim("run s.toml --seed 4 --format json --quiet").stdout).expect("JSON");
    assert_eq!(bench.rows("whole")[4]["digest"], run["digest"], "a row is what `sim run` comes to");
}

#[test]
fn a_sweep_goes_on_where_it_was_stopped_and_refuses_results_of_something_else() {
    let bench = Bench::new(&[("s.toml", SWARM)]);
    bench.report("sweep s.toml --seeds 0..4 --out kept", 0);
    let file = bench.path("kept").join("results.jsonl");
    let before = fs::read_to_string(&file).expect("results");
    let more = bench.report("sweep s.toml --seeds 2..7 --out kept", 0);
    assert_eq!((&more["seeds"], &more["ran"], &more["speed"]["seeds"]), (&5.into(), &"2..7".into(), &3.into()));
    let after = fs::read_to_string(&file).expect("results");
    assert!(after.starts_with(&before), "what was there is left as it was");
    assert_eq!(seeds(&bench.rows("kept")), [0, 1, 2, 3, 4, 5, 6]);
    // A request to stop that is there from the start is one that was met before.
    fs::write(bench.path("kept").join("stop"), "").expect("a file");
    bench.report("sweep s.toml --seeds 0..8 --out kept", 0);
    assert!(!bench.path("kept").join("stop").exists());
    fs::write(bench.path("s.toml"), format!("{SWARM}faults_max = 0\n")).expect("a file");
    let refused = bench.sim("sweep s.toml --seeds 0..2 --out kept");
    assert_eq!(refused.status.code(), Some(2));
    let message = text(&refused.stderr);
    assert!(message.contains("of another scenario") && message.contains("hint: give a new folder"), "{message}");
}

#[test]
fn a_sweep_that_is_killed_or_told_to_stop_loses_nothing_that_had_ended() {
    let bench = Bench::new(&[("s.toml", SWARM)]);
    let file = bench.path("kept").join("results.jsonl");
    let written = || fs::read_to_string(&file).unwrap_or_default().lines().skip(1).count();
    let start = || {
        let words = ["sweep", "s.toml", "--seeds", "0..100000", "--jobs", "2", "--out", "kept", "--quiet"];
        let mut sim = Command::new(env!("CARGO_BIN_EXE_sim"));
        sim.args(words).current_dir(bench.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sim.spawn().expect("sim starts")
    };
    let (_open, clock) = mpsc::channel::<()>();
    let until = |rows: usize| {
        let looks = (0..6_000).find(|_| written() >= rows || clock.recv_timeout(Duration::from_millis(10)).is_ok());
        assert!(looks.is_some(), "no {rows} rows within a minute");
    };
    let mut killed = start();
    until(3);
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");
    let before = written();
    assert!(before >= 3);
    let stopped = start();
    until(before + 2);
    fs::write(bench.path("kept").join("stop"), "").expect("a file");
    let output = stopped.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("seeds were not run"), "{}", text(&output.stderr));
    let ran = seeds(&bench.rows("kept"));
    let each: std::collections::BTreeSet<u64> = ran.iter().copied().collect();
    assert!(ran.len() >= before + 2 && each.len() == ran.len(), "{ran:?}");
    assert!(text(&output.stdout).contains(&format!("seeds     {} (", ran.len())), "{}", text(&output.stdout));
}

#[test]
fn failures_are_kept_with_their_folders_and_end_with_the_command_that_repeats_them() {
    let bench = Bench::new(&[("hasty.toml", HASTY)]);
    let output = bench.sim("sweep hasty.toml --seeds 0..3 --peace 2s --out kept --jobs 2");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    let (shown, told) = (text(&output.stdout), text(&output.stderr));
    assert!(shown.contains("unsettled") && shown.contains("the last owed readings reached the lake"), "{shown}");
    let repeat = told.trim_end().lines().last().expect("a last line").strip_prefix("cargo sim ").expect("a command");
    assert_eq!(repeat, "run hasty.toml --seed 0 --peace 2s");
    assert_eq!(bench.sim(repeat).status.code(), Some(3));
    for (seed, row) in bench.rows("kept").iter().enumerate() {
        let run = record::RunReader::open(&bench.path(&format!("kept/failures/seed-{seed}"))).expect("a run folder");
        let digest = serde_json::to_value(run.summary().digest).expect("JSON");
        assert_eq!((row["end"].as_str(), &row["digest"]), (Some("unsettled"), &digest));
        assert!(run.events().expect("events").count() > 100);
    }
    bench.report("merge all kept", 3);
    assert!(record::RunReader::open(&bench.path("all/failures/seed-2")).is_ok(), "folders of failures are merged too");
    // With enough failures no further seed is begun.
    let few = bench.report("sweep hasty.toml --seeds 0..40 --jobs 1 --stop-after 1", 3);
    assert!((1..5).contains(&few["seeds"].as_u64().expect("a number")), "{}", few["seeds"]);
    assert_eq!(few["left"].as_u64().expect("a number") + few["seeds"].as_u64().expect("a number"), 40);
}

#[test]
fn exit_codes_are_those_of_runs() {
    let canary = format!("{HASTY}[expect]\nverdict = \"unsettled\"\n");
    let broken = format!("{SWARM}[platform]\nraw_shards = 0\n");
    let budget = format!("{}[expect]\nbudget = {{ latency_p99 = \"1s\" }}\n", HASTY.replace("\"2s\"", "\"3min\""));
    let holds = canary.replace("\"2s\"", "\"3min\"");
    let bench = Bench::new(&[
        ("hasty.toml", HASTY),
        ("canary.toml", &canary),
        ("holds.toml", &holds),
        ("broken.toml", &broken),
        ("budget.toml", &budget),
    ]);
    for (file, code, end) in [
        ("hasty", 3, "unsettled"),
        ("canary", 0, "unsettled"),
        ("holds", 1, "held"),
        ("broken", 2, "refused"),
        ("budget", 1, "violated"),
    ] {
        let report = bench.report(&format!("sweep {file}.toml --seeds 0..2"), code);
        assert_eq!(report["ends"][end], 2, "{file}: {}", report["ends"]);
    }
    for (words, problem) in [
        ("sweep hasty.toml --seeds 3..3", "is empty"),
        ("sweep hasty.toml --seeds 0..3 --shard 3/3", "not below 3"),
        ("sweep gone.toml --seeds 0..3", "does not exist"),
        ("sweep hasty.toml --seeds 0..3 --peace 9d", "--peace"),
        ("sweep hasty.toml", "--seeds"),
        ("merge all", "<DIR>"),
        ("merge all gone", "cannot be read"),
    ] {
        let output = bench.sim(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(text(&output.stderr).contains(problem), "{words}: {}", text(&output.stderr));
    }
}

#[test]
fn what_a_swarm_draws_can_be_printed_and_run() {
    let bench = Bench::new(&[("s.toml", SWARM)]);
    let drawn = text(&bench.sim("draw s.toml --seed 11").stdout);
    assert_ne!(drawn, text(&bench.sim("draw s.toml --seed 12").stdout));
    // Under the same name it is the same run.
    fs::create_dir(bench.path("drawn")).expect("a folder");
    fs::write(bench.path("drawn/s.toml"), &drawn).expect("a file");
    let digest = |words: &str| -> Value {
        let output = bench.sim(&format!("{words} --format json --quiet"));
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["digest"].clone()
    };
    assert_eq!(digest("run drawn/s.toml"), digest("run s.toml --seed 11"));
    let plain = bench.sim("draw drawn/s.toml");
    assert!(plain.status.code() == Some(2) && text(&plain.stderr).contains("no table [swarm]"));
}

#[test]
fn quiet_and_loud_differ_and_every_flag_is_checked() {
    let bench = Bench::new(&[("s.toml", SWARM)]);
    assert_eq!(text(&bench.sim("sweep s.toml --seeds 0..2 --quiet").stderr), "");
    let flags = |command: &str| -> Vec<String> {
        let help = text(&bench.sim(&format!("{command} --help")).stdout);
        let words = help.split_whitespace().filter(|word| word.starts_with("--"));
        words.map(|word| word.trim_matches(|c: char| !c.is_ascii_alphabetic() && c != '-').to_owned()).collect()
    };
    let suite = fs::read_to_string(root().join("tests/suite/sweep.rs")).expect("this file");
    for command in ["sweep", "merge", "draw"] {
        for flag in flags(command) {
            assert!(suite.matches(flag.as_str()).count() > 0, "{command} {flag}");
        }
    }
    let few = bench.report("sweep s.toml --seeds 0..2 --devices 1 --hardship 20s", 0);
    assert_eq!(few["devices"], 2, "one device in each of two runs");
}

/// A sweep of the repository's own swarm, from its root.
#[test]
fn the_swarm_of_the_repository_is_swept_by_its_documented_command() {
    let swarm = Path::new("scenarios/swarm.toml");
    assert!(root().join(swarm).exists());
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["sweep", "scenarios/swarm.toml", "--seeds", "0..4", "--format", "json"])
        .current_dir(root())
        .output()
        .expect("sim starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["seeds"]), (Some(0), &4.into()), "{}", report["failures"]);
}
