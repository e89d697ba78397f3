//! The MQTT broker: connections, and the packets that arrive on them in any fragmentation.
//!
//! Modelled, for MQTT 3.1.1 and MQTT 5: QoS 0 and 1; clean and persistent sessions with their expiry; stored messages and
//! their delivery at 10 a second; messages that are sent again until they are acknowledged or too old; retained messages;
//! wills; shared subscriptions; wildcards as AWS matches them; takeover of client ids; keep-alive; lifecycle events; the
//! quotas of connections and of the account; the calls about connections of the data plane. Of MQTT 5: reason codes, the
//! Session and the Message Expiry Interval, topic aliases of publishers, Receive Maximum, Maximum Packet Size, Assigned
//! Client Identifier, Server Keep Alive, user properties and the others of a message, No Local, Retain As Published and
//! Retain Handling. Packets are read by a strict reader of this module: `rumqttc`'s accepts what the standards call
//! malformed and misreads some of what they allow; tests compare the two.
//!
//! Partly modelled: the rate of 512 KiB/s a connection delays what clients send, and is only counted for what they receive;
//! a delayed connection goes on after at most 50 ms more than its next packet needs. An inbound QoS 1 message is
//! acknowledged in the step that accepts it, so the window of 100 unacknowledged ones is never full. The number of retained
//! messages of an account is not limited: AWS's figure is not known here. Order is kept more than AWS promises.
//!
//! Refused: QoS 2 (a PUBLISH or SUBSCRIBE of MQTT 3.1.1 gets no answer; a PUBLISH of MQTT 5 ends the connection with 0x9B),
//! AUTH, Subscription Identifiers, Will Delay Intervals, shared subscriptions to reserved topics. Absent: WebSockets, custom
//! authentication, topic aliases of the broker, Reason Strings.
//!
//! Not stated by AWS, decided here, and listed in `docs/gaps.md`: an unauthorized publish closes a connection of MQTT 3.1.1,
//! and one of MQTT 5 with QoS 0; CONNACK codes of refusals in MQTT 3.1.1; that a payload beyond its limit closes the
//! connection, and a topic beyond its limit, too, where no PUBACK can refuse it; the order of the checks; that a retained
//! publish above its rate is discarded as a whole; how often a message is sent again; that a version number begins again at
//! 0 after exactly an hour; that the code of MQTT 5 for a client's small Maximum Packet Size is 0x80; a connection with more
//! than 16 seconds' bytes (8 MiB) waiting for its rate is closed as `THROTTLED`; a subscriber gets one copy of a message
//! however many of its filters match; messages that are too old are counted as `PublishOut.Expired`, a name of this
//! simulator.

mod connect;
mod decode;
mod delivery;
mod encode;
mod lifecycle;
mod manage;
mod packet;
mod publish;
mod retained;
mod session;
mod shared;
mod store;
mod subscribe;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub use self::manage::{ConnectionInfo, DirectMessage};

use self::packet::{Inbound, Outbound, Version, reason};
use self::session::{Client, Connection, Disconnect, SessionId, Sessions};
use super::message::Outbox;
use super::registry::CertificateRefusal;
use super::rules::Ports;
use super::trie::FilterTrie;
use super::wakeup::Wakeup;
use super::{Iot, Refused};
use crate::core::{Cx, Effect, Service, TokenBucket};
use world::mark;
use world::time::Time;
use world::trace::Level;

/// What a connection that is delayed may have waiting, in seconds of its rate of bytes. AWS delays and states no bound;
/// beyond this one the connection is closed (unverified). It is shorter than the shortest silence that ends a connection,
/// so that a delayed connection does not count as silent.
const BACKLOG_S: u64 = 16;
/// A delayed connection waits for at least this part of a second's bytes, if that much waits: one wake-up works on many
/// packets.
const WAITS_A_SECOND: u64 = 20;
/// Client ids that are remembered before those without a session are looked through.
const CLIENTS_MIN: usize = 4096;
/// How long a client id without a session is remembered, for its version number and for GetConnection, in seconds.
/// Sources: "Lifecycle events" and "Connection management" of the IoT Core guide (about an hour; 30 minutes).
const REMEMBERED_S: u64 = 3_600;

/// Connections, sessions, subscriptions and retained messages.
#[derive(Debug, Default)]
pub struct Broker {
    connections: BTreeMap<u64, Connection>,
    clients: BTreeMap<Arc<str>, Client>,
    /// Number of client ids at which they are looked through again.
    clients_limit: usize,
    sessions: Sessions,
    /// Filters by session.
    subscriptions: FilterTrie,
    shared: shared::Groups,
    retained: retained::Store,
    /// Lifecycle events and wills that are not published yet.
    outbox: Outbox,
    /// Tickets given to calls that wait for an acknowledgement.
    tickets: u64,
    /// Reused for the bytes that are worked on.
    input: BytesMut,
    /// Reused for the answers to them.
    output: BytesMut,
}

