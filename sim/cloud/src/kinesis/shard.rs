//! A shard: its hash key range, its write and read limits, its records, and its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::log::{Log, Room};
use super::monitoring::ShardMetrics;
use super::on_demand::Arrived;
use super::quotas::Quotas;
use super::routing::HashRange;
use super::segment::Stored;
use crate::core::TokenBucket;
use crate::core::ports::{SequenceNumber, StreamRecord};
use world::time::Time;

/// A call or record that a shard refuses because of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateExceeded;

/// One shard of a stream.
pub(super) struct Shard {
    /// Shard id, such as `shardId-000000000000`.
    pub id: Arc<str>,
    /// Index in the stream, from 0.
    pub index: u32,
    /// The hash keys that it owns.
    pub range: HashRange,
    /// The shards that it was made from: none, one by a split, two by a merge.
    pub parents: Vec<Arc<str>>,
    /// Since when it takes records.
    pub opened: Time,
    /// Since when it takes no more: a split or a merge closed it.
    pub closed: Option<Time>,
    /// Whether the retention has passed since it was closed: it is as good as absent.
    pub expired: bool,
    /// Its records.
    pub log: Log,
    /// What arrived in the present window, in a stream on demand.
    pub arrived: Arrived,
    /// Bytes a second of the window before it; in a shard that has seen none, its part of what its parents took.
    pub rate: u64,
    /// What is counted of this shard alone.
    pub metrics: Option<Box<ShardMetrics>>,
    /// What is known of those who subscribe to it.
    pub push: Option<Push>,
    created_secs: u32,
    write_records: TokenBucket,
    write_bytes: TokenBucket,
    /// What is left for records above 1 MiB, where the stream allows them.
    write_tank: Option<TokenBucket>,
    iterator_calls: TokenBucket,
    read_calls: TokenBucket,
    read_bytes: TokenBucket,
}

/// What a shard knows of those who subscribe to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    /// Names the shard's wake-ups for its subscribers.
    pub token: u64,
    /// When the next of them is due.
    pub armed: Time,
}

/// The ordinal that no record has and that comes after each.
const LAST_ORDINAL: u64 = 0xfff_ffff_ffff;

/// What one read of a shard gives.
pub(super) struct Read {
    /// Records in order.
    pub records: Vec<StreamRecord>,
    /// Offset to read on from.
    pub next: u64,
    /// Size of the records in bytes, keys included.
    pub bytes: u64,
    /// How far behind the tip the reader is.
    pub millis_behind_latest: u64,
    /// Whether the shard is closed and read to its end.
    pub at_end: bool,
}

impl Shard {
    /// An empty shard that begins at `now`.
    pub fn new(index: u32, range: HashRange, parents: Vec<Arc<str>>, quotas: &Quotas, now: Time) -> Self {
        let rate = |per_second| TokenBucket::per_second(per_second, now).scaled(&quotas.scale);
        Shard {
            id: format!("shardId-{index:012}").into(),
            index,
            range,
            parents,
            opened: now,
            closed: None,
            expired: false,
            log: Log::with_sizes(quotas.tail_bytes, quotas.segment_bytes),
            arrived: Arrived::default(),
            rate: 0,
            metrics: None,
            push: None,
            created_secs: seconds(now),
            write_records: rate(quotas.shard_write_records),
            write_bytes: rate(quotas.shard_write_bytes),
            write_tank: None,
            iterator_calls: rate(quotas.iterator_calls),
            read_calls: rate(quotas.read_calls),
            read_bytes: rate(quotas.shard_read_bytes),
        }
    }

    /// Sequence number of the record at `offset`, which arrived at `arrival`.
    pub fn sequence(&self, offset: u64, arrival: Time) -> u128 {
        sequence(self.created_secs, self.index, offset + 1, arrival)
    }

    /// Sequence number after which a reader goes on at `offset`.
    pub fn continuation(&self, offset: u64, now: Time) -> u128 {
        sequence(self.created_secs, self.index, offset, now)
    }

    /// Sequence number that no record has and that comes before each.
    pub fn starting_sequence(&self) -> u128 {
        let created = Time::from_unix_secs(u64::from(self.created_secs));
        sequence(self.created_secs, self.index, 0, created)
    }

    /// Sequence number of a closed shard that no record has and that comes after each.
    pub fn ending_sequence(&self) -> Option<u128> {
        self.closed.map(|closed| sequence(self.created_secs, self.index, LAST_ORDINAL, closed))
    }

    /// Offset of the record with this sequence number; `None` when it is not of this shard. The shard's starting
    /// sequence number stands for the first record, its ending one for the end.
    pub fn offset(&self, number: SequenceNumber) -> Option<u64> {
        let known = number.shard == self.index && number.shard_created_secs == self.created_secs;
        match number.ordinal {
            LAST_ORDINAL if self.closed.is_some() => known.then(|| self.log.end()),
            ordinal => (known && ordinal <= self.log.end()).then(|| ordinal.saturating_sub(1)),
        }
    }

