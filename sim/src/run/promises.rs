//! What a run has promised: the invariants that its scenario asks for, and the promises that are not about single readings.

use std::collections::BTreeMap;

use super::acts::Acts;
use super::check::Checked;
use crate::cloud::account::Account;
use crate::cloud::core::access::Denial;
use crate::invariant::{ANOMALIES_TOLD, AUTHORIZATION, BACK_OFF, DEPLOYMENT};
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

/// Broken promises that the scenario asks for. What was only late breaks no promise: it is unsettled.
pub(super) fn violations(
    scenario: &Scenario,
    settled: bool,
    checked: &Checked,
    of_deployments: impl Iterator<Item = String>,
) -> Vec<record::Violation> {
    let asked = |id: &str| scenario.expect.invariants.iter().any(|wanted| wanted == id);
    let mut violations: Vec<record::Violation> = checked
        .violations
        .iter()
        .filter(|violation| asked(violation.invariant.id))
        .map(|violation| record::Violation {
            invariant: violation.invariant.id.to_owned(),
            message: format!("{}; promised: {}", violation.message, violation.invariant.promise),
            reading: violation.reading.clone(),
        })
        .collect();
    if asked(DEPLOYMENT.id) {
        violations.extend(of_deployments.map(|complaint| record::Violation {
            invariant: DEPLOYMENT.id.to_owned(),
            message: format!("{complaint}; promised: {}", DEPLOYMENT.promise),
            reading: None,
        }));
    }
    if let (true, Some(limit), Some(p99)) = (settled, scenario.expect.budget.latency_p99, checked.latency.p99) {
        let limit_ms = limit.as_secs_f64() * 1_000.0;
        if p99 > limit_ms {
            violations.push(record::Violation {
                invariant: "budget.latency_p99".to_owned(),
                message: format!("latency p99 is {p99:.0} ms; the scenario's budget is {limit_ms:.0} ms"),
                reading: None,
            });
        }
    }
    violations
}

/// Calls that were denied and that no fault explains, when the scenario asks for it that there are none.
pub(super) fn denials(scenario: &Scenario, account: &Account, acts: &Acts) -> Option<record::Violation> {
    let asked = scenario.expect.invariants.iter().any(|wanted| wanted == AUTHORIZATION.id);
    let denials = account.denials();
    let unexplained: Vec<&Denial> = denials.kept().iter().filter(|denial| !acts.explain(denial)).collect();
    let denied = unexplained.iter().map(|denial| denial.count).sum::<u64>() + denials.more();
    let first = unexplained.first().map_or("more than can be told one by one", |denial| denial.message.as_str());
    (asked && denied > 0).then(|| record::Violation {
        invariant: AUTHORIZATION.id.to_owned(),
        message: format!("{denied} calls were denied; the first: {first}; promised: {}", AUTHORIZATION.promise),
        reading: None,
    })
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
