//! Schedule expressions: `rate(..)`, `cron(..)` and `at(..)`, in UTC.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _, Utc};

use world::time::Time;

/// Last year of a cron expression.
const YEAR_MAX: u32 = 2199;

/// When a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Again and again after this time.
    Rate(Duration),
    /// At calendar times.
    Cron(Box<Cron>),
    /// Once.
    At(Time),
}

/// The fields of a cron expression, as the values that they allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    /// Absent for `?`.
    days_of_month: Option<Vec<u32>>,
    months: Vec<u32>,
    /// 1 is Sunday; absent for `?`.
    days_of_week: Option<Vec<u32>>,
    years: Vec<u32>,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Expression {
    /// Parses an expression, or says why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        if let Some(rate) = inside("rate") {
            return rate_of(rate).map(Expression::Rate);
        }
        if let Some(cron) = inside("cron") {
            return Cron::parse(cron).map(|cron| Expression::Cron(Box::new(cron)));
        }
        if let Some(at) = inside("at") {
            let at = NaiveDateTime::parse_from_str(at, "%Y-%m-%dT%H:%M:%S");
            let at = at.map_err(|_| format!("{text} is not at(yyyy-mm-ddThh:mm:ss)"))?;
            return Ok(Expression::At(time(at.and_utc())));
        }
        Err(format!("{text:?} is none of rate(..), cron(..) and at(..)"))
    }

    /// The first time at or after `from` that the schedule fires. A rate counts from `start`.
    pub fn next(&self, start: Time, from: Time) -> Option<Time> {
        match self {
            Expression::At(at) => (*at >= from).then_some(*at),
            Expression::Rate(every) => {
                let passed = from.since(start).as_micros().div_ceil(every.as_micros());
                Some(start + every.saturating_mul(u32::try_from(passed).ok()?))
            }
            Expression::Cron(cron) => cron.next(from),
        }
    }
}

fn rate_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("rate({text}) is not a number of minutes, hours or days");
    let (number, unit) = text.split_once(' ').ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_s = match (unit, number) {
        ("minute", 1) | ("minutes", 2..) => 60,
        ("hour", 1) | ("hours", 2..) => 3_600,
        ("day", 1) | ("days", 2..) => 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.checked_mul(unit_s).ok_or_else(wrong)?))
}

impl Cron {
    fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days_of_month, months, days_of_week, years] = fields[..] else {
            return Err(format!("cron({text}) does not have six fields"));
        };
        let day = |name, text: &str, min, max, names: &[&str]| match text {
            "?" => Ok(None),
            _ => values(name, text, min, max, names).map(Some),
        };
        let cron = Cron {
            minutes: values("minutes", minutes, 0, 59, &[])?,
            hours: values("hours", hours, 0, 23, &[])?,
            days_of_month: day("day of month", days_of_month, 1, 31, &[])?,
            months: values("month", months, 1, 12, &MONTHS)?,
            days_of_week: day("day of week", days_of_week, 1, 7, &DAYS)?,
            years: values("year", years, 1970, YEAR_MAX, &[])?,
        };
        match (&cron.days_of_month, &cron.days_of_week) {
            (Some(_), Some(_)) => Err(format!("cron({text}): one of day of month and day of week is ?")),
            (None, None) => Err(format!("cron({text}): only one of day of month and day of week is ?")),
            _ => Ok(cron),
        }
    }

    fn allows(&self, day: NaiveDate) -> bool {
        let has = |values: &Option<Vec<u32>>, value: u32| values.as_ref().is_none_or(|values| values.contains(&value));
        self.months.contains(&day.month())
            && u32::try_from(day.year()).is_ok_and(|year| self.years.contains(&year))
            && has(&self.days_of_month, day.day())
            && has(&self.days_of_week, day.weekday().number_from_sunday())
    }

    fn next(&self, from: Time) -> Option<Time> {
        let mut instant = from.to_datetime();
        if instant.second() > 0 || instant.nanosecond() > 0 {
            instant = instant.with_second(0)?.with_nanosecond(0)? + TimeDelta::minutes(1);
        }
        let last_year = *self.years.last()?;
        let (mut day, mut earliest) = (instant.date_naive(), (instant.hour(), instant.minute()));
        while u32::try_from(day.year()).is_ok_and(|year| year <= last_year) {
            if self.allows(day) {
                let times = self.hours.iter().flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)));
                if let Some((hour, minute)) = times.filter(|time| *time >= earliest).min() {
                    return Some(time(day.and_hms_opt(hour, minute, 0)?.and_utc()));
                }
            }
            day = day.succ_opt()?;
            earliest = (0, 0);
        }
        None
    }
}

