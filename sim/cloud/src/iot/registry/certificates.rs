//! Certificates and policies, and their attachments.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::arns::{certificate_arn, policy_arn};
use super::{Registry, already_exists, check_name, invalid, not_found};
use crate::core::{AwsError, Cx};
use crate::iot::policy::Document;
use crate::iot::quotas::Quotas;
use world::time::Time;

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whether its status is ACTIVE; the other status that is modelled is INACTIVE.
    pub active: bool,
    /// Names of its policies.
    pub policies: BTreeSet<Arc<str>>,
    /// Things that it is attached to.
    pub things: BTreeSet<Arc<str>>,
}

/// A policy with its default version.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// `RegisterCertificateWithoutCA` of a certificate whose id is known already.
    pub fn register_certificate(&mut self, cx: &Cx<'_>, id: &str, active: bool) -> Result<(), AwsError> {
        if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid(format!("the certificate id {id:?} does not have 64 hexadecimal digits")));
        }
        if self.certificates.contains_key(id) {
            return Err(already_exists("the certificate", id, certificate_arn(cx, id)));
        }
        self.certificates.insert(id.into(), Certificate { active, ..Certificate::default() });
        Ok(())
    }

    /// `RegisterCertificateWithoutCA` of a certificate in PEM. Answers its id. Only the armour is checked, not the X.509
    /// inside.
    pub fn register_certificate_pem(&mut self, cx: &Cx<'_>, pem: &str, active: bool) -> Result<String, AwsError> {
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN CERTIFICATE-----")
            .and_then(|rest| rest.strip_suffix("-----END CERTIFICATE-----"))
            .map(|body| body.split_ascii_whitespace().collect::<String>());
        let der = body.and_then(|body| STANDARD.decode(body).ok()).filter(|der| !der.is_empty());
        let der =
            der.ok_or_else(|| AwsError::new("CertificateValidationException", "this is no certificate in PEM"))?;
        let id = certificate_id(&der);
        self.register_certificate(cx, &id, active)?;
        Ok(id)
    }

    /// Whether a certificate is active; nothing when there is none with this id.
    pub fn is_active(&self, id: &str) -> Option<bool> {
        self.certificates.get(id).map(|certificate| certificate.active)
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

    /// `AttachThingPrincipal` of a certificate, named by its ARN. The same again is no error.
    pub fn attach_thing_principal(&mut self, cx: &Cx<'_>, thing: &str, principal: &str) -> Result<(), AwsError> {
        let thing = self.thing(thing)?.name.clone();
        Self::certificate_mut(&mut self.certificates, cx, principal)?.things.insert(thing);
        Ok(())
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
