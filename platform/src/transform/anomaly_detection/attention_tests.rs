//! The loop of attention on the real SDK: asked, left alone, withdrawn, whatever fails or comes again.

use std::time::Duration;

use serde_json::json;

use super::tests::{Account, readings, shard};
use crate::testing::{self, Fault, SHARD};

/// An account with a device `a` whose shadow says that it publishes every minute, and whose detector is warm.
fn account() -> Account {
    let account = Account::default();
    let reported = json!({ "publish_interval_ms": 60_000, "usual_publish_interval_ms": 60_000 });
    account.state().shadows.insert("a".to_owned(), json!({ "state": { "reported": reported }, "version": 4 }));
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    account
}

fn desired(account: &Account) -> Vec<u64> {
    account.state().desired.iter().map(|(_, interval_ms)| *interval_ms).collect()
}

/// How often shadows were read or written.
fn shadow_calls(account: &Account) -> usize {
    account.state().calls.iter().filter(|call| call.contains("/shadow")).count()
}

#[test]
fn an_anomaly_is_answered_with_a_shorter_interval_that_is_withdrawn_when_the_device_was_quiet() {
    let account = account();
    let function = account.function();
    assert!(account.invoke(&function, 1100, &readings("a", 100..200, &[150])).unwrap());
    assert_eq!(desired(&account), [15_000]);
    // The same batch, another anomaly while it is asked, and quiet readings: nothing is asked again.
    let calls = shadow_calls(&account);
    assert!(account.invoke(&function, 1100, &readings("a", 100..200, &[150])).unwrap());
    assert!(account.invoke(&function, 1200, &readings("a", 200..300, &[250])).unwrap());
    assert!(account.invoke(&function, 1300, &readings("a", 300..849, &[])).unwrap());
    assert_eq!((desired(&account), shadow_calls(&account)), (vec![15_000], calls));
    // Ten minutes of readings after the last anomaly; those of another device tell the time as well.
    assert!(account.invoke(&function, 1900, &readings("b", 849..851, &[])).unwrap());
    assert_eq!(desired(&account), [15_000, 60_000]);
    let calls = shadow_calls(&account);
    assert!(account.invoke(&function, 2000, &readings("a", 851..900, &[])).unwrap());
    assert_eq!(shadow_calls(&account), calls);
    assert!(account.invoke(&function, 2100, &readings("a", 900..1000, &[950])).unwrap());
    assert_eq!(desired(&account), [15_000, 60_000, 15_000], "the next anomaly begins anew");
}

