//! Tidiness is a test: layering, banned names, file sizes, manifests, licences, and documents that tell the truth.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ lies in the repository").to_owned()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} file below {folder}: this check would pass for the wrong reason");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

/// Lines of a file that contain one of `words`, as `path:line: text`.
fn lines_with(path: &Path, words: &[&str]) -> Vec<String> {
    let text = read(path);
    let hits = text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    hits.map(|(n, line)| format!("{}:{}: {}", relative(path), n + 1, line.trim())).collect()
}

fn none_of(folder: &str, words: &[&str]) {
    let hits: Vec<String> = files(folder, "rs").iter().flat_map(|path| lines_with(path, words)).collect();
    assert!(hits.is_empty(), "{folder} must not contain any of {words:?}:\n{}", hits.join("\n"));
}

#[test]
fn the_product_contains_no_simulation() {
    none_of("platform/src", &["madsim", "sim::", "Orrery", "orrery"]);
}

#[test]
fn simulated_services_use_no_sdk_client_no_runtime_and_no_clock() {
    let banned = ["aws_sdk_", "madsim", "tokio::spawn", "SystemTime::now", "Instant::now", "thread::spawn"];
    let hits: Vec<String> = files("sim/cloud/src", "rs")
        .iter()
        .filter(|path| !is_test_file(path))
        .flat_map(|path| lines_with_outside_tests(path, &banned))
        // The crate as a whole exists in simulating builds alone, as the simulator does.
        .filter(|hit| !hit.ends_with(": #![cfg(madsim)]"))
        .collect();
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

fn is_test_file(path: &Path) -> bool {
    relative(path).split('/').any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
}

fn lines_with_outside_tests(path: &Path, words: &[&str]) -> Vec<String> {
    let text = read(path);
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text);
    let hits = product.lines().enumerate().filter(|(_, line)| {
        let code = line.split("//").next().unwrap_or(line);
        words.iter().any(|word| code.contains(word))
    });
    hits.map(|(n, line)| format!("{}:{}: {}", relative(path), n + 1, line.trim())).collect()
}

#[test]
fn stages_import_upstream_only() {
    let stages = ["ingest", "transform", "store", "insights"];
    for (position, stage) in stages.iter().enumerate() {
        let downstream: Vec<String> = stages[position + 1..].iter().map(|later| format!("crate::{later}")).collect();
        let banned: Vec<&str> = downstream.iter().map(String::as_str).collect();
        if !banned.is_empty() {
            none_of(&format!("platform/src/{stage}"), &banned);
        }
    }
}

#[test]
fn oracles_share_no_code_with_the_product_or_the_services() {
    none_of("sim/src/invariant", &["platform::", "crate::cloud", "crate::seam"]);
}

#[test]
fn only_the_seam_and_the_run_know_the_platform() {
    for folder in ["sim/cloud/src", "sim/src/fleet", "sim/src/invariant", "sim/world/src", "sim/src/scenario"] {
        none_of(folder, &["platform::"]);
    }
}

#[test]
fn files_stay_small() {
    let mut long = Vec::new();
    for folder in [
        "platform/src",
        "sim/src",
        "sim/cloud/src",
        "sim/world/src",
        "sim/record/src",
        "reports/src",
        "tests",
        "benches",
    ] {
        for path in files(folder, "rs").iter().filter(|path| !is_test_file(path)) {
            let text = read(path);
            let lines = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text).lines().count();
            if lines > 500 {
                long.push(format!("{} has {lines} lines", relative(path)));
            }
        }
    }
    assert!(long.is_empty(), "split these files (500 lines without tests):\n{}", long.join("\n"));
}

#[test]
fn the_readme_lists_the_stacks_as_they_are() {
    let table = platform::deploy::markdown(&platform::deploy::Plan::of(&platform::Settings::default()));
    assert!(
        read(&root().join("README.md")).contains(&table),
        "the table of stacks in README.md is not what `cargo platform stacks --format markdown` prints:\n{table}"
    );
}

#[test]
fn members_inherit_versions_and_lints() {
    for manifest in ["platform/Cargo.toml", "sim/Cargo.toml", "sim/record/Cargo.toml", "reports/Cargo.toml"] {
        let text = read(&root().join(manifest));
        let toml: toml::Table = text.parse().unwrap_or_else(|e| panic!("{manifest}: {e}"));
        assert_eq!(toml["lints"]["workspace"].as_bool(), Some(true), "{manifest}: lints");
        let mut tables: Vec<&toml::Table> = Vec::new();
        tables.extend(["dependencies", "dev-dependencies"].iter().filter_map(|t| toml.get(*t)?.as_table()));
        if let Some(targets) = toml.get("target").and_then(|t| t.as_table()) {
            tables.extend(targets.values().filter_map(|t| t.get("dependencies")?.as_table()));
        }
        for (name, dependency) in tables.into_iter().flatten() {
            assert_eq!(dependency.get("workspace").and_then(toml::Value::as_bool), Some(true), "{manifest}: {name}");
        }
    }
}

