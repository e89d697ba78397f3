//! The decision: which policies apply, and what they say together, in one account.
//!
//! Source: "Evaluation, one account" and "Statement matching" of the AWS facts on IAM.

use super::condition::Lookup;
use super::document::{Document, Listed, PrincipalPattern, Statement};
use super::pattern::{matches, matches_arn};

/// Kinds of policies, as AWS names them in refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a user or role.
    Identity,
    /// Of the resource.
    Resource,
    /// The permissions boundary.
    Boundary,
    /// Passed when a session began.
    Session,
    /// Who may assume a role.
    Trust,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Identity => "identity-based policy",
            Kind::Resource => "resource-based policy",
            Kind::Boundary => "permissions boundary",
            Kind::Session => "session policy",
            Kind::Trust => "role trust policy",
        }
    }
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No policy of this kind allows it.
    Implicitly(Kind),
    /// A policy of this kind denies it.
    Explicitly(Kind),
}

impl Denied {
    /// AWS's text.
    pub fn message(self, principal: &str, action: &str, resource: &str) -> String {
        let why = match self {
            Denied::Implicitly(kind) => format!("because no {} allows the {action} action", kind.name()),
            Denied::Explicitly(kind) => {
                let article = if kind == Kind::Identity { "an" } else { "a" };
                format!("with an explicit deny in {article} {}", kind.name())
            }
        };
        let on = if resource == "*" { String::new() } else { format!(" on resource: {resource}") };
        format!("User: {principal} is not authorized to perform: {action}{on} {why}")
    }
}

/// Who asks, as policies of resources see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// The root of an account.
    Root {
        /// The account.
        account: &'a str,
    },
    /// A user.
    User {
        /// The account.
        account: &'a str,
        /// The user's ARN.
        arn: &'a str,
    },
    /// A role: one of its sessions, or a service that acts in it.
    Role {
        /// The account.
        account: &'a str,
        /// The role's ARN.
        arn: &'a str,
        /// The session's ARN.
        session: Option<&'a str>,
    },
    /// A service in its own name.
    Service(&'a str),
    /// Somebody whom an identity provider has authenticated.
    Federated(&'a str),
}

impl Caller<'_> {
    fn account(&self) -> Option<&str> {
        match self {
            Caller::Root { account } | Caller::User { account, .. } | Caller::Role { account, .. } => Some(account),
            Caller::Service(_) | Caller::Federated(_) => None,
        }
    }
}

/// The policies that bear on a request.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    /// Of the user or role.
    pub identity: &'a [&'a Document],
    /// Its permissions boundary.
    pub boundary: Option<&'a Document>,
    /// Policies of the session; each must allow.
    pub session: &'a [&'a Document],
    /// Of the resource, if it has one.
    pub resource: Option<&'a Document>,
    /// What the resource's policy is: [`Kind::Resource`] or [`Kind::Trust`].
    pub resource_kind: Kind,
    /// Whether the resource's policy must allow by itself: those of roles and of keys.
    pub resource_must_allow: bool,
}

impl Default for Policies<'_> {
    fn default() -> Self {
        Policies {
            identity: &[],
            boundary: None,
            session: &[],
            resource: None,
            resource_kind: Kind::Resource,
            resource_must_allow: false,
        }
    }
}

/// What is asked, by whom.
pub(super) struct Question<'a> {
    pub caller: Caller<'a>,
    pub action: &'a str,
    pub resource: &'a str,
    pub keys: &'a dyn Lookup,
}

/// How far a grant of a resource's policy reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    None,
    /// To the account: its own policies decide.
    Account,
    /// To a role, or to everyone: boundary and session policy still bound it.
    Bounded,
    /// To the user or session itself.
    Direct,
}

