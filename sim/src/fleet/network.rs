//! Access networks: how long a message takes between a device and AWS's edge.

use std::time::Duration;

use rand::RngExt as _;
use rand_distr::StandardNormal;

use super::spec::Network;
use crate::world::seed::Rng;

/// Latency of one access network: log-normal, drawn per message and direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkProfile {
    /// Median time one way.
    pub median: Duration,
    /// Standard deviation of the logarithm of the time one way.
    pub spread: f64,
}

/// All figures are assumptions, not measurements: a nearby Region and an unloaded line. Loss and bandwidth are those of
/// faults alone (`access`).
const PROFILES: &[(Network, NetworkProfile)] = &[
    (Network::Ethernet, NetworkProfile { median: Duration::from_millis(6), spread: 0.10 }),
    (Network::Wifi, NetworkProfile { median: Duration::from_millis(9), spread: 0.35 }),
    (Network::Lte, NetworkProfile { median: Duration::from_millis(30), spread: 0.40 }),
];

/// A message takes at most so many times the median: the far tail of a log-normal is not a property of any network.
const TAIL_MAX: f64 = 20.0;

impl NetworkProfile {
    /// The profile of a network.
    pub fn of(network: Network) -> Self {
        let row = PROFILES.iter().find(|(name, _)| *name == network);
        row.map(|(_, profile)| *profile).expect("every network has a row in the table")
    }

    /// Draws the time that one message takes one way.
    pub fn one_way(&self, rng: &mut Rng) -> Duration {
        let normal: f64 = rng.sample(StandardNormal);
        self.median.mul_f64((self.spread * normal).exp().min(TAIL_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::seed::Seed;

    #[test]
    fn half_of_the_messages_take_longer_than_the_median() {
        for (name, network) in Network::ALL {
            let profile = NetworkProfile::of(network);
            let mut rng = Seed::root(1).rng();
            let mut drawn: Vec<Duration> = (0..2_001).map(|_| profile.one_way(&mut rng)).collect();
            drawn.sort();
            let ratio = drawn[1_000].as_secs_f64() / profile.median.as_secs_f64();
            assert!((0.95..1.05).contains(&ratio), "{name}: the drawn median is {ratio} of the profile's");
            assert!(drawn[2_000] > drawn[0] && drawn[2_000] <= profile.median.mul_f64(TAIL_MAX), "{name}");
        }
    }
}
