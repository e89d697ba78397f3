//! Invocations: their beginning, their end, and who is told of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::admission::Admitted;
use super::function::Version;
use super::queue::Response;
use super::{Lambda, Ports};
use crate::core::{Cx, Deferred, Effect, FunctionRevision, Outcome, Start};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

/// How a function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionErrorKind {
    /// The function answered with an error, or its environment is lost.
    Unhandled,
    /// Its environment broke: its process ended, or never began. The next invocation there begins with another one.
    Broke,
    /// It ran longer than its timeout. That breaks its environment, too.
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

/// Who waits for the end of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A lane of a shard: the position of its poller in the list of all pollers, and its own.
    Shard(usize, usize),
    /// The queue of asynchronous invocations, by the event's id.
    Event(u64),
    /// A caller of the API.
    Request(Deferred),
    /// A service of the account, by its ticket.
    Service(u64),
}

/// An invocation that has not ended.
#[derive(Debug)]
pub(super) struct Running {
    origin: Origin,
    pub revision: Arc<FunctionRevision>,
    started: Time,
    /// How long its environment was initialised before the function's time began.
    init: Duration,
    pub request_id: String,
}

/// An invocation to begin.
pub(super) struct Begin<'b> {
    pub origin: Origin,
    pub payload: Bytes,
    pub request_id: String,
    /// Which attempt it is, from 1.
    pub attempt: u64,
    /// What else its event of the trace says.
    pub fields: &'b [(&'static str, Field<'b>)],
}

impl Lambda {
    /// Begins an invocation in an environment that was found for it.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, admitted: Admitted, begin: Begin<'_>) {
        let Admitted { start, version: Version { revision, timeout, .. } } = admitted;
        let Begin { origin, payload, request_id, attempt, fields } = begin;
        let invocation = self.invocations;
        self.invocations += 1;
        let common = [
            ("payload", Field::Bytes(&payload)),
            ("request_id", request_id.as_str().into()),
            ("attempt", attempt.into()),
            ("cold", u64::from(start != Start::Warm).into()),
            ("revision", revision.number.into()),
        ];
        let fields: Vec<_> = fields.iter().copied().chain(common).collect();
        cx.trace.event(Level::Call, cx.now, "lambda", "invoke", &revision.function, &fields);
        cx.meter.add("lambda", "Invocations", 1);
        if start != Start::Warm {
            cx.meter.add("lambda", "ColdStarts", 1);
            if self.running_of(&revision.function) > 0 {
                cx.trace.mark(cx.now, mark::COLD_BESIDE_RUNNING, &revision.function);
            }
        }
        match self.running_of.get_mut(&revision.function) {
            Some(running) => *running += 1,
            None => {
                self.running_of.insert(revision.function.clone(), 1);
            }
        }
        let running = Running {
            origin,
            revision: revision.clone(),
            started: cx.now,
            init: Duration::ZERO,
            request_id: request_id.clone(),
        };
        self.running.insert(invocation, running);
        cx.effects.push(Effect::Invoke { invocation, function: revision, payload, request_id, timeout, start });
    }

    /// An invocation has ended. `init`: how long its environment was initialised before the function's time began.
    ///
    /// # Panics
    /// When no such invocation runs: the driver ends each one once.
    pub fn complete(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        invocation: u64,
        init: Duration,
        result: Result<Bytes, FunctionError>,
    ) {
        let mut running = self.running.remove(&invocation).expect("the driver ends each invocation once");
        running.init = init;
        if let Some(count) = self.running_of.get_mut(&running.revision.function) {
            *count -= 1;
        }
        self.leave_environment(cx.now, &running.revision, result.as_ref().err().map(|error| error.kind));
        let max = cx.limits.get("lambda", "payload_sync");
        let failure = match &result {
            Ok(answer) if answer.len() as u64 > max => Some("Function.ResponseSizeTooLarge"),
            Ok(_) => None,
            Err(error) if error.kind == FunctionErrorKind::TimedOut => Some("TimedOut"),
            Err(_) => Some("Unhandled"),
        };
        match running.origin {
            Origin::Shard(index, lane) => {
                self.batch_ended(cx, index, lane, &running, &result, failure);
                self.step(cx, ports, index);
            }
            Origin::Event(id) => {
                count_end(cx, &running, &result, failure, &[]);
                let response = Response {
                    version: running.revision.version.clone(),
                    function_error: failure.map(|_| "Unhandled"),
                    body: response_body(result, failure),
                };
                self.event_ended(cx, ports, id, response);
            }
            Origin::Request(ticket) => {
                count_end(cx, &running, &result, failure, &[]);
                cx.effects.push(answer(ticket, &running.revision.version, result, failure));
            }
            Origin::Service(ticket) => {
                count_end(cx, &running, &result, failure, &[]);
                self.calls.ended(ticket, result, failure);
            }
        }
    }
}

