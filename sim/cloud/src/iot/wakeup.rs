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
}

impl Wakeup {
    /// The wake-up as a token of the account's timers.
    pub fn token(self) -> u64 {
        match self {
            Wakeup::KeepAlive(connection) => connection << 2,
            Wakeup::Resume(connection) => (connection << 2) | 1,
            Wakeup::Retry(queue) => (queue << 2) | 2,
            Wakeup::RegistryEvents => 3,
        }
    }

    /// The wake-up of a token; `None` when it is none of this service's.
    pub fn of(token: u64) -> Option<Wakeup> {
        let id = token >> 2;
        match token & 3 {
            0 => Some(Wakeup::KeepAlive(id)),
            1 => Some(Wakeup::Resume(id)),
            2 => Some(Wakeup::Retry(id)),
            _ => (id == 0).then_some(Wakeup::RegistryEvents),
        }
    }
}