impl Broker {
    /// Forgets client ids without a session whose rate of connects is untouched and that left long ago: nothing is lost
    /// with them. Happens whenever their number has doubled.
    fn forget_idle_clients(&mut self, now: Time, connects_per_second: u64) {
        if self.clients.len() < self.clients_limit.max(CLIENTS_MIN) {
            return;
        }
        self.clients.retain(|_, client| {
            client.session.is_some()
                || client.connects.available(now) < connects_per_second
                || client.left.as_ref().is_some_and(|left| now.since(left.at).as_secs() < REMEMBERED_S)
        });
        self.clients_limit = self.clients.len() * 2;
    }

    /// Number of client ids that are remembered.
    #[cfg(test)]
    pub(super) fn clients_len(&self) -> usize {
        self.clients.len()
    }

    /// What is known of a client id; it is remembered from now on.
    fn client(&mut self, now: Time, name: &Arc<str>, connects_per_second: u64, calls_per_second: u64) -> &mut Client {
        self.clients.entry(name.clone()).or_insert_with(|| Client {
            session: None,
            connects: TokenBucket::per_second(connects_per_second, now),
            calls: TokenBucket::per_second(calls_per_second, now),
            version_number: None,
            left: None,
        })
    }
}

/// What the handling of a packet needs to know of its connection.
#[derive(Clone, Copy)]
struct Link {
    connection: u64,
    /// With its protocol level, once CONNECT was accepted.
    session: Option<(SessionId, Version)>,
}

/// What the bytes of a connection begin with.
enum Next {
    Packet(Inbound),
    /// Nothing yet.
    Wait,
    Broken(Disconnect),
}

impl Iot {
    /// A connection presents its certificate in the TLS handshake.
    pub fn open(&mut self, cx: &mut Cx<'_>, connection: u64, certificate: &str, ip: &str) -> Result<(), Refused> {
        let connections_max = self.quotas(cx).connections;
        let admitted = self.registry.admit(cx.now, certificate);
        let refused = match admitted {
            Err(refusal) => Some(refusal.reason()),
            Ok(_) if self.broker.connections.len() >= connections_max => Some("the account has too many connections"),
            Ok(_) => None,
        };
        let fields = [("ip", ip.into()), ("connection", connection.into()), ("refused", refused.unwrap_or("").into())];
        cx.trace.event(Level::Call, cx.now, "iot", "open", certificate, &fields);
        match (admitted, refused) {
            (Ok(id), None) => {
                self.broker.connections.insert(connection, Connection::new(id.clone(), ip));
                Ok(())
            }
            (admitted, reason) => {
                cx.meter.add("iot", "Connection.AuthNError", 1);
                if matches!(admitted, Err(refusal) if refusal != CertificateRefusal::Unregistered) {
                    cx.trace.mark(cx.now, mark::CERTIFICATE_REFUSED, certificate);
                }
                Err(Refused { reason: reason.unwrap_or("the certificate is not registered") })
            }
        }
    }

    /// Bytes arrive on a connection. Answers go out as effects.
    pub fn receive(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, connection: u64, bytes: &[u8]) {
        let backlog_max = self.quotas(cx).bytes_per_connection.saturating_mul(BACKLOG_S);
        let Some(state) = self.broker.connections.get_mut(&connection) else { return };
        if state.paused {
            if (state.pending.len() + bytes.len()) as u64 > backlog_max {
                let why = "the connection sends faster than its rate of bytes for too long";
                return self.disconnect(cx, connection, Disconnect::Throttled(why));
            }
            state.pending.extend_from_slice(bytes);
            return;
        }
        if state.pending.is_empty() {
            let session = state.session;
            let mut input = std::mem::take(&mut self.broker.input);
            input.extend_from_slice(bytes);
            self.work(cx, ports, connection, session, &mut input);
            if !input.is_empty()
                && let Some(state) = self.broker.connections.get_mut(&connection)
            {
                state.pending.extend_from_slice(&input);
            }
            input.clear();
            self.broker.input = input;
        } else {
            state.pending.extend_from_slice(bytes);
            self.work_on_pending(cx, ports, connection);
        }
    }

    /// The rate of a connection's bytes allows it to go on.
    pub(super) fn resume(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, connection: u64) {
        let Some(state) = self.broker.connections.get_mut(&connection) else { return };
        state.paused = false;
        self.work_on_pending(cx, ports, connection);
    }

