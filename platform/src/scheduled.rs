//! The event of a schedule: the time for which it was made, not that at which it came.
//!
//! An invocation that comes late, or again, works on the same hours and days.

use serde::Deserialize;

use crate::calendar;
use crate::function::FunctionError;

/// What EventBridge Scheduler replaces by the time of the schedule (its guide, "Adding context attributes").
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";

#[derive(Debug, Deserialize)]
struct Event {
    scheduled_time: String,
}

/// The input of a schedule, into which the scheduler puts the time.
pub(crate) fn input() -> String {
    format!(r#"{{"scheduled_time":"{SCHEDULED_TIME}"}}"#)
}

/// The time for which a schedule invoked a function, in seconds since the Unix epoch.
pub(crate) fn time(event: &[u8]) -> Result<i64, FunctionError> {
    let event: Event = serde_json::from_slice(event).map_err(|error| FunctionError::Event(error.to_string()))?;
    calendar::parse(&event.scheduled_time).ok_or_else(|| {
        FunctionError::Event(format!(
            "scheduled_time is {:?}, not a time like 2026-03-01T00:20:00Z",
            event.scheduled_time
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_its_time() {
        let event = input().replace(SCHEDULED_TIME, "2026-03-01T00:20:00Z");
        assert_eq!(time(event.as_bytes()).unwrap(), 1_772_323_200 + 1200);
    }

    #[test]
    fn an_event_without_a_time_is_refused() {
        for event in ["{}", "[]", &input(), "{\"scheduled_time\":5}"] {
            assert!(matches!(time(event.as_bytes()), Err(FunctionError::Event(_))), "{event}");
        }
    }
}
