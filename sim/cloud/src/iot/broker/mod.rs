//! The MQTT broker: connections, and the packets that arrive on them in any fragmentation.

mod connect;
mod delivery;
mod publish;
mod session;
mod subscribe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{Packet, PingResp};
use rumqttc::mqttbytes::{Error, check};

use self::session::{Client, Connection, Disconnect};
use super::registry::CertificateRefusal;
use super::rules::Ports;
use super::trie::FilterTrie;
use super::wakeup::Wakeup;
use super::{Iot, Refused};
use crate::core::{Cx, Effect, Service};
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
/// Client ids that are remembered before those without a connection are looked through.
const CLIENTS_MIN: usize = 4096;

/// Connections, clients and subscriptions.
#[derive(Debug, Default)]
pub struct Broker {
    connections: BTreeMap<u64, Connection>,
    clients: BTreeMap<Arc<str>, Client>,
    /// Number of client ids at which they are looked through again.
    clients_limit: usize,
    subscriptions: FilterTrie,
    /// Reused for the bytes that are worked on.
    input: BytesMut,
    /// Reused for the answers to them.
    output: BytesMut,
}

impl Broker {
    /// Forgets client ids without a connection whose rate of connects is untouched: nothing is lost with them. Happens
    /// whenever their number has doubled.
    fn forget_idle_clients(&mut self, now: Time, connects_per_second: u64) {
        if self.clients.len() < self.clients_limit.max(CLIENTS_MIN) {
            return;
        }
        self.clients
            .retain(|_, client| client.connection.is_some() || client.connects.available(now) < connects_per_second);
        self.clients_limit = self.clients.len() * 2;
    }

    /// Number of client ids that are remembered.
    #[cfg(test)]
    pub(super) fn clients_len(&self) -> usize {
        self.clients.len()
    }
}