/// The values that a field allows, in their order: `*`, numbers, names, ranges, steps and lists of them.
fn values(name: &str, text: &str, min: u32, max: u32, names: &[&str]) -> Result<Vec<u32>, String> {
    let wrong = |part: &str| format!("{part:?} is no {name} of {min} to {max} (L, W and # are not modelled)");
    let number = |part: &str| {
        let by_name = names.iter().position(|name| name.eq_ignore_ascii_case(part));
        let value = by_name.map(|position| position as u32 + min).or_else(|| part.parse().ok());
        value.filter(|value| (min..=max).contains(value)).ok_or_else(|| wrong(part))
    };
    let mut allowed = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, Some(step.parse().ok().filter(|step| *step > 0).ok_or_else(|| wrong(part))?))
            }
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) => (number(first)?, number(last)?),
            None if step.is_some() => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if first > last {
            return Err(wrong(part));
        }
        allowed.extend((first..=last).step_by(step.unwrap_or(1)));
    }
    allowed.sort_unstable();
    allowed.dedup();
    Ok(allowed)
}

/// An instant of the calendar; the epoch for those before it.
pub(super) fn time(instant: DateTime<Utc>) -> Time {
    Time::from_unix_micros(u64::try_from(instant.timestamp_micros()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next three times from 2026-03-01T00:00:30Z (a Sunday) on.
    fn next(text: &str) -> Vec<String> {
        let from = Time::from_unix_secs(1_772_323_230);
        let expression = Expression::parse(text).unwrap_or_else(|why| panic!("{why}"));
        let mut times = Vec::new();
        let mut at = from;
        while let Some(time) = expression.next(from, at).filter(|_| times.len() < 3) {
            times.push(time.to_datetime().format("%y-%m-%d %H:%M:%S").to_string());
            at = time + Duration::from_micros(1);
        }
        times
    }

    #[test]
    fn expressions_fire_when_they_say() {
        for (text, expected) in [
            ("rate(1 minute)", ["26-03-01 00:00:30", "26-03-01 00:01:30", "26-03-01 00:02:30"]),
            ("rate(12 hours)", ["26-03-01 00:00:30", "26-03-01 12:00:30", "26-03-02 00:00:30"]),
            ("cron(20 * * * ? *)", ["26-03-01 00:20:00", "26-03-01 01:20:00", "26-03-01 02:20:00"]),
            ("cron(0 6 * * ? *)", ["26-03-01 06:00:00", "26-03-02 06:00:00", "26-03-03 06:00:00"]),
            ("cron(0/25 23 ? * SUN *)", ["26-03-01 23:00:00", "26-03-01 23:25:00", "26-03-01 23:50:00"]),
            ("cron(15 10 ? * MON-FRI *)", ["26-03-02 10:15:00", "26-03-03 10:15:00", "26-03-04 10:15:00"]),
            ("cron(0 0 31 * ? *)", ["26-03-31 00:00:00", "26-05-31 00:00:00", "26-07-31 00:00:00"]),
            ("cron(0 12 29 FEB ? *)", ["28-02-29 12:00:00", "32-02-29 12:00:00", "36-02-29 12:00:00"]),
            ("cron(0,30 1 1,15 3 ? 2026)", ["26-03-01 01:00:00", "26-03-01 01:30:00", "26-03-15 01:00:00"]),
        ] {
            assert_eq!(next(text), expected, "{text}");
        }
        assert_eq!(next("at(2026-03-01T00:01:00)"), ["26-03-01 00:01:00"]);
        assert_eq!(next("at(2026-03-01T00:00:00)"), [""; 0]);
        assert_eq!(next("cron(0 0 1 1 ? 2025)"), [""; 0]);
    }

    #[test]
    fn other_texts_are_no_expressions() {
        for text in [
            "every day",
            "rate(0 minutes)",
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(5 seconds)",
            "cron(0 6 * * ?)",
            "cron(0 6 * * * *)",
            "cron(0 6 ? * ? *)",
            "cron(60 6 * * ? *)",
            "cron(0 6 L * ? *)",
            "cron(0 6 ? * 2#1 *)",
            "cron(0/0 6 * * ? *)",
            "cron(30-10 6 * * ? *)",
            "at(2026-03-01)",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
