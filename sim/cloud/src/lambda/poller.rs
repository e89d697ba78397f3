//! The poller of one shard: where it stands, and the lanes into which it reads.

use std::sync::Arc;
use std::time::Duration;

use super::lane::{Lane, Pending};
use super::mapping::Mapping;
use crate::core::ports::{ShardCursor, StartingPosition, Streams};
use crate::core::{AwsError, Cx};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;

/// How often a shard is read: Lambda's base rate.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// No stream keeps records for a shorter time (Kinesis facts, "Capacity"): younger records cannot have expired.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 3_600);

/// Where a poller stands in its shard.
#[derive(Debug)]
enum Position {
    /// Not looked up yet.
    Start(StartingPosition),
    /// Reads on from here.
    At(ShardCursor),
    /// The shard is closed and read to its end.
    End,
}

/// The poller of one shard.
#[derive(Debug)]
pub(super) struct Poller {
    /// Position of its mapping in the list of all mappings.
    pub mapping: usize,
    pub shard_id: Arc<str>,
    /// Earliest wake-up that was asked for and has not come.
    pub asked: Time,
    /// As many as the mapping's ParallelizationFactor said when the last of them was idle.
    pub lanes: Vec<Lane>,
    position: Position,
    next_poll: Time,
    finished: bool,
}

impl Poller {
    /// A poller that reads `shard_id` for the first time at `first_poll`.
    pub fn new(mapping: usize, shard_id: Arc<str>, start: StartingPosition, first_poll: Time) -> Self {
        Poller {
            mapping,
            shard_id,
            asked: Time::MAX,
            lanes: vec![Lane::default()],
            position: Position::Start(start),
            next_poll: first_poll,
            finished: false,
        }
    }

    /// Records that were read and are not done.
    fn pending(&self) -> usize {
        self.lanes.iter().map(Lane::len).sum()
    }

    /// Records that are read and in no batch, and their bytes in an event.
    fn waiting(&self) -> (usize, usize) {
        self.lanes.iter().map(Lane::waiting).fold((0, 0), |sum, lane| (sum.0 + lane.0, sum.1 + lane.1))
    }

    /// Records of the shard that are not done: what was read, and what `unread` says of the rest.
    pub fn waiting_in_all(&self, unread: impl Fn(Option<u64>) -> u64) -> u64 {
        let rest = match &self.position {
            Position::Start(_) => unread(None),
            Position::At(cursor) => unread(Some(cursor.offset)),
            Position::End => 0,
        };
        self.pending() as u64 + rest
    }

    /// Whether less than a whole batch for each lane waits. This bounds what is kept in memory: in each lane one batch that
    /// is delivered and one that waits, and one read.
    fn has_room(&self, mapping: &Mapping) -> bool {
        let (records, bytes) = self.waiting();
        let lanes = self.lanes.len();
        let more = !matches!(self.position, Position::End);
        more && records < mapping.batch_size * lanes && bytes < mapping.payload_max * lanes
    }

    /// Whether the shard is to be read now.
    pub fn wants_read(&self, now: Time, mapping: &Mapping) -> bool {
        now >= self.next_poll && self.has_room(mapping)
    }

    /// Whether a batch is with the function or on its way to the failure destination.
    pub fn is_busy(&self) -> bool {
        self.lanes.iter().any(Lane::is_busy)
    }

    /// Follows the mapping to another number of lanes, once nothing is in flight. Answers whether it has followed: until
    /// then nothing new is delivered, or records of one partition key could overtake each other.
    pub fn follow(&mut self, lanes: usize) -> bool {
        if self.lanes.len() == lanes {
            return true;
        }
        if self.is_busy() {
            return false;
        }
        let mut records: Vec<Pending> = self.lanes.iter_mut().flat_map(Lane::dissolve).collect();
        records.sort_by_key(|pending| pending.offset);
        self.lanes = std::iter::repeat_with(Lane::default).take(lanes).collect();
        records.into_iter().for_each(|pending| self.push(pending));
        true
    }

    fn push(&mut self, pending: Pending) {
        let lane = lane_of(&pending.record.partition_key, self.lanes.len());
        self.lanes[lane].push(pending);
    }

