//! Resources of CloudFormation. `Tags` are accepted and have no effect.

use serde::Deserialize;
use serde_json::Value;

use super::Iot;
use super::registry::arns::{policy_arn, thing_type_arn};
use super::rules::{RulePayload, rule_arn};
use crate::cloud::core::{AwsError, Cx, Outcome, Provisioned, Resource};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyProperties {
    policy_name: String,
    policy_document: Value,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ThingTypeResource {
    thing_type_name: String,
    #[serde(default)]
    thing_type_properties: ThingTypeProperties,
    deprecate_thing_type: Option<bool>,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ThingTypeProperties {
    thing_type_description: Option<String>,
    #[serde(default)]
    searchable_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TopicRuleProperties {
    rule_name: String,
    topic_rule_payload: Value,
    #[serde(rename = "Tags")]
    _tags: Option<Value>,
}

impl Iot {
    /// Creates `AWS::IoT::Policy`, `AWS::IoT::ThingType` or `AWS::IoT::TopicRule`. `Ref` is the name; attributes are `Arn`,
    /// and `Id` for the first two.
    pub fn provision(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let (operation, provisioned) = match resource.kind.as_str() {
            "AWS::IoT::Policy" => ("CreatePolicy", self.provision_policy(cx, resource)),
            "AWS::IoT::ThingType" => ("CreateThingType", self.provision_thing_type(cx, resource)),
            "AWS::IoT::TopicRule" => ("CreateTopicRule", self.provision_topic_rule(cx, resource)),
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
        if deprecate_thing_type == Some(true) {
            return Err(resource.refuse("DeprecateThingType is not modelled"));
        }
        let (description, searchable) = (properties.thing_type_description, properties.searchable_attributes);
        let (registry, quotas) = self.registry_and_quotas(cx);
        let id = registry.create_thing_type(cx, quotas, &name, description, searchable)?.id.clone();
        let arn = thing_type_arn(cx, &name);
        Ok(Provisioned::new(name).attribute("Arn", arn).attribute("Id", id))
    }

    fn provision_topic_rule(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let TopicRuleProperties { rule_name, topic_rule_payload, .. } = resource.parse()?;
        let payload = serde_json::from_value::<RulePayload>(camel_case(topic_rule_payload));
        self.create_rule(cx, &rule_name, payload.map_err(|error| resource.refuse(error))?)?;
        let arn = rule_arn(cx, &rule_name);
        Ok(Provisioned::new(rule_name).attribute("Arn", arn))
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
