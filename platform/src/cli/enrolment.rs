//! The commands for tenants and devices.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use platform::enrolment::{self, Claim, EnrolError, Outcome, Progress, Request};
use serde_json::{Value, json};

use super::console::{self, Questions, say, tell};
use super::{Failed, Source, StatusFormat, connection};

/// So many failures are shown; the report has them all.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Tenants {
    /// Add a tenant: its thing group and its billing group; one that is there stays as it is
    #[command(after_help = "Example:\n  platform tenants add acme --settings prod.toml")]
    Add {
        /// Name: 1 to 64 letters, digits, '_' and '-'
        name: String,
        #[command(flatten)]
        source: Source,
    },
    /// List the tenants
    #[command(after_help = "Example:\n  platform tenants list --settings prod.toml --format json")]
    List {
        #[command(flatten)]
        source: Source,
        /// How to print them
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// Remove a tenant without devices: its claims end, its groups are deleted
    #[command(after_help = "Examples:\n  platform tenants remove acme --settings prod.toml\n  \
                            platform tenants remove acme --settings prod.toml --approve\n\n\
                            Readings and anomalies of the tenant stay in the lake.")]
    Remove {
        /// Name
        name: String,
        #[command(flatten)]
        source: Source,
        /// Do not ask
        #[arg(long)]
        approve: bool,
    },
    /// Make a claim: a certificate with which devices of the tenant register themselves
    #[command(after_help = "Examples:\n  platform tenants claim acme --settings prod.toml --out claims --days 30\n  \
                            platform tenants claim acme --settings prod.toml --certificate-id \
                            0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n\n\
                            The private key is written once, and readable for its owner only.")]
    Claim {
        /// Name of the tenant
        name: String,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        made: Made,
        /// The claim ends after so many days; without it, when the tenant is removed
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: Option<u64>,
    },
}

/// Where a claim's certificate comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Made {
    /// Make a certificate, and write it and its key into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take this certificate of the account
    #[arg(long, value_name = "ID")]
    certificate_id: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Devices {
    /// Register the devices of a file, from where an earlier run has stopped
    #[command(
        after_help = "Examples:\n  platform devices register --from fleet.csv --settings prod.toml --dry-run\n  \
                            platform devices register --from fleet.csv --settings prod.toml\n\n\
                            The file is CSV with a header: device, tenant, device_type (optional), and one of\n\
                            certificate_pem, certificate_file (relative to the CSV), certificate_id:\n\n  \
                            device,tenant,device_type,certificate_file\n  pump-1,acme,pump,certs/pump-1.pem\n\n\
                            FILE.journal notes what is done; FILE.failures.csv names line, device and reason of what failed.\n\
                            Exit codes: 0 all are registered, 1 some are not, 2 the file is not valid."
    )]
    Register {
        /// File of devices
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        #[command(flatten)]
        source: Source,
        /// Check the file, the tenants and the journal; change nothing
        #[arg(long)]
        dry_run: bool,
        /// Devices that are worked on at once; the pace stays below the rates of AWS IoT either way
        #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=64))]
        concurrency: u64,
    },
    /// List devices
    #[command(after_help = "Example:\n  platform devices list --tenant acme --settings prod.toml")]
    List {
        #[command(flatten)]
        source: Source,
        /// Of this tenant only
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// How to print them
        #[arg(long, value_enum, default_value_t = StatusFormat::Table)]
        format: StatusFormat,
    },
    /// Bring all devices into their tenants' groups and into the directory, as events of the registry should have
    #[command(after_help = "Example:\n  platform devices reconcile --settings prod.toml")]
    Reconcile {
        #[command(flatten)]
        source: Source,
    },
}

fn failed(error: EnrolError) -> Failed {
    if error.is_usage() { Failed::usage(error) } else { Failed::work(error) }
}

