//! Draws devices.

use std::time::Duration;

use rand::RngExt as _;
use toml_edit::{ArrayOfTables, Item, Table, value};

use super::lots::{chance, one_of, rounded};
use crate::fleet::spec::{FAILURES, FailureContract, FleetSpec, Network, Power, SessionKind, TwinKind};
use crate::scenario::{Swarm, duration};
use crate::world::seed::{Rng, Seed};

/// Names of fleets, in turn.
const FLEETS: [&str; 5] = ["pumps", "gateways", "meters", "boilers", "fans"];
/// Stems of tenants: two fleets may share their tenants.
const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// Access networks.
const NETWORKS: [&str; 3] = ["ethernet", "wifi", "lte"];
/// How likely the devices of a fleet write payloads of version 2.
const SECOND_VERSION: f64 = 0.3;
/// Intervals of publishes, in milliseconds.
const EVERY_MS: [u64; 9] = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000];
/// How likely the sessions of a fleet outlive their connections.
const PERSISTENT: f64 = 0.2;
/// Intervals of commands to one device, in seconds.
const COMMAND_EVERY_S: [u64; 4] = [15, 30, 60, 120];
/// Metrics: name, baseline, noise, and units of which the oracles know the conversion; empty for an undeclared one.
const METRICS: [(&str, f64, f64, &[&str]); 6] = [
    ("temp", 20.0, 0.5, &["celsius", "degC", "fahrenheit", "kelvin", ""]),
    ("pressure", 101.3, 0.4, &["kPa", "bar", "mbar", "hPa", "Pa", ""]),
    ("load", 0.7, 0.1, &[""]),
    ("level", -3.5, 0.02, &[""]),
    ("outlet.temp", 80.0, 4.0, &["celsius", "degF", "K"]),
    ("feed-pressure", 6.0, 0.1, &["MPa", "kPa", "bar"]),
];

/// Fleets of a run whose devices publish during `hardship`.
pub(super) fn draw(swarm: &Swarm, seed: Seed, hardship: Duration) -> ArrayOfTables {
    let rng = &mut seed.rng();
    let devices = rng.random_range(1..=swarm.devices_max);
    let count = rng.random_range(1..=swarm.fleets_max.min(devices));
    let mut left = devices;
    let mut fleets = ArrayOfTables::new();
    for n in 0..count {
        let others = count - n - 1;
        let size = if others == 0 { left } else { rng.random_range(1..=left - others) };
        left -= size;
        let share = swarm.readings_max * u64::from(size) / u64::from(devices);
        let mut fleet = fleet(n as usize, size, share, hardship, rng);
        // From a stream of its own: without twins the same is drawn as ever.
        let twins = &mut seed.nth("twin", u64::from(n)).rng();
        if chance(twins, swarm.twins.get()) {
            twin(&mut fleet, hardship, twins);
        }
        if chance(&mut seed.nth("payload", u64::from(n)).rng(), SECOND_VERSION) {
            fleet.insert("payload", value(2));
        }
        if chance(&mut seed.nth("session", u64::from(n)).rng(), PERSISTENT) {
            fleet.insert("session", value("persistent"));
        }
        fleets.push(fleet);
    }
    fleets
}

fn fleet(n: usize, devices: u32, readings_max: u64, hardship: Duration, rng: &mut Rng) -> Table {
    let mut table = Table::new();
    let round = FLEETS.len();
    let name = if n < round { FLEETS[n].to_owned() } else { format!("{}-{}", FLEETS[n % round], n / round + 1) };
    table.insert("name", value(name));
    table.insert("kind", value("synthetic"));
    table.insert("tenant", value(one_of(rng, &TENANTS)));
    table.insert("tenants", value(i64::from(rng.random_range(1..=devices.min(4)))));
    table.insert("devices", value(i64::from(devices)));
    table.insert("publish_every", value(duration::format(interval(devices, readings_max, hardship, rng))));
    table.insert("network", value(one_of(rng, &NETWORKS)));
    if chance(rng, 0.7) {
        table.insert("metric", Item::ArrayOfTables(metrics(rng)));
    }
    table
}

