//! `sim report`: a run folder as one page of HTML.

use std::fs;
use std::path::{Path, PathBuf};

use record::RunReader;

use super::args::ReportArgs;
use super::{Failure, print};

/// Name of the page inside its run folder.
const PAGE: &str = "report.html";

/// Writes the page and prints its path.
pub(super) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let run = RunReader::open(&args.run)?;
    let page = reports::render(&run).map_err(Failure::usage)?;
    let target = args.out.clone().unwrap_or_else(|| args.run.join(PAGE));
    write_whole(&target, &page)?;
    print(&format!("{}\n", target.display()))?;
    Ok(0)
}

/// Writes beside the target and renames, so that a page is whole or absent.
fn write_whole(target: &Path, page: &str) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::usage(format_args!(
            "{} cannot be written: {error}\n  expected: a file in a folder that exists and can be written\n  \
             hint: give another file with `--out`",
            path.display()
        ))
    };
    if target.is_dir() {
        let message = format!(
            "{} is a folder\n  expected: the name of a file\n  hint: give `--out {}`",
            target.display(),
            target.join(PAGE).display()
        );
        return Err(Failure::usage(message));
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, page).map_err(|error| failed(&partial, error))?;
    fs::rename(&partial, target).map_err(|error| failed(target, error))
}
