//! Recorded series: CSV files with the columns `timestamp` and `value`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::{Place, ScenarioError};
use super::reader::Entry;
use crate::fleet::DevicePlan;
use crate::fleet::spec::{Series, SeriesRow};

const TIMESTAMP: &str = "timestamp";
const VALUE: &str = "value";

/// Loads the file that a key names, or all `*.csv` files of the folder and its subfolders, in the order of their paths.
/// The files name the devices of the `fleet`.
pub(super) fn load(entry: &Entry<'_>, fleet: &str) -> Result<Vec<Arc<Series>>, ScenarioError> {
    let path = entry.path()?;
    let files = if path.is_dir() {
        let mut files = Vec::new();
        collect(&path, &mut files).map_err(|(at, e)| {
            entry.error(format!("names {}, which cannot be read: {e}", at.display()), "check its permissions")
        })?;
        files.sort();
        files
    } else if path.is_file() {
        vec![path.clone()]
    } else {
        let problem = format!("names {}, which does not exist", path.display());
        return Err(entry.error(problem, "paths begin at the folder of the scenario file"));
    };
    if files.is_empty() {
        let problem = format!("names {}, which holds no *.csv file", path.display());
        return Err(entry.error(problem, "a replay fleet needs at least one series"));
    }
    check_names(entry, fleet, &files)?;
    files.iter().map(|file| read(file).map(Arc::new)).collect()
}

/// Refuses files that cannot name a device, and files that would name the same one.
fn check_names(entry: &Entry<'_>, fleet: &str, files: &[PathBuf]) -> Result<(), ScenarioError> {
    let mut seen: BTreeMap<String, &Path> = BTreeMap::new();
    for file in files {
        let device = DevicePlan::id_of(fleet, &name_of(file));
        if !DevicePlan::is_id(&device) {
            return Err(entry.error_expecting(
                format!("names {}, whose device would be {device:?}, which cannot name one", file.display()),
                DevicePlan::ID_EXPECTED,
                "rename the file: a device is called after its fleet and its file",
            ));
        }
        if let Some(other) = seen.get(&device) {
            return Err(entry.error_expecting(
                format!("names {} and {}, whose devices would both be {device:?}", other.display(), file.display()),
                "files whose names differ, whatever their folders are",
                "rename one of the files: a device is called after its fleet and its file",
            ));
        }
        seen.insert(device, file);
    }
    Ok(())
}

/// The name of a series: that of its file, without the extension.
fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let fail = |e| (folder.to_owned(), e);
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = entry.path();
        // The type of the entry itself: a link to a folder is not followed, so that the search ends.
        if entry.file_type().map_err(fail)?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "csv") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads one CSV file.
pub fn read(path: &Path) -> Result<Series, ScenarioError> {
    let file = path.display().to_string();
    let bytes = fs::read(path).map_err(|e| ScenarioError {
        file: Some(file.clone()),
        place: None,
        key: String::new(),
        problem: format!("cannot be read: {e}"),
        expected: "a CSV file with the columns timestamp and value".to_owned(),
        hint: "check that the file exists and can be read".to_owned(),
    })?;
    let name = name_of(path);
    let csv = Csv { file, text: String::from_utf8_lossy(&bytes).into_owned() };
    Ok(Series { name, rows: csv.rows()? })
}

struct Csv {
    file: String,
    text: String,
}

