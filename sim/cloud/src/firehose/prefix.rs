//! Prefixes of object keys with expressions (guide: "Custom prefixes for Amazon S3 objects"), and objects' names.

use std::fmt::Write as _;

use chrono::{Datelike as _, Timelike as _};

use crate::core::AwsError;
use world::time::Time;

/// Appended to a prefix without a timestamp expression. For an error prefix this is unverified.
const DEFAULT_TIMESTAMP: &str = "yyyy/MM/dd/HH/";

/// A prefix, parsed.
#[derive(Debug)]
pub(super) struct Prefix {
    parts: Vec<Part>,
    has_expressions: bool,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Timestamp(Vec<DatePart>),
    RandomString,
    ErrorOutputType,
}

/// One element of a Java `DateTimeFormatter` pattern: a letter with how often it stands there, or literal text.
#[derive(Debug)]
enum DatePart {
    Literal(char),
    Field(char, usize),
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidArgumentException", message)
}

impl Prefix {
    /// Parses a prefix.
    pub fn parse(text: &str) -> Result<Self, AwsError> {
        if text.len() > 1024 {
            return Err(AwsError::new("ValidationException", "a prefix has at most 1,024 characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("!{") {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let inner = &rest[start + 2..];
            let end = inner.find('}').ok_or_else(|| invalid(format!("the expression in {text:?} is not closed")))?;
            parts.push(expression(&inner[..end])?);
            rest = &inner[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let has_expressions = parts.iter().any(|part| !matches!(part, Part::Text(_)));
        if !parts.iter().any(|part| matches!(part, Part::Timestamp(_))) {
            parts.push(Part::Timestamp(pattern(DEFAULT_TIMESTAMP)?));
        }
        Ok(Prefix { parts, has_expressions })
    }

    /// Whether an expression was written in it.
    pub fn has_expressions(&self) -> bool {
        self.has_expressions
    }

    /// Whether `!{firehose:error-output-type}` stands in it.
    pub fn names_error_type(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::ErrorOutputType))
    }

    /// The prefix for an object whose oldest record arrived at `oldest`. `random` makes a random string of 11
    /// characters.
    pub fn evaluate(&self, oldest: Time, error_type: &str, random: &mut dyn FnMut() -> String) -> String {
        let mut out = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Timestamp(parts) => format_timestamp(&mut out, parts, oldest),
                Part::RandomString => out.push_str(&random()),
                Part::ErrorOutputType => out.push_str(error_type),
            }
        }
        out
    }
}

fn expression(text: &str) -> Result<Part, AwsError> {
    match text.split_once(':') {
        Some(("timestamp", value)) => Ok(Part::Timestamp(pattern(value)?)),
        Some(("firehose", "random-string")) => Ok(Part::RandomString),
        Some(("firehose", "error-output-type")) => Ok(Part::ErrorOutputType),
        Some(("partitionKeyFromQuery" | "partitionKeyFromLambda", _)) => {
            Err(AwsError::not_modelled("dynamic partitioning"))
        }
        _ => Err(invalid(format!("!{{{text}}} is not an expression of a prefix"))),
    }
}

fn pattern(text: &str) -> Result<Vec<DatePart>, AwsError> {
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            'y' | 'u' | 'M' | 'd' | 'D' | 'H' | 'm' | 's' | 'S' => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                let most = match c {
                    'y' | 'u' => 4,
                    'D' => 3,
                    'S' => 6,
                    _ => 2,
                };
                if count > most {
                    let letters = c.to_string().repeat(count);
                    return Err(AwsError::not_modelled(format!("{letters} in the timestamp pattern {text:?}")));
                }
                parts.push(DatePart::Field(c, count));
            }
            '\'' if chars.next_if_eq(&'\'').is_some() => parts.push(DatePart::Literal('\'')),
            '\'' => loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => parts.push(DatePart::Literal('\'')),
                    Some('\'') => break,
                    Some(quoted) => parts.push(DatePart::Literal(quoted)),
                    None => return Err(invalid(format!("the timestamp pattern {text:?} has an open quote"))),
                }
            },
            c if c.is_ascii_alphabetic() || matches!(c, '[' | ']' | '#' | '{') => {
                return Err(AwsError::not_modelled(format!("{c:?} in the timestamp pattern {text:?}")));
            }
            c => parts.push(DatePart::Literal(c)),
        }
    }
    if parts.is_empty() {
        return Err(invalid("a timestamp expression needs a pattern".to_owned()));
    }
    Ok(parts)
}

