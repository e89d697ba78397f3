//! The control plane over REST: which operation a request asks for, its checks, its answer.

mod events;
mod groups;
mod operations;
mod permit;
mod things;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Iot;
use super::registry::arns::{certificate_arn, policy_arn, thing_arn, thing_type_arn};
use super::registry::{CertificateStatus, Thing, ThingType, invalid};
use super::rules::RulePayload;
use crate::core::{AwsError, Cx, Outcome};
use world::time::Time;

/// Things on one page of `ListThings` when the caller names no number (unverified: AWS gives the maximum only).
const PAGE: usize = 250;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateThing {
    thing_type_name: Option<String>,
    attribute_payload: Option<AttributePayload>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Merges with existing attributes; at a creation there are none.
    merge: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateThingType {
    thing_type_properties: Option<ThingTypeProperties>,
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
struct RegisterCertificate {
    certificate_pem: String,
    status: Option<String>,
}

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

/// One request to the control plane.
pub struct RestRequest<'r> {
    /// HTTP method.
    pub method: &'r str,
    /// Path, still percent-encoded.
    pub path: &'r str,
    /// Query, still percent-encoded, without `?`.
    pub query: &'r str,
    /// Value of the header `x-amzn-principal`.
    pub principal: Option<&'r str>,
    /// Body.
    pub body: &'r [u8],
}

/// Operations for whose rate the table of quotas has no row.
const UNRATED: [&str; 2] = ["ListProvisioningTemplates", "DeleteProvisioningTemplate"];

/// The operation of a method and a path.
pub(super) fn operation_of(method: &str, path: &str) -> Option<&'static str> {
    operations::find(method, path).map(|(operation, _)| operation)
}

impl Iot {
    /// Answers a request to the control plane: HTTP status and JSON.
    pub fn rest(&mut self, cx: &mut Cx<'_>, request: &RestRequest<'_>) -> Result<(u16, Vec<u8>), AwsError> {
        let Some((operation, parameters)) = operations::find(request.method, request.path) else {
            return Err(AwsError::unknown_operation(&format!("{} {}", request.method, request.path)));
        };
        let allowed = permit::permit(cx, operation, &parameters, request);
        let result = allowed.and_then(|()| self.operate(cx, operation, &parameters, request));
        cx.meter.call("iot", operation, result.as_ref().err().map_or(Outcome::Ok, Outcome::from));
        result.map(|answer| (200, if answer.is_null() { Vec::new() } else { answer.to_string().into_bytes() }))
    }

