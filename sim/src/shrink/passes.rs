//! What may be smaller about a scenario: candidates, each a whole text, from the boldest to the most timid.

use std::time::Duration;

use record::Verdict;
use toml_edit::{DocumentMut, Item, Table};

use super::text::{clamp, document, drop_empty, duration_of, leaves, remove_leaf, set, tables, text_of};
use super::{Signature, series};
use crate::scenario::Scenario;

/// Whether a pass takes away so much that other seeds are worth a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boldness {
    /// Other seeds are tried too.
    Bold,
    /// The seed stays.
    Timid,
}

/// One thing that may be smaller.
pub(super) struct Pass {
    /// Name, for progress.
    pub name: &'static str,
    /// Whether other seeds are tried.
    pub boldness: Boldness,
    /// Whether a search begins anew after each success, or goes on behind what was found.
    pub restarts: bool,
    /// Texts that may be smaller, the smallest first.
    pub candidates: fn(&Scenario, &Signature) -> Vec<String>,
}

const fn pass(
    name: &'static str,
    boldness: Boldness,
    restarts: bool,
    candidates: fn(&Scenario, &Signature) -> Vec<String>,
) -> Pass {
    Pass { name, boldness, restarts, candidates }
}

/// All passes, in the order in which they make runs cheaper.
pub(super) const ALL: &[Pass] = &[
    pass("everything at once", Boldness::Bold, true, all_at_once),
    pass("fleets", Boldness::Bold, false, fleets),
    pass("devices", Boldness::Bold, true, devices),
    pass("faults", Boldness::Bold, false, |scenario, _| without(scenario, "fault")),
    pass("rollouts", Boldness::Bold, false, |scenario, _| without(scenario, "rollout")),
    pass("commands", Boldness::Bold, false, |scenario, _| without(scenario, "command")),
    pass("hardship", Boldness::Bold, true, hardship),
    pass("changes", Boldness::Timid, false, |scenario, _| without(scenario, "change")),
    pass("settings of the platform", Boldness::Timid, false, platform),
    pass("settings of changes", Boldness::Timid, false, change_settings),
    pass("tenants", Boldness::Timid, true, tenants),
    pass("metrics", Boldness::Timid, true, metrics),
    pass("failures of twins", Boldness::Timid, true, failures),
    pass("networks", Boldness::Timid, false, networks),
    pass("recorded series", Boldness::Timid, false, recorded),
    pass("readings", Boldness::Timid, true, intervals),
    pass("simpler faults", Boldness::Timid, true, simpler_faults),
    pass("earlier faults", Boldness::Timid, true, earlier_faults),
    pass("narrower faults", Boldness::Timid, true, narrower_faults),
    pass("peace", Boldness::Timid, true, peace),
    pass("start", Boldness::Timid, false, |scenario, _| one(edited(scenario, |doc| doc.remove("start").map(drop)))),
];

/// Numbers of devices and of tenants that are tried, the smallest first.
const FEW: [i64; 12] = [1, 2, 3, 4, 6, 9, 14, 20, 30, 50, 100, 300];

/// Lengths that are tried, in seconds, the shortest first.
const LENGTHS_S: [u64; 19] =
    [10, 20, 30, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];

/// Windows of faults are not narrowed below this.
const WINDOW_MIN: Duration = Duration::from_secs(10);

/// The text after a change; nothing when the change cannot be made.
fn edited(scenario: &Scenario, change: impl FnOnce(&mut DocumentMut) -> Option<()>) -> Option<String> {
    let mut doc = document(scenario);
    change(&mut doc)?;
    drop_empty(&mut doc);
    Some(doc.to_string())
}

fn one(text: Option<String>) -> Vec<String> {
    text.into_iter().collect()
}

fn count(scenario: &Scenario, list: &str) -> usize {
    tables(&mut document(scenario), list).map_or(0, |tables| tables.len())
}

/// The lengths that are shorter than this one.
fn shorter(than: Duration) -> impl Iterator<Item = Duration> {
    LENGTHS_S.into_iter().map(Duration::from_secs).take_while(move |length| *length < than)
}

