//! A connection of somebody who is no device: raw bytes to the broker, and what it answers.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use rumqttc::{Connect, LastWill, Packet};

use super::super::conn::Conn;
use super::super::network;
use super::super::spec::Network;
use crate::world::clock;
use crate::world::seed::Rng;

/// Largest packet that is read.
const PACKET_BYTES_MAX: usize = 256 * 1024;

/// What the broker says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// A packet.
    Packet(Packet),
    /// It ended the connection.
    Closed,
    /// Nothing in the time.
    Nothing,
}

/// An open connection.
pub(super) struct Line {
    conn: Conn,
    inbound: BytesMut,
}

impl Line {
    /// Opens a connection with a certificate; nothing when the handshake is refused.
    pub(super) async fn open(broker: SocketAddr, certificate_id: &str, rng: Rng) -> Option<Line> {
        let line = network::Line::plain(Network::Ethernet);
        let conn = Conn::connect(broker, certificate_id, line, rng, None).await.ok()?;
        Some(Line { conn, inbound: BytesMut::new() })
    }

    /// Sends bytes.
    pub(super) async fn send(&mut self, bytes: impl Into<Bytes>) {
        let mut bytes = Some(bytes.into());
        poll_fn(|cx| {
            if let Some(bytes) = bytes.take() {
                self.conn.send(cx, bytes);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Sends a packet.
    pub(super) async fn say(&mut self, packet: &Packet) {
        self.send(encoded(packet)).await;
    }

    /// Waits for the next packet, `within` at most.
    pub(super) async fn next(&mut self, within: Duration) -> Heard {
        let Line { conn, inbound } = self;
        let heard = poll_fn(|cx| {
            loop {
                match Packet::read(inbound, PACKET_BYTES_MAX) {
                    Ok(packet) => return Poll::Ready(Heard::Packet(packet)),
                    Err(rumqttc::Error::InsufficientBytes(_)) => {}
                    Err(_) => return Poll::Ready(Heard::Closed),
                }
                let before = inbound.len();
                match conn.poll_receive(cx, |chunk| inbound.extend_from_slice(chunk)) {
                    Poll::Ready(_) if inbound.len() == before => return Poll::Ready(Heard::Closed),
                    Poll::Pending if inbound.len() == before => return Poll::Pending,
                    _ => {}
                }
            }
        });
        match select(heard, pin!(clock::sleep(within))).await {
            Either::Left((heard, _)) => heard,
            Either::Right(((), _)) => Heard::Nothing,
        }
    }

    /// Connects as a client. Answers whether the broker takes it.
    pub(super) async fn connect(&mut self, client_id: &str, will: Option<LastWill>, within: Duration) -> bool {
        let mut connect = Connect::new(client_id);
        connect.keep_alive = 60;
        connect.clean_session = true;
        connect.last_will = will;
        self.say(&Packet::Connect(connect)).await;
        let answer = self.next(within).await;
        matches!(answer, Heard::Packet(Packet::ConnAck(ack)) if ack.code == rumqttc::ConnectReturnCode::Success)
    }
}

/// The bytes of a packet.
pub(super) fn encoded(packet: &Packet) -> Bytes {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).expect("packets of an intruder are far smaller than MQTT allows");
    bytes.freeze()
}
