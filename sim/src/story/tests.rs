use std::path::Path;
use std::sync::Arc;

use super::*;

const TEXT: &str = r#"
title = "One device, one fault"
why = "a test of stories"
seeds = [7]

[[fleet]]
name = "pumps"
kind = "synthetic"
tenant = "acme"
devices = 1
publish_every = "5s"

[phase]
hardship = "3min"
peace = "10min"

[[fault]]
name = "no enriched stream"
kind = "server-error"
service = "kinesis"
operation = "PutRecords"
from = "20s"
until = "170s"

[[fault]]
name = "far away"
kind = "latency"
delay = "300ms"
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text, Path::new("scenarios/one.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn story(text: &str, harness: &dyn Fn() -> Harness, reading: Option<ReadingId>) -> Story {
    tell(&scenario(text), 7, harness, None, reading).unwrap_or_else(|error| panic!("{error}"))
}

fn swallowing() -> Harness {
    crate::shrink::tests::swallowing()
}

#[test]
fn the_story_of_a_lost_reading_names_each_hop_the_fault_and_where_it_ends() {
    let story = story(TEXT, &swallowing, None);
    let told = story.to_string();
    assert_eq!((story.verdict, story.invariant.as_deref()), (Verdict::Violated, Some("conservation")), "{told}");
    let places: Vec<&str> = story.hops.iter().map(|line| line.place.as_str()).collect();
    for place in ["device", "broker", "rule", "kinesis", "lambda", "call"] {
        assert!(places.contains(&place), "{place}\n{told}");
    }
    for words in [
        "takes the reading into its queue",
        "sends PUBLISH",
        "receives the PUBACK",
        "hands it to iot-platform-",
        "under sequence number ",
        "its reader takes it from shardId-",
        "is invoked with a batch of",
        "calls kinesis:PutRecords with it",
        "is answered 500 by kinesis:PutRecords",
        "ends: its whole batch is done",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let struck: Vec<&str> = story.faults.iter().filter(|t| t.struck).map(|t| t.fault.as_str()).collect();
    assert!(struck.contains(&"no enriched stream") && struck.contains(&"far away"), "{told}");
    assert!(story.end.contains("its whole batch is done"), "{told}");
    assert!(story.end.ends_with("a function to write it to the next stream"), "{told}");
    assert!(story.hops.windows(2).all(|pair| pair[0].after_s <= pair[1].after_s), "{told}");
}

#[test]
fn the_story_of_a_reading_that_arrived_goes_on_to_the_reader() {
    let reading = ReadingId { tenant: "acme".to_owned(), device: "pumps-00001".to_owned(), seq: 1 };
    let story = story(TEXT, &Harness::default, Some(reading));
    let told = story.to_string();
    for words in ["reads it into its buffer", "is written with it by", "Athena answers with its row", "LastModified"] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    assert_eq!(story.verdict, Verdict::Held, "{told}");
    assert_eq!(story.end, "it is in the table, and Athena answers with it", "{told}");
    let plain = run_with(&scenario(TEXT), RunOptions::seeded(7), Harness::default()).expect("it runs").summary;
    assert_eq!(story.digest, plain.digest, "a spotlight changes nothing");
}

#[test]
fn a_reading_that_no_device_took_has_no_way() {
    let reading = ReadingId { tenant: "acme".to_owned(), device: "pumps-00009".to_owned(), seq: 1 };
    let story = story(TEXT, &Harness::default, Some(reading));
    assert!(story.hops.is_empty() && story.end.starts_with("nothing is known of it"), "{story}");
}

#[test]
fn a_denied_call_is_told_with_the_events_around_it() {
    let change = |stack: &str, body: String| match stack.ends_with("-enrichment") {
        true => body.replace("dynamodb:BatchGetItem", "dynamodb:GetItem"),
        false => body,
    };
    let harness = || Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    // Readings are missing too; only permissions are asked for.
    let text = format!("{TEXT}\n[expect]\ninvariants = [\"authorization\"]\n");
    let story = story(&text, &harness, None);
    assert_eq!(story.invariant.as_deref(), Some("authorization"), "{story}");
    assert!(story.end.starts_with("the first call that was denied: "), "{story}");
    assert!(story.end.contains("iam dynamodb:BatchGetItem access-denied"), "{story}");
    assert!(story.around.len() > 5, "{story}");
}

#[test]
fn an_unsettled_run_is_told_by_the_first_reading_that_it_waited_for() {
    let change = |stack: &str, body: String| match stack.ends_with("-iot-core") {
        true => body.replace("ThingName}/data", "ThingName}/elsewhere"),
        false => body,
    };
    let harness = || Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let text = format!("{TEXT}\n[expect]\ninvariants = [\"order\"]\n");
    let story = story(&text, &harness, None);
    assert_eq!(story.verdict, Verdict::Unsettled, "{story}");
    assert_eq!(story.reading.as_deref(), Some("acme/pumps-00001 seq 1"), "{story}");
    assert!(story.end.ends_with("the broker to take it"), "{story}");
    assert!(story.around.iter().any(|line| line.text.contains("publish-refused")), "{story}");
}

#[test]
fn a_reading_that_the_rule_gives_up_ends_there_and_names_the_fault_that_began_before_it() {
    let change = |stack: &str, body: String| match stack.ends_with("-streaming") {
        true => body.replace("kinesis:PutRecord\"", "kinesis:DescribeStream\""),
        false => body,
    };
    let harness = || Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let begins = TEXT.find("[[fault]]").expect("faults");
    let fault = "[[fault]]\nkind = \"permission-removed\"\nservice = \"kinesis\"\nlasting = \"30s\"\n\n[expect]\ninvariants = [\"conservation\"]\n";
    let story = story(&format!("{}{fault}", &TEXT[..begins]), &harness, None);
    assert_eq!(story.invariant.as_deref(), Some("conservation"), "{story}");
    assert!(
        story.end.contains("FAILS at iot-platform-sim-raw") && story.end.ends_with("the rule gave it up"),
        "{story}"
    );
    let disabled = story.faults.iter().find(|touch| touch.kind == "permission-removed");
    assert!(disabled.is_some_and(|touch| !touch.struck && touch.text == "acted for 30s"), "{story}");
}

#[test]
fn a_reading_that_a_function_gives_up_ends_in_the_failure_destination() {
    let begins = TEXT.find("[[fault]]").expect("faults");
    let poison = "[[fault]]\nkind = \"poison-message\"\nfunction = \"enrichment\"\n";
    // The settings allow no less than ten attempts, which hold the shard up for longer than this run takes.
    let change = |stack: &str, body: String| match stack.ends_with("-enrichment") {
        true => {
            let changed = body.replace("\"MaximumRetryAttempts\": 20", "\"MaximumRetryAttempts\": 0");
            assert_ne!(changed, body, "the mapping has attempts");
            changed
        }
        false => body,
    };
    let harness = || Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let reading = ReadingId { tenant: "acme".to_owned(), device: "pumps-00001".to_owned(), seq: 1 };
    let story = story(&format!("{}{poison}", &TEXT[..begins]), &harness, Some(reading));
    let expected = "a function gave it up: the failure destination holds it, given up by iot-platform-sim-enrichment: \
                    RetryAttemptsExhausted";
    assert_eq!((story.verdict, story.end.as_str()), (Verdict::Held, expected), "{story}");
}
