//! The file of devices: CSV with a header. All of it is read and checked before the first call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use super::error::{EnrolError, FileError};
use crate::digest::sha256_hex;
use crate::ingest::device_registry::names;
use crate::ingest::iot_core::claims::CLAIM_CLIENT_PREFIX;

/// Columns, in the order in which they are named to people.
const COLUMNS: [&str; 6] = [DEVICE, TENANT, DEVICE_TYPE, PEM, PEM_FILE, ID];
const DEVICE: &str = "device";
const TENANT: &str = "tenant";
const DEVICE_TYPE: &str = "device_type";
const PEM: &str = "certificate_pem";
const PEM_FILE: &str = "certificate_file";
const ID: &str = "certificate_id";

/// So many errors are told at once.
const ERRORS_MAX: usize = 10;
/// First words of a certificate in PEM.
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// A device to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// Name of the device, of its thing and its client id.
    pub device: String,
    /// Tenant.
    pub tenant: String,
    /// What kind of device it is.
    pub device_type: Option<String>,
    /// Its certificate.
    pub certificate: Certificate,
}

/// A device's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// In PEM: it is registered.
    Pem(String),
    /// By its id: it is registered already.
    Id(String),
}

impl Row {
    /// What tells this row from another content of it: an earlier run's work counts only when it is the same.
    pub(super) fn fingerprint(&self) -> String {
        let certificate = match &self.certificate {
            Certificate::Pem(pem) => ("pem", pem),
            Certificate::Id(id) => ("id", id),
        };
        let parts = (&self.device, &self.tenant, &self.device_type, certificate);
        sha256_hex(serde_json::to_string(&parts).expect("texts are valid JSON").as_bytes())[..16].to_owned()
    }
}