impl Csv {
    fn rows(&self) -> Result<Vec<SeriesRow>, ScenarioError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(self.text.as_bytes());
        let mut record = csv::StringRecord::new();
        let mut order: Option<(usize, usize)> = None;
        let mut rows = Vec::with_capacity(self.text.len() / 24);
        while reader
            .read_record(&mut record)
            .map_err(|e| self.error(0, "", format!("is not CSV: {e}"), "CSV", "quote fields that hold commas"))?
        {
            let at = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0));
            let Some((timestamp, value)) = order else {
                order = Some(self.header(at, &record)?);
                continue;
            };
            if record.len() != 2 {
                let problem = format!("has {} fields", record.len());
                let columns = if timestamp == 0 { "timestamp,value" } else { "value,timestamp" };
                return Err(self.error(at, "", problem, columns, "each line has one timestamp and one value"));
            }
            rows.push(SeriesRow {
                recorded_at: record[timestamp].into(),
                recorded_us: self.timestamp(at, &record[timestamp])?,
                value: self.value(at, &record[value])?,
            });
        }
        if rows.is_empty() {
            let (problem, hint) = ("has no rows", "the first line names the columns, the others are rows");
            return Err(self.error(self.text.len(), "", problem, "at least one row below the header", hint));
        }
        Ok(rows)
    }

    /// The positions of the timestamp and of the value.
    fn header(&self, at: usize, record: &csv::StringRecord) -> Result<(usize, usize), ScenarioError> {
        let names: Vec<&str> = record.iter().map(str::trim).collect();
        match names[..] {
            [TIMESTAMP, VALUE] => Ok((0, 1)),
            [VALUE, TIMESTAMP] => Ok((1, 0)),
            _ => {
                let hint = "name the columns in the first line, and keep only these two";
                Err(self.error(at, "", format!("has the columns {}", names.join(",")), "timestamp,value", hint))
            }
        }
    }

    fn timestamp(&self, at: usize, text: &str) -> Result<i64, ScenarioError> {
        parse_timestamp(text).ok_or_else(|| {
            let expected = "a date and time (UTC) such as 2014-02-14 14:30:00, with or without a fraction";
            self.error(at, TIMESTAMP, format!("is {text:?}"), expected, "correct the row, or remove it")
        })
    }

    fn value(&self, at: usize, text: &str) -> Result<f64, ScenarioError> {
        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| {
            self.error(
                at,
                VALUE,
                format!("is {text:?}"),
                "a finite number such as 21.5 or -1.2e-05",
                "correct the row, or remove it",
            )
        })
    }

    /// An error in the line that begins at or after `at`; marks the field whose text the problem quotes, or the line.
    fn error(&self, at: usize, column: &str, problem: impl Into<String>, expected: &str, hint: &str) -> ScenarioError {
        let problem = problem.into();
        let skipped = self.text[at.min(self.text.len())..].len()
            - self.text[at.min(self.text.len())..].trim_start_matches(['\r', '\n']).len();
        let start = at + skipped;
        let line = self.text[start.min(self.text.len())..].lines().next().unwrap_or("");
        let quoted = problem.split_once('"').map_or("", |(_, rest)| rest.trim_end_matches('"'));
        let span = match line.find(quoted) {
            Some(offset) if !quoted.is_empty() => start + offset..start + offset + quoted.len(),
            _ => start..start + line.len(),
        };
        ScenarioError {
            file: Some(self.file.clone()),
            place: Some(Place::of(&self.text, span)),
            key: column.to_owned(),
            problem,
            expected: expected.to_owned(),
            hint: hint.to_owned(),
        }
    }
}

/// Microseconds since the Unix epoch of `2014-02-14 14:30:00`, with or without a fraction, `T` or `Z`; taken as UTC.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.strip_suffix('Z').unwrap_or(text);
    let separator = if text.contains('T') { 'T' } else { ' ' };
    let (date, time) = text.split_once(separator)?;
    let date = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let time = chrono::NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok()?;
    Some(date.and_time(time).and_utc().timestamp_micros())
}