    /// Reads the shard once. After a failure, throttling included, it is read again at the base rate.
    pub fn read(&mut self, cx: &mut Cx<'_>, streams: &mut dyn Streams, mapping: &Mapping) -> Result<usize, AwsError> {
        self.next_poll = cx.now + POLL_INTERVAL;
        let cursor = match &self.position {
            Position::Start(start) => streams.cursor(cx, &mapping.stream, &self.shard_id, *start)?,
            Position::At(cursor) => cursor.clone(),
            Position::End => return Ok(0),
        };
        // Whatever waits: a read that is only as large as the room that is left would fall behind at the base rate.
        let most = usize::try_from(cx.limits.get("kinesis", "getrecords_max_records")).unwrap_or(usize::MAX);
        let batch = cx.called("kinesis", "GetRecords", &mapping.stream, |cx| streams.get_records(cx, &cursor, most));
        // What LATEST meant is settled by the first look-up, even when the read fails.
        self.position = Position::At(cursor.clone());
        let batch = batch?;
        if batch.first > cursor.offset {
            cx.trace.mark(cx.now, mark::RECORDS_EXPIRED, &self.shard_id);
        }
        self.position = batch.next.map_or(Position::End, Position::At);
        let (read, mut filtered) = (batch.records.len(), 0);
        for (offset, record) in (batch.first..).zip(batch.records) {
            if cx.trace.carries(&record.data) {
                cx.trace.hop(cx.now, Stage::Function, &mapping.function, || {
                    format!("its reader takes it from {} of {}", self.shard_id, mapping.stream)
                });
            }
            if mapping.filters.as_ref().is_some_and(|filters| !filters.take(&record)) {
                filtered += 1;
                continue;
            }
            let bytes = mapping.template.record_bytes(&self.shard_id, &record);
            self.push(Pending { record, offset, bytes, read_at: cx.now });
        }
        if filtered > 0 {
            cx.meter.add("lambda", "FilteredOutEventCount", filtered);
        }
        Ok(read)
    }

    /// Whether the first batch of a lane failed or was throttled before and may hold records that the stream no longer keeps.
    pub fn may_have_expired(&self, now: Time, lane: usize) -> bool {
        self.lanes[lane].oldest_retried().is_some_and(|arrival| now.since(arrival) >= RETENTION_MIN)
    }

    /// Gives up the records of a lane's first batch that the stream no longer keeps, and says how many.
    pub fn expire(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &dyn Streams,
        mapping: &Mapping,
        lane: usize,
    ) -> Result<usize, AwsError> {
        let oldest = streams.cursor(cx, &mapping.stream, &self.shard_id, StartingPosition::TrimHorizon)?.offset;
        let expired = self.lanes[lane].before(oldest);
        self.lanes[lane].advance(expired);
        Ok(expired)
    }

    /// Works out again how much of an event each record takes: the mapping has another template.
    pub fn measure(&mut self, mapping: &Mapping) {
        self.lanes.iter_mut().for_each(|lane| lane.measure(&mapping.template, &self.shard_id));
    }

    /// Forgets what was read; an invocation that has a batch still ends.
    pub fn forget(&mut self) {
        self.lanes.iter_mut().for_each(Lane::forget);
        self.position = Position::End;
        self.finished = true;
    }

    /// Whether the shard has just been processed to its end. True until [`Poller::set_finished`].
    pub fn is_at_end(&self) -> bool {
        !self.finished && matches!(self.position, Position::End) && self.pending() == 0
    }

    /// Nothing more comes from this shard.
    pub fn set_finished(&mut self) {
        self.finished = true;
    }

    /// Looks at the shard again at the base rate, for what could not be done now.
    pub fn postpone(&mut self, now: Time) {
        self.next_poll = now + POLL_INTERVAL;
    }

    /// When something is to be done next without an answer from outside.
    pub fn next_due(&self, mapping: &Mapping) -> Option<Time> {
        // While lanes are to be laid out anew, they wait for what is in flight.
        let lays_out = self.lanes.len() != mapping.lanes;
        let lanes = self.lanes.iter().filter_map(|lane| if lays_out { lane.telling() } else { lane.next_due(mapping) });
        let poll = (self.has_room(mapping) || self.is_at_end()).then_some(self.next_poll);
        lanes.chain(poll).min()
    }
}

/// The lane of a partition key (FNV-1a; which hash Lambda takes is not published).
fn lane_of(partition_key: &str, lanes: usize) -> usize {
    if lanes == 1 {
        return 0;
    }
    let hash = partition_key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    usize::try_from(hash % lanes as u64).expect("fewer than the lanes")
}
