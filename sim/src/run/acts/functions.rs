//! What an operator does wrong to a function: a version that does not start, a variable that names what is not there.
//!
//! Contract: only the handler's name, or one environment variable, is changed, and that alone is put back: whatever else is
//! deployed meanwhile stays. As on AWS, time and revision of the last change are new afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Act, Denies, Stage};
use crate::cloud::core::AwsError;
use crate::cloud::lambda::RestCall;
use crate::fault::FaultSpec;

/// Handler of a version that does not start: no build has it.
const BROKEN_HANDLER: &str = "handler-that-does-not-start";

/// What is put behind the name of something to name what is not there.
const GONE: &str = "-gone";

/// How long a change of a function may take until new invocations follow it.
const UPDATE_TIME: Duration = Duration::from_secs(5);

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
    let undo = Box::new(move |stage: &Stage| match handler(stage, &name)? == BROKEN_HANDLER {
        true => configure(stage, &name, &json!({ "Handler": before })),
        false => Ok(()),
    });
    Ok(Some(Act::until("lambda", subject, undo)))
}

/// Makes an environment variable name something that is not there.
pub(super) fn wrong_configuration(stage: &Stage, fault: &FaultSpec, nth: u64) -> Result<Option<Act>, AwsError> {
    let name = stage.function(fault);
    let before = variables(stage, &name)?;
    if before.values().any(|value| value.ends_with(GONE)) {
        return Ok(None);
    }
    let naming: Vec<&String> =
        before.keys().filter(|name| NAMING.iter().any(|ending| name.ends_with(ending))).collect();
    let Some(variable) = stage.pick(fault, nth, &naming).map(|variable| (*variable).clone()) else { return Ok(None) };
    let before = before[&variable].clone();
    let gone = format!("{before}{GONE}");
    let denies = Denies {
        role: role(stage, &name)?,
        service: String::new(),
        resource: gone.clone(),
        under_way: timeout(stage, &name)? + UPDATE_TIME,
    };
    // The last call: each may be throttled, and what a refused act had changed nobody would put right.
    set_variable(stage, &name, &variable, &gone)?;
    let subject = format!("{name} {variable}");
    let undo = Box::new(move |stage: &Stage| match variables(stage, &name)?.get(&variable) == Some(&gone) {
        true => set_variable(stage, &name, &variable, &before),
        false => Ok(()),
    });
    Ok(Some(Act { denies: Some(denies), ..Act::until("lambda", subject, undo) }))
}

fn set_variable(stage: &Stage, function: &str, variable: &str, value: &str) -> Result<(), AwsError> {
    let mut variables = variables(stage, function)?;
    variables.insert(variable.to_owned(), value.to_owned());
    configure(stage, function, &json!({ "Environment": { "Variables": variables } }))
}

/// Name of a function's role.
pub(super) fn role(stage: &Stage, function: &str) -> Result<String, AwsError> {
    let configuration = call(stage, "GET", function, &Value::Null)?;
    let arn = configuration["Role"].as_str().unwrap_or_default();
    Ok(arn.rsplit('/').next().unwrap_or_default().to_owned())
}

fn timeout(stage: &Stage, function: &str) -> Result<Duration, AwsError> {
    let configuration = call(stage, "GET", function, &Value::Null)?;
    Ok(Duration::from_secs(configuration["Timeout"].as_u64().unwrap_or_default()))
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
