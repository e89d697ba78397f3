//! What goes into a session, and what comes out of it.

use bytes::{Bytes, BytesMut};

use super::super::join::Step;

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
