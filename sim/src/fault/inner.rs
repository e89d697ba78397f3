//! Faults inside the account: calls between its services, entries of batches, reads that may be old, readers of streams
//! that stand still, asynchronous events.
//!
//! Contract: a call between services that is struck is refused without effect (throttle, server error, lost request,
//! time-out, brown-out), or has its effect and is not answered (lost response). These calls take no simulated time, so a
//! time-out ends at once, and a slow service makes no difference. A fault that names a `function` strikes the calls of that
//! function and none of these. Error actions of rules are never struck: a message whose error action fails is gone on
//! AWS, too, and no platform could keep it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answers;
use super::kinds::Kind;
use super::plane::{Faults, Opportunity};
use super::region;
use crate::cloud::core::{AwsError, Disturb, Disturbance, EventFate, Point};
use crate::world::time::Time;

/// How old a stale read is when its fault does not say.
const STALE: Duration = Duration::from_secs(1);
/// How late an event comes at most when its fault does not say.
const LATE: Duration = Duration::from_secs(10);
/// How long a reader stands still when its fault does not say.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// Faults that calls between services know.
const OF_CALLS: [Kind; 6] =
    [Kind::Throttle, Kind::ServerError, Kind::LostRequest, Kind::Timeout, Kind::LostResponse, Kind::BrownOut];

/// The faults of a run as the account asks for them.
#[derive(Debug)]
pub struct InnerFaults {
    faults: Faults,
    /// Which of [`OF_CALLS`] the run has: most runs have none, and there are many calls.
    of_calls: Vec<Kind>,
    of_region: bool,
    of_entries: bool,
    of_reads: bool,
    of_readers: bool,
    of_events: bool,
    /// How often each stall was counted: once for each time it began.
    stalls: BTreeMap<String, u64>,
}

impl InnerFaults {
    /// The account's side of these faults.
    pub fn new(faults: Faults) -> Self {
        InnerFaults {
            of_calls: OF_CALLS.into_iter().filter(|kind| faults.has(*kind)).collect(),
            of_region: faults.has(Kind::RegionOutage),
            of_entries: faults.has(Kind::PartialFailure),
            of_reads: faults.has(Kind::StaleRead),
            of_readers: faults.has(Kind::ReaderStall),
            of_events: faults.has(Kind::EventDuplicate) || faults.has(Kind::EventReorder),
            stalls: BTreeMap::new(),
            faults,
        }
    }
}

/// The stream that the platform calls by this name: `raw` or `enriched`.
pub(crate) fn stream_of(name: &str) -> &str {
    name.rsplit('-').next().filter(|last| ["raw", "enriched"].contains(last)).unwrap_or_default()
}

fn opportunity<'a>(at: Point<'a>) -> Opportunity<'a> {
    let Point { service, operation, resource } = at;
    Opportunity { service, operation, stream: stream_of(resource), subject: resource, ..Opportunity::default() }
}

impl Disturb for InnerFaults {
    fn call(&mut self, now: Time, at: Point<'_>) -> Option<Disturbance> {
        if self.of_region && region::is_out(&self.faults, now) {
            return Some(Disturbance::Refused(answers::failed(at.service)));
        }
        let struck = |kind: &Kind| Some((*kind, self.faults.strike(now, *kind, &opportunity(at))?));
        let (kind, stroke) = self.of_calls.iter().find_map(struck)?;
        let failed = answers::failed(at.service);
        Some(match kind {
            Kind::Throttle => Disturbance::Refused(answers::throttled(at.service, at.operation)),
            Kind::BrownOut if stroke.roll < 0.5 => Disturbance::Refused(answers::throttled(at.service, at.operation)),
            Kind::LostResponse => Disturbance::AnswerLost(failed),
            _ => Disturbance::Refused(failed),
        })
    }

    fn entry(&mut self, now: Time, at: Point<'_>) -> Option<AwsError> {
        if !self.of_entries {
            return None;
        }
        let stroke = self.faults.strike(now, Kind::PartialFailure, &opportunity(at))?;
        Some(answers::entry_failed(at.service, stroke.roll))
    }

    fn staleness(&mut self, now: Time, at: Point<'_>) -> Option<Duration> {
        if !self.of_reads {
            return None;
        }
        let stroke = self.faults.strike(now, Kind::StaleRead, &opportunity(at))?;
        Some(stroke.delay_or(STALE))
    }

    fn standstill(&mut self, now: Time, at: Point<'_>) -> Option<Time> {
        if !self.of_readers {
            return None;
        }
        let at = opportunity(at);
        let spec = self.faults.holds(now, Kind::ReaderStall, &at)?;
        let from = self.faults.start() + spec.from;
        let lasting = spec.lasting.unwrap_or(STALL);
        let times = spec.every.map_or(0, |every| now.since(from).as_micros() / every.as_micros().max(1));
        let begun = from + spec.every.unwrap_or_default() * u32::try_from(times).unwrap_or(u32::MAX);
        let until = (begun + lasting).min(self.faults.ends_at(&spec));
        if now >= until {
            return None;
        }
        let counted = self.stalls.entry(spec.name.clone()).or_default();
        let time = u64::try_from(times).unwrap_or(u64::MAX).saturating_add(1);
        if *counted < time {
            *counted = time;
            self.faults.struck(now, &spec, &at);
        }
        Some(until)
    }

