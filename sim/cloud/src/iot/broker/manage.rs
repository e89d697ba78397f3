//! What the data plane's REST interface asks of connections: GetConnection, DeleteConnection, ListSubscriptions and
//! SendDirectMessage. Source: "Connection management" of the IoT Core guide, and the API model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::delivery::{Offered, send, wake_at};
use super::session::{Disconnect, Kept, SessionId};
use crate::core::{AwsError, Cx, Deferred, Effect, TokenBucket};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::topic::check_topic;
use world::time::Time;
use world::trace::{Field, Level};

/// Tickets of calls that wait for a client, apart from those of other services.
const TICKETS: u64 = 1 << 63;
/// How long data of a connection are kept after its end, in seconds. Source: as above.
const LEFT_KEPT_S: u64 = 1_800;

/// What GetConnection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Client id.
    pub client_id: Arc<str>,
    /// Whether the client is connected.
    pub connected: bool,
    /// The thing that its certificate is attached to exclusively.
    pub thing_name: Option<Arc<str>>,
    /// Whether its session ends with the connection.
    pub clean_session: bool,
    /// Keep-alive in force, in seconds; 0 when it is not connected.
    pub keep_alive_s: u64,
    /// Source address; none when it is not connected.
    pub source_ip: Option<Box<str>>,
    /// Since when it is connected, or is not.
    pub since: Time,
    /// Why it is not.
    pub disconnect_reason: Option<&'static str>,
    /// Session expiry in seconds.
    pub session_expiry_s: u64,
}

/// A message for one client, whatever it subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectMessage {
    /// Topic, payload and properties.
    pub message: Posted,
    /// For how long the call waits for the client's PUBACK, if it does.
    pub confirmation: Option<Duration>,
}

fn not_found(client: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("no connection of the client {client}")).status(404)
}

fn throttled() -> AwsError {
    AwsError::new("ThrottlingException", "Rate exceeded").status(429)
}

/// Which call, for its rates.
#[derive(Clone, Copy)]
enum Call {
    Get,
    Delete,
    Subscriptions,
    Send,
}