    /// The connection is gone without a goodbye.
    pub fn closed(&mut self, cx: &mut Cx<'_>, connection: u64) {
        self.remove(cx, connection, Disconnect::ConnectionLost);
    }

    /// Closes a connection that was silent for one and a half times its keep-alive; otherwise looks again later.
    pub(super) fn check_keep_alive(&mut self, cx: &mut Cx<'_>, connection: u64) {
        let session = self.broker.connections.get(&connection).and_then(|state| state.session);
        let session = session.and_then(|id| self.broker.sessions.get(id));
        let Some((session, live)) = session.and_then(|session| Some((session, session.live.as_ref()?))) else { return };
        let deadline = live.last_packet + live.silence_max;
        if deadline > cx.now {
            cx.timers.at(deadline, Service::Iot, Wakeup::KeepAlive(connection).token());
        } else {
            cx.trace.mark(cx.now, mark::KEEP_ALIVE_ENDED, &session.client);
            self.disconnect(cx, connection, Disconnect::KeepAliveTimeout);
        }
    }

    /// Closes a connection whose certificate is not active any more.
    pub(super) fn check_certificate(&mut self, cx: &mut Cx<'_>, connection: u64) {
        if self.broker.connections.contains_key(&connection) && !self.has_active_certificate(connection) {
            let why = "the certificate is not active any more";
            self.disconnect(cx, connection, Disconnect::AuthError(why));
        }
    }

    /// Whether the certificate of a connection is active.
    fn has_active_certificate(&self, connection: u64) -> bool {
        let state = self.broker.connections.get(&connection);
        state.is_some_and(|state| self.registry.is_active(&state.certificate) == Some(true))
    }

    /// The connections that were made with one of these certificates.
    pub(super) fn connections_with(&self, certificates: &BTreeSet<&str>) -> Vec<(u64, Arc<str>)> {
        let all = self.broker.connections.iter();
        let theirs = all.filter(|(_, state)| certificates.contains(&*state.certificate));
        theirs.map(|(connection, state)| (*connection, state.certificate.clone())).collect()
    }

    /// Works on what is kept with the connection, in place: what is left stays where it is and is not copied.
    fn work_on_pending(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, connection: u64) {
        let Some(state) = self.broker.connections.get_mut(&connection) else { return };
        let session = state.session;
        let mut input = std::mem::take(&mut state.pending);
        self.work(cx, ports, connection, session, &mut input);
        if !input.is_empty()
            && let Some(state) = self.broker.connections.get_mut(&connection)
        {
            state.pending = input;
        }
    }

