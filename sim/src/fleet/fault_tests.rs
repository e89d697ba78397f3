//! What each fault of devices and of their network does to a small fleet, beside a broker that takes everything.

use std::time::Duration;

use super::spec::{FleetSpec, Network, Pace, Version};
use super::tests::{Play, Played, START, pumps, recorded};
use super::{Recorded, Settings};
use crate::fault::{FaultSpec, Kind, Probability, Target};
use crate::world::time::Time;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A fault from `from` to `until`, in seconds.
fn fault(kind: Kind, from: u64, until: u64) -> FaultSpec {
    FaultSpec { from: secs(from), ..FaultSpec::new(kind, secs(until)) }
}

/// Six devices with a reading every two seconds, for two minutes.
fn play(fault: FaultSpec) -> Played {
    Play { faults: vec![fault], ..Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120)) }.run(7)
}

impl Played {
    /// All readings with their devices.
    fn readings(&self) -> impl Iterator<Item = (u32, Recorded)> + '_ {
        (0..self.stats.devices as u32).flat_map(move |device| {
            (1..).map_while(move |seq| self.truth.reading(device, seq)).map(move |reading| (device, reading))
        })
    }

    /// Readings that were published from `from` to `until`, in seconds.
    fn within(&self, from: u64, until: u64) -> impl Iterator<Item = Recorded> + '_ {
        let window = START + secs(from)..START + secs(until);
        self.readings().map(|(_, reading)| reading).filter(move |reading| window.contains(&reading.published_at))
    }

    fn arrivals_within(&self, from: u64, until: u64) -> usize {
        let window = START + secs(from)..START + secs(until);
        self.log.arrivals.values().flatten().filter(|at| window.contains(at)).count()
    }

    fn strokes(&self, kind: Kind) -> u64 {
        self.strokes[kind.id()]
    }

    /// How far the clock was off for a reading, in ms.
    fn offsets(&self, from: u64, until: u64) -> Vec<i64> {
        let off = |reading: Recorded| reading.ts_ms as i64 - reading.published_at.unix_millis() as i64;
        self.within(from, until).map(off).collect()
    }
}

fn took(reading: &Recorded) -> Duration {
    reading.acknowledged_at.unwrap_or(Time::MAX).since(reading.published_at)
}

#[test]
fn a_fault_of_another_fleet_changes_nothing() {
    let plain = Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120)).run(7);
    for kind in [Kind::Latency, Kind::Loss, Kind::Partition, Kind::MalformedPayload, Kind::ClockSkew, Kind::PowerLoss] {
        let target = Target { fleet: Some("others".to_owned()), ..Target::default() };
        let played = play(FaultSpec { target, ..fault(kind, 0, 120) });
        assert_eq!((played.digest, played.strokes(kind)), (plain.digest, 0), "{}", kind.id());
    }
}

#[test]
fn latency_is_added_each_way_and_ends_with_its_window() {
    let played = play(FaultSpec { delay: Some(secs(3)), ..fault(Kind::Latency, 20, 80) });
    played.assert_all_delivered_in_order();
    assert_eq!((played.stats.losses, played.strokes(Kind::Latency)), (0, 6), "counted once a connection");
    assert!(played.within(25, 70).all(|reading| took(&reading) >= secs(6) && took(&reading) < secs(8)));
    assert!(played.within(90, 120).all(|reading| took(&reading) < secs(1)));
}

#[test]
fn a_lost_packet_makes_those_behind_it_wait() {
    let probability = Probability::new(0.3).expect("a probability");
    let played = play(FaultSpec { probability, delay: Some(secs(1)), ..fault(Kind::Loss, 0, 120) });
    played.assert_all_delivered_in_order();
    assert!(played.strokes(Kind::Loss) > 100, "{}", played.strokes(Kind::Loss));
    let late = played.within(20, 110).filter(|reading| took(reading) >= secs(1)).count();
    assert!(late > 60, "{late} of 270 readings");
}

