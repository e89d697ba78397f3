//! Publishes: of clients, over HTTPS, and of IoT Core itself.

use std::sync::Arc;

use bytes::BytesMut;

use super::encode;
use super::packet::{Outbound, Publish, Version, reason};
use super::session::{Disconnect, Live, SessionId};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::message::{Posted, Properties};
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::reserved::{self, Request};
use crate::iot::rules::{Around, Ports};
use crate::iot::sql::{Message, Segments};
use crate::iot::topic::check_topic;
use world::mark;
use world::trace::{Field, Level};

/// What follows for a publish that is not accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consequence {
    /// It is discarded.
    Discarded,
    /// The client is told where MQTT 5 has a PUBACK for that; otherwise its connection ends.
    Refused,
    /// The connection ends.
    Ended,
}

/// A check that a publish does not pass.
#[derive(Clone, Copy)]
pub(super) struct Failed {
    metric: &'static str,
    pub(super) why: &'static str,
    /// Reason code of MQTT 5.
    pub(super) code: u8,
    consequence: Consequence,
}

impl Failed {
    fn client_error(code: u8, why: &'static str) -> Self {
        Failed { metric: "PublishIn.ClientError", why, code, consequence: Consequence::Refused }
    }

    fn not_authorized(metric: &'static str, why: &'static str) -> Self {
        Failed { metric, why, code: reason::NOT_AUTHORIZED, consequence: Consequence::Refused }
    }

    fn throttled(metric: &'static str, why: &'static str) -> Self {
        Failed { metric, why, code: reason::QUOTA_EXCEEDED, consequence: Consequence::Discarded }
    }

    fn is_throttle(self) -> bool {
        self.consequence == Consequence::Discarded
    }
}

impl Iot {
    /// Accepts a message, runs the rules on it, delivers it to subscribers, acknowledges it.
    pub(super) fn publish(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        (id, version): (SessionId, Version),
        packet: Publish,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        let (qos, packet_id) = (packet.qos, packet.id);
        if qos == 2 {
            return self.ignore_qos_2(cx, id, version, &packet.topic);
        }
        let posted = match self.accept(cx, id, packet)? {
            Ok(posted) => posted,
            Err((failed, topic)) => {
                self.refuse_publish(cx, id, (&topic, packet_id), failed);
                let tells = version == Version::V5 && qos == 1;
                return match failed.consequence {
                    Consequence::Discarded | Consequence::Refused if tells => {
                        encode::packet(&Outbound::PubAck { id: packet_id, code: failed.code }, version, output);
                        Ok(())
                    }
                    Consequence::Discarded => Ok(()),
                    _ if failed.code == reason::NOT_AUTHORIZED => Err(Disconnect::AuthError(failed.why)),
                    _ => Err(Disconnect::ClientError(failed.code, failed.why)),
                };
            }
        };
        cx.meter.add("iot", "PublishIn.Success", 1);
        let fields = [
            ("client", posted.client.as_deref().unwrap_or("").into()),
            ("packet", u64::from(packet_id).into()),
            ("payload", Field::Bytes(&posted.payload)),
        ];
        cx.trace.event(Level::Message, cx.now, "iot", "publish", &posted.topic, &fields);
        match reserved::request(&posted.topic) {
            None => self.route(cx, ports, &posted),
            Some(request) => self.ask(cx, ports, request, &posted),
        }
        if qos == 1 {
            encode::packet(&Outbound::PubAck { id: packet_id, code: reason::SUCCESS }, version, output);
        }
        Ok(())
    }

    /// AWS answers a PUBLISH with QoS 2 with nothing. A client of MQTT 5 was told the Maximum QoS, so that it is at fault.
    fn ignore_qos_2(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        version: Version,
        topic: &str,
    ) -> Result<(), Disconnect> {
        let why = "QoS 2 is not supported";
        self.refuse_publish(cx, id, (topic, 0), Failed::client_error(reason::QOS_NOT_SUPPORTED, why));
        match version {
            Version::V3 => Ok(()),
            Version::V5 => Err(Disconnect::ClientError(reason::QOS_NOT_SUPPORTED, why)),
        }
    }