/// The answer to a caller who waited for the function's end.
fn answer(
    ticket: Deferred,
    version: &str,
    result: Result<Bytes, FunctionError>,
    failure: Option<&'static str>,
) -> Effect {
    let mut headers = vec![("x-amz-executed-version", version.to_owned())];
    if failure.is_some() {
        headers.push(("x-amz-function-error", "Unhandled".to_owned()));
    }
    Effect::Answer { ticket, status: 200, headers, body: response_body(result, failure) }
}

/// What an invocation answered, or how it failed, as JSON.
fn response_body(result: Result<Bytes, FunctionError>, failure: Option<&'static str>) -> Bytes {
    match (result, failure) {
        (Ok(body), None) => body,
        (Ok(body), Some(kind)) => {
            let message =
                format!("Response payload size ({} bytes) exceeded maximum allowed payload size.", body.len());
            Bytes::from(json!({ "errorType": kind, "errorMessage": message }).to_string())
        }
        (Err(error), _) => {
            Bytes::from(json!({ "errorType": error.error_type, "errorMessage": error.message }).to_string())
        }
    }
}

/// How an invocation ended, in words.
fn ended_text(
    request_id: &str,
    result: &Result<Bytes, FunctionError>,
    failure: Option<&'static str>,
    fields: &[(&'static str, Field<'_>)],
) -> String {
    let number = |name| {
        fields.iter().find_map(|(known, value)| match value {
            Field::U64(number) if *known == name => Some(*number),
            _ => None,
        })
    };
    let end = match (failure, result) {
        (Some(kind), Err(error)) => format!("FAILS: {kind}, {}", error.message),
        (Some(kind), Ok(_)) => format!("FAILS: {kind}"),
        (None, _) => "ends".to_owned(),
    };
    match number("again") {
        Some(0) => format!("{end}: its whole batch is done, request {request_id}"),
        Some(again) => format!("{end}: {again} records of its batch come again, request {request_id}"),
        None => format!("{end}, request {request_id}"),
    }
}

/// Counts an invocation that has ended, and leaves an event. The initialisation of a new environment is no part of its
/// duration, and is billed (Lambda facts, "Execution model").
pub(super) fn count_end(
    cx: &mut Cx<'_>,
    running: &Running,
    result: &Result<Bytes, FunctionError>,
    failure: Option<&'static str>,
    fields: &[(&'static str, Field<'_>)],
) {
    let Running { revision, started, init, request_id, .. } = running;
    if cx.trace.is_carried_by(request_id) {
        let text = || ended_text(request_id, result, failure, fields);
        cx.trace.hop(cx.now, Stage::Function, &revision.function, text);
    }
    let whole_ms = |time: Duration| u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    let all = cx.now.since(*started);
    let duration_ms = whole_ms(all.saturating_sub(*init));
    cx.meter.call("lambda", "Invoke", if failure.is_none() { Outcome::Ok } else { Outcome::Error });
    if failure.is_some() {
        cx.meter.add("lambda", "Errors", 1);
    }
    if failure == Some("TimedOut") {
        cx.meter.add("lambda", "Timeouts", 1);
    }
    cx.meter.add("lambda", "Duration_ms", duration_ms);
    if !init.is_zero() {
        cx.meter.add("lambda", "InitDuration_ms", whole_ms(*init));
    }
    cx.meter.add("lambda", "BilledDuration_mib_ms", whole_ms(all).saturating_mul(revision.memory_mib));
    let common = [
        ("kind", failure.unwrap_or("Success").into()),
        ("result", result.as_ref().map_or_else(|error| Field::Str(&error.message), |answer| Field::Bytes(answer))),
        ("duration_ms", duration_ms.into()),
        ("init_ms", whole_ms(*init).into()),
    ];
    let fields: Vec<_> = fields.iter().copied().chain(common).collect();
    cx.trace.event(Level::Call, cx.now, "lambda", "complete", &revision.function, &fields);
}
