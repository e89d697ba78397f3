//! What decides a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Version of the run folder's schema; readers refuse any other.
pub const SCHEMA_VERSION: u32 = 1;

/// Where the scenario came from, and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioSource {
    /// File name without the extension.
    pub name: String,
    /// Path as it was given.
    pub path: String,
    /// The whole file, so that a run can be repeated when the file has changed.
    pub text: String,
}

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of the simulator.
    pub version: String,
    /// Compiler settings that can change behaviour, such as `madsim` and `debug_assertions`.
    pub cfg: Vec<String>,
    /// Target, such as `x86_64-linux`.
    pub target: String,
}

/// Everything that decides a run. Holds no wall-clock time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The scenario.
    pub scenario: ScenarioSource,
    /// The run's seed.
    pub seed: u64,
    /// The program.
    pub build: Build,
    /// Simulated start, RFC 3339.
    pub start: String,
    /// Settings of this run that override the scenario or choose what is kept, by flag name.
    pub settings: BTreeMap<String, String>,
}

/// Flags of a run that only choose what its folder keeps.
const KEEPING: [&str; 1] = ["events"];

impl Manifest {
    /// The command that repeats the run, as one would paste it into a shell. It writes no folder, and so chooses
    /// nothing that a folder keeps.
    pub fn command(&self) -> String {
        let mut command = format!("cargo sim run {} --seed {}", shell_word(&self.scenario.path), self.seed);
        for (flag, value) in self.settings.iter().filter(|(flag, _)| !KEEPING.contains(&flag.as_str())) {
            let _ = write!(command, " --{flag} {}", shell_word(value));
        }
        command
    }
}

/// A word as a shell takes it: in quotes where it would be split or changed.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./+:@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