/// Sets of positions out of `n` to be taken away: all, then halves, quarters and so on down to single ones.
pub(super) fn drops(n: usize) -> Vec<Vec<usize>> {
    let mut sets = Vec::new();
    let mut size = n;
    while size > 0 {
        sets.extend((0..n).step_by(size).map(|from| (from..(from + size).min(n)).collect()));
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    sets
}

/// The scenario without some tables of a list.
fn without(scenario: &Scenario, list: &str) -> Vec<String> {
    let drop_these = |dropped: Vec<usize>| {
        edited(scenario, |doc| {
            let tables = tables(doc, list)?;
            dropped.iter().rev().for_each(|at| drop(tables.remove(*at)));
            Some(())
        })
    };
    drops(count(scenario, list)).into_iter().filter_map(drop_these).collect()
}

/// One device a fleet, without faults, changes and what an operator asks: a failure that needs none of them is found at
/// once. Then with them.
fn all_at_once(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let small = |doc: &mut DocumentMut, devices: i64| {
        for fleet in tables(doc, "fleet").into_iter().flat_map(|fleets| fleets.iter_mut()) {
            limit_devices(fleet, devices);
        }
    };
    let bare = edited(scenario, |doc| {
        ["fault", "change", "rollout", "command"].iter().for_each(|list| drop(doc.remove(list)));
        small(doc, 1);
        Some(())
    });
    let with_faults = FEW[..4].iter().map(|devices| {
        edited(scenario, |doc| {
            small(doc, *devices);
            Some(())
        })
    });
    std::iter::once(bare).chain(with_faults).flatten().collect()
}

/// Gives a synthetic fleet at most so many devices, and no more tenants than that.
fn limit_devices(fleet: &mut Table, devices: i64) {
    let whole = |fleet: &Table, key: &str| fleet.get(key).and_then(Item::as_integer);
    if whole(fleet, "devices").is_some_and(|n| n > devices) {
        set(fleet, "devices", devices);
        if whole(fleet, "tenants").is_some_and(|n| n > devices) {
            limit_tenants(fleet, devices);
        }
    }
}

fn limit_tenants(fleet: &mut Table, tenants: i64) {
    match tenants {
        1 => drop(fleet.remove("tenants")),
        n => set(fleet, "tenants", n),
    }
}

/// Some fleets less, and the faults that strike them alone.
fn fleets(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let n = scenario.fleets.len();
    let only_one = (0..n).map(|kept| (0..n).filter(|at| *at != kept).collect());
    let sets = only_one.chain(drops(n)).filter(|set: &Vec<usize>| set.len() < n && !set.is_empty());
    let texts = sets.map(|set| {
        edited(scenario, |doc| {
            let names: Vec<&str> = set.iter().map(|at| scenario.fleets[*at].name.as_str()).collect();
            let fleets = tables(doc, "fleet")?;
            set.iter().rev().for_each(|at| drop(fleets.remove(*at)));
            if let Some(faults) = tables(doc, "fault") {
                let gone =
                    |fault: &Table| fault.get("fleet").and_then(Item::as_str).is_some_and(|f| names.contains(&f));
                faults.retain(|fault| !gone(fault));
            }
            Some(())
        })
    });
    texts.flatten().collect()
}

/// A change of the `at`th table of a list.
fn at(scenario: &Scenario, list: &str, at: usize, change: impl FnOnce(&mut Table) -> Option<()>) -> Option<String> {
    edited(scenario, |doc| change(tables(doc, list)?.get_mut(at)?))
}

/// Fewer devices in each fleet.
fn devices(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut texts = Vec::new();
    for (i, fleet) in scenario.fleets.iter().enumerate() {
        let now = i64::from(fleet.devices);
        let fewer = FEW.into_iter().filter(|n| *n < now - 1).chain((now > 1).then_some(now - 1));
        texts.extend(fewer.filter_map(|n| {
            at(scenario, "fleet", i, |fleet| {
                limit_devices(fleet, n);
                Some(())
            })
        }));
    }
    texts
}

/// Devices publish for a shorter time.
fn hardship(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let shorter = shorter(scenario.phase.hardship).map(|hardship| {
        edited(scenario, |doc| {
            set(doc.get_mut("phase")?.as_table_like_mut()?, "hardship", text_of(hardship));
            clamp(doc, hardship);
            Some(())
        })
    });
    shorter.flatten().collect()
}

/// A shorter peace, that is still longer than the platform's buffers. What is unsettled would be so more easily with less
/// time, in another way: there peace stays.
fn peace(scenario: &Scenario, wants: &Signature) -> Vec<String> {
    if wants.verdict == Verdict::Unsettled {
        return Vec::new();
    }
    let platform = scenario.platform.as_ref();
    let delivery = platform.and_then(|platform| platform.get("processed_delivery")?.get("buffer_interval_s"));
    let buffer_s = delivery.and_then(toml::Value::as_integer).and_then(|s| u64::try_from(s).ok()).unwrap_or(60);
    let least = Duration::from_secs(buffer_s + 120);
    let shorter = shorter(scenario.phase.peace).filter(|peace| *peace >= least).map(|peace| {
        edited(scenario, |doc| {
            set(doc.get_mut("phase")?.as_table_like_mut()?, "peace", text_of(peace));
            Some(())
        })
    });
    shorter.flatten().collect()
}

/// Fewer settings of the platform.
fn platform(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let doc = document(scenario);
    let Some(platform) = doc.get("platform").and_then(Item::as_table_like) else { return Vec::new() };
    let paths = leaves(platform);
    let texts = drops(paths.len()).into_iter().map(|set| {
        edited(scenario, |doc| {
            let root = doc.as_table_mut();
            let whole = |at: usize| std::iter::once("platform".to_owned()).chain(paths[at].iter().cloned()).collect();
            set.into_iter().map(whole).for_each(|path: Vec<String>| remove_leaf(root, &path));
            Some(())
        })
    });
    texts.flatten().collect()
}

/// Fewer settings of each change.
fn change_settings(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut texts = Vec::new();
    for i in 0..scenario.changes.len() {
        let mut doc = document(scenario);
        let change = tables(&mut doc, "change").and_then(|changes| changes.get(i));
        let platform = change.and_then(|change| change.get("platform")?.as_table_like());
        let paths = platform.map_or_else(Vec::new, leaves);
        let without = |path: &Vec<String>| {
            at(scenario, "change", i, |change| {
                let whole: Vec<String> = std::iter::once("platform".to_owned()).chain(path.iter().cloned()).collect();
                remove_leaf(change, &whole);
                Some(())
            })
        };
        texts.extend(paths.iter().filter_map(without));
        texts.extend(at(scenario, "change", i, |change| change.remove("patch").map(drop)));
    }
    texts
}

/// Fewer tenants in each fleet.
fn tenants(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut texts = Vec::new();
    for (i, fleet) in scenario.fleets.iter().enumerate() {
        let now = fleet.tenants.len() as i64;
        texts.extend(FEW.into_iter().filter(|n| *n < now).filter_map(|n| {
            at(scenario, "fleet", i, |fleet| {
                limit_tenants(fleet, n);
                Some(())
            })
        }));
    }
    texts
}

/// One metric of each fleet alone, then one less.
fn metrics(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut texts = Vec::new();
    for i in 0..scenario.fleets.len() {
        let mut doc = document(scenario);
        let metrics = |fleet: &Table| fleet.get("metric").and_then(Item::as_array_of_tables).map_or(0, |m| m.len());
        let n = tables(&mut doc, "fleet").and_then(|fleets| fleets.get(i)).map_or(0, metrics);
        let keep = |kept: &dyn Fn(usize) -> bool| {
            at(scenario, "fleet", i, |fleet| {
                let metrics = fleet.get_mut("metric")?.as_array_of_tables_mut()?;
                (0..n).rev().filter(|m| !kept(*m)).for_each(|m| drop(metrics.remove(m)));
                Some(())
            })
        };
        if n > 1 {
            texts.extend((0..n).filter_map(|only| keep(&|m| m == only)));
            texts.extend((0..n).filter_map(|gone| keep(&|m| m != gone)));
        }
    }
    texts
}

/// Some failures of a fleet of twins less.
fn failures(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fleet) in tables(&mut doc, "fleet").into_iter().flat_map(|fleets| fleets.iter()).enumerate() {
        let n = fleet.get("failure").and_then(Item::as_array_of_tables).map_or(0, |failures| failures.len());
        texts.extend(drops(n).into_iter().filter_map(|dropped| {
            at(scenario, "fleet", i, |fleet| {
                let failures = fleet.get_mut("failure")?.as_array_of_tables_mut()?;
                dropped.iter().rev().for_each(|at| drop(failures.remove(*at)));
                Some(())
            })
        }));
    }
    texts
}

