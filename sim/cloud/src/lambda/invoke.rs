//! Invocations: admission, execution environments, and who is told of the end.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::function::Version;
use super::mapping::session;
use super::queue::Response;
use super::rates::Rates;
use super::versions::Target;
use super::{Lambda, Ports};
use crate::core::{AwsError, Cx, Deferred, Effect, FunctionRevision, Outcome};
use world::mark;
use world::spotlight::Stage;
use world::time::Time;
use world::trace::{Field, Level};

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
    pub request_id: String,
}

/// An execution environment for one invocation.
pub(super) struct Admitted {
    cold: bool,
    version: Version,
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

/// Why an invocation does not begin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// There is no such function.
    Gone,
    /// Too many invocations; the member `Reason` of the error.
    Throttled(&'static str),
    /// The key of its environment variables cannot be used.
    Key(AwsError),
}

impl Refusal {
    fn reason(&self) -> &str {
        match self {
            Refusal::Gone => "ResourceNotFoundException",
            Refusal::Throttled(reason) => reason,
            Refusal::Key(_) => "KMSAccessDeniedException",
        }
    }

    /// Counts the refusal as Lambda's metrics do, and leaves an event.
    pub fn count(&self, cx: &mut Cx<'_>, function: &str, fields: &[(&'static str, Field<'_>)]) {
        let outcome = if matches!(self, Refusal::Throttled(_)) { Outcome::Throttled } else { Outcome::Error };
        cx.meter.call("lambda", "Invoke", outcome);
        let (metric, kind) =
            if outcome == Outcome::Throttled { ("Throttles", "throttle") } else { ("Errors", "not-invoked") };
        cx.meter.add("lambda", metric, 1);
        if outcome == Outcome::Throttled {
            cx.trace.mark(cx.now, mark::FUNCTION_THROTTLED, function);
        }
        let fields: Vec<_> = fields.iter().copied().chain([("reason", Field::Str(self.reason()))]).collect();
        cx.trace.event(Level::Call, cx.now, "lambda", kind, function, &fields);
    }

    /// The refusal as the API answers it.
    pub fn into_error(self, cx: &Cx<'_>, function: &str) -> AwsError {
        match self {
            Refusal::Gone => super::rest::function_not_found(cx, function),
            Refusal::Throttled(reason) => AwsError::new("TooManyRequestsException", "Rate Exceeded.")
                .status(429)
                .with("Type", "User")
                .with("Reason", reason),
            Refusal::Key(error) => {
                let why = "Lambda was unable to decrypt the environment variables because KMS access was denied. \
                           Please check the function's KMS key settings.";
                let message = format!("{why} KMS Exception: {} KMS Message: {}", error.code, error.message);
                AwsError::new("KMSAccessDeniedException", message).status(502).with("Type", "User")
            }
        }
    }
}

impl Lambda {
    /// Finds an execution environment for one invocation, or says why there is none. `rated`: whether the invocation
    /// counts for the rate of synchronous ones.
    pub(super) fn admit(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &Ports<'_>,
        target: &Target,
        rated: bool,
    ) -> Result<Admitted, Refusal> {
        let name = target.function.as_str();
        self.check_concurrency(cx, name)?;
        let rates = self.rates.get_or_insert_with(|| Rates::new(cx));
        if rated && !rates.invoke.try_take(cx.now, 1) {
            return Err(Refusal::Throttled("FunctionInvocationRateLimitExceeded"));
        }
        let function = self.functions.get_mut(name).ok_or(Refusal::Gone)?;
        let number = function.resolve(cx, target.qualifier.as_deref()).ok_or(Refusal::Gone)?;
        let (version, idle) = function.environments(cx.now, number);
        let version = version.clone();
        if *idle > 0 {
            *idle -= 1;
            return Ok(Admitted { cold: false, version });
        }
        if !function.scaling.try_take(cx.now, 1) {
            return Err(Refusal::Throttled("ConcurrentInvocationLimitExceeded"));
        }
        start_environment(cx, ports, &version).map_err(Refusal::Key)?;
        Ok(Admitted { cold: true, version })
    }

    /// Reserved concurrency is set aside from the account's, and is the most that its function gets.
    fn check_concurrency(&mut self, cx: &Cx<'_>, name: &str) -> Result<(), Refusal> {
        let account = self.rates.get_or_insert_with(|| Rates::new(cx)).concurrency;
        let reserved_by = |name: &str| self.functions.get(name).and_then(|f| f.info.reserved_concurrency);
        if let Some(reserved) = reserved_by(name) {
            let running = self.running_of(name);
            let throttled = Refusal::Throttled("ReservedFunctionConcurrentInvocationLimitExceeded");
            return if running < reserved { Ok(()) } else { Err(throttled) };
        }
        let (mut reserved, mut running) = (0, self.running.len() as u64);
        for (name, function) in &self.functions {
            if let Some(concurrency) = function.info.reserved_concurrency {
                reserved += concurrency;
                running -= self.running_of(name);
            }
        }
        let throttled = Refusal::Throttled("ConcurrentInvocationLimitExceeded");
        if running < account.saturating_sub(reserved) { Ok(()) } else { Err(throttled) }
    }

