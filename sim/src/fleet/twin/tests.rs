//! Physics, failures and their labels; and fleets of twins against a small broker.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::spec::{FailureKind, FailureSpec};
use super::tracker::DEGREE_M;
use super::*;
use crate::fault::Probability;
use crate::fleet::Labelled;
use crate::fleet::model::Model;
use crate::fleet::plan::ModelPlan;
use crate::fleet::spec::{FleetSpec, ModelSpec, Network, SessionKind, Version};
use crate::fleet::tests::{Play, START};
use crate::world::seed::Rng;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn spec(kind: TwinKind) -> TwinSpec {
    let (publish_every, value) = (kind.publish_every(), kind.value().usual);
    TwinSpec { kind, publish_every, power: kind.power(), value, failures: Vec::new() }
}

fn failure(kind: FailureKind, from: u64, lasting: u64, metric: Option<&'static str>) -> FailureSpec {
    let (from, lasting) = (secs(from), Some(secs(lasting)));
    FailureSpec { kind, share: Probability::ONE, from, lasting, metric, amount: None, probability: None }
}

fn twin(kind: TwinKind, seed: u64) -> Twin {
    Twin::new(&spec(kind), START, Seed::root(seed))
}

fn model(spec: TwinSpec, rng: &mut Rng) -> Model {
    Model::new(&ModelPlan::Twin(Arc::new(spec)), START, rng)
}

