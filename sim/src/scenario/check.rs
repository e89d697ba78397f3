//! What must hold between keys, and where a key stands in the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use record::Verdict;
use toml::de::{DeTable, DeValue};

use super::duration::format;
use super::error::ScenarioError;
use super::schema::{DEVICES_MAX, READINGS_MAX};
use super::{FleetSpec, Scenario};
use crate::fleet::DevicePlan;
use crate::fleet::spec::{ModelSpec, Pace};

impl Scenario {
    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        for (i, fleet) in self.fleets.iter().enumerate() {
            self.check_fleet(i, fleet)?;
        }
        self.check_devices_differ()?;
        self.check_changes()?;
        self.check_faults()?;
        self.check_operator()?;
        self.check_expected_marks()?;
        let devices = self.devices();
        if devices > DEVICES_MAX {
            let i = self.fleets.len() - 1;
            return Err(self.located_error(
                &format!("fleet[{i}].devices"),
                format!("makes {devices} devices in all fleets"),
                format!("at most {DEVICES_MAX} devices in all fleets"),
                "an AWS account takes that many connections at once",
            ));
        }
        let readings = self.readings_max();
        if readings > READINGS_MAX {
            return Err(self.located_error(
                "phase.hardship",
                format!("is {}, in which the fleets publish {readings} readings", format(self.phase.hardship)),
                format!("at most {READINGS_MAX} readings in a run"),
                "shorten it, publish less often, or take fewer devices",
            ));
        }
        Ok(())
    }

    fn check_changes(&self) -> Result<(), ScenarioError> {
        let mut earliest = Duration::ZERO;
        for (i, change) in self.changes.iter().enumerate() {
            if change.at < earliest || change.at >= self.phase.hardship {
                return Err(self.located_error(
                    &format!("change[{i}].at"),
                    format!("is {}", format(change.at)),
                    format!("from {} to less than phase.hardship, {}", format(earliest), format(self.phase.hardship)),
                    "changes come in the order of time, while devices publish",
                ));
            }
            if change.platform.is_none() && change.patch.is_none() {
                return Err(self.located_error(
                    &format!("change[{i}]"),
                    "changes nothing",
                    "`platform`, `patch` or both",
                    "a deployment without a change is skipped by CloudFormation",
                ));
            }
            earliest = change.at;
        }
        Ok(())
    }

    /// Marks are asked of runs that hold: a swarm draws what goes wrong, and a canary would be content with a mark that is
    /// missing.
    fn check_expected_marks(&self) -> Result<(), ScenarioError> {
        if self.expect.marks.is_empty() || (self.swarm.is_none() && self.expect.verdict == Verdict::Held) {
            return Ok(());
        }
        let what = if self.swarm.is_some() { "a swarm" } else { "a canary" };
        Err(self.located_error(
            "expect.marks",
            format!("belongs to {what}"),
            "marks of a scenario whose verdict is `held` and that has no [swarm]",
            "`cargo sim marks` shows what the runs of any scenario reach",
        ))
    }

    fn check_fleet(&self, i: usize, fleet: &FleetSpec) -> Result<(), ScenarioError> {
        if self.fleets[..i].iter().any(|earlier| earlier.name == fleet.name) {
            return Err(self.located_error(
                &format!("fleet[{i}].name"),
                format!("is \"{}\", and another fleet has that name", fleet.name),
                "a name of its own for each fleet",
                "without a name a fleet is called after its kind",
            ));
        }
        if fleet.tenants.len() as u64 > u64::from(fleet.devices) {
            return Err(self.located_error(
                &format!("fleet[{i}].tenants"),
                format!("is {}, and the fleet has {} devices", fleet.tenants.len(), fleet.devices),
                "at most as many tenants as devices",
                "devices are dealt to the tenants in turn, and each tenant needs one",
            ));
        }
        self.check_failures(i, fleet)?;
        if let Some(within) = fleet.joins_within.filter(|within| *within > self.phase.hardship) {
            return Err(self.located_error(
                &format!("fleet[{i}].joins_within"),
                format!("is {}, longer than phase.hardship", format(within)),
                format!("at most {}", format(self.phase.hardship)),
                "a device that gets power later publishes nothing",
            ));
        }
        let (key, interval) = interval(fleet);
        if self.phase.hardship < interval {
            return Err(self.located_error(
                "phase.hardship",
                format!("is {}, shorter than one interval of fleet \"{}\"", format(self.phase.hardship), fleet.name),
                format!("at least {}, which is `fleet[{i}].{key}`", format(interval)),
                "lengthen it, so that every device publishes at least once",
            ));
        }
        Ok(())
    }

    /// Refuses two devices of one name. Numbered ones differ, because their fleets do and the number comes last; the
    /// files of one fleet were compared when they were read.
    fn check_devices_differ(&self) -> Result<(), ScenarioError> {
        let mut replayed: BTreeMap<String, &str> = BTreeMap::new();
        for (i, fleet) in self.fleets.iter().enumerate() {
            let ModelSpec::Replay(model) = &fleet.model else { continue };
            for series in &model.series {
                let id = DevicePlan::id_of(&fleet.name, &series.name);
                let synthetic = self.fleets.iter().find(|other| has_numbered(other, &id)).map(|other| &*other.name);
                let other = synthetic.or(replayed.get(&id).copied());
                if let Some(other) = other {
                    let name = &series.name;
                    return Err(self.located_error(
                        &format!("fleet[{i}].series"),
                        format!("has the file {name:?}, whose device would be {id:?}, as one of fleet \"{other}\" is"),
                        "devices whose names differ in the whole scenario",
                        "rename the file or one of the fleets: a device is called after both",
                    ));
                }
                replayed.insert(id, &fleet.name);
            }
        }
        Ok(())
    }
}

