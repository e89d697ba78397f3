//! Topic rules: what messages start, and what happens when that fails.
//!
//! Modelled: rules on topics, with the actions Kinesis and S3 and one of them as error action; retries; the error message.
//! Refused by name when a rule is created: every other action, other SQL versions, templates in bucket names.
//!
//! AWS retries an action on intermittent errors and publishes neither counts nor delays. Assumed here: throttles and
//! errors of the server are retried up to 12 times with a delay that doubles from 100 ms to 10 s, half of it drawn; and
//! messages of one rule action with the same partition key (or object key) wait for one another, so that a retry never
//! lets a later message overtake.

mod action;
mod dispatch;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::action::Action;
use self::retry::Retries;
use super::Iot;
use super::registry::{already_exists, check_name, invalid};
use super::sql::{Statement, VERSION};
use super::trie::FilterTrie;
use crate::cloud::core::ports::{Objects, Streams};
use crate::cloud::core::{AwsError, Cx};
use crate::world::time::Time;

/// Longest name of a rule, in characters.
const NAME_MAX: usize = 128;

/// The services that actions use.
pub struct Ports<'p> {
    /// Kinesis.
    pub streams: &'p mut dyn Streams,
    /// S3.
    pub objects: &'p mut dyn Objects,
}

/// A rule as it is created and described: `TopicRulePayload`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulePayload {
    sql: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    actions: Vec<Map<String, Value>>,
    #[serde(default)]
    rule_disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_iot_sql_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_action: Option<Map<String, Value>>,
}

#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    payload: RulePayload,
    created: Time,
    statement: Statement,
    actions: Vec<Action>,
    error_action: Option<Action>,
}

/// The rules of the account, and what waits to be tried again.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// Filters of the rules that are not disabled, by position in `rules`.
    filters: FilterTrie,
    retries: Retries,
    result: Vec<u8>,
}

/// ARN of a rule.
pub fn rule_arn(cx: &Cx<'_>, name: &str) -> String {
    cx.account.arn("iot", &format!("rule/{name}"))
}

impl Rules {
    /// A rule's payload and when it was created.
    pub fn described(&self, name: &str) -> Option<(&RulePayload, Time)> {
        let rule = &self.rules[*self.by_name.get(name)?];
        Some((&rule.payload, rule.created))
    }
}

impl Iot {
    /// `CreateTopicRule`.
    pub(super) fn create_rule(&mut self, cx: &mut Cx<'_>, name: &str, payload: RulePayload) -> Result<(), AwsError> {
        check_name("rule name", name, NAME_MAX, "")?;
        match payload.aws_iot_sql_version.as_deref() {
            Some(VERSION) => {}
            Some(other @ ("2015-10-08" | "beta")) => {
                return Err(AwsError::not_modelled(format!("iot SQL version {other}")));
            }
            None => return Err(AwsError::not_modelled("iot SQL version 2015-10-08, which a rule without version has")),
            Some(other) => return Err(invalid(format!("there is no SQL version {other:?}"))),
        }
        let quotas = self.quotas(cx);
        let size = serde_json::to_vec(&payload).map_or(usize::MAX, |json| json.len());
        if size > quotas.rule_payload_size {
            return Err(invalid(format!(
                "the rule has {size} bytes, at most {} are allowed",
                quotas.rule_payload_size
            )));
        }
        if payload.actions.len() > quotas.actions_per_rule {
            return Err(invalid(format!("a rule has at most {} actions", quotas.actions_per_rule)));
        }
        let rules_max = quotas.rules;
        let statement = Statement::parse(&payload.sql)?;
        let actions = payload.actions.iter().map(Action::parse).collect::<Result<_, _>>()?;
        let error_action = payload.error_action.as_ref().map(Action::parse).transpose()?;
        let rules = &mut self.rules;
        if rules.by_name.contains_key(name) {
            return Err(already_exists("the rule", name, rule_arn(cx, name)));
        }
        if rules.rules.len() >= rules_max {
            return Err(invalid(format!("an account has at most {rules_max} rules")));
        }
        let name: Arc<str> = name.into();
        if !payload.rule_disabled {
            rules.filters.insert(statement.filter().as_str(), rules.rules.len() as u64, 0);
        }
        rules.by_name.insert(name.clone(), rules.rules.len());
        rules.rules.push(Rule { name, payload, created: cx.now, statement, actions, error_action });
        Ok(())
    }
}
