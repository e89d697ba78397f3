//! What can go wrong, for people.

use std::path::PathBuf;

use crate::calls::CallError;
use crate::function::{ConfigError, FunctionError};
use crate::ingest::device_registry::names;

/// A command that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No tenant can be called so.
    #[error("no tenant can be called {found:?}\n  hint: 1 to {max} of {alphabet}; the name is part of topics and groups",
        max = names::TENANT_MAX, alphabet = names::ALPHABET)]
    TenantName {
        /// The name.
        found: String,
    },
    /// The tenants are not there.
    #[error(
        "there is no tenant {tenants}\n  hint: `platform tenants list` shows those that are there, \
        `platform tenants add NAME` adds one"
    )]
    NoTenant {
        /// Their names, with commas.
        tenants: String,
    },
    /// A tenant has devices.
    #[error(
        "the tenant {tenant:?} has devices, such as {device:?}\n  hint: `platform devices list --tenant {tenant}` \
        shows them; a tenant is removed when all its things are deleted"
    )]
    HasDevices {
        /// The tenant.
        tenant: String,
        /// One of them.
        device: String,
    },
    /// A certificate is another tenant's claim.
    #[error(
        "the certificate {certificate_id} is the claim of another tenant\n  hint: each tenant has claims of its own; \
        make one with `platform tenants claim`"
    )]
    OthersClaim {
        /// The certificate.
        certificate_id: String,
    },
    /// The environment is not there.
    #[error(
        "the environment has no device policy {policy:?} in {region}\n  hint: `platform status` shows what is \
        deployed, `platform deploy` deploys it; look at --env, --settings and the credentials"
    )]
    NotDeployed {
        /// The policy.
        policy: String,
        /// The Region.
        region: String,
    },
    /// The settings are for another account.
    #[error(
        "the credentials are of account {found}, the settings are for {expected}\n  hint: choose other credentials, \
        or other settings"
    )]
    WrongAccount {
        /// Of the settings.
        expected: String,
        /// Of the credentials.
        found: String,
    },
    /// A call failed.
    #[error("{what}: {error}\n  hint: what was done stays; run the command again when the cause is gone")]
    Call {
        /// What was tried.
        what: String,
        /// What AWS said.
        error: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}\n  hint: look at the path and at who may use it", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of devices is not valid.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    File(Vec<FileError>),
    /// A part is missing in the SDK configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl EnrolError {
    pub(super) fn call(what: impl Into<String>) -> impl FnOnce(CallError) -> EnrolError {
        let what = what.into();
        move |error| EnrolError::Call { what, error: error.to_string() }
    }

    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> EnrolError {
        let path = path.into();
        move |source| EnrolError::Io { what, path, source }
    }

    /// Whether the command was called wrongly, so that it did nothing.
    pub fn is_usage(&self) -> bool {
        matches!(self, EnrolError::TenantName { .. } | EnrolError::File(_))
    }
}

impl From<FunctionError> for EnrolError {
    fn from(error: FunctionError) -> Self {
        EnrolError::Call { what: "reconciling".to_owned(), error: error.to_string() }
    }
}

/// Something in a file of devices that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {}{problem}\n  hint: {hint}", file.display(),
    column.as_ref().map(|(number, name)| format!("column {number} ({name}): ")).unwrap_or_default())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1, with its name.
    pub column: Option<(usize, String)>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}
