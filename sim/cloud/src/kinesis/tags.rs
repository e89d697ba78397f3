//! `AddTagsToStream`, `ListTagsForStream` and `RemoveTagsFromStream`; `TagResource`, `ListTagsForResource` and `UntagResource`,
//! which take consumers too.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::consumers::{consumer_not_found, of_arn};
use super::wire::{Checks, Text, authorized, invalid, parse, stream_name, text};
use crate::core::{AwsError, Cx};

/// Tags of a stream at most.
const TAGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AddTagsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListTagsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow)]
    exclusive_start_tag_key: Option<Text<'a>>,
    limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RemoveTagsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ResourceInput<'a> {
    #[serde(borrow, rename = "ResourceARN")]
    resource_arn: Option<Text<'a>>,
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
}

/// Checks tags that shall be added to those that a stream has.
pub(super) fn check_tags(
    cx: &Cx<'_>,
    stream: &str,
    added: &BTreeMap<String, String>,
    existing: &BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let mut checks = Checks::default();
    for (key, value) in added {
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        checks.value(key_chars > 0, key, "tags.key", "Member must have length greater than or equal to 1");
        checks.value(key_chars <= 128, key, "tags.key", "Member must have length less than or equal to 128");
        checks.value(value_chars <= 256, value, "tags.value", "Member must have length less than or equal to 256");
    }
    checks.finish()?;
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_./=+-@:".contains(c);
    if !added.iter().all(|(key, value)| key.chars().chain(value.chars()).all(allowed)) {
        let valid = "Unicode letters, digits, white space, _ . / = + - % @ :.";
        return Err(invalid(format!("Some tags contain invalid characters. Valid characters: {valid}")));
    }
    let new = added.keys().filter(|key| !existing.contains_key(*key)).count();
    if existing.len() + new > TAGS_MAX {
        let account = &cx.account.id;
        return Err(invalid(format!(
            "Failed to add tags to stream {stream} under account {account} because a given stream cannot have more than \
             {TAGS_MAX} tags associated with it."
        )));
    }
    Ok(())
}

impl Kinesis {
    /// `AddTagsToStream`.
    pub(super) fn add_tags_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: AddTagsInput<'_> = parse("AddTagsToStream", body)?;
        let mut checks = Checks::default();
        let tags = checks.required(input.tags, "tags").unwrap_or_default();
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:AddTagsToStream", name)?;
        let stream = self.existing(cx, name)?;
        check_tags(cx, name, &tags, &stream.tags)?;
        stream.tags.extend(tags);
        Ok(Vec::new())
    }

    /// `ListTagsForStream`: by key.
    pub(super) fn list_tags_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ListTagsInput<'_> = parse("ListTagsForStream", body)?;
        let mut checks = Checks::default();
        checks.range(input.limit, "limit", 1, TAGS_MAX as i64);
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:ListTagsForStream", name)?;
        let stream = self.existing(cx, name)?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS_MAX);
        let start = text(&input.exclusive_start_tag_key).map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = stream.tags.range::<str, _>((start, Bound::Unbounded)).peekable();
        let shown: Vec<Value> =
            rest.by_ref().take(limit).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({ "Tags": shown, "HasMoreTags": rest.peek().is_some() }).to_string().into_bytes())
    }

    /// `RemoveTagsFromStream`. A key that the stream does not have is none to remove.
    pub(super) fn remove_tags_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: RemoveTagsInput<'_> = parse("RemoveTagsFromStream", body)?;
        let mut checks = Checks::default();
        let keys = checks.required(input.tag_keys.as_deref(), "tagKeys").unwrap_or_default();
        if input.tag_keys.is_some() {
            check_keys(&mut checks, keys);
        }
        checks.stream(text(&input.stream_name), text(&input.stream_arn));
        checks.finish()?;
        let name = stream_name(cx, text(&input.stream_name), text(&input.stream_arn))?;
        authorized(cx, "kinesis:RemoveTagsFromStream", name)?;
        let stream = self.existing(cx, name)?;
        stream.tags.retain(|key, _| !keys.contains(key));
        Ok(Vec::new())
    }

    /// `TagResource`.
    pub(super) fn tag_resource_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ResourceInput<'_> = parse("TagResource", body)?;
        let mut checks = Checks::default();
        let tags = checks.required(input.tags, "tags").unwrap_or_default();
        let existing = self.tags_of(cx, "kinesis:TagResource", checks, text(&input.resource_arn))?;
        check_tags(cx, text(&input.resource_arn).unwrap_or_default(), &tags, existing)?;
        existing.extend(tags);
        Ok(Vec::new())
    }

    /// `UntagResource`. A key that the resource does not have is none to remove.
    pub(super) fn untag_resource_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ResourceInput<'_> = parse("UntagResource", body)?;
        let mut checks = Checks::default();
        let keys = checks.required(input.tag_keys.as_deref(), "tagKeys").unwrap_or_default();
        if input.tag_keys.is_some() {
            check_keys(&mut checks, keys);
        }
        let existing = self.tags_of(cx, "kinesis:UntagResource", checks, text(&input.resource_arn))?;
        existing.retain(|key, _| !keys.contains(key));
        Ok(Vec::new())
    }

    /// `ListTagsForResource`: by key.
    pub(super) fn list_tags_for_resource_call(&mut self, cx: &mut Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let input: ResourceInput<'_> = parse("ListTagsForResource", body)?;
        let tags = self.tags_of(cx, "kinesis:ListTagsForResource", Checks::default(), text(&input.resource_arn))?;
        let shown: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({ "Tags": shown }).to_string().into_bytes())
    }

    /// The tags of a stream or a consumer that exists, once the caller may do `action` on it.
    fn tags_of(
        &mut self,
        cx: &mut Cx<'_>,
        action: &str,
        mut checks: Checks,
        arn: Option<&str>,
    ) -> Result<&mut BTreeMap<String, String>, AwsError> {
        let arn = checks.required(arn, "resourceARN").unwrap_or_default();
        checks.finish()?;
        cx.authorize(action, arn)?;
        let Some((stream, consumer)) = of_arn(cx, arn) else {
            let name = stream_name(cx, None, Some(arn))?;
            return Ok(&mut self.existing(cx, name)?.tags);
        };
        let consumers = self.streams.get_mut(stream).map(|stream| &mut stream.consumers);
        let found = consumers.and_then(|consumers| consumers.get_mut(consumer)).filter(|found| found.arn == arn);
        found.map(|found| &mut found.tags).ok_or_else(|| consumer_not_found(arn, &cx.account.id))
    }
}

/// Notes a list of keys that is too short or too long.
fn check_keys(checks: &mut Checks, keys: &[String]) {
    let (min, max) = ("greater than or equal to 1", "less than or equal to 50");
    checks.unprinted(!keys.is_empty(), "tagKeys", format_args!("Member must have length {min}"));
    checks.unprinted(keys.len() <= TAGS_MAX, "tagKeys", format_args!("Member must have length {max}"));
}