pub(super) fn tenants(command: Tenants) -> Result<ExitCode, Failed> {
    match command {
        Tenants::Add { name, source } => {
            let settings = source.settings()?;
            let work = async |config| enrolment::add(&config, &settings, &name).await;
            let added = connection::with(&settings.region, work)?.map_err(failed)?;
            say(format_args!("{name}: {}", if added { "added" } else { "was there" }));
        }
        Tenants::List { source, format } => {
            let settings = source.settings()?;
            let work = async |config| enrolment::list(&config, &settings).await;
            let found = connection::with(&settings.region, work)?.map_err(failed)?;
            match format {
                StatusFormat::Table => found.iter().for_each(|tenant| say(format_args!("{}", tenant.name))),
                StatusFormat::Json => {
                    let listed = found.iter().map(|tenant| json!({ "tenant": tenant.name, "group": tenant.group }));
                    say(format_args!("{:#}", listed.collect::<Value>()));
                }
            }
        }
        Tenants::Remove { name, source, approve } => {
            let settings = source.settings()?;
            let questions = Questions::new(approve, "tenants remove")?;
            let what = format!("the tenant {name} of environment {} in {}", settings.env, settings.region);
            if !questions.agrees(&what, &format!("Remove {what}: its groups and its claims?")) {
                return Err(Failed::work("nothing was removed"));
            }
            let work = async |config| enrolment::remove(&config, &settings, &name).await;
            connection::with(&settings.region, work)?.map_err(failed)?;
            say(format_args!("{name}: removed"));
        }
        Tenants::Claim { name, source, made, days } => return claim(&name, &source, made, days),
    }
    Ok(ExitCode::SUCCESS)
}

fn claim(name: &str, source: &Source, made: Made, days: Option<u64>) -> Result<ExitCode, Failed> {
    let settings = source.settings()?;
    let lasts = days.map(|days| Duration::from_secs(days * 24 * 60 * 60));
    let Made { out, certificate_id } = made;
    let id = match (out, certificate_id) {
        (Some(folder), _) => {
            let keep = |claim: &Claim| keep(&folder, name, claim);
            let work = async |config| enrolment::claim(&config, &settings, name, lasts, keep).await;
            connection::with(&settings.region, work)?.map_err(failed)?.certificate_id
        }
        (None, id) => {
            let id = id.unwrap_or_default();
            let work = async |config| enrolment::grant(&config, &settings, name, &id, lasts).await;
            connection::with(&settings.region, work)?.map_err(failed)?;
            id
        }
    };
    if !settings.iot.fleet_provisioning {
        tell(format_args!("note: devices register themselves once `iot.fleet_provisioning` is true in the settings"));
    }
    say(format_args!("{name}: {id} is a claim"));
    Ok(ExitCode::SUCCESS)
}

