//! The MQTT API of fleet provisioning.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::body::CERTIFICATE_ID;
use super::register::{session, tell};
use crate::core::{AwsError, Cx, Outcome};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::registry::{CertificateStatus, invalid};
use crate::iot::rules::Ports;
use world::mark;

/// A request and where its answer goes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub client: Arc<str>,
    /// Id of the claim certificate.
    pub claim: Arc<str>,
    /// Topic of the request.
    pub topic: Arc<str>,
}

/// A registration that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub asked: Asked,
    pub template: Arc<str>,
    pub token: Arc<str>,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromCsr {
    certificate_signing_request: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterThing {
    #[serde(default)]
    certificate_ownership_token: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

impl Asked {
    pub fn new(posted: &Posted) -> Self {
        let nobody = || Arc::from("");
        Asked {
            client: posted.client.clone().unwrap_or_else(nobody),
            claim: posted.principal.clone().unwrap_or_else(nobody),
            topic: posted.topic.clone(),
        }
    }
}

fn throttled() -> AwsError {
    AwsError::new("ThrottlingException", "Rate exceeded").status(429)
}

fn bad_token(message: &str) -> AwsError {
    AwsError::new("InvalidCertificateOwnershipTokenException", message)
}

fn parsed<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Result<T, AwsError> {
    serde_json::from_slice(payload).map_err(|error| invalid(format!("the payload is malformed: {error}")))
}

impl Iot {
    /// `$aws/certificates/create/json` and `$aws/certificates/create-from-csr/json`.
    pub(in crate::iot) fn ask_for_certificate(&mut self, cx: &mut Cx<'_>, posted: &Posted, from_csr: bool) {
        let (operation, failed) = if from_csr {
            ("CreateCertificateFromCsr", "CreateCertificateFromCsrFailed")
        } else {
            ("CreateKeysAndCertificate", "CreateKeysAndCertificateFailed")
        };
        let made = self.make_certificate(cx, &posted.payload, from_csr);
        cx.meter.call("iot", operation, made.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        let asked = Asked::new(posted);
        if let Err(error) = &made {
            cx.meter.add("iot", failed, 1);
            if error.is_throttle() {
                cx.trace.mark(cx.now, mark::PROVISIONING_THROTTLED, &asked.client);
            }
        }
        let (kind, certificate, why) = match &made {
            Ok(answer) => ("certificate-created", answer["certificateId"].as_str().unwrap_or(""), ""),
            Err(error) => ("certificate-refused", "", error.message.as_str()),
        };
        tell(cx, kind, operation, &asked.client, certificate, why);
        self.answer(cx, &asked, made);
    }

    fn make_certificate(&mut self, cx: &mut Cx<'_>, payload: &[u8], from_csr: bool) -> Result<Value, AwsError> {
        let rates = self.provisioning.rates(cx);
        let rate = if from_csr { &mut rates.create_from_csr } else { &mut rates.create_keys };
        if !rate.try_take(cx.now, 1) {
            return Err(throttled());
        }
        let csr = if from_csr { Some(parsed::<FromCsr>(payload)?.certificate_signing_request) } else { None };
        let issued = self.issue(cx, csr.as_deref(), CertificateStatus::PendingActivation)?;
        let token = self.own(cx, &issued);
        let mut answer = json!({
            "certificateId": issued.id,
            "certificatePem": issued.pem,
            "certificateOwnershipToken": &*token,
        });
        if let Some((_, private)) = issued.keys {
            answer["privateKey"] = private.into();
        }
        Ok(answer)
    }

    /// `$aws/provisioning-templates/{template}/provision/json`.
    pub(in crate::iot) fn ask_to_provision(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        posted: &Posted,
        template: &str,
    ) {
        let asked = Asked::new(posted);
        match self.checked_registration(cx, &asked, template, &posted.payload) {
            Err(error) => self.registered(cx, &asked, template, "", Err(error)),
            Ok(registration) => match self.template(template).map(|(_, template)| template.hook.clone()) {
                Ok(Some(hook)) => self.ask_hook(cx, ports, registration, &hook),
                _ => self.go_on(cx, &registration),
            },
        }
    }

    fn checked_registration(
        &mut self,
        cx: &mut Cx<'_>,
        asked: &Asked,
        template: &str,
        payload: &[u8],
    ) -> Result<Registration, AwsError> {
        if !self.provisioning.rates(cx).register_thing.try_take(cx.now, 1) {
            return Err(throttled());
        }
        let RegisterThing { certificate_ownership_token, parameters } = parsed(payload)?;
        let (name, template) = self.template(template)?;
        if !template.enabled {
            return Err(invalid(format!("the provisioning template {name} is not enabled")));
        }
        if certificate_ownership_token.is_empty() {
            return Err(bad_token("Certificate ownership token cannot be empty."));
        }
        let known = self.provisioning.tokens.get_key_value(certificate_ownership_token.as_str());
        let (token, _) = known.ok_or_else(|| bad_token("The certificate ownership token is not valid."))?;
        Ok(Registration { asked: asked.clone(), template: name.clone(), token: token.clone(), parameters })
    }

    /// Registers a device whose request was checked, and whose hook said yes.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>, registration: &Registration) {
        let Registration { asked, template, token, .. } = registration;
        let certificate = self.provisioning.tokens.get(token).map(|ownership| ownership.certificate.clone());
        let certificate = certificate.unwrap_or_else(|| "".into());
        let result = self.register_by_template(cx, registration, &certificate);
        self.registered(cx, asked, template, &certificate, result);
    }

    fn register_by_template(
        &mut self,
        cx: &mut Cx<'_>,
        registration: &Registration,
        certificate: &str,
    ) -> Result<Value, AwsError> {
        // Both may have ended while the hook was asked.
        if !self.provisioning.tokens.contains_key(&registration.token) {
            return Err(bad_token("The certificate ownership token is not valid."));
        }
        let (_, template) = self.template(&registration.template)?;
        let mut parameters = registration.parameters.clone();
        parameters.insert(CERTIFICATE_ID.to_owned(), certificate.to_owned());
        let wish = template.body.fill_in(&parameters)?;
        let role = session(cx, &template.role_arn);
        self.register(&mut cx.acting_as(&role), &wish)?;
        self.provisioning.tokens.remove(&registration.token);
        let mut answer = json!({ "deviceConfiguration": wish.device_configuration });
        if let Some(thing) = wish.thing {
            answer["thingName"] = thing.name.into();
        }
        Ok(answer)
    }

    /// Counts a registration that ended, leaves an event of it and answers it.
    pub(super) fn registered(
        &mut self,
        cx: &mut Cx<'_>,
        asked: &Asked,
        template: &str,
        certificate: &str,
        result: Result<Value, AwsError>,
    ) {
        cx.meter.call("iot", "RegisterThing", result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        match &result {
            Ok(_) => {
                cx.meter.add("iot", "ProvisionThing.Success", 1);
                cx.meter.add("iot", "ApproximateNumberOfThingsRegistered", 1);
                cx.trace.mark(cx.now, mark::DEVICE_PROVISIONED, &asked.client);
                tell(cx, "provisioned", template, &asked.client, certificate, "");
            }
            Err(error) => {
                let metric =
                    if error.status >= 500 { "ProvisionThing.ServerError" } else { "ProvisionThing.ClientError" };
                cx.meter.add("iot", metric, 1);
                cx.meter.add("iot", "RegisterThingFailed", 1);
                if error.is_throttle() {
                    cx.trace.mark(cx.now, mark::PROVISIONING_THROTTLED, &asked.client);
                }
                tell(cx, "provisioning-refused", template, &asked.client, certificate, &error.message);
            }
        }
        self.answer(cx, asked, result);
    }

    /// Answers the client that asked.
    fn answer(&mut self, cx: &mut Cx<'_>, asked: &Asked, result: Result<Value, AwsError>) {
        let (level, payload) = match result {
            Ok(answer) => ("accepted", answer),
            Err(error) => ("rejected", refusal(&error)),
        };
        let posted = Posted::by_service(format!("{}/{level}", asked.topic), 1, payload.to_string());
        self.provisioning.answer(cx, asked.client.clone(), posted);
    }
}

/// The document of a refusal.
fn refusal(error: &AwsError) -> Value {
    let code = error.code.strip_suffix("Exception").unwrap_or(error.code);
    json!({ "statusCode": error.status, "errorCode": code, "errorMessage": error.message })
}
