//! A stream: its state, its shards, and how a record finds its shard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::consumers::Consumer;
use super::encryption::Encryption;
use super::monitoring::{Metric, Monitored, new_metrics};
use super::on_demand::{Mode, OnDemand};
use super::quotas::Quotas;
use super::reshard::Step;
use super::routing::{HashRange, even_ranges};
use super::shard::{RateExceeded, Shard};
use super::subscribe::Subscription;
use super::work::Work;
use crate::core::ports::render_sequence_number;
use crate::core::{AwsError, Cx, TokenBucket};
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

/// StreamStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Its shards do not exist yet.
    Creating,
    /// In use.
    Active,
    /// In use, while its shards or its encryption change.
    Updating,
    /// About to vanish.
    Deleting,
}

impl Status {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Updating => "UPDATING",
            Status::Deleting => "DELETING",
        }
    }
}

/// A data stream.
pub(super) struct Stream {
    /// Name.
    pub name: Arc<str>,
    /// ARN.
    pub arn: String,
    /// Tells it from an earlier stream of the same name.
    pub serial: u64,
    /// When it was asked for.
    pub created: Time,
    /// Status.
    pub status: Status,
    /// Retention in hours.
    pub retention_hours: u64,
    /// Every shard that the stream ever had, by its index.
    pub shards: Vec<Shard>,
    /// The open shards in the order of their hash key ranges: the first key, and the index.
    pub open: Vec<(u128, u32)>,
    /// Calls of ListShards.
    pub list_shards_calls: TokenBucket,
    /// Server-side encryption.
    pub encryption: Encryption,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What is known of its traffic, when AWS scales it.
    pub on_demand: Option<OnDemand>,
    /// Size of a record at most, in bytes: payload and partition key.
    pub record_bytes_max: usize,
    /// What each shard counts by itself.
    pub monitored: Monitored,
    /// Consumers with enhanced fan-out, by name.
    pub consumers: BTreeMap<Arc<str>, Consumer>,
    /// What consumers have subscribed to: by shard and name of the consumer.
    pub subscriptions: BTreeMap<(u32, Arc<str>), Subscription>,
    /// Whether somebody wants to know of each record: who scales, or who is subscribed.
    pub watched: bool,
    /// When the mode was changed in the last 24 hours.
    pub mode_changes: VecDeque<Time>,
    /// When UpdateShardCount was called in the last 24 hours.
    pub count_updates: VecDeque<Time>,
    /// When the encryption was changed in the last 24 hours.
    pub encryption_changes: VecDeque<Time>,
    /// What is being done, in order.
    pub work: VecDeque<Work>,
    /// When all of that is done.
    pub busy_until: Time,
    /// The wake-up that was asked for, for the end of a closed shard's retention.
    pub expiry_armed: Option<Time>,
    /// Records that arrived before are gone, whatever the retention is now.
    forgotten_before: Time,
}

/// A record that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Index of the shard.
    pub shard: usize,
    /// Sequence number.
    pub sequence: u128,
}

impl Stream {
    /// A stream of `shard_count` empty shards.
    pub fn new(name: &str, arn: String, shard_count: u32, retention_hours: u64, quotas: &Quotas, now: Time) -> Self {
        let ranges = even_ranges(shard_count);
        let open = ranges.iter().zip(0..).map(|(range, index)| (range.start, index)).collect();
        let new = |(range, index)| Shard::new(index, range, Vec::new(), quotas, now);
        Stream {
            name: name.into(),
            arn,
            serial: 0,
            created: now,
            status: Status::Active,
            retention_hours,
            shards: ranges.into_iter().zip(0..).map(new).collect(),
            open,
            list_shards_calls: TokenBucket::per_second(quotas.list_shards_calls, now).scaled(&quotas.scale),
            encryption: Encryption::default(),
            tags: BTreeMap::new(),
            on_demand: None,
            record_bytes_max: quotas.record_bytes_default,
            monitored: Monitored::default(),
            consumers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            watched: false,
            mode_changes: VecDeque::new(),
            count_updates: VecDeque::new(),
            encryption_changes: VecDeque::new(),
            work: VecDeque::new(),
            busy_until: now,
            expiry_armed: None,
            forgotten_before: Time::EPOCH,
        }
    }

