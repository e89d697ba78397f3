//! A stream: its state, its shards, and how a record finds its shard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::quotas::Quotas;
use super::routing::even_ranges;
use super::shard::{RateExceeded, Shard};
use crate::cloud::core::{AwsError, Cx, TokenBucket};
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// StreamStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Its shards do not exist yet.
    Creating,
    /// In use.
    Active,
    /// About to vanish.
    Deleting,
}

impl Status {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "CREATING",
            Status::Active => "ACTIVE",
            Status::Deleting => "DELETING",
        }
    }
}

/// A data stream with provisioned shards.
pub(super) struct Stream {
    /// Name.
    pub name: Arc<str>,
    /// ARN.
    pub arn: String,
    /// When it was asked for.
    pub created: Time,
    /// Status.
    pub status: Status,
    /// Retention in hours.
    pub retention_hours: u64,
    /// Shards in the order of their hash key ranges.
    pub shards: Vec<Shard>,
    /// Calls of ListShards.
    pub list_shards_calls: TokenBucket,
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
        let shards = ranges.into_iter().zip(0..).map(|(range, index)| Shard::new(index, range, quotas, now));
        Stream {
            name: name.into(),
            arn,
            created: now,
            status: Status::Active,
            retention_hours,
            shards: shards.collect(),
            list_shards_calls: TokenBucket::per_second(quotas.list_shards_calls, now),
        }
    }

    /// Records that arrived before this instant are gone.
    pub fn cutoff(&self, now: Time) -> Time {
        now - Duration::from_secs(self.retention_hours * 3_600)
    }

    /// Shards that a caller can see: none before the stream is active.
    pub fn visible_shards(&self) -> &[Shard] {
        if self.status == Status::Creating { &[] } else { &self.shards }
    }

    /// Index of the shard that owns `hash`.
    pub fn route(&self, hash: u128) -> usize {
        self.shards.partition_point(|shard| shard.range.start <= hash) - 1
    }

    /// Index of the shard with this id, if the stream has it.
    pub fn shard_index(&self, shard_id: &str) -> Option<usize> {
        let index: usize = shard_id.strip_prefix("shardId-")?.parse().ok()?;
        self.visible_shards().get(index).is_some_and(|shard| &*shard.id == shard_id).then_some(index)
    }

    /// Puts a record into the shard that owns `hash`. A refusal names the shard by its index.
    pub fn put(&mut self, cx: &Cx<'_>, hash: u128, key: &str, data: Bytes) -> Result<Accepted, (usize, RateExceeded)> {
        let index = self.route(hash);
        let cutoff = self.cutoff(cx.now);
        let shard = &mut self.shards[index];
        shard.log.trim(cutoff);
        let offset = shard.put(cx.now, key, data.clone()).map_err(|refused| (index, refused))?;
        let fields =
            [("shard", index.into()), ("offset", offset.into()), ("key", key.into()), ("data", Field::Bytes(&data))];
        cx.trace.event(Level::Message, cx.now, "kinesis", "record", &self.name, &fields);
        Ok(Accepted { shard: index, sequence: shard.sequence(offset, cx.now) })
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cloud::core::Limits;
    use crate::cloud::kinesis::routing::hash_key;

    fn stream(shards: u32) -> Stream {
        Stream::new("s", String::new(), shards, 24, &Quotas::new(&Limits::aws_defaults()), Time::EPOCH)
    }

    /// Every shard whose range has the hash.
    fn naive_owners(stream: &Stream, hash: u128) -> Vec<usize> {
        let owns = |index: &usize| {
            let range = stream.shards[*index].range;
            range.start <= hash && hash <= range.end
        };
        (0..stream.shards.len()).filter(owns).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_record_goes_to_the_one_shard_that_owns_its_key(shards in 1..60u32, key in ".{1,64}", explicit: u128) {
            let stream = stream(shards);
            let borders = stream.shards.iter().flat_map(|shard| [shard.range.start, shard.range.end]);
            let hashes: Vec<u128> = borders.chain([hash_key(&key), explicit, 0, u128::MAX]).collect();
            for hash in hashes {
                prop_assert_eq!(vec![stream.route(hash)], naive_owners(&stream, hash));
            }
        }
    }

    #[test]
    fn shards_are_found_by_their_whole_id_only() {
        let stream = stream(12);
        assert_eq!(stream.shard_index("shardId-000000000011"), Some(11));
        for wrong in ["shardId-000000000012", "shardId-11", "11", "shardId-", "shardId-00000000001x"] {
            assert_eq!(stream.shard_index(wrong), None, "{wrong}");
        }
    }
}
