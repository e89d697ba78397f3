//! Operations on things.

use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{AttributePayload, RestRequest, expected_version, flag, parse, query};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::thing_arn;
use crate::iot::registry::{Thing, ThingUpdate, already_exists, invalid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateThing {
    thing_type_name: Option<String>,
    attribute_payload: Option<AttributePayload>,
    billing_group_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateThing {
    thing_type_name: Option<String>,
    attribute_payload: Option<AttributePayload>,
    expected_version: Option<u64>,
    #[serde(default)]
    remove_thing_type: bool,
}

impl Iot {
    pub(super) fn rest_create_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreateThing = parse(request.body)?;
        let attributes = body.attribute_payload.map(|payload| payload.attributes).unwrap_or_default();
        let (registry, quotas) = self.registry_and_quotas(cx);
        let billing_group = body.billing_group_name.as_deref();
        if let Some(group) = billing_group {
            registry.billing_group(group)?;
        }
        if let Ok(existing) = registry.thing(name)
            && existing.billing_group.as_deref() != billing_group
        {
            return Err(already_exists("the thing", name, thing_arn(cx, name)));
        }
        registry.create_thing(cx, quotas, name, body.thing_type_name.as_deref(), attributes)?;
        if let Some(group) = billing_group {
            registry.add_to_billing_group(name, group)?;
        }
        let id = &registry.thing(name)?.id;
        Ok(json!({ "thingName": name, "thingArn": thing_arn(cx, name), "thingId": id }))
    }

    pub(super) fn rest_update_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: UpdateThing = parse(request.body)?;
        let update = ThingUpdate {
            expected_version: body.expected_version,
            attributes: body.attribute_payload.map(AttributePayload::change),
            thing_type: body.thing_type_name,
            remove_type: body.remove_thing_type,
        };
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.update_thing(cx, quotas, name, update)?;
        Ok(json!({}))
    }

    pub(super) fn rest_describe_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let thing = self.registry.thing(name)?;
        let mut answer = summary(cx, thing);
        answer["thingId"] = thing.id.as_str().into();
        if let Some(group) = &thing.billing_group {
            answer["billingGroupName"] = (&**group).into();
        }
        answer["defaultClientId"] = name.into();
        Ok(answer)
    }

    pub(super) fn rest_delete_thing(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_thing(cx, name, expected_version(&query(request.query)?)?)?;
        Ok(json!({}))
    }

    pub(super) fn rest_list_things(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let page = Page::by_token(&query)?;
        let by_prefix = flag(&query, "usePrefixAttributeValue")?;
        let attribute = (query.get("attributeName"), query.get("attributeValue"));
        let thing_type = query.get("thingTypeName");
        if matches!(attribute, (None, Some(_))) {
            return Err(invalid("attributeValue needs attributeName"));
        }
        let fits = |thing: &&Thing| {
            let attribute_fits = match attribute {
                (Some(name), Some(wanted)) => thing
                    .attributes
                    .get(name)
                    .is_some_and(|value| if by_prefix { value.starts_with(wanted) } else { value == wanted }),
                (Some(name), None) => thing.attributes.contains_key(name),
                (None, _) => true,
            };
            attribute_fits && thing_type.is_none_or(|wanted| thing.thing_type.as_deref() == Some(wanted))
        };
        let start = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.registry.things.range::<str, _>((start, Bound::Unbounded));
        // One more than the page has says whether there is a next.
        let found = rest.map(|(_, thing)| thing).filter(fits).take(page.size + 1);
        Ok(page.answer("things", found.map(|thing| (thing.name.to_string(), summary(cx, thing)))))
    }
}

fn summary(cx: &Cx<'_>, thing: &Thing) -> Value {
    let mut answer = json!({
        "thingName": &*thing.name,
        "thingArn": thing_arn(cx, &thing.name),
        "attributes": thing.attributes,
        "version": thing.version,
    });
    if let Some(thing_type) = &thing.thing_type {
        answer["thingTypeName"] = (&**thing_type).into();
    }
    answer
}
