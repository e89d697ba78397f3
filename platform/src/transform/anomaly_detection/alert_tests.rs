//! Alerts: of whom and how often, and that they hold nobody up: an outage of SNS, more messages than an invocation has time for, messages that SNS refuses, and
//! what is known of what was told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::metrics::{ALERTS, ALERTS_DROPPED, ALERTS_SUPPRESSED, ANOMALIES};
use super::outbox::Outbox;
use super::state::Shard;
use super::tests::{Account, STATE_KEY, reading, readings, usual};
use crate::testing::{Fault, SHARD};

const TOLD_KEY: &str = "state/shardId-000000000003.told";

/// An account with a shard that knows the device `a`.
fn learned() -> Account {
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    account
}

/// How often each message came, by its id.
fn ids(account: &Account) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for (message, _) in &account.state().alerts {
        *ids.entry(message["id"].as_str().expect("a text").to_owned()).or_default() += 1;
    }
    ids
}

/// What the state has to tell.
fn outbox(account: &Account) -> Outbox {
    Shard::from_bytes(&account.stored(STATE_KEY)).expect("a state is whole").outbox
}

#[test]
fn an_outage_of_sns_holds_no_batch_up_and_no_alert_is_lost() {
    for fault in [
        Fault::Answer(503, "ServiceUnavailable"),
        Fault::Answer(400, "Throttling"),
        Fault::Answer(403, "AuthorizationError"),
        Fault::Answer(404, "NotFound"),
        Fault::Silence,
    ] {
        let account = learned();
        account.fail_calls(move |call| (call == "Publish").then_some(fault));
        let spikes: Vec<usize> = (0..8).map(|n| 105 + 70 * n).collect();
        for n in 0..8 {
            let begin = account.state().elapsed;
            // Each batch finds another execution environment, or the same.
            let batch = readings("a", 100 + 70 * n..170 + 70 * n, &spikes);
            assert!(account.invoke(&account.function(), 1100 + 70 * n, &batch).unwrap(), "{fault:?} {n}");
            assert!(account.state().elapsed - begin < Duration::from_secs(6), "{fault:?} {n}");
            assert_eq!((account.anomalies().len(), outbox(&account).messages.len()), (n + 1, n + 1), "{fault:?}");
        }
        assert!(account.state().alerts.is_empty());
        account.fail_calls(|_| None);
        // The last batch comes again; nothing in it is new.
        let function = account.function();
        for _ in 0..2 {
            assert!(account.invoke(&function, 1590, &readings("a", 590..660, &spikes)).unwrap());
        }
        let told: Vec<String> =
            account.state().alerts.iter().map(|(message, _)| message["id"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<String> = (0..8).map(|n| format!("{SHARD}-{}-0", 1100 + 70 * n)).collect();
        assert_eq!(told, expected, "{fault:?}: each once, the oldest first");
        assert_eq!(account.counted(), [8, 8, 0, 0]);
        // What was sent goes on no longer.
        assert!(account.invoke(&account.function(), 1660, &readings("a", 660..700, &[])).unwrap());
        assert!(outbox(&account).is_empty() && account.state().alerts.len() == 8);
    }
}

#[test]
fn however_slow_sns_is_a_batch_waits_some_seconds_and_what_is_left_is_told_bit_by_bit() {
    let account = Account::default();
    let function = account.function();
    let batch = |n: usize, value: f64| -> Vec<String> {
        let reading = |device: usize| reading("d", n, value).replace("acme", &format!("tenant-{device:03}"));
        (0..90).map(reading).collect()
    };
    for n in 0..40 {
        assert!(account.invoke(&function, 1000 + 100 * n, &batch(n, usual(n))).unwrap());
    }
    // Slow, and not failing: each message is taken after 300 ms.
    account.fail_calls(|call| (call == "Publish").then_some(Fault::Slow(Duration::from_millis(300))));
    let mut sent = Vec::new();
    for n in 0..9 {
        // Each time another execution environment; the batch comes again at times.
        let (first, again) = (5000 + 100 * n, n % 2 == 1);
        let batch = if again { batch(39 + n, 100.0) } else { batch(40 + n, if n == 0 { 100.0 } else { usual(n) }) };
        let begin = account.state().elapsed;
        assert!(account.invoke(&account.function(), if again { first - 100 } else { first }, &batch).unwrap());
        assert!(account.state().elapsed - begin < Duration::from_secs(5), "{n}");
        sent.push(account.state().alerts.len());
    }
    assert_eq!(sent, [10, 20, 30, 40, 50, 60, 70, 80, 90], "as many as fit into the time for messages");
    assert!(ids(&account).len() == 90 && account.anomalies().len() == 90);
    assert_eq!(account.counted(), [90, 90, 0, 0]);
}

#[test]
fn a_message_that_is_refused_for_good_is_dropped_and_counted_and_the_next_one_is_sent() {
    let account = learned();
    let refused = Fault::Answer(400, "InvalidParameter");
    let mut calls = 0;
    account.fail_calls(move |call| {
        calls += usize::from(call == "Publish");
        (call == "Publish" && calls == 1).then_some(refused)
    });
    let other = |batch: Vec<String>| batch.into_iter().map(|reading| reading.replace("acme", "globex"));
    let batch: Vec<String> =
        readings("a", 100..200, &[150]).into_iter().chain(other(readings("b", 0..100, &[80]))).collect();
    assert!(account.invoke(&account.function(), 1100, &batch).unwrap());
    assert_eq!(ids(&account), BTreeMap::from([(format!("{SHARD}-1100-1"), 1)]));
    assert_eq!((account.counted(), account.calls("Publish")), ([2, 2, 0, 1], 2));
    // It does not come again.
    for first in [1100, 1300] {
        let batch = if first == 1100 { batch.clone() } else { readings("a", 200..210, &[]) };
        assert!(account.invoke(&account.function(), first, &batch).unwrap());
    }
    assert_eq!((account.counted(), account.calls("Publish"), account.anomalies().len()), ([2, 2, 0, 1], 2, 2));
}

#[test]
fn what_was_told_of_a_state_that_was_deleted_says_nothing_of_the_next_one() {
    let account = learned();
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..150, &[120])).unwrap());
    assert_eq!((account.anomalies().len(), account.state().alerts.len()), (1, 1));
    account.state().objects.remove(STATE_KEY);
    // The retry begins with the same sequence number: its outbox has the same id, and other anomalies. It ends before
    // they are written.
    let mut puts = 0;
    account.fail_calls(move |call| {
        puts += usize::from(call == "PutObject");
        (call == "PutObject" && puts > 1).then_some(Fault::Answer(403, "AccessDenied"))
    });
    let batch = [readings("a", 100..150, &[120]), readings("a", 150..300, &[250])].concat();
    assert!(!account.invoke(&account.function(), 1100, &batch).unwrap());
    account.fail_calls(|_| None);
    assert_eq!(outbox(&account).id, format!("{SHARD}-1100"));
    assert!(account.invoke(&account.function(), 1100, &batch).unwrap());
    let told: Vec<String> = account.state().alerts.iter().map(|(message, _)| message["alerts"].to_string()).collect();
    assert!(told.len() == 2 && told[1].contains("\"seq\":250"), "{told:?}");
    assert!(account.anomalies().iter().any(|(_, row)| row["seq"] == 250), "{:?}", account.anomalies());
}

