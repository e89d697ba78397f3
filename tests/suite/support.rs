//! What the suites share.

use std::path::{Path, PathBuf};

use record::Summary;
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::core::Principal;
use sim::cloud::front::Credential;
use sim::run::{Harness, RunOptions, run_with};
use sim::scenario::{Overrides, Scenario};
use sim::world::seed::Seed;
use sim::world::trace::Trace;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository").to_owned()
}

/// A scenario of the folder `scenarios/`.
pub fn scenario(name: &str) -> Scenario {
    let path = root().join("scenarios").join(format!("{name}.toml"));
    Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario of the folder `scenarios/`, rescaled.
pub fn rescaled(name: &str, overrides: &Overrides) -> Scenario {
    scenario(name).with_overrides(overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a scenario with a seed in a world that `harness` changes.
pub fn summary_with(scenario: &Scenario, seed: u64, harness: Harness) -> Summary {
    let outcome = run_with(scenario, RunOptions::seeded(seed), harness);
    outcome.unwrap_or_else(|error| panic!("{} with seed {seed}: {error}", scenario.source.name)).summary
}

/// Runs a scenario with a seed.
pub fn summary(scenario: &Scenario, seed: u64) -> Summary {
    summary_with(scenario, seed, Harness::default())
}

/// An account with nothing in it, in eu-west-1, and the credential of its root user, who may do everything.
pub fn account(seed: Seed) -> (Account, Credential) {
    let root = Credential {
        access_key_id: "ASIATEST".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: Some("session".to_owned()),
        expires: None,
        principal: Principal::new("arn:aws:iam::123456789012:root"),
    };
    let mut account = Account::new("eu-west-1", seed, Trace::new());
    account.add_credential(root.clone());
    (account, root)
}

/// A role that a service takes on, with one policy: these actions on everything.
pub fn role(name: &str, service: &str, actions: &[&str]) -> Value {
    json!({ "Type": "AWS::IAM::Role", "Properties": {
        "RoleName": name,
        "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" } ] },
        "Policies": [{ "PolicyName": "p", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": actions, "Resource": "*" } ] } }],
    } })
}
