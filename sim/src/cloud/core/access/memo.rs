//! Decisions that were made before.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::world::time::Time;

/// Places for decisions. Two that share a place take turns.
const PLACES: usize = 4_096;

/// What a decision is about: caller, session, action, resource, and the service that asks on the caller's behalf.
pub(super) type Question<'a> = [&'a str; 5];

#[derive(Debug)]
struct Entry {
    generation: u64,
    question: [Box<str>; 5],
    /// Until when a data key that belongs to the decision serves.
    until: Time,
}

/// Permissions that were found. Refusals are not kept: they are rare, and each has its text.
#[derive(Debug, Default)]
pub(super) struct Memo {
    generation: u64,
    places: Vec<Option<Entry>>,
}

fn place(question: Question<'_>) -> usize {
    let hash = question.iter().fold(0, |seed, part| xxh3_64_with_seed(part.as_bytes(), seed));
    usize::try_from(hash % PLACES as u64).unwrap_or(0)
}

impl Memo {
    pub fn forget(&mut self) {
        self.generation += 1;
    }

    fn find(&mut self, question: Question<'_>) -> Option<&mut Entry> {
        let entry = self.places.get_mut(place(question))?.as_mut()?;
        let same = |(kept, asked): (&str, &&str)| kept == *asked;
        let kept = entry.question.iter().map(|part| &**part);
        (entry.generation == self.generation && kept.zip(&question).all(same)).then_some(entry)
    }

    /// Whether the answer is yes. Allocates nothing.
    pub fn knows(&mut self, question: Question<'_>) -> bool {
        self.find(question).is_some()
    }

    /// Until when the data key of a remembered decision serves.
    pub fn until(&mut self, question: Question<'_>) -> Option<&mut Time> {
        self.find(question).map(|entry| &mut entry.until)
    }

    /// Remembers a yes.
    pub fn remember(&mut self, question: Question<'_>, until: Time) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let entry = Entry { generation: self.generation, question: question.map(Into::into), until };
        self.places[place(question)] = Some(entry);
    }
}
