//! Clients of both protocol levels on the small account of `fleet`: what they send is written, and what they get is read,
//! by the codecs of `rumqttc`, which know nothing of the broker's own.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use bytes::BytesMut;
use rumqttc::mqttbytes::{QoS, v4};
use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};

use super::fleet::World;
use crate::core::Effect;

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Session present, return or reason code.
    ConnAck(bool, u8),
    Publish(Delivered),
    /// Packet id, reason code.
    PubAck(u16, u8),
    SubAck(Vec<u8>),
    UnsubAck(Vec<u8>),
    Ping,
    /// DISCONNECT of MQTT 5.
    Bye(u8),
    Closed,
    /// HTTP status of an answer that had to wait.
    Answer(u16),
}

/// A PUBLISH that a client gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) id: u16,
    pub(super) expiry_s: Option<u32>,
}

/// A CONNECT.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) device: String,
    pub(super) v5: bool,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    /// Properties of MQTT 5.
    pub(super) properties: v5::ConnectProperties,
    /// Topic, QoS, retain.
    pub(super) will: Option<(String, u8, bool)>,
    pub(super) will_properties: Option<v5::LastWillProperties>,
}

pub(super) fn v3(device: &str) -> Hello {
    Hello {
        device: device.to_owned(),
        v5: false,
        clean: true,
        keep_alive: 1_200,
        properties: v5::ConnectProperties::new(),
        will: None,
        will_properties: None,
    }
}

pub(super) fn v5(device: &str) -> Hello {
    Hello { v5: true, ..v3(device) }
}

impl Hello {
    /// With a persistent session.
    pub(super) fn kept(mut self) -> Self {
        self.clean = false;
        self.properties.session_expiry_interval = Some(3_600);
        self
    }

    pub(super) fn will(mut self, topic: &str, qos: u8, retain: bool) -> Self {
        self.will = Some((topic.to_owned(), qos, retain));
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut v5::ConnectProperties)) -> Self {
        change(&mut self.properties);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        if self.v5 {
            let connect = v5::Connect {
                keep_alive: self.keep_alive,
                client_id: self.device.clone(),
                clean_start: self.clean,
                properties: Some(self.properties.clone()),
            };
            let will = self.will.as_ref().map(|(topic, qos, retain)| {
                v5::LastWill::new(topic.clone(), "gone", qos5(*qos), *retain, self.will_properties.clone())
            });
            connect.write(&will, &None, &mut bytes).unwrap();
        } else {
            let mut connect = v4::Connect::new(&self.device);
            connect.keep_alive = self.keep_alive;
            connect.clean_session = self.clean;
            connect.last_will =
                self.will.as_ref().map(|(topic, qos, retain)| v4::LastWill::new(topic, "gone", qos4(*qos), *retain));
            connect.write(&mut bytes).unwrap();
        }
        bytes.to_vec()
    }
}

pub(super) fn qos4(qos: u8) -> QoS {
    rumqttc::mqttbytes::qos(qos).unwrap()
}

pub(super) fn qos5(qos: u8) -> QoS5 {
    rumqttc::v5::mqttbytes::qos(qos).unwrap()
}

/// The account, and which of its connections speak MQTT 5.
pub(super) struct Mqtt {
    world: World,
    v5: BTreeSet<u64>,
}

impl Deref for Mqtt {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Mqtt {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Mqtt {
    /// An account with these clients, which may do everything, and `d1`, which is a device.
    pub(super) fn new(clients: &[&str]) -> Self {
        let mut world = World::new();
        world.allow_all();
        world.register("d1", "acme", "device");
        for client in clients {
            world.register(client, "acme", "all");
        }
        Mqtt { world, v5: BTreeSet::new() }
    }

    /// Opens a connection with the certificate of `certificate` and says hello; answers what that client got.
    pub(super) fn hello_with(&mut self, connection: u64, certificate: &str, hello: &Hello) -> Vec<Got> {
        self.world.open(connection, certificate);
        if hello.v5 {
            self.v5.insert(connection);
        }
        self.world.bytes(connection, &hello.bytes());
        self.got(connection)
    }

