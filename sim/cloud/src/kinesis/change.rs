//! `AWS::Kinesis::Stream`: its properties, its changes in place, and its deletion.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::lifecycle::StreamModeDetails;
use super::monitoring::Monitored;
use super::on_demand::Mode;
use super::quotas::Quotas;
use super::tags::check_tags;
use super::wire::Checks;
use super::work::Work;
use super::{Kinesis, SERVICE};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};
use world::trace::Level;

/// The properties that are modelled.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StreamProperties {
    pub name: Option<String>,
    pub shard_count: Option<i64>,
    retention_period_hours: Option<u64>,
    stream_encryption: Option<StreamEncryption>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub max_record_size_in_kib: Option<i64>,
    #[serde(default)]
    desired_shard_level_metrics: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StreamEncryption {
    encryption_type: String,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: String,
}

impl Tag {
    /// Key and value.
    pub fn pair(&self) -> (String, String) {
        (self.key.clone(), self.value.clone())
    }
}

impl StreamProperties {
    /// The properties of a resource. What is not modelled is refused.
    pub fn of(resource: &Resource) -> Result<Self, AwsError> {
        resource.parse()
    }

    /// The mode.
    pub fn mode(&self, resource: &Resource) -> Result<Mode, AwsError> {
        let Some(details) = &self.stream_mode_details else { return Ok(Mode::Provisioned) };
        let mode = Mode::of(&details.stream_mode);
        mode.ok_or_else(|| {
            resource.refuse(format!("StreamMode is {}, not PROVISIONED or ON_DEMAND", details.stream_mode))
        })
    }

    /// The number of shards; nothing for a stream on demand.
    pub fn shards(&self, resource: &Resource) -> Result<Option<i64>, AwsError> {
        match (self.mode(resource)?, self.shard_count) {
            (Mode::OnDemand, None) => Ok(None),
            // Whether CloudFormation refuses this is unverified.
            (Mode::OnDemand, Some(_)) => Err(resource.refuse("ShardCount cannot be given with the mode ON_DEMAND")),
            (Mode::Provisioned, None) => Err(resource.refuse("ShardCount is required")),
            (Mode::Provisioned, Some(count)) if count < 1 => {
                Err(resource
                    .refuse(format!("ShardCount is {count}: Member must have value greater than or equal to 1")))
            }
            (Mode::Provisioned, count) => Ok(count),
        }
    }

    /// The metrics of single shards.
    pub fn monitored(&self, resource: &Resource) -> Result<Monitored, AwsError> {
        let names = Monitored::named(self.desired_shard_level_metrics.iter().map(String::as_str));
        names.map_err(|name| resource.refuse(format!("{name} is no shard-level metric")))
    }

    /// The retention in hours.
    pub fn retention_hours(&self, resource: &Resource, quotas: &Quotas) -> Result<u64, AwsError> {
        let hours = self.retention_period_hours.unwrap_or(quotas.retention_default_hours);
        let (min, max) = (quotas.retention_default_hours, quotas.retention_max_hours);
        if !(min..=max).contains(&hours) {
            return Err(resource.refuse(format!("RetentionPeriodHours is {hours}, not {min} to {max}")));
        }
        Ok(hours)
    }

    /// The key that encrypts the stream.
    pub fn key(&self, resource: &Resource) -> Result<Option<Arc<str>>, AwsError> {
        match &self.stream_encryption {
            None => Ok(None),
            Some(StreamEncryption { encryption_type, key_id }) if encryption_type == "KMS" && !key_id.is_empty() => {
                Ok(Some(key_id.as_str().into()))
            }
            Some(_) => Err(resource.refuse("StreamEncryption needs the EncryptionType KMS and a KeyId")),
        }
    }

    /// The tags.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.tags.iter().map(Tag::pair).collect()
    }
}

/// What an update changes of a stream, once all that can be refused was looked at.
struct Changes {
    hours: u64,
    tags: BTreeMap<String, String>,
    monitored: Monitored,
    mode: Option<Mode>,
    shards: Option<u64>,
    record_bytes_max: Option<usize>,
    /// The key to encrypt with from now on; none at all when the encryption ends.
    key: Option<Option<Arc<str>>>,
}

