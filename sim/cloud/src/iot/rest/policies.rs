//! Operations on policies, their versions and their targets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use super::{RestRequest, flag, operations, parse, query, timestamp};
use crate::core::{AwsError, Cx};
use crate::iot::Iot;
use crate::iot::registry::arns::policy_arn;
use crate::iot::registry::invalid;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreatePolicy {
    policy_document: String,
    #[serde(rename = "tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachPolicy {
    target: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GetEffectivePolicies {
    principal: Option<String>,
}

/// The number of the version that the path names.
fn version(request: &RestRequest<'_>) -> Result<u64, AwsError> {
    let parameters = operations::find(request.method, request.path).map(|(_, parameters)| parameters);
    let number = parameters.and_then(|parameters| parameters.get(1)?.parse().ok());
    number.ok_or_else(|| invalid("the id of a policy version is a number"))
}

fn listed(cx: &Cx<'_>, name: &str) -> Value {
    json!({ "policyName": name, "policyArn": policy_arn(cx, name) })
}

impl Iot {
    pub(super) fn rest_create_policy(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: CreatePolicy = parse(request.body)?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.create_policy(cx, quotas, name, &body.policy_document)?;
        Ok(json!({
            "policyName": name,
            "policyArn": policy_arn(cx, name),
            "policyDocument": body.policy_document,
            "policyVersionId": "1",
        }))
    }

    pub(super) fn rest_create_policy_version(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let as_default = flag(&query(request.query)?, "setAsDefault")?;
        let body: CreatePolicy = parse(request.body)?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        let number = registry.create_policy_version(cx, quotas, name, &body.policy_document, as_default)?;
        Ok(json!({
            "policyArn": policy_arn(cx, name),
            "policyDocument": body.policy_document,
            "policyVersionId": number.to_string(),
            "isDefaultVersion": as_default,
        }))
    }

    pub(super) fn rest_get_policy(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let policy = self.registry.policy(name)?;
        Ok(json!({
            "policyName": name,
            "policyArn": policy_arn(cx, name),
            "policyDocument": policy.in_force().text,
            "defaultVersionId": policy.default.to_string(),
            "creationDate": timestamp(policy.created),
            "lastModifiedDate": timestamp(policy.modified),
            "generationId": policy.generation,
        }))
    }

    pub(super) fn rest_get_policy_version(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let number = version(request)?;
        let found = self.registry.policy_version(name, number)?;
        let policy = self.registry.policy(name)?;
        Ok(json!({
            "policyName": name,
            "policyArn": policy_arn(cx, name),
            "policyDocument": found.text,
            "policyVersionId": number.to_string(),
            "isDefaultVersion": policy.default == number,
            "creationDate": timestamp(found.created),
            "lastModifiedDate": timestamp(found.created),
            "generationId": policy.generation,
        }))
    }

    pub(super) fn rest_delete_policy(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_policy(name)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_delete_policy_version(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.delete_policy_version(name, version(request)?)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_set_default_policy_version(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        self.registry.set_default_version(cx, name, version(request)?)?;
        Ok(Value::Null)
    }

    /// By their creation, the newest first unless ascending order is asked for.
    pub(super) fn rest_list_policies(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let page = Page::by_marker(&query)?.descending(!flag(&query, "isAscendingOrder")?);
        let entries = self
            .registry
            .policies
            .iter()
            .map(|(name, policy)| (format!("{:020} {name}", policy.created.unix_micros()), listed(cx, name)));
        Ok(page.answer("policies", entries))
    }

    pub(super) fn rest_list_policy_versions(
        &mut self,
        _: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let policy = self.registry.policy(name)?;
        let versions: Vec<Value> = policy
            .versions
            .iter()
            .rev()
            .map(|(number, version)| {
                json!({
                    "versionId": number.to_string(),
                    "isDefaultVersion": *number == policy.default,
                    "createDate": timestamp(version.created),
                })
            })
            .collect();
        Ok(json!({ "policyVersions": versions }))
    }

    pub(super) fn rest_attach_policy(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: AttachPolicy = parse(request.body)?;
        let (registry, quotas) = self.registry_and_quotas(cx);
        registry.attach_policy(cx, quotas, name, &body.target)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_detach_policy(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: AttachPolicy = parse(request.body)?;
        self.registry.detach_policy(cx, name, &body.target)?;
        Ok(Value::Null)
    }

    pub(super) fn rest_list_attached_policies(
        &mut self,
        cx: &mut Cx<'_>,
        target: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let query = query(request.query)?;
        let policies = self.registry.attached_policies(cx, target, flag(&query, "recursive")?)?;
        let entries = policies.iter().map(|name| (name.to_string(), listed(cx, name)));
        Ok(Page::by_marker(&query)?.answer("policies", entries))
    }

    pub(super) fn rest_list_targets(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let targets = self.registry.targets_of(cx, name)?;
        let entries = targets.into_iter().map(|arn| (arn.clone(), arn.into()));
        Ok(Page::by_marker(&query(request.query)?)?.answer("targets", entries))
    }

    /// The policies in force for a principal, for a thing by its groups, or for both.
    pub(super) fn rest_get_effective_policies(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let body: GetEffectivePolicies = parse(request.body)?;
        let thing = query(request.query)?.remove("thingName");
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        if let Some(principal) = &body.principal {
            names.extend(self.registry.attached_policies(cx, principal, false)?);
        }
        if let Some(thing) = &thing {
            names.extend(self.registry.policies_of_thing(thing)?);
        }
        if body.principal.is_none() && thing.is_none() {
            return Err(invalid("GetEffectivePolicies names a principal or a thing"));
        }
        let mut effective = Vec::new();
        for name in &names {
            let mut entry = listed(cx, name);
            entry["policyDocument"] = self.registry.policy(name)?.in_force().text.as_str().into();
            effective.push(entry);
        }
        Ok(json!({ "effectivePolicies": effective }))
    }
}
