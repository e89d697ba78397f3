//! Invocations: admission, execution environments, and what becomes of a batch when its invocation ends.

use bytes::Bytes;

use super::Lambda;
use super::answer::{Verdict, judge};
use super::poller::Delivery;
use crate::cloud::core::ports::Streams;
use crate::cloud::core::{Cx, Effect, Outcome, TokenBucket};
use crate::world::time::Time;
use crate::world::trace::{Field, Level};

/// How a function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionErrorKind {
    /// The function answered with an error, or could not start.
    Unhandled,
    /// It ran longer than its timeout.
    TimedOut,
}

/// An invocation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// How.
    pub kind: FunctionErrorKind,
    /// The runtime's name for the error.
    pub error_type: String,
    /// For people.
    pub message: String,
}

/// An invocation that has not ended.
#[derive(Debug)]
pub(super) struct Running {
    poller: usize,
    started: Time,
}

/// The rates of the account.
#[derive(Debug)]
pub(super) struct Rates {
    /// Most invocations at a time.
    concurrency: u64,
    /// Synchronous invocations.
    invoke: TokenBucket,
    /// Calls of the control plane.
    pub control_plane: TokenBucket,
    /// Calls of GetFunction, which have a rate of their own.
    pub get_function: TokenBucket,
}

impl Rates {
    /// The account's quotas, with full buckets.
    pub fn new(cx: &Cx<'_>) -> Self {
        let limit = |name| cx.limits.get("lambda", name);
        let concurrency = limit("concurrency");
        Rates {
            concurrency,
            invoke: TokenBucket::per_second(concurrency * limit("invoke_rate_factor"), cx.now),
            control_plane: TokenBucket::per_second(limit("control_plane"), cx.now),
            get_function: TokenBucket::per_second(limit("get_function"), cx.now),
        }
    }
}

