//! What a message starts: matching, evaluation, actions, and the error action.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::action::{Action, Failure};
use super::host::Asked;
use super::retry::{Pending, StoredMessage, is_intermittent};
use super::target::{Means, Target};
use super::{Ports, Rule, Rules};
use crate::core::{AwsError, Cx};
use crate::iot::quotas::Quotas;
use crate::iot::shadow::Shadows;
use crate::iot::sql::{Evaluation, Message, Selected, Value};
use world::mark;
use world::spotlight::Stage;
use world::trace::Level;

/// What rules use of IoT Core and of its neighbours.
pub struct Around<'a, 'p> {
    /// Quotas and the account's rates.
    pub quotas: &'a mut Quotas,
    /// The other services.
    pub ports: &'a mut Ports<'p>,
    /// Device shadows.
    pub shadows: &'a mut Shadows,
}

impl Rules {
    /// Runs every rule whose filter matches the message, in the order of their creation.
    pub fn dispatch(&mut self, cx: &mut Cx<'_>, around: &mut Around<'_, '_>, message: &Message<'_>) {
        let mut matching = BTreeMap::new();
        self.filters.matching(message.segments.as_slice(), &mut matching);
        for position in matching.into_keys() {
            let index = usize::try_from(position).expect("it was a usize when the rule was created");
            cx.meter.add("iot", "TopicMatch", 1);
            self.execute(cx, around, message, index);
        }
    }

    /// Runs one rule by its name, whatever its filter is: Basic Ingest. A rule that is absent or disabled is not found.
    pub fn ingest(&mut self, cx: &mut Cx<'_>, around: &mut Around<'_, '_>, name: &str, message: &Message<'_>) {
        match self.by_name.get(name) {
            Some(&index) if !self.rules[index].payload.rule_disabled => self.execute(cx, around, message, index),
            _ => {
                cx.meter.add("iot", "RuleNotFound", 1);
                let fields = [("topic", message.topic.into()), ("client", message.client.into())];
                cx.trace.event(Level::Call, cx.now, "iot", "rule-not-found", name, &fields);
            }
        }
    }

    fn execute(&mut self, cx: &mut Cx<'_>, around: &mut Around<'_, '_>, message: &Message<'_>, index: usize) {
        let Around { quotas, ports, shadows } = around;
        let rule = &self.rules[index];
        let refuse = |cx: &mut Cx<'_>, metric: &'static str, kind: &'static str| {
            cx.meter.add("iot", metric, 1);
            let fields = [("topic", message.topic.into()), ("client", message.client.into())];
            cx.trace.event(Level::Call, cx.now, "iot", kind, &rule.name, &fields);
        };
        if !quotas.evaluations.try_take(cx.now, 1) {
            return refuse(cx, "RuleExecutionThrottled", "rule-throttled");
        }
        cx.meter.add("iot", "RulesExecuted", 1);
        let mut result = std::mem::take(&mut self.result);
        result.clear();
        let mut evaluation = Evaluation::new(message);
        let selected =
            rule.statement.select(&mut evaluation, &mut Asked { cx: &mut *cx, shadows: Some(shadows) }, &mut result);
        let failure = evaluation.take_failure();
        let variables = evaluation.variables();
        match selected {
            Selected::No => {}
            Selected::Failed => {
                let why = failure.map_or_else(String::new, |failure| failure.0);
                let means = &mut Means { ports, quotas, outbox: &mut self.outbox };
                rule.fail(cx, means, message, variables, &[Failure::of_statement(why)]);
            }
            Selected::ParseError => {
                cx.trace.mark(cx.now, mark::RULE_FOUND_NO_OBJECT, message.topic);
                refuse(cx, "ParseError", "rule-parse-error");
            }
            Selected::Yes => self.act(cx, (quotas, ports), message, variables, index, &result),
            Selected::YesWithParseError => {
                refuse(cx, "ParseError", "rule-parse-error");
                self.act(cx, (quotas, ports), message, variables, index, &result);
            }
        }
        self.result = result;
    }

    fn act(
        &mut self,
        cx: &mut Cx<'_>,
        (quotas, ports): (&mut Quotas, &mut Ports<'_>),
        message: &Message<'_>,
        variables: Vec<Value<'static>>,
        index: usize,
        result: &[u8],
    ) {
        let Rules { rules, retries, outbox, .. } = self;
        let means = &mut Means { ports, quotas, outbox };
        let rule = &mut rules[index];
        let execution = retries.next_execution();
        let (mut failures, mut waiting) = (Vec::new(), 0);
        let mut evaluation = Evaluation::with_variables(message, variables);
        for (position, action) in rule.actions.iter_mut().enumerate() {
            let Action { kind, role, waiting: queues } = action;
            let target = match kind.target(&mut evaluation, cx) {
                Ok(target) => target,
                Err(failure) => {
                    cx.meter.add("iot", "Failure", 1);
                    failures.push(failure);
                    continue;
                }
            };
            let queue = if queues.is_empty() { None } else { queues.get(target.order_key()).copied() };
            let (mut took_effect, mut data) = (false, Bytes::copy_from_slice(result));
            if queue.is_none() {
                let put = target.put(cx, means, &rule.name, role.as_ref(), &mut data);
                told(cx, &rule.name, result, &target, put.as_ref().err().map(|failed| &failed.error));
                match put {
                    Ok(()) => {
                        cx.meter.add("iot", "Success", 1);
                        continue;
                    }
                    Err(failed) if is_intermittent(&failed.error) => took_effect = failed.took_effect,
                    Err(failed) => {
                        cx.meter.add("iot", "Failure", 1);
                        failures.push(target.failure(&failed.error));
                        continue;
                    }
                }
            }
            waiting += 1;
            let pending = Pending { target: target.into_owned(), data, execution, took_effect };
            retries.enqueue(cx, (index, position), queue, queues, pending);
        }
        if waiting > 0 {
            retries.remember(execution, index, waiting, StoredMessage::of(message, evaluation.variables()), failures);
        } else if !failures.is_empty() {
            let variables = evaluation.variables();
            rule.fail(cx, means, message, variables, &failures);
        }
    }
}

