//! Faults of operators and of the whole account, each alone: it strikes, its effect is seen, everything is put right, and
//! the platform goes on by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use record::{Summary, Verdict};
use sim::cloud::account::Account;
use sim::run::{Harness, OwnersAct};
use sim::scenario::Scenario;
use sim::world::time::Time;

use crate::support::summary_with;

/// One fault of one kind.
struct Case {
    /// The table `[[fault]]`.
    fault: &'static str,
    /// Marks that must be reached.
    marks: &'static [&'static str],
    /// Counters that must have counted.
    counters: &'static [&'static str],
    /// Strokes.
    strokes: u64,
}

const HARDSHIP_S: u64 = 420;

const CASES: &[Case] = &[
    Case {
        fault: "kind = 'bad-deploy'\nfrom = '60s'\nlasting = '60s'\nevery = '150s'",
        marks: &["function-not-started"],
        counters: &["lambda:Errors"],
        strokes: 3,
    },
    Case {
        fault: "kind = 'bad-deploy'\nfrom = '60s'\nlasting = '60s'\nfunction = 'anomaly_detection'",
        marks: &["function-not-started"],
        counters: &["lambda:Errors"],
        strokes: 1,
    },
    Case {
        fault: "kind = 'rollback'\nfrom = '60s'\nevery = '200s'",
        marks: &["stack-rolled-back"],
        counters: &["cloudformation:UpdateStack"],
        strokes: 2,
    },
    Case {
        fault: "kind = 'permission-removed'\nfrom = '60s'\nlasting = '45s'\nservice = 'kinesis'",
        marks: &["denied-then-allowed"],
        counters: &["iam:AccessDenied"],
        strokes: 1,
    },
    Case {
        fault: "kind = 'permission-removed'\nfrom = '60s'\nlasting = '45s'\nevery = '60s'",
        marks: &["denied-then-allowed"],
        counters: &["iam:AccessDenied"],
        strokes: 6,
    },
    Case {
        fault: "kind = 'key-disabled'\nfrom = '30s'\nlasting = '2min'",
        marks: &["waited-for-key"],
        counters: &[],
        strokes: 1,
    },
    Case {
        fault: "kind = 'certificate-expiry'\nfrom = '60s'\nlasting = '2min'\nshare = 0.5",
        marks: &["certificate-refused"],
        counters: &["iot:Connection.AuthNError"],
        strokes: 1,
    },
    Case {
        fault: "kind = 'wrong-configuration'\nfrom = '60s'\nlasting = '45s'\nevery = '100s'",
        marks: &[],
        counters: &["iam:AccessDenied", "lambda:Errors"],
        strokes: 4,
    },
    Case {
        fault: "kind = 'quota-lowered'\nfrom = '60s'\nuntil = '3min'\namount = 0.05",
        marks: &["quota-lowered"],
        counters: &[],
        strokes: 1,
    },
    // Shorter than a rule tries: one record a second is left for each shard.
    Case {
        fault: "kind = 'quota-lowered'\nfrom = '60s'\nuntil = '85s'\namount = 0.0\nservice = 'kinesis'",
        marks: &["quota-lowered"],
        counters: &[],
        strokes: 1,
    },
    Case {
        fault: "kind = 'bit-rot'\nfrom = '4min'\nevery = '1min'\nshare = 0.7",
        marks: &["rot-detected"],
        counters: &["s3:BitRotDetected"],
        strokes: 3,
    },
    Case {
        fault: "kind = 'region-outage'\nfrom = '2min'\nuntil = '4min'",
        marks: &["region-down"],
        counters: &[],
        strokes: 1,
    },
];

fn scenario(case: &Case) -> Scenario {
    let text = format!(
        "title = 'One fault'\nwhy = 'it strikes, and everything is put right'\nseeds = [1]\n\
         [[fleet]]\nname = 'pumps'\nkind = 'synthetic'\ntenant = 'acme'\ndevices = 15\npublish_every = '5s'\n\
         [phase]\nhardship = '{HARDSHIP_S}s'\npeace = '5min'\n\
         [[fault]]\nname = 'it'\n{}\n",
        case.fault
    );
    Scenario::parse(&text, Path::new("one-fault.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything that these faults change, as it is now.
fn state(account: &Account) -> String {
    let mut state = String::new();
    let services = &account.services;
    for function in services.lambda.functions() {
        // Time and revision of the last change are new after each, on AWS too.
        let mut function = function.clone();
        function.last_modified = Time::EPOCH;
        function.revision_id.clear();
        state.push_str(&format!("{function:?}\n"));
        let role = function.role_arn.rsplit('/').next().expect("a role has a name");
        state.push_str(&format!("{:?}\n", services.iam.role_policies(role)));
    }
    let scales: Vec<f64> = account.limits().scales_of(None).map(|scale| scale.get()).collect();
    state.push_str(&format!("{scales:?}\n"));
    state.push_str(&format!("{:?}\n", services.iot.certificates().collect::<Vec<_>>()));
    state.push_str(&format!("{:?}\n", account.keys().collect::<Vec<_>>()));
    state
}

/// The summary of a run, and the state of the account before the fault and after hardship.
fn run(case: &Case) -> (Summary, Vec<String>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let looks = [20, HARDSHIP_S + 4].map(|second| {
        let seen = seen.clone();
        let look: OwnersAct = Arc::new(move |account, _| seen.lock().expect("one thread").push(state(account)));
        (Duration::from_secs(second), look)
    });
    let harness = Harness { acts: looks.to_vec(), ..Harness::default() };
    let summary = summary_with(&scenario(case), 1, harness);
    let seen = std::mem::take(&mut *seen.lock().expect("one thread"));
    (summary, seen)
}

#[test]
fn each_fault_strikes_is_seen_and_leaves_nothing_behind() {
    let mut failures = Vec::new();
    for case in CASES {
        let (summary, states) = run(case);
        let counters: BTreeMap<&str, u64> =
            summary.counters.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let mut missing: Vec<String> = Vec::new();
        for mark in case.marks.iter().filter(|mark| !summary.marks.contains_key(**mark)) {
            missing.push(format!("mark {mark}"));
        }
        for counter in case.counters {
            let calls = summary.calls.get(*counter).map_or(0, |calls| calls.ok);
            if counters.get(counter).copied().unwrap_or(0) + calls == 0 {
                missing.push(format!("counter {counter}"));
            }
        }
        if summary.faults["it"] != case.strokes {
            missing.push(format!("{} strokes, found {}", case.strokes, summary.faults["it"]));
        }
        if summary.verdict != Verdict::Held {
            missing.push(format!("{:?}: {:?} {:?}", summary.verdict, summary.violations, summary.unsettled));
        }
        if states[0] != states[1] {
            missing.push(format!("the state is another:\n{}\n{}", states[0], states[1]));
        }
        if !missing.is_empty() {
            failures.push(format!("{}\n  {}\n  marks: {:?}", case.fault, missing.join("\n  "), summary.marks));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run_under_each_fault() {
    for case in CASES {
        let (first, second) = (run(case).0, run(case).0);
        assert_eq!(first, second, "{}", case.fault);
    }
}