    /// Whether it takes and gives records.
    pub fn is_usable(&self) -> bool {
        matches!(self.status, Status::Active | Status::Updating)
    }

    /// Whether nothing is being done to it.
    pub fn is_quiet(&self) -> bool {
        self.work.is_empty() && self.status == Status::Active
    }

    /// The mode that it has once all that was begun is done.
    pub fn mode_when_done(&self) -> Mode {
        let last = |work: &Work| if let Work::Mode(mode) = work { Some(*mode) } else { None };
        self.work.iter().rev().find_map(last).unwrap_or_else(|| self.mode())
    }

    /// Allows records up to this size.
    pub fn allow_records_of(&mut self, bytes: usize, quotas: &Quotas, now: Time) {
        self.record_bytes_max = bytes;
        let large = bytes > quotas.record_bytes_default;
        self.shards.iter_mut().for_each(|shard| shard.allow_large_records(large, quotas, now));
    }

    /// Says anew whether somebody wants to know of each record.
    pub fn watch(&mut self) {
        self.watched = self.on_demand.is_some() || self.shards.iter().any(|shard| shard.push.is_some());
    }

    /// Tells those who want to know that a shard has taken a record of this size.
    pub fn tell(&mut self, cx: &mut Cx<'_>, quotas: &Quotas, shard: usize, bytes: u64) {
        if self.watched {
            self.scale_by(cx, quotas, shard, bytes);
            self.push_soon(cx, shard);
        }
    }

