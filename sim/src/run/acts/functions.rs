//! What an operator does wrong to a function: a version that does not start, a variable that names what is not there.
//!
//! Contract: only the handler's name, or one environment variable, is changed, and that alone is put back: whatever else is
//! deployed meanwhile stays. As on AWS, time and revision of the last change are new afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Act, Stage};
use crate::cloud::core::AwsError;
use crate::cloud::lambda::RestCall;
use crate::fault::FaultSpec;

/// Handler of a version that does not start: no build has it.
const BROKEN_HANDLER: &str = "handler-that-does-not-start";

/// What is put behind the name of something to name what is not there.
const GONE: &str = "-gone";

/// Endings of variables that name something of the account.
const NAMING: [&str; 4] = ["_TABLE", "_STREAM", "_BUCKET", "_ARN"];

/// Deploys a version that fails at its start.
pub(super) fn bad_deploy(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let name = stage.function(fault);
    let before = handler(stage, &name)?;
    if before == BROKEN_HANDLER {
        return Ok(None);
    }
    configure(stage, &name, &json!({ "Handler": BROKEN_HANDLER }))?;
    let subject = name.clone();
    let undo = Box::new(move |stage: &Stage| configure(stage, &name, &json!({ "Handler": before })));
    Ok(Some(Act { service: "lambda", subject, undo: Some(undo) }))
}

/// Makes an environment variable name something that is not there.
pub(super) fn wrong_configuration(stage: &Stage, fault: &FaultSpec, nth: u64) -> Result<Option<Act>, AwsError> {
    let name = stage.function(fault);
    let variables = variables(stage, &name)?;
    if variables.values().any(|value| value.ends_with(GONE)) {
        return Ok(None);
    }
    let naming: Vec<&String> =
        variables.keys().filter(|name| NAMING.iter().any(|ending| name.ends_with(ending))).collect();
    let Some(variable) = stage.pick(fault, nth, &naming).map(|variable| (*variable).clone()) else { return Ok(None) };
    let before = variables[&variable].clone();
    set_variable(stage, &name, &variable, &format!("{before}{GONE}"))?;
    let subject = format!("{name} {variable}");
    let undo = Box::new(move |stage: &Stage| set_variable(stage, &name, &variable, &before));
    Ok(Some(Act { service: "lambda", subject, undo: Some(undo) }))
}

fn set_variable(stage: &Stage, function: &str, variable: &str, value: &str) -> Result<(), AwsError> {
    let mut variables = variables(stage, function)?;
    variables.insert(variable.to_owned(), value.to_owned());
    configure(stage, function, &json!({ "Environment": { "Variables": variables } }))
}

fn handler(stage: &Stage, function: &str) -> Result<String, AwsError> {
    let configuration = call(stage, "GET", function, &Value::Null)?;
    Ok(configuration["Handler"].as_str().unwrap_or_default().to_owned())
}

fn variables(stage: &Stage, function: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let configuration = call(stage, "GET", function, &Value::Null)?;
    let variables = configuration["Environment"]["Variables"].as_object().cloned().unwrap_or_default();
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    Ok(variables.into_iter().map(|(name, value)| (name, text(value))).collect())
}

fn configure(stage: &Stage, function: &str, body: &Value) -> Result<(), AwsError> {
    call(stage, "PUT", function, body).map(drop)
}

/// `GetFunctionConfiguration` or `UpdateFunctionConfiguration`.
fn call(stage: &Stage, method: &str, function: &str, body: &Value) -> Result<Value, AwsError> {
    let target = format!("/2015-03-31/functions/{function}/configuration");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let (headers, body) = (http::HeaderMap::new(), body.into());
    let call = RestCall { method, target: &target, headers: &headers, body: &body };
    let answer = stage.cloud.enter(|account, now| {
        account.as_owner(now, |services, cx| services.with_lambda(|lambda, ports| lambda.call_rest(cx, ports, &call)))
    });
    let (_, body) = answer?;
    serde_json::from_slice(&body).map_err(|error| AwsError::serialization(error.to_string()))
}