/// Writes a claim's certificate and its private key into a folder.
fn keep(folder: &Path, tenant: &str, claim: &Claim) -> Result<(), EnrolError> {
    let id = claim.certificate_id.get(..8).unwrap_or(&claim.certificate_id);
    let write = |end: &str, text: &str| {
        let path = folder.join(format!("{tenant}-claim-{id}.{end}"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| EnrolError::Io { what: "write the claim to", path: path.clone(), source })?;
        tell(format_args!("wrote {}", path.display()));
        Ok(())
    };
    std::fs::create_dir_all(folder).map_err(|source| EnrolError::Io {
        what: "make the folder",
        path: folder.to_owned(),
        source,
    })?;
    write("key.pem", &claim.private_key)?;
    write("cert.pem", &claim.certificate_pem)
}

pub(super) fn devices(command: Devices) -> Result<ExitCode, Failed> {
    match command {
        Devices::Register { from, source, dry_run, concurrency } => {
            let settings = source.settings()?;
            // What is wrong with the file is told without a connection.
            enrolment::read(&from).map_err(failed)?;
            let concurrency = usize::try_from(concurrency).unwrap_or(enrolment::CONCURRENCY);
            let request = Request { file: from, dry_run, concurrency };
            let work = async |config| enrolment::register(&config, &settings, &request, &mut Bar::default()).await;
            let outcome = connection::with(&settings.region, work)?.map_err(failed)?;
            Ok(registered(&request, &outcome))
        }
        Devices::List { source, tenant, format } => {
            let settings = source.settings()?;
            let work = async |config| enrolment::devices(&config, &settings, tenant.as_deref()).await;
            let found = connection::with(&settings.region, work)?.map_err(failed)?;
            match format {
                StatusFormat::Table => found.iter().for_each(|device| {
                    let kind = device.device_type.as_deref().unwrap_or("-");
                    say(format_args!("{}\t{}\t{kind}\t{}", device.name, device.tenant, device.version));
                }),
                StatusFormat::Json => {
                    let listed = found.iter().map(|device| {
                        let enrolment::Device { name, tenant, device_type, version } = device;
                        json!({ "device": name, "tenant": tenant, "device_type": device_type, "version": version })
                    });
                    say(format_args!("{:#}", listed.collect::<Value>()));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Devices::Reconcile { source } => {
            let settings = source.settings()?;
            let work = async |config| enrolment::reconcile(&config, &settings, &mut Bar::default()).await;
            let done = connection::with(&settings.region, work)?.map_err(failed)?;
            for (device, reason) in done.failures.iter().take(SHOWN_MAX) {
                tell(format_args!("{device}: {reason}"));
            }
            let failures = done.failures.len();
            say(format_args!("{} devices settled, {} gone, {failures} failed", done.settled, done.gone));
            Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Tells what became of the devices.
fn registered(request: &Request, outcome: &Outcome) -> ExitCode {
    for failure in outcome.failures.iter().take(SHOWN_MAX) {
        tell(format_args!("{}:{}: {}: {}", request.file.display(), failure.line, failure.device, failure.reason));
    }
    say(format_args!("{}", summary(request, outcome)));
    if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn summary(request: &Request, outcome: &Outcome) -> String {
    let Outcome { before, registered, failures, not_tried } = outcome;
    if request.dry_run {
        return format!("{registered} devices would be registered, {before} are");
    }
    let mut text = format!("{registered} devices registered, {before} were before, {} failed", failures.len());
    if *not_tried > 0 {
        text.push_str(&format!(", {not_tried} were not tried because none succeeded"));
    }
    if !failures.is_empty() {
        text.push_str(&format!(
            "\n  hint: {} names the reasons; run the command again for those that failed",
            enrolment::report_file(&request.file).display()
        ));
    }
    text
}

/// A progress bar on the standard error, where that is a terminal.
#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
    failed: usize,
}

impl Progress for Bar {
    fn begin(&mut self, devices: usize, before: usize) {
        self.bar = Some(console::bar(devices, before, "devices, {per_sec}, {eta} left"));
    }

    fn step(&mut self, _: &str, failure: Option<&str>) {
        self.failed += usize::from(failure.is_some());
        if let Some(bar) = &self.bar {
            if failure.is_some() {
                bar.set_message(format!("({} failed)", self.failed));
            }
            bar.inc(1);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::enrolment::Failure;

    use super::*;

    #[test]
    fn the_end_of_a_registration_says_what_is_left_to_do() {
        let request = Request { file: PathBuf::from("a/fleet.csv"), dry_run: false, concurrency: 1 };
        let failures = vec![Failure { line: 7, device: "p1".to_owned(), reason: "why".to_owned() }];
        let outcome = Outcome { before: 3, registered: 5, failures, not_tried: 2 };
        let text = summary(&request, &outcome);
        let expected = "5 devices registered, 3 were before, 1 failed, 2 were not tried because none succeeded\n  \
                        hint: a/fleet.csv.failures.csv names the reasons";
        assert!(text.starts_with(expected), "{text}");
        let all = Outcome { failures: Vec::new(), not_tried: 0, ..outcome };
        assert_eq!(summary(&request, &all), "5 devices registered, 3 were before, 0 failed");
        let dry = Request { dry_run: true, ..request };
        assert_eq!(summary(&dry, &all), "5 devices would be registered, 3 are");
    }

    #[cfg(unix)]
    #[test]
    fn a_claim_s_key_is_for_its_owner_s_eyes_and_overwrites_nothing() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let text = |text: &str| text.to_owned();
        let claim =
            Claim { certificate_id: "0a1b2c3d4e".to_owned(), certificate_pem: text("c"), private_key: text("k") };
        keep(folder.path(), "acme", &claim).unwrap();
        let path = folder.path().join("acme-claim-0a1b2c3d.key.pem");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "k");
        assert!(keep(folder.path(), "acme", &claim).unwrap_err().to_string().contains("key.pem"));
    }

    #[test]
    fn a_file_that_is_not_valid_is_a_usage_error_before_any_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fleet.csv");
        std::fs::write(&file, "device,tenant,certificate_id\na/b,acme,1\n").unwrap();
        let register = |from| Devices::Register { from, source: Source::default(), dry_run: true, concurrency: 1 };
        let Err(Failed(code, message)) = devices(register(file)) else { panic!("it is not valid") };
        assert!(code == 2 && message.contains("fleet.csv:2: column 1 (device)"), "{message}");
        let Err(Failed(code, message)) = devices(register(folder.path().join("none.csv"))) else { panic!("none") };
        assert!(code == 1 && message.contains("cannot read") && message.contains("hint: "), "{message}");
    }
}
