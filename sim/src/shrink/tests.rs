use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use platform::function::{Function, FunctionError, InvocationContext};

use super::*;
use crate::fleet::spec::ModelSpec;
use crate::run::{RunOptions, run_with};
use crate::scenario::Overrides;

const TEXT: &str = r#"# Kept with the title.
title = "Two fleets and much that goes wrong"
why = "a test of shrinking"
seeds = [7]

[[fleet]]
name = "pumps"
kind = "synthetic"
tenant = "acme"
tenants = 2
devices = 6
publish_every = "5s"
network = "lte"

[[fleet]] # the second
name = "valves"
kind = "synthetic"
tenant = "globex"
devices = 4 # four
publish_every = "10s"

[[fleet.metric]]
name = "rpm"
baseline = 900.0

[[fleet.metric]]
name = "load"
baseline = 0.5

[phase]
hardship = "3min"
peace = "4min"

[platform]
raw_shards = 1
enrichment.batch_size = 200

[[fault]]
name = "slow"
kind = "slow-service"
probability = 0.25
delay = "200ms"

[[fault]]
name = "no enriched stream"
kind = "server-error"
service = "kinesis"
operation = "PutRecords"
from = "1min"

[[fault]]
name = "lost"
kind = "lost-response"
service = "kinesis"
probability = 0.05
"#;

