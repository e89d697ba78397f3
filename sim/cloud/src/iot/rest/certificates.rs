//! Operations on certificates.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, flag, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::certificate_arn;
use crate::iot::registry::{Certificate, CertificateStatus, invalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterCertificate {
    certificate_pem: String,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateCertificateFromCsr {
    certificate_signing_request: String,
}

/// The status of a certificate that a call makes.
fn status_of(set_as_active: bool) -> CertificateStatus {
    if set_as_active { CertificateStatus::Active } else { CertificateStatus::Inactive }
}

fn mode(certificate: &Certificate) -> &'static str {
    if certificate.sni_only { "SNI_ONLY" } else { "DEFAULT" }
}

impl Iot {
    pub(super) fn rest_create_keys(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let status = status_of(flag(&query(request.query)?, "setAsActive")?);
        let made = self.registry.create_keys_and_certificate(cx, status);
        let (public, private) = made.keys.unwrap_or_default();
        Ok(json!({
            "certificateArn": made.arn,
            "certificateId": made.id,
            "certificatePem": made.pem,
            "keyPair": { "PublicKey": public, "PrivateKey": private },
        }))
    }

    pub(super) fn rest_create_from_csr(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let status = status_of(flag(&query(request.query)?, "setAsActive")?);
        let body: CreateCertificateFromCsr = parse(request.body)?;
        let made = self.registry.create_certificate_from_csr(cx, &body.certificate_signing_request, status)?;
        Ok(json!({ "certificateArn": made.arn, "certificateId": made.id, "certificatePem": made.pem }))
    }

    /// Without a status the certificate rests; what else than ACTIVE, INACTIVE and REVOKED is answered with is unverified.
    pub(super) fn rest_register_certificate(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: RegisterCertificate = parse(request.body)?;
        let status = body.status.map_or(Ok(CertificateStatus::Inactive), |name| CertificateStatus::of(&name))?;
        if !status.can_be_set() {
            let message = format!("a certificate is not registered as {}", status.name());
            return Err(AwsError::new("CertificateStateException", message).status(406));
        }
        let id = self.registry.register_certificate_pem(cx, &body.certificate_pem, status)?;
        Ok(json!({ "certificateArn": certificate_arn(cx, &id), "certificateId": id }))
    }

    pub(super) fn rest_update_certificate(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let status = query(request.query)?.remove("newStatus");
        let status = CertificateStatus::of(&status.ok_or_else(|| invalid("UpdateCertificate needs newStatus"))?)?;
        if !status.can_be_set() {
            return Err(invalid(format!("{} is no status that UpdateCertificate sets", status.name())));
        }
        self.set_certificate_status(cx, id, status)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_describe_certificate(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let certificate = self.registry.certificate(id)?;
        let mut described = json!({
            "certificateArn": certificate_arn(cx, id),
            "certificateId": id,
            "status": certificate.status.name(),
            "ownedBy": certificate.owner.as_deref().unwrap_or(&cx.account.id),
            "creationDate": timestamp(certificate.created),
            "lastModifiedDate": timestamp(certificate.modified),
            "customerVersion": certificate.version,
            "transferData": {},
            "generationId": certificate.generation(id),
            "certificateMode": mode(certificate),
        });
        if let Some(pem) = &certificate.pem {
            described["certificatePem"] = (&**pem).into();
        }
        if let Some(x509) = &certificate.x509 {
            described["validity"] =
                json!({ "notBefore": timestamp(x509.not_before), "notAfter": timestamp(x509.not_after) });
        }
        Ok(json!({ "certificateDescription": described }))
    }

    pub(super) fn rest_delete_certificate(
        &mut self,
        _: &mut Cx<'_>,
        id: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_certificate(id, flag(&query(request.query)?, "forceDelete")?)?;
        Ok(Value::Null)
    }

    /// By their creation, the newest first unless ascending order is asked for.
    pub(super) fn rest_list_certificates(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let page = Page::by_marker(&query)?.descending(!flag(&query, "isAscendingOrder")?);
        let entries = self.registry.certificates.iter().map(|(id, certificate)| {
            let entry = json!({
                "certificateArn": certificate_arn(cx, id),
                "certificateId": &**id,
                "status": certificate.status.name(),
                "certificateMode": mode(certificate),
                "creationDate": timestamp(certificate.created),
            });
            (format!("{:020} {id}", certificate.created.unix_micros()), entry)
        });
        Ok(page.answer("certificates", entries))
    }
}
