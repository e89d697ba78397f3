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

    /// Asks whether one entry of a batch is refused.
    pub fn entry_disturbed(&mut self, service: &str, operation: &str, resource: &str) -> Option<AwsError> {
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.entry(self.now, at))
    }

    /// Asks how old the answer to an eventually consistent read may be.
    pub fn staleness(&mut self, service: &str, operation: &str, resource: &str) -> Option<Duration> {
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.staleness(self.now, at))
    }

    /// Asks until when a reader of a stream stands still.
    pub fn standstill(&mut self, service: &str, operation: &str, resource: &str) -> Option<Time> {
        let at = Point { service, operation, resource };
        self.disturb.as_mut().and_then(|disturb| disturb.standstill(self.now, at))
    }
}
