//! What may go wrong inside the account: calls between its services, entries of a batch, reads that may be old, readers
//! that stand still. A service asks before it acts; who answers, and by what plan, is not the account's business.
//!
//! Contract: a disturbance is always something that AWS documents a caller must expect. A call between services may be
//! refused, or take effect without the caller hearing of it. An entry of `PutRecords` or `PutRecordBatch` may be refused
//! while others are accepted. An eventually consistent read may answer with what was there before. A reader of a stream
//! may fall behind.

use std::time::Duration;

use world::time::Time;

use super::cx::Cx;
use super::error::AwsError;
use super::meter::Outcome;

/// Where something may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point<'a> {
    /// Service that is called, such as `kinesis`.
    pub service: &'a str,
    /// Operation, such as `PutRecord`.
    pub operation: &'a str,
    /// What it acts on: the name of a stream, a bucket, a table, a function.
    pub resource: &'a str,
}

/// What goes wrong with a call between services.
#[derive(Clone, Debug, PartialEq)]
pub enum Disturbance {
    /// The call is refused and has no effect.
    Refused(AwsError),
    /// The call takes effect, and the caller sees this error instead of the answer.
    AnswerLost(AwsError),
}

/// A plan of tests: everything goes wrong as it says, whatever is asked for.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Plan {
    /// The operation that is meant; every one when it is empty.
    pub operation: &'static str,
    /// What becomes of its next calls; then nothing goes wrong.
    pub calls: std::collections::VecDeque<Option<Disturbance>>,
    /// What becomes of the next entries.
    pub entries: std::collections::VecDeque<Option<AwsError>>,
    /// How old reads are.
    pub stale: Option<Duration>,
    /// Until when readers stand still.
    pub still_until: Option<Time>,
    /// What becomes of events.
    pub event: EventFate,
}

#[cfg(test)]
impl Disturb for Plan {
    fn call(&mut self, _: Time, at: Point<'_>) -> Option<Disturbance> {
        let is_meant = self.operation.is_empty() || self.operation == at.operation;
        if is_meant { self.calls.pop_front().flatten() } else { None }
    }

    fn entry(&mut self, _: Time, _: Point<'_>) -> Option<AwsError> {
        self.entries.pop_front().flatten()
    }

    fn staleness(&mut self, _: Time, _: Point<'_>) -> Option<Duration> {
        self.stale
    }

    fn standstill(&mut self, now: Time, _: Point<'_>) -> Option<Time> {
        self.still_until.filter(|until| *until > now)
    }

    fn memory(&mut self, _: Time, _: &str) -> Duration {
        self.stale.unwrap_or_default()
    }

    fn event(&mut self, _: Time, _: Point<'_>) -> EventFate {
        self.event
    }
}

/// A call between services without its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct CallFailed {
    /// What the caller sees.
    pub error: AwsError,
    /// Whether the call took effect all the same. The caller does not know; marks may tell.
    pub took_effect: bool,
}

impl From<AwsError> for CallFailed {
    fn from(error: AwsError) -> Self {
        CallFailed { error, took_effect: false }
    }
}

impl From<CallFailed> for AwsError {
    fn from(failed: CallFailed) -> Self {
        failed.error
    }
}

/// What goes wrong with an asynchronous event on its way to its function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFate {
    /// It comes twice.
    pub twice: bool,
    /// It comes so much later.
    pub late: Duration,
}

/// Decides what goes wrong.
pub trait Disturb: Send {
    /// What goes wrong with this call of one service by another, if anything.
    fn call(&mut self, now: Time, at: Point<'_>) -> Option<Disturbance>;
    /// Whether this entry of a batch is refused, with which code and message.
    fn entry(&mut self, now: Time, at: Point<'_>) -> Option<AwsError>;
    /// How old the answer to this eventually consistent read may be.
    fn staleness(&mut self, now: Time, at: Point<'_>) -> Option<Duration>;
    /// Until when this reader (`lambda` or `firehose`, of a stream) stands still.
    fn standstill(&mut self, now: Time, at: Point<'_>) -> Option<Time>;
    /// How old the answer to any later read of a service may be: for so long it keeps what was replaced.
    fn memory(&mut self, _now: Time, _service: &str) -> Duration {
        Duration::ZERO
    }
    /// What goes wrong with an asynchronous event on its way to the function whose handler is `at.resource`.
    fn event(&mut self, _now: Time, _at: Point<'_>) -> EventFate {
        EventFate::default()
    }
}

impl Cx<'_> {
    /// Asks what goes wrong with a call between services. `Err`: it is refused. `Ok(Some(error))`: it is to be carried out,
    /// and its caller sees `error`.
    pub fn disturbed(&mut self, service: &str, operation: &str, resource: &str) -> Result<Option<AwsError>, AwsError> {
        let at = Point { service, operation, resource };
        match self.disturb.as_mut().and_then(|disturb| disturb.call(self.now, at)) {
            None => Ok(None),
            Some(Disturbance::Refused(error)) => Err(error),
            Some(Disturbance::AnswerLost(error)) => Ok(Some(error)),
        }
    }

    /// Carries out a call of another service with what goes wrong on its way. A refusal is counted as the service would
    /// count it.
    pub fn called<T>(
        &mut self,
        service: &'static str,
        operation: &'static str,
        resource: &str,
        act: impl FnOnce(&mut Cx<'_>) -> Result<T, AwsError>,
    ) -> Result<T, CallFailed> {
        let lost = self.disturbed(service, operation, resource).inspect_err(|error| {
            self.meter.call(service, operation, Outcome::from(error));
        })?;
        let answer = act(self)?;
        match lost {
            None => Ok(answer),
            Some(error) => Err(CallFailed { error, took_effect: true }),
        }
    }

    /// Whether the call is one of a function: a session of its role. Nobody else is disturbed: not who deploys, not who
    /// only looks.
    fn is_by_a_function(&self) -> bool {
        self.caller.arn.contains(":assumed-role/")
    }

    /// Asks whether one entry of a function's batch is refused.
    pub fn entry_disturbed(&mut self, service: &str, operation: &str, resource: &str) -> Option<AwsError> {
        if !self.is_by_a_function() {
            return None;
        }
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.entry(self.now, at))
    }

    /// Asks how old the answer to a function's eventually consistent read may be.
    pub fn staleness(&mut self, service: &str, operation: &str, resource: &str) -> Option<Duration> {
        if !self.is_by_a_function() {
            return None;
        }
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.staleness(self.now, at))
    }

    /// Asks for how long a service keeps what was replaced, because a later read may be answered with it.
    pub fn memory(&mut self, service: &str) -> Duration {
        self.disturb.as_mut().map_or(Duration::ZERO, |disturb| disturb.memory(self.now, service))
    }

    /// Asks what goes wrong with an asynchronous event for the function with this handler.
    pub fn event_fate(&mut self, handler: &str) -> EventFate {
        let at = Point { service: "lambda", operation: "Invoke", resource: handler };
        self.disturb.as_mut().map_or_else(EventFate::default, |disturb| disturb.event(self.now, at))
    }

    /// Asks until when a reader of a stream stands still.
    pub fn standstill(&mut self, service: &str, operation: &str, resource: &str) -> Option<Time> {
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.standstill(self.now, at))
    }
}
