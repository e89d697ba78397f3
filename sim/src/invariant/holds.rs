//! Which anomalies of the lake should have been told by the alert topic, and which should not.
//!
//! Of a device and kind one alert is sent in a hold time. It begins with the arrival of the first anomaly that may be told;
//! the rest of its object is told with it. An object is what one batch found, so that the anomalies of the lake alone say
//! what was due.
//!
//! Messages wait for nobody: one that cannot be sent goes on with the next batch of its shard, and messages of a shard are
//! sent in their order. So one that is not there is lost when a later one of its shard is; and it is overdue when a
//! batch of its shard was at work since nothing goes wrong any more. Otherwise nobody can tell: perhaps no batch came. Then it
//! is counted as not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use record::ReadingId;

use super::Violation;
use super::alerts::{Heard, broken};
use super::anomalies::{Anomaly, SequenceNumber, Told};
use super::ledger::Example;
use crate::world::time::Time;

/// So long after its object an alert is overdue: the longest invocation that may still hang, and one more.
const OVERDUE_AFTER: Duration = Duration::from_secs(16 * 60);
/// A batch may leave messages to the next one when there are more of them than it has time for.
const MESSAGES_OF_A_BATCH: usize = 20;

/// What the alerts of a run are held against.
#[derive(Clone, Copy, Debug)]
pub struct Promised {
    /// How long a device and kind is held back. Nothing when that cannot be said of the whole run: then neither early nor
    /// absent alerts are judged.
    pub hold: Option<Duration>,
    /// Nothing goes wrong since.
    pub well_since: Time,
    /// Alerts that the platform says to have dropped.
    pub dropped: u64,
    /// The present.
    pub now: Time,
}

/// What the walk over the anomalies found.
#[derive(Debug, Default)]
pub struct Alerted {
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// Alerts that must come, and did not yet.
    pub owed: u64,
    /// Alerts that did not come, and perhaps cannot.
    pub not_judged: u64,
}

/// An alert that was due and is not there.
struct Unheard {
    object: usize,
    example: Example,
}

/// The first anomaly of a device and kind that may be told begins such a time.
struct Hold<'t> {
    kind: &'t str,
    from_ms: i64,
    /// Whether it was told.
    heard: bool,
}

#[derive(Default)]
struct Walk {
    early: Vec<Example>,
    unheard: Vec<Unheard>,
}

/// Compares what was heard with what was due.
pub fn compare(lake: &Told, heard: &Heard, promised: Promised) -> Alerted {
    let Some(hold_ms) = promised.hold.and_then(|hold| i64::try_from(hold.as_millis()).ok()) else {
        return Alerted::default();
    };
    let mut walk = Walk::default();
    for (tenant, device, readings) in lake.devices() {
        let rows = readings.iter().flat_map(|(seq, rows)| rows.iter().map(move |row| (*seq, row)));
        walk.device((tenant, device), &rows.collect::<Vec<_>>(), (lake, heard, hold_ms));
    }
    let mut alerted = Alerted::default();
    if !walk.early.is_empty() {
        alerted.violations.push(broken("alerts came within the hold time of the one before", &walk.early));
    }
    let (mut lost, mut overdue) = (Vec::new(), Vec::new());
    let shards = shards(lake, heard, &walk.unheard, promised.well_since);
    for Unheard { object, example } in walk.unheard {
        let of = &lake.objects()[object];
        let shard = &shards[&*of.shard];
        match shard.fate(of.sequence_number) {
            Fate::Overtaken => lost.push(example),
            Fate::Owed { since } => {
                alerted.owed += 1;
                if promised.now.since(since) >= OVERDUE_AFTER {
                    overdue.push(example);
                }
            }
            Fate::Unknown => alerted.not_judged += 1,
        }
    }
    alerted.owed += lost.len() as u64;
    if heard.more > 0 || alerted.owed <= promised.dropped {
        alerted.not_judged += alerted.owed;
        alerted.owed = 0;
        return alerted;
    }
    let found = [("alerts are lost: later ones of their shard were sent", lost), ("alerts were not sent", overdue)];
    alerted.violations.extend(found.iter().filter(|(_, of)| !of.is_empty()).map(|(what, of)| broken(what, of)));
    alerted
}