    /// Works on the complete packets of `input` and takes them from it, until the rate of the connection's bytes is used
    /// up.
    fn work(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        connection: u64,
        session: Option<SessionId>,
        input: &mut BytesMut,
    ) {
        let session = session.and_then(|id| Some((id, self.broker.sessions.get(id)?.version)));
        let mut link = Link { connection, session };
        let mut output = std::mem::take(&mut self.broker.output);
        let end = loop {
            match self.next(cx, link, input) {
                Next::Wait => break None,
                Next::Broken(reason) => break Some(reason),
                Next::Packet(packet) => {
                    if let Err(reason) = self.handle(cx, ports, &mut link, packet, &mut output) {
                        break Some(reason);
                    }
                }
            }
        };
        if link.session.is_none()
            && let Some(Disconnect::ClientError(code, why)) = end
        {
            cx.meter.add("iot", "Connect.ClientError", 1);
            if code == reason::UNSUPPORTED_VERSION {
                // The answer has the form of MQTT 3.1.1, which every client knows.
                let refusal = Outbound::ConnAck { session_present: false, code: 1, accepted: None };
                encode::packet(&refusal, Version::V3, &mut output);
            }
            let fields = [("reason", why.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "connect-malformed", &connection.to_string(), &fields);
        }
        flush(cx, connection, &mut output);
        self.broker.output = output;
        if let Some(reason) = end {
            self.disconnect(cx, connection, reason);
        }
    }

    fn next(&mut self, cx: &mut Cx<'_>, link: Link, input: &mut BytesMut) -> Next {
        let quotas = self.quotas(cx);
        let (packet_size, bytes_per_second) = (quotas.packet_size, quotas.bytes_per_connection);
        let frame = match decode::frame(input, packet_size) {
            Ok(Some(frame)) if frame.length <= input.len() => frame,
            Ok(_) => return Next::Wait,
            Err(error) => {
                if error.code == reason::QUOTA_EXCEEDED
                    && let Some(state) = self.broker.connections.get(&link.connection)
                {
                    cx.trace.mark(cx.now, mark::TOO_LARGE_FOR_THE_BROKER, &state.certificate);
                }
                return Next::Broken(Disconnect::ClientError(error.code, error.what));
            }
        };
        if let Some((id, _)) = link.session {
            let live = self.broker.sessions.get_mut(id).and_then(|session| session.live.as_mut());
            let Some(live) = live else { return Next::Wait };
            let size = frame.length as u64;
            if !live.throughput.try_take(cx.now, size) {
                let wanted = size.max((bytes_per_second / WAITS_A_SECOND).min(input.len() as u64));
                let wait = live.throughput.wait_for(cx.now, wanted).expect("no packet is larger than a second's bytes");
                cx.timers.at(cx.now + wait, Service::Iot, Wakeup::Resume(link.connection).token());
                if let Some(state) = self.broker.connections.get_mut(&link.connection) {
                    state.paused = true;
                }
                return Next::Wait;
            }
            live.last_packet = cx.now;
        }
        let bytes = input.split_to(frame.length).freeze();
        match decode::packet(&bytes, frame, link.session.map(|(_, version)| version)) {
            Ok(packet) => Next::Packet(packet),
            Err(error) => Next::Broken(Disconnect::ClientError(error.code, error.what)),
        }
    }

    fn handle(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        link: &mut Link,
        packet: Inbound,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        if let Inbound::Connect(packet) = packet {
            let id = self.connect(cx, link.connection, &packet, output)?;
            link.session = Some((id, packet.version));
            // Nothing may come before a CONNACK.
            flush(cx, link.connection, output);
            return Ok(());
        }
        let Some((id, version)) = link.session else {
            return Err(Disconnect::ClientError(reason::PROTOCOL_ERROR, "the first packet is no CONNECT"));
        };
        match packet {
            Inbound::Connect(_) => unreachable!("it was handled above"),
            Inbound::Publish(packet) => self.publish(cx, ports, (id, version), packet, output),
            Inbound::PubAck { id: packet_id } => {
                self.acknowledged(cx, id, packet_id);
                Ok(())
            }
            Inbound::PingReq => {
                cx.meter.add("iot", "Ping.Success", 1);
                encode::packet(&Outbound::PingResp, version, output);
                Ok(())
            }
            Inbound::Subscribe(packet) => self.subscribe(cx, id, &packet, output),
            Inbound::Unsubscribe(packet) => {
                self.unsubscribe(cx, id, &packet, output);
                Ok(())
            }
            Inbound::Disconnect { code, expiry_s } => Err(self.goodbye(cx, id, code, expiry_s)),
            Inbound::Unsupported(what) => Err(Disconnect::ClientError(reason::PROTOCOL_ERROR, what)),
        }
    }

    /// Closes a connection from this side, with a goodbye where the protocol has one.
    fn disconnect(&mut self, cx: &mut Cx<'_>, connection: u64, reason: Disconnect) {
        let session = self.broker.connections.get(&connection).and_then(|state| state.session);
        let version = session.and_then(|id| self.broker.sessions.get(id)).map(|session| session.version);
        if self.remove(cx, connection, reason) {
            if let (Some(Version::V5), Some(code)) = (version, reason.code()) {
                let mut goodbye = BytesMut::with_capacity(4);
                encode::packet(&Outbound::Disconnect { code }, Version::V5, &mut goodbye);
                cx.effects.push(Effect::MqttSend { connection, bytes: goodbye.freeze() });
            }
            cx.effects.push(Effect::MqttClose { connection });
        }
    }

    /// Forgets a connection; answers whether there was one.
    fn remove(&mut self, cx: &mut Cx<'_>, connection: u64, reason: Disconnect) -> bool {
        let Some(state) = self.broker.connections.remove(&connection) else { return false };
        let fields =
            [("reason", reason.name().into()), ("detail", reason.detail().into()), ("connection", connection.into())];
        let client = state.session.and_then(|id| self.broker.sessions.get(id)).map(|session| session.client.clone());
        let (kind, subject) = client.map_or(("close", state.certificate), |client| ("disconnect", client));
        cx.trace.event(Level::Call, cx.now, "iot", kind, &subject, &fields);
        if let Some(id) = state.session {
            self.leave(cx, id, reason);
        }
        true
    }
}

/// Sends the answers that were gathered.
fn flush(cx: &mut Cx<'_>, connection: u64, output: &mut BytesMut) {
    if !output.is_empty() {
        cx.effects.push(Effect::MqttSend { connection, bytes: Bytes::copy_from_slice(output) });
        output.clear();
    }
}
