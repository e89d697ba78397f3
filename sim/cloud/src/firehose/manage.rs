//! `UpdateDestination` and the operations on tags.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::parse;
use super::describe::DESTINATION_ID;
use super::properties::{Destination, Tag};
use super::{Firehose, Ports};
use crate::core::{AwsError, Cx};

/// Tags of a delivery stream at most.
const TAGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateDestination {
    delivery_stream_name: String,
    current_delivery_stream_version_id: String,
    destination_id: String,
    extended_s3_destination_update: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagDeliveryStream {
    delivery_stream_name: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UntagDeliveryStream {
    delivery_stream_name: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListTags {
    delivery_stream_name: String,
    exclusive_start_tag_key: Option<String>,
    limit: Option<usize>,
}

/// Tags by key. Keys of AWS's own and texts that are too long are refused.
pub(super) fn tags(given: &[Tag]) -> Result<BTreeMap<String, String>, AwsError> {
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@%".contains(c);
    for Tag { key, value } in given {
        let value = value.as_deref().unwrap_or_default();
        let short = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !short || key.starts_with("aws:") || !key.chars().chain(value.chars()).all(allowed) {
            let message =
                format!("1 validation error detected: the tag {key:?} with the value {value:?} is not allowed");
            return Err(AwsError::new("ValidationException", message));
        }
    }
    let tags: BTreeMap<String, String> =
        given.iter().map(|tag| (tag.key.clone(), tag.value.clone().unwrap_or_default())).collect();
    expect_few(&tags)?;
    Ok(tags)
}

/// Refuses more tags than a delivery stream can have. The text is unverified.
pub(super) fn expect_few(tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
    if tags.len() <= TAGS_MAX {
        return Ok(());
    }
    Err(AwsError::new("LimitExceededException", format!("A delivery stream has at most {TAGS_MAX} tags")))
}

impl Firehose {
    /// `UpdateDestination`: the members that are given replace those of the destination, the others stay.
    pub(super) fn update_destination(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let request: UpdateDestination = parse("UpdateDestination", body)?;
        self.control(cx, "UpdateDestination")?;
        let stream = self.find_active(cx, &request.delivery_stream_name)?;
        let invalid = |message: String| Err(AwsError::new("InvalidArgumentException", message));
        if request.destination_id != DESTINATION_ID {
            return invalid(format!("Destination Id {} not found", request.destination_id));
        }
        let (current, asked) = (stream.version.to_string(), request.current_delivery_stream_version_id);
        if asked != current {
            // The text is unverified.
            let message = format!("Cannot update a delivery stream of version {current} by version {asked}");
            return Err(AwsError::new("ConcurrentModificationException", message));
        }
        let Some(update) = request.extended_s3_destination_update else {
            return invalid("Exactly one destination update is supported for a Firehose".to_owned());
        };
        let before = json!(stream.config.described);
        let mut merged = before.clone();
        for (member, value) in update {
            match member.as_str() {
                // Members of a backup that are given replace those that it has.
                "S3BackupUpdate" => match (&mut merged["S3BackupConfiguration"], value) {
                    (Value::Object(backup), Value::Object(update)) => backup.extend(update),
                    (backup, update) => *backup = update,
                },
                // Of the two, only the update has a name of its own.
                "S3BackupConfiguration" => {
                    return Err(AwsError::not_modelled("S3BackupConfiguration in an update: it has S3BackupUpdate"));
                }
                _ => merged[member] = value,
            }
        }
        let described = Destination::deserialize(merged)
            .map_err(|error| AwsError::not_modelled(format!("firehose UpdateDestination: {error}")))?;
        let config = stream.config.redirected(cx, described)?;
        if json!(config.described) == before {
            return Ok(json!({}));
        }
        stream.change(cx, ports.catalog, config)?;
        Ok(json!({}))
    }

    /// `TagDeliveryStream`.
    pub(super) fn tag(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: TagDeliveryStream = parse("TagDeliveryStream", body)?;
        self.control(cx, "TagDeliveryStream")?;
        let stream = self.find(cx, &request.delivery_stream_name)?;
        let mut all = stream.tags.clone();
        all.extend(tags(&request.tags)?);
        expect_few(&all)?;
        stream.tags = all;
        Ok(json!({}))
    }

    /// `UntagDeliveryStream`.
    pub(super) fn untag(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: UntagDeliveryStream = parse("UntagDeliveryStream", body)?;
        self.control(cx, "UntagDeliveryStream")?;
        let stream = self.find(cx, &request.delivery_stream_name)?;
        stream.tags.retain(|key, _| !request.tag_keys.contains(key));
        Ok(json!({}))
    }

    /// `ListTagsForDeliveryStream`: by key.
    pub(super) fn list_tags(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Value, AwsError> {
        let request: ListTags = parse("ListTagsForDeliveryStream", body)?;
        self.control(cx, "ListTagsForDeliveryStream")?;
        let stream = self.find(cx, &request.delivery_stream_name)?;
        let limit = request.limit.unwrap_or(TAGS_MAX);
        if !(1..=TAGS_MAX).contains(&limit) {
            return Err(AwsError::new("ValidationException", format!("Limit must be 1 to {TAGS_MAX}")));
        }
        let start = request.exclusive_start_tag_key.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = stream.tags.range::<str, _>((start, Bound::Unbounded)).peekable();
        let shown: Vec<Value> =
            rest.by_ref().take(limit).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({"Tags": shown, "HasMoreTags": rest.peek().is_some()}))
    }
}