impl Kinesis {
    /// Changes a stream in place: the tags and the retention at once, the number of shards and the encryption in their
    /// time, during which the stream takes and gives records.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        if resource.kind != "AWS::Kinesis::Stream" {
            return Err(resource.refuse("this resource type is not modelled"));
        }
        // What can be refused is looked at first, so that a refusal leaves the stream as it was.
        let changes = self.changes(cx, resource, physical_id, previous)?;
        let mut ready = cx.now;
        if let Some(mode) = changes.mode {
            ready = self.counted(cx, "UpdateStreamMode", |kinesis, cx| kinesis.change_mode(cx, physical_id, mode))?;
        }
        if let Some(target) = changes.shards {
            ready = self
                .counted(cx, "UpdateShardCount", |kinesis, cx| kinesis.update_shard_count(cx, physical_id, target))?;
        }
        if let Some(bytes) = changes.record_bytes_max {
            let work = Work::RecordSize(bytes);
            ready =
                self.counted(cx, "UpdateMaxRecordSize", |kinesis, cx| Ok(kinesis.begin(cx, physical_id, [work])))?;
        }
        if let Some(key) = changes.key {
            let operation = if key.is_some() { "StartStreamEncryption" } else { "StopStreamEncryption" };
            ready = self.counted(cx, operation, |kinesis, cx| kinesis.change_encryption(cx, physical_id, key))?;
        }
        let stream = self.existing(cx, physical_id)?;
        let arn = stream.arn.clone();
        stream.tags = changes.tags;
        stream.monitor(changes.monitored);
        if stream.retention_hours != changes.hours {
            let longer = changes.hours > stream.retention_hours;
            let operation = if longer { "IncreaseStreamRetentionPeriod" } else { "DecreaseStreamRetentionPeriod" };
            self.counted(cx, operation, |kinesis, cx| {
                kinesis.retain(cx, physical_id, changes.hours);
                Ok(())
            })?;
        }
        let provisioned = Provisioned::new(physical_id).attribute("Arn", arn);
        Ok(if ready > cx.now { provisioned.ready_at(ready) } else { provisioned })
    }

    /// Looks at what an update changes, and whether it may.
    fn changes(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Changes, AwsError> {
        let new = StreamProperties::of(resource)?;
        let old = StreamProperties::of(&Resource { properties: previous.clone(), ..resource.clone() })?;
        let quotas = self.quotas(cx);
        let stream = self.existing(cx, physical_id)?;
        if !stream.is_usable() {
            let status = stream.status.as_str();
            return Err(AwsError::new("ResourceInUseException", format!("Stream {physical_id} is in state {status}")));
        }
        let hours = new.retention_hours(resource, &quotas)?;
        let (key, old_key) = (new.key(resource)?, old.key(resource)?);
        let mut tags = stream.tags.clone();
        tags.retain(|tag, _| !old.tags.iter().any(|old| old.key == *tag));
        check_tags(cx, physical_id, &new.tags(), &tags)?;
        tags.extend(new.tags());
        let key = (key != old_key).then_some(key);
        if let Some(key) = &key {
            self.check_encryption_change(cx, physical_id, key.as_deref())?;
        }
        let (monitored, record_kib_max) = (new.monitored(resource)?, new.max_record_size_in_kib);
        let shards = new.shards(resource)?.filter(|count| Some(*count) != old.shard_count);
        let mut checks = Checks::default();
        self.check_record_size(cx, &mut checks, record_kib_max, "MaxRecordSizeInKiB");
        checks.finish().map_err(|error| resource.refuse(error.message))?;
        let (mode, old_mode) = (new.mode(resource)?, old.mode(resource)?);
        let mode = (mode != old_mode).then_some(mode);
        if let Some(mode) = mode {
            self.check_mode_change(cx, physical_id, mode)?;
        }
        let shards = shards.map(|count| u64::try_from(count).unwrap_or_default());
        if let Some(target) = shards {
            self.check_shard_count(cx, physical_id, target)?;
        }
        let record_bytes_max = (record_kib_max != old.max_record_size_in_kib).then(|| {
            let bytes = record_kib_max.and_then(|kib| usize::try_from(kib << 10).ok());
            bytes.unwrap_or(quotas.record_bytes_default)
        });
        Ok(Changes { hours, tags, monitored, mode, shards, record_bytes_max, key })
    }

    /// Deletes a stream with all its records, at once.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        match &*resource.kind {
            "AWS::Kinesis::Stream" => {}
            "AWS::Kinesis::StreamConsumer" => {
                self.delete_consumer(cx, physical_id);
                return Ok(());
            }
            _ => return Err(resource.refuse("this resource type is not modelled")),
        }
        if let Some(mut stream) = self.streams.remove(physical_id) {
            stream.end_all_subscriptions(cx);
            cx.meter.call(SERVICE, "DeleteStream", Outcome::Ok);
            cx.trace.event(Level::Call, cx.now, SERVICE, "stream deleted", physical_id, &[]);
        }
        Ok(())
    }

    /// Does what an operation does, and counts it as a call.
    fn counted<T>(
        &mut self,
        cx: &mut Cx<'_>,
        operation: &'static str,
        act: impl FnOnce(&mut Self, &mut Cx<'_>) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let result = act(self, cx);
        cx.meter.call(SERVICE, operation, super::outcome(&result));
        result
    }
}
