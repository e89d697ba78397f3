//! PUBLISH from clients.

use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{PubAck, Publish};

use super::session::Disconnect;
use super::written;
use crate::core::Cx;
use crate::iot::Iot;
use crate::iot::message::Posted;
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::reserved::{self, Request};
use crate::iot::rules::Ports;
use crate::iot::sql::{Message, Segments};
use crate::iot::topic::check_topic;
use world::mark;
use world::trace::{Field, Level};

impl Iot {
    /// Accepts a message, runs the rules on it, delivers it to subscribers, acknowledges it.
    pub(super) fn publish(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        connection: u64,
        packet: &Publish,
        output: &mut BytesMut,
    ) -> Result<(), Disconnect> {
        let Some(client) = self.accept(cx, connection, packet)? else { return Ok(()) };
        cx.meter.add("iot", "PublishIn.Success", 1);
        let fields = [
            ("client", (&*client).into()),
            ("packet", u64::from(packet.pkid).into()),
            ("payload", Field::Bytes(&packet.payload)),
        ];
        cx.trace.event(Level::Message, cx.now, "iot", "publish", &packet.topic, &fields);
        let posted = Posted {
            topic: packet.topic.as_str().into(),
            payload: packet.payload.clone(),
            qos: packet.qos as u8,
            retain: packet.retain,
            properties: None,
            client: Some(client),
            principal: self.broker.connections.get(&connection).map(|state| state.certificate.clone()),
        };
        match reserved::request(&posted.topic) {
            None => self.route(cx, ports, &posted),
            Some(request) => self.ask(cx, ports, (connection, &posted), request)?,
        }
        if packet.qos == QoS::AtLeastOnce {
            written(PubAck::new(packet.pkid).write(output));
        }
        Ok(())
    }

    /// Hands a publish to a reserved topic to the service that it asks.
    fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        (connection, posted): (u64, &Posted),
        request: Request<'_>,
    ) -> Result<(), Disconnect> {
        match request {
            Request::BasicIngest { rule, topic } => self.ingest(cx, ports, rule, topic, posted),
            Request::Shadow { .. } => return Err(Disconnect::NotModelled("shadows over MQTT")),
            Request::CreateCertificate { from_csr } => self.ask_for_certificate(cx, connection, posted, from_csr),
            Request::Provision { template } => self.ask_to_provision(cx, ports, connection, posted, template),
        }
        Ok(())
    }

    /// Runs the rules on a message that is accepted, and delivers it to subscribers.
    pub(in crate::iot) fn route(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, posted: &Posted) {
        let segments = Segments::of(&posted.topic).expect("the number of slashes is checked");
        let message = Message::new(posted, &posted.topic, segments, cx.now);
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        self.rules.dispatch(cx, quotas, ports, &message);
        self.deliver(cx, posted, segments.as_slice());
    }

    /// Publishes what services of IoT Core have to publish. The service itself publishes: no policy and no rate of a
    /// connection applies.
    pub(in crate::iot) fn publish_outbox(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>) {
        while let Some(posted) = self.registry.outbox.pop() {
            cx.meter.add("iot", "RegistryEvents", 1);
            let fields = [("payload", Field::Bytes(&posted.payload))];
            cx.trace.event(Level::Call, cx.now, "iot", "registry-event", &posted.topic, &fields);
            self.route(cx, ports, &posted);
        }
        self.publish_republished(cx, ports);
        while let Some((connection, posted)) = self.provisioning.pop_answer() {
            self.deliver_to(cx, connection, &posted);
        }
    }

    /// Checks a message. Answers the client's id, nothing for a message that is dropped because of a rate, or why the
    /// connection ends.
    fn accept(&mut self, cx: &mut Cx<'_>, connection: u64, packet: &Publish) -> Result<Option<Arc<str>>, Disconnect> {
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let session = self.broker.connections.get_mut(&connection).and_then(|state| state.session.as_mut());
        let Some(session) = session else { return Ok(None) };
        let topic = packet.topic.as_str();
        let mut refuse = |metric: &'static str, reason: &'static str, end: Disconnect| {
            cx.meter.add("iot", metric, 1);
            let fields = [("client", (&*session.client).into()), ("reason", reason.into())];
            cx.trace.event(Level::Call, cx.now, "iot", "publish-refused", topic, &fields);
            Err(end)
        };
        let client_error = "PublishIn.ClientError";
        if packet.qos == QoS::ExactlyOnce {
            return refuse(client_error, "QoS 2 is not supported", Disconnect::client_error("QoS 2 is not supported"));
        }
        if let Err(why) = check_topic(reserved::counted(topic)) {
            return refuse(client_error, why, Disconnect::client_error(why));
        }
        if packet.payload.len() > quotas.payload_size {
            let why = "a payload has at most 128 KiB";
            cx.trace.mark(cx.now, mark::TOO_LARGE_FOR_THE_BROKER, &session.client);
            return refuse(client_error, why, Disconnect::client_error(why));
        }
        if topic.starts_with('$') && reserved::request(topic).is_none() {
            let why = "no service of AWS IoT Core takes publishes to this reserved topic";
            return refuse(client_error, why, Disconnect::client_error(why));
        }
        if packet.retain {
            return refuse(client_error, "retained messages", Disconnect::NotModelled("retained messages"));
        }
        if !session.permissions.allows(Action::Publish, topic) {
            // That the connection ends is unverified.
            let why = "the policies do not allow iot:Publish";
            return refuse("PublishIn.AuthError", why, Disconnect::AuthError(why));
        }
        let reason = if !session.publishes.try_take(cx.now, 1) {
            "the connection publishes too often"
        } else if !quotas.publishes_in.try_take(cx.now, 1) {
            "the account publishes too often"
        } else {
            return Ok(Some(session.client.clone()));
        };
        cx.meter.add("iot", "PublishIn.Throttle", 1);
        let fields = [
            ("client", (&*session.client).into()),
            ("packet", u64::from(packet.pkid).into()),
            ("reason", reason.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "iot", "publish-throttled", topic, &fields);
        Ok(None)
    }
}