/// What the bytes of a connection begin with.
enum Next {
    Packet(Packet),
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
                return self.disconnect(cx, connection, &Disconnect::Throttled(why));
            }
            state.pending.extend_from_slice(bytes);
            return;
        }
        if state.pending.is_empty() {
            let mut input = std::mem::take(&mut self.broker.input);
            input.extend_from_slice(bytes);
            self.work(cx, ports, connection, &mut input);
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
        self.remove(cx, connection, &Disconnect::ConnectionLost);
    }

    /// Closes a connection that was silent for one and a half times its keep-alive; otherwise looks again later.
    pub(super) fn check_keep_alive(&mut self, cx: &mut Cx<'_>, connection: u64) {
        let session = self.broker.connections.get(&connection).and_then(|state| state.session.as_ref());
        let Some(session) = session else { return };
        let deadline = session.last_packet + session.silence_max;
        if deadline > cx.now {
            cx.timers.at(deadline, Service::Iot, Wakeup::KeepAlive(connection).token());
        } else {
            cx.trace.mark(cx.now, mark::KEEP_ALIVE_ENDED, &session.client);
            self.disconnect(cx, connection, &Disconnect::KeepAliveTimeout);
        }
    }

    /// Closes a connection whose certificate is not active any more.
    pub(super) fn check_certificate(&mut self, cx: &mut Cx<'_>, connection: u64) {
        if self.broker.connections.contains_key(&connection) && !self.has_active_certificate(connection) {
            let why = "the certificate is not active any more";
            self.disconnect(cx, connection, &Disconnect::AuthError(why));
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
        let mut input = std::mem::take(&mut state.pending);
        self.work(cx, ports, connection, &mut input);
        if !input.is_empty()
            && let Some(state) = self.broker.connections.get_mut(&connection)
        {
            state.pending = input;
        }
    }

    /// Works on the complete packets of `input` and takes them from it, until the rate of the connection's bytes is used
    /// up.
    fn work(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, connection: u64, input: &mut BytesMut) {
        let mut output = std::mem::take(&mut self.broker.output);
        let end = loop {
            match self.next(cx, connection, input) {
                Next::Wait => break None,
                Next::Broken(reason) => break Some(reason),
                Next::Packet(packet) => {
                    if let Err(reason) = self.handle(cx, ports, connection, packet, &mut output) {
                        break Some(reason);
                    }
                }
            }
        };
        if !output.is_empty() {
            cx.effects.push(Effect::MqttSend { connection, bytes: Bytes::copy_from_slice(&output) });
            output.clear();
        }
        self.broker.output = output;
        if let Some(reason) = end {
            self.disconnect(cx, connection, &reason);
        }
    }

    fn next(&mut self, cx: &mut Cx<'_>, connection: u64, input: &mut BytesMut) -> Next {
        let quotas = self.quotas(cx);
        let (packet_size, bytes_per_second) = (quotas.packet_size, quotas.bytes_per_connection);
        let Some(state) = self.broker.connections.get_mut(&connection) else { return Next::Wait };
        let length = match check(input.iter(), packet_size) {
            Ok(header) => header.frame_length(),
            Err(Error::InsufficientBytes(_)) => return Next::Wait,
            Err(error) => {
                if matches!(error, Error::PayloadSizeLimitExceeded(_)) {
                    cx.trace.mark(cx.now, mark::TOO_LARGE_FOR_THE_BROKER, &state.certificate);
                }
                return Next::Broken(Disconnect::ClientError(error.to_string()));
            }
        };
        if let Some(session) = &mut state.session {
            let size = length as u64;
            if !session.throughput.try_take(cx.now, size) {
                let wanted = size.max((bytes_per_second / WAITS_A_SECOND).min(input.len() as u64));
                let wait =
                    session.throughput.wait_for(cx.now, wanted).expect("no packet is larger than a second's bytes");
                cx.timers.at(cx.now + wait, Service::Iot, Wakeup::Resume(connection).token());
                state.paused = true;
                return Next::Wait;
            }
            session.last_packet = cx.now;
        } else if connect::asks_for_mqtt_5(input) {
            return Next::Broken(Disconnect::NotModelled("MQTT 5"));
        }
        match Packet::read(input, packet_size) {
            Ok(packet) => Next::Packet(packet),
            Err(error) => Next::Broken(Disconnect::ClientError(error.to_string())),
        }
    }

    fn handle(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        connection: u64,
        packet: Packet,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        let connected = self.broker.connections.get(&connection).is_some_and(|state| state.session.is_some());
        match packet {
            Packet::Connect(packet) if !connected => self.connect(cx, connection, &packet, output),
            Packet::Connect(_) => Err(Disconnect::client_error("a second CONNECT")),
            _ if !connected => Err(Disconnect::client_error("the first packet is no CONNECT")),
            Packet::Publish(packet) => self.publish(cx, ports, connection, &packet, output),
            Packet::PubAck(packet) => {
                self.acknowledged(cx, connection, packet.pkid);
                Ok(())
            }
            Packet::PingReq => {
                cx.meter.add("iot", "Ping.Success", 1);
                written(PingResp.write(output));
                Ok(())
            }
            Packet::Subscribe(packet) => self.subscribe(cx, connection, &packet, output),
            Packet::Unsubscribe(packet) => {
                self.unsubscribe(cx, connection, &packet, output);
                Ok(())
            }
            Packet::Disconnect => Err(Disconnect::ClientInitiated),
            _ => Err(Disconnect::client_error("a packet that a client does not send, or one of QoS 2")),
        }
    }

    /// Closes a connection from this side.
    fn disconnect(&mut self, cx: &mut Cx<'_>, connection: u64, reason: &Disconnect) {
        if self.remove(cx, connection, reason) {
            cx.effects.push(Effect::MqttClose { connection });
        }
    }

    /// Forgets a connection; answers whether there was one.
    fn remove(&mut self, cx: &mut Cx<'_>, connection: u64, reason: &Disconnect) -> bool {
        let Some(state) = self.broker.connections.remove(&connection) else { return false };
        let detail = reason.detail();
        let fields = [("reason", reason.name().into()), ("detail", detail.into()), ("connection", connection.into())];
        let Some(session) = state.session else {
            cx.trace.event(Level::Call, cx.now, "iot", "close", &state.certificate, &fields);
            return true;
        };
        cx.trace.event(Level::Call, cx.now, "iot", "disconnect", &session.client, &fields);
        for filter in session.subscriptions.keys() {
            self.broker.subscriptions.remove(filter, connection);
        }
        if let Some(client) = self.broker.clients.get_mut(&session.client)
            && client.connection == Some(connection)
        {
            client.connection = None;
        }
        true
    }
}

/// Writing to memory fails only when a packet is larger than MQTT allows, which no answer is.
fn written(result: Result<usize, Error>) {
    result.expect("an answer of the broker fits in an MQTT packet");
}