    pub(super) fn hello(&mut self, connection: u64, hello: &Hello) -> Vec<Got> {
        self.hello_with(connection, &hello.device.clone(), hello)
    }

    /// Connects clients on the connections 1, 2, ...: all must be let in.
    pub(super) fn connected(hellos: &[Hello]) -> Self {
        let names: Vec<&str> = hellos.iter().map(|hello| hello.device.as_str()).filter(|name| *name != "d1").collect();
        let mut mqtt = Mqtt::new(&names);
        for (connection, hello) in (1..).zip(hellos) {
            assert_eq!(mqtt.hello(connection, hello), [Got::ConnAck(false, 0)], "{hello:?}");
        }
        mqtt
    }

    pub(super) fn subscribe_with(&mut self, connection: u64, filters: &[v5::Filter]) -> Vec<Got> {
        let mut bytes = BytesMut::new();
        if self.v5.contains(&connection) {
            let packet = v5::Subscribe { pkid: 9, ..v5::Subscribe::new_many(filters.iter().cloned(), None) };
            packet.write(&mut bytes).unwrap();
        } else {
            let filters = filters.iter().map(|f| v4::SubscribeFilter::new(f.path.clone(), qos4(f.qos as u8)));
            v4::Subscribe { pkid: 9, ..v4::Subscribe::new_many(filters) }.write(&mut bytes).unwrap();
        }
        self.world.bytes(connection, &bytes);
        self.got(connection)
    }

    pub(super) fn subscribe(&mut self, connection: u64, filter: &str, qos: u8) -> Vec<Got> {
        self.subscribe_with(connection, &[v5::Filter::new(filter, qos5(qos))])
    }

    pub(super) fn unsubscribe(&mut self, connection: u64, filter: &str) -> Vec<Got> {
        let mut bytes = BytesMut::new();
        if self.v5.contains(&connection) {
            v5::Unsubscribe { pkid: 8, ..v5::Unsubscribe::new(filter, None) }.write(&mut bytes).unwrap();
        } else {
            v4::Unsubscribe { pkid: 8, ..v4::Unsubscribe::new(filter) }.write(&mut bytes).unwrap();
        }
        self.world.bytes(connection, &bytes);
        self.got(connection)
    }

    /// Sends a PUBLISH with properties of MQTT 5; an `id` of 0 is QoS 0. Answers what the publisher got.
    pub(super) fn say(
        &mut self,
        connection: u64,
        (topic, payload): (&str, &str),
        (id, retain): (u16, bool),
        properties: Option<v5::PublishProperties>,
    ) -> Vec<Got> {
        let mut bytes = BytesMut::new();
        let qos = u8::from(id > 0);
        if self.v5.contains(&connection) {
            let packet = v5::Publish::new(topic, qos5(qos), payload.to_owned(), properties);
            v5::Publish { pkid: id, retain, ..packet }.write(&mut bytes).unwrap();
        } else {
            let packet = v4::Publish::new(topic, qos4(qos), payload);
            v4::Publish { pkid: id, retain, ..packet }.write(&mut bytes).unwrap();
        }
        self.world.bytes(connection, &bytes);
        self.got(connection)
    }

    pub(super) fn post(&mut self, connection: u64, topic: &str, id: u16, payload: &str) -> Vec<Got> {
        self.say(connection, (topic, payload), (id, false), None)
    }

    pub(super) fn ack(&mut self, connection: u64, id: u16) {
        self.world.bytes(connection, &[0x40, 2, (id >> 8) as u8, (id & 0xff) as u8]);
    }

    pub(super) fn goodbye(&mut self, connection: u64) {
        self.world.bytes(connection, &[0xe0, 0]);
    }

