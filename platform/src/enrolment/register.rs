//! Registering the devices of a file.
//!
//! A device is registered in four steps, each of which may be repeated: its thing, its certificate, the device policy on
//! the certificate, the certificate on the thing. The last one is what lets it connect.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_iot::operation::register_certificate_without_ca::RegisterCertificateWithoutCAError as RegisterError;
use aws_sdk_iot::types::{AttributePayload, CertificateStatus};
use aws_types::SdkConfig;

use super::api::{Api, EXISTS, device_policy};
use super::error::EnrolError;
use super::file::{Certificate, Row, read};
use super::journal::Journal;
use super::tenants::Tenant;
use super::{Progress, pool, report};
use crate::calls::CallError;
use crate::ingest::device_registry::{DEVICE_TYPE_ATTRIBUTE, TENANT_ATTRIBUTE};
use crate::ingest::iot_core::thing_type_name;
use crate::naming::Naming;
use crate::settings::Settings;

/// Devices that are worked on at once, unless something else is said.
pub const CONCURRENCY: usize = 16;
/// When so many devices failed and none was done, the others are not tried.
const HOPELESS: usize = 20;

/// What to register.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file of devices.
    pub file: PathBuf,
    /// Check everything and change nothing.
    pub dry_run: bool,
    /// Devices that are worked on at once.
    pub concurrency: usize,
}

/// A device that was not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its line in the file.
    pub line: u64,
    /// The device.
    pub device: String,
    /// Why.
    pub reason: String,
}

/// What became of the devices of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Devices that an earlier run has registered.
    pub before: usize,
    /// Devices that this run has registered; with a dry run, those that it would.
    pub registered: usize,
    /// Devices that it could not register, by their lines.
    pub failures: Vec<Failure>,
    /// Devices that it did not try, because all before them failed.
    pub not_tried: usize,
}

/// What the workers share.
struct Shared<'a> {
    rows: std::vec::IntoIter<&'a Row>,
    journal: Journal,
    outcome: Outcome,
    progress: &'a mut dyn Progress,
    /// The journal cannot be written.
    broken: Option<std::io::Error>,
}

/// Registers devices.
struct Registrar<'a> {
    api: Api,
    /// Start of the ARNs of the registry.
    arns: String,
    policy: String,
    thing_type: String,
    shared: Mutex<Shared<'a>>,
}

/// Registers the devices of a file, from where an earlier run has stopped.
pub async fn register(
    config: &SdkConfig,
    settings: &Settings,
    request: &Request,
    progress: &mut dyn Progress,
) -> Result<Outcome, EnrolError> {
    let rows = read(&request.file)?;
    let api = Api::new(config)?;
    let arns = api.environment(settings).await?;
    check_tenants(&api, settings, &rows).await?;
    if request.dry_run {
        let before =
            Journal::look(&request.file, &rows).map_err(EnrolError::io("read the journal of", &request.file))?;
        return Ok(Outcome { before, registered: rows.len() - before, ..Outcome::default() });
    }
    let journal = Journal::open(&request.file).map_err(EnrolError::io("open the journal of", &request.file))?;
    let todo: Vec<&Row> = rows.iter().filter(|row| !journal.has(row)).collect();
    let before = rows.len() - todo.len();
    progress.begin(rows.len(), before);
    let outcome = Outcome { before, ..Outcome::default() };
    let shared = Shared { rows: todo.into_iter(), journal, outcome, progress, broken: None };
    let registrar = Registrar {
        api,
        arns,
        policy: device_policy(settings),
        thing_type: thing_type_name(Naming::new(settings)),
        shared: Mutex::new(shared),
    };
    pool::all((0..request.concurrency.max(1)).map(|_| registrar.work())).await;
    let Shared { rows, mut outcome, progress, broken, .. } =
        registrar.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.end();
    outcome.not_tried = rows.len();
    outcome.failures.sort_by_key(|failure| failure.line);
    report::write(&request.file, &outcome.failures).map_err(EnrolError::io("write the report of", &request.file))?;
    match broken {
        Some(error) => Err(EnrolError::io("write the journal of", &request.file)(error)),
        None => Ok(outcome),
    }
}

