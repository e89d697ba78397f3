//! Devices: looked up in hundreds, remembered, and waited for when they are new.

use std::time::Duration;

use super::{Account, UNKNOWN_WAITS, cache, reading};
use crate::function::FunctionError;
use crate::testing::Fault;

#[test]
fn the_directory_is_asked_in_hundreds_and_remembered() {
    let ids: Vec<String> = (0..250).map(|n| format!("device-{n}")).collect();
    let account = Account::with_devices(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    account.state().unprocessed = 40;
    let batch: Vec<String> = ids.iter().map(|id| reading(id, 1)).collect();
    let function = account.function();
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 4, "three calls and one for what was left unprocessed");
    assert_eq!(account.state().written.len(), 250);
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 4, "the second batch asks nothing");
    account.state().elapsed += cache::KNOWN_FOR;
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 7, "entries are believed for a limited time");
}

#[test]
fn readings_wait_for_a_device_that_has_just_registered_itself() {
    let account = Account::with_devices(&["a"]);
    let function = account.function();
    let batch = [reading("a", 1), reading("new", 1), "garbage".to_owned(), reading("a", 2)];
    assert_eq!(account.invoke(&function, &batch).unwrap(), Some(1), "from its reading on the batch comes again");
    assert_eq!((account.seqs("a"), account.quarantined().len()), (vec![1], 0), "what is before it is written");
    account.register("new");
    account.state().elapsed += cache::UNKNOWN_FOR;
    assert_eq!(account.invoke(&function, &batch[1..]).unwrap(), None);
    assert_eq!((account.seqs("new"), account.seqs("a")), (vec![1], vec![1, 2]));
}

#[test]
fn a_device_that_nobody_registers_is_refused_after_a_while_and_welcome_later() {
    let account = Account::default();
    let function = account.function();
    account.state().elapsed += UNKNOWN_WAITS - Duration::from_secs(1);
    assert_eq!(account.invoke(&function, &[reading("new", 1)]).unwrap(), Some(0));
    account.state().elapsed += Duration::from_secs(2);
    assert_eq!(account.invoke(&function, &[reading("new", 1)]).unwrap(), None);
    assert_eq!(account.quarantined()[0]["reason"], "unknown-device");
    account.register("new");
    account.state().elapsed += cache::UNKNOWN_FOR;
    assert_eq!(account.invoke(&function, &[reading("new", 2)]).unwrap(), None);
    assert_eq!(account.seqs("new"), [2]);
}

#[test]
fn no_reading_waits_for_ever_because_of_its_arrival() {
    let account = Account::with_devices(&["a"]);
    // In microseconds, and a year from now: nothing that the rule writes.
    let batch = ["1772323200040000", "1803859200040"].map(|at| reading("new", 1).replace("1772323200040", at));
    assert_eq!(account.invoke(&account.function(), &batch).unwrap(), None);
    let known = reading("a", 1).replace("1772323200040", "1772323200040000");
    assert_eq!(account.invoke(&account.function(), &[known]).unwrap(), None);
    assert!(account.state().written.is_empty(), "a wrong arrival does not reach the lake");
    let lines = account.quarantined();
    let mut reasons: Vec<&str> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["received-at-out-of-range", "received-at-out-of-range", "unknown-device"]);
}

#[test]
fn a_device_is_waited_for_once_and_its_readings_are_refused_after_a_look_that_came_after_them() {
    let account = Account::with_devices(&["a"]);
    let function = account.function();
    let arrived = |device: &str, seq: u64, after: Duration| {
        let at = 1_772_323_200_040 + u64::try_from(after.as_millis()).unwrap();
        reading(device, seq).replace("1772323200040", &at.to_string())
    };
    account.state().elapsed += UNKNOWN_WAITS + Duration::from_secs(1);
    assert_eq!(account.invoke(&function, &[reading("new", 1), reading("a", 1)]).unwrap(), None);
    // A reading that has just arrived holds nobody up any more.
    let elapsed = account.state().elapsed;
    account.state().elapsed += Duration::from_millis(200);
    let batch = [arrived("new", 2, elapsed), arrived("a", 2, elapsed)];
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!((account.quarantined().len(), account.seqs("a")), (2, vec![1, 2]));
    assert_eq!(account.calls("BatchGetItem"), 2, "it was looked for after the reading arrived");
    assert_eq!(account.invoke(&function, &batch).unwrap(), None);
    assert_eq!(account.calls("BatchGetItem"), 2, "and not again at once");
    // The item comes, and the next reading is welcome at once.
    account.register("new");
    account.state().elapsed += Duration::from_millis(100);
    let elapsed = account.state().elapsed;
    assert_eq!(account.invoke(&function, &[arrived("new", 3, elapsed)]).unwrap(), None);
    assert_eq!(account.seqs("new"), [3]);
}

#[test]
fn without_the_directory_the_invocation_fails_and_writes_nothing() {
    for fault in [Fault::Answer(400, "AccessDeniedException"), Fault::Answer(500, "InternalServerError")] {
        let account = Account::with_devices(&["a"]);
        account.fail_calls(move |operation| (operation == "BatchGetItem").then_some(fault));
        let error = account.invoke(&account.function(), &[reading("a", 1), "garbage".to_owned()]).unwrap_err();
        assert!(matches!(error, FunctionError::Directory(_)), "{error}");
        assert!(account.state().written.is_empty() && account.state().objects.is_empty());
    }
}

#[test]
fn the_fewest_attempts_that_may_be_set_outlast_the_wait_for_a_device() {
    let waits =
        (0..crate::settings::ENRICHMENT_RETRIES_MIN).map(|n| Duration::from_secs(1 << n).min(Duration::from_secs(60)));
    assert!(waits.sum::<Duration>() > UNKNOWN_WAITS);
}
