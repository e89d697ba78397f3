//! Topic filters of subscriptions and of rules, found in time that depends on the depth of the topic and not on their
//! number.

use std::collections::BTreeMap;

/// Topic filters: whose they are (a connection, a rule), and with which QoS (rules have none: 0).
#[derive(Debug, Default)]
pub(super) struct FilterTrie {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    levels: BTreeMap<Box<str>, Node>,
    /// Filters that end at this level.
    here: BTreeMap<u64, u8>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.here.is_empty()
    }

    fn remove(&mut self, levels: &[&str], owner: u64) -> bool {
        let Some((first, rest)) = levels.split_first() else {
            return self.here.remove(&owner).is_some();
        };
        let Some(next) = self.levels.get_mut(*first) else { return false };
        let removed = next.remove(rest, owner);
        if next.is_empty() {
            self.levels.remove(*first);
        }
        removed
    }

    fn matching(&self, topic: &[&str], found: &mut BTreeMap<u64, u8>) {
        let Some((first, rest)) = topic.split_first() else {
            return add(&self.here, found);
        };
        // `#` stands for one level or more: on AWS it does not match the parent.
        if let Some(rest_of_topic) = self.levels.get("#") {
            add(&rest_of_topic.here, found);
        }
        for level in ["+", first] {
            if let Some(next) = self.levels.get(level) {
                next.matching(rest, found);
            }
        }
    }
}

fn add(owners: &BTreeMap<u64, u8>, found: &mut BTreeMap<u64, u8>) {
    for (owner, qos) in owners {
        let granted = found.entry(*owner).or_insert(*qos);
        *granted = (*granted).max(*qos);
    }
}

impl FilterTrie {
    /// Adds a filter, or changes its QoS.
    pub(super) fn insert(&mut self, filter: &str, owner: u64, qos: u8) {
        let node = filter.split('/').fold(&mut self.root, |node, level| {
            if !node.levels.contains_key(level) {
                node.levels.insert(level.into(), Node::default());
            }
            node.levels.get_mut(level).expect("it was inserted just now")
        });
        self.count += usize::from(node.here.insert(owner, qos).is_none());
    }

    /// Removes a filter.
    pub(super) fn remove(&mut self, filter: &str, owner: u64) {
        let levels: Vec<&str> = filter.split('/').collect();
        self.count -= usize::from(self.root.remove(&levels, owner));
    }

    /// Adds to `found` whose filters match a topic with these levels, with the highest QoS of each. No wildcard stands for
    /// the first level of a reserved topic, which begins with `$` (MQTT 3.1.1, section 4.7.2).
    pub(super) fn matching(&self, topic: &[&str], found: &mut BTreeMap<u64, u8>) {
        match topic.split_first() {
            Some((first, rest)) if first.starts_with('$') => {
                if let Some(node) = self.root.levels.get(*first) {
                    node.matching(rest, found);
                }
            }
            _ => self.root.matching(topic, found),
        }
    }

    /// Number of filters.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::iot::topic::Filter;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_trie_agrees_with_matching_each_filter(
            filters in proptest::collection::vec(("([ab+](/[ab+]){0,2}(/#)?|#)", 0..4_u64, 0..2_u8), 0..12),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            topic in "[ab](/[ab]?){0,3}",
        ) {
            let mut trie = FilterTrie::default();
            let mut plain: BTreeMap<(String, u64), u8> = BTreeMap::new();
            for (filter, connection, qos) in &filters {
                trie.insert(filter, *connection, *qos);
                plain.insert((filter.clone(), *connection), *qos);
            }
            for index in removed.iter().filter(|_| !filters.is_empty()) {
                let (filter, connection, _) = index.get(&filters);
                trie.remove(filter, *connection);
                plain.remove(&(filter.clone(), *connection));
            }
            let levels: Vec<&str> = topic.split('/').collect();
            let mut expected: BTreeMap<u64, u8> = BTreeMap::new();
            for ((filter, connection), qos) in &plain {
                if Filter::parse(filter).unwrap().matches(&levels) {
                    let granted = expected.entry(*connection).or_default();
                    *granted = (*granted).max(*qos);
                }
            }
            let mut found = BTreeMap::new();
            trie.matching(&levels, &mut found);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(trie.len(), plain.len());
        }
    }
}
