//! Time zones.

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{OffsetName as _, Tz};

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::iot::sql) enum Zone {
    /// A zone of the time zone database.
    Named(Tz),
    /// A fixed distance from UTC, in seconds.
    Fixed(i32),
}

/// Abbreviations that Java reads as a place in the United States, for their winter and summer.
const ABBREVIATIONS: [(&str, &str, Tz); 4] = [
    ("PST", "PDT", Tz::America__Los_Angeles),
    ("MST", "MDT", Tz::America__Denver),
    ("CST", "CDT", Tz::America__Chicago),
    ("EST", "EDT", Tz::America__New_York),
];

impl Zone {
    /// UTC.
    pub(in crate::iot::sql) const UTC: Zone = Zone::Named(Tz::UTC);

    /// A zone by its name in Joda-Time: an id of the database, or `+hh:mm`.
    pub(in crate::iot::sql) fn joda(name: &str) -> Option<Zone> {
        if name.starts_with(['+', '-']) { offset(name).map(Zone::Fixed) } else { name.parse().ok().map(Zone::Named) }
    }

    /// A zone by its id in Java: an id of the database, `Z`, `+h`, `+hh:mm` and their kin, after `UTC`, `GMT` and `UT` too.
    pub(super) fn java(name: &str) -> Option<Zone> {
        if name == "Z" {
            return Some(Zone::UTC);
        }
        for prefix in ["UTC", "GMT", "UT", ""] {
            if let Some(rest) = name.strip_prefix(prefix)
                && rest.starts_with(['+', '-'])
            {
                return offset(rest).map(Zone::Fixed);
            }
        }
        name.parse().ok().map(Zone::Named)
    }

    /// A zone by what the letter `z` stands for: an id or an abbreviation.
    pub(super) fn by_abbreviation(name: &str) -> Option<Zone> {
        let known = ABBREVIATIONS.iter().find(|(winter, summer, _)| *winter == name || *summer == name);
        known.map(|(_, _, zone)| Zone::Named(*zone)).or_else(|| Zone::java(name))
    }

    /// The local time of an instant, and its distance from UTC in seconds.
    pub(super) fn local(self, instant: DateTime<Utc>) -> Option<(NaiveDateTime, i32)> {
        let seconds = match self {
            Zone::Named(zone) => instant.with_timezone(&zone).offset().fix().local_minus_utc(),
            Zone::Fixed(seconds) => seconds,
        };
        Some((instant.naive_utc().checked_add_signed(TimeDelta::seconds(seconds.into()))?, seconds))
    }

    /// The instant of a local time. As in Java, a time that comes twice is the earlier one, and one that is left out comes
    /// later by the length of the gap.
    pub(super) fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self {
            Zone::Fixed(seconds) => Some(local.checked_sub_signed(TimeDelta::seconds(seconds.into()))?.and_utc()),
            Zone::Named(zone) => {
                let found = zone.from_local_datetime(&local).earliest().or_else(|| {
                    let day = TimeDelta::days(1);
                    let before = zone.from_local_datetime(&local.checked_sub_signed(day)?).earliest()?;
                    before.checked_add_signed(day)
                });
                found.map(|found| found.with_timezone(&Utc))
            }
        }
    }

    /// The short name at an instant, such as `CST`. Where the database has none, the distance from UTC.
    pub(super) fn short_name(self, instant: DateTime<Utc>, seconds: i32) -> String {
        let name = match self {
            Zone::Named(zone) => instant.with_timezone(&zone).offset().abbreviation().map(str::to_owned),
            Zone::Fixed(_) => None,
        };
        name.filter(|name| !name.starts_with(['+', '-'])).unwrap_or_else(|| written(seconds, ":"))
    }

    /// The id.
    pub(super) fn id(self) -> String {
        match self {
            Zone::Named(zone) => zone.name().to_owned(),
            Zone::Fixed(0) => "UTC".to_owned(),
            Zone::Fixed(seconds) => written(seconds, ":"),
        }
    }
}

/// `+hh` and minutes.
pub(super) fn written(seconds: i32, between: &str) -> String {
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}

/// Reads `+h`, `+hh`, `+hhmm`, `+hh:mm`, `+hhmmss` and `+hh:mm:ss`, in seconds: at most 18 hours, as in Java.
fn offset(text: &str) -> Option<i32> {
    let digits = &text.as_bytes()[1..];
    let two = |at: usize| -> Option<i32> {
        let pair = digits.get(at..at + 2)?;
        if !pair.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(i32::from(pair[0] - b'0') * 10 + i32::from(pair[1] - b'0'))
    };
    let colon = |at: usize| digits.get(at) == Some(&b':');
    let (hours, minutes, seconds) = match digits.len() {
        1 if digits[0].is_ascii_digit() => (i32::from(digits[0] - b'0'), 0, 0),
        2 => (two(0)?, 0, 0),
        4 => (two(0)?, two(2)?, 0),
        5 if colon(2) => (two(0)?, two(3)?, 0),
        6 => (two(0)?, two(2)?, two(4)?),
        8 if colon(2) && colon(5) => (two(0)?, two(3)?, two(6)?),
        _ => return None,
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}
