//! What a person does with a failing run, as a person meets it: `replay`, `explain`, `diff` and `shrink`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::assert_all_checked;
use crate::support::root;

fn sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(args).current_dir(root()).output().expect("sim starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is UTF-8")
}

fn both(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// A run folder of a small scenario, and its path as a text.
fn recorded(folder: &TempDir, name: &str, seed: &str, more: &[&str]) -> String {
    let out = folder.path().join(name).display().to_string();
    let base = ["run", "scenarios/smoke.toml", "--devices", "3", "--hardship", "30s", "--quiet", "--seed", seed];
    let output = sim(&[&base[..], more, &["--out", &out]].concat());
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", both(&output));
    out
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_replay_comes_to_the_digest_of_its_folder_and_says_so_when_it_does_not() {
    let folder = folder();
    let run = recorded(&folder, "run", "7", &[]);
    let same = sim(&["replay", &run]);
    assert_eq!(same.status.code(), Some(0), "{}", both(&same));
    let summary = Path::new(&run).join("summary.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&summary).expect("a summary")).expect("JSON");
    assert!(text(&same.stdout).contains(value["digest"].as_str().expect("a digest")), "{}", both(&same));
    let other = sim(&["replay", &run, "--seed", "8"]);
    assert_eq!(other.status.code(), Some(0), "another seed is another run: {}", both(&other));
    value["digest"] = "0123456789abcdef".into();
    fs::write(&summary, value.to_string()).expect("written");
    let differs = sim(&["replay", &run]);
    assert_eq!(differs.status.code(), Some(4), "{}", both(&differs));
    let said = text(&differs.stderr);
    assert!(said.contains("ANOTHER RUN") && said.contains("0123456789abcdef"), "{said}");
    assert!(said.trim_end().ends_with(&format!("cargo sim replay {run}")), "{said}");
}

#[test]
fn a_replay_prints_the_events_that_it_is_asked_for() {
    let folder = folder();
    let run = recorded(&folder, "run", "7", &["--events", "messages"]);
    let kept = text(&sim(&["show", &run, "--events"]).stdout);
    let from = text(&sim(&["replay", &run, "--from-event", "40", "--count", "5", "--events", "messages"]).stdout);
    let expected: Vec<&str> = kept.lines().skip(40).take(5).collect();
    assert_eq!(from.lines().collect::<Vec<_>>(), expected);
    let until = text(&sim(&["replay", &run, "--until", "10s", "--count", "4"]).stdout);
    assert_eq!(until.lines().count(), 4, "{until}");
    assert!(
        until.lines().all(
            |line| (line.contains("T00:00:0") || line.contains("T00:00:10.000000Z")) && !line.contains(" message ")
        ),
        "{until}"
    );
    let instant = text(&sim(&["replay", &run, "--until", "2026-03-01T00:00:10Z", "--count", "4"]).stdout);
    assert_eq!(instant, until);
    for (args, words) in [
        (&["--from-event", "99999999"][..], "has no event"),
        (&["--until", "2020-01-01T00:00:00Z"][..], "before the run begins"),
        (&["--events", "calls"][..], "--until or --from-event"),
        (&["--until", "soon"][..], "such as 2026-03-01T00:02:00Z"),
    ] {
        let refused = sim(&[&["replay", run.as_str()][..], args].concat());
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", both(&refused));
        assert!(text(&refused.stderr).contains(words), "{args:?}: {}", both(&refused));
    }
}

#[test]
fn equal_runs_are_equal_and_those_of_two_seeds_part_at_an_event() {
    let folder = folder();
    let [a, b] = ["a", "b"].map(|name| recorded(&folder, name, "7", &[]));
    let equal = sim(&["diff", &a, &b]);
    assert_eq!(equal.status.code(), Some(0), "{}", both(&equal));
    assert!(text(&equal.stdout).contains("equal: the same value"), "{}", both(&equal));
    let c = recorded(&folder, "c", "8", &["--peace", "4min"]);
    let output = sim(&["diff", &a, &c, "--format", "json", "--context", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", both(&output));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys = |list: &str| -> Vec<String> {
        let figures = told[list].as_array().expect("a list").iter();
        figures.map(|figure| figure["key"].as_str().expect("a key").to_owned()).collect()
    };
    assert!(keys("manifest").contains(&"seed".to_owned()) && keys("manifest").contains(&"flags.peace".to_owned()));
    assert!(keys("summary").contains(&"digest".to_owned()), "{:?}", keys("summary"));
    // The first event that differs, by looking at all.
    let lines =
        |run: &str| text(&sim(&["show", run, "--events"]).stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (lines(&a), lines(&c));
    let at = first.iter().zip(&second).position(|(x, y)| x != y).expect("they differ");
    assert_eq!(told["events"]["first"][0], Value::from(first[at].clone()));
    assert_eq!(told["events"]["second"][0], Value::from(second[at].clone()));
    assert_eq!(told["events"]["before"].as_array().map(Vec::len), Some(at.min(2)));
    let plain = text(&sim(&["diff", &a, &c]).stdout);
    assert!(plain.contains("seed: 7 and 8") && plain.contains("from where they part, in the first run"), "{plain}");
}

#[test]
fn runs_of_one_value_that_differ_are_not_deterministic() {
    let folder = folder();
    let [a, b] = ["a", "b"].map(|name| recorded(&folder, name, "7", &[]));
    let summary = Path::new(&b).join("summary.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&summary).expect("a summary")).expect("JSON");
    value["delivered"] = 1.into();
    fs::write(&summary, value.to_string()).expect("written");
    let output = sim(&["diff", &a, &b]);
    assert_eq!(output.status.code(), Some(4), "{}", both(&output));
    assert!(text(&output.stdout).contains("delivered: "), "{}", both(&output));
}

#[test]
fn folders_that_are_damaged_are_named_with_a_hint() {
    let folder = folder();
    let good = recorded(&folder, "good", "7", &[]);
    let damaged = |name: &str, file: &str, damage: &dyn Fn(&Path)| -> String {
        let copy = folder.path().join(name);
        fs::create_dir(&copy).expect("a folder");
        for entry in fs::read_dir(&good).expect("the folder") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("a copy");
        }
        damage(&copy.join(file));
        copy.display().to_string()
    };
    let truncate = |path: &Path| {
        let bytes = fs::read(path).expect("a file");
        fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    };
    let remove = |path: &Path| fs::remove_file(path).expect("removed");
    let other_version = |path: &Path| {
        let text = fs::read_to_string(path).expect("a manifest");
        fs::write(path, text.replace("\"schema_version\": 1", "\"schema_version\": 99")).expect("written");
    };
    let events = damaged("events", "events.parquet", &truncate);
    let manifest = damaged("manifest", "manifest.json", &remove);
    let version = damaged("version", "manifest.json", &other_version);
    let nowhere: PathBuf = folder.path().join("nowhere");
    let nowhere = nowhere.display().to_string();
    // Another seed, so that the events are looked at.
    let other = recorded(&folder, "other", "8", &[]);
    for (args, words) in [
        (vec!["diff", &other, &events], "events.parquet` is truncated or is not Parquet"),
        (vec!["replay", &manifest], "has no file `manifest.json`"),
        (vec!["explain", &version], "has schema version 99"),
        (vec!["shrink", &version], "has schema version 99"),
        (vec!["diff", &good, &nowhere], "does not exist"),
        (vec!["replay", &nowhere], "does not exist"),
    ] {
        let output = sim(&args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words) && said.contains("hint: "), "{args:?}: {said}");
    }
}

#[test]
fn a_planted_bug_is_explained_and_shrunk_from_its_run_folder() {
    let folder = folder();
    let file = folder.path().join("planted.toml");
    let scenario = "title = \"t\"\nwhy = \"w\"\nseeds = [7]\n[[fleet]]\nkind = \"synthetic\"\ntenant = \"acme\"\n\
                    devices = 4\npublish_every = \"2s\"\n[phase]\nhardship = \"2min\"\npeace = \"5min\"\n\
                    [[fault]]\nkind = \"slow-service\"\nprobability = 0.2\ndelay = \"100ms\"\n";
    fs::write(&file, scenario).expect("written");
    let run = folder.path().join("run").display().to_string();
    let planted = ["run", file.to_str().expect("a path"), "--quiet", "--bug", BUG, "--out", &run];
    let output = sim(&planted);
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    let explained = sim(&["explain", &run]);
    assert_eq!(explained.status.code(), Some(0), "{}", both(&explained));
    for words in ["violated", "the way of acme/synthetic-", "takes the reading into its queue", "where the trail ends"]
    {
        assert!(text(&explained.stdout).contains(words), "{words}\n{}", both(&explained));
    }
    let json = sim(&["explain", &run, "--format", "json"]);
    let story: Value = serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", both(&json)));
    assert!(story["hops"].as_array().is_some_and(|hops| hops.len() > 5), "{story}");
    let out = folder.path().join("small.toml").display().to_string();
    let shrunk = sim(&["shrink", &run, "--out", &out, "--jobs", "2"]);
    assert_eq!(shrunk.status.code(), Some(0), "{}", both(&shrunk));
    let small = sim::scenario::Scenario::load(Path::new(&out)).unwrap_or_else(|error| panic!("{error}"));
    assert!(small.devices() == 1 && small.faults.is_empty(), "{}", small.source.text);
    assert!(small.source.text.contains(&format!("--bug {BUG}")), "{}", small.source.text);
    let again = sim(&["run", &out, "--quiet", "--bug", BUG]);
    assert_eq!(again.status.code(), Some(1), "it still fails: {}", both(&again));
    assert_eq!(sim(&["shrink", &run, "--out", &out]).status.code(), Some(2), "nothing is overwritten");
    let stopped = sim(&["shrink", &run, "--budget", "1ms", "--quiet"]);
    assert!(text(&stopped.stderr).contains("the budget of 1ms was used up"), "{}", both(&stopped));
}

/// A planted bug that needs no fault.
const BUG: &str = "dropped-last-reading";

#[test]
fn what_held_has_no_story_but_that_of_a_reading() {
    let folder = folder();
    let run = recorded(&folder, "run", "7", &[]);
    for verb in ["explain", "shrink"] {
        let output = sim(&[verb, &run]);
        assert_eq!(output.status.code(), Some(2), "{verb}: {}", both(&output));
        assert!(text(&output.stderr).contains("held: there is no failure to"), "{verb}: {}", both(&output));
    }
    let way = sim(&["explain", &run, "--reading", "acme-01/sensors-00001/1"]);
    assert_eq!(way.status.code(), Some(0), "{}", both(&way));
    assert!(text(&way.stdout).contains("Athena answers with its row"), "{}", both(&way));
    let other = sim(&["explain", &run, "--reading", "acme-01/sensors-00001/1", "--seed", "8"]);
    assert!(text(&other.stdout).contains("smoke seed 8: held") && other.stdout != way.stdout, "{}", both(&other));
    let other = sim(&["shrink", &run, "--seed", "8"]);
    assert!(text(&other.stderr).contains("smoke seed 8"), "{}", both(&other));
}

#[test]
fn every_flag_of_these_commands_is_checked_above() {
    assert_all_checked("replay", &["--seed", "--until", "--from-event", "--count", "--events"]);
    assert_all_checked("explain", &["--seed", "--reading", "--format"]);
    assert_all_checked("diff", &["--context", "--format"]);
    assert_all_checked("shrink", &["--seed", "--budget", "--out", "--jobs", "--quiet"]);
}