/// Whether a name is that of a numbered device of a fleet.
fn has_numbered(fleet: &FleetSpec, id: &str) -> bool {
    if let ModelSpec::Replay(_) = &fleet.model {
        return false;
    }
    let suffix = id.strip_prefix(&*fleet.name).and_then(|rest| rest.strip_prefix('-')).unwrap_or("");
    suffix.parse::<u32>().is_ok_and(|n| (1..=fleet.devices).contains(&n) && format!("{n:05}") == suffix)
}

fn interval(fleet: &FleetSpec) -> (&'static str, Duration) {
    match &fleet.model {
        ModelSpec::Synthetic(model) => ("publish_every", model.publish_every),
        ModelSpec::Twin(model) => ("publish_every", model.publish_every),
        ModelSpec::Replay(model) => match model.pace {
            Pace::Every(every) => ("pace", every),
            Pace::Recorded => ("pace", Duration::ZERO),
        },
    }
}

/// Where the value of a key path stands; the nearest table around it when the key is absent.
pub(super) fn span_of(root: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let mut span = None;
    let mut table = root;
    for segment in path.split('.') {
        let (name, index) = match segment.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (segment, None),
        };
        let Some((key, value)) = table.get_key_value(name) else { break };
        let mut value = value;
        span = Some(if value.get_ref().is_table() || value.get_ref().is_array() { key.span() } else { value.span() });
        if let Some(element) = index.and_then(|i| value.get_ref().as_array()?.get(i)) {
            value = element;
            span = Some(element.span());
        }
        let Some(inner) = value.get_ref().as_table() else { break };
        table = inner;
    }
    span
}

/// The path of the innermost key at a byte offset.
pub(super) fn path_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    for (key, value) in table {
        let name = key.get_ref();
        let inner = match value.get_ref() {
            DeValue::Table(inner) => path_at(inner, offset).map(|rest| format!("{name}.{rest}")),
            DeValue::Array(values) => values
                .iter()
                .enumerate()
                .find_map(|(i, v)| Some(format!("{name}[{i}].{}", path_at(v.get_ref().as_table()?, offset)?))),
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
        if key.span().contains(&offset) || value.span().contains(&offset) {
            return Some(name.to_string());
        }
    }
    None
}
