//! Certificates and policies, and their attachments.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::arns::{certificate_arn, policy_arn};
use super::x509::{self, SigningRequest, X509};
use super::{Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::endpoint;
use crate::iot::policy::{Context, Document, Permissions};
use crate::iot::quotas::Quotas;
use world::time::Time;

/// Status of a certificate (AWS IoT API reference, `CertificateDescription`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Devices connect with it.
    Active,
    /// It rests.
    #[default]
    Inactive,
    /// It is not to be trusted any more.
    Revoked,
    /// It is on its way to another account.
    PendingTransfer,
    /// It was made for a device that has not provisioned itself yet.
    PendingActivation,
    /// The deprecated form of `PendingActivation`.
    RegisterInactive,
}

impl CertificateStatus {
    /// All, with their names in the API.
    pub const ALL: [(CertificateStatus, &str); 6] = [
        (CertificateStatus::Active, "ACTIVE"),
        (CertificateStatus::Inactive, "INACTIVE"),
        (CertificateStatus::Revoked, "REVOKED"),
        (CertificateStatus::PendingTransfer, "PENDING_TRANSFER"),
        (CertificateStatus::PendingActivation, "PENDING_ACTIVATION"),
        (CertificateStatus::RegisterInactive, "REGISTER_INACTIVE"),
    ];

    /// Name in the API.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }

    /// The status of this name.
    pub fn of(name: &str) -> Result<CertificateStatus, AwsError> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(status, _)| status);
        found.ok_or_else(|| invalid(format!("there is no certificate status {name:?}")))
    }
}

/// Why a certificate opens no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRefusal {
    /// It is not registered in this account.
    Unregistered,
    /// Another account owns it.
    Foreign,
    /// Its status is another than ACTIVE.
    NotActive(CertificateStatus),
    /// Its validity has not begun.
    NotYetValid,
    /// Its validity is over.
    Expired,
}

impl CertificateRefusal {
    /// The reason, for people.
    pub fn reason(self) -> &'static str {
        match self {
            CertificateRefusal::Unregistered => "the certificate is not registered",
            CertificateRefusal::Foreign => "the certificate belongs to another account",
            CertificateRefusal::NotActive(CertificateStatus::Revoked) => "the certificate is revoked",
            CertificateRefusal::NotActive(_) => "the certificate is not active",
            CertificateRefusal::NotYetValid => "the certificate is not valid yet",
            CertificateRefusal::Expired => "the certificate has expired",
        }
    }
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whether devices can connect with it.
    pub status: CertificateStatus,
    /// The account that owns it, when that is another one than this.
    pub owner: Option<Box<str>>,
    /// Its text; absent when it was registered by its id alone.
    pub pem: Option<Box<str>>,
    /// What it says; absent when its DER is no X.509, which is accepted.
    pub x509: Option<Box<X509>>,
    /// When it was created here.
    pub created: Time,
    /// When its status changed last.
    pub modified: Time,
    /// Grows with each change of its status, from 1.
    pub version: u64,
    /// Whether it was registered without its CA: AWS calls this mode SNI_ONLY.
    pub sni_only: bool,
    /// Names of its policies.
    pub policies: BTreeSet<Arc<str>>,
    /// Things that it is attached to.
    pub things: BTreeSet<Arc<str>>,
    /// Whether it is attached to its one thing as EXCLUSIVE_THING.
    pub exclusive: bool,
}

impl Certificate {
    /// Until when it is valid, if it says so.
    pub fn not_after(&self) -> Option<Time> {
        self.x509.as_ref().map(|x509| x509.not_after)
    }
}

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCertificate {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its text.
    pub pem: String,
    /// The public and the private key in PEM, when AWS IoT made them.
    pub keys: Option<(String, String)>,
}

/// A policy with its default version.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The document as it was given.
    pub text: String,
    /// The document, checked.
    pub document: Document,
    /// Number of the default version, from 1.
    pub version: u64,
    /// When it was created.
    pub created: Time,
    /// When it got its default version.
    pub modified: Time,
    /// Changes with each version.
    pub generation: String,
}

/// Characters of a policy's name beside letters, digits and underscore.
const POLICY_NAME: &str = "+=,.@-";
/// Longest name of a policy, in characters.
const POLICY_NAME_MAX: usize = 128;

