//! `CreateStream`, `DeleteStream`, and how `AWS::Kinesis::Stream` is created.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::change::StreamProperties;
use super::encryption::{Encryption, ask};
use super::on_demand::Mode;
use super::stream::{Status, Stream};
use super::tags::check_tags;
use super::wire::{Checks, Text, expect_active, invalid, parse, stream_name, text};
use super::work::Work;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::trace::Level;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateStreamInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    shard_count: Option<i64>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    tags: Option<BTreeMap<String, String>>,
}

/// StreamModeDetails.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StreamModeDetails {
    pub stream_mode: String,
}

impl StreamModeDetails {
    /// The mode. Notes a name that is none.
    pub fn check(&self, checks: &mut Checks) -> Option<Mode> {
        let mode = Mode::of(&self.stream_mode);
        let constraint = "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
        checks.value(mode.is_some(), &self.stream_mode, "streamModeDetails.streamMode", constraint);
        mode
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteStreamInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    enforce_consumer_deletion: Option<bool>,
}

/// What a new stream shall be.
struct Wanted<'a> {
    name: &'a str,
    /// Shards; none for a stream on demand.
    shard_count: Option<i64>,
    retention_hours: u64,
    /// Largest record; the default when nothing is said.
    record_kib_max: Option<i64>,
    tags: BTreeMap<String, String>,
}

