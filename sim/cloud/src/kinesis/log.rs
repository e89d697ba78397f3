//! The records that a shard keeps: a tail of plain records where readers usually are, and packed segments before it.
//! An offset counts the records that the shard has accepted, from 0, and never changes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::{Segment, Stored, Unpacked};
use world::time::Time;

/// The tail is packed down to about this size. At the largest rate that a shard takes, 1 MiB/s, this is two seconds:
/// a reader that polls each second never meets a packed segment.
pub(super) const TAIL_BYTES: usize = 2 << 20;
/// Plain size of a segment.
pub(super) const SEGMENT_BYTES: usize = 256 << 10;
/// Segments kept unpacked: one for each of two readers that lag.
const UNPACKED_MAX: usize = 2;

/// How much one read may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Records.
    pub records: usize,
    /// Bytes of payload and key. The first record is always given.
    pub bytes: usize,
}

/// The records of a shard within its retention, in order of arrival.
pub(super) struct Log {
    segments: VecDeque<Segment>,
    tail: VecDeque<Stored>,
    tail_first: u64,
    tail_bytes: usize,
    tail_bytes_max: usize,
    segment_bytes: usize,
    unpacked: VecDeque<Arc<Unpacked>>,
}

impl Log {
    /// An empty log that packs segments of `segment_bytes` as soon as the tail is larger by that than `tail_bytes`.
    pub fn with_sizes(tail_bytes: usize, segment_bytes: usize) -> Self {
        Log {
            segments: VecDeque::new(),
            tail: VecDeque::new(),
            tail_first: 0,
            tail_bytes: 0,
            tail_bytes_max: tail_bytes + segment_bytes,
            segment_bytes,
            unpacked: VecDeque::new(),
        }
    }

    /// Offset of the oldest record that is kept. Some records after it may be older than the retention.
    pub fn first(&self) -> u64 {
        self.segments.front().map_or(self.tail_first, |segment| segment.first)
    }

    /// Offset that the next record will have.
    pub fn end(&self) -> u64 {
        self.tail_first + self.tail.len() as u64
    }

    /// Appends a record, which arrived no earlier than the last, and answers its offset.
    pub fn push(&mut self, record: Stored) -> u64 {
        self.tail_bytes += record.size_bytes();
        self.tail.push_back(record);
        let offset = self.end() - 1;
        if self.tail_bytes > self.tail_bytes_max {
            self.pack();
        }
        offset
    }

    fn pack(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        while bytes < self.segment_bytes && count < self.tail.len() {
            bytes += self.tail[count].size_bytes();
            count += 1;
        }
        let records: Vec<Stored> = self.tail.drain(..count).collect();
        self.segments.push_back(Segment::pack(self.tail_first, &records));
        self.tail_first += count as u64;
        self.tail_bytes -= bytes;
    }

    /// Forgets what arrived before `cutoff`, by whole segments: a read passes over the rest.
    pub fn trim(&mut self, cutoff: Time) {
        while self.segments.front().is_some_and(|segment| segment.newest < cutoff) {
            self.segments.pop_front();
        }
        if !self.segments.is_empty() {
            return;
        }
        self.unpacked.clear();
        while let Some(record) = self.tail.front()
            && record.arrival < cutoff
        {
            self.tail_bytes -= record.size_bytes();
            self.tail.pop_front();
            self.tail_first += 1;
        }
    }

    /// Gives `take` the records from offset `from` on that arrived at `cutoff` or later, in order, until there is no
    /// more room. Answers the offset to read on from, which is never before `from`.
    pub fn read(&mut self, from: u64, cutoff: Time, mut room: Room, mut take: impl FnMut(u64, Stored)) -> u64 {
        let mut at = from.max(self.first());
        let bytes_max = room.bytes;
        let mut fits = |size: usize| {
            let fits = room.records > 0 && (size <= room.bytes || room.bytes == bytes_max);
            if fits {
                room.records -= 1;
                room.bytes = room.bytes.saturating_sub(size);
            }
            fits
        };
        while at < self.tail_first {
            let segment = self.unpacked(at);
            while at < segment.end() {
                if segment.arrival(at) >= cutoff {
                    let record = segment.get(at);
                    if !fits(record.size_bytes()) {
                        return at;
                    }
                    take(at, record);
                }
                at += 1;
            }
        }
        let skip = usize::try_from(at - self.tail_first).map_or(self.tail.len(), |skip| skip.min(self.tail.len()));
        for record in self.tail.range(skip..) {
            if record.arrival >= cutoff {
                if !fits(record.size_bytes()) {
                    return at;
                }
                take(at, record.clone());
            }
            at += 1;
        }
        at
    }

    /// Offset of the first record that arrived at `time` or later; the end when there is none.
    pub fn first_since(&self, time: Time) -> u64 {
        let index = self.segments.partition_point(|segment| segment.newest < time);
        match self.segments.get(index) {
            Some(segment) if segment.oldest >= time => segment.first,
            Some(segment) => segment.unpack().first_since(time),
            None => self.tail_first + self.tail.partition_point(|record| record.arrival < time) as u64,
        }
    }

    /// The segment that holds `offset`, which lies between [`Log::first`] and the tail.
    fn unpacked(&mut self, offset: u64) -> Arc<Unpacked> {
        let holds = |unpacked: &Arc<Unpacked>| (unpacked.first..unpacked.end()).contains(&offset);
        if let Some(index) = self.unpacked.iter().position(holds) {
            let unpacked = self.unpacked.remove(index).expect("the position was just found");
            self.unpacked.push_back(unpacked.clone());
            return unpacked;
        }
        let index = self.segments.partition_point(|segment| segment.end() <= offset);
        let unpacked = Arc::new(self.segments[index].unpack());
        if self.unpacked.len() == UNPACKED_MAX {
            self.unpacked.pop_front();
        }
        self.unpacked.push_back(unpacked.clone());
        unpacked
    }

    /// Bytes that the records take: segments as packed, the tail plain with what the records need around them.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Segment::held_bytes).sum();
        segments + self.tail_bytes + self.tail.len() * (size_of::<Stored>() + 2 * size_of::<usize>())
    }
}

#[cfg(test)]
mod tests;
