//! Devices with persistent sessions and shadows, beside a small broker that keeps both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Handle;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use serde_json::{Map, Value, json};

use super::conn::{Conn, ConnWriter, server_handshake};
use super::runner::lock;
use super::spec::{FleetSpec, Network, SessionKind};
use super::tests::{BROKER, START, pumps};
use super::{Fleet, Truth, plan};
use crate::fault::{FaultSpec, Faults, Kind};
use crate::world::clock;
use crate::world::runtime::simulate;
use crate::world::seed::Seed;
use crate::world::trace::Trace;

const SECOND: Duration = Duration::from_secs(1);

/// What the broker keeps of a client.
#[derive(Default)]
struct Client {
    connection: u64,
    writer: Option<ConnWriter>,
    is_listening: bool,
    /// Messages without a PUBACK, with their packet ids; those before `sent` are sent.
    waiting: VecDeque<(u16, String, Vec<u8>)>,
    packet_ids: u16,
    /// Packet ids of the publishes of this session that were not acknowledged.
    withheld: BTreeSet<u16>,
    version: u64,
    desired: Map<String, Value>,
    reported: Map<String, Value>,
}

#[derive(Default)]
struct Broker {
    clients: Mutex<BTreeMap<String, Client>>,
    /// (publishes that came again with DUP and the id of one that was not acknowledged, other publishes with DUP).
    dups: Mutex<(u64, u64)>,
    published: Mutex<u64>,
}

impl Client {
    fn write(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        packets.iter().for_each(|packet| drop(packet.write(&mut bytes, usize::MAX)));
        if let Some(writer) = &mut self.writer {
            writer.send(&bytes);
        }
    }

    /// Sends a message to the client, now or when it is back.
    fn tell(&mut self, topic: String, payload: Vec<u8>) {
        if !self.is_listening {
            return;
        }
        self.packet_ids += 1;
        let publish = message(self.packet_ids, &topic, &payload);
        self.waiting.push_back((self.packet_ids, topic, payload));
        self.write(&[publish]);
    }

    fn delta(&self) -> Map<String, Value> {
        let differs = |(key, value): &(&String, &Value)| self.reported.get(*key) != Some(*value);
        self.desired.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What follows from a change of the shadow: a delta, twice, as QoS 1 may.
    fn changed(&mut self, thing: &str) {
        self.version += 1;
        let delta = self.delta();
        if !delta.is_empty() {
            let payload = json!({ "version": self.version, "state": delta }).to_string();
            for _ in 0..2 {
                self.tell(format!("$aws/things/{thing}/shadow/update/delta"), payload.clone().into_bytes());
            }
        }
    }

    fn asked(&mut self, thing: &str, suffix: &str, payload: &[u8]) {
        let request: Value = serde_json::from_slice(payload).expect("JSON");
        let token = request["clientToken"].clone();
        let (kind, answer) = if suffix == "update" {
            self.reported.extend(request["state"]["reported"].as_object().cloned().unwrap_or_default());
            self.changed(thing);
            ("update/accepted", json!({ "version": self.version, "clientToken": token }))
        } else if self.version == 0 {
            ("get/rejected", json!({ "code": 404, "clientToken": token }))
        } else {
            let state = json!({ "desired": self.desired, "reported": self.reported });
            ("get/accepted", json!({ "version": self.version, "state": state, "clientToken": token }))
        };
        self.tell(format!("$aws/things/{thing}/shadow/{kind}"), answer.to_string().into_bytes());
    }
}

fn message(id: u16, topic: &str, payload: &[u8]) -> Packet {
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
    publish.pkid = id;
    Packet::Publish(publish)
}

impl Broker {
    fn start() -> Arc<Self> {
        let broker = Arc::new(Broker::default());
        let serving = broker.clone();
        Handle::current().create_node().ip(IpAddr::from(BROKER.0)).build().spawn(async move {
            let listener = TcpListener::bind(SocketAddr::from(BROKER)).await.expect("the address is free");
            for connection in 1.. {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                madsim::task::spawn(serving.clone().serve(connection, stream));
            }
        });
        broker
    }

