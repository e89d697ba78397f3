//! The MQTT 5 headers of republished messages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::action::{Renderer, template};
use super::fields::MqttHeaders;
use crate::core::AwsError;
use crate::iot::message::Properties;
use crate::iot::registry::invalid;
use crate::iot::sql::{Template, Variables};

/// Most user properties, and most characters of one text (the service's model of `MqttHeaders`).
const USER_PROPERTIES_MAX: usize = 100;
/// See [`USER_PROPERTIES_MAX`].
const TEXT_MAX: usize = 1024;

/// Headers with their templates.
#[derive(Debug)]
pub(super) struct Headers {
    format: Option<Template>,
    content_type: Option<Template>,
    response_topic: Option<Template>,
    correlation_data: Option<Template>,
    expiry: Option<Template>,
    user: Vec<(Template, Template)>,
}

impl Headers {
    /// Checks the headers of an action.
    pub(super) fn parse(headers: MqttHeaders, variables: &Variables) -> Result<Headers, AwsError> {
        let text = |text: &str| {
            if text.chars().count() > TEXT_MAX {
                return Err(invalid(format!("a header of republish has at most {TEXT_MAX} characters")));
            }
            template(text, variables)
        };
        let optional = |given: Option<String>| given.as_deref().map(text).transpose();
        let user = headers.user_properties.as_deref();
        if user.is_some_and(|user| user.is_empty() || user.len() > USER_PROPERTIES_MAX) {
            return Err(invalid(format!("userProperties has 1 to {USER_PROPERTIES_MAX} members")));
        }
        let user = user.unwrap_or_default().iter().map(|property| Ok((text(&property.key)?, text(&property.value)?)));
        Ok(Headers {
            user: user.collect::<Result<_, AwsError>>()?,
            format: optional(headers.payload_format_indicator)?,
            content_type: optional(headers.content_type)?,
            response_topic: optional(headers.response_topic)?,
            correlation_data: optional(headers.correlation_data)?,
            expiry: optional(headers.message_expiry)?,
        })
    }

    /// The properties for a message. A text that is none of what its header takes is a failure of the action.
    pub(super) fn render<'t>(&'t self, renderer: &mut Renderer<'_, 't, '_, '_>) -> Result<Arc<Properties>, String> {
        let mut properties = Properties::default();
        if let Some(template) = &self.format {
            properties.is_utf8 = match &*renderer.render(template, "payloadFormatIndicator")? {
                "UTF8_DATA" => true,
                "UNSPECIFIED_BYTES" => false,
                other => return Err(format!("{other:?} is no payloadFormatIndicator")),
            };
        }
        if let Some(template) = &self.content_type {
            properties.content_type = Some(renderer.render(template, "contentType")?.into());
        }
        if let Some(template) = &self.response_topic {
            properties.response_topic = Some(renderer.render(template, "responseTopic")?.into());
        }
        if let Some(template) = &self.correlation_data {
            let text = renderer.render(template, "correlationData")?;
            let data = STANDARD.decode(text.as_bytes()).map_err(|_| "correlationData is not base64".to_owned())?;
            properties.correlation_data = Some(Bytes::from(data));
        }
        if let Some(template) = &self.expiry {
            let text = renderer.render(template, "messageExpiry")?;
            let seconds = text.parse().map_err(|_| format!("{text:?} is no number of seconds for messageExpiry"))?;
            properties.expiry_s = Some(seconds);
        }
        for (key, value) in &self.user {
            let key = renderer.render(key, "userProperties")?.into();
            properties.user.push((key, renderer.render(value, "userProperties")?.into()));
        }
        Ok(Arc::new(properties))
    }
}
