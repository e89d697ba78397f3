//! `SplitShard`, `MergeShards` and `UpdateShardCount`: which shards are split and merged, and when.
//!
//! The texts of refusals are those that kinesalite recorded from AWS (`actions/splitShard.js` and others), unless they
//! say otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::entries::check_hash_key;
use super::on_demand::Mode;
use super::routing::even_ranges;
use super::stream::{Status, Stream};
use super::wire::{Checks, Text, authorized, expect_active, invalid, parse, stream_name, text};
use super::work::Work;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx};
use world::time::Time;
use world::trace::Level;

/// The window of the limit on UpdateShardCount.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SplitShardInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_to_split: Option<Text<'a>>,
    #[serde(borrow)]
    new_starting_hash_key: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MergeShardsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    shard_to_merge: Option<Text<'a>>,
    #[serde(borrow)]
    adjacent_shard_to_merge: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateShardCountInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    target_shard_count: Option<i64>,
    #[serde(borrow)]
    scaling_type: Option<Text<'a>>,
}

/// One change of the open shards, told by hash keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The open shard that owns `at` becomes two, of which the upper one begins there.
    Split {
        /// NewStartingHashKey.
        at: u128,
    },
    /// The open shard that begins at `at` and the one below it become one.
    Merge {
        /// Where the upper one begins.
        at: u128,
    },
}

/// The steps that turn open shards, given by their first hash keys, into `target` shards of equal size, in waves: those
/// of a wave take different shards and run at the same time. First all splits, then all merges, so that some shards are
/// short-lived, as AWS says; which ones AWS makes is unverified.
///
/// # Panics
/// When `target` is 0.
pub(super) fn uniform(open: &[u128], target: u32) -> Vec<Vec<Step>> {
    let mut borders: BTreeSet<u128> = open.iter().copied().collect();
    let wanted: BTreeSet<u128> =
        even_ranges(target).iter().map(|range| border_near(&borders, range.start, target)).collect();
    let mut waves = Vec::new();
    loop {
        let mut split = BTreeSet::new();
        let owner = |at: &u128| borders.range(..at).next_back().copied();
        let wave: Vec<u128> = wanted.difference(&borders).copied().filter(|at| split.insert(owner(at))).collect();
        if wave.is_empty() {
            break;
        }
        borders.extend(&wave);
        waves.push(wave.into_iter().map(|at| Step::Split { at }).collect());
    }
    loop {
        let (mut wave, mut merged) = (Vec::new(), false);
        for at in borders.iter().skip(1) {
            // A shard that has just been merged with the one below it is not free for the one above it.
            merged = !merged && !wanted.contains(at);
            if merged {
                wave.push(*at);
            }
        }
        if wave.is_empty() {
            return waves;
        }
        borders.retain(|at| !wave.contains(at));
        waves.push(wave.into_iter().map(|at| Step::Merge { at }).collect());
    }
}

/// The border that stands for `wanted`: one that is there already when the two differ by no more than what the division
/// of 2^128 leaves over, so that nobody splits off a handful of keys.
fn border_near(borders: &BTreeSet<u128>, wanted: u128, target: u32) -> u128 {
    let slack = u128::from(target);
    let near = borders.range(wanted.saturating_sub(slack)..=wanted.saturating_add(slack));
    near.copied().min_by_key(|border| border.abs_diff(wanted)).unwrap_or(wanted)
}

impl Stream {
    /// The first hash keys of the open shards, once all that was begun is done.
    fn starts_when_done(&self) -> Vec<u128> {
        let mut starts: BTreeSet<u128> = self.open.iter().map(|(start, _)| *start).collect();
        for work in &self.work {
            let Work::Reshard(steps) = work else { continue };
            for step in steps {
                match step {
                    Step::Split { at } => starts.insert(*at),
                    Step::Merge { at } => starts.remove(at),
                };
            }
        }
        starts.into_iter().collect()
    }
}

