//! What goes into a session, and what comes out of it.

use bytes::{Bytes, BytesMut};

use super::super::join::Step;
use super::super::payload::write_stamp;

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection that was asked for is open.
    Connected,
    /// The connection is gone, or could not be opened.
    Disconnected,
    /// Bytes arrived.
    Bytes(&'a [u8]),
    /// Time passed, or a reading was queued.
    Tick,
}

/// What a session asks of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a connection.
    Connect,
    /// Close the connection.
    Close,
}

/// What a session reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The broker accepted the session.
    Accepted {
        /// Whether it goes on with the session of an earlier connection.
        resumed: bool,
    },
    /// All subscriptions are in force.
    Listening {
        /// Whether they are new: otherwise they belong to the session that goes on.
        anew: bool,
    },
    /// The broker refused a subscription. It is asked for again.
    NotListening {
        /// The topic filter.
        filter: Box<str>,
    },
    /// A message arrived. It is acknowledged in the same step.
    Received {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Bytes,
    },
    /// A device that joins by itself took a step.
    Joining(Step),
    /// A connect failed, or a connection was lost.
    Lost {
        /// Why, in plain words.
        reason: &'static str,
    },
    /// A message was handed to the connection.
    Sent {
        /// Which.
        message: Message,
        /// Payload.
        payload: Bytes,
        /// The device's clock that its payload says, where it says one.
        sent_at_ms: Option<u64>,
    },
    /// A message was acknowledged, and is forgotten.
    Acknowledged {
        /// Which.
        message: Message,
    },
    /// A message was given up: the queue was full, or it is not to be sent again.
    Dropped {
        /// Which.
        message: Message,
    },
}

/// The payload of a message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    is_open: bool,
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Payload { bytes, is_open: false }
    }
}

impl Payload {
    /// A payload whose last member is the device's clock when it is handed to the network.
    pub fn open(bytes: Bytes) -> Self {
        Payload { bytes, is_open: true }
    }

    /// The bytes to send when the device's clock says `now_ms`.
    pub(super) fn handed_over(&self, now_ms: u64) -> Bytes {
        if !self.is_open {
            return self.bytes.clone();
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() + 32);
        bytes.extend_from_slice(&self.bytes);
        write_stamp(&mut bytes, now_ms);
        bytes.into()
    }

    /// Whether the clock is part of it.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }
}

/// What a device publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A reading, by its sequence number.
    Reading(u64),
    /// A reading that is published once more beside itself.
    Copy(u64),
    /// A message that is no reading, by its number in the truth.
    Stray(u32),
    /// A message above the broker's limit. It is sent once: it goes with its connection.
    Oversized,
    /// A message on a topic of its own, by its number. It goes before readings that wait, and never gives way.
    Note(u64),
}

/// Outputs of steps, gathered until they are carried out.
#[derive(Debug, Default)]
pub struct Outputs {
    /// For the connection: what to do. The latest command counts.
    pub command: Option<Command>,
    /// Bytes to send, before `command` is carried out.
    pub send: BytesMut,
    /// Reports, in order.
    pub events: Vec<SessionEvent>,
}