/// Every tenant of the file must be there: a mistyped name would make a tenant of its own.
async fn check_tenants(api: &Api, settings: &Settings, rows: &[Row]) -> Result<(), EnrolError> {
    let mut missing = Vec::new();
    for name in rows.iter().map(|row| row.tenant.as_str()).collect::<BTreeSet<_>>() {
        if !Tenant::named(settings, name)?.exists(api).await? {
            missing.push(name);
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(EnrolError::NoTenant { tenants: missing.join(", ") }) }
}

impl<'a> Registrar<'a> {
    fn shared(&self) -> MutexGuard<'_, Shared<'a>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next device.
    fn next(&self) -> Option<&'a Row> {
        let mut shared = self.shared();
        let outcome = &shared.outcome;
        let hopeless = outcome.registered == 0 && outcome.failures.len() >= HOPELESS;
        if hopeless || shared.broken.is_some() { None } else { shared.rows.next() }
    }

    /// Registers one device after another.
    async fn work(&self) {
        while let Some(row) = self.next() {
            let result = self.register(row).await;
            let mut shared = self.shared();
            let shared = &mut *shared;
            match result {
                Ok(()) => {
                    // A device that is not noted is registered again by the next run, to the same end.
                    shared.broken = shared.journal.note(row).err();
                    shared.outcome.registered += 1;
                    shared.progress.step(&row.device, None);
                }
                Err(reason) => {
                    shared.progress.step(&row.device, Some(&reason));
                    let Row { line, device, .. } = row;
                    shared.outcome.failures.push(Failure { line: *line, device: device.clone(), reason });
                }
            }
        }
    }

    /// Registers a device.
    async fn register(&self, row: &Row) -> Result<(), String> {
        self.create_thing(row).await?;
        let principal = match &row.certificate {
            Certificate::Id(id) => format!("{}cert/{id}", self.arns),
            Certificate::Pem(pem) => self.register_certificate(pem).await?,
        };
        let iot = &self.api.iot;
        let attach = || iot.attach_policy().policy_name(&self.policy).target(&principal).send();
        self.api.call("AttachPolicy", attach).await.map_err(failed("AttachPolicy"))?;
        let attach = || iot.attach_thing_principal().thing_name(&row.device).principal(&principal).send();
        self.api.call("AttachThingPrincipal", attach).await.map_err(failed("AttachThingPrincipal"))?;
        Ok(())
    }

    /// Makes the thing. It may be there already, when it is the same.
    async fn create_thing(&self, row: &Row) -> Result<(), String> {
        let attributes = AttributePayload::builder().attributes(TENANT_ATTRIBUTE, &row.tenant);
        let attributes = match &row.device_type {
            Some(device_type) => attributes.attributes(DEVICE_TYPE_ATTRIBUTE, device_type),
            None => attributes,
        }
        .build();
        let create = || {
            let create = self.api.iot.create_thing().thing_name(&row.device).thing_type_name(&self.thing_type);
            create.attribute_payload(attributes.clone()).send()
        };
        match self.api.call("CreateThing", create).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is(EXISTS) => {}
            Err(error) => return Err(failed("CreateThing")(error)),
        }
        let describe = || self.api.iot.describe_thing().thing_name(&row.device).send();
        let found = self.api.call("DescribeThing", describe).await.map_err(failed("DescribeThing"))?;
        let attribute = |name: &str| found.attributes().and_then(|all| all.get(name)).map_or("none", String::as_str);
        Err(format!(
            "there is another thing of this name: tenant {}, device_type {}, thing type {}",
            attribute(TENANT_ATTRIBUTE),
            attribute(DEVICE_TYPE_ATTRIBUTE),
            found.thing_type_name().unwrap_or("none"),
        ))
    }

    /// Registers a certificate, and answers its ARN. When it is registered already, it is made sure that it is active.
    async fn register_certificate(&self, pem: &str) -> Result<String, String> {
        let iot = &self.api.iot;
        let register = || async move {
            let register = iot.register_certificate_without_ca().certificate_pem(pem).status(CertificateStatus::Active);
            match register.send().await {
                Ok(registered) => Ok((registered.certificate_arn().map(str::to_owned), true)),
                Err(error) => match error.as_service_error() {
                    Some(RegisterError::ResourceAlreadyExistsException(known)) => {
                        Ok((known.resource_arn().map(str::to_owned), false))
                    }
                    _ => Err(error),
                },
            }
        };
        let registered = self.api.call("RegisterCertificateWithoutCA", register).await;
        let (arn, is_new) = registered.map_err(failed("RegisterCertificateWithoutCA"))?;
        let arn = arn.ok_or("RegisterCertificateWithoutCA: AWS did not name the certificate")?;
        if !is_new {
            let id = arn.rsplit('/').next().unwrap_or_default();
            let activate = || iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Active).send();
            self.api.call("UpdateCertificate", activate).await.map_err(failed("UpdateCertificate"))?;
        }
        Ok(arn)
    }
}

fn failed(operation: &'static str) -> impl Fn(CallError) -> String {
    move |error| format!("{operation}: {error}")
}