impl Walk {
    /// Takes the anomalies of a device in the order of its readings.
    fn device(
        &mut self,
        (tenant, device): (&str, &str),
        rows: &[(u64, &Anomaly)],
        (lake, heard, hold_ms): (&Told, &Heard, i64),
    ) {
        let mut left: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        rows.iter().for_each(|(_, row)| *left.entry((row.place.0, &row.kind)).or_default() += 1);
        let mut holds: Vec<Hold<'_>> = Vec::new();
        // Kinds that are told of the present object.
        let (mut present, mut told) = (None, BTreeSet::new());
        for (seq, row) in rows {
            let (object, kind, at_ms) = (row.place.0, row.kind.as_str(), row.received_ms);
            if present.replace(object) != Some(object) {
                told.clear();
            }
            let left = left.get_mut(&(object, kind)).expect("each row was counted");
            *left -= 1;
            if told.contains(kind) {
                continue;
            }
            let alert = heard.alert(&lake.objects()[object].listed.key, tenant, device, kind);
            let example = || {
                let id = ReadingId { tenant: tenant.to_owned(), device: device.to_owned(), seq: *seq };
                let text = format!("{kind} of {} of {id}", row.metric);
                (Some(id), text)
            };
            holds.retain(|hold| at_ms < hold.from_ms.saturating_add(hold_ms));
            let held = holds.iter().position(|hold| hold.kind == kind);
            match (held, alert) {
                (None, alert) => {
                    holds.push(Hold { kind, from_ms: at_ms, heard: alert.is_some() });
                    told.insert(kind);
                    if alert.is_none() {
                        self.unheard.push(Unheard { object, example: example() });
                    }
                }
                // It begins with this row, or it says more than there is.
                (Some(held), Some(alert)) if *left == 0 || *left + 1 == alert.anomalies => {
                    let before = std::mem::replace(&mut holds[held], Hold { kind, from_ms: at_ms, heard: true });
                    told.insert(kind);
                    if before.heard {
                        let (id, text) = example();
                        self.early.push((id, format!("{text}, {} ms after it", at_ms - before.from_ms)));
                    }
                }
                (Some(_), _) => {}
            }
        }
    }
}

/// What is known of the messages of a shard.
struct Shard {
    /// The highest sequence number of an object that some message is about.
    heard_up_to: Option<SequenceNumber>,
    /// Objects that were written since nothing goes wrong: sequence number, when it was written, and whether a batch had
    /// time for all messages since.
    well: Vec<(SequenceNumber, Time, bool)>,
}

enum Fate {
    /// A later message of its shard was sent.
    Overtaken,
    /// A batch that had time for it has been at work since.
    Owed {
        since: Time,
    },
    Unknown,
}

fn shards<'t>(lake: &'t Told, heard: &Heard, unheard: &[Unheard], well_since: Time) -> BTreeMap<&'t str, Shard> {
    let by_key: BTreeMap<&str, usize> =
        lake.objects().iter().enumerate().map(|(n, object)| (&*object.listed.key, n)).collect();
    let mut publishes: BTreeMap<&str, Vec<(SequenceNumber, Time)>> = BTreeMap::new();
    for (key, at) in heard.publishes() {
        if let Some(object) = by_key.get(key).map(|n| &lake.objects()[*n]) {
            publishes.entry(&object.shard).or_default().push((object.sequence_number, at));
        }
    }
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    unheard.iter().for_each(|unheard| *open.entry(&lake.objects()[unheard.object].shard).or_default() += 1);
    let mut shards: BTreeMap<&str, Shard> = BTreeMap::new();
    for object in lake.objects() {
        let of_shard = publishes.get(&*object.shard).map_or(&[][..], Vec::as_slice);
        let shard = shards.entry(&object.shard).or_insert_with(|| Shard {
            heard_up_to: of_shard.iter().map(|(number, _)| *number).max(),
            well: Vec::new(),
        });
        // S3 tells whole seconds, rounded down.
        let written = object.listed.last_modified;
        if written > well_since {
            let since = of_shard.iter().filter(|(_, at)| *at >= written).count();
            let has_time = since + open.get(&*object.shard).copied().unwrap_or(0) <= MESSAGES_OF_A_BATCH;
            shard.well.push((object.sequence_number, written, has_time));
        }
    }
    shards
}

