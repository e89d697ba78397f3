//! The pre-provisioning hook: a function that says whether a device may be registered, and with which parameters.
//!
//! It has five seconds. What it does not answer with `{"allowProvisioning": true}` by then is refused as `ACCESS_DENIED`
//! (IoT Core guide, "Pre-provisioning hooks"): so are its errors and throttles.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::SERVICE;
use super::mqtt::Registration;
use super::template::template_arn;
use crate::core::ports::Answered;
use crate::core::{AwsError, Cx, Service};
use crate::iot::Iot;
use crate::iot::rules::Ports;
use crate::iot::wakeup::Wakeup;

/// A registration that waits for its hook.
#[derive(Debug)]
pub(super) struct Pending(Registration);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    #[serde(default)]
    allow_provisioning: bool,
    #[serde(default)]
    parameter_overrides: BTreeMap<String, String>,
}

fn denied(why: &str) -> AwsError {
    AwsError::new("AccessDeniedException", format!("Access denied: {why}")).status(403)
}

impl Iot {
    pub(super) fn ask_hook(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        registration: Registration,
        function: &str,
    ) {
        let Registration { asked, template, token, parameters } = &registration;
        let ownership = self.provisioning.tokens.get(token);
        let arn = template_arn(cx, template);
        let event = json!({
            "claimCertificateId": &*asked.claim,
            "certificateId": ownership.map(|ownership| &*ownership.certificate),
            "certificatePem": ownership.map(|ownership| &*ownership.pem),
            "templateArn": arn,
            "clientId": &*asked.client,
            "parameters": parameters,
        });
        let payload = Bytes::from(event.to_string());
        match ports.functions.invoke_for_answer(cx, function, "iot.amazonaws.com", &arn, payload) {
            Ok(ticket) => {
                let patience = Duration::from_secs(cx.limits.get(SERVICE, "pre_provisioning_hook_timeout"));
                cx.timers.at(cx.now + patience, Service::Iot, Wakeup::Hook(ticket).token());
                self.provisioning.hooks.insert(ticket, Pending(registration));
            }
            Err(error) if error.status == 501 => self.registered(cx, asked, template, "", Err(error)),
            Err(error) => {
                let error = denied(&format!("the pre-provisioning hook cannot be invoked: {}", error.message));
                self.registered(cx, asked, template, "", Err(error));
            }
        }
    }

    /// A function that IoT Core waits for has ended.
    pub fn function_answered(&mut self, cx: &mut Cx<'_>, ticket: u64, answered: Answered) {
        // Nobody waits any more for one that was too late.
        let Some(Pending(mut registration)) = self.provisioning.hooks.remove(&ticket) else { return };
        let verdict = answered
            .map_err(|why| why.to_string())
            .and_then(|body| serde_json::from_slice(&body).map_err(|error| error.to_string()));
        let refused = match verdict {
            Ok(Verdict { allow_provisioning: true, parameter_overrides }) => {
                registration.parameters.extend(parameter_overrides);
                return self.go_on(cx, &registration);
            }
            Ok(_) => denied("the pre-provisioning hook does not allow it"),
            Err(why) => denied(&format!("the pre-provisioning hook failed: {why}")),
        };
        self.registered(cx, &registration.asked, &registration.template, "", Err(refused));
    }

    /// A hook has had its time.
    pub(in crate::iot) fn end_hook(&mut self, cx: &mut Cx<'_>, ticket: u64) {
        let Some(Pending(registration)) = self.provisioning.hooks.remove(&ticket) else { return };
        let refused = denied("the pre-provisioning hook did not answer in time");
        self.registered(cx, &registration.asked, &registration.template, "", Err(refused));
    }
}
