//! Keys and certificates that AWS IoT makes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;

use super::{Ownership, SERVICE};
use crate::core::{AwsError, Cx, Service};
use crate::iot::Iot;
use crate::iot::registry::{certificate_id, invalid};
use crate::iot::wakeup::Wakeup;

/// Size of the DER form of a certificate with a 2,048-bit key, of its private and of its public key, in bytes: those of
/// keys that AWS IoT makes, by and large.
const CERTIFICATE_BYTES: usize = 864;
/// See [`CERTIFICATE_BYTES`].
const PRIVATE_KEY_BYTES: usize = 1_190;
/// See [`CERTIFICATE_BYTES`].
const PUBLIC_KEY_BYTES: usize = 294;
/// Characters of a line of PEM.
const LINE: usize = 64;
/// Random bytes of a token of ownership. That it is a text of some hundred characters is all that is known of it.
const TOKEN_BYTES: usize = 192;

/// A certificate that was made.
pub(super) struct Issued {
    pub id: String,
    pub pem: String,
}

/// A pair of keys in PEM.
pub(super) struct Keys {
    pub private: String,
    pub public: String,
}

impl Keys {
    pub fn new(cx: &mut Cx<'_>) -> Self {
        let private = pem("RSA PRIVATE KEY", &random(cx, PRIVATE_KEY_BYTES));
        Keys { private, public: pem("PUBLIC KEY", &random(cx, PUBLIC_KEY_BYTES)) }
    }
}

fn random(cx: &mut Cx<'_>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    cx.ids.fill(bytes.as_mut_slice());
    bytes
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for start in (0..text.len()).step_by(LINE) {
        pem.push_str(&text[start..text.len().min(start + LINE)]);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// Checks the armour of a certificate signing request; what is inside is not looked at.
pub(super) fn check_csr(text: &str) -> Result<(), AwsError> {
    let body = text
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE REQUEST-----")
        .and_then(|rest| rest.strip_suffix("-----END CERTIFICATE REQUEST-----"))
        .map(|body| body.split_ascii_whitespace().collect::<String>());
    match body.and_then(|body| STANDARD.decode(body).ok()) {
        Some(der) if !der.is_empty() => Ok(()),
        _ => Err(invalid("this is no certificate signing request in PEM")),
    }
}

impl Iot {
    /// Makes a certificate. One that is not active yet waits for its activation.
    pub(super) fn issue(&mut self, cx: &mut Cx<'_>, active: bool) -> Result<Issued, AwsError> {
        let der = random(cx, CERTIFICATE_BYTES);
        let id = certificate_id(&der);
        self.registry.register_certificate(cx, &id, active)?;
        Ok(Issued { id, pem: pem("CERTIFICATE", &der) })
    }

    /// Makes the token that proves who owns a certificate.
    pub(super) fn own(&mut self, cx: &mut Cx<'_>, issued: &Issued) -> Arc<str> {
        let token: Arc<str> = STANDARD.encode(random(cx, TOKEN_BYTES)).into();
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
