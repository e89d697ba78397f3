//! `ListShards`, with its filters.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::describe::{LIMIT_MAX, limit, open_token, rate_exceeded};
use super::shard::Shard;
use super::stream::Stream;
use super::token::{Kind, Token};
use super::wire::{Checks, TOKEN_CHARS, Text, invalid, not_found, parse, stream_name, text, time};
use crate::core::ports::render_sequence_number;
use crate::core::{AwsError, Cx};
use world::time::Time;

/// Shards in an answer, however many the caller asks for ("MaxResults" of API_ListShards).
const LIST_SHARDS: usize = 1_000;

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

/// The types of a filter. In which order AWS's text names them is unverified.
const FILTER_TYPES: [&str; 6] =
    ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"];

impl ShardFilter<'_> {
    fn check(&self, checks: &mut Checks) {
        if let Some(kind) = checks.required(text(&self.r#type), "shardFilter.type") {
            let constraint = format_args!("Member must satisfy enum value set: [{}]", FILTER_TYPES.join(", "));
            checks.value(FILTER_TYPES.contains(&kind), kind, "shardFilter.type", constraint);
        }
        checks.name(text(&self.shard_id), "shardFilter.shardId");
    }
}

/// Which shards of a stream are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// All that are kept.
    All,
    /// The open ones.
    AtLatest,
    /// Those that were open when the oldest record that is kept arrived.
    AtTrimHorizon,
    /// Those that were open at an instant.
    AtTimestamp(Time),
    /// Those that were open at an instant or later.
    FromTimestamp(Time),
}

/// Bits of a token that hold an instant in microseconds.
const INSTANT_BITS: u32 = 56;

