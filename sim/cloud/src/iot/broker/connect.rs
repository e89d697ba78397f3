//! CONNECT.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode};

use super::session::{Client, Disconnect, Outbound, Session};
use super::written;
use crate::core::{Cx, Service, TokenBucket};
use crate::iot::Iot;
use crate::iot::policy::{ConnectAttributes, Permissions};
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
    code: ConnectReturnCode,
    metric: &'static str,
    reason: &'static str,
}

impl Refusal {
    fn not_modelled(reason: &'static str) -> Self {
        Refusal { code: ConnectReturnCode::ServiceUnavailable, metric: "Connect.ClientError", reason }
    }

    fn throttled(metric: &'static str, reason: &'static str) -> Self {
        Refusal { code: ConnectReturnCode::ServiceUnavailable, metric, reason }
    }
}

/// Whether the bytes begin with a CONNECT of MQTT 5, which the codec would misread.
pub(super) fn asks_for_mqtt_5(bytes: &[u8]) -> bool {
    let length = bytes.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    bytes.first().is_some_and(|byte| byte >> 4 == 1)
        && bytes.get(1 + length..).is_some_and(|b| b.starts_with(b"\0\x04MQTT\x05"))
}

impl Iot {
    pub(super) fn connect(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        packet: &Connect,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        let session = match self.admit(cx, connection, packet) {
            Ok(session) => session,
            Err(Refusal { code, metric, reason }) => {
                cx.meter.add("iot", metric, 1);
                if matches!(metric, CONNECT_THROTTLE | CLIENT_THROTTLE) {
                    cx.trace.mark(cx.now, mark::CONNECT_THROTTLED, &packet.client_id);
                }
                let fields = [("reason", reason.into()), ("connection", connection.into())];
                cx.trace.event(Level::Call, cx.now, "iot", "connect-refused", &packet.client_id, &fields);
                written(ConnAck::new(code, false).write(output));
                return Err(Disconnect::Refused);
            }
        };
        let client = session.client.clone();
        let known = self.broker.clients.get_mut(&client);
        let older = known.and_then(|client| client.connection.replace(connection));
        if let Some(older) = older {
            cx.trace.mark(cx.now, mark::SESSION_TAKEN_OVER, &client);
            self.disconnect(cx, older, &Disconnect::DuplicateClientId);
        }
        cx.timers.at(cx.now + session.silence_max, Service::Iot, Wakeup::KeepAlive(connection).token());
        if let Some(state) = self.broker.connections.get_mut(&connection) {
            state.session = Some(session);
        }
        cx.meter.add("iot", "Connect.Success", 1);
        cx.trace.event(Level::Call, cx.now, "iot", "connect", &client, &[("connection", connection.into())]);
        written(ConnAck::new(ConnectReturnCode::Success, false).write(output));
        Ok(())
    }

    /// Checks a CONNECT and makes its session.
    fn admit(&mut self, cx: &mut Cx<'_>, connection: u64, packet: &Connect) -> Result<Session, Refusal> {
        let client = packet.client_id.as_str();
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if client.is_empty() || client.len() > quotas.client_id_size || client.starts_with('$') {
            let reason = "a client id has 1 to 128 bytes and does not begin with $";
            return Err(Refusal { code: ConnectReturnCode::BadClientId, metric: "Connect.ClientError", reason });
        }
        if !packet.clean_session {
            return Err(Refusal::not_modelled("not modelled: persistent sessions"));
        }
        if !self.has_active_certificate(connection) {
            let reason = "the certificate is not active any more";
            return Err(Refusal { code: ConnectReturnCode::NotAuthorized, metric: "Connect.AuthError", reason });
        }
        if packet.last_will.is_some() {
            return Err(Refusal::not_modelled("not modelled: wills"));
        }
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if !quotas.connects.try_take(cx.now, 1) {
            return Err(Refusal::throttled(CONNECT_THROTTLE, "the account connects too often"));
        }
        let name: Arc<str> = client.into();
        let rate = quotas.connects_per_client;
        self.broker.forget_idle_clients(cx.now, rate);
        let known = self.broker.clients.entry(name.clone());
        let known =
            known.or_insert_with(|| Client { connection: None, connects: TokenBucket::per_second(rate, cx.now) });
        if !known.connects.try_take(cx.now, 1) {
            return Err(Refusal::throttled(CLIENT_THROTTLE, "the client connects too often"));
        }
        let mut permissions = self.permissions(cx, connection, client);
        let attributes = ConnectAttributes { persistent: !packet.clean_session, will: None };
        if !permissions.allows_connect(client, attributes) {
            let reason = "the policies do not allow iot:Connect";
            return Err(Refusal { code: ConnectReturnCode::NotAuthorized, metric: "Connect.AuthError", reason });
        }
        permissions.forget_connect();
        let quotas = self.quotas(cx);
        let asked = match u64::from(packet.keep_alive) {
            0 => quotas.keep_alive_max_s,
            asked => asked.clamp(quotas.keep_alive_min_s, quotas.keep_alive_max_s),
        };
        Ok(Session {
            client: name,
            permissions,
            last_packet: cx.now,
            silence_max: Duration::from_millis(asked * 1_500),
            publishes: TokenBucket::per_second(quotas.publishes_per_connection, cx.now),
            throughput: TokenBucket::per_second(quotas.bytes_per_connection, cx.now),
            subscriptions: Default::default(),
            outbound: Outbound::default(),
        })
    }

    /// Works out again what connections may do whose certificates have this policy.
    pub(in crate::iot) fn follow_policy(&mut self, cx: &Cx<'_>, policy: &str) {
        let certificates = &self.registry.certificates;
        let has_policy =
            |id: &str| certificates.get(id).is_some_and(|certificate| certificate.policies.contains(policy));
        let connected = self.broker.connections.iter().filter_map(|(connection, state)| {
            let session = state.session.as_ref().filter(|_| has_policy(&state.certificate))?;
            Some((*connection, session.client.clone()))
        });
        for (connection, client) in connected.collect::<Vec<_>>() {
            let mut permissions = self.permissions(cx, connection, &client);
            permissions.forget_connect();
            let state = self.broker.connections.get_mut(&connection);
            if let Some(session) = state.and_then(|state| state.session.as_mut()) {
                session.permissions = permissions;
            }
        }
    }

    /// What the policies of the connection's certificate come to for this client id.
    fn permissions(&self, cx: &Cx<'_>, connection: u64, client: &str) -> Permissions {
        let Some(state) = self.broker.connections.get(&connection) else { return Permissions::default() };
        self.registry.permissions(cx, &state.certificate, client, &state.ip)
    }
}
