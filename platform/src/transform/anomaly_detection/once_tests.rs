//! Exactly once in effect: the function on the real SDK, under batches that are cut anew, crashes at any call, environments
//! that go on late, answers that are lost, outages of SNS, too little time for all alerts, reshards, and readings that are in
//! the stream twice.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::AnomalyDetection;
use super::parents::hash_key;
use super::state;
use super::tests::{Account, readings, shard};
use crate::function::{Function as _, FunctionError};
use crate::testing::{self, Fault, SHARD};

/// Readings of each device.
const LENGTH: usize = 130;
/// Devices with the places of their outliers. MD5 puts the first two into the lower half of the hash keys.
const DEVICES: [(&str, &[usize]); 4] =
    [("a", &[50, 53, 80, 129]), ("c", &[45, 90]), ("b", &[60, 70, 100, 103, 106]), ("d", &[70, 119])];
/// The shards: one, its halves, and these merged again.
const SHARDS: [&str; 4] = [SHARD, "shardId-000000000004", "shardId-000000000005", "shardId-000000000006"];
const HALF: u128 = u128::MAX / 2;

/// What is in a shard, in its order.
type Records = Vec<String>;

/// What happens to one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Ends,
    /// It ends, and nobody hears of it.
    Unheard,
    /// It ends for good before a call.
    CrashBefore,
    /// It ends for good after a call had its effect.
    CrashAfter,
    /// It stops before a call, is taken for dead, and goes on later.
    Zombie,
    /// A call fails once.
    Unwell,
    /// A call fails for good.
    Refused,
    /// One that was taken for dead goes on before this one begins.
    Resurrection,
    /// It ends; SNS fails in it and in some that follow it.
    Outage,
    /// It ends; SNS is so slow that one message fits.
    Short,
}

/// Invocations of an outage.
const OUTAGE: usize = 4;
/// Time of an invocation in which one message fits that takes [`SLOW`].
const SHORT: Duration = Duration::from_secs(20);
const SLOW: Duration = Duration::from_secs(16);
/// Time of every other invocation.
const LONG: Duration = Duration::from_secs(900);

/// (records of the batch, what happens, at which call, the execution environment).
type Step = (usize, Fate, usize, usize);

fn step() -> impl Strategy<Value = Step> {
    use Fate::{CrashAfter, CrashBefore, Ends, Outage, Refused, Resurrection, Short, Unheard, Unwell, Zombie};
    let mut fates = vec![Ends, Ends, Ends, Unheard, CrashBefore, CrashAfter, Zombie, Zombie, Unwell, Refused];
    fates.extend([Resurrection, Outage, Short, Short]);
    (1..70_usize, proptest::sample::select(fates), 0..7_usize, 0..3_usize)
}

/// Sequence number of a record. Kinesis numbers the records of a child from above those of its parents; nothing relies on it.
fn first(shard: usize, position: usize) -> usize {
    100_000 * (SHARDS.len() - shard) + position
}

type Invocation = Pin<Box<dyn Future<Output = Result<Vec<u8>, FunctionError>>>>;

struct World {
    account: Account,
    environments: [Arc<AnomalyDetection>; 3],
    zombies: Vec<Invocation>,
    /// Invocations for which SNS still fails.
    outage: usize,
}

impl World {
    fn new() -> Self {
        let account = Account::default();
        let (lower, upper) = (0..=HALF, HALF + 1..=u128::MAX);
        let mut merged = shard(SHARDS[3], Some(SHARDS[1]), 0..=u128::MAX);
        merged["AdjacentParentShardId"] = SHARDS[2].into();
        account.state().shards = vec![
            shard(SHARDS[0], None, 0..=u128::MAX),
            shard(SHARDS[1], Some(SHARDS[0]), lower),
            shard(SHARDS[2], Some(SHARDS[0]), upper),
            merged,
        ];
        let environments = std::array::from_fn(|_| Arc::new(account.function()));
        World { account, environments, zombies: Vec::new(), outage: 0 }
    }

