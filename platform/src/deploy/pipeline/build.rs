//! The build: templates for the later stages, and the functions' package in its bucket.

use serde_json::json;

use crate::naming::Naming;
use crate::settings::{Pipeline, Settings};
use crate::template::Expr;
use crate::template::codebuild::{PipelineBuild, Project};

/// Folder of the templates in the build; its files are the files of the artifact.
const TEMPLATES: &str = "templates";

/// The settings of the build: those of the repository, with the key of the commit's package before them.
const SETTINGS: &str = "pipeline.toml";
const BINARY: &str = "target/release/platform";

/// Amazon Linux 2023, as the runtime of the functions: the binary finds the C library that it was built with.
const IMAGE: &str = "aws/codebuild/amazonlinux-x86_64-standard:5.0";
/// The dependencies compile for minutes even on its eight processors.
const COMPUTE: &str = "BUILD_GENERAL1_LARGE";
/// Longest build.
const TIMEOUT_MINUTES: u32 = 60;

/// The installer of the toolchain. It is pinned: what it installs is judged by the hash, not by the address.
const RUSTUP: &str = "https://static.rust-lang.org/rustup/archive/1.29.0/x86_64-unknown-linux-gnu/rustup-init";
const RUSTUP_SHA256: &str = "4acc9acc76d5079515b46346a485974457b5a79893cfb01112423c89aeb5aa10";

/// The smallest machine, for a single call.
const SMALL: &str = "BUILD_GENERAL1_SMALL";
/// The least that CodeBuild takes (API reference, `CreateProject`).
const SHORT_MINUTES: u32 = 5;

/// The project.
pub(super) fn project(
    settings: &Settings,
    pipeline: &Pipeline,
    role_arn: Expr,
    key_arn: Expr,
    log_group_name: Expr,
) -> Project {
    Project::from(PipelineBuild {
        name: Naming::new(settings).name("build"),
        description: "Writes the templates, builds the functions' package and puts it into its bucket",
        role_arn,
        key_arn,
        image: IMAGE,
        compute_type: COMPUTE,
        timeout_minutes: TIMEOUT_MINUTES,
        build_spec: build_spec(settings, pipeline),
        log_group_name,
    })
}

/// The project that switches registry events on: CloudFormation has no resource for that (see `registry_events`).
pub(super) fn registry_events(naming: Naming<'_>, role_arn: Expr, key_arn: Expr, log_group_name: Expr) -> Project {
    let command = "aws iot update-event-configurations --event-configurations 'THING={Enabled=true}'";
    let spec = json!({ "version": 0.2, "phases": { "build": { "commands": [command] } } });
    Project::from(PipelineBuild {
        name: naming.name("registry-events"),
        description: "Switches the registry events of things on",
        role_arn,
        key_arn,
        image: IMAGE,
        compute_type: SMALL,
        timeout_minutes: SHORT_MINUTES,
        build_spec: serde_json::to_string_pretty(&spec).expect("a JSON value is valid JSON"),
        log_group_name,
    })
}

/// Every commit has a package of its own: under the key of another, functions would not change with their code.
/// CodeBuild puts the commit into `CODEBUILD_RESOLVED_SOURCE_VERSION`.
fn build_spec(settings: &Settings, pipeline: &Pipeline) -> String {
    let file = pipeline.settings_file.as_deref().unwrap_or("/dev/null");
    let key = r#"printf 'artifact_key = "platform/%s/bootstrap.zip"\n' "$CODEBUILD_RESOLVED_SOURCE_VERSION""#;
    let environment = format!("--env {} --settings {SETTINGS}", settings.env);
    let spec = json!({
        "version": 0.2,
        "env": { "shell": "bash" },
        "phases": {
            // The toolchain is the one that `rust-toolchain.toml` names.
            "install": { "commands": [
                format!("curl --proto '=https' --tlsv1.2 -sSfo /tmp/rustup-init {RUSTUP}"),
                format!("echo '{RUSTUP_SHA256}  /tmp/rustup-init' | sha256sum --check --strict"),
                "chmod +x /tmp/rustup-init",
                "/tmp/rustup-init -y --no-modify-path --default-toolchain none",
            ] },
            "build": { "commands": [
                "export PATH=\"$HOME/.cargo/bin:$PATH\"",
                // Empty, and here: the repository's own flags are those of tests, and a variable of the project that is
                // empty might not be set.
                "export RUSTFLAGS=\"\"",
                "cargo build --locked --release --package platform",
                format!("{BINARY} --version"),
                // A simulated build has no connection, and would be a package that answers nothing.
                format!("! {BINARY} lambda 2>&1 | grep --quiet 'no connection to AWS'"),
                format!("{key} | cat - {file} > {SETTINGS}"),
                format!("{BINARY} synth {environment} --out {TEMPLATES}"),
                format!("{BINARY} package {environment} --binary {BINARY} --upload --replace"),
            ] },
        },
        "artifacts": { "base-directory": TEMPLATES, "files": ["**/*"] },
    });
    serde_json::to_string_pretty(&spec).expect("a JSON value is valid JSON")
}