/// The simplest network, and connections that drop as its connections do.
fn networks(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let without = |key: &'static str| {
        let fleets = 0..scenario.fleets.len();
        fleets.filter_map(move |i| at(scenario, "fleet", i, |fleet| fleet.remove(key).map(drop)))
    };
    without("network").chain(without("disconnects")).collect()
}

/// One recorded series in place of a folder.
fn recorded(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fleet) in tables(&mut doc, "fleet").into_iter().flat_map(|fleets| fleets.iter()).enumerate() {
        for file in series::files_of(scenario, fleet) {
            texts.extend(at(scenario, "fleet", i, |fleet| {
                set(fleet, "series", file);
                Some(())
            }));
        }
    }
    texts
}

/// Fewer readings: devices publish less often, at most once a minute.
fn intervals(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fleet) in tables(&mut doc, "fleet").into_iter().flat_map(|fleets| fleets.iter()).enumerate() {
        let Some(now) = duration_of(fleet, "publish_every") else { continue };
        for every in [60, 30, 10, 1].map(Duration::from_secs).into_iter().filter(|every| *every > now) {
            texts.extend(at(scenario, "fleet", i, |fleet| {
                set(fleet, "publish_every", text_of(every));
                Some(())
            }));
        }
    }
    texts
}

/// How simple a probability or a share is; always, or all, is the simplest.
fn complexity(value: Option<&Item>) -> usize {
    let number = |item: &Item| item.as_float().or_else(|| item.as_integer().map(|n| n as f64));
    match value.and_then(number) {
        None => 0,
        Some(value) => 1 + SIMPLE.iter().position(|simple| *simple == value).unwrap_or(SIMPLE.len()),
    }
}

