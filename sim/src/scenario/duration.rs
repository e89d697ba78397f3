//! Durations as scenario files and flags write them: `"500ms"`, `"10s"`, `"15min"`, `"6h20min"`.

use std::time::Duration;

/// Units from long to short, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// What people write in place of a unit, and the unit that they mean.
const MEANT: [(&str, &[&str]); 5] = [
    ("d", &["day", "days"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("min", &["m", "mins", "minute", "minutes"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("ms", &["msec", "millis", "millisecond", "milliseconds"]),
];

/// What a duration looks like, for errors and documents.
pub const EXPECTED: &str = "whole numbers with the units d, h, min, s, ms, such as \"10s\" or \"1h30min\"";

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub hint: String,
}

/// Parses a duration: one or more whole numbers, each with its unit, from the longest unit to the shortest.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut shorter_than = u64::MAX;
    if rest.is_empty() {
        return Err(error("is empty", "write a number and its unit: \"10s\""));
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (unit, tail) = tail.split_at(letters);
        let Some(&(_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(unknown_unit(text, number, unit));
        };
        if number.is_empty() {
            return Err(error(format!("has no number before `{unit}`"), format!("write it as \"10{unit}\"")));
        }
        if unit_ms >= shorter_than {
            let problem = format!("has the unit `{unit}` after one that is not longer");
            return Err(error(problem, "each unit once, from long to short: \"1h30min\""));
        }
        shorter_than = unit_ms;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms));
        total_ms = part
            .and_then(|part| total_ms.checked_add(part))
            .ok_or_else(|| error("is longer than any run", "the longest hardship is 366d"))?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse`] gives it back. Parts of a millisecond are left out.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        if rest >= unit_ms {
            text.push_str(&format!("{}{unit}", rest / unit_ms));
            rest %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn unknown_unit(text: &str, number: &str, unit: &str) -> DurationError {
    let word = unit.trim();
    if number.is_empty() {
        return error("is not a duration", "write a number and its unit: \"10s\"");
    }
    if word.is_empty() {
        return error("has no unit", format!("write it with a unit: \"{number}s\""));
    }
    if word.starts_with(['.', ',']) {
        return error("is not a whole number", "use a smaller unit: \"1h30min\" for an hour and a half");
    }
    let lower = word.to_lowercase();
    let meant = MEANT.iter().find(|(name, words)| *name == lower || words.contains(&lower.as_str()));
    let hint = match meant {
        Some((meant, _)) => format!("did you mean \"{}\"?", text.replacen(unit, meant, 1)),
        None => "the shortest unit is ms, the longest d".to_owned(),
    };
    if UNITS.iter().any(|(name, _)| *name == word) {
        return error("has a space in it", hint);
    }
    error(format!("has the unit `{word}`, which is not known"), hint)
}

fn error(problem: impl Into<String>, hint: impl Into<String>) -> DurationError {
    DurationError { problem: problem.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("15min", 900_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("6h20min", 22_800_000),
            ("1min1s1ms", 61_001),
            ("0s", 0),
            ("90min", 5_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_explained() {
        for (text, problem, hint) in [
            ("", "empty", "\"10s\""),
            ("10", "no unit", "\"10s\""),
            ("s", "no number before `s`", "\"10s\""),
            ("soon", "not a duration", "\"10s\""),
            ("10sec", "the unit `sec`", "did you mean \"10s\"?"),
            ("10 s", "has a space", "did you mean \"10s\"?"),
            ("15m", "the unit `m`", "did you mean \"15min\"?"),
            ("2 Hours", "the unit `Hours`", "did you mean \"2h\"?"),
            ("10us", "the unit `us`", "shortest unit is ms"),
            ("1.5h", "not a whole number", "\"1h30min\""),
            ("-5s", "not a duration", "\"10s\""),
            ("1s1min", "the unit `min` after", "from long to short"),
            ("1s1s", "the unit `s` after", "each unit once"),
            ("99999999999999999999d", "longer than any run", "366d"),
            ("18446744073709551615h", "longer than any run", "366d"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.problem.contains(problem) && error.hint.contains(hint), "{text}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_survives_being_written(ms in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
