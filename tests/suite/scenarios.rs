//! Scenarios with the verdicts that they promise.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use record::{Summary, Verdict};
use sim::run::{Harness, OwnersAct};
use sim::scenario::Overrides;

use crate::support::{rescaled, root, scenario, summary, summary_with};

/// Nothing lost, nothing invented, nothing changed, nothing out of order.
fn assert_held(summary: &Summary) {
    let context = format!("{} --seed {}", summary.scenario, summary.seed);
    assert_eq!(summary.verdict, Verdict::Held, "{context}: {:?}", summary.violations);
    assert_eq!((summary.missing, summary.spurious, summary.corrupt, summary.out_of_order), (0, 0, 0, 0), "{context}");
    assert!(summary.acknowledged > 0, "{context}: nothing was acknowledged, so nothing was proven");
    assert_eq!(
        summary.delivered + summary.duplicates,
        summary.counters["athena:rows"],
        "{context}: the rows that were read are the rows that SELECT count(*) counts"
    );
    let latency = summary.latency_ms;
    let (Some(p50), Some(p99), Some(max)) = (latency.p50, latency.p99, latency.max) else {
        panic!("{context}: no latency was measured");
    };
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{context}: {latency:?}");
}

#[test]
fn smoke_holds_for_each_of_its_seeds() {
    let scenario = scenario("smoke");
    assert!(scenario.seeds.len() >= 3, "smoke names at least three seeds");
    let mut digests = std::collections::BTreeSet::new();
    for seed in &scenario.seeds {
        let summary = summary(&scenario, *seed);
        assert_held(&summary);
        // 50 devices for 600 s, one reading each 10 s, except while they connect.
        assert_eq!(summary.devices, 50);
        assert!((2_800..=3_000).contains(&summary.published), "{} readings", summary.published);
        assert_eq!(summary.published, summary.acknowledged);
        digests.insert(summary.digest.0);
    }
    assert_eq!(digests.len(), scenario.seeds.len(), "different seeds give different worlds");
}

#[test]
fn twins_hold_over_every_network_and_their_labels_are_kept() {
    let scenario = scenario("twins");
    assert!(scenario.seeds.len() >= 3, "twins names at least three seeds");
    for seed in &scenario.seeds {
        let folder = tempfile::tempdir().expect("a folder");
        let run = record::RunFolder::create(&folder.path().join("run")).expect("a free name");
        let record = Some((run.recorder(), sim::world::trace::Level::Run));
        let options = sim::run::RunOptions { record, ..sim::run::RunOptions::seeded(*seed) };
        let outcome = sim::run::run(&scenario, options).expect("it runs");
        let summary = &outcome.summary;
        assert_held(summary);
        assert_eq!(summary.published, summary.acknowledged, "seed {seed}");
        assert!(summary.counters["fleet:connection_losses"] > 0, "seed {seed}: lines that drop have dropped");
        let run = run.finish(&outcome.manifest, summary).expect("it is written");
        let labels = record::RunReader::open(&run).expect("it opens").labels().expect("it has labels");
        let mut counted = std::collections::BTreeMap::new();
        for label in labels.map(|label| label.expect("a row")) {
            assert!(label.from_us <= label.until_us, "seed {seed}: {label:?}");
            *counted.entry(format!("fleet:labels_{}", label.kind)).or_default() += 1;
        }
        let told: std::collections::BTreeMap<String, u64> = summary.counters.clone().into_iter().collect();
        for contract in &sim::fleet::spec::FAILURES {
            let name = format!("fleet:labels_{}", contract.id);
            assert!(counted.get(&name).is_some_and(|n| *n > 0), "seed {seed}: no {}", contract.id);
            assert_eq!(counted.get(&name), told.get(&name), "seed {seed}");
        }
    }
}

#[test]
fn every_recorded_row_reaches_the_lake_and_is_counted_by_athena() {
    let mut rows = 0;
    let mut files = 0;
    for folder in std::fs::read_dir(root().join("data/nab/data")).expect("the recorded series are in the repository") {
        for file in std::fs::read_dir(folder.expect("a folder").path()).expect("a folder of series") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("a series");
            rows += text.lines().count() as u64 - 1;
            files += 1;
        }
    }
    let summary = summary(&scenario("replay-nab"), 1);
    assert_held(&summary);
    assert_eq!((summary.devices, files), (58, 58));
    assert_eq!(summary.published, rows, "every row was played");
    assert_eq!(summary.delivered, rows, "every row was delivered");
    assert_eq!(summary.counters["athena:rows"] - summary.duplicates, rows, "every row is counted by Athena");
}

