//! Faults of execution environments: what befalls an invocation, and what Lambda hears of it.
//!
//! A reading may be poison: it ends every environment that is given it, before the handler begins.
//!
//! Contract: an environment may die before, during or after its handler, hang until Lambda's time-out, be killed for its
//! memory, be lost while it works, or be given the same event as another. Each of these is a failed invocation, or one
//! more, and Lambda delivers events at least once. Nothing else happens: a handler's calls have their effects, or not.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::functions::failed;
use crate::cloud::lambda::{FunctionError, FunctionErrorKind};
use crate::fault::{Faults, Kind, Opportunity, Record};
use crate::fleet::FIRST_SEQ_OF_STRAYS;
use crate::world::clock;
use crate::world::time::Time;

/// How long after its handler began an environment dies at the latest, when its fault does not say.
const MIDWAY: Duration = Duration::from_secs(2);
/// The longest that a lost environment is frozen, when its fault does not say.
const FROZEN: Duration = Duration::from_secs(5);
/// How much longer new environments start, when their fault does not say.
const SLOW_START: Duration = Duration::from_secs(3);
/// An environment is struck after its first call, its second, or its third.
const CALLS_MAX: f64 = 3.0;

/// What befalls an invocation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mishap {
    /// The environment dies before its handler begins.
    DiesBefore,
    /// It dies after so many calls, at the latest so long after its handler began.
    Dies { calls: u64, within: Duration, by: Death },
    /// It dies when its handler has done everything, and before its answer.
    DiesAfter,
    /// It stops after so many calls, and hangs until Lambda ends it.
    Hangs { calls: u64 },
    /// Lambda loses touch with it after so many calls; it is frozen for a while, until this instant at the latest, and goes
    /// on for at most so long.
    Lost { calls: u64, frozen: Duration, until: Time, then: Duration },
}

/// What an environment dies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    Crash,
    Memory,
}

fn opportunity<'a>(handler: &'a str, request_id: &'a str) -> Opportunity<'a> {
    Opportunity { function: handler, subject: request_id, ..Opportunity::default() }
}

/// What befalls an invocation of the function with this handler, if anything does.
pub(super) fn mishap(faults: &Faults, handler: &str, request_id: &str) -> Option<Mishap> {
    let (now, at) = (clock::now(), opportunity(handler, request_id));
    let strike = |kind| faults.strike(now, kind, &at);
    // The roll is below 1, so the product is below the number of calls.
    let calls = |roll: f64| 1 + (roll * CALLS_MAX) as u64;
    if strike(Kind::CrashBefore).is_some() {
        return Some(Mishap::DiesBefore);
    }
    if let Some(stroke) = strike(Kind::CrashMidway) {
        let within = stroke.delay_or(MIDWAY);
        return Some(Mishap::Dies { calls: calls(stroke.roll), within, by: Death::Crash });
    }
    if strike(Kind::CrashAfter).is_some() {
        return Some(Mishap::DiesAfter);
    }
    if let Some(stroke) = strike(Kind::FunctionTimeout) {
        return Some(Mishap::Hangs { calls: calls(stroke.roll) });
    }
    if let Some(stroke) = strike(Kind::OutOfMemory) {
        return Some(Mishap::Dies { calls: calls(stroke.roll), within: MIDWAY, by: Death::Memory });
    }
    let stroke = strike(Kind::Zombie)?;
    let longest = stroke.delay_or(FROZEN);
    Some(Mishap::Lost {
        calls: calls(stroke.roll),
        frozen: longest.mul_f64(0.5 + stroke.roll / 2.0),
        // Nothing of a fault goes on once its window has ended.
        until: faults.ends_at(&stroke.spec),
        then: longest,
    })
}

/// A record of the event of a batch.
#[derive(Deserialize)]
struct Carried {
    #[serde(rename = "eventID")]
    id: String,
    kinesis: Carrier,
}

#[derive(Deserialize)]
struct Carrier {
    data: String,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Carried>,
}

/// What tells a reading from all others, and when it came.
#[derive(Deserialize)]
struct Identity {
    tenant_id: String,
    device_id: String,
    seq: u64,
    received_at: u64,
}

