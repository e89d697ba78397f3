//! Which faults struck a reading, and which were merely there.

use std::collections::BTreeMap;
use std::time::Duration;

use record::ReadingId;
use serde::Serialize;

use crate::fault::{FaultSpec, Faults, Key, Strikes};
use crate::fleet;
use crate::scenario::{Scenario, duration};
use crate::world::seed::Seed;
use crate::world::spotlight::{Hop, Seen, Sightings, Stage};
use crate::world::time::Time;
use crate::world::trace::Trace;

/// A fault and what it has to do with the reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Touch {
    /// Name of the fault.
    pub fault: String,
    /// Its kind.
    pub kind: String,
    /// Whether it struck the reading, or something that carried it; otherwise it was only there at the time.
    pub struck: bool,
    /// When it first did, in simulated seconds since the start of the run.
    pub after_s: f64,
    /// How often.
    pub times: u64,
    /// How, in words.
    pub text: String,
}

/// From when to when something carried the reading.
struct Carried<'a> {
    from: Time,
    until: Time,
    what: What<'a>,
}

enum What<'a> {
    /// A call of a function: the function's handler, and `service:Operation`.
    Call(&'a str, &'a str),
    /// An invocation of the function with this name.
    Invocation(&'a str),
}

/// All faults that have to do with a reading: those that struck it first.
pub(super) fn of(scenario: &Scenario, seed: u64, reading: &ReadingId, seen: &Sightings) -> Vec<Touch> {
    let Some(first) = seen.hops.first().map(|hop| hop.time) else { return Vec::new() };
    let end = seen.hops.iter().filter(|hop| hop.stage != Stage::Table).map(|hop| hop.time).max().unwrap_or(first);
    let carried = carriers(&seen.hops, end);
    let mut touches: BTreeMap<(bool, String, String), Touch> = BTreeMap::new();
    for stroke in &seen.strokes {
        let lasts_until = lasts_until(scenario, stroke);
        if stroke.time > end || lasts_until < first {
            continue;
        }
        let how = how_struck(stroke, reading, seen, &carried);
        let text = how.clone().unwrap_or_else(|| match lasts_until == stroke.time {
            true => "struck elsewhere at the time".to_owned(),
            false => format!("acted for {}", duration::format(lasts_until.since(stroke.time))),
        });
        let key = (how.is_none(), stroke.field("fault").to_owned(), text.clone());
        let touch = touches.entry(key).or_insert_with(|| Touch {
            fault: stroke.field("fault").to_owned(),
            kind: stroke.kind.to_owned(),
            struck: how.is_some(),
            after_s: stroke.time.since(scenario.start).as_secs_f64(),
            times: 0,
            text,
        });
        touch.times += 1;
    }
    let mut all: Vec<Touch> = held(scenario, seed, reading, &seen.hops, (first, end));
    all.extend(touches.into_values());
    all.sort_by(|a, b| b.struck.cmp(&a.struck).then(a.after_s.total_cmp(&b.after_s)));
    all
}

/// Until when what a stroke did lasts, for kinds that last; that of others is over at once.
fn lasts_until(scenario: &Scenario, stroke: &Seen) -> Time {
    let spec = scenario.faults.iter().find(|spec| spec.name == stroke.field("fault"));
    let Some(spec) = spec.filter(|spec| spec.kind.has(Key::Lasting)) else { return stroke.time };
    let window = scenario.start + spec.until;
    spec.lasting.map_or(window, |lasting| window.min(stroke.time + lasting)).max(stroke.time)
}

