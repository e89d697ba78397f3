//! Which hours an invocation curates.

use crate::calendar::HOUR_S;
use crate::settings::CURATION_EVERY_H_MAX;

/// So many hours are curated each time, the last complete one and those before it.
pub const LOOK_BACK_H: i64 = 3;
/// An hour is complete so long after its end: Firehose keeps what it buffers for at most 15 minutes. What comes later,
/// because a delivery was repeated, is added as long as the hour is looked back at.
pub const SETTLED_AFTER_S: i64 = 16 * 60;

// A schedule that the settings take leaves out no hour.
const _: () = assert!(CURATION_EVERY_H_MAX <= LOOK_BACK_H);

/// The beginnings of the hours that are complete and looked back at, the oldest first.
pub(super) fn hours(scheduled: i64) -> impl Iterator<Item = i64> {
    let end = (scheduled - SETTLED_AFTER_S).div_euclid(HOUR_S) * HOUR_S;
    (1..=LOOK_BACK_H).rev().map(move |back| end - back * HOUR_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar;

    #[test]
    fn complete_hours_are_curated_the_oldest_first() {
        for (time, expected) in [
            ("2026-03-01T12:20:00Z", ["2026/03/01/09", "2026/03/01/10", "2026/03/01/11"]),
            ("2026-03-01T12:16:00Z", ["2026/03/01/09", "2026/03/01/10", "2026/03/01/11"]),
            ("2026-03-01T12:15:59Z", ["2026/03/01/08", "2026/03/01/09", "2026/03/01/10"]),
            ("2026-03-01T01:20:00Z", ["2026/02/28/22", "2026/02/28/23", "2026/03/01/00"]),
        ] {
            let scheduled = calendar::parse(time).unwrap();
            assert_eq!(hours(scheduled).map(calendar::datehour).collect::<Vec<_>>(), expected, "{time}");
        }
    }
}