impl Shard {
    /// What became of a message about the object with this number.
    fn fate(&self, number: SequenceNumber) -> Fate {
        if self.heard_up_to.is_some_and(|heard| heard > number) {
            return Fate::Overtaken;
        }
        let since = self.well.iter().filter(|(of, _, has_time)| *of >= number && *has_time).map(|(_, at, _)| *at).min();
        since.map_or(Fate::Unknown, |since| Fate::Owed { since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::alerts::tests::{START, body, publish};
    use crate::invariant::anomalies::tests::lake;

    const PROMISED: Promised =
        Promised { hold: Some(Duration::from_secs(15)), well_since: Time::MAX, dropped: 0, now: Time::MAX };

    /// Objects are written in the second of their number, readings arrive in that of theirs. Object 2 is held back.
    fn anomalies() -> Told {
        lake(&[(1, &[("pump-1", 40), ("pump-1", 41)]), (2, &[("pump-1", 50)]), (3, &[("pump-1", 56), ("pump-2", 7)])])
    }

    fn heard(alerts: &[(&str, u64, u64)]) -> Heard {
        let mut heard = Heard::default();
        for (n, (device, seq, object)) in alerts.iter().enumerate() {
            let mut body = body(device, *seq, *object, if *seq == 40 { 2 } else { 1 });
            body["id"] = format!("shard-{object}-{device}").into();
            publish(&mut heard, &body, n as u64);
        }
        heard
    }

    /// (messages of violations, owed, not judged).
    fn compared(alerts: &[(&str, u64, u64)], promised: Promised) -> (Vec<String>, u64, u64) {
        let alerted = compare(&anomalies(), &heard(alerts), promised);
        let messages = alerted.violations.into_iter().map(|violation| violation.message);
        (messages.collect(), alerted.owed, alerted.not_judged)
    }

    #[test]
    fn the_first_anomaly_of_a_hold_time_is_told_with_the_rest_of_its_object() {
        let due = [("pump-1", 40, 1), ("pump-1", 56, 3), ("pump-2", 7, 3)];
        assert_eq!(compared(&due, PROMISED), (Vec::new(), 0, 0));
        let worst = [("pump-1", 41, 1), ("pump-2", 7, 3), ("pump-1", 56, 3), ("pump-1", 41, 1)];
        assert_eq!(compared(&worst, PROMISED), (Vec::new(), 0, 0), "in any order, and twice");
        let unhurried = Promised { hold: Some(Duration::ZERO), ..PROMISED };
        assert_eq!(compared(&due, unhurried), (vec![lost(1, "pump-1 seq 50")], 1, 0), "nothing is held back");
    }

    fn lost(count: u64, which: &str) -> String {
        format!("{count} alerts are lost: later ones of their shard were sent: spike of temp of acme/{which}")
    }

    #[test]
    fn an_alert_within_the_hold_time_of_the_one_before_is_early() {
        let all = [("pump-1", 40, 1), ("pump-1", 50, 2), ("pump-1", 56, 3), ("pump-2", 7, 3)];
        let text = "alerts came within the hold time of the one before: spike of temp of acme/pump-1 seq";
        let both = format!("2 {text} 50, 10000 ms after it, spike of temp of acme/pump-1 seq 56, 6000 ms after it");
        assert_eq!(compared(&all, PROMISED), (vec![both], 0, 0));
        // Nobody was told before the second one: it is in place of the first, and holds the third back.
        let instead = [("pump-1", 50, 2), ("pump-2", 7, 3)];
        assert_eq!(compared(&instead, PROMISED), (vec![lost(1, "pump-1 seq 40")], 1, 0));
        assert_eq!(compared(&all, Promised { hold: None, ..PROMISED }), (Vec::new(), 0, 0), "where that is not known");
    }

    #[test]
    fn an_alert_that_is_absent_is_lost_when_a_later_one_of_its_shard_was_sent() {
        let last = [("pump-1", 56, 3), ("pump-2", 7, 3)];
        assert_eq!(compared(&last, PROMISED), (vec![lost(1, "pump-1 seq 40")], 1, 0));
        assert_eq!(compared(&last, Promised { dropped: 1, ..PROMISED }), (Vec::new(), 0, 1), "it may be that one");
    }

    #[test]
    fn an_alert_that_is_absent_is_owed_when_a_batch_was_at_work_since_all_is_well() {
        let first = [("pump-1", 40, 1)];
        assert_eq!(compared(&first, PROMISED), (Vec::new(), 0, 2), "perhaps no batch came");
        let at = |second| START + Duration::from_secs(second);
        let well = |from, now| Promised { well_since: at(from), now: at(now), ..PROMISED };
        assert_eq!(compared(&first, well(3, 9_999)), (Vec::new(), 0, 2), "its own batch was before that");
        assert_eq!(compared(&first, well(2, 900)), (Vec::new(), 2, 0), "it may still come");
        let text = "2 alerts were not sent: spike of temp of acme/pump-1 seq 56, spike of temp of acme/pump-2 seq 7";
        assert_eq!(compared(&first, well(2, 9_999)), (vec![text.to_owned()], 2, 0));
        assert_eq!(compared(&[], well(2, 900)), (Vec::new(), 3, 0), "a later batch sends earlier ones, too");
        let many: Vec<(&str, u64, u64)> = (0..24).map(|_| ("pump-1", 40, 1)).collect();
        assert_eq!(compared(&many, well(2, 9_999)), (Vec::new(), 0, 2), "it may have had no time for all");
    }
}
