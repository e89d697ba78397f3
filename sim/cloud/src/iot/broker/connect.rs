//! CONNECT: whether a client is let in, and which session it gets.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::encode;
use super::packet::{Accepted, Connect, Outbound, Version, Will, reason};
use super::publish::{check_message, within_expiry};
use super::session::{Disconnect, Live, Outbound as Sending, Session, SessionId};
use crate::core::{Cx, Service, TokenBucket};
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::policy::{Action, ConnectAttributes, Permissions};
use crate::iot::quotas::Quotas;
use crate::iot::wakeup::Wakeup;
use world::mark;
use world::trace::Level;

/// Metric of connects that the account's rate refuses.
const CONNECT_THROTTLE: &str = "Connect.Throttle";
/// Metric of connects that the client's rate refuses.
const CLIENT_THROTTLE: &str = "Connect.ClientIDThrottle";

/// Why a CONNECT is refused. AWS states no return codes for MQTT 3.1.1; these are the standard's.
struct Refusal {
    /// Return code of MQTT 3.1.1 and reason code of MQTT 5.
    codes: (u8, u8),
    metric: &'static str,
    reason: &'static str,
}

impl Refusal {
    fn client_error(code: u8, reason: &'static str) -> Self {
        Refusal { codes: (3, code), metric: "Connect.ClientError", reason }
    }

    fn not_authorized(reason: &'static str) -> Self {
        Refusal { codes: (5, reason::NOT_AUTHORIZED), metric: "Connect.AuthError", reason }
    }

    fn throttled(metric: &'static str, reason: &'static str) -> Self {
        Refusal { codes: (3, reason::QUOTA_EXCEEDED), metric, reason }
    }
}

/// A client that is let in.
struct Admitted {
    client: Arc<str>,
    permissions: Permissions,
    will: Option<Box<Posted>>,
}

impl Iot {
    pub(super) fn connect(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        packet: &Connect,
        output: &mut BytesMut,
    ) -> Result<SessionId, Disconnect> {
        let assigned: Option<Arc<str>> =
            (packet.client_id.is_empty() && packet.version == Version::V5).then(|| cx.uuid().into());
        let name = assigned.as_deref().unwrap_or(&packet.client_id);
        let admitted = match self.admit(cx, connection, packet, name) {
            Ok(admitted) => admitted,
            Err(refusal) => return Err(self.refuse(cx, connection, (packet.version, name), &refusal, output)),
        };
        let known = self.broker.clients.get(&admitted.client).and_then(|client| client.session);
        let older = known.and_then(|id| Some(self.broker.sessions.get(id)?.live.as_ref()?.connection));
        if let Some(older) = older {
            cx.trace.mark(cx.now, mark::SESSION_TAKEN_OVER, &admitted.client);
            self.disconnect(cx, older, Disconnect::DuplicateClientId);
        }
        let (id, session_present, announced) = self.attach(cx, connection, packet, admitted);
        if let Some(session) = self.broker.sessions.get(id) {
            cx.meter.add("iot", "Connect.Success", 1);
            let fields = [("connection", connection.into()), ("session_present", u64::from(session_present).into())];
            cx.trace.event(Level::Call, cx.now, "iot", "connect", &session.client, &fields);
        }
        let announced = Accepted { assigned_client_id: assigned, ..announced };
        let answer = Outbound::ConnAck { session_present, code: reason::SUCCESS, accepted: Some(&announced) };
        encode::packet(&answer, packet.version, output);
        self.tell_connected(cx, id);
        self.begin_replay(cx, id);
        Ok(id)
    }

    fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        (version, client): (Version, &str),
        refusal: &Refusal,
        output: &mut BytesMut,
    ) -> Disconnect {
        let Refusal { codes, metric, reason } = refusal;
        cx.meter.add("iot", metric, 1);
        if matches!(*metric, CONNECT_THROTTLE | CLIENT_THROTTLE) {
            cx.trace.mark(cx.now, mark::CONNECT_THROTTLED, client);
        }
        let fields = [("reason", (*reason).into()), ("connection", connection.into())];
        cx.trace.event(Level::Call, cx.now, "iot", "connect-refused", client, &fields);
        if *metric == "Connect.AuthError" {
            self.tell_connect_failed(cx, connection, client);
        }
        let code = if version == Version::V5 { codes.1 } else { codes.0 };
        encode::packet(&Outbound::ConnAck { session_present: false, code, accepted: None }, version, output);
        Disconnect::Refused
    }

    /// Checks a CONNECT.
    fn admit(&mut self, cx: &mut Cx<'_>, connection: u64, packet: &Connect, name: &str) -> Result<Admitted, Refusal> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if name.is_empty() || name.len() > quotas.client_id_size || name.starts_with('$') {
            let reason = "a client id has 1 to 128 bytes and does not begin with $";
            let codes = (2, reason::CLIENT_ID_INVALID);
            return Err(Refusal { codes, metric: "Connect.ClientError", reason });
        }
        if packet.extended_authentication {
            return Err(Refusal::client_error(reason::UNSPECIFIED, "AUTH is not supported"));
        }
        if packet.packet_max.is_some_and(|size| (size as usize) < quotas.client_packet_min) {
            return Err(Refusal::client_error(reason::UNSPECIFIED, "the Maximum Packet Size is below 512 bytes"));
        }
        if !self.has_active_certificate(connection) {
            return Err(Refusal::not_authorized("the certificate is not active any more"));
        }
        let client: Arc<str> = name.into();
        let will = packet.will.as_ref().map(|will| self.posted_will(connection, &client, will));
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if let (Some(will), Some(asked)) = (&will, &packet.will) {
            check_will(will, asked.delay_s, quotas)?;
        }
        if !quotas.connects.try_take(cx.now, 1) {
            return Err(Refusal::throttled(CONNECT_THROTTLE, "the account connects too often"));
        }
        let (rate, calls) = (quotas.connects_per_client, quotas.connection_calls_per_client);
        self.broker.forget_idle_clients(cx.now, rate);
        if !self.broker.client(cx.now, &client, rate, calls).connects.try_take(cx.now, 1) {
            return Err(Refusal::throttled(CLIENT_THROTTLE, "the client connects too often"));
        }
        let mut permissions = self.permissions(cx, connection, name);
        let persistent =
            if packet.version == Version::V5 { packet.expiry_s > 0 || !packet.clean } else { !packet.clean };
        let will_topic = packet.will.as_ref().map(|will| &*will.topic);
        if !permissions.allows_connect(name, ConnectAttributes { persistent, will: will_topic }) {
            return Err(Refusal::not_authorized("the policies do not allow iot:Connect"));
        }
        permissions.forget_connect();
        if let Some(will) = &will
            && (!permissions.allows(Action::Publish, &will.topic)
                || (will.retain && !permissions.allows(Action::RetainPublish, &will.topic)))
        {
            return Err(Refusal::not_authorized("the policies do not allow iot:Publish to the topic of the will"));
        }
        Ok(Admitted { client, permissions, will })
    }

    fn posted_will(&self, connection: u64, client: &Arc<str>, will: &Will) -> Box<Posted> {
        let longest_s = self.quotas.as_ref().map_or(u64::MAX, |quotas| quotas.message_expiry_max_s);
        Box::new(Posted {
            topic: will.topic.clone(),
            payload: bytes::Bytes::copy_from_slice(&will.payload),
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.clone().map(|properties| within_expiry(properties, longest_s)),
            client: Some(client.clone()),
            principal: self.broker.connections.get(&connection).map(|state| state.certificate.clone()),
        })
    }

    /// Gives a client its older session, or a new one. Answers the session, whether it is the older one, and what a
    /// CONNACK of MQTT 5 announces.
    fn attach(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        packet: &Connect,
        admitted: Admitted,
    ) -> (SessionId, bool, Accepted) {
        let Admitted { client, permissions, will } = admitted;
        let known = self.broker.clients.get(&client).and_then(|known| known.session);
        // Sessions of MQTT 3.1.1 and 5 are not interchangeable.
        let kept = known.filter(|id| {
            !packet.clean && self.broker.sessions.get(*id).is_some_and(|session| session.version == packet.version)
        });
        if let Some(other) = known.filter(|id| kept != Some(*id)) {
            self.end_session(cx, other, "a new session");
        }
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let expiry_s = match packet.version {
            Version::V3 if packet.clean => 0,
            Version::V3 => quotas.session_expiry_s,
            Version::V5 => u64::from(packet.expiry_s).min(quotas.session_expiry_s),
        };
        let keep_alive_s = match u64::from(packet.keep_alive_s) {
            0 => quotas.keep_alive_max_s,
            asked => asked.clamp(quotas.keep_alive_min_s, quotas.keep_alive_max_s),
        };
        let id = kept.unwrap_or_else(|| {
            self.broker.sessions.add(Session {
                client: client.clone(),
                version: packet.version,
                expiry: Duration::ZERO,
                publishes: TokenBucket::per_second(quotas.publishes_per_connection, cx.now),
                subscriptions: Default::default(),
                outbound: Sending::default(),
                live: None,
                ends: None,
            })
        });
        let state = self.broker.connections.get_mut(&connection).expect("its CONNECT is handled");
        state.session = Some(id);
        let certificate = self.registry.certificates.get(&state.certificate).filter(|known| known.exclusive);
        let thing = certificate.and_then(|certificate| certificate.things.first().cloned());
        let known = self.broker.clients.get_mut(&client).expect("it was let in");
        known.session = Some(id);
        let version_number = known.next_version(cx.now, kept.is_some());
        let session = self.broker.sessions.get_mut(id).expect("it is new or was found");
        session.expiry = Duration::from_secs(expiry_s);
        session.ends = None;
        session.live = Some(Box::new(Live {
            connection,
            certificate: state.certificate.clone(),
            ip: state.ip.clone(),
            permissions,
            last_packet: cx.now,
            silence_max: Duration::from_millis(keep_alive_s * 1_500),
            throughput: TokenBucket::per_second(quotas.bytes_per_connection, cx.now),
            aliases: Vec::new(),
            window: packet.receive_max.map_or(quotas.outbound_unacked, |max| quotas.outbound_unacked.min(max.into())),
            packet_max: packet.packet_max.map_or(usize::MAX, |max| max as usize),
            will,
            since: cx.now,
            identifier: cx.uuid().into(),
            version_number,
            thing,
        }));
        let silent = cx.now + Duration::from_millis(keep_alive_s * 1_500);
        cx.timers.at(silent, Service::Iot, Wakeup::KeepAlive(connection).token());
        (id, kept.is_some(), announced(quotas, expiry_s, keep_alive_s))
    }

    /// Works out again what connections may do whose certificates, policies or things changed.
    pub(in crate::iot) fn follow_changes(&mut self, cx: &Cx<'_>) {
        let changed = std::mem::take(&mut self.registry.changed);
        if changed.is_empty() {
            return;
        }
        let Iot { broker, registry, .. } = self;
        for session in broker.sessions.iter_mut() {
            let Some(live) = &mut session.live else { continue };
            if changed.contains(&live.certificate) {
                live.permissions = registry.permissions(cx, &live.certificate, &session.client, &live.ip);
                live.permissions.forget_connect();
            }
        }
    }

    /// What the policies of the connection's certificate come to for this client id.
    fn permissions(&self, cx: &Cx<'_>, connection: u64, client: &str) -> Permissions {
        let Some(state) = self.broker.connections.get(&connection) else { return Permissions::default() };
        self.registry.permissions(cx, &state.certificate, client, &state.ip)
    }
}