/// Calls and invocations that carried the reading. What never ended lasts until the trail ends.
fn carriers(hops: &[Hop], end: Time) -> Vec<Carried<'_>> {
    let mut carried = Vec::new();
    for (i, hop) in hops.iter().enumerate() {
        let ended =
            |is_end: &dyn Fn(&Hop) -> bool| hops[i..].iter().find(|later| is_end(later)).map_or(end, |h| h.time);
        if let Some(call) = hop.text.strip_prefix("calls ").and_then(|rest| rest.strip_suffix(" with it")) {
            let until = ended(&|later| {
                later.stage == Stage::Call && later.text.contains(call) && !later.text.starts_with("calls")
            });
            carried.push(Carried { from: hop.time, until, what: What::Call(&hop.subject, call) });
        } else if let Some((_, request)) =
            hop.text.split_once("request ").filter(|_| hop.text.starts_with("is invoked"))
        {
            let until = ended(&|later| later.text.contains(request) && !later.text.starts_with("is invoked"));
            carried.push(Carried { from: hop.time, until, what: What::Invocation(&hop.subject) });
        }
    }
    carried
}

/// How a stroke struck the reading; nothing when it struck something else.
fn how_struck(stroke: &Seen, reading: &ReadingId, seen: &Sightings, carried: &[Carried<'_>]) -> Option<String> {
    if stroke.subject == reading.device {
        return Some("struck its device".to_owned());
    }
    let named = |request: &&String| stroke.subject == **request || stroke.fields.iter().any(|(_, v)| v == *request);
    if let Some(request) = seen.requests.iter().find(named) {
        return Some(format!("struck the invocation {request} that had it"));
    }
    let (service, operation, function) = (stroke.field("service"), stroke.field("operation"), stroke.field("function"));
    let at_the_time = carried.iter().filter(|c| (c.from..=c.until).contains(&stroke.time));
    at_the_time.into_iter().find_map(|carrier| match carrier.what {
        What::Call(caller, call) if function == caller && call.split_once(':') == Some((service, operation)) => {
            Some(format!("struck the call {call} of {caller} that carried it"))
        }
        What::Invocation(name) if service.is_empty() && !function.is_empty() && name.ends_with(function) => {
            Some(format!("struck {name} while it had it"))
        }
        _ => None,
    })
}

/// Faults that hold all the time: on the reading's device while it waited there, and on everything.
fn held(scenario: &Scenario, seed: u64, reading: &ReadingId, hops: &[Hop], (first, end): (Time, Time)) -> Vec<Touch> {
    let faults = Faults::new(&scenario.faults, Seed::root(seed), scenario.start, Trace::new());
    let plan = fleet::plan(&scenario.fleets, Seed::root(seed)).unwrap_or_default();
    let device = plan.iter().position(|device| device.id == reading.device);
    let acknowledged = hops.iter().find(|hop| hop.stage == Stage::Device && hop.text.contains("PUBACK"));
    let waited = acknowledged.map_or(end, |hop| hop.time);
    let continuous = scenario.faults.iter().filter(|spec| spec.kind.contract().strikes == Strikes::Continuously);
    let touch = |spec: &FaultSpec| {
        let of_devices = spec.kind.has(Key::Fleet);
        let until = if of_devices { waited } else { end };
        let (from, to) = (scenario.start + spec.from, scenario.start + spec.until);
        if from > until || to <= first {
            return None;
        }
        let held = match device {
            Some(index) if of_devices => {
                let in_fleet = spec.target.fleet.as_deref().is_none_or(|fleet| fleet == &*plan[index].fleet);
                in_fleet && faults.takes_in(spec, index as u64)
            }
            _ => !of_devices,
        };
        let window = |length: Duration| duration::format(length);
        let text = match of_devices {
            true => format!(
                "held on its device from {} to {}, while it waited there",
                window(spec.from),
                window(spec.until)
            ),
            false => format!("held from {} to {}, while it was on its way", window(spec.from), window(spec.until)),
        };
        held.then(|| Touch {
            fault: spec.name.clone(),
            kind: spec.kind.id().to_owned(),
            struck: of_devices,
            after_s: spec.from.as_secs_f64(),
            times: 1,
            text,
        })
    };
    continuous.filter_map(touch).collect()
}
