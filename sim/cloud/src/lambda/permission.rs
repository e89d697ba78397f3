//! Resource policies of functions: `AWS::Lambda::Permission`, and the services that invoke by them.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::rest::function_not_found;
use super::versions::Target;
use crate::core::policy::arn_like;
use crate::core::ports::Invocations;
use crate::core::{AwsError, Cx, Principal, Provisioned, Resource};

/// Actions of a statement that allow an invocation.
const INVOKING: [&str; 3] = ["lambda:InvokeFunction", "lambda:*", "*"];

/// A statement of a resource policy: a service may invoke the function, for some or all of its resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    sid: String,
    /// The version or the alias that it is about.
    qualifier: Option<String>,
    service: String,
    action: String,
    source_arn: Option<String>,
    source_account: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    action: String,
    function_name: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
}

impl Statement {
    fn allows(&self, service: &str, source_arn: &str, account: &str) -> bool {
        self.service == service
            && INVOKING.contains(&self.action.as_str())
            && self.source_arn.as_ref().is_none_or(|pattern| arn_like(pattern, source_arn))
            && self.source_account.as_ref().is_none_or(|expected| expected == account)
    }

    /// Whether it is about what a qualifier names.
    pub fn is_of(&self, qualifier: Option<&str>) -> bool {
        self.qualifier.as_deref() == qualifier
    }

    fn document(&self, function_arn: &str) -> Value {
        let resource = match &self.qualifier {
            Some(qualifier) => format!("{function_arn}:{qualifier}"),
            None => function_arn.to_owned(),
        };
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Principal": { "Service": self.service },
            "Action": self.action,
            "Resource": resource,
        });
        if let Some(account) = &self.source_account {
            statement["Condition"]["StringEquals"]["AWS:SourceAccount"] = account.as_str().into();
        }
        if let Some(arn) = &self.source_arn {
            statement["Condition"]["ArnLike"]["AWS:SourceArn"] = arn.as_str().into();
        }
        statement
    }
}

/// A function's resource policy as GetPolicy answers it.
pub(super) fn document<'s>(function_arn: &str, statements: impl Iterator<Item = &'s Statement>) -> Value {
    let statements: Vec<Value> = statements.map(|statement| statement.document(function_arn)).collect();
    json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements })
}

impl Lambda {
    /// Creates `AWS::Lambda::Permission`: a statement. Its id is what names the resource.
    pub(super) fn add_permission(&mut self, cx: &mut Cx<'_>, resource: &Resource) -> Result<Provisioned, AwsError> {
        let properties: Properties = resource.parse()?;
        let Properties { action, principal, source_arn, source_account, .. } = properties;
        if !(action == "*" || action.starts_with("lambda:")) {
            return Err(resource.refuse(format!("Action {action:?} is none of Lambda's")));
        }
        if !principal.ends_with(".amazonaws.com") {
            return Err(resource.refuse(format!("Principal {principal:?}: only services are modelled")));
        }
        let name = super::name_of(cx, &properties.function_name).map_err(|why| resource.refuse(why))?;
        let size_max = cx.limits.get("lambda", "resource_policy");
        let sid = format!("{}-{}-{}", resource.stack, resource.logical_id, &cx.uuid()[..8]);
        let missing = function_not_found(cx, &name.to_string());
        let function = self.functions.get_mut(&name.function).ok_or_else(|| missing.clone())?;
        if function.configured(name.qualifier.as_deref()).is_none() {
            return Err(missing);
        }
        let qualifier = name.qualifier;
        let statement = Statement {
            sid: sid.clone(),
            qualifier: qualifier.clone(),
            service: principal,
            action,
            source_arn,
            source_account,
        };
        let mut policy = function.policy.clone();
        policy.push(statement);
        let size =
            document(&function.info.arn, policy.iter().filter(|s| s.qualifier == qualifier)).to_string().len() as u64;
        if size > size_max {
            let message = format!("The final policy size ({size}) is bigger than the limit ({size_max}).");
            return Err(AwsError::new("PolicyLengthExceededException", message).with("Type", "User"));
        }
        function.policy = policy;
        Ok(Provisioned::new(sid))
    }