impl Lambda {
    /// Delivers the poller's batch if it is due. Answers whether an invocation took it.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, streams: &dyn Streams, index: usize) -> bool {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        let Some(mut delivery) = poller.delivery(cx.now, mapping) else { return false };
        if poller.may_have_expired(cx.now) {
            let mut cx = cx.acting_as(&mapping.reader);
            let expired = poller.expire(&mut cx, streams, mapping).unwrap_or(0);
            if expired > 0 {
                cx.meter.add("lambda", "DroppedEventCount", expired as u64);
                let fields = [("shard", (&*poller.shard_id).into()), ("records", expired.into())];
                cx.trace.event(Level::Call, cx.now, "lambda", "drop-expired", &mapping.function, &fields);
            }
            match poller.delivery(cx.now, mapping) {
                Some(rest) => delivery = rest,
                None => return false,
            }
        }
        match self.admit(cx, index) {
            Ok(cold) => {
                self.invoke(cx, index, delivery, cold);
                true
            }
            Err(reason) => {
                cx.meter.call("lambda", "Invoke", Outcome::Throttled);
                cx.meter.add("lambda", "Throttles", 1);
                let poller = &mut self.pollers[index];
                let fields = [("shard", (&*poller.shard_id).into()), ("reason", reason.into())];
                let function = &self.mappings[poller.mapping].function;
                cx.trace.event(Level::Call, cx.now, "lambda", "throttle", function, &fields);
                poller.retry(cx.now);
                false
            }
        }
    }

    /// Finds an execution environment for one invocation: whether a new one starts, or why there is none.
    fn admit(&mut self, cx: &Cx<'_>, index: usize) -> Result<bool, &'static str> {
        let rates = self.rates.get_or_insert_with(|| Rates::new(cx));
        if self.running.len() as u64 >= rates.concurrency {
            return Err("ConcurrentInvocationLimitExceeded");
        }
        if !rates.invoke.try_take(cx.now, 1) {
            return Err("FunctionInvocationRateLimitExceeded");
        }
        let function = &self.mappings[self.pollers[index].mapping].function;
        let function = self.functions.get_mut(function).expect("a mapping's function exists");
        if function.idle > 0 {
            function.idle -= 1;
            return Ok(false);
        }
        if function.scaling.try_take(cx.now, 1) { Ok(true) } else { Err("ConcurrentInvocationLimitExceeded") }
    }

    fn invoke(&mut self, cx: &mut Cx<'_>, index: usize, delivery: Delivery, cold: bool) {
        let poller = &mut self.pollers[index];
        let mapping = &self.mappings[poller.mapping];
        let records = poller.records(delivery.records);
        let payload = mapping.template.render(&poller.shard_id, delivery.bytes, records);
        let newest = poller.records(delivery.records).last().map_or(cx.now, |record| record.arrival);
        let invocation = self.invocations;
        self.invocations += 1;
        let request_id = cx.uuid();
        let fields = [
            ("shard", Field::from(&*poller.shard_id)),
            ("records", delivery.records.into()),
            ("payload", Field::Bytes(&payload)),
            ("request_id", request_id.as_str().into()),
            ("attempt", delivery.attempt.into()),
            ("cold", u64::from(cold).into()),
            ("iterator_age_ms", cx.now.since(newest).as_millis().try_into().unwrap_or(u64::MAX).into()),
        ];
        cx.trace.event(Level::Call, cx.now, "lambda", "invoke", &mapping.function, &fields);
        cx.meter.add("lambda", "Invocations", 1);
        cx.meter.add("lambda", "InvokedEventCount", delivery.records as u64);
        if cold {
            cx.meter.add("lambda", "ColdStarts", 1);
        }
        let timeout = self.functions[&mapping.function].info.timeout;
        self.running.insert(invocation, Running { poller: index, started: cx.now });
        poller.started();
        cx.effects.push(Effect::Invoke {
            invocation,
            function: mapping.function.clone(),
            payload,
            request_id,
            deadline: cx.now + timeout,
            cold,
        });
    }

    /// An invocation has ended.
    ///
    /// # Panics
    /// When no such invocation runs: the driver ends each one once.
    pub fn complete(
        &mut self,
        cx: &mut Cx<'_>,
        streams: &mut dyn Streams,
        invocation: u64,
        result: Result<Bytes, FunctionError>,
    ) {
        let running = self.running.remove(&invocation).expect("the driver ends each invocation once");
        let index = running.poller;
        let poller = &mut self.pollers[index];
        let mapping = &mut self.mappings[poller.mapping];
        let function = self.functions.get_mut(&mapping.function).expect("a mapping's function exists");
        if result.is_ok() {
            function.idle += 1;
        }
        let duration_ms = u64::try_from(cx.now.since(running.started).as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        let (ok, verdict) = match &result {
            Ok(answer) if answer.len() > mapping.payload_max => {
                (false, Verdict::Failed("Function.ResponseSizeTooLarge"))
            }
            Ok(answer) if mapping.reports_item_failures => (true, judge(answer, |n| poller.position_in_batch(n))),
            Ok(_) => (true, Verdict::Done),
            Err(error) if error.kind == FunctionErrorKind::TimedOut => (false, Verdict::Failed("TimedOut")),
            Err(_) => (false, Verdict::Failed("Unhandled")),
        };
        let records = poller.batch_records();
        let (kind, failed) = match verdict {
            Verdict::Done => ("Success", 0),
            Verdict::Again(position) => ("PartialFailure", records - position),
            Verdict::Failed(reason) => (reason, records),
        };
        count_end(cx, ok, failed, duration_ms, function.info.memory_mib);
        let fields = [
            ("shard", Field::from(&*poller.shard_id)),
            ("kind", kind.into()),
            ("result", result.as_ref().map_or_else(|error| Field::Str(&error.message), |answer| Field::Bytes(answer))),
            ("again", failed.into()),
            ("duration_ms", duration_ms.into()),
        ];
        cx.trace.event(Level::Call, cx.now, "lambda", "complete", &mapping.function, &fields);
        mapping.last_result = if failed == 0 { "OK" } else { "PROBLEM: Function call failed" };
        match verdict {
            Verdict::Done => poller.finish_batch(),
            Verdict::Again(position) => {
                poller.advance(position);
                poller.retry(cx.now);
            }
            Verdict::Failed(_) => poller.retry(cx.now),
        }
        self.step(cx, streams, index);
    }
}

/// Counts an invocation that has ended with `failed` records that come again.
fn count_end(cx: &mut Cx<'_>, ok: bool, failed: usize, duration_ms: u64, memory_mib: u64) {
    cx.meter.call("lambda", "Invoke", if ok { Outcome::Ok } else { Outcome::Error });
    if !ok {
        cx.meter.add("lambda", "Errors", 1);
    }
    cx.meter.add("lambda", "Duration_ms", duration_ms);
    cx.meter.add("lambda", "BilledDuration_mib_ms", duration_ms.saturating_mul(memory_mib));
    cx.meter.add("lambda", "FailedInvokeEventCount", failed as u64);
}
