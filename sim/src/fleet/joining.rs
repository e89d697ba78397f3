//! What the driver of a device keeps while the device joins, and what it reports of that.

use std::time::Duration;

use rand::RngExt as _;

use super::driver::Device;
use super::join::{Join, REST, Step};
use super::plan::DevicePlan;
use super::runner::{Shared, lock};
use crate::world::seed::Rng;
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// A device that has not joined yet.
pub(super) struct Joining {
    pub(super) join: Join,
    power_at: Time,
    throttled: bool,
}

impl Joining {
    /// The joining of a device that gets power at `power_at`; nothing when its owner has registered it.
    ///
    /// # Panics
    /// When the device joins and nobody gave it a claim: a bug of the run.
    pub(super) fn of(plan: &DevicePlan, power_at: Time) -> Option<Box<Self>> {
        let claim = plan.join.as_ref()?.claim.clone().expect("a device that joins was given a claim");
        Some(Box::new(Joining { join: Join::new(claim, &plan.id, power_at), power_at, throttled: false }))
    }
}

/// How long a device that has joined rests before it connects as itself.
pub(super) fn rest(rng: &mut Rng) -> Duration {
    REST + REST.mul_f64(rng.random_range(0.0..1.0))
}

impl Device {
    /// Writes a step of joining into the trace and the counters. A device that has joined forgets how.
    pub(super) fn joined(&mut self, now: Time, shared: &Shared, step: &Step) {
        let (kind, fields): (_, [(&'static str, Field<'_>); 1]) = match step {
            Step::Claimed => ("claim", [("refused", "".into())]),
            Step::Got { certificate_id } => ("certificate", [("id", certificate_id.as_str().into())]),
            Step::Refused { code, .. } => ("join-refused", [("reason", code.as_str().into())]),
            Step::Joined { certificate_id } => ("joined", [("certificate", certificate_id.as_str().into())]),
        };
        shared.trace.event(Level::Call, now, &self.id, kind, "", &fields);
        let Some(joining) = &mut self.joining else { return };
        lock(&shared.joins).count(now, joining.power_at, joining.throttled, step);
        match step {
            Step::Refused { throttled, .. } => joining.throttled |= *throttled,
            Step::Joined { .. } => self.joining = None,
            Step::Claimed | Step::Got { .. } => {}
        }
    }
}
