//! `DescribeStream`, `DescribeStreamSummary`, `ListStreams` and `ListShards`.

use std::ops::Bound;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::shard::Shard;
use super::stream::Stream;
use super::token::{Kind, Token};
use super::wire::{Checks, Text, invalid, not_found, parse, stream_name, text};
use crate::cloud::core::ports::render_sequence_number;
use crate::cloud::core::{AwsError, Cx};
use crate::world::time::Time;

/// Shards in an answer of DescribeStream when the caller names no limit.
const DESCRIBE_SHARDS: usize = 100;
/// Streams in an answer of ListStreams when the caller names no limit.
const LIST_STREAMS: usize = 100;
/// Shards in an answer of ListShards when the caller names no limit.
const LIST_SHARDS: usize = 1_000;
/// The largest limit that a caller may name.
const LIMIT_MAX: i64 = 10_000;

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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListShardsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    next_token: Option<Text<'a>>,
    #[serde(borrow)]
    exclusive_start_shard_id: Option<Text<'a>>,
    max_results: Option<i64>,
    #[serde(borrow)]
    shard_filter: Option<ShardFilter<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ShardFilter<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(borrow)]
    shard_id: Option<Text<'a>>,
    timestamp: Option<f64>,
}

impl Kinesis {
    /// `DescribeStream`.
    pub(super) fn describe_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DescribeStreamInput<'_> = parse("DescribeStream", body)?;
        let mut checks = Checks::default();
        checks.range(input.limit, "limit", 1, LIMIT_MAX);
        checks.name(text(&input.stream_name), "streamName");
        checks.name(text(&input.exclusive_start_shard_id), "exclusiveStartShardId");
        checks.finish()?;
        let stream = self.described(cx, "kinesis:DescribeStream", text(&input.stream_name), text(&input.stream_arn))?;
        let from = after(stream, text(&input.exclusive_start_shard_id));
        let rest = &stream.visible_shards()[from..];
        let shown = &rest[..rest.len().min(limit(input.limit, DESCRIBE_SHARDS))];
        let mut description = common(stream);
        description["Shards"] = shown.iter().map(shard).collect();
        description["HasMoreShards"] = (shown.len() < rest.len()).into();
        Ok(json!({ "StreamDescription": description }).to_string().into_bytes())
    }

    /// `DescribeStreamSummary`.
    pub(super) fn describe_stream_summary_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DescribeStreamSummaryInput<'_> = parse("DescribeStreamSummary", body)?;
        let mut checks = Checks::default();
        checks.name(text(&input.stream_name), "streamName");
        checks.finish()?;
        let record_kib_max = self.quotas(cx).record_bytes_max >> 10;
        let stream =
            self.described(cx, "kinesis:DescribeStreamSummary", text(&input.stream_name), text(&input.stream_arn))?;
        let mut summary = common(stream);
        summary["OpenShardCount"] = stream.visible_shards().len().into();
        summary["ConsumerCount"] = 0.into();
        summary["MaxRecordSizeInKiB"] = record_kib_max.into();
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
            answer["NextToken"] = token_after(cx.now, Kind::Streams, last, 0).into();
        }
        Ok(answer.to_string().into_bytes())
    }

    /// `ListShards`.
    pub(super) fn list_shards_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ListShardsInput<'_> = parse("ListShards", body)?;
        let lifetime_secs = self.quotas(cx).list_token_lifetime_secs;
        let mut checks = Checks::default();
        checks.range(input.max_results, "maxResults", 1, LIMIT_MAX);
        checks.name(text(&input.stream_name), "streamName");
        checks.name(text(&input.exclusive_start_shard_id), "exclusiveStartShardId");
        checks.finish()?;
        let named = input.stream_name.is_some() || input.stream_arn.is_some();
        let token = match text(&input.next_token) {
            Some(_) if named => return Err(invalid("NextToken and StreamName cannot be provided together.")),
            None if !named => return Err(invalid("Either NextToken or StreamName should be provided.")),
            token => token.map(|token| open_token(cx.now, token, Kind::Shards, lifetime_secs)).transpose()?,
        };
        let name = match &token {
            Some(token) => &token.stream,
            None => stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?,
        };
        self.permit(cx, "kinesis:ListShards", name)?;
        let stream = self.streams.get_mut(name).ok_or_else(|| not_found(name, &cx.account.id))?;
        if token.as_ref().is_some_and(|token| token.stream_created != stream.created) {
            return Err(not_found(name, &cx.account.id));
        }
        if !stream.list_shards_calls.try_take(cx.now, 1) {
            return Err(rate_exceeded(Some(name), &cx.account.id));
        }
        let filtered = input.shard_filter.as_ref().map(filter).transpose()?.flatten();
        let from = match &token {
            Some(token) => token.shard as usize,
            None => after(stream, text(&input.exclusive_start_shard_id)).max(after(stream, filtered)),
        };
        let rest = stream.visible_shards().get(from..).unwrap_or_default();
        let shown = &rest[..rest.len().min(limit(input.max_results, LIST_SHARDS))];
        let mut answer = json!({ "Shards": shown.iter().map(shard).collect::<Vec<_>>() });
        if shown.len() < rest.len() {
            answer["NextToken"] = token_after(cx.now, Kind::Shards, stream, from + shown.len()).into();
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

/// Without splits and merges every shard is open for the life of its stream, so that a filter chooses by id only.
fn filter<'f>(filter: &'f ShardFilter<'_>) -> Result<Option<&'f str>, AwsError> {
    let (shard_id, timestamp) = (text(&filter.shard_id), filter.timestamp);
    match text(&filter.r#type) {
        Some("AFTER_SHARD_ID") if shard_id.is_some() && timestamp.is_none() => Ok(shard_id),
        Some("AT_TRIM_HORIZON" | "FROM_TRIM_HORIZON" | "AT_LATEST") if shard_id.is_none() && timestamp.is_none() => {
            Ok(None)
        }
        Some("AT_TIMESTAMP" | "FROM_TIMESTAMP") if shard_id.is_none() && timestamp.is_some() => Ok(None),
        // The text is unverified.
        kind => {
            Err(invalid(format!("ShardFilter of type {} has a wrong member or lacks one.", kind.unwrap_or("null"))))
        }
    }
}

fn limit(asked: Option<i64>, default: usize) -> usize {
    asked.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default)
}

