//! What has been replayed: an object beside each object of the quarantine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::object::Kept;

/// Prefix of the objects.
pub(super) const PREFIX: &str = "replayed/";

/// What was replayed of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// When a record was replayed last, by shard and sequence number: `2026-03-01T00:20:00Z`.
    pub replayed: BTreeMap<String, String>,
}

impl Marker {
    /// The key of the marker of an object.
    pub fn key(object: &str) -> String {
        format!("{PREFIX}{object}")
    }

    /// The name of a record in it.
    pub fn name(kept: &Kept) -> String {
        format!("{}:{}", kept.shard_id, kept.sequence_number)
    }

    /// The body of its object.
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are valid JSON")
    }
}
