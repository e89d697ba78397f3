//! Scenarios for proptest: small fleets, short runs, and faults of every kind that a swarm draws, with numbers within its
//! ranges. They shrink to fewer devices, fewer and shorter faults, and the simplest values.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sim::fault::{Key, Kind};
use sim::invariant::{self, AUTHORIZATION};
use sim::scenario::{Scenario, duration};
use sim::swarm::ranges::{self, Ranges};

/// What is drawn of a fault: numbers from 0 to 1, which its kind's ranges turn into values.
#[derive(Clone, Copy, Debug)]
struct Lots {
    kind: usize,
    from: f64,
    window: f64,
    numbers: [f64; 5],
    aimed: Option<f64>,
}

fn lots() -> impl Strategy<Value = Lots> {
    let kinds = ranges::drawn().count();
    let lot = || 0.0..1.0_f64;
    let aimed = prop::option::of(lot());
    (0..kinds, lot(), lot(), prop::array::uniform5(lot()), aimed)
        .prop_map(|(kind, from, window, numbers, aimed)| Lots { kind, from, window, numbers, aimed })
}

/// Any scenario that a correct platform survives.
pub fn any_scenario() -> impl Strategy<Value = Scenario> {
    let fleet =
        (1_u32..=5, prop::sample::select(vec![20_u64, 10, 5]), prop::sample::select(vec!["ethernet", "wifi", "lte"]));
    let fleets = prop::collection::vec(fleet, 1..=2);
    let tenants = 1_u32..=2;
    (fleets, tenants, 60_u64..=180, prop::collection::vec(lots(), 0..=3)).prop_map(
        |(fleets, tenants, hardship_s, faults)| {
            let mut text = "title = \"drawn\"\nwhy = \"explored\"\n".to_owned();
            for (n, (devices, every_s, network)) in fleets.iter().enumerate() {
                let tenants = tenants.min(*devices);
                let _ = write!(
                    text,
                    "\n[[fleet]]\nname = \"fleet{n}\"\nkind = \"synthetic\"\ntenant = \"tenant{n}\"\ntenants = {tenants}\n\
                     devices = {devices}\npublish_every = \"{every_s}s\"\nnetwork = \"{network}\"\n"
                );
            }
            let _ = write!(text, "\n[phase]\nhardship = \"{hardship_s}s\"\npeace = \"20min\"\n");
            for (n, lots) in faults.iter().enumerate() {
                write_fault(&mut text, n, *lots, Duration::from_secs(hardship_s));
            }
            if faults.iter().any(denies) {
                let asked: Vec<&str> = invariant::ALL.iter().map(|i| i.id).filter(|id| *id != AUTHORIZATION.id).collect();
                let _ = write!(text, "\n[expect]\ninvariants = {asked:?}\n");
            }
            Scenario::parse(&text, Path::new("explored.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
        },
    )
}

/// Whether calls are denied by what the fault does on purpose: that no call is denied is promised for the roles as they are
/// deployed.
fn denies(lots: &Lots) -> bool {
    let kind = ranges::drawn().nth(lots.kind).expect("a kind of those that are drawn");
    matches!(kind, Kind::WrongConfiguration | Kind::PermissionRemoved | Kind::KeyDisabled | Kind::CertificateExpiry)
}

fn write_fault(text: &mut String, n: usize, lots: Lots, hardship: Duration) {
    let kind: Kind = ranges::drawn().nth(lots.kind).expect("a kind of those that are drawn");
    let ranges: Ranges = ranges::of(kind);
    let whole = |(low, high): (u64, u64), lot: f64| low + ((high - low) as f64 * lot) as u64;
    let number = |(low, high): (f64, f64), lot: f64| low + (high - low) * lot;
    let window = Duration::from_secs(whole(ranges.window_s, lots.window)).min(hardship);
    let from = Duration::from_secs(((hardship - window).as_secs_f64() * lots.from) as u64);
    let _ = write!(
        text,
        "\n[[fault]]\nname = \"{} {n}\"\nkind = \"{}\"\nfrom = \"{}\"\nuntil = \"{}\"\n",
        kind.id(),
        kind.id(),
        duration::format(from),
        duration::format(from + window)
    );
    let [first, second, third, fourth, fifth] = lots.numbers;
    let mut line = |key: Key, value: String| {
        if kind.has(key) {
            let _ = writeln!(text, "{} = {value}", key.as_str());
        }
    };
    let time = |length: Duration| format!("\"{}\"", duration::format(length));
    line(Key::Probability, format!("{:.3}", number(ranges.probability, first)));
    line(Key::Share, format!("{:.3}", number(ranges.share, second)));
    line(Key::Every, time(Duration::from_secs(whole(ranges.every_s, third))));
    line(Key::Lasting, time(Duration::from_secs(whole(ranges.lasting_s, fourth))));
    line(Key::Delay, time(Duration::from_millis(whole(ranges.delay_ms, fifth))));
    line(Key::Amount, format!("{:.3}", number(ranges.amount, first)));
    let Some(aim) = lots.aimed else { return };
    let pick = |len: usize| ((len as f64 * aim) as usize).min(len - 1);
    if kind.has(Key::Service) && !ranges.services.is_empty() {
        line(Key::Service, format!("{:?}", ranges.services[pick(ranges.services.len())].0));
    } else if kind.has(Key::Function) && !ranges.functions.is_empty() {
        line(Key::Function, format!("{:?}", ranges.functions[pick(ranges.functions.len())]));
    }
}