    /// How long records are kept.
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_hours * 3_600)
    }

    /// Records that arrived before this instant are gone.
    pub fn cutoff(&self, now: Time) -> Time {
        (now - self.retention()).max(self.forgotten_before)
    }

    /// Changes the retention at once. What is older than the old one or the new one is gone for good.
    pub fn retain(&mut self, now: Time, hours: u64) {
        let gone = self.cutoff(now);
        self.retention_hours = hours;
        self.forgotten_before = gone.max(self.cutoff(now));
        self.forget_closed(now);
    }

    /// Forgets the shards that have been closed for as long as the retention. Answers when the next one is due.
    pub fn forget_closed(&mut self, now: Time) -> Option<Time> {
        let retention = self.retention();
        let mut next = None;
        for shard in self.shards.iter_mut().filter(|shard| !shard.expired) {
            let Some(closed) = shard.closed else { continue };
            let due = closed + retention;
            if due <= now {
                shard.expire();
            } else {
                next = Some(next.map_or(due, |next: Time| next.min(due)));
            }
        }
        self.forget_subscriptions();
        next
    }

    /// Shards from an index on that a caller can see, with their indexes: none before the stream is active.
    pub fn visible_shards(&self, from: usize) -> impl Iterator<Item = (usize, &Shard)> {
        let shards = if self.status == Status::Creating { &[] } else { self.shards.as_slice() };
        shards.iter().enumerate().skip(from).filter(|(_, shard)| !shard.expired)
    }

    /// Index of the open shard that owns `hash`.
    pub fn route(&self, hash: u128) -> usize {
        self.open[self.place(hash)].1 as usize
    }

    /// Where the open shard that owns `hash` stands among the open ones.
    fn place(&self, hash: u128) -> usize {
        self.open.partition_point(|(start, _)| *start <= hash) - 1
    }

    /// Index of the shard with this id, if the stream ever had it.
    pub fn known_index(&self, shard_id: &str) -> Option<usize> {
        let index: usize = shard_id.strip_prefix("shardId-")?.parse().ok()?;
        let shards = if self.status == Status::Creating { &[] } else { self.shards.as_slice() };
        shards.get(index).is_some_and(|shard| &*shard.id == shard_id).then_some(index)
    }

    /// Index of the shard with this id, if the stream has it.
    pub fn shard_index(&self, shard_id: &str) -> Option<usize> {
        self.known_index(shard_id).filter(|index| !self.shards[*index].expired)
    }

    /// Closes what `step` takes and opens what it makes. A split at no key inside a shard is none.
    pub fn reshard(&mut self, step: Step, quotas: &Quotas, now: Time) {
        match step {
            Step::Split { at } => {
                let place = self.place(at);
                // Otherwise the lower half would end before it begins.
                if self.open[place].0 == at {
                    return;
                }
                let rate = self.shards[self.open[place].1 as usize].rate;
                let (range, id) = self.close(self.open[place].1, now);
                let low = self.add(HashRange { start: range.start, end: at - 1 }, vec![id.clone()], quotas, now);
                let high = self.add(HashRange { start: at, end: range.end }, vec![id], quotas, now);
                self.shards[low as usize].rate = rate / 2;
                self.shards[high as usize].rate = rate - rate / 2;
                self.open.splice(place..=place, [(range.start, low), (at, high)]);
            }
            Step::Merge { at } => {
                let place = self.place(at);
                let rate = [place - 1, place].map(|place| self.shards[self.open[place].1 as usize].rate).iter().sum();
                let (low, low_id) = self.close(self.open[place - 1].1, now);
                let (high, high_id) = self.close(self.open[place].1, now);
                let merged = HashRange { start: low.start, end: high.end };
                let index = self.add(merged, vec![low_id, high_id], quotas, now);
                self.shards[index as usize].rate = rate;
                self.open.splice(place - 1..=place, [(low.start, index)]);
            }
        }
    }

    fn close(&mut self, index: u32, now: Time) -> (HashRange, Arc<str>) {
        let shard = &mut self.shards[index as usize];
        shard.close(now);
        (shard.range, shard.id.clone())
    }

    fn add(&mut self, range: HashRange, parents: Vec<Arc<str>>, quotas: &Quotas, now: Time) -> u32 {
        let index = u32::try_from(self.shards.len()).expect("a stream has far fewer than 2^32 shards");
        let mut shard = Shard::new(index, range, parents, quotas, now);
        shard.metrics = new_metrics(self.monitored);
        shard.allow_large_records(self.record_bytes_max > quotas.record_bytes_default, quotas, now);
        self.shards.push(shard);
        index
    }

    /// Puts a record into the shard that owns `hash`. A refusal names the shard by its index.
    pub fn put(&mut self, cx: &Cx<'_>, hash: u128, key: &str, data: Bytes) -> Result<Accepted, (usize, RateExceeded)> {
        let index = self.route(hash);
        let cutoff = self.cutoff(cx.now);
        let shard = &mut self.shards[index];
        shard.log.trim(cutoff);
        let lit = cx.trace.carries(&data);
        let put = shard.put(cx.now, key, data.clone());
        if let Some(metrics) = &mut shard.metrics {
            match put {
                Ok(_) => {
                    metrics.add(Metric::IncomingRecords, 1);
                    metrics.add(Metric::IncomingBytes, (data.len() + key.len()) as u64);
                }
                Err(_) => metrics.add(Metric::WriteProvisionedThroughputExceeded, 1),
            }
        }
        let offset = put.map_err(|refused| {
            if lit {
                cx.trace.hop(cx.now, Stage::Stream, &self.name, || format!("refuses it: the rate of shard {index}"));
            }
            (index, refused)
        })?;
        let fields =
            [("shard", index.into()), ("offset", offset.into()), ("key", key.into()), ("data", Field::Bytes(&data))];
        cx.trace.event(Level::Message, cx.now, "kinesis", "record", &self.name, &fields);
        let sequence = shard.sequence(offset, cx.now);
        if lit {
            cx.trace.hop(cx.now, Stage::Stream, &self.name, || {
                format!("keeps it in {} under sequence number {}", shard.id, render_sequence_number(sequence))
            });
        }
        Ok(Accepted { shard: index, sequence })
    }

    /// Refuses a record for the shard that owns `hash` as if its rate were exceeded. Answers the shard's index.
    pub fn throttle(&mut self, hash: u128) -> usize {
        let index = self.route(hash);
        if let Some(metrics) = &mut self.shards[index].metrics {
            metrics.add(Metric::WriteProvisionedThroughputExceeded, 1);
        }
        index
    }

    /// AWS's text for a shard whose rate is exceeded.
    pub fn rate_exceeded_text(&self, shard: usize, account: &str) -> String {
        let Stream { name, shards, .. } = self;
        format!("Rate exceeded for shard {} in stream {name} under account {account}.", shards[shard].id)
    }

    /// The error of a call that a shard's rate refuses.
    pub fn rate_exceeded(&self, shard: usize, account: &str) -> AwsError {
        AwsError::new("ProvisionedThroughputExceededException", self.rate_exceeded_text(shard, account))
    }
}

#[cfg(test)]
mod tests;