/// How many rows begin within `span` after the first one when they are played at their recorded intervals.
pub(super) fn rows_within(series: &Series, span: Duration) -> u64 {
    let span_us = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let mut played_us: i64 = 0;
    let mut before = series.rows.first().map_or(0, |row| row.recorded_us);
    let within = series.rows.iter().take_while(|row| {
        played_us = played_us.saturating_add(row.recorded_us.saturating_sub(before).max(0));
        before = row.recorded_us;
        played_us <= span_us
    });
    within.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Series, ScenarioError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pump_7.csv");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn rows_keep_their_timestamp_as_written() {
        let text = "timestamp,value\r\n2014-02-14 14:30:00,1.5\r\n2014-02-14 14:30:00.250000,-1e-05\r\n2014-02-14T14:31:00Z,7\r\n";
        let series = written(text).unwrap();
        assert_eq!(series.name, "pump_7");
        let rows: Vec<(&str, i64, f64)> =
            series.rows.iter().map(|r| (&*r.recorded_at, r.recorded_us - 1_392_388_200_000_000, r.value)).collect();
        let expected = [
            ("2014-02-14 14:30:00", 0, 1.5),
            ("2014-02-14 14:30:00.250000", 250_000, -1e-5),
            ("2014-02-14T14:31:00Z", 60_000_000, 7.0),
        ];
        assert_eq!(rows, expected);
        assert_eq!(written("value,timestamp\n3,2014-02-14 14:30:00").unwrap().rows[0].value, 3.0);
    }

    #[test]
    fn a_malformed_row_names_file_line_column_and_what_was_expected() {
        let good = "timestamp,value\n2014-02-14 14:30:00,1.5\n";
        for (text, line, column, problem, expected) in [
            (format!("{good}2014-02-14 14:35:00,abc\n"), 3, "value", "\"abc\"", "a finite number"),
            (format!("{good}\n2014-02-14 14:35:00,\n"), 4, "value", "\"\"", "a finite number"),
            (format!("{good}2014-02-14 14:35:00,NaN\n"), 3, "value", "\"NaN\"", "a finite number"),
            (format!("{good}2014-02-14 14:35:00,1e999\n"), 3, "value", "\"1e999\"", "a finite number"),
            (format!("{good}2014-02-14 14:35:00,-inf\n"), 3, "value", "\"-inf\"", "a finite number"),
            (format!("{good}14/02/2014,1\n"), 3, "timestamp", "\"14/02/2014\"", "2014-02-14 14:30:00"),
            (format!("{good}2014-02-30 14:35:00,1\n"), 3, "timestamp", "2014-02-30", "a date and time"),
            (format!("{good}2014-02-14 14:35:00\n"), 3, "", "1 fields", "timestamp,value"),
            (format!("{good}2014-02-14 14:35:00,1,2\n"), 3, "", "3 fields", "timestamp,value"),
            ("time,value\n2014-02-14 14:30:00,1\n".to_owned(), 1, "", "the columns time,value", "timestamp,value"),
            ("timestamp,value\n".to_owned(), 2, "", "no rows", "at least one row"),
            (String::new(), 1, "", "no rows", "at least one row"),
        ] {
            let error = written(&text).expect_err(&text);
            assert!(error.file.as_ref().unwrap().ends_with("pump_7.csv"), "{text}: {error}");
            assert_eq!(error.place.as_ref().unwrap().line, line, "{text}: {error}");
            assert_eq!(error.key, column, "{text}: {error}");
            assert!(error.problem.contains(problem) && error.expected.contains(expected), "{text}: {error}");
            assert!(!error.hint.is_empty(), "{text}: {error}");
        }
    }

    #[test]
    fn the_wrong_field_is_marked() {
        let error = written("timestamp,value\n2014-02-14 14:30:00,abc\n").unwrap_err();
        let place = error.place.unwrap();
        assert_eq!((place.line, place.column, place.width), (2, 21, 3));
    }

    #[test]
    fn rows_that_fit_are_counted_by_their_recorded_intervals() {
        let text = "timestamp,value\n2014-02-14 14:30:00,1\n2014-02-14 14:31:00,1\n2014-02-14 14:30:30,1\n2014-02-14 14:31:30,1\n";
        let series = written(text).unwrap();
        for (seconds, rows) in [(0, 1), (59, 1), (60, 3), (119, 3), (120, 4), (999, 4)] {
            assert_eq!(rows_within(&series, Duration::from_secs(seconds)), rows, "{seconds} s");
        }
    }
}