/// The decision. Explicit denials come first.
pub(super) fn evaluate(question: &Question<'_>, policies: &Policies<'_>) -> Result<(), Denied> {
    let says = |document: &Document, allow| says(document, allow, question);
    let denies = |document: &Document| says(document, false);
    if policies.identity.iter().any(|document| denies(document)) {
        return Err(Denied::Explicitly(Kind::Identity));
    }
    if policies.resource.is_some_and(|document| grant(document, false, question) != Grant::None) {
        return Err(Denied::Explicitly(policies.resource_kind));
    }
    if policies.boundary.is_some_and(denies) {
        return Err(Denied::Explicitly(Kind::Boundary));
    }
    if policies.session.iter().any(|document| denies(document)) {
        return Err(Denied::Explicitly(Kind::Session));
    }
    let granted = policies.resource.map_or(Grant::None, |document| grant(document, true, question));
    if granted == Grant::Direct {
        return Ok(());
    }
    if granted == Grant::None && policies.resource_must_allow {
        return Err(Denied::Implicitly(policies.resource_kind));
    }
    let is_root = matches!(question.caller, Caller::Root { .. });
    let allowed = is_root || policies.identity.iter().any(|document| says(document, true));
    if !allowed && granted != Grant::Bounded {
        let service = matches!(question.caller, Caller::Service(_) | Caller::Federated(_));
        return Err(Denied::Implicitly(if service { policies.resource_kind } else { Kind::Identity }));
    }
    if policies.boundary.is_some_and(|document| !says(document, true)) {
        return Err(Denied::Implicitly(Kind::Boundary));
    }
    if policies.session.iter().any(|document| !says(document, true)) {
        return Err(Denied::Implicitly(Kind::Session));
    }
    Ok(())
}

/// Whether a statement of the document with this effect applies.
fn says(document: &Document, allow: bool, question: &Question<'_>) -> bool {
    document.statements.iter().any(|statement| statement.allow == allow && applies(statement, question))
}

fn applies(statement: &Statement, question: &Question<'_>) -> bool {
    let variable = |key: &str| question.keys.variable(key);
    let action = statement
        .actions
        .items
        .iter()
        .any(|pattern| pattern.symbols(&variable).is_some_and(|symbols| matches(&symbols, question.action, true)));
    if action == statement.actions.negated {
        return false;
    }
    if let Some(resources) = &statement.resources {
        let mut found = false;
        for pattern in &resources.items {
            // Without a value for a variable the statement says nothing.
            let Some(symbols) = pattern.symbols(&variable) else {
                if resources.negated {
                    return false;
                }
                continue;
            };
            found = found || matches_arn(&symbols, question.resource);
        }
        if found == resources.negated {
            return false;
        }
    }
    statement.conditions.iter().all(|condition| condition.is_met(question.keys) == Some(true))
}

/// How far the statements with this effect reach the caller. For denials every reach is one.
fn grant(document: &Document, allow: bool, question: &Question<'_>) -> Grant {
    let of_effect = document.statements.iter().filter(|statement| statement.allow == allow);
    let reach = |statement: &Statement| match &statement.principals {
        None => Grant::None,
        Some(listed) => {
            let reach = listed.items.iter().map(|pattern| names(pattern, &question.caller)).max();
            let reach = reach.unwrap_or(Grant::None);
            match (listed.negated, reach) {
                (false, reach) => reach,
                (true, Grant::None) => Grant::Bounded,
                (true, _) => Grant::None,
            }
        }
    };
    let mut widest = Grant::None;
    for statement in of_effect {
        let mut reach = reach(statement);
        // Everyone of an account is the account.
        if reach == Grant::Bounded && is_anyone(statement) && names_account(statement) {
            reach = Grant::Account;
        }
        if reach > widest && applies(statement, question) {
            widest = reach;
        }
    }
    widest
}

fn is_anyone(statement: &Statement) -> bool {
    let anyone = |listed: &Listed<PrincipalPattern>| listed.items.contains(&PrincipalPattern::Anyone);
    statement.principals.as_ref().is_some_and(anyone)
}

fn names_account(statement: &Statement) -> bool {
    statement.conditions.iter().any(|condition| condition.is_about("aws:PrincipalAccount"))
}

fn names(pattern: &PrincipalPattern, caller: &Caller<'_>) -> Grant {
    match (pattern, caller) {
        (PrincipalPattern::Anyone, _) => Grant::Bounded,
        (PrincipalPattern::Account(id), caller) if caller.account() == Some(&**id) => Grant::Account,
        (PrincipalPattern::Arn(arn), Caller::User { arn: own, .. }) if **arn == **own => Grant::Direct,
        (PrincipalPattern::Arn(arn), Caller::Role { session: Some(own), .. }) if **arn == **own => Grant::Direct,
        (PrincipalPattern::Arn(arn), Caller::Role { arn: own, .. }) if **arn == **own => Grant::Bounded,
        (PrincipalPattern::Service(name), Caller::Service(own)) if **name == **own => Grant::Direct,
        (PrincipalPattern::Federated(name), Caller::Federated(own)) if **name == **own => Grant::Direct,
        _ => Grant::None,
    }
}
