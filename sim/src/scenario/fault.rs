//! `[[fault]]`: what goes wrong during hardship.

use std::time::Duration;

use super::duration::format;
use super::error::ScenarioError;
use super::reader::Table;
use super::{Scenario, schema};
use crate::fault::{FaultSpec, KINDS, Key, Kind, Probability, Target};

/// Names of the platform's streams, for targets.
pub(super) const STREAMS: [&str; 2] = ["raw", "enriched"];

/// Keys that not all kinds of faults have.
const PARTICULAR: [Key; 11] = [
    Key::Service,
    Key::Operation,
    Key::Function,
    Key::Fleet,
    Key::Stream,
    Key::Probability,
    Key::Share,
    Key::Every,
    Key::Lasting,
    Key::Delay,
    Key::Amount,
];

/// Reads one `[[fault]]` of a run whose devices publish during `hardship`.
pub(super) fn read(table: &Table<'_>, hardship: Duration) -> Result<FaultSpec, ScenarioError> {
    let kind = KINDS[table.require("kind")?.choice()?].kind;
    refuse_keys_without_meaning(table, kind)?;
    let text = |key: Key| table.get(key.as_str()).map(|entry| entry.label()).transpose();
    let duration = |name: &str| table.get(name).map(|entry| entry.duration()).transpose();
    let share = |key: Key| table.get(key.as_str()).map_or(Ok(Probability::ONE), |entry| entry.probability());
    let from = duration("from")?.unwrap_or_default();
    let until = duration("until")?.unwrap_or(hardship);
    if until > hardship || from >= until {
        let (key, value) = if until > hardship { ("until", until) } else { ("from", from) };
        let entry = table.require(if table.get(key).is_some() { key } else { "kind" })?;
        let problem =
            format!("begins after {} and ends after {}: `{key}` is {}", format(from), format(until), format(value));
        let hint =
            format!("faults act from an instant before `until` on, within phase.hardship ({})", format(hardship));
        return Err(entry.error(problem, hint));
    }
    Ok(FaultSpec {
        name: table.get("name").map_or(Ok(kind.id().to_owned()), |name| name.text())?,
        kind,
        target: Target {
            service: text(Key::Service)?,
            operation: text(Key::Operation)?,
            function: text(Key::Function)?,
            fleet: text(Key::Fleet)?,
            stream: table
                .get(Key::Stream.as_str())
                .map(|stream| stream.choice().map(|stream| STREAMS[stream].to_owned()))
                .transpose()?,
        },
        from,
        until,
        probability: share(Key::Probability)?,
        share: share(Key::Share)?,
        every: duration("every")?,
        lasting: duration("lasting")?,
        delay: duration("delay")?,
        amount: table.get("amount").map(|amount| amount.number()).transpose()?,
    })
}

/// Refuses keys that say nothing for this kind: a fault that does not do what its author thinks finds nothing.
fn refuse_keys_without_meaning(table: &Table<'_>, kind: Kind) -> Result<(), ScenarioError> {
    let Some(entry) = PARTICULAR.iter().filter(|key| !kind.has(**key)).find_map(|key| table.get(key.as_str())) else {
        return Ok(());
    };
    let keys: Vec<&str> = kind.contract().keys.iter().map(|key| key.as_str()).collect();
    let known = if keys.is_empty() { "none beside `name`, `from` and `until`".to_owned() } else { keys.join(", ") };
    Err(entry.error(format!("has no meaning for the kind \"{}\"", kind.id()), format!("this kind has: {known}")))
}

impl Scenario {
    /// Refuses faults of one name, and of fleets that are not there.
    pub(super) fn check_faults(&self) -> Result<(), ScenarioError> {
        for (i, fault) in self.faults.iter().enumerate() {
            if self.faults[..i].iter().any(|earlier| earlier.name == fault.name) {
                return Err(self.located_error(
                    &format!("fault[{i}].name"),
                    format!("is \"{}\", and another fault has that name", fault.name),
                    "a name of its own for each fault",
                    "without a name a fault is called after its kind",
                ));
            }
            if let Some(fleet) = fault
                .target
                .fleet
                .as_ref()
                .filter(|name| !self.fleets.iter().any(|f| f.name == **name) && !self.fleets.is_empty())
            {
                let names: Vec<&str> = self.fleets.iter().map(|fleet| fleet.name.as_str()).collect();
                return Err(self.located_error(
                    &format!("fault[{i}].fleet"),
                    format!("is \"{fleet}\", and there is no such fleet"),
                    format!("one of {}", names.join(", ")),
                    "leave it out to strike devices of all fleets",
                ));
            }
        }
        Ok(())
    }
}

/// Names of all kinds, for the schema.
pub(super) fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|contract| contract.id).collect()
}

/// The table of all kinds, for the document.
pub(super) fn document() -> String {
    let mut text = String::from(
        "\n## Kinds of faults\n\nAll faults end with `phase.hardship`. What a kind may break, and why the platform must survive it:\n\n\
         | kind | keys | what breaks | why the platform must survive |\n|---|---|---|---|\n",
    );
    for contract in KINDS {
        let keys: Vec<String> = contract.keys.iter().map(|key| format!("`{}`", key.as_str())).collect();
        let keys = if keys.is_empty() { "-".to_owned() } else { keys.join(", ") };
        text.push_str(&format!("| `{}` | {keys} | {} | {} |\n", contract.id, contract.breaks, contract.survives));
    }
    debug_assert!(schema::keys_of("fault").count() > PARTICULAR.len());
    text
}
