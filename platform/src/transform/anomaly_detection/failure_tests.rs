//! Conflicts, states that cannot be read, calls that fail: the end is that of batches that came once.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::state;
use super::tests::{Account, STATE_KEY, readings};
use crate::function::FunctionError;
use crate::testing::{Fault, SHARD};

#[test]
fn a_conflict_makes_the_batch_be_worked_out_again() {
    let account = Account::default();
    let alone = Account::default();
    let first = readings("a", 0..100, &[]);
    let batch = [readings("a", 100..140, &[120]), readings("b", 0..40, &[])].concat();
    for account in [&account, &alone] {
        assert!(account.invoke(&account.function(), 1000, &first).unwrap());
    }
    assert!(alone.invoke(&alone.function(), 2000, &batch).unwrap());
    let other = alone.stored(STATE_KEY);
    // Right before the state is stored, the same batch is stored by another invocation.
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 1 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (other.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 2000, &batch).unwrap());
    assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
    assert_eq!(account.anomalies(), alone.anomalies());
    assert_eq!(account.state().alerts.len(), 1);
}

#[test]
fn findings_of_a_state_that_was_void_are_told_to_nobody() {
    // With the state of the first batch the second one has a spike; the state that another invocation has stored
    // meanwhile knows nothing of the device, and there is none.
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    let fresh = state::Shard::default().to_bytes();
    let mut puts = 0;
    account.state().hook = Some(Box::new(move |operation, cloud| {
        puts += usize::from(operation == "PutObject");
        if operation == "PutObject" && puts == 1 {
            cloud.versions += 1;
            cloud.objects.insert(STATE_KEY.to_owned(), (fresh.clone(), cloud.versions));
        }
    }));
    assert!(account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    assert!(account.anomalies().is_empty(), "{:?}", account.anomalies());
    assert!(account.state().alerts.is_empty());
}

#[test]
fn a_state_that_cannot_be_read_is_named_and_not_overwritten() {
    let account = Account::default();
    account.state().objects.insert(STATE_KEY.to_owned(), (b"not a state".to_vec(), 7));
    let error = account.invoke(&account.function(), 1000, &readings("a", 0..5, &[])).unwrap_err();
    assert!(
        matches!(&error, FunctionError::State(text) if text.contains(STATE_KEY) && text.contains("by an empty object")),
        "{error}"
    );
    assert_eq!(account.stored(STATE_KEY), b"not a state");
    // The operator does as is said, while an execution environment believes to know another version.
    account.state().objects.insert(STATE_KEY.to_owned(), (Vec::new(), 8));
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..5, &[])).unwrap());
    let shard = state::Shard::from_bytes(&account.stored(STATE_KEY)).expect("it is a state");
    assert_eq!((shard.series, account.calls("ListShards")), (1, 0), "nobody looks for its parents");
}

#[test]
fn whatever_fails_for_good_the_batch_comes_again_before_the_deadline() {
    // The state is the first object that is put, the object of anomalies the second.
    for (operation, from) in [("GetObject", 0), ("PutObject", 0), ("PutObject", 1)] {
        for fault in [Fault::Answer(403, "AccessDenied"), Fault::Answer(503, "SlowDown"), Fault::Silence] {
            let account = Account::default();
            let function = account.function();
            assert!(account.invoke(&function, 1000, &readings("a", 0..100, &[])).unwrap());
            let before = (account.stored(STATE_KEY), account.state().elapsed);
            let mut calls = 0;
            account.fail_calls(move |call| {
                calls += usize::from(call == operation);
                (call == operation && calls > from).then_some(fault)
            });
            let batch = readings("a", 100..200, &[150]);
            let case = format!("{operation} {from} {fault:?}");
            assert!(!account.invoke(&function, 1100, &batch).unwrap(), "{case}");
            assert_eq!(account.stored(STATE_KEY) != before.0, from > 0, "{case}");
            assert!(account.state().elapsed - before.1 < Duration::from_secs(60), "{case}");
            account.fail_calls(|_| None);
            assert!(account.invoke(&function, 1100, &batch).unwrap());
            assert_eq!(account.anomalies().len(), 1);
            let ids: Vec<Value> = account.state().alerts.iter().map(|(message, _)| message["id"].clone()).collect();
            assert!(!ids.is_empty() && ids.iter().all(|id| *id == format!("{SHARD}-1100-0")), "{case}: {ids:?}");
        }
    }
}

