//! A fleet in a simulation: a node, a task and a session for each device, and what the run asks of all of them.
//!
//! **One node a device.** It costs about 1 KB, and buys what fault injection needs: each device can be killed,
//! restarted or cut off by itself. It is also cheaper than one node for all: madsim searches a node's ports from 1
//! upwards for a free one, so that n connections of one node cost n² steps, and end at 65,535. A killed device keeps
//! its queue and its sequence numbers, as a device with flash memory does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use madsim::runtime::{Handle, NodeHandle};
use rand::RngExt as _;

use super::acts::{Acts, Body};
use super::driver::{Device, Scratch, Wire, drive};
use super::fates::Fates;
use super::intruder;
use super::joins::Joins;
use super::outage::Outage;
use super::plan::{DevicePlan, device_seed};
use super::session::Settings;
use super::truth::Truth;
use crate::fault::{Faults, Kind};
use crate::world::seed::Seed;
use crate::world::time::Time;
use crate::world::trace::Trace;

/// Devices have the addresses 10.64.0.0 to 10.127.255.255, in order.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 64, 0, 0]);
const DEVICES_MAX: usize = 1 << 22;
/// One byte more than AWS IoT Core takes as a payload: 128 KiB (quotas of AWS IoT Core).
const OVERSIZED_BYTES: usize = 128 * 1024 + 1;

/// The kinds of faults that strike a device or its connections, beside those that act by themselves (`acts`).
const STRIKING: [Kind; 16] = [
    Kind::Latency,
    Kind::Loss,
    Kind::SlowLink,
    Kind::Partition,
    Kind::PartitionUp,
    Kind::PartitionDown,
    Kind::RegionOutage,
    Kind::DnsFailure,
    Kind::ClockSkew,
    Kind::ClockDrift,
    Kind::ClockJump,
    Kind::FlashFull,
    Kind::DuplicateSend,
    Kind::MalformedPayload,
    Kind::OversizedPayload,
    Kind::OldFirmware,
];

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
    /// Whether faults act on devices by themselves.
    pub(super) acted_on: bool,
    /// The payload above the broker's limit.
    pub(super) oversized: Bytes,
    /// Tasks of devices under faults, for what they cannot see coming.
    pub(super) wakers: Mutex<BTreeMap<u32, Waker>>,
    pub(super) truth: Arc<Mutex<Truth>>,
    pub(super) scratch: Mutex<Scratch>,
    pub(super) stopped: Switch,
    pub(super) queued: Counter,
    pub(super) playing: Counter,
    pub(super) accepted: Counter,
    pub(super) lost: Counter,
    pub(super) outage: Outage,
    pub(super) joins: Mutex<Joins>,
}

impl Shared {
    /// Remembers how to wake a device.
    pub(super) fn wake_by(&self, index: u32, waker: &Waker) {
        let wakers = &mut *lock(&self.wakers);
        if !wakers.get(&index).is_some_and(|known| known.will_wake(waker)) {
            wakers.insert(index, waker.clone());
        }
    }

    /// Wakes a device.
    pub(super) fn wake(&self, index: u32) {
        if let Some(waker) = lock(&self.wakers).get(&index) {
            waker.wake_by_ref();
        }
    }
}

/// Counts of a fleet at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Devices.
    pub devices: u64,
    /// Readings, and other messages, that are published and neither acknowledged nor given up.
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
    /// Readings given up, because a fault left a device no room.
    pub given_up: u64,
    /// Messages that are no readings.
    pub strays: u64,
    /// Those of them that were acknowledged.
    pub strays_acknowledged: u64,
}

/// The devices of a run.
pub struct Fleet {
    shared: Arc<Shared>,
    plan: Vec<DevicePlan>,
    nodes: Vec<NodeHandle>,
    acts: Option<Arc<Acts>>,
    /// Devices with a shadow, by index.
    shadowed: Vec<(u32, Arc<Mutex<Device>>)>,
}

