//! `[swarm]`: bounds within which a run draws its own scenario.

use std::time::Duration;

use super::duration::format;
use super::error::ScenarioError;
use super::reader::Table;
use crate::fault::{Family, KINDS, Kind, Probability};

/// Bounds of what a run draws. What the file itself has (`[[fleet]]`, `[phase]`, keys of `[platform]`) is not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarm {
    /// Most devices of all fleets together.
    pub devices_max: u32,
    /// Most fleets.
    pub fleets_max: u32,
    /// Most readings that the devices publish together: intervals are lengthened until they fit.
    pub readings_max: u64,
    /// Shortest hardship.
    pub hardship_min: Duration,
    /// Longest hardship.
    pub hardship_max: Duration,
    /// Most faults.
    pub faults_max: u32,
    /// Families of faults that are drawn from.
    pub families: Vec<Family>,
    /// Kinds of faults that are drawn from; all but those that a correct platform need not survive when absent.
    pub kinds: Option<Vec<Kind>>,
    /// How likely a whole family is switched off.
    pub family_off: Probability,
    /// How likely a kind is switched off.
    pub kind_off: Probability,
    /// How likely a setting of the platform keeps its default.
    pub setting_off: Probability,
    /// How likely a fleet is one of twins.
    pub twins: Probability,
}

/// Reads `[swarm]`.
pub(super) fn read(table: &Table<'_>) -> Result<Swarm, ScenarioError> {
    let whole = |name: &str, otherwise: u64| table.get(name).map_or(Ok(otherwise), |entry| entry.whole());
    let narrow = |n: u64| u32::try_from(n).expect("the schema's largest number fits");
    let duration = |name: &str, otherwise_s: u64| {
        table.get(name).map_or(Ok(Duration::from_secs(otherwise_s)), |entry| entry.duration())
    };
    let probability = |name: &str, otherwise: f64| {
        let otherwise = Probability::new(otherwise).expect("a default is a probability");
        table.get(name).map_or(Ok(otherwise), |entry| entry.probability())
    };
    let families = table.get("families").map(|entry| entry.choices()).transpose()?;
    let kinds = table.get("kinds").map(|entry| entry.choices()).transpose()?;
    let kind_of = |id: &String| KINDS.iter().find(|contract| contract.id == *id).map(|contract| contract.kind);
    let swarm = Swarm {
        devices_max: narrow(whole("devices_max", 30)?),
        fleets_max: narrow(whole("fleets_max", 3)?),
        readings_max: whole("readings_max", 1_500)?,
        hardship_min: duration("hardship_min", 120)?,
        hardship_max: duration("hardship_max", 360)?,
        faults_max: narrow(whole("faults_max", 8)?),
        families: Family::ALL
            .iter()
            .filter(|(name, _)| families.as_ref().is_none_or(|chosen| chosen.iter().any(|word| word == name)))
            .map(|(_, family)| *family)
            .collect(),
        kinds: kinds.map(|ids| ids.iter().filter_map(kind_of).collect()),
        family_off: probability("family_off", 0.25)?,
        kind_off: probability("kind_off", 0.5)?,
        setting_off: probability("setting_off", 0.5)?,
        twins: probability("twins", 0.0)?,
    };
    if swarm.hardship_min > swarm.hardship_max {
        let key = if table.get("hardship_max").is_some() { "hardship_max" } else { "hardship_min" };
        let (min, max) = (format(swarm.hardship_min), format(swarm.hardship_max));
        let problem = format!("leaves nothing between `hardship_min` ({min}) and `hardship_max` ({max})");
        return Err(table.require(key)?.error(problem, "the shortest hardship is at most the longest"));
    }
    Ok(swarm)
}

/// Names of all families, for the schema.
pub(super) fn families() -> Vec<&'static str> {
    Family::ALL.iter().map(|(name, _)| *name).collect()
}