    fn operate(
        &mut self,
        cx: &mut Cx<'_>,
        operation: &'static str,
        parameters: &[String],
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let name = parameters.first().map_or("", String::as_str);
        let act = match operation {
            "CreateThing" => Iot::rest_create_thing,
            "DescribeThing" => Iot::rest_describe_thing,
            "ListThings" => Iot::rest_list_things,
            "CreateThingType" => Iot::rest_create_thing_type,
            "DescribeThingType" => Iot::rest_describe_thing_type,
            "RegisterCertificateWithoutCA" => Iot::rest_register_certificate,
            "UpdateCertificate" => Iot::rest_update_certificate,
            "AttachPolicy" => Iot::rest_attach_policy,
            "AttachThingPrincipal" => Iot::rest_attach_thing_principal,
            "CreatePolicy" => Iot::rest_create_policy,
            "GetPolicy" => Iot::rest_get_policy,
            "DescribeEndpoint" => Iot::rest_describe_endpoint,
            "CreateTopicRule" => Iot::rest_create_topic_rule,
            "GetTopicRule" => Iot::rest_get_topic_rule,
            "UpdateThing" => Iot::rest_update_thing,
            "DeleteThing" => Iot::rest_delete_thing,
            "ListThingGroupsForThing" => Iot::rest_list_groups_of_thing,
            "CreateThingGroup" => Iot::rest_create_thing_group,
            "DescribeThingGroup" => Iot::rest_describe_thing_group,
            "AddThingToThingGroup" => Iot::rest_add_to_thing_group,
            "RemoveThingFromThingGroup" => Iot::rest_remove_from_thing_group,
            "CreateBillingGroup" => Iot::rest_create_billing_group,
            "DescribeBillingGroup" => Iot::rest_describe_billing_group,
            "AddThingToBillingGroup" => Iot::rest_add_to_billing_group,
            "RemoveThingFromBillingGroup" => Iot::rest_remove_from_billing_group,
            "UpdateEventConfigurations" => Iot::rest_update_event_configurations,
            "DescribeEventConfigurations" => Iot::rest_describe_event_configurations,
            "CreateKeysAndCertificate" => Iot::rest_create_keys,
            "CreateCertificateFromCsr" => Iot::rest_create_from_csr,
            "RegisterThing" => Iot::rest_register_thing,
            "CreateProvisioningTemplate" => Iot::rest_create_template,
            "DescribeProvisioningTemplate" => Iot::rest_describe_template,
            "ListProvisioningTemplates" => Iot::rest_list_templates,
            "UpdateProvisioningTemplate" => Iot::rest_update_template,
            "DeleteProvisioningTemplate" => Iot::rest_delete_template,
            other => return Err(AwsError::not_modelled(format!("iot {other}"))),
        };
        let known = query_parameters(operation);
        if let Some(other) = query(request.query)?.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(AwsError::not_modelled(format!("iot {operation} parameter {other}")));
        }
        if !UNRATED.contains(&operation) {
            self.quotas(cx).take_call(cx, operation)?;
        }
        act(self, cx, name, request)
    }

    fn rest_create_thing(&mut self, cx: &mut Cx<'_>, name: &str, request: &RestRequest<'_>) -> Result<Value, AwsError> {
        let body: CreateThing = parse(request.body)?;
        let attributes = body.attribute_payload.map(|payload| payload.attributes).unwrap_or_default();
        let (registry, quotas) = self.registry_and_quotas(cx);
        let thing = registry.create_thing(cx, quotas, name, body.thing_type_name.as_deref(), attributes)?;
        Ok(json!({ "thingName": name, "thingArn": thing_arn(cx, name), "thingId": thing.id }))
    }

    fn rest_describe_thing(&mut self, cx: &mut Cx<'_>, name: &str, _: &RestRequest<'_>) -> Result<Value, AwsError> {
        let thing = self.registry.thing(name)?;
        let mut answer = summary(cx, thing);
        answer["thingId"] = thing.id.as_str().into();
        if let Some(group) = &thing.billing_group {
            answer["billingGroupName"] = (&**group).into();
        }
        answer["defaultClientId"] = name.into();
        Ok(answer)
    }

    fn rest_list_things(&mut self, cx: &mut Cx<'_>, _: &str, request: &RestRequest<'_>) -> Result<Value, AwsError> {
        let mut query = query(request.query)?;
        let after = match query.remove("nextToken") {
            None => None,
            Some(token) => {
                let name = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                Some(name.ok_or_else(|| invalid("this is no nextToken of ListThings"))?)
            }
        };
        let page = match query.remove("maxResults") {
            None => PAGE,
            Some(text) => {
                text.parse().ok().filter(|n| (1..=250).contains(n)).ok_or_else(|| invalid("maxResults is 1 to 250"))?
            }
        };
        let attribute = (query.remove("attributeName"), query.remove("attributeValue"));
        let thing_type = query.remove("thingTypeName");
        if matches!(attribute, (None, Some(_))) {
            return Err(invalid("attributeValue needs attributeName"));
        }
        let fits = |thing: &&Thing| {
            let attribute_fits = match &attribute {
                (Some(name), Some(value)) => thing.attributes.get(name) == Some(value),
                (Some(name), None) => thing.attributes.contains_key(name),
                (None, _) => true,
            };
            attribute_fits && thing_type.as_ref().is_none_or(|wanted| thing.thing_type.as_deref() == Some(wanted))
        };
        let start = after.as_deref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rest = self.registry.things.range::<str, _>((start, std::ops::Bound::Unbounded));
        let mut found: Vec<&Thing> = rest.map(|(_, thing)| thing).filter(fits).take(page + 1).collect();
        let more = found.len() > page;
        found.truncate(page);
        let mut answer = json!({ "things": found.iter().map(|thing| summary(cx, thing)).collect::<Vec<_>>() });
        if let Some(last) = found.last().filter(|_| more) {
            answer["nextToken"] = URL_SAFE_NO_PAD.encode(last.name.as_bytes()).into();
        }
        Ok(answer)
    }

    fn rest_create_thing_type(&mut self, cx: &mut Cx<'_>, name: &str, r: &RestRequest<'_>) -> Result<Value, AwsError> {
        let body: CreateThingType = parse(r.body)?;
        let properties = body.thing_type_properties.unwrap_or_default();
        let (description, searchable) = (properties.thing_type_description, properties.searchable_attributes);
        let (registry, quotas) = self.registry_and_quotas(cx);
        let thing_type = registry.create_thing_type(cx, quotas, name, description, searchable)?;
        Ok(json!({ "thingTypeName": name, "thingTypeArn": thing_type_arn(cx, name), "thingTypeId": thing_type.id }))
    }

    fn rest_describe_thing_type(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        _: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let ThingType { id, description, searchable_attributes, created } = self.registry.thing_type(name)?;
        let mut properties = json!({ "searchableAttributes": searchable_attributes });
        if let Some(text) = description {
            properties["thingTypeDescription"] = text.as_str().into();
        }
        Ok(json!({
            "thingTypeName": name,
            "thingTypeId": id,
            "thingTypeArn": thing_type_arn(cx, name),
            "thingTypeProperties": properties,
            "thingTypeMetadata": { "deprecated": false, "creationDate": timestamp(*created) },
        }))
    }

    fn rest_register_certificate(&mut self, cx: &mut Cx<'_>, _: &str, r: &RestRequest<'_>) -> Result<Value, AwsError> {
        let body: RegisterCertificate = parse(r.body)?;
        // Without a status (unverified) the certificate rests.
        let status = body.status.map_or(Ok(CertificateStatus::Inactive), |name| CertificateStatus::of(&name))?;
        let id = self.registry.register_certificate_pem(cx, &body.certificate_pem, status)?;
        Ok(json!({ "certificateArn": certificate_arn(cx, &id), "certificateId": id }))
    }

    fn rest_update_certificate(&mut self, cx: &mut Cx<'_>, id: &str, r: &RestRequest<'_>) -> Result<Value, AwsError> {
        let status = query(r.query)?.remove("newStatus");
        let status = CertificateStatus::of(&status.ok_or_else(|| invalid("UpdateCertificate needs newStatus"))?)?;
        if !matches!(status, CertificateStatus::Active | CertificateStatus::Inactive | CertificateStatus::Revoked) {
            return Err(invalid(format!("{} is no status that UpdateCertificate sets", status.name())));
        }
        self.set_certificate_status(cx, id, status)?;
        Ok(Value::Null)
    }

    fn rest_attach_policy(
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

    fn rest_attach_thing_principal(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        r: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        let exclusive = match query(r.query)?.remove("thingPrincipalType").as_deref() {
            None | Some("NON_EXCLUSIVE_THING") => false,
            Some("EXCLUSIVE_THING") => true,
            Some(other) => return Err(invalid(format!("there is no thing principal type {other:?}"))),
        };
        let principal = r
            .principal
            .ok_or_else(|| AwsError::not_modelled("iot AttachThingPrincipal without its header x-amzn-principal"))?;
        self.registry.attach_thing_principal(cx, name, principal, exclusive)?;
        Ok(json!({}))
    }

    fn rest_create_policy(
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

    fn rest_get_policy(&mut self, cx: &mut Cx<'_>, name: &str, _: &RestRequest<'_>) -> Result<Value, AwsError> {
        let policy = self.registry.policy(name)?;
        Ok(json!({
            "policyName": name,
            "policyArn": policy_arn(cx, name),
            "policyDocument": policy.text,
            "defaultVersionId": policy.version.to_string(),
            "creationDate": timestamp(policy.created),
            "lastModifiedDate": timestamp(policy.modified),
            "generationId": policy.generation,
        }))
    }

    fn rest_describe_endpoint(
        &mut self,
        cx: &mut Cx<'_>,
        _: &str,
        request: &RestRequest<'_>,
    ) -> Result<Value, AwsError> {
        match query(request.query)?.remove("endpointType").as_deref() {
            Some("iot:Data-ATS") => Ok(json!({ "endpointAddress": super::endpoint(cx.account) })),
            None => Err(AwsError::not_modelled("iot endpoint of type iot:Data")),
            Some(other @ ("iot:Data" | "iot:CredentialProvider" | "iot:Jobs")) => {
                Err(AwsError::not_modelled(format!("iot endpoint of type {other}")))
            }
            Some(other) => Err(invalid(format!("there is no endpoint of type {other:?}"))),
        }
    }

    fn rest_create_topic_rule(&mut self, cx: &mut Cx<'_>, name: &str, r: &RestRequest<'_>) -> Result<Value, AwsError> {
        let payload: RulePayload = parse(r.body)?;
        self.create_rule(cx, name, payload)?;
        Ok(Value::Null)
    }

    fn rest_get_topic_rule(&mut self, cx: &mut Cx<'_>, name: &str, _: &RestRequest<'_>) -> Result<Value, AwsError> {
        // The service's model has no ResourceNotFoundException for this operation.
        let missing =
            || AwsError::new("UnauthorizedException", format!("Access to topic rule '{name}' was denied")).status(401);
        let (payload, created) = self.rules.described(name).ok_or_else(missing)?;
        let mut rule = serde_json::to_value(payload).expect("a rule's payload came from JSON");
        rule["ruleName"] = name.into();
        rule["createdAt"] = timestamp(created);
        Ok(json!({ "ruleArn": super::rules::rule_arn(cx, name), "rule": rule }))
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

fn timestamp(time: Time) -> Value {
    time.epoch_seconds().into()
}

/// The parameters in the query of an operation that are modelled.
fn query_parameters(operation: &str) -> &'static [&'static str] {
    match operation {
        "ListThings" => &["nextToken", "maxResults", "attributeName", "attributeValue", "thingTypeName"],
        "AttachThingPrincipal" => &["thingPrincipalType"],
        "DescribeEndpoint" => &["endpointType"],
        "CreateKeysAndCertificate" | "CreateCertificateFromCsr" => &["setAsActive"],
        "ListProvisioningTemplates" => &["nextToken", "maxResults"],
        "UpdateCertificate" => &["newStatus"],
        "DeleteThing" => &["expectedVersion"],
        "ListThingGroupsForThing" => &["nextToken", "maxResults"],
        _ => &[],
    }
}

pub(super) fn query(text: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        operations::decode(name).zip(operations::decode(value))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| invalid("the query is not percent-encoded"))
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("unknown field") {
            AwsError::not_modelled(format!("iot request: {text}"))
        } else if text.starts_with("missing field") {
            invalid(text)
        } else {
            AwsError::serialization(text)
        }
    })
}