#[test]
fn a_slow_link_carries_so_many_bytes_a_second() {
    let played = play(FaultSpec { amount: Some(20.0), ..fault(Kind::SlowLink, 10, 110) });
    played.assert_all_delivered_in_order();
    // A publish has more than 100 bytes, and six devices would send 270 in these 90 s.
    let arrived = played.arrivals_within(20, 110);
    assert!((25..=6 * 90 * 20 / 100).contains(&arrived), "{arrived} arrivals");
    assert!(played.stats.losses > 0, "a device does not wait for its PUBACK for ever");
    assert!(played.arrivals_within(110, 112) > 20, "what is left goes at once");
}

#[test]
fn a_partition_stops_its_directions_and_loses_nothing() {
    for (kind, arrives) in [(Kind::Partition, false), (Kind::PartitionUp, false), (Kind::PartitionDown, true)] {
        let played = play(fault(kind, 30, 90));
        let id = kind.id();
        played.assert_all_delivered_in_order();
        assert_eq!(played.arrivals_within(32, 60) > 0, arrives, "{id}");
        let silent = START + secs(31)..START + secs(90);
        let acknowledged = played.readings().filter_map(|(_, reading)| reading.acknowledged_at);
        assert_eq!(acknowledged.filter(|at| silent.contains(at)).count(), 0, "{id}");
        assert!(played.stats.losses >= 6 && played.strokes(kind) >= 6, "{id}: {:?}", played.stats);
        let twice = played.plan.iter().any(|d| played.log.seqs(&d.topic()).len() > 60);
        assert_eq!(twice, arrives, "{id}: what arrived and was not acknowledged is sent again");
    }
}

#[test]
fn what_a_fault_holds_when_hardship_ends_early_goes_on_at_once() {
    let series = || vec![recorded(Pace::Every(secs(1)), 60)];
    for fault in [
        FaultSpec { delay: Some(secs(3_000)), ..fault(Kind::Latency, 70, 9_000) },
        fault(Kind::Partition, 70, 9_000),
        FaultSpec { amount: Some(1.0), ..fault(Kind::SlowLink, 70, 9_000) },
        FaultSpec { lasting: Some(secs(8_000)), ..fault(Kind::PowerLoss, 70, 9_000) },
    ] {
        let (id, settings) = (fault.kind.id(), Settings { queue_max: 100, ..Settings::default() });
        // Readings before the fault are acknowledged: what waits when hardship ends is a device that is cut off.
        let played = Play { settings, faults: vec![fault], ..Play::new(series(), secs(75)) }.run(3);
        assert_eq!(played.stats.queued, 0, "{id}");
        assert!(played.took < secs(75 + 90), "{id}: {:?}", played.took);
    }
}

#[test]
fn without_a_name_no_connection_begins_and_open_ones_stay() {
    let played = play(fault(Kind::DnsFailure, 0, 40));
    played.assert_all_delivered_in_order();
    assert!(played.log.connects.iter().all(|at| *at >= START + secs(40)) && played.stats.losses >= 12);
    let later = play(fault(Kind::DnsFailure, 40, 100));
    assert_eq!((later.stats.losses, later.strokes(Kind::DnsFailure)), (0, 0));
}

#[test]
fn a_dead_connection_is_replaced_and_nothing_is_lost() {
    let played = play(FaultSpec { every: Some(secs(20)), ..fault(Kind::HalfOpen, 30, 100) });
    played.assert_all_delivered_in_order();
    assert_eq!((played.strokes(Kind::HalfOpen), played.stats.sessions), (24, 30));
}

#[test]
fn restarts_keep_the_queue_and_a_device_without_power_measures_nothing() {
    let crash = play(FaultSpec { every: Some(secs(25)), ..fault(Kind::DeviceCrash, 20, 100) });
    crash.assert_all_delivered_in_order();
    assert_eq!((crash.strokes(Kind::DeviceCrash), crash.stats.sessions), (24, 30), "at 20, 45, 70 and 95 s");

    let lasting = Some(secs(40));
    let every = Some(secs(10));
    let looping = play(FaultSpec { every, lasting, ..fault(Kind::RebootLoop, 20, 100) });
    looping.assert_all_delivered_in_order();
    assert_eq!(looping.strokes(Kind::RebootLoop), 24, "at 20, 30, 40 and 50 s");

    let share = Probability::new(0.5).expect("a share");
    let dark = play(FaultSpec { lasting, share, ..fault(Kind::PowerLoss, 30, 110) });
    dark.assert_all_delivered_in_order();
    let off = dark.strokes(Kind::PowerLoss);
    assert!((1..6).contains(&off) && dark.stats.sessions == 6 + off, "{off} devices, {:?}", dark.stats);
    assert_eq!(dark.within(31, 69).count() as u64, (6 - off) * 19);
}