/// Probabilities and shares that are tried in place of others.
const SIMPLE: [f64; 3] = [0.5, 0.1, 0.01];

/// Simpler values of a fault's keys: none, or a round one.
fn simpler_faults(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fault) in tables(&mut doc, "fault").into_iter().flat_map(|faults| faults.iter()).enumerate() {
        for key in
            ["probability", "share", "every", "delay", "amount"].into_iter().filter(|key| fault.contains_key(key))
        {
            texts.extend(at(scenario, "fault", i, |fault| fault.remove(key).map(drop)));
        }
        for key in ["probability", "share"] {
            let now = complexity(fault.get(key));
            let simpler = SIMPLE.into_iter().take(now.saturating_sub(1));
            texts.extend(simpler.filter_map(|value| {
                at(scenario, "fault", i, |fault| {
                    set(fault, key, value);
                    Some(())
                })
            }));
        }
    }
    texts
}

/// From when to when a fault may strike.
fn window(fault: &Table, hardship: Duration) -> (Duration, Duration) {
    (duration_of(fault, "from").unwrap_or_default(), duration_of(fault, "until").unwrap_or(hardship))
}

fn set_window(fault: &mut Table, (from, until): (Duration, Duration), hardship: Duration) {
    for (key, value, is_default) in [("from", from, from.is_zero()), ("until", until, until == hardship)] {
        if is_default {
            fault.remove(key);
        } else {
            set(fault, key, text_of(value));
        }
    }
}

fn whole_seconds(length: Duration) -> Duration {
    Duration::from_secs(length.as_secs())
}

/// Faults and changes come earlier, so that less of hardship is needed before them.
fn earlier_faults(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let hardship = scenario.phase.hardship;
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fault) in tables(&mut doc, "fault").into_iter().flat_map(|faults| faults.iter()).enumerate() {
        let (from, until) = window(fault, hardship);
        let earlier = [Duration::ZERO, whole_seconds(from / 2)].into_iter().filter(|at| *at < from);
        texts.extend(earlier.filter_map(|begin| {
            at(scenario, "fault", i, |fault| {
                set_window(fault, (begin, until - from + begin), hardship);
                Some(())
            })
        }));
    }
    for (i, change) in scenario.changes.iter().enumerate() {
        let earlier = [0, 60, change.at.as_secs() / 2].map(Duration::from_secs);
        texts.extend(earlier.into_iter().filter(|at| *at < change.at).filter_map(|begin| {
            at(scenario, "change", i, |change| {
                set(change, "at", text_of(begin));
                Some(())
            })
        }));
    }
    texts
}

/// Half of a fault's window: the first, the second, or that in the middle.
fn narrower_faults(scenario: &Scenario, _: &Signature) -> Vec<String> {
    let hardship = scenario.phase.hardship;
    let mut doc = document(scenario);
    let mut texts = Vec::new();
    for (i, fault) in tables(&mut doc, "fault").into_iter().flat_map(|faults| faults.iter()).enumerate() {
        let (from, until) = window(fault, hardship);
        let half = whole_seconds((until - from) / 2);
        if half < WINDOW_MIN {
            continue;
        }
        let middle = whole_seconds(from + half / 2);
        for begin in [from, from + half, middle] {
            let narrower = (begin, (begin + half).min(until));
            texts.extend(at(scenario, "fault", i, |fault| {
                set_window(fault, narrower, hardship);
                Some(())
            }));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_to_drop_go_from_all_to_single_ones() {
        assert!(drops(0).is_empty());
        assert_eq!(drops(1), [vec![0]]);
        assert_eq!(drops(3), [vec![0, 1, 2], vec![0, 1], vec![2], vec![0], vec![1], vec![2]]);
    }
}
