//! Amazon EventBridge Scheduler: schedules that invoke functions.
//!
//! Modelled: `AWS::Scheduler::ScheduleGroup`; `AWS::Scheduler::Schedule` with `rate`, `cron` and `at` expressions in UTC,
//! start and end dates, states, a function as its target, the role in which it is invoked (which must allow
//! `lambda:InvokeFunction`), an input with the context attributes, a customer-managed key that the role must be able to use,
//! and the retry policy; changes and deletions.
//!
//! Partly modelled: a schedule fires at its instant, where AWS promises the minute. Retries wait for 1 second, doubled each
//! time up to 5 minutes (AWS publishes no numbers: assumed); what lacks a permission or a target is not retried, as
//! EventBridge does it. That a key is used in the schedule's role is unverified, and so is the event of a schedule without
//! an input.
//!
//! Refused: flexible windows, other time zones, other targets, dead letters, `L`, `W` and `#` in cron expressions, every
//! other property, and the REST API.
//!
//! Sources: EventBridge Scheduler User Guide, "Schedule types" and "Adding context attributes".

mod expression;
mod fire;
mod provision;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::core::ports::Invocations;
use super::core::{Cx, Service};
use expression::Expression;
use world::time::Time;

/// A schedule.
#[derive(Clone, Debug)]
struct Schedule {
    name: String,
    arn: String,
    expression: Expression,
    /// From when on it fires, and for a rate: from when on it counts.
    start: Time,
    end: Option<Time>,
    enabled: bool,
    function_arn: String,
    role_arn: String,
    input: Option<String>,
    kms_key: Option<String>,
    retries: u64,
    age: Duration,
    /// When it fires next.
    next: Option<Time>,
}

/// The first time at or after `from` that a schedule with this expression fires, where it fires again; a rate counts from
/// `start`.
///
/// # Errors
/// Why it is no expression.
pub fn fires_at(expression: &str, start: Time, from: Time) -> Result<Option<Time>, String> {
    Ok(Expression::parse(expression)?.next(start, from))
}

/// An invocation that is to be tried again.
#[derive(Clone, Debug)]
struct Attempt {
    schedule: u64,
    scheduled: Time,
    number: u64,
    wait: Duration,
}

/// The schedules of the account.
#[derive(Debug)]
pub struct Scheduler {
    groups: BTreeSet<String>,
    /// By id, which is never used again.
    schedules: BTreeMap<u64, Schedule>,
    attempts: BTreeMap<u64, Attempt>,
    ids: u64,
}

impl Default for Scheduler {
    fn default() -> Self {
        Scheduler::new()
    }
}

/// What the service can be woken for: a token is (id, kind) in one number.
enum Wakeup {
    Schedule(u64),
    Attempt(u64),
}

impl Wakeup {
    fn token(&self) -> u64 {
        match self {
            Wakeup::Schedule(id) => id << 1,
            Wakeup::Attempt(id) => (id << 1) | 1,
        }
    }

    fn of(token: u64) -> Self {
        if token & 1 == 0 { Wakeup::Schedule(token >> 1) } else { Wakeup::Attempt(token >> 1) }
    }
}

impl Scheduler {
    /// An account with the group `default` and without schedules.
    pub fn new() -> Self {
        Scheduler {
            groups: ["default".to_owned()].into(),
            schedules: BTreeMap::new(),
            attempts: BTreeMap::new(),
            ids: 0,
        }
    }

    fn new_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Works out when a schedule fires next, at `from` or later, and asks to be woken then.
    fn arm(&mut self, cx: &mut Cx<'_>, id: u64, from: Time) {
        let Some(schedule) = self.schedules.get_mut(&id) else { return };
        let next = schedule.expression.next(schedule.start, from.max(schedule.start));
        schedule.next = next.filter(|next| schedule.enabled && schedule.end.is_none_or(|end| *next <= end));
        if let Some(next) = schedule.next {
            cx.timers.at(next, Service::Scheduler, Wakeup::Schedule(id).token());
        }
    }

    /// A wake-up that the service asked for.
    pub fn wake(&mut self, cx: &mut Cx<'_>, functions: &mut dyn Invocations, token: u64) {
        match Wakeup::of(token) {
            Wakeup::Schedule(id) => {
                // A wake-up of a schedule that was changed or deleted meanwhile means nothing.
                let due = self.schedules.get(&id).and_then(|schedule| schedule.next).filter(|next| *next <= cx.now);
                if let Some(scheduled) = due {
                    self.arm(cx, id, scheduled + Duration::from_micros(1));
                    self.fire(cx, functions, Attempt { schedule: id, scheduled, number: 1, wait: fire::RETRY_FIRST });
                }
            }
            Wakeup::Attempt(id) => {
                if let Some(attempt) = self.attempts.remove(&id) {
                    self.fire(cx, functions, attempt);
                }
            }
        }
    }
}
