//! A message of the broker, whoever published it, and the queue of those that the service publishes itself.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::wakeup::Wakeup;
use crate::core::{Cx, Service};

/// Properties of MQTT 5 that travel with a message to its rules and its receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Payload Format Indicator: whether the payload says that it is UTF-8.
    pub is_utf8: bool,
    /// Content Type.
    pub content_type: Option<Box<str>>,
    /// Response Topic.
    pub response_topic: Option<Box<str>>,
    /// Correlation Data.
    pub correlation_data: Option<Bytes>,
    /// User Properties, in their order.
    pub user: Vec<(Box<str>, Box<str>)>,
    /// Message Expiry Interval, in seconds from the receipt.
    pub expiry_s: Option<u32>,
}

/// A message of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Topic.
    pub topic: Arc<str>,
    /// Payload.
    pub payload: Bytes,
    /// QoS with which it was published: 0 or 1.
    pub qos: u8,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Properties of MQTT 5, if there are any.
    pub properties: Option<Arc<Properties>>,
    /// Client id of the publisher; none when it did not come over MQTT.
    pub client: Option<Arc<str>>,
    /// Who published it, as `principal()` says it: the id of a certificate, or `roleId:session` of IAM; none when the
    /// service did.
    pub principal: Option<Arc<str>>,
}

impl Posted {
    /// A message that the service publishes itself.
    pub fn by_service(topic: impl Into<Arc<str>>, qos: u8, payload: impl Into<Bytes>) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Posted { topic, payload, qos, retain: false, properties: None, client: None, principal: None }
    }
}

/// Messages that services of the account publish: events, answers of shadows, results that rules republish. They are
/// published in their order, after the step that made them and at its instant.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Posted>,
}

impl Outbox {
    /// Publishes a message after this step.
    pub fn post(&mut self, cx: &mut Cx<'_>, message: Posted) {
        if self.waiting.is_empty() {
            cx.timers.at(cx.now, Service::Iot, Wakeup::Outbox.token());
        }
        self.waiting.push_back(message);
    }

    /// Takes the next message.
    pub fn pop(&mut self) -> Option<Posted> {
        self.waiting.pop_front()
    }
}
