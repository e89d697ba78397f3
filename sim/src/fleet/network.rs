//! Access networks: how long a message takes between a device and AWS's edge, and how often connections drop.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand_distr::{Exp1, StandardNormal};

use super::plan::DevicePlan;
use super::spec::Network;
use super::twin::Coverage;
use crate::world::seed::Rng;
use crate::world::time::Time;

/// What one access network does to packets and connections.
///
/// Latency is log-normal and drawn for each packet and direction. A lost packet is a wait for its retransmission. Bytes that
/// the line cannot pass at once wait for those before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkProfile {
    /// Median time one way.
    pub median: Duration,
    /// Standard deviation of the logarithm of the time one way.
    pub spread: f64,
    /// Longest time one way, without retransmissions: the far tail of a log-normal is not a property of any network.
    pub longest: Duration,
    /// How likely a packet is lost.
    pub loss: f64,
    /// Bytes a second that the line passes to the broker and from it; nothing where it is wider than a device needs.
    pub bytes_per_s: Option<[f64; 2]>,
    /// Mean time between drops of a connection; nothing where only faults end connections.
    pub disconnects: Option<Duration>,
}

/// Ethernet, Wi-Fi and LTE: a nearby Region and an unloaded line; all their figures are assumptions. They lose nothing, pass
/// what a device sends at once and drop no connection: that is for faults (`access`) and for the scenario key
/// `disconnects`.
///
/// NB-IoT: at most 10 s, the latency that exception reports may have at the edge of coverage (3GPP TR 45.820, maximum
/// coupling loss of 164 dB); peak rates of Cat-NB1 in Release 13, about 62 kbit/s up and 26 kbit/s down. Median, spread, loss
/// and drops are assumptions.
///
/// Satellite, geostationary: one hop takes 240 to 279 ms by the speed of light alone (RFC 2488, section 2), and round trips
/// of about 600 ms are measured (G. Huston, \"Using LEOs and GEOs\", APNIC Labs, 2022). Spread, loss, rates and drops are
/// assumptions.
const PROFILES: &[(Network, NetworkProfile)] = &[
    (Network::Ethernet, clean(6, 0.10)),
    (Network::Wifi, clean(9, 0.35)),
    (Network::Lte, clean(30, 0.40)),
    (
        Network::NbIot,
        NetworkProfile {
            median: Duration::from_millis(700),
            spread: 0.50,
            longest: Duration::from_secs(10),
            loss: 0.01,
            bytes_per_s: Some([62_000.0 / 8.0, 26_000.0 / 8.0]),
            disconnects: Some(Duration::from_secs(6 * 3_600)),
        },
    ),
    (
        Network::Satellite,
        NetworkProfile {
            median: Duration::from_millis(300),
            spread: 0.08,
            longest: Duration::from_secs(2),
            loss: 0.005,
            bytes_per_s: Some([128_000.0 / 8.0, 512_000.0 / 8.0]),
            disconnects: Some(Duration::from_secs(2 * 3_600)),
        },
    ),
];

const fn clean(median_ms: u64, spread: f64) -> NetworkProfile {
    NetworkProfile {
        median: Duration::from_millis(median_ms),
        spread,
        longest: Duration::from_millis(20 * median_ms),
        loss: 0.0,
        bytes_per_s: None,
        disconnects: None,
    }
}

/// Headers of a packet: IPv4 and TCP without options (RFC 791, RFC 9293).
const HEADER_BYTES: f64 = 40.0;
/// Shortest wait for a retransmission: Linux's.
const RETRANSMISSION_MIN: Duration = Duration::from_millis(200);
/// A packet is lost so many times in a row at most.
const LOSSES_MAX: u32 = 6;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the device to the broker.
    Up,
    /// From the broker to the device.
    Down,
}

impl NetworkProfile {
    /// The profile of a network.
    pub fn of(network: Network) -> Self {
        let row = PROFILES.iter().find(|(name, _)| *name == network);
        row.map(|(_, profile)| *profile).expect("every network has a row in the table")
    }

    /// Draws the time that one message takes one way.
    pub fn one_way(&self, rng: &mut Rng) -> Duration {
        let normal: f64 = rng.sample(StandardNormal);
        self.median.mul_f64((self.spread * normal).exp()).min(self.longest)
    }

    /// The first wait for a retransmission: a round trip and four times its variation (RFC 6298).
    fn retransmission(&self) -> Duration {
        (self.median * 2).mul_f64(1.0 + 4.0 * self.spread).max(RETRANSMISSION_MIN)
    }

    /// Draws how long the retransmissions of one packet take. Each further loss doubles the wait. Nothing is drawn where
    /// nothing is lost.
    fn retransmissions(&self, rng: &mut Rng) -> Duration {
        let mut takes = Duration::ZERO;
        for nth in 0..LOSSES_MAX {
            if self.loss == 0.0 || rng.random_range(0.0..1.0) >= self.loss {
                break;
            }
            takes += self.retransmission() * (1 << nth);
        }
        takes
    }
}

