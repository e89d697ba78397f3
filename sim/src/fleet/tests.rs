//! Fleets against a small broker on simulated TCP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use madsim::net::{NetSim, TcpListener, TcpStream};
use madsim::runtime::Handle;
use proptest::prelude::*;
use rumqttc::{ConnAck, ConnectReturnCode, Packet, PubAck};

use super::conn::{Conn, server_handshake};
use super::runner::lock;
use super::spec::{
    FleetSpec, MetricSpec, ModelSpec, Network, Pace, ReplaySpec, Series, SeriesRow, SessionKind, SyntheticSpec, Version,
};
use super::{DevicePlan, Fleet, Settings, Stats, Truth, plan};
use crate::fault::{FaultSpec, Faults};
use crate::world::clock;
use crate::world::runtime::simulate;
use crate::world::seed::{Rng, Seed};
use crate::world::time::Time;
use crate::world::trace::Trace;

pub(super) const START: Time = Time::from_unix_secs(1_772_323_200);
pub(super) const BROKER: ([u8; 4], u16) = ([10, 0, 0, 1], 8883);

/// How the broker misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mischief {
    /// Probability of closing the connection before a packet is handled.
    pub(super) close_before: f64,
    /// Probability of closing the connection after a publish was taken, without an acknowledgement.
    pub(super) close_after: f64,
    /// Probability of taking a publish without ever acknowledging it.
    pub(super) withhold: f64,
    /// Probability of refusing a CONNECT.
    pub(super) refuse: f64,
}

/// What the broker saw.
#[derive(Default)]
pub(super) struct Log {
    /// By topic: payloads in the order of arrival.
    pub(super) payloads: BTreeMap<String, Vec<serde_json::Value>>,
    /// By client id: the certificates it showed.
    pub(super) certificates: BTreeMap<String, BTreeSet<String>>,
    pub(super) connects: Vec<Time>,
    pub(super) pings: u64,
    /// When each publish arrived, by topic.
    pub(super) arrivals: BTreeMap<String, Vec<Time>>,
    pub(super) dups: u64,
}

impl Log {
    pub(super) fn seqs(&self, topic: &str) -> Vec<u64> {
        let payloads = self.payloads.get(topic).map_or(&[][..], Vec::as_slice);
        payloads.iter().map(|payload| payload["seq"].as_u64().expect("a sequence number")).collect()
    }

    /// Sequence numbers in the order of their first arrival.
    pub(super) fn first_arrivals(&self, topic: &str) -> Vec<u64> {
        let mut seen = BTreeSet::new();
        self.seqs(topic).into_iter().filter(|seq| seen.insert(*seq)).collect()
    }
}

pub(super) struct Broker {
    pub(super) mischief: Mutex<Mischief>,
    /// Whether payloads are kept, which costs more than the rest of the broker.
    pub(super) keep: bool,
    pub(super) rng: Mutex<Rng>,
    pub(super) log: Mutex<Log>,
}

impl Broker {
    fn start(seed: Seed, mischief: Mischief, keep: bool) -> Arc<Self> {
        let rng = Mutex::new(seed.child("broker").rng());
        let broker = Arc::new(Broker { mischief: Mutex::new(mischief), keep, rng, log: Mutex::default() });
        let serving = broker.clone();
        let node = Handle::current().create_node().ip(IpAddr::from(BROKER.0)).build();
        node.spawn(async move {
            let listener = TcpListener::bind(SocketAddr::from(BROKER)).await.expect("the address is free");
            loop {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                madsim::task::spawn(serving.clone().serve(stream));
            }
        });
        broker
    }

