//! `sim list`: the scenarios of a folder.

use std::path::{Path, PathBuf};

use record::{Verdict, thousands};

use super::args::ListArgs;
use super::text::table;
use super::{Failure, USAGE, print};
use crate::scenario::{Scenario, duration};

/// Lists scenarios. Files that are wrong are reported after the others, and make the exit code 2.
pub(super) fn list(args: &ListArgs) -> Result<u8, Failure> {
    let files = files(&args.dir)?;
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    for file in files {
        match Scenario::load(&file) {
            Ok(scenario) => rows.push(row(&file, &scenario)),
            Err(error) => errors.push(error),
        }
    }
    print(&table(&["scenario", "devices ", "hardship ", "peace ", "seeds", "expects", "title"], &rows))?;
    errors.iter().for_each(|error| eprintln!("error: {error}"));
    Ok(if errors.is_empty() { 0 } else { USAGE })
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(dir).map_err(|e| {
        Failure::usage(format_args!(
            "`{}` cannot be listed: {e}\n  expected: a folder of scenario files\n  \
             hint: run it at the root of the repository, or name the folder: `cargo sim list DIR`",
            dir.display()
        ))
    })?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format_args!(
            "`{}` holds no scenario\n  expected: files that end with .toml\n  hint: `cargo sim schema` shows what is in one",
            dir.display()
        )));
    }
    Ok(files)
}

pub(super) fn row(file: &Path, scenario: &Scenario) -> Vec<String> {
    let seeds: Vec<String> = scenario.seeds.iter().map(u64::to_string).collect();
    let expects = scenario.expect.verdict;
    let drawn = |given: bool, shown: String| if given { shown } else { "drawn".to_owned() };
    vec![
        file.display().to_string(),
        drawn(!scenario.fleets.is_empty(), thousands(scenario.devices())),
        drawn(!scenario.phase.peace.is_zero(), duration::format(scenario.phase.hardship)),
        drawn(!scenario.phase.peace.is_zero(), duration::format(scenario.phase.peace)),
        seeds.join(","),
        if expects == Verdict::Held { "held".to_owned() } else { format!("{expects} (canary)") },
        scenario.title.clone(),
    ]
}
