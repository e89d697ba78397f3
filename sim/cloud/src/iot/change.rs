//! Changes and deletions of CloudFormation resources.

use serde_json::Value;

use super::Iot;
use super::provision::{
    BillingGroupResource, PolicyProperties, ThingGroupResource, ThingTypeResource, TopicRuleProperties,
};
use super::registry::GroupUpdate;
use super::registry::arns::{billing_group_arn, policy_arn, thing_group_arn, thing_type_arn};
use super::rules::rule_arn;
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Iot {
    /// Changes a resource in place.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        physical_id: &str,
        _: &Value,
    ) -> Result<Provisioned, AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::IoT::Policy" => ("CreatePolicyVersion", self.update_policy(cx, resource, physical_id)),
            "AWS::IoT::ThingType" => ("UpdateThingType", self.update_thing_type(cx, resource, physical_id)),
            "AWS::IoT::ThingGroup" => ("UpdateThingGroup", self.update_thing_group(cx, resource, physical_id)),
            "AWS::IoT::BillingGroup" => ("UpdateBillingGroup", self.update_billing_group(cx, resource, physical_id)),
            "AWS::IoT::ProvisioningTemplate" => {
                ("UpdateProvisioningTemplate", self.update_template(cx, resource, physical_id))
            }
            "AWS::IoT::TopicRule" => ("ReplaceTopicRule", self.update_topic_rule(cx, resource, physical_id)),
            kind => return Err(AwsError::not_modelled(format!("changing a resource of type {kind}"))),
        };
        cx.meter.call("iot", operation, result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        result
    }

    /// A new default version. It counts at once, also for clients that are connected.
    fn update_policy(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let properties: PolicyProperties = resource.parse()?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.replace_policy(cx, quotas, name, &properties.policy_document.to_string())?;
        self.follow_changes(cx);
        Ok(Provisioned::new(name).attribute("Arn", policy_arn(cx, name)).attribute("Id", name))
    }

    /// Only the deprecation and tags of a type can be changed here: AWS changes its searchable attributes and description
    /// never.
    fn update_thing_type(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let ThingTypeResource { thing_type_properties: properties, deprecate_thing_type, .. } = resource.parse()?;
        let existing = self.registry.thing_type(name)?;
        if !properties.describe(existing) {
            return Err(resource.refuse("a change of ThingTypeProperties is not modelled"));
        }
        let id = existing.id.clone();
        self.registry.deprecate_thing_type(cx, name, deprecate_thing_type != Some(true))?;
        Ok(Provisioned::new(name).attribute("Arn", thing_type_arn(cx, name)).attribute("Id", id))
    }

    fn update_thing_group(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        name: &str,
    ) -> Result<Provisioned, AwsError> {
        let properties = resource.parse::<ThingGroupResource>()?.properties();
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.replace_thing_group(cx, quotas, name, properties)?;
        let id = registry.thing_group(name)?.id.clone();
        Ok(Provisioned::new(name).attribute("Arn", thing_group_arn(cx, name)).attribute("Id", id))
    }

    fn update_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &Resource,
        name: &str,
    ) -> Result<Provisioned, AwsError> {
        let description = resource.parse::<BillingGroupResource>()?.description();
        let (registry, quotas) = self.registry_and_quotas(cx);
        let description = Some(description.unwrap_or_default());
        registry.update_billing_group(quotas, name, GroupUpdate { description, ..GroupUpdate::default() })?;
        let id = registry.billing_group(name)?.id.clone();
        Ok(Provisioned::new(name).attribute("Arn", billing_group_arn(cx, name)).attribute("Id", id))
    }

    fn update_topic_rule(&mut self, cx: &mut Cx<'_>, resource: &Resource, name: &str) -> Result<Provisioned, AwsError> {
        let payload = resource.parse::<TopicRuleProperties>()?.payload(resource)?;
        self.replace_rule(cx, name, payload)?;
        Ok(Provisioned::new(name).attribute("Arn", rule_arn(cx, name)))
    }

    /// Deletes a resource. What is in use stays, and the refusal says so.
    pub fn delete(&mut self, cx: &mut Cx<'_>, resource: &Resource, physical_id: &str) -> Result<(), AwsError> {
        let (operation, result) = match resource.kind.as_str() {
            "AWS::IoT::Policy" => ("DeletePolicy", self.registry.drop_policy(physical_id)),
            "AWS::IoT::ThingType" => ("DeleteThingType", self.registry.drop_thing_type(cx, physical_id)),
            "AWS::IoT::ThingGroup" => ("DeleteThingGroup", self.registry.delete_thing_group(cx, physical_id, None)),
            "AWS::IoT::BillingGroup" => ("DeleteBillingGroup", self.registry.delete_billing_group(physical_id, None)),
            "AWS::IoT::ProvisioningTemplate" => {
                self.remove_template(physical_id);
                ("DeleteProvisioningTemplate", Ok(()))
            }
            "AWS::IoT::TopicRule" => {
                self.delete_rule(physical_id);
                ("DeleteTopicRule", Ok(()))
            }
            kind => return Err(AwsError::not_modelled(format!("deleting a resource of type {kind}"))),
        };
        cx.meter.call("iot", operation, result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        self.follow_changes(cx);
        result
    }
}