    fn happens(&self, probability: impl FnOnce(&Mischief) -> f64) -> bool {
        let probability = probability(&lock(&self.mischief));
        probability > 0.0 && lock(&self.rng).random_bool(probability)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut conn = Conn::accepted(stream);
        let Ok(certificate) = server_handshake(&mut conn).await else { return };
        conn.accept_certificate();
        let (mut writer, mut inbound) = (conn.writer(), BytesMut::new());
        let end = conn.receive(|bytes| {
            inbound.extend_from_slice(bytes);
            while let Ok(packet) = Packet::read(&mut inbound, 1 << 20) {
                match self.handle(&certificate, packet) {
                    Some(answer) => {
                        let mut bytes = BytesMut::new();
                        answer.iter().for_each(|packet| drop(packet.write(&mut bytes, usize::MAX)));
                        writer.send(&bytes);
                    }
                    None => return writer.close(),
                }
            }
        });
        end.await.expect("connections end in order");
    }

    /// Answers what to send, or `None` to close the connection.
    fn handle(&self, certificate: &str, packet: Packet) -> Option<Option<Packet>> {
        if self.happens(|m| m.close_before) {
            return None;
        }
        let log = &mut *lock(&self.log);
        match packet {
            Packet::Connect(connect) => {
                log.connects.push(clock::now());
                log.certificates.entry(connect.client_id).or_default().insert(certificate.to_owned());
                let refused = self.happens(|m| m.refuse);
                let code = if refused { ConnectReturnCode::ServiceUnavailable } else { ConnectReturnCode::Success };
                Some(Some(Packet::ConnAck(ConnAck::new(code, false))))
            }
            Packet::Publish(publish) => {
                log.dups += u64::from(publish.dup);
                log.arrivals.entry(publish.topic.clone()).or_default().push(clock::now());
                if self.keep {
                    let payload = serde_json::from_slice(&publish.payload).expect("JSON");
                    log.payloads.entry(publish.topic).or_default().push(payload);
                }
                if self.happens(|m| m.close_after) {
                    return None;
                }
                Some((!self.happens(|m| m.withhold)).then(|| Packet::PubAck(PubAck::new(publish.pkid))))
            }
            Packet::PingReq => {
                log.pings += 1;
                Some(Some(Packet::PingResp))
            }
            other => panic!("devices do not send {other:?}"),
        }
    }
}

pub(super) fn pumps(devices: u32, publish_every: Duration, network: Network) -> FleetSpec {
    let metric = |name: &str, noise| MetricSpec {
        name: name.to_owned(),
        unit: Some("celsius".to_owned()),
        baseline: 21.5,
        noise,
        season_amplitude: 2.0,
        season_period: Duration::from_secs(600),
        drift_per_day: 0.1,
        spike_probability: 0.0,
        spike: 0.0,
    };
    FleetSpec {
        name: "pump".to_owned(),
        tenants: vec!["acme".to_owned(), "globex".to_owned()],
        devices,
        network,
        session: SessionKind::Clean,
        disconnects: None,
        shadow: false,
        by_claim: false,
        payload: Version::One,
        joins_within: None,
        model: ModelSpec::Synthetic(SyntheticSpec {
            publish_every,
            metrics: vec![metric("temp", 0.2), metric("housing", 0.0)],
        }),
    }
}

pub(super) fn recorded(pace: Pace, rows: u32) -> FleetSpec {
    let row = |n: u32| SeriesRow {
        recorded_at: format!("2014-02-14 14:{:02}:00", n % 60).into(),
        recorded_us: i64::from(n) * 60_000_000,
        value: f64::from(n) / 3.0,
    };
    let series = |name: &str| Arc::new(Series { name: name.to_owned(), rows: (0..rows).map(row).collect() });
    FleetSpec {
        name: "nab".to_owned(),
        tenants: vec!["nab".to_owned()],
        devices: 2,
        network: Network::Ethernet,
        session: SessionKind::Clean,
        disconnects: None,
        shadow: false,
        by_claim: false,
        payload: Version::One,
        joins_within: None,
        model: ModelSpec::Replay(ReplaySpec { pace, series: vec![series("speed_6005"), series("rds_cpu")] }),
    }
}

/// A run of fleets against the broker: devices publish for `hardship`, then mischief ends and they drain.
pub(super) struct Play {
    pub(super) specs: Vec<FleetSpec>,
    pub(super) settings: Settings,
    pub(super) mischief: Mischief,
    pub(super) keep: bool,
    pub(super) hardship: Duration,
    pub(super) faults: Vec<FaultSpec>,
    /// (when, device) to kill; started again ten seconds later.
    pub(super) kill: Option<(Duration, u32)>,
}