#[test]
fn a_large_fleet_holds_when_it_is_shortened() {
    let overrides = Overrides {
        devices: Some(1_000),
        hardship: Some(Duration::from_secs(180)),
        peace: Some(Duration::from_secs(180)),
    };
    let summary = summary(&rescaled("fleet-10k", &overrides), 3);
    assert_held(&summary);
    assert_eq!(summary.devices, 1_000);
}

#[test]
fn devices_with_a_claim_join_by_themselves_at_the_rate_of_the_account() {
    // As many in a second as in the scenario, and no more than the suite has time for.
    let mut scenario = scenario("provisioning-wave");
    let fleet = &mut scenario.fleets[0];
    (fleet.devices, fleet.joins_within) = (500, Some(Duration::from_secs(30)));
    scenario.phase.hardship = Duration::from_secs(12 * 60);
    let summary = summary(&scenario, 7);
    assert_held(&summary);
    let of = |name: &str| summary.counters[&format!("join:{name}")];
    assert_eq!((of("devices"), of("joined")), (500, 500));
    assert_eq!(summary.calls["iot:RegisterThing"].ok, 500, "each is registered once");
    assert!(of("throttled_requests") > 0 && of("took_ms_max") > 20_000, "ten a second are let in: {summary:?}");
    assert_eq!(summary.counters["iot:RegistryEvents"], 500, "the device tagger heard of each");
}

#[test]
fn deployments_in_mid_traffic_end_as_they_should_and_lose_nothing() {
    let scenario = scenario("deploy-midflight");
    assert!(scenario.seeds.len() >= 3, "the scenario names at least three seeds");
    let rolled_back: Arc<Mutex<Vec<(u64, Duration)>>> = Arc::default();
    let seen = rolled_back.clone();
    // After the template that rolls back, and before the next deployment.
    let look: OwnersAct = Arc::new(move |account, _| {
        let enrichment = account.services.lambda.functions().find(|function| function.name.ends_with("-enrichment"));
        let function = enrichment.expect("the function is there");
        seen.lock().expect("one thread").push((function.memory_mib, function.timeout));
    });
    let harness = Harness { acts: vec![(Duration::from_secs(28 * 60), look)], ..Harness::default() };
    let summary = summary_with(&scenario, scenario.seeds[0], harness);
    assert_held(&summary);
    assert_eq!(summary.counters["deployments:ended"], 4);
    assert_eq!(summary.calls["kinesis:UpdateShardCount"].ok, 4, "two streams, there and back");
    assert_eq!(
        *rolled_back.lock().expect("one thread"),
        [(1_024, Duration::from_secs(60))],
        "what was deployed before stays, and the timeout that was rolled back does not"
    );
}

#[test]
fn unruly_devices_bad_networks_and_losses_of_power_lose_nothing() {
    for (name, marks) in [
        ("power-loss", &["session-taken-over", "keep-alive-ended"][..]),
        ("bad-network", &["session-taken-over", "keep-alive-ended", "duplicate-delivered"]),
        (
            "unruly-devices",
            &[
                "message-quarantined",
                "rule-found-no-object",
                "too-large-for-the-broker",
                "same-timestamp",
                "timestamp-went-back",
                "restarted-in-flight",
            ],
        ),
    ] {
        let scenario = scenario(name);
        assert!(scenario.seeds.len() >= 3, "{name} names at least three seeds");
        let mut reached = std::collections::BTreeSet::new();
        for seed in &scenario.seeds {
            let summary = summary(&scenario, *seed);
            assert_held(&summary);
            let idle = summary.faults.iter().find(|(_, strokes)| **strokes == 0);
            assert_eq!(idle, None, "{name} --seed {seed}");
            reached.extend(summary.marks.into_keys());
        }
        let missed = marks.iter().find(|mark| !reached.contains(**mark));
        assert_eq!(missed, None, "{name}: {reached:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_summary_whatever_is_recorded() {
    let overrides = Overrides { devices: Some(10), hardship: Some(Duration::from_secs(60)), ..Overrides::default() };
    let scenario = rescaled("smoke", &overrides);
    let plain = summary(&scenario, 5);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = record::RunFolder::create(&folder.path().join("run")).expect("a new folder");
    let options = sim::run::RunOptions {
        record: Some((record.recorder(), sim::world::trace::Level::Message)),
        progress: Some(Box::new(|status| assert!(status.published >= status.acknowledged))),
        ..sim::run::RunOptions::seeded(5)
    };
    let recorded = sim::run::run(&scenario, options).expect("the run ends");
    assert_eq!(plain.digest, recorded.summary.digest);
    assert_eq!(plain, recorded.summary);
}
