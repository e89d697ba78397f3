//! Access keys of the account, and whom they stand for.

use std::collections::BTreeMap;

use crate::core::Principal;
use world::time::Time;

/// A key pair and its principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `AKIA…` for users, `ASIA…` for sessions of a role.
    pub access_key_id: String,
    /// The secret that signs.
    pub secret_access_key: String,
    /// Present for sessions.
    pub session_token: Option<String>,
    /// When a session ends.
    pub expires: Option<Time>,
    /// Whom the key stands for.
    pub principal: Principal,
}

/// All keys of the account, by access key id.
#[derive(Clone, Debug, Default)]
pub struct Credentials(BTreeMap<String, Credential>);

impl Credentials {
    /// Adds a key. A key with the same id is replaced.
    pub fn insert(&mut self, credential: Credential) {
        self.0.insert(credential.access_key_id.clone(), credential);
    }

    /// The key with this id.
    pub fn get(&self, access_key_id: &str) -> Option<&Credential> {
        self.0.get(access_key_id)
    }
}
