//! What decisions on permissions need to know of the account: its identities with their policies, its keys, and the
//! decisions that were made before.
//!
//! IAM and KMS write here; every service asks here, by way of `Cx::authorize` and `Cx::use_key`. A decision that depends on
//! nothing but caller, action and resource is remembered until any policy changes: the hot path is one look-up without an
//! allocation.

mod denials;
mod keys;
mod memo;
mod principal;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use denials::{Denial, Denials};
pub use keys::{Key, KeyState, KeyUse, Keys};
use memo::Memo;
pub use principal::Session;
pub use refusal::{access_denied, is_denial, key_refused};

use super::cx::{AccountInfo, Principal};
use super::error::AwsError;
use super::policy::{Answer, Caller, Denied, Document, Kind, Policies, Request};
use world::time::Time;

/// A user or a role.
#[derive(Clone, Debug)]
pub struct Identity {
    /// ARN.
    pub arn: String,
    /// Unique id: `AIDA…` or `AROA…`.
    pub id: String,
    /// Inline and managed policies.
    pub policies: Vec<Arc<Document>>,
    /// Permissions boundary.
    pub boundary: Option<Arc<Document>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A question about permission.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// When.
    pub now: Time,
    /// The account that is asked.
    pub account: &'a AccountInfo,
    /// Who asks.
    pub caller: &'a Principal,
    /// Such as `kinesis:PutRecord`.
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// Keys that the service gives.
    pub context: &'a [(&'a str, &'a str)],
}

/// The policy of a resource, as far as it bears on a question.
#[derive(Clone, Copy, Debug)]
pub struct ResourcePolicy<'a> {
    /// The document.
    pub document: &'a Document,
    /// [`Kind::Resource`] or [`Kind::Trust`].
    pub kind: Kind,
    /// Whether it must allow by itself: that of a role, that of a key.
    pub must_allow: bool,
}

impl<'a> ResourcePolicy<'a> {
    /// A policy that can allow beside those of the caller: of a bucket, a topic, a function.
    pub fn beside(document: &'a Document) -> Self {
        ResourcePolicy { document, kind: Kind::Resource, must_allow: false }
    }
}

/// See the head of this module.
#[derive(Debug)]
pub struct Access {
    enforced: bool,
    users: BTreeMap<String, Identity>,
    roles: BTreeMap<String, Identity>,
    /// The keys of the account.
    pub keys: Keys,
    memo: Memo,
    denials: Denials,
    /// Evaluations of policies so far.
    #[cfg(test)]
    evaluations: std::cell::Cell<u64>,
}

/// Whether the resource is an object of S3. There are more of them than decisions can be remembered.
fn is_object(resource: &str) -> bool {
    resource.strip_prefix("arn:aws:s3:::").is_some_and(|rest| rest.contains('/'))
}

impl Default for Access {
    fn default() -> Self {
        Access::unenforced()
    }
}

impl Access {
    /// An account whose permissions are enforced.
    pub fn enforced() -> Self {
        Access { enforced: true, ..Access::unenforced() }
    }

    /// What was denied so far.
    pub fn denials(&self) -> &Denials {
        &self.denials
    }

    /// Whether something that is allowed now had been denied before.
    pub(super) fn is_allowed_again(&mut self, principal: &str, action: &str, resource: &str) -> bool {
        self.denials.is_allowed_again(principal, action, resource)
    }

    /// Remembers a denial.
    pub(super) fn refused(&mut self, now: Time, principal: &str, action: &str, resource: &str, error: &AwsError) {
        self.denials.add(now, principal, action, resource, &error.message);
    }

    /// A service that is tested alone, without the identities of an account: everything is allowed.
    pub fn unenforced() -> Self {
        Access {
            enforced: false,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
            keys: Keys::default(),
            denials: Denials::default(),
            memo: Memo::default(),
            #[cfg(test)]
            evaluations: std::cell::Cell::default(),
        }
    }

    /// Forgets decisions, because a policy or a key has changed.
    pub fn changed(&mut self) {
        self.memo.forget();
    }

    /// Makes a role known, or changes it.
    pub fn put_role(&mut self, name: &str, role: Identity) {
        self.roles.insert(name.to_owned(), role);
        self.changed();
    }

    /// Forgets a role. Its sessions may do nothing any more.
    pub fn remove_role(&mut self, name: &str) {
        self.roles.remove(name);
        self.changed();
    }

    /// Makes a user known, or changes it.
    pub fn put_user(&mut self, name: &str, user: Identity) {
        self.users.insert(name.to_owned(), user);
        self.changed();
    }

    /// Forgets a user.
    pub fn remove_user(&mut self, name: &str) {
        self.users.remove(name);
        self.changed();
    }

