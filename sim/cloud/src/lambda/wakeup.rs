//! What the service can be woken for.

/// A reason to be woken. Its token is (id, kind) in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wakeup {
    /// A poller has something to do.
    Poller(usize),
    /// An event is to be tried.
    Event(u64),
    /// Functions are to be run that a service waits for.
    Calls,
}

/// The token of [`Wakeup::Calls`]: so many events there never are.
const CALLS: u64 = u64::MAX;

impl Wakeup {
    /// The wake-up as a token of the account's timers.
    pub fn token(self) -> u64 {
        match self {
            Wakeup::Poller(index) => (index as u64) << 1,
            Wakeup::Event(id) => (id << 1) | 1,
            Wakeup::Calls => CALLS,
        }
    }

    /// The wake-up of a token.
    pub fn of(token: u64) -> Wakeup {
        if token == CALLS {
            return Wakeup::Calls;
        }
        match token & 1 {
            0 => Wakeup::Poller(usize::try_from(token >> 1).expect("positions in a list fit into memory")),
            _ => Wakeup::Event(token >> 1),
        }
    }
}
