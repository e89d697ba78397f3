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

fn scenario(fault: &str) -> Scenario {
    let text = format!(
        "title = 'One fault'\nwhy = 'it strikes, and everything is put right'\nseeds = [1]\n\
         [[fleet]]\nname = 'pumps'\nkind = 'synthetic'\ntenant = 'acme'\ndevices = 15\npublish_every = '5s'\n\
         [phase]\nhardship = '{HARDSHIP_S}s'\npeace = '5min'\n\
         [[fault]]\nname = 'it'\n{}\n",
        fault
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
    let summary = summary_with(&scenario(case.fault), 1, harness);
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

/// Takes the inline policies of enrichment's role away at an instant, and puts them back later: nobody's fault.
fn policies_taken(at_s: u64, until_s: u64) -> Vec<(Duration, OwnersAct)> {
    let kept: Arc<Mutex<Vec<_>>> = Arc::default();
    let role = |account: &Account| {
        let function = account.services.lambda.functions().find(|function| function.handler == "enrichment");
        function.expect("the function is there").role_arn.rsplit('/').next().expect("a role has a name").to_owned()
    };
    let taken = kept.clone();
    let take: OwnersAct = Arc::new(move |account, now| {
        let role = role(account);
        let policies = account.services.iam.role_policies(&role).expect("the role is there").clone();
        account.as_owner(now, |services, cx| {
            for (name, document) in policies.into_iter().filter(|(_, d)| d.services().contains("kinesis")) {
                services.iam.delete_role_policy(cx, &role, &name).expect("it is there");
                taken.lock().expect("one thread").push((name, document));
            }
        });
    });
    let give: OwnersAct = Arc::new(move |account, now| {
        let role = role(account);
        account.as_owner(now, |services, cx| {
            for (name, document) in kept.lock().expect("one thread").drain(..) {
                services.iam.put_role_policy(cx, &role, &name, document).expect("the role is there");
            }
        });
    });
    vec![(Duration::from_secs(at_s), take), (Duration::from_secs(until_s), give)]
}

#[test]
fn a_denial_that_no_fault_explains_violates_although_faults_deny_other_things() {
    for (fault, violated) in [
        // Another time, another service, another function.
        ("kind = 'permission-removed'\nfrom = '200s'\nlasting = '30s'\nservice = 'kinesis'", true),
        ("kind = 'permission-removed'\nfrom = '50s'\nlasting = '90s'\nservice = 'dynamodb'", true),
        ("kind = 'permission-removed'\nfrom = '50s'\nlasting = '90s'\nfunction = 'anomaly_detection'", true),
        ("kind = 'key-disabled'\nfrom = '50s'\nlasting = '90s'", true),
        ("kind = 'permission-removed'\nfrom = '50s'\nlasting = '90s'\nservice = 'kinesis'", false),
    ] {
        let harness = Harness { acts: policies_taken(60, 90), ..Harness::default() };
        let summary = summary_with(&scenario(fault), 1, harness);
        let denied: Vec<&str> = summary.violations.iter().map(|violation| violation.invariant.as_str()).collect();
        assert_eq!(denied, if violated { vec!["authorization"] } else { vec![] }, "{fault}: {:?}", summary.violations);
        assert!(summary.counters["iam:AccessDenied"] > 0, "{fault}");
        assert_eq!(summary.missing, 0, "{fault}");
    }
}

#[test]
fn faults_that_overlap_on_one_thing_leave_it_as_it_was() {
    let case = Case {
        fault: "kind = 'bad-deploy'\nfrom = '60s'\nlasting = '100s'\n\
                [[fault]]\nname = 'twice'\nkind = 'bad-deploy'\nfrom = '100s'\n\
                [[fault]]\nname = 'beside'\nkind = 'wrong-configuration'\nfrom = '130s'\n\
                [[fault]]\nkind = 'permission-removed'\nfrom = '40s'\nlasting = '60s'\n\
                [[fault]]\nname = 'other'\nkind = 'permission-removed'\nfrom = '70s'\n\
                [[fault]]\nkind = 'key-disabled'\nfrom = '30s'\n\
                [[fault]]\nkind = 'certificate-expiry'\nfrom = '380s'\n\
                [[fault]]\nkind = 'rollback'\nfrom = '400s'",
        marks: &[],
        counters: &[],
        strokes: 1,
    };
    let (summary, states) = run(&case);
    assert_eq!(summary.verdict, Verdict::Held, "{:?} {:?}", summary.violations, summary.unsettled);
    assert_eq!((summary.faults["twice"], summary.faults["other"]), (0, 0), "what is broken is not broken again");
    // The rollback ends in peace; everything else is put right before it.
    let without_timeouts = |state: &str| {
        let parts: Vec<&str> = state.split(", ").filter(|part| !part.starts_with("timeout:")).collect();
        parts.join(", ")
    };
    assert_eq!(without_timeouts(&states[0]), without_timeouts(&states[1]));
    assert_eq!(summary.marks["stack-rolled-back"], 1);
}

#[test]
fn faults_that_could_strike_nothing_are_refused_with_the_place_in_the_file() {
    for (fault, key, expected) in [
        ("kind = 'bad-deploy'\nfunction = 'enrichmint'", "fault[0].function", "one of"),
        ("kind = 'quota-lowered'\nservice = 'kinesys'", "fault[0].service", "such as kinesis"),
        ("kind = 'quota-lowered'\namount = 1.5", "fault[0].amount", "from 0 to 1"),
    ] {
        let error = sim::run::run(&scenario(fault), sim::run::RunOptions::seeded(1)).expect_err(key);
        assert!(error.usage && error.message.contains(key) && error.message.contains(expected), "{error}");
    }
}

#[test]
fn what_operators_get_wrong_is_survived() {
    assert_all_seeds_hold("operator-errors", &["stack-rolled-back", "denied-then-allowed", "waited-for-key"]);
}

#[test]
fn an_outage_of_the_region_is_survived() {
    assert_all_seeds_hold("region-outage", &["region-down", "quota-lowered", "rot-detected"]);
}

fn assert_all_seeds_hold(name: &str, marks: &[&str]) {
    let scenario = crate::support::scenario(name);
    assert!(scenario.seeds.len() >= 3, "{name} names at least three seeds");
    for seed in &scenario.seeds {
        let summary = crate::support::summary(&scenario, *seed);
        let told = format!("{name} --seed {seed}: {:?} {:?}", summary.violations, summary.unsettled);
        assert_eq!(summary.verdict, Verdict::Held, "{told}");
        assert!(summary.faults.values().all(|strokes| *strokes > 0), "{told}: {:?}", summary.faults);
        assert!(marks.iter().all(|mark| summary.marks.contains_key(*mark)), "{told}: {:?}", summary.marks);
    }
}