impl Iot {
    /// Takes a call about a client from its rates, and finds the client.
    fn take_call_about(&mut self, cx: &Cx<'_>, client: &str, call: Call) -> Result<Option<SessionId>, AwsError> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let account: &mut TokenBucket = match call {
            Call::Get => &mut quotas.get_connection,
            Call::Delete => &mut quotas.delete_connection,
            Call::Subscriptions => &mut quotas.list_subscriptions,
            Call::Send => &mut quotas.direct_messages,
        };
        if !account.try_take(cx.now, 1) {
            return Err(throttled());
        }
        let known = self.broker.clients.get_mut(client).ok_or_else(|| not_found(client))?;
        if !matches!(call, Call::Send) && !known.calls.try_take(cx.now, 1) {
            return Err(throttled());
        }
        Ok(known.session)
    }

    /// `GetConnection`.
    pub(in crate::iot) fn connection(&mut self, cx: &Cx<'_>, client: &str) -> Result<ConnectionInfo, AwsError> {
        let session = self.take_call_about(cx, client, Call::Get)?;
        let (client_id, known) = self.broker.clients.get_key_value(client).ok_or_else(|| not_found(client))?;
        let session = session.and_then(|id| self.broker.sessions.get(id));
        if let Some((session, live)) = session.and_then(|session| Some((session, session.live.as_ref()?))) {
            return Ok(ConnectionInfo {
                client_id: client_id.clone(),
                connected: true,
                thing_name: live.thing.clone(),
                clean_session: session.expiry.is_zero(),
                keep_alive_s: live.silence_max.as_secs() * 2 / 3,
                source_ip: Some(live.ip.clone()),
                since: live.since,
                disconnect_reason: None,
                session_expiry_s: session.expiry.as_secs(),
            });
        }
        let left =
            known.left.as_ref().filter(|left| session.is_some() || cx.now.since(left.at).as_secs() < LEFT_KEPT_S);
        let left = left.ok_or_else(|| not_found(client))?;
        Ok(ConnectionInfo {
            client_id: client_id.clone(),
            connected: false,
            thing_name: None,
            clean_session: left.expiry.is_zero(),
            keep_alive_s: 0,
            source_ip: None,
            since: left.at,
            disconnect_reason: Some(left.reason),
            session_expiry_s: left.expiry.as_secs(),
        })
    }

    /// `DeleteConnection`: disconnects a client, and ends its session when asked to.
    pub(in crate::iot) fn delete_connection(
        &mut self,
        cx: &mut Cx<'_>,
        client: &str,
        clean_session: bool,
        prevent_will: bool,
    ) -> Result<(), AwsError> {
        let id = self.take_call_about(cx, client, Call::Delete)?.ok_or_else(|| not_found(client))?;
        let live = self.broker.sessions.get(id).and_then(|session| session.live.as_ref());
        match live.map(|live| live.connection) {
            Some(connection) => self.disconnect(cx, connection, Disconnect::ApiInitiated { will: !prevent_will }),
            None if !clean_session => return Err(not_found(client)),
            None => {}
        }
        // A clean session is gone with its connection, and its place may be another's soon.
        if clean_session && self.broker.clients.get(client).and_then(|known| known.session) == Some(id) {
            self.end_session(cx, id, "DeleteConnection");
        }
        Ok(())
    }

    /// `ListSubscriptions`: filters of a client's session with their QoS, in the order of their text.
    pub(in crate::iot) fn subscriptions_of(
        &mut self,
        cx: &Cx<'_>,
        client: &str,
    ) -> Result<Vec<(Arc<str>, u8)>, AwsError> {
        let id = self.take_call_about(cx, client, Call::Subscriptions)?.ok_or_else(|| not_found(client))?;
        let session = self.broker.sessions.get(id).ok_or_else(|| not_found(client))?;
        Ok(session.subscriptions.iter().map(|(filter, grant)| (filter.clone(), grant.qos)).collect())
    }

    /// `SendDirectMessage`. Answers a ticket when the call waits for the client: [`Effect::Answer`] follows, with 200 or
    /// with 504 when the client is late. The caller has checked iot:SendDirectMessage.
    pub(in crate::iot) fn send_direct_message(
        &mut self,
        cx: &mut Cx<'_>,
        client: &str,
        direct: &DirectMessage,
    ) -> Result<Option<Deferred>, AwsError> {
        let DirectMessage { message, confirmation } = direct;
        check_topic(&message.topic).map_err(|why| AwsError::new("InvalidRequestException", why))?;
        let id = self.take_call_about(cx, client, Call::Send)?.ok_or_else(|| not_found(client))?;
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if message.payload.len() > quotas.payload_size {
            let why = "a payload has at most 128 KiB";
            return Err(AwsError::new("RequestEntityTooLargeException", why).status(413));
        }
        let session = self.broker.sessions.get_mut(id).ok_or_else(|| not_found(client))?;
        let live = session.live.as_ref().ok_or_else(|| not_found(client))?;
        if !live.permissions.allows(Action::Receive, &message.topic) {
            let why = "the client's policies do not allow iot:Receive";
            return Err(AwsError::new("ForbiddenException", why).status(403));
        }
        if session.outbound.unacknowledged.len() >= live.window
            || !session.publishes.try_take(cx.now, 1)
            || !quotas.publishes_out.try_take(cx.now, 1)
        {
            return Err(throttled());
        }
        let fields = [("client", client.into()), ("payload", Field::Bytes(&message.payload))];
        cx.trace.event(Level::Message, cx.now, "iot", "direct-message", &message.topic, &fields);
        self.broker.tickets += 1;
        let awaited = confirmation.map(|timeout| (Deferred(TICKETS | self.broker.tickets), cx.now + timeout));
        let qos = if awaited.is_some() { 1 } else { message.qos };
        if send(cx, (id, session), Kept::of(message, cx.now), qos, awaited) == Offered::Dropped {
            let why = "the message is larger than the client takes, or has expired";
            return Err(AwsError::new("RequestEntityTooLargeException", why).status(413));
        }
        Ok(awaited.map(|(ticket, deadline)| {
            wake_at(cx, deadline, id);
            ticket
        }))
    }

    /// Answers those who have waited for a PUBACK for too long.
    pub(super) fn give_up_confirmations(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        for sent in session.outbound.unacknowledged.values_mut() {
            if let Some((ticket, _)) = sent.awaited.take_if(|(_, deadline)| *deadline <= cx.now) {
                confirm(cx, ticket, false);
            }
        }
    }

    /// Answers all who wait for a PUBACK of a client that is gone.
    pub(super) fn fail_confirmations(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        for sent in session.outbound.unacknowledged.values_mut() {
            if let Some((ticket, _)) = sent.awaited.take() {
                confirm(cx, ticket, false);
            }
        }
    }
}

/// Answers a call that waited for a client. The wording of its message is unverified.
pub(super) fn confirm(cx: &mut Cx<'_>, ticket: Deferred, acknowledged: bool) {
    let trace_id = cx.uuid();
    let (status, headers, body) = if acknowledged {
        (200, Vec::new(), json!({ "message": "OK", "traceId": trace_id }))
    } else {
        let headers = vec![("x-amzn-errortype", "GatewayTimeoutException".to_owned())];
        (504, headers, json!({ "message": "the client has not acknowledged the message in time" }))
    };
    cx.effects.push(Effect::Answer { ticket, status, headers, body: Bytes::from(body.to_string()) });
}
