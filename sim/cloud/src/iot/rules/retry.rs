//! Retries of actions: one queue for each partition key that has something to wait for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use super::action::Failure;
use super::target::{Means, Target};
use super::{Ports, Rules};
use crate::core::{AwsError, Cx, Service};
use crate::iot::message::Posted;
use crate::iot::quotas::Quotas;
use crate::iot::sql::{Message, Segments, Value};
use crate::iot::wakeup::Wakeup;
use world::mark;
use world::time::Time;
use world::trace::Level;

/// Retries of one message before its action has failed (assumed; AWS publishes none).
const RETRIES_MAX: u32 = 12;
/// Delay before the first retry; it doubles (assumed).
const DELAY_MIN: Duration = Duration::from_millis(100);
/// Longest delay (assumed).
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Whether AWS would call the error intermittent: a throttle or an error of the server.
pub(super) fn is_intermittent(error: &AwsError) -> bool {
    error.is_throttle() || error.status == 429 || (error.status >= 500 && error.status != 501)
}

/// A message of which something waits.
#[derive(Debug)]
pub(super) struct StoredMessage {
    posted: Posted,
    topic: Box<str>,
    received: Time,
    trace_id: Option<Box<str>>,
    variables: Vec<Value<'static>>,
}

impl StoredMessage {
    pub(super) fn of(message: &Message<'_>, variables: Vec<Value<'static>>) -> Self {
        // The payload is a part of what arrived together with others: it is not to keep all of it.
        let payload = Bytes::copy_from_slice(message.payload);
        let posted = Posted { payload, ..message.posted.clone() };
        let trace_id = message.known_trace_id().map(Into::into);
        StoredMessage { posted, topic: message.topic.into(), received: message.now, trace_id, variables }
    }

    /// The message as rules saw it when it came: `timestamp()` is the instant of its receipt.
    fn as_message(&self) -> Message<'_> {
        let segments = Segments::of(&self.topic).expect("the topic was cut when the message came");
        Message::new(&self.posted, &self.topic, segments, self.received).traced(self.trace_id.as_deref())
    }
}

/// One result that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) target: Target<'static>,
    pub(super) data: Bytes,
    pub(super) execution: u64,
    /// Whether an attempt took effect whose answer was lost.
    pub(super) took_effect: bool,
}

#[derive(Debug)]
struct Queue {
    rule: usize,
    action: usize,
    order_key: Arc<str>,
    retries: u32,
    pending: VecDeque<Pending>,
}

/// One rule's run for one message, of which actions wait.
#[derive(Debug)]
struct Execution {
    rule: usize,
    message: StoredMessage,
    waiting: u32,
    failures: Vec<Failure>,
}

/// What waits to be tried again.
#[derive(Debug, Default)]
pub(super) struct Retries {
    queues: BTreeMap<u64, Queue>,
    executions: BTreeMap<u64, Execution>,
    queue_ids: u64,
    execution_ids: u64,
}

impl Retries {
    /// An id for one rule's run.
    pub(super) fn next_execution(&mut self) -> u64 {
        self.execution_ids += 1;
        self.execution_ids
    }

    /// Keeps a run until the last of its `waiting` actions has ended.
    pub(super) fn remember(
        &mut self,
        execution: u64,
        rule: usize,
        waiting: u32,
        message: StoredMessage,
        failures: Vec<Failure>,
    ) {
        self.executions.insert(execution, Execution { rule, message, waiting, failures });
    }

    /// Puts a result behind the others of its key, or opens a queue for it and asks to be woken.
    pub(super) fn enqueue(
        &mut self,
        cx: &mut Cx<'_>,
        (rule, action): (usize, usize),
        queue: Option<u64>,
        queues: &mut BTreeMap<Arc<str>, u64>,
        pending: Pending,
    ) {
        if let Some(queue) = queue.and_then(|id| self.queues.get_mut(&id)) {
            queue.pending.push_back(pending);
            return;
        }
        let order_key: Arc<str> = pending.target.order_key().into();
        let id = self.queue_ids;
        self.queue_ids += 1;
        queues.insert(order_key.clone(), id);
        let mut queue = Queue { rule, action, order_key, retries: 0, pending: VecDeque::from([pending]) };
        queue.delay(cx, id);
        self.queues.insert(id, queue);
    }
}

