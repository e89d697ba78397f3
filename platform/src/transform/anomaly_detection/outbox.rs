//! What a batch has to tell, as part of the state that it leaves: the object of its anomalies, and messages with alerts.
//!
//! A state is stored before anything of it is told, so what is told follows from the state alone: whoever finds a state
//! writes the object of its outbox, with the same bytes under the same name, before a next state replaces it. How batches
//! are cut, how often they come and who goes on late makes no difference.
//!
//! Messages wait for nobody, and a batch waits for them some seconds at most: those that could not be sent yet go on into
//! the outbox of the next state, the oldest first, at most [`CARRIED_MAX`] of at most [`CARRIED_BYTES_MAX`]. What does not fit is dropped, the
//! oldest first, and counted.

use super::alerts::Message;
use super::codec::{Cursor, put_bytes, put_count};
use super::metrics::Counts;
use crate::digest;

/// Most messages that go on from one state to the next.
const CARRIED_MAX: usize = 200;
/// Most bytes of them.
const CARRIED_BYTES_MAX: usize = 1 << 20;

/// What is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outbox {
    /// Shard and first sequence number of the readings that the state has and the one before had not: no two states have
    /// the same.
    pub id: String,
    /// Key of the object of anomalies.
    pub key: String,
    /// The object; empty when there are no anomalies, and then `id` and `key` are, too.
    pub object: Vec<u8>,
    /// What is counted when the object is written.
    pub counts: Counts,
    /// The alerts; those come first that were left by states before.
    pub messages: Vec<Message>,
}

impl Outbox {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.object.is_empty() && self.messages.is_empty()
    }

    /// Takes over the messages that states before have left, as far as they fit.
    pub fn go_on_with(&mut self, left: Vec<Message>) {
        let mut carried: Vec<Message> = Vec::new();
        let mut bytes = 0;
        for message in left.into_iter().rev() {
            // Two parents may have the same of their parent.
            if carried.contains(&message) {
                continue;
            }
            bytes += message.bytes();
            if carried.len() < CARRIED_MAX && bytes <= CARRIED_BYTES_MAX {
                carried.push(message);
            } else {
                self.counts.dropped += message.alerts;
            }
        }
        carried.reverse();
        self.messages.splice(..0, carried);
    }

    /// A hash of everything in it.
    pub fn hash(&self) -> String {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        digest::sha256_hex(bytes)
    }

    /// Appends it.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(!self.is_empty()));
        if self.is_empty() {
            return;
        }
        for part in [self.id.as_bytes(), self.key.as_bytes(), &self.object] {
            put_bytes(bytes, part);
        }
        self.counts.put(bytes);
        put_count(bytes, self.messages.len());
        for message in &self.messages {
            message.put(bytes);
        }
    }

    /// Reads what [`Self::put`] wrote.
    pub fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        match cursor.byte()? {
            0 => return Some(Outbox::default()),
            1 => {}
            _ => return None,
        }
        let (id, key) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
        let object = cursor.bytes()?.to_vec();
        let mut outbox = Outbox { id, key, object, counts: Counts::take(cursor)?, messages: Vec::new() };
        for _ in 0..cursor.count()? {
            outbox.messages.push(Message::take(cursor)?);
        }
        (!outbox.is_empty()).then_some(outbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, body_bytes: usize) -> Message {
        let text = String::new;
        let body = name.to_owned() + &"x".repeat(body_bytes.saturating_sub(name.len()));
        Message { subject: text(), body, tenant: text(), devices: text(), kinds: text(), severity: text(), alerts: 2 }
    }

    #[test]
    fn what_is_left_comes_first_and_the_oldest_is_dropped_where_it_does_not_fit() {
        let mut outbox = Outbox { messages: vec![message("new", 5)], ..Outbox::default() };
        let many: Vec<Message> = (0..CARRIED_MAX + 3).map(|n| message(&format!("{n}-"), 5)).collect();
        outbox.go_on_with(many.clone());
        assert_eq!(outbox.messages[..CARRIED_MAX], many[3..]);
        assert_eq!((outbox.messages.len(), &*outbox.messages[CARRIED_MAX].body), (CARRIED_MAX + 1, "newxx"));
        assert_eq!(outbox.counts, Counts { dropped: 6, ..Counts::default() });
        let mut outbox = Outbox::default();
        let large: Vec<Message> = (0..5).map(|n| message(&n.to_string(), CARRIED_BYTES_MAX / 4 + 1)).collect();
        outbox.go_on_with(large.clone());
        assert_eq!((&outbox.messages[..], outbox.counts.dropped), (&large[2..], 4));
        let mut outbox = Outbox::default();
        outbox.go_on_with(vec![message("a", 1), message("b", 1), message("a", 1)]);
        assert_eq!((outbox.messages.len(), outbox.counts.dropped), (2, 0), "the same message goes on once");
    }

    #[test]
    fn outboxes_with_other_contents_have_other_hashes() {
        let outbox =
            Outbox { id: "i".to_owned(), object: vec![1], messages: vec![message("a", 1)], ..Outbox::default() };
        assert_eq!(outbox.hash(), outbox.clone().hash());
        let others = [
            Outbox { object: vec![2], ..outbox.clone() },
            Outbox { messages: vec![message("b", 1)], ..outbox.clone() },
            Outbox { messages: Vec::new(), ..outbox.clone() },
        ];
        assert!(others.iter().all(|other| other.hash() != outbox.hash()));
    }
}
