//! Operations on billing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, expected_version, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::billing_group_arn;
use crate::iot::registry::{Group, GroupUpdate};

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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateBillingGroup {
    billing_group_properties: BillingGroupProperties,
    expected_version: Option<u64>,
}

impl Iot {
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

    pub(super) fn rest_update_billing_group(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let UpdateBillingGroup { billing_group_properties, expected_version } = parse(request.body)?;
        let description = billing_group_properties.billing_group_description;
        let update = GroupUpdate { expected_version, description, attributes: None };
        let (registry, quotas) = self.registry_and_quotas(cx);
        let version = registry.update_billing_group(quotas, name, update)?;
        Ok(json!({ "version": version }))
    }

    pub(super) fn rest_delete_billing_group(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_billing_group(name, expected_version(&query(request.query)?)?)?;
        Ok(json!({}))
    }

    pub(super) fn rest_list_billing_groups(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let prefix = query.get("namePrefixFilter").map_or("", String::as_str);
        let found = self.registry.billing_groups.keys().filter(|name| name.starts_with(prefix));
        let entries = found
            .map(|name| (name.to_string(), json!({ "groupName": &**name, "groupArn": billing_group_arn(cx, name) })));
        Ok(Page::by_token(&query)?.answer("billingGroups", entries))
    }
}
