//! Tenants at the broker: whatever devices are called and whatever their attributes say, none that has the platform's own
//! device policy connects as another, publishes into, subscribes to or receives from another tenant's topics. All over
//! packets, in an account that holds the policy of the platform's template.
//!
//! A tenant's name without a slash is one level of its topics. One with a slash is filled in all the same, as AWS does:
//! its devices then publish below topics that begin like another tenant's. That no rule and no device takes those for the
//! other tenant's is checked here; that no tenant has such a name is for those who name tenants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::BytesMut;
use platform::Settings;
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet, Publish, Subscribe, SubscribeReasonCode};
use serde_json::{Value, json};
use sim::cloud::account::Account;
use sim::cloud::cloudformation::create_stack;
use sim::cloud::core::{AwsError, Effect};
use sim::cloud::iot::{DeviceRegistration, certificate_id};
use sim::world::seed::Seed;
use sim::world::time::Time;
use sim::world::trace::Trace;

/// Client id and thing of whoever may do everything: the operator.
const OPERATOR: &str = "operator-of-all";
const PACKET_MAX: usize = 200_000;

/// A device: its name and its tenant.
type Device = (String, String);

/// An account with the platform's policy of devices.
struct World {
    account: Account,
    now: Time,
    policy: String,
    connections: u64,
}

/// What became of a connection's packets.
#[derive(Default)]
struct Seen {
    packets: Vec<Packet>,
    closed: bool,
}

impl World {
    fn new() -> World {
        let settings = Settings { env: "sim".to_owned(), ..Settings::default() };
        let stack = platform::stacks(&settings).into_iter().find(|stack| stack.name.ends_with("iot-core"));
        let template: Value = serde_json::from_str(&stack.expect("there is an ingest").template.to_json()).unwrap();
        let declared = template["Resources"]["DevicePolicy"].clone();
        let policy = declared["Properties"]["PolicyName"].as_str().expect("the policy has a name").to_owned();
        let everything = json!({ "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "all", "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }],
        } } });
        let template = json!({ "Resources": { "DevicePolicy": declared, "Everything": everything } }).to_string();
        let mut account = Account::new("eu-west-1", Seed::root(1), Trace::new());
        let now = Time::from_unix_secs(1_772_323_200);
        create_stack(&mut account, now, "ingest", &template).unwrap_or_else(|error| panic!("{error}"));
        let mut world = World { account, now, policy, connections: 0 };
        world.register(&(OPERATOR.to_owned(), "none".to_owned()), "all").expect("the operator is a device, too");
        world
    }

    fn register(&mut self, (name, tenant): &Device, policy: &str) -> Result<(), AwsError> {
        let device = DeviceRegistration {
            thing_name: name.clone(),
            thing_type: None,
            attributes: BTreeMap::from([("tenant".to_owned(), tenant.clone())]),
            certificate_id: certificate_id(name.as_bytes()),
            policy_name: policy.to_owned(),
        };
        self.account.as_owner(self.now, |services, cx| services.iot.register_device(cx, &device))
    }

    /// A connection with a device's certificate and any client id, a second after all before: no rate is met.
    fn connect(&mut self, device: &str, client: &str) -> (u64, bool) {
        self.now += Duration::from_secs(1);
        self.account.wake_due(self.now);
        self.connections += 1;
        let connection = self.connections;
        self.account.mqtt_open(self.now, connection, &certificate_id(device.as_bytes()), "10.0.0.1").unwrap();
        let mut connect = Connect::new(client);
        connect.keep_alive = 1_200;
        let seen = self.send(connection, &Packet::Connect(connect)).remove(&connection).unwrap_or_default();
        let accepted = ConnectReturnCode::Success;
        let connected = seen.packets.iter().any(|p| matches!(p, Packet::ConnAck(ack) if ack.code == accepted));
        (connection, connected && !seen.closed)
    }

    /// What all connections get when one sends a packet.
    fn send(&mut self, connection: u64, packet: &Packet) -> BTreeMap<u64, Seen> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_MAX).unwrap();
        self.account.mqtt_receive(self.now, connection, &bytes);
        self.account.wake_due(self.now);
        let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
        for effect in self.account.take_effects() {
            match effect {
                Effect::MqttSend { connection, bytes } => {
                    let mut bytes = BytesMut::from(&bytes[..]);
                    while !bytes.is_empty() {
                        let packet = Packet::read(&mut bytes, PACKET_MAX).unwrap();
                        seen.entry(connection).or_default().packets.push(packet);
                    }
                }
                Effect::MqttClose { connection } => seen.entry(connection).or_default().closed = true,
                Effect::Invoke { .. }
                | Effect::Answer { .. }
                | Effect::StreamEvent { .. }
                | Effect::StreamEnd { .. } => {}
            }
        }
        seen
    }

    /// Whether a publish with QoS 1 is accepted, and the topics of what others hear at that.
    fn publish(&mut self, connection: u64, topic: &str) -> (bool, Vec<String>) {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, "{}");
        publish.pkid = 7;
        let mut seen = self.send(connection, &Packet::Publish(publish));
        let answered = seen.remove(&connection).unwrap_or_default();
        let accepted = answered.packets.iter().any(|packet| matches!(packet, Packet::PubAck(_)));
        let packets = seen.into_values().flat_map(|seen| seen.packets);
        (accepted, packets.filter_map(|p| if let Packet::Publish(p) = p { Some(p.topic) } else { None }).collect())
    }

    /// Whether a filter is granted.
    fn subscribe(&mut self, connection: u64, filter: &str) -> bool {
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = 9;
        let seen = self.send(connection, &Packet::Subscribe(subscribe)).remove(&connection).unwrap_or_default();
        let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
        seen.packets.iter().any(|p| matches!(p, Packet::SubAck(ack) if ack.return_codes.iter().all(granted)))
    }
}

