//! What the service can be woken for.

/// A reason to be woken. Its token is (id, kind) in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// A connection may have been silent for too long.
    KeepAlive(u64),
    /// A connection may go on after its bytes were delayed.
    Resume(u64),
    /// A queue of results is to be tried again.
    Retry(u64),
    /// Messages of the service itself are to be published.
    Outbox,
    /// The certificate of a connection may not be active any more.
    Certificate(u64),
    /// Tokens of ownership of certificates may have ended.
    Ownership,
    /// A pre-provisioning hook has had its time.
    Hook(u64),
    /// Something of an MQTT session may be due: its end, a stored message, a message that is not acknowledged.
    Session(u64),
    /// Queued messages of a shared group may go out.
    Shared(u64),
}

/// Bits of a token that say the kind.
const KIND_BITS: u32 = 4;

impl Wakeup {
    /// The wake-up as a token of the account's timers.
    pub fn token(self) -> u64 {
        let (kind, id) = match self {
            Wakeup::KeepAlive(connection) => (0, connection),
            Wakeup::Resume(connection) => (1, connection),
            Wakeup::Retry(queue) => (2, queue),
            Wakeup::Outbox => (3, 0),
            Wakeup::Certificate(connection) => (4, connection),
            Wakeup::Ownership => (8, 0),
            Wakeup::Hook(ticket) => (9, ticket),
            Wakeup::Session(session) => (5, session),
            Wakeup::Shared(group) => (6, group),
        };
        (id << KIND_BITS) | kind
    }

    /// The wake-up of a token.
    pub fn of(token: u64) -> Wakeup {
        let id = token >> KIND_BITS;
        match token & ((1 << KIND_BITS) - 1) {
            0 => Wakeup::KeepAlive(id),
            1 => Wakeup::Resume(id),
            2 => Wakeup::Retry(id),
            3 => Wakeup::Outbox,
            4 => Wakeup::Certificate(id),
            8 => Wakeup::Ownership,
            9 => Wakeup::Hook(id),
            5 => Wakeup::Session(id),
            6 => Wakeup::Shared(id),
            other => unreachable!("the token {token} has the unknown kind {other}"),
        }
    }
}