    /// Deletes a statement.
    pub(super) fn remove_permission(&mut self, sid: &str) {
        for function in self.functions.values_mut() {
            function.policy.retain(|statement| statement.sid != sid);
        }
    }
}

impl Lambda {
    /// The name of a function, when its resource policy lets a service invoke it on behalf of one of its resources.
    fn permitted(&self, cx: &mut Cx<'_>, function: &str, service: &str, source_arn: &str) -> Result<Target, AwsError> {
        let target = super::name_of(cx, function).map_err(AwsError::not_modelled)?;
        let missing = || function_not_found(cx, &target.to_string());
        let found = self.functions.get(&target.function).ok_or_else(missing)?;
        let account = cx.account.id.as_str();
        // A call of a version or an alias needs a statement of its own.
        let mut statements = found.policy.iter().filter(|statement| statement.is_of(target.qualifier.as_deref()));
        if !statements.any(|statement| statement.allows(service, source_arn, account)) {
            let arn = cx.account.arn("lambda", &format!("function:{target}"));
            let message = format!(
                "User: {service} is not authorized to perform: lambda:InvokeFunction on resource: {arn} because no \
                 resource-based policy allows the lambda:InvokeFunction action"
            );
            let error = AwsError::new("AccessDeniedException", message).status(403);
            cx.acting_as(&Principal::new(service)).denied("lambda:InvokeFunction", &arn, &error);
            return Err(error);
        }
        Ok(target)
    }
}

impl Invocations for Lambda {
    fn invoke_for_service(
        &mut self,
        cx: &mut Cx<'_>,
        function: &str,
        service: &str,
        source_arn: &str,
        payload: Bytes,
    ) -> Result<(), AwsError> {
        let target = self.permitted(cx, function, service, source_arn)?;
        self.enqueue(cx, &target, payload).map(drop)
    }

    fn invoke_for_answer(
        &mut self,
        cx: &mut Cx<'_>,
        function: &str,
        service: &str,
        source_arn: &str,
        payload: Bytes,
    ) -> Result<u64, AwsError> {
        let target = self.permitted(cx, function, service, source_arn)?;
        Ok(self.call(cx, target, payload))
    }

    fn invoke_and_wait(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<u64, AwsError> {
        let target = super::name_of(cx, function).map_err(AwsError::not_modelled)?;
        cx.authorize("lambda:InvokeFunction", &cx.account.arn("lambda", &format!("function:{target}")))?;
        self.configured(cx, &target)?;
        Ok(self.call(cx, target, payload))
    }

    fn invoke_event(&mut self, cx: &mut Cx<'_>, function: &str, payload: Bytes) -> Result<(), AwsError> {
        let target = super::name_of(cx, function).map_err(AwsError::not_modelled)?;
        cx.authorize("lambda:InvokeFunction", &cx.account.arn("lambda", &format!("function:{target}")))?;
        self.configured(cx, &target)?;
        self.enqueue(cx, &target, payload).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_allows_a_service_for_its_sources() {
        let rule = "arn:aws:iot:eu-west-1:123456789012:rule/tagger";
        for (service, source_arn, account, expected) in [
            ("iot.amazonaws.com", None, None, true),
            ("sns.amazonaws.com", None, None, false),
            ("iot.amazonaws.com", Some(rule), Some("123456789012"), true),
            ("iot.amazonaws.com", Some("arn:aws:iot:eu-west-1:123456789012:rule/*"), None, true),
            ("iot.amazonaws.com", Some("arn:aws:iot:*:123456789012:rule/tag?er"), None, true),
            ("iot.amazonaws.com", Some("arn:aws:iot:*:rule/tagger"), None, false),
            ("iot.amazonaws.com", Some("arn:aws:iot:eu-west-1:123456789012:rule/other"), None, false),
            ("iot.amazonaws.com", Some(rule), Some("999999999999"), false),
        ] {
            let statement = Statement {
                sid: "s".to_owned(),
                qualifier: None,
                service: service.to_owned(),
                action: "lambda:InvokeFunction".to_owned(),
                source_arn: source_arn.map(str::to_owned),
                source_account: account.map(str::to_owned),
            };
            let allowed = statement.allows("iot.amazonaws.com", rule, "123456789012");
            assert_eq!(allowed, expected, "{service} {source_arn:?} {account:?}");
        }
    }
}