/// Tells what an action came to.
pub(super) fn told(cx: &Cx<'_>, rule: &str, data: &[u8], target: &Target<'_>, error: Option<&AwsError>) {
    if cx.trace.carries(data) {
        cx.trace.hop(cx.now, Stage::Rule, rule, || match error {
            None => format!("hands it to {}", target.resource()),
            Some(error) if is_intermittent(error) => format!("cannot reach {}, and waits: {error}", target.resource()),
            Some(error) => format!("FAILS at {}: {error}", target.resource()),
        });
    }
}

impl Rule {
    /// Runs the error action for a message whose actions failed for good: one error message for all of them.
    pub(super) fn fail(
        &self,
        cx: &mut Cx<'_>,
        means: &mut Means<'_, '_>,
        message: &Message<'_>,
        variables: Vec<Value<'static>>,
        failures: &[Failure],
    ) {
        let listed: Vec<_> = failures
            .iter()
            .map(|f| json!({ "failedAction": f.action, "failedResource": f.resource, "errorMessage": f.message }))
            .collect();
        let document = json!({
            "ruleName": &*self.name,
            "topic": message.topic,
            "cloudwatchTraceId": message.trace_id(&mut Asked::by_template(cx)),
            "clientId": message.client,
            "base64OriginalPayload": STANDARD.encode(message.payload),
            "failures": listed,
        });
        let mut error_action_reason = String::new();
        let outcome = match &self.error_action {
            None => "no error action",
            Some(action) => {
                let mut document = Bytes::from(document.to_string());
                let mut evaluation = Evaluation::with_variables(message, variables);
                let target = action.kind.target(&mut evaluation, cx);
                let put = target.map_err(|failure| failure.message).and_then(|target| {
                    // Nothing disturbs it: on AWS, a message whose error action fails, too, is gone.
                    let put = target.store(cx, means, &self.name, action.role.as_ref(), &mut document);
                    put.map_err(|error| error.to_string())
                });
                let metric = if put.is_ok() { "ErrorActionSuccess" } else { "ErrorActionFailure" };
                if put.is_ok() {
                    cx.trace.mark(cx.now, mark::RULE_GAVE_UP, &self.name);
                }
                cx.meter.add("iot", metric, 1);
                error_action_reason = put.err().unwrap_or_default();
                metric
            }
        };
        let reason = failures.first().map_or("", |failure| failure.message.as_str());
        let fields = [
            ("topic", message.topic.into()),
            ("client", message.client.into()),
            ("error_action", outcome.into()),
            ("error_action_reason", error_action_reason.as_str().into()),
            ("reason", reason.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "iot", "rule-failure", &self.name, &fields);
    }
}