/// The topics of a device and of its shadow.
fn own(device: &Device) -> [String; 2] {
    let (name, tenant) = device;
    [format!("tenant/{tenant}/device/{name}/"), format!("$aws/things/{name}/shadow/")]
}

/// Whether a topic or a filter is a device's own.
fn is_own(device: &Device, topic: &str) -> bool {
    own(device).iter().any(|start| topic.starts_with(start.as_str()))
}

/// What a device might try against another.
fn attacks(attacker: &Device, victim: &Device) -> Vec<String> {
    let ((name, tenant), (other, theirs)) = (attacker, victim);
    vec![
        format!("tenant/{theirs}/device/{other}/data"),
        format!("tenant/{theirs}/device/{other}/command"),
        format!("tenant/{theirs}/device/{name}/data"),
        format!("tenant/{tenant}/device/{other}/data"),
        format!("tenant/{tenant}/device/{other}/command"),
        format!("tenant/{tenant}/device/{name}/data/{other}"),
        format!("tenant/{theirs}/device/+/command"),
        format!("tenant/{theirs}/#"),
        format!("tenant/{tenant}/#"),
        format!("tenant/{tenant}/device/+/command"),
        format!("tenant/{tenant}/device/{name}/../../{other}/command"),
        format!("tenant/*/device/{other}/command"),
        format!("tenant/${{iot:Connection.Thing.Attributes[tenant]}}/device/{other}/command"),
        "tenant/${iot:Connection.Thing.Attributes[tenant]}/device/${iot:Connection.Thing.ThingName}/data".to_owned(),
        "tenant/+/device/+/command".to_owned(),
        "+/+/+/+/+".to_owned(),
        "#".to_owned(),
        format!("$aws/things/{other}/shadow/update"),
        format!("$aws/things/{other}/shadow/get"),
        format!("$aws/things/{other}/shadow/delete"),
        format!("$aws/things/{other}/shadow/update/delta"),
        format!("$aws/things/{other}/shadow/name/x/update"),
        format!("$aws/things/{name}/shadow/name/{other}/update"),
        "$aws/things/+/shadow/update/delta".to_owned(),
        "$aws/things/#".to_owned(),
        format!("$aws/things/{other}:/shadow/update"),
        format!("$share/group/tenant/{theirs}/device/{other}/command"),
        format!("$share/group/tenant/{tenant}/device/+/command"),
        "$share/group/#".to_owned(),
        format!("$aws/rules/readings/tenant/{theirs}/device/{other}/data"),
        "$aws/events/thing/+/created".to_owned(),
        format!("$aws/events/presence/connected/{other}"),
        "$aws/certificates/create/json".to_owned(),
    ]
}

