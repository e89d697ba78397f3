//! Request rates: S3 serves at least 3,500 writes and 5,500 reads a second for each partitioned prefix and answers
//! `503 SlowDown` beyond.
//!
//! Where S3 draws the borders of its partitions, and how fast it splits them, is not published. Here a partition is a
//! bucket and the part of the key up to its last `/` (unverified), and it never gets more than the guaranteed rate.

use std::collections::BTreeMap;

use super::errors::slow_down;
use crate::core::{AwsError, Scale, TokenBucket};
use world::time::Time;

/// Which of the two rates a request counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET, HEAD and list requests.
    Read,
    /// PUT, COPY, POST and DELETE requests.
    Write,
}

/// How many prefixes are remembered before those without recent requests are forgotten.
const PREFIXES_MAX: usize = 1_024;

#[derive(Debug)]
struct Partition {
    reads: TokenBucket,
    writes: TokenBucket,
}

/// The rates of one bucket.
#[derive(Debug)]
pub(super) struct Rates {
    reads_per_second: u64,
    writes_per_second: u64,
    scale: Scale,
    partitions: BTreeMap<String, Partition>,
}

impl Rates {
    pub(super) fn new(reads_per_second: u64, writes_per_second: u64, scale: Scale) -> Self {
        Rates { reads_per_second, writes_per_second, scale, partitions: BTreeMap::new() }
    }

    /// Counts one request for `key`, or refuses it.
    pub(super) fn take(&mut self, now: Time, kind: Kind, key: &str) -> Result<(), AwsError> {
        let prefix = &key[..key.rfind('/').map_or(0, |slash| slash + 1)];
        if !self.partitions.contains_key(prefix) {
            self.forget_idle(now);
            let partition = Partition {
                reads: TokenBucket::per_second(self.reads_per_second, now).scaled(&self.scale),
                writes: TokenBucket::per_second(self.writes_per_second, now).scaled(&self.scale),
            };
            self.partitions.insert(prefix.to_owned(), partition);
        }
        let partition = self.partitions.get_mut(prefix).expect("inserted above when it was absent");
        let bucket = match kind {
            Kind::Read => &mut partition.reads,
            Kind::Write => &mut partition.writes,
        };
        if bucket.try_take(now, 1) { Ok(()) } else { Err(slow_down()) }
    }

    /// A full token bucket is the same as none.
    fn forget_idle(&mut self, now: Time) {
        if self.partitions.len() < PREFIXES_MAX {
            return;
        }
        let (reads, writes) = (self.reads_per_second, self.writes_per_second);
        self.partitions.retain(|_, p| p.reads.available(now) < reads || p.writes.available(now) < writes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_prefix_has_its_rates_and_no_other_prefix_pays_for_them() {
        let now = Time::from_unix_secs(1_000);
        let mut rates = Rates::new(5_500, 3_500, Scale::default());
        for _ in 0..3_500 {
            rates.take(now, Kind::Write, "a/b/1").unwrap();
        }
        assert_eq!(rates.take(now, Kind::Write, "a/b/2").unwrap_err().code, "SlowDown");
        rates.take(now, Kind::Write, "a/c/1").unwrap();
        rates.take(now, Kind::Read, "a/b/1").unwrap();
        rates.take(now + Duration::from_millis(1), Kind::Write, "a/b/2").unwrap();
    }

    #[test]
    fn idle_prefixes_are_forgotten() {
        let mut now = Time::from_unix_secs(1_000);
        let mut rates = Rates::new(10, 10, Scale::default());
        for n in 0..10 * PREFIXES_MAX {
            now += Duration::from_millis(1);
            rates.take(now, Kind::Read, &format!("{n}/x")).unwrap();
        }
        assert!(rates.partitions.len() <= PREFIXES_MAX, "{} prefixes", rates.partitions.len());
    }
}
