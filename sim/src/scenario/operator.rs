//! `[[rollout]]` and `[[command]]`: what an operator asks of devices.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Scenario;
use super::duration::format;
use super::error::ScenarioError;
use super::reader::Table;
use crate::fleet::spec::{FleetSpec, SessionKind};

/// A desired state that an operator sets, one batch of devices after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The fleet; all with shadows when there is none.
    pub fleet: Option<String>,
    /// When the first batch begins, after the start of the run.
    pub from: Duration,
    /// Devices of a batch.
    pub batch: Option<u32>,
    /// From the beginning of a batch to that of the next.
    pub pause: Duration,
    /// The desired section, by the keys of shadows.
    pub desired: Map<String, Value>,
}

/// Commands that an operator sends.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSpec {
    /// The fleet; all whose devices listen when there is none.
    pub fleet: Option<String>,
    /// Interval of the commands to one device.
    pub every: Duration,
    /// When the first is sent, after the start of the run.
    pub from: Duration,
    /// From here on no more are sent.
    pub until: Duration,
}

/// Reads one `[[rollout]]`.
pub(super) fn read_rollout(table: &Table<'_>) -> Result<Rollout, ScenarioError> {
    let desired = table.require("desired")?;
    let batch = table.get("batch").map(|batch| batch.whole()).transpose()?;
    Ok(Rollout {
        fleet: table.get("fleet").map(|fleet| fleet.word()).transpose()?,
        from: table.get("from").map_or(Ok(Duration::ZERO), |from| from.duration())?,
        batch: batch.map(|batch| u32::try_from(batch).expect("the schema's largest batch fits")),
        pause: table.get("pause").map_or(Ok(Duration::from_secs(60)), |pause| pause.duration())?,
        desired: read_desired(&desired.table()?).and_then(|map| match map.is_empty() {
            true => Err(desired.error("desires nothing", "name a firmware, a publish_interval or a setpoint")),
            false => Ok(map),
        })?,
    })
}

fn read_desired(table: &Table<'_>) -> Result<Map<String, Value>, ScenarioError> {
    let mut desired = Map::new();
    if let Some(firmware) = table.get("firmware") {
        desired.insert("firmware".to_owned(), firmware.label()?.into());
    }
    if let Some(interval) = table.get("publish_interval") {
        let ms = u64::try_from(interval.duration()?.as_millis()).expect("the schema's longest interval fits");
        desired.insert("publish_interval_ms".to_owned(), ms.into());
    }
    if let Some(setpoint) = table.get("setpoint") {
        desired.insert("setpoint".to_owned(), setpoint.number()?.into());
    }
    Ok(desired)
}

/// Reads one `[[command]]` of a run whose devices publish during `hardship`.
pub(super) fn read_command(table: &Table<'_>, hardship: Duration) -> Result<CommandSpec, ScenarioError> {
    let from = table.get("from").map_or(Ok(Duration::ZERO), |from| from.duration())?;
    let until = table.get("until").map_or(Ok(hardship), |until| until.duration())?;
    if let Some(entry) = table.get("until").filter(|_| until > hardship || from >= until) {
        let problem = format!("ends after {}, and `from` is {}", format(until), format(from));
        let hint = format!("an operator acts within phase.hardship ({})", format(hardship));
        return Err(entry.error_expecting(problem, "an instant after `from`, within phase.hardship", hint));
    }
    Ok(CommandSpec {
        fleet: table.get("fleet").map(|fleet| fleet.word()).transpose()?,
        every: table.require("every")?.duration()?,
        from,
        until,
    })
}

impl Rollout {
    /// Whether it is for the devices of a fleet.
    pub fn is_for(&self, fleet: &FleetSpec) -> bool {
        fleet.shadow && self.fleet.as_ref().is_none_or(|wanted| *wanted == fleet.name)
    }

    /// When the last of `devices` devices has its batch.
    fn last_batch(&self, devices: u32) -> Duration {
        let batches = devices.div_ceil(self.batch.unwrap_or(u32::MAX).max(1)).max(1);
        self.from + self.pause.saturating_mul(batches - 1)
    }
}

impl CommandSpec {
    /// Whether it is for the devices of a fleet.
    pub fn is_for(&self, fleet: &FleetSpec) -> bool {
        let listens = fleet.shadow || fleet.session == SessionKind::Persistent;
        listens && self.fleet.as_ref().is_none_or(|wanted| *wanted == fleet.name)
    }
}

impl Scenario {
    /// Refuses what an operator would ask of nobody, or after hardship.
    pub(super) fn check_operator(&self) -> Result<(), ScenarioError> {
        let hardship = self.phase.hardship;
        for (i, rollout) in self.rollouts.iter().enumerate() {
            self.check_asked(&format!("rollout[{i}]"), &rollout.fleet, "shadow = true", |f| rollout.is_for(f))?;
            let devices = self.fleets.iter().filter(|fleet| rollout.is_for(fleet)).map(|fleet| fleet.devices).sum();
            let last = rollout.last_batch(devices);
            if last >= hardship {
                let problem = format!("is so small that the last batch begins after {}", format(last));
                let expected = format!("batches that begin within phase.hardship, {}", format(hardship));
                let (key, hint) = (format!("rollout[{i}].batch"), "begin earlier, pause less, or take larger batches");
                return Err(self.located_error(&key, problem, expected, hint));
            }
        }
        for (i, command) in self.commands.iter().enumerate() {
            let wants = "session = \"persistent\"";
            self.check_asked(&format!("command[{i}]"), &command.fleet, wants, |f| command.is_for(f))?;
            if command.from >= hardship {
                let problem = format!("is {}", format(command.from));
                let expected = format!("an instant within phase.hardship, {}", format(hardship));
                let key = format!("command[{i}].from");
                return Err(self.located_error(&key, problem, expected, "an operator acts while devices publish"));
            }
        }
        Ok(())
    }

    fn check_asked(
        &self,
        table: &str,
        fleet: &Option<String>,
        wants: &str,
        is_for: impl Fn(&FleetSpec) -> bool,
    ) -> Result<(), ScenarioError> {
        if self.fleets.is_empty() || self.fleets.iter().any(is_for) {
            return Ok(());
        }
        let named = fleet.as_ref().map_or("is for all fleets".to_owned(), |fleet| format!("is for \"{fleet}\""));
        let problem = format!("{named}, and no such fleet has {wants}");
        let expected = format!("a fleet with {wants}");
        Err(self.located_error(table, problem, expected, "devices hear what they have subscribed to"))
    }
}
