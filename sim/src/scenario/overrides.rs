//! Flags that change a scenario for one run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration;
use super::error::ScenarioError;
use super::reader::check_range;
use super::schema::{self, DEVICES_MAX, Takes};
use super::{FleetSpec, Scenario};
use crate::fleet::spec::ModelSpec;

/// What a run takes in place of what its scenario says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `phase.hardship`.
    pub hardship: Option<Duration>,
    /// In place of `phase.peace`.
    pub peace: Option<Duration>,
    /// Devices of all fleets but replayed ones together. Each fleet keeps its share, and at least one device.
    pub devices: Option<u32>,
}

impl Overrides {
    /// The flags by name, as a manifest keeps them and a command line repeats them.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let flags = [
            ("devices", self.devices.map(|n| n.to_string())),
            ("hardship", self.hardship.map(duration::format)),
            ("peace", self.peace.map(duration::format)),
        ];
        flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The flags that the settings of a manifest name; others are not of this kind.
    ///
    /// # Errors
    /// When a value is none that [`Overrides::settings`] writes.
    pub fn of_settings(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let value = |name: &str| settings.get(name).map(String::as_str);
        let length = |name: &str| {
            let parsed = value(name).map(duration::parse).transpose();
            parsed.map_err(|error| format!("the setting `{name}` {}; expected {}", error.problem, duration::EXPECTED))
        };
        let devices = value("devices").map(str::parse).transpose();
        let devices = devices.map_err(|error| format!("the setting `devices` is no number of devices: {error}"))?;
        Ok(Overrides { hardship: length("hardship")?, peace: length("peace")?, devices })
    }

    /// The flags as a command line repeats them, such as `--devices 100 --peace 5min`.
    pub fn flags(&self) -> Vec<String> {
        self.settings().into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
    }
}

impl Scenario {
    /// The scenario with flags applied, checked again.
    ///
    /// # Errors
    /// When a flag is out of range, or the scenario does not work with it.
    pub fn with_overrides(&self, overrides: &Overrides) -> Result<Self, ScenarioError> {
        let mut changed = self.clone();
        if let (Some(_), Some(flag)) = (&self.swarm, overrides.settings().keys().next()) {
            let hint = "`cargo sim draw` prints what a run draws, and that can be changed";
            return Err(flag_error(flag, "changes a swarm that is not drawn", "a scenario without [swarm]", hint));
        }
        if let Some(hardship) = overrides.hardship {
            changed.phase.hardship = in_range("hardship", hardship)?;
        }
        if let Some(peace) = overrides.peace {
            changed.phase.peace = in_range("peace", peace)?;
        }
        if let Some(total) = overrides.devices {
            rescale(&mut changed.fleets, total)?;
        }
        if *overrides != Overrides::default() {
            // What a smaller run need not reach.
            changed.expect.marks.clear();
        }
        changed.check().map_err(|mut e| {
            e.hint = format!("{}; this run was given {}", e.hint, overrides.flags().join(" "));
            e
        })?;
        Ok(changed)
    }
}

fn in_range(name: &str, value: Duration) -> Result<Duration, ScenarioError> {
    let key = schema::find("phase", name);
    let Takes::Duration { min, max } = key.takes else { unreachable!("phases are durations") };
    let problem = format!("is {}", duration::format(value));
    check_range(value, min, max).map_err(|hint| flag_error(name, problem, key.takes.expected(), hint))?;
    Ok(value)
}

/// Gives the fleets whose devices are numbered `total` devices in the proportions that they have.
fn rescale(fleets: &mut [FleetSpec], total: u32) -> Result<(), ScenarioError> {
    let mut numbered: Vec<&mut FleetSpec> =
        fleets.iter_mut().filter(|f| !matches!(f.model, ModelSpec::Replay(_))).collect();
    let count = numbered.len() as u64;
    if count == 0 {
        let hint = "a replay fleet has one device for each series";
        return Err(flag_error("devices", "has no fleet to change", "a scenario with a fleet that is no replay", hint));
    }
    if u64::from(total) < count || u64::from(total) > DEVICES_MAX {
        let expected = format!("a whole number from {count} to {DEVICES_MAX}");
        return Err(flag_error("devices", format!("is {total}"), expected, "every fleet keeps at least one device"));
    }
    let before: u64 = numbered.iter().map(|f| u64::from(f.devices)).sum();
    // Cumulative rounding spends exactly `total`; a fleet that came away empty takes one from the largest.
    let (mut seen, mut given) = (0, 0);
    let mut shares: Vec<u64> = Vec::new();
    for fleet in &numbered {
        seen += u64::from(fleet.devices);
        let due = u64::from(total) * seen / before;
        shares.push(due - given);
        given = due;
    }
    while let Some(empty) = shares.iter().position(|share| *share == 0) {
        let largest = (0..shares.len()).max_by_key(|i| shares[*i]).expect("there is a fleet");
        shares[largest] -= 1;
        shares[empty] = 1;
    }
    for (fleet, share) in numbered.iter_mut().zip(shares) {
        fleet.devices = u32::try_from(share).expect("a share is at most the total");
        fleet.tenants.truncate(fleet.devices as usize);
    }
    Ok(())
}

fn flag_error(
    name: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
    hint: impl Into<String>,
) -> ScenarioError {
    ScenarioError {
        file: None,
        place: None,
        key: format!("--{name}"),
        problem: problem.into(),
        expected: expected.into(),
        hint: hint.into(),
    }
}