    /// A role by its name.
    pub fn role(&self, name: &str) -> Option<&Identity> {
        self.roles.get(name)
    }

    /// The user or role that stands behind a principal.
    fn identity(&self, caller: &Principal) -> Option<&Identity> {
        match principal::kind(&caller.arn) {
            principal::Kind::User { name, .. } => self.users.get(name).filter(|user| user.arn == caller.arn),
            principal::Kind::Session { role, .. } => self.roles.get(role),
            principal::Kind::Role { name, .. } => self.roles.get(name).filter(|role| role.arn == caller.arn),
            _ => None,
        }
    }

    /// The unique id of a principal, as `GetCallerIdentity` and `aws:userid` give it.
    pub fn user_id(&self, caller: &Principal) -> String {
        match (principal::kind(&caller.arn), self.identity(caller)) {
            (principal::Kind::Root { account }, _) => account.to_owned(),
            (principal::Kind::Session { name, .. }, Some(role)) => format!("{}:{name}", role.id),
            (_, Some(identity)) => identity.id.clone(),
            _ => String::new(),
        }
    }

    /// Decides a question.
    pub fn decide(&mut self, ask: &Ask<'_>, policy: Option<ResourcePolicy<'_>>) -> Result<(), Denied> {
        if !self.enforced {
            return Ok(());
        }
        let session = ask.caller.session.as_deref().map_or("", Session::id);
        let question = [ask.caller.arn.as_str(), session, ask.action, ask.resource, ""];
        let memorable = !is_object(ask.resource) && !ask.context.iter().any(|(key, _)| key.starts_with("aws:"));
        if memorable && self.memo.knows(question) {
            return Ok(());
        }
        let answer = self.evaluate(ask, policy);
        if memorable && answer.is_lasting && answer.decision.is_ok() {
            self.memo.remember(question);
        }
        answer.decision
    }

    /// Decides without looking at or adding to what is remembered.
    fn evaluate(&self, ask: &Ask<'_>, policy: Option<ResourcePolicy<'_>>) -> Answer {
        #[cfg(test)]
        self.evaluations.update(|count| count + 1);
        let none = BTreeMap::new();
        let identity = self.identity(ask.caller);
        let arn = ask.caller.arn.as_str();
        let kind = principal::kind(arn);
        let caller = match (kind, identity) {
            (principal::Kind::Root { account }, _) => Caller::Root { account },
            (principal::Kind::User { account, .. }, Some(_)) => Caller::User { account, arn },
            (principal::Kind::Session { account, .. }, Some(role)) => {
                Caller::Role { account, arn: &role.arn, session: Some(arn) }
            }
            (principal::Kind::Role { account, .. }, Some(role)) => {
                Caller::Role { account, arn: &role.arn, session: None }
            }
            (principal::Kind::Service, _) => Caller::Service(arn),
            (principal::Kind::Federated, _) => Caller::Federated(arn),
            // Whoever is not known any more has no permission at all.
            _ => return Answer { decision: Err(Denied::Implicitly(Kind::Identity)), is_lasting: false },
        };
        let session = ask.caller.session.as_deref();
        let user_id = self.user_id(ask.caller);
        let policies: Vec<&Document> =
            identity.map_or_else(Vec::new, |identity| identity.policies.iter().map(|policy| &**policy).collect());
        let of_session: Vec<&Document> =
            session.map_or_else(Vec::new, |session| session.policies().iter().map(|policy| &**policy).collect());
        let request = Request {
            now: ask.now,
            region: &ask.account.region,
            account: &ask.account.id,
            caller,
            user_id: &user_id,
            tags: identity.map_or(&none, |identity| &identity.tags),
            session_tags: session.map_or(&none, Session::tags),
            issued: session.map(Session::issued),
            action: ask.action,
            resource: ask.resource,
            context: ask.context,
        };
        request.evaluate(&Policies {
            identity: &policies,
            boundary: identity.and_then(|identity| identity.boundary.as_deref()),
            session: &of_session,
            resource: policy.map(|policy| policy.document),
            resource_kind: policy.map_or(Kind::Resource, |policy| policy.kind),
            resource_must_allow: policy.is_some_and(|policy| policy.must_allow),
        })
    }

    /// Decides a question; a refusal is AWS's error in the form of the action's service.
    pub fn authorize(&mut self, ask: &Ask<'_>, policy: Option<ResourcePolicy<'_>>) -> Result<(), super::AwsError> {
        self.decide(ask, policy)
            .map_err(|denied| access_denied(ask.action, denied.message(&ask.caller.arn, ask.action, ask.resource)))
    }
}