    fn refuse_publish(&mut self, cx: &mut Cx<'_>, id: SessionId, (topic, packet_id): (&str, u16), failed: Failed) {
        let Some(session) = self.broker.sessions.get(id) else { return };
        cx.meter.add("iot", failed.metric, 1);
        let kind = if failed.is_throttle() { "publish-throttled" } else { "publish-refused" };
        let fields = [
            ("client", (&*session.client).into()),
            ("packet", u64::from(packet_id).into()),
            ("reason", failed.why.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "iot", kind, topic, &fields);
        if failed.consequence == Consequence::Ended {
            cx.trace.mark(cx.now, mark::TOO_LARGE_FOR_THE_BROKER, &session.client);
        }
    }

    /// Checks a message. Answers it, or what it does not pass, or why the connection ends whatever the QoS.
    fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        packet: Publish,
    ) -> Result<Result<Posted, (Failed, Arc<str>)>, Disconnect> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(id) else { return Err(Disconnect::ConnectionLost) };
        let Some(live) = &mut session.live else { return Err(Disconnect::ConnectionLost) };
        let topic = match packet.alias {
            None => packet.topic,
            Some(alias) => resolve(live, quotas.topic_aliases, alias, packet.topic)?,
        };
        let posted = Posted {
            topic,
            payload: packet.payload,
            qos: packet.qos,
            retain: packet.retain,
            properties: packet.properties.map(|properties| within_expiry(properties, quotas.message_expiry_max_s)),
            client: Some(session.client.clone()),
            principal: Some(live.certificate.clone()),
        };
        if let Err(failed) = check_message(&posted, quotas) {
            return Ok(Err((failed, posted.topic)));
        }
        let topic = &*posted.topic;
        let failed = if !live.permissions.allows(Action::Publish, topic) {
            // That a connection of MQTT 3.1.1 ends is unverified.
            Some(Failed::not_authorized("PublishIn.AuthError", "the policies do not allow iot:Publish"))
        } else if posted.retain && !live.permissions.allows(Action::RetainPublish, topic) {
            Some(Failed::not_authorized("PublishRetained.AuthError", "the policies do not allow iot:RetainPublish"))
        } else if !session.publishes.try_take(cx.now, 1) {
            Some(Failed::throttled("PublishIn.Throttle", "the connection publishes too often"))
        } else {
            self.take_publish(cx, &posted).err()
        };
        Ok(match failed {
            Some(failed) => Err((failed, posted.topic)),
            None => Ok(posted),
        })
    }

    /// Takes a publish from the rates of the account. Outbound publishes are checked here, too: while they exceed their
    /// rate, inbound ones are throttled.
    fn take_publish(&mut self, cx: &mut Cx<'_>, posted: &Posted) -> Result<(), Failed> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        if !quotas.publishes_in.try_take(cx.now, 1) {
            return Err(Failed::throttled("PublishIn.Throttle", "the account publishes too often"));
        }
        if !(self.broker.subscriptions.is_empty() && self.broker.shared.is_empty())
            && quotas.publishes_out.available(cx.now) == 0
        {
            return Err(Failed::throttled("PublishIn.Throttle", "the account is delivered to too often"));
        }
        if posted.retain {
            let taken = self.broker.retained.take(cx.now, quotas, &posted.topic);
            return taken.map_err(|why| Failed::throttled("PublishRetained.Throttle", why));
        }
        Ok(())
    }

    /// Takes `n` messages from the account's rate of inbound publishes, or says that they exceed it. An update of a shadow
    /// counts four: the one that was published is taken already.
    pub(in crate::iot) fn take_inbound(&mut self, cx: &Cx<'_>, n: u64) -> bool {
        self.quotas(cx).publishes_in.try_take(cx.now, n)
    }

    /// Hands a publish to a reserved topic to the service that it asks.
    pub(in crate::iot) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        request: Request<'_>,
        posted: &Posted,
    ) {
        match request {
            Request::BasicIngest { rule, topic } => self.ingest(cx, ports, rule, topic, posted),
            Request::Shadow { thing, name, verb } => {
                // Rules and subscribers hear of the request, too.
                self.route(cx, ports, posted);
                self.shadow_request(cx, thing, name, verb, posted);
            }
            Request::CreateCertificate { from_csr } => self.ask_for_certificate(cx, posted, from_csr),
            Request::Provision { template } => self.ask_to_provision(cx, ports, posted, template),
        }
    }

    /// Runs the rules on a message that is accepted, keeps it when it is to be retained, and delivers it to subscribers.
    pub(in crate::iot) fn route(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, posted: &Posted) {
        let segments = Segments::of(&posted.topic).expect("the number of slashes is checked");
        let message = Message::new(posted, &posted.topic, segments, cx.now);
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let around = &mut Around { quotas, ports, shadows: &mut self.shadows };
        self.rules.dispatch(cx, around, &message);
        if posted.retain {
            self.retain(cx, posted);
        }
        self.deliver(cx, posted, segments.as_slice());
    }

    /// Publishes what services of IoT Core have to publish. The service itself publishes: no policy and no rate of a
    /// connection applies. A will counts for the account's rate.
    pub(in crate::iot) fn publish_outbox(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        while let Some(posted) = self.registry.outbox.pop() {
            cx.meter.add("iot", "RegistryEvents", 1);
            let fields = [("payload", Field::Bytes(&posted.payload))];
            cx.trace.event(Level::Call, cx.now, "iot", "registry-event", &posted.topic, &fields);
            self.route(cx, ports, &posted);
        }
        self.publish_republished(cx, ports);
        while let Some(posted) = self.shadows.outbox.pop() {
            let fields = [("payload", Field::Bytes(&posted.payload))];
            cx.trace.event(Level::Message, cx.now, "iot", "shadow-answer", &posted.topic, &fields);
            self.route(cx, ports, &posted);
        }
        while let Some((client, posted)) = self.provisioning.pop_answer() {
            self.deliver_to(cx, &client, &posted);
        }
        while let Some(posted) = self.broker.outbox.pop() {
            let fields = [("payload", Field::Bytes(&posted.payload))];
            let kind = if posted.client.is_some() { "will" } else { "lifecycle-event" };
            cx.trace.event(Level::Call, cx.now, "iot", kind, &posted.topic, &fields);
            if posted.client.is_some() {
                if let Err(failed) = self.take_publish(cx, &posted) {
                    cx.meter.add("iot", failed.metric, 1);
                    continue;
                }
                cx.meter.add("iot", "PublishIn.Success", 1);
                cx.trace.mark(cx.now, mark::WILL_PUBLISHED, &posted.topic);
            }
            self.route(cx, ports, &posted);
        }
    }

    /// A publish over HTTPS. The caller has checked iot:Publish, and iot:RetainPublish where it is retained.
    pub(in crate::iot) fn publish_http(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        principal: Arc<str>,
        message: Posted,
    ) -> Result<(), AwsError> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let longest_s = quotas.message_expiry_max_s;
        let properties = message.properties.map(|properties| within_expiry(properties, longest_s));
        let posted = Posted { client: None, principal: Some(principal), properties, ..message };
        let checked = check_message(&posted, quotas).and_then(|()| self.take_publish(cx, &posted));
        if let Err(failed) = checked {
            cx.meter.add("iot", failed.metric, 1);
            return Err(match failed.is_throttle() {
                true => AwsError::new("ThrottlingException", failed.why).status(429),
                false => AwsError::new("InvalidRequestException", failed.why),
            });
        }
        cx.meter.add("iot", "PublishIn.Success", 1);
        let fields = [
            ("principal", posted.principal.as_deref().unwrap_or("").into()),
            ("payload", Field::Bytes(&posted.payload)),
        ];
        cx.trace.event(Level::Message, cx.now, "iot", "publish-http", &posted.topic, &fields);
        match reserved::request(&posted.topic) {
            None => self.route(cx, ports, &posted),
            Some(Request::CreateCertificate { .. } | Request::Provision { .. }) => {
                return Err(AwsError::not_modelled("fleet provisioning over HTTPS"));
            }
            Some(request) => self.ask(cx, ports, request, &posted),
        }
        Ok(())
    }
}