pub(super) struct Played {
    pub(super) digest: u64,
    pub(super) marks: BTreeMap<&'static str, u64>,
    pub(super) strokes: BTreeMap<String, u64>,
    pub(super) stats: Stats,
    pub(super) fleet_finished: bool,
    pub(super) plan: Vec<DevicePlan>,
    pub(super) log: Log,
    pub(super) truth: Truth,
    pub(super) acknowledged: Vec<(u32, u64)>,
    pub(super) took: Duration,
}

impl Play {
    pub(super) fn new(specs: Vec<FleetSpec>, hardship: Duration) -> Self {
        let (settings, mischief) = (Settings::default(), Mischief::default());
        Play { specs, settings, mischief, keep: true, hardship, faults: Vec::new(), kill: None }
    }

    pub(super) fn run(self, seed: u64) -> Played {
        let seed = Seed::root(seed);
        simulate(seed, START, move || self.play(seed))
    }

    async fn play(self, seed: Seed) -> Played {
        let trace = Trace::new();
        let broker = Broker::start(seed, self.mischief, self.keep);
        let devices = plan(&self.specs, seed).expect("valid fleets");
        let (address, began) = (SocketAddr::from(BROKER), clock::now());
        let faults = Faults::new(&self.faults, seed, began, trace.clone());
        let fleet = Fleet::start_with(self.settings, devices, seed, address, began, (trace.clone(), faults.clone()));
        if let Some((when, device)) = self.kill {
            let id = fleet.node(device).id();
            clock::sleep(when).await;
            Handle::current().kill(id);
            clock::sleep(Duration::from_secs(10)).await;
            Handle::current().restart(id);
        }
        clock::sleep_until(began + self.hardship).await;
        fleet.stop_publishing();
        faults.heal();
        fleet.end_faults();
        *lock(&broker.mischief) = Mischief::default();
        while !fleet.drained() && clock::now() < began + self.hardship + Duration::from_secs(600) {
            clock::sleep(Duration::from_millis(100)).await;
        }
        let truth = lock(&fleet.truth()).clone();
        let acknowledged = truth.acknowledged_readings().collect();
        let took = clock::now().since(began);
        let log = std::mem::take(&mut *lock(&broker.log));
        let (stats, plan, fleet_finished) = (fleet.stats(), fleet.devices().to_vec(), fleet.finished());
        Played {
            digest: trace.digest(),
            marks: trace.marks(),
            strokes: faults.strokes(),
            stats,
            fleet_finished,
            plan,
            log,
            truth,
            acknowledged,
            took,
        }
    }
}

impl Played {
    /// Whatever happened: in the end every reading is acknowledged, first arrivals are in order and without a gap.
    pub(super) fn assert_all_delivered_in_order(&self) {
        assert_eq!((self.stats.queued, self.stats.rejected), (0, 0), "{:?}", self.stats);
        assert_eq!(self.stats.acknowledged, self.stats.published);
        let mut arrived = 0;
        for device in &self.plan {
            let first = self.log.first_arrivals(&device.topic());
            assert!(first.iter().copied().eq(1..=first.len() as u64), "{}: {first:?}", device.id);
            arrived += first.len() as u64;
        }
        assert_eq!(arrived, self.stats.published);
        assert_eq!(self.log.dups, 0, "clean sessions never repeat a packet");
    }
}

#[test]
fn readings_arrive_once_and_in_order_over_every_network() {
    for (name, network) in Network::ALL {
        // Drops have a test of their own.
        let never = Some(Duration::from_secs(366 * 86_400));
        let spec = FleetSpec { disconnects: never, ..pumps(20, Duration::from_secs(10), network) };
        let played = Play::new(vec![spec], Duration::from_secs(300)).run(1);
        played.assert_all_delivered_in_order();
        assert_eq!(played.stats.published, 20 * 30, "{name}");
        assert_eq!((played.stats.sessions, played.stats.losses), (20, 0), "{name}");
        let twice = played.plan.iter().find(|d| played.log.seqs(&d.topic()).len() != 30);
        assert_eq!(twice, None, "{name}: nothing is published twice");
    }
}

