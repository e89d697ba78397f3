//! `[[fleet]]`: what devices there are.

use std::time::Duration;

use super::error::ScenarioError;
use super::reader::Table;
use super::schema::{REPLAY, SYNTHETIC};
use super::{failure, series};
use crate::fleet::spec::{
    FleetSpec, MetricSpec, ModelSpec, Network, Pace, Power, ReplaySpec, SessionKind, SyntheticSpec, TwinKind, TwinSpec,
    Version,
};

/// Most metrics of a synthetic device.
const METRICS_MAX: usize = 64;

/// The metrics of a synthetic fleet that names none: air temperature and pressure over a day.
pub fn default_metrics() -> Vec<MetricSpec> {
    let day = Duration::from_secs(86_400);
    let metric = |name: &str, unit: &str, baseline, noise, season_amplitude| MetricSpec {
        name: name.to_owned(),
        unit: Some(unit.to_owned()),
        baseline,
        noise,
        season_amplitude,
        season_period: day,
        drift_per_day: 0.0,
        spike_probability: 0.0,
        spike: 0.0,
    };
    vec![metric("temp", "celsius", 20.0, 0.5, 4.0), metric("pressure", "bar", 1.013, 0.002, 0.01)]
}

/// Reads one `[[fleet]]`.
pub(super) fn read(table: &Table<'_>) -> Result<FleetSpec, ScenarioError> {
    let kind = table.require("kind")?.choice()?;
    // The kinds of the schema: these two, and then the twins.
    let twin = kind.checked_sub(2).map(|twin| TwinKind::ALL[twin].1);
    let name_of_kind = twin.map_or([SYNTHETIC, REPLAY][kind.min(1)], TwinKind::name);
    table.only_keys_of(name_of_kind)?;
    let name = table.get("name").map_or(Ok(name_of_kind.to_owned()), |name| name.word())?;
    let tenants = tenants(table)?;
    let network = match table.get("network") {
        None => twin.map_or(Network::Ethernet, TwinKind::network),
        Some(network) => Network::ALL[network.choice()?].1,
    };
    let session = match table.get("session") {
        None => SessionKind::default(),
        Some(session) => SessionKind::ALL[session.choice()?].1,
    };
    let disconnects = table.get("disconnects").map(|mean| mean.duration()).transpose()?;
    let shadow = table.get("shadow").map_or(Ok(twin.is_some()), |shadow| shadow.flag())?;
    let (devices, model) = match twin {
        Some(kind) => (devices(table)?, ModelSpec::Twin(self::twin(table, kind)?)),
        None if name_of_kind == SYNTHETIC => synthetic(table)?,
        None => replay(table, &name)?,
    };
    let by_claim = table.get("joins").map_or(Ok(0), |joins| joins.choice())? == 1;
    let joins_within = table.get("joins_within").map(|within| within.duration()).transpose()?;
    let payload = match table.get("payload").map_or(Ok(1), |payload| payload.whole())? {
        1 => Version::One,
        _ => Version::Two,
    };
    Ok(FleetSpec {
        name,
        tenants,
        devices,
        network,
        session,
        disconnects,
        payload,
        shadow,
        model,
        by_claim,
        joins_within,
    })
}

fn devices(table: &Table<'_>) -> Result<u32, ScenarioError> {
    let devices = table.require("devices")?.whole()?;
    Ok(u32::try_from(devices).expect("the schema's largest number of devices fits"))
}

fn twin(table: &Table<'_>, kind: TwinKind) -> Result<TwinSpec, ScenarioError> {
    let publish_every = table.get("publish_every").map_or(Ok(kind.publish_every()), |every| every.duration())?;
    let power = match table.get("power") {
        None => kind.power(),
        Some(power) => Power::ALL[power.choice()?].1,
    };
    let around = kind.value();
    let value = match table.get(around.key) {
        None => around.usual,
        Some(entry) => {
            let value = entry.number()?;
            if !(around.min..=around.max).contains(&value) {
                let hint = format!("a {} has one from {} to {}", kind.name(), around.min, around.max);
                return Err(entry.error(format!("is {value}"), hint));
            }
            value
        }
    };
    Ok(TwinSpec { kind, publish_every, power, value, failures: failure::read_all(table, kind)? })
}

fn tenants(table: &Table<'_>) -> Result<Vec<String>, ScenarioError> {
    let stem = table.require("tenant")?.word()?;
    let count = table.get("tenants").map_or(Ok(1), |n| n.whole())?;
    if count == 1 {
        return Ok(vec![stem]);
    }
    let digits = count.to_string().len().max(2);
    Ok((1..=count).map(|n| format!("{stem}-{n:0digits$}")).collect())
}

