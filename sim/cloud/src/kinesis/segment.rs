//! Records of one shard, packed: the older ones rest as LZ4 blocks of about 256 KiB each.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lz4_flex::block::{compress_into, decompress, get_maximum_output_size};

use world::time::Time;

/// A record at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Payload.
    pub data: Bytes,
    /// Partition key.
    pub key: Arc<str>,
    /// When it was accepted.
    pub arrival: Time,
}

impl Stored {
    /// What Kinesis counts as the record's size in bytes: payload and partition key.
    pub fn size_bytes(&self) -> usize {
        self.data.len() + self.key.len()
    }
}

/// Consecutive records of a shard, compressed.
pub(super) struct Segment {
    /// Offset of the first record.
    pub first: u64,
    /// Arrival of the first record.
    pub oldest: Time,
    /// Arrival of the last record.
    pub newest: Time,
    count: usize,
    unpacked_bytes: usize,
    packed: Box<[u8]>,
}

impl Segment {
    /// Packs records whose first has the offset `first`. Their arrivals ascend.
    pub fn pack(first: u64, records: &[Stored]) -> Self {
        let oldest = records.first().map_or(Time::EPOCH, |record| record.arrival);
        let newest = records.last().map_or(oldest, |record| record.arrival);
        let size: usize = records.iter().map(|record| record.size_bytes() + 16).sum();
        let mut plain = Vec::with_capacity(size);
        let mut before = oldest;
        for record in records {
            write_varint(&mut plain, record.arrival.unix_micros() - before.unix_micros());
            write_varint(&mut plain, record.data.len() as u64);
            write_varint(&mut plain, record.key.len() as u64);
            before = record.arrival;
        }
        // A payload often names its device, and so does its key: beside each other they compress best.
        for record in records {
            plain.extend_from_slice(&record.data);
            plain.extend_from_slice(record.key.as_bytes());
        }
        let mut packed = vec![0; get_maximum_output_size(plain.len())];
        let length = compress_into(&plain, &mut packed).expect("the buffer has the largest size that LZ4 needs");
        let packed = packed[..length].into();
        Segment { first, oldest, newest, count: records.len(), unpacked_bytes: plain.len(), packed }
    }

    /// Offset after the last record.
    pub fn end(&self) -> u64 {
        self.first + self.count as u64
    }

    /// Bytes that the segment takes.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.packed.len() + size_of::<Segment>()
    }

    /// The records, readable.
    pub fn unpack(&self) -> Unpacked {
        let plain = decompress(&self.packed, self.unpacked_bytes).expect("a segment is what was packed");
        let mut at = 0;
        let mut next = || read_varint(&plain, &mut at);
        let mut arrival = self.oldest.unix_micros();
        let headers = (0..self.count).map(|_| {
            arrival += next();
            (arrival, next() as usize, next() as usize)
        });
        let headers: Vec<(u64, usize, usize)> = headers.collect();
        let entries = headers.into_iter().map(|(arrival, data, key)| {
            let entry = Entry {
                arrival: Time::from_unix_micros(arrival),
                data: at..at + data,
                key: at + data..at + data + key,
            };
            at = entry.key.end;
            entry
        });
        let entries = entries.collect();
        Unpacked { first: self.first, entries, plain: Bytes::from(plain) }
    }
}

struct Entry {
    arrival: Time,
    data: Range<usize>,
    key: Range<usize>,
}

/// A segment whose records can be read.
pub(super) struct Unpacked {
    /// Offset of the first record.
    pub first: u64,
    entries: Vec<Entry>,
    plain: Bytes,
}

impl Unpacked {
    /// Offset after the last record.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Arrival of the record at `offset`, which is one of the segment's.
    pub fn arrival(&self, offset: u64) -> Time {
        self.entries[(offset - self.first) as usize].arrival
    }

    /// The record at `offset`, which is one of the segment's. The payload is not copied.
    pub fn get(&self, offset: u64) -> Stored {
        let entry = &self.entries[(offset - self.first) as usize];
        let key = std::str::from_utf8(&self.plain[entry.key.clone()]).expect("a key was packed from a text");
        Stored { data: self.plain.slice(entry.data.clone()), key: key.into(), arrival: entry.arrival }
    }

    /// Offset of the first record that arrived at `time` or later.
    pub fn first_since(&self, time: Time) -> u64 {
        self.first + self.entries.partition_point(|entry| entry.arrival < time) as u64
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_packed_comes_back(
            first in 0..u64::MAX / 2,
            start in 0..1u64 << 50,
            records in prop::collection::vec((0..1u64 << 40, payload(), ".{1,40}"), 1..60),
        ) {
            let mut micros = start;
            let records: Vec<Stored> = records.into_iter().map(|(gap, data, key)| {
                micros += gap;
                Stored { data: data.into(), key: key.into(), arrival: Time::from_unix_micros(micros) }
            }).collect();
            let segment = Segment::pack(first, &records);
            let unpacked = segment.unpack();
            prop_assert_eq!((unpacked.first, unpacked.end()), (first, segment.end()));
            let back: Vec<Stored> = (first..unpacked.end()).map(|offset| unpacked.get(offset)).collect();
            prop_assert_eq!(&back, &records);
            for (index, record) in records.iter().enumerate() {
                let naive = records.iter().position(|other| other.arrival >= record.arrival).unwrap();
                prop_assert_eq!(unpacked.first_since(record.arrival), first + naive as u64);
                prop_assert_eq!(unpacked.arrival(first + index as u64), record.arrival);
            }
        }
    }
}
