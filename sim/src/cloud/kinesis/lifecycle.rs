//! `CreateStream`, `DeleteStream`, `AWS::Kinesis::Stream`, and what happens to a stream by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::stream::{Status, Stream};
use super::wire::{Checks, Text, not_found, parse, stream_name, text};
use super::{Kinesis, SERVICE};
use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource, Service};
use crate::world::trace::Level;

/// How long a stream is CREATING, and DELETING. AWS publishes neither: unverified.
const TRANSITION: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateStreamInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    shard_count: Option<i64>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    #[serde(rename = "Tags")]
    _tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamModeDetails {
    stream_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteStreamInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    // No stream has consumers.
    #[serde(rename = "EnforceConsumerDeletion")]
    _enforce_consumer_deletion: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamProperties {
    name: Option<String>,
    shard_count: Option<i64>,
    retention_period_hours: Option<u64>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    #[serde(rename = "Tags")]
    _tags: Option<IgnoredAny>,
}

/// What a new stream shall be.
struct Wanted<'a> {
    name: &'a str,
    shard_count: i64,
    retention_hours: u64,
}

impl Kinesis {
    /// `CreateStream`.
    pub(super) fn create_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: CreateStreamInput<'_> = parse("CreateStream", body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let name = checks.required(text(&input.stream_name), "streamName").unwrap_or_default();
        checks.name(text(&input.stream_name), "streamName");
        // AWS's text for a provisioned stream without a count is unverified.
        let shard_count = checks.required(input.shard_count, "shardCount").unwrap_or_default();
        checks.range(input.shard_count, "shardCount", 1, i64::MAX);
        check_modelled(input.stream_mode_details.as_ref(), input.max_record_size_in_kib)?;
        checks.finish()?;
        self.permit(cx, "kinesis:CreateStream", name)?;
        let creating = self.streams.values().filter(|stream| stream.status == Status::Creating).count() as u64;
        if creating >= quotas.creating_streams {
            // The text is unverified.
            let message = format!("Limit of {} streams in the CREATING state is reached.", quotas.creating_streams);
            return Err(AwsError::new("LimitExceededException", message));
        }
        let wanted = Wanted { name, shard_count, retention_hours: quotas.retention_default_hours };
        let stream = self.create(cx, &wanted)?;
        stream.status = Status::Creating;
        let name = stream.name.clone();
        self.change_later(cx, name);
        Ok(Vec::new())
    }

    /// `DeleteStream`.
    pub(super) fn delete_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DeleteStreamInput<'_> = parse("DeleteStream", body)?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        self.permit(cx, "kinesis:DeleteStream", name)?;
        let stream = self.streams.get_mut(name).ok_or_else(|| not_found(name, &cx.account.id))?;
        if stream.status != Status::Active {
            // The text is unverified.
            let (account, status) = (&cx.account.id, stream.status.as_str());
            let message = format!("Stream {name} under account {account} not ACTIVE, instead in state {status}");
            return Err(AwsError::new("ResourceInUseException", message));
        }
        stream.status = Status::Deleting;
        let name = stream.name.clone();
        cx.trace.event(Level::Call, cx.now, SERVICE, "DeleteStream", &name, &[]);
        self.change_later(cx, name);
        Ok(Vec::new())
    }

    /// Creates `AWS::Kinesis::Stream`. `Ref` is the name; attribute `Arn`. The stream is ACTIVE at once.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::Kinesis::Stream" {
            return Err(resource.refuse("this resource type is not modelled"));
        }
        let result = self.create_resource(cx, resource);
        let outcome = result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok);
        cx.meter.call(SERVICE, "CreateStream", outcome);
        result
    }

    fn create_resource(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: StreamProperties = resource.parse()?;
        let quotas = self.quotas(cx);
        check_modelled(properties.stream_mode_details.as_ref(), properties.max_record_size_in_kib)
            .map_err(|error| resource.refuse(error.message))?;
        let retention_hours = properties.retention_period_hours.unwrap_or(quotas.retention_default_hours);
        let allowed = quotas.retention_default_hours..=quotas.retention_max_hours;
        if !allowed.contains(&retention_hours) {
            let (min, max) = (allowed.start(), allowed.end());
            return Err(resource.refuse(format!("RetentionPeriodHours is {retention_hours}, not {min} to {max}")));
        }
        let shard_count = properties.shard_count.ok_or_else(|| resource.refuse("ShardCount is required"))?;
        let mut checks = Checks::default();
        checks.range(Some(shard_count), "ShardCount", 1, i64::MAX);
        checks.name(properties.name.as_deref(), "Name");
        checks.finish().map_err(|error| resource.refuse(error.message))?;
        let name = properties.name.unwrap_or_else(|| {
            let suffix = cx.uuid().replace('-', "").to_uppercase();
            format!("{}-{}-{}", resource.stack, resource.logical_id, &suffix[..12])
        });
        let stream = self.create(cx, &Wanted { name: &name, shard_count, retention_hours })?;
        Ok(Provisioned::new(name).attribute("Arn", stream.arn.clone()))
    }

    fn create(&mut self, cx: &mut Cx<'_>, wanted: &Wanted<'_>) -> Result<&mut Stream, AwsError> {
        let Wanted { name, shard_count, retention_hours } = *wanted;
        let quotas = self.quotas(cx);
        let account = &cx.account.id;
        if self.streams.contains_key(name) {
            let message = format!("Stream {name} under account {account} already exists.");
            return Err(AwsError::new("ResourceInUseException", message));
        }
        let existing: u64 = self.streams.values().map(|stream| stream.shards.len() as u64).sum();
        let limit = quotas.shards_per_account;
        if u64::try_from(shard_count).unwrap_or(u64::MAX) > limit.saturating_sub(existing) {
            return Err(AwsError::new(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {account} in {}. Current shard count for \
                     the account: {existing}. Limit: {limit}. Number of additional shards that would have resulted \
                     from this request: {shard_count}.",
                    cx.account.region
                ),
            ));
        }
        let shard_count = u32::try_from(shard_count).expect("the limit of shards is far below 2^32");
        let arn = cx.account.arn("kinesis", &format!("stream/{name}"));
        let stream = Stream::new(name, arn, shard_count, retention_hours, &quotas, cx.now);
        let fields = [("shards", stream.shards.len().into()), ("retention_hours", retention_hours.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "CreateStream", name, &fields);
        Ok(self.streams.entry(stream.name.clone()).or_insert(stream))
    }

    /// Asks to be woken when the stream leaves its present status.
    fn change_later(&mut self, cx: &mut Cx<'_>, name: Arc<str>) {
        let token = self.next_transition;
        self.next_transition += 1;
        self.transitions.insert(token, name);
        cx.timers.at(cx.now + TRANSITION, Service::Kinesis, token);
    }

    /// Ends the transition that `token` names: CREATING becomes ACTIVE, and DELETING ends the stream.
    pub fn wake(&mut self, cx: &mut Cx<'_>, token: u64) {
        let Some(name) = self.transitions.remove(&token) else { return };
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let kind = match stream.status {
            Status::Creating => {
                stream.status = Status::Active;
                "stream active"
            }
            Status::Deleting => {
                self.streams.remove(&name);
                "stream deleted"
            }
            Status::Active => return,
        };
        cx.trace.event(Level::Call, cx.now, SERVICE, kind, &name, &[]);
    }
}

/// Refuses what is not modelled: capacity on demand, and records above 1 MiB.
fn check_modelled(mode: Option<&StreamModeDetails>, max_record_kib: Option<i64>) -> Result<(), AwsError> {
    match mode.map(|mode| mode.stream_mode.as_str()) {
        None | Some("PROVISIONED") => {}
        Some(mode) => return Err(AwsError::not_modelled(format!("the kinesis stream mode {mode}"))),
    }
    match max_record_kib {
        None | Some(1_024) => Ok(()),
        Some(kib) => Err(AwsError::not_modelled(format!("a kinesis stream with MaxRecordSizeInKiB {kib}"))),
    }
}