#[test]
fn with_the_shortest_time_out_that_may_be_set_a_device_is_asked_although_its_state_is_slow() {
    let shortest = Duration::from_secs(crate::settings::DETECTION_TIMEOUT_S_MIN.into());
    for slow in [Duration::ZERO, Duration::from_secs(3)] {
        let account = account();
        account.fail_calls(move |call| (call == "GetObject").then_some(Fault::Slow(slow)));
        let batch = testing::batch(1100, &readings("a", 100..200, &[150]));
        let answer = account.invoke_raw(&account.function(), &batch, shortest).unwrap();
        assert_eq!(
            (answer.as_slice(), desired(&account)),
            (&br#"{"batchItemFailures":[]}"#[..], vec![15_000]),
            "{slow:?}"
        );
    }
}

#[test]
fn a_device_without_a_shadow_is_asked_for_nothing_and_looked_at_once_an_hour() {
    let account = account();
    account.state().shadows.clear();
    let function = account.function();
    for n in 1..36 {
        assert!(
            account.invoke(&function, 1000 + 100 * n, &readings("a", 100 * n..100 * (n + 1), &[100 * n + 50])).unwrap()
        );
    }
    assert_eq!((account.anomalies().len(), shadow_calls(&account)), (35, 1));
    assert!(account.invoke(&function, 5000, &readings("a", 3800..3900, &[3850])).unwrap());
    assert_eq!(shadow_calls(&account), 2);
    assert_eq!(account.calls("GET endpoint"), 1, "the endpoint is found out once");
}

#[test]
fn whatever_the_shadow_does_the_batch_is_done_in_time_and_a_later_one_asks() {
    for call in ["GET endpoint", "GET things/a/shadow", "POST things/a/shadow"] {
        for fault in [
            Fault::Answer(403, "ForbiddenException"),
            Fault::Answer(429, "ThrottlingException"),
            Fault::Answer(500, "InternalFailureException"),
            Fault::Silence,
        ] {
            let account = account();
            let function = account.function();
            account.fail_calls(move |operation| (operation == call).then_some(fault));
            let before = account.state().elapsed;
            assert!(account.invoke(&function, 1100, &readings("a", 100..200, &[150])).unwrap(), "{call} {fault:?}");
            assert!(account.state().elapsed - before <= Duration::from_secs(4), "{call} {fault:?}");
            assert_eq!((account.anomalies().len(), account.state().alerts.len()), (1, 1), "{call} {fault:?}");
            assert_eq!(desired(&account), [0_u64; 0], "{call} {fault:?}");
            account.fail_calls(|_| None);
            assert!(account.invoke(&account.function(), 1200, &readings("a", 200..210, &[])).unwrap());
            assert_eq!(desired(&account), [15_000], "{call} {fault:?}");
        }
    }
}

#[test]
fn a_lost_answer_and_a_state_that_was_not_stored_ask_no_second_time() {
    let account = account();
    account.fail_calls(|operation| (operation == "POST things/a/shadow").then_some(Fault::LostAnswer));
    let batch = readings("a", 100..200, &[150]);
    assert!(account.invoke(&account.function(), 1100, &batch).unwrap());
    account.fail_calls(|_| None);
    assert!(account.invoke(&account.function(), 1200, &readings("a", 200..210, &[])).unwrap());
    let asked = desired(&account);
    assert!(asked.iter().all(|interval_ms| *interval_ms == 15_000), "{asked:?}");
    let again = account.invoke(&account.function(), 1300, &readings("a", 210..220, &[])).unwrap();
    assert!(again && desired(&account) == asked);

    let account = self::account();
    account.fail_calls(|operation| (operation == "PutObject").then_some(Fault::Answer(503, "SlowDown")));
    assert!(!account.invoke(&account.function(), 1100, &batch).unwrap());
    assert_eq!(desired(&account), [15_000], "the state was not stored");
    account.fail_calls(|_| None);
    assert!(account.invoke(&account.function(), 1100, &batch).unwrap());
    assert!(account.invoke(&account.function(), 1200, &readings("a", 200..751, &[])).unwrap());
    assert_eq!(desired(&account), [15_000, 60_000]);
}

#[test]
fn an_interval_that_an_operator_desires_is_left_alone() {
    let account = account();
    let function = account.function();
    let desire = |interval_ms: u64| {
        let mut state = account.state();
        let shadow = state.shadows.get_mut("a").expect("it is there");
        shadow["state"]["desired"] = json!({ "publish_interval_ms": interval_ms });
        shadow["version"] = (shadow["version"].as_u64().expect("a version") + 1).into();
    };
    assert!(account.invoke(&function, 1100, &readings("a", 100..200, &[150])).unwrap());
    desire(5_000);
    assert!(account.invoke(&function, 1200, &readings("a", 200..800, &[])).unwrap());
    assert_eq!(desired(&account), [15_000], "what was asked is not desired any more, so there is nothing to withdraw");
    assert!(account.invoke(&function, 1800, &readings("a", 800..900, &[850])).unwrap());
    assert_eq!(desired(&account), [15_000]);
}

#[test]
fn what_a_shard_has_asked_is_withdrawn_by_the_child_that_its_device_comes_through() {
    let account = account();
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..200, &[150])).unwrap());
    let child = |shard: &str, first: usize, batch: &[String]| {
        let event = String::from_utf8(testing::batch(first, batch)).unwrap().replace(SHARD, shard);
        let answer = account.invoke_raw(&account.function(), event.as_bytes(), Duration::from_secs(60)).unwrap();
        assert_eq!(answer, br#"{"batchItemFailures":[]}"#);
    };
    // The shard is split: MD5 of `a` begins with 0c, that of `b` with 92.
    account.state().shards = vec![
        shard(SHARD, None, 0..=u128::MAX),
        shard("shardId-000000000008", Some(SHARD), u128::MAX / 2 + 1..=u128::MAX),
        shard("shardId-000000000009", Some(SHARD), 0..=u128::MAX / 2),
    ];
    child("shardId-000000000008", 5000, &readings("b", 900..910, &[]));
    assert_eq!(desired(&account), [15_000], "the device is not this shard's");
    child("shardId-000000000009", 6000, &readings("a", 900..910, &[]));
    assert_eq!(desired(&account), [15_000, 60_000]);
}
