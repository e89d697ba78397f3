//! Bytes that are no MQTT, or not at this place: what somebody who means harm, or a broken client, sends to a broker.

use bytes::Bytes;
use rand::RngExt as _;
use rumqttc::mqttbytes::QoS;
use rumqttc::{Connect, Packet, Publish, Subscribe};

use super::line::encoded;
use crate::world::seed::Rng;

/// Kinds of garbage.
pub(super) const SHAPES: u32 = 10;

/// The bytes of one shape, in the pieces in which they are sent. No shape is a whole and valid CONNECT: who sends them has
/// no session at the end.
pub(super) fn garbage(shape: u32, client_id: &str, rng: &mut Rng) -> Vec<Bytes> {
    let connect = encoded(&Packet::Connect(Connect::new(client_id)));
    let publish = encoded(&Packet::Publish(numbered(client_id)));
    match shape % SHAPES {
        // Noise.
        0 => vec![noise(rng, 512).into()],
        // A length that has no end.
        1 => vec![Bytes::from_static(&[0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])],
        // A length far above any limit, and then nothing.
        2 => vec![Bytes::from_static(&[0x30, 0xff, 0xff, 0xff, 0x7f])],
        // Half a CONNECT.
        3 => vec![connect.slice(..connect.len() / 2)],
        // Other packets than CONNECT first.
        4 => vec![publish],
        5 => {
            vec![encoded(&Packet::PingReq), encoded(&Packet::Subscribe(Subscribe::new("#", QoS::AtMostOnce)))]
        }
        // A protocol that is none.
        6 => vec![Bytes::from_static(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")],
        // A CONNECT with another protocol level.
        7 => vec![changed(&connect, 8, 0x2a)],
        // A CONNECT whose reserved flag is set.
        8 => vec![changed(&connect, 9, 0xff)],
        // A CONNECT whose client id is longer than the packet.
        _ => vec![changed(&connect, 12, 0xff)],
    }
}

fn numbered(client_id: &str) -> Publish {
    let mut publish = Publish::new(format!("tenant/nobody/device/{client_id}/data"), QoS::AtLeastOnce, "{}");
    publish.pkid = 1;
    publish
}

fn changed(packet: &Bytes, at: usize, to: u8) -> Bytes {
    let mut bytes = packet.to_vec();
    bytes[at] = to;
    bytes.into()
}

fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = rng.random_range(1..=most);
    // Never the first byte of a CONNECT: what follows could be one.
    let mut bytes: Vec<u8> = (0..length).map(|_| rng.random_range(0..=u8::MAX)).collect();
    if bytes[0] >> 4 == 1 {
        bytes[0] = 0;
    }
    bytes
}
