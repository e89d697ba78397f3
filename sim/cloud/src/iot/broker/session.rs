//! What the broker keeps for a connection, for a session and for a client id.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::packet::{Version, reason};
use crate::core::{Deferred, TokenBucket};
use crate::iot::message::{Posted, Properties};
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
    pub(super) session: Option<SessionId>,
}

impl Connection {
    pub(super) fn new(certificate: Arc<str>, ip: &str) -> Self {
        Connection { certificate, ip: ip.into(), pending: BytesMut::new(), paused: false, session: None }
    }
}

/// Which session: its place in [`Sessions`]. The place of a session that ended is given to a later one.
pub(super) type SessionId = usize;

/// All sessions, of clients that are connected and of those that left a persistent one.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    places: Vec<Option<Box<Session>>>,
    free: Vec<SessionId>,
}

impl Sessions {
    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.places.get(id)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.places.get_mut(id)?.as_deref_mut()
    }

    pub(super) fn add(&mut self, session: Session) -> SessionId {
        let session = Some(Box::new(session));
        match self.free.pop() {
            Some(id) => {
                self.places[id] = session;
                id
            }
            None => {
                self.places.push(session);
                self.places.len() - 1
            }
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let session = self.places.get_mut(id)?.take()?;
        self.free.push(id);
        Some(session)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.places.iter_mut().flatten().map(Box::as_mut)
    }
}

/// A session: it ends with its connection when it is clean, and outlives it when it is persistent.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Arc<str>,
    pub(super) version: Version,
    /// How long it outlives its connection; zero for a clean one.
    pub(super) expiry: Duration,
    /// Messages in and out; counts those for an offline session, too.
    pub(super) publishes: TokenBucket,
    /// By filter as the client wrote it, with `$share/` where it is shared.
    pub(super) subscriptions: BTreeMap<Arc<str>, Grant>,
    pub(super) outbound: Outbound,
    /// While the client is connected.
    pub(super) live: Option<Box<Live>>,
    /// When it ends, while the client is not connected.
    pub(super) ends: Option<Time>,
}

/// What was granted to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) as_published: bool,
}

impl Grant {
    /// In one number, of which the greatest wins where several filters of a session match.
    pub(super) fn bits(self) -> u8 {
        self.qos << 2 | u8::from(self.as_published) << 1 | u8::from(!self.no_local)
    }

    pub(super) fn of(bits: u8) -> Self {
        Grant { qos: bits >> 2, as_published: bits & 2 != 0, no_local: bits & 1 == 0 }
    }
}

/// The connection of a session.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: u64,
    pub(super) certificate: Arc<str>,
    pub(super) ip: Box<str>,
    pub(super) permissions: Permissions,
    pub(super) last_packet: Time,
    /// One and a half times the keep-alive.
    pub(super) silence_max: Duration,
    pub(super) throughput: TokenBucket,
    /// Topics by alias, from 1.
    pub(super) aliases: Vec<Option<Arc<str>>>,
    /// Most messages of QoS 1 that the client has not acknowledged.
    pub(super) window: usize,
    /// Largest packet that the client takes.
    pub(super) packet_max: usize,
    pub(super) will: Option<Box<Posted>>,
    pub(super) since: Time,
    /// Names this connection in lifecycle events.
    pub(super) identifier: Box<str>,
    pub(super) version_number: u64,
    /// The thing that its certificate is attached to exclusively.
    pub(super) thing: Option<Arc<str>>,
}

/// A message that is kept for a session or a shared group.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) since: Time,
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
    pub(super) properties: Option<Arc<Properties>>,
}

impl Kept {
    /// When the message expires, if it does.
    pub(super) fn expires(&self) -> Option<Time> {
        let seconds = self.properties.as_ref()?.expiry_s?;
        Some(self.since + Duration::from_secs(u64::from(seconds)))
    }

    pub(super) fn has_expired(&self, now: Time) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }
}

/// A message that was sent and is not acknowledged.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) message: Kept,
    /// When it was sent first and last on this connection.
    pub(super) first: Time,
    pub(super) last: Time,
    /// Who waits for the acknowledgement, and until when: SendDirectMessage.
    pub(super) awaited: Option<(Deferred, Time)>,
}

