//! Somebody with stolen certificates: what they try comes to nothing, and policies that are too wide are told.

use std::collections::BTreeMap;

use sim::bugs;

use crate::support::{scenario, summary, summary_with};

#[test]
fn stolen_certificates_open_nothing_but_the_devices_own_space() {
    let scenario = scenario("hostile-device");
    assert!(scenario.seeds.len() >= 3, "the scenario names at least three seeds");
    for seed in &scenario.seeds {
        let summary = summary(&scenario, *seed);
        assert_eq!(summary.verdict, record::Verdict::Held, "seed {seed}: {:?}", summary.violations);
        let idle = summary.faults.iter().find(|(_, strokes)| **strokes == 0);
        assert_eq!(idle, None, "seed {seed}");
        for (counter, least) in [
            ("intruders:attempts", 1_000),
            ("iot:Connection.AuthNError", 20),
            ("iot:Connect.AuthError", 20),
            ("iot:PublishIn.AuthError", 50),
            ("iot:PublishIn.Throttle", 1_000),
            ("iot:Subscribe.AuthError", 50),
        ] {
            let counted = summary.counters.get(counter).copied().unwrap_or(0);
            assert!(counted >= least, "seed {seed}: {counter} is {counted}, at least {least} are expected");
        }
    }
}

#[test]
fn policies_that_are_too_wide_break_the_isolation_of_tenants() {
    let scenario = scenario("hostile-device");
    for (id, told) in [
        ("devices-publish-for-all", "PUBLISH to tenant/"),
        ("devices-hear-all", "SUBSCRIBE to "),
        ("devices-connect-as-any", "CONNECT as "),
    ] {
        let settings = BTreeMap::from([(bugs::SETTING.to_owned(), id.to_owned())]);
        let harness = bugs::harness_of(&settings).unwrap_or_else(|error| panic!("{error}"));
        let summary = summary_with(&scenario, scenario.seeds[0], harness);
        let broken = summary.violations.iter().find(|violation| violation.invariant == "tenant-isolation");
        let broken = broken.unwrap_or_else(|| panic!("{id}: {:?}", summary.violations));
        assert!(broken.message.contains(told), "{id}: {}", broken.message);
    }
}