    /// Has a batch worked on. Answers whether the event source hears that it is done.
    fn invoke(&mut self, shard: usize, first: usize, batch: &[String], (_, fate, at, environment): Step) -> bool {
        self.account.fail_calls(|_| None);
        if fate == Fate::Resurrection && !self.zombies.is_empty() {
            drop(self.account.run(self.zombies.remove(0)));
        }
        let (strikes, stops) = match fate {
            Fate::CrashBefore | Fate::Zombie => (Some(Fault::Silence), true),
            Fate::CrashAfter => (Some(Fault::LostAnswer), true),
            Fate::Unwell => (Some(Fault::Answer(503, "SlowDown")), false),
            Fate::Refused => (Some(Fault::Answer(403, "AccessDenied")), false),
            Fate::Ends | Fate::Unheard | Fate::Resurrection | Fate::Outage | Fate::Short => (None, false),
        };
        self.outage = if fate == Fate::Outage { OUTAGE } else { self.outage.saturating_sub(1) };
        let (outage, short) = (self.outage > 0, fate == Fate::Short);
        let struck = Arc::new(AtomicBool::new(false));
        let (mut calls, here) = (0, Arc::clone(&struck));
        self.account.fail_calls(move |call| {
            calls += 1;
            match call {
                "Publish" if outage => return Some(Fault::Answer(503, "ServiceUnavailable")),
                "Publish" if short => return Some(Fault::Slow(SLOW)),
                _ => {}
            }
            let strike = strikes.filter(|_| calls == at + 1);
            here.fetch_or(strike.is_some(), Ordering::Relaxed);
            strike
        });
        let event = String::from_utf8(testing::batch(first, batch)).expect("JSON").replace(SHARD, SHARDS[shard]);
        let (function, context) =
            (Arc::clone(&self.environments[environment]), self.account.context(if short { SHORT } else { LONG }));
        let mut invocation: Invocation = Box::pin(async move { function.invoke(event.as_bytes(), &context).await });
        match self.account.run_until(invocation.as_mut(), || stops && struck.load(Ordering::Relaxed)) {
            Some(answer) => {
                answer.expect("no state is damaged") == br#"{"batchItemFailures":[]}"# && fate != Fate::Unheard
            }
            None => {
                if fate == Fate::Zombie {
                    self.zombies.push(invocation);
                }
                false
            }
        }
    }

    /// Reads a shard to its end.
    fn read(&mut self, shard: usize, records: &[String], steps: &mut impl Iterator<Item = Step>) {
        let mut position = 0;
        while position < records.len() {
            let step = steps.next().unwrap_or((40, Fate::Ends, 0, 0));
            let batch = &records[position..(position + step.0).min(records.len())];
            if self.invoke(shard, first(shard, position), batch, step) {
                position += batch.len();
            }
        }
    }

    /// Reads all shards, parents before children; in the end everything that was taken for dead goes on.
    fn run(stream: &[Records; 4], steps: Vec<Step>) -> Self {
        let (mut world, mut steps) = (World::new(), steps.into_iter());
        stream.iter().enumerate().for_each(|(shard, records)| world.read(shard, records, &mut steps));
        world.account.fail_calls(|_| None);
        for zombie in std::mem::take(&mut world.zombies) {
            drop(world.account.run(zombie));
        }
        // What could not be sent yet is sent when a batch comes once more.
        world.outage = 0;
        for (shard, records) in stream.iter().enumerate().filter(|(_, records)| !records.is_empty()) {
            let first = first(shard, records.len() - 1);
            assert!(world.invoke(shard, first, &records[records.len() - 1..], (1, Fate::Ends, 0, 0)));
        }
        world
    }

    /// How often each anomaly is in the lake.
    fn lake(&self) -> BTreeMap<String, usize> {
        let mut lake = BTreeMap::new();
        for (_, row) in self.account.anomalies() {
            let id =
                ["tenant_id", "device_id", "metric", "seq", "kind"].map(|column| row[column].to_string()).join(" ");
            *lake.entry(id).or_default() += 1;
        }
        lake
    }

    /// How many alerts there are of each device and kind, without those that came again.
    fn alerts(&self) -> BTreeMap<String, usize> {
        let state = self.account.state();
        let mut told = BTreeSet::new();
        for (message, _) in &state.alerts {
            for alert in message["alerts"].as_array().expect("a list") {
                let what = ["device_id", "kind"].map(|member| alert[member].to_string()).join(" ");
                told.insert((message["id"].to_string(), what));
            }
        }
        let mut alerts = BTreeMap::new();
        told.into_iter().for_each(|(_, what)| *alerts.entry(what).or_default() += 1);
        alerts
    }

    /// The states, without what depends on how batches were cut: what the last one told, and when shadows were looked for.
    fn states(&self) -> Vec<Option<state::Shard>> {
        let state = self.account.state();
        let read = |id: &&str| {
            let bytes = state.object(&format!("state/{id}.bin"))?;
            let shard = state::Shard::from_bytes(bytes).expect("a state is whole");
            Some(state::Shard { asked: Default::default(), outbox: Default::default(), ..shard })
        };
        SHARDS.iter().map(read).collect()
    }
}

/// The stream: the readings of all devices in turn, split at one place and merged at a later one, with readings that come
/// once more, so many places later, as records of their own.
fn stream(split: usize, merged: usize, twice: &[(usize, usize)]) -> [Records; 4] {
    let mut of_devices: Vec<_> =
        DEVICES.iter().map(|(device, outliers)| (*device, readings(device, 0..LENGTH, outliers).into_iter())).collect();
    let mut all = Vec::new();
    for _ in 0..LENGTH {
        for (device, readings) in &mut of_devices {
            all.push((*device, timely(&readings.next().expect("there are as many"))));
        }
    }
    let once = all.clone();
    let mut again: Vec<(usize, usize)> =
        twice.iter().map(|(of, later)| ((of % once.len() + later).min(once.len()), of % once.len())).collect();
    again.sort_unstable();
    for (at, of) in again.into_iter().rev() {
        all.insert(at.max(of + 1).min(all.len()), once[of].clone());
    }
    let mut stream = [const { Records::new() }; 4];
    for (place, (device, reading)) in all.into_iter().enumerate() {
        let shard = match place {
            place if place < split => 0,
            place if place < merged => 1 + usize::from(hash_key(device) > HALF),
            _ => 3,
        };
        stream[shard].push(reading);
    }
    stream
}