/// What the sensors see each `every` seconds of so many hours.
fn seen(twin: &mut Twin, every: u64, hours: u64) -> Vec<Values> {
    (0..=hours * 3_600 / every).map(|n| twin.sees(START + secs(n * every))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn more_readings_show_more_of_the_same_world(
        kind in 0..4_usize,
        seed in 0..1_000_u64,
        gaps in proptest::collection::vec((1..90_000_u64, any::<bool>()), 1..120),
    ) {
        let kind = TwinKind::ALL[kind].1;
        let failures = match kind {
            TwinKind::Pump => vec![FailureSpec { amount: Some(3.0), ..failure(FailureKind::BearingWear, 77, 1_003, None) }],
            _ => Vec::new(),
        };
        let spec = TwinSpec { failures, ..spec(kind) };
        let [mut often, mut rarely] = [0, 1].map(|_| Twin::new(&spec, START, Seed::root(seed)));
        let mut now = START;
        for (gap_ms, both) in gaps {
            now += Duration::from_millis(gap_ms);
            let values = often.sees(now);
            if both {
                prop_assert_eq!(values, rarely.sees(now), "{:?} after {:?}", kind, now.since(START));
            }
        }
        now += secs(1);
        prop_assert_eq!(often.sees(now), rarely.sees(now));
    }

    #[test]
    fn a_room_gains_as_much_heat_as_flows_into_it(
        air in -10.0..45.0f64, walls in -10.0..45.0f64, outdoors in -20.0..45.0f64, gains in -15.0..15.0f64,
        part in 0.0..10.0f64, seed in 0..1_000_u64,
    ) {
        let room = Hvac::new(21.0, START, &mut Seed::root(seed).rng()).room;
        let at = |seconds: f64| room.after([air, walls], outdoors, gains, seconds);
        let [a, w] = at(10.0);
        let stored = room.air_kj * (a - air) + room.walls_kj * (w - walls);
        // Simpson's rule over the heat that leaves for the outdoors.
        let leaves = [at(0.0), at(5.0), at(10.0)].map(|heat| (heat[0] - outdoors) / room.to_outdoors);
        let flowed = 10.0 * (gains - (leaves[0] + 4.0 * leaves[1] + leaves[2]) / 6.0);
        prop_assert!((stored - flowed).abs() < 1e-5, "stored {stored} kJ, flowed {flowed} kJ");
        let twice = room.after(at(part), outdoors, gains, 10.0 - part);
        prop_assert!((twice[0] - a).abs() < 1e-8 && (twice[1] - w).abs() < 1e-8, "{twice:?} is not {:?}", [a, w]);
    }
}

#[test]
fn devices_of_a_fleet_differ_and_follow_from_their_seeds() {
    for (name, kind) in TwinKind::ALL {
        let of = |seed: u64| seen(&mut twin(kind, seed), 300, 1);
        assert_eq!(of(1), of(1), "{name}");
        assert_ne!(of(1), of(2), "{name}");
    }
}

#[test]
fn a_thermostat_keeps_the_room_near_its_setpoint_and_lets_the_compressor_rest() {
    for seed in 0..8 {
        let mut room = twin(TwinKind::Hvac, seed);
        let seen = seen(&mut room, 10, 48);
        let (mut since_stop, mut starts) = (u64::MAX, 0);
        for pair in seen.windows(2) {
            let [_, _, setpoint, ran, idle_kw] = pair[0];
            let [air, outdoors, _, runs, kw] = pair[1];
            assert!((air - setpoint).abs() < 2.5, "seed {seed}: {air} for {setpoint}");
            assert!((10.0..45.0).contains(&outdoors), "seed {seed}: {outdoors}");
            since_stop = if runs == 1.0 {
                since_stop
            } else if ran == 1.0 {
                0
            } else {
                since_stop.saturating_add(10)
            };
            if ran == 0.0 && runs == 1.0 {
                starts += 1;
                assert!(since_stop >= 170, "seed {seed}: started again after {since_stop} s");
                assert!(kw > 1.0 && idle_kw < 0.1, "seed {seed}: {idle_kw} kW, then {kw} kW");
            }
        }
        assert!((20..400).contains(&starts), "seed {seed}: {starts} starts in two days");
    }
}

#[test]
fn a_desired_setpoint_is_taken_within_its_bounds_reported_and_reached() {
    let mut rng = Seed::root(4).rng();
    let mut model = model(spec(TwinKind::Hvac), &mut rng);
    let before = model.reported()["setpoint"].clone();
    for wrong in [json!(9.9), json!(30.1), json!("20"), json!(null)] {
        model.desired(START, json!({ "setpoint": wrong }).as_object().expect("an object"));
        assert_eq!((model.revision(), &model.reported()["setpoint"]), (0, &before), "{wrong}");
    }
    model.desired(START + secs(7), json!({ "setpoint": 16.5 }).as_object().expect("an object"));
    assert_eq!((model.revision(), model.reported()["setpoint"].clone()), (1, json!(16.5)));
    let mut last = 0.0;
    while model.due().expect("it has no end") < START + secs(4 * 3_600) {
        let due = model.due().expect("it has no end");
        let reading = model.step(due, &mut rng).expect("due");
        assert_eq!((reading.metrics[0].0, reading.metrics[2]), ("temp", ("setpoint", 16.5)));
        last = reading.metrics[0].1;
    }
    assert!((last - 16.5).abs() < 1.0, "{last}");
    let mut pump = self::model(spec(TwinKind::Pump), &mut rng);
    pump.desired(START, json!({ "setpoint": 16.5 }).as_object().expect("an object"));
    assert_eq!((pump.revision(), pump.reported().get("setpoint")), (0, None));
}

#[test]
fn bearings_only_wear_and_a_worn_pump_shakes_heats_up_and_gives_less() {
    for seed in 0..4 {
        let calm = seen(&mut twin(TwinKind::Pump, seed), 60, 24);
        assert!(calm.windows(2).all(|pair| pair[1][4] > pair[0][4]), "seed {seed}: wear never goes back");
        assert!(calm.iter().all(|values| values[4] < 0.21 && values[0] < 4.0), "seed {seed}: a pump lasts years");
        let worn = FailureSpec { amount: Some(2.0), ..failure(FailureKind::BearingWear, 3_605, 900, None) };
        let spec = TwinSpec { failures: vec![worn], ..spec(TwinKind::Pump) };
        let worn = seen(&mut Twin::new(&spec, START, Seed::root(seed)), 60, 24);
        assert_eq!(worn[..61], calm[..61], "seed {seed}: as usual before");
        for (n, (worn, calm)) in worn.iter().zip(&calm).enumerate().skip(90) {
            assert!((worn[4] - calm[4] - 0.5).abs() < 1e-9, "seed {seed}, minute {n}: {} more", worn[4] - calm[4]);
            assert!((worn[0] - calm[0] - 3.5).abs() < 1e-6, "seed {seed}: vibration");
            assert!(worn[1] > calm[1] && worn[2] < calm[2] && worn[3] < calm[3], "seed {seed}, minute {n}");
        }
    }
}

#[test]
fn a_meter_counts_the_integral_of_its_power_over_day_and_week() {
    let mut meter = twin(TwinKind::Meter, 3);
    // START is a Sunday.
    let seen = seen(&mut meter, 60, 7 * 24);
    let mut counted = seen[0][0];
    for pair in seen.windows(2) {
        assert!(pair[1][0] > pair[0][0], "the counter never goes back");
        counted += pair[0][1] / 60.0;
        assert!((pair[1][0] - counted).abs() < 1e-6, "{} is not {counted}", pair[1][0]);
        assert!((228.0..231.0).contains(&pair[0][2]), "{} V", pair[0][2]);
    }
    let mean = |hours: std::ops::Range<usize>| {
        let load: f64 = seen[hours.start * 60..hours.end * 60].iter().map(|values| values[1]).sum();
        load / (60 * hours.len()) as f64
    };
    let (night, evening) = (24 + 2..24 + 5, 24 + 18..24 + 21);
    assert!(mean(evening) > 2.5 * mean(night), "more in the evening than at night");
    assert!(mean(0..24) > 1.05 * mean(24..6 * 24), "more on a Sunday than on a working day");
    // Within a minute the counter goes on.
    let at = START + secs(7 * 86_400);
    let (begin, end) = (meter.sees(at), meter.sees(at + secs(30)));
    assert!((end[0] - begin[0] - begin[1] / 120.0).abs() < 1e-9);
}

#[test]
fn a_vehicle_keeps_to_its_course_and_its_speed() {
    for seed in 0..6 {
        let mut tracker = twin(TwinKind::Tracker, seed);
        let seen = seen(&mut tracker, 1, 3);
        let (lat, lon) = (seen[0][0], seen[0][1]);
        let mut drove = 0.0;
        for pair in seen.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            assert!((5.0..=tracker::KMH_MAX).contains(&from[2]) && (0.0..360.0).contains(&from[3]), "{from:?}");
            let north = (to[0] - from[0]) * DEGREE_M;
            let east = (to[1] - from[1]) * DEGREE_M * from[0].to_radians().cos();
            let metres = (north * north + east * east).sqrt();
            // At a corner the way is a little shorter.
            assert!(metres <= from[2] / 3.6 * 1.001 + 1e-6, "seed {seed}: {metres} m in a second at {} km/h", from[2]);
            drove += metres;
            assert!((to[0] - lat).abs() < 0.1 && (to[1] - lon).abs() < 0.2, "seed {seed}: it left its course");
        }
        assert!((60_000.0..330_000.0).contains(&drove), "seed {seed}: {drove} m in three hours");
    }
}

