//! Canaries: bugs that are planted on purpose, each of which an invariant must catch. A harness that cannot fail is
//! always green.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::function::{Function, FunctionError, InvocationContext};
use record::Verdict;
use serde_json::Value;
use sim::fault::{FaultSpec, Kind};
use sim::fleet::spec::Version;
use sim::run::{Harness, RunOptions, run_with};
use sim::scenario::{Overrides, Scenario};

use crate::support::{rescaled, scenario, summary, summary_with};

/// A change to the records of each batch before the handler sees them.
type Sabotage = fn(&mut Vec<Value>);

struct Sabotaged {
    inner: Box<dyn Function>,
    sabotage: Sabotage,
}

#[async_trait]
impl Function for Sabotaged {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let mut event: Value = serde_json::from_slice(event).expect("Lambda sends JSON");
        (self.sabotage)(event["Records"].as_array_mut().expect("a batch has records"));
        self.inner.invoke(event.to_string().as_bytes(), context).await
    }
}

fn planted(sabotage: Sabotage) -> Harness {
    Harness {
        wrap_function: Some(Arc::new(move |_, inner| Box::new(Sabotaged { inner, sabotage }))),
        ..Harness::default()
    }
}

/// A small fleet whose batches hold several readings of one device.
fn small() -> Scenario {
    let overrides = Overrides { devices: Some(4), hardship: Some(Duration::from_secs(120)), ..Overrides::default() };
    let mut scenario = rescaled("smoke", &overrides);
    for fleet in &mut scenario.fleets {
        if let sim::fleet::spec::ModelSpec::Synthetic(model) = &mut fleet.model {
            model.publish_every = Duration::from_millis(200);
        }
    }
    scenario
}

/// The planted bug is caught, by the invariant that promises its absence.
fn assert_caught(sabotage: Sabotage, invariant: &str) {
    let summary = summary_with(&small(), 7, planted(sabotage));
    assert_eq!(summary.verdict, Verdict::Violated, "{invariant}");
    let broken: Vec<&str> = summary.violations.iter().map(|violation| violation.invariant.as_str()).collect();
    assert!(broken.contains(&invariant), "expected {invariant}, found {broken:?}");
}

#[test]
fn the_world_of_the_canaries_holds_without_them() {
    let summary = summary(&small(), 7);
    assert_eq!(summary.verdict, Verdict::Held, "{:?}", summary.violations);
}

#[test]
fn forgetting_the_last_record_of_a_batch_breaks_conservation() {
    assert_caught(|records| drop(records.pop()), "conservation");
}

#[test]
fn writing_a_batch_backwards_breaks_order() {
    assert_caught(|records| records.reverse(), "order");
}

#[test]
fn changing_a_timestamp_breaks_integrity() {
    assert_caught(
        |records| {
            change_first(records, |reading| {
                reading["ts"] = (reading["ts"].as_u64().expect("ts is a number") + 1).into();
            });
        },
        "integrity",
    );
}

/// Decodes the first reading of a batch, changes it, and puts it back.
fn change_first(records: &mut [Value], change: impl FnOnce(&mut Value)) {
    let data = &mut records[0]["kinesis"]["data"];
    let bytes = STANDARD.decode(data.as_str().expect("data is text")).expect("data is base64");
    let mut reading: Value = serde_json::from_slice(&bytes).expect("a reading is JSON");
    change(&mut reading);
    *data = STANDARD.encode(reading.to_string()).into();
}

#[test]
fn changing_a_value_breaks_integrity() {
    assert_caught(
        |records| {
            change_first(records, |reading| {
                let metrics = reading["metrics"].as_object_mut().expect("metrics by name");
                let value = metrics.values_mut().next().expect("a metric");
                *value = (value.as_f64().expect("a number") + 0.001).into();
            });
        },
        "integrity",
    );
}

#[test]
fn inventing_a_reading_breaks_integrity() {
    assert_caught(|records| change_first(records, |reading| reading["seq"] = 1_000_000.into()), "integrity");
}

#[test]
fn refusing_valid_readings_breaks_conservation() {
    assert_caught(|records| change_first(records, |reading| reading["ts"] = 5.into()), "conservation");
}

