//! The script of a child of an array job of AWS Batch, with stand-ins for `aws` and `sim`: what it asks of both, that it takes
//! over what an interrupted attempt left, and that it ends as its sweep does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::root;

/// `aws s3 sync [flags] FROM TO`, where s3:// is a folder.
const AWS: &str = "#!/bin/bash\nset -e\necho \"$*\" >> \"$STORE/calls\"\nfrom=\"${@: -2:1}\" to=\"${@: -1}\"\n\
                   from=\"${from/s3:\\/\\//$STORE/}\" to=\"${to/s3:\\/\\//$STORE/}\"\n\
                   if [ -d \"$from\" ]; then mkdir -p \"$to\"; cp -r \"$from/.\" \"$to/\"; fi\n";
/// Adds a line to the results, and ends with a code.
const SIM: &str = "#!/bin/bash\necho \"$*\" >> \"${@: -1}/results.jsonl\"\nsleep 1\nexit \"$CODE\"\n";

fn stand_in(path: &Path, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn a_child_runs_its_shard_keeps_its_results_and_goes_on_after_an_interruption() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = |name: &str| folder.path().join(name);
    for name in ["bin", "store"] {
        fs::create_dir(dir(name)).expect("a folder");
    }
    stand_in(&dir("bin/aws"), AWS);
    stand_in(&dir("bin/sim"), SIM);
    let attempt = |work: &str, code: &str| {
        let path = format!("{}:{}", dir("bin").display(), std::env::var("PATH").expect("a path"));
        let mut child = Command::new("bash");
        child.arg(root().join("deploy/batch/run-shard.sh")).env("PATH", path).env("STORE", dir("store"));
        child.env("WORK", dir(work)).env("CODE", code).env("UPLOAD_EVERY_S", "1");
        child.envs([("SCENARIO", "scenarios/swarm.toml"), ("SEEDS", "0..9"), ("SHARDS", "4")]);
        child.envs([("RESULTS", "s3://bucket/sweeps/a"), ("AWS_BATCH_JOB_ARRAY_INDEX", "3")]);
        child.output().expect("bash starts")
    };
    let interrupted = attempt("first", "143");
    assert_eq!(interrupted.status.code(), Some(143), "{}", String::from_utf8_lossy(&interrupted.stderr));
    // Another machine, with nothing but what was uploaded.
    assert_eq!(attempt("second", "3").status.code(), Some(3));
    let results = fs::read_to_string(dir("store/bucket/sweeps/a/shard-3/results.jsonl")).expect("uploaded results");
    let sweep = |work: &str| {
        let out = dir(work).join("shard-3");
        format!("sweep scenarios/swarm.toml --seeds 0..9 --shard 3/4 --out {}", out.display())
    };
    assert_eq!(results.lines().collect::<Vec<_>>(), [sweep("first"), sweep("second")]);
    let calls = fs::read_to_string(dir("store/calls")).expect("calls of aws");
    assert!(calls.lines().filter(|call| call.starts_with("s3 sync --only-show-errors ")).count() >= 6, "{calls}");
    assert!(calls.contains("--exclude *.partial-* "), "unfinished run folders stay behind: {calls}");
}

#[test]
fn the_template_gives_the_script_what_it_asks_for() {
    let script = fs::read_to_string(root().join("deploy/batch/run-shard.sh")).expect("the script");
    let template = fs::read_to_string(root().join("deploy/batch/sweep.yaml")).expect("the template");
    let asked: Vec<&str> =
        script.split("${").skip(1).filter_map(|rest| rest.split_once(":?}")).map(|(name, _)| name).collect();
    assert_eq!(asked, ["RESULTS", "SCENARIO", "SEEDS", "SHARDS"]);
    for name in asked {
        assert!(template.contains(&format!("- Name: {name}\n")), "{name}");
    }
    // Every exit code of a sweep that found something ends the job; none of them is tried again.
    for code in ["1", "2", "3", "4", "101"] {
        assert!(template.contains(&format!("- OnExitCode: \"{code}\"\n            Action: EXIT")), "{code}");
    }
}
