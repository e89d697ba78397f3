//! Prefixes of object keys with expressions (guide: "Custom prefixes for Amazon S3 objects"), and objects' names.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::pattern::Pattern;
use crate::core::AwsError;
use world::time::Time;

/// Appended to a prefix without a timestamp expression. For an error prefix, and for one with partition keys, this is
/// unverified.
const DEFAULT_TIMESTAMP: &str = "yyyy/MM/dd/HH/";
/// Stands in the prefix of a partition where each of its objects has a random string of its own.
const RANDOM: char = '\0';

/// A prefix, parsed.
#[derive(Debug)]
pub(super) struct Prefix {
    parts: Vec<Part>,
    zone: Tz,
    has_expressions: bool,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Timestamp(Pattern),
    RandomString,
    ErrorOutputType,
    QueryKey(String),
    LambdaKey(String),
}

/// The partition keys of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// Of the query.
    pub query: BTreeMap<String, String>,
    /// Of the function.
    pub lambda: BTreeMap<String, String>,
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidArgumentException", message)
}

impl Prefix {
    /// Parses a prefix, whose timestamps are in `zone`.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, AwsError> {
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
            parts.push(Part::Timestamp(Pattern::parse(DEFAULT_TIMESTAMP)?));
        }
        Ok(Prefix { parts, zone, has_expressions })
    }

    /// Whether an expression was written in it.
    pub fn has_expressions(&self) -> bool {
        self.has_expressions
    }

    /// Whether `!{firehose:error-output-type}` stands in it.
    pub fn names_error_type(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::ErrorOutputType))
    }

    /// Whether a key of the query, and whether a key of the function stands in it.
    pub fn names_keys(&self) -> (bool, bool) {
        let has = |wanted: fn(&Part) -> bool| self.parts.iter().any(wanted);
        (has(|part| matches!(part, Part::QueryKey(_))), has(|part| matches!(part, Part::LambdaKey(_))))
    }

    /// The prefix for an object whose oldest record arrived at `oldest`. `random` makes a random string of 11
    /// characters.
    pub fn evaluate(&self, oldest: Time, error_type: &str, random: &mut dyn FnMut() -> String) -> String {
        let mut out = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::RandomString => out.push_str(&random()),
                Part::ErrorOutputType => out.push_str(error_type),
                // Only prefixes without keys are evaluated like this.
                Part::QueryKey(key) | Part::LambdaKey(key) => out.push_str(key),
                other => self.write(&mut out, other, oldest),
            }
        }
        out
    }

    /// The prefix of the partition of a record that arrived at `arrival`, or the key that is missing. Random strings are
    /// left open: see [`fill`].
    pub fn partition(&self, arrival: Time, keys: &Keys) -> Result<String, String> {
        let mut out = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::RandomString => out.push(RANDOM),
                Part::QueryKey(key) => out.push_str(keys.query.get(key).ok_or_else(|| key.clone())?),
                Part::LambdaKey(key) => out.push_str(keys.lambda.get(key).ok_or_else(|| key.clone())?),
                other => self.write(&mut out, other, arrival),
            }
        }
        Ok(out)
    }

    fn write(&self, out: &mut String, part: &Part, at: Time) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Timestamp(pattern) => pattern.write(out, &at.to_datetime().with_timezone(&self.zone)),
            _ => {}
        }
    }
}

/// The prefix of one object of a partition.
pub(super) fn fill(partition: &str, random: &mut dyn FnMut() -> String) -> String {
    let mut pieces = partition.split(RANDOM);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(&random());
        out.push_str(piece);
    }
    out
}

fn expression(text: &str) -> Result<Part, AwsError> {
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    match text.split_once(':') {
        Some(("timestamp", value)) => Ok(Part::Timestamp(Pattern::parse(value)?)),
        Some(("firehose", "random-string")) => Ok(Part::RandomString),
        Some(("firehose", "error-output-type")) => Ok(Part::ErrorOutputType),
        Some(("partitionKeyFromQuery", key)) if is_key(key) => Ok(Part::QueryKey(key.to_owned())),
        Some(("partitionKeyFromLambda", key)) if is_key(key) => Ok(Part::LambdaKey(key.to_owned())),
        _ => Err(invalid(format!("!{{{text}}} is not an expression of a prefix"))),
    }
}