/// Tries everything of one device against another, over packets.
fn attack(world: &mut World, attacker: &Device, victim: &Device) -> Result<(), TestCaseError> {
    let (name, tenant) = attacker;
    for client in [victim.0.as_str(), OPERATOR, "+", "#", "*", "${iot:Connection.Thing.ThingName}", tenant.as_str()] {
        let (_, connected) = world.connect(name, client);
        prop_assert!(!connected || client == name, "{name} connects as {client}");
    }
    // The victim listens to its commands and its shadow, and the attacker to whatever it is granted.
    let (listening, connected) = world.connect(&victim.0, &victim.0);
    prop_assert!(connected, "{victim:?} connects as itself");
    let command = format!("tenant/{}/device/{}/command", victim.1, victim.0);
    let fills_in = |device: &Device| !device.1.contains('#');
    prop_assert_eq!(world.subscribe(listening, &command), fills_in(victim), "the own commands of {:?}", victim);
    let (hearing, _) = world.connect(name, name);
    for filter in attacks(attacker, victim) {
        if world.subscribe(hearing, &filter) {
            prop_assert!(is_own(attacker, &filter), "{attacker:?} subscribes to {filter}");
        }
    }
    let (operator, _) = world.connect(OPERATOR, OPERATOR);
    for topic in [command.as_str(), "$aws/things/x/shadow/update/delta"] {
        let mut publish = Publish::new(topic, QoS::AtMostOnce, "{}");
        publish.pkid = 0;
        let heard = world.send(operator, &Packet::Publish(publish)).remove(&hearing).unwrap_or_default();
        let foreign = heard.packets.iter().find(|p| matches!(p, Packet::Publish(p) if !is_own(attacker, &p.topic)));
        prop_assert!(foreign.is_none(), "{attacker:?} hears {foreign:?}");
    }
    for topic in attacks(attacker, victim) {
        let (connection, _) = world.connect(name, name);
        let (accepted, heard) = world.publish(connection, &topic);
        prop_assert_eq!(heard, Vec::<String>::new(), "{:?} is heard by {:?}", attacker, victim);
        if !accepted {
            continue;
        }
        prop_assert!(is_own(attacker, &topic), "{attacker:?} publishes to {topic}");
        // What the rule on all readings would take for whose.
        let levels: Vec<&str> = topic.split('/').collect();
        if let ["tenant", of, "device", device, "data"] = levels[..] {
            prop_assert_eq!((of, device), (tenant.as_str(), name.as_str()), "{:?} publishes to {}", attacker, topic);
        }
    }
    Ok(())
}

/// Names of tenants: plain ones and whatever the registry accepts as an attribute.
fn tenant() -> impl Strategy<Value = String> {
    let crafted = ["acme", "acme/device/x", "acme/device", "a#b", "#", "acme#", "acme=", "[acme]", "a,b@c:d", ".."];
    prop_oneof![
        3 => "[a-z]{1,4}",
        3 => proptest::sample::select(crafted.to_vec()).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9_.,@/:#=\\[\\]-]{1,8}",
    ]
}

/// Names of devices: short, so that they begin like one another.
fn device() -> impl Strategy<Value = String> {
    prop_oneof!["[ab:_-]{1,3}", "[a-zA-Z0-9:_-]{1,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_device_reaches_what_is_another_tenants(
        devices in proptest::collection::btree_map(device(), tenant(), 2..4),
    ) {
        let mut world = World::new();
        let policy = world.policy.clone();
        let devices: Vec<Device> = devices.into_iter().collect();
        for device in &devices {
            world.register(device, &policy).unwrap();
        }
        for attacker in &devices {
            for victim in devices.iter().filter(|victim| *victim != attacker) {
                attack(&mut world, attacker, victim)?;
            }
        }
    }
}

/// The same devices can do what they are there for: the tests above would pass in an account that refuses everything.
#[test]
fn a_device_reaches_its_own() {
    let mut world = World::new();
    let policy = world.policy.clone();
    let device = ("pump-1".to_owned(), "acme".to_owned());
    world.register(&device, &policy).unwrap();
    let (connection, connected) = world.connect("pump-1", "pump-1");
    assert!(connected);
    assert!(world.publish(connection, "tenant/acme/device/pump-1/data").0);
    assert!(world.subscribe(connection, "tenant/acme/device/pump-1/command"));
    let (operator, _) = world.connect(OPERATOR, OPERATOR);
    let command = Publish::new("tenant/acme/device/pump-1/command", QoS::AtMostOnce, "{}");
    let heard = world.send(operator, &Packet::Publish(command)).remove(&connection).unwrap_or_default();
    assert!(matches!(&heard.packets[..], [Packet::Publish(p)] if p.topic == "tenant/acme/device/pump-1/command"));
}

#[test]
fn names_with_wildcards_are_no_names_of_things_or_values_of_attributes() {
    let mut world = World::new();
    let policy = world.policy.clone();
    let accepted = |world: &mut World, name: &str, tenant: &str| {
        world.register(&(name.to_owned(), tenant.to_owned()), &policy).is_ok()
    };
    let (mut refused, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for (n, wildcard) in ["*", "+", "$", "?", "#", "/"].into_iter().enumerate() {
        if accepted(&mut world, &format!("d{wildcard}"), "acme") {
            taken.insert(wildcard);
        }
        if !accepted(&mut world, &format!("d{n}"), &format!("a{wildcard}")) {
            refused.insert(wildcard);
        }
    }
    assert_eq!(taken, BTreeSet::new(), "in a thing's name");
    assert_eq!(refused, BTreeSet::from(["*", "+", "$", "?"]), "in an attribute");
}
