//! SUBSCRIBE and UNSUBSCRIBE.

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{SubAck, Subscribe, SubscribeReasonCode, UnsubAck, Unsubscribe};

use super::session::Disconnect;
use super::written;
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::topic::{check_filter, is_of_provisioning, is_of_thing_events};
use world::trace::Level;

impl Iot {
    pub(super) fn subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        packet: &Subscribe,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        if packet.filters.iter().any(|filter| filter.qos == QoS::ExactlyOnce) {
            cx.meter.add("iot", "Subscribe.ClientError", 1);
            return Err(Disconnect::client_error("QoS 2 is not supported"));
        }
        let too_many = packet.filters.len() > self.quotas(cx).subscriptions_per_packet;
        let mut codes = Vec::with_capacity(packet.filters.len());
        for filter in &packet.filters {
            let granted = if too_many {
                Err(("Subscribe.ClientError", "a SUBSCRIBE has at most 8 filters"))
            } else {
                self.grant(cx, connection, &filter.path, filter.qos as u8)
            };
            let (metric, reason) = granted.err().unwrap_or(("Subscribe.Success", ""));
            cx.meter.add("iot", metric, 1);
            let fields = [("connection", connection.into()), ("refused", reason.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "subscribe", &filter.path, &fields);
            codes.push(if granted.is_ok() {
                SubscribeReasonCode::Success(filter.qos)
            } else {
                SubscribeReasonCode::Failure
            });
        }
        written(SubAck::new(packet.pkid, codes).write(output));
        Ok(())
    }

    /// Adds one subscription, or says which metric counts its refusal and why it is refused.
    fn grant(
        &mut self,
        cx: &Cx<'_>,
        connection: u64,
        filter: &str,
        qos: u8,
    ) -> Result<(), (&'static str, &'static str)> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let session = self.broker.connections.get_mut(&connection).and_then(|state| state.session.as_mut());
        let Some(session) = session else { return Err(("Subscribe.ServerError", "there is no session")) };
        check_filter(filter).map_err(|why| ("Subscribe.ClientError", why))?;
        if filter.starts_with('$') && !is_of_thing_events(filter) && !is_of_provisioning(filter) {
            return Err(("Subscribe.ClientError", "not modelled: reserved topics and shared subscriptions"));
        }
        if !session.permissions.allows(Action::Subscribe, filter) {
            return Err(("Subscribe.AuthError", "the policies do not allow iot:Subscribe"));
        }
        if !session.subscriptions.contains_key(filter) {
            if session.subscriptions.len() >= quotas.subscriptions_per_connection {
                return Err(("Subscribe.Throttle", "a connection has at most 50 subscriptions"));
            }
            if self.broker.subscriptions.len() >= quotas.subscriptions_per_account {
                return Err(("Subscribe.Throttle", "the account has too many subscriptions"));
            }
            if !quotas.subscribes.try_take(cx.now, 1) {
                return Err(("Subscribe.Throttle", "the account subscribes too often"));
            }
        }
        session.subscriptions.insert(filter.into(), qos);
        self.broker.subscriptions.insert(filter, connection, qos);
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        cx: &mut Cx<'_>,
        connection: u64,
        packet: &Unsubscribe,
        output: &mut BytesMut,
    ) {
        let session = self.broker.connections.get_mut(&connection).and_then(|state| state.session.as_mut());
        let Some(session) = session else { return };
        for filter in &packet.topics {
            if session.subscriptions.remove(filter.as_str()).is_some() {
                self.broker.subscriptions.remove(filter, connection);
            }
            cx.meter.add("iot", "Unsubscribe.Success", 1);
            cx.trace.event(Level::Call, cx.now, "iot", "unsubscribe", filter, &[("connection", connection.into())]);
        }
        written(UnsubAck::new(packet.pkid).write(output));
    }
}
