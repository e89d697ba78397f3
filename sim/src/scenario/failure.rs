//! `[[fleet.failure]]`: how twins fail.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Scenario;
use super::duration::format;
use super::error::ScenarioError;
use super::reader::Table;
use crate::fault::Probability;
use crate::fleet::spec::{FAILURES, FailureContract, FailureKind, FailureSpec, FleetSpec, ModelSpec, TwinKind};

/// Keys that not all kinds of failures have.
const PARTICULAR: [&str; 3] = ["metric", "amount", "probability"];

/// Reads the failures of a fleet of twins.
pub(super) fn read_all(table: &Table<'_>, twin: TwinKind) -> Result<Vec<FailureSpec>, ScenarioError> {
    let Some(entry) = table.get("failure") else { return Ok(Vec::new()) };
    let failures = entry.tables()?.iter().map(|table| read(table, twin)).collect::<Result<Vec<_>, _>>()?;
    let silent = |failure: &&FailureSpec| failure.kind == FailureKind::Dropout;
    let dropped: BTreeSet<&str> = failures.iter().filter(silent).filter_map(|failure| failure.metric).collect();
    if dropped.len() == twin.metrics().len() {
        let hint = "leave `metric` out of one `dropout`: then the whole device is silent";
        return Err(entry.error_expecting("drops every metric", "dropouts that leave one metric", hint));
    }
    Ok(failures)
}

fn read(table: &Table<'_>, twin: TwinKind) -> Result<FailureSpec, ScenarioError> {
    let entry = table.require("kind")?;
    let contract = &FAILURES[entry.choice()?];
    if let Some(only) = contract.only.filter(|only| *only != twin) {
        let problem =
            format!("is {:?}, which only a {} has, and this fleet is \"{}\"", contract.id, only.name(), twin.name());
        return Err(entry.error_expecting(problem, format!("one of {}", kinds_of(twin).join(", ")), contract.meaning));
    }
    check_keys(table, contract)?;
    let duration = |name: &str| table.get(name).map(|entry| entry.duration()).transpose();
    let probability = |name: &str| table.get(name).map(|entry| entry.probability()).transpose();
    let amount = table.get("amount").map(|entry| entry.number()).transpose()?;
    if contract.kind == FailureKind::BearingWear && amount.is_some_and(|amount| amount < 0.0) {
        return Err(table.require("amount")?.error("is negative", "wear only grows"));
    }
    Ok(FailureSpec {
        kind: contract.kind,
        share: probability("share")?.unwrap_or(Probability::ONE),
        from: duration("from")?.unwrap_or_default(),
        lasting: duration("lasting")?,
        metric: metric(table, twin)?,
        amount,
        probability: probability("probability")?,
    })
}

/// Refuses keys that say nothing for this kind, and asks for those that it needs.
fn check_keys(table: &Table<'_>, contract: &FailureContract) -> Result<(), ScenarioError> {
    for name in PARTICULAR {
        let required = contract.keys.iter().find(|(key, _)| *key == name).map(|(_, required)| *required);
        match (required, table.get(name)) {
            (None, Some(entry)) => {
                let keys: Vec<&str> = contract.keys.iter().map(|(key, _)| *key).collect();
                let known = if keys.is_empty() { "none of its own".to_owned() } else { keys.join(", ") };
                let problem = format!("has no meaning for the kind \"{}\"", contract.id);
                return Err(
                    entry.error(problem, format!("beside `share`, `from` and `lasting` this kind has: {known}"))
                );
            }
            (Some(true), _) => drop(table.require(name)?),
            _ => {}
        }
    }
    Ok(())
}

fn metric(table: &Table<'_>, twin: TwinKind) -> Result<Option<&'static str>, ScenarioError> {
    let Some(entry) = table.get("metric") else { return Ok(None) };
    let (wanted, metrics) = (entry.label()?, twin.metrics());
    if let Some(metric) = metrics.iter().find(|metric| metric.name == wanted) {
        return Ok(Some(metric.name));
    }
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name).collect();
    let problem = format!("is {wanted:?}, which a {} does not measure", twin.name());
    let otherwise = format!("a {} measures {}", twin.name(), names.join(", "));
    let hint = super::suggest::did_you_mean(&wanted, names.iter().copied(), &otherwise);
    Err(entry.error_expecting(problem, format!("one of {}", names.join(", ")), hint))
}

fn kinds_of(twin: TwinKind) -> Vec<&'static str> {
    FAILURES.iter().filter(|contract| contract.only.is_none_or(|only| only == twin)).map(|c| c.id).collect()
}

impl Scenario {
    /// Refuses failures that begin after hardship.
    pub(super) fn check_failures(&self, i: usize, fleet: &FleetSpec) -> Result<(), ScenarioError> {
        let ModelSpec::Twin(twin) = &fleet.model else { return Ok(()) };
        let Some(n) = twin.failures.iter().position(|failure| failure.from >= self.phase.hardship) else {
            return Ok(());
        };
        Err(self.located_error(
            &format!("fleet[{i}].failure[{n}].from"),
            format!("is {}", format(twin.failures[n].from)),
            format!("less than phase.hardship, {}", format(self.phase.hardship)),
            "a failure begins while devices publish",
        ))
    }

    /// The fleets of a run: their failures end with hardship.
    pub fn fleets_in_hardship(&self) -> Vec<FleetSpec> {
        let mut fleets = self.fleets.clone();
        for fleet in &mut fleets {
            let ModelSpec::Twin(twin) = &mut fleet.model else { continue };
            twin.failures.retain(|failure| failure.from < self.phase.hardship);
            for failure in &mut twin.failures {
                let longest = self.phase.hardship.saturating_sub(failure.from);
                failure.lasting = Some(failure.lasting.map_or(longest, |lasting: Duration| lasting.min(longest)));
            }
        }
        fleets
    }
}

/// The table of failures, for the document.
pub(super) fn document() -> String {
    let mut text = String::from(
        "\n## Failures of twins\n\nKeys that must be there are bold.\n\n| kind | twins | keys | what it does |\n|---|---|---|---|\n",
    );
    for contract in &FAILURES {
        let key =
            |(name, required): &(&str, bool)| if *required { format!("**`{name}`**") } else { format!("`{name}`") };
        let keys: Vec<String> = contract.keys.iter().map(key).collect();
        let keys = if keys.is_empty() { "-".to_owned() } else { keys.join(", ") };
        let twins = contract.only.map_or("all".to_owned(), |only| format!("`{}`", only.name()));
        text.push_str(&format!("| `{}` | {twins} | {keys} | {} |\n", contract.id, contract.meaning));
    }
    text
}