fn scenario() -> Scenario {
    Scenario::parse(TEXT, Path::new("scenarios/many.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// Says that a whole batch is done whatever the handler came to.
struct Swallows(Box<dyn Function>);

#[async_trait]
impl Function for Swallows {
    async fn invoke(&self, event: &[u8], context: &InvocationContext) -> Result<Vec<u8>, FunctionError> {
        let _ = self.0.invoke(event, context).await;
        Ok(b"{\"batchItemFailures\":[]}".to_vec())
    }
}

pub(crate) fn swallowing() -> Harness {
    Harness {
        wrap_function: Some(Arc::new(|name, inner| match name.ends_with("-enrichment") {
            true => Box::new(Swallows(inner)),
            false => inner,
        })),
        ..Harness::default()
    }
}

fn shrunk(scenario: &Scenario, harness: &(dyn Fn() -> Harness + Sync), jobs: usize, runs_max: u64) -> Shrunk {
    let outcome = run_with(scenario, RunOptions::seeded(7), harness()).unwrap_or_else(|error| panic!("{error}"));
    let wants = Signature::of(&outcome.summary).expect("the planted bug is found");
    let runs = std::sync::atomic::AtomicU64::new(0);
    let time_is_up = || runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= runs_max;
    let options = Options { jobs, other_seeds: 1, time_is_up: &time_is_up, progress: &mut |_| {} };
    shrink(scenario, 7, harness, &wants, options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_bug_that_needs_one_fault_is_shrunk_to_one_device_and_that_fault() {
    let shrunk = shrunk(&scenario(), &swallowing, 2, u64::MAX);
    assert!(shrunk.complete);
    assert_eq!((shrunk.after.devices, shrunk.after.faults), (1, 1), "{}", shrunk.scenario.source.text);
    assert_eq!(shrunk.scenario.faults[0].name, "no enriched stream");
    assert!(shrunk.after.hardship < Duration::from_secs(180) && shrunk.scenario.platform.is_none());
    assert_eq!(shrunk.summary.violations[0].invariant, "conservation");
    let file = Path::new("scenarios/regressions/swallowed.toml");
    let text = shrunk.regression("many seed 7", file, "").unwrap_or_else(|error| panic!("{error}"));
    let again = Scenario::parse(&text, file).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.seeds, [shrunk.seed]);
    assert_eq!(again.why, "shrunk from many seed 7: violated conservation");
    assert!(text.starts_with("# Run it with: cargo sim run scenarios/regressions/swallowed.toml --seed"), "{text}");
    assert!(text.contains("# Kept with the title."), "{text}");
    let repeated = run_with(&again, RunOptions::seeded(shrunk.seed), swallowing()).expect("it runs").summary;
    assert_eq!(Signature::of(&repeated), Signature::of(&shrunk.summary), "the file fails in the same way");
    let repaired = run_with(&again, RunOptions::seeded(shrunk.seed), Harness::default()).expect("it runs").summary;
    assert_eq!(repaired.verdict, Verdict::Held, "without the bug it holds: {repaired:?}");
}

#[test]
fn the_result_does_not_depend_on_how_many_runs_go_at_once_and_a_halt_is_told() {
    let small = Overrides { devices: Some(3), hardship: Some(Duration::from_secs(170)), ..Overrides::default() };
    let scenario = scenario().with_overrides(&small).unwrap_or_else(|error| panic!("{error}"));
    let [one, three] = [1, 3].map(|jobs| shrunk(&scenario, &swallowing, jobs, u64::MAX));
    assert_eq!(one.scenario.source.text, three.scenario.source.text);
    assert_eq!((one.seed, one.summary.digest), (three.seed, three.summary.digest));
    let halted = shrunk(&scenario, &swallowing, 1, 1);
    assert!(!halted.complete && halted.runs <= 2 && one.complete, "{} runs", halted.runs);
}

#[test]
fn what_holds_is_not_shrunk() {
    let wants = Signature { verdict: Verdict::Violated, invariant: Some("order".to_owned()), waiting: None };
    let options = Options { jobs: 1, other_seeds: 0, time_is_up: &|| false, progress: &mut |_| {} };
    let small = Overrides { devices: Some(2), hardship: Some(Duration::from_secs(30)), ..Overrides::default() };
    let mut scenario = scenario();
    scenario.faults.clear();
    let cleared = scenario.source.text.split("[[fault]]").next().map(str::to_owned).expect("a first part");
    let scenario = Scenario::parse(&cleared, Path::new("scenarios/calm.toml")).expect("a scenario");
    let scenario = scenario.with_overrides(&small).expect("it works");
    let error = shrink(&scenario, 7, &Harness::default, &wants, options).expect_err("it holds").to_string();
    assert!(error.contains("expected: violated order") && error.contains("found: held"), "{error}");
}

#[test]
fn flags_are_written_into_the_text_and_comments_stay() {
    let overrides = Overrides { devices: Some(3), hardship: Some(Duration::from_secs(50)), peace: None };
    let text = format!("{TEXT}\n[expect]\nmarks = [\"batch-repeated\"]\n");
    let whole = Scenario::parse(&text, Path::new("scenarios/many.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(whole.expect.marks, ["batch-repeated"]);
    let changed = whole.with_overrides(&overrides).expect("it works");
    assert!(changed.expect.marks.is_empty(), "a smaller run need not reach them");
    let written = text::written(&changed).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(written.devices(), 3);
    assert_eq!(written.faults.len(), 2, "a fault that would begin after hardship is gone");
    for comment in ["# Kept with the title.", "# the second", "# four"] {
        assert!(written.source.text.contains(comment), "{comment}\n{}", written.source.text);
    }
    assert_eq!(text::written(&written).expect("it is written").source.text, written.source.text);
    let mut odd = scenario();
    odd.fleets[0].name = "elsewhere".to_owned();
    let error = text::written(&odd).expect_err("a name is no flag").to_string();
    assert!(error.contains("was changed in a way that its text cannot say"), "{error}");
}

#[test]
fn every_pass_offers_scenarios_that_are_smaller_and_parse() {
    let mut text = TEXT.replace("hardship = \"3min\"", "hardship = \"10min\"");
    text = text.replace("peace = \"4min\"", "peace = \"10min\"").replace("seeds = [7]", "start = 2026-03-02T00:00:00Z");
    text.push_str("\n[[change]]\nat = \"5min\"\nplatform = { raw_shards = 2, enriched_shards = 3 }\n");
    text = text.replace(
        "[[fleet]] # the second",
        "[[fleet]]\nkind = \"replay\"\ntenant = \"nab\"\nseries = \"../data/nab/data/realTraffic\"\n[[fleet]]",
    );
    text.push_str(
        "[[fleet]]\nkind = \"pump\"\ntenant = \"t\"\ndevices = 2\ndisconnects = \"1min\"\n\
         [[fleet.failure]]\nkind = \"dropout\"\nfrom = \"9min\"\n[[fleet.failure]]\nkind = \"dropout\"\n",
    );
    text.push_str(
        "[[rollout]]\nfrom = \"9min\"\ndesired = { firmware = \"2\" }\n[[command]]\nevery = \"5s\"\nfrom = \"1min\"\n",
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/many.toml");
    let scenario = Scenario::parse(&text, &root).unwrap_or_else(|error| panic!("{error}"));
    let wants = Signature { verdict: Verdict::Violated, invariant: None, waiting: None };
    for pass in passes::ALL {
        let candidates = (pass.candidates)(&scenario, &wants);
        let parsed = candidates.iter().filter_map(|text| Scenario::parse(text, &root).ok());
        let smaller = parsed.filter(|candidate| *candidate != scenario).count();
        assert!(smaller > 0, "{}: none of {} candidates is a scenario", pass.name, candidates.len());
    }
    let hardship = passes::ALL.iter().find(|pass| pass.name == "hardship").expect("hardship may be shorter");
    for text in (hardship.candidates)(&scenario, &wants) {
        let shorter = Scenario::parse(&text, &root).unwrap_or_else(|error| panic!("{error}"));
        let ModelSpec::Twin(twin) = &shorter.fleets[3].model else { panic!("a twin") };
        let kept = 1 + usize::from(shorter.phase.hardship > Duration::from_secs(540));
        assert_eq!(twin.failures.len(), kept, "failures after hardship are dropped");
    }
    let unsettled = Signature { verdict: Verdict::Unsettled, ..wants };
    let peace = passes::ALL.iter().find(|pass| pass.name == "peace").expect("peace may be shorter");
    assert!((peace.candidates)(&scenario, &unsettled).is_empty(), "less time is another way to be unsettled");
}

#[test]
fn signatures_forget_numbers_and_nothing_else() {
    let mut summary = Summary::new("x", 1);
    assert_eq!(Signature::of(&summary), None);
    summary.verdict = Verdict::Unsettled;
    summary.unsettled = Some("1,234 owed readings are not in the lake".to_owned());
    let signature = Signature::of(&summary).expect("it failed");
    assert_eq!(signature.waiting.as_deref(), Some("N owed readings are not in the lake"));
    assert_eq!(signature.to_string(), "unsettled: N owed readings are not in the lake");
}