#[test]
fn payloads_and_identities_are_those_of_the_plan() {
    let played = Play::new(vec![pumps(3, Duration::from_secs(10), Network::Wifi)], Duration::from_secs(60)).run(2);
    for device in &played.plan {
        assert_eq!(played.log.certificates[&device.id], BTreeSet::from([device.certificate_id.clone()]));
        for payload in &played.log.payloads[&device.topic()] {
            let ts = payload["ts"].as_u64().expect("a timestamp");
            assert!((START.unix_millis()..START.unix_millis() + 60_000).contains(&ts));
            let temp = payload["metrics"]["temp"].as_f64().expect("a number");
            assert!((18.0..25.0).contains(&temp), "{payload}");
            assert_eq!(payload.as_object().expect("an object").len(), 3);
        }
    }
}

#[test]
fn replayed_series_are_delivered_row_by_row_and_then_finished() {
    for (pace, hardship) in [(Pace::Every(Duration::from_secs(1)), 130), (Pace::Recorded, 121 * 60)] {
        let played = Play::new(vec![recorded(pace, 120)], Duration::from_secs(hardship)).run(3);
        played.assert_all_delivered_in_order();
        assert!(played.fleet_finished);
        assert_eq!((played.stats.published, played.stats.playing), (240, 0));
        for device in &played.plan {
            for (n, payload) in played.log.payloads[&device.topic()].iter().enumerate() {
                assert_eq!(payload["metrics"]["value"].as_f64(), Some(n as f64 / 3.0));
                assert_eq!(payload["recorded_at"], format!("2014-02-14 14:{:02}:00", n % 60));
            }
        }
    }
}

#[test]
fn a_series_that_is_cut_short_is_not_finished() {
    let pace = Pace::Every(Duration::from_secs(1));
    let played = Play::new(vec![recorded(pace, 120)], Duration::from_secs(60)).run(3);
    assert!(!played.fleet_finished);
    assert_eq!((played.stats.queued, played.stats.playing), (0, 2));
}

#[test]
fn idle_devices_keep_their_connections_alive() {
    let play = Play::new(vec![pumps(2, Duration::from_secs(200), Network::Ethernet)], Duration::from_secs(600));
    let played = play.run(4);
    assert_eq!((played.stats.sessions, played.stats.losses), (2, 0));
    assert!(played.log.pings >= 2 * 3 * 3, "{} pings in ten minutes of two devices", played.log.pings);
}

#[test]
fn first_connects_are_spread_below_the_rate_that_was_asked_for() {
    let mut play = Play::new(vec![pumps(300, Duration::from_secs(60), Network::Ethernet)], Duration::from_secs(60));
    play.settings.connects_per_second = 20;
    let connects = play.run(5).log.connects;
    assert_eq!(connects.len(), 300);
    for (n, at) in connects.iter().enumerate() {
        let within = connects[n..].iter().take_while(|later| later.since(*at) < Duration::from_secs(1)).count();
        assert!(within <= 22, "{within} connects in one second");
    }
}

#[test]
fn a_queue_that_overflows_gives_readings_up_and_counts_them() {
    let mut play = Play::new(vec![pumps(4, Duration::from_secs(1), Network::Wifi)], Duration::from_secs(120));
    play.settings.queue_max = 30;
    play.mischief.refuse = 1.0;
    let played = play.run(6);
    assert_eq!(played.stats.published, 4 * 120);
    assert_eq!((played.stats.rejected, played.stats.acknowledged), (4 * 90, 4 * 30));
    for device in &played.plan {
        let kept: Vec<u64> = (91..=120).collect();
        assert_eq!(played.log.seqs(&device.topic()), kept, "the youngest readings are kept, in order");
    }
}

