//! `parse_time`: an instant as text, by a pattern of Joda-Time.

use chrono::{DateTime, Datelike as _, NaiveDateTime, Timelike as _};

use super::pattern::{Part, cut};
use super::zone::written;
use super::{DAYS, MONTHS, Refused, Zone, short};

/// A pattern of Joda-Time, checked.
#[derive(Clone, Debug)]
pub(in crate::iot::sql) struct TimePattern {
    parts: Vec<Part>,
}

/// The letters that Joda-Time has.
const LETTERS: &str = "GCYxweEyDMdaKhHkmsSzZ";

impl TimePattern {
    /// Checks a pattern.
    pub(in crate::iot::sql) fn parse(pattern: &str) -> Result<TimePattern, Refused> {
        let parts = cut(pattern)?;
        for part in &parts {
            let Part::Field { letter, count, at } = part else { continue };
            let refuse = |why: String, not_modelled| Err(Refused { at: *at, why, not_modelled });
            if !LETTERS.contains(*letter) {
                return refuse(format!("Joda-Time has no pattern letter {letter}"), false);
            }
            if *letter == 'z' && *count >= 4 {
                return refuse("the full name of a time zone is not modelled".to_owned(), true);
            }
        }
        Ok(TimePattern { parts })
    }

    /// The text of an instant, in milliseconds since the Unix epoch. `None` far outside of the calendar.
    pub(in crate::iot::sql) fn write(&self, millis: i64, zone: Zone) -> Option<String> {
        let instant = DateTime::from_timestamp_millis(millis)?;
        let (local, offset) = zone.local(instant)?;
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field { letter: 'z', .. } => out.push_str(&zone.short_name(instant, offset)),
                Part::Field { letter: 'Z', count: 1, .. } => out.push_str(&written(offset, "")),
                Part::Field { letter: 'Z', count: 2, .. } => out.push_str(&written(offset, ":")),
                Part::Field { letter: 'Z', .. } => out.push_str(&zone.id()),
                Part::Field { letter, count, .. } => write_field(local, *letter, *count, &mut out),
            }
        }
        Some(out)
    }
}

fn write_field(local: NaiveDateTime, letter: char, count: usize, out: &mut String) {
    let year = local.year();
    let year_of_era = if year > 0 { year } else { 1 - year };
    let hour = local.hour();
    let number = |value: i64| format!("{}{:0count$}", if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let of_year = |value: i32| if count == 2 { format!("{:02}", value.rem_euclid(100)) } else { number(value.into()) };
    let name = |name: &str| if count >= 4 { name.to_owned() } else { short(name).to_owned() };
    let text = match letter {
        'G' => if year > 0 { "AD" } else { "BC" }.to_owned(),
        'C' => number((year_of_era / 100).into()),
        'Y' => of_year(year_of_era),
        'x' => of_year(local.iso_week().year()),
        'w' => number(local.iso_week().week().into()),
        'e' => number(local.weekday().number_from_monday().into()),
        'E' => name(DAYS[local.weekday().num_days_from_monday() as usize]),
        'y' => of_year(year),
        'D' => number(local.ordinal().into()),
        'M' if count >= 3 => name(MONTHS[local.month0() as usize]),
        'M' => number(local.month().into()),
        'd' => number(local.day().into()),
        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'K' => number((hour % 12).into()),
        'h' => number(((hour + 11) % 12 + 1).into()),
        'H' => number(hour.into()),
        'k' => number(((hour + 23) % 24 + 1).into()),
        'm' => number(local.minute().into()),
        's' => number(local.second().into()),
        // A fraction of a second; beyond the milliseconds it is all zeros.
        'S' => format!("{:03}{:0>30}", local.nanosecond() / 1_000_000, "")[..count].to_owned(),
        other => unreachable!("{other} is checked when the pattern is read"),
    };
    out.push_str(&text);
}
