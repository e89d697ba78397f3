//! Operations on thing types.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::ThingType;
use crate::iot::registry::arns::thing_type_arn;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateThingType {
    #[serde(default)]
    thing_type_properties: ThingTypeProperties,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ThingTypeProperties {
    thing_type_description: Option<String>,
    #[serde(default)]
    searchable_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeprecateThingType {
    #[serde(default)]
    undo_deprecate: bool,
}

impl Iot {
    pub(super) fn rest_create_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreateThingType = parse(request.body)?;
        let ThingTypeProperties { thing_type_description, searchable_attributes } = body.thing_type_properties;
        let (registry, quotas) = self.registry_and_quotas(cx);
        let thing_type = registry.create_thing_type(cx, quotas, name, thing_type_description, searchable_attributes)?;
        Ok(json!({ "thingTypeName": name, "thingTypeArn": thing_type_arn(cx, name), "thingTypeId": thing_type.id }))
    }

    pub(super) fn rest_describe_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let thing_type = self.registry.thing_type(name)?;
        let mut answer = described(cx, name, thing_type);
        answer["thingTypeId"] = thing_type.id.as_str().into();
        Ok(answer)
    }

    pub(super) fn rest_deprecate_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: DeprecateThingType = parse(request.body)?;
        self.registry.deprecate_thing_type(cx, name, body.undo_deprecate)?;
        Ok(json!({}))
    }

    pub(super) fn rest_delete_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.delete_thing_type(cx, quotas, name)?;
        Ok(json!({}))
    }

    pub(super) fn rest_list_thing_types(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let wanted = query.get("thingTypeName");
        let found =
            self.registry.thing_types.iter().filter(|(name, _)| wanted.is_none_or(|wanted| ***name == **wanted));
        let entries = found.map(|(name, thing_type)| (name.to_string(), described(cx, name, thing_type)));
        Ok(Page::by_token(&query)?.answer("thingTypes", entries))
    }
}

fn described(cx: &Cx<'_>, name: &str, thing_type: &ThingType) -> Value {
    let ThingType { description, searchable_attributes, created, deprecated, .. } = thing_type;
    let mut properties = json!({ "searchableAttributes": searchable_attributes });
    if let Some(text) = description {
        properties["thingTypeDescription"] = text.as_str().into();
    }
    let mut metadata = json!({ "deprecated": deprecated.is_some(), "creationDate": timestamp(*created) });
    if let Some(since) = deprecated {
        metadata["deprecationDate"] = timestamp(*since);
    }
    json!({
        "thingTypeName": name,
        "thingTypeArn": thing_type_arn(cx, name),
        "thingTypeProperties": properties,
        "thingTypeMetadata": metadata,
    })
}
