//! All lanes of a delivery stream, and which of them has something to do when: a record that comes looks at its own lane
//! only, however many partitions are active.

use std::collections::{BTreeMap, BTreeSet};

use super::buffer::Entry;
use super::config::{Config, Sink};
use super::delivery::GivenUp;
use super::lane::{Lane, LaneKey};
use world::time::Time;

/// The lanes.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<LaneKey, Queued>,
    /// When each lane has something to do.
    due: BTreeSet<(Time, LaneKey)>,
    /// Partitions that are active.
    partitions: u64,
    /// Bytes of memory that what waits takes.
    held: usize,
}

/// A lane, and when it stands in the queue.
#[derive(Default)]
struct Queued {
    lane: Lane,
    due: Option<Time>,
}

fn is_partition(key: &LaneKey) -> bool {
    matches!(key, LaneKey::Data(partition) if !partition.is_none())
}

/// Bytes that a delimiter adds to each record of a lane.
fn delimiter(key: &LaneKey, config: &Config) -> usize {
    if matches!(key, LaneKey::Data(_)) { config.delimiter.len() } else { 0 }
}

impl Lanes {
    /// Partitions that are active.
    pub fn partitions(&self) -> u64 {
        self.partitions
    }

    /// Whether a record of this lane would make another partition active.
    pub fn would_activate(&self, key: &LaneKey) -> bool {
        is_partition(key) && !self.lanes.contains_key(key)
    }

    /// Bytes of memory that what waits takes.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lanes.values().map(|it| it.lane.bytes()).sum()
    }

    /// Records that wait, in buffers and on their way.
    pub fn records(&self) -> (u64, u64) {
        let lanes = || self.lanes.values().map(|it| &it.lane);
        (lanes().map(Lane::buffered).sum(), lanes().map(|lane| lane.outbox.records()).sum())
    }

    /// When the first lane has something to do.
    pub fn due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Buffers a record in a lane; a full buffer goes on its way.
    pub fn push(&mut self, key: &LaneKey, entry: Entry, config: &Config, now: Time) {
        let known = self.lanes.contains_key(key);
        if !known {
            self.partitions += u64::from(is_partition(key));
            self.lanes.insert(key.clone(), Queued::default());
        }
        let Some(Queued { lane, due }) = self.lanes.get_mut(key) else { unreachable!("it was just added") };
        let (sink, delimiter) = (key.sink(config), delimiter(key, config));
        self.held += entry.data.len() + delimiter;
        lane.push(entry, delimiter, sink.size_bytes, now);
        queue(&mut self.due, key, due, lane.due(sink));
    }

    /// Lets each lane that has something to do go on, by the order of their keys: so the ids that they draw do not depend
    /// on which of them was due first. A partition without records is active no more.
    pub fn deliver(
        &mut self,
        config: &Config,
        now: Time,
        mut drive: impl FnMut(&LaneKey, &Sink, &mut Lane) -> GivenUp,
    ) -> GivenUp {
        let mut keys = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            keys.extend(self.due.pop_first().map(|(_, key)| key));
        }
        keys.sort_unstable();
        let mut given_up = Vec::new();
        for key in keys {
            let Some(Queued { lane, due }) = self.lanes.get_mut(&key) else { continue };
            let sink = key.sink(config);
            let held = lane.held();
            *due = None;
            lane.flush_due(sink, now);
            if !lane.outbox.is_empty() {
                given_up.extend(drive(&key, sink, lane));
            }
            self.held = self.held - held + lane.held();
            queue(&mut self.due, &key, due, lane.due(sink));
            if config.partitioning.is_some() && lane.is_empty() {
                self.lanes.remove(&key);
                self.partitions -= u64::from(is_partition(&key));
            }
        }
        given_up
    }

    /// Looks at each lane again, by another configuration.
    pub fn reconfigured(&mut self, config: &Config) {
        for (key, Queued { lane, due }) in &mut self.lanes {
            queue(&mut self.due, key, due, lane.due(key.sink(config)));
        }
    }

    /// Compares what is kept with what the lanes say.
    #[cfg(test)]
    pub fn check(&self, config: &Config) {
        let due = self.lanes.iter().filter_map(|(key, it)| Some((it.lane.due(key.sink(config))?, key.clone())));
        assert_eq!(self.due, due.collect(), "the queue of lanes");
        let queued = self.lanes.iter().filter_map(|(key, it)| Some((it.due?, key.clone())));
        assert_eq!(self.due, queued.collect(), "what the lanes know of it");
        assert_eq!(self.held, self.lanes.values().map(|it| it.lane.held()).sum::<usize>(), "bytes of memory");
        let partitions = self.lanes.keys().filter(|key| is_partition(key)).count() as u64;
        assert_eq!(self.partitions, partitions, "active partitions");
    }
}

/// Queues a lane for another instant.
fn queue(queue: &mut BTreeSet<(Time, LaneKey)>, key: &LaneKey, queued: &mut Option<Time>, due: Option<Time>) {
    if *queued == due {
        return;
    }
    if let Some(at) = queued.take() {
        queue.remove(&(at, key.clone()));
    }
    queue.extend(due.map(|at| (at, key.clone())));
    *queued = due;
}
