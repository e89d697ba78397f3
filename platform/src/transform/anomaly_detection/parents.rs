//! The parents of a shard. The event does not tell them: Kinesis is asked, once in the life of a shard, when the shard has
//! no state yet.
//!
//! A parent is read to its end before its children, so its state is its last. A parent that had no batch has no state:
//! then its own parents are looked at. Where nothing is left, the shard begins with an empty state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::SystemTime;

use aws_sdk_kinesis::types::Shard;
use md5::{Digest as _, Md5};

use crate::calls::{CallError, Clock};

/// Hash keys of a shard.
pub(super) type Hashes = RangeInclusive<u128>;

/// All hash keys.
const ALL: Hashes = 0..=u128::MAX;

/// The hash key of a device: the partition key of its readings is its id.
pub(super) fn hash_key(device: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(device).into())
}

/// The shards of streams.
#[derive(Debug)]
pub(super) struct Shards {
    client: aws_sdk_kinesis::Client,
    clock: Clock,
}

/// A shard, as far as its descent goes.
#[derive(Debug)]
struct Node {
    parents: Vec<String>,
    hashes: Hashes,
}

/// The shards of one stream that Kinesis still knows.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<String, Node>);

/// Walks from a shard to its parents, and from those to theirs where it is told to.
#[derive(Debug)]
pub(super) struct Walk<'t> {
    tree: &'t Tree,
    open: Vec<(String, Hashes)>,
    seen: BTreeSet<String>,
}

impl Shards {
    pub fn new(client: aws_sdk_kinesis::Client, clock: Clock) -> Self {
        Shards { client, clock }
    }

    /// The shards of a stream, closed ones included.
    pub async fn of(&self, stream: &str, deadline: SystemTime) -> Result<Tree, CallError> {
        let (mut tree, mut token) = (Tree::default(), None::<String>);
        loop {
            let list = || {
                let list = self.client.list_shards();
                // Whoever goes on names no stream.
                match &token {
                    Some(token) => list.next_token(token),
                    None => list.stream_name(stream),
                }
                .send()
            };
            let page = self.clock.call_again(deadline, list).await?;
            tree.0.extend(page.shards().iter().filter_map(node));
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(tree);
            }
        }
    }
}

fn node(shard: &Shard) -> Option<(String, Node)> {
    let range = shard.hash_key_range()?;
    let hashes = range.starting_hash_key().parse().ok()?..=range.ending_hash_key().parse().ok()?;
    let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    let parents = parents.into_iter().flatten().map(str::to_owned).collect();
    Some((shard.shard_id().to_owned(), Node { parents, hashes }))
}

impl Tree {
    /// Begins at a shard.
    pub fn walk<'t>(&'t self, shard_id: &str) -> Walk<'t> {
        let mut walk = Walk { tree: self, open: Vec::new(), seen: BTreeSet::new() };
        walk.parents_of(shard_id, &ALL);
        walk
    }
}

impl Walk<'_> {
    /// The next shard to look at, and the hash keys that are taken over from it.
    pub fn next(&mut self) -> Option<(String, Hashes)> {
        self.open.pop()
    }

    /// Has the parents of a shard looked at as well, for the hash keys that would have been taken over from it.
    pub fn parents_of(&mut self, shard_id: &str, hashes: &Hashes) {
        let Some(node) = self.tree.0.get(shard_id) else { return };
        let hashes = *hashes.start().max(node.hashes.start())..=*hashes.end().min(node.hashes.end());
        for parent in &node.parents {
            // Two parents may have one of their own: what either would have of it is another part.
            if self.seen.insert(format!("{parent} {hashes:?}")) {
                self.open.push((parent.clone(), hashes.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(shards: &[(&str, &[&str], Hashes)]) -> Tree {
        let node = |(id, parents, hashes): &(&str, &[&str], Hashes)| {
            let parents = parents.iter().map(|id| (*id).to_owned()).collect();
            ((*id).to_owned(), Node { parents, hashes: hashes.clone() })
        };
        Tree(shards.iter().map(node).collect())
    }

    /// What is taken over when the shards in `without` have no state.
    fn taken(tree: &Tree, shard: &str, without: &[&str]) -> Vec<(String, Hashes)> {
        let (mut walk, mut taken) = (tree.walk(shard), Vec::new());
        while let Some((id, hashes)) = walk.next() {
            if without.contains(&&*id) {
                walk.parents_of(&id, &hashes);
            } else {
                taken.push((id, hashes));
            }
        }
        taken.sort_by_key(|(id, hashes)| (id.clone(), *hashes.start()));
        taken
    }

    #[test]
    fn a_device_has_the_hash_key_of_its_id() {
        // RFC 1321, A.5.
        assert_eq!(hash_key("abc"), 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72);
    }

    #[test]
    fn a_shard_takes_over_its_part_of_its_parents_or_of_theirs() {
        // 0 was split into 1 and 2, these were merged to 3; 4 has parents that Kinesis does not list any more.
        let tree = tree(&[
            ("0", &[], 0..=99),
            ("1", &["0"], 0..=49),
            ("2", &["0"], 50..=99),
            ("3", &["1", "2"], 0..=99),
            ("4", &["gone"], 100..=109),
        ]);
        let of = |parts: &[(&str, Hashes)]| -> Vec<(String, Hashes)> {
            parts.iter().map(|(id, hashes)| ((*id).to_owned(), hashes.clone())).collect()
        };
        assert_eq!(taken(&tree, "0", &[]), []);
        assert_eq!(taken(&tree, "1", &[]), of(&[("0", 0..=49)]));
        assert_eq!(taken(&tree, "3", &[]), of(&[("1", 0..=99), ("2", 0..=99)]));
        assert_eq!(taken(&tree, "3", &["2"]), of(&[("0", 50..=99), ("1", 0..=99)]));
        assert_eq!(taken(&tree, "3", &["1", "2"]), of(&[("0", 0..=49), ("0", 50..=99)]));
        assert_eq!(taken(&tree, "3", &["0", "1", "2"]), []);
        assert_eq!(taken(&tree, "4", &[]), of(&[("gone", 100..=109)]));
        assert_eq!(taken(&tree, "unknown", &[]), []);
    }
}
