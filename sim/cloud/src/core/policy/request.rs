//! One request as policies see it: its keys, and whether the decision on it can be remembered.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::condition::Lookup;
use super::evaluate::{Caller, Denied, Policies, Question, evaluate};
use world::time::Time;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// When.
    pub now: Time,
    /// Region that is asked.
    pub region: &'a str,
    /// Account that owns the resource.
    pub account: &'a str,
    /// Who asks.
    pub caller: Caller<'a>,
    /// The unique id of the user or role (`AIDA…`, `AROA…:session`).
    pub user_id: &'a str,
    /// Tags of the user or role.
    pub tags: &'a BTreeMap<String, String>,
    /// Tags of the session. They go before those of the role.
    pub session_tags: &'a BTreeMap<String, String>,
    /// When the session began.
    pub issued: Option<Time>,
    /// Such as `kinesis:PutRecord`.
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// Keys that the service gives, such as `s3:prefix`. A key with several values stands there several times.
    pub context: &'a [(&'a str, &'a str)],
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request is allowed, or why not.
    pub decision: Result<(), Denied>,
    /// Whether the same caller gets the same answer for the same action and resource whenever it asks, and whatever keys
    /// of its own the service gives.
    pub is_lasting: bool,
}

struct Keys<'a> {
    request: &'a Request<'a>,
    is_lasting: Cell<bool>,
}

impl Request<'_> {
    /// Decides.
    pub fn evaluate(&self, policies: &Policies<'_>) -> Answer {
        let keys = Keys { request: self, is_lasting: Cell::new(true) };
        let question = Question { caller: self.caller, action: self.action, resource: self.resource, keys: &keys };
        let decision = evaluate(&question, policies);
        Answer { decision, is_lasting: keys.is_lasting.get() }
    }
}

impl Keys<'_> {
    /// A value of the principal.
    fn of_principal(&self, key: &str) -> Option<String> {
        let request = self.request;
        let temporary = request.issued.is_some() || matches!(request.caller, Caller::Role { session: Some(_), .. });
        match (key, request.caller) {
            ("aws:principalarn", Caller::User { arn, .. } | Caller::Role { arn, .. }) => Some(arn.to_owned()),
            ("aws:principalarn", Caller::Root { account }) => Some(format!("arn:aws:iam::{account}:root")),
            (
                "aws:principalaccount",
                Caller::Root { account } | Caller::User { account, .. } | Caller::Role { account, .. },
            ) => Some(account.to_owned()),
            ("aws:principaltype", Caller::Root { .. }) => Some("Account".to_owned()),
            ("aws:principaltype", Caller::User { .. }) => Some("User".to_owned()),
            ("aws:principaltype", Caller::Role { .. }) => Some("AssumedRole".to_owned()),
            ("aws:userid", Caller::Root { account }) => Some(account.to_owned()),
            ("aws:userid", Caller::User { .. } | Caller::Role { .. }) => Some(request.user_id.to_owned()),
            ("aws:username", Caller::User { arn, .. }) => arn.rsplit('/').next().map(str::to_owned),
            ("aws:principalisawsservice", caller) => Some(matches!(caller, Caller::Service(_)).to_string()),
            ("aws:principalservicename", Caller::Service(name)) => Some(name.to_owned()),
            ("aws:tokenissuetime", _) => request.issued.map(Time::rfc3339),
            ("aws:multifactorauthpresent", _) if temporary => Some("false".to_owned()),
            _ => None,
        }
    }

    fn tag(&self, wanted: &str) -> Option<String> {
        let find = |tags: &BTreeMap<String, String>| {
            tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        };
        find(self.request.session_tags).or_else(|| find(self.request.tags))
    }

    /// Values that the service gave.
    fn given(&self, key: &str) -> Option<Vec<String>> {
        let found: Vec<String> = self
            .request
            .context
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| (*value).to_owned())
            .collect();
        (!found.is_empty()).then_some(found)
    }
}

impl Lookup for Keys<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        let request = self.request;
        let lower = key.to_ascii_lowercase();
        if let Some(tag) = lower.strip_prefix("aws:principaltag/") {
            return self.tag(tag).map(|value| vec![value]);
        }
        match lower.as_str() {
            "aws:currenttime" | "aws:epochtime" => {
                self.is_lasting.set(false);
                let seconds = request.now.unix_secs().to_string();
                Some(vec![if lower == "aws:epochtime" { seconds } else { request.now.rfc3339() }])
            }
            "aws:requestedregion" => Some(vec![request.region.to_owned()]),
            "aws:resourceaccount" => Some(vec![request.account.to_owned()]),
            "aws:principalarn"
            | "aws:principalaccount"
            | "aws:principaltype"
            | "aws:userid"
            | "aws:username"
            | "aws:principalisawsservice"
            | "aws:principalservicename"
            | "aws:tokenissuetime"
            | "aws:multifactorauthpresent" => self.of_principal(&lower).map(|value| vec![value]),
            // What belongs to an organization or a private network does not exist here.
            "aws:principalorgid" | "aws:resourceorgid" | "aws:sourceorgid" | "aws:sourcevpc" | "aws:sourcevpce" => None,
            // Questions with keys of all services, such as `aws:SourceArn`, are not remembered at all, see `Access`; and the
            // service that uses a key is part of what is remembered.
            _ => {
                if !(lower.starts_with("aws:") || lower == "kms:viaservice" || lower == "kms:calleraccount") {
                    self.is_lasting.set(false);
                }
                // Every request here is encrypted in transit.
                self.given(key).or_else(|| (lower == "aws:securetransport").then(|| vec!["true".to_owned()]))
            }
        }
    }
}