/// What a CONNACK of MQTT 5 announces.
fn announced(quotas: &Quotas, expiry_s: u64, keep_alive_s: u64) -> Accepted {
    Accepted {
        expiry_s: u32::try_from(expiry_s).unwrap_or(u32::MAX),
        receive_max: u16::try_from(quotas.inbound_unacked).unwrap_or(u16::MAX),
        packet_max: u32::try_from(quotas.packet_size).unwrap_or(u32::MAX),
        alias_max: u16::try_from(quotas.topic_aliases).unwrap_or(u16::MAX),
        keep_alive_s: u16::try_from(keep_alive_s).unwrap_or(u16::MAX),
        assigned_client_id: None,
    }
}

/// Checks a will like the publish that it becomes. Its permissions are checked with the policies.
fn check_will(will: &Posted, delay_s: u32, quotas: &Quotas) -> Result<(), Refusal> {
    if will.qos == 2 {
        return Err(Refusal::client_error(reason::QOS_NOT_SUPPORTED, "a will with QoS 2 is not supported"));
    }
    if will.topic.starts_with('$') {
        // That AWS takes no will for Basic Ingest is unverified.
        return Err(Refusal::client_error(reason::TOPIC_NAME_INVALID, "a will goes to no reserved topic"));
    }
    check_message(will, quotas).map_err(|failed| Refusal::client_error(failed.code, failed.why))?;
    if delay_s > 0 {
        // Nothing that AWS writes says whether it honours the property (unverified).
        return Err(Refusal::client_error(reason::UNSPECIFIED, "not modelled: Will Delay Interval"));
    }
    Ok(())
}