    /// Takes no more records.
    pub fn close(&mut self, now: Time) {
        self.closed = Some(now);
    }

    /// Forgets what is left of a closed shard.
    pub fn expire(&mut self) {
        self.expired = true;
        self.log.trim(Time::MAX);
    }

    /// Accepts a record, if the shard's rates allow it. Answers its offset.
    pub fn put(&mut self, now: Time, key: &str, data: Bytes) -> Result<u64, RateExceeded> {
        let size = (data.len() + key.len()) as u64;
        if self.write_records.wait_for(now, 1) != Some(Duration::ZERO) || !self.take_write_bytes(now, size) {
            return Err(RateExceeded);
        }
        self.write_records.try_take(now, 1);
        Ok(self.log.push(Stored { data, key: key.into(), arrival: now }))
    }

    /// Records above 1 MiB draw on a tank of the largest record's size that refills at the shard's rate, as smaller ones
    /// do (guide, "Handle large records"). Over time no more than the rate goes in.
    fn take_write_bytes(&mut self, now: Time, size: u64) -> bool {
        let Some(tank) = &mut self.write_tank else { return self.write_bytes.try_take(now, size) };
        if size <= self.write_bytes.capacity() {
            let taken = self.write_bytes.try_take(now, size);
            if taken {
                let available = tank.available(now);
                tank.try_take(now, size.min(available));
            }
            return taken;
        }
        let taken = tank.try_take(now, size);
        if taken {
            let available = self.write_bytes.available(now);
            self.write_bytes.try_take(now, available);
        }
        taken
    }

    /// Says whether records above 1 MiB are taken.
    pub fn allow_large_records(&mut self, allowed: bool, quotas: &Quotas, now: Time) {
        let tank = || {
            let tank = TokenBucket::new(quotas.record_bytes_max as u64, quotas.shard_write_bytes, now);
            tank.scaled(&quotas.scale)
        };
        self.write_tank = allowed.then(|| self.write_tank.take().unwrap_or_else(tank));
    }

    /// Counts a call of `GetShardIterator`.
    pub fn take_iterator_call(&mut self, now: Time) -> Result<(), RateExceeded> {
        if self.iterator_calls.try_take(now, 1) { Ok(()) } else { Err(RateExceeded) }
    }

    /// Reads at most `limit` records from offset `from` on that arrived at `cutoff` or later.
    pub fn read(&mut self, now: Time, from: u64, cutoff: Time, room: Room) -> Result<Read, RateExceeded> {
        if self.read_bytes.is_overdrawn(now) || !self.read_calls.try_take(now, 1) {
            return Err(RateExceeded);
        }
        let read = self.peek(now, from, cutoff, room);
        self.charge_read(now, read.bytes);
        Ok(read)
    }

    /// The same at no cost.
    pub fn peek(&mut self, now: Time, from: u64, cutoff: Time, room: Room) -> Read {
        self.log.trim(cutoff);
        let (created, index) = (self.created_secs, self.index);
        let (mut records, mut bytes) = (Vec::new(), 0);
        let next = self.log.read(from, cutoff, room, |offset, record| {
            bytes += record.size_bytes() as u64;
            records.push(StreamRecord {
                sequence_number: sequence(created, index, offset + 1, record.arrival),
                data: record.data,
                partition_key: record.key,
                arrival: record.arrival,
            });
        });
        let millis_behind_latest = match records.last() {
            Some(last) if next < self.log.end() => now.unix_millis().saturating_sub(last.arrival.unix_millis()),
            _ => 0,
        };
        let at_end = self.closed.is_some() && next >= self.log.end();
        Read { records, next, bytes, millis_behind_latest, at_end }
    }

    /// An answer within what is left of the second's 2 MiB is paid from the bucket. A larger one empties it and is owed as a
    /// whole, so that it blocks the shard's readers for as long as 2 MiB/s need to carry it: 10 MiB block 5 s, as the
    /// Kinesis guide says.
    fn charge_read(&mut self, now: Time, bytes: u64) {
        let available = self.read_bytes.available(now);
        if bytes > available {
            self.read_bytes.overdraw(now, available);
        }
        self.read_bytes.overdraw(now, bytes);
    }
}

fn sequence(shard_created_secs: u32, shard: u32, ordinal: u64, arrival: Time) -> u128 {
    SequenceNumber { shard_created_secs, shard, ordinal, arrival_secs: seconds(arrival) }.pack()
}

fn seconds(time: Time) -> u32 {
    u32::try_from(time.unix_secs()).unwrap_or(u32::MAX)
}