/// The topic that an alias stands for; a topic beside it gives it its meaning.
fn resolve(live: &mut Live, aliases: usize, alias: u16, topic: Arc<str>) -> Result<Arc<str>, Disconnect> {
    let why = "a topic alias is 0, above the Topic Alias Maximum, or stands for nothing";
    let invalid = Disconnect::ClientError(reason::TOPIC_ALIAS_INVALID, why);
    let position = usize::from(alias).checked_sub(1).filter(|position| *position < aliases).ok_or(invalid)?;
    if live.aliases.len() <= position {
        live.aliases.resize(position + 1, None);
    }
    let known = &mut live.aliases[position];
    if topic.is_empty() {
        return known.clone().ok_or(invalid);
    }
    *known = Some(topic.clone());
    Ok(topic)
}

/// A Message Expiry Interval of 0 becomes 1 second, one above the longest becomes that.
pub(super) fn within_expiry(mut properties: Arc<Properties>, longest_s: u64) -> Arc<Properties> {
    let longest = u32::try_from(longest_s).unwrap_or(u32::MAX);
    if properties.expiry_s.is_some_and(|asked| asked != asked.clamp(1, longest)) {
        let changed = Arc::make_mut(&mut properties);
        changed.expiry_s = changed.expiry_s.map(|asked| asked.clamp(1, longest));
    }
    properties
}

