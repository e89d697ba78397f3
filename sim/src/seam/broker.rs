//! Carries MQTT between devices and IoT Core: a listener on the broker's node, one task a connection.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::NodeHandle;

use super::handle::Cloud;
use crate::fleet::conn::{Conn, ConnWriter, server_handshake};

/// Where devices find the broker: `{prefix}-ats.iot.{region}.amazonaws.com`, port 8883.
pub const BROKER: &str = "10.0.0.1:8883";

/// Tasks that accept connections. madsim takes about a millisecond for each, and AWS takes far more than a thousand a second:
/// what bounds a storm of connects is the account's rate, not the listener.
const ACCEPTORS: usize = 32;

/// A hand on the wire between devices and the broker: whoever plants a bug sees all bytes, and may change them.
pub trait WireTamper: Send + Sync {
    /// Bytes of a device, before the broker sees them.
    fn to_broker<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        Cow::Borrowed(bytes)
    }

    /// Bytes of the broker, before the device sees them: whole packets.
    fn to_device<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        Cow::Borrowed(bytes)
    }
}

/// The sending half of one connection.
pub(super) struct Writer {
    conn: ConnWriter,
    tamper: Option<Arc<dyn WireTamper>>,
}

impl Writer {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        match &self.tamper {
            None => self.conn.send(bytes),
            Some(tamper) => self.conn.send(&tamper.to_device(bytes)),
        }
    }

    pub(super) fn close(&mut self) {
        self.conn.close();
    }
}

/// Listens at [`BROKER`] on `node`, which has that address, for as long as the node runs. What passes goes through the hands
/// of `tamper`.
pub fn serve(cloud: &Cloud, node: &NodeHandle, tamper: Option<Arc<dyn WireTamper>>) {
    let cloud = cloud.clone();
    node.spawn(async move {
        let listener = TcpListener::bind(BROKER).await;
        let listener = Arc::new(listener.expect("the broker's node has the address, and nothing else listens"));
        let connections = Arc::new(AtomicU64::new(0));
        for _ in 0..ACCEPTORS {
            madsim::task::spawn(accept(cloud.clone(), listener.clone(), connections.clone(), tamper.clone()));
        }
    });
}

/// Accepts connections for as long as the node runs, and numbers them.
async fn accept(
    cloud: Cloud,
    listener: Arc<TcpListener>,
    connections: Arc<AtomicU64>,
    tamper: Option<Arc<dyn WireTamper>>,
) {
    loop {
        let from = listener.accept().await.expect("a listener lasts as long as its node");
        let connection = connections.fetch_add(1, Ordering::Relaxed) + 1;
        madsim::task::spawn(carry(cloud.clone(), connection, from, tamper.clone()));
    }
}

/// Carries one connection from its handshake to its end. IoT Core hears of a connection once its certificate is known,
/// and of its end exactly once, whoever closed it.
async fn carry(
    cloud: Cloud,
    connection: u64,
    (stream, peer): (TcpStream, SocketAddr),
    tamper: Option<Arc<dyn WireTamper>>,
) {
    let mut conn = Conn::accepted(stream);
    let Ok(certificate) = server_handshake(&mut conn).await else { return };
    let ip = peer.ip().to_string();
    cloud.add_connection(connection, Writer { conn: conn.writer(), tamper: tamper.clone() });
    let opened = cloud.enter(|account, now| account.mqtt_open(now, connection, &certificate, &ip));
    if opened.is_ok() {
        conn.accept_certificate();
        // A reset is an end like any other: the device is gone.
        let received = conn.receive(|bytes| {
            let bytes = tamper.as_ref().map_or(Cow::Borrowed(bytes), |tamper| tamper.to_broker(bytes));
            cloud.enter(|account, now| account.mqtt_receive(now, connection, &bytes));
        });
        let _ = received.await;
        cloud.enter(|account, now| account.mqtt_closed(now, connection));
    }
    cloud.remove_connection(connection);
}
