//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use bytes::BytesMut;

use super::encode;
use super::packet::{Outbound, Requested, Subscribe, Unsubscribe, Version, reason};
use super::session::{Disconnect, Grant, SessionId};
use super::shared::{self, PREFIX};
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::topic::{check_filter, is_known_reserved};
use world::trace::Level;

/// Why a filter is refused.
struct Refusal {
    metric: &'static str,
    /// Reason code of MQTT 5.
    code: u8,
    why: &'static str,
}

impl Refusal {
    fn invalid(why: &'static str) -> Self {
        Refusal { metric: "Subscribe.ClientError", code: reason::TOPIC_FILTER_INVALID, why }
    }

    fn throttled(why: &'static str) -> Self {
        Refusal { metric: "Subscribe.Throttle", code: reason::QUOTA_EXCEEDED, why }
    }
}

impl Iot {
    pub(super) fn subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        packet: &Subscribe,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        let Some(session) = self.broker.sessions.get(id) else { return Ok(()) };
        let (version, client) = (session.version, session.client.clone());
        let Some(connection) = session.live.as_ref().map(|live| live.connection) else { return Ok(()) };
        if packet.has_identifier {
            let why = "Subscription Identifiers are not supported";
            return Err(Disconnect::ClientError(reason::NO_SUBSCRIPTION_IDENTIFIERS, why));
        }
        if packet.filters.iter().any(|filter| filter.qos == 2) {
            // AWS answers with nothing.
            cx.meter.add("iot", "Subscribe.ClientError", 1);
            let fields = [("refused", "QoS 2 is not supported".into())];
            cx.trace.event(Level::Call, cx.now, "iot", "subscribe", &client, &fields);
            return Ok(());
        }
        let too_many = packet.filters.len() > self.quotas(cx).subscriptions_per_packet;
        let mut codes = Vec::with_capacity(packet.filters.len());
        let (mut told, mut exact) = (Vec::new(), Vec::new());
        for requested in &packet.filters {
            let granted = if too_many {
                Err(Refusal::throttled("a SUBSCRIBE has at most 8 filters"))
            } else {
                self.grant(cx, id, requested)
            };
            let metric = granted.as_ref().err().map_or("Subscribe.Success", |refusal| refusal.metric);
            cx.meter.add("iot", metric, 1);
            let why = granted.as_ref().err().map_or("", |refusal| refusal.why);
            let fields = [("client", (&*client).into()), ("connection", connection.into()), ("refused", why.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "subscribe", &requested.filter, &fields);
            codes.push(match granted {
                Ok((grant, is_new)) => {
                    told.push(&*requested.filter);
                    let wants = requested.retain_handling == 0 || (requested.retain_handling == 1 && is_new);
                    if wants && !requested.filter.contains(['+', '#']) && !requested.filter.starts_with('$') {
                        exact.push((&*requested.filter, grant));
                    }
                    requested.qos
                }
                Err(refusal) if version == Version::V5 => refusal.code,
                Err(_) => reason::UNSPECIFIED,
            });
        }
        encode::packet(&Outbound::SubAck { id: packet.id, codes: &codes }, version, output);
        super::flush(cx, connection, output);
        self.tell_subscriptions(cx, id, "subscribed", &told);
        for (topic, grant) in exact {
            self.send_retained(cx, id, topic, grant);
        }
        Ok(())
    }

    /// Adds one subscription. Answers what is granted and whether the subscription is new.
    fn grant(&mut self, cx: &mut Cx<'_>, id: SessionId, requested: &Requested) -> Result<(Grant, bool), Refusal> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let missing = || Refusal { metric: "Subscribe.ServerError", code: reason::UNSPECIFIED, why: "no session" };
        let session = self.broker.sessions.get_mut(id).ok_or_else(missing)?;
        let live = session.live.as_ref().ok_or_else(missing)?;
        let Requested { filter, qos, no_local, as_published, .. } = requested;
        let is_shared = filter.starts_with(PREFIX);
        if is_shared {
            shared::topic_filter(filter, quotas.share_name_length).map_err(Refusal::invalid)?;
            if *no_local {
                return Err(Refusal::invalid("a shared subscription has no No Local"));
            }
        } else {
            check_filter(filter).map_err(Refusal::invalid)?;
            if filter.starts_with('$') && !is_known_reserved(filter) {
                return Err(Refusal::invalid("there is no such reserved topic, or it is not modelled"));
            }
        }
        if !live.permissions.allows(Action::Subscribe, filter) {
            let why = "the policies do not allow iot:Subscribe";
            return Err(Refusal { metric: "Subscribe.AuthError", code: reason::NOT_AUTHORIZED, why });
        }
        let is_new = !session.subscriptions.contains_key(&**filter);
        if is_new {
            if session.subscriptions.len() >= quotas.subscriptions_per_connection {
                return Err(Refusal::throttled("a connection has at most 50 subscriptions"));
            }
            if self.broker.subscriptions.len() + self.broker.shared.len() >= quotas.subscriptions_per_account {
                return Err(Refusal::throttled("the account has too many subscriptions"));
            }
            if !quotas.subscribes.try_take(cx.now, 1) {
                return Err(Refusal::throttled("the account subscribes too often"));
            }
        }
        let grant = Grant { qos: *qos, no_local: *no_local, as_published: *as_published };
        let filter: Arc<str> = (&**filter).into();
        if is_shared {
            self.broker.shared.join(cx.now, quotas, &filter, id, grant).map_err(Refusal::throttled)?;
            self.broker.shared.wake(cx, &filter);
        } else {
            self.broker.subscriptions.insert(&filter, id as u64, grant.bits());
        }
        session.subscriptions.insert(filter, grant);
        Ok((grant, is_new))
    }

    pub(super) fn unsubscribe(&mut self, cx: &mut Cx<'_>, id: SessionId, packet: &Unsubscribe, output: &mut BytesMut) {
        let Some(session) = self.broker.sessions.get_mut(id) else { return };
        let (version, client) = (session.version, session.client.clone());
        let (mut codes, mut told) = (Vec::with_capacity(packet.filters.len()), Vec::new());
        for filter in &packet.filters {
            let known = session.subscriptions.contains_key(&**filter);
            let throttled = known && filter.starts_with(PREFIX) && !self.broker.shared.may_change(cx.now, filter);
            if known && !throttled {
                session.subscriptions.remove(&**filter);
                told.push(&**filter);
            }
            let invalid = !known && !filter.starts_with(PREFIX) && check_filter(filter).is_err();
            let (metric, code, refused) = if throttled {
                ("Unsubscribe.Throttle", reason::UNSPECIFIED, "the shared group is changed too often")
            } else if invalid {
                ("Unsubscribe.ClientError", reason::TOPIC_FILTER_INVALID, "this is no topic filter")
            } else {
                ("Unsubscribe.Success", reason::SUCCESS, "")
            };
            cx.meter.add("iot", metric, 1);
            let fields = [("client", (&*client).into()), ("refused", refused.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "unsubscribe", filter, &fields);
            codes.push(code);
        }
        for filter in &told {
            self.broker.forget_filter(id, filter);
        }
        encode::packet(&Outbound::UnsubAck { id: packet.id, codes: &codes }, version, output);
        self.tell_subscriptions(cx, id, "unsubscribed", &told);
    }
}
