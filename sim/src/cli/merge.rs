//! `sim merge`: the results of sweeps that shared their seeds.

use std::fs;
use std::path::Path;

use record::RecordError;

use super::args::MergeArgs;
use super::sweep::FAILURES;
use super::tallied::{self, Report};
use super::{Failure, print};
use crate::sweep::{Tally, results};

/// Writes the results of all folders into one, with the run folders of failures, and prints what they come to.
pub(super) fn merge(args: &MergeArgs) -> Result<u8, Failure> {
    let (header, rows) = results::merge(&args.out, &args.folders)?;
    for folder in &args.folders {
        copy(&folder.join(FAILURES), &args.out.join(FAILURES))?;
    }
    let report = Report {
        scenario: header.scenario.name.clone(),
        expected: header.expected,
        left: 0,
        speed: None,
        tally: Tally::of(&rows, header.expected),
        flags: header.settings.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect(),
        file: header.scenario.path,
    };
    print(&tallied::rendered(&report, args.format))?;
    Ok(report.exit_code())
}

/// Copies a folder with all that is in it, when it is there.
fn copy(from: &Path, to: &Path) -> Result<(), RecordError> {
    let failed = |error: std::io::Error| RecordError {
        path: to.to_owned(),
        problem: format!("cannot be made from {}: {error}", from.display()),
        expected: "a folder that can be written, and one that can be read".to_owned(),
        hint: "the results are merged already: copy the folder by hand".to_owned(),
    };
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}
