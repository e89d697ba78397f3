//! What a batch has to tell, as part of the state that it leaves: the object of its anomalies and its alerts.
//!
//! A state is stored before anything of it is told, so what is told follows from the state alone: whoever finds a state
//! whose outbox may not have been told tells it, with the same bytes under the same names, before a next state replaces
//! it. How batches are cut, how often they come and who goes on late makes no difference.

use super::alerts::Message;
use super::codec::{Cursor, put_bytes, put_count};

/// What is to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outbox {
    /// Shard and first sequence number of the readings that the state has and the one before had not: no two states have
    /// the same.
    pub id: String,
    /// Key of the object of anomalies.
    pub key: String,
    /// The object; empty when there is nothing to tell.
    pub object: Vec<u8>,
    /// The alerts.
    pub messages: Vec<Message>,
}

impl Outbox {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.object.is_empty()
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
        let mut outbox = Outbox { id, key, object: cursor.bytes()?.to_vec(), messages: Vec::new() };
        for _ in 0..cursor.count()? {
            outbox.messages.push(Message::take(cursor)?);
        }
        (!outbox.is_empty()).then_some(outbox)
    }
}
