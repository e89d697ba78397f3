//! The report of a registration: what failed, as CSV beside the file of devices.

use std::io;
use std::path::{Path, PathBuf};

use super::journal::beside;
use super::register::Failure;

/// Where the report on a file of devices is.
pub fn report_file(devices: &Path) -> PathBuf {
    beside(devices, "failures.csv")
}

/// Writes the report, or removes an older one when nothing failed.
pub(super) fn write(devices: &Path, failures: &[Failure]) -> io::Result<()> {
    let path = report_file(devices);
    if failures.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let mut writer = csv::Writer::from_path(&path)?;
    writer.write_record(["line", "device", "reason"])?;
    for Failure { line, device, reason } in failures {
        writer.write_record([&line.to_string(), device, reason])?;
    }
    writer.flush()
}
