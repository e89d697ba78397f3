//! Draws faults: first families and kinds are switched off, then some of the kinds that are left get a fault.
//!
//! Each kind draws from a stream of its own, so that a new kind moves nothing of the others but their number.

use std::time::Duration;

use rand::RngExt as _;
use toml_edit::{Table, value};

use super::lots::{chance, one_of, spread, spread_whole};
use super::ranges::{self, Ranges};
use crate::fault::{Family, Key, Kind};
use crate::fleet::spec::{FleetSpec, SessionKind};
use crate::scenario::{Swarm, duration};
use crate::world::seed::{Rng, Seed};

/// How many faults of calls and of functions are outages.
const OUTAGES: f64 = 0.25;
/// Shortest and longest outage, in seconds.
const OUTAGE_S: (u64, u64) = (20, 120);

/// Names of the platform's streams.
const STREAMS: [&str; 2] = ["raw", "enriched"];

/// Tables of `[[fault]]` for a run of `fleets` whose devices publish during `hardship`.
pub(super) fn draw(swarm: &Swarm, seed: Seed, fleets: &[FleetSpec], hardship: Duration) -> Vec<Table> {
    let most = seed.child("count").rng().random_range(0..=swarm.faults_max) as usize;
    let mut kinds: Vec<(u32, Kind)> = left_on(swarm, seed)
        .into_iter()
        .map(|kind| (seed.child("lot").child(kind.id()).rng().random_range(0..=u32::MAX), kind))
        .collect();
    kinds.sort_unstable();
    kinds.truncate(most);
    // Lambda refuses a change while another is under way, so that a rollback at the same moment can fail on AWS too: whoever
    // rolls back changes nothing else.
    if kinds.iter().any(|(_, kind)| *kind == Kind::Rollback) {
        kinds.retain(|(_, kind)| !matches!(kind, Kind::BadDeploy | Kind::WrongConfiguration));
    }
    // Whoever connects with a stolen certificate ends the session that its device left behind.
    if fleets.iter().any(|fleet| fleet.session == SessionKind::Persistent) {
        kinds.retain(|(_, kind)| kind.contract().family != Family::Hostile);
    }
    let fault = |(_, kind): &(u32, Kind)| fault(*kind, seed.child("fault").child(kind.id()), fleets, hardship);
    kinds.iter().map(fault).collect()
}

/// Kinds that are not switched off, in the order of the table.
fn left_on(swarm: &Swarm, seed: Seed) -> Vec<Kind> {
    let off = |label: &str, name: &str, probability: f64| {
        chance(&mut seed.child("off").child(label).child(name).rng(), probability)
    };
    let asked: Vec<Kind> = swarm.kinds.clone().unwrap_or_else(|| ranges::drawn().collect());
    let families =
        swarm.families.iter().filter(|family| !off("family", &format!("{family:?}"), swarm.family_off.get()));
    let families: Vec<_> = families.collect();
    asked
        .into_iter()
        .filter(|kind| families.contains(&&kind.contract().family))
        .filter(|kind| !off("kind", kind.id(), swarm.kind_off.get()))
        .collect()
}

/// The ranges of a kind; now and then those of an outage, in which every opportunity is struck for a while: longer than a
/// function may take, so that whoever gives up is seen to.
fn in_force(seed: Seed, ranges: Ranges) -> Ranges {
    let may_fail_for_good = matches!(ranges.kind.contract().family, Family::Service | Family::Function);
    let outage =
        may_fail_for_good && ranges.kind.has(Key::Probability) && chance(&mut seed.child("outage").rng(), OUTAGES);
    if outage { Ranges { window_s: OUTAGE_S, probability: (1.0, 1.0), ..ranges } } else { ranges }
}

fn fault(kind: Kind, seed: Seed, fleets: &[FleetSpec], hardship: Duration) -> Table {
    let (rng, ranges) = (&mut seed.rng(), in_force(seed, ranges::of(kind)));
    let mut table = Table::new();
    table.insert("kind", value(kind.id()));
    let (from, until) = window(rng, &ranges, hardship);
    if !from.is_zero() {
        table.insert("from", value(duration::format(from)));
    }
    if until < hardship {
        table.insert("until", value(duration::format(until)));
    }
    aim(rng, kind, &ranges, fleets, &mut table);
    numbers(rng, kind, &ranges, &mut table);
    table
}

/// A window within hardship, in whole seconds.
fn window(rng: &mut Rng, ranges: &Ranges, hardship: Duration) -> (Duration, Duration) {
    let whole = hardship.as_secs().max(2);
    let length = spread_whole(rng, ranges.window_s).min(whole);
    let from = if length < whole { rng.random_range(0..=whole - length) } else { 0 };
    // What a fault breaks while devices connect for the first time is another story than what it breaks later.
    let from = if chance(rng, 0.25) { 0 } else { from };
    (Duration::from_secs(from), Duration::from_secs(from + length).min(hardship))
}

/// Whom the fault strikes: everything half of the time.
fn aim(rng: &mut Rng, kind: Kind, ranges: &Ranges, fleets: &[FleetSpec], table: &mut Table) {
    // A service and a function together rarely meet: at most one of them, unless the kind is about both.
    let (services, functions) = (kind.has(Key::Service), kind.has(Key::Function));
    let by_service = services && (!functions || chance(rng, 0.6));
    if by_service && chance(rng, 0.7) {
        let (service, operations) = one_of(rng, ranges.services);
        table.insert("service", value(service));
        if kind.has(Key::Operation) && !operations.is_empty() && chance(rng, 0.5) {
            table.insert("operation", value(one_of(rng, operations)));
        }
    }
    if functions && !by_service && chance(rng, 0.7) {
        table.insert("function", value(one_of(rng, ranges.functions)));
    }
    if kind.has(Key::Stream) && chance(rng, 0.5) {
        table.insert("stream", value(one_of(rng, &STREAMS)));
    }
    if kind.has(Key::Fleet) && fleets.len() > 1 && chance(rng, 0.4) {
        let fleet = rng.random_range(0..fleets.len());
        table.insert("fleet", value(fleets[fleet].name.as_str()));
    }
}

fn numbers(rng: &mut Rng, kind: Kind, ranges: &Ranges, table: &mut Table) {
    let time = |ms: u64| value(duration::format(Duration::from_millis(ms)));
    if kind.has(Key::Probability) {
        table.insert("probability", value(spread(rng, ranges.probability)));
    }
    if kind.has(Key::Share) && chance(rng, 0.7) {
        table.insert("share", value(spread(rng, ranges.share)));
    }
    // Once is a case of its own; a loop without an interval is none.
    if kind.has(Key::Every) && (kind == Kind::RebootLoop || chance(rng, 0.7)) {
        table.insert("every", time(1_000 * spread_whole(rng, ranges.every_s)));
    }
    if kind.has(Key::Lasting) {
        table.insert("lasting", time(1_000 * spread_whole(rng, ranges.lasting_s)));
    }
    if kind.has(Key::Delay) {
        table.insert("delay", time(spread_whole(rng, ranges.delay_ms)));
    }
    if kind.has(Key::Amount) {
        table.insert("amount", value(spread(rng, ranges.amount)));
    }
}
