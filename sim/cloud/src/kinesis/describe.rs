//! `DescribeStream`, `DescribeStreamSummary` and `ListStreams`.

use std::ops::Bound;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::list_shards::{after, shard};
use super::monitoring;
use super::stream::{Status, Stream};
use super::token::{Kind, Token};
use super::wire::{Checks, TOKEN_CHARS, Text, invalid, not_found, parse, stream_name, text};
use crate::core::{AwsError, Cx};
use world::time::Time;

/// Shards in an answer of DescribeStream, however many the caller asks for ("Limit" of API_DescribeStream).
const DESCRIBE_SHARDS: usize = 100;
/// Streams in an answer of ListStreams, however many the caller asks for ("Limit" of API_ListStreams).
const LIST_STREAMS: usize = 100;
/// The largest limit that a caller may name.
pub(super) const LIMIT_MAX: i64 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStreamInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    limit: Option<i64>,
    #[serde(borrow)]
    exclusive_start_shard_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStreamSummaryInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListStreamsInput<'a> {
    limit: Option<i64>,
    #[serde(borrow)]
    exclusive_start_stream_name: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
}

impl Kinesis {
    /// `DescribeStream`.
    pub(super) fn describe_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DescribeStreamInput<'_> = parse("DescribeStream", body)?;
        let mut checks = Checks::default();
        checks.range(input.limit, "limit", 1, LIMIT_MAX);
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.name(text(&input.exclusive_start_shard_id), "exclusiveStartShardId");
        checks.finish()?;
        let stream = self.described(cx, "kinesis:DescribeStream", text(&input.stream_name), text(&input.stream_arn))?;
        let mut rest = stream.visible_shards(after(text(&input.exclusive_start_shard_id))).peekable();
        let shown = rest.by_ref().take(limit(input.limit, DESCRIBE_SHARDS)).map(|(_, it)| shard(it));
        let mut description = common(stream);
        description["Shards"] = shown.collect();
        description["HasMoreShards"] = rest.peek().is_some().into();
        Ok(json!({ "StreamDescription": description }).to_string().into_bytes())
    }

    /// `DescribeStreamSummary`.
    pub(super) fn describe_stream_summary_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DescribeStreamSummaryInput<'_> = parse("DescribeStreamSummary", body)?;
        let mut checks = Checks::default();
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let stream =
            self.described(cx, "kinesis:DescribeStreamSummary", text(&input.stream_name), text(&input.stream_arn))?;
        let mut summary = common(stream);
        let visible = stream.status != Status::Creating;
        summary["OpenShardCount"] = if visible { stream.open.len() } else { 0 }.into();
        summary["ConsumerCount"] = stream.consumers.len().into();
        summary["MaxRecordSizeInKiB"] = (stream.record_bytes_max >> 10).into();
        Ok(json!({ "StreamDescriptionSummary": summary }).to_string().into_bytes())
    }

    /// `ListStreams`: by name.
    pub(super) fn list_streams_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ListStreamsInput<'_> = parse("ListStreams", body)?;
        cx.authorize("kinesis:ListStreams", "*")?;
        let lifetime_secs = self.quotas(cx).list_token_lifetime_secs;
        let mut checks = Checks::default();
        checks.range(input.limit, "limit", 1, LIMIT_MAX);
        checks.name(text(&input.exclusive_start_stream_name), "exclusiveStartStreamName");
        checks.length(text(&input.next_token), "nextToken", TOKEN_CHARS);
        checks.finish()?;
        let token = text(&input.next_token).map(|token| open_token(cx.now, token, Kind::Streams, lifetime_secs));
        let token = token.transpose()?;
        let start = token.as_ref().map(|token| token.stream.as_str()).or(text(&input.exclusive_start_stream_name));
        let range = (start.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut rest = self.streams.range::<str, _>(range).map(|(_, stream)| stream).peekable();
        let shown: Vec<&Stream> = rest.by_ref().take(limit(input.limit, LIST_STREAMS)).collect();
        let mut answer = json!({
            "StreamNames": shown.iter().map(|stream| &*stream.name).collect::<Vec<_>>(),
            "StreamSummaries": shown.iter().map(|stream| summary(stream)).collect::<Vec<_>>(),
            "HasMoreStreams": rest.peek().is_some(),
        });
        if let (Some(_), Some(last)) = (rest.peek(), shown.last()) {
            answer["NextToken"] = token_after(cx.now, last).into();
        }
        Ok(answer.to_string().into_bytes())
    }

    fn described(
        &self,
        cx: &mut Cx<'_>,
        action: &str,
        name: Option<&str>,
        arn: Option<&str>,
    ) -> Result<&Stream, AwsError> {
        let name = stream_name(cx, name, arn)?;
        self.permit(cx, action, name)?;
        self.streams.get(name).ok_or_else(|| not_found(name, &cx.account.id))
    }
}

/// The error of an operation on the control plane whose rate is exceeded.
pub(super) fn rate_exceeded(stream: Option<&str>, account: &str) -> AwsError {
    let what = stream.map_or_else(String::new, |stream| format!(" for stream {stream} under account {account}"));
    AwsError::new("LimitExceededException", format!("Rate exceeded{what}."))
}

/// How many are in an answer: as many as the caller asks for, and `most` at most.
pub(super) fn limit(asked: Option<i64>, most: usize) -> usize {
    asked.and_then(|limit| usize::try_from(limit).ok()).map_or(most, |limit| limit.min(most))
}

/// Opens a token that a caller gives back.
pub(super) fn open_token(now: Time, text: &str, kind: Kind, lifetime_secs: u64) -> Result<Token, AwsError> {
    // The texts are unverified.
    let token = Token::decode(text, kind).ok_or_else(|| invalid("NextToken is invalid."))?;
    if now.since(token.issued) > Duration::from_secs(lifetime_secs) {
        return Err(AwsError::new("ExpiredNextTokenException", "NextToken is expired."));
    }
    Ok(token)
}

/// The token with which a listing goes on after a stream.
fn token_after(now: Time, last: &Stream) -> String {
    let (stream, stream_created) = (last.name.to_string(), last.created);
    Token { kind: Kind::Streams, issued: now, stream, stream_created, shard: 0, offset: 0 }.encode()
}

fn common(stream: &Stream) -> Value {
    let mut description = json!({
        "StreamName": &*stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status.as_str(),
        "StreamModeDetails": { "StreamMode": stream.mode().as_str() },
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": stream.created.epoch_seconds(),
        "EnhancedMonitoring": monitoring::shown(stream),
        "EncryptionType": "NONE",
    });
    if let Some(key) = stream.encryption.key() {
        description["EncryptionType"] = "KMS".into();
        description["KeyId"] = (&**key).into();
    }
    description
}

fn summary(stream: &Stream) -> Value {
    json!({
        "StreamName": &*stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status.as_str(),
        "StreamModeDetails": { "StreamMode": stream.mode().as_str() },
        "StreamCreationTimestamp": stream.created.epoch_seconds(),
    })
}