/// Where the columns are.
struct Columns(BTreeMap<&'static str, usize>);

/// Reads a file of devices.
pub fn read(file: &Path) -> Result<Vec<Row>, EnrolError> {
    let bytes = std::fs::read(file).map_err(EnrolError::io("read", file))?;
    parse(&bytes, file).map_err(EnrolError::File)
}

fn parse(bytes: &[u8], file: &Path) -> Result<Vec<Row>, Vec<FileError>> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
    let header = reader.headers().cloned().map_err(|error| vec![broken(file, &error)])?;
    let columns = Columns::of(&header, file).map_err(|error| vec![error])?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for record in reader.records() {
        let row = record.map_err(|error| broken(file, &error)).and_then(|record| columns.row(&record, file));
        let row = row.and_then(|row| {
            let (Certificate::Pem(certificate) | Certificate::Id(certificate)) = &row.certificate;
            for (what, value) in [(DEVICE, &row.device), (columns.given(&row.certificate), certificate)] {
                if let Some(line) = seen.insert(format!("{what} {value}"), row.line) {
                    let problem = format!("the same as in line {line}");
                    return Err(columns.error(
                        file,
                        row.line,
                        what,
                        problem,
                        "each device has a line and a certificate of its own",
                    ));
                }
            }
            Ok(row)
        });
        match row {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(error),
        }
        if errors.len() == ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

/// What the CSV itself lacks.
fn broken(file: &Path, error: &csv::Error) -> FileError {
    let line = error.position().map_or(1, Position::line);
    let (problem, hint) = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => (
            format!("{len} columns, the header has {expected_len}"),
            "every line has all columns; a value with a comma or a line break stands in double quotes",
        ),
        ErrorKind::Utf8 { .. } => ("this is not UTF-8".to_owned(), "save the file as UTF-8"),
        _ => (error.to_string(), "the file is CSV with commas and a header"),
    };
    FileError { file: file.to_owned(), line, column: None, problem, hint: hint.to_owned() }
}

impl Columns {
    fn of(header: &StringRecord, file: &Path) -> Result<Self, FileError> {
        let error = |column, problem: String| {
            let hint = format!("the columns are {}; one of the last three is enough", COLUMNS.join(", "));
            FileError { file: file.to_owned(), line: 1, column, problem, hint }
        };
        let mut columns = BTreeMap::new();
        for (index, name) in header.iter().enumerate() {
            let at = Some((index + 1, name.to_owned()));
            let Some(known) = COLUMNS.into_iter().find(|column| *column == name) else {
                return Err(error(at, "there is no such column".to_owned()));
            };
            if columns.insert(known, index).is_some() {
                return Err(error(at, "this column is there twice".to_owned()));
            }
        }
        for needed in [DEVICE, TENANT] {
            if !columns.contains_key(needed) {
                return Err(error(None, format!("the column {needed} is missing")));
            }
        }
        if ![PEM, PEM_FILE, ID].iter().any(|name| columns.contains_key(name)) {
            return Err(error(None, "there is no column with certificates".to_owned()));
        }
        Ok(Columns(columns))
    }

    fn error(
        &self,
        file: &Path,
        line: u64,
        column: &str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> FileError {
        let column = self.0.get(column).map(|index| (index + 1, column.to_owned()));
        FileError { file: file.to_owned(), line, column, problem: problem.into(), hint: hint.into() }
    }

    /// The column of a certificate.
    fn given(&self, certificate: &Certificate) -> &'static str {
        match certificate {
            Certificate::Id(_) => ID,
            Certificate::Pem(_) if self.0.contains_key(PEM) => PEM,
            Certificate::Pem(_) => PEM_FILE,
        }
    }

    fn row(&self, record: &StringRecord, file: &Path) -> Result<Row, FileError> {
        let line = record.position().map_or(0, Position::line);
        let value = |name: &str| self.0.get(name).and_then(|index| record.get(*index)).unwrap_or_default();
        let name = |column: &'static str, longest: usize, is_name: fn(&str) -> bool| {
            let found = value(column);
            if is_name(found) {
                return Ok(found.to_owned());
            }
            let problem = format!("{found:?} is not allowed");
            Err(self.error(file, line, column, problem, format!("1 to {longest} of {}", names::ALPHABET)))
        };
        let device = name(DEVICE, names::DEVICE_MAX, names::is_device)?;
        if device.starts_with(CLAIM_CLIENT_PREFIX) {
            let hint = "claims connect under such names; a device needs another one";
            return Err(self.error(
                file,
                line,
                DEVICE,
                format!("{device:?} begins with {CLAIM_CLIENT_PREFIX:?}"),
                hint,
            ));
        }
        let tenant = name(TENANT, names::TENANT_MAX, names::is_tenant)?;
        let device_type = match value(DEVICE_TYPE) {
            "" => None,
            _ => Some(name(DEVICE_TYPE, names::DEVICE_TYPE_MAX, names::is_device_type)?),
        };
        let certificate = self.certificate(file, line, &value)?;
        Ok(Row { line, device, tenant, device_type, certificate })
    }

    fn certificate<'r>(
        &self,
        file: &Path,
        line: u64,
        value: &impl Fn(&str) -> &'r str,
    ) -> Result<Certificate, FileError> {
        let given: Vec<&str> = [PEM, PEM_FILE, ID].into_iter().filter(|name| !value(name).is_empty()).collect();
        let [column] = given[..] else {
            let shown =
                if given.is_empty() { [PEM, PEM_FILE, ID].map(String::from).join(", ") } else { given.join(" and ") };
            let problem = match given.len() {
                0 => "the device has no certificate".to_owned(),
                _ => format!("the device has several certificates: {shown}"),
            };
            let column = given.last().copied().unwrap_or_else(|| {
                [PEM, PEM_FILE, ID].into_iter().find(|name| self.0.contains_key(name)).unwrap_or(PEM)
            });
            return Err(self.error(file, line, column, problem, format!("give one of {PEM}, {PEM_FILE}, {ID}")));
        };
        let found = value(column);
        match column {
            ID if found.len() == 64 && found.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Certificate::Id(found.to_ascii_lowercase()))
            }
            ID => {
                let problem = format!("{found:?} is no id of a certificate");
                Err(self.error(
                    file,
                    line,
                    column,
                    problem,
                    "64 hexadecimal digits, as `aws iot list-certificates` shows",
                ))
            }
            PEM => self.pem(file, line, column, found.to_owned()),
            _ => {
                let path: PathBuf = file.parent().unwrap_or(Path::new("")).join(found);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    let problem = format!("cannot read {}: {error}", path.display());
                    self.error(file, line, column, problem, "paths are relative to the folder of this file")
                })?;
                self.pem(file, line, column, text)
            }
        }
    }

    fn pem(&self, file: &Path, line: u64, column: &str, text: String) -> Result<Certificate, FileError> {
        // Tables are often made with the line breaks written out.
        let text = if text.contains('\n') { text } else { text.replace("\\n", "\n") };
        if text.trim_start().starts_with(PEM_BEGIN) {
            return Ok(Certificate::Pem(text.trim().to_owned()));
        }
        let hint = format!("a certificate in PEM begins with {PEM_BEGIN}; in CSV it stands in double quotes");
        Err(self.error(file, line, column, "this is no certificate in PEM", hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM_TEXT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

    fn errors(text: &str) -> Vec<String> {
        let errors = parse(text.as_bytes(), Path::new("fleet.csv")).expect_err(text);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_names_devices_with_a_certificate_each() {
        let id = "0A".repeat(32);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p3.pem"), PEM_TEXT.replace("AAAA", "CCCC") + "\n").unwrap();
        let path = folder.path().join("fleet.csv");
        let text = format!(
            "tenant, device,device_type,certificate_pem,certificate_id,certificate_file\n\
             acme,p1,pump,\"{PEM_TEXT}\",,\nacme,p2,,,{id},\nglobex,p3,,,,p3.pem\nacme,p4,,{},,\n",
            PEM_TEXT.replace('\n', "\\n").replace("AAAA", "BBBB")
        );
        let rows = parse(text.as_bytes(), &path).unwrap();
        let lines: Vec<_> = rows.iter().map(|row| (row.line, row.device.as_str(), row.tenant.as_str())).collect();
        assert_eq!(lines, [(2, "p1", "acme"), (5, "p2", "acme"), (6, "p3", "globex"), (7, "p4", "acme")]);
        assert_eq!(rows[0].device_type.as_deref(), Some("pump"));
        assert_eq!(rows[0].certificate, Certificate::Pem(PEM_TEXT.to_owned()));
        assert_eq!(rows[1].certificate, Certificate::Id(id.to_ascii_lowercase()));
        assert_eq!(rows[3].certificate, Certificate::Pem(PEM_TEXT.replace("AAAA", "BBBB")));
        let other = Row { tenant: "globex".to_owned(), ..rows[0].clone() };
        assert_ne!(rows[0].fingerprint(), other.fingerprint());
        assert_eq!(rows[0].fingerprint(), Row { line: 9, ..rows[0].clone() }.fingerprint(), "lines may move");
    }

    #[test]
    fn what_cannot_be_is_named_with_file_line_column_and_a_hint() {
        let id = |n: u32| format!("{n:064x}");
        let (one, two) = (id(1), id(2));
        for (text, expected) in [
            (
                "device,certificate_id\n",
                "fleet.csv:1: the column tenant is missing\n  hint: the columns are device, tenant",
            ),
            ("device,tenant\n", "fleet.csv:1: there is no column with certificates\n"),
            ("device,tenant,site,certificate_id\n", "fleet.csv:1: column 3 (site): there is no such column\n"),
            ("device,device,tenant,certificate_id\n", "fleet.csv:1: column 2 (device): this column is there twice\n"),
            (
                &format!("device,tenant,certificate_id\np1,acme,{one}\na/b,acme,{two}\n"),
                "fleet.csv:3: column 1 (device): \"a/b\" is not allowed\n  hint: 1 to 128 of letters",
            ),
            (
                &format!("device,tenant,certificate_id\np1,,{one}\n"),
                "fleet.csv:2: column 2 (tenant): \"\" is not allowed\n  hint: 1 to 64",
            ),
            (
                &format!("device,tenant,certificate_id\nclaim-1,acme,{one}\n"),
                "fleet.csv:2: column 1 (device): \"claim-1\" begins with \"claim-\"\n",
            ),
            (
                "device,tenant,certificate_id\np1,acme,12\n",
                "fleet.csv:2: column 3 (certificate_id): \"12\" is no id of a certificate\n",
            ),
            (
                "device,tenant,certificate_id\np1,acme,\n",
                "fleet.csv:2: column 3 (certificate_id): the device has no certificate\n",
            ),
            (
                &format!("device,tenant,certificate_pem,certificate_id\np1,acme,x,{one}\n"),
                "fleet.csv:2: column 4 (certificate_id): the device has several certificates: certificate_pem and certificate_id\n",
            ),
            (
                "device,tenant,certificate_pem\np1,acme,x\n",
                "fleet.csv:2: column 3 (certificate_pem): this is no certificate in PEM\n",
            ),
            (
                "device,tenant,certificate_file\np1,acme,no/such.pem\n",
                "fleet.csv:2: column 3 (certificate_file): cannot read no/such.pem",
            ),
            ("device,tenant,certificate_id\np1,acme\n", "fleet.csv:2: 2 columns, the header has 3\n"),
            (
                &format!("device,tenant,certificate_id\np1,acme,{one}\np1,acme,{two}\n"),
                "fleet.csv:3: column 1 (device): the same as in line 2\n",
            ),
            (
                &format!("device,tenant,certificate_id\np1,acme,{one}\np2,acme,{one}\n"),
                "fleet.csv:3: column 3 (certificate_id): the same as in line 2\n",
            ),
        ] {
            let found = errors(text);
            assert!(
                found.len() == 1 && found[0].starts_with(expected) && found[0].contains("\n  hint: "),
                "{text}: {found:?}"
            );
        }
        let many: String = (0..30).map(|n| format!("p{n},a+b,{}\n", id(n))).collect();
        assert_eq!(errors(&format!("device,tenant,certificate_id\n{many}")).len(), ERRORS_MAX);
        let latin = parse(b"device,tenant,certificate_id\np\xe4,acme,1\n", Path::new("f")).unwrap_err();
        assert!(latin[0].problem.contains("UTF-8"), "{latin:?}");
    }
}
