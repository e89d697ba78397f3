//! Delivery of accepted messages to subscribers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::encode;
use super::packet::{Delivery, Outbound, Version};
use super::session::{Grant, Kept, Sent, Session, SessionId};
use crate::core::{Cx, Deferred, Effect, Service};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::sql::Segments;
use crate::iot::wakeup::Wakeup;
use world::time::Time;
use world::trace::{Field, Level};

/// What became of a message for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Sent, or waiting for its turn.
    Taken,
    /// Dropped, and counted.
    Dropped,
}

impl Kept {
    /// A copy of a message that does not keep the buffer of the connection it came on.
    pub(super) fn of(posted: &Posted, now: Time) -> Kept {
        let (topic, payload) = (Arc::clone(&posted.topic), Bytes::copy_from_slice(&posted.payload));
        Kept { since: now, topic, payload, retain: false, properties: posted.properties.clone() }
    }
}

impl Iot {
    /// Delivers a message to every client that subscribed to its topic and may receive it, one copy each, and to one member
    /// of each shared group.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, posted: &Posted, segments: &[&str]) {
        if self.broker.subscriptions.is_empty() && self.broker.shared.is_empty() {
            return;
        }
        let mut subscribers = BTreeMap::new();
        self.broker.subscriptions.matching(segments, &mut subscribers);
        let groups = self.broker.shared.matching(segments);
        if subscribers.is_empty() && groups.is_empty() {
            return;
        }
        let message = Kept::of(posted, cx.now);
        for (owner, bits) in subscribers {
            let (id, grant) = (to_session(owner), Grant::of(bits));
            let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
            let Some(session) = self.broker.sessions.get_mut(id) else { continue };
            if grant.no_local && posted.client.as_ref() == Some(&session.client) {
                continue;
            }
            let message = Kept { retain: posted.retain && grant.as_published, ..message.clone() };
            offer(cx, quotas, (id, session), message, grant.qos.min(posted.qos));
        }
        for group in groups {
            self.deliver_to_group(cx, group, &message, posted.qos);
        }
    }

    /// Delivers an answer to the client that asked, when it subscribed to the answer's topic and may receive it.
    pub(super) fn deliver_to(&mut self, cx: &mut Cx<'_>, client: &str, posted: &Posted) {
        let Some(asked) = self.broker.clients.get(client).and_then(|client| client.session) else { return };
        let segments = Segments::of(&posted.topic).expect("answers have at most seven slashes");
        let mut subscribers = BTreeMap::new();
        self.broker.subscriptions.matching(segments.as_slice(), &mut subscribers);
        let granted = subscribers.into_iter().find(|(owner, _)| to_session(*owner) == asked);
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if let (Some((_, bits)), Some(session)) = (granted, self.broker.sessions.get_mut(asked)) {
            offer(cx, quotas, (asked, session), Kept::of(posted, cx.now), Grant::of(bits).qos.min(posted.qos));
        }
    }

    /// A client acknowledged a delivery: what waits behind the window can go.
    pub(super) fn acknowledged(&mut self, cx: &mut Cx<'_>, id: SessionId, packet_id: u16) {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        if let Some(Sent { awaited: Some((ticket, _)), .. }) = session.outbound.unacknowledged.remove(&packet_id) {
            super::manage::confirm(cx, ticket, true);
        }
        send_waiting(cx, quotas, (id, session));
    }
}

/// The session of an owner in the trie.
pub(super) fn to_session(owner: u64) -> SessionId {
    usize::try_from(owner).expect("owners of subscriptions are places of sessions")
}

/// For how long a connected client is sent a message with QoS 1.
pub(super) fn age_max(quotas: &Quotas, version: Version) -> Duration {
    let seconds = match version {
        Version::V3 => quotas.redelivery_s,
        Version::V5 => quotas.redelivery_v5_s,
    };
    Duration::from_secs(seconds)
}

fn refused(cx: &mut Cx<'_>, session: &Session, topic: &str, metric: &'static str) -> Offered {
    cx.meter.add("iot", metric, 1);
    let fields = [("client", (&*session.client).into()), ("metric", metric.into())];
    cx.trace.event(Level::Call, cx.now, "iot", "deliver-refused", topic, &fields);
    Offered::Dropped
}

/// Gives a message to a session: it is sent, waits behind the window, or is stored while the client is not connected.
pub(super) fn offer(
    cx: &mut Cx<'_>,
    quotas: &mut Quotas,
    (id, session): (SessionId, &mut Session),
    message: Kept,
    qos: u8,
) -> Offered {
    let Some(live) = &session.live else { return store(cx, quotas, session, message, qos) };
    if !live.permissions.allows(Action::Receive, &message.topic) {
        return refused(cx, session, &message.topic, "PublishOut.AuthError");
    }
    if !session.publishes.try_take(cx.now, 1) || !quotas.publishes_out.try_take(cx.now, 1) {
        return refused(cx, session, &message.topic, "PublishOut.Throttle");
    }
    if qos > 0 && session.outbound.unacknowledged.len() >= live.window {
        drop_expired(cx, session, age_max(quotas, session.version));
        session.outbound.waiting.push_back(message);
        return Offered::Taken;
    }
    send(cx, (id, session), message, qos, None)
}

