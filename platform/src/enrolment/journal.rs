//! The journal of a registration: a line for each device that is done, beside the file of devices. A run that goes on
//! after an interruption passes over them. Without the journal it would do everything again, to the same end.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::file::Row;

/// The journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    done: BTreeSet<String>,
}

/// Where the journal of a file of devices is.
pub fn journal_file(devices: &Path) -> PathBuf {
    beside(devices, "journal")
}

/// The file's name with something at its end.
pub(super) fn beside(devices: &Path, end: &str) -> PathBuf {
    let mut name = devices.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(end);
    devices.with_file_name(name)
}

/// A device's line, without its end.
fn line(row: &Row) -> String {
    format!("{} {}", row.device, row.fingerprint())
}

impl Journal {
    /// Opens the journal of a file of devices. A last line that was cut off does not count.
    pub fn open(devices: &Path) -> io::Result<Self> {
        let text = Journal::text(devices)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().create(true).append(true).open(journal_file(devices))?;
        file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
        Ok(Journal { file, done: text[..whole].lines().map(str::to_owned).collect() })
    }

    /// The devices that are done, without changing anything.
    pub fn look(devices: &Path, rows: &[Row]) -> io::Result<usize> {
        let text = Journal::text(devices)?;
        let done: BTreeSet<&str> = text.lines().collect();
        Ok(rows.iter().filter(|row| done.contains(line(row).as_str())).count())
    }

    fn text(devices: &Path) -> io::Result<String> {
        match std::fs::read(journal_file(devices)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether a device is done.
    pub fn has(&self, row: &Row) -> bool {
        self.done.contains(&line(row))
    }

    /// Notes that a device is done.
    pub fn note(&mut self, row: &Row) -> io::Result<()> {
        self.file.write_all(format!("{}\n", line(row)).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Certificate;
    use super::*;

    #[test]
    fn what_is_noted_is_there_later_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let devices = folder.path().join("fleet.csv");
        let row = |device: &str| Row {
            line: 2,
            device: device.to_owned(),
            tenant: "acme".to_owned(),
            device_type: None,
            certificate: Certificate::Id("0".repeat(64)),
        };
        let mut journal = Journal::open(&devices).unwrap();
        assert!(!journal.has(&row("a")));
        journal.note(&row("a")).unwrap();
        journal.note(&row("b")).unwrap();
        let path = journal_file(&devices);
        assert_eq!(path.file_name().unwrap(), "fleet.csv.journal");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 3]).unwrap();
        let mut journal = Journal::open(&devices).unwrap();
        assert!(journal.has(&row("a")) && !journal.has(&row("b")));
        let moved = Row { tenant: "globex".to_owned(), ..row("a") };
        assert!(!journal.has(&moved), "another row of the same device is not done");
        journal.note(&row("c")).unwrap();
        let journal = Journal::open(&devices).unwrap();
        assert!(journal.has(&row("a")) && journal.has(&row("c")) && !journal.has(&row("b")));
        assert_eq!(Journal::look(&devices, &[row("a"), row("b"), row("c")]).unwrap(), 2);
    }
}
