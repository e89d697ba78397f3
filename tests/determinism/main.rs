//! Determinism before anything else: each scenario of the suite twice, in fresh processes, with equal digests.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn sim(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository");
    Command::new(env!("CARGO_BIN_EXE_sim")).args(args).current_dir(root).output().expect("sim starts")
}

fn assert_deterministic(args: &[&str]) {
    let output = sim(&[&["verify"], args].concat());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "sim verify {}:\n{stdout}{stderr}", args.join(" "));
    let digests: Vec<&str> = stdout
        .split_whitespace()
        .filter(|word| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect();
    assert!(digests.len() >= 2, "two digests are printed: {stdout}");
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{stdout}");
}

#[test]
fn smoke_twice() {
    assert_deterministic(&["scenarios/smoke.toml", "--seed", "7"]);
}

#[test]
fn replayed_series_twice() {
    assert_deterministic(&["scenarios/replay-nab.toml", "--seed", "1", "--hardship", "3min"]);
}

#[test]
fn a_large_fleet_shortened_twice() {
    assert_deterministic(&["scenarios/fleet-10k.toml", "--seed", "3", "--devices", "1000", "--hardship", "90s"]);
}

#[test]
fn an_unsettled_run_twice() {
    assert_deterministic(&["scenarios/canary-short-peace.toml"]);
}

#[test]
fn deployments_in_mid_traffic_twice() {
    assert_deterministic(&["scenarios/deploy-midflight.toml", "--seed", "7", "--devices", "20"]);
}

#[test]
fn unwell_services_twice() {
    assert_deterministic(&["scenarios/unwell-services.toml", "--seed", "7"]);
}

#[test]
fn crashing_functions_twice() {
    assert_deterministic(&["scenarios/crashing-functions.toml", "--seed", "7"]);
}

#[test]
fn streams_that_are_resharded_again_and_again_twice() {
    assert_deterministic(&["scenarios/reshard-storm.toml", "--seed", "7"]);
}

#[test]
fn alerts_twice() {
    assert_deterministic(&["scenarios/anomalies-once.toml", "--seed", "7"]);
}

/// The digests of a sweep, whose runs share a process, by seed.
fn swept(scenario: &str, seeds: &str) -> BTreeMap<u64, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("sweep");
    let output = sim(&["sweep", scenario, "--seeds", seeds, "--jobs", "2", "--out", &out.to_string_lossy()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let results =
        std::fs::read_to_string(out.join("results.jsonl")).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let rows = results.lines().map(|line| serde_json::from_str::<Value>(line).expect("results are JSON"));
    let of_seed = |row: Value| Some((row["seed"].as_u64()?, row["digest"].as_str()?.to_owned()));
    rows.filter_map(of_seed).collect()
}

#[test]
fn runs_that_share_a_process_are_those_of_processes_of_their_own() {
    for (scenario, seeds) in [("scenarios/anomalies-once.toml", "1..4"), ("scenarios/swarm.toml", "20..24")] {
        let together = swept(scenario, seeds);
        assert!(together.len() > 2, "{together:?}");
        for (seed, digest) in together {
            let output = sim(&["run", scenario, "--seed", &seed.to_string(), "--format", "json", "--quiet"]);
            let alone: Value = serde_json::from_slice(&output.stdout).expect("a summary");
            assert_eq!(alone["digest"].as_str(), Some(digest.as_str()), "{scenario} with seed {seed}");
        }
    }
}