/// Index of the first shard after the one with this id.
fn after(stream: &Stream, shard_id: Option<&str>) -> usize {
    shard_id.map_or(0, |id| stream.visible_shards().partition_point(|shard| &*shard.id <= id))
}

fn open_token(now: Time, text: &str, kind: Kind, lifetime_secs: u64) -> Result<Token, AwsError> {
    // The texts are unverified.
    let token = Token::decode(text, kind).ok_or_else(|| invalid("NextToken is invalid."))?;
    if now.since(token.issued) > Duration::from_secs(lifetime_secs) {
        return Err(AwsError::new("ExpiredNextTokenException", "NextToken is expired."));
    }
    Ok(token)
}

fn token_after(now: Time, kind: Kind, stream: &Stream, next_shard: usize) -> String {
    let shard = u32::try_from(next_shard).expect("a stream has far fewer than 2^32 shards");
    let (name, stream_created) = (stream.name.to_string(), stream.created);
    Token { kind, issued: now, stream: name, stream_created, shard, offset: 0 }.encode()
}

fn common(stream: &Stream) -> Value {
    json!({
        "StreamName": &*stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status.as_str(),
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": stream.created.epoch_seconds(),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
    })
}

fn summary(stream: &Stream) -> Value {
    json!({
        "StreamName": &*stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status.as_str(),
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "StreamCreationTimestamp": stream.created.epoch_seconds(),
    })
}

fn shard(shard: &Shard) -> Value {
    json!({
        "ShardId": &*shard.id,
        "HashKeyRange": {
            "StartingHashKey": shard.range.start.to_string(),
            "EndingHashKey": shard.range.end.to_string(),
        },
        "SequenceNumberRange": { "StartingSequenceNumber": render_sequence_number(shard.starting_sequence()) },
    })
}
