//! What a fleet's joining came to.

use std::time::Duration;

use super::join::Step;
use crate::world::time::Time;

/// How devices joined so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// Devices that join by themselves.
    pub devices: u64,
    /// How long each took that has joined, from its power to its registration, in ms and in the order of their joining.
    pub took_ms: Vec<u64>,
    /// Requests that a rate of the account refused.
    pub throttled: u64,
    /// Devices of which at least one request was refused by a rate.
    pub throttled_devices: u64,
    /// Requests that were refused for another reason.
    pub refused: u64,
}

impl Joins {
    /// Counts a step of a device that got power at `power_at`. `throttled_before` is whether a rate has refused one of its
    /// requests before.
    pub(super) fn count(&mut self, now: Time, power_at: Time, throttled_before: bool, step: &Step) {
        match step {
            Step::Joined { .. } => {
                let took = now.since(power_at);
                self.took_ms.push(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            }
            Step::Refused { throttled: true, .. } => {
                self.throttled += 1;
                self.throttled_devices += u64::from(!throttled_before);
            }
            Step::Refused { .. } => self.refused += 1,
            Step::Claimed | Step::Got { .. } => {}
        }
    }

    /// The time that a share (0 to 1) of those who joined took at most; nothing when nobody did.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.took_ms.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share.clamp(0.0, 1.0)).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_devices_that_joined() {
        let joins = Joins { took_ms: (1..=200).rev().collect(), ..Joins::default() };
        let of = |share| joins.quantile(share).map(|took| took.as_millis());
        assert_eq!((of(0.5), of(0.99), of(1.0), of(0.0)), (Some(100), Some(198), Some(200), Some(1)));
        assert_eq!(Joins::default().quantile(0.5), None);
    }
}