/// Ids of the records of a batch; none in other events.
pub(super) fn record_ids(event: &[u8]) -> BTreeSet<String> {
    let batch = serde_json::from_slice::<Batch>(event);
    batch.map_or_else(|_| BTreeSet::new(), |batch| batch.records.into_iter().map(|record| record.id).collect())
}

/// Whether the event holds a reading that is poison to the function with this handler. All of its readings are looked at, so
/// that it is known of each.
pub(super) fn is_poisoned(faults: &Faults, handler: &str, event: &[u8]) -> bool {
    if !faults.has(Kind::PoisonMessage) {
        return false;
    }
    let Ok(batch) = serde_json::from_slice::<Batch>(event) else { return false };
    let poisons = |carried: &Carried| {
        let data = STANDARD.decode(&carried.kinesis.data).ok()?;
        // What is no reading belongs into the quarantine.
        let id: Identity = serde_json::from_slice(&data).ok().filter(|id: &Identity| id.seq < FIRST_SEQ_OF_STRAYS)?;
        let received = Time::from_unix_millis(id.received_at);
        let record = Record { tenant: &id.tenant_id, device: &id.device_id, seq: id.seq, received, data: &data };
        Some(faults.poisons(clock::now(), handler, &record))
    };
    batch.records.iter().filter(|carried| poisons(carried) == Some(true)).count() > 0
}

/// Whether another environment is given the same event.
pub(super) fn is_doubled(faults: &Faults, handler: &str, request_id: &str) -> bool {
    faults.strike(clock::now(), Kind::DuplicateInvocation, &opportunity(handler, request_id)).is_some()
}

/// How much longer a new environment takes to start.
pub(super) fn slow_start(faults: &Faults, handler: &str) -> Duration {
    let under = faults.holds(clock::now(), Kind::ColdStarts, &opportunity(handler, ""));
    under.map_or(Duration::ZERO, |spec| spec.delay.unwrap_or(SLOW_START))
}

impl Death {
    /// What Lambda tells of it. (Texts from AWS's logs; that a custom runtime which is killed for its memory is
    /// reported with this type is unverified.)
    pub fn error(self, request_id: &str) -> FunctionError {
        let (kind, signal) = match self {
            Death::Crash => ("Runtime.ExitError", "exit status 1"),
            Death::Memory => ("Runtime.OutOfMemory", "signal: killed"),
        };
        let message = format!("RequestId: {request_id} Error: Runtime exited with error: {signal}");
        failed(FunctionErrorKind::Broke, kind, message)
    }
}

/// What Lambda tells of an environment that it has lost (unverified).
pub(super) fn lost(request_id: &str) -> FunctionError {
    let message = format!("RequestId: {request_id} Error: the execution environment did not answer");
    failed(FunctionErrorKind::Unhandled, "Sandbox.Failure", message)
}

/// What Lambda tells of an invocation that it ended after the function's time-out.
pub(super) fn timed_out(request_id: &str, timeout: Duration) -> FunctionError {
    let message = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64());
    failed(FunctionErrorKind::TimedOut, "Sandbox.Timedout", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_comes_again_in_part_has_records_of_the_whole_and_another_batch_has_none() {
        let batch = |numbers: &[u32]| {
            let record = |n: &u32| format!(r#"{{"eventID":"shardId-000000000000:{n}","kinesis":{{"data":"e30="}}}}"#);
            format!(r#"{{"Records":[{}]}}"#, numbers.iter().map(record).collect::<Vec<_>>().join(",")).into_bytes()
        };
        let whole = record_ids(&batch(&[1, 2, 3]));
        assert_eq!(whole.len(), 3);
        for (event, shares) in [(batch(&[3]), true), (batch(&[4, 5]), false), (b"{\"id\":\"1\"}".to_vec(), false)] {
            assert_eq!(!whole.is_disjoint(&record_ids(&event)), shares, "{}", String::from_utf8_lossy(&event));
        }
    }

    #[test]
    fn a_time_out_is_told_with_the_functions_time() {
        let error = timed_out("id", Duration::from_secs(3));
        assert_eq!(error.message, "RequestId: id Error: Task timed out after 3.00 seconds");
        assert_eq!((error.kind, error.error_type.as_str()), (FunctionErrorKind::TimedOut, "Sandbox.Timedout"));
    }
}
