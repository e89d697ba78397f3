//! The messages that a topic has taken, for whoever wants to know what its subscribers would have been told.

use std::collections::BTreeMap;

use world::time::Time;

/// Most bytes of messages that a topic keeps: some hundred thousand alerts. It is a bound of the simulator, not of AWS.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// A message as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When the topic took it.
    pub at: Time,
    /// Subject, when it has one.
    pub subject: Option<String>,
    /// Body.
    pub message: String,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// An attribute of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Type, such as `String.Array`.
    pub kind: String,
    /// Value; base64 of a binary one.
    pub value: String,
}

/// Messages in the order in which the topic took them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    kept: Vec<Published>,
    bytes: usize,
    more: u64,
}

impl Published {
    fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, Attribute { kind, value })| [name, kind, value]);
        let texts = attributes.flatten().chain([&self.message]).chain(&self.subject);
        texts.map(String::len).sum()
    }
}

impl Messages {
    /// Takes one. What does not fit is counted.
    pub(super) fn push(&mut self, published: Published) {
        self.push_up_to(published, KEPT_BYTES_MAX);
    }

    fn push_up_to(&mut self, published: Published, bytes_max: usize) {
        let bytes = self.bytes + published.bytes();
        // Once one was left out, all that follow are: what is kept is the beginning.
        if bytes > bytes_max || self.more > 0 {
            self.more += 1;
        } else {
            self.bytes = bytes;
            self.kept.push(published);
        }
    }

    /// The first ones.
    pub fn kept(&self) -> &[Published] {
        &self.kept
    }

    /// How many came after those, and were not kept.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.kept.len() as u64 + self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_and_the_rest_is_counted() {
        let attributes =
            BTreeMap::from([("a".to_owned(), Attribute { kind: "bc".to_owned(), value: "def".to_owned() })]);
        let message = |bytes| Published {
            at: Time::EPOCH,
            subject: Some("xy".to_owned()),
            message: "x".repeat(bytes),
            attributes: attributes.clone(),
        };
        let mut messages = Messages::default();
        for bytes in [12, 13, 100, 1] {
            messages.push_up_to(message(bytes), 41);
        }
        assert_eq!((messages.kept(), messages.more(), messages.count()), (&[message(12), message(13)][..], 2, 4));
    }
}