#[test]
fn a_power_loss_until_the_end_is_over_when_hardship_is() {
    let faults = vec![fault(Kind::Partition, 50, 120), fault(Kind::PowerLoss, 60, 120)];
    let played = Play { faults, ..Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120)) }.run(7);
    played.assert_all_delivered_in_order();
    assert_eq!((played.stats.published, played.stats.sessions), (6 * 30, 12), "what was in flash is delivered");
}

#[test]
fn clocks_are_off_as_their_fault_says_and_the_truth_knows_what_was_sent() {
    let hour_ms = 3_600_000;
    let skew = play(FaultSpec { delay: Some(secs(3_600)), ..fault(Kind::ClockSkew, 30, 90) });
    let off = skew.offsets(30, 90);
    assert!(off.iter().all(|ms| ms.abs() <= hour_ms) && off.iter().any(|ms| *ms > 60_000));
    assert!(off.iter().any(|ms| *ms < -60_000), "clocks are off either way");
    assert!(skew.offsets(0, 30).into_iter().chain(skew.offsets(90, 120)).all(|ms| ms == 0));
    for device in &skew.plan {
        let sent: Vec<i64> =
            skew.log.payloads[&device.topic()].iter().map(|p| p["ts"].as_i64().expect("a timestamp")).collect();
        let index = skew.truth.find(&device.tenant, &device.id).expect("a device");
        let known = (1..).map_while(|seq| skew.truth.reading(index, seq)).map(|reading| reading.ts_ms as i64);
        assert!(known.eq(sent.iter().copied()), "{}", device.id);
    }
    assert!(skew.marks["timestamp-went-back"] >= 6, "{:?}", skew.marks);

    let drift = play(FaultSpec { amount: Some(10_000.0), ..fault(Kind::ClockDrift, 20, 120) });
    let (early, late) = (drift.offsets(20, 30), drift.offsets(110, 120));
    assert!(early.iter().all(|ms| ms.abs() <= 101) && late.iter().all(|ms| (899..=1_001).contains(&ms.abs())));

    let stopped = play(FaultSpec { amount: Some(1e6), ..fault(Kind::ClockDrift, 20, 120) });
    assert!(stopped.marks["same-timestamp"] > 40, "a clock that loses a second each second stands still");

    let every = Some(secs(40));
    let jump = play(FaultSpec { every, delay: Some(secs(3_600)), ..fault(Kind::ClockJump, 20, 100) });
    assert_eq!(jump.strokes(Kind::ClockJump), 12, "twice each device");
    let first = jump.truth.reading(0, 20).zip(jump.truth.reading(0, 21)).zip(jump.truth.reading(0, 45));
    let ((a, b), c) = first.expect("readings at about 40, 42 and 90 s");
    let off = |reading: Recorded| reading.ts_ms as i64 - reading.published_at.unix_millis() as i64;
    assert!((off(a) - off(b)).abs() <= 1 && (off(a) - off(c)).abs() > 1_000, "{} {} {}", off(a), off(b), off(c));
}

#[test]
fn the_second_version_says_the_device_s_clock_at_each_hand_over_and_the_truth_knows_it() {
    let skew = FaultSpec { delay: Some(secs(3_600)), ..fault(Kind::ClockSkew, 30, 120) };
    let faults = vec![skew, fault(Kind::Partition, 40, 80)];
    let spec = FleetSpec { payload: Version::Two, ..pumps(6, secs(2), Network::Lte) };
    let played = Play { faults, ..Play::new(vec![spec], secs(120)) }.run(7);
    played.assert_all_delivered_in_order();
    let (mut kept, mut off) = (0, 0);
    for device in &played.plan {
        let index = played.truth.find(&device.tenant, &device.id).expect("a device");
        for payload in &played.log.payloads[&device.topic()] {
            let (seq, sent_at) = (payload["seq"].as_u64().expect("seq"), payload["sent_at"].as_u64().expect("a stamp"));
            let mut stamps = played.truth.stamps(index, seq);
            let (at, _) = stamps.find(|(_, stamp)| *stamp == sent_at).expect("the truth knows it");
            let reading = played.truth.reading(index, seq).expect("published");
            kept += u32::from(at.since(reading.published_at) > secs(10));
            off += u32::from(sent_at.abs_diff(at.unix_millis()) > 60_000);
            assert_eq!(payload["v"], 2);
        }
    }
    assert!(kept > 6 * 10 && off > 6 * 20, "{kept} were kept, of {off} the clock was off");
}

