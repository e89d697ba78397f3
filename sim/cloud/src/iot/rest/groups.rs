//! Operations on thing groups.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{AttributePayload, RestRequest, expected_version, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::thing_group_arn;
use crate::iot::registry::{Group, GroupProperties, GroupUpdate, invalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateThingGroup {
    parent_group_name: Option<String>,
    #[serde(default)]
    thing_group_properties: ThingGroupProperties,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ThingGroupProperties {
    thing_group_description: Option<String>,
    attribute_payload: Option<AttributePayload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateThingGroup {
    thing_group_properties: ThingGroupProperties,
    expected_version: Option<u64>,
}

impl Iot {
    pub(super) fn rest_create_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreateThingGroup = parse(request.body)?;
        if let Some(parent) = &body.parent_group_name {
            cx.authorize("iot:CreateThingGroup", &thing_group_arn(cx, parent))?;
        }
        let ThingGroupProperties { thing_group_description: description, attribute_payload } =
            body.thing_group_properties;
        let attributes = attribute_payload.unwrap_or_default().attributes;
        let properties = GroupProperties { description, attributes };
        let (registry, quotas) = self.registry_and_quotas(cx);
        let group = registry.create_thing_group(cx, quotas, name, body.parent_group_name.as_deref(), properties)?;
        Ok(json!({
            "thingGroupName": name,
            "thingGroupArn": thing_group_arn(cx, name),
            "thingGroupId": group.id,
        }))
    }

    pub(super) fn rest_describe_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let Group { id, parent, properties, created, version, .. } = self.registry.thing_group(name)?;
        let mut ancestors = self.registry.path(&name.into());
        ancestors.remove(0);
        ancestors.reverse();
        let mut metadata = json!({
            "creationDate": timestamp(*created),
            "rootToParentThingGroups": ancestors
                .iter()
                .map(|name| json!({ "groupName": &**name, "groupArn": thing_group_arn(cx, name) }))
                .collect::<Vec<_>>(),
        });
        if let Some(parent) = parent {
            metadata["parentGroupName"] = (&**parent).into();
        }
        let mut described = json!({ "attributePayload": { "attributes": properties.attributes } });
        if let Some(text) = &properties.description {
            described["thingGroupDescription"] = text.as_str().into();
        }
        Ok(json!({
            "thingGroupName": name,
            "thingGroupId": id,
            "thingGroupArn": thing_group_arn(cx, name),
            "version": version,
            "thingGroupProperties": described,
            "thingGroupMetadata": metadata,
        }))
    }

    pub(super) fn rest_update_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let UpdateThingGroup { thing_group_properties: properties, expected_version } = parse(request.body)?;
        let update = GroupUpdate {
            expected_version,
            description: properties.thing_group_description,
            attributes: properties.attribute_payload.map(AttributePayload::change),
        };
        let (registry, quotas) = self.registry_and_quotas(cx);
        let version = registry.update_thing_group(cx, quotas, name, update)?;
        Ok(json!({ "version": version }))
    }

    pub(super) fn rest_delete_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_thing_group(cx, name, expected_version(&query(request.query)?)?)?;
        Ok(json!({}))
    }

    /// Without `recursive` all groups below are listed (unverified), with `recursive=false` the roots or the direct children.
    pub(super) fn rest_list_thing_groups(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let recursive = match query.get("recursive").map(String::as_str) {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(invalid(format!("recursive is true or false, not {other:?}"))),
        };
        let above = query.get("parentGroup").map(String::as_str);
        if let Some(name) = above {
            self.registry.thing_group(name)?;
        }
        let prefix = query.get("namePrefixFilter").map_or("", String::as_str);
        let is_below = |name: &Arc<str>, group: &Group| match above {
            _ if !recursive => group.parent.as_deref() == above,
            None => true,
            Some(above) => self.registry.path(name).iter().skip(1).any(|name| **name == *above),
        };
        let found = self.registry.thing_groups.iter();
        let found = found.filter(|(name, group)| name.starts_with(prefix) && is_below(name, group));
        Ok(Page::by_token(&query)?.answer("thingGroups", found.map(|(name, _)| listed(cx, name))))
    }

    pub(super) fn rest_list_groups_of_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let groups = self.registry.thing(name)?.groups.iter();
        Ok(Page::by_token(&query(request.query)?)?.answer("thingGroups", groups.map(|name| listed(cx, name))))
    }
}

/// An entry of a list of groups, with its key.
fn listed(cx: &Cx<'_>, name: &str) -> (String, Value) {
    (name.to_owned(), json!({ "groupName": name, "groupArn": thing_group_arn(cx, name) }))
}
