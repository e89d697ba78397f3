//! Requests and answers in AWS JSON 1.1: parsing that borrows from the body, checks in AWS's words, and answers written
//! without a tree in between.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::stream::{Status, Stream};
use crate::core::{AwsError, Cx};
use world::time::Time;

/// Characters of an ARN at most (the model of the service).
pub(super) const ARN_CHARS: usize = 2_048;
/// Characters of a NextToken at most (the model of the service).
pub(super) const TOKEN_CHARS: usize = 1_048_576;
/// Characters of a shard iterator at most (the model of the service).
pub(super) const ITERATOR_CHARS: usize = 512;

/// A string of a request, borrowed from the body unless it has escapes.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string in an optional member.
pub(super) fn text<'r>(member: &'r Option<Text<'_>>) -> Option<&'r str> {
    member.as_ref().map(|Text(text)| &**text)
}

/// Parses a request. A member that AWS has and the simulator does not model is refused as such.
pub(super) fn parse<'a, T: Deserialize<'a>>(operation: &str, body: &'a [u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
            Some((member, _)) => AwsError::not_modelled(format!("the member {member} of kinesis {operation}")),
            None => AwsError::serialization(message),
        }
    })
}

/// The constraints that a request breaks, told together as AWS does.
#[derive(Default)]
pub(super) struct Checks(Vec<String>);

