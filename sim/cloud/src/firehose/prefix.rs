//! Prefixes of object keys with expressions (guide: "Custom prefixes for Amazon S3 objects"), and objects' names.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use super::pattern::Pattern;
use crate::core::AwsError;
use world::time::Time;

/// Appended to a prefix without an expression. (The guide says: without a timestamp. The key that its page "Use Amazon S3
/// bucket prefix to deliver data" shows has no date behind its partition keys, and a user saw none on AWS behind a random
/// string.)
const DEFAULT_TIMESTAMP: &str = "yyyy/MM/dd/HH/";
/// Longest prefix as it is written, in characters.
const WRITTEN_MAX: usize = 1024;
/// Longest prefix once its expressions are evaluated, in characters.
pub(super) const EVALUATED_MAX: usize = 512;
/// Characters of a random string.
pub(super) const RANDOM_STRING_CHARACTERS: usize = 11;

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

/// The prefix of a partition, in which each of its objects has random strings of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    /// Without the random strings.
    text: Arc<str>,
    /// Where they stand in the text, in order.
    gaps: Box<[usize]>,
}

/// Why a record has no partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpartitioned {
    /// It lacks a key.
    KeyMissing,
    /// Its prefix would be longer than [`EVALUATED_MAX`].
    TooLong,
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
    /// Parses the prefix of records, whose timestamps are in `zone`. One without an expression has the default date.
    pub fn of_data(text: &str, zone: Tz) -> Result<Self, AwsError> {
        let mut prefix = Prefix::parse(text, zone)?;
        if !prefix.has_expressions {
            prefix.parts.push(Part::Timestamp(Pattern::parse(DEFAULT_TIMESTAMP)?));
        }
        Ok(prefix)
    }

    /// The prefix of errors where none is given: that of the records, which has no expressions then, and the type of the
    /// error and the default date as folders. (The guide's rule has no slash behind the type; its example and users'
    /// objects have one. Its example has one before the type too, as it has before the date of records, where AWS puts
    /// none.)
    pub fn of_errors_by_default(of_data: &str, zone: Tz) -> Result<Self, AwsError> {
        let mut prefix = Prefix::parse(of_data, zone)?;
        let date = Part::Timestamp(Pattern::parse(DEFAULT_TIMESTAMP)?);
        prefix.parts.extend([Part::ErrorOutputType, Part::Text("/".to_owned()), date]);
        Ok(prefix)
    }

    /// Parses a prefix as it is written, such as that of errors, to which no date is appended.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, AwsError> {
        if text.chars().count() > WRITTEN_MAX {
            return Err(AwsError::new("ValidationException", format!("a prefix has at most {WRITTEN_MAX} characters")));
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

    /// The prefix for an object whose oldest record arrived at `oldest`. `random` makes a random string of
    /// [`RANDOM_STRING_CHARACTERS`].
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

    /// The prefix of the partition of a record that arrived at `arrival`.
    pub fn partition(&self, arrival: Time, keys: &Keys) -> Result<Partition, Unpartitioned> {
        let mut text = String::with_capacity(64);
        let mut gaps = Vec::new();
        for part in &self.parts {
            match part {
                Part::RandomString => gaps.push(text.len()),
                Part::QueryKey(key) => text.push_str(keys.query.get(key).ok_or(Unpartitioned::KeyMissing)?),
                Part::LambdaKey(key) => text.push_str(keys.lambda.get(key).ok_or(Unpartitioned::KeyMissing)?),
                other => self.write(&mut text, other, arrival),
            }
        }
        if text.chars().count() + gaps.len() * RANDOM_STRING_CHARACTERS > EVALUATED_MAX {
            return Err(Unpartitioned::TooLong);
        }
        Ok(Partition { text: text.into(), gaps: gaps.into() })
    }

    fn write(&self, out: &mut String, part: &Part, at: Time) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Timestamp(pattern) => pattern.write(out, &at.to_datetime().with_timezone(&self.zone)),
            _ => {}
        }
    }
}

impl Partition {
    /// Of all records, where there are no partitions.
    pub fn none() -> Self {
        Partition { text: "".into(), gaps: Box::default() }
    }

    /// Whether it is [`Partition::none`].
    pub fn is_none(&self) -> bool {
        self.text.is_empty() && self.gaps.is_empty()
    }