/// Checks what does not depend on the publisher.
pub(super) fn check_message(posted: &Posted, quotas: &Quotas) -> Result<(), Failed> {
    let invalid = |why| Failed::client_error(reason::TOPIC_NAME_INVALID, why);
    check_topic(reserved::counted(&posted.topic)).map_err(invalid)?;
    if posted.payload.len() > quotas.payload_size {
        // That the connection ends whatever its protocol level is unverified.
        let why = "a payload has at most 128 KiB";
        let consequence = Consequence::Ended;
        return Err(Failed { metric: "PublishIn.ClientError", why, code: reason::QUOTA_EXCEEDED, consequence });
    }
    if let Some(properties) = &posted.properties {
        check_properties(properties, quotas)?;
    }
    if posted.topic.starts_with('$') {
        if reserved::request(&posted.topic).is_none() {
            return Err(invalid("no service of AWS IoT Core takes publishes to this reserved topic"));
        }
        if posted.retain {
            return Err(invalid("messages of reserved topics are not retained"));
        }
    }
    Ok(())
}

fn check_properties(properties: &Properties, quotas: &Quotas) -> Result<(), Failed> {
    let exceeded = |why| Err(Failed::client_error(reason::QUOTA_EXCEEDED, why));
    let user: usize = properties.user.iter().map(|(key, value)| key.len() + value.len()).sum();
    if user > quotas.user_properties_size {
        return exceeded("user properties have at most 8 KiB");
    }
    if properties.content_type.as_ref().is_some_and(|text| text.len() > quotas.content_type_size) {
        return exceeded("a content type has at most 256 bytes");
    }
    if properties.correlation_data.as_ref().is_some_and(|data| data.len() > quotas.correlation_data_size) {
        return exceeded("correlation data have at most 8 KiB");
    }
    Ok(())
}