/// The id of a certificate: the SHA-256 of its DER form, in hex (unverified: AWS states the length only).
pub fn certificate_id(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

impl Registry {
    /// `CreateKeysAndCertificate`: the PEM is a simulated one, see `x509`.
    pub fn create_keys_and_certificate(&mut self, cx: &mut Cx<'_>, status: CertificateStatus) -> NewCertificate {
        let (der, public, private) = x509::with_keys(cx.now, cx.uuid().as_bytes());
        self.keep_new(cx, &der, status, Some((public, private)))
    }

    /// `CreateCertificateFromCsr`: the PEM is a simulated one, see `x509`.
    pub fn create_certificate_from_csr(
        &mut self,
        cx: &mut Cx<'_>,
        csr: &str,
        status: CertificateStatus,
    ) -> Result<NewCertificate, AwsError> {
        let request = x509::unarmoured("CERTIFICATE REQUEST", csr);
        let seed = cx.uuid();
        let der = request
            .and_then(|request| SigningRequest::read(&request).map(|request| request.sign(cx.now, seed.as_bytes())))
            .ok_or_else(|| invalid("the certificate signing request is no PKCS#10 in PEM"))?;
        Ok(self.keep_new(cx, &der, status, None))
    }

    fn keep_new(
        &mut self,
        cx: &Cx<'_>,
        der: &[u8],
        status: CertificateStatus,
        keys: Option<(String, String)>,
    ) -> NewCertificate {
        let (id, pem) = (certificate_id(der), x509::pem("CERTIFICATE", der));
        let certificate = Certificate {
            status,
            pem: Some(pem.as_str().into()),
            x509: X509::read(der).map(Box::new),
            created: cx.now,
            modified: cx.now,
            version: 1,
            ..Certificate::default()
        };
        self.certificates.insert(id.as_str().into(), certificate);
        NewCertificate { arn: certificate_arn(cx, &id), id, pem, keys }
    }

    /// `RegisterCertificateWithoutCA` of a certificate whose id is known already.
    pub fn register_certificate(
        &mut self,
        cx: &Cx<'_>,
        id: &str,
        status: CertificateStatus,
    ) -> Result<&mut Certificate, AwsError> {
        check_certificate_id(id)?;
        if self.certificates.contains_key(id) {
            return Err(already_exists("the certificate", id, certificate_arn(cx, id)));
        }
        let (created, modified) = (cx.now, cx.now);
        let certificate =
            Certificate { status, created, modified, version: 1, sni_only: true, ..Certificate::default() };
        Ok(self.certificates.entry(id.into()).or_insert(certificate))
    }

    /// `RegisterCertificateWithoutCA` of a certificate in PEM. Answers its id. A DER that is no X.509 is accepted: it has
    /// no names and no validity.
    pub fn register_certificate_pem(
        &mut self,
        cx: &Cx<'_>,
        pem: &str,
        status: CertificateStatus,
    ) -> Result<String, AwsError> {
        let der = x509::unarmoured("CERTIFICATE", pem);
        let der =
            der.ok_or_else(|| AwsError::new("CertificateValidationException", "this is no certificate in PEM"))?;
        let x509 = X509::read(&der);
        if x509.as_ref().is_some_and(|x509| x509.not_after < cx.now) {
            return Err(AwsError::new("CertificateValidationException", "the certificate has expired"));
        }
        let id = certificate_id(&der);
        let certificate = self.register_certificate(cx, &id, status)?;
        certificate.x509 = x509.map(Box::new);
        certificate.pem = Some(pem.into());
        Ok(id)
    }

    /// A certificate by its id.
    pub fn certificate(&self, id: &str) -> Result<&Certificate, AwsError> {
        self.certificates.get(id).ok_or_else(|| not_found(format!("the certificate {id} does not exist")))
    }

    /// Whether a certificate opens connections at this instant: it is known, of this account, active and valid.
    pub fn admit(&self, now: Time, id: &str) -> Result<&Arc<str>, CertificateRefusal> {
        let known = self.certificates.get_key_value(id);
        let (id, certificate) = known.ok_or(CertificateRefusal::Unregistered)?;
        if certificate.owner.is_some() {
            return Err(CertificateRefusal::Foreign);
        }
        if certificate.status != CertificateStatus::Active {
            return Err(CertificateRefusal::NotActive(certificate.status));
        }
        match &certificate.x509 {
            Some(x509) if now < x509.not_before => Err(CertificateRefusal::NotYetValid),
            Some(x509) if now > x509.not_after => Err(CertificateRefusal::Expired),
            _ => Ok(id),
        }
    }

    /// Whether a certificate is active; nothing when there is none with this id.
    pub fn is_active(&self, id: &str) -> Option<bool> {
        self.certificates.get(id).map(|certificate| certificate.status == CertificateStatus::Active)
    }

    /// Changes the status of a certificate, whatever it is: what `UpdateCertificate` may ask for is checked before.
    /// Connections of it are closed by `Iot::set_certificate_status`.
    pub fn set_status(&mut self, cx: &Cx<'_>, id: &str, status: CertificateStatus) -> Result<(), AwsError> {
        let certificate = self.certificates.get_mut(id);
        let certificate = certificate.ok_or_else(|| not_found(format!("the certificate {id} does not exist")))?;
        if certificate.status != status {
            certificate.status = status;
            certificate.modified = cx.now;
            certificate.version += 1;
        }
        Ok(())
    }

    /// `DeleteCertificate` of one that is not active and not attached. `force` deletes one with policies that is attached to
    /// no thing; it is inactive even then.
    pub fn delete_certificate(&mut self, id: &str, force: bool) -> Result<(), AwsError> {
        let certificate = self.certificate(id)?;
        if certificate.status == CertificateStatus::Active {
            let message = format!("Certificate must be deactivated (not ACTIVE) before deletion (id={id})");
            return Err(AwsError::new("CertificateStateException", message).status(406));
        }
        if !certificate.things.is_empty() {
            let message = format!("Things must be detached before deletion (id={id})");
            return Err(AwsError::new("DeleteConflictException", message).status(409));
        }
        if !force && !certificate.policies.is_empty() {
            let message = format!("Certificate policies must be detached before deletion (id={id})");
            return Err(AwsError::new("DeleteConflictException", message).status(409));
        }
        self.certificates.remove(id);
        Ok(())
    }

    /// `CreatePolicy`.
    pub fn create_policy(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        text: &str,
    ) -> Result<&Policy, AwsError> {
        check_name("policy name", name, POLICY_NAME_MAX, POLICY_NAME)?;
        let document = Document::parse(text, quotas.policy_document_size)?;
        if self.policies.contains_key(name) {
            return Err(already_exists("the policy", name, policy_arn(cx, name)));
        }
        let generation = cx.uuid();
        let (text, now) = (text.to_owned(), cx.now);
        let policy = Policy { text, document, version: 1, created: now, modified: now, generation };
        self.policies.insert(name.into(), policy);
        self.policy(name)
    }

    /// `CreatePolicyVersion` of a new default version. Older versions are not kept, so their number is not limited.
    pub fn replace_policy(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &Quotas,
        name: &str,
        text: &str,
    ) -> Result<&Policy, AwsError> {
        let document = Document::parse(text, quotas.policy_document_size)?;
        let generation = cx.uuid();
        let missing = || not_found(format!("the policy {name} does not exist"));
        let policy = self.policies.get_mut(name).ok_or_else(missing)?;
        policy.text = text.to_owned();
        policy.document = document;
        policy.version += 1;
        policy.modified = cx.now;
        policy.generation = generation;
        Ok(policy)
    }

    /// `DeletePolicy`. One that is attached stays.
    pub fn delete_policy(&mut self, name: &str) -> Result<(), AwsError> {
        let targets = self.certificates.values().filter(|certificate| certificate.policies.contains(name)).count();
        if targets > 0 {
            let message = format!("Cannot delete the policy {name}: it is attached to {targets} targets");
            return Err(AwsError::new("DeleteConflictException", message).status(409));
        }
        self.policies.remove(name);
        Ok(())
    }

    /// A policy by its name.
    pub fn policy(&self, name: &str) -> Result<&Policy, AwsError> {
        self.policies.get(name).ok_or_else(|| not_found(format!("the policy {name} does not exist")))
    }

    /// `AttachPolicy` to a certificate, named by its ARN. The same again is no error.
    pub fn attach_policy(&mut self, cx: &Cx<'_>, quotas: &Quotas, name: &str, target: &str) -> Result<(), AwsError> {
        let Some((policy, _)) = self.policies.get_key_value(name) else {
            return Err(not_found(format!("the policy {name} does not exist")));
        };
        let certificate = Self::certificate_mut(&mut self.certificates, cx, target)?;
        if certificate.policies.len() >= quotas.policies_per_principal && !certificate.policies.contains(name) {
            let max = quotas.policies_per_principal;
            return Err(AwsError::new("LimitExceededException", format!("a certificate has at most {max} policies"))
                .status(410));
        }
        certificate.policies.insert(policy.clone());
        Ok(())
    }

    /// `DetachPolicy`. One that is not attached is no error.
    pub fn detach_policy(&mut self, cx: &Cx<'_>, name: &str, target: &str) -> Result<(), AwsError> {
        Self::certificate_mut(&mut self.certificates, cx, target)?.policies.remove(name);
        Ok(())
    }

    /// `AttachThingPrincipal` of a certificate, named by its ARN. The same again is no error. A certificate that is attached
    /// exclusively is attached to nothing else, and one that is attached becomes no exclusive one of another thing (the code
    /// of these refusals is unverified).
    pub fn attach_thing_principal(
        &mut self,
        cx: &Cx<'_>,
        thing: &str,
        principal: &str,
        exclusive: bool,
    ) -> Result<(), AwsError> {
        let thing = self.thing(thing)?.name.clone();
        let certificate = Self::certificate_mut(&mut self.certificates, cx, principal)?;
        let others = certificate.things.iter().any(|other| *other != thing);
        if others && (exclusive || certificate.exclusive) {
            return Err(invalid(format!("the certificate {principal} is attached to another thing already")));
        }
        certificate.exclusive = exclusive;
        certificate.things.insert(thing);
        Ok(())
    }

    /// `DetachThingPrincipal`. One that is not attached is no error (unverified).
    pub fn detach_thing_principal(&mut self, cx: &Cx<'_>, thing: &str, principal: &str) -> Result<(), AwsError> {
        let thing = self.thing(thing)?.name.clone();
        let certificate = Self::certificate_mut(&mut self.certificates, cx, principal)?;
        certificate.things.remove(&thing);
        certificate.exclusive &= !certificate.things.is_empty();
        Ok(())
    }

    /// The thing that a connection with this certificate and client id stands for: that of an exclusive attachment, or the
    /// attached one whose name is the client id.
    pub fn thing_of_connection(&self, certificate: &Certificate, client: &str) -> Option<&super::Thing> {
        let attached = if certificate.exclusive { certificate.things.first() } else { certificate.things.get(client) };
        self.things.get(attached?)
    }

    /// What the policies of a certificate come to for a connection with this client id from this address.
    pub fn permissions(&self, cx: &Cx<'_>, id: &str, client: &str, ip: &str) -> Permissions {
        let Ok(certificate) = self.certificate(id) else { return Permissions::default() };
        let thing = self.thing_of_connection(certificate, client);
        let domain = endpoint(cx.account);
        let x509 = certificate.x509.as_deref();
        let context = Context { account: cx.account, client, ip, domain: &domain, thing, certificate: id, x509 };
        let documents = certificate.policies.iter().filter_map(|name| self.policies.get(name));
        Permissions::compile(documents.map(|policy| &policy.document), &context)
    }

    fn certificate_mut<'r>(
        certificates: &'r mut std::collections::BTreeMap<Arc<str>, Certificate>,
        cx: &Cx<'_>,
        arn: &str,
    ) -> Result<&'r mut Certificate, AwsError> {
        let Some(id) = arn.strip_prefix(&certificate_arn(cx, "")) else {
            if arn.contains(":thinggroup/") || arn.contains("cognito") || !arn.starts_with("arn:") {
                return Err(AwsError::not_modelled(format!(
                    "iot attachment to {arn}: certificates of this account only"
                )));
            }
            return Err(invalid(format!("{arn:?} is no ARN of a certificate of this account")));
        };
        certificates.get_mut(id).ok_or_else(|| not_found(format!("the certificate {id} does not exist")))
    }
}

fn check_certificate_id(id: &str) -> Result<(), AwsError> {
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid(format!("the certificate id {id:?} does not have 64 hexadecimal digits")));
    }
    Ok(())
}
