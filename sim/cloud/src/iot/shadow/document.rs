//! The document of one shadow: its two sections, what an update makes of them, and how they differ.
//!
//! Merging: objects are merged member by member, everything else replaces what was there; `null` removes a member. An
//! object that an update empties stays as an empty one, as on AWS; where there is no object yet, one that brings nothing but
//! nulls adds nothing (as AWS's own shadow manager for Greengrass does; unverified for the cloud).

use std::collections::BTreeMap;

use super::json::{Json, Object};

/// Members of a section or of an object in it, by name.
type Members = BTreeMap<Box<str>, Node>;

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// A value that is replaced as a whole, and when it was last set: seconds since 1970.
    Value { value: Json, at: u64 },
    /// An object, whose members have their own instants.
    Object(Members),
}

/// What an update does to a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is not named.
    Keep,
    /// It is removed.
    Remove,
    /// These members are merged into it.
    Merge(Object),
}

/// State and metadata of one section, or of what is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Values.
    pub state: Json,
    /// The instants of the values, in the same shape.
    pub metadata: Json,
}

/// What a shadow holds: the desired and the reported section. A section without members is left out of every answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    desired: Members,
    reported: Members,
}

impl Document {
    /// The document after an update at `at`, in seconds since 1970.
    pub fn updated(&self, desired: &Change, reported: &Change, at: u64) -> Document {
        let mut next = self.clone();
        for (section, change) in [(&mut next.desired, desired), (&mut next.reported, reported)] {
            match change {
                Change::Keep => {}
                Change::Remove => section.clear(),
                Change::Merge(members) => merge(section, members, at),
            }
        }
        next
    }

    /// State and metadata of both sections.
    pub fn full(&self) -> Part {
        let (mut state, mut metadata) = (Object::new(), Object::new());
        for (name, section) in [("desired", &self.desired), ("reported", &self.reported)] {
            if !section.is_empty() {
                let part = part(section);
                state.insert(name.into(), part.state);
                metadata.insert(name.into(), part.metadata);
            }
        }
        Part { state: Json::Object(state), metadata: Json::Object(metadata) }
    }

    /// What is desired and not reported, if anything; with the instants at which it was desired.
    pub fn delta(&self) -> Option<Part> {
        difference(&self.desired, &self.reported)
    }

    /// Bytes of the state as compact JSON. Metadata does not count.
    pub fn size(&self) -> usize {
        self.full().state.to_bytes().len()
    }
}

fn merge(members: &mut Members, update: &Object, at: u64) {
    for (name, value) in update {
        let node = match (value, members.get_mut(name)) {
            (Json::Null, _) => None,
            (Json::Object(inner), Some(Node::Object(existing))) => {
                merge(existing, inner, at);
                continue;
            }
            (Json::Object(inner), _) => fresh(inner, at).map(Node::Object),
            (value, _) => Some(Node::Value { value: value.clone(), at }),
        };
        match node {
            Some(node) => {
                members.insert(name.clone(), node);
            }
            None => {
                members.remove(name);
            }
        }
    }
}

/// An object that is new in the document, without its nulls; nothing when it had nothing else.
fn fresh(update: &Object, at: u64) -> Option<Members> {
    let mut members = Members::new();
    merge(&mut members, update, at);
    (update.is_empty() || !members.is_empty()).then_some(members)
}

fn part(members: &Members) -> Part {
    let (mut state, mut metadata) = (Object::new(), Object::new());
    for (name, node) in members {
        let part = whole(node);
        state.insert(name.clone(), part.state);
        metadata.insert(name.clone(), part.metadata);
    }
    Part { state: Json::Object(state), metadata: Json::Object(metadata) }
}

fn whole(node: &Node) -> Part {
    match node {
        Node::Value { value, at } => Part { state: value.clone(), metadata: stamped(value, *at) },
        Node::Object(members) => part(members),
    }
}

/// The metadata of a value that was set at `at`: each leaf has its instant, items of arrays too.
pub fn stamped(value: &Json, at: u64) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.iter().map(|item| stamped(item, at)).collect()),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), stamped(value, at))).collect())
        }
        _ => Json::from([("timestamp", Json::from(at))]),
    }
}

fn difference(desired: &Members, reported: &Members) -> Option<Part> {
    let (mut state, mut metadata) = (Object::new(), Object::new());
    for (name, wanted) in desired {
        let different = match (wanted, reported.get(name)) {
            (Node::Object(wanted), Some(Node::Object(found))) => difference(wanted, found),
            (Node::Value { value, .. }, Some(Node::Value { value: found, .. })) if value.same(found) => None,
            _ => Some(whole(wanted)),
        };
        if let Some(part) = different {
            state.insert(name.clone(), part.state);
            metadata.insert(name.clone(), part.metadata);
        }
    }
    (!state.is_empty()).then_some(Part { state: Json::Object(state), metadata: Json::Object(metadata) })
}
