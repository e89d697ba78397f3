//! Calendar arithmetic and formats in UTC. Instants are milliseconds since the Unix epoch.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

use super::super::failure::Failure;

const DAY_MS: i64 = 86_400_000;

/// A unit of `date_trunc`, `date_add` and `date_diff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A length in milliseconds.
    Fixed(i64),
    /// Weeks begin on Monday.
    Week,
    /// A number of months: month, quarter, year.
    Months(i32),
}

impl Unit {
    /// By Trino's name, in any case.
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        Ok(match name.to_lowercase().as_str() {
            "millisecond" => Unit::Fixed(1),
            "second" => Unit::Fixed(1_000),
            "minute" => Unit::Fixed(60_000),
            "hour" => Unit::Fixed(3_600_000),
            "day" => Unit::Fixed(DAY_MS),
            "week" => Unit::Week,
            "month" => Unit::Months(1),
            "quarter" => Unit::Months(3),
            "year" => Unit::Months(12),
            _ => {
                return Err(Failure::query(format!(
                    "INVALID_FUNCTION_ARGUMENT: '{name}' is not a valid Timestamp field"
                )));
            }
        })
    }

    /// Whether a date has the unit.
    pub(super) fn is_of_dates(self) -> bool {
        !matches!(self, Unit::Fixed(length) if length < DAY_MS)
    }

    /// The beginning of the unit that holds the instant; `None` outside the calendar.
    pub(super) fn truncate(self, at: i64) -> Option<i64> {
        let at = in_range(at)?;
        let first = match self {
            Unit::Fixed(length) => at - at.rem_euclid(length),
            // 1970-01-05 was a Monday.
            Unit::Week => at - (at - 4 * DAY_MS).rem_euclid(7 * DAY_MS),
            Unit::Months(length) => {
                let date = datetime(at).date();
                let month = date.month0() - date.month0() % u32::try_from(length).unwrap_or(1);
                let first = NaiveDate::from_ymd_opt(date.year(), month + 1, 1).unwrap_or(date);
                first.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
            }
        };
        in_range(first)
    }

    /// The instant `n` units later; `None` outside the calendar.
    pub(super) fn add(self, at: i64, n: i64) -> Option<i64> {
        let at = in_range(at)?;
        let moved = match self {
            Unit::Fixed(length) => at.checked_add(n.checked_mul(length)?)?,
            Unit::Week => at.checked_add(n.checked_mul(7 * DAY_MS)?)?,
            Unit::Months(length) => {
                let months = n.checked_mul(i64::from(length))?;
                let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let at = datetime(at);
                let moved = if months < 0 { at.checked_sub_months(by) } else { at.checked_add_months(by) };
                moved?.and_utc().timestamp_millis()
            }
        };
        in_range(moved)
    }

    /// Whole units from one instant to another.
    pub(super) fn between(self, from: i64, to: i64) -> Option<i64> {
        match self {
            Unit::Fixed(length) => Some((to.checked_sub(from)?) / length),
            Unit::Week => Some((to.checked_sub(from)?) / (7 * DAY_MS)),
            Unit::Months(length) => {
                if to < from {
                    return self.between(to, from).map(|n| -n);
                }
                let month = |at: i64| {
                    let date = datetime(at).date();
                    i64::from(date.year()) * 12 + i64::from(date.month0())
                };
                let mut months = month(to) - month(from);
                if Unit::Months(1).add(from, months)? > to {
                    months -= 1;
                }
                Some(months / i64::from(length))
            }
        }
    }
}

/// An instant that Trino's `timestamp with time zone` holds, which has 52 bits for milliseconds; all of them are dates
/// here.
pub(super) fn in_range(ms: i64) -> Option<i64> {
    (-(1i64 << 51)..1 << 51).contains(&ms).then_some(ms)
}

/// An instant as date and time.
pub(crate) fn datetime(ms: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().naive_utc()
}

/// The day of an instant, in days since the Unix epoch.
pub(super) fn day(ms: i64) -> i32 {
    i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

/// The beginning of a day.
pub(super) fn midnight(day: i32) -> i64 {
    i64::from(day) * DAY_MS
}

/// `yyyy-MM-dd` as days since the Unix epoch.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, b)| if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() });
    let date = shape.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()?;
    Some(day(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()))
}

/// `yyyy-MM-dd[ HH:mm:ss[.SSS]]` as an instant.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(day) = parse_date(text) {
        return Some(midnight(day));
    }
    let (date, time) = text.split_once(' ')?;
    // A second of 60 is no time of the day.
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok().filter(|time| time.nanosecond() < 1_000_000_000)?;
    let ms = i64::from(time.num_seconds_from_midnight()) * 1_000 + i64::from(time.nanosecond() / 1_000_000);
    Some(midnight(parse_date(date)?) + ms)
}

/// ISO 8601 in UTC.
pub(super) fn parse_iso8601(text: &str) -> Result<i64, Failure> {
    let invalid = || Failure::query(format!("INVALID_FUNCTION_ARGUMENT: Invalid format: \"{text}\""));
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        if at.offset().local_minus_utc() != 0 {
            return Err(Failure::not_modelled("time zones other than UTC"));
        }
        return Ok(at.timestamp_millis());
    }
    parse_timestamp(&text.replacen('T', " ", 1)).ok_or_else(invalid)
}

