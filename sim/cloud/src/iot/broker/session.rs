//! What the broker keeps for a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::core::TokenBucket;
use crate::iot::policy::Permissions;
use world::time::Time;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) certificate: Arc<str>,
    pub(super) ip: Box<str>,
    /// Bytes that are no complete packet yet, or that have to wait.
    pub(super) pending: BytesMut,
    /// Whether the connection waits until its rate of bytes allows more.
    pub(super) paused: bool,
    /// Set by CONNECT.
    pub(super) session: Option<Session>,
}

impl Connection {
    pub(super) fn new(certificate: Arc<str>, ip: &str) -> Self {
        Connection { certificate, ip: ip.into(), pending: BytesMut::new(), paused: false, session: None }
    }
}

/// A clean session: it ends with its connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Arc<str>,
    pub(super) permissions: Permissions,
    pub(super) last_packet: Time,
    /// One and a half times the keep-alive.
    pub(super) silence_max: Duration,
    pub(super) publishes: TokenBucket,
    pub(super) throughput: TokenBucket,
    /// Filters with the QoS that was granted.
    pub(super) subscriptions: BTreeMap<Box<str>, u8>,
    pub(super) outbound: Outbound,
}

/// What is sent to a client with QoS 1.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    pub(super) last_id: u16,
    pub(super) unacknowledged: BTreeSet<u16>,
    /// Messages behind a full window.
    pub(super) waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) since: Time,
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
}

impl Outbound {
    /// A packet id that is not in use.
    pub(super) fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.unacknowledged.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// What is known of a client id.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: Option<u64>,
    pub(super) connects: TokenBucket,
}

/// Why a connection ends. Names are AWS's disconnect reasons, where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disconnect {
    ClientInitiated,
    ClientError(String),
    ConnectionLost,
    DuplicateClientId,
    KeepAliveTimeout,
    AuthError(&'static str),
    Throttled(&'static str),
    /// The CONNECT was refused; the event of the refusal says why.
    Refused,
    /// AWS can do this and the simulator cannot.
    NotModelled(&'static str),
}

impl Disconnect {
    pub(super) fn client_error(detail: &str) -> Self {
        Disconnect::ClientError(detail.to_owned())
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Disconnect::ClientInitiated => "CLIENT_INITIATED_DISCONNECT",
            Disconnect::ClientError(_) => "CLIENT_ERROR",
            Disconnect::ConnectionLost => "CONNECTION_LOST",
            Disconnect::DuplicateClientId => "DUPLICATE_CLIENTID",
            Disconnect::KeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Disconnect::AuthError(_) => "AUTH_ERROR",
            Disconnect::Throttled(_) => "THROTTLED",
            Disconnect::Refused => "refused",
            Disconnect::NotModelled(_) => "not modelled",
        }
    }

    pub(super) fn detail(&self) -> &str {
        match self {
            Disconnect::ClientError(detail) => detail,
            Disconnect::AuthError(detail) | Disconnect::Throttled(detail) | Disconnect::NotModelled(detail) => detail,
            _ => "",
        }
    }
}
