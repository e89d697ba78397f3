//! `Publish`: a message over HTTPS. There is no client id; who published it is the caller, as `principal()` says it.
//!
//! Unverified: the checks of the properties of MQTT 5, whose limits are those of MQTT; a payload beyond 128 KiB is an
//! `InvalidRequestException` (the model has no other); the body of the answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Call, permit};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::message::{Posted, Properties};
use crate::iot::registry::invalid;
use crate::iot::rules::Ports;
use crate::iot::topic::check_topic;

impl Iot {
    pub(super) fn data_publish(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        call: &Call<'_>,
    ) -> Result<Vec<u8>, AwsError> {
        let message = match message(cx, call) {
            Ok(message) => message,
            Err(error) => {
                let denied = error.code == "ForbiddenException";
                cx.meter.add("iot", if denied { "PublishIn.AuthError" } else { "PublishIn.ClientError" }, 1);
                return Err(error);
            }
        };
        let principal = cx.access.user_id(cx.caller);
        self.publish_http(cx, ports, principal.into(), message)?;
        Ok(json!({ "message": "OK", "traceId": cx.uuid() }).to_string().into_bytes())
    }
}

/// The message of a request whose caller may publish it.
fn message(cx: &mut Cx<'_>, call: &Call<'_>) -> Result<Posted, AwsError> {
    let (topic, retain) = (call.name.as_str(), call.flag("retain")?);
    check_topic(topic).map_err(invalid)?;
    let resource = cx.account.arn("iot", &format!("topic/{topic}"));
    permit(cx, "iot:Publish", &resource, &[])?;
    if retain {
        permit(cx, "iot:RetainPublish", &resource, &[])?;
    }
    let qos = call.number("qos", 0..=1)?.unwrap_or(0);
    let properties = properties(cx, call)?;
    Ok(Posted {
        topic: topic.into(),
        payload: call.body.clone(),
        qos: u8::from(qos == 1),
        retain,
        properties: (properties != Properties::default()).then(|| Arc::new(properties)),
        client: None,
        principal: None,
    })
}

/// The properties of MQTT 5 that a request gives its message.
pub(super) fn properties(cx: &Cx<'_>, call: &Call<'_>) -> Result<Properties, AwsError> {
    let limit = |name: &str| cx.limits.get("iot-core", name);
    let is_utf8 = match call.header("x-amz-mqtt5-payload-format-indicator")? {
        None | Some("UNSPECIFIED_BYTES") => false,
        Some("UTF8_DATA") => true,
        Some(other) => return Err(invalid(format!("there is no payload format indicator {other:?}"))),
    };
    if is_utf8 && std::str::from_utf8(call.body).is_err() {
        return Err(invalid("the payload is no UTF-8, as its format indicator says"));
    }
    let content_type = call.text("contentType");
    if content_type.is_some_and(|text| text.len() as u64 > limit("mqtt5_content_type")) {
        return Err(invalid(format!("a content type has at most {} bytes", limit("mqtt5_content_type"))));
    }
    let response_topic = call.text("responseTopic");
    response_topic.map(check_topic).transpose().map_err(invalid)?;
    let correlation_data = match call.header("x-amz-mqtt5-correlation-data")? {
        None => None,
        Some(text) => Some(STANDARD.decode(text).map_err(|_| invalid("the correlation data is no base64"))?),
    };
    if correlation_data.as_ref().is_some_and(|data| data.len() as u64 > limit("mqtt5_correlation_data")) {
        return Err(invalid("the correlation data is too large"));
    }
    let expiry = call.number("messageExpiry", 0..=u64::from(u32::MAX))?;
    let user = call.header("x-amz-mqtt5-user-properties")?.map_or(Ok(Vec::new()), user_properties)?;
    let user_size: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if user_size as u64 > limit("mqtt5_user_properties_total") {
        return Err(invalid("the user properties are too large"));
    }
    Ok(Properties {
        is_utf8,
        content_type: content_type.map(Into::into),
        response_topic: response_topic.map(Into::into),
        correlation_data: correlation_data.map(Bytes::from),
        user,
        // The broker keeps it within its limits.
        expiry_s: expiry.and_then(|seconds| u32::try_from(seconds).ok()),
    })
}

/// Name and text.
type UserProperty = (Box<str>, Box<str>);

/// User properties as their header has them: base64 of an array of objects, each with names and texts.
fn user_properties(header: &str) -> Result<Vec<UserProperty>, AwsError> {
    let wrong = || invalid("user properties are base64 of a JSON array of objects with texts");
    let bytes = STANDARD.decode(header).map_err(|_| wrong())?;
    let objects: Vec<Map<String, Value>> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let pairs = objects.iter().flatten();
    pairs
        .map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into())))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}
