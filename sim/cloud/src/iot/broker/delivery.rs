//! Delivery of accepted messages to subscribers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::Publish;

use super::session::{Session, Waiting};
use super::written;
use crate::core::{Cx, Effect};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::sql::Segments;
use world::trace::{Field, Level};

impl Iot {
    /// Delivers a message to every client that subscribed to its topic and may receive it: one copy each.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, posted: &Posted, segments: &[&str]) {
        self.deliver_where(cx, posted, segments, None);
    }

    /// Delivers an answer to the connection that asked, when it subscribed to the answer's topic and may receive it.
    pub(in crate::iot) fn deliver_to(&mut self, cx: &mut Cx<'_>, connection: u64, posted: &Posted) {
        let segments = Segments::of(&posted.topic).expect("answers have at most seven slashes");
        self.deliver_where(cx, posted, segments.as_slice(), Some(connection));
    }

    fn deliver_where(&mut self, cx: &mut Cx<'_>, posted: &Posted, segments: &[&str], only: Option<u64>) {
        if self.broker.subscriptions.is_empty() {
            return;
        }
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let age_max = Duration::from_secs(quotas.redelivery_s);
        let mut subscribers = BTreeMap::new();
        self.broker.subscriptions.matching(segments, &mut subscribers);
        for (connection, granted) in subscribers {
            if only.is_some_and(|only| only != connection) {
                continue;
            }
            let state = self.broker.connections.get_mut(&connection);
            let Some(session) = state.and_then(|state| state.session.as_mut()) else { continue };
            let metric = if !session.permissions.allows(Action::Receive, &posted.topic) {
                Some("PublishOut.AuthError")
            } else if !session.publishes.try_take(cx.now, 1) || !quotas.publishes_out.try_take(cx.now, 1) {
                Some("PublishOut.Throttle")
            } else {
                None
            };
            if let Some(metric) = metric {
                cx.meter.add("iot", metric, 1);
                let fields = [("client", (&*session.client).into()), ("metric", metric.into())];
                cx.trace.event(Level::Call, cx.now, "iot", "deliver-refused", &posted.topic, &fields);
            } else if granted == 0 || posted.qos == 0 {
                send(cx, connection, session, &posted.topic, &posted.payload, QoS::AtMostOnce);
            } else if session.outbound.unacknowledged.len() < quotas.outbound_unacked {
                send(cx, connection, session, &posted.topic, &posted.payload, QoS::AtLeastOnce);
            } else {
                drop_expired(cx, session, age_max);
                let (topic, payload) = (posted.topic.clone(), Bytes::copy_from_slice(&posted.payload));
                session.outbound.waiting.push_back(Waiting { since: cx.now, topic, payload });
            }
        }
    }

    /// A client acknowledged a delivery: what waits behind the window can go.
    pub(super) fn acknowledged(&mut self, cx: &mut Cx<'_>, connection: u64, packet_id: u16) {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let state = self.broker.connections.get_mut(&connection);
        let Some(session) = state.and_then(|state| state.session.as_mut()) else { return };
        session.outbound.unacknowledged.remove(&packet_id);
        let age_max = Duration::from_secs(quotas.redelivery_s);
        drop_expired(cx, session, age_max);
        while session.outbound.unacknowledged.len() < quotas.outbound_unacked {
            let Some(Waiting { topic, payload, .. }) = session.outbound.waiting.pop_front() else { return };
            send(cx, connection, session, &topic, &payload, QoS::AtLeastOnce);
        }
    }
}

/// Drops what has waited for longer than AWS tries to deliver to a connected client, and counts it. AWS states no number
/// of messages that may wait; their age and the rate of deliveries to a connection bound it.
fn drop_expired(cx: &mut Cx<'_>, session: &mut Session, age_max: Duration) {
    let waiting = &mut session.outbound.waiting;
    let mut expired = 0_u64;
    while waiting.front().is_some_and(|oldest| cx.now.since(oldest.since) > age_max) {
        waiting.pop_front();
        expired += 1;
    }
    if expired > 0 {
        cx.meter.add("iot", "PublishOut.Expired", expired);
        let fields = [("messages", expired.into())];
        cx.trace.event(Level::Call, cx.now, "iot", "deliver-expired", &session.client, &fields);
    }
}

fn send(cx: &mut Cx<'_>, connection: u64, session: &mut Session, topic: &str, payload: &Bytes, qos: QoS) {
    let mut packet = Publish::from_bytes(topic, qos, payload.clone());
    if qos == QoS::AtLeastOnce {
        packet.pkid = session.outbound.next_id();
        session.outbound.unacknowledged.insert(packet.pkid);
    }
    let mut bytes = BytesMut::with_capacity(packet.size());
    written(packet.write(&mut bytes));
    // Outgoing bytes count for the connection's rate and are not themselves delayed by it.
    let counted = session.throughput.available(cx.now).min(bytes.len() as u64);
    session.throughput.try_take(cx.now, counted);
    cx.meter.add("iot", "PublishOut.Success", 1);
    let fields = [
        ("client", (&*session.client).into()),
        ("packet", u64::from(packet.pkid).into()),
        ("payload", Field::Bytes(payload)),
    ];
    cx.trace.event(Level::Message, cx.now, "iot", "deliver", topic, &fields);
    cx.effects.push(Effect::MqttSend { connection, bytes: bytes.freeze() });
}
