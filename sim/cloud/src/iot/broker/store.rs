//! What a session keeps: how it outlives its connection, how stored messages are delivered after the client is back, and
//! how messages that a connected client does not acknowledge are sent again.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::delivery::{Offered, age_max, count_expired, send, send_waiting, wake_at, write};
use super::packet::{Version, reason};
use super::session::{Disconnect, Left, Session, SessionId};
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use world::mark;
use world::trace::Level;

/// After how long a message that a connected client has not acknowledged is sent again. AWS says for how long it tries
/// (quotas `qos1_redelivery_max_v3` and `_v5`) and not how often (unverified).
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Asks to look through what is not acknowledged, unless that is asked for already.
pub(super) fn look_later(cx: &mut Cx<'_>, (id, session): (SessionId, &mut Session)) {
    if session.outbound.look.is_none() {
        let at = cx.now + AGAIN_AFTER;
        session.outbound.look = Some(at);
        wake_at(cx, at, id);
    }
}

impl Iot {
    /// Something of a session may be due.
    pub(in crate::iot) fn check_session(&mut self, cx: &mut Cx<'_>, id: u64) {
        let id = super::delivery::to_session(id);
        let Some(session) = self.broker.sessions.get(id) else { return };
        if session.live.is_none() {
            if session.ends.is_some_and(|ends| ends <= cx.now) {
                cx.trace.mark(cx.now, mark::SESSION_EXPIRED, &session.client);
                self.end_session(cx, id, "it expired");
            }
            return;
        }
        let (replay, look) = (session.outbound.replay, session.outbound.look);
        if replay.is_some_and(|due| due <= cx.now) {
            self.replay(cx, id);
        }
        self.give_up_confirmations(cx, id);
        if look.is_some_and(|due| due <= cx.now) {
            self.look_through(cx, id);
        }
    }

    /// DISCONNECT of a client: why its connection ends.
    pub(super) fn goodbye(&mut self, cx: &mut Cx<'_>, id: SessionId, code: u8, expiry_s: Option<u32>) -> Disconnect {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(id) else { return Disconnect::ConnectionLost };
        if let Some(asked) = expiry_s {
            if session.expiry.is_zero() && asked > 0 {
                return Disconnect::ClientError(reason::PROTOCOL_ERROR, "a clean session becomes no persistent one");
            }
            session.expiry = Duration::from_secs(u64::from(asked).min(quotas.session_expiry_s));
        }
        Disconnect::ClientInitiated {
            will: code == reason::WITH_WILL || (code >= 0x80 && session.version == Version::V5),
        }
    }

    /// The connection of a session is gone: its will is published, and the session ends or waits for its client.
    pub(super) fn leave(&mut self, cx: &mut Cx<'_>, id: SessionId, why: Disconnect) {
        self.fail_confirmations(cx, id);
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        let Some(live) = session.live.take() else { return };
        let (client, expiry) = (session.client.clone(), session.expiry);
        if let Some(known) = self.broker.clients.get_mut(&client) {
            known.left = Some(Left { at: cx.now, reason: why.name(), expiry });
        }
        let outbound = &mut session.outbound;
        outbound.replay = None;
        outbound.look = None;
        let unacknowledged = std::mem::take(&mut outbound.unacknowledged);
        let waiting = std::mem::take(&mut outbound.waiting);
        if !expiry.is_zero() {
            for message in unacknowledged.into_values().rev().map(|sent| sent.message).rev().chain(waiting).rev() {
                outbound.stored.push_front(message);
            }
            // AWS keeps a session for up to half an hour longer, never shorter.
            let slack = self.quotas.as_ref().map_or(0, |quotas| quotas.session_expiry_slack_s);
            let longer = Duration::from_millis(xxh3_64(client.as_bytes()) % (slack * 1_000 + 1));
            let ends = cx.now + expiry + longer;
            session.ends = Some(ends);
            wake_at(cx, ends, id);
        }
        self.tell_disconnected(cx, &client, &live, why);
        if let Some(will) = live.will
            && why.sends_will()
        {
            self.broker.outbox.post(cx, *will);
        }
        if expiry.is_zero() {
            self.end_session(cx, id, "its connection ended");
        }
    }

    /// Ends a session: its subscriptions and its messages are gone.
    pub(super) fn end_session(&mut self, cx: &mut Cx<'_>, id: SessionId, why: &'static str) {
        let Some(session) = self.broker.sessions.remove(id) else { return };
        for filter in session.subscriptions.keys() {
            self.broker.forget_filter(id, filter);
        }
        if let Some(client) = self.broker.clients.get_mut(&session.client)
            && client.session == Some(id)
        {
            client.session = None;
        }
        let lost = session.outbound.stored.len() as u64;
        if lost > 0 || !session.expiry.is_zero() {
            let fields = [("why", why.into()), ("messages", lost.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "session-end", &session.client, &fields);
        }
    }

    /// A client is back: its stored messages go out from now on, and those of its shared groups.
    pub(super) fn begin_replay(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        if !session.outbound.stored.is_empty() {
            session.outbound.replay = Some(cx.now);
            wake_at(cx, cx.now, id);
        }
        let shared: Vec<_> = session.subscriptions.keys().filter(|filter| filter.starts_with('$')).cloned().collect();
        for filter in shared {
            self.broker.shared.wake(cx, &filter);
        }
    }

    /// Sends the next stored message, and asks to be woken for the one after it.
    fn replay(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        session.outbound.replay = None;
        while let Some(message) = session.outbound.stored.front() {
            let Some(live) = &session.live else { return };
            let has_room = session.outbound.unacknowledged.len() < live.window;
            let allowed = live.permissions.allows(Action::Receive, &message.topic);
            let goes = allowed && !message.has_expired(cx.now);
            if goes
                && (!has_room || !session.publishes.try_take(cx.now, 1) || !quotas.publishes_out.try_take(cx.now, 1))
            {
                break;
            }
            let Some(message) = session.outbound.stored.pop_front() else { return };
            if !allowed {
                cx.meter.add("iot", "PublishOut.AuthError", 1);
                continue;
            }
            if send(cx, (id, session), message, 1, None) == Offered::Taken {
                cx.trace.mark(cx.now, mark::STORED_DELIVERED, &session.client);
                break;
            }
        }
        if !session.outbound.stored.is_empty() {
            let next =
                cx.now + Duration::from_secs(1) / u32::try_from(quotas.replay_per_second.max(1)).unwrap_or(u32::MAX);
            session.outbound.replay = Some(next);
            wake_at(cx, next, id);
        }
    }

    /// Sends again what has not been acknowledged for long, and drops what is too old.
    fn look_through(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        session.outbound.look = None;
        let (now, oldest) = (cx.now, age_max(quotas, session.version));
        let mut unacknowledged = std::mem::take(&mut session.outbound.unacknowledged);
        let before = unacknowledged.len();
        unacknowledged.retain(|_, sent| {
            sent.awaited.is_some() || (now.since(sent.first) < oldest && !sent.message.has_expired(now))
        });
        count_expired(cx, session, (before - unacknowledged.len()) as u64);
        for (packet_id, sent) in &mut unacknowledged {
            let due = now.since(sent.last) >= AGAIN_AFTER;
            if due && session.publishes.try_take(now, 1) && quotas.publishes_out.try_take(now, 1) {
                sent.last = now;
                write(cx, session, &sent.message, *packet_id);
            }
        }
        session.outbound.unacknowledged = unacknowledged;
        send_waiting(cx, quotas, (id, session));
        if !session.outbound.unacknowledged.is_empty() {
            look_later(cx, (id, session));
        }
    }
}