#[test]
fn licences_of_all_dependencies_are_allowed() {
    let deny: toml::Table = read(&root().join("deny.toml")).parse().expect("deny.toml is TOML");
    let allowed: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
    let banned: BTreeSet<&str> =
        deny["bans"]["deny"].as_array().expect("a list").iter().filter_map(|ban| ban["crate"].as_str()).collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 100, "only {} packages: this check would pass for the wrong reason", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap_or("");
        assert!(!banned.contains(name), "{name} is banned by deny.toml");
        let licence = package["license"].as_str().unwrap_or("");
        let ok = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            let choice = choice.trim().trim_matches(['(', ')']);
            choice.split(" AND ").all(|part| allowed.contains(part.trim().trim_matches(['(', ')'])))
        });
        assert!(ok, "{name}: licence {licence:?} is not in deny.toml");
    }
}

#[test]
fn paths_and_commands_in_the_documents_exist() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/gaps.md",
        "docs/batch.md",
        "docs/quarantine.md",
        "scenarios/README.md",
    ];
    let folders =
        ["platform/", "sim/", "scenarios/", "docs/", "tests/", "benches/", "reports/", "data/", "deploy/", ".ci/"];
    let help = sim_help();
    let (mut paths, mut commands) = (0, 0);
    for document in documents {
        let text = read(&root().join(document)).replace("](", " ");
        for quoted in text.split('`').skip(1).step_by(2).chain(text.lines()) {
            for word in quoted.split_whitespace() {
                let word = word.trim_matches(|c: char| ",.;:()[]|*`\"'".contains(c));
                if folders.iter().any(|f| word.starts_with(f)) && !word.contains(['*', '<', '{', '…', '=']) {
                    paths += 1;
                    assert!(root().join(word).exists(), "{document} names {word}, which does not exist");
                }
            }
            if let Some((_, rest)) = quoted.split_once("cargo sim ") {
                let command = rest.split_whitespace().next().unwrap_or("").trim_matches('`');
                commands += 1;
                assert!(
                    help.contains(&format!("  {command} ")),
                    "{document} names `sim {command}`, which does not exist"
                );
            }
        }
    }
    assert!(
        paths > 20 && commands > 5,
        "found {paths} paths and {commands} commands: this check would pass for the wrong reason"
    );
    let cargo = CargoNames::read();
    let mut commands = 0;
    for document in documents {
        for line in read(&root().join(document)).lines() {
            for command in line.split("cargo ").skip(1) {
                let command = command.split(['`', '#', ';', '&']).next().unwrap_or("");
                commands += 1;
                if let Some(problem) = cargo.problem(command) {
                    panic!("{document} names `cargo {}`: {problem}", command.trim_end());
                }
            }
        }
    }
    assert!(commands > 10, "found {commands} commands of cargo: this check would pass for the wrong reason");
}

/// What commands of cargo may name in this repository.
struct CargoNames {
    commands: BTreeSet<String>,
    packages: BTreeSet<String>,
    targets: BTreeSet<(&'static str, String)>,
}

impl CargoNames {
    fn read() -> Self {
        let toml = |path: &str| -> toml::Table {
            read(&root().join(path)).parse().unwrap_or_else(|e: toml::de::Error| panic!("{path}: {e}"))
        };
        let text = |value: &toml::Value| value.as_str().expect("a text").to_owned();
        let builtin = ["bench", "build", "clippy", "doc", "fmt", "metadata", "run", "test", "tree"];
        let mut commands: BTreeSet<String> = builtin.map(str::to_owned).into();
        commands.extend(toml(".cargo/config.toml")["alias"].as_table().expect("a table of aliases").keys().cloned());
        let members = toml("Cargo.toml")["workspace"]["members"].as_array().expect("a list of members").clone();
        let packages =
            members.iter().map(|member| text(&toml(&format!("{}/Cargo.toml", text(member)))["package"]["name"]));
        let manifest = toml("sim/Cargo.toml");
        let targets = ["test", "bench", "bin"].into_iter().flat_map(|kind| {
            let named = manifest[kind].as_array().expect("a list of targets").iter();
            named.map(move |target| (kind, text(&target["name"])))
        });
        CargoNames { commands, packages: packages.collect(), targets: targets.collect() }
    }

    /// What is wrong with the words after `cargo`.
    fn problem(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let first = words.first()?.trim_end_matches(['.', ',', ':', ')']);
        if !self.commands.contains(first) {
            return Some(format!("`{first}` is no command of cargo and no alias in .cargo/config.toml"));
        }
        words.windows(2).find_map(|pair| {
            let name = pair[1].to_owned();
            let known = match pair[0] {
                "--package" | "-p" => self.packages.contains(&name),
                "--test" => self.targets.contains(&("test", name)),
                "--bench" => self.targets.contains(&("bench", name)),
                _ => true,
            };
            (!known).then(|| format!("there is nothing of the name in `{} {}`", pair[0], pair[1]))
        })
    }
}

#[test]
fn a_command_that_does_not_exist_is_found_in_a_document() {
    let cargo = CargoNames::read();
    for good in ["sim run FILE", "test --package sim --test suite tidy", "build --release -p platform", "benches"] {
        assert_eq!(cargo.problem(good), None, "{good}");
    }
    for bad in ["simulate", "test --package tests", "test --test sweet", "bench --bench none"] {
        assert!(cargo.problem(bad).is_some(), "{bad}");
    }
}

fn sim_help() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).arg("--help").output().expect("sim runs");
    String::from_utf8(output.stdout).expect("help is UTF-8")
}
