//! Operations on thing groups and billing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{AttributePayload, RestRequest, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::{billing_group_arn, thing_arn, thing_group_arn};
use crate::iot::registry::{Group, GroupProperties, invalid};

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
struct CreateBillingGroup {
    #[serde(default)]
    billing_group_properties: BillingGroupProperties,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BillingGroupProperties {
    billing_group_description: Option<String>,
}

/// Which thing enters or leaves which group; each is named by its name or its ARN.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Membership {
    thing_name: Option<String>,
    thing_arn: Option<String>,
    thing_group_name: Option<String>,
    thing_group_arn: Option<String>,
    billing_group_name: Option<String>,
    billing_group_arn: Option<String>,
    /// There are no dynamic groups.
    #[serde(rename = "overrideDynamicGroups")]
    _override_dynamic_groups: Option<bool>,
}

impl Membership {
    /// Names of the thing and of the thing group, once the caller may do `action` on both.
    fn in_thing_group(self, cx: &mut Cx<'_>, action: &str) -> Result<(String, String), AwsError> {
        if self.billing_group_name.is_some() || self.billing_group_arn.is_some() {
            return Err(invalid(format!("{action} takes a thing group")));
        }
        let thing = named(self.thing_name, self.thing_arn, &thing_arn(cx, ""), "thing")?;
        let group = named(self.thing_group_name, self.thing_group_arn, &thing_group_arn(cx, ""), "thing group")?;
        cx.authorize(action, &thing_group_arn(cx, &group))?;
        cx.authorize(action, &thing_arn(cx, &thing))?;
        Ok((thing, group))
    }

    /// The same for a billing group.
    fn in_billing_group(self, cx: &mut Cx<'_>, action: &str) -> Result<(String, String), AwsError> {
        if self.thing_group_name.is_some() || self.thing_group_arn.is_some() {
            return Err(invalid(format!("{action} takes a billing group")));
        }
        let thing = named(self.thing_name, self.thing_arn, &thing_arn(cx, ""), "thing")?;
        let arns = billing_group_arn(cx, "");
        let group = named(self.billing_group_name, self.billing_group_arn, &arns, "billing group")?;
        cx.authorize(action, &billing_group_arn(cx, &group))?;
        cx.authorize(action, &thing_arn(cx, &thing))?;
        Ok((thing, group))
    }
}

/// The name that is given as itself or behind the start of an ARN. Both must agree.
fn named(name: Option<String>, arn: Option<String>, arns: &str, kind: &str) -> Result<String, AwsError> {
    let of_arn = match arn {
        None => None,
        Some(arn) => {
            let rest = arn.strip_prefix(arns).map(str::to_owned);
            Some(rest.ok_or_else(|| invalid(format!("{arn:?} is no ARN of a {kind} of this account")))?)
        }
    };
    match (name, of_arn) {
        (Some(name), Some(other)) if name != other => {
            Err(invalid(format!("name and ARN of the {kind} do not agree: {name}, {other}")))
        }
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(invalid(format!("the {kind} is not named"))),
    }
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
        let (found, group) = self.registry.thing_groups.get_key_value(name).ok_or_else(|| missing(name))?;
        let Group { id, parent, properties, created, version } = group;
        let mut ancestors = self.registry.path(found);
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

    pub(super) fn rest_add_to_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: Membership = parse(request.body)?;
        let (thing, group) = body.in_thing_group(cx, "iot:AddThingToThingGroup")?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.add_to_thing_group(quotas, &thing, &group)?;
        Ok(json!({}))
    }

    pub(super) fn rest_remove_from_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: Membership = parse(request.body)?;
        let (thing, group) = body.in_thing_group(cx, "iot:RemoveThingFromThingGroup")?;
        self.registry.remove_from_thing_group(&thing, &group)?;
        Ok(json!({}))
    }

    pub(super) fn rest_create_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreateBillingGroup = parse(request.body)?;
        let description = body.billing_group_properties.billing_group_description;
        let (registry, quotas) = self.registry_and_quotas(cx);
        let group = registry.create_billing_group(cx, quotas, name, description)?;
        Ok(json!({
            "billingGroupName": name,
            "billingGroupArn": billing_group_arn(cx, name),
            "billingGroupId": group.id,
        }))
    }

    pub(super) fn rest_describe_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let Group { id, properties, created, version, .. } = self.registry.billing_group(name)?;
        let mut described = json!({});
        if let Some(text) = &properties.description {
            described["billingGroupDescription"] = text.as_str().into();
        }
        Ok(json!({
            "billingGroupName": name,
            "billingGroupId": id,
            "billingGroupArn": billing_group_arn(cx, name),
            "version": version,
            "billingGroupProperties": described,
            "billingGroupMetadata": { "creationDate": timestamp(*created) },
        }))
    }

    pub(super) fn rest_add_to_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: Membership = parse(request.body)?;
        let (thing, group) = body.in_billing_group(cx, "iot:AddThingToBillingGroup")?;
        self.registry.add_to_billing_group(&thing, &group)?;
        Ok(json!({}))
    }

    pub(super) fn rest_remove_from_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: Membership = parse(request.body)?;
        let (thing, group) = body.in_billing_group(cx, "iot:RemoveThingFromBillingGroup")?;
        self.registry.remove_from_billing_group(&thing, &group)?;
        Ok(json!({}))
    }

    /// A thing is in ten groups at most: they are one page, whatever maxResults asks for is refused when it is less.
    pub(super) fn rest_list_groups_of_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let groups = &self.registry.thing(name)?.groups;
        let mut query = query(request.query)?;
        if query.remove("nextToken").is_some() {
            return Err(invalid("this is no nextToken of ListThingGroupsForThing"));
        }
        let max: Option<usize> = query.remove("maxResults").map(|text| text.parse().unwrap_or(0));
        match max {
            Some(0 | 251..) => return Err(invalid("maxResults is 1 to 250")),
            Some(max) if max < groups.len() => {
                return Err(AwsError::not_modelled("iot ListThingGroupsForThing in several pages"));
            }
            _ => {}
        }
        let listed: Vec<Value> = groups
            .iter()
            .map(|group| json!({ "groupName": &**group, "groupArn": thing_group_arn(cx, group) }))
            .collect();
        Ok(json!({ "thingGroups": listed }))
    }
}

fn missing(name: &str) -> AwsError {
    crate::iot::registry::not_found(format!("the thing group {name} does not exist"))
}
