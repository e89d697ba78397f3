//! The Region is out: no service answers, and nothing happens by itself.
//!
//! Contract: calls of functions, and calls between services, are refused with the service's internal error and have no
//! effect; timers of services (pollers, deliveries, retries of rules) stand still. What services hold, they keep. Oracles
//! and whoever deploys are outside of it, as of every fault; the connections of devices are the network's part.

use super::Kind;
use super::plane::{Faults, Opportunity};
use crate::world::time::Time;

/// Whether the Region is out.
pub fn is_out(faults: &Faults, now: Time) -> bool {
    faults.holds(now, Kind::RegionOutage, &Opportunity::default()).is_some()
}
