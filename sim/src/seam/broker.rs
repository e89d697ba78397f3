//! Carries MQTT between devices and IoT Core: a listener on the broker's node, one task a connection.

use std::net::SocketAddr;

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::NodeHandle;

use super::handle::Cloud;
use crate::fleet::conn::{Conn, ConnWriter, server_handshake};

/// Where devices find the broker: `{prefix}-ats.iot.{region}.amazonaws.com`, port 8883.
pub const BROKER: &str = "10.0.0.1:8883";

/// The sending half of one connection.
pub(super) struct Writer(ConnWriter);

impl Writer {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
    }

    pub(super) fn close(&mut self) {
        self.0.close();
    }
}

/// Listens at [`BROKER`] on `node`, which has that address, for as long as the node runs.
pub fn serve(cloud: &Cloud, node: &NodeHandle) {
    let cloud = cloud.clone();
    node.spawn(async move {
        let listener =
            TcpListener::bind(BROKER).await.expect("the broker's node has the address, and nothing else listens");
        for connection in 1.. {
            let (stream, peer) = listener.accept().await.expect("a listener lasts as long as its node");
            madsim::task::spawn(carry(cloud.clone(), connection, stream, peer));
        }
    });
}

/// Carries one connection from its handshake to its end. IoT Core hears of a connection once its certificate is known,
/// and of its end exactly once, whoever closed it.
async fn carry(cloud: Cloud, connection: u64, stream: TcpStream, peer: SocketAddr) {
    let mut conn = Conn::accepted(stream);
    let Ok(certificate) = server_handshake(&mut conn).await else { return };
    let ip = peer.ip().to_string();
    cloud.add_connection(connection, Writer(conn.writer()));
    let opened = cloud.enter(|account, now| account.mqtt_open(now, connection, &certificate, &ip));
    if opened.is_ok() {
        conn.accept_certificate();
        // A reset is an end like any other: the device is gone.
        let _ = conn.receive(|bytes| cloud.enter(|account, now| account.mqtt_receive(now, connection, bytes))).await;
        cloud.enter(|account, now| account.mqtt_closed(now, connection));
    }
    cloud.remove_connection(connection);
}
