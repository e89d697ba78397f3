//! The platform's settings of a run: those of the scenario's table `[platform]`, over the defaults of a simulation.

use platform::{Settings, SettingsError};

use super::{RunError, gold, world};
use crate::scenario::Scenario;

/// Name of the simulated environment, unless the scenario gives another.
const ENVIRONMENT: &str = "sim";

/// Regions whose quotas the table gives one by one.
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The settings, checked. The lake begins at the hour at which the run starts, unless the scenario says otherwise.
pub(super) fn of(scenario: &Scenario) -> Result<Settings, RunError> {
    let settings: Settings = scenario.platform_as()?;
    let settings = completed(scenario, settings, "platform")?;
    check_claims(scenario, &settings)?;
    gold::check(scenario, &settings, world::on_its_way(&settings))?;
    Ok(settings)
}

/// Devices join by themselves only where the platform takes claims.
fn check_claims(scenario: &Scenario, settings: &Settings) -> Result<(), RunError> {
    match scenario.fleets.iter().position(|fleet| fleet.by_claim) {
        Some(i) if !settings.iot.fleet_provisioning => {
            let key = format!("fleet[{i}].joins");
            let problem = "is \"by-claim\", and the platform takes no claims";
            let expected = "`fleet_provisioning = true` in `[platform.iot]`";
            let hint = "devices register themselves by the platform's provisioning template, which is off by default";
            Err(scenario.located_error(&key, problem, expected, hint).into())
        }
        _ => Ok(()),
    }
}

/// The settings after each change of the scenario, checked.
pub(super) fn after_changes(scenario: &Scenario) -> Result<Vec<Settings>, RunError> {
    let before = of(scenario)?;
    let mut all = Vec::new();
    for (i, settings) in scenario.platform_after_changes::<Settings>()?.into_iter().enumerate() {
        let table = format!("change[{i}].platform");
        let settings = completed(scenario, settings, &table)?;
        for (key, before, after) in [
            ("env", &before.env, &settings.env),
            ("region", &before.region, &settings.region),
            ("lake_start", &before.lake_start, &settings.lake_start),
        ] {
            if before != after {
                let problem = format!("is {after:?} and was {before:?}");
                let hint = "names and places of what exists are made of it; it would be another platform";
                return Err(scenario
                    .located_error(&format!("{table}.{key}"), problem, "the same as before", hint)
                    .into());
            }
        }
        all.push(settings);
    }
    Ok(all)
}

/// Settings of the table `table` with the defaults of a simulation, checked.
fn completed(scenario: &Scenario, mut settings: Settings, table: &str) -> Result<Settings, RunError> {
    let given = |key: &str| {
        let changed = scenario.changes.iter().any(|c| c.platform.as_ref().is_some_and(|t| t.contains_key(key)));
        (changed && table != "platform") || scenario.platform.as_ref().is_some_and(|table| table.contains_key(key))
    };
    let start = scenario.start.to_datetime().format("%Y/%m/%d/%H").to_string();
    if !given("env") {
        ENVIRONMENT.clone_into(&mut settings.env);
    }
    if !given("lake_start") {
        settings.lake_start.clone_from(&start);
    }
    settings.validate().map_err(|error| match error {
        SettingsError::Invalid { key, found, expected, hint } => {
            scenario.located_error(&format!("{table}.{key}"), format!("is {found}"), expected, hint)
        }
        other => scenario.located_error(table, other.to_string(), "settings that can be deployed", "see the message"),
    })?;
    if settings.lake_start > start {
        let problem =
            format!("begins at {}, after the run starts: its first rows would be invisible", settings.lake_start);
        let expected = format!("{start} or an hour before it");
        return Err(scenario.located_error("platform.lake_start", problem, expected, "leave it out").into());
    }
    if !REGIONS.contains(&settings.region.as_str()) {
        let problem = format!("is {:?}, a Region whose quotas are not known one by one", settings.region);
        let hint = "the templates can be written for every Region with `cargo platform synth`; a run needs its quotas";
        return Err(scenario.located_error("platform.region", problem, REGIONS.join(" or "), hint).into());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_a_swarm_draws_are_settings_that_can_be_deployed() {
        let text = "title = \"t\"\nwhy = \"w\"\n[swarm]\nsetting_off = 0.1\n";
        let swarm = Scenario::parse(text, Path::new("s.toml")).expect("a swarm");
        let defaults = completed(&swarm, Settings::default(), "platform").expect("the defaults");
        let mut changed = 0;
        for seed in 0..300 {
            let drawn = crate::swarm::draw(&swarm, seed).expect("a scenario");
            let settings = of(&drawn).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            changed += u32::from(settings != defaults);
        }
        assert!(changed > 290, "{changed} of 300 change something");
    }
}
