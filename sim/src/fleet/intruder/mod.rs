//! Somebody who has the certificates of devices, or none, and means harm: one task a fault, on a node of their own.
//!
//! What they try must come to nothing, and what came of it is in the truth ([`Intrusions`]): the invariant `tenant-isolation`
//! is violated by the first attempt that the broker takes. **Whoever has a device's certificate is that device for AWS**:
//! what its policy allows is not tried, because nobody could tell it from the device's own doing.

mod attempts;
mod flood;
mod garbage;
mod line;
mod trespass;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::Handle;

use self::attempts::Aim;
use super::plan::DevicePlan;
use super::runner::{Shared, lock};
use crate::fault::{FaultSpec, Kind, Opportunity};
use crate::world::clock;
use crate::world::seed::Seed;
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// The kinds of faults that are somebody's doing.
const KINDS: [Kind; 4] = [Kind::StolenCertificate, Kind::CrossTenant, Kind::MalformedPackets, Kind::Flood];
/// Intruders have the addresses from 10.192.0.0 on.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 192, 0, 0]);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause between two connects as one client: AWS takes one a second and client id (quota of AWS IoT Core).
const PAUSE: Duration = Duration::from_millis(1_500);

/// What intruders tried, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intrusions {
    /// Attempts that the broker answered, or ended the connection for.
    pub tried: u64,
    /// Attempts that it took, each as a sentence: there must be none.
    pub through: Vec<String>,
}

/// A device whose certificate was stolen.
struct Victim {
    index: u32,
    certificate_id: String,
    aim: Aim,
}

/// One fault at work.
struct Intruder {
    shared: Arc<Shared>,
    spec: Arc<FaultSpec>,
    victims: Vec<Victim>,
    seed: Seed,
    connections: u64,
    strokes: u64,
}

/// Starts a task for each fault that is somebody's doing.
pub(super) fn start(shared: &Arc<Shared>, plan: &[DevicePlan], seed: Seed) {
    let specs: Vec<Arc<FaultSpec>> = KINDS.iter().flat_map(|kind| shared.faults.of(*kind)).collect();
    for (spec, address) in specs.into_iter().zip(FIRST_ADDRESS..) {
        let victims = victims(shared, &spec, plan);
        if victims.is_empty() {
            continue;
        }
        let address = IpAddr::V4(Ipv4Addr::from(address));
        let node = Handle::current().create_node().name("intruder").ip(address).build();
        let seed = seed.child("intruder").child(&spec.name);
        let intruder = Intruder { shared: shared.clone(), spec, victims, seed, connections: 0, strokes: 0 };
        node.spawn(intruder.act());
    }
}

fn victims(shared: &Shared, spec: &FaultSpec, plan: &[DevicePlan]) -> Vec<Victim> {
    let struck = (0u32..).zip(plan).filter(|(index, device)| {
        spec.target.fleet.as_ref().is_none_or(|fleet| **fleet == *device.fleet)
            && shared.faults.takes_in(spec, u64::from(*index))
    });
    let victim = |(index, device): (u32, &DevicePlan)| {
        // The next device of another tenant; with one tenant alone, nobody's.
        let after = plan.iter().cycle().skip(index as usize + 1).take(plan.len());
        let mut others = after.filter(|other| other.tenant != device.tenant);
        let other = others.next().map_or_else(
            || ("nobody".to_owned(), "somebody-else".to_owned()),
            |other| (other.tenant.clone(), other.id.clone()),
        );
        let aim = Aim { own: (device.tenant.clone(), device.id.clone()), other };
        Victim { index, certificate_id: device.certificate_id.clone(), aim }
    };
    struck.map(victim).collect()
}

impl Intruder {
    async fn act(mut self) {
        let faults = self.shared.faults.clone();
        let until = faults.ends_at(&self.spec);
        let mut next = faults.begins_at(&self.spec);
        loop {
            clock::sleep_until(next).await;
            if self.is_over(until) {
                return;
            }
            for position in 0..self.victims.len() {
                if self.is_over(until) {
                    return;
                }
                self.strike(position, until).await;
            }
            self.strokes += 1;
            let Some(every) = self.spec.every else { return };
            while next <= clock::now() {
                next += every.max(Duration::from_millis(1));
            }
        }
    }

    /// Whether the fault's window, or hardship, is over.
    fn is_over(&self, until: Time) -> bool {
        clock::now() >= until || self.shared.faults.healed()
    }

    async fn strike(&mut self, position: usize, until: Time) {
        let victim = &self.victims[position];
        let subject = victim.aim.own.1.clone();
        let at = Opportunity { index: u64::from(victim.index), subject: &subject, ..Opportunity::default() };
        self.shared.faults.struck(clock::now(), &self.spec, &at);
        match self.spec.kind {
            Kind::CrossTenant => self.trespass(position, until).await,
            Kind::MalformedPackets => self.send_garbage(position).await,
            Kind::Flood => self.flood(position, until).await,
            _ => self.take_over(position, until).await,
        }
    }

    /// A connection with a victim's certificate.
    async fn line(&mut self, position: usize) -> Option<line::Line> {
        let rng = self.seed.nth("connection", self.connections).rng();
        self.connections += 1;
        line::Line::open(self.shared.broker, &self.victims[position].certificate_id, rng).await
    }

    /// Connects as a device and stays, as somebody who listens. The device comes back and pushes the intruder out.
    async fn take_over(&mut self, position: usize, until: Time) {
        let lasting = self.spec.lasting.unwrap_or(Duration::from_secs(10));
        let end = until.min(clock::now() + lasting);
        while !self.is_over(end) {
            if let Some(mut line) = self.line(position).await {
                let name = self.victims[position].aim.own.1.clone();
                if line.connect(&name, None, PATIENCE).await {
                    self.listen(position, &mut line, end.since(clock::now())).await;
                }
            }
            clock::sleep(PAUSE * 2).await;
        }
    }

    /// Writes what came of an attempt into the truth and the trace.
    fn came_to(&self, position: usize, what: &str, went_through: bool) {
        let victim = &self.victims[position];
        let (tenant, id) = &victim.aim.own;
        let mut truth = lock(&self.shared.truth);
        let intrusions = truth.intrusions_mut();
        intrusions.tried += 1;
        if went_through {
            intrusions.through.push(format!("with the certificate of {tenant}/{id}: {what}"));
        }
        let outcome = if went_through { "went through" } else { "refused" };
        let fields = [("what", what.into()), ("outcome", Field::from(outcome))];
        self.shared.trace.event(Level::Call, clock::now(), "intruder", self.spec.kind.id(), id, &fields);
    }
}