fn synthetic(table: &Table<'_>) -> Result<(u32, ModelSpec), ScenarioError> {
    let devices = devices(table)?;
    let publish_every = table.require("publish_every")?.duration()?;
    let mut metrics: Vec<MetricSpec> = Vec::new();
    match table.get("metric") {
        None => metrics = default_metrics(),
        Some(entry) => {
            for table in entry.tables()? {
                let metric = metric(&table)?;
                if metrics.iter().any(|m| m.name == metric.name) {
                    let hint = "give each metric of a fleet its own name";
                    return Err(table.require("name")?.error(format!("is {:?} a second time", metric.name), hint));
                }
                metrics.push(metric);
            }
            if metrics.len() > METRICS_MAX {
                let problem = format!("has {} tables, more than {METRICS_MAX}", metrics.len());
                return Err(entry.error(problem, "split the metrics over two fleets"));
            }
        }
    }
    Ok((devices, ModelSpec::Synthetic(SyntheticSpec { publish_every, metrics })))
}

fn metric(table: &Table<'_>) -> Result<MetricSpec, ScenarioError> {
    let number = |name: &str| table.get(name).map_or(Ok(0.0), |n| n.number());
    Ok(MetricSpec {
        name: table.require("name")?.label()?,
        unit: table.get("unit").map(|u| u.label()).transpose()?,
        baseline: number("baseline")?,
        noise: number("noise")?,
        season_amplitude: number("season_amplitude")?,
        season_period: table
            .get("season_period")
            .map_or(Ok(Duration::from_secs(86_400)), |period| period.duration())?,
        drift_per_day: number("drift_per_day")?,
        spike_probability: table.get("spike_probability").map_or(Ok(0.0), |p| p.probability().map(|p| p.get()))?,
        spike: number("spike")?,
    })
}

fn replay(table: &Table<'_>, fleet: &str) -> Result<(u32, ModelSpec), ScenarioError> {
    let pace = match table.get("pace") {
        None => Pace::Every(Duration::from_secs(1)),
        Some(pace) => pace.pace()?.map_or(Pace::Recorded, Pace::Every),
    };
    let series = series::load(&table.require("series")?, fleet)?;
    let devices = u32::try_from(series.len()).expect("a folder holds fewer files");
    Ok((devices, ModelSpec::Replay(ReplaySpec { pace, series })))
}

/// Readings that a fleet publishes in `hardship`, at most.
pub fn readings_max(fleet: &FleetSpec, hardship: Duration) -> u64 {
    let steps = |every: Duration| u64::try_from(hardship.as_micros() / every.as_micros().max(1)).unwrap_or(u64::MAX);
    let numbered = |every: Duration| u64::from(fleet.devices).saturating_mul(steps(every) + 1);
    match &fleet.model {
        ModelSpec::Synthetic(model) => numbered(model.publish_every),
        ModelSpec::Twin(model) => numbered(model.publish_every),
        ModelSpec::Replay(model) => match model.pace {
            Pace::Every(every) => model.series.iter().map(|s| (s.rows.len() as u64).min(steps(every) + 1)).sum(),
            Pace::Recorded => model.series.iter().map(|s| series::rows_within(s, hardship)).sum(),
        },
    }
}

/// Rows of a fleet's series; zero for a fleet that plays none.
pub fn rows(fleet: &FleetSpec) -> u64 {
    match &fleet.model {
        ModelSpec::Synthetic(_) | ModelSpec::Twin(_) => 0,
        ModelSpec::Replay(model) => model.series.iter().map(|s| s.rows.len() as u64).sum(),
    }
}

/// The tables of twins, networks and failures, for the document.
pub(super) fn document() -> String {
    let mut text = String::from(
        "\n## Twins\n\nParameters are drawn for each device, around those of its fleet. Physics do not depend on how often a \
         device publishes.\n\n| kind | metrics | publish_every | network |\n|---|---|---|---|\n",
    );
    for (name, kind) in TwinKind::ALL {
        let metrics: Vec<String> = kind.metrics().iter().map(|m| format!("`{}` ({})", m.name, m.unit)).collect();
        let network = Network::ALL.iter().find(|(_, network)| *network == kind.network()).map_or("", |(name, _)| name);
        let every = super::duration::format(kind.publish_every());
        text.push_str(&format!("| `{name}` | {} | {every} | `{network}` |\n", metrics.join(", ")));
    }
    text.push_str(&failure::document());
    text
}
