use std::collections::BTreeSet;
use std::time::Duration;

use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet};

use super::fleet::{Answer, World, certificate};
use crate::core::AwsError;
use crate::iot::RestRequest;

fn connack(connection: u64, code: ConnectReturnCode) -> Answer {
    Answer::Packet(connection, Packet::ConnAck(ConnAck::new(code, false)))
}

/// Connects with a keep-alive that is longer than the test.
fn connect(world: &mut World, connection: u64, device: &str) -> Vec<Answer> {
    world.open(connection, device);
    let mut packet = Connect::new(device);
    packet.keep_alive = 1_200;
    world.send(connection, &Packet::Connect(packet));
    world.answers()
}

/// `UpdateCertificate` over the wire.
fn update(world: &mut World, device: &str, query: &str) -> Result<(), AwsError> {
    world.pass(Duration::from_secs(1));
    let path = format!("/certificates/{}", certificate(device));
    let request = RestRequest { method: "PUT", path: &path, query, principal: None, body: b"" };
    world.iot.rest(&mut world.parts.cx(world.now, &world.owner), &request).map(drop)
}

#[test]
fn connections_of_inactive_certificates_are_closed_within_minutes_and_new_ones_refused_at_once() {
    let mut world = World::new();
    for (connection, device) in [(1, "d1"), (2, "d2")] {
        world.register(device, "acme", "device");
        assert_eq!(connect(&mut world, connection, device), [connack(connection, ConnectReturnCode::Success)]);
    }
    // A handshake was made, and its CONNECT comes after the certificate is inactive.
    world.open(3, "d1");
    update(&mut world, "d1", "newStatus=INACTIVE").unwrap();
    assert_eq!(world.iot.is_active(&certificate("d1")), Some(false));
    assert_eq!(world.answers(), [], "an open connection is not closed at once");
    world.send(3, &Packet::Connect(Connect::new("d1")));
    assert_eq!(world.answers(), [connack(3, ConnectReturnCode::NotAuthorized), Answer::Close(3)]);
    let mut cx = world.parts.cx(world.now, &world.owner);
    assert!(world.iot.open(&mut cx, 4, &certificate("d1"), "10.0.0.9").is_err());
    assert_eq!(world.parts.trace.marks()["certificate-refused"], 1);
    world.pass(Duration::from_secs(120));
    assert_eq!(world.answers(), [Answer::Close(1)], "the other device stays");
    update(&mut world, "d1", "newStatus=ACTIVE").unwrap();
    assert_eq!(connect(&mut world, 5, "d1"), [connack(5, ConnectReturnCode::Success)]);
}

#[test]
fn a_certificate_that_is_active_again_in_time_keeps_its_connection() {
    let mut world = World::new();
    world.register("d1", "acme", "device");
    connect(&mut world, 1, "d1");
    let id = certificate("d1");
    for active in [false, true] {
        let ids = BTreeSet::from([id.as_str()]);
        world.iot.update_certificates(&mut world.parts.cx(world.now, &world.owner), &ids, active).unwrap();
    }
    world.pass(Duration::from_secs(120));
    assert_eq!(world.answers(), []);
    for (query, code) in [("newStatus=PENDING_TRANSFER", "InvalidRequestException"), ("", "InvalidRequestException")] {
        assert_eq!(update(&mut world, "d1", query).unwrap_err().code, code, "{query}");
    }
    assert_eq!(update(&mut world, "d9", "newStatus=ACTIVE").unwrap_err().code, "ResourceNotFoundException");
}