#[test]
fn what_is_counted_is_counted_where_the_answer_of_the_state_is_lost_and_once_where_nothing_is() {
    let account = learned();
    let mut puts = 0;
    account.fail_calls(move |call| {
        puts += usize::from(call == "PutObject");
        (call == "PutObject" && puts == 1).then_some(Fault::LostAnswer)
    });
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    assert_eq!((account.counted(), ids(&account).len()), ([1, 1, 0, 0], 1));
    // Held back, so that there is no message; environments change.
    for n in 0..3 {
        let batch = readings("a", 110 + 10 * n..120 + 10 * n, &[112]);
        assert!(account.invoke(&account.function(), 1110 + 10 * n, &batch).unwrap());
    }
    assert_eq!((account.counted(), account.anomalies().len()), ([2, 1, 1, 0], 2));
}

#[test]
fn without_the_note_of_what_was_told_it_is_told_again_and_the_batch_is_done() {
    for fault in [Fault::Answer(403, "AccessDenied"), Fault::Answer(503, "SlowDown"), Fault::Silence] {
        let account = learned();
        let mut puts = 0;
        account.fail_calls(move |call| {
            puts += usize::from(call == "PutObject");
            (call == "PutObject" && puts > 2).then_some(fault)
        });
        assert!(account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap(), "{fault:?}");
        assert!(!account.state().objects.contains_key(TOLD_KEY));
        account.fail_calls(|_| None);
        assert!(account.invoke(&account.function(), 1110, &readings("a", 110..120, &[])).unwrap());
        assert_eq!(ids(&account), BTreeMap::from([(format!("{SHARD}-1100-0"), 2)]), "{fault:?}");
        assert_eq!(account.anomalies().len(), 1);
    }
}

