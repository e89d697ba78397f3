//! Determinism before anything else: each scenario of the suite twice, in fresh processes, with equal digests.

use std::path::Path;
use std::process::{Command, Output};

fn verify(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository");
    Command::new(env!("CARGO_BIN_EXE_sim")).arg("verify").args(args).current_dir(root).output().expect("sim starts")
}

fn assert_deterministic(args: &[&str]) {
    let output = verify(args);
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