/// The line of one device.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) profile: NetworkProfile,
    /// Where the device has no network, when that is a matter of where it is.
    coverage: Option<Arc<Coverage>>,
    /// When the line has passed all that was given to it, by way.
    free_at: [Time; 2],
}

impl Line {
    /// A line of a network that is always there.
    pub(super) fn plain(network: Network) -> Self {
        Line { profile: NetworkProfile::of(network), coverage: None, free_at: [Time::EPOCH; 2] }
    }

    /// The line of a device that moves as `coverage` says.
    pub(super) fn of(plan: &DevicePlan, coverage: Option<Arc<Coverage>>) -> Self {
        let mut line = Line { coverage, ..Line::plain(plan.network) };
        line.profile.disconnects = plan.disconnects.or(line.profile.disconnects);
        line
    }

    /// The line in peace: the network drops no connection, and is there wherever the device is. What hardship has left
    /// behind could not be told from what goes on for ever.
    pub(super) fn in_peace(mut self) -> Self {
        self.profile.disconnects = None;
        self.coverage = None;
        self
    }

    /// Draws how long a packet of so many bytes takes that is sent now.
    pub(super) fn takes(&mut self, now: Time, way: Way, bytes: usize, rng: &mut Rng) -> Duration {
        let mut takes = self.profile.one_way(rng) + self.profile.retransmissions(rng);
        if let Some(bytes_per_s) = self.profile.bytes_per_s {
            let free_at = &mut self.free_at[way as usize];
            let passes = Duration::from_secs_f64((bytes as f64 + HEADER_BYTES) / bytes_per_s[way as usize]);
            *free_at = (*free_at).max(now) + passes;
            takes += free_at.since(now);
        }
        takes
    }

    /// Draws how long a connection lasts until it drops. Nothing is drawn where none does.
    pub(super) fn lasts(&self, rng: &mut Rng) -> Option<Duration> {
        let mean = self.profile.disconnects?;
        let drawn: f64 = rng.sample(Exp1);
        Some(mean.mul_f64(drawn))
    }

    /// Until when there is no network.
    pub(super) fn away_until(&self, now: Time) -> Option<Time> {
        self.coverage.as_ref()?.away_until(now)
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
            assert!(drawn[2_000] > drawn[0] && drawn[2_000] <= profile.longest, "{name}");
        }
    }

    #[test]
    fn lost_packets_wait_for_their_retransmission_as_often_as_the_profile_says() {
        for (name, network) in Network::ALL {
            let mut rng = Seed::root(2).rng();
            let profile = NetworkProfile::of(network);
            let waits: Vec<Duration> = (0..20_000).map(|_| profile.retransmissions(&mut rng)).collect();
            let lost = waits.iter().filter(|wait| **wait > Duration::ZERO).count() as f64 / 20_000.0;
            assert!((lost - profile.loss).abs() <= 0.25 * profile.loss, "{name}: {lost} is not {}", profile.loss);
            assert!(waits.iter().all(|wait| wait.is_zero() || *wait >= profile.retransmission()), "{name}");
        }
    }

    #[test]
    fn bytes_wait_for_those_before_them_and_each_way_has_its_own_rate() {
        let mut rng = Seed::root(3).rng();
        let now = Time::from_unix_secs(100);
        let mut nb_iot = Line::plain(Network::NbIot);
        for _ in 0..10 {
            nb_iot.takes(now, Way::Up, 735, &mut rng);
            nb_iot.takes(now, Way::Down, 285, &mut rng);
        }
        // 775 bytes at 7,750 bytes a second, and 325 at 3,250.
        assert_eq!(nb_iot.free_at, [now + Duration::from_secs(1); 2]);
        let takes = nb_iot.takes(now, Way::Up, 735, &mut rng);
        assert!(takes > Duration::from_millis(1_100), "{takes:?}");
        let mut lte = Line::plain(Network::Lte);
        lte.takes(now, Way::Up, 1_000_000, &mut rng);
        assert_eq!(lte.free_at, [Time::EPOCH; 2]);
    }

    #[test]
    fn connections_last_as_long_as_the_profile_says_in_the_mean() {
        let mut rng = Seed::root(4).rng();
        let satellite = Line::plain(Network::Satellite);
        let lasted = (0..4_000).map(|_| satellite.lasts(&mut rng).expect("it drops").as_secs_f64());
        let ratio = lasted.sum::<f64>() / 4_000.0 / 7_200.0;
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
        assert_eq!(Line::plain(Network::Lte).lasts(&mut rng), None);
    }
}
