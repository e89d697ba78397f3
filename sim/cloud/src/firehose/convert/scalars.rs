//! Timestamps, dates and decimal numbers.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::super::config::Reading;
use super::columns::{Column, Values};

/// A number at least so large is a time in milliseconds, not in seconds (in seconds, the year 5138).
const MILLIS_FROM: f64 = 1e11;

/// Adds a JSON value to a column of one of these types.
pub(super) fn append(column: &mut Column, raw: &str, reading: &Reading) -> Result<(), String> {
    if raw == "null" {
        column.append_null();
        return Ok(());
    }
    let text = if raw.starts_with('"') { serde_json::from_str::<String>(raw).ok() } else { None };
    let fail = |what: &str| format!("{raw} is not {what}");
    match &mut column.values {
        Values::Timestamp(values) => {
            let micros = match &text {
                Some(text) => timestamp(text.trim(), reading),
                None => number(raw, reading),
            };
            values.push(micros.ok_or_else(|| fail("a timestamp"))?);
        }
        Values::Date(values) => {
            let days = text.as_deref().and_then(|text| NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok());
            let days = days.map(|day| day.signed_duration_since(NaiveDate::default()).num_days());
            values.push(days.and_then(|days| i32::try_from(days).ok()).ok_or_else(|| fail("a date"))?);
        }
        Values::Decimal { values, precision, scale } => {
            let digits = match &text {
                Some(text) if !reading.is_hive => text.trim(),
                Some(_) => return Err(fail("a number")),
                None => raw,
            };
            values.push(decimal(digits, *precision, *scale).ok_or_else(|| fail("a number that fits"))?);
        }
        _ => return Err(fail("of a type that is known here")),
    }
    column.append_valid();
    Ok(())
}

/// Microseconds of a text: the forms of the guide ("Convert input data format"), and those that were configured.
fn timestamp(text: &str, reading: &Reading) -> Option<i64> {
    if let Some(millis) = reading.patterns.iter().find_map(|pattern| pattern.read(text)) {
        return millis.checked_mul(1_000);
    }
    if let Ok(at) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
        return Some(at.and_utc().timestamp_micros());
    }
    let iso = text.strip_suffix('Z').and_then(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok());
    let iso = iso.map(|at| at.and_utc().timestamp_micros());
    // Times with another zone than UTC, and numbers in texts, are OpenX's.
    let zoned = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_micros());
    iso.or_else(|| if reading.is_hive { None } else { zoned().or_else(|| number(text, reading)) })
}

/// Microseconds of a number: seconds with a fraction, or milliseconds. Hive takes milliseconds, if it was told to.
fn number(text: &str, reading: &Reading) -> Option<i64> {
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let is_millis = value.abs() >= MILLIS_FROM;
    if reading.is_hive {
        return if reading.millis { text.parse::<i64>().ok()?.checked_mul(1_000) } else { None };
    }
    // Whole numbers are exact.
    if let Ok(whole) = text.parse::<i64>() {
        return whole.checked_mul(if is_millis { 1_000 } else { 1_000_000 });
    }
    let micros = value * if is_millis { 1e3 } else { 1e6 };
    (micros.abs() < 9e18).then_some(micros.round() as i64)
}

/// The digits of a decimal number with so many places, rounded half up; nothing when there are too many before the point.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    // Where the point is among the digits, and how many of them are kept.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let kept = point + i64::from(scale);
    let digit = |at: i64| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let first = i64::try_from(digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len())).ok()?;
    if kept - first > i64::from(precision) && first < i64::try_from(digits.len()).ok()? {
        return None;
    }
    let mut value: i128 = 0;
    for at in first..kept {
        value = value.checked_mul(10)?.checked_add(digit(at).into())?;
    }
    if kept >= 0 && digit(kept) >= 5 {
        value += 1;
    }
    let fits = value < 10_i128.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iot::sql::time::EpochPattern;

    #[test]
    fn decimal_numbers_keep_their_places() {
        for (text, precision, scale, expected) in [
            ("12.34", 10, 2, Some(1234)),
            ("12.345", 10, 2, Some(1235)),
            ("-12.344", 10, 2, Some(-1234)),
            ("1.5e3", 10, 0, Some(1500)),
            ("15e-3", 10, 2, Some(2)),
            ("0.004", 10, 2, Some(0)),
            ("99.995", 4, 2, None),
            ("100", 4, 2, None),
            ("0", 1, 1, Some(0)),
            ("1e400", 38, 0, None),
            ("1e-400", 38, 2, Some(0)),
            ("", 4, 2, None),
            ("1.2.3", 4, 2, None),
            ("99999999999999999999999999999999999999", 38, 0, Some(10_i128.pow(38) - 1)),
        ] {
            assert_eq!(decimal(text, precision, scale), expected, "{text}");
        }
    }

    #[test]
    fn timestamps_have_the_forms_of_their_deserializer() {
        let open_x = Reading::default();
        let plain_hive = Reading { is_hive: true, ..Reading::default() };
        let pattern = EpochPattern::parse("dd.MM.yyyy HH:mm").unwrap();
        let hive = Reading { is_hive: true, millis: true, patterns: vec![pattern], ..Reading::default() };
        let at = 1_518_033_528_000_000; // 2018-02-07T19:58:48Z
        for (text, reading, expected) in [
            ("2018-02-07T19:58:48Z", &open_x, Some(at)),
            ("2018-02-07T19:58:48.123456789Z", &open_x, Some(at + 123_456)),
            ("2018-02-07 19:58:48", &open_x, Some(at)),
            ("2018-02-07T20:58:48+01:00", &open_x, Some(at)),
            ("1518033528", &open_x, Some(at)),
            ("1518033528123", &open_x, Some(at + 123_000)),
            ("1518033528.5", &open_x, Some(at + 500_000)),
            ("yesterday", &open_x, None),
            ("2018-02-07 19:58:48.5", &plain_hive, Some(at + 500_000)),
            ("07.02.2018 19:58", &hive, Some(at - 48_000_000)),
            ("07.02.2018 19:58", &plain_hive, None),
        ] {
            assert_eq!(timestamp(text, reading), expected, "{text}");
        }
        assert_eq!(number("1518033528123", &hive), Some(at + 123_000));
        assert_eq!(number("1518033528123", &plain_hive), None);
    }
}