/// What is sent to a client with QoS 1.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    pub(super) last_id: u16,
    pub(super) unacknowledged: BTreeMap<u16, Sent>,
    /// Messages behind a full window.
    pub(super) waiting: VecDeque<Kept>,
    /// Messages that came while the client was not connected, or that it had not acknowledged.
    pub(super) stored: VecDeque<Kept>,
    /// When the next stored one goes out.
    pub(super) replay: Option<Time>,
    /// When what is not acknowledged is looked through.
    pub(super) look: Option<Time>,
}

impl Outbound {
    /// A packet id that is not in use.
    pub(super) fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.unacknowledged.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// What is known of a client id.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Option<SessionId>,
    pub(super) connects: TokenBucket,
    /// Rate of calls about its connection.
    pub(super) calls: TokenBucket,
    /// Of its latest connection.
    pub(super) version_number: Option<u64>,
    pub(super) left: Option<Left>,
}

impl Client {
    /// The version number of a new connection: it grows, and begins again after about an hour without one.
    pub(super) fn next_version(&mut self, now: Time, resumes: bool) -> u64 {
        let since = self.left.take().map_or(0, |left| now.since(left.at).as_secs());
        let forgotten = since >= super::REMEMBERED_S && !resumes;
        let number = self.version_number.filter(|_| !forgotten).map_or(0, |number| number + 1);
        self.version_number = Some(number);
        number
    }
}

/// How the latest connection of a client ended.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) at: Time,
    pub(super) reason: &'static str,
    pub(super) expiry: Duration,
}

/// Why a connection ends. Names are AWS's disconnect reasons, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disconnect {
    /// The client said goodbye, and asks for its will or does not.
    ClientInitiated {
        will: bool,
    },
    /// With the reason code of MQTT 5.
    ClientError(u8, &'static str),
    ConnectionLost,
    DuplicateClientId,
    KeepAliveTimeout,
    AuthError(&'static str),
    Throttled(&'static str),
    /// DeleteConnection.
    ApiInitiated {
        will: bool,
    },
    /// The CONNECT was refused; the event of the refusal says why.
    Refused,
}

impl Disconnect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Disconnect::ClientInitiated { .. } => "CLIENT_INITIATED_DISCONNECT",
            Disconnect::ClientError(..) => "CLIENT_ERROR",
            Disconnect::ConnectionLost => "CONNECTION_LOST",
            Disconnect::DuplicateClientId => "DUPLICATE_CLIENTID",
            Disconnect::KeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Disconnect::AuthError(_) => "AUTH_ERROR",
            Disconnect::Throttled(_) => "THROTTLED",
            Disconnect::ApiInitiated { .. } => "API_INITIATED_DISCONNECT",
            Disconnect::Refused => "refused",
        }
    }

    pub(super) fn detail(self) -> &'static str {
        match self {
            Disconnect::ClientError(_, detail) | Disconnect::AuthError(detail) | Disconnect::Throttled(detail) => {
                detail
            }
            _ => "",
        }
    }

    /// Whether the will of the connection is published. Source: "Lifecycle events" of the IoT Core guide.
    pub(super) fn sends_will(self) -> bool {
        match self {
            Disconnect::ClientInitiated { will } | Disconnect::ApiInitiated { will } => will,
            _ => true,
        }
    }

    /// The reason code of the broker's goodbye to a client of MQTT 5, if it says one.
    pub(super) fn code(self) -> Option<u8> {
        Some(match self {
            Disconnect::ClientInitiated { .. } | Disconnect::ConnectionLost | Disconnect::Refused => return None,
            Disconnect::ClientError(code, _) => code,
            Disconnect::DuplicateClientId => reason::SESSION_TAKEN_OVER,
            Disconnect::KeepAliveTimeout => reason::KEEP_ALIVE_TIMEOUT,
            Disconnect::AuthError(_) => reason::NOT_AUTHORIZED,
            Disconnect::Throttled(_) => reason::QUOTA_EXCEEDED,
            Disconnect::ApiInitiated { .. } => reason::ADMINISTRATIVE,
        })
    }
}