#[test]
fn a_killed_device_comes_back_with_its_queue_and_its_sequence_numbers() {
    let mut play = Play::new(vec![pumps(5, Duration::from_secs(2), Network::Lte)], Duration::from_secs(120));
    play.mischief.withhold = 0.3;
    play.kill = Some((Duration::from_secs(40), 3));
    let played = play.run(7);
    played.assert_all_delivered_in_order();
    let readings = |index: usize| played.log.first_arrivals(&played.plan[index].topic()).len();
    assert_eq!(readings(0), 60);
    assert!((54..=56).contains(&readings(3)), "{} readings of the killed device", readings(3));
}

#[test]
fn a_device_that_is_cut_off_delivers_what_it_measured_meanwhile() {
    let seed = Seed::root(8);
    let (log, stats, topic) = simulate(seed, START, move || async move {
        let broker = Broker::start(seed, Mischief::default(), true);
        let devices = plan(&[pumps(2, Duration::from_secs(5), Network::Lte)], seed).expect("valid fleets");
        let topic = devices[0].topic();
        let fleet = Fleet::start(devices, seed, SocketAddr::from(BROKER), clock::now(), Trace::new(), Faults::none());
        clock::sleep(Duration::from_secs(60)).await;
        NetSim::current().clog_node(fleet.node(0).id());
        clock::sleep(Duration::from_secs(120)).await;
        NetSim::current().unclog_node(fleet.node(0).id());
        clock::sleep(Duration::from_secs(120)).await;
        fleet.stop_publishing();
        clock::sleep(Duration::from_secs(60)).await;
        let log = std::mem::take(&mut *lock(&broker.log));
        (log, fleet.stats(), topic)
    });
    assert_eq!((stats.queued, stats.published, stats.acknowledged), (0, 120, 120));
    assert!(stats.losses > 0, "the silence was noticed");
    assert!(log.first_arrivals(&topic).iter().copied().eq(1..=60));
}

#[test]
fn two_runs_of_one_seed_have_the_same_digest() {
    let run = |seed| {
        let specs =
            vec![pumps(30, Duration::from_secs(5), Network::Lte), recorded(Pace::Every(Duration::from_secs(1)), 60)];
        let mut play = Play::new(specs, Duration::from_secs(120));
        play.mischief = Mischief { close_before: 0.02, close_after: 0.02, withhold: 0.02, refuse: 0.1 };
        let played = play.run(seed);
        (played.digest, played.stats, played.acknowledged, played.took)
    };
    assert_eq!(run(9), run(9));
    assert_ne!(run(9).0, run(10).0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn nothing_is_lost_or_reordered_whatever_the_broker_does(
        seed in any::<u64>(),
        close_before in 0.0..0.2,
        close_after in 0.0..0.2,
        withhold in 0.0..0.2,
        refuse in 0.0..0.5,
        in_flight_max in 1u16..30,
    ) {
        let mut play = Play::new(vec![pumps(6, Duration::from_secs(2), Network::Lte)], Duration::from_secs(180));
        play.mischief = Mischief { close_before, close_after, withhold, refuse };
        play.settings.in_flight_max = in_flight_max;
        let played = play.run(seed);
        played.assert_all_delivered_in_order();
        prop_assert_eq!(played.stats.published, 6 * 90);
        prop_assert!(played.stats.losses > 0 || close_before + close_after + withhold + refuse < 0.1);
    }
}

#[test]
fn a_thousand_devices_publish_for_a_minute() {
    let mut play = Play::new(vec![pumps(1_000, Duration::from_secs(1), Network::Lte)], Duration::from_secs(60));
    play.keep = false;
    #[expect(clippy::disallowed_methods, reason = "the wall clock of the test, outside of the simulation")]
    let began = std::time::Instant::now();
    let played = play.run(11);
    let wall = began.elapsed();
    assert_eq!((played.stats.published, played.stats.acknowledged), (60_000, 60_000));
    let micros = wall.as_secs_f64() * 1e6 / 60_000.0;
    println!("{micros:.1} us a reading: device, session, two directions of TCP, and the test's broker");
}