impl Filter {
    fn of(given: &ShardFilter<'_>) -> Result<Filter, AwsError> {
        let (shard_id, timestamp) = (text(&given.shard_id), given.timestamp.map(time));
        match (text(&given.r#type), shard_id, timestamp) {
            (Some("AFTER_SHARD_ID"), Some(_), None) | (Some("FROM_TRIM_HORIZON"), None, None) => Ok(Filter::All),
            (Some("AT_TRIM_HORIZON"), None, None) => Ok(Filter::AtTrimHorizon),
            (Some("AT_LATEST"), None, None) => Ok(Filter::AtLatest),
            (Some("AT_TIMESTAMP"), None, Some(at)) => Ok(Filter::AtTimestamp(at)),
            (Some("FROM_TIMESTAMP"), None, Some(at)) => Ok(Filter::FromTimestamp(at)),
            // The text is unverified.
            (kind, ..) => {
                let kind = kind.unwrap_or("null");
                Err(invalid(format!("ShardFilter of type {kind} has a wrong member or lacks one.")))
            }
        }
    }

    /// Whether a shard that is kept is listed.
    fn lists(self, shard: &Shard, horizon: Time) -> bool {
        let open_at = |at: Time| shard.opened <= at && shard.closed.is_none_or(|closed| closed >= at);
        match self {
            Filter::All => true,
            Filter::AtLatest => shard.closed.is_none(),
            Filter::AtTrimHorizon => open_at(horizon),
            Filter::AtTimestamp(at) => open_at(at),
            Filter::FromTimestamp(at) => shard.closed.is_none_or(|closed| closed >= at.max(horizon)),
        }
    }

    /// The filter as a number: pages after the first list by the filter of the first.
    fn pack(self) -> u64 {
        let (kind, at) = match self {
            Filter::All => (0, Time::EPOCH),
            Filter::AtLatest => (1, Time::EPOCH),
            Filter::AtTrimHorizon => (2, Time::EPOCH),
            Filter::AtTimestamp(at) => (3, at),
            Filter::FromTimestamp(at) => (4, at),
        };
        kind << INSTANT_BITS | at.unix_micros().min((1 << INSTANT_BITS) - 1)
    }

    fn unpack(packed: u64) -> Filter {
        let at = Time::from_unix_micros(packed & ((1 << INSTANT_BITS) - 1));
        match packed >> INSTANT_BITS {
            1 => Filter::AtLatest,
            2 => Filter::AtTrimHorizon,
            3 => Filter::AtTimestamp(at),
            4 => Filter::FromTimestamp(at),
            _ => Filter::All,
        }
    }
}

impl Kinesis {
    /// `ListShards`.
    pub(super) fn list_shards_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ListShardsInput<'_> = parse("ListShards", body)?;
        let lifetime_secs = self.quotas(cx).list_token_lifetime_secs;
        let mut checks = Checks::default();
        checks.range(input.max_results, "maxResults", 1, LIMIT_MAX);
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.name(text(&input.exclusive_start_shard_id), "exclusiveStartShardId");
        checks.length(text(&input.next_token), "nextToken", TOKEN_CHARS);
        if let Some(filter) = &input.shard_filter {
            filter.check(&mut checks);
        }
        checks.finish()?;
        let named = input.stream_name.is_some() || input.stream_arn.is_some();
        let token = match text(&input.next_token) {
            Some(_) if named => return Err(invalid("NextToken and StreamName cannot be provided together.")),
            None if !named => return Err(invalid("Either NextToken or StreamName should be provided.")),
            // The text is unverified.
            Some(_) if input.exclusive_start_shard_id.is_some() => {
                return Err(invalid("NextToken and ExclusiveStartShardId cannot be provided together."));
            }
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
        let given = input.shard_filter.as_ref();
        let (from, filter) = match &token {
            Some(token) => (token.shard as usize, Filter::unpack(token.offset)),
            None => {
                let filter = given.map_or(Ok(Filter::All), Filter::of)?;
                let filtered = given.and_then(|given| text(&given.shard_id));
                (after(text(&input.exclusive_start_shard_id)).max(after(filtered)), filter)
            }
        };
        let horizon = stream.cutoff(cx.now).max(stream.created);
        let mut rest = stream.visible_shards(from).filter(|(_, shard)| filter.lists(shard, horizon)).peekable();
        let shown: Vec<Value> =
            rest.by_ref().take(limit(input.max_results, LIST_SHARDS)).map(|(_, it)| shard(it)).collect();
        let mut answer = json!({ "Shards": shown });
        if let Some((next, _)) = rest.peek() {
            answer["NextToken"] = token_from(cx.now, stream, *next, filter).into();
        }
        Ok(answer.to_string().into_bytes())
    }
}

/// Index of the first shard that can come after the one with this id.
pub(super) fn after(shard_id: Option<&str>) -> usize {
    let Some(shard_id) = shard_id else { return 0 };
    let number: Option<usize> = shard_id.strip_prefix("shardId-").and_then(|number| number.parse().ok());
    // Ids compare as texts: what is no id comes before all of them or after.
    number.map_or(if shard_id < "shardId-" { 0 } else { usize::MAX }, |number| number.saturating_add(1))
}

fn token_from(now: Time, stream: &Stream, next_shard: usize, filter: Filter) -> String {
    let shard = u32::try_from(next_shard).expect("a stream has far fewer than 2^32 shards");
    let (name, stream_created) = (stream.name.to_string(), stream.created);
    Token { kind: Kind::Shards, issued: now, stream: name, stream_created, shard, offset: filter.pack() }.encode()
}

/// HashKeyRange of a shard.
pub(super) fn hash_key_range(shard: &Shard) -> Value {
    json!({"StartingHashKey": shard.range.start.to_string(), "EndingHashKey": shard.range.end.to_string()})
}

/// A shard as DescribeStream and ListShards show it.
pub(super) fn shard(shard: &Shard) -> Value {
    let starting = render_sequence_number(shard.starting_sequence());
    let mut shown = json!({
        "ShardId": &*shard.id,
        "HashKeyRange": hash_key_range(shard),
        "SequenceNumberRange": { "StartingSequenceNumber": starting },
    });
    if let Some(ending) = shard.ending_sequence() {
        shown["SequenceNumberRange"]["EndingSequenceNumber"] = render_sequence_number(ending).into();
    }
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&shard.parents) {
        shown[member] = (&**parent).into();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_comes_back_from_a_token() {
        let at = Time::from_unix_secs(1_772_323_200);
        for filter in [
            Filter::All,
            Filter::AtLatest,
            Filter::AtTrimHorizon,
            Filter::AtTimestamp(at),
            Filter::FromTimestamp(Time::EPOCH),
        ] {
            assert_eq!(Filter::unpack(filter.pack()), filter);
        }
    }
}
