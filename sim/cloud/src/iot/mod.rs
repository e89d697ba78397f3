//! AWS IoT Core: the MQTT broker, policies, the registry as far as devices need it, and topic rules with SQL.
//!
//! Modelled: the message broker for MQTT 3.1.1 and MQTT 5 with X.509 certificates, and its quotas (`broker`, which says
//! what of it is modelled); policies with all elements and conditions (`policy`), their versions, and their inheritance by
//! thing groups; the registry (`registry`) of things, thing types with their deprecation, thing groups, billing groups,
//! certificates with all statuses, principals and policies, with versions, limits and pages, and with its events on
//! `$aws/events/...`; fleet provisioning (`provisioning`); DescribeEndpoint (iot:Data-ATS); rules (`rules`) and their SQL
//! (`sql`); and of CloudFormation policies, thing types, thing groups, billing groups and rules with their changes and
//! deletions; device shadows over MQTT and REST (`shadow`), and the data plane over HTTPS (`data`).
//!
//! Partly modelled: the connections of a certificate that is ACTIVE no more are closed within two minutes, each at an instant
//! of its own (AWS says "a few minutes"). Permissions are worked out when a client connects, and at once when its policies,
//! its certificate, its thing or its groups change (AWS says that it takes minutes). CloudFormation deletes a thing type
//! without the wait of five minutes.
//!
//! Refused, with a closed connection and an event that says why: publishes to reserved topics of services that are not
//! modelled (jobs). Refused with an error: every other operation of the control plane (jobs, fleet indexing, CA certificates,
//! transfers of certificates, Cognito identities), events of policies, certificates and jobs, dynamic groups, rules and
//! subscriptions on other reserved topics. Absent: WebSockets.
//!
//! Not stated by AWS, decided here, and listed in `docs/gaps.md`: a policy action that matches no name of AWS is refused;
//! what the broker decides (`broker`).

mod broker;
mod change;
mod data;
mod json;
mod message;
mod policy;
mod provision;
mod provisioning;
mod quotas;
mod registry;
mod reserved;
mod rest;
mod rules;
mod shadow;
pub(crate) mod sql;
mod status;
mod topic;
mod trie;
mod wakeup;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

pub use self::data::DataRequest;
pub use self::registry::x509::signing_request;
pub use self::registry::{CertificateStatus, certificate_id};
pub use self::rest::RestRequest;
pub use self::rules::Ports;

use self::broker::Broker;
use self::provisioning::Provisioning;
use self::quotas::Quotas;
use self::registry::Registry;
use self::registry::arns::certificate_arn;
use self::rules::Rules;
use self::shadow::Shadows;
use self::wakeup::Wakeup;
use super::core::{AccountInfo, AwsError, Cx, Deferred, Outcome};

/// AWS IoT Core of one account in one region.
#[derive(Debug, Default)]
pub struct Iot {
    quotas: Option<Quotas>,
    registry: Registry,
    broker: Broker,
    rules: Rules,
    provisioning: Provisioning,
    shadows: Shadows,
    /// What the last request to the data plane waits for.
    deferred: Option<Deferred>,
}

/// A connection that the broker does not take: its TLS handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection refused: {}", self.reason)
    }
}

impl std::error::Error for Refused {}

/// A device to register: its thing and its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRegistration {
    /// Name of the thing; the device connects with it as its client id.
    pub thing_name: String,
    /// Name of an existing thing type.
    pub thing_type: Option<String>,
    /// Attributes of the thing.
    pub attributes: BTreeMap<String, String>,
    /// Id of the certificate: 64 hexadecimal digits.
    pub certificate_id: String,
    /// Name of the policy to attach to the certificate.
    pub policy_name: String,
}

/// Where devices connect: the account's endpoint of type `iot:Data-ATS`.
pub fn endpoint(account: &AccountInfo) -> String {
    let prefix = hex::encode(Sha256::digest(account.id.as_bytes()));
    format!("a{}-ats.iot.{}.amazonaws.com", &prefix[..13], account.region)
}

impl Iot {
    /// A service without things, rules and connections.
    pub fn new() -> Self {
        Iot::default()
    }