#[test]
fn what_a_batch_that_was_given_up_has_to_tell_is_told_before_the_next_state() {
    let account = Account::default();
    assert!(account.invoke(&account.function(), 1000, &readings("a", 0..100, &[])).unwrap());
    let mut puts = 0;
    account.fail_calls(move |call| {
        puts += usize::from(call == "PutObject");
        (call == "PutObject" && puts > 1).then_some(Fault::Answer(403, "AccessDenied"))
    });
    assert!(!account.invoke(&account.function(), 1100, &readings("a", 100..110, &[105])).unwrap());
    account.fail_calls(|_| None);
    account.state().calls.clear();
    // Lambda has given the batch up; the next one comes.
    assert!(account.invoke(&account.function(), 1200, &readings("a", 110..120, &[])).unwrap());
    let expected = ["GetObject", "GetObject", "PutObject", "PutObject", "PutObject", "Publish", "PutObject"];
    assert_eq!(account.state().calls, expected, "state and told; object and told; state; alert and told");
    assert_eq!((account.anomalies().len(), account.state().alerts.len()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_fails_and_comes_again_the_end_is_that_of_batches_that_came_once(
        order in proptest::collection::vec((0..3_usize, 0..3_usize), 60),
        faults in proptest::collection::vec(0..10_u8, 600),
    ) {
        let batches: Vec<Vec<String>> = (0..8)
            .map(|n| {
                let range = 25 * n..25 * (n + 1);
                [readings("a", range.clone(), &[60, 110, 170]), readings("b", range, &[99, 150])].concat()
            })
            .collect();
        let first = |n: usize| 1000 + 100 * n;
        let alone = Account::default();
        let function = alone.function();
        for (n, batch) in batches.iter().enumerate() {
            prop_assert!(alone.invoke(&function, first(n), batch).unwrap());
        }
        let account = Account::default();
        for device in ["a", "b"] {
            let shadow = json!({"state": {"reported": {"usual_publish_interval_ms": 60_000}}, "version": 1});
            account.state().shadows.insert(device.to_owned(), shadow);
        }
        let mut faults = faults.into_iter();
        account.fail_calls(move |_| match faults.next() {
            Some(0) => Some(Fault::Answer(500, "InternalError")),
            Some(1) => Some(Fault::LostAnswer),
            Some(2) => Some(Fault::Silence),
            Some(3) => Some(Fault::Answer(403, "AccessDenied")),
            _ => None,
        });
        let environments = [account.function(), account.function(), account.function()];
        let mut next = 0;
        for (environment, back) in order {
            // A batch before the next one comes again at times; what it answers does not matter to its event source.
            let n = next - back.min(next);
            let done = account.invoke(&environments[environment], first(n), &batches[n]).unwrap();
            next += usize::from(done && n == next);
            if next == batches.len() {
                break;
            }
        }
        account.fail_calls(|_| None);
        for (n, batch) in batches.iter().enumerate().skip(next) {
            prop_assert!(account.invoke(&environments[0], first(n), batch).unwrap());
        }
        prop_assert_eq!(account.anomalies(), alone.anomalies());
        // Whoever was asked is asked no longer once it was quiet, whatever failed.
        for (n, account) in [(2000, &account), (4000, &account), (2000, &alone), (4000, &alone)] {
            let quiet = [readings("a", n..n + 1, &[]), readings("b", n..n + 1, &[])].concat();
            prop_assert!(account.invoke(&account.function(), 10_000 + n, &quiet).unwrap());
        }
        prop_assert_eq!(account.stored(STATE_KEY), alone.stored(STATE_KEY));
        for device in ["a", "b"] {
            let desired = account.state().shadows[device]["state"]["desired"]["publish_interval_ms"].clone();
            prop_assert!(desired.is_null() || desired == 60_000, "{}: {}", device, desired);
        }
        let ids = |account: &Account| -> std::collections::BTreeSet<String> {
            account.state().alerts.iter().map(|(message, _)| message["id"].to_string()).collect()
        };
        prop_assert_eq!(ids(&account), ids(&alone), "no alert is lost, and one that comes again is known");
    }
}
