//! `sim report`: a run folder as one page of HTML.

use std::fs::{self, File};
use std::io::Write as _;
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

/// Writes beside the target and renames, so that a page is whole or absent. Only a file is replaced.
fn write_whole(target: &Path, page: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format_args!(
            "{} cannot be written: {error}\n  expected: a file in a folder that exists and can be written\n  \
             hint: give another file with `--out`",
            target.display()
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
    // The entry itself: what a link points to is not replaced, and the link would be.
    if fs::symlink_metadata(target).is_ok_and(|entry| !entry.is_file()) {
        return Err(Failure::usage(format_args!(
            "{} exists and is not a regular file\n  expected: a new name, or a file to replace\n  \
             hint: give another file with `--out`",
            target.display()
        )));
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let mut file = File::create_new(&partial).map_err(failed)?;
    let written = file.write_all(page.as_bytes()).and_then(|()| fs::rename(&partial, target));
    written.map_err(|error| {
        let _ = fs::remove_file(&partial);
        failed(error)
    })
}