/// Commands to fleets whose sessions outlive their connections.
pub(super) fn commands(seed: Seed, fleets: &[FleetSpec], hardship: Duration) -> ArrayOfTables {
    let mut commands = ArrayOfTables::new();
    for (n, fleet) in (0..).zip(fleets).filter(|(_, fleet)| fleet.session == SessionKind::Persistent) {
        let rng = &mut seed.nth("fleet", n).rng();
        let every = Duration::from_secs(one_of(rng, &COMMAND_EVERY_S)).min(hardship);
        let mut table = Table::new();
        table.insert("fleet", value(fleet.name.as_str()));
        table.insert("every", value(duration::format(every)));
        commands.push(table);
    }
    commands
}

/// Makes a fleet one of twins.
fn twin(table: &mut Table, hardship: Duration, rng: &mut Rng) {
    let (name, kind) = one_of(rng, &TwinKind::ALL);
    table.remove("metric");
    table.insert("kind", value(name));
    table.insert("network", value(one_of(rng, &Network::ALL).0));
    table.insert("power", value(one_of(rng, &Power::ALL).0));
    if chance(rng, 0.3) {
        table.insert("disconnects", value(one_of(rng, &["1min", "3min", "10min"])));
    }
    let mut failures = ArrayOfTables::new();
    for _ in 0..rng.random_range(0..=2) {
        let contract = one_of(rng, &FAILURES);
        if contract.only.is_none_or(|only| only == kind) {
            failures.push(failure(contract, kind, hardship, rng));
        }
    }
    if !failures.is_empty() {
        table.insert("failure", Item::ArrayOfTables(failures));
    }
}

fn failure(contract: FailureContract, twin: TwinKind, hardship: Duration, rng: &mut Rng) -> Table {
    let mut table = Table::new();
    table.insert("kind", value(contract.id));
    table.insert("share", value(rounded(rng.random_range(0.2..1.0))));
    let part = |rng: &mut Rng, most: f64| Duration::from_secs(hardship.mul_f64(rng.random_range(0.0..most)).as_secs());
    table.insert("from", value(duration::format(part(rng, 0.6))));
    table.insert("lasting", value(duration::format(part(rng, 0.5).max(Duration::from_secs(1)))));
    for (key, required) in contract.keys {
        match *key {
            "metric" if *required || chance(rng, 0.5) => {
                let metric = &twin.metrics()[rng.random_range(0..twin.metrics().len())];
                table.insert("metric", value(metric.name));
            }
            "amount" => drop(table.insert("amount", value(rounded(rng.random_range(5.0..100.0))))),
            _ => {}
        }
    }
    table
}

/// An interval with which so many devices publish no more than so many readings, and each at least one.
fn interval(devices: u32, readings_max: u64, hardship: Duration, rng: &mut Rng) -> Duration {
    let drawn = Duration::from_millis(one_of(rng, &EVERY_MS));
    let each = (readings_max / u64::from(devices)).saturating_sub(1).max(1);
    let shortest = hardship / u32::try_from(each).unwrap_or(u32::MAX);
    let shortest = Duration::from_secs(shortest.as_secs() + 1).min(hardship);
    if drawn * u32::try_from(each).unwrap_or(u32::MAX) >= hardship { drawn.min(hardship) } else { shortest }
}

fn metrics(rng: &mut Rng) -> ArrayOfTables {
    let mut tables = ArrayOfTables::new();
    let count = rng.random_range(1..=4);
    let first = rng.random_range(0..METRICS.len());
    for n in 0..count {
        let (name, baseline, noise, units) = METRICS[(first + n) % METRICS.len()];
        let mut table = Table::new();
        table.insert("name", value(name));
        let unit = one_of(rng, units);
        if !unit.is_empty() {
            table.insert("unit", value(unit));
        }
        table.insert("baseline", value(baseline));
        table.insert("noise", value(noise));
        let mut season = 0.0;
        if chance(rng, 0.3) {
            season = rounded(rng.random_range(0.1..10.0));
            table.insert("season_amplitude", value(season));
            table.insert("season_period", value(one_of(rng, &["1min", "5min", "1h"])));
        }
        // So plain that they must be told.
        table.insert("spike_probability", value(0.03));
        table.insert("spike", value(rounded(30.0 * noise + 12.0 * season + 0.1 * f64::abs(baseline))));
        tables.push(table);
    }
    tables
}