/// One piece of a format in MySQL's letters.
#[derive(Clone, Debug)]
enum Piece {
    Text(char),
    Field(char),
}

/// A format of `date_format` and `date_parse`.
#[derive(Clone, Debug)]
pub(super) struct Format(Vec<Piece>);

impl Format {
    /// Parses MySQL's letters.
    pub(super) fn parse(format: &str) -> Result<Self, Failure> {
        let mut pieces = Vec::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                pieces.push(Piece::Text(c));
                continue;
            }
            match chars.next() {
                Some(field) if "aWbMcmdeHkhIlijpryYsSTf".contains(field) => pieces.push(Piece::Field(field)),
                Some('%') | None => pieces.push(Piece::Text('%')),
                Some(other @ ('D' | 'U' | 'u' | 'V' | 'w' | 'X')) => {
                    let reason = format!("INVALID_FUNCTION_ARGUMENT: %{other} not supported in date format string");
                    return Err(Failure::query(reason));
                }
                Some(other @ ('v' | 'x')) => {
                    return Err(Failure::not_modelled(format!("%{other} in a date format string")));
                }
                Some(other) => pieces.push(Piece::Text(other)),
            }
        }
        Ok(Format(pieces))
    }

    /// Appends an instant.
    pub(super) fn write(&self, out: &mut String, at: i64) {
        let at = datetime(at);
        for piece in &self.0 {
            match piece {
                Piece::Text(c) => out.push(*c),
                Piece::Field(field) => write_field(out, *field, at),
            }
        }
    }

    /// Reads an instant.
    pub(super) fn read(&self, text: &str) -> Result<i64, Failure> {
        let invalid = || Failure::query(format!("INVALID_FUNCTION_ARGUMENT: Invalid format: \"{text}\""));
        let (mut date, mut ms, mut rest) = ((1970, 1, 1), 0, text);
        for piece in &self.0 {
            match piece {
                Piece::Text(c) => rest = rest.strip_prefix(*c).ok_or_else(invalid)?,
                Piece::Field(field) => {
                    let width = match field {
                        'Y' => 4,
                        'f' => 6,
                        'm' | 'c' | 'd' | 'e' | 'H' | 'k' | 'i' | 's' | 'S' => 2,
                        other => return Err(Failure::not_modelled(format!("%{other} in date_parse"))),
                    };
                    let digits = rest.bytes().take(width).take_while(u8::is_ascii_digit).count();
                    let number: u32 = rest[..digits].parse().map_err(|_| invalid())?;
                    rest = &rest[digits..];
                    match field {
                        'Y' => date.0 = i32::try_from(number).unwrap_or(i32::MAX),
                        'm' | 'c' => date.1 = number,
                        'd' | 'e' => date.2 = number,
                        'H' | 'k' if number < 24 => ms += i64::from(number) * 3_600_000,
                        'i' if number < 60 => ms += i64::from(number) * 60_000,
                        's' | 'S' if number < 60 => ms += i64::from(number) * 1_000,
                        'f' => ms += i64::from(number) * 10i64.pow(6 - u32::try_from(digits).unwrap_or(6)) / 1_000,
                        _ => return Err(invalid()),
                    }
                }
            }
        }
        let date = NaiveDate::from_ymd_opt(date.0, date.1, date.2).filter(|_| rest.is_empty()).ok_or_else(invalid)?;
        Ok(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis() + ms)
    }
}

fn write_field(out: &mut String, field: char, at: NaiveDateTime) {
    let (pm, hour12) = at.time().hour12();
    let half = if pm { "PM" } else { "AM" };
    let result = match field {
        'Y' => write!(out, "{:04}", at.year()),
        'y' => write!(out, "{:02}", at.year().rem_euclid(100)),
        'm' => write!(out, "{:02}", at.month()),
        'c' => write!(out, "{}", at.month()),
        'd' => write!(out, "{:02}", at.day()),
        'e' => write!(out, "{}", at.day()),
        'H' => write!(out, "{:02}", at.hour()),
        'k' => write!(out, "{}", at.hour()),
        'h' | 'I' => write!(out, "{hour12:02}"),
        'l' => write!(out, "{hour12}"),
        'i' => write!(out, "{:02}", at.minute()),
        's' | 'S' => write!(out, "{:02}", at.second()),
        'f' => write!(out, "{:06}", at.nanosecond() / 1_000),
        'j' => write!(out, "{:03}", at.ordinal()),
        'p' => out.write_str(half),
        'T' => write!(out, "{}", at.format("%H:%M:%S")),
        'r' => write!(out, "{hour12:02}:{:02}:{:02} {half}", at.minute(), at.second()),
        'a' => write!(out, "{}", at.format("%a")),
        'W' => write!(out, "{}", at.format("%A")),
        'b' => write!(out, "{}", at.format("%b")),
        _ => write!(out, "{}", at.format("%B")),
    };
    result.expect("writing to a string does not fail");
}
