//! How many devices are connected, and how long it takes until all of them are again.

use std::sync::Mutex;
use std::time::Duration;

use super::runner::lock;
use crate::world::time::Time;

#[derive(Debug, Default)]
struct State {
    online: usize,
    /// When the first device was lost since all were connected.
    since: Option<Time>,
    were_all_online: bool,
    longest: Duration,
}

/// The connections of a fleet.
#[derive(Debug)]
pub(super) struct Outage {
    devices: usize,
    state: Mutex<State>,
}

impl Outage {
    pub fn new(devices: usize) -> Self {
        Outage { devices, state: Mutex::default() }
    }

    /// A device's session is accepted.
    pub fn came_online(&self, now: Time) {
        let mut state = lock(&self.state);
        state.online += 1;
        if state.online == self.devices {
            state.were_all_online = true;
            if let Some(since) = state.since.take() {
                state.longest = state.longest.max(now.since(since));
            }
        }
    }

    /// A device lost its connection; one without power counts from its return.
    pub fn went_offline(&self, now: Time) {
        let mut state = lock(&self.state);
        state.online -= 1;
        if state.were_all_online {
            state.since.get_or_insert(now);
        }
    }

    /// The longest time from the first loss of a connection until all devices were connected again; zero when there was
    /// none.
    pub fn longest(&self) -> Duration {
        lock(&self.state).longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_first_loss_until_all_are_back() {
        let (outage, at) = (Outage::new(2), Time::from_unix_secs);
        outage.came_online(at(1));
        outage.went_offline(at(2));
        outage.came_online(at(8));
        outage.came_online(at(9));
        assert_eq!(outage.longest(), Duration::ZERO, "not all had been there before");
        outage.went_offline(at(20));
        outage.went_offline(at(25));
        outage.came_online(at(30));
        assert_eq!(outage.longest(), Duration::ZERO);
        outage.came_online(at(33));
        outage.went_offline(at(40));
        outage.came_online(at(41));
        assert_eq!(outage.longest(), Duration::from_secs(13));
    }
}