    async fn serve(self: Arc<Self>, connection: u64, stream: TcpStream) {
        let mut conn = Conn::accepted(stream);
        let Ok(_) = server_handshake(&mut conn).await else { return };
        conn.accept_certificate();
        let (mut writer, mut inbound, mut id) = (Some(conn.writer()), BytesMut::new(), String::new());
        let received = conn.receive(|bytes| {
            inbound.extend_from_slice(bytes);
            while let Ok(packet) = Packet::read(&mut inbound, 1 << 20) {
                if let Packet::Connect(connect) = &packet {
                    id.clone_from(&connect.client_id);
                    let client = &mut *lock(&self.clients);
                    let client = client.entry(id.clone()).or_default();
                    (client.connection, client.writer) = (connection, writer.take());
                }
                self.handle(&id, connection, packet);
            }
        });
        drop(received.await);
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get_mut(&id).filter(|client| client.connection == connection) {
            client.writer = None;
        }
    }

    fn handle(&self, id: &str, connection: u64, packet: Packet) {
        let mut clients = lock(&self.clients);
        let client = clients.get_mut(id).expect("CONNECT comes first");
        if client.connection != connection {
            return;
        }
        match packet {
            Packet::Connect(connect) => {
                let present = client.packet_ids > 0 && !connect.clean_session;
                if !present {
                    (client.is_listening, client.waiting, client.withheld) = Default::default();
                    client.packet_ids = 1;
                }
                let kept = client.waiting.iter().map(|(id, topic, payload)| message(*id, topic, payload));
                let answer = [Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, present))].into_iter();
                let packets: Vec<Packet> = answer.chain(kept).collect();
                client.write(&packets);
            }
            Packet::Subscribe(subscribe) => {
                client.is_listening = true;
                let codes = subscribe.filters.iter().map(|_| SubscribeReasonCode::Success(QoS::AtLeastOnce));
                client.write(&[Packet::SubAck(SubAck::new(subscribe.pkid, codes.collect()))]);
            }
            Packet::PubAck(ack) => client.waiting.retain(|(id, ..)| *id != ack.pkid),
            Packet::Publish(publish) => self.published(client, id, &publish),
            Packet::PingReq => client.write(&[Packet::PingResp]),
            other => panic!("devices do not send {other:?}"),
        }
    }

    fn published(&self, client: &mut Client, id: &str, publish: &Publish) {
        let of_shadow = publish.topic.strip_prefix(&format!("$aws/things/{id}/shadow/"));
        match of_shadow {
            Some(suffix) => client.asked(id, suffix, &publish.payload),
            None => {
                let mut published = lock(&self.published);
                *published += 1;
                // Now and then one is not acknowledged.
                if published.is_multiple_of(11) && !publish.dup {
                    client.withheld.insert(publish.pkid);
                    return;
                }
            }
        }
        if publish.dup {
            let dups = &mut *lock(&self.dups);
            *(if client.withheld.remove(&publish.pkid) { &mut dups.0 } else { &mut dups.1 }) += 1;
        }
        client.write(&[Packet::PubAck(PubAck::new(publish.pkid))]);
    }
}

struct Played {
    truth: Truth,
    broker: Arc<Broker>,
    settled: bool,
    own: Vec<(u32, Map<String, Value>)>,
}

