//! Fleet provisioning: devices that hold a claim certificate get a certificate of their own, and are registered by a
//! template.
//!
//! Source: "Device provisioning MQTT API", "Provisioning templates" and "Pre-provisioning hooks" of the IoT Core guide, and
//! the API reference.
//!
//! Modelled: over MQTT `$aws/certificates/create/json`, `$aws/certificates/create-from-csr/json` and
//! `$aws/provisioning-templates/{template}/provision/json` with their rates of the account, each answered on the connection
//! that asked, to a client that subscribed to the answer and may receive it; the token of ownership, which is used once and
//! ends after an hour together with a certificate that was not used; templates with their functions and overrides; what a
//! template registers is asked of the template's role, call by call; the pre-provisioning hook, which has five seconds; the
//! REST operations CreateKeysAndCertificate, CreateCertificateFromCsr, RegisterThing, CreateProvisioningTemplate,
//! DescribeProvisioningTemplate, ListProvisioningTemplates, UpdateProvisioningTemplate and DeleteProvisioningTemplate; and
//! `AWS::IoT::ProvisioningTemplate`.
//!
//! Refused by name: templates of type JITP and CA certificates (just-in-time provisioning), provisioning claims that the
//! account itself makes (CreateProvisioningClaim), versions of templates, certificates that a template takes from a CSR or
//! a PEM, payloads in CBOR (the connection is closed).
//!
//! Keys and certificates are random bytes in the armour of PEM: a certificate's id is the SHA-256 of its bytes, and whoever
//! shows it has its key. Unverified: `errorCode` of refusals but `InvalidCertificateOwnershipToken` (here the API's code
//! without `Exception`), QoS 1 of answers, that a refusal leaves nothing registered, that what is there already fails a
//! registration by the override FAIL only when it differs, that a token stays valid after a refused registration.

mod body;
mod function;
mod hook;
mod issue;
mod mqtt;
mod register;
mod rest;
mod template;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::hook::Pending;
use self::template::Template;
use super::Iot;
use super::message::Posted;
use super::registry::CertificateStatus;
use super::wakeup::Wakeup;
use crate::core::{Cx, Service, TokenBucket};
use world::time::Time;
use world::trace::Level;

/// Name of the service in the quota table.
const SERVICE: &str = "iot-core";

/// Templates, tokens of ownership, and answers on their way.
#[derive(Debug, Default)]
pub struct Provisioning {
    templates: BTreeMap<Arc<str>, Template>,
    tokens: BTreeMap<Arc<str>, Ownership>,
    /// Tokens in the order in which they end.
    ending: VecDeque<(Time, Arc<str>)>,
    rates: Option<Rates>,
    /// Answers with the clients that they go to.
    answers: VecDeque<(Arc<str>, Posted)>,
    /// Registrations whose hook has not answered, by the ticket of its invocation.
    hooks: BTreeMap<u64, Pending>,
}

/// Who holds a token owns this certificate.
#[derive(Clone, Debug)]
struct Ownership {
    certificate: Arc<str>,
    pem: Arc<str>,
}

/// The account's rates of the MQTT API.
#[derive(Debug)]
struct Rates {
    create_keys: TokenBucket,
    create_from_csr: TokenBucket,
    register_thing: TokenBucket,
}

impl Rates {
    fn new(cx: &Cx<'_>) -> Self {
        let bucket = |name: &str| cx.limits.bucket(SERVICE, name, cx.now);
        Rates {
            create_keys: bucket("fleet_create_keys_rate"),
            create_from_csr: bucket("fleet_create_from_csr_rate"),
            register_thing: bucket("fleet_register_thing_rate"),
        }
    }
}

impl Provisioning {
    fn rates(&mut self, cx: &Cx<'_>) -> &mut Rates {
        self.rates.get_or_insert_with(|| Rates::new(cx))
    }

    /// Sends an answer to a client after this step.
    fn answer(&mut self, cx: &mut Cx<'_>, client: Arc<str>, posted: Posted) {
        if self.answers.is_empty() {
            cx.timers.at(cx.now, Service::Iot, Wakeup::Outbox.token());
        }
        self.answers.push_back((client, posted));
    }

    /// Takes the next answer.
    pub(super) fn pop_answer(&mut self) -> Option<(Arc<str>, Posted)> {
        self.answers.pop_front()
    }
}

impl Iot {
    /// Tokens whose hour is over end, and with them the certificates that nobody used.
    pub(super) fn end_tokens(&mut self, cx: &mut Cx<'_>) {
        while let Some((_, token)) = self.provisioning.ending.pop_front_if(|(ends, _)| *ends <= cx.now) {
            let Some(Ownership { certificate, .. }) = self.provisioning.tokens.remove(&token) else { continue };
            let is_used = self.registry.certificates.get(&certificate).is_none_or(|certificate| {
                let attached = !certificate.policies.is_empty() || !certificate.things.is_empty();
                certificate.status == CertificateStatus::Active && attached
            });
            if is_used {
                continue;
            }
            self.registry.certificates.remove(&certificate);
            cx.trace.event(Level::Call, cx.now, "iot", "certificate-unused", &certificate, &[]);
        }
        if let Some((ends, _)) = self.provisioning.ending.front() {
            cx.timers.at(*ends, Service::Iot, Wakeup::Ownership.token());
        }
    }
}
