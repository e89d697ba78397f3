//! How records find their shards, and how shards are split and merged.

use proptest::prelude::*;

use super::*;
use crate::core::Limits;
use crate::kinesis::reshard::uniform;
use crate::kinesis::routing::hash_key;

fn quotas() -> Quotas {
    static QUOTAS: std::sync::OnceLock<Quotas> = std::sync::OnceLock::new();
    QUOTAS.get_or_init(|| Quotas::new(&Limits::aws_defaults())).clone()
}

fn stream(shards: u32) -> Stream {
    Stream::new("s", String::new(), shards, 24, &quotas(), Time::EPOCH)
}

/// Every open shard whose range has the hash.
fn naive_owners(stream: &Stream, hash: u128) -> Vec<usize> {
    let owns = |index: &usize| {
        let Shard { range, closed, .. } = &stream.shards[*index];
        closed.is_none() && range.start <= hash && hash <= range.end
    };
    (0..stream.shards.len()).filter(owns).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_record_goes_to_the_one_open_shard_that_owns_its_key(
        shards in 1..60u32,
        targets in prop::collection::vec(1..80u32, 0..4),
        key in ".{1,64}",
        explicit: u128,
    ) {
        let mut stream = stream(shards);
        for target in targets {
            let starts: Vec<u128> = stream.open.iter().map(|(start, _)| *start).collect();
            for step in uniform(&starts, target).into_iter().flatten() {
                stream.reshard(step, &quotas(), Time::EPOCH);
            }
            prop_assert_eq!(stream.open.len(), target as usize);
        }
        let borders = stream.shards.iter().flat_map(|shard| [shard.range.start, shard.range.end]);
        let hashes: Vec<u128> = borders.chain([hash_key(&key), explicit, 0, u128::MAX]).collect();
        for hash in hashes {
            prop_assert_eq!(vec![stream.route(hash)], naive_owners(&stream, hash));
        }
    }
}

#[test]
fn a_split_where_a_shard_begins_changes_nothing_and_one_inside_makes_two_ranges() {
    let mut stream = stream(4);
    let border = stream.open[2].0;
    for at in [0, border] {
        stream.reshard(Step::Split { at }, &quotas(), Time::EPOCH);
        assert_eq!((stream.open.len(), stream.shards.len()), (4, 4), "{at}");
    }
    stream.shards[2].rate = 7;
    stream.reshard(Step::Split { at: border + 1 }, &quotas(), Time::EPOCH);
    let ranges: Vec<_> = stream.shards[4..].iter().map(|shard| (shard.range.start, shard.range.end)).collect();
    assert_eq!(ranges, [(border, border), (border + 1, stream.shards[2].range.end)]);
    assert_eq!([stream.shards[4].rate, stream.shards[5].rate], [3, 4]);
    stream.reshard(Step::Merge { at: border + 1 }, &quotas(), Time::EPOCH);
    assert_eq!((stream.shards[6].range, stream.shards[6].rate), (stream.shards[2].range, 7));
}

#[test]
fn shards_are_found_by_their_whole_id_only() {
    let stream = stream(12);
    assert_eq!(stream.shard_index("shardId-000000000011"), Some(11));
    for wrong in ["shardId-000000000012", "shardId-11", "11", "shardId-", "shardId-00000000001x"] {
        assert_eq!(stream.shard_index(wrong), None, "{wrong}");
    }
}