#[test]
fn dropping_the_recorded_timestamp_breaks_integrity() {
    let overrides = Overrides { hardship: Some(Duration::from_secs(30)), ..Overrides::default() };
    let forgetful: Sabotage = |records| {
        change_first(records, |reading| drop(reading.as_object_mut().expect("an object").remove("recorded_at")));
    };
    let summary = summary_with(&rescaled("replay-nab", &overrides), 1, planted(forgetful));
    assert_eq!(summary.verdict, Verdict::Violated);
    assert!(summary.violations.iter().any(|violation| violation.invariant == "integrity"), "{:?}", summary.violations);
}

/// Devices that say their clock and their units, whose clocks are off by up to twelve hours.
fn off_the_clock() -> Scenario {
    // Enough of them for clocks that are behind by more than any message is on its way.
    let overrides = Overrides { devices: Some(16), hardship: Some(Duration::from_secs(120)), ..Overrides::default() };
    let mut scenario = rescaled("smoke", &overrides);
    for fleet in &mut scenario.fleets {
        fleet.payload = Version::Two;
    }
    let delay = Some(Duration::from_secs(12 * 3_600));
    scenario.faults.push(FaultSpec { delay, ..FaultSpec::new(Kind::ClockSkew, scenario.phase.hardship) });
    scenario
}

/// Changes every reading of a batch that is of version 2.
fn change_second(records: &mut [Value], change: impl Fn(&mut Value)) {
    for record in records.chunks_mut(1) {
        change_first(record, |reading| {
            if reading["v"] == 2 {
                change(reading);
            }
        });
    }
}

#[test]
fn a_clock_that_is_not_corrected_or_wrongly_and_a_unit_that_is_not_heeded_break_integrity() {
    let holds = summary(&off_the_clock(), 7);
    assert_eq!(holds.verdict, Verdict::Held, "{:?}", holds.violations);
    let unstamped: Sabotage = |records| {
        change_second(records, |reading| drop(reading.as_object_mut().expect("an object").remove("sent_at")));
    };
    let restamped: Sabotage = |records| {
        change_second(records, |reading| {
            reading["sent_at"] = (reading["sent_at"].as_u64().expect("a stamp") + 7_200_000).into();
        });
    };
    let unitless: Sabotage = |records| {
        change_second(records, |reading| {
            for metric in reading["metrics"].as_object_mut().expect("metrics by name").values_mut() {
                *metric = metric["value"].clone();
            }
        });
    };
    for (what, sabotage) in [("unstamped", unstamped), ("restamped", restamped), ("unitless", unitless)] {
        let summary = summary_with(&off_the_clock(), 7, planted(sabotage));
        let broken: Vec<&str> = summary.violations.iter().map(|violation| violation.invariant.as_str()).collect();
        assert!(broken.contains(&"integrity"), "{what}: {broken:?}");
    }
}

#[test]
fn what_is_lost_is_never_held_even_where_conservation_is_not_asked_for() {
    let mut scenario = small();
    scenario.expect.invariants = vec!["order".to_owned()];
    let summary = summary_with(&scenario, 7, planted(|records| drop(records.pop())));
    assert!(summary.missing > 0);
    assert_eq!(summary.verdict, Verdict::Unsettled, "{:?}", summary.violations);
}

#[test]
fn a_latency_budget_that_is_not_met_is_a_violation() {
    let mut scenario = small();
    scenario.expect.budget.latency_p99 = Some(Duration::from_secs(10));
    let over = summary(&scenario, 7);
    assert_eq!(over.verdict, Verdict::Violated);
    assert_eq!(over.violations[0].invariant, "budget.latency_p99");
    scenario.expect.budget.latency_p99 = Some(Duration::from_secs(600));
    assert_eq!(summary(&scenario, 7).verdict, Verdict::Held);
}

#[test]
fn a_mark_that_is_expected_and_not_reached_is_a_violation() {
    let mut scenario = small();
    scenario.expect.marks = vec!["batch-repeated".to_owned()];
    let missed = summary(&scenario, 7);
    assert_eq!(missed.verdict, Verdict::Violated);
    assert_eq!(missed.violations[0].invariant, "expect.marks");
    assert!(missed.violations[0].message.contains("`batch-repeated` (Lambda delivered"), "{:?}", missed.violations);
    let crashes = FaultSpec::new(Kind::CrashAfter, Duration::from_secs(30));
    scenario.faults.push(crashes);
    assert_eq!(summary(&scenario, 7).verdict, Verdict::Held);
}