impl Kinesis {
    /// `SplitShard`.
    pub(super) fn split_shard_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: SplitShardInput<'_> = parse("SplitShard", body)?;
        let mut checks = Checks::default();
        let shard_id = checks.required(text(&input.shard_to_split), "shardToSplit").unwrap_or_default();
        let key = checks.required(text(&input.new_starting_hash_key), "newStartingHashKey").unwrap_or_default();
        check_hash_key(&mut checks, "newStartingHashKey", text(&input.new_starting_hash_key));
        checks.name(text(&input.shard_to_split), "shardToSplit");
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:SplitShard", name)?;
        let stream = self.existing(cx, name)?;
        expect_provisioned(cx, stream)?;
        let index = open_shard(cx, stream, shard_id)?;
        self.check_shard_limit(cx, 1)?;
        let stream = self.existing(cx, name)?;
        let range = stream.shards[index].range;
        let at = key.parse::<u128>().ok().filter(|at| *at > range.start.saturating_add(1) && *at < range.end);
        let at = at.ok_or_else(|| {
            invalid(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {shard_id} in stream {name} under account {} is \
                 not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey \
                 {}.",
                cx.account.id, range.start, range.end
            ))
        })?;
        expect_active(cx, stream)?;
        cx.trace.event(Level::Call, cx.now, SERVICE, "SplitShard", name, &[("shard", index.into())]);
        self.begin(cx, name, [Work::Reshard(vec![Step::Split { at }])]);
        Ok(Vec::new())
    }

    /// `MergeShards`. The shard to merge is the one with the lower hash keys.
    pub(super) fn merge_shards_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: MergeShardsInput<'_> = parse("MergeShards", body)?;
        let mut checks = Checks::default();
        let low = checks.required(text(&input.shard_to_merge), "shardToMerge").unwrap_or_default();
        let high = checks.required(text(&input.adjacent_shard_to_merge), "adjacentShardToMerge").unwrap_or_default();
        checks.name(text(&input.shard_to_merge), "shardToMerge");
        checks.name(text(&input.adjacent_shard_to_merge), "adjacentShardToMerge");
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:MergeShards", name)?;
        let stream = self.existing(cx, name)?;
        expect_provisioned(cx, stream)?;
        let [below, above] = [open_shard(cx, stream, low)?, open_shard(cx, stream, high)?];
        let at = stream.shards[above].range.start;
        if stream.shards[below].range.end.checked_add(1) != Some(at) {
            return Err(invalid(format!(
                "Shards {low} and {high} in stream {name} under account {} are not an adjacent pair of shards eligible \
                 for merging",
                cx.account.id
            )));
        }
        expect_active(cx, stream)?;
        cx.trace.event(Level::Call, cx.now, SERVICE, "MergeShards", name, &[("shard", below.into())]);
        self.begin(cx, name, [Work::Reshard(vec![Step::Merge { at }])]);
        Ok(Vec::new())
    }

    /// `UpdateShardCount`.
    pub(super) fn update_shard_count_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: UpdateShardCountInput<'_> = parse("UpdateShardCount", body)?;
        let mut checks = Checks::default();
        let target = checks.required(input.target_shard_count, "targetShardCount").unwrap_or_default();
        checks.range(input.target_shard_count, "targetShardCount", 1, i64::MAX);
        if let Some(scaling) = checks.required(text(&input.scaling_type), "scalingType") {
            let constraint = "Member must satisfy enum value set: [UNIFORM_SCALING]";
            checks.value(scaling == "UNIFORM_SCALING", scaling, "scalingType", constraint);
        }
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:UpdateShardCount", name)?;
        let stream = self.existing(cx, name)?;
        expect_provisioned(cx, stream)?;
        expect_active(cx, stream)?;
        let (arn, current) = (stream.arn.clone(), stream.open.len());
        self.update_shard_count(cx, name, u64::try_from(target).unwrap_or(u64::MAX))?;
        let answer = json!({
            "StreamName": name, "StreamARN": arn, "CurrentShardCount": current, "TargetShardCount": target,
        });
        Ok(answer.to_string().into_bytes())
    }

    /// The waves of steps that change the number of open shards once all that was begun is done, if that may be begun now.
    pub(super) fn check_shard_count(
        &mut self,
        cx: &Cx<'_>,
        name: &str,
        target: u64,
    ) -> Result<Vec<Vec<Step>>, AwsError> {
        let quotas = self.quotas(cx);
        let stream = self.existing(cx, name)?;
        let starts = stream.starts_when_done();
        let open = starts.len() as u64;
        let counts = format!("Current open shard count: {open}, Target shard count: {target}");
        let refused = |why: &str| Err(AwsError::new("LimitExceededException", format!("{why}. {counts}")));
        if target > quotas.count_target_max {
            let max = quotas.count_target_max;
            return refused(&format!("Target shard count or number of open shards cannot be greater than {max}"));
        }
        if target > open.saturating_mul(quotas.count_factor) {
            return refused("UpdateShardCount cannot scale up over double your current open shard count");
        }
        if target.saturating_mul(quotas.count_factor) < open {
            return refused("UpdateShardCount cannot scale down below half your current open shard count");
        }
        while stream.count_updates.front().is_some_and(|at| *at + DAY <= cx.now) {
            stream.count_updates.pop_front();
        }
        if stream.count_updates.len() as u64 >= quotas.count_updates_per_day {
            // The text is unverified.
            let max = quotas.count_updates_per_day;
            return refused(&format!(
                "UpdateShardCount is limited to {max} calls per rolling 24-hour period per stream"
            ));
        }
        let waves = uniform(&starts, u32::try_from(target).expect("the largest target is far below 2^32"));
        let splits = waves.iter().flatten().filter(|step| matches!(step, Step::Split { .. })).count();
        // Those of a stream that is still on demand are not counted yet.
        let uncounted = if stream.mode() == Mode::OnDemand { open } else { 0 };
        self.check_shard_limit(cx, uncounted + splits as u64)?;
        Ok(waves)
    }

    /// Begins to change the number of open shards, after what was begun before. Answers when it is done.
    pub(super) fn update_shard_count(&mut self, cx: &mut Cx<'_>, name: &str, target: u64) -> Result<Time, AwsError> {
        let waves = self.check_shard_count(cx, name, target)?;
        let stream = self.existing(cx, name)?;
        let open = stream.starts_when_done().len() as u64;
        stream.count_updates.push_back(cx.now);
        let fields = [("open", open.into()), ("target", target.into()), ("waves", waves.len().into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "UpdateShardCount", name, &fields);
        Ok(self.begin(cx, name, waves.into_iter().map(Work::Reshard)))
    }
}

