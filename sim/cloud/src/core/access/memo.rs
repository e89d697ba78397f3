//! Decisions that were made before.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use world::time::Time;

/// Places for decisions. Two that share a place take turns.
const PLACES: usize = 4_096;

/// As many data keys are kept before those that no longer serve are dropped.
const DATA_KEYS: usize = 4_096;

/// What a decision is about: caller, session, action, resource, and the service that asks on the caller's behalf.
pub(super) type Question<'a> = [&'a str; 5];

/// A permission that was found.
#[derive(Debug)]
struct Entry {
    generation: u64,
    question: [Box<str>; 5],
}

impl Entry {
    fn answers(&self, generation: u64, question: Question<'_>) -> bool {
        self.generation == generation && self.question.iter().zip(&question).all(|(kept, asked)| **kept == **asked)
    }
}

/// Permissions that were found. Refusals are not kept: they are rare, and each has its text.
#[derive(Debug, Default)]
pub(super) struct Memo {
    generation: u64,
    places: Vec<Option<Entry>>,
    /// Permissions to use a key, by the hash of the question, each with the time until when a data key serves. They have
    /// no place that others take: when one is forgotten, KMS is called again, and calls are counted.
    data_keys: BTreeMap<u64, (Entry, Time)>,
    /// At how many data keys the old ones are dropped.
    data_keys_max: usize,
}

fn hash(question: Question<'_>) -> u64 {
    question.iter().fold(0, |seed, part| xxh3_64_with_seed(part.as_bytes(), seed))
}

fn place(question: Question<'_>) -> usize {
    usize::try_from(hash(question) % PLACES as u64).unwrap_or(0)
}

impl Memo {
    pub fn forget(&mut self) {
        self.generation += 1;
    }

    /// Whether the answer is yes. Allocates nothing.
    pub fn knows(&self, question: Question<'_>) -> bool {
        let entry = self.places.get(place(question)).and_then(Option::as_ref);
        entry.is_some_and(|entry| entry.answers(self.generation, question))
    }

    /// Remembers a yes.
    pub fn remember(&mut self, question: Question<'_>) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        self.places[place(question)] = Some(self.entry(question));
    }

    fn entry(&self, question: Question<'_>) -> Entry {
        Entry { generation: self.generation, question: question.map(Into::into) }
    }

    /// Until when the data key of a remembered permission serves. Allocates nothing.
    pub fn data_key(&mut self, question: Question<'_>) -> Option<&mut Time> {
        let generation = self.generation;
        let (entry, until) = self.data_keys.get_mut(&hash(question))?;
        entry.answers(generation, question).then_some(until)
    }

    /// Remembers the permission to use a key, and a data key.
    pub fn remember_data_key(&mut self, question: Question<'_>, now: Time, until: Time) {
        if self.data_keys.len() >= self.data_keys_max.max(DATA_KEYS) {
            let generation = self.generation;
            self.data_keys.retain(|_, (entry, until)| entry.generation == generation && *until > now);
            self.data_keys_max = 2 * self.data_keys.len();
        }
        let entry = self.entry(question);
        self.data_keys.insert(hash(question), (entry, until));
    }
}