    /// The idle environments of functions are gone: of those with this handler, or of all. Answers the functions' names.
    pub fn drop_idle(&mut self, handler: Option<&str>) -> Vec<String> {
        let concerned = self.functions.values_mut().filter(|f| handler.is_none_or(|handler| f.info.handler == handler));
        concerned
            .map(|function| {
                function.idle = 0;
                function.published.values_mut().for_each(|published| published.idle = 0);
                function.info.name.clone()
            })
            .collect()
    }

    /// How many invocations of a function run.
    fn running_of(&self, name: &str) -> u64 {
        self.running_of.get(name).copied().unwrap_or(0)
    }

    /// Concurrency that functions have reserved, except the one named.
    pub(super) fn reserved_concurrency(&self, except: Option<&str>) -> u64 {
        let others = self.functions.values().filter(|function| Some(function.info.name.as_str()) != except);
        others.filter_map(|function| function.info.reserved_concurrency).sum()
    }

    /// Begins an invocation in an environment that was found for it.
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>, admitted: Admitted, begin: Begin<'_>) {
        let Admitted { cold, version: Version { revision, timeout, .. } } = admitted;
        let Begin { origin, payload, request_id, attempt, fields } = begin;
        let invocation = self.invocations;
        self.invocations += 1;
        let common = [
            ("payload", Field::Bytes(&payload)),
            ("request_id", request_id.as_str().into()),
            ("attempt", attempt.into()),
            ("cold", u64::from(cold).into()),
            ("revision", revision.number.into()),
        ];
        let fields: Vec<_> = fields.iter().copied().chain(common).collect();
        cx.trace.event(Level::Call, cx.now, "lambda", "invoke", &revision.function, &fields);
        cx.meter.add("lambda", "Invocations", 1);
        if cold {
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
        let running = Running { origin, revision: revision.clone(), started: cx.now, request_id: request_id.clone() };
        self.running.insert(invocation, running);
        let deadline = cx.now + timeout;
        cx.effects.push(Effect::Invoke { invocation, function: revision, payload, request_id, deadline, cold });
    }

    /// An invocation has ended.
    ///
    /// # Panics
    /// When no such invocation runs: the driver ends each one once.
    pub fn complete(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        invocation: u64,
        result: Result<Bytes, FunctionError>,
    ) {
        let running = self.running.remove(&invocation).expect("the driver ends each invocation once");
        if let Some(count) = self.running_of.get_mut(&running.revision.function) {
            *count -= 1;
        }
        if result.is_ok()
            && let Some(function) = self.functions.get_mut(&running.revision.function)
            && let Some((version, idle)) = function.environments_of(cx.now, &running.revision.version)
            && version.revision.number == running.revision.number
        {
            *idle += 1;
        }
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

/// A new environment starts: its variables are decrypted, and its log stream is created, both in the function's role. A
/// function whose logs cannot be written runs all the same; that is counted and leaves an event.
fn start_environment(cx: &mut Cx<'_>, ports: &Ports<'_>, version: &Version) -> Result<(), AwsError> {
    let Version { revision, kms_key_arn, log_group, .. } = version;
    let role = session(&revision.role_arn, &revision.function, &cx.account.id);
    let mut cx = cx.acting_as(&role);
    if let Some(key) = kms_key_arn {
        cx.use_key("kms:Decrypt", key, "lambda")?;
    }
    let group = cx.account.arn("logs", &format!("log-group:{log_group}"));
    let denied = if ports.logs.has_group(log_group) {
        let stream = format!("{group}:log-stream:{}", revision.function);
        cx.authorize("logs:CreateLogStream", &stream)
            .and_then(|()| cx.authorize("logs:PutLogEvents", &stream))
            .err()
            .map(|error| error.message)
    } else {
        // Lambda creates a group that is not there, when the role may.
        cx.authorize("logs:CreateLogGroup", &group).err().map(|error| error.message)
    };
    if let Some(why) = denied {
        cx.meter.add("lambda", "LogsDenied", 1);
        let fields = [("group", log_group.as_str().into()), ("reason", why.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "lambda", "logs-denied", &revision.function, &fields);
    }
    Ok(())
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

/// Counts an invocation that has ended, and leaves an event.
pub(super) fn count_end(
    cx: &mut Cx<'_>,
    running: &Running,
    result: &Result<Bytes, FunctionError>,
    failure: Option<&'static str>,
    fields: &[(&'static str, Field<'_>)],
) {
    let Running { revision, started, request_id, .. } = running;
    if cx.trace.is_carried_by(request_id) {
        let text = || ended_text(request_id, result, failure, fields);
        cx.trace.hop(cx.now, Stage::Function, &revision.function, text);
    }
    let duration_ms = u64::try_from(cx.now.since(*started).as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    cx.meter.call("lambda", "Invoke", if failure.is_none() { Outcome::Ok } else { Outcome::Error });
    if failure.is_some() {
        cx.meter.add("lambda", "Errors", 1);
    }
    cx.meter.add("lambda", "Duration_ms", duration_ms);
    cx.meter.add("lambda", "BilledDuration_mib_ms", duration_ms.saturating_mul(revision.memory_mib));
    let common = [
        ("kind", failure.unwrap_or("Success").into()),
        ("result", result.as_ref().map_or_else(|error| Field::Str(&error.message), |answer| Field::Bytes(answer))),
        ("duration_ms", duration_ms.into()),
    ];
    let fields: Vec<_> = fields.iter().copied().chain(common).collect();
    cx.trace.event(Level::Call, cx.now, "lambda", "complete", &revision.function, &fields);
}