#[test]
fn what_the_scout_says_of_coverage_is_what_the_vehicle_finds() {
    let mut uncovered = 0;
    for seed in 0..6 {
        let away = failure(FailureKind::CoverageLoss, 1_000, 50, None);
        let spec = TwinSpec { failures: vec![away], ..spec(TwinKind::Tracker) };
        let mut tracker = Twin::new(&spec, START, Seed::root(seed));
        let coverage = tracker.coverage().expect("a tracker has one");
        for second in 0..2 * 3_600 {
            let now = START + secs(second);
            tracker.sees(now);
            let Plant::Tracker(motion) = &tracker.plant else { panic!("a tracker") };
            let failed = (1_000..1_050).contains(&second);
            let away = coverage.away_until(now);
            assert_eq!(away.is_some(), failed || !motion.is_covered(), "seed {seed}, second {second}");
            assert!(away.is_none_or(|until| until > now && until.since(now) < secs(120)), "seed {seed}: {away:?}");
            uncovered += u64::from(away.is_some());
        }
    }
    assert!((500..12_000).contains(&uncovered), "{uncovered} s of 12 hours");
    assert!(twin(TwinKind::Pump, 1).coverage().is_none());
}

/// Readings of a twin with these failures, with what its labels say of each: (second, values by name, labels).
type Taken = (u64, Vec<(&'static str, f64)>, Vec<Label>);

fn taken(kind: TwinKind, failures: &[FailureSpec], seconds: u64) -> Vec<Taken> {
    let mut rng = Seed::root(8).rng();
    let mut twin = Twin::new(&TwinSpec { failures: failures.to_vec(), ..spec(kind) }, START, Seed::root(8));
    (1..=seconds)
        .map(|n| {
            let values = twin.step(START + secs(n), n, &mut rng);
            (n, values, twin.labels().to_vec())
        })
        .collect()
}

fn of(values: &[(&'static str, f64)], name: &str) -> Option<f64> {
    values.iter().find(|(metric, _)| *metric == name).map(|(_, value)| *value)
}

#[test]
fn labels_say_what_is_published_and_a_failure_moves_nothing_else() {
    let usual = taken(TwinKind::Pump, &[], 600);
    assert!(usual.iter().all(|(_, _, labels)| labels.is_empty()));
    let with = |kind, metric, amount, probability| FailureSpec {
        amount,
        probability: Probability::new(probability),
        ..failure(kind, 200, 100, Some(metric))
    };
    let failures = [
        with(FailureKind::Stuck, "flow", None, 0.0),
        with(FailureKind::Drift, "pressure", Some(72.0), 0.0),
        with(FailureKind::Spike, "motor_temp", Some(50.0), 0.5),
        with(FailureKind::Dropout, "vibration", None, 0.0),
    ];
    for failure in &failures {
        let metric = failure.metric.expect("a metric");
        let mut spikes = Vec::new();
        for ((n, values, labels), (_, as_usual, _)) in
            taken(TwinKind::Pump, std::slice::from_ref(failure), 600).iter().zip(&usual)
        {
            let (found, expected) = (of(values, metric), of(as_usual, metric).expect("usually there"));
            let others =
                |values: &[(&'static str, f64)]| values.iter().filter(|v| v.0 != metric).copied().collect::<Vec<_>>();
            assert_eq!(others(values), others(as_usual), "{metric}, second {n}");
            let within = (200..300).contains(n);
            let (from, until) = (START + secs(200), START + secs(300));
            let mut label = Label { kind: failure.kind, metric: Some(metric), from, until };
            let (shows, labelled) = match failure.kind {
                FailureKind::Stuck => (of(&usual[198].1, metric), within),
                FailureKind::Drift => (Some(rounded(expected + 0.02 * (*n as f64 - 200.0), 3)), within),
                FailureKind::Dropout => (None, within),
                _ => {
                    let spiked = found.is_some_and(|found| found > expected + 25.0);
                    (label.from, label.until) = (START + secs(*n), START + secs(*n));
                    spikes.extend(spiked.then_some(*n));
                    (if spiked { Some(rounded(expected + 50.0, 2)) } else { Some(expected) }, spiked)
                }
            };
            assert_eq!(labels.as_slice(), if labelled { vec![label] } else { Vec::new() }, "{metric}, second {n}");
            assert_eq!(found, if labelled { shows } else { Some(expected) }, "{metric}, second {n}");
        }
        if failure.kind == FailureKind::Spike {
            assert!(
                (5..=9).contains(&spikes.len()) && spikes.windows(2).all(|pair| pair[1] - pair[0] >= 12),
                "{spikes:?}"
            );
        }
    }
}

#[test]
fn a_spike_is_plain_only_where_a_detector_must_find_it() {
    let spike = |metric, amount| FailureSpec {
        amount: Some(amount),
        probability: Probability::new(1.0),
        ..failure(FailureKind::Spike, 0, 1_000, Some(metric))
    };
    let drift = FailureSpec { amount: Some(0.1), ..failure(FailureKind::Drift, 0, 10, Some("voltage")) };
    for (failures, plain) in [
        (vec![spike("voltage", 60.0)], true),
        (vec![spike("voltage", 20.0)], false),
        (vec![spike("power", 1_000.0)], false),
        (vec![spike("voltage", 60.0), drift], false),
    ] {
        let mut rng = Seed::root(8).rng();
        let mut model = model(TwinSpec { failures, publish_every: secs(2), ..spec(TwinKind::Meter) }, &mut rng);
        let mut told = Vec::new();
        for seq in 1..=100 {
            let due = model.due().expect("it has no end");
            assert_eq!(model.step(due, &mut rng).expect("due").seq, seq);
            told.extend(model.plain_spikes().map(|metric| (seq, metric.to_owned())));
        }
        // The 41st reading may be the first, and they are twelve apart.
        let expected: Vec<_> = (41..=100).step_by(12).map(|seq| (seq, "voltage".to_owned())).collect();
        assert_eq!(told, if plain { expected } else { Vec::new() });
    }
}

#[test]
fn a_silent_device_goes_on_at_its_usual_instants_without_a_gap_in_its_numbers() {
    let mut rng = Seed::root(8).rng();
    let failures = vec![failure(FailureKind::Dropout, 100, 95, None)];
    let mut model = model(TwinSpec { failures, ..spec(TwinKind::Pump) }, &mut rng);
    let first = model.due().expect("it has no end");
    let mut taken = Vec::new();
    while let Some(due) = model.due().filter(|due| *due < START + secs(300)) {
        taken.extend(model.step(due, &mut rng).map(|reading| (due, reading.seq)));
    }
    let silent = START + secs(100)..START + secs(195);
    let expected: Vec<_> = (0..30).map(|n| first + secs(10 * n)).filter(|at| !silent.contains(at)).zip(1..).collect();
    assert_eq!(taken, expected);
    assert!((20..=21).contains(&taken.len()), "{}", taken.len());
}

#[test]
fn a_battery_drains_with_each_message_is_reported_and_ends_the_readings() {
    let mut rng = Seed::root(8).rng();
    let mut model = model(TwinSpec { power: Power::Battery, ..spec(TwinKind::Pump) }, &mut rng);
    let at_first = model.reported()["battery_percent"].as_u64().expect("a number");
    model.desired(START, json!({"publish_interval_ms": 200}).as_object().expect("an object"));
    let (mut last, mut revision, mut readings) = (f64::MAX, model.revision(), 0_u64);
    while let Some(due) = model.due() {
        let Some(reading) = model.step(due, &mut rng) else { break };
        let (name, left) = reading.metrics[4];
        assert!(name == "battery" && left <= last, "{name} {left} after {last}");
        (last, readings) = (left, readings + 1);
        let percent = model.reported()["battery_percent"].as_u64().expect("a number");
        assert!(percent as f64 <= left + 0.005 && percent as f64 + 1.005 > left, "{percent} for {left}");
        assert!(model.revision() - revision <= 1);
        revision = model.revision();
    }
    assert_eq!((model.due(), last), (None, 0.0), "it is empty");
    let whole = 1_000 * at_first;
    assert!((whole - 1_000..whole + 2_000).contains(&readings), "{readings} for {at_first} %");
    assert_eq!(revision, 1 + at_first, "each percent, and the interval");
}

fn fleet(kind: TwinKind, devices: u32, failures: Vec<FailureSpec>) -> FleetSpec {
    let model = ModelSpec::Twin(TwinSpec { failures, publish_every: secs(2), ..spec(kind) });
    let (name, tenants) = (kind.name().to_owned(), vec!["acme".to_owned()]);
    FleetSpec {
        name,
        tenants,
        devices,
        network: Network::Lte,
        session: SessionKind::Clean,
        disconnects: None,
        shadow: false,
        by_claim: false,
        payload: Version::One,
        joins_within: None,
        model,
    }
}

#[test]
fn what_is_measured_without_coverage_arrives_afterwards_and_is_labelled() {
    let away = failure(FailureKind::CoverageLoss, 60, 40, None);
    let played = Play::new(vec![fleet(TwinKind::Tracker, 5, vec![away])], secs(160)).run(3);
    played.assert_all_delivered_in_order();
    let window = START + secs(61)..START + secs(100);
    assert!(played.log.arrivals.values().flatten().all(|at| !window.contains(at)), "nothing passes");
    let planned =
        Label { kind: FailureKind::CoverageLoss, metric: None, from: START + secs(60), until: START + secs(100) };
    for device in 0..5 {
        let labelled: Vec<&Labelled> =
            played.truth.labels().iter().filter(|l| l.device == device && l.label == planned).collect();
        let [Labelled { readings: Some((first, last)), .. }] = labelled[..] else { panic!("{labelled:?}") };
        assert_eq!(last - first, 19, "a reading every two seconds for 40 seconds");
        for seq in *first..=*last {
            let reading = played.truth.reading(device, seq).expect("published");
            assert!((planned.from..planned.until).contains(&reading.published_at), "seq {seq}");
            assert!(reading.acknowledged_at.expect("acknowledged") >= planned.until, "seq {seq}");
        }
    }
    // What is labelled beside that are stretches of the course.
    let stretches: Vec<_> = played.truth.labels().iter().filter(|l| l.label != planned).collect();
    assert!(
        stretches.iter().all(|l| l.label.kind == FailureKind::CoverageLoss && l.readings.is_some()),
        "{stretches:?}"
    );
}

#[test]
fn connections_drop_and_nothing_is_lost() {
    let spec = FleetSpec { disconnects: Some(secs(40)), ..fleet(TwinKind::Meter, 6, Vec::new()) };
    let run = || Play::new(vec![spec.clone()], secs(240)).run(5);
    let played = run();
    played.assert_all_delivered_in_order();
    assert!((15..60).contains(&played.stats.losses), "{} losses in 6 times 240 s", played.stats.losses);
    assert!(played.stats.sessions > played.stats.losses, "{:?}", played.stats);
    assert_eq!(played.digest, run().digest);
}