    /// The prefix of one of its objects.
    pub fn fill(&self, random: &mut dyn FnMut() -> String) -> String {
        let mut out = String::with_capacity(self.text.len() + self.gaps.len() * RANDOM_STRING_CHARACTERS);
        let mut from = 0;
        for gap in &self.gaps {
            out.push_str(&self.text[from..*gap]);
            out.push_str(&random());
            from = *gap;
        }
        out.push_str(&self.text[from..]);
        out
    }
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
        at_an_instant(Prefix::of_data(text, zone))
    }

    fn at_an_instant(prefix: Result<Prefix, AwsError>) -> Result<String, String> {
        let at = Time::from_unix_micros(1_535_335_509_012_345); // 2018-08-27T02:05:09.012345Z
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            format!("random-{draws:04}")
        };
        let prefix = prefix.map_err(|e| e.code.to_owned())?;
        Ok(prefix.evaluate(at, "processing-failed", &mut random))
    }

    #[test]
    fn a_prefix_is_evaluated_and_has_the_default_date_where_it_has_no_expression() {
        for (prefix, expected) in [
            ("", "2018/08/27/02/"),
            ("raw/", "raw/2018/08/27/02/"),
            ("legacy", "legacy2018/08/27/02/"),
            ("raw/!{timestamp:yyyy/MM/dd/HH}/", "raw/2018/08/27/02/"),
            ("y=!{timestamp:yyyy}/m=!{timestamp:M}/d=!{timestamp:d}/h=!{timestamp:H}/", "y=2018/m=8/d=27/h=2/"),
            ("dt=!{timestamp:yyyy'-'MM'-'dd}/", "dt=2018-08-27/"),
            ("!{timestamp:yy-DDD'T'HHmmss.SSS''}", "18-239T020509.012'"),
            ("!{firehose:random-string}/!{firehose:random-string}/", "random-0001/random-0002/"),
        ] {
            assert_eq!(evaluated(prefix).as_deref(), Ok(expected), "{prefix}");
        }
    }

    #[test]
    fn an_error_prefix_has_no_date_but_its_own_and_the_default_one_stands_below_that_of_the_records() {
        for (prefix, expected) in [
            ("errors/!{firehose:error-output-type}/", "errors/processing-failed/"),
            ("errors/", "errors/"),
            (
                "!{firehose:error-output-type}/!{timestamp:yyyy}/anyMonth/!{timestamp:dd}",
                "processing-failed/2018/anyMonth/27",
            ),
        ] {
            assert_eq!(at_an_instant(Prefix::parse(prefix, Tz::UTC)).as_deref(), Ok(expected), "{prefix}");
        }
        for (of_data, expected) in [
            ("", "processing-failed/2018/08/27/02/"),
            ("raw/", "raw/processing-failed/2018/08/27/02/"),
            ("legacy", "legacyprocessing-failed/2018/08/27/02/"),
        ] {
            let prefix = Prefix::of_errors_by_default(of_data, Tz::UTC);
            assert_eq!(at_an_instant(prefix).as_deref(), Ok(expected), "{of_data}");
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

    fn keys(tenant: &str, site: Option<&str>) -> Keys {
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Keys { query: map("tenant", tenant), lambda: site.map(|site| map("site", site)).unwrap_or_default() }
    }

    fn partition_of(text: &str, keys: &Keys) -> Result<Partition, Unpartitioned> {
        Prefix::of_data(text, Tz::UTC).unwrap().partition(Time::from_unix_secs(1_535_335_509), keys)
    }

    #[test]
    fn a_partition_has_its_keys_and_each_of_its_objects_a_random_string() {
        let text = "t=!{partitionKeyFromQuery:tenant}/!{firehose:random-string}/s=!{partitionKeyFromLambda:site}/!{timestamp:HH}/";
        assert_eq!(Prefix::of_data(text, Tz::UTC).unwrap().names_keys(), (true, true));
        assert_eq!(partition_of(text, &keys("a", None)), Err(Unpartitioned::KeyMissing));
        let mut draws = 0;
        let mut random = || {
            draws += 1;
            draws.to_string()
        };
        let partition = partition_of(text, &keys("a", Some("b"))).unwrap();
        assert_eq!(partition.fill(&mut random), "t=a/1/s=b/02/");
        assert_eq!(partition.fill(&mut random), "t=a/2/s=b/02/");
        // Whatever a device writes into its key is no expression.
        let partition = partition_of(text, &keys("\0", Some("!{firehose:random-string}"))).unwrap();
        assert_eq!(partition.fill(&mut random), "t=\0/3/s=!{firehose:random-string}/02/");
        let without_date = partition_of("!{partitionKeyFromQuery:tenant}/", &keys("a", None)).unwrap();
        assert_eq!(without_date.fill(&mut random), "a/", "nothing is appended to keys");
    }

    #[test]
    fn partitions_that_differ_in_where_their_random_string_stands_are_different() {
        let text = "!{partitionKeyFromQuery:tenant}!{firehose:random-string}!{partitionKeyFromLambda:site}";
        let [one, other] =
            [("a", "bc"), ("ab", "c")].map(|(tenant, site)| partition_of(text, &keys(tenant, Some(site))).unwrap());
        assert_ne!(one, other);
        assert_eq!([one, other].map(|it| it.fill(&mut || "-".to_owned())), ["a-bc", "ab-c"]);
    }

    #[test]
    fn a_partition_has_at_most_512_characters_random_strings_included() {
        let text = "!{partitionKeyFromQuery:tenant}/!{firehose:random-string}";
        for (length, fits) in [(500, true), (501, false)] {
            // Characters, not bytes.
            let partition = partition_of(text, &keys(&"\u{e4}".repeat(length), None));
            assert_eq!(partition.err(), (!fits).then_some(Unpartitioned::TooLong), "{length}");
        }
    }

    #[test]
    fn an_object_is_named_by_stream_version_and_oldest_arrival() {
        let name = object_name("raw", 1, Time::from_unix_secs(1_535_335_509), "u-1", ".gz");
        assert_eq!(name, "raw-1-2018-08-27-02-05-09-u-1.gz");
    }
}
