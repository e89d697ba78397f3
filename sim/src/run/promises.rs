//! Promises that are not about single readings: outliers that are told, and calls that wait before they are repeated.

use std::collections::BTreeMap;

use crate::invariant::{ANOMALIES_TOLD, BACK_OFF};
use crate::scenario::Scenario;
use crate::seam::Watch;
use crate::world::mark;

/// Whether every plain outlier must be told: when the scenario asks for it. The detectors of a new shard go on with what
/// those of its parents knew, so neither reshards nor changes of the platform make a difference.
pub(super) fn owes_outliers(scenario: &Scenario) -> bool {
    scenario.expect.invariants.iter().any(|wanted| wanted == ANOMALIES_TOLD.id)
}

/// States that the scenario says a run reaches and that this one, which has settled, did not reach.
pub(super) fn unreached(scenario: &Scenario, settled: bool, marks: &BTreeMap<String, u64>) -> Vec<record::Violation> {
    let missing = scenario.expect.marks.iter().filter(|id| marks.get(*id).is_none_or(|count| *count == 0));
    let told = missing.filter(|_| settled).map(|id| {
        let meaning = mark::ALL.iter().find(|mark| mark.id == id).map_or("", |mark| mark.meaning);
        record::Violation {
            invariant: "expect.marks".to_owned(),
            message: format!("the run did not reach `{id}` ({meaning}), as the scenario says that it does"),
            reading: None,
        }
    });
    told.collect()
}

/// Calls that were repeated without pause while they were refused, when the scenario asks for it that there are none.
pub(super) fn storms(scenario: &Scenario, watch: &Watch) -> Option<record::Violation> {
    let asked = scenario.expect.invariants.iter().any(|wanted| wanted == BACK_OFF.id);
    let (storms, first) = watch.storms();
    (asked && storms > 0).then(|| record::Violation {
        invariant: BACK_OFF.id.to_owned(),
        message: format!(
            "{storms} times calls were repeated without pause; the first: {}; promised: {}",
            first.unwrap_or_default(),
            BACK_OFF.promise
        ),
        reading: None,
    })
}