#[test]
fn a_device_and_kind_is_told_once_in_the_hold_time_and_the_rest_is_counted() {
    let account = Account::default();
    let function = account.function();
    assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
    // A reading a second: the hold is 60 s.
    let spikes = [110, 130, 150, 169, 171, 190];
    for n in 10..20 {
        let range = 10 * n..10 * (n + 1);
        assert!(account.invoke(&account.function(), 1000 + 10 * n, &readings("a", range, &spikes)).unwrap());
    }
    assert_eq!(account.anomalies().len(), spikes.len());
    let state = account.state();
    let told: Vec<&Value> = state.alerts.iter().map(|(message, _)| &message["alerts"][0]["seq"]).collect();
    assert_eq!(told, [110, 171]);
    drop(state);
    assert_eq!(account.counted(), [6, 2, 4, 0]);
    let line: Value = serde_json::from_str(&account.state().metrics[0]).expect("JSON");
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("IotPlatform/test"), &json!([[]])));
    let names = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), [ANOMALIES, ALERTS, ALERTS_SUPPRESSED, ALERTS_DROPPED]);
}

#[test]
fn messages_are_of_one_tenant_and_stay_within_the_size_of_one() {
    let account = Account::default();
    let function = account.function();
    let devices: Vec<String> = (0..300).map(|n| format!("{n:\u{1}>250}")).collect();
    let batch = |n: usize, value: fn(usize, u32) -> f64| -> Vec<String> {
        let reading = |(device, id): (u32, &String)| {
            let text = reading(id, n, value(n, device));
            if device < 290 { text } else { text.replace("acme", "globex") }
        };
        (0..).zip(&devices).map(reading).collect()
    };
    for n in 0..40 {
        assert!(account.invoke(&function, 1000 + 1000 * n, &batch(n, |n, _| usual(n))).unwrap());
    }
    let batch = batch(40, |_, device| 100.0 + f64::from(device));
    assert!(account.invoke(&function, 90_000, &batch).unwrap());
    assert_eq!(account.anomalies().len(), 300);
    let state = account.state();
    let mut told = BTreeMap::<&str, Vec<usize>>::new();
    for (message, attributes) in &state.alerts {
        let alerts = message["alerts"].as_array().unwrap();
        assert_eq!(attributes["tenant"], message["tenant_id"]);
        assert_eq!(attributes["device"].as_array().map(Vec::len), Some(alerts.len()));
        told.entry(message["tenant_id"].as_str().unwrap()).or_default().push(alerts.len());
    }
    let mut of_acme = vec![20; 14];
    of_acme.push(10);
    assert_eq!(told, BTreeMap::from([("acme", of_acme), ("globex", vec![10])]));
    assert_eq!(state.alerts[0].0["alerts"][0]["value"], json!(389.0), "the worst first");
    let ids: std::collections::BTreeSet<String> = state.alerts.iter().map(|(m, _)| m["id"].to_string()).collect();
    assert_eq!(ids.len(), state.alerts.len());
}
