//! Certificates: their status, their making and registration. Their attachments are in `principals`.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::arns::certificate_arn;
use super::x509::{self, SigningRequest, X509};
use super::{Registry, already_exists, invalid, not_found};
use crate::core::{AwsError, Cx};
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

    /// Whether callers of the API set it: the others are AWS IoT's own, or deprecated.
    pub fn can_be_set(self) -> bool {
        matches!(self, CertificateStatus::Active | CertificateStatus::Inactive | CertificateStatus::Revoked)
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
    /// The generation id: another one after each change.
    pub fn generation(&self, id: &str) -> String {
        hex::encode(Sha256::new().chain_update(id).chain_update(self.version.to_be_bytes()).finalize())
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
        self.changed.insert(id.into());
        Ok(())
    }
}

fn check_certificate_id(id: &str) -> Result<(), AwsError> {
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid(format!("the certificate id {id:?} does not have 64 hexadecimal digits")));
    }
    Ok(())
}
