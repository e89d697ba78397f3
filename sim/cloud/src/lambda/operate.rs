//! Operations of the API that act: Invoke, UpdateFunctionCode, UpdateFunctionConfiguration.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::declared::check_environment;
use super::describe::configuration;
use super::function::FunctionInfo;
use super::invoke::{Begin, Origin};
use super::rest::{Request, RestCall};
use super::versions::Target;
use super::{Lambda, Ports};
use crate::core::{AwsError, Cx, Deferred};

/// Headers of Invoke that AWS has and this simulator does not, with the value that asks for nothing.
const INVOKE_HEADERS: [(&str, &str); 4] = [
    ("x-amz-log-type", "None"),
    ("x-amz-client-context", ""),
    ("x-amz-durable-execution-name", ""),
    ("x-amz-tenant-id", ""),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Code {
    #[serde(rename = "S3Bucket")]
    bucket: String,
    #[serde(rename = "S3Key")]
    key: String,
    architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Configuration {
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u64>,
    memory_size: Option<u64>,
    environment: Option<Environment>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

impl Lambda {
    /// `Invoke`: the status of the answer. A synchronous one waits for the function's end.
    pub(super) fn invoke_over_rest(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        request: &Request,
        call: &RestCall<'_>,
    ) -> Result<u16, AwsError> {
        let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some((name, _)) = INVOKE_HEADERS.iter().find(|(name, none)| header(name).is_some_and(|v| v != *none)) {
            return Err(AwsError::not_modelled(format!("lambda Invoke with the header {name}")));
        }
        let target = self.target(cx, request)?;
        self.configured(cx, &target)?;
        match header("x-amz-invocation-type") {
            Some("Event") => {
                self.last_request_id = Some(self.enqueue(cx, &target, call.body.clone())?);
                Ok(202)
            }
            None | Some("RequestResponse") => {
                self.invoke_for_answer(cx, ports, &target, call.body.clone())?;
                Ok(200)
            }
            // Who may invoke is asked before.
            Some("DryRun") => Ok(204),
            Some(other) => Err(invalid(format!("there is no invocation type {other:?}"))),
        }
    }

    fn invoke_for_answer(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        target: &Target,
        payload: Bytes,
    ) -> Result<(), AwsError> {
        let max = cx.limits.get("lambda", "payload_sync");
        if payload.len() as u64 > max {
            let message = format!("Request must be smaller than {max} bytes for the InvokeFunction operation");
            return Err(AwsError::new("RequestTooLargeException", message).status(413).with("Type", "User"));
        }
        let payload = checked_event(payload)?;
        let admitted = self.admit(cx, ports, target, true).map_err(|refusal| {
            refusal.count(cx, &target.function, &[]);
            refusal.into_error(cx, &target.to_string())
        })?;
        self.tickets += 1;
        let ticket = Deferred(self.tickets);
        self.deferred = Some(ticket);
        let (origin, request_id) = (Origin::Request(ticket), cx.uuid());
        self.last_request_id = Some(request_id.clone());
        self.begin(cx, admitted, Begin { origin, payload, request_id, attempt: 1, fields: &[] });
        Ok(())
    }

    /// `UpdateFunctionCode` with a package in S3.
    pub(super) fn update_code(&mut self, cx: &mut Cx<'_>, request: &Request, body: &[u8]) -> Result<Value, AwsError> {
        let code: Code = parse(body)?;
        let info = self.for_change(cx, request)?;
        if code.architectures.as_ref().is_some_and(|list| *list != [info.architecture.as_str()]) {
            return Err(AwsError::not_modelled("lambda UpdateFunctionCode with another architecture"));
        }
        self.change_over_rest(cx, FunctionInfo { code: (code.bucket, code.key), ..info })
    }

    /// `UpdateFunctionConfiguration`.
    pub(super) fn update_configuration(
        &mut self,
        cx: &mut Cx<'_>,
        request: &Request,
        body: &[u8],
    ) -> Result<Value, AwsError> {
        let new: Configuration = parse(body)?;
        let limit = |name| cx.limits.get("lambda", name);
        let ranges = [
            ("MemorySize", new.memory_size, limit("memory_min"), limit("memory_max")),
            ("Timeout", new.timeout, 1, limit("timeout_max")),
        ];
        for (member, value, min, max) in ranges {
            if value.is_some_and(|value| value < min || value > max) {
                return Err(invalid(format!("{member} takes {min} to {max}")));
            }
        }
        let env_size = limit("env_size");
        let mut info = self.for_change(cx, request)?;
        if let Some(environment) = new.environment {
            check_environment(&environment.variables, env_size)?;
            info.environment = environment.variables;
        }
        info.role_arn = new.role.unwrap_or(info.role_arn);
        info.handler = new.handler.unwrap_or(info.handler);
        info.description = new.description.unwrap_or(info.description);
        info.timeout = new.timeout.map_or(info.timeout, Duration::from_secs);
        info.memory_mib = new.memory_size.unwrap_or(info.memory_mib);
        if let Some(key) = new.kms_key_arn {
            info.kms_key_arn = Some(key).filter(|key| !key.is_empty());
        }
        self.change_over_rest(cx, info)
    }

    /// The function that is to be changed, with the marks of a change.
    fn for_change(&self, cx: &mut Cx<'_>, request: &Request) -> Result<FunctionInfo, AwsError> {
        let info = self.unpublished(cx, request)?.info.clone();
        Ok(FunctionInfo { last_modified: cx.now, revision_id: cx.uuid(), ..info })
    }

    fn change_over_rest(&mut self, cx: &mut Cx<'_>, info: FunctionInfo) -> Result<Value, AwsError> {
        let name = info.name.clone();
        self.change_function(cx, info)?;
        Ok(configuration(cx, &self.functions[&name], None))
    }
}

/// The event of an invocation, which is JSON. A call without one is allowed (API reference, `Invoke`: `Payload` is not
/// required); that the function then gets an empty object is unverified.
pub(super) fn checked_event(payload: Bytes) -> Result<Bytes, AwsError> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    if serde_json::from_slice::<IgnoredAny>(&payload).is_ok() {
        return Ok(payload);
    }
    let message = "Could not parse request body into json";
    Err(AwsError::new("InvalidRequestContentException", message).with("Type", "User"))
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("unknown field") {
            AwsError::not_modelled(format!("lambda {text}"))
        } else {
            AwsError::new("InvalidRequestContentException", format!("Could not parse request body into json: {text}"))
                .with("Type", "User")
        }
    })
}

pub(super) fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidParameterValueException", message).with("Type", "User")
}
