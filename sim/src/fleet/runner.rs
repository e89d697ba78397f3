//! A fleet in a simulation: a node, a task and a session for each device, and what the run asks of all of them.
//!
//! **One node a device.** It costs about 1 KB, and buys what fault injection needs: each device can be killed,
//! restarted or cut off by itself. It is also cheaper than one node for all: madsim searches a node's ports from 1
//! upwards for a free one, so that n connections of one node cost n² steps, and end at 65,535. A killed device keeps
//! its queue and its sequence numbers, as a device with flash memory does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle};
use rand::RngExt as _;

use super::driver::{Device, Scratch, drive};
use super::plan::{DevicePlan, device_seed};
use super::session::Settings;
use super::truth::Truth;
use crate::fault::Faults;
use crate::world::seed::Seed;
use crate::world::time::Time;
use crate::world::trace::Trace;

/// Devices have the addresses 10.64.0.0 to 10.127.255.255, in order.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 64, 0, 0]);
const DEVICES_MAX: usize = 1 << 22;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("one thread runs the simulation, and a panic in it ends the run")
}

/// A number that all devices count in. One thread counts; it is atomic only because tasks must be `Send`.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A switch that is turned on once.
#[derive(Default)]
pub(super) struct Switch(AtomicBool);

impl Switch {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What all devices of a run share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) broker: SocketAddr,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    pub(super) truth: Arc<Mutex<Truth>>,
    pub(super) scratch: Mutex<Scratch>,
    pub(super) stopped: Switch,
    pub(super) queued: Counter,
    pub(super) playing: Counter,
    pub(super) accepted: Counter,
    pub(super) lost: Counter,
}

/// Counts of a fleet at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Devices.
    pub devices: u64,
    /// Readings that are published and neither acknowledged nor given up.
    pub queued: u64,
    /// Replaying devices with rows left.
    pub playing: u64,
    /// Sessions that the broker accepted, reconnects included.
    pub sessions: u64,
    /// Connects that failed and connections that were lost.
    pub losses: u64,
    /// Readings published.
    pub published: u64,
    /// Readings acknowledged.
    pub acknowledged: u64,
    /// Readings given up, because a device's queue was full.
    pub rejected: u64,
}

/// The devices of a run.
pub struct Fleet {
    shared: Arc<Shared>,
    plan: Vec<DevicePlan>,
    nodes: Vec<NodeHandle>,
}

impl Fleet {
    /// Starts all devices with the default [`Settings`]. See [`Fleet::start_with`].
    pub fn start(
        plan: Vec<DevicePlan>,
        seed: Seed,
        broker: SocketAddr,
        start: Time,
        trace: Trace,
        faults: Faults,
    ) -> Self {
        Fleet::start_with(Settings::default(), plan, seed, broker, start, (trace, faults))
    }

    /// Starts all devices: they measure from `start` on, and connect to `broker` evenly over as many seconds as
    /// [`Settings::connects_per_second`] asks for. `seed` is the one that the plan was made with. The index of a device
    /// in `plan` is its index in the [`Truth`].
    ///
    /// # Panics
    /// Outside a simulation, or with more than 4 million devices.
    pub fn start_with(
        settings: Settings,
        plan: Vec<DevicePlan>,
        seed: Seed,
        broker: SocketAddr,
        start: Time,
        (trace, faults): (Trace, Faults),
    ) -> Self {
        assert!(plan.len() <= DEVICES_MAX, "at most {DEVICES_MAX} devices have an address");
        let mut truth = Truth::new(start);
        for device in &plan {
            truth.add_device(&device.tenant, &device.id);
        }
        let connect_gap = Duration::from_secs(1) / settings.connects_per_second;
        let shared = Arc::new(Shared {
            settings,
            broker,
            trace,
            faults,
            truth: Arc::new(Mutex::new(truth)),
            scratch: Mutex::default(),
            stopped: Switch::default(),
            queued: Counter::default(),
            playing: Counter::default(),
            accepted: Counter::default(),
            lost: Counter::default(),
        });
        let nodes = (0u32..).zip(&plan).map(|(index, device)| {
            let seed = device_seed(seed, index as usize);
            let within = seed.child("connect").rng().random_range(0.0..1.0);
            let connect_at = start + connect_gap * index + connect_gap.mul_f64(within);
            let device = Device::new(index, device, seed, start, connect_at);
            start_device(&shared, index, device)
        });
        Fleet { nodes: nodes.collect(), plan, shared }
    }

    /// The truth about the readings. It is complete at any instant.
    pub fn truth(&self) -> Arc<Mutex<Truth>> {
        self.shared.truth.clone()
    }

    /// The devices, by index.
    pub fn devices(&self) -> &[DevicePlan] {
        &self.plan
    }

    /// The node of a device, for faults: kill and restart it by its id.
    pub fn node(&self, index: u32) -> &NodeHandle {
        &self.nodes[index as usize]
    }

    /// No device takes a reading from now on. What is queued is still delivered.
    pub fn stop_publishing(&self) {
        self.shared.stopped.0.store(true, Ordering::Relaxed);
    }

    /// Whether nothing waits for an acknowledgement.
    pub fn drained(&self) -> bool {
        self.shared.queued.get() == 0
    }

    /// Whether every replaying device has played its series to the end and nothing waits for an acknowledgement.
    /// Devices with a formula have no end: they count here only by what they have queued.
    pub fn finished(&self) -> bool {
        self.shared.playing.get() == 0 && self.drained()
    }

    /// Counts at this instant.
    pub fn stats(&self) -> Stats {
        let truth = lock(&self.shared.truth);
        Stats {
            devices: self.plan.len() as u64,
            queued: self.shared.queued.get(),
            playing: self.shared.playing.get(),
            sessions: self.shared.accepted.get(),
            losses: self.shared.lost.get(),
            published: truth.published_count(),
            acknowledged: truth.acknowledged_count(),
            rejected: truth.rejected_count(),
        }
    }
}

fn start_device(shared: &Arc<Shared>, index: u32, device: Device) -> NodeHandle {
    if device.is_playing() {
        shared.playing.add(1);
    }
    let (device, shared) = (Arc::new(Mutex::new(device)), shared.clone());
    let address = IpAddr::V4(Ipv4Addr::from(FIRST_ADDRESS + index));
    Handle::current().create_node().ip(address).init(move || drive(device.clone(), shared.clone())).build()
}
