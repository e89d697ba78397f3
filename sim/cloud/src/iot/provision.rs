//! Resources of CloudFormation. `Tags` are accepted and have no effect.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Iot;
use super::registry::arns::{billing_group_arn, policy_arn, thing_group_arn, thing_type_arn};
use super::registry::{GroupProperties, ThingType};
use super::rules::{RulePayload, rule_arn};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PolicyProperties {
    policy_name: String,
    pub(super) policy_document: Value,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ThingTypeResource {
    thing_type_name: String,
    #[serde(default)]
    pub(super) thing_type_properties: ThingTypeProperties,
    pub(super) deprecate_thing_type: Option<bool>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ThingTypeProperties {
    thing_type_description: Option<String>,
    #[serde(default)]
    searchable_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TopicRuleProperties {
    rule_name: String,
    topic_rule_payload: Value,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ThingGroupResource {
    thing_group_name: String,
    parent_group_name: Option<String>,
    #[serde(default)]
    thing_group_properties: ThingGroupProperties,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ThingGroupProperties {
    thing_group_description: Option<String>,
    #[serde(default)]
    attribute_payload: AttributePayload,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BillingGroupResource {
    billing_group_name: String,
    #[serde(default)]
    billing_group_properties: BillingGroupProperties,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BillingGroupProperties {
    billing_group_description: Option<String>,
}

impl ThingTypeProperties {
    /// Whether they are those of this type.
    pub(super) fn describe(&self, thing_type: &ThingType) -> bool {
        self.thing_type_description == thing_type.description
            && self.searchable_attributes == thing_type.searchable_attributes
    }
}

impl TopicRuleProperties {
    /// The payload with the names that the API has for its members.
    pub(super) fn payload(self, resource: &Resource) -> Result<RulePayload, AwsError> {
        serde_json::from_value(camel_case(self.topic_rule_payload)).map_err(|error| resource.refuse(error))
    }
}

impl ThingGroupResource {
    pub(super) fn properties(self) -> GroupProperties {
        let ThingGroupProperties { thing_group_description: description, attribute_payload } =
            self.thing_group_properties;
        GroupProperties { description, attributes: attribute_payload.attributes }
    }
}

impl BillingGroupResource {
    pub(super) fn description(self) -> Option<String> {
        self.billing_group_properties.billing_group_description
    }
}

impl Iot {
    /// Creates `AWS::IoT::Policy`, `ThingType`, `ThingGroup`, `BillingGroup`, `ProvisioningTemplate` or `TopicRule`. `Ref` is the name (for types and
    /// groups the reference says "id": unverified); attributes are `Arn`, and `Id` for all but rules.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::IoT::Policy" => ("CreatePolicy", self.provision_policy(cx, resource)),
            "AWS::IoT::ThingType" => ("CreateThingType", self.provision_thing_type(cx, resource)),
            "AWS::IoT::TopicRule" => ("CreateTopicRule", self.provision_topic_rule(cx, resource)),
            "AWS::IoT::ThingGroup" => ("CreateThingGroup", self.provision_thing_group(cx, resource)),
            "AWS::IoT::BillingGroup" => ("CreateBillingGroup", self.provision_billing_group(cx, resource)),
            "AWS::IoT::ProvisioningTemplate" => ("CreateProvisioningTemplate", self.provision_template(cx, resource)),
            _ => return Err(resource.refuse("this resource type is not modelled")),
        };
        cx.meter.call("iot", operation, provisioned.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        provisioned
    }

    fn provision_policy(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let PolicyProperties { policy_name, policy_document, .. } = resource.parse()?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.create_policy(cx, quotas, &policy_name, &policy_document.to_string())?;
        let arn = policy_arn(cx, &policy_name);
        Ok(Provisioned::new(policy_name.as_str()).attribute("Arn", arn).attribute("Id", policy_name))
    }

    fn provision_thing_type(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let ThingTypeResource {
            thing_type_name: name, thing_type_properties: properties, deprecate_thing_type, ..
        } = resource.parse()?;
        let (description, searchable) = (properties.thing_type_description, properties.searchable_attributes);
        let (registry, quotas) = self.registry_and_quotas(cx);
        let id = registry.create_thing_type(cx, quotas, &name, description, searchable)?.id.clone();
        registry.deprecate_thing_type(cx, &name, deprecate_thing_type != Some(true))?;
        let arn = thing_type_arn(cx, &name);
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("Id", id))
    }

    fn provision_thing_group(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let group: ThingGroupResource = resource.parse()?;
        let (name, parent) = (group.thing_group_name.clone(), group.parent_group_name.clone());
        let (registry, quotas) = self.registry_and_quotas(cx);
        let created = registry.create_thing_group(cx, quotas, &name, parent.as_deref(), group.properties())?;
        let id = created.id.clone();
        let arn = thing_group_arn(cx, &name);
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("Id", id))
    }

    fn provision_billing_group(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let group: BillingGroupResource = resource.parse()?;
        let name = group.billing_group_name.clone();
        let (registry, quotas) = self.registry_and_quotas(cx);
        let id = registry.create_billing_group(cx, quotas, &name, group.description())?.id.clone();
        let arn = billing_group_arn(cx, &name);
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("Id", id))
    }

    fn provision_topic_rule(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: TopicRuleProperties = resource.parse()?;
        let name = properties.rule_name.clone();
        self.create_rule(cx, &name, properties.payload(resource)?)?;
        let arn = rule_arn(cx, &name);
        Ok(Provisioned::new(name).attribute("Arn", arn))
    }
}

/// The same value with member names as the API writes them: `RoleArn` becomes `roleArn`.
fn camel_case(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (lower_first(name), camel_case(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(camel_case).collect(),
        other => other,
    }
}

fn lower_first(mut name: String) -> String {
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}