fn format_timestamp(out: &mut String, parts: &[DatePart], at: Time) {
    let date = at.to_datetime();
    for part in parts {
        let (letter, width) = match part {
            DatePart::Literal(c) => {
                out.push(*c);
                continue;
            }
            DatePart::Field(letter, width) => (*letter, *width),
        };
        let value = match letter {
            'y' | 'u' if width == 2 => date.year().unsigned_abs() % 100,
            'y' | 'u' => date.year().unsigned_abs(),
            'M' => date.month(),
            'd' => date.day(),
            'D' => date.ordinal(),
            'H' => date.hour(),
            'm' => date.minute(),
            's' => date.second(),
            // A fraction of a second with `width` digits.
            _ => date.nanosecond() / 10_u32.pow(9 - width as u32),
        };
        let _ = write!(out, "{value:0width$}");
    }
}

/// `{stream}-{version}-{yyyy-MM-dd-HH-mm-ss}-{uuid}{extension}`.
pub(super) fn object_name(stream: &str, version: u64, oldest: Time, uuid: &str, extension: &str) -> String {
    format!("{stream}-{version}-{}-{uuid}{extension}", oldest.to_datetime().format("%Y-%m-%d-%H-%M-%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(text: &str) -> Result<String, String> {
        let at = Time::from_unix_micros(1_535_335_509_012_345); // 2018-08-27T02:05:09.012345Z
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            format!("random-{draws:04}")
        };
        let prefix = Prefix::parse(text).map_err(|e| e.code.to_owned())?;
        Ok(prefix.evaluate(at, "format-conversion-failed", &mut random))
    }

    #[test]
    fn a_prefix_is_evaluated_as_the_guide_says() {
        for (prefix, expected) in [
            ("", "2018/08/27/02/"),
            ("raw/", "raw/2018/08/27/02/"),
            ("legacy", "legacy2018/08/27/02/"),
            ("raw/!{timestamp:yyyy/MM/dd/HH}/", "raw/2018/08/27/02/"),
            ("y=!{timestamp:yyyy}/m=!{timestamp:M}/d=!{timestamp:d}/h=!{timestamp:H}/", "y=2018/m=8/d=27/h=2/"),
            ("dt=!{timestamp:yyyy'-'MM'-'dd}/", "dt=2018-08-27/"),
            ("!{timestamp:yy-DDD'T'HHmmss.SSS''}", "18-239T020509.012'"),
            ("!{firehose:random-string}/!{firehose:random-string}/", "random-0001/random-0002/2018/08/27/02/"),
            ("errors/!{firehose:error-output-type}/", "errors/format-conversion-failed/2018/08/27/02/"),
        ] {
            assert_eq!(evaluated(prefix).as_deref(), Ok(expected), "{prefix}");
        }
    }

    #[test]
    fn what_is_not_an_expression_is_refused() {
        for (prefix, code) in [
            ("raw/!{timestamp:yyyy", "InvalidArgumentException"),
            ("raw/!{timestamp:}", "InvalidArgumentException"),
            ("raw/!{timestamp:'T}", "InvalidArgumentException"),
            ("raw/!{firehose:nothing}", "InvalidArgumentException"),
            ("raw/!{nothing}", "InvalidArgumentException"),
            ("raw/!{timestamp:MMM}", "NotImplemented"),
            ("raw/!{timestamp:EEE}", "NotImplemented"),
            ("raw/!{partitionKeyFromQuery:tenant}", "NotImplemented"),
        ] {
            assert_eq!(evaluated(prefix), Err(code.to_owned()), "{prefix}");
        }
    }

    #[test]
    fn an_object_is_named_by_stream_version_and_oldest_arrival() {
        let name = object_name("raw", 1, Time::from_unix_secs(1_535_335_509), "u-1", ".gz");
        assert_eq!(name, "raw-1-2018-08-27-02-05-09-u-1.gz");
    }
}