#[test]
fn what_a_full_flash_gives_up_is_counted_apart() {
    let cut_off = fault(Kind::Partition, 30, 90);
    let full = FaultSpec { amount: Some(5.0), ..fault(Kind::FlashFull, 30, 90) };
    let faults = vec![cut_off, full];
    let played = Play { faults, ..Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120)) }.run(7);
    let stats = played.stats;
    assert_eq!((stats.queued, stats.rejected, stats.published), (0, 0, 360));
    assert!(stats.given_up >= 6 * 20 && stats.given_up == played.strokes(Kind::FlashFull), "{stats:?}");
    assert_eq!(stats.acknowledged, stats.published - stats.given_up);
}

#[test]
fn a_reading_that_is_sent_twice_arrives_twice_in_a_row() {
    let played = play(fault(Kind::DuplicateSend, 0, 120));
    assert_eq!((played.stats.published, played.stats.acknowledged, played.stats.queued), (360, 360, 0));
    for device in &played.plan {
        let expected: Vec<u64> = (1..=60).flat_map(|seq| [seq, seq]).collect();
        assert_eq!(played.log.seqs(&device.topic()), expected);
    }
    assert_eq!(played.log.dups, 0, "they are two messages");
}

#[test]
fn messages_that_are_no_readings_go_beside_them_and_count_as_none() {
    let mut play = Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120));
    play.faults = vec![fault(Kind::MalformedPayload, 0, 120)];
    play.keep = false;
    let played = play.run(7);
    let stats = played.stats;
    assert_eq!((stats.published, stats.acknowledged, stats.rejected, stats.queued), (360, 360, 0, 0));
    assert_eq!((stats.strays, stats.strays_acknowledged), (360, 360));
    assert_eq!(played.arrivals_within(0, 200), 720);
    assert!(played.truth.strays().iter().any(|stray| stray.passes) && played.truth.strays().iter().any(|s| !s.passes));
}

#[test]
fn an_old_firmware_says_the_same() {
    let share = Probability::new(0.5).expect("a share");
    let played = play(FaultSpec { share, ..fault(Kind::OldFirmware, 0, 120) });
    let plain = Play::new(vec![pumps(6, secs(2), Network::Lte)], secs(120)).run(7);
    let mut old = 0;
    for device in &played.plan {
        let (found, expected) = (&played.log.payloads[&device.topic()], &plain.log.payloads[&device.topic()]);
        old += u32::from(found[0]["fw"] == "0.9.3");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!((&found["seq"], &found["ts"]), (&expected["seq"], &expected["ts"]));
            for metric in ["temp", "housing"] {
                assert_eq!(found["metrics"][metric].as_f64(), expected["metrics"][metric].as_f64());
            }
        }
    }
    assert_eq!(u64::from(old), played.strokes(Kind::OldFirmware));
    assert!((1..6).contains(&old), "{old}");
}

#[test]
fn what_faults_do_follows_from_the_seed() {
    let run = |seed| {
        let mut play = Play::new(vec![pumps(10, secs(2), Network::Lte)], secs(120));
        let half = Probability::new(0.5).expect("a share");
        let each = |kind| FaultSpec { share: half, probability: half, every: Some(secs(30)), ..fault(kind, 10, 100) };
        let kinds = [Kind::Loss, Kind::PartitionDown, Kind::HalfOpen, Kind::DeviceCrash, Kind::ClockJump];
        play.faults = kinds.into_iter().chain([Kind::DuplicateSend]).map(each).collect();
        let played = play.run(seed);
        (played.digest, played.stats, played.strokes)
    };
    assert_eq!(run(9), run(9));
    assert_ne!(run(9).0, run(10).0);
}
