//! Faults of services, functions and streams, each alone in a small world: it strikes, what it does can be seen, and the
//! run is held; and what happens when nobody could survive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use record::{Summary, Verdict};
use sim::cloud::iot::DeviceRegistration;
use sim::run::{Harness, OwnersAct, RunOptions, run};
use sim::scenario::Scenario;

use crate::support::{scenario, summary, summary_with};

/// A small world with the faults of `faults`.
fn world(faults: &str) -> Scenario {
    let text = format!(
        r#"title = "t"
why = "w"

[[fleet]]
name = "sensors"
kind = "synthetic"
tenant = "acme"
tenants = 2
devices = 12
publish_every = "4s"
network = "ethernet"

[phase]
hardship = "4min"
peace = "6min"

{faults}
"#
    );
    Scenario::parse(&text, Path::new("some.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn fault(lines: &str) -> Scenario {
    world(&format!("[[fault]]\nname = \"f\"\n{lines}\n"))
}

fn mark(summary: &Summary, mark: &str) -> u64 {
    summary.marks.get(mark).copied().unwrap_or(0)
}

fn counter(summary: &Summary, counter: &str) -> u64 {
    summary.counters.get(counter).copied().unwrap_or(0)
}

/// What a fault leaves in a summary.
type Effect = fn(&Summary) -> u64;

/// A fault as its scenario writes it, and what can be seen of it.
type Case = (&'static str, Effect);

/// Each of these strikes, can be seen, and is survived; the same seed gives the same run.
fn assert_survived(cases: &[Case]) {
    for (lines, effect) in cases {
        let scenario = fault(lines);
        let seen = summary(&scenario, 5);
        assert_eq!(seen.verdict, Verdict::Held, "{lines}\n{:?} {:?}", seen.violations, seen.unsettled);
        assert!(seen.acknowledged > 500 && seen.missing == 0, "{lines}");
        assert!(seen.faults["f"] > 0, "{lines}\nit never struck");
        assert!(effect(&seen) > 0, "{lines}\nnothing is seen of it: {:?} {:?}", seen.marks, seen.counters);
        assert_eq!(summary(&scenario, 5), seen, "{lines}");
    }
}

#[test]
fn calls_that_are_refused_lost_or_slow_are_repeated_and_nothing_is_lost() {
    assert_survived(&[
        ("kind = \"throttle\"\nservice = \"kinesis\"\nprobability = 0.3", |s| mark(s, "rule-retried").min(s.throttles)),
        ("kind = \"server-error\"\nprobability = 0.2", |s| s.calls["kinesis:PutRecords"].error),
        ("kind = \"lost-request\"\nprobability = 0.2", |s| mark(s, "rule-retried")),
        ("kind = \"lost-response\"\nprobability = 0.2", |s| mark(s, "repeated-after-lost-response").min(s.duplicates)),
        ("kind = \"timeout\"\nfunction = \"enrichment\"\nprobability = 0.2", |s| {
            u64::from(s.latency_ms.max > Some(10_000.0))
        }),
        ("kind = \"slow-service\"\nfunction = \"enrichment\"\nprobability = 0.2\ndelay = \"12s\"", |s| {
            mark(s, "late-effect").min(mark(s, "repeated-after-lost-response"))
        }),
        ("kind = \"brown-out\"\nservice = \"kinesis\"\nprobability = 0.3\ndelay = \"2s\"", |s| {
            s.calls["kinesis:PutRecords"].throttled.min(s.calls["kinesis:PutRecords"].error)
        }),
    ]);
}

#[test]
fn batches_that_fail_in_part_are_finished_in_order() {
    assert_survived(&[
        ("kind = \"partial-failure\"\nservice = \"kinesis\"\nprobability = 0.3", |s| mark(s, "partial-put")),
        ("kind = \"partial-failure\"\nservice = \"dynamodb\"\nprobability = 0.5", |s| {
            s.calls["dynamodb:BatchGetItem"].ok
        }),
    ]);
}

#[test]
fn deliveries_and_states_in_s3_survive_what_s3_does_not_answer() {
    assert_survived(&[
        ("kind = \"lost-response\"\nservice = \"s3\"\noperation = \"PutObject\"\nprobability = 0.5", |s| {
            mark(s, "delivery-repeated").min(mark(s, "cas-conflict")).min(s.duplicates)
        }),
        ("kind = \"throttle\"\nservice = \"s3\"\nprobability = 0.4", |s| s.calls["s3:PutObject"].throttled),
        ("kind = \"server-error\"\nservice = \"glue\"\nprobability = 0.8", |s| s.calls["glue:GetTable"].error),
    ]);
}

#[test]
fn environments_that_die_hang_or_come_back_lose_nothing() {
    assert_survived(&[
        ("kind = \"crash-before\"\nprobability = 0.2", |s| mark(s, "batch-repeated")),
        ("kind = \"crash-midway\"\nfunction = \"enrichment\"\nprobability = 0.3", |s| {
            mark(s, "batch-repeated").min(s.duplicates)
        }),
        ("kind = \"crash-midway\"\nfunction = \"anomaly_detection\"\nprobability = 0.3", |s| mark(s, "batch-repeated")),
        ("kind = \"crash-after\"\nfunction = \"enrichment\"\nprobability = 0.3", |s| s.duplicates),
        ("kind = \"function-timeout\"\nprobability = 0.05", |s| counter(s, "lambda:Timeouts")),
        ("kind = \"out-of-memory\"\nprobability = 0.1", |s| counter(s, "lambda:Errors")),
        ("kind = \"cold-starts\"\nfrom = \"30s\"\nevery = \"40s\"", |s| {
            counter(s, "lambda:ColdStarts").saturating_sub(4)
        }),
        ("kind = \"duplicate-invocation\"\nprobability = 0.3", |s| mark(s, "invoked-twice").min(s.duplicates)),
        ("kind = \"zombie\"\nprobability = 0.2", |s| mark(s, "zombie-effect")),
    ]);
}

#[test]
fn streams_that_are_resharded_and_readers_that_sleep_keep_the_order() {
    assert_survived(&[
        ("kind = \"reshard\"\nfrom = \"20s\"\nevery = \"65s\"", |s| mark(s, "parent-drained-first")),
        ("kind = \"reshard\"\nstream = \"raw\"\nfrom = \"20s\"", |s| s.calls["kinesis:UpdateShardCount"].ok),
        ("kind = \"reader-stall\"\nservice = \"lambda\"\nstream = \"raw\"\nfrom = \"30s\"\nlasting = \"100s\"", |s| {
            mark(s, "reader-stood-still").min(mark(s, "reader-behind"))
        }),
        ("kind = \"reader-stall\"\nservice = \"firehose\"\nfrom = \"30s\"\nevery = \"2min\"\nlasting = \"70s\"", |s| {
            mark(s, "reader-stood-still").min(mark(s, "reader-behind"))
        }),
    ]);
}

#[test]
fn a_change_of_shards_that_kinesis_refuses_has_not_struck() {
    // A change takes longer than that, and a stream that is changing takes no other.
    let seen = summary(&fault("kind = \"reshard\"\nstream = \"raw\"\nfrom = \"20s\"\nevery = \"1s\""), 5);
    assert_eq!(seen.verdict, Verdict::Held, "{:?}", seen.violations);
    let calls = seen.calls["kinesis:UpdateShardCount"];
    assert!(calls.error + calls.throttled > 0, "{calls:?}");
    assert_eq!(seen.faults["f"], calls.ok);
}

/// The owner registers devices that publish nothing: events of the registry, which the platform follows.
fn joins(count: usize) -> Vec<(Duration, OwnersAct)> {
    let join = |n: usize| -> (Duration, OwnersAct) {
        let act: OwnersAct = Arc::new(move |account, now| {
            let registration = DeviceRegistration {
                thing_name: format!("late-{n}"),
                thing_type: None,
                attributes: [("tenant".to_owned(), "acme-1".to_owned())].into(),
                certificate_id: sim::cloud::iot::certificate_id(format!("late-{n}").as_bytes()),
                policy_name: "iot-platform-sim-device".to_owned(),
            };
            let registered = account.as_owner(now, |services, cx| services.iot.register_device(cx, &registration));
            registered.unwrap_or_else(|error| panic!("{error}"));
        });
        (Duration::from_secs(20 + n as u64), act)
    };
    (0..count).map(join).collect()
}

#[test]
fn events_that_come_twice_or_late_are_processed() {
    for (lines, expected) in [
        ("kind = \"event-duplicate\"\nfunction = \"device_tagger\"\nprobability = 0.5", "event-twice"),
        ("kind = \"event-reorder\"\nfunction = \"device_tagger\"\nprobability = 0.5", "event-overtaken"),
    ] {
        let run = || summary_with(&fault(lines), 5, Harness { acts: joins(12), ..Harness::default() });
        let seen = run();
        assert_eq!(seen.verdict, Verdict::Held, "{lines}\n{:?} {:?}", seen.violations, seen.unsettled);
        let (struck, marked) = (seen.faults["f"], mark(&seen, expected));
        assert!(struck > 0 && struck == marked, "{lines}\n{struck} {marked}");
        assert!(counter(&seen, "lambda:AsyncEventsReceived") >= 12, "{lines}\n{:?}", seen.counters);
        assert_eq!(counter(&seen, "lambda:AsyncEventsDropped"), 0, "{lines}");
        assert_eq!(run(), seen, "{lines}");
    }
}

#[test]
fn what_the_rule_cannot_put_for_minutes_is_set_aside_and_not_missing() {
    let lines =
        "kind = \"throttle\"\nservice = \"kinesis\"\noperation = \"PutRecord\"\nfrom = \"30s\"\nuntil = \"2min30s\"";
    let seen = summary(&fault(lines), 5);
    assert_eq!(seen.verdict, Verdict::Held, "{:?} {:?}", seen.violations, seen.unsettled);
    assert!(seen.set_aside > 0, "two minutes are longer than the engine tries: {:?}", seen.marks);
    assert_eq!(seen.delivered + seen.set_aside, seen.acknowledged);
    assert_eq!((mark(&seen, "rule-gave-up"), seen.missing), (seen.set_aside, 0));
}

#[test]
fn what_the_rule_sets_aside_without_a_fault_breaks_conservation() {
    // The rule's role may not put records: the error action stores every reading, and no fault explains it.
    let change = |stack: &str, body: String| match stack.ends_with("-streaming") {
        true => body.replace("kinesis:PutRecord", "kinesis:ListShards"),
        false => body,
    };
    let harness = Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let seen = summary_with(&world(""), 5, harness);
    assert_eq!(seen.verdict, Verdict::Violated);
    assert_eq!((seen.set_aside, seen.missing), (seen.acknowledged, 0));
    let broken = seen.violations.iter().find(|violation| violation.invariant == "conservation");
    let message = &broken.unwrap_or_else(|| panic!("{:?}", seen.violations)).message;
    assert!(message.contains("were left at the rule, whose action no fault had struck"), "{message}");
}

#[test]
fn records_that_expire_before_they_are_read_are_missed() {
    let scenario = scenario("canary-retention-loss");
    let seen = summary(&scenario, scenario.seeds[0]);
    assert_eq!(seen.verdict, Verdict::Violated);
    assert!(seen.missing > 0 && seen.missing < seen.acknowledged, "{}", seen.missing);
    assert!(mark(&seen, "records-expired") > 0, "{:?}", seen.marks);
    assert!(seen.violations.iter().any(|violation| violation.invariant == "conservation"), "{:?}", seen.violations);
}

#[test]
fn the_scenarios_of_these_faults_hold_for_each_of_their_seeds() {
    for name in ["unwell-services", "crashing-functions", "reshard-storm", "anomalies-once"] {
        let scenario = scenario(name);
        assert!(scenario.seeds.len() >= 3, "{name}");
        for seed in &scenario.seeds {
            let seen = run(&scenario, RunOptions::seeded(*seed)).unwrap_or_else(|error| panic!("{error}")).summary;
            let context = format!("{name} --seed {seed}: {:?} {:?}", seen.violations, seen.unsettled);
            assert_eq!(seen.verdict, Verdict::Held, "{context}");
            assert_eq!((seen.missing, seen.spurious, seen.corrupt, seen.out_of_order), (0, 0, 0, 0), "{context}");
            assert!(seen.faults.values().all(|strokes| *strokes > 0), "{context}: {:?}", seen.faults);
        }
    }
}
