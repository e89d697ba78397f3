//! Planted bugs: each is found within a few seeds of a small scenario each, which holds on the same seeds without them.

use std::collections::{BTreeMap, BTreeSet};

use sim::bugs::{self, BUGS, Bug, Hunt};

use crate::support::scenario;

/// Seeds that each bug has.
const SEEDS: u64 = 8;
/// Bugs that are hunted at a time.
const JOBS: usize = 2;

#[test]
fn every_planted_bug_is_found_within_a_few_seeds_by_an_invariant_that_may_find_it() {
    let on: BTreeSet<&str> = BUGS.iter().map(|bug| bug.found_on).collect();
    let mut wrong = Vec::new();
    for name in on {
        let scenario = scenario(name);
        let hunt = Hunt::new(&scenario, vec![1], SEEDS);
        let all: Vec<&Bug> = BUGS.iter().filter(|bug| bug.found_on == name).collect();
        let hunted = bugs::all(&hunt, &all, JOBS, || (), |bug, hunted, ()| (bug, hunted));
        for (bug, hunted) in hunted.unwrap_or_else(|error| panic!("{error}")) {
            let by: Vec<String> = hunted.found.iter().flatten().flat_map(|found| found.by.clone()).collect();
            let expected = by.iter().any(|id| bug.found_by.contains(&id.as_str()));
            if !hunted.is_found() || !expected {
                let repeat = format!("cargo sim bugs --only {} --scenario scenarios/{name}.toml", bug.id);
                let alarms = &hunted.false_alarms;
                wrong.push(format!("{}: found by {by:?}, false alarms {alarms:?}: {repeat}", bug.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nwith --bases 1 --seeds-max {SEEDS}", wrong.join("\n"));
}

#[test]
fn bugs_have_names_of_their_own_and_name_invariants_that_there_are() {
    assert!(BUGS.len() >= 24, "{} bugs", BUGS.len());
    let ids: BTreeSet<&str> = BUGS.iter().map(|bug| bug.id).collect();
    assert_eq!(ids.len(), BUGS.len());
    let invariants: BTreeSet<&str> = sim::invariant::ALL.iter().map(|invariant| invariant.id).collect();
    for bug in BUGS {
        assert!(!bug.found_by.is_empty(), "{}", bug.id);
        for id in bug.found_by {
            assert!(*id == "unsettled" || invariants.contains(id), "{}: {id}", bug.id);
        }
    }
}

#[test]
fn the_settings_of_a_run_tell_its_bug() {
    let settings = |id: &str| BTreeMap::from([(bugs::SETTING.to_owned(), id.to_owned())]);
    let planted = bugs::harness_of(&settings("retry-storm")).expect("there is such a bug");
    assert!(planted.tamper.is_some() && planted.wrap_function.is_none());
    let plain = bugs::harness_of(&BTreeMap::new()).expect("no bug");
    assert!(plain.tamper.is_none() && plain.wrap_function.is_none() && plain.change_template.is_none());
    let error = bugs::harness_of(&settings("retry-strom")).err().expect("there is no such bug");
    assert!(error.contains("retry-storm"), "{error}");
}
