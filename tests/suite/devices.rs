//! What is asked of devices reaches them: desired states through shadows, commands through persistent sessions, and all
//! devices after an outage.

use std::collections::BTreeMap;

use record::{Summary, Verdict};
use sim::bugs;
use sim::scenario::Overrides;

use crate::support::{rescaled, scenario, summary, summary_with};

fn counted(summary: &Summary, counter: &str) -> u64 {
    summary.counters.get(counter).copied().unwrap_or(0)
}

fn assert_held(summary: &Summary) {
    let context = format!("{} --seed {}", summary.scenario, summary.seed);
    assert_eq!(summary.verdict, Verdict::Held, "{context}: {:?} {:?}", summary.violations, summary.unsettled);
    let idle = summary.faults.iter().find(|(_, strokes)| **strokes == 0);
    assert_eq!(idle, None, "{context}: every fault strikes");
}

#[test]
fn a_firmware_reaches_every_device_through_its_shadow() {
    let scenario = scenario("shadow-rollout");
    assert!(scenario.seeds.len() >= 3, "the scenario names at least three seeds");
    for seed in &scenario.seeds {
        let summary = summary(&scenario, *seed);
        assert_held(&summary);
        assert_eq!(counted(&summary, "operator:devices_desired"), summary.devices, "seed {seed}");
        assert_eq!(counted(&summary, "oracle:shadows_converged"), summary.devices, "seed {seed}");
        let (accepted, received) =
            (counted(&summary, "operator:commands_accepted"), counted(&summary, "fleet:commands_received"));
        assert!(accepted > 1_000 && received * 100 > accepted * 95, "seed {seed}: {received} of {accepted} commands");
        assert!(counted(&summary, "fleet:connection_losses") > summary.devices, "seed {seed}: the fleets are flaky");
    }
}

#[test]
fn devices_that_return_together_are_throttled_and_all_come_back() {
    // More than the account takes in a second.
    let overrides = Overrides { devices: Some(6_000), ..Overrides::default() };
    let summary = summary(&rescaled("reconnect-storm", &overrides), 7);
    assert_held(&summary);
    assert!(counted(&summary, "iot:Connect.Throttle") > 1_000, "{:?}", summary.counters);
    let outage_ms = counted(&summary, "fleet:longest_outage_ms");
    assert!((1_000..60_000).contains(&outage_ms), "{outage_ms} ms until all are back");
    assert!(counted(&summary, "fleet:commands_received") > 2_000, "{:?}", summary.counters);
}

#[test]
fn bugs_between_devices_and_the_broker_are_told_with_the_device_and_the_key() {
    let scenario = scenario("shadow-rollout");
    for (id, invariant, told) in [
        ("sessions-forgotten", "session-semantics", "the session of device acme"),
        ("desired-firmware-unheard", "shadow-convergence", "`firmware` is desired as"),
        ("commands-to-the-neighbour", "session-semantics", "none of its own: device acme"),
    ] {
        let settings = BTreeMap::from([(bugs::SETTING.to_owned(), id.to_owned())]);
        let harness = bugs::harness_of(&settings).unwrap_or_else(|error| panic!("{error}"));
        let summary = summary_with(&scenario, scenario.seeds[0], harness);
        let found =
            summary.violations.iter().any(|broken| broken.invariant == invariant && broken.message.contains(told));
        assert!(found, "{id}: {:?}", summary.violations);
    }
}