/// Ten minutes of four devices: commands each two seconds, three desired states, and this fault.
fn play(session: SessionKind, fault: FaultSpec) -> Played {
    let seed = Seed::root(5);
    simulate(seed, START, move || async move {
        let broker = Broker::start();
        let spec = FleetSpec { session, shadow: true, ..pumps(4, SECOND * 5, Network::Lte) };
        let devices = plan(&[spec], seed).expect("a valid fleet");
        let trace = Trace::new();
        let faults = Faults::new(&[fault], seed, clock::now(), trace.clone());
        let fleet = Fleet::start(devices, seed, SocketAddr::from(BROKER), START, trace, faults.clone());
        for nth in 0..300_u64 {
            clock::sleep_until(START + SECOND * 2 * nth as u32).await;
            let device = nth as usize % 4;
            let plan = &fleet.devices()[device];
            let mut clients = lock(&broker.clients);
            let Some(client) = clients.get_mut(&plan.id) else { continue };
            if nth % 80 < 4 {
                client.desired.insert("publish_interval_ms".to_owned(), (2_000 + 1_000 * (nth / 80)).into());
                client.changed(&plan.id);
            }
            let id = lock(&fleet.truth()).commands_mut().issue(device as u32, crate::world::clock::now());
            client.tell(plan.command_topic(), json!({ "id": id }).to_string().into_bytes());
            lock(&fleet.truth()).commands_mut().accepted(id, clock::now());
        }
        fleet.stop_publishing();
        faults.heal();
        fleet.end_faults();
        clock::sleep(SECOND * 300).await;
        let truth = lock(&fleet.truth()).clone();
        Played { truth, settled: fleet.drained() && fleet.shadows_settled(), own: fleet.own_states(), broker }
    })
}

fn fault(kind: Kind, lasting: Option<u64>) -> FaultSpec {
    let lasting = lasting.map(Duration::from_secs);
    FaultSpec { from: SECOND * 40, every: Some(SECOND * 60), lasting, ..FaultSpec::new(kind, SECOND * 600) }
}

fn faults() -> [FaultSpec; 3] {
    [fault(Kind::PowerLoss, Some(20)), fault(Kind::HalfOpen, None), fault(Kind::DeviceCrash, None)]
}

#[test]
fn devices_end_where_their_shadows_say_whatever_ends_their_connections() {
    for (session, fault) in SessionKind::ALL.iter().flat_map(|(_, kind)| faults().map(|fault| (*kind, fault))) {
        let context = format!("{session:?}, {}", fault.kind.id());
        let Played { broker, settled, own, truth } = play(session, fault);
        assert!(settled, "{context}");
        assert_eq!(own.len(), 4);
        for (device, own) in own {
            let client = &lock(&broker.clients)[truth.device(device).1];
            assert_eq!(own["publish_interval_ms"], 5_000, "{context}");
            assert_eq!(
                (client.delta().len(), &client.reported["publish_interval_ms"]),
                (0, &json!(5_000)),
                "{context}"
            );
        }
    }
}

#[test]
fn persistent_sessions_get_every_command_and_repeat_what_was_not_acknowledged_with_dup() {
    for fault in faults() {
        let context = fault.kind.id();
        let Played { truth, broker, .. } = play(SessionKind::Persistent, fault);
        let commands = truth.commands();
        for device in 0..4 {
            let spells = commands.spells(device);
            assert_eq!((spells.len(), spells[0].ended), (1, None), "{context}: one session for the whole run");
        }
        let owed = commands.all().iter().filter(|c| c.accepted_at > Some(commands.spells(c.device)[0].since));
        let (owed, received) = owed.fold((0, 0), |(owed, got), c| (owed + 1, got + u32::from(c.received > 0)));
        assert!(owed > 250, "{context}: {owed} are owed");
        assert_eq!(received, owed, "{context}");
        assert_eq!(commands.foreign(), [], "{context}");
        let (again, otherwise) = *lock(&broker.dups);
        assert!(again > 3, "{context}: {again} publishes came again");
        // Its PUBACK was on its way when the connection ended.
        assert!(otherwise <= again * 4, "{context}: {otherwise} others");
    }
    let Played { truth, broker, .. } = play(SessionKind::Clean, fault(Kind::HalfOpen, None));
    assert_eq!((truth.commands().spells(0), *lock(&broker.dups)), (&[][..], (0, 0)), "clean sessions repeat nothing");
}
