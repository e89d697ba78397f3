//! Paths of recorded series, which depend on where a scenario file lies.

use std::fs;
use std::path::{Component, Path, PathBuf};

use toml_edit::{DocumentMut, Table};

use super::text::{set, tables};
use crate::scenario::{Scenario, ScenarioError};

/// The files of a fleet that plays a folder of series, as the scenario would name each of them; nothing for other fleets.
pub(super) fn files_of(scenario: &Scenario, fleet: &Table) -> Vec<String> {
    let Some(named) = fleet.get("series").and_then(|series| series.as_str()) else { return Vec::new() };
    let folder = folder_of(Path::new(&scenario.source.path)).join(named);
    let mut found = Vec::new();
    collect(&folder, Path::new(named), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, named: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let named = named.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), &named, found),
            _ if named.extension().is_some_and(|e| e == "csv") => found.push(named.display().to_string()),
            _ => {}
        }
    }
}

/// Names the series of a scenario from the folder in which `file` will lie.
pub(super) fn as_seen_from(doc: &mut DocumentMut, scenario: &Scenario, file: &Path) -> Result<(), ScenarioError> {
    let (old, new) = (folder_of(Path::new(&scenario.source.path)), folder_of(file));
    for fleet in tables(doc, "fleet").into_iter().flat_map(|fleets| fleets.iter_mut()) {
        let Some(named) = fleet.get("series").and_then(|series| series.as_str()).map(str::to_owned) else { continue };
        if old == new || Path::new(&named).is_absolute() {
            continue;
        }
        let path = relative(&old.join(&named), &new).ok_or_else(|| {
            scenario.located_error(
                "fleet[0].series",
                format!("cannot be named from {}", new.display()),
                "folders that can be named from here",
                "write the file beside the scenario that it was shrunk from",
            )
        })?;
        set(fleet, "series", path.display().to_string());
    }
    Ok(())
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The way from a folder to a path.
fn relative(path: &Path, folder: &Path) -> Option<PathBuf> {
    let (path, folder) = (plain(path)?, plain(folder)?);
    let common = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    Some(up.chain(path.components().skip(common)).collect())
}

/// An absolute path without `.` and `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for component in std::path::absolute(here).ok()?.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_from_another_folder() {
        for (path, folder, expected) in [
            ("scenarios/../data/x", "scenarios/regressions", "../../data/x"),
            ("/a/b/c.csv", "/a/b", "c.csv"),
            ("/a/b", "/c/d", "../../a/b"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(folder)), Some(PathBuf::from(expected)), "{path}");
        }
    }
}