impl Checks {
    /// Notes that the value at `path` breaks `constraint` unless `holds`.
    pub fn value(&mut self, holds: bool, value: impl Display, path: &str, constraint: impl Display) {
        if !holds {
            self.0.push(format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    /// The same for a value that AWS does not print: blobs and lists.
    pub fn unprinted(&mut self, holds: bool, path: impl Display, constraint: impl Display) {
        if !holds {
            self.0.push(format!("Value at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    /// Notes that a required member is absent, and answers the value if it is there.
    pub fn required<T>(&mut self, member: Option<T>, path: impl Display) -> Option<T> {
        if member.is_none() {
            self.0.push(format!("Value null at '{path}' failed to satisfy constraint: Member must not be null"));
        }
        member
    }

    /// A number between two bounds.
    pub fn range(&mut self, value: Option<i64>, path: &str, min: i64, max: i64) {
        if let Some(value) = value {
            self.value(
                value >= min,
                value,
                path,
                format_args!("Member must have value greater than or equal to {min}"),
            );
            self.value(value <= max, value, path, format_args!("Member must have value less than or equal to {max}"));
        }
    }

    /// The name of a stream or shard.
    pub fn name(&mut self, name: Option<&str>, path: &str) {
        let Some(name) = name else { return };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let matches = !name.is_empty() && name.bytes().all(allowed);
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
        self.value(matches, name, path, pattern);
        self.value(!name.is_empty(), name, path, "Member must have length greater than or equal to 1");
        self.value(name.len() <= 128, name, path, "Member must have length less than or equal to 128");
    }

    /// The name and the ARN of a stream.
    pub fn stream(&mut self, name: Option<&str>, arn: Option<&str>) {
        self.name(name, "streamName");
        let Some(arn) = arn else { return };
        let pattern = r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+";
        self.value(is_arn_of_a_stream(arn), arn, "streamARN", pattern);
        self.length(Some(arn), "streamARN", ARN_CHARS);
    }

    /// A text of 1 to `max` characters.
    pub fn length(&mut self, value: Option<&str>, path: &str, max: usize) {
        let Some(value) = value else { return };
        self.value(!value.is_empty(), value, path, "Member must have length greater than or equal to 1");
        let constraint = format_args!("Member must have length less than or equal to {max}");
        self.value(value.chars().count() <= max, value, path, constraint);
    }

    /// A sequence number: a decimal number of at most 129 digits.
    pub fn sequence_number(&mut self, number: Option<&str>, path: &str) {
        self.decimal(number, path, 128);
    }

    /// A decimal number with at most `rest` digits after its first.
    pub fn decimal(&mut self, number: Option<&str>, path: &str, rest: usize) {
        let Some(text) = number else { return };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let matches = text == "0" || is_number && text.len() <= rest + 1 && !text.starts_with('0');
        let constraint = format_args!(r"Member must satisfy regular expression pattern: 0|([1-9]\d{{0,{rest}}})");
        self.value(matches, text, path, constraint);
    }

    /// Ends the checks: a `ValidationException` when a constraint is broken. AWS tells the first ten.
    pub fn finish(mut self) -> Result<(), AwsError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.truncate(10);
        let plural = if self.0.len() == 1 { "" } else { "s" };
        let message = format!("{} validation error{plural} detected: {}", self.0.len(), self.0.join("; "));
        Err(AwsError::new("ValidationException", message))
    }
}

/// Whether a text matches `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`.
fn is_arn_of_a_stream(text: &str) -> bool {
    let is_one = |(at, separator): (usize, &str)| {
        let (before, name) = (&text[..at], &text[at + separator.len()..]);
        let Some((service, account)) = before.rsplit_once(':') else { return false };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_kinesis = service.contains(":kinesis:") && !service.contains('\n');
        is_account && is_kinesis && !name.is_empty() && !name.contains(char::is_whitespace)
    };
    text.starts_with("arn:aws") && text.match_indices(":stream/").any(is_one)
}

/// The name of the stream that a request means by name, ARN or both.
pub(super) fn stream_name<'r>(cx: &Cx<'_>, name: Option<&'r str>, arn: Option<&'r str>) -> Result<&'r str, AwsError> {
    let Some(arn) = arn else {
        // The text is unverified.
        return name.ok_or_else(|| invalid("Either StreamName or StreamARN must be provided."));
    };
    let named = arn.split_once(":stream/").map_or("", |(_, name)| name);
    if arn != cx.account.arn("kinesis", &format!("stream/{named}")) {
        return Err(not_found(arn, &cx.account.id));
    }
    if name.is_some_and(|name| name != named) {
        // The text is unverified.
        return Err(invalid("StreamName and StreamARN do not name the same stream."));
    }
    Ok(named)
}

/// Whether the caller may do `action` on the stream of this name.
pub(super) fn authorized(cx: &mut Cx<'_>, action: &str, stream: &str) -> Result<(), AwsError> {
    let arn = cx.account.arn("kinesis", &format!("stream/{stream}"));
    cx.authorize(action, &arn)
}

/// Refuses what only an ACTIVE stream takes, with the text that kinesalite recorded from AWS.
pub(super) fn expect_active(cx: &Cx<'_>, stream: &Stream) -> Result<(), AwsError> {
    if stream.status == Status::Active {
        return Ok(());
    }
    let (name, account, status) = (&stream.name, &cx.account.id, stream.status.as_str());
    let message = format!("Stream {name} under account {account} not ACTIVE, instead in state {status}");
    Err(AwsError::new("ResourceInUseException", message))
}

/// `InvalidArgumentException`.
pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidArgumentException", message)
}

/// A stream that does not exist.
pub(super) fn not_found(stream: &str, account: &str) -> AwsError {
    AwsError::new("ResourceNotFoundException", format!("Stream {stream} under account {account} not found."))
}

/// A shard that does not exist, or whose stream does not. The texts are those that kinesalite recorded from AWS.
pub(super) fn shard_not_found(shard_id: &str, stream: &str, account: &str) -> AwsError {
    let digits = shard_id.split_once('-').map_or(shard_id, |(_, digits)| digits);
    let message = if digits.parse::<i32>().is_ok() {
        format!("Shard {shard_id} in stream {stream} under account {account} does not exist")
    } else {
        format!("Could not find shard {shard_id} in stream {stream} under account {account}.")
    };
    AwsError::new("ResourceNotFoundException", message)
}

/// An instant in a request: seconds since the Unix epoch, to the millisecond. What lies beyond the instants that a
/// [`Time`] can tell becomes the nearest one that is far enough away.
pub(super) fn time(epoch_seconds: f64) -> Time {
    const MILLIS_MAX: f64 = 9e15;
    let millis = (epoch_seconds * 1_000.0).round().clamp(0.0, MILLIS_MAX) as u64;
    Time::from_unix_micros(millis * 1_000)
}

/// Appends formatted text to an answer.
macro_rules! put {
    ($out:expr, $($format:tt)*) => {
        std::io::Write::write_fmt($out, format_args!($($format)*)).expect("a Vec takes every write")
    };
}
pub(super) use put;

/// Appends bytes as a base64 string with its quotes.
pub(super) fn put_base64(out: &mut Vec<u8>, data: &[u8]) {
    let start = out.len() + 1;
    out.push(b'"');
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(data, &mut out[start..]).expect("the space is four bytes for each three");
    out.truncate(start + written);
    out.push(b'"');
}

/// Appends a JSON string with its quotes and escapes.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every write");
}

/// Appends an instant as seconds since the Unix epoch with milliseconds.
pub(super) fn put_time(out: &mut Vec<u8>, time: Time) {
    write!(out, "{}.{:03}", time.unix_secs(), time.unix_millis() % 1_000).expect("a Vec takes every write");
}
