//! Sessions, and what an ARN says of a principal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::policy::Document;
use world::time::Time;

/// A session that `AssumeRole` began. Two sessions are the same when their ids are.
#[derive(Clone, Debug)]
pub struct Session {
    id: String,
    tags: BTreeMap<String, String>,
    transitive: BTreeSet<String>,
    policies: Vec<Arc<Document>>,
    issued: Time,
}

impl Session {
    /// A session that began at `issued`. `id` is unique.
    pub fn new(id: impl Into<String>, issued: Time) -> Self {
        Session { id: id.into(), tags: BTreeMap::new(), transitive: BTreeSet::new(), policies: Vec::new(), issued }
    }

    /// Gives the session tags; `transitive` names those that later sessions inherit.
    #[must_use]
    pub fn tagged(mut self, tags: BTreeMap<String, String>, transitive: BTreeSet<String>) -> Self {
        (self.tags, self.transitive) = (tags, transitive);
        self
    }

    /// Bounds the session by policies, each of which must allow.
    #[must_use]
    pub fn bounded_by(mut self, policies: Vec<Arc<Document>>) -> Self {
        self.policies = policies;
        self
    }

    /// Its unique id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its tags.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Keys of the tags that later sessions inherit.
    pub fn transitive(&self) -> &BTreeSet<String> {
        &self.transitive
    }

    pub(super) fn policies(&self) -> &[Arc<Document>] {
        &self.policies
    }

    /// When it began.
    pub fn issued(&self) -> Time {
        self.issued
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Session {}

impl PartialOrd for Session {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Session {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

/// What an ARN says of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Root { account: &'a str },
    User { account: &'a str, name: &'a str },
    Session { account: &'a str, role: &'a str, name: &'a str },
    Role { account: &'a str, name: &'a str },
    Service,
    Federated,
    Unknown,
}

/// The kind of a principal.
pub(super) fn kind(arn: &str) -> Kind<'_> {
    let Some(rest) = arn.strip_prefix("arn:aws:") else {
        return match arn {
            "cognito-identity.amazonaws.com" => Kind::Federated,
            name if name.ends_with(".amazonaws.com") => Kind::Service,
            _ => Kind::Unknown,
        };
    };
    let mut parts = rest.splitn(4, ':');
    let (service, _, account, name) =
        (parts.next().unwrap_or(""), parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let last = |path: &'static str| name.strip_prefix(path).and_then(|rest| rest.rsplit('/').next());
    match service {
        "iam" if name == "root" => Kind::Root { account },
        "iam" => match (last("user/"), last("role/")) {
            (Some(name), _) => Kind::User { account, name },
            (_, Some(name)) => Kind::Role { account, name },
            _ => Kind::Unknown,
        },
        "sts" => match name.strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/')) {
            Some((role, name)) => Kind::Session { account, role, name },
            None => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}
