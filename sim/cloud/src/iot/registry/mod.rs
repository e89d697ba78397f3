//! The registry, as far as devices need it: things, their types and groups, certificates and policies, who is attached to
//! whom, and the events that tell of changes.

pub mod arns;
mod billing;
mod certificates;
mod events;
mod groups;
mod policies;
mod principals;
mod things;
mod types;
pub mod x509;

pub use certificates::{Certificate, CertificateRefusal, CertificateStatus, NewCertificate, certificate_id};
pub use events::{Change, Events};
pub use groups::{Group, GroupProperties, GroupUpdate};
pub use policies::Policy;
pub use things::{Thing, ThingUpdate, merged};
pub use types::ThingType;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::AwsError;
use crate::iot::message::Outbox;

/// Everything that is registered.
#[derive(Debug, Default)]
pub struct Registry {
    pub(super) things: BTreeMap<Arc<str>, Thing>,
    pub(super) thing_types: BTreeMap<Arc<str>, ThingType>,
    pub(super) certificates: BTreeMap<Arc<str>, Certificate>,
    pub(super) policies: BTreeMap<Arc<str>, Policy>,
    pub(super) thing_groups: BTreeMap<Arc<str>, Group>,
    pub(super) billing_groups: BTreeMap<Arc<str>, Group>,
    pub(super) events: Events,
    /// Events that are not published yet.
    pub(super) outbox: Outbox,
    /// Certificates whose permissions may have changed since they were taken from here.
    pub(super) changed: BTreeSet<Arc<str>>,
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new("ResourceNotFoundException", message).status(404)
}

pub(super) fn already_exists(kind: &str, name: &str, arn: String) -> AwsError {
    AwsError::new("ResourceAlreadyExistsException", format!("{kind} {name} already exists with other properties"))
        .status(409)
        .with("resourceId", name)
        .with("resourceArn", arn)
}

/// The refusal of a change that expected another version.
fn check_version(kind: &str, name: &str, version: u64, expected: Option<u64>) -> Result<(), AwsError> {
    if expected.is_none_or(|expected| expected == version) {
        return Ok(());
    }
    let message = format!("The version for the {kind} {name} does not match the expected version.");
    Err(AwsError::new("VersionConflictException", message).status(409))
}

/// Checks a name against AWS's pattern for it: 1 to `max` characters, ASCII letters, digits, underscore and `others`.
pub(super) fn check_name(kind: &str, name: &str, max: usize, others: &str) -> Result<(), AwsError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || others.contains(c);
    if name.is_empty() || name.len() > max || !name.chars().all(fits) {
        return Err(invalid(format!(
            "the {kind} {name:?} does not have 1 to {max} of the characters a-zA-Z0-9_{others}"
        )));
    }
    Ok(())
}
