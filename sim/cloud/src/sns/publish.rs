//! Publish.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Attribute, Published, Sns, invalid};
use crate::core::access::key_refused;
use crate::core::{AwsError, Cx};
use crate::front::query::{Form, Xml};
use world::trace::{Field, Level};

/// Longest subject, in characters (API reference, `Publish`).
const SUBJECT_MAX: usize = 100;

impl Sns {
    pub(super) fn publish(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError> {
        let arn = match (form.text("TopicArn"), form.text("TargetArn")) {
            (Some(arn), None) | (None, Some(arn)) => arn,
            _ => return Err(invalid("TopicArn or TargetArn Reason: one of them is required")),
        };
        let message = form.text("Message").unwrap_or_default();
        let subject = form.text("Subject");
        let structure = form.text("MessageStructure");
        let (attributes, attributes_bytes) = read_attributes(form)?;
        form.finish()?;
        let limit = usize::try_from(cx.limits.get("sns", "message")).unwrap_or(usize::MAX);
        let topic = self.find(cx, "sns:Publish", &arn)?;
        let (name, key) = (topic.name.clone(), topic.kms_key.clone());
        check(&message, subject.as_deref(), structure.as_deref(), attributes_bytes, limit)?;
        if let Some(key) = key {
            for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
                cx.use_key(action, &key, "sns").map_err(|error| key_refused("sns", &error))?;
            }
        }
        let publishes = self.publishes.get_or_insert_with(|| cx.limits.bucket("sns", "publish_standard", cx.now));
        if !publishes.try_take(cx.now, 1) {
            return Err(AwsError::new("Throttled", "Rate exceeded").status(429));
        }
        let id = cx.uuid();
        cx.meter.add("sns", "NumberOfMessagesPublished", 1);
        cx.meter.add("sns", "PublishSize_bytes", (message.len() + attributes_bytes) as u64);
        let fields = [
            ("message_id", id.as_str().into()),
            ("subject", subject.as_deref().unwrap_or("").into()),
            ("message", Field::Bytes(message.as_bytes())),
        ];
        cx.trace.event(Level::Call, cx.now, "sns", "publish", &name, &fields);
        if let Some(topic) = self.topics.get_mut(&arn) {
            topic.messages.push(Published { at: cx.now, subject, message, attributes });
        }
        let mut xml = Xml::new();
        xml.text("MessageId", id);
        Ok(xml)
    }
}

/// The message's attributes, and their bytes: names, types and values count.
fn read_attributes(form: &mut Form) -> Result<(BTreeMap<String, Attribute>, usize), AwsError> {
    let (mut attributes, mut bytes) = (BTreeMap::new(), 0);
    for mut entry in form.entries("MessageAttributes")?.unwrap_or_default() {
        let name = entry.required("Name")?;
        let kind = entry.required("Value.DataType")?;
        let value = match (entry.text("Value.StringValue"), entry.text("Value.BinaryValue")) {
            (Some(value), None) | (None, Some(value)) if !value.is_empty() => value,
            _ => return Err(AwsError::new("ParameterValueInvalid", format!("the attribute {name} has no value"))),
        };
        entry.finish()?;
        bytes += name.len() + kind.len() + value.len();
        attributes.insert(name, Attribute { kind, value });
    }
    Ok((attributes, bytes))
}

fn check(
    message: &str,
    subject: Option<&str>,
    structure: Option<&str>,
    attributes_bytes: usize,
    limit: usize,
) -> Result<(), AwsError> {
    if message.is_empty() {
        return Err(invalid("Empty message"));
    }
    if message.len() + attributes_bytes > limit {
        return Err(invalid("Message too long"));
    }
    if let Some(subject) = subject {
        let printable = subject.chars().all(|c| (' '..='~').contains(&c));
        if subject.is_empty() || subject.chars().count() > SUBJECT_MAX || !printable || subject.starts_with(' ') {
            return Err(invalid("Subject"));
        }
    }
    match structure {
        None => Ok(()),
        Some("json") => match serde_json::from_str::<Value>(message) {
            Ok(parsed) if parsed["default"].is_string() => Ok(()),
            Ok(_) => Err(invalid("Message Structure - No default entry in JSON message body")),
            Err(_) => Err(invalid("Message Structure - JSON message body failed to parse")),
        },
        Some(other) => Err(invalid(format!("MessageStructure {other}"))),
    }
}
