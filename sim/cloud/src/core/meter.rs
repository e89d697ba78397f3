//! Counts of what the account was asked to do: calls, refusals, throttles, bytes.

use std::collections::BTreeMap;

use super::error::AwsError;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused because of a rate or a quota.
    Throttled,
    /// Refused or failed for any other reason.
    Error,
}

impl From<&AwsError> for Outcome {
    fn from(error: &AwsError) -> Self {
        match error.status {
            // That nothing has changed is an answer.
            304 => Outcome::Ok,
            _ if error.is_throttle() => Outcome::Throttled,
            _ => Outcome::Error,
        }
    }
}

/// Counts of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that were done.
    pub ok: u64,
    /// Calls refused by a rate or quota.
    pub throttled: u64,
    /// Calls that ended in any other error.
    pub error: u64,
}

/// Counters of the account. Names are AWS's: (`kinesis`, `PutRecords`).
#[derive(Clone, Debug, Default)]
pub struct Meter {
    calls: BTreeMap<(&'static str, &'static str), Calls>,
    counters: BTreeMap<(&'static str, &'static str), u64>,
}

impl Meter {
    /// Counts one call.
    pub fn call(&mut self, service: &'static str, operation: &'static str, outcome: Outcome) {
        let calls = self.calls.entry((service, operation)).or_default();
        match outcome {
            Outcome::Ok => calls.ok += 1,
            Outcome::Throttled => calls.throttled += 1,
            Outcome::Error => calls.error += 1,
        }
    }

    /// Counts one call whose names come from a request. A name that was never counted before is kept for the life of the
    /// process: there are as many as there are operations.
    pub fn call_named(&mut self, service: &str, operation: &str, outcome: Outcome) {
        let known = self.calls.keys().find(|known| **known == (service, operation)).copied();
        let kept = |name: &str| -> &'static str { name.to_owned().leak() };
        let (service, operation) = known.unwrap_or_else(|| (kept(service), kept(operation)));
        self.call(service, operation, outcome);
    }

    /// Adds to a counter that is not a call: bytes, records, objects. `name` ends with its unit where it has one.
    pub fn add(&mut self, service: &'static str, name: &'static str, value: u64) {
        *self.counters.entry((service, name)).or_default() += value;
    }

    /// Keeps the greatest value of a measure. `name` ends with its unit where it has one.
    pub fn highest(&mut self, service: &'static str, name: &'static str, value: u64) {
        let kept = self.counters.entry((service, name)).or_default();
        *kept = (*kept).max(value);
    }

    /// All calls so far, ordered by (service, operation).
    pub fn calls(&self) -> &BTreeMap<(&'static str, &'static str), Calls> {
        &self.calls
    }

    /// All other counters so far, ordered by (service, name).
    pub fn counters(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.counters
    }
}