impl Queue {
    fn delay(&mut self, cx: &mut Cx<'_>, id: u64) {
        let full = DELAY_MIN.saturating_mul(1 << self.retries.min(20)).min(DELAY_MAX);
        let half = u64::try_from(full.as_micros()).expect("at most ten seconds") / 2;
        let delay = Duration::from_micros(half + cx.rng.random_range(0..=half));
        self.retries += 1;
        cx.timers.at(cx.now + delay, Service::Iot, Wakeup::Retry(id).token());
    }
}

impl Rules {
    /// Messages that wait for a retry.
    pub fn waiting(&self) -> u64 {
        self.retries.queues.values().map(|queue| queue.pending.len() as u64).sum()
    }

    /// Tries the results of a queue again, in order, until one has to wait once more.
    pub fn retry(&mut self, cx: &mut Cx<'_>, quotas: &mut Quotas, ports: &mut Ports<'_>, id: u64) {
        let Some(mut queue) = self.retries.queues.remove(&id) else { return };
        while let Some(head) = queue.pending.front_mut() {
            let rule = &self.rules[queue.rule];
            // An action of another kind at the same place has another role, or none: it is not the one that waits.
            let action = rule.actions.get(queue.action).filter(|action| head.target.form() == action.kind.form());
            let means = &mut Means { ports, quotas, outbox: &mut self.outbox };
            let put = match action {
                Some(action) => head.target.put(cx, means, &rule.name, action.role.as_ref(), &mut head.data),
                None => Err(AwsError::new("ActionRemoved", "the rule has no such action any more").into()),
            };
            if queue.retries > 0 {
                cx.trace.mark(cx.now, mark::RULE_RETRIED, &queue.order_key);
            }
            if head.took_effect && put.is_ok() {
                cx.trace.mark(cx.now, mark::REPEATED_AFTER_LOST_RESPONSE, &queue.order_key);
            }
            super::dispatch::told(
                cx,
                &rule.name,
                &head.data,
                &head.target,
                put.as_ref().err().map(|failed| &failed.error),
            );
            let failure = match put {
                Ok(()) => None,
                Err(failed) if is_intermittent(&failed.error) && queue.retries < RETRIES_MAX => {
                    head.took_effect |= failed.took_effect;
                    queue.delay(cx, id);
                    self.retries.queues.insert(id, queue);
                    return;
                }
                Err(failed) => Some(head.target.failure(&failed.error)),
            };
            let execution = head.execution;
            cx.meter.add("iot", if failure.is_none() { "Success" } else { "Failure" }, 1);
            let fields = [("key", (&*queue.order_key).into()), ("retries", u64::from(queue.retries).into())];
            let kind = if failure.is_none() { "rule-retried" } else { "rule-gave-up" };
            cx.trace.event(Level::Call, cx.now, "iot", kind, &self.rules[queue.rule].name, &fields);
            queue.pending.pop_front();
            queue.retries = 0;
            self.finish(cx, quotas, ports, execution, failure);
        }
        if let Some(action) = self.rules[queue.rule].actions.get_mut(queue.action) {
            action.waiting.remove(&queue.order_key);
        }
    }

    /// One action of a run has ended.
    fn finish(
        &mut self,
        cx: &mut Cx<'_>,
        quotas: &mut Quotas,
        ports: &mut Ports<'_>,
        id: u64,
        failure: Option<Failure>,
    ) {
        let Some(execution) = self.retries.executions.get_mut(&id) else { return };
        execution.failures.extend(failure);
        execution.waiting -= 1;
        if execution.waiting > 0 {
            return;
        }
        let Some(Execution { rule, message, failures, .. }) = self.retries.executions.remove(&id) else { return };
        if !failures.is_empty() {
            let means = &mut Means { ports, quotas, outbox: &mut self.outbox };
            self.rules[rule].fail(cx, means, &message.as_message(), message.variables.clone(), &failures);
        }
    }
}