    /// What a client got since the last look; what the others got stays for theirs.
    pub(super) fn got(&mut self, of: u64) -> Vec<Got> {
        let mut got = Vec::new();
        let effects = std::mem::take(&mut self.world.parts.effects);
        for effect in effects {
            match effect {
                Effect::MqttSend { connection, bytes } if connection == of => {
                    let mut bytes = BytesMut::from(&bytes[..]);
                    while !bytes.is_empty() {
                        got.push(if self.v5.contains(&of) { read_v5(&mut bytes) } else { read_v3(&mut bytes) });
                    }
                }
                Effect::MqttClose { connection } if connection == of => got.push(Got::Closed),
                Effect::Answer { status, .. } if of == 0 => got.push(Got::Answer(status)),
                other => self.world.parts.effects.push(other),
            }
        }
        got
    }

    /// The messages that a client got since the last look.
    pub(super) fn delivered(&mut self, of: u64) -> Vec<Delivered> {
        let got = self.got(of).into_iter();
        got.filter_map(|got| if let Got::Publish(delivered) = got { Some(delivered) } else { None }).collect()
    }

    /// Payloads of the messages that a client got since the last look; each is acknowledged.
    pub(super) fn take(&mut self, of: u64) -> Vec<String> {
        let delivered = self.delivered(of);
        for message in delivered.iter().filter(|message| message.qos > 0) {
            self.ack(of, message.id);
        }
        delivered.into_iter().map(|message| message.payload).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read_v3(bytes: &mut BytesMut) -> Got {
    match v4::Packet::read(bytes, 200_000).unwrap() {
        v4::Packet::ConnAck(ack) => {
            use v4::ConnectReturnCode as Code;
            let codes = [
                Code::Success,
                Code::RefusedProtocolVersion,
                Code::BadClientId,
                Code::ServiceUnavailable,
                Code::BadUserNamePassword,
                Code::NotAuthorized,
            ];
            let code = codes.iter().position(|code| *code == ack.code).unwrap();
            Got::ConnAck(ack.session_present, u8::try_from(code).unwrap())
        }
        v4::Packet::Publish(p) => {
            assert!(!p.dup, "AWS does not support DUP");
            let (payload, qos) = (text(&p.payload), p.qos as u8);
            Got::Publish(Delivered { topic: p.topic, payload, qos, retain: p.retain, id: p.pkid, expiry_s: None })
        }
        v4::Packet::PubAck(ack) => Got::PubAck(ack.pkid, 0),
        v4::Packet::SubAck(ack) => Got::SubAck(
            ack.return_codes
                .iter()
                .map(|code| match code {
                    v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                    v4::SubscribeReasonCode::Failure => 0x80,
                })
                .collect(),
        ),
        v4::Packet::UnsubAck(_) => Got::UnsubAck(vec![]),
        v4::Packet::PingResp => Got::Ping,
        other => panic!("{other:?}"),
    }
}

fn read_v5(bytes: &mut BytesMut) -> Got {
    // Codes are read from the bytes: rumqttc gives several of them one name.
    let raw = bytes.clone();
    match v5::Packet::read(bytes, None).unwrap() {
        v5::Packet::ConnAck(ack) => Got::ConnAck(ack.session_present, raw[3]),
        v5::Packet::Publish(p) => {
            assert!(!p.dup, "AWS does not support DUP");
            let expiry_s = p.properties.as_ref().and_then(|properties| properties.message_expiry_interval);
            let (topic, payload, qos) = (text(&p.topic), text(&p.payload), p.qos as u8);
            Got::Publish(Delivered { topic, payload, qos, retain: p.retain, id: p.pkid, expiry_s })
        }
        v5::Packet::PubAck(ack) => Got::PubAck(ack.pkid, if raw[1] > 2 { raw[4] } else { 0 }),
        v5::Packet::SubAck(ack) => Got::SubAck(raw[5..5 + ack.return_codes.len()].to_vec()),
        v5::Packet::UnsubAck(ack) => Got::UnsubAck(raw[5..5 + ack.reasons.len()].to_vec()),
        v5::Packet::PingResp(_) => Got::Ping,
        v5::Packet::Disconnect(_) => Got::Bye(raw[2]),
        other => panic!("{other:?}"),
    }
}
