//! Faults that act on devices by themselves: restarts, losses of power, dead connections. One task a fault, on a node of
//! their own. What a stroke did is put right after `lasting`, when its window ends, and at the latest with hardship
//! ([`Acts::end`]).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::runtime::Handle;
use madsim::task::NodeId;

use super::driver::Wire;
use super::plan::DevicePlan;
use super::runner::{Shared, lock};
use crate::fault::{FaultSpec, Faults, Kind, Opportunity};
use crate::world::clock;

/// The kinds that act by themselves.
const KINDS: [Kind; 4] = [Kind::DeviceCrash, Kind::RebootLoop, Kind::PowerLoss, Kind::HalfOpen];
/// Interval of the restarts of a reboot loop unless a fault says another.
const REBOOT_EVERY: Duration = Duration::from_secs(20);

/// A device as acts see it.
pub(super) struct Body {
    pub(super) node: NodeId,
    pub(super) wire: Arc<Mutex<Wire>>,
    /// How many faults keep it without power.
    off: u32,
}

impl Body {
    pub(super) fn new(node: NodeId, wire: Arc<Mutex<Wire>>) -> Self {
        Body { node, wire, off: 0 }
    }
}

/// What acts on the devices of a run.
pub(super) struct Acts {
    shared: Arc<Shared>,
    bodies: Mutex<Vec<Body>>,
}

impl Acts {
    /// Whether there are faults that act by themselves.
    pub(super) fn are_in(faults: &Faults) -> bool {
        KINDS.iter().any(|kind| faults.has(*kind))
    }

    /// Starts a task for each fault that acts on devices by itself. Nothing when there is none.
    pub(super) fn start(shared: &Arc<Shared>, plan: &[DevicePlan], bodies: Vec<Body>) -> Option<Arc<Acts>> {
        let faults = &shared.faults;
        let mut aimed = Vec::new();
        for spec in KINDS.iter().flat_map(|kind| faults.of(*kind)) {
            let struck = (0u32..).zip(plan).filter(|(index, device)| {
                spec.target.fleet.as_ref().is_none_or(|fleet| **fleet == *device.fleet)
                    && faults.takes_in(&spec, u64::from(*index))
            });
            let devices: Vec<(u32, String)> = struck.map(|(index, device)| (index, device.id.clone())).collect();
            if !devices.is_empty() {
                aimed.push((spec, devices));
            }
        }
        if aimed.is_empty() {
            return None;
        }
        let acts = Arc::new(Acts { shared: shared.clone(), bodies: Mutex::new(bodies) });
        let node = Handle::current().create_node().name("device-faults").build();
        for (spec, devices) in aimed {
            node.spawn(acts.clone().act(spec, devices));
        }
        Some(acts)
    }

    async fn act(self: Arc<Self>, spec: Arc<FaultSpec>, devices: Vec<(u32, String)>) {
        let faults = &self.shared.faults;
        let (from, until) = (faults.begins_at(&spec), faults.ends_at(&spec));
        let (every, until) = match spec.kind {
            Kind::RebootLoop => {
                let end = spec.lasting.map_or(until, |lasting| until.min(from + lasting));
                (Some(spec.every.unwrap_or(REBOOT_EVERY)), end)
            }
            _ => (spec.every, until),
        };
        let mut next = from;
        loop {
            clock::sleep_until(next).await;
            if clock::now() >= until || faults.healed() {
                return;
            }
            for (index, id) in &devices {
                let at = Opportunity { index: u64::from(*index), subject: id, ..Opportunity::default() };
                faults.struck(clock::now(), &spec, &at);
                self.strike(spec.kind, *index);
            }
            if spec.kind == Kind::PowerLoss {
                let back = spec.lasting.map_or(until, |lasting| until.min(clock::now() + lasting));
                clock::sleep_until(back).await;
                devices.iter().for_each(|(index, _)| self.power_on(*index));
            }
            let Some(every) = every else { return };
            while next <= clock::now() {
                next += every.max(Duration::from_millis(1));
            }
        }
    }

    fn strike(&self, kind: Kind, index: u32) {
        let body = &mut lock(&self.bodies)[index as usize];
        match kind {
            Kind::PowerLoss => {
                body.off += 1;
                Handle::current().kill(body.node);
            }
            // A device without power does not restart, and its connection is dead already.
            _ if body.off > 0 => {}
            Kind::HalfOpen => {
                lock(&body.wire).die();
                self.shared.wake(index);
            }
            _ => Handle::current().restart(body.node),
        }
    }

    fn power_on(&self, index: u32) {
        let body = &mut lock(&self.bodies)[index as usize];
        if body.off > 0 {
            body.off -= 1;
            if body.off == 0 {
                Handle::current().restart(body.node);
            }
        }
    }

    /// Puts everything right that a fault has done.
    pub(super) fn end(&self) {
        for body in lock(&self.bodies).iter_mut().filter(|body| body.off > 0) {
            body.off = 0;
            Handle::current().restart(body.node);
        }
    }
}
