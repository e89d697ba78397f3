//! Keys of JSON objects: members of a struct, and keys of a map, in lower case where the deserializer folds them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};
use serde_json::Value as Json;

use super::columns::Text;

/// Up to this many keys, comparing each with each is the fastest.
const FEW_KEYS: usize = 16;

/// The index of the member that a key names.
pub(super) struct MemberKey<'n> {
    pub names: &'n [String],
    /// Producers write members in one order: this one is likely next.
    pub expected: usize,
    pub lower_case: bool,
}

fn folded(text: &str, lower_case: bool) -> Cow<'_, str> {
    if lower_case && text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

impl<'de> DeserializeSeed<'de> for MemberKey<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberKey<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        let key = folded(key, self.lower_case);
        if self.names.get(self.expected).is_some_and(|name| *name == key) {
            return Ok(Some(self.expected));
        }
        Ok(self.names.iter().position(|name| *name == key))
    }
}

/// Adds a key to the keys of a map.
pub(super) struct MapKey<'c> {
    pub keys: &'c mut Text,
    pub lower_case: bool,
}

impl<'de> DeserializeSeed<'de> for MapKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MapKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.keys.push(&folded(key, self.lower_case));
        Ok(())
    }
}

/// Whether a key comes twice from the key `first` on.
pub(super) fn has_duplicates(keys: &Text, first: usize) -> bool {
    let count = keys.len() - first;
    if count <= FEW_KEYS {
        return (first..keys.len()).any(|a| (first..a).any(|b| keys.get(a) == keys.get(b)));
    }
    let distinct: BTreeSet<&[u8]> = (first..keys.len()).map(|index| keys.get(index)).collect();
    distinct.len() < count
}

/// Keys as the deserializer sees them, at any depth.
pub(super) fn folded_keys(json: Json, lower_case: bool) -> Json {
    match json {
        Json::Object(map) if lower_case => {
            map.into_iter().map(|(key, value)| (key.to_lowercase(), folded_keys(value, true))).collect()
        }
        Json::Array(items) if lower_case => items.into_iter().map(|item| folded_keys(item, true)).collect(),
        other => other,
    }
}
