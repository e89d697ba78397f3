//! The control plane over REST: which operation a request asks for, its checks, its answer.

mod billing;
mod certificates;
mod events;
mod groups;
mod members;
mod operations;
mod page;
mod permit;
mod policies;
mod principals;
mod registry;
mod rules;
mod things;
mod types;

#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) use self::operations::decode;

use super::Iot;
use super::registry::invalid;
use super::rules::RulePayload;
use crate::core::{AwsError, Cx, Outcome};
use world::time::Time;

/// What answers an operation: with the first parameter of its path.
type Act = fn(&mut Iot, &mut Cx<'_>, &str, &RestRequest<'_>) -> Result<Value, AwsError>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Merges with existing attributes; at a creation there are none.
    merge: Option<bool>,
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

impl AttributePayload {
    /// The attributes of a change, and whether they are merged with those that there are.
    fn change(self) -> (BTreeMap<String, String>, bool) {
        (self.attributes, self.merge.unwrap_or(false))
    }
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
        let act: Act = match operation {
            "DescribeEndpoint" => Iot::rest_describe_endpoint,
            "CreateTopicRule" => Iot::rest_create_topic_rule,
            "GetTopicRule" => Iot::rest_get_topic_rule,
            "ReplaceTopicRule" => Iot::rest_replace_topic_rule,
            "DeleteTopicRule" => Iot::rest_delete_topic_rule,
            "EnableTopicRule" => Iot::rest_enable_topic_rule,
            "DisableTopicRule" => Iot::rest_disable_topic_rule,
            "ListTopicRules" => Iot::rest_list_topic_rules,
            "RegisterThing" => Iot::rest_register_thing,
            "CreateProvisioningTemplate" => Iot::rest_create_template,
            "DescribeProvisioningTemplate" => Iot::rest_describe_template,
            "ListProvisioningTemplates" => Iot::rest_list_templates,
            "UpdateProvisioningTemplate" => Iot::rest_update_template,
            "DeleteProvisioningTemplate" => Iot::rest_delete_template,
            other => registry::act(other).ok_or_else(|| AwsError::not_modelled(format!("iot {other}")))?,
        };
        let known = query_parameters(operation);
        if let Some(other) = query(request.query)?.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(AwsError::not_modelled(format!("iot {operation} parameter {other}")));
        }
        if !UNRATED.contains(&operation) {
            self.quotas(cx).take_call(cx, operation)?;
        }
        let answer = act(self, cx, name, request);
        self.follow_changes(cx);
        answer
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
        rules::pass_roles(cx, &payload)?;
        self.create_rule(cx, name, payload)?;
        Ok(Value::Null)
    }

    fn rest_get_topic_rule(&mut self, cx: &mut Cx<'_>, name: &str, _: &RestRequest<'_>) -> Result<Value, AwsError> {
        let (payload, created) = self.rules.described(name).ok_or_else(|| rules::absent(name))?;
        let mut rule = serde_json::to_value(payload).expect("a rule's payload came from JSON");
        rule["ruleName"] = name.into();
        rule["createdAt"] = timestamp(created);
        Ok(json!({ "ruleArn": super::rules::rule_arn(cx, name), "rule": rule }))
    }
}

fn timestamp(time: Time) -> Value {
    time.epoch_seconds().into()
}

/// The parameters in the query of an operation that are modelled.
fn query_parameters(operation: &str) -> &'static [&'static str] {
    match operation {
        "DescribeEndpoint" => &["endpointType"],
        "ListProvisioningTemplates" => &["nextToken", "maxResults"],
        "ListTopicRules" => &["nextToken", "maxResults", "ruleDisabled"],
        other => registry::query_parameters(other),
    }
}

/// The parameters of a query, decoded.
pub(super) fn query(text: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        operations::decode(name).zip(operations::decode(value))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| invalid("the query is not percent-encoded"))
}

/// A truth value of a query; absent is false.
fn flag(query: &BTreeMap<String, String>, name: &str) -> Result<bool, AwsError> {
    match query.get(name).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(invalid(format!("{name} is true or false, not {other:?}"))),
    }
}

/// A version that a query expects.
fn expected_version(query: &BTreeMap<String, String>) -> Result<Option<u64>, AwsError> {
    let expected = query.get("expectedVersion").map(|text| text.parse());
    expected.transpose().map_err(|_| invalid("expectedVersion is a number"))
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
