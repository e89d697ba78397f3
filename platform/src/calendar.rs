//! Days and hours in UTC, as prefixes and queries name them.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Seconds of an hour.
pub(crate) const HOUR_S: i64 = 3600;
/// Seconds of a day.
pub(crate) const DAY_S: i64 = 24 * HOUR_S;

/// The hour `yyyy/MM/dd/HH` of an instant, in seconds since the Unix epoch.
pub(crate) fn datehour(seconds: i64) -> String {
    let text = text(seconds);
    format!("{}/{}", text[..10].replace('-', "/"), &text[11..13])
}

/// The day `yyyy-MM-dd` of an instant, in seconds since the Unix epoch.
pub(crate) fn date(seconds: i64) -> String {
    text(seconds)[..10].to_owned()
}

/// The instant that a text like `2026-03-01T00:20:00Z` names, in seconds since the Unix epoch.
pub(crate) fn parse(text: &str) -> Option<i64> {
    DateTime::from_str(text, Format::DateTimeWithOffset).ok().map(|instant| instant.secs())
}

fn text(seconds: i64) -> String {
    // The years 1970 to 9999: four digits each.
    let seconds = seconds.clamp(0, 253_402_300_799);
    DateTime::from_secs(seconds).fmt(Format::DateTime).expect("the year has four digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_hours_and_days() {
        for (seconds, hour, day) in [
            (0, "1970/01/01/00", "1970-01-01"),
            (1_772_323_199, "2026/02/28/23", "2026-02-28"),
            (1_772_323_200, "2026/03/01/00", "2026-03-01"),
            (1_835_481_599, "2028/02/29/23", "2028-02-29"),
            (i64::MAX, "9999/12/31/23", "9999-12-31"),
        ] {
            assert_eq!((datehour(seconds).as_str(), date(seconds).as_str()), (hour, day));
        }
        assert_eq!(parse("2026-03-01T00:20:00Z"), Some(1_772_323_200 + 1200));
        assert_eq!(parse("2026-03-01T01:20:00+01:00"), Some(1_772_323_200 + 1200));
        assert_eq!(parse("yesterday"), None);
    }
}