/// `{stream}-{version}-{yyyy-MM-dd-HH-mm-ss}-{uuid}{extension}`, in UTC.
pub(super) fn object_name(stream: &str, version: u64, oldest: Time, uuid: &str, extension: &str) -> String {
    format!("{stream}-{version}-{}-{uuid}{extension}", oldest.to_datetime().format("%Y-%m-%d-%H-%M-%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(text: &str) -> Result<String, String> {
        evaluated_in(text, Tz::UTC)
    }

    fn evaluated_in(text: &str, zone: Tz) -> Result<String, String> {
        let at = Time::from_unix_micros(1_535_335_509_012_345); // 2018-08-27T02:05:09.012345Z
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            format!("random-{draws:04}")
        };
        let prefix = Prefix::parse(text, zone).map_err(|e| e.code.to_owned())?;
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
            ("raw/!{timestamp:YYYY}", "NotImplemented"),
            ("raw/!{timestamp:b}", "InvalidArgumentException"),
            ("raw/!{partitionKeyFromQuery:}", "InvalidArgumentException"),
        ] {
            assert_eq!(evaluated(prefix), Err(code.to_owned()), "{prefix}");
        }
    }

    #[test]
    fn every_letter_is_written_as_java_writes_it_and_in_the_zone() {
        // 2018-08-27T02:05:09.012345Z is a Monday.
        for (pattern, zone, expected) in [
            ("MMM/MMMM/MMMMM", Tz::UTC, "Aug/August/A"),
            ("EEE/EEEE/EEEEE", Tz::UTC, "Mon/Monday/M"),
            ("G yyyyy Q/QQQ D DDD", Tz::UTC, "AD 02018 3/Q3 239 239"),
            ("h:mm a k K hh", Tz::Asia__Tokyo, "11:05 AM 11 11 11"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX z VV", Tz::Asia__Tokyo, "2018-08-27T11:05:09+09:00 JST Asia/Tokyo"),
            ("ddHH Z x XX", Tz::America__New_York, "2622 -0400 -04 -0400"),
            ("HH[mm]X", Tz::UTC, "0205Z"),
            ("n N A", Tz::UTC, "12345000 7509012345000 7509012"),
        ] {
            assert_eq!(evaluated_in(&format!("!{{timestamp:{pattern}}}"), zone).as_deref(), Ok(expected), "{pattern}");
        }
        assert_eq!(evaluated_in("x/", Tz::Asia__Tokyo).as_deref(), Ok("x/2018/08/27/11/"), "the default is in it too");
    }

    #[test]
    fn a_partition_has_its_keys_and_each_of_its_objects_a_random_string() {
        let text = "t=!{partitionKeyFromQuery:tenant}/!{firehose:random-string}/s=!{partitionKeyFromLambda:site}/!{timestamp:HH}/";
        let prefix = Prefix::parse(text, Tz::UTC).unwrap();
        assert_eq!(prefix.names_keys(), (true, true));
        let at = Time::from_unix_secs(1_535_335_509);
        let mut keys = Keys::default();
        keys.query.insert("tenant".to_owned(), "a".to_owned());
        assert_eq!(prefix.partition(at, &keys), Err("site".to_owned()));
        keys.lambda.insert("site".to_owned(), "b".to_owned());
        let partition = prefix.partition(at, &keys).unwrap();
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            draws.to_string()
        };
        assert_eq!(fill(&partition, &mut random), "t=a/1/s=b/02/");
        assert_eq!(fill(&partition, &mut random), "t=a/2/s=b/02/");
    }

    #[test]
    fn an_object_is_named_by_stream_version_and_oldest_arrival() {
        let name = object_name("raw", 1, Time::from_unix_secs(1_535_335_509), "u-1", ".gz");
        assert_eq!(name, "raw-1-2018-08-27-02-05-09-u-1.gz");
    }
}
