//! Retained messages: one for each topic. Source: "MQTT retained messages" of the IoT Core guide.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::delivery::offer;
use super::session::{Grant, Kept, SessionId};
use crate::core::{Cx, TokenBucket};
use crate::iot::Iot;
use crate::iot::message::{Posted, Properties};
use crate::iot::quotas::Quotas;
use world::time::Time;
use world::trace::Level;

/// Topics whose rate is remembered before those at rest are looked through.
const RATES_MIN: usize = 1024;

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Payload.
    pub payload: Bytes,
    /// QoS with which it was published.
    pub qos: u8,
    /// Properties of MQTT 5, if there are any.
    pub properties: Option<Arc<Properties>>,
    /// When it was published.
    pub since: Time,
}

impl Retained {
    fn kept(&self, topic: &Arc<str>) -> Kept {
        let (topic, payload) = (topic.clone(), self.payload.clone());
        Kept { since: self.since, topic, payload, retain: true, properties: self.properties.clone() }
    }
}

/// All retained messages, and the rates of their topics.
#[derive(Debug, Default)]
pub(super) struct Store {
    messages: BTreeMap<Arc<str>, Retained>,
    rates: BTreeMap<Arc<str>, TokenBucket>,
    rates_limit: usize,
}

impl Store {
    /// Takes one publish with RETAIN from the rates, or says which is used up.
    pub(super) fn take(&mut self, now: Time, quotas: &mut Quotas, topic: &Arc<str>) -> Result<(), &'static str> {
        let rate = quotas.retained_per_topic;
        if self.rates.len() >= self.rates_limit.max(RATES_MIN) {
            self.rates.retain(|_, bucket| bucket.available(now) < rate);
            self.rates_limit = self.rates.len() * 2;
        }
        let bucket = self.rates.entry(topic.clone()).or_insert_with(|| TokenBucket::per_second(rate, now));
        if !bucket.try_take(now, 1) {
            return Err("the topic's retained message changes too often");
        }
        if !quotas.retained.try_take(now, 1) {
            return Err("the account's retained messages change too often");
        }
        Ok(())
    }
}

impl Iot {
    /// Keeps a message that was published with RETAIN, or forgets the kept one when its payload is empty.
    pub(super) fn retain(&mut self, cx: &mut Cx<'_>, posted: &Posted) {
        cx.meter.add("iot", "PublishRetained.Success", 1);
        let kept = u64::from(!posted.payload.is_empty());
        cx.trace.event(Level::Call, cx.now, "iot", "retain", &posted.topic, &[("kept", kept.into())]);
        if posted.payload.is_empty() {
            self.broker.retained.messages.remove(&posted.topic);
            return;
        }
        let message = Retained {
            payload: Bytes::copy_from_slice(&posted.payload),
            qos: posted.qos,
            properties: posted.properties.clone(),
            since: cx.now,
        };
        self.broker.retained.messages.insert(posted.topic.clone(), message);
    }

    /// Sends the retained message of a topic to a client that subscribed to exactly this topic.
    pub(super) fn send_retained(&mut self, cx: &mut Cx<'_>, id: SessionId, topic: &str, grant: Grant) {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some((topic, retained)) = self.broker.retained.messages.get_key_value(topic) else { return };
        let message = retained.kept(topic);
        if message.has_expired(cx.now) {
            let topic = topic.clone();
            self.broker.retained.messages.remove(&topic);
            return;
        }
        let qos = grant.qos.min(retained.qos);
        if let Some(session) = self.broker.sessions.get_mut(id) {
            offer(cx, quotas, (id, session), message, qos);
        }
    }

    /// `GetRetainedMessage`: the retained message of a topic.
    pub(in crate::iot) fn retained(&self, now: Time, topic: &str) -> Option<&Retained> {
        let (topic, retained) = self.broker.retained.messages.get_key_value(topic)?;
        (!retained.kept(topic).has_expired(now)).then_some(retained)
    }

    /// `ListRetainedMessages`: all retained messages in the order of their topics.
    pub(in crate::iot) fn retained_list(&self, now: Time) -> impl Iterator<Item = (&Arc<str>, &Retained)> {
        let all = self.broker.retained.messages.iter();
        all.filter(move |(topic, retained)| !retained.kept(topic).has_expired(now))
    }
}
