//! What is drawn: scenarios that parse, differ, repeat, and keep to their bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fault::{Family, Kind};
use crate::fleet::spec::{FAILURES, ModelSpec, Network, TwinKind};

const SWARM: &str = "title = \"t\"\nwhy = \"w\"\n[swarm]\n";

fn swarm(text: &str) -> Scenario {
    Scenario::parse(text, Path::new("swarms/s.toml")).unwrap_or_else(|e| panic!("{e}"))
}

fn drawn(text: &str, seed: u64) -> Scenario {
    draw(&swarm(text), seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"))
}

#[test]
fn what_is_drawn_is_a_scenario_of_its_own() {
    for seed in 0..300 {
        let drawn = drawn(SWARM, seed);
        assert_eq!((drawn.swarm.as_ref(), drawn.seeds.as_slice()), (None, &[seed][..]));
        assert_eq!(drawn.origin.as_ref().map(|origin| origin.text.as_str()), Some(SWARM));
        // Printed, kept and read again it is the same.
        let mut again =
            Scenario::parse(&drawn.source.text, Path::new("swarms/s.toml")).unwrap_or_else(|e| panic!("{e}"));
        (again.source, again.origin) = (drawn.source.clone(), drawn.origin.clone());
        assert_eq!(again, drawn, "seed {seed}");
    }
}

#[test]
fn a_seed_draws_the_same_and_another_something_else() {
    let text = |seed| drawn(SWARM, seed).source.text;
    assert_eq!(text(7), text(7));
    let different: BTreeSet<String> = (0..100).map(text).collect();
    assert_eq!(different.len(), 100);
}

#[test]
fn bounds_are_kept_and_reached() {
    let (mut devices, mut fleets, mut hardship, mut faults) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for seed in 0..600 {
        let drawn = drawn(SWARM, seed);
        devices.push(drawn.devices());
        fleets.push(drawn.fleets.len());
        hardship.push(drawn.phase.hardship.as_secs());
        faults.push(drawn.faults.len());
        assert!(drawn.readings_max() <= 1_500 + drawn.devices(), "seed {seed}: {} readings", drawn.readings_max());
        for fault in &drawn.faults {
            assert!(fault.from < fault.until && fault.until <= drawn.phase.hardship, "seed {seed}: {fault:?}");
        }
    }
    let bounds = |values: &[u64]| (values.iter().min().copied(), values.iter().max().copied());
    assert_eq!(bounds(&devices), (Some(1), Some(30)));
    assert_eq!(bounds(&hardship), (Some(120), Some(360)));
    assert_eq!((fleets.iter().min(), fleets.iter().max()), (Some(&1), Some(&3)));
    assert_eq!((faults.iter().min(), faults.iter().max()), (Some(&0), Some(&8)));
}

#[test]
fn every_kind_is_drawn_and_none_that_is_left_out() {
    let mut seen: BTreeMap<Kind, u32> = BTreeMap::new();
    for seed in 0..1_000 {
        for fault in drawn(SWARM, seed).faults {
            *seen.entry(fault.kind).or_default() += 1;
        }
    }
    for contract in KINDS {
        let left_out = LEFT_OUT.iter().any(|(kind, _)| *kind == contract.kind);
        let times = seen.get(&contract.kind).copied().unwrap_or(0);
        assert_eq!(times > 20, !left_out, "{} was drawn {times} times", contract.id);
    }
}

#[test]
fn whole_families_and_kinds_are_switched_off() {
    let many = format!("{SWARM}faults_max = 1000\n");
    let counted: Vec<Scenario> = (0..200).map(|seed| drawn(&many, seed)).collect();
    let without = |family: Family| {
        counted.iter().filter(|s| s.faults.iter().all(|fault| fault.kind.contract().family != family)).count()
    };
    for (name, family) in Family::ALL {
        assert!((20..130).contains(&without(family)), "{} of 200 without faults of {name}", without(family));
    }
    let off = |switch: &str| drawn(&format!("{many}{switch} = 1.0\n"), 3).faults.len();
    assert_eq!((off("family_off"), off("kind_off")), (0, 0));
}

#[test]
fn what_the_file_says_itself_is_not_drawn() {
    let text = format!(
        "{SWARM}kinds = [\"flash-full\", \"loss\"]\nkind_off = 0.0\nfamily_off = 0.0\nfaults_max = 50\nsetting_off = 0.0\n\
         [[fleet]]\nname = \"own\"\nkind = \"synthetic\"\ntenant = \"acme\"\ndevices = 3\npublish_every = \"10s\"\n\
         [phase]\nhardship = \"1min\"\npeace = \"4min\"\n\
         [platform]\nraw_shards = 9\nenrichment.batch_size = 77\n[platform.processed_delivery]\nbuffer_interval_s = 61\n\
         [[fault]]\nkind = \"loss\"\nprobability = 0.5\n"
    );
    let mut kinds = BTreeSet::new();
    for seed in 0..60 {
        let drawn = drawn(&text, seed);
        assert_eq!((drawn.fleets.len(), drawn.fleets[0].name.as_str(), drawn.devices()), (1, "own", 3));
        assert_eq!((drawn.phase.hardship.as_secs(), drawn.phase.peace.as_secs()), (60, 240));
        let platform = drawn.platform.expect("settings");
        assert_eq!((platform["raw_shards"].as_integer(), platform.get("raw_stream_mode")), (Some(9), None));
        assert_eq!(platform["enrichment"]["batch_size"].as_integer(), Some(77));
        assert_eq!(platform["processed_delivery"]["buffer_interval_s"].as_integer(), Some(61));
        assert!(platform["anomaly_detection"]["batch_size"].is_integer(), "others are drawn");
        assert_eq!(drawn.faults[0].name, "loss");
        kinds.extend(drawn.faults[1..].iter().map(|fault| fault.kind));
    }
    assert_eq!(kinds, BTreeSet::from([Kind::FlashFull, Kind::Loss]));
}

#[test]
fn a_stream_on_demand_is_drawn_no_shards() {
    let text = format!("{SWARM}setting_off = 0.0\n[platform]\nraw_stream_mode = \"on-demand\"\n");
    let mut modes = [0, 0];
    for seed in 0..60 {
        let platform = drawn(&text, seed).platform.expect("settings");
        assert_eq!(platform.get("raw_shards"), None);
        let on_demand = platform.get("enriched_stream_mode").is_some();
        assert_eq!(platform.get("enriched_shards").is_some(), !on_demand, "the other stream has shards or a mode");
        modes[usize::from(on_demand)] += 1;
    }
    assert!(modes[1] > 5 && modes[0] > modes[1], "{modes:?}");
}

#[test]
fn every_key_of_the_swarm_changes_what_is_drawn() {
    let texts = |more: &str| -> Vec<String> {
        (0..40).map(|seed| drawn(&format!("{SWARM}{more}"), seed).source.text).collect()
    };
    let usual = texts("");
    for key in crate::scenario::schema::keys_of("swarm") {
        assert_ne!(texts(&format!("{} = {}\n", key.name, key.example)), usual, "`{}` has no effect", key.name);
    }
}

#[test]
fn peace_is_long_enough_for_buffers_and_for_the_longest_fault() {
    for seed in 0..300 {
        let drawn = drawn(SWARM, seed);
        let longest = drawn.faults.iter().filter_map(|fault| fault.lasting).max().unwrap_or_default();
        assert!(drawn.phase.peace >= PEACE_MARGIN + longest, "seed {seed}");
        for fleet in &drawn.fleets {
            let publish_every = fleet.model.publish_every().expect("no series are drawn");
            assert!(publish_every <= drawn.phase.hardship, "seed {seed}");
        }
    }
}

#[test]
fn fleets_of_twins_are_drawn_as_often_as_asked_with_every_kind_network_and_failure() {
    let text = format!("{SWARM}twins = 0.5\n");
    let (mut fleets, mut twins, mut seen) = (0, 0, BTreeSet::new());
    for seed in 0..400 {
        let (drawn, plain) = (drawn(&text, seed), drawn(SWARM, seed));
        assert_eq!(drawn.faults, plain.faults, "seed {seed}: faults are the same with and without");
        for (fleet, plain) in drawn.fleets.iter().zip(&plain.fleets) {
            fleets += 1;
            let ModelSpec::Twin(twin) = &fleet.model else {
                assert_eq!(fleet, plain, "seed {seed}");
                continue;
            };
            twins += 1;
            assert_eq!((fleet.devices, Some(twin.publish_every)), (plain.devices, plain.model.publish_every()));
            seen.insert(format!("{:?}", twin.kind));
            seen.insert(format!("{:?}", fleet.network));
            seen.insert(format!("version {:?}", fleet.payload));
            seen.extend(twin.failures.iter().map(|failure| failure.kind.contract().id.to_owned()));
        }
    }
    assert!((fleets * 2 / 5..fleets * 3 / 5).contains(&twins), "{twins} of {fleets}");
    assert_eq!(seen.len(), TwinKind::ALL.len() + Network::ALL.len() + FAILURES.len() + 2, "{seen:?}");
}

#[test]
fn a_scenario_without_a_swarm_is_what_it_is() {
    let text = "title = \"t\"\nwhy = \"w\"\n[[fleet]]\nkind = \"synthetic\"\ntenant = \"a\"\ndevices = 1\n\
                publish_every = \"10s\"\n[phase]\nhardship = \"1min\"\npeace = \"1min\"\n";
    let scenario = swarm(text);
    assert_eq!(*concrete(&scenario, 5).expect("nothing is drawn"), scenario);
    let error = draw(&scenario, 5).expect_err("it draws nothing");
    assert!(error.problem.contains("no table [swarm]"), "{error}");
}
