//! Topic rules: what messages start, and what happens when that fails.
//!
//! Modelled: rules on topics and rules for Basic Ingest; the actions kinesis, firehose, s3, republish, lambda, sns,
//! dynamoDBv2, cloudwatchMetric, each also as error action, with substitution templates; retries; the error message; rules
//! that are changed, enabled, disabled or deleted while messages wait for a retry: what waits is tried in the new role of its
//! action, and has failed when the rule has no such action any more; what waits for a deleted rule still goes where it was to
//! go. Each action acts in its role; a function is invoked asynchronously, on behalf of the rule, when its own policy allows
//! that.
//!
//! Partly modelled: a metric is an event of the trace and nothing else (`metric`). What is republished is a message of the
//! service, without a client, at the same instant; of reserved topics it reaches Basic Ingest and shadows
//! (`republish`). The statement can ask for a shadow, in the role that it names; templates cannot.
//!
//! Refused by name when a rule is created: every other action, other SQL versions, a kinesis action without partitionKey, a
//! template as functionArn, canned ACLs other than private.
//!
//! AWS retries an action on intermittent errors and publishes neither counts nor delays. Assumed here: throttles and
//! errors of the server are retried up to 12 times with a delay that doubles from 100 ms to 10 s, half of it drawn; and
//! messages of one rule action with the same partition key (object key, topic, stream, table) wait for one another, so that a retry never
//! lets a later message overtake.

mod action;
mod dispatch;
mod fields;
mod headers;
mod host;
mod ingest;
mod manage;
mod metric;
mod republish;
mod retry;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::action::Action;
pub use self::dispatch::Around;
use self::retry::Retries;
use super::Iot;
use super::message::Outbox;
use super::quotas::Quotas;
use super::registry::{already_exists, check_name, invalid, not_found};
use super::sql::{Statement, VERSION};
use super::trie::FilterTrie;
use crate::core::ports::{Catalog, Deliveries, Invocations, Items, Notifications, Objects, Streams};
use crate::core::{AwsError, Cx};
use world::time::Time;

/// Longest name of a rule, in characters.
const NAME_MAX: usize = 128;

/// The services that actions of rules use.
pub struct Ports<'p> {
    /// Kinesis.
    pub streams: &'p mut dyn Streams,
    /// S3.
    pub objects: &'p mut dyn Objects,
    /// Lambda.
    pub functions: &'p mut dyn Invocations,
    /// Firehose.
    pub deliveries: &'p mut dyn Deliveries,
    /// The Glue Data Catalog, for Firehose.
    pub catalog: &'p mut dyn Catalog,
    /// SNS.
    pub notifications: &'p mut dyn Notifications,
    /// DynamoDB.
    pub items: &'p mut dyn Items,
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

impl RulePayload {
    /// ARNs of the roles that the actions name.
    pub fn roles(&self) -> BTreeSet<&str> {
        let actions = self.actions.iter().chain(&self.error_action);
        actions.flat_map(|action| action.values()).filter_map(|fields| fields.get("roleArn")?.as_str()).collect()
    }
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
    /// What rules republish.
    pub(super) outbox: Outbox,
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
        let quotas = self.quotas(cx);
        let rules_max = quotas.rules;
        let rule = Rule::new(cx, quotas, name, payload)?;
        let rules = &mut self.rules;
        if rules.by_name.contains_key(name) {
            return Err(already_exists("the rule", name, rule_arn(cx, name)));
        }
        if rules.by_name.len() >= rules_max {
            return Err(invalid(format!("an account has at most {rules_max} rules")));
        }
        let index = rules.rules.len();
        rules.by_name.insert(rule.name.clone(), index);
        rules.rules.push(rule);
        rules.listen(index);
        Ok(())
    }

    /// `ReplaceTopicRule`. Messages that wait for a retry go on waiting for the action of the same kind
    /// at the same place; those of other actions have failed.
    pub(super) fn replace_rule(&mut self, cx: &mut Cx<'_>, name: &str, payload: RulePayload) -> Result<(), AwsError> {
        let quotas = self.quotas(cx);
        let mut rule = Rule::new(cx, quotas, name, payload)?;
        let rules = &mut self.rules;
        let index = *rules.by_name.get(name).ok_or_else(|| not_found(format!("the rule {name} does not exist")))?;
        rules.silence(index);
        let old = &mut rules.rules[index];
        rule.created = old.created;
        for (new, old) in rule.actions.iter_mut().zip(&mut old.actions) {
            new.waiting = std::mem::take(&mut old.waiting);
        }
        rules.rules[index] = rule;
        rules.listen(index);
        Ok(())
    }

    /// `DeleteTopicRule`. Deleting what does not exist succeeds.
    pub(super) fn delete_rule(&mut self, name: &str) {
        if let Some(index) = self.rules.by_name.remove(name) {
            self.rules.silence(index);
        }
    }
}

impl Rules {
    /// A rule that is not disabled hears of messages.
    fn listen(&mut self, index: usize) {
        let rule = &self.rules[index];
        if !rule.payload.rule_disabled
            && let Some(filter) = rule.statement.filter()
        {
            self.filters.insert(filter.as_str(), index as u64, 0);
        }
    }

    /// A rule hears of no message any more.
    fn silence(&mut self, index: usize) {
        let rule = &self.rules[index];
        if !rule.payload.rule_disabled
            && let Some(filter) = rule.statement.filter()
        {
            self.filters.remove(filter.as_str(), index as u64);
        }
    }
}

impl Rule {
    /// Checks a rule's payload.
    fn new(cx: &Cx<'_>, quotas: &Quotas, name: &str, payload: RulePayload) -> Result<Rule, AwsError> {
        match payload.aws_iot_sql_version.as_deref() {
            Some(VERSION) => {}
            Some(other @ ("2015-10-08" | "beta")) => {
                return Err(AwsError::not_modelled(format!("iot SQL version {other}")));
            }
            None => return Err(AwsError::not_modelled("iot SQL version 2015-10-08, which a rule without version has")),
            Some(other) => return Err(invalid(format!("there is no SQL version {other:?}"))),
        }
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
        let statement = Statement::parse(&payload.sql)?;
        let parse = |action| Action::parse(action, statement.variables());
        let actions = payload.actions.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let error_action = payload.error_action.as_ref().map(parse).transpose()?;
        Ok(Rule { name: name.into(), payload, created: cx.now, statement, actions, error_action })
    }
}