    fn memory(&mut self, now: Time, service: &str) -> Duration {
        if !self.of_reads || service != "dynamodb" || self.faults.healed() {
            return Duration::ZERO;
        }
        let live = self.faults.of(Kind::StaleRead).into_iter().filter(|spec| now < self.faults.ends_at(spec));
        live.map(|spec| spec.delay.unwrap_or(STALE)).max().unwrap_or_default()
    }

    fn event(&mut self, now: Time, at: Point<'_>) -> EventFate {
        if !self.of_events {
            return EventFate::default();
        }
        let at = Opportunity { function: at.resource, subject: at.resource, ..Opportunity::default() };
        let twice = self.faults.strike(now, Kind::EventDuplicate, &at).is_some();
        let late = self.faults.strike(now, Kind::EventReorder, &at);
        EventFate { twice, late: late.map_or(Duration::ZERO, |stroke| stroke.delay_or(LATE).mul_f64(stroke.roll)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultSpec, Target};
    use crate::world::seed::Seed;
    use crate::world::trace::Trace;

    const START: Time = Time::from_unix_secs(1_000);
    const PUT: Point<'_> = Point { service: "kinesis", operation: "PutRecord", resource: "iot-platform-sim-raw" };

    fn under(specs: &[FaultSpec]) -> (Faults, InnerFaults) {
        let faults = Faults::new(specs, Seed::root(1), START, Trace::new());
        (faults.clone(), InnerFaults::new(faults))
    }

    fn spec(kind: Kind) -> FaultSpec {
        FaultSpec::new(kind, Duration::from_secs(300))
    }

    #[test]
    fn a_call_between_services_is_refused_or_its_answer_is_lost() {
        for (kind, expected) in [
            (Kind::Throttle, Disturbance::Refused(answers::throttled("kinesis", "PutRecord"))),
            (Kind::ServerError, Disturbance::Refused(answers::failed("kinesis"))),
            (Kind::LostRequest, Disturbance::Refused(answers::failed("kinesis"))),
            (Kind::Timeout, Disturbance::Refused(answers::failed("kinesis"))),
            (Kind::LostResponse, Disturbance::AnswerLost(answers::failed("kinesis"))),
        ] {
            assert_eq!(under(&[spec(kind)]).1.call(START, PUT), Some(expected), "{}", kind.id());
        }
        assert_eq!(under(&[spec(Kind::SlowService)]).1.call(START, PUT), None);
    }

    #[test]
    fn a_fault_of_a_function_or_of_another_stream_strikes_no_call_between_services() {
        let of_function = Target { function: Some("enrichment".to_owned()), ..Target::default() };
        let of_stream = Target { stream: Some("enriched".to_owned()), ..Target::default() };
        for target in [of_function, of_stream] {
            let (faults, mut inner) = under(&[FaultSpec { target, ..spec(Kind::Throttle) }]);
            assert_eq!(inner.call(START, PUT), None);
            assert_eq!(faults.strokes()["throttle"], 0);
        }
    }

    #[test]
    fn a_reader_stands_still_for_as_long_as_its_fault_says_and_is_counted_once_each_time() {
        let target = Target { service: Some("lambda".to_owned()), ..Target::default() };
        let stall = FaultSpec {
            target,
            from: Duration::from_secs(10),
            every: Some(Duration::from_secs(100)),
            lasting: Some(Duration::from_secs(30)),
            ..spec(Kind::ReaderStall)
        };
        let (faults, mut inner) = under(&[stall]);
        let reader = |service| Point { service, operation: "GetRecords", resource: "iot-platform-sim-raw" };
        let at = |second| START + Duration::from_secs(second);
        for (second, expected) in
            [(9, None), (10, Some(40)), (39, Some(40)), (40, None), (110, Some(140)), (299, None), (301, None)]
        {
            assert_eq!(inner.standstill(at(second), reader("lambda")), expected.map(at), "at {second} s");
        }
        assert_eq!(inner.standstill(at(20), reader("firehose")), None);
        assert_eq!(faults.strokes()["reader-stall"], 2);
        faults.heal();
        assert_eq!(inner.standstill(at(120), reader("lambda")), None);
    }

    #[test]
    fn what_was_replaced_is_kept_for_as_long_as_a_read_may_ask_for_it() {
        let stale = FaultSpec { delay: Some(Duration::from_secs(3)), ..spec(Kind::StaleRead) };
        let (_, mut inner) = under(&[stale]);
        assert_eq!(inner.memory(START, "dynamodb"), Duration::from_secs(3));
        assert_eq!(inner.memory(START + Duration::from_secs(300), "dynamodb"), Duration::ZERO);
        assert_eq!(under(&[]).1.memory(START, "dynamodb"), Duration::ZERO);
    }
}
