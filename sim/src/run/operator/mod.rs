//! What an operator asks of devices while they work: desired states of their shadows, and commands. Through the real SDK,
//! as the account's owner, from a node of its own; what was accepted is written down, because only that is owed.
//!
//! Nothing is asked after hardship. A call that fails is repeated until then, beyond the SDK's own repetitions.

mod commands;
mod rollouts;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_types::SdkConfig;
use madsim::runtime::NodeHandle;

use crate::fleet::{DevicePlan, OwnState, Truth};
use crate::scenario::Scenario;
use crate::world::clock;
use crate::world::time::Time;
use crate::world::trace::{Field, Level, Trace};

/// Wait before a call is repeated that failed, beyond the SDK's own repetitions.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A client whose quota of retries is its own, as for the oracles.
macro_rules! client {
    ($sdk:ident, $builder:expr) => {{
        let quota = $sdk::config::retry::RetryPartition::custom("operator").build();
        $sdk::Client::from_conf($builder.retry_partition(quota).build())
    }};
}

/// The operator of a run.
pub(super) struct Operator {
    desk: Arc<Desk>,
}

/// What the operator's tasks share.
struct Desk {
    data: aws_sdk_iotdataplane::Client,
    truth: Arc<Mutex<Truth>>,
    trace: Trace,
    devices: Vec<Addressee>,
    end: Time,
    /// The latest desired state that was accepted for each device, by its keys.
    desired: Mutex<BTreeMap<u32, OwnState>>,
    /// Tasks that have not ended.
    at_work: AtomicU64,
    refused: AtomicU64,
}

/// A device, as far as the operator knows it.
struct Addressee {
    index: u32,
    thing: String,
    command_topic: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

impl Operator {
    /// Begins to carry out the rollouts and commands of a scenario on `node`.
    pub fn start(
        scenario: &Scenario,
        (config, node): (&SdkConfig, &NodeHandle),
        truth: Arc<Mutex<Truth>>,
        plan: &[DevicePlan],
        trace: Trace,
    ) -> Self {
        let has_work = !scenario.rollouts.is_empty() || !scenario.commands.is_empty();
        let addressee = |(index, device): (u32, &DevicePlan)| Addressee {
            index,
            thing: device.id.clone(),
            command_topic: device.command_topic(),
        };
        let desk = Arc::new(Desk {
            data: client!(aws_sdk_iotdataplane, aws_sdk_iotdataplane::config::Builder::from(config)),
            truth,
            trace,
            devices: if has_work { (0..).zip(plan).map(addressee).collect() } else { Vec::new() },
            end: scenario.start + scenario.phase.hardship,
            desired: Mutex::default(),
            at_work: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let of = |is_for: &dyn Fn(&str) -> bool| -> Vec<usize> {
            plan.iter().enumerate().filter(|(_, device)| is_for(&device.fleet)).map(|(at, _)| at).collect()
        };
        for rollout in &scenario.rollouts {
            let is_for = |name: &str| scenario.fleets.iter().any(|f| f.name == name && rollout.is_for(f));
            desk.begin(node, rollouts::carry_out(desk.clone(), rollout.clone(), scenario.start, of(&is_for)));
        }
        for command in &scenario.commands {
            let is_for = |name: &str| scenario.fleets.iter().any(|f| f.name == name && command.is_for(f));
            desk.begin(node, commands::carry_out(desk.clone(), command.clone(), scenario.start, of(&is_for)));
        }
        Operator { desk }
    }

    /// Whether nothing is left to be asked.
    pub fn finished(&self) -> bool {
        self.desk.at_work.load(Ordering::Relaxed) == 0
    }

    /// The latest desired state that was accepted for each device.
    pub fn desired(&self) -> BTreeMap<u32, OwnState> {
        lock(&self.desk.desired).clone()
    }

    /// How many calls were refused, after the SDK's own repetitions.
    pub fn refused(&self) -> u64 {
        self.desk.refused.load(Ordering::Relaxed)
    }
}

impl Desk {
    /// Spawns a task that counts as work until it ends.
    fn begin(self: &Arc<Self>, node: &NodeHandle, work: impl Future<Output = ()> + Send + 'static) {
        let desk = self.clone();
        desk.at_work.fetch_add(1, Ordering::Relaxed);
        drop(node.spawn(async move {
            work.await;
            desk.at_work.fetch_sub(1, Ordering::Relaxed);
        }));
    }

    /// The same from a task of the node.
    fn begin_beside(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let desk = self.clone();
        desk.at_work.fetch_add(1, Ordering::Relaxed);
        drop(madsim::task::spawn(async move {
            work.await;
            desk.at_work.fetch_sub(1, Ordering::Relaxed);
        }));
    }

    /// Whether hardship is over.
    fn is_over(&self) -> bool {
        clock::now() >= self.end
    }

    fn tell(&self, kind: &'static str, subject: &str, fields: &[(&'static str, Field<'_>)]) {
        self.trace.event(Level::Call, clock::now(), "operator", kind, subject, fields);
    }

    /// A call failed; it may be repeated after a while. Answers whether there is time for that.
    async fn again(&self, kind: &'static str, subject: &str, error: &str) -> bool {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.tell(kind, subject, &[("error", error.into())]);
        clock::sleep(AGAIN_AFTER).await;
        !self.is_over()
    }
}
