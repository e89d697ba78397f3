//! A stack's update is refused half-way and rolled back: its function is changed, and a resource after it cannot be made.
//!
//! Contract: CloudFormation leaves what was there before (`UPDATE_ROLLBACK_COMPLETE`). What else is deployed waits or is
//! refused meanwhile, as on AWS; a stack that is busy already is left alone.

use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, Parameter};
use platform::deploy::Plan;
use serde_json::{Value, json};

use super::{Act, DEFAULT_FUNCTION, Stage};
use crate::cloud::core::AwsError;
use crate::fault::FaultSpec;
use crate::world::{clock, mark};

/// How often the stack is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The resource that AWS refuses to make: a parameter whose name is taken.
const REFUSED: &str = "TakenParameter";

/// Updates the stack of a function with a template of which AWS refuses a part, and waits for its end.
pub(super) async fn fail_half_way(stage: &Stage, fault: &FaultSpec) -> Result<Option<Act>, AwsError> {
    let handler = fault.target.function.as_deref().unwrap_or(DEFAULT_FUNCTION);
    let plan = Plan::of(&stage.settings);
    let declares = |template: &Value| function_in(template, handler).is_some();
    let Some(planned) = plan.stacks.iter().find(|planned| declares(&planned.template)) else { return Ok(None) };
    let (client, name) = (Client::new(&stage.config), planned.name.as_str());
    let body = client.get_template().stack_name(name).send().await.map_err(refused)?;
    let template: Value = serde_json::from_str(body.template_body().unwrap_or_default())
        .map_err(|error| AwsError::serialization(error.to_string()))?;
    let Some(body) = broken(template, handler, taken(stage)?) else { return Ok(None) };
    let mut update = client.update_stack().stack_name(name).template_body(body.to_string());
    update = update.capabilities(Capability::CapabilityNamedIam);
    for parameter in body["Parameters"].as_object().into_iter().flatten() {
        let parameter = Parameter::builder().parameter_key(parameter.0).use_previous_value(true);
        update = update.parameters(parameter.build());
    }
    match update.send().await.map_err(refused) {
        Err(error) if error.message.contains("IN_PROGRESS") => return Ok(None),
        other => drop(other?),
    }
    let status = end_of(&client, name).await?;
    if status == "UPDATE_ROLLBACK_COMPLETE" {
        stage.mark(mark::STACK_ROLLED_BACK, name);
    } else {
        stage.complain(format!("the fault {} was to have {name} rolled back, and it ended {status}", fault.name));
    }
    Ok(Some(Act::done("cloudformation", name.to_owned())))
}

/// Logical id of the function with this handler.
fn function_in<'t>(template: &'t Value, handler: &str) -> Option<&'t str> {
    let resources = template["Resources"].as_object()?;
    let is_it = |resource: &Value| {
        resource["Type"] == "AWS::Lambda::Function" && resource["Properties"]["Handler"].as_str() == Some(handler)
    };
    resources.iter().find(|(_, resource)| is_it(resource)).map(|(id, _)| id.as_str())
}

/// The template with another time-out of the function, and after it a resource that is refused.
fn broken(mut template: Value, handler: &str, taken: String) -> Option<Value> {
    let function = function_in(&template, handler)?.to_owned();
    let properties = &mut template["Resources"][&function]["Properties"];
    let timeout_s = properties["Timeout"].as_u64().unwrap_or(3);
    properties["Timeout"] = json!(if timeout_s > 1 { timeout_s - 1 } else { 2 });
    template["Resources"][REFUSED] = json!({
        "Type": "AWS::SSM::Parameter",
        "DependsOn": [function],
        "Properties": { "Name": taken, "Type": "String", "Value": "taken" },
    });
    Some(template)
}

/// The name of a parameter that is there.
fn taken(stage: &Stage) -> Result<String, AwsError> {
    let naming = platform::naming::Naming::new(&stage.settings);
    let parameter = platform::cross_cutting::security::Outputs::new(naming).data_key_arn;
    Ok(parameter.path().to_owned())
}

/// Waits until nothing of the stack is under way.
async fn end_of(client: &Client, name: &str) -> Result<String, AwsError> {
    loop {
        clock::sleep(LOOK_EVERY).await;
        let stacks = client.describe_stacks().stack_name(name).send().await.map_err(refused)?;
        let status = stacks.stacks().first().and_then(|stack| stack.stack_status()).map(|status| status.as_str());
        match status {
            Some(status) if status.ends_with("_IN_PROGRESS") => {}
            status => return Ok(status.unwrap_or("GONE").to_owned()),
        }
    }
}

fn refused<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug>(
    error: SdkError<E, R>,
) -> AwsError {
    let message = match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(&error).to_string(),
    };
    AwsError::new("CloudFormation", message)
}
