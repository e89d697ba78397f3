//! Bit-rot: one of the copies of an object has a flipped bit. S3 checks the integrity of what it stores by checksums and
//! repairs what is damaged from other copies ("Data protection in Amazon S3").
//!
//! Of the copies that S3 keeps, two are modelled, and only where a bit was flipped: the good one is the object, the bad one
//! the position of its flipped bit. The checksum is the MD5 of the body, which every object has as its ETag. A read takes
//! the bad copy first.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::store::Object;
use crate::core::Cx;
use world::mark;
use world::trace::Level;

/// Which bit of one copy of an object is flipped, by key.
#[derive(Debug, Default)]
pub(super) struct Rot(BTreeMap<String, u64>);

/// A copy that did not match its checksum, and was repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The bit that was flipped, counted from the first byte's lowest.
    pub bit: u64,
}

impl Found {
    /// Counts it, and leaves an event and a mark.
    pub(super) fn record(self, cx: &mut Cx<'_>, object: &str) {
        cx.meter.add("s3", "BitRotDetected", 1);
        cx.trace.event(Level::Call, cx.now, "s3", "bit-rot", object, &[("bit", self.bit.into())]);
        cx.trace.mark(cx.now, mark::ROT_DETECTED, object);
    }
}

impl Rot {
    /// Flips a bit of the copy that is read first. Answers whether that copy was good before.
    pub(super) fn flip(&mut self, key: &str, bit: u64) -> bool {
        if self.0.contains_key(key) {
            return false;
        }
        self.0.insert(key.to_owned(), bit);
        true
    }

    /// The object is overwritten or gone, with all of its copies.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Keys of objects with a bad copy.
    pub(super) fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Reads an object that may have a bad copy: what is to be served, and what was found. Nothing when all copies are the
    /// same.
    pub(super) fn read(&mut self, key: &str, object: &Object) -> Option<(Object, Found)> {
        let bit = self.0.remove(key)?;
        let mut served = object.clone();
        served.body = first_that_matches([flipped(&object.body, bit), object.body.clone()], &object.etag);
        Some((served, Found { bit }))
    }
}

/// The first copy whose checksum is the one that was kept when the object was written.
fn first_that_matches(copies: [Bytes; 2], checksum: &str) -> Bytes {
    let matches = |copy: &Bytes| hex::encode(Md5::digest(copy)) == checksum;
    copies.into_iter().find(matches).expect("one copy is as it was written")
}

fn flipped(body: &Bytes, bit: u64) -> Bytes {
    let mut copy = body.to_vec();
    let at = usize::try_from(bit / 8).expect("a bit lies within a body in memory");
    copy[at] ^= 1 << (bit % 8);
    Bytes::from(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_copies_the_one_that_matches_is_served() {
        let good = Bytes::from_static(b"readings");
        let checksum = hex::encode(Md5::digest(&good));
        for bit in 0..good.len() as u64 * 8 {
            let bad = flipped(&good, bit);
            assert_ne!(bad, good);
            assert_eq!(first_that_matches([bad.clone(), good.clone()], &checksum), good);
            assert_eq!(first_that_matches([good.clone(), bad], &checksum), good);
        }
    }
}