/// A device's own settings, by the keys of its shadow.
pub type OwnState = serde_json::Map<String, serde_json::Value>;

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
        let joining = plan.iter().filter(|device| device.join.is_some()).count() as u64;
        let connect_gap = Duration::from_secs(1) / settings.connects_per_second;
        let shared = Arc::new(Shared {
            settings,
            broker,
            trace,
            acted_on: Acts::are_in(&faults),
            oversized: if faults.has(Kind::OversizedPayload) { oversized() } else { Bytes::new() },
            wakers: Mutex::default(),
            faults,
            truth: Arc::new(Mutex::new(truth)),
            scratch: Mutex::default(),
            stopped: Switch::default(),
            queued: Counter::default(),
            playing: Counter::default(),
            accepted: Counter::default(),
            lost: Counter::default(),
            outage: Outage::new(plan.len()),
            joins: Mutex::new(Joins { devices: joining, ..Joins::default() }),
        });
        let striking: Vec<Kind> = STRIKING.into_iter().filter(|kind| shared.faults.has(*kind)).collect();
        let mut shadowed = Vec::new();
        let started = (0u32..).zip(&plan).map(|(index, device)| {
            let seed = device_seed(seed, index as usize);
            let within = seed.child("connect").rng().random_range(0.0..1.0);
            // A device that gets power connects and measures at once.
            let power_at = device.power_after.map(|after| start + after);
            let connect_at = power_at.unwrap_or(start + connect_gap * index + connect_gap.mul_f64(within));
            let fates = Fates::of(&shared.faults, &striking, &device.fleet, index, &device.id);
            let has_shadow = device.shadow;
            let device = Device::new(index, device, seed, (power_at.unwrap_or(start), connect_at), fates);
            device.planned_labels().into_iter().for_each(|label| lock(&shared.truth).planned(index, label));
            let device = Arc::new(Mutex::new(device));
            if has_shadow {
                shadowed.push((index, device.clone()));
            }
            start_device(&shared, index, device)
        });
        let (nodes, bodies): (Vec<NodeHandle>, Vec<Body>) = started.unzip();
        let acts = Acts::start(&shared, &plan, bodies);
        intruder::start(&shared, &plan, seed);
        Fleet { nodes, plan, acts, shadowed, shared }
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

    /// Hardship is over: whatever a fault has done to a device is put right, and devices take notice. The faults must have
    /// been healed before.
    pub fn end_faults(&self) {
        if let Some(acts) = &self.acts {
            acts.end();
        }
        lock(&self.shared.wakers).values().for_each(Waker::wake_by_ref);
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

    /// Whether every shadow has what its device is, as far as the devices know.
    pub fn shadows_settled(&self) -> bool {
        self.shadowed.iter().all(|(_, device)| lock(device).is_settled())
    }

    /// The settings of every device with a shadow, by the keys of its shadow.
    pub fn own_states(&self) -> Vec<(u32, OwnState)> {
        let own = self.shadowed.iter().filter_map(|(index, device)| Some((*index, lock(device).shadow_state()?)));
        own.collect()
    }

    /// The longest time from the first loss of a connection until all devices were connected again. A device without power
    /// counts from its return.
    pub fn longest_outage(&self) -> Duration {
        self.shared.outage.longest()
    }

    /// How the devices joined that do so by themselves.
    pub fn joins(&self) -> Joins {
        lock(&self.shared.joins).clone()
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
            given_up: truth.given_up_count(),
            strays: truth.strays().len() as u64,
            strays_acknowledged: truth.strays().iter().filter(|stray| stray.acknowledged_at.is_some()).count() as u64,
        }
    }
}

/// A JSON object that is one byte too large.
fn oversized() -> Bytes {
    let (begin, end) = (r#"{"oversized":""#, r#""}"#);
    let filler = "x".repeat(OVERSIZED_BYTES - begin.len() - end.len());
    Bytes::from(format!("{begin}{filler}{end}"))
}

fn start_device(shared: &Arc<Shared>, index: u32, device: Arc<Mutex<Device>>) -> (NodeHandle, Body) {
    if lock(&device).is_playing() {
        shared.playing.add(1);
    }
    let (shared, wire) = (shared.clone(), Arc::new(Mutex::new(Wire::new())));
    let address = IpAddr::V4(Ipv4Addr::from(FIRST_ADDRESS + index));
    let kept = wire.clone();
    let init = move || drive(device.clone(), wire.clone(), shared.clone());
    let node = Handle::current().create_node().ip(address).init(init).build();
    let body = Body::new(node.id(), kept);
    (node, body)
}