/// Stores a message for a client that is not connected. AWS drops what exceeds the rates of the session and the account.
fn store(cx: &mut Cx<'_>, quotas: &mut Quotas, session: &mut Session, message: Kept, qos: u8) -> Offered {
    if qos == 0 {
        return Offered::Dropped;
    }
    if !session.publishes.try_take(cx.now, 1) || !quotas.queued.try_take(cx.now, 1) {
        return refused(cx, session, &message.topic, "PublishOut.Throttle");
    }
    let fields = [("client", (&*session.client).into()), ("payload", Field::Bytes(&message.payload))];
    cx.trace.event(Level::Message, cx.now, "iot", "store", &message.topic, &fields);
    session.outbound.stored.push_back(message);
    Offered::Taken
}

/// Sends what waits behind the window, as far as the window allows.
pub(super) fn send_waiting(cx: &mut Cx<'_>, quotas: &Quotas, (id, session): (SessionId, &mut Session)) {
    drop_expired(cx, session, age_max(quotas, session.version));
    while session.live.as_ref().is_some_and(|live| session.outbound.unacknowledged.len() < live.window) {
        let Some(message) = session.outbound.waiting.pop_front() else { return };
        send(cx, (id, session), message, 1, None);
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
    count_expired(cx, session, expired);
}

/// Counts messages that were dropped because of their age.
pub(super) fn count_expired(cx: &mut Cx<'_>, session: &Session, expired: u64) {
    if expired > 0 {
        cx.meter.add("iot", "PublishOut.Expired", expired);
        let fields = [("messages", expired.into())];
        cx.trace.event(Level::Call, cx.now, "iot", "deliver-expired", &session.client, &fields);
    }
}

/// Sends a message to a connected client.
pub(super) fn send(
    cx: &mut Cx<'_>,
    (id, session): (SessionId, &mut Session),
    message: Kept,
    qos: u8,
    awaited: Option<(Deferred, Time)>,
) -> Offered {
    if message.has_expired(cx.now) {
        count_expired(cx, session, 1);
        return Offered::Dropped;
    }
    let packet_id = if qos == 0 { 0 } else { session.outbound.next_id() };
    if !write(cx, session, &message, packet_id) {
        // MQTT 5 has the broker behave as if it had been sent.
        return refused(cx, session, &message.topic, "PublishOut.ClientError");
    }
    if qos > 0 {
        let sent = Sent { message, first: cx.now, last: cx.now, awaited };
        session.outbound.unacknowledged.insert(packet_id, sent);
        super::store::look_later(cx, (id, session));
    }
    Offered::Taken
}

/// Writes a PUBLISH; answers whether the client takes one of its size.
pub(super) fn write(cx: &mut Cx<'_>, session: &mut Session, message: &Kept, packet_id: u16) -> bool {
    let Some(live) = &mut session.live else { return false };
    // What is left is told in whole seconds: 999 ms and less are 0.
    let left = message.expires().map(|expires| expires.since(cx.now).as_secs());
    let delivery = Delivery {
        topic: &message.topic,
        payload: &message.payload,
        retain: message.retain,
        id: packet_id,
        properties: message.properties.as_deref(),
        expiry_s: left.map(|left| u32::try_from(left).unwrap_or(u32::MAX)),
    };
    let size = encode::publish_size(&delivery, session.version);
    if size > live.packet_max {
        return false;
    }
    let mut bytes = BytesMut::with_capacity(size);
    encode::packet(&Outbound::Publish(delivery), session.version, &mut bytes);
    // Outgoing bytes count for the connection's rate and are not themselves delayed by it.
    let counted = live.throughput.available(cx.now).min(bytes.len() as u64);
    live.throughput.try_take(cx.now, counted);
    cx.meter.add("iot", "PublishOut.Success", 1);
    let fields = [
        ("client", (&*session.client).into()),
        ("packet", u64::from(packet_id).into()),
        ("payload", Field::Bytes(&message.payload)),
    ];
    cx.trace.event(Level::Message, cx.now, "iot", "deliver", &message.topic, &fields);
    cx.effects.push(Effect::MqttSend { connection: live.connection, bytes: bytes.freeze() });
    true
}

/// Asks to be woken for a session.
pub(super) fn wake_at(cx: &mut Cx<'_>, at: Time, id: SessionId) {
    cx.timers.at(at, Service::Iot, Wakeup::Session(id as u64).token());
}