#[test]
fn too_short_a_peace_is_unsettled_and_not_violated() {
    let scenario = scenario("canary-short-peace");
    let summary = summary(&scenario, scenario.seeds[0]);
    assert_eq!(summary.verdict, Verdict::Unsettled, "{:?}", summary.violations);
    assert_eq!(summary.missing, 0, "what was late has arrived afterwards");
    let why = summary.unsettled.expect("a run that has not settled says why");
    assert!(why.contains("peace had ended after 95 s"), "{why}");
}

#[test]
fn a_template_that_misses_a_resource_or_a_trust_fails_the_boot_and_is_named() {
    for (from, to, expected) in [
        ("\"lambda.amazonaws.com\"", "\"ec2.amazonaws.com\"", "cannot be assumed by lambda.amazonaws.com"),
        ("\"TRIM_HORIZON\"", "\"SOMEWHERE\"", "SOMEWHERE"),
        ("\"AWS::Lambda::Function\"", "\"AWS::Lambda::Functional\"", "AWS::Lambda::Functional"),
        ("streaming/raw-stream-arn", "streaming/gone", "streaming/gone"),
    ] {
        let change = move |stack: &str, body: String| {
            if stack.ends_with("-enrichment") { body.replace(from, to) } else { body }
        };
        let harness = Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
        let error = run_with(&small(), RunOptions::seeded(1), harness).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("enrichment"), "{error}");
    }
}

#[test]
fn a_policy_for_another_topic_lets_nothing_in() {
    let change = |stack: &str, body: String| {
        if stack.ends_with("-iot-core") { body.replace("ThingName}/data", "ThingName}/elsewhere") } else { body }
    };
    let harness = Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let summary = summary_with(&small(), 1, harness);
    assert_eq!((summary.acknowledged, summary.delivered), (0, 0));
    assert!(summary.published > 0, "devices tried");
    assert_eq!(summary.verdict, Verdict::Unsettled, "nothing is owed, and nothing works");
    let why = summary.unsettled.expect("a run that has not settled says why");
    assert!(why.contains("readings still wait in devices"), "{why}");
}

#[test]
fn a_deployment_that_ends_otherwise_than_its_scenario_says_is_a_violation() {
    let overrides = Overrides { devices: Some(4), ..Overrides::default() };
    let mut scenario = rescaled("deploy-midflight", &overrides);
    scenario.phase.hardship = Duration::from_secs(9 * 60);
    scenario.changes.truncate(1);
    scenario.changes[0].outcome = sim::scenario::DeploymentOutcome::RolledBack;
    let summary = summary(&scenario, 1);
    assert_eq!(summary.verdict, Verdict::Violated);
    let [violation] = summary.violations.as_slice() else { panic!("{:?}", summary.violations) };
    assert_eq!(violation.invariant, "deployment");
    assert!(violation.message.starts_with("change[0] was to end rolled-back and ended deployed"), "{violation:?}");
}

#[test]
fn a_permission_that_is_missing_breaks_authorization() {
    let change = |stack: &str, body: String| match stack.ends_with("-enrichment") {
        true => body.replace("dynamodb:BatchGetItem", "dynamodb:GetItem"),
        false => body,
    };
    let harness = Harness { change_template: Some(Arc::new(change)), ..Harness::default() };
    let overrides = Overrides { devices: Some(2), hardship: Some(Duration::from_secs(30)), ..Overrides::default() };
    let summary = summary_with(&rescaled("smoke", &overrides), 7, harness);
    assert_eq!(summary.verdict, Verdict::Violated);
    let found = summary.violations.iter().find(|violation| violation.invariant == "authorization");
    let message = &found.unwrap_or_else(|| panic!("{:?}", summary.violations)).message;
    assert!(
        message.contains("is not authorized to perform: dynamodb:BatchGetItem on resource: arn:aws:dynamodb:"),
        "{message}"
    );
}