impl Kinesis {
    /// `CreateStream`.
    pub(super) fn create_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: CreateStreamInput<'_> = parse("CreateStream", body)?;
        let quotas = self.quotas(cx);
        let mut checks = Checks::default();
        let name = checks.required(text(&input.stream_name), "streamName").unwrap_or_default();
        checks.name(text(&input.stream_name), "streamName");
        checks.range(input.shard_count, "shardCount", 1, i64::MAX);
        let mode = input.stream_mode_details.as_ref().and_then(|details| details.check(&mut checks));
        if mode != Some(Mode::OnDemand) {
            // AWS's text for a provisioned stream without a count is unverified.
            checks.required(input.shard_count, "shardCount");
        }
        self.check_record_size(cx, &mut checks, input.max_record_size_in_kib, "maxRecordSizeInKiB");
        checks.finish()?;
        if mode == Some(Mode::OnDemand) && input.shard_count.is_some() {
            // The text is unverified.
            return Err(invalid("ShardCount cannot be given for a stream in ON_DEMAND mode."));
        }
        self.permit(cx, "kinesis:CreateStream", name)?;
        let creating = self.streams.values().filter(|stream| stream.status == Status::Creating).count() as u64;
        if creating >= quotas.creating_streams {
            // The text is unverified.
            let message = format!("Limit of {} streams in the CREATING state is reached.", quotas.creating_streams);
            return Err(AwsError::new("LimitExceededException", message));
        }
        let tags = input.tags.unwrap_or_default();
        check_tags(cx, name, &tags, &BTreeMap::new())?;
        let (record_kib_max, shard_count) = (input.max_record_size_in_kib, input.shard_count);
        let retention_hours = quotas.retention_default_hours;
        self.create(cx, Wanted { name, shard_count, retention_hours, record_kib_max, tags })?;
        self.begin(cx, name, [Work::Create]);
        Ok(Vec::new())
    }

    /// `DeleteStream`.
    pub(super) fn delete_stream_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: DeleteStreamInput<'_> = parse("DeleteStream", body)?;
        let mut checks = Checks::default();
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        self.permit(cx, "kinesis:DeleteStream", name)?;
        let stream = self.existing(cx, name)?;
        expect_active(cx, stream)?;
        if !stream.consumers.is_empty() && input.enforce_consumer_deletion != Some(true) {
            // The text is unverified.
            let message = format!("Stream {name} has registered consumers.");
            return Err(AwsError::new("ResourceInUseException", message));
        }
        cx.trace.event(Level::Call, cx.now, SERVICE, "DeleteStream", name, &[]);
        self.begin(cx, name, [Work::Delete]);
        Ok(Vec::new())
    }

    /// Creates `AWS::Kinesis::Stream`, whose `Ref` is the name; attribute `Arn`. The stream is ACTIVE at once. And
    /// `AWS::Kinesis::StreamConsumer`.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let result = match &*resource.kind {
            "AWS::Kinesis::Stream" => self.create_resource(cx, resource),
            "AWS::Kinesis::StreamConsumer" => return self.provision_consumer(cx, resource),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        let outcome = result.as_ref().map_or_else(Outcome::from, |_| Outcome::Ok);
        cx.meter.call(SERVICE, "CreateStream", outcome);
        result
    }

    fn create_resource(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties = StreamProperties::of(resource)?;
        let quotas = self.quotas(cx);
        let retention_hours = properties.retention_hours(resource, &quotas)?;
        let shard_count = properties.shards(resource)?;
        let (monitored, record_kib_max) = (properties.monitored(resource)?, properties.max_record_size_in_kib);
        let mut checks = Checks::default();
        checks.range(shard_count, "ShardCount", 1, i64::MAX);
        checks.name(properties.name.as_deref(), "Name");
        self.check_record_size(cx, &mut checks, record_kib_max, "MaxRecordSizeInKiB");
        checks.finish().map_err(|error| resource.refuse(error.message))?;
        let key = properties.key(resource)?;
        let tags = properties.tags();
        let name = properties.name.unwrap_or_else(|| {
            let suffix = cx.uuid().replace('-', "").to_uppercase();
            format!("{}-{}-{}", resource.stack, resource.logical_id, &suffix[..12])
        });
        check_tags(cx, &name, &tags, &BTreeMap::new())?;
        if let Some(key) = &key {
            ask(cx, "kms:GenerateDataKey", key, &cx.account.arn("kinesis", &format!("stream/{name}")))?;
        }
        let stream = self.create(cx, Wanted { name: &name, shard_count, retention_hours, record_kib_max, tags })?;
        stream.monitor(monitored);
        if let Some(key) = key {
            stream.encryption = Encryption::by(key);
        }
        Ok(Provisioned::new(name).attribute("Arn", stream.arn.clone()))
    }

    fn create(&mut self, cx: &mut Cx<'_>, wanted: Wanted<'_>) -> Result<&mut Stream, AwsError> {
        let Wanted { name, shard_count, retention_hours, record_kib_max, tags } = wanted;
        let quotas = self.quotas(cx);
        if self.streams.contains_key(name) {
            let message = format!("Stream {name} under account {} already exists.", cx.account.id);
            return Err(AwsError::new("ResourceInUseException", message));
        }
        let count = match shard_count {
            Some(count) => {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                self.check_shard_limit(cx, count)?;
                count
            }
            None => {
                self.check_on_demand_limit(cx)?;
                quotas.on_demand_shards_min
            }
        };
        let count = u32::try_from(count).expect("the limit of shards is far below 2^32");
        let arn = cx.account.arn("kinesis", &format!("stream/{name}"));
        let serial = self.next_serial;
        self.next_serial += 1;
        let mut stream = Stream::new(name, arn, count, retention_hours, &quotas, cx.now);
        (stream.serial, stream.tags) = (serial, tags);
        if let Some(bytes) = record_kib_max.and_then(|kib| usize::try_from(kib << 10).ok()) {
            stream.allow_records_of(bytes, &quotas, cx.now);
        }
        let fields = [("shards", stream.shards.len().into()), ("retention_hours", retention_hours.into())];
        cx.trace.event(Level::Call, cx.now, SERVICE, "CreateStream", name, &fields);
        self.streams.insert(stream.name.clone(), stream);
        if shard_count.is_none() {
            self.set_mode(cx, name, Mode::OnDemand);
        }
        self.existing(cx, name)
    }

    /// Open shards of streams that are not on demand.
    pub(super) fn open_provisioned_shards(&self) -> u64 {
        let provisioned = self.streams.values().filter(|stream| stream.mode() == Mode::Provisioned);
        provisioned.map(|stream| stream.open.len() as u64).sum()
    }

    /// Whether the account may have so many more open shards.
    pub(super) fn check_shard_limit(&mut self, cx: &Cx<'_>, additional: u64) -> Result<(), AwsError> {
        let limit = self.quotas(cx).shards_per_account;
        let existing = self.open_provisioned_shards();
        if additional <= limit.saturating_sub(existing) {
            return Ok(());
        }
        let (account, region) = (&cx.account.id, &cx.account.region);
        Err(AwsError::new(
            "LimitExceededException",
            format!(
                "This request would exceed the shard limit for the account {account} in {region}. Current shard count for \
                 the account: {existing}. Limit: {limit}. Number of additional shards that would have resulted from \
                 this request: {additional}."
            ),
        ))
    }
}
