//! Which hours an invocation curates.

use serde::Deserialize;

use crate::calendar::{self, HOUR_S};
use crate::function::FunctionError;

/// What the schedule sends: EventBridge Scheduler puts the time in (its guide, "Adding context attributes").
pub const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";
/// So many hours are curated each time, the last complete one and those before it.
pub const LOOK_BACK_H: i64 = 3;
/// An hour is complete so long after its end: Firehose keeps what it buffers for at most 15 minutes. What comes later,
/// because a delivery was repeated, is added as long as the hour is looked back at.
pub const SETTLED_AFTER_S: i64 = 16 * 60;

/// The event of the schedule.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// [`SCHEDULED_TIME`], as the schedule filled it in.
    pub scheduled_time: String,
}

impl Event {
    /// The time for which the schedule invoked the function, in seconds since the Unix epoch.
    pub fn parse(bytes: &[u8]) -> Result<i64, FunctionError> {
        let event: Event = serde_json::from_slice(bytes).map_err(|error| FunctionError::Event(error.to_string()))?;
        calendar::parse(&event.scheduled_time).ok_or_else(|| {
            FunctionError::Event(format!(
                "scheduled_time is {:?}, not a time like 2026-03-01T00:20:00Z",
                event.scheduled_time
            ))
        })
    }
}

/// The beginnings of the hours that are complete and looked back at, the oldest first.
pub(super) fn hours(scheduled: i64) -> impl Iterator<Item = i64> {
    let end = (scheduled - SETTLED_AFTER_S).div_euclid(HOUR_S) * HOUR_S;
    (1..=LOOK_BACK_H).rev().map(move |back| end - back * HOUR_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_hours_are_curated_the_oldest_first() {
        for (time, expected) in [
            ("2026-03-01T12:20:00Z", ["2026/03/01/09", "2026/03/01/10", "2026/03/01/11"]),
            ("2026-03-01T12:16:00Z", ["2026/03/01/09", "2026/03/01/10", "2026/03/01/11"]),
            ("2026-03-01T12:15:59Z", ["2026/03/01/08", "2026/03/01/09", "2026/03/01/10"]),
            ("2026-03-01T01:20:00Z", ["2026/02/28/22", "2026/02/28/23", "2026/03/01/00"]),
        ] {
            let event = format!("{{\"scheduled_time\":\"{time}\"}}");
            let scheduled = Event::parse(event.as_bytes()).unwrap();
            assert_eq!(hours(scheduled).map(calendar::datehour).collect::<Vec<_>>(), expected, "{time}");
        }
    }

    #[test]
    fn an_event_without_a_time_is_refused() {
        for event in ["{}", "[]", "{\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}", "{\"scheduled_time\":5}"] {
            assert!(matches!(Event::parse(event.as_bytes()), Err(FunctionError::Event(_))), "{event}");
        }
    }
}
