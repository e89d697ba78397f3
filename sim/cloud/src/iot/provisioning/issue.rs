//! Certificates that AWS IoT makes, and the proof of who owns one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;

use super::{Ownership, SERVICE};
use crate::core::{AwsError, Cx, Service};
use crate::iot::Iot;
use crate::iot::registry::{CertificateStatus, NewCertificate};
use crate::iot::wakeup::Wakeup;

/// Random bytes of a token of ownership. That it is a text of some hundred characters is all that is known of it.
const TOKEN_BYTES: usize = 192;

impl Iot {
    /// Makes a certificate, with keys or from a signing request.
    pub(super) fn issue(
        &mut self,
        cx: &mut Cx<'_>,
        csr: Option<&str>,
        status: CertificateStatus,
    ) -> Result<NewCertificate, AwsError> {
        match csr {
            Some(csr) => self.registry.create_certificate_from_csr(cx, csr, status),
            None => Ok(self.registry.create_keys_and_certificate(cx, status)),
        }
    }

    /// Makes the token that proves who owns a certificate.
    pub(super) fn own(&mut self, cx: &mut Cx<'_>, issued: &NewCertificate) -> Arc<str> {
        let mut bytes = vec![0; TOKEN_BYTES];
        cx.ids.fill(bytes.as_mut_slice());
        let token: Arc<str> = STANDARD.encode(bytes).into();
        let ends = cx.now + Duration::from_secs(cx.limits.get(SERVICE, "certificate_ownership_token_lifetime"));
        if self.provisioning.ending.is_empty() {
            cx.timers.at(ends, Service::Iot, Wakeup::Ownership.token());
        }
        self.provisioning.ending.push_back((ends, token.clone()));
        let ownership = Ownership { certificate: issued.id.as_str().into(), pem: issued.pem.as_str().into() };
        self.provisioning.tokens.insert(token.clone(), ownership);
        token
    }
}
