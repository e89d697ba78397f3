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
    /// Events of the registry are to be published.
    RegistryEvents,
    /// The certificate of a connection may not be active any more.
    Certificate(u64),
}

impl Wakeup {
    /// The wake-up as a token of the account's timers.
    pub fn token(self) -> u64 {
        match self {
            Wakeup::KeepAlive(connection) => connection << 2,
            Wakeup::Resume(connection) => (connection << 2) | 1,
            Wakeup::Retry(queue) => (queue << 2) | 2,
            Wakeup::RegistryEvents => 3,
            Wakeup::Certificate(connection) => ((connection + 1) << 2) | 3,
        }
    }

    /// The wake-up of a token.
    pub fn of(token: u64) -> Wakeup {
        let id = token >> 2;
        match token & 3 {
            0 => Wakeup::KeepAlive(id),
            1 => Wakeup::Resume(id),
            2 => Wakeup::Retry(id),
            _ if id == 0 => Wakeup::RegistryEvents,
            _ => Wakeup::Certificate(id - 1),
        }
    }
}
