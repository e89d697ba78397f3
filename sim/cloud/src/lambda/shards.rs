//! Reading the shards of mappings: which are read, and what a poller does when it is woken.

use std::time::Duration;

use super::mapping::{Mapping, Shard, State};
use super::poller::{POLL_INTERVAL, Poller};
use super::wakeup::Wakeup;
use super::{Lambda, Ports};
use crate::core::ports::{ShardInfo, StartingPosition, Streams};
use crate::core::{Cx, Service};
use crate::waiting::{ShardIds, Unread};
use world::mark;
use world::trace::Level;

/// How often a poller that is to stand still asks whether it still is.
const ASK_AGAIN: Duration = Duration::from_secs(60);

impl Lambda {
    /// Records that mappings have still to see done, by mapping.
    pub(crate) fn waiting(&self, unread: Unread<'_>, shards: ShardIds<'_>) -> Vec<(String, u64)> {
        let of_mapping = |(index, mapping): (usize, &Mapping)| {
            let mut records = 0;
            for shard in shards(&mapping.stream) {
                let poller = self.pollers.iter().find(|poller| poller.mapping == index && poller.shard_id == shard);
                records += match poller {
                    Some(poller) => poller.waiting_in_all(|from| unread(&mapping.stream, &shard, from)),
                    None if matches!(mapping.shards.get(&shard), Some(Shard::Finished)) => 0,
                    None => unread(&mapping.stream, &shard, None),
                };
            }
            (format!("stream {}, for function {}", mapping.stream, mapping.function), records)
        };
        let shown = self.mappings.iter().enumerate().filter(|(_, mapping)| mapping.state != State::Deleted);
        shown.map(of_mapping).collect()
    }

    /// An enabled mapping begins with the shards that the stream has now.
    pub(super) fn begin_reading(&mut self, cx: &mut Cx<'_>, index: usize, shards: &[ShardInfo]) {
        let mapping = &mut self.mappings[index];
        if mapping.start == StartingPosition::Latest {
            // A closed shard has nothing behind its newest record.
            let closed = shards.iter().filter(|shard| shard.closed).map(|shard| (shard.id.clone(), Shard::Finished));
            mapping.shards.extend(closed);
        }
        let start = mapping.start;
        self.read_new_shards(cx, index, shards, start);
    }

    /// Begins to read the shards that are new and whose parents are finished or no longer kept.
    fn read_new_shards(&mut self, cx: &mut Cx<'_>, mapping: usize, shards: &[ShardInfo], start: StartingPosition) {
        let known = &mut self.mappings[mapping].shards;
        for shard in shards {
            let waits = shard.parents.iter().any(|parent| match known.get(parent) {
                Some(state) => *state == Shard::Reading,
                None => shards.iter().any(|listed| listed.id == *parent),
            });
            if known.contains_key(&shard.id) || waits {
                continue;
            }
            known.insert(shard.id.clone(), Shard::Reading);
            let index = self.pollers.len();
            let first_poll = cx.now + POLL_INTERVAL;
            let mut poller = Poller::new(mapping, shard.id.clone(), start, first_poll);
            poller.asked = first_poll;
            self.pollers.push(poller);
            cx.timers.at(first_poll, Service::Lambda, Wakeup::Poller(index).token());
        }
    }

    /// Wakes every poller of a mapping, to do what it can do now.
    pub(super) fn wake_pollers(&mut self, cx: &mut Cx<'_>, mapping: usize) {
        for (index, poller) in self.pollers.iter_mut().enumerate().filter(|(_, poller)| poller.mapping == mapping) {
            poller.asked = cx.now;
            cx.timers.at(cx.now, Service::Lambda, Wakeup::Poller(index).token());
        }
    }

    /// Lets a poller do what it can do now, and asks for the wake-up that it needs next.
    pub(super) fn step(&mut self, cx: &mut Cx<'_>, ports: &mut Ports<'_>, index: usize) {
        if self.mappings[self.pollers[index].mapping].state != State::Enabled {
            return;
        }
        if self.stands_still(cx, index) {
            return;
        }
        self.read(cx, ports.streams, index);
        if self.deliver(cx, ports, index) {
            // The batch made room.
            self.read(cx, ports.streams, index);
        }
        self.end_shard(cx, ports.streams, index);
        let poller = &mut self.pollers[index];
        if let Some(due) = poller.next_due(&self.mappings[poller.mapping]) {
            let due = due.max(cx.now);
            if due < poller.asked {
                poller.asked = due;
                cx.timers.at(due, Service::Lambda, Wakeup::Poller(index).token());
            }
        }
    }

    /// Whether the poller is to stand still. Then it asks again when that ends, or after a minute.
    fn stands_still(&mut self, cx: &mut Cx<'_>, index: usize) -> bool {
        let poller = &mut self.pollers[index];
        let Some(until) = cx.standstill("lambda", "GetRecords", &self.mappings[poller.mapping].stream) else {
            return false;
        };
        cx.trace.mark(cx.now, mark::READER_STOOD_STILL, &poller.shard_id);
        let due = until.min(cx.now + ASK_AGAIN);
        if due < poller.asked {
            poller.asked = due;
            cx.timers.at(due, Service::Lambda, Wakeup::Poller(index).token());
        }
        true
    }

    fn read(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        if !poller.wants_read(cx.now, mapping) {
            return;
        }
        let mut cx = cx.acting_as(&mapping.reader);
        match poller.read(&mut cx, streams, mapping) {
            Ok(read) => {
                cx.meter.add("lambda", "PolledEventCount", read as u64);
            }
            Err(error) => {
                if error.is_of_disabled_key() {
                    cx.trace.mark(cx.now, mark::WAITED_FOR_KEY, &mapping.function);
                }
                let fields = [("shard", (&*poller.shard_id).into()), ("code", error.code.into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "poll-failed", &mapping.function, &fields);
            }
        }
    }

    /// Once a shard is processed to its end, its children are read.
    fn end_shard(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, index: usize) {
        let poller = &mut self.pollers[index];
        if !poller.is_at_end() {
            return;
        }
        let mapping = poller.mapping;
        let Mapping { reader, source_arn, .. } = &self.mappings[mapping];
        if cx.acting_as(reader).authorize("kinesis:ListShards", source_arn).is_err() {
            return poller.postpone(cx.now);
        }
        let stream = &self.mappings[mapping].stream;
        match cx.called("kinesis", "ListShards", stream, |_| streams.list_shards(stream)) {
            Ok(shards) => {
                if shards.iter().any(|shard| shard.parents.contains(&poller.shard_id)) {
                    cx.trace.mark(cx.now, mark::PARENT_DRAINED_FIRST, &poller.shard_id);
                }
                poller.set_finished();
                let shard_id = poller.shard_id.clone();
                let fields = [("stream", (&*self.mappings[mapping].stream).into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "shard-end", &shard_id, &fields);
                self.mappings[mapping].shards.insert(shard_id, Shard::Finished);
                // A shard that appeared after the mapping is read from its beginning, or records would be missed.
                let start = match self.mappings[mapping].start {
                    StartingPosition::Latest => StartingPosition::TrimHorizon,
                    other => other,
                };
                self.read_new_shards(cx, mapping, &shards, start);
            }
            Err(_) => poller.postpone(cx.now),
        }
    }
}
