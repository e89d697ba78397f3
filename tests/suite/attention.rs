//! The loop from an anomaly to a device's publish interval and back, seen in the shadows of a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use record::Verdict;
use serde_json::Value;
use sim::cloud::account::Account;
use sim::cloud::iot::{DataRequest, RestRequest};
use sim::run::{Harness, OwnersAct};
use sim::world::time::Time;

use crate::support::{scenario, summary_with};

/// What a shadow says of the publish interval: usual, desired, reported; all in ms.
type Interval = (u64, Option<u64>, u64);

/// What was seen of each device, in the order of time, without repetitions.
type Seen = Arc<Mutex<BTreeMap<String, Vec<Interval>>>>;

/// The shadow of a thing, if it has one.
fn shadow(account: &mut Account, now: Time, thing: &str) -> Option<Value> {
    let headers = http::HeaderMap::new();
    let path = format!("/things/{thing}/shadow");
    let request = DataRequest { method: "GET", path: &path, query: "", headers: &headers, body: &bytes::Bytes::new() };
    let answer = account.as_owner(now, |services, cx| services.with_iot(|iot, ports| iot.data(cx, ports, &request)));
    let (_, body) = answer.ok()?;
    Some(serde_json::from_slice(&body).expect("a shadow is JSON"))
}

/// Looks at all shadows.
fn look(account: &mut Account, now: Time, seen: &Seen) {
    let list = RestRequest { method: "GET", path: "/things", query: "maxResults=250", principal: None, body: b"" };
    let (_, things) = account.as_owner(now, |services, cx| services.iot.rest(cx, &list)).expect("the owner may");
    let things: Value = serde_json::from_slice(&things).expect("a list is JSON");
    for thing in things["things"].as_array().expect("a list") {
        let name = thing["thingName"].as_str().expect("a name");
        let Some(shadow) = shadow(account, now, name) else { continue };
        let (desired, reported) = (&shadow["state"]["desired"], &shadow["state"]["reported"]);
        let Some(usual) = reported["usual_publish_interval_ms"].as_u64() else { continue };
        let interval =
            (usual, desired["publish_interval_ms"].as_u64(), reported["publish_interval_ms"].as_u64().unwrap_or(0));
        let mut seen = seen.lock().unwrap();
        let before = seen.entry(name.to_owned()).or_default();
        if before.last() != Some(&interval) {
            before.push(interval);
        }
    }
}

#[test]
fn a_device_with_anomalies_publishes_more_often_until_it_is_quiet() {
    let scenario = scenario("attention");
    for seed in scenario.seeds.clone() {
        let seen = Seen::default();
        let acts = (1..100).map(|n| {
            let seen = Arc::clone(&seen);
            let act: OwnersAct = Arc::new(move |account, now| look(account, now, &seen));
            (Duration::from_secs(15 * n), act)
        });
        let harness = Harness { acts: acts.collect(), ..Harness::default() };
        let summary = summary_with(&scenario, seed, harness);
        assert_eq!(summary.verdict, Verdict::Held, "{:?} {:?}", summary.violations, summary.unsettled);
        let idle = summary.faults.iter().find(|(_, strokes)| **strokes == 0);
        assert_eq!(idle, None, "seed {seed}: every fault strikes");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 12, "every device has a shadow: {seen:?}");
        let (mut asked, mut applied, mut closed) = (0, 0, 0);
        for intervals in seen.values() {
            for (usual, desired, _) in intervals {
                let short = usual / 4;
                assert!(desired.is_none_or(|desired| desired == short || desired == *usual), "{intervals:?}");
            }
            let at = |wanted: fn(&Interval) -> bool, from: usize| {
                intervals[from..].iter().position(wanted).map(|index| from + index)
            };
            let Some(first) = at(|(usual, desired, _)| *desired == Some(usual / 4), 0) else { continue };
            asked += 1;
            let Some(short) =
                at(|(usual, desired, reported)| *desired == Some(usual / 4) && *reported == usual / 4, first)
            else {
                continue;
            };
            applied += 1;
            closed += usize::from(
                at(|(usual, desired, reported)| desired == &Some(*usual) && reported == usual, short).is_some(),
            );
        }
        assert!(asked >= 6 && applied >= asked - 1, "seed {seed}: {asked} asked, {applied} applied: {seen:?}");
        assert!(closed >= 4, "seed {seed}: withdrawn and reported by {closed}: {seen:?}");
    }
}
