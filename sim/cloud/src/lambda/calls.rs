//! Functions that a service of the account waits for: it is told by a ticket when one has ended.

use std::collections::VecDeque;

use bytes::Bytes;

use super::invoke::{Begin, Origin};
use super::versions::Target;
use super::wakeup::Wakeup;
use super::{FunctionError, FunctionErrorKind, Lambda, Ports};
use crate::core::ports::{Answered, NoAnswer};
use crate::core::{Cx, Service};

/// Calls that wait for their beginning, and answers that nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tickets: u64,
    waiting: VecDeque<Call>,
    answers: Vec<(u64, Answered)>,
}

#[derive(Debug)]
struct Call {
    ticket: u64,
    function: Target,
    payload: Bytes,
}

impl Calls {
    /// A function has ended.
    pub fn ended(&mut self, ticket: u64, result: Result<Bytes, FunctionError>, failure: Option<&'static str>) {
        let answer = match (result, failure) {
            (Ok(body), None) => Ok(body),
            (Ok(_), Some(kind)) => Err(NoAnswer::Failed(kind.to_owned())),
            (Err(error), _) => {
                let why = format!("{}: {}", error.error_type, error.message);
                Err(match error.kind {
                    FunctionErrorKind::TimedOut => NoAnswer::TimedOut(why),
                    FunctionErrorKind::Broke | FunctionErrorKind::Unhandled => NoAnswer::Failed(why),
                })
            }
        };
        self.answers.push((ticket, answer));
    }
}

impl Lambda {
    /// Runs a function after this step. Answers the ticket by which its end is told.
    pub(super) fn call(&mut self, cx: &mut Cx<'_>, function: Target, payload: Bytes) -> u64 {
        let calls = &mut self.calls;
        if calls.waiting.is_empty() {
            cx.timers.at(cx.now, Service::Lambda, Wakeup::Calls.token());
        }
        calls.tickets += 1;
        calls.waiting.push_back(Call { ticket: calls.tickets, function, payload });
        calls.tickets
    }

    /// Begins the calls that wait. One that is not admitted has failed: whoever waits decides whether to try again.
    pub(super) fn run_calls(&mut self, cx: &mut Cx<'_>, ports: &Ports<'_>) {
        while let Some(Call { ticket, function, payload }) = self.calls.waiting.pop_front() {
            match self.admit(cx, ports, &function, true) {
                Ok(admitted) => {
                    let (origin, request_id) = (Origin::Service(ticket), cx.uuid());
                    self.begin(cx, admitted, Begin { origin, payload, request_id, attempt: 1, fields: &[] });
                }
                Err(refusal) => {
                    let function = function.to_string();
                    refusal.count(cx, &function, &[]);
                    let error = refusal.into_error(cx, &function);
                    self.calls.answers.push((ticket, Err(NoAnswer::Refused(error))));
                }
            }
        }
    }

    /// What functions answered to services that wait, by ticket.
    pub fn take_answers(&mut self) -> Vec<(u64, Answered)> {
        std::mem::take(&mut self.calls.answers)
    }
}