    /// Messages whose rules' actions wait to be tried again.
    pub(crate) fn waiting(&self) -> u64 {
        self.rules.waiting()
    }

    /// The operation that a method and a path of the control plane ask for, if it has one.
    pub fn operation_of(method: &str, path: &str) -> Option<&'static str> {
        rest::operation_of(method, path)
    }

    fn quotas(&mut self, cx: &Cx<'_>) -> &mut Quotas {
        self.quotas.get_or_insert_with(|| Quotas::new(cx))
    }

    /// Reads the quotas anew when they are needed next.
    #[cfg(test)]
    fn forget_quotas(&mut self) {
        self.quotas = None;
    }

    fn registry_and_quotas(&mut self, cx: &Cx<'_>) -> (&mut Registry, &Quotas) {
        (&mut self.registry, self.quotas.get_or_insert_with(|| Quotas::new(cx)))
    }

    /// Registers a device as its owner would have, with the checks of CreateThing, RegisterCertificateWithoutCA,
    /// AttachPolicy and AttachThingPrincipal, and one call of each on the meter. The rates of these operations are not
    /// enforced: a fleet was registered over the days before a run begins.
    pub fn register_device(&mut self, cx: &mut Cx<'_>, device: &DeviceRegistration) -> Result<(), AwsError> {
        let DeviceRegistration { thing_name, thing_type, attributes, certificate_id, policy_name } = device;
        let principal = certificate_arn(cx, certificate_id);
        let (registry, quotas) = self.registry_and_quotas(cx);
        let created =
            registry.create_thing(cx, quotas, thing_name, thing_type.as_deref(), attributes.clone()).map(drop);
        metered(cx, "CreateThing", created)?;
        let registered = registry.register_certificate(cx, certificate_id, CertificateStatus::Active).map(drop);
        metered(cx, "RegisterCertificateWithoutCA", registered)?;
        let attached = registry.attach_policy(cx, quotas, policy_name, &principal);
        metered(cx, "AttachPolicy", attached)?;
        let attached = registry.attach_thing_principal(cx, thing_name, &principal, false);
        metered(cx, "AttachThingPrincipal", attached)
    }

    /// Registers a claim certificate as the account's owner would, for devices that join by themselves.
    pub fn register_claim(&mut self, cx: &mut Cx<'_>, certificate_id: &str, policy: &str) -> Result<(), AwsError> {
        let registered = self.registry.register_certificate(cx, certificate_id, CertificateStatus::Active).map(drop);
        metered(cx, "RegisterCertificateWithoutCA", registered)?;
        let principal = certificate_arn(cx, certificate_id);
        let (registry, quotas) = self.registry_and_quotas(cx);
        let attached = registry.attach_policy(cx, quotas, policy, &principal);
        metered(cx, "AttachPolicy", attached)
    }

    /// A wake-up that the service asked for.
    pub fn wake(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, token: u64) {
        match Wakeup::of(token) {
            Wakeup::KeepAlive(connection) => self.check_keep_alive(cx, connection),
            Wakeup::Resume(connection) => self.resume(cx, ports, connection),
            Wakeup::Retry(queue) => {
                let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
                self.rules.retry(cx, quotas, ports, queue);
            }
            Wakeup::Outbox => self.publish_outbox(cx, ports),
            Wakeup::Certificate(connection) => self.check_certificate(cx, connection),
            Wakeup::Ownership => self.end_tokens(cx),
            Wakeup::Hook(ticket) => self.end_hook(cx, ticket),
            Wakeup::Session(session) => self.check_session(cx, session),
            Wakeup::Shared(group) => self.drain_group(cx, group),
        }
    }

    /// Asks for events of things, as the account's owner would with UpdateEventConfigurations: CloudFormation has no
    /// resource for it.
    pub fn enable_thing_events(&mut self, cx: &mut Cx<'_>) -> Result<(), AwsError> {
        let configured = self.registry.events.configure(cx, &[("THING".to_owned(), true)].into());
        metered(cx, "UpdateEventConfigurations", configured)
    }
}

fn metered(cx: &mut Cx<'_>, operation: &'static str, result: Result<(), AwsError>) -> Result<(), AwsError> {
    cx.meter.call("iot", operation, result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
    result
}