/// Refuses what only the owner of provisioned shards may do, with the text that moto gives.
fn expect_provisioned(cx: &Cx<'_>, stream: &Stream) -> Result<(), AwsError> {
    if stream.mode() == Mode::Provisioned {
        return Ok(());
    }
    let (name, account) = (&stream.name, &cx.account.id);
    let message = format!("Request is invalid. Stream {name} under account {account} is in On-Demand mode.");
    Err(AwsError::new("ValidationException", message))
}

/// Index of an open shard of a stream.
fn open_shard(cx: &Cx<'_>, stream: &Stream, shard_id: &str) -> Result<usize, AwsError> {
    let (name, account) = (&stream.name, &cx.account.id);
    let index = stream.shard_index(shard_id).ok_or_else(|| {
        let message = format!("Could not find shard {shard_id} in stream {name} under account {account}.");
        AwsError::new("ResourceNotFoundException", message)
    })?;
    if stream.shards[index].closed.is_some() && stream.status != Status::Deleting {
        // The text is unverified.
        return Err(invalid(format!(
            "Shard {shard_id} in stream {name} under account {account} has already been merged or split, and thus is not \
             eligible for merging or splitting."
        )));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubling_splits_each_shard_and_halving_merges_each_pair() {
        let starts = |shards| even_ranges(shards).iter().map(|range| range.start).collect::<Vec<_>>();
        for shards in [1, 2, 3, 7, 50] {
            let up = uniform(&starts(shards), 2 * shards);
            assert_eq!(up.iter().map(Vec::len).collect::<Vec<_>>(), [shards as usize], "{shards} doubled");
            let down = uniform(&starts(2 * shards), shards);
            assert_eq!(down.iter().map(Vec::len).collect::<Vec<_>>(), [shards as usize], "{shards} halved");
            assert_eq!(uniform(&starts(shards), shards), Vec::<Vec<Step>>::new());
        }
        let third = |n: usize| even_ranges(3)[n].start;
        let expected = [
            vec![Step::Split { at: third(1) }, Step::Split { at: third(2) }],
            vec![Step::Merge { at: even_ranges(2)[1].start }],
        ];
        assert_eq!(uniform(&starts(2), 3), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn from_any_shards_the_steps_lead_to_equal_ones(
            cuts in prop::collection::btree_set(1_000..u128::MAX - 1_000, 0..40),
            target in 1..90u32,
        ) {
            let open: Vec<u128> = std::iter::once(0).chain(cuts).collect();
            let mut borders: BTreeSet<u128> = open.iter().copied().collect();
            for wave in uniform(&open, target) {
                let mut taken = BTreeSet::new();
                for step in &wave {
                    let (Step::Split { at } | Step::Merge { at }) = step;
                    let below = borders.range(..at).next_back().copied();
                    prop_assert!(below.is_some() && taken.insert(below), "a wave takes a shard once");
                    if let Step::Merge { at } = step {
                        prop_assert!(borders.contains(at) && taken.insert(Some(*at)));
                    } else {
                        prop_assert!(!borders.contains(at) && *at > below.unwrap() + 1);
                    }
                }
                for step in wave {
                    match step {
                        Step::Split { at } => borders.insert(at),
                        Step::Merge { at } => borders.remove(&at),
                    };
                }
            }
            prop_assert_eq!(borders.len(), target as usize);
            for (border, range) in borders.iter().zip(even_ranges(target)) {
                prop_assert!(border.abs_diff(range.start) <= u128::from(target));
            }
        }
    }
}