/// A reading that was taken when it arrived. Each device is of another tenant, so that a batch may have several messages.
fn timely(reading: &str) -> String {
    let mut reading: Value = serde_json::from_str(reading).expect("a reading is JSON");
    reading["tenant_id"] = format!("of-{}", reading["device_id"].as_str().expect("a text")).into();
    reading["ts"] = reading["received_at"].clone();
    reading.to_string()
}

/// Device and number of an anomaly's reading.
fn of(row: &Value) -> (String, u64) {
    (row["device_id"].as_str().expect("a text").to_owned(), row["seq"].as_u64().expect("a number"))
}

#[test]
fn a_shard_goes_on_where_its_parents_or_theirs_ended() {
    let whole = World::run(&stream(usize::MAX, usize::MAX, &[]), Vec::new());
    let told: BTreeSet<(String, u64)> = whole.account.anomalies().iter().map(|(_, row)| of(row)).collect();
    let outliers = DEVICES.iter().flat_map(|(device, places)| places.iter().map(|n| ((*device).to_owned(), *n as u64)));
    assert!(outliers.into_iter().all(|outlier| told.contains(&outlier)), "{told:?}");
    // In the second case the halves never had a batch: their child goes on with what their parent had.
    for (split, merged) in [(200, 400), (300, 300), (0, 100), (200, usize::MAX)] {
        let world = World::run(&stream(split, merged, &[]), Vec::new());
        assert_eq!((world.lake(), world.alerts()), (whole.lake(), whole.alerts()), "{split} {merged}");
        let seen: Vec<bool> = world.states().iter().map(Option::is_some).collect();
        assert_eq!(seen, [split > 0, merged > split, merged > split, merged < 1000], "{split} {merged}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_end_is_that_of_a_run_without_failures(
        steps in proptest::collection::vec(step(), 0..90),
        split in 0..300_usize,
        lasting in 0..200_usize,
        twice in proptest::collection::vec((0..600_usize, 0..150_usize), 0..12),
    ) {
        let stream = stream(split, split + lasting, &twice);
        let (world, quiet) = (World::run(&stream, steps), World::run(&stream, Vec::new()));
        prop_assert!(world.lake().values().all(|count| *count == 1), "{:?}", world.lake());
        prop_assert_eq!(world.lake(), quiet.lake());
        prop_assert_eq!(world.states(), quiet.states());
        prop_assert_eq!(world.alerts(), quiet.alerts());
    }
}

/// An operator has a child begin anew whose state cannot be read: what its parent left, a long time ago, is not taken over
/// once more.
#[test]
fn a_child_that_begins_anew_has_no_wave_of_dropouts_and_repeats_no_alert_of_its_parent() {
    let mut world = World::new();
    // SNS fails, so that the parent leaves a message to its child.
    let outage = (100, Fate::Outage, 0, 0);
    let parent: Vec<String> = readings("a", 0..100, &[90]).iter().map(|reading| timely(reading)).collect();
    assert!(world.invoke(0, first(0, 0), &parent, outage));
    world.outage = 0;
    let of_child = |range| -> Vec<String> { readings("a", range, &[]).iter().map(|reading| timely(reading)).collect() };
    assert!(world.invoke(1, first(1, 0), &of_child(100..120), (20, Fate::Ends, 0, 0)));
    let told = |world: &World| (world.account.anomalies().len(), world.account.state().alerts.len());
    assert_eq!(told(&world), (1, 1), "the child has sent it");
    // Much later; the readings in between were judged as well.
    let key = format!("state/{}.bin", SHARDS[1]);
    assert!(world.invoke(1, first(1, 20), &of_child(120..3000), (2880, Fate::Ends, 0, 0)));
    world.account.state().objects.insert(key.clone(), (Vec::new(), 7_000));
    assert!(world.invoke(1, first(1, 2900), &of_child(3000..3050), (50, Fate::Ends, 0, 1)));
    assert_eq!(told(&world), (1, 1), "{:?}", world.account.anomalies());
    let states = world.states();
    let child = states[1].as_ref().expect("it has a state");
    assert_eq!(child.devices.len(), 1);
}

/// The identities of messages are those of committed states: no two have the same.
#[test]
fn no_two_messages_have_the_same_identity() {
    let world = World::run(&stream(200, 400, &[]), Vec::new());
    let state = world.account.state();
    let ids: BTreeSet<String> = state.alerts.iter().map(|(message, _)| message["id"].to_string()).collect();
    assert_eq!(ids.len(), state.alerts.len());
}
