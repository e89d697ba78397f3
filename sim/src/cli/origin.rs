//! What `replay`, `explain` and `shrink` begin with: a run folder, or a scenario file with a seed.

use std::collections::BTreeMap;
use std::path::Path;

use record::{RunReader, Summary, shell_word};

use super::Failure;
use crate::bugs;
use crate::run::Harness;
use crate::scenario::{Overrides, Scenario};

/// Flags of a run that say nothing of its world.
const ABOUT_THE_FOLDER: [&str; 1] = ["events"];

/// A run to repeat.
pub(super) struct Origin {
    /// The scenario with the flags of the run applied.
    pub(super) scenario: Scenario,
    /// The run's seed.
    pub(super) seed: u64,
    /// Settings of the run, as its manifest has them.
    pub(super) settings: BTreeMap<String, String>,
    /// What the run came to, when it is that of a folder and of its seed.
    pub(super) known: Option<Summary>,
    /// The version of the simulator that wrote the folder.
    pub(super) version: Option<String>,
    /// What was given, for messages.
    name: String,
}

impl Origin {
    /// Reads a run folder or a scenario file.
    pub(super) fn of(path: &Path, seed: Option<u64>) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if !path.is_dir() {
            let scenario = Scenario::load(path)?;
            let seed = seed.unwrap_or(scenario.seeds[0]);
            return Ok(Origin { scenario, seed, settings: BTreeMap::new(), known: None, version: None, name });
        }
        let run = RunReader::open(path)?;
        let manifest = run.manifest();
        let source = Path::new(&manifest.scenario.path);
        let parsed = Scenario::parse(&manifest.scenario.text, source).map_err(|error| {
            Failure::usage(format_args!(
                "{}: the scenario of the run is not one of this build\n{error}\n  \
                 hint: read the folder with the version that wrote it ({})",
                path.join(record::MANIFEST_FILE).display(),
                manifest.build.version
            ))
        })?;
        let overrides = Overrides::of_settings(&manifest.settings).map_err(|problem| {
            Failure::usage(format_args!(
                "{}: {problem}\n  expected: the flags of `sim run`\n  hint: repeat the run with `--out`",
                path.join(record::MANIFEST_FILE).display()
            ))
        })?;
        let scenario = parsed.with_overrides(&overrides)?;
        let known = seed.is_none_or(|seed| seed == manifest.seed).then(|| run.summary().clone());
        let version = Some(manifest.build.version.clone());
        let seed = seed.unwrap_or(manifest.seed);
        Ok(Origin { scenario, seed, settings: manifest.settings.clone(), known, version, name })
    }

    /// The world of the run: with a bug planted when its settings say so.
    pub(super) fn harness(&self) -> Result<Harness, Failure> {
        bugs::harness_of(&self.settings).map_err(|problem| {
            Failure::usage(format_args!(
                "{}: {problem}\n  expected: a run of the platform as it is, or with a planted bug of this build\n  \
                 hint: use the version that wrote the run",
                self.name
            ))
        })
    }

    /// The command of the same origin with another verb.
    pub(super) fn command(&self, verb: &str) -> String {
        let seed = if self.known.is_some() { String::new() } else { format!(" --seed {}", self.seed) };
        format!("cargo sim {verb} {}{seed}", shell_word(&self.name))
    }

    /// What was repeated, in words: `smoke seed 7`.
    pub(super) fn in_words(&self) -> String {
        let mut words = format!("{} seed {}", self.scenario.source.name, self.seed);
        for (flag, value) in self.settings.iter().filter(|(flag, _)| !ABOUT_THE_FOLDER.contains(&flag.as_str())) {
            words.push_str(&format!(" --{flag} {value}"));
        }
        words
    }
}
